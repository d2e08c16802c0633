//! Learning from AWS which nodes there are: EC2 knows instances and their tags, SSM knows agents and hybrid
//! machines, and each may be denied alone.
//!
//! AWS filters, we compare exactly afterwards. Pages of one listing come one after the other; what SSM says of
//! them is asked for side by side, within bounds, while the next page is on its way.

mod ec2;
mod names;
mod ssm;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::future::Future;
use std::ops::ControlFlow;
use std::sync::Mutex;

use futures_util::future::{join, join3};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc;

use super::node::{AgentState, InstanceState, Node};
use super::query::Query;
use crate::aws::error::{ErrorKind, ServiceError};
use crate::ids::NodeId;
use ec2::Pages;
pub use names::names_of;
pub use ssm::Told;
use ssm::{Managed, fitting, only};

/// Questions to SSM under way at once.
const BATCHES: usize = 16;

/// A filter as both services take it: a key, and values of which one must fit.
pub type Filter = (String, Vec<String>);

/// A page of a listing.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// What is on it; may be nothing though more pages follow.
    pub items: Vec<T>,
    /// What the next page is asked for with.
    pub next: Option<String>,
}

/// The two calls that everything here is made of.
pub trait Source: Sync {
    /// A page of `ec2:DescribeInstances`.
    fn instances(
        &self,
        filters: &[Filter],
        token: Option<String>,
    ) -> impl Future<Output = Result<Page<Node>, ServiceError>> + Send;

    /// A page of `ssm:DescribeInstanceInformation`.
    fn managed(
        &self,
        filters: &[Filter],
        token: Option<String>,
    ) -> impl Future<Output = Result<Page<Told>, ServiceError>> + Send;
}

/// What one of the two services contributed.
#[derive(Debug, Clone)]
pub enum Half {
    /// All that it knows.
    Told,
    /// Nothing, or not all: it was denied, or failed by itself.
    Missing(ServiceError),
    /// It had nothing to tell of such nodes.
    NotAsked,
}

impl Half {
    /// Why it is missing, if it is.
    pub fn missing(&self) -> Option<&ServiceError> {
        match self {
            Self::Missing(error) => Some(error),
            Self::Told | Self::NotAsked => None,
        }
    }
}

/// Who contributed to an answer.
#[derive(Debug, Clone)]
pub struct Coverage {
    /// EC2: names, tags, states.
    pub ec2: Half,
    /// SSM: agents and hybrid machines.
    pub ssm: Half,
}

/// Why nothing was learnt.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LookupError {
    /// Both halves are missing: only ids can be used.
    #[error("neither EC2 nor SSM tells which nodes there are")]
    BothMissing {
        /// EC2's trouble.
        ec2: Box<ServiceError>,
        /// SSM's trouble.
        ssm: Box<ServiceError>,
    },
    /// A call failed for a reason that holds for all calls.
    #[error(transparent)]
    Failed(#[from] ServiceError),
}

/// What a look-up found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The nodes that the query fits.
    pub nodes: Vec<Node>,
    /// Who was heard.
    pub coverage: Coverage,
}

/// All nodes that a query fits.
///
/// # Errors
/// See [`LookupError`].
pub async fn find(source: &impl Source, query: &Query) -> Result<Found, LookupError> {
    let mut nodes = Vec::new();
    let coverage = list(source, query, |page| {
        nodes.extend(page);
        ControlFlow::Continue(())
    })
    .await?;
    Ok(Found { nodes, coverage })
}

/// Hands over the nodes that a query fits, page by page as they come, until `take` has enough.
///
/// # Errors
/// See [`LookupError`]; pages handed over before stay true.
pub async fn list(
    source: &impl Source,
    query: &Query,
    mut take: impl FnMut(Vec<Node>) -> ControlFlow<()> + Send,
) -> Result<Coverage, LookupError> {
    if query.id.as_ref().is_some_and(NodeId::is_hybrid) {
        return hybrid(source, query, take).await;
    }
    // Both first questions leave at once: in a small scope their answers are all there is to know.
    let mut pages = Pages::new(source, query);
    let mut managed = Managed::first(source, query);
    let (first, told) = join(pages.next(), managed.next()).await;
    let first = match first {
        Some(Ok(page)) => page,
        Some(Err(ec2)) if is_half(&ec2, Service::Ec2) => {
            return match told {
                Some(Err(ssm)) if is_half(&ssm, Service::Ssm) => Err(LookupError::BothMissing {
                    ec2: Box::new(ec2),
                    ssm: Box::new(ssm),
                }),
                Some(Err(ssm)) => Err(ssm.into()),
                told => {
                    let told = told.and_then(Result::ok).unwrap_or_default();
                    let nodes = only(source, query, managed, told).await?;
                    // Nobody is left who wants less than this one answer.
                    let _enough = take(nodes);
                    Ok(Coverage {
                        ec2: Half::Missing(ec2),
                        ssm: Half::Told,
                    })
                }
            };
        }
        Some(Err(error)) => return Err(error.into()),
        None => Vec::new(),
    };
    let agents = Agents::new(source, managed.is_whole());
    let told = match told {
        Some(Err(error)) => {
            agents.is_lost(error)?;
            Vec::new()
        }
        told => told.and_then(Result::ok).unwrap_or_default(),
    };
    let (known, hybrids): (Vec<Told>, Vec<Told>) = told.into_iter().partition(|told| !told.id.is_hybrid());
    let known: HashMap<NodeId, Told> = known.into_iter().map(|told| (told.id.clone(), told)).collect();
    // The next page is on its way while SSM is asked about the one at hand.
    let (sender, mut receiver) = mpsc::channel(1);
    let fetching = async {
        while let Some(page) = pages.next().await {
            if sender.send(page).await.is_err() {
                break;
            }
        }
        drop(sender);
    };
    let completing = async {
        let whole = async {
            let mut next = Some(Ok(first));
            while let Some(page) = next {
                let page = agents.complete(page, &known).await?;
                if !page.is_empty() && take(page).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                next = receiver.recv().await;
            }
            Ok::<_, LookupError>(ControlFlow::Continue(()))
        };
        let flow = whole.await;
        // Nobody wants more: whoever fetches is to see it.
        receiver.close();
        flow
    };
    let ((), flow, others) = join3(fetching, completing, managed.hybrids(hybrids)).await;
    let others = match others {
        Ok(others) => fitting(&others, query),
        Err(error) => {
            agents.is_lost(error)?;
            Vec::new()
        }
    };
    if flow?.is_continue() && !others.is_empty() {
        // It was the last page.
        let _enough = take(others);
    }
    Ok(Coverage {
        ec2: Half::Told,
        ssm: agents.half(),
    })
}

/// Names of some nodes of the scope, for one call; none where EC2 does not tell.
pub async fn some_names(source: &impl Source) -> Vec<String> {
    let everything = Query::default();
    let page = Pages::new(source, &everything).next().await;
    let nodes = page.and_then(Result::ok).unwrap_or_default();
    nodes.into_iter().filter_map(|node| node.name).collect()
}

/// A machine that EC2 knows nothing of.
async fn hybrid(
    source: &impl Source,
    query: &Query,
    mut take: impl FnMut(Vec<Node>) -> ControlFlow<()>,
) -> Result<Coverage, LookupError> {
    let told = Managed::first(source, query).all().await?;
    let _enough = take(fitting(&told, query));
    Ok(Coverage {
        ec2: Half::NotAsked,
        ssm: Half::Told,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Ec2,
    Ssm,
}

/// Whether a failure concerns one service alone, so that the other's half is still worth having. What is wrong
/// with the caller is wrong for both, and a throttled EC2 would make instances vanish.
fn is_half(error: &ServiceError, service: Service) -> bool {
    match error.kind {
        ErrorKind::Credentials
        | ErrorKind::NoCredentials
        | ErrorKind::Expired
        | ErrorKind::LoginNeeded
        | ErrorKind::Cancelled
        | ErrorKind::Region
        | ErrorKind::Setting => false,
        ErrorKind::Throttled => service == Service::Ssm,
        _ => true,
    }
}

/// What SSM says of instances, until it fails.
struct Agents<'a, S> {
    source: &'a S,
    /// Whether all that SSM knows was on its first page.
    whole: bool,
    lost: Mutex<Option<ServiceError>>,
}

impl<'a, S: Source> Agents<'a, S> {
    fn new(source: &'a S, whole: bool) -> Self {
        Self {
            source,
            whole,
            lost: Mutex::new(None),
        }
    }

    /// Adds SSM's word to a page of instances. Only those that may be up are asked for.
    async fn complete(
        &self,
        page: Result<Vec<Node>, ServiceError>,
        known: &HashMap<NodeId, Told>,
    ) -> Result<Vec<Node>, LookupError> {
        let mut nodes = page?;
        let mut answers: HashMap<NodeId, Told> = HashMap::new();
        if !self.whole {
            let open: Vec<NodeId> = nodes
                .iter()
                .filter(|node| may_be_up(node) && !known.contains_key(&node.id))
                .map(|node| node.id.clone())
                .collect();
            let mut batches = open.chunks(ssm::BATCH);
            let mut under_way = FuturesUnordered::new();
            loop {
                let free = BATCHES - under_way.len();
                under_way.extend(batches.by_ref().take(free).map(|ids| self.batch(ids)));
                match under_way.next().await {
                    Some(Ok(told)) => answers.extend(told.into_iter().map(|told| (told.id.clone(), told))),
                    Some(Err(error)) => self.is_lost(error)?,
                    None => break,
                }
            }
        }
        let lost = self.has_lost();
        for node in &mut nodes {
            match answers.get(&node.id).or_else(|| known.get(&node.id)) {
                Some(told) => told.complete(node),
                None if may_be_up(node) && !lost => node.agent = AgentState::NeverRegistered,
                None => {}
            }
        }
        Ok(nodes)
    }

    async fn batch(&self, ids: &[NodeId]) -> Result<Vec<Told>, ServiceError> {
        if self.has_lost() {
            return Ok(Vec::new());
        }
        ssm::batch(self.source, ids).await
    }

    /// Remembers the failure where the other half can do without this one.
    fn is_lost(&self, error: ServiceError) -> Result<(), LookupError> {
        if !is_half(&error, Service::Ssm) {
            return Err(error.into());
        }
        self.lock().get_or_insert(error);
        Ok(())
    }

    fn has_lost(&self) -> bool {
        self.lock().is_some()
    }

    fn half(&self) -> Half {
        self.lock().clone().map_or(Half::Told, Half::Missing)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<ServiceError>> {
        // Nothing panics while it is held; and were it so, the value is whole.
        self.lost
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn may_be_up(node: &Node) -> bool {
    matches!(node.state, InstanceState::Running | InstanceState::Pending)
}
