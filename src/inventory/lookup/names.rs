//! What nodes are called, where only their ids are at hand.

use std::collections::{BTreeSet, HashMap};

use super::{Source, ssm};
use crate::aws::error::ServiceError;
use crate::ids::NodeId;
use crate::inventory::query::Query;

/// A filter takes so many values.
const BATCH: usize = 200;

/// The names of those nodes that have one, deleted instances included as long as EC2 knows them. Hybrid machines
/// are named by SSM.
///
/// # Errors
/// The first thing that AWS refuses.
pub async fn names_of(
    source: &impl Source,
    ids: &BTreeSet<NodeId>,
) -> Result<HashMap<NodeId, String>, ServiceError> {
    let (hybrids, instances): (Vec<NodeId>, Vec<NodeId>) = ids.iter().cloned().partition(NodeId::is_hybrid);
    let mut names = HashMap::new();
    for ids in instances.chunks(BATCH) {
        let values = ids.iter().map(ToString::to_string).collect();
        let filters = [("instance-id".to_owned(), values)];
        let mut token = None;
        loop {
            let page = source.instances(&filters, token).await?;
            let named = page.items.into_iter();
            names.extend(named.filter_map(|node| Some((node.id, node.name?))));
            token = page.next;
            if token.is_none() {
                break;
            }
        }
    }
    for ids in hybrids.chunks(ssm::BATCH) {
        for told in ssm::batch(source, ids).await? {
            let node = told.node(&Query::default());
            names.extend(node.name.map(|name| (node.id, name)));
        }
    }
    Ok(names)
}
