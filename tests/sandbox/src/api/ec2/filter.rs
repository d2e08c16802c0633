//! EC2's filters: all of them must hold, and of each any one of its values.

use super::pattern::Pattern;
use super::{ApiError, Input};
use crate::world::Node;

/// So many values may one call have in all its filters.
const MOST_VALUES: usize = 200;

/// Filters that EC2 knows and that every node of the sandbox answers with nothing.
const EMPTY: &[&str] = &[
    "capacity-reservation-id",
    "client-token",
    "instance-lifecycle",
    "kernel-id",
    "key-name",
    "product-code",
    "product-code.type",
    "ramdisk-id",
    "reason",
    "requester-id",
    "spot-instance-request-id",
    "state-reason-code",
    "state-reason-message",
];

/// One filter.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    pub(super) name: String,
    values: Vec<Pattern>,
}

impl Filter {
    /// All filters of a call.
    pub(super) fn all(input: &Input) -> Result<Vec<Self>, ApiError> {
        let mut filters = Vec::new();
        let mut count = 0;
        for number in 1.. {
            let Some(name) = input.text(&format!("Filter.{number}.Name")) else {
                break;
            };
            let values = input.list(&format!("Filter.{number}.Value"));
            if values.is_empty() {
                return Err(ApiError::new(
                    "MissingParameter",
                    format!("The filter '{name}' needs at least one value"),
                ));
            }
            count += values.len();
            filters.push(Self {
                name: name.to_owned(),
                values: values.into_iter().map(Pattern::new).collect(),
            });
        }
        if count > MOST_VALUES {
            return Err(ApiError::new(
                "FilterLimitExceeded",
                format!("The maximum number of filter values specified on a single call is {MOST_VALUES}"),
            ));
        }
        Ok(filters)
    }

    pub(super) fn unknown(&self) -> ApiError {
        ApiError::new(
            "InvalidParameterValue",
            format!("The filter '{}' is invalid", self.name),
        )
    }

    pub(super) fn accepts(&self, value: &str) -> bool {
        self.values.iter().any(|pattern| pattern.fits(value))
    }

    /// Whether DescribeInstances knows a filter of this name.
    pub(super) fn is_of_instances(&self) -> bool {
        values(&Node::like_any(), &self.name).is_some()
    }

    /// Whether the node has a value that fits.
    pub(super) fn holds(&self, node: &Node) -> bool {
        match self.name.as_str() {
            "tag-key" => node.tags().any(|(key, _)| self.accepts(key)),
            "tag-value" => node.tags().any(|(_, value)| self.accepts(value)),
            name => match name.strip_prefix("tag:") {
                Some(key) => node.tag(key).is_some_and(|value| self.accepts(value)),
                None => values(node, name)
                    .unwrap_or_default()
                    .iter()
                    .any(|value| self.accepts(value)),
            },
        }
    }
}

/// The node's values under a filter's name; `None` for a name that EC2 does not know.
fn values(node: &Node, name: &str) -> Option<Vec<String>> {
    let facts = &node.facts;
    let here = !facts.state.is_gone();
    let if_here = |value: &str| here.then(|| value.to_owned());
    let one = |value: Option<String>| Some(Vec::from_iter(value));
    match name {
        "instance-id" => one(Some(node.id.clone())),
        "instance-state-name" => one(Some(facts.state.name().to_owned())),
        "instance-state-code" => one(Some(facts.state.code().to_string())),
        "instance-type" => one(Some(facts.instance_type.clone())),
        "availability-zone" => one(Some(node.zone())),
        "vpc-id" | "network-interface.vpc-id" => one(if_here(&facts.vpc)),
        "subnet-id" | "network-interface.subnet-id" => one(if_here(&facts.subnet)),
        "private-ip-address"
        | "network-interface.addresses.private-ip-address"
        | "network-interface.private-ip-address" => one(if_here(&node.private_ip())),
        "private-dns-name"
        | "network-interface.private-dns-name"
        | "network-interface.addresses.private-dns-name" => one(if_here(&node.private_dns())),
        "ip-address"
        | "network-interface.association.public-ip"
        | "network-interface.addresses.association.public-ip"
        | "association.public-ip" => one(facts.public_ip.clone().filter(|_| here)),
        "dns-name" => one(node.public_dns().filter(|_| here)),
        "ipv6-address" | "network-interface.ipv6-addresses.ipv6-address" => {
            one(facts.ipv6.clone().filter(|_| here))
        }
        "network-interface.network-interface-id" => one(if_here(&node.derived_id("eni"))),
        "owner-id" | "network-interface.owner-id" => one(Some(node.account.clone())),
        "reservation-id" => one(Some(node.derived_id("r"))),
        "image-id" => one(Some(super::instances::IMAGE.to_owned())),
        "iam-instance-profile.arn" => one(super::instances::profile_arn(node)),
        "launch-time" => one(Some(super::instances::time(facts.launched))),
        "architecture" => one(Some("x86_64".to_owned())),
        "hypervisor" => one(Some("xen".to_owned())),
        "virtualization-type" => one(Some("hvm".to_owned())),
        "root-device-type" => one(Some("ebs".to_owned())),
        "root-device-name" => one(Some("/dev/xvda".to_owned())),
        "tenancy" => one(Some("default".to_owned())),
        "monitoring-state" => one(Some("disabled".to_owned())),
        "source-dest-check" => one(Some("true".to_owned())),
        "launch-index" => one(Some("0".to_owned())),
        "platform" => one(super::instances::is_windows(node).then(|| "windows".to_owned())),
        "platform-details" => one(Some(super::instances::platform_details(node).to_owned())),
        "metadata-options.http-tokens" => one(Some("required".to_owned())),
        "tag-key" | "tag-value" => one(None),
        name if name.strip_prefix("tag:").is_some_and(|key| !key.is_empty()) => one(None),
        name if EMPTY.contains(&name) => one(None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    fn filters(fields: &[(&str, &str)]) -> Result<Vec<Filter>, ApiError> {
        let fields = fields.iter();
        Filter::all(&Input::Form(
            fields
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        ))
    }

    fn node() -> Node {
        let mut facts = scenario::Node::named("prod-web");
        facts.asg = Some("web".to_owned());
        facts.tags.insert("env".to_owned(), "prod".to_owned());
        facts.public_ip = Some("203.0.113.7".to_owned());
        Node::standing_alone("111122223333", facts)
    }

    fn holds(name: &str, value: &str) -> bool {
        let filter = filters(&[("Filter.1.Name", name), ("Filter.1.Value.1", value)]).unwrap();
        assert!(filter[0].is_of_instances(), "{name}");
        filter[0].holds(&node())
    }

    #[test]
    fn filters_look_at_the_right_things() {
        assert!(holds("tag:Name", "prod-*"));
        assert!(holds("tag:aws:autoscaling:groupName", "web"));
        assert!(holds("tag-key", "env"));
        assert!(!holds("tag:Env", "prod"), "keys are taken as they are");
        assert!(holds("instance-state-name", "running"));
        assert!(holds("ip-address", "203.0.113.7"));
        assert!(holds("dns-name", "ec2-203-0-113-7.*"));
        assert!(!holds("ipv6-address", "*"), "it has none");
        assert!(!holds("key-name", "*"), "nor this");
    }

    #[test]
    fn any_value_of_a_filter_and_all_filters_must_hold() {
        let both = filters(&[
            ("Filter.1.Name", "tag:Name"),
            ("Filter.1.Value.1", "other"),
            ("Filter.1.Value.2", "prod-web"),
            ("Filter.2.Name", "instance-state-name"),
            ("Filter.2.Value.1", "stopped"),
        ])
        .unwrap();
        assert!(both[0].holds(&node()));
        assert!(!both[1].holds(&node()));
    }

    #[test]
    fn unknown_filters_are_told() {
        let filter = filters(&[("Filter.1.Name", "instance-name"), ("Filter.1.Value.1", "x")]).unwrap();
        assert!(!filter[0].is_of_instances());
        assert_eq!(
            filter[0].unknown().message,
            "The filter 'instance-name' is invalid"
        );
        assert_eq!(
            filters(&[("Filter.1.Name", "tag:x")]).unwrap_err().code,
            "MissingParameter"
        );
    }

    #[test]
    fn two_hundred_values_and_no_more() {
        let names: Vec<String> = (1..=201).map(|n| format!("Filter.1.Value.{n}")).collect();
        let mut fields = vec![("Filter.1.Name", "tag:Name")];
        fields.extend(names.iter().map(|name| (name.as_str(), "x")));
        assert_eq!(filters(&fields).unwrap_err().code, "FilterLimitExceeded");
        fields.pop();
        assert!(filters(&fields).is_ok());
    }
}
