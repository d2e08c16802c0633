//! EC2's half: instances, filtered there and compared here.

use std::net::IpAddr;

use aws_sdk_ec2::types::{self, InstanceStateName};

use super::{Filter, Page, Source};
use crate::aws::Aws;
use crate::aws::error::ServiceError;
use crate::inventory::node::{InstanceState, Node, Os};
use crate::inventory::query::{Address, Query, escape_filter};

const OPERATION: &str = "ec2:DescribeInstances";
/// The largest page that EC2 gives.
const PAGE: i32 = 1000;
/// Where EC2 keeps the Auto Scaling group.
pub(super) const ASG_TAG: &str = "aws:autoscaling:groupName";

/// One after the other, the pages of instances that a query fits.
pub(super) struct Pages<'a, S> {
    source: &'a S,
    query: &'a Query,
    /// Ways to ask, the likeliest first; the next is tried where the one before found nothing.
    ways: std::vec::IntoIter<Vec<Filter>>,
    asking: Option<(Vec<Filter>, Option<String>)>,
    found: bool,
}

impl<'a, S: Source> Pages<'a, S> {
    pub(super) fn new(source: &'a S, query: &'a Query) -> Self {
        let mut ways = ways(query).into_iter();
        let asking = ways.next().map(|filters| (filters, None));
        Self {
            source,
            query,
            ways,
            asking,
            found: false,
        }
    }

    /// The next page; after an error there is none.
    pub(super) async fn next(&mut self) -> Option<Result<Vec<Node>, ServiceError>> {
        let (filters, token) = self.asking.take()?;
        let page = match self.source.instances(&filters, token).await {
            Ok(page) => page,
            Err(error) => return Some(Err(error)),
        };
        let mut nodes = page.items;
        nodes.retain(|node| self.query.matches(node));
        self.found |= !nodes.is_empty();
        self.asking = match page.next {
            Some(next) => Some((filters, Some(next))),
            None if self.found => None,
            None => self.ways.next().map(|filters| (filters, None)),
        };
        Some(Ok(nodes))
    }
}

/// The filters that let pass what a query fits. Filters of one call must all hold, so an address, which may be
/// private or public, takes two calls at worst.
fn ways(query: &Query) -> Vec<Vec<Filter>> {
    let mut filters: Vec<Filter> = Vec::new();
    match &query.id {
        // As a filter: an id that does not exist is then an empty answer and no error.
        Some(id) => filters.push(("instance-id".into(), vec![id.to_string()])),
        None => {
            let living = ["pending", "running", "stopping", "stopped"];
            filters.push(("instance-state-name".into(), living.map(String::from).to_vec()));
        }
    }
    if let Some(name) = &query.name {
        filters.push(("tag:Name".into(), vec![name.filter_value()]));
    }
    for (key, value) in &query.tags {
        filters.push((format!("tag:{key}"), vec![value.filter_value()]));
    }
    if let Some(asg) = &query.asg {
        filters.push((format!("tag:{ASG_TAG}"), vec![escape_filter(asg)]));
    }
    let Some(address) = &query.address else {
        return vec![filters];
    };
    let (keys, value) = match address {
        Address::Ip(ip @ IpAddr::V6(_)) => (
            vec!["network-interface.ipv6-addresses.ipv6-address"],
            ip.to_string(),
        ),
        Address::Ip(IpAddr::V4(ip)) if ip.is_private() => {
            (vec!["private-ip-address", "ip-address"], ip.to_string())
        }
        Address::Ip(ip) => (vec!["ip-address", "private-ip-address"], ip.to_string()),
        Address::Dns(name) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let keys = if name.ends_with(".internal") {
                vec!["private-dns-name", "dns-name"]
            } else {
                vec!["dns-name", "private-dns-name"]
            };
            (keys, escape_filter(&name))
        }
    };
    let with = |key: &str| {
        let mut filters = filters.clone();
        filters.push((key.to_owned(), vec![value.clone()]));
        filters
    };
    keys.into_iter().map(with).collect()
}

pub(super) async fn page(
    aws: &Aws,
    filters: &[Filter],
    token: Option<String>,
) -> Result<Page<Node>, ServiceError> {
    let filters = filters.iter().map(|(key, values)| {
        let values = Some(values.clone());
        types::Filter::builder().name(key).set_values(values).build()
    });
    aws.pace().await;
    let answer = aws
        .ec2()
        .describe_instances()
        .set_filters(Some(filters.collect()))
        .max_results(PAGE)
        .set_next_token(token)
        .send()
        .await
        .map_err(|error| ServiceError::from_sdk(OPERATION, error))?;
    let reservations = answer.reservations.unwrap_or_default().into_iter();
    let instances = reservations.flat_map(|reservation| reservation.instances.unwrap_or_default());
    Ok(Page {
        items: instances.filter_map(node).collect(),
        next: answer.next_token.filter(|token| !token.is_empty()),
    })
}

/// An instance whose id is none cannot be reached by it, so it is left out.
fn node(instance: types::Instance) -> Option<Node> {
    let mut node = Node::new(instance.instance_id?.parse().ok()?);
    node.state = match instance.state.and_then(|state| state.name) {
        Some(InstanceStateName::Pending) => InstanceState::Pending,
        Some(InstanceStateName::Running) => InstanceState::Running,
        Some(InstanceStateName::Stopping) => InstanceState::Stopping,
        Some(InstanceStateName::Stopped) => InstanceState::Stopped,
        Some(InstanceStateName::ShuttingDown) => InstanceState::ShuttingDown,
        Some(InstanceStateName::Terminated) => InstanceState::Terminated,
        _ => InstanceState::Unknown,
    };
    for tag in instance.tags.unwrap_or_default() {
        if let Some(key) = tag.key {
            node.tags.insert(key, tag.value.unwrap_or_default());
        }
    }
    node.name = node.tags.get("Name").filter(|name| !name.is_empty()).cloned();
    node.asg = node.tags.get(ASG_TAG).cloned();
    node.os = match instance.platform {
        Some(types::PlatformValues::Windows) => Some(Os::Windows),
        _ => instance
            .platform_details
            .as_deref()
            .filter(|details| details.starts_with("Linux") || details.contains("Linux"))
            .map(|_| Os::Linux),
    };
    node.platform = instance.platform_details;
    node.instance_type = instance.instance_type.map(|kind| kind.as_str().to_owned());
    node.zone = instance
        .placement
        .and_then(|placement| placement.availability_zone);
    node.vpc = instance.vpc_id;
    node.role = instance.iam_instance_profile.and_then(|profile| {
        let arn = profile.arn?;
        Some(arn.rsplit('/').next().unwrap_or(&arn).to_owned())
    });
    node.launched = instance
        .launch_time
        .and_then(|at| jiff::Timestamp::from_second(at.secs()).ok());
    let interfaces = instance.network_interfaces.unwrap_or_default();
    let of_interfaces = interfaces.into_iter().flat_map(|interface| {
        let private = interface.private_ip_addresses.unwrap_or_default().into_iter();
        let v6 = interface.ipv6_addresses.unwrap_or_default().into_iter();
        private
            .filter_map(|address| address.private_ip_address)
            .chain(v6.filter_map(|address| address.ipv6_address))
            .collect::<Vec<_>>()
    });
    let addresses = [
        instance.private_ip_address,
        instance.public_ip_address,
        instance.ipv6_address,
    ];
    let names = [instance.private_dns_name, instance.public_dns_name];
    let all = addresses
        .into_iter()
        .flatten()
        .chain(of_interfaces)
        .chain(names.into_iter().flatten());
    for address in all.filter(|address| !address.is_empty()) {
        if !node.addresses.contains(&address) {
            node.addresses.push(address);
        }
    }
    Some(node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::query::Pattern;

    fn keys(query: &Query) -> Vec<Vec<String>> {
        let ways = ways(query).into_iter();
        ways.map(|filters| filters.into_iter().map(|(key, _)| key).collect())
            .collect()
    }

    #[test]
    fn addresses_are_looked_for_where_they_are_likely() {
        let ip = |ip: &str| Query {
            address: Some(Address::Ip(ip.parse().unwrap())),
            ..Query::default()
        };
        let state = "instance-state-name";
        assert_eq!(
            keys(&ip("10.0.0.7")),
            [[state, "private-ip-address"], [state, "ip-address"]]
        );
        assert_eq!(
            keys(&ip("52.1.2.3")),
            [[state, "ip-address"], [state, "private-ip-address"]]
        );
        assert_eq!(keys(&ip("fd00::1")).len(), 1);
    }

    #[test]
    fn values_mean_themselves() {
        let query = Query {
            tags: vec![("Team".into(), Pattern::Exact("a*b".into()))],
            asg: Some("web?".into()),
            ..Query::name(Pattern::Glob("web-*".into()))
        };
        let filters = ways(&query).remove(0);
        assert!(filters.contains(&("tag:Name".into(), vec!["web-*".into()])));
        assert!(filters.contains(&("tag:Team".into(), vec![r"a\*b".into()])));
        assert!(filters.contains(&(format!("tag:{ASG_TAG}"), vec![r"web\?".into()])));
    }

    #[test]
    fn an_instance_becomes_a_node() {
        let instance = types::Instance::builder()
            .instance_id("i-0123456789abcdef0")
            .state(
                types::InstanceState::builder()
                    .name(InstanceStateName::Running)
                    .build(),
            )
            .tags(types::Tag::builder().key("Name").value("web").build())
            .tags(types::Tag::builder().key(ASG_TAG).value("web-asg").build())
            .private_ip_address("10.0.0.7")
            .public_ip_address("52.1.2.3")
            .private_dns_name("ip-10-0-0-7.eu-west-2.compute.internal")
            .public_dns_name("")
            .platform_details("Linux/UNIX")
            .iam_instance_profile(
                types::IamInstanceProfile::builder()
                    .arn("arn:aws:iam::123456789012:instance-profile/path/web-role")
                    .build(),
            )
            .build();
        let node = node(instance).unwrap();
        assert_eq!(node.name.as_deref(), Some("web"));
        assert_eq!(node.state, InstanceState::Running);
        assert_eq!(node.asg.as_deref(), Some("web-asg"));
        assert_eq!(node.os, Some(Os::Linux));
        assert_eq!(node.role.as_deref(), Some("web-role"));
        assert_eq!(
            node.addresses,
            ["10.0.0.7", "52.1.2.3", "ip-10-0-0-7.eu-west-2.compute.internal"]
        );
    }

    #[test]
    fn what_has_no_usable_id_is_left_out() {
        assert!(node(types::Instance::builder().build()).is_none());
        assert!(node(types::Instance::builder().instance_id("\x1b[2J").build()).is_none());
    }
}
