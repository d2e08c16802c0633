//! DescribeInstances.

use std::sync::Arc;

use jiff::Timestamp;

use super::filter::Filter;
use super::{ApiError, Request, Span};
use crate::api::xml::Xml;
use crate::scenario::Platform;
use crate::world::{Node, World};

/// The image of every instance.
pub(super) const IMAGE: &str = "ami-0a1b2c3d4e5f60718";

pub(super) fn describe(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let span = Span::of(request.input, 5, 1000, "InstanceId")?;
    let filters = Filter::all(request.input)?;
    if let Some(filter) = filters.iter().find(|filter| !filter.is_of_instances()) {
        return Err(filter.unknown());
    }
    let wanted = |node: &Arc<Node>| !node.is_hybrid() && filters.iter().all(|filter| filter.holds(node));
    let ids = request.input.list("InstanceId");
    let (nodes, next) = match ids[..] {
        [] => world.scan(&request.place, |nodes| {
            let (chosen, next) = span.cut(nodes, wanted);
            let chosen: Vec<_> = chosen
                .into_iter()
                .map(|position| Arc::clone(&nodes[position]))
                .collect();
            (chosen, next)
        }),
        _ => {
            let mut nodes = named(world, request, &ids)?;
            nodes.retain(wanted);
            (nodes, None)
        }
    };
    let mut xml = Xml::fragment();
    xml.node("reservationSet", |xml| {
        for node in &nodes {
            reservation(xml, node);
        }
    });
    xml.maybe("nextToken", next.as_deref());
    Ok(xml.finish())
}

/// The instances of these ids, each once; all of them must exist.
pub(super) fn named(world: &World, request: &Request<'_>, ids: &[&str]) -> Result<Vec<Arc<Node>>, ApiError> {
    if let Some(id) = ids.iter().find(|id| !is_instance_id(id)) {
        return Err(ApiError::new(
            "InvalidInstanceID.Malformed",
            format!("Invalid id: \"{id}\""),
        ));
    }
    let mut found: Vec<Arc<Node>> = Vec::new();
    let mut lacking = Vec::new();
    for id in ids {
        match world.node(&request.place, id) {
            Some(node) if found.iter().any(|known| known.id == node.id) => {}
            Some(node) => found.push(node),
            None => lacking.push(*id),
        }
    }
    match lacking[..] {
        [] => Ok(found),
        [id] => Err(ApiError::new(
            "InvalidInstanceID.NotFound",
            format!("The instance ID '{id}' does not exist"),
        )),
        _ => Err(ApiError::new(
            "InvalidInstanceID.NotFound",
            format!("The instance IDs '{}' do not exist", lacking.join(", ")),
        )),
    }
}

fn is_instance_id(text: &str) -> bool {
    let digits = text.strip_prefix("i-");
    digits.is_some_and(|digits| {
        matches!(digits.len(), 8 | 17) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn reservation(xml: &mut Xml, node: &Node) {
    xml.node("item", |xml| {
        xml.leaf("reservationId", &node.derived_id("r"));
        xml.leaf("ownerId", &node.account);
        xml.node("groupSet", |_| {});
        xml.node("instancesSet", |xml| xml.node("item", |xml| instance(xml, node)));
    });
}

fn instance(xml: &mut Xml, node: &Node) {
    let facts = &node.facts;
    let here = !facts.state.is_gone();
    let private_dns = node.private_dns();
    let public_dns = node.public_dns();
    xml.leaf("instanceId", &node.id);
    xml.leaf("imageId", IMAGE);
    xml.node("instanceState", |xml| {
        xml.leaf("code", &facts.state.code().to_string());
        xml.leaf("name", facts.state.name());
    });
    // Of a deleted instance EC2 keeps the elements and empties them.
    xml.leaf("privateDnsName", if here { &private_dns } else { "" });
    xml.leaf(
        "dnsName",
        public_dns.as_deref().filter(|_| here).unwrap_or_default(),
    );
    xml.leaf("reason", "");
    xml.leaf("amiLaunchIndex", "0");
    xml.node("productCodes", |_| {});
    xml.leaf("instanceType", &facts.instance_type);
    xml.leaf("launchTime", &time(facts.launched));
    xml.node("placement", |xml| {
        xml.leaf("availabilityZone", &node.zone());
        xml.leaf("groupName", "");
        xml.leaf("tenancy", "default");
    });
    xml.maybe("platform", is_windows(node).then_some("windows"));
    xml.node("monitoring", |xml| xml.leaf("state", "disabled"));
    if here {
        xml.leaf("subnetId", &facts.subnet);
        xml.leaf("vpcId", &facts.vpc);
        xml.leaf("privateIpAddress", &node.private_ip());
        xml.maybe("ipAddress", facts.public_ip.as_deref());
        xml.leaf("sourceDestCheck", "true");
    }
    xml.node("groupSet", |xml| {
        if here {
            xml.node("item", |xml| xml.leaf("groupId", super::network::NODE_GROUP));
        }
    });
    xml.leaf("architecture", "x86_64");
    xml.leaf("rootDeviceType", "ebs");
    xml.leaf("rootDeviceName", "/dev/xvda");
    xml.node("blockDeviceMapping", |_| {});
    xml.leaf("virtualizationType", "hvm");
    xml.node("tagSet", |xml| {
        for (key, value) in node.tags() {
            xml.node("item", |xml| {
                xml.leaf("key", key);
                xml.leaf("value", value);
            });
        }
    });
    xml.leaf("hypervisor", "xen");
    xml.node("networkInterfaceSet", |xml| {
        if here {
            xml.node("item", |xml| interface(xml, node));
        }
    });
    if let Some(arn) = profile_arn(node) {
        xml.node("iamInstanceProfile", |xml| {
            xml.leaf("arn", &arn);
            xml.leaf("id", "AIPASANDBOX0000000001");
        });
    }
    xml.leaf("ebsOptimized", "false");
    xml.node("metadataOptions", |xml| {
        xml.leaf("state", "applied");
        xml.leaf("httpTokens", "required");
        xml.leaf("httpEndpoint", "enabled");
    });
    xml.maybe("ipv6Address", facts.ipv6.as_deref().filter(|_| here));
    xml.leaf("platformDetails", platform_details(node));
}

fn interface(xml: &mut Xml, node: &Node) {
    let facts = &node.facts;
    xml.leaf("networkInterfaceId", &node.derived_id("eni"));
    xml.leaf("subnetId", &facts.subnet);
    xml.leaf("vpcId", &facts.vpc);
    xml.leaf("ownerId", &node.account);
    xml.leaf("status", "in-use");
    xml.leaf("privateIpAddress", &node.private_ip());
    xml.leaf("privateDnsName", &node.private_dns());
    if let Some(public) = &facts.public_ip {
        xml.node("association", |xml| xml.leaf("publicIp", public));
    }
    xml.node("privateIpAddressesSet", |xml| {
        xml.node("item", |xml| {
            xml.leaf("privateIpAddress", &node.private_ip());
            xml.leaf("primary", "true");
        });
    });
    xml.node("ipv6AddressesSet", |xml| {
        if let Some(address) = &facts.ipv6 {
            xml.node("item", |xml| xml.leaf("ipv6Address", address));
        }
    });
}

pub(super) fn profile_arn(node: &Node) -> Option<String> {
    let role = node.facts.role.as_deref()?;
    Some(format!("arn:aws:iam::{}:instance-profile/{role}", node.account))
}

pub(super) fn is_windows(node: &Node) -> bool {
    node.facts.platform == Platform::Windows
}

pub(super) fn platform_details(node: &Node) -> &'static str {
    if is_windows(node) { "Windows" } else { "Linux/UNIX" }
}

/// To the millisecond, as EC2 writes it.
pub(super) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}
