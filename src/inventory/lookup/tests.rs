//! The look-up against a small AWS of this file: two lists, filters as far as they are used, and denials.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::inventory::node::Os;
use crate::inventory::query::{Address, Pattern};

#[derive(Default)]
struct Cloud {
    instances: Vec<Node>,
    managed: Vec<Told>,
    ec2_fails: Option<ServiceError>,
    ssm_fails: Option<ServiceError>,
    /// SSM fails from this call on.
    ssm_fails_after: Option<usize>,
    /// Ids that fail a batch.
    bad: Vec<NodeId>,
    page: usize,
    ec2_calls: AtomicUsize,
    ssm_calls: AtomicUsize,
}

fn id(number: u32) -> NodeId {
    format!("i-{number:017x}").parse().unwrap()
}

fn instance(number: u32, name: &str) -> Node {
    let mut node = Node::new(id(number));
    node.name = Some(name.to_owned());
    node.tags.insert("Name".to_owned(), name.to_owned());
    node.state = InstanceState::Running;
    node.os = Some(Os::Linux);
    node.addresses = vec![format!("10.0.{}.{}", number / 256, number % 256)];
    node
}

fn told(id: NodeId) -> Told {
    Told {
        id,
        agent: AgentState::Online,
        version: Some("3.3.40.0".into()),
        os: Some(Os::Linux),
        platform: Some("Amazon Linux 2023".into()),
        name: None,
        computer: None,
        address: None,
        role: None,
        registered: None,
        last_ping: None,
    }
}

fn hybrid_machine(name: &str) -> Told {
    let mut told = told("mi-0123456789abcdef0".parse().unwrap());
    told.name = Some(name.to_owned());
    told.address = Some("192.168.1.5".into());
    told
}

fn denied(operation: &str) -> ServiceError {
    let action = operation.to_owned();
    let mut error = ServiceError::local(ErrorKind::AccessDenied { action }, "no");
    error.operation = operation.to_owned();
    error
}

fn glob(pattern: &str, text: &str) -> bool {
    Pattern::Glob(pattern.to_owned()).matches(text)
}

impl Cloud {
    /// `count` online instances.
    fn of(count: u32) -> Self {
        Self {
            instances: (0..count).map(|n| instance(n, &format!("web-{n}"))).collect(),
            managed: (0..count).map(|n| told(id(n))).collect(),
            page: 1000,
            ..Self::default()
        }
    }

    fn ec2_calls(&self) -> usize {
        self.ec2_calls.load(Ordering::Relaxed)
    }

    fn ssm_calls(&self) -> usize {
        self.ssm_calls.load(Ordering::Relaxed)
    }

    async fn find(&self, query: &Query) -> Found {
        find(self, query).await.unwrap()
    }

    async fn everything(&self) -> Found {
        self.find(&Query::default()).await
    }
}

fn page_of<T: Clone>(all: Vec<T>, size: usize, token: Option<String>) -> Page<T> {
    let start: usize = token.map_or(0, |token| token.parse().unwrap());
    let end = (start + size).min(all.len());
    Page {
        items: all[start..end].to_vec(),
        next: (end < all.len()).then(|| end.to_string()),
    }
}

impl Source for Cloud {
    async fn instances(&self, filters: &[Filter], token: Option<String>) -> Result<Page<Node>, ServiceError> {
        self.ec2_calls.fetch_add(1, Ordering::Relaxed);
        if let Some(error) = &self.ec2_fails {
            return Err(error.clone());
        }
        let fits = |node: &Node| {
            filters.iter().all(|(key, values)| {
                let any = |text: &str| values.iter().any(|value| glob(value, text));
                match key.as_str() {
                    "instance-id" => any(node.id.as_str()),
                    "instance-state-name" => any(node.state.as_str()),
                    "private-ip-address" => node.addresses.first().is_some_and(|address| any(address)),
                    "ip-address" => node.addresses.get(1).is_some_and(|address| any(address)),
                    key => {
                        let tag = node.tags.get(key.strip_prefix("tag:").unwrap());
                        tag.is_some_and(|value| any(value))
                    }
                }
            })
        };
        let nodes = self.instances.iter().filter(|node| fits(node)).cloned().collect();
        Ok(page_of(nodes, self.page, token))
    }

    async fn managed(&self, filters: &[Filter], token: Option<String>) -> Result<Page<Told>, ServiceError> {
        let calls = self.ssm_calls.fetch_add(1, Ordering::Relaxed);
        let late = self.ssm_fails_after.is_none_or(|after| calls >= after);
        if let Some(error) = self.ssm_fails.as_ref().filter(|_| late) {
            return Err(error.clone());
        }
        let mut all = self.managed.clone();
        for (key, values) in filters {
            match key.as_str() {
                "InstanceIds" => {
                    assert!(values.len() <= ssm::BATCH);
                    if values
                        .iter()
                        .any(|id| self.bad.iter().any(|bad| bad.as_str() == id))
                    {
                        let mut error = ServiceError::local(ErrorKind::NotFound, "InvalidInstanceId");
                        error.code = Some("InvalidInstanceId".into());
                        return Err(error);
                    }
                    all.retain(|told| values.contains(&told.id.to_string()));
                }
                "ResourceType" => all.retain(|told| told.id.is_hybrid()),
                "tag:Name" => all.retain(|told| {
                    let known = self.instances.iter().find(|node| node.id == told.id);
                    known.is_some_and(|node| values.contains(node.name.as_ref().unwrap()))
                }),
                other => panic!("unknown filter {other}"),
            }
        }
        Ok(page_of(all, ssm::BATCH, token))
    }
}

fn exact(name: &str) -> Query {
    Query::name(Pattern::Exact(name.to_owned()))
}

fn ids(found: &Found) -> Vec<&str> {
    found.nodes.iter().map(|node| node.id.as_str()).collect()
}

#[tokio::test]
async fn a_small_scope_takes_one_call_to_each() {
    let mut cloud = Cloud::of(40);
    cloud.managed.push(hybrid_machine("edge"));
    let found = cloud.everything().await;
    assert_eq!(found.nodes.len(), 41);
    assert!(found.nodes.iter().all(|node| node.agent == AgentState::Online));
    assert_eq!((cloud.ec2_calls(), cloud.ssm_calls()), (1, 1));
    assert!(found.coverage.ec2.missing().is_none() && found.coverage.ssm.missing().is_none());
    let edge = found.nodes.last().unwrap();
    assert_eq!(edge.name.as_deref(), Some("edge"));
    assert_eq!(edge.state, InstanceState::Unknown);
}

#[tokio::test]
async fn a_large_scope_is_asked_by_batches_and_streams() {
    let mut cloud = Cloud::of(2500);
    cloud.managed.insert(0, hybrid_machine("edge"));
    // The last hundred are stopped: SSM is not asked for them.
    for node in &mut cloud.instances[2400..] {
        node.state = InstanceState::Stopped;
    }
    let mut sizes = Vec::new();
    let mut nodes = Vec::new();
    let take = |page: Vec<Node>| {
        sizes.push(page.len());
        nodes.extend(page);
        ControlFlow::Continue(())
    };
    list(&cloud, &Query::default(), take).await.unwrap();
    assert_eq!(sizes, [1000, 1000, 500, 1]);
    assert_eq!(
        nodes
            .iter()
            .filter(|node| node.agent == AgentState::Online)
            .count(),
        2401
    );
    assert_eq!(cloud.ec2_calls(), 3);
    // The first page tells 49 instances and the hybrid one; the rest by fifties; the hybrid ones again.
    assert_eq!(cloud.ssm_calls(), 1 + (951_usize.div_ceil(50) + 20 + 8) + 1);
}

#[tokio::test]
async fn who_has_enough_is_not_given_more() {
    let cloud = Cloud::of(5000);
    let mut pages = 0;
    let take = |_| {
        pages += 1;
        ControlFlow::Break(())
    };
    list(&cloud, &Query::default(), take).await.unwrap();
    assert_eq!(pages, 1);
    assert!(cloud.ec2_calls() <= 3);
}

#[tokio::test]
async fn names_are_compared_exactly_and_the_deleted_bear_none() {
    let mut cloud = Cloud::of(3);
    cloud.instances.push(instance(10, "we*"));
    cloud.instances.push(instance(11, "Web-1"));
    let mut gone = instance(12, "web-1");
    gone.state = InstanceState::Terminated;
    cloud.instances.push(gone);
    let mut other = hybrid_machine("web-1");
    other.agent = AgentState::Lost;
    cloud.managed.push(other);
    assert_eq!(
        ids(&cloud.find(&exact("web-1")).await),
        [id(1).as_str(), "mi-0123456789abcdef0"]
    );
    assert_eq!(ids(&cloud.find(&exact("we*")).await), [id(10).as_str()]);
    let prefix = Query::name(Pattern::Prefix("we".into()));
    assert_eq!(cloud.find(&prefix).await.nodes.len(), 5);
    let found = cloud.find(&Query::id(id(12))).await;
    assert_eq!(found.nodes[0].state, InstanceState::Terminated);
}

#[tokio::test]
async fn an_address_may_be_private_or_public() {
    let mut cloud = Cloud::of(3);
    cloud.instances[2].addresses.push("52.0.0.1".into());
    let at = |ip: &str| Query {
        address: Some(Address::Ip(ip.parse().unwrap())),
        ..Query::default()
    };
    assert_eq!(ids(&cloud.find(&at("10.0.0.1")).await), [id(1).as_str()]);
    assert_eq!(cloud.ec2_calls(), 1);
    assert_eq!(ids(&cloud.find(&at("52.0.0.1")).await), [id(2).as_str()]);
    assert_eq!(cloud.ec2_calls(), 2);
    assert!(cloud.find(&at("10.9.9.9")).await.nodes.is_empty());
    assert_eq!(cloud.ec2_calls(), 4);
}

#[tokio::test]
async fn what_ssm_has_never_heard_of_is_said_so() {
    let mut cloud = Cloud::of(3);
    cloud.managed.remove(1);
    let found = cloud.find(&exact("web-1")).await;
    assert_eq!(found.nodes[0].agent, AgentState::NeverRegistered);
    let found = cloud.find(&Query::id(id(1))).await;
    assert_eq!(found.nodes[0].agent, AgentState::NeverRegistered);
    assert!(cloud.find(&Query::id(id(77))).await.nodes.is_empty());
}

#[tokio::test]
async fn a_batch_with_a_bad_id_is_split() {
    let mut cloud = Cloud::of(300);
    cloud.bad = vec![id(60), id(61), id(299)];
    let found = cloud.everything().await;
    let by = |number: u32| {
        found
            .nodes
            .iter()
            .find(|node| node.id == id(number))
            .unwrap()
            .agent
    };
    assert_eq!(by(60), AgentState::NeverRegistered);
    assert_eq!(by(299), AgentState::NeverRegistered);
    let online = found.nodes.iter().filter(|node| node.agent == AgentState::Online);
    assert_eq!(online.count(), 297);
    assert!(found.coverage.ssm.missing().is_none());
    let found = cloud.find(&Query::id(id(60))).await;
    assert_eq!(found.nodes[0].agent, AgentState::NeverRegistered);
}

#[tokio::test]
async fn without_ssm_the_state_of_agents_is_unknown() {
    let mut cloud = Cloud::of(120);
    cloud.ssm_fails = Some(denied("ssm:DescribeInstanceInformation"));
    let found = cloud.everything().await;
    assert_eq!(found.nodes.len(), 120);
    assert!(found.nodes.iter().all(|node| node.agent == AgentState::Unknown));
    assert_eq!(
        found.coverage.ssm.missing().unwrap().operation,
        "ssm:DescribeInstanceInformation"
    );
    // One denial is enough.
    assert_eq!(cloud.ssm_calls(), 1);
    // It may come in the midst.
    let mut cloud = Cloud::of(300);
    cloud.ssm_fails = Some(ServiceError::local(ErrorKind::Throttled, "slow down"));
    cloud.ssm_fails_after = Some(2);
    let found = cloud.everything().await;
    assert!(found.coverage.ssm.missing().is_some());
    let never = found
        .nodes
        .iter()
        .filter(|node| node.agent == AgentState::NeverRegistered);
    assert_eq!(never.count(), 0);
}

#[tokio::test]
async fn without_ec2_ssm_tells_what_it_can() {
    let mut cloud = Cloud::of(120);
    cloud.managed[7].computer = Some("ip-10-0-0-7".into());
    let mut edge = hybrid_machine("edge");
    edge.computer = Some("edge.example.com".into());
    cloud.managed.push(edge);
    cloud.ec2_fails = Some(denied("ec2:DescribeInstances"));
    let found = cloud.everything().await;
    assert_eq!(found.nodes.len(), 121);
    assert!(found.coverage.ec2.missing().is_some());
    // The Name tag can be asked for, though it is not told.
    let found = cloud.find(&exact("web-5")).await;
    assert_eq!(ids(&found), [id(5).as_str()]);
    assert_eq!(found.nodes[0].name.as_deref(), Some("web-5"));
    assert_eq!(found.nodes[0].state, InstanceState::Unknown);
    assert_eq!(ids(&cloud.find(&exact("ip-10-0-0-7")).await), [id(7).as_str()]);
    for name in ["edge", "edge.example.com"] {
        assert_eq!(ids(&cloud.find(&exact(name)).await), ["mi-0123456789abcdef0"]);
    }
    assert_eq!(ids(&cloud.find(&Query::id(id(9))).await), [id(9).as_str()]);
    assert!(cloud.find(&exact("nothing")).await.nodes.is_empty());
}

#[tokio::test]
async fn without_both_nothing_is_learnt() {
    let mut cloud = Cloud::of(3);
    cloud.ec2_fails = Some(denied("ec2:DescribeInstances"));
    cloud.ssm_fails = Some(denied("ssm:DescribeInstanceInformation"));
    for query in [Query::default(), exact("web-1"), Query::id(id(1))] {
        let error = find(&cloud, &query).await.unwrap_err();
        assert!(matches!(error, LookupError::BothMissing { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_for_both_is_a_failure() {
    for kind in [ErrorKind::Expired, ErrorKind::Credentials, ErrorKind::Region] {
        let mut cloud = Cloud::of(3);
        cloud.ssm_fails = Some(ServiceError::local(kind, "bad"));
        assert!(matches!(
            find(&cloud, &exact("web-1")).await,
            Err(LookupError::Failed(_))
        ));
        cloud.ec2_fails = cloud.ssm_fails.take();
        assert!(matches!(
            find(&cloud, &exact("web-1")).await,
            Err(LookupError::Failed(_))
        ));
    }
    let mut cloud = Cloud::of(3);
    cloud.ec2_fails = Some(ServiceError::local(ErrorKind::Throttled, "slow down"));
    assert!(matches!(
        find(&cloud, &exact("web-1")).await,
        Err(LookupError::Failed(_))
    ));
}

#[tokio::test]
async fn a_hybrid_machine_is_asked_of_ssm_alone() {
    let mut cloud = Cloud::of(3);
    cloud.managed.push(hybrid_machine("edge"));
    let query = Query::id("mi-0123456789abcdef0".parse().unwrap());
    let found = cloud.find(&query).await;
    assert_eq!(found.nodes[0].name.as_deref(), Some("edge"));
    assert_eq!((cloud.ec2_calls(), cloud.ssm_calls()), (0, 1));
    let at = Query {
        address: Some(Address::Ip("192.168.1.5".parse().unwrap())),
        ..Query::default()
    };
    assert_eq!(ids(&cloud.find(&at).await), ["mi-0123456789abcdef0"]);
    assert!(
        find(&cloud, &Query::id("mi-ffffffffffffffff0".parse().unwrap()))
            .await
            .unwrap()
            .nodes
            .is_empty()
    );
}
