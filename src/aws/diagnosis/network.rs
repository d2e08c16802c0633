//! Facts about the network that an instance lies in.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{
    Filter, IpPermission, NetworkAclEntry, Route, RouteState, RouteTable, RuleAction, VpcAttributeName,
};

use super::super::Aws;
use super::super::error::ServiceError;

/// A route that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteFact {
    /// A CIDR or a prefix list.
    pub destination: String,
    /// Where it leads: the id of a gateway or an interface, whose first letters say what it is.
    pub target: String,
}

/// A VPC endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndpointFact {
    /// Its id.
    pub id: String,
    /// The service, such as `com.amazonaws.eu-west-2.ssm`.
    pub service: String,
    /// Such as `available`.
    pub state: String,
    /// Whether the service's own name leads to it.
    pub has_private_dns: bool,
    /// Its security groups, for those with an interface.
    pub groups: Vec<String>,
    /// Its policy document.
    pub policy: Option<String>,
}

/// A rule of a security group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The ports; `None` for all.
    pub ports: Option<(i32, i32)>,
    /// `tcp`, `-1` for all, …
    pub protocol: String,
    /// CIDRs of both families.
    pub ranges: Vec<String>,
    /// Other security groups.
    pub groups: Vec<String>,
    /// Prefix lists.
    pub lists: Vec<String>,
}

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupFact {
    /// Its id.
    pub id: String,
    /// What comes in.
    pub ingress: Vec<Rule>,
    /// What goes out.
    pub egress: Vec<Rule>,
}

/// An entry of a network ACL. The lowest number that fits decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclEntry {
    /// Its number.
    pub number: i32,
    /// Whether it is about what leaves the subnet.
    pub is_egress: bool,
    /// Whether it allows.
    pub allows: bool,
    /// `6` for TCP, `-1` for all.
    pub protocol: String,
    /// The CIDR, of either family.
    pub range: String,
    /// The ports; `None` for all.
    pub ports: Option<(i32, i32)>,
}

/// The two switches of names in a VPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DnsFact {
    /// `enableDnsSupport`.
    pub support: bool,
    /// `enableDnsHostnames`.
    pub hostnames: bool,
}

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

impl Aws {
    /// The routes that a subnet's packets follow.
    ///
    /// # Errors
    /// What AWS refuses.
    pub async fn routes(&self, vpc: &str, subnet: &str) -> Result<Vec<RouteFact>, ServiceError> {
        let ask = async |filters: Vec<Filter>| {
            self.pace().await;
            let call = self.ec2().describe_route_tables().set_filters(Some(filters));
            let answer = call.send().await;
            answer
                .map(|answer| answer.route_tables.unwrap_or_default())
                .map_err(|error| ServiceError::from_sdk("ec2:DescribeRouteTables", error))
        };
        let mut tables: Vec<RouteTable> = ask(vec![filter("association.subnet-id", subnet)]).await?;
        if tables.is_empty() {
            // A subnet without a table of its own follows the VPC's main one.
            tables = ask(vec![filter("vpc-id", vpc), filter("association.main", "true")]).await?;
        }
        let routes = tables
            .into_iter()
            .flat_map(|table| table.routes.unwrap_or_default());
        Ok(routes.filter_map(route).collect())
    }

    /// The endpoints of a VPC.
    ///
    /// # Errors
    /// What AWS refuses.
    pub async fn endpoints(&self, vpc: &str) -> Result<Vec<EndpointFact>, ServiceError> {
        let mut found = Vec::new();
        let mut token = None;
        loop {
            self.pace().await;
            let call = self
                .ec2()
                .describe_vpc_endpoints()
                .filters(filter("vpc-id", vpc))
                .set_next_token(token);
            let answer = call
                .send()
                .await
                .map_err(|error| ServiceError::from_sdk("ec2:DescribeVpcEndpoints", error))?;
            found.extend(
                answer
                    .vpc_endpoints
                    .unwrap_or_default()
                    .into_iter()
                    .map(|endpoint| EndpointFact {
                        id: endpoint.vpc_endpoint_id.unwrap_or_default(),
                        service: endpoint.service_name.unwrap_or_default(),
                        state: endpoint
                            .state
                            .map(|state| state.as_str().to_ascii_lowercase())
                            .unwrap_or_default(),
                        has_private_dns: endpoint.private_dns_enabled.unwrap_or(false),
                        groups: endpoint
                            .groups
                            .unwrap_or_default()
                            .into_iter()
                            .filter_map(|group| group.group_id)
                            .collect(),
                        policy: endpoint.policy_document,
                    }),
            );
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(found);
            }
        }
    }

    /// Security groups by their ids.
    ///
    /// # Errors
    /// What AWS refuses.
    pub async fn security_groups(&self, ids: &BTreeSet<String>) -> Result<Vec<GroupFact>, ServiceError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.pace().await;
        let call = self
            .ec2()
            .describe_security_groups()
            .set_group_ids(Some(ids.iter().cloned().collect()));
        let answer = call
            .send()
            .await
            .map_err(|error| ServiceError::from_sdk("ec2:DescribeSecurityGroups", error))?;
        let rules =
            |rules: Option<Vec<IpPermission>>| rules.unwrap_or_default().into_iter().map(rule).collect();
        let groups = answer.security_groups.unwrap_or_default().into_iter();
        Ok(groups
            .map(|group| GroupFact {
                id: group.group_id.unwrap_or_default(),
                ingress: rules(group.ip_permissions),
                egress: rules(group.ip_permissions_egress),
            })
            .collect())
    }

    /// The entries of a subnet's network ACL.
    ///
    /// # Errors
    /// What AWS refuses.
    pub async fn acl(&self, subnet: &str) -> Result<Vec<AclEntry>, ServiceError> {
        self.pace().await;
        let call = self
            .ec2()
            .describe_network_acls()
            .filters(filter("association.subnet-id", subnet));
        let answer = call
            .send()
            .await
            .map_err(|error| ServiceError::from_sdk("ec2:DescribeNetworkAcls", error))?;
        let acls = answer.network_acls.unwrap_or_default().into_iter();
        let entries = acls.flat_map(|acl| acl.entries.unwrap_or_default());
        Ok(entries.map(entry).collect())
    }

    /// The name servers that a VPC's DHCP options hand out; none where there are no options.
    ///
    /// # Errors
    /// What AWS refuses.
    pub async fn name_servers(&self, vpc: &str) -> Result<Vec<String>, ServiceError> {
        self.pace().await;
        let answer = self.ec2().describe_vpcs().vpc_ids(vpc).send().await;
        let answer = answer.map_err(|error| ServiceError::from_sdk("ec2:DescribeVpcs", error))?;
        let vpc = answer.vpcs.unwrap_or_default().into_iter().next();
        // `default` is the word for none.
        let options = vpc
            .and_then(|vpc| vpc.dhcp_options_id)
            .filter(|id| id != "default");
        let Some(options) = options else {
            return Ok(Vec::new());
        };
        self.pace().await;
        let call = self.ec2().describe_dhcp_options().dhcp_options_ids(options);
        let answer = call.send().await;
        let answer = answer.map_err(|error| ServiceError::from_sdk("ec2:DescribeDhcpOptions", error))?;
        let options = answer.dhcp_options.unwrap_or_default().into_iter();
        let settings = options.flat_map(|options| options.dhcp_configurations.unwrap_or_default());
        let servers = settings.filter(|setting| setting.key.as_deref() == Some("domain-name-servers"));
        Ok(servers
            .flat_map(|setting| setting.values.unwrap_or_default())
            .filter_map(|value| value.value)
            .collect())
    }

    /// The two switches of names in a VPC.
    ///
    /// # Errors
    /// What AWS refuses.
    pub async fn dns(&self, vpc: &str) -> Result<DnsFact, ServiceError> {
        let ask = async |name: VpcAttributeName| {
            self.pace().await;
            let call = self.ec2().describe_vpc_attribute().vpc_id(vpc).attribute(name);
            let answer = call.send().await;
            answer.map_err(|error| ServiceError::from_sdk("ec2:DescribeVpcAttribute", error))
        };
        let (support, hostnames) = tokio::try_join!(
            ask(VpcAttributeName::EnableDnsSupport),
            ask(VpcAttributeName::EnableDnsHostnames)
        )?;
        let is_on = |value: Option<aws_sdk_ec2::types::AttributeBooleanValue>| {
            value.and_then(|value| value.value).unwrap_or(false)
        };
        Ok(DnsFact {
            support: is_on(support.enable_dns_support),
            hostnames: is_on(hostnames.enable_dns_hostnames),
        })
    }
}

fn route(route: Route) -> Option<RouteFact> {
    if route.state == Some(RouteState::Blackhole) {
        return None;
    }
    let destination = route
        .destination_cidr_block
        .or(route.destination_ipv6_cidr_block)
        .or(route.destination_prefix_list_id)?;
    let target = route
        .nat_gateway_id
        .or(route.gateway_id)
        .or(route.egress_only_internet_gateway_id)
        .or(route.transit_gateway_id)
        .or(route.vpc_peering_connection_id)
        .or(route.network_interface_id)
        .or(route.local_gateway_id)
        .or(route.core_network_arn)
        .or(route.instance_id)?;
    Some(RouteFact { destination, target })
}

fn rule(permission: IpPermission) -> Rule {
    let v4 = permission.ip_ranges.unwrap_or_default().into_iter();
    let v6 = permission.ipv6_ranges.unwrap_or_default().into_iter();
    Rule {
        ports: permission.from_port.zip(permission.to_port),
        protocol: permission.ip_protocol.unwrap_or_default(),
        ranges: v4
            .filter_map(|range| range.cidr_ip)
            .chain(v6.filter_map(|range| range.cidr_ipv6))
            .collect(),
        groups: permission
            .user_id_group_pairs
            .unwrap_or_default()
            .into_iter()
            .filter_map(|pair| pair.group_id)
            .collect(),
        lists: permission
            .prefix_list_ids
            .unwrap_or_default()
            .into_iter()
            .filter_map(|list| list.prefix_list_id)
            .collect(),
    }
}

fn entry(entry: NetworkAclEntry) -> AclEntry {
    AclEntry {
        number: entry.rule_number.unwrap_or(i32::MAX),
        is_egress: entry.egress.unwrap_or(false),
        allows: entry.rule_action == Some(RuleAction::Allow),
        protocol: entry.protocol.unwrap_or_default(),
        range: entry.cidr_block.or(entry.ipv6_cidr_block).unwrap_or_default(),
        ports: entry.port_range.and_then(|range| range.from.zip(range.to)),
    }
}
