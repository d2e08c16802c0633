//! Whether the agent's packets reach AWS: decided from facts, without asking anybody.

use std::net::IpAddr;

use super::report::Finding;
use crate::aws::diagnosis::instance::InstanceFacts;
use crate::aws::diagnosis::network::{AclEntry, DnsFact, EndpointFact, GroupFact, RouteFact, Rule};
use crate::aws::error::ServiceError;

/// What AWS told, or did not, of a network.
pub struct Network {
    /// The routes of the instance's subnet.
    pub routes: Result<Vec<RouteFact>, ServiceError>,
    /// The endpoints of the VPC.
    pub endpoints: Result<Vec<EndpointFact>, ServiceError>,
    /// The security groups of the instance and of the endpoints.
    pub groups: Result<Vec<GroupFact>, ServiceError>,
    /// The subnet's ACL.
    pub acl: Result<Vec<AclEntry>, ServiceError>,
    /// The VPC's names.
    pub dns: Result<DnsFact, ServiceError>,
    /// The name servers of its DHCP options.
    pub name_servers: Result<Vec<String>, ServiceError>,
}

/// A way to AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// It leads to the internet.
    Internet(String),
    /// It leads to where we cannot see any further.
    Beyond(String),
    /// There is none.
    None(String),
}

/// All checks of the network, in order.
pub fn findings(instance: &InstanceFacts, network: &Network, region: &str) -> Vec<Finding> {
    let front = if region.starts_with("cn-") { "cn." } else { "" };
    let needed = ["ssm", "ssmmessages"].map(|name| format!("{front}com.amazonaws.{region}.{name}"));
    let endpoints = network.endpoints.as_deref().unwrap_or_default();
    let own: Vec<Option<&EndpointFact>> = needed
        .iter()
        .map(|service| {
            let mut those = endpoints
                .iter()
                .filter(|endpoint| endpoint.service.ends_with(service.as_str()));
            those
                .clone()
                .find(|endpoint| endpoint.state == "available")
                .or_else(|| those.next())
        })
        .collect();
    let mut found = vec![way_out(instance, network, &needed, &own)];
    if own.iter().any(Option::is_some) {
        found.push(endpoint_state(instance, network, &needed, &own));
        found.push(name_servers(instance, network));
        found.push(endpoint_groups(instance, network, &own));
    }
    found.push(egress(instance, network));
    found.push(acl(network));
    found
}

const WAY_OUT: &str = "way out";
const ENDPOINTS: &str = "endpoints";
const NAME_SERVERS: &str = "name servers";
const ENDPOINT_GROUPS: &str = "endpoints' security groups";
const EGRESS: &str = "security groups";
const ACL: &str = "network ACL";

fn way_out(
    instance: &InstanceFacts,
    network: &Network,
    needed: &[String],
    own: &[Option<&EndpointFact>],
) -> Finding {
    if own.iter().all(Option::is_some) {
        return Finding::pass(WAY_OUT, "VPC endpoints for ssm and ssmmessages");
    }
    let routes = match &network.routes {
        Ok(routes) => routes,
        Err(error) => return Finding::unknown(WAY_OUT, error),
    };
    match way(instance, routes) {
        Way::Internet(by) => Finding::pass(WAY_OUT, by),
        Way::Beyond(by) => Finding::unseen(
            WAY_OUT,
            format!("{by}; what lies behind it cannot be seen from here"),
        ),
        Way::None(why) => {
            if let Err(error) = &network.endpoints {
                let mut finding = Finding::unknown(WAY_OUT, error);
                finding.evidence = format!("{why}; endpoints: {}", finding.evidence);
                return finding;
            }
            let vpc = instance.vpc.as_deref().unwrap_or("VPC");
            let lacking = needed.iter().zip(own).filter(|(_, endpoint)| endpoint.is_none());
            let mut finding = Finding::fail(WAY_OUT, format!("{why}, and the VPC lacks endpoints of SSM"));
            for (service, _) in lacking {
                finding = finding.fix(format!(
                    "aws ec2 create-vpc-endpoint --vpc-id {vpc} --vpc-endpoint-type Interface --private-dns-enabled --service-name {service} --subnet-ids {}",
                    instance.subnet.as_deref().unwrap_or("SUBNET")
                ));
            }
            finding.fix("or give the subnet a route to a NAT gateway")
        }
    }
}

fn way(instance: &InstanceFacts, routes: &[RouteFact]) -> Way {
    let to = |destination: &str| routes.iter().find(|route| route.destination == destination);
    let mut why = String::from("no route leads to the internet");
    match to("0.0.0.0/0").map(|route| route.target.as_str()) {
        Some(target) if target.starts_with("nat-") => return Way::Internet(format!("NAT gateway {target}")),
        Some(target) if target.starts_with("igw-") && instance.has_public_address => {
            return Way::Internet(format!("internet gateway {target}"));
        }
        Some(target) if target.starts_with("igw-") => {
            why = format!(
                "the route leads to internet gateway {target}, but the instance has no public address"
            );
        }
        Some(target) => return Way::Beyond(format!("the route leads to {target}")),
        None => {}
    }
    match to("::/0").map(|route| route.target.as_str()) {
        Some(target) if instance.has_ipv6 => Way::Beyond(format!(
            "IPv6 leads to {target}, which serves where the agent is set to dual-stack endpoints"
        )),
        _ => Way::None(why),
    }
}

fn endpoint_state(
    instance: &InstanceFacts,
    network: &Network,
    needed: &[String],
    own: &[Option<&EndpointFact>],
) -> Finding {
    let vpc = instance.vpc.as_deref().unwrap_or("VPC");
    for (service, endpoint) in needed.iter().zip(own) {
        let Some(endpoint) = endpoint else {
            // The other way out serves this one, if there is any.
            continue;
        };
        let id = &endpoint.id;
        if endpoint.state != "available" {
            return Finding::fail(ENDPOINTS, format!("{id} ({service}) is {}", endpoint.state))
                .fix(format!("aws ec2 describe-vpc-endpoints --vpc-endpoint-ids {id}"));
        }
        if !endpoint.has_private_dns {
            return Finding::fail(
                ENDPOINTS,
                format!(
                    "{id} ({service}) has no private DNS, so the agent's name for the service passes it by"
                ),
            )
            .fix(format!(
                "aws ec2 modify-vpc-endpoint --vpc-endpoint-id {id} --private-dns-enabled"
            ));
        }
        if let Some(policy) = endpoint.policy.as_deref().filter(|policy| !is_open(policy)) {
            let shown: String = policy.split_whitespace().collect::<Vec<_>>().join(" ");
            return Finding::likely(
                ENDPOINTS,
                format!("the policy of {id} ({service}) is narrowed: {shown}"),
            )
            .fix(format!(
                "aws ec2 modify-vpc-endpoint --vpc-endpoint-id {id} --reset-policy"
            ));
        }
    }
    match &network.dns {
        Ok(DnsFact {
            support: true,
            hostnames: true,
        }) => Finding::pass(ENDPOINTS, "available, with private DNS"),
        Ok(_) => Finding::fail(
            ENDPOINTS,
            "private DNS needs both switches of names in the VPC, and one is off",
        )
        .fix(format!(
            "aws ec2 modify-vpc-attribute --vpc-id {vpc} --enable-dns-support"
        ))
        .fix(format!(
            "aws ec2 modify-vpc-attribute --vpc-id {vpc} --enable-dns-hostnames"
        )),
        Err(error) => Finding::unknown(ENDPOINTS, error),
    }
}

/// Endpoints' private names are known to AWS's own name server alone, and to those that ask it.
fn name_servers(instance: &InstanceFacts, network: &Network) -> Finding {
    let servers = match &network.name_servers {
        Ok(servers) => servers,
        Err(error) => return Finding::unknown(NAME_SERVERS, error),
    };
    let is_aws = |server: &String| server == "AmazonProvidedDNS" || server == "169.254.169.253";
    if servers.is_empty() || servers.iter().any(is_aws) {
        return Finding::pass(NAME_SERVERS, "AWS's own");
    }
    let vpc = instance.vpc.as_deref().unwrap_or("VPC");
    Finding::likely(
        NAME_SERVERS,
        format!(
            "the VPC's DHCP options name {} instead of AWS's own: unless these ask it, they do not know the endpoints' \
             private names",
            servers.join(", ")
        ),
    )
    .fix("have them forward the names of your AWS region to the VPC's own name server (the network's address plus two)")
    .fix(format!("or: aws ec2 associate-dhcp-options --dhcp-options-id default --vpc-id {vpc}"))
}

/// The policy that endpoints are born with.
fn is_open(policy: &str) -> bool {
    let Ok(policy) = serde_json::from_str::<serde_json::Value>(policy) else {
        return false;
    };
    let statements = policy
        .get("Statement")
        .and_then(|statements| statements.as_array());
    let any = |value: Option<&serde_json::Value>| {
        value.is_some_and(|value| value == "*" || value == &serde_json::json!({ "AWS": "*" }))
    };
    statements.is_some_and(|statements| {
        statements.len() == 1
            && statements.iter().all(|statement| {
                statement.get("Effect").is_some_and(|effect| effect == "Allow")
                    && any(statement.get("Action"))
                    && any(statement.get("Resource"))
                    && any(statement.get("Principal"))
                    && statement.get("Condition").is_none()
            })
    })
}

fn endpoint_groups(instance: &InstanceFacts, network: &Network, own: &[Option<&EndpointFact>]) -> Finding {
    let groups = match &network.groups {
        Ok(groups) => groups,
        Err(error) => return Finding::unknown(ENDPOINT_GROUPS, error),
    };
    for endpoint in own
        .iter()
        .flatten()
        .filter(|endpoint| !endpoint.groups.is_empty())
    {
        let theirs = groups.iter().filter(|group| endpoint.groups.contains(&group.id));
        let lets_in = theirs
            .flat_map(|group| &group.ingress)
            .any(|rule| admits(rule, instance, HTTPS));
        if !lets_in {
            let group = endpoint.groups.first().map_or("GROUP", String::as_str);
            let from = instance.groups.first().map_or("GROUP", String::as_str);
            return Finding::fail(
                ENDPOINT_GROUPS,
                format!(
                    "{} of {} lets nobody in from the instance on port 443",
                    endpoint.groups.join(", "),
                    endpoint.id
                ),
            )
            .fix(format!(
                "aws ec2 authorize-security-group-ingress --group-id {group} --protocol tcp --port 443 --source-group {from}"
            ));
        }
    }
    Finding::pass(ENDPOINT_GROUPS, "port 443 is open to the instance")
}

/// Whether a rule lets the instance in on a port.
pub(super) fn admits(rule: &Rule, instance: &InstanceFacts, port: i32) -> bool {
    let address: Option<IpAddr> = instance
        .private_address
        .as_deref()
        .and_then(|text| text.parse().ok());
    let by_range = rule.ranges.iter().any(|range| covers(range, address));
    let by_group = rule.groups.iter().any(|group| instance.groups.contains(group));
    // What a prefix list holds is not looked up: it is given the benefit of the doubt.
    serves(rule, port) && (by_range || by_group || !rule.lists.is_empty())
}

const HTTPS: i32 = 443;

fn serves(rule: &Rule, port: i32) -> bool {
    let protocol = matches!(rule.protocol.as_str(), "tcp" | "6" | "-1");
    protocol
        && rule
            .ports
            .is_none_or(|(from, to)| rule.protocol == "-1" || (from..=to).contains(&port))
}

/// Whether a CIDR holds an address; without one only the widest does.
fn covers(range: &str, address: Option<IpAddr>) -> bool {
    let Some((network, bits)) = range.split_once('/') else {
        return false;
    };
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    match (network, address) {
        (_, None) => bits == 0,
        (IpAddr::V4(network), Some(IpAddr::V4(address))) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits)).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        (IpAddr::V6(network), Some(IpAddr::V6(address))) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits)).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        _ => false,
    }
}

fn egress(instance: &InstanceFacts, network: &Network) -> Finding {
    let groups = match &network.groups {
        Ok(groups) => groups,
        Err(error) => return Finding::unknown(EGRESS, error),
    };
    let own = groups.iter().filter(|group| instance.groups.contains(&group.id));
    let https: Vec<&Rule> = own
        .flat_map(|group| &group.egress)
        .filter(|rule| serves(rule, HTTPS))
        .collect();
    if https
        .iter()
        .any(|rule| rule.ranges.iter().any(|range| range.ends_with("/0")))
    {
        return Finding::pass(EGRESS, "port 443 is open outwards");
    }
    if !https.is_empty() {
        return Finding::unseen(
            EGRESS,
            "port 443 is open outwards to some addresses only; whether AWS's are among them cannot be told",
        );
    }
    let group = instance.groups.first().map_or("GROUP", String::as_str);
    Finding::fail(EGRESS, format!("{} lets nothing out on port 443", instance.groups.join(", "))).fix(format!(
        "aws ec2 authorize-security-group-egress --group-id {group} --ip-permissions 'IpProtocol=tcp,FromPort=443,ToPort=443,IpRanges=[{{CidrIp=0.0.0.0/0}}]'"
    ))
}

fn acl(network: &Network) -> Finding {
    let entries = match &network.acl {
        Ok(entries) => entries,
        Err(error) => return Finding::unknown(ACL, error),
    };
    if entries.is_empty() {
        return Finding::unseen(ACL, "the subnet's ACL has no entries that could be seen");
    }
    // Answers come back to a port that Linux picks from this range.
    let checks = [
        (true, 443, "lets nothing out to port 443"),
        (false, 40_000, "lets no answers in (ports 32768 to 60999)"),
    ];
    for (is_egress, port, words) in checks {
        let mut fitting: Vec<&AclEntry> = entries
            .iter()
            .filter(|entry| {
                entry.is_egress == is_egress && matches!(entry.protocol.as_str(), "-1" | "6" | "tcp")
            })
            .filter(|entry| {
                entry.protocol == "-1" || entry.ports.is_none_or(|(from, to)| (from..=to).contains(&port))
            })
            .collect();
        fitting.sort_by_key(|entry| entry.number);
        let wide = fitting.iter().find(|entry| entry.range == "0.0.0.0/0");
        let narrow = fitting
            .iter()
            .any(|entry| entry.allows && entry.range != "0.0.0.0/0");
        match wide {
            Some(entry) if entry.allows => {}
            _ if narrow => {
                return Finding::unseen(
                    ACL,
                    format!("it {words} but for some addresses; whether AWS's are among them cannot be told"),
                );
            }
            _ => {
                return Finding::fail(ACL, format!("it {words}")).fix(
                    "allow it in the network ACL of the subnet: outwards TCP 443, inwards TCP 1024 to 65535",
                );
            }
        }
    }
    Finding::pass(ACL, "port 443 is open outwards, and answers come back")
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
