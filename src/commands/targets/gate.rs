//! The short way's other half: the look-up that runs while a session on a remembered id starts.

use std::sync::Arc;

use jiff::Timestamp;

use super::search::{Search, renews};
use super::words;
use crate::aws::Aws;
use crate::ids::{NodeId, Scope};
use crate::inventory::lookup::{LookupError, find};
use crate::inventory::node::Node;
use crate::inventory::query::Query;
use crate::inventory::snapshot::Snapshots;
use crate::resolve::order::{Choice, Pick, choose};
use crate::transport::plan::Gate;

impl Search<'_> {
    /// The look-up that runs while the session starts. Its word on the name counts.
    pub(super) fn gate(&self, node: &Node) -> Gate {
        let aws = Arc::clone(&self.reached.aws);
        let scope = self.reached.scope.clone();
        let snapshots = self.ctx_snapshots();
        let (query, pick) = (self.wanted.query.clone(), self.pick());
        let (name, id) = (self.wanted.name.clone(), node.id.clone());
        let learnt = self
            .snapshots
            .open(&scope)
            .and_then(|snapshot| snapshot.learnt(node));
        // Spawned, not merely handed over: it has to be on its way before anybody waits for it.
        let look_up = tokio::spawn(async move { agree(&aws, &scope, snapshots, &query, pick, &id).await });
        Box::pin(async move {
            let outcome = look_up
                .await
                .unwrap_or_else(|_| Err(Doubt::Unknown("the look-up was broken off".to_owned())));
            let age = learnt.map(|learnt| format!(" ({} old)", words::age(learnt, Timestamp::now())));
            let age = age.unwrap_or_default();
            outcome.map_err(|doubt| match doubt {
                Doubt::Changed(why) => format!("`{name}` is not what was remembered{age}: {why}"),
                Doubt::Unknown(why) => {
                    format!("whether `{name}` is still what was remembered{age} is not known: {why}")
                }
            })
        })
    }

    /// The snapshots, unless the config keeps commands from renewing them.
    fn ctx_snapshots(&self) -> Option<Snapshots> {
        renews(self.ctx).then(|| self.snapshots.clone())
    }
}

/// Why a session on a remembered node must not go on.
enum Doubt {
    /// The name means something else.
    Changed(String),
    /// Nobody could say.
    Unknown(String),
}

/// Whether the name still means that node.
async fn agree(
    aws: &Aws,
    scope: &Scope,
    snapshots: Option<Snapshots>,
    query: &Query,
    pick: Pick,
    id: &NodeId,
) -> Result<(), Doubt> {
    let found = match find(aws, query).await {
        Ok(found) => found,
        Err(error) => {
            let mut why = format!("it could not be looked up ({error}");
            if let LookupError::BothMissing { ec2, ssm } = &error {
                why.push_str(&format!(": {ec2}; {ssm}"));
            }
            return Err(Doubt::Unknown(format!("{why})")));
        }
    };
    if let Some(snapshots) = snapshots
        && found.coverage.ec2.missing().is_none()
        && let Err(error) = snapshots.update(scope, query, &found.nodes)
    {
        tracing::debug!(%error, "the snapshot is not renewed");
    }
    match choose(found.nodes, pick) {
        Choice::One { node, .. } if node.id == *id => Ok(()),
        Choice::One { node, .. } => Err(Doubt::Changed(format!("it is {} now, not {id}", node.id))),
        Choice::Several(nodes) => Err(Doubt::Changed(format!("{} nodes bear it now", nodes.len()))),
        Choice::None => Err(Doubt::Changed("no node bears it any more".to_owned())),
    }
}
