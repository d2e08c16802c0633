//! SSM's half: agents and hybrid machines, and instances where EC2 keeps silent.

use aws_sdk_ssm::types::{self, InstanceInformation, PingStatus, PlatformType};

use super::ec2::ASG_TAG;
use super::{Filter, Page, Source};
use crate::aws::Aws;
use crate::aws::error::{ErrorKind, ServiceError};
use crate::ids::NodeId;
use crate::inventory::node::{AgentState, Node, Os};
use crate::inventory::query::{Pattern, Query};

const OPERATION: &str = "ssm:DescribeInstanceInformation";
/// The largest page that SSM gives; and as many ids are asked for at a time, so that a batch is one call.
pub(super) const BATCH: usize = 50;

/// What SSM knows of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The node.
    pub id: NodeId,
    /// Its agent.
    pub agent: AgentState,
    /// The agent's version.
    pub version: Option<String>,
    /// The operating system's family.
    pub os: Option<Os>,
    /// Its name and version.
    pub platform: Option<String>,
    /// The name given when a hybrid machine was activated.
    pub name: Option<String>,
    /// The machine's own name.
    pub computer: Option<String>,
    /// Its address.
    pub address: Option<String>,
    /// The service role of a hybrid machine.
    pub role: Option<String>,
    /// When it was registered.
    pub registered: Option<jiff::Timestamp>,
    /// The last ping.
    pub last_ping: Option<jiff::Timestamp>,
}

impl Told {
    /// Adds what EC2 does not know.
    pub(super) fn complete(&self, node: &mut Node) {
        node.agent = self.agent;
        node.agent_version.clone_from(&self.version);
        node.last_ping = self.last_ping;
        node.computer.clone_from(&self.computer);
        // SSM's words on the platform are the more exact ones.
        node.os = self.os.or(node.os);
        if self.platform.is_some() {
            node.platform.clone_from(&self.platform);
        }
    }

    /// A node that EC2 does not know or tell of. The query that AWS found it by tells of its tags.
    pub(super) fn node(&self, query: &Query) -> Node {
        let mut node = Node::new(self.id.clone());
        self.complete(&mut node);
        for (key, value) in literal_tags(query) {
            node.tags.insert(key, value);
        }
        node.name = [&self.name, &self.computer]
            .into_iter()
            .flatten()
            .find(|name| !name.is_empty())
            .cloned();
        node.asg = query.asg.clone().filter(|_| !self.id.is_hybrid());
        node.addresses = self.address.iter().cloned().collect();
        node.role.clone_from(&self.role);
        node.launched = self.registered;
        node
    }
}

/// Pages of what SSM knows.
pub(super) struct Managed<'a, S> {
    source: &'a S,
    filters: Vec<Filter>,
    asking: Option<Option<String>>,
    /// Whether it was answered at all.
    heard: bool,
    /// What the listing covers beside hybrid machines.
    instances: Instances,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instances {
    /// None at all.
    Left,
    /// All those that are wanted.
    Included,
}

impl<'a, S: Source> Managed<'a, S> {
    /// What is asked for beside EC2's first page: whatever may be all there is to know.
    pub(super) fn first(source: &'a S, query: &Query) -> Self {
        let (filters, instances) = match &query.id {
            Some(id) => (vec![ids_filter(std::slice::from_ref(id))], Instances::Included),
            None if query.is_everything() => (Vec::new(), Instances::Included),
            None => (hybrid_filters(query), Instances::Left),
        };
        Self::with(source, filters, instances)
    }

    fn with(source: &'a S, filters: Vec<Filter>, instances: Instances) -> Self {
        Self {
            source,
            filters,
            asking: Some(None),
            heard: false,
            instances,
        }
    }

    /// The next page; after an error there is none.
    pub(super) async fn next(&mut self) -> Option<Result<Vec<Told>, ServiceError>> {
        let token = self.asking.take()?;
        let answer = self.source.managed(&self.filters, token).await;
        self.heard |= answer.is_ok();
        Some(match answer {
            Ok(page) => {
                self.asking = page.next.map(Some);
                Ok(page.items)
            }
            // A single id that SSM does not take is one that it does not know.
            Err(error) if is_bad_id(&error) => {
                self.heard = true;
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        })
    }

    /// Whether all wanted instances that SSM knows have been heard.
    pub(super) fn is_whole(&self) -> bool {
        self.instances == Instances::Included && self.asking.is_none() && self.heard
    }

    /// All pages from here on.
    pub(super) async fn all(mut self) -> Result<Vec<Told>, ServiceError> {
        let mut all = Vec::new();
        while let Some(page) = self.next().await {
            all.extend(page?);
        }
        Ok(all)
    }

    /// All hybrid machines, when those in `first` have been seen.
    pub(super) async fn hybrids(self, first: Vec<Told>) -> Result<Vec<Told>, ServiceError> {
        match (self.asking.is_some(), self.instances) {
            (false, _) => Ok(first),
            (true, Instances::Left) => {
                let mut all = first;
                all.extend(self.all().await?);
                Ok(all)
            }
            // Among thousands of instances the few hybrid ones are found sooner by asking anew.
            (true, Instances::Included) => {
                let filters = hybrid_filters(&Query::default());
                Self::with(self.source, filters, Instances::Left).all().await
            }
        }
    }
}

/// What SSM says of these instances. A batch with an id that SSM does not take fails as a whole, so it is
/// halved until the bad one stands alone.
pub(super) async fn batch<S: Source>(source: &S, ids: &[NodeId]) -> Result<Vec<Told>, ServiceError> {
    let mut told = Vec::new();
    let mut pending = vec![ids];
    while let Some(ids) = pending.pop() {
        let mut managed = Managed::with(source, vec![ids_filter(ids)], Instances::Included);
        while let Some(token) = managed.asking.take() {
            match source.managed(&managed.filters, token).await {
                Ok(page) => {
                    managed.asking = page.next.map(Some);
                    told.extend(page.items);
                }
                Err(error) if is_bad_id(&error) && ids.len() > 1 => {
                    let (one, other) = ids.split_at(ids.len() / 2);
                    pending.extend([one, other]);
                }
                Err(error) if is_bad_id(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(told)
}

/// The nodes that a query fits, by SSM's word alone; `first` and `managed` are what was asked already.
pub(super) async fn only<S: Source>(
    source: &S,
    query: &Query,
    managed: Managed<'_, S>,
    first: Vec<Told>,
) -> Result<Vec<Node>, ServiceError> {
    if managed.instances == Instances::Included {
        let mut told = first;
        told.extend(managed.all().await?);
        return Ok(fitting(&told, query));
    }
    let tagged = tag_filters(query);
    // The Name tag is not told, but it can be asked for.
    if let Some(name) = query.name.as_ref().and_then(Pattern::literal) {
        let mut filters = tagged.clone();
        filters.push(("tag:Name".to_owned(), vec![name.clone()]));
        let told = Managed::with(source, filters, Instances::Included).all().await?;
        let named = told.iter().map(|told| {
            let mut node = told.node(query);
            node.tags.insert("Name".to_owned(), name.clone());
            node.name = Some(name.clone());
            node
        });
        let mut nodes: Vec<Node> = named.collect();
        nodes.retain(|node| query.matches(node));
        if !nodes.is_empty() {
            return Ok(nodes);
        }
    }
    let told = Managed::with(source, tagged, Instances::Included).all().await?;
    let mut nodes = fitting(&told, query);
    // A machine that SSM has given a name can still be called by its own.
    let by_computer = told.iter().filter_map(|told| {
        let mut node = told.node(query);
        node.name.clone_from(&told.computer);
        let known = nodes.iter().any(|other| other.id == node.id);
        (!known && query.matches(&node)).then_some(node)
    });
    let by_computer: Vec<Node> = by_computer.collect();
    nodes.extend(by_computer);
    Ok(nodes)
}

pub(super) fn fitting(told: &[Told], query: &Query) -> Vec<Node> {
    let mut nodes: Vec<Node> = told.iter().map(|told| told.node(query)).collect();
    nodes.retain(|node| query.matches(node));
    nodes
}

/// SSM has two words for an id that it does not take.
fn is_bad_id(error: &ServiceError) -> bool {
    let code = error.code.as_deref().unwrap_or_default();
    error.kind == ErrorKind::NotFound || code.starts_with("InvalidInstanceInformationFilterValue")
}

fn ids_filter(ids: &[NodeId]) -> Filter {
    let ids = ids.iter().map(ToString::to_string).collect();
    ("InstanceIds".to_owned(), ids)
}

fn hybrid_filters(query: &Query) -> Vec<Filter> {
    let mut filters = tag_filters(query);
    filters.push(("ResourceType".to_owned(), vec!["ManagedInstance".to_owned()]));
    filters
}

fn tag_filters(query: &Query) -> Vec<Filter> {
    let tags = literal_tags(query).map(|(key, value)| (format!("tag:{key}"), vec![value]));
    tags.collect()
}

/// SSM's filters know no wildcards, and it tells no tags: of a pattern nothing can be said.
fn literal_tags(query: &Query) -> impl Iterator<Item = (String, String)> + '_ {
    let asg = query.asg.clone().map(|asg| (ASG_TAG.to_owned(), asg));
    let tags = query.tags.iter();
    tags.filter_map(|(key, value)| Some((key.clone(), value.literal()?)))
        .chain(asg)
}

impl Source for Aws {
    async fn instances(&self, filters: &[Filter], token: Option<String>) -> Result<Page<Node>, ServiceError> {
        super::ec2::page(self, filters, token).await
    }

    async fn managed(&self, filters: &[Filter], token: Option<String>) -> Result<Page<Told>, ServiceError> {
        let filters = filters.iter().map(|(key, values)| {
            let builder = types::InstanceInformationStringFilter::builder().key(key);
            builder.set_values(Some(values.clone())).build()
        });
        let filters: Vec<_> = filters
            .collect::<Result<_, _>>()
            .map_err(|error| ServiceError::local(ErrorKind::Other, error.to_string()))?;
        self.pace().await;
        let answer = self
            .ssm()
            .describe_instance_information()
            .set_filters((!filters.is_empty()).then_some(filters))
            .max_results(i32::try_from(BATCH).unwrap_or(i32::MAX))
            .set_next_token(token)
            .send()
            .await
            .map_err(|error| ServiceError::from_sdk(OPERATION, error))?;
        let items = answer.instance_information_list.unwrap_or_default();
        Ok(Page {
            items: items.into_iter().filter_map(told).collect(),
            next: answer.next_token.filter(|token| !token.is_empty()),
        })
    }
}

fn told(information: InstanceInformation) -> Option<Told> {
    let time = |at: Option<aws_smithy_types::DateTime>| jiff::Timestamp::from_second(at?.secs()).ok();
    let platform = [information.platform_name, information.platform_version];
    let platform: Vec<String> = platform
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    Some(Told {
        id: information.instance_id?.parse().ok()?,
        agent: match information.ping_status {
            Some(PingStatus::Online) => AgentState::Online,
            Some(PingStatus::ConnectionLost | PingStatus::Inactive) => AgentState::Lost,
            _ => AgentState::Unknown,
        },
        version: information.agent_version.filter(|version| !version.is_empty()),
        os: match information.platform_type {
            Some(PlatformType::Linux) => Some(Os::Linux),
            Some(PlatformType::Macos) => Some(Os::MacOs),
            Some(PlatformType::Windows) => Some(Os::Windows),
            _ => None,
        },
        platform: (!platform.is_empty()).then(|| platform.join(" ")),
        name: information.name.filter(|name| !name.is_empty()),
        computer: information.computer_name.filter(|name| !name.is_empty()),
        address: information.ip_address.filter(|address| !address.is_empty()),
        role: information.iam_role.filter(|role| !role.is_empty()),
        registered: time(information.registration_date),
        last_ping: time(information.last_ping_date_time),
    })
}
