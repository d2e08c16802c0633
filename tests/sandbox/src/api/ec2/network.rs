//! The network around nodes: routes, endpoints, security groups, ACLs, names.

use super::{ApiError, Request};
use crate::api::rds;
use crate::api::xml::Xml;
use crate::scenario::Vpc;
use crate::world::World;

/// The security group that all nodes of a VPC are in; those of endpoints end in the endpoint's number.
pub(super) const NODE_GROUP: &str = "sg-0a0b0c0d0e0f00000";

fn group(number: usize) -> String {
    format!("sg-0a0b0c0d0e0f1{number:04x}")
}

/// The value of a filter.
fn filtered<'a>(request: &Request<'a>, name: &str) -> Option<&'a str> {
    (1..)
        .map_while(|number| {
            let known = request.input.text(&format!("Filter.{number}.Name"))?;
            Some((known, request.input.text(&format!("Filter.{number}.Value.1"))))
        })
        .find_map(|(known, value)| value.filter(|_| known == name))
}

/// The VPC that is asked about: by its id, or by the subnet of a node in it.
fn vpc(world: &World, request: &Request<'_>) -> Option<Vpc> {
    let by_subnet = || {
        let subnet = filtered(request, "association.subnet-id")?;
        let nodes = world.nodes(&request.place);
        let node = nodes.iter().find(|node| node.facts.subnet == subnet)?;
        Some(node.facts.vpc.clone())
    };
    let id = filtered(request, "vpc-id")
        .map(ToOwned::to_owned)
        .or_else(by_subnet)?;
    Some(world.vpc(&id))
}

pub(super) fn routes(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let mut xml = Xml::fragment();
    xml.node("routeTableSet", |xml| {
        let Some(vpc) = vpc(world, request) else { return };
        xml.node("item", |xml| {
            xml.leaf("routeTableId", "rtb-0a0b0c0d0e0f00001");
            xml.leaf("vpcId", &vpc.id);
            xml.node("routeSet", |xml| {
                route(xml, "10.0.0.0/16", "gatewayId", "local");
                let target = vpc.default_route.as_str();
                let kind = match target.split('-').next() {
                    Some("nat") => "natGatewayId",
                    Some("tgw") => "transitGatewayId",
                    _ => "gatewayId",
                };
                if !target.is_empty() {
                    route(xml, "0.0.0.0/0", kind, target);
                }
            });
        });
    });
    Ok(xml.finish())
}

fn route(xml: &mut Xml, destination: &str, kind: &str, target: &str) {
    xml.node("item", |xml| {
        xml.leaf("destinationCidrBlock", destination);
        xml.leaf(kind, target);
        xml.leaf("state", "active");
    });
}

pub(super) fn endpoints(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let mut xml = Xml::fragment();
    xml.node("vpcEndpointSet", |xml| {
        let Some(vpc) = vpc(world, request) else { return };
        for (number, endpoint) in vpc.endpoints.iter().enumerate() {
            xml.node("item", |xml| {
                xml.leaf("vpcEndpointId", &format!("vpce-0a0b0c0d0e0f1{number:04x}"));
                xml.leaf("vpcEndpointType", "Interface");
                xml.leaf("vpcId", &vpc.id);
                xml.leaf(
                    "serviceName",
                    &format!("com.amazonaws.{}.{}", request.place.region, endpoint.service),
                );
                xml.leaf("state", &endpoint.state);
                xml.leaf(
                    "privateDnsEnabled",
                    if endpoint.private_dns { "true" } else { "false" },
                );
                xml.leaf(
                    "policyDocument",
                    r#"{"Statement":[{"Action":"*","Effect":"Allow","Principal":"*","Resource":"*"}]}"#,
                );
                xml.node("groupSet", |xml| {
                    xml.node("item", |xml| xml.leaf("groupId", &group(number)));
                });
            });
        }
    });
    Ok(xml.finish())
}

/// Each VPC has options of its own, named after it.
pub(super) fn vpcs(_world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let mut xml = Xml::fragment();
    xml.node("vpcSet", |xml| {
        for id in request.input.list("VpcId") {
            xml.node("item", |xml| {
                xml.leaf("vpcId", id);
                xml.leaf("dhcpOptionsId", &id.replacen("vpc-", "dopt-", 1));
            });
        }
    });
    Ok(xml.finish())
}

pub(super) fn dhcp(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let mut xml = Xml::fragment();
    xml.node("dhcpOptionsSet", |xml| {
        for id in request.input.list("DhcpOptionsId") {
            let vpc = world.vpc(&id.replacen("dopt-", "vpc-", 1));
            xml.node("item", |xml| {
                xml.leaf("dhcpOptionsId", id);
                xml.node("dhcpConfigurationSet", |xml| {
                    xml.node("item", |xml| {
                        xml.leaf("key", "domain-name-servers");
                        xml.node("valueSet", |xml| {
                            for server in &vpc.name_servers {
                                xml.node("item", |xml| xml.leaf("value", server));
                            }
                        });
                    });
                });
            });
        }
    });
    Ok(xml.finish())
}

pub(super) fn groups(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let mut xml = Xml::fragment();
    let wanted = request.input.list("GroupId");
    xml.node("securityGroupInfo", |xml| {
        for id in wanted {
            let of_nodes = (id == NODE_GROUP).then(|| world.vpcs().first().map(|vpc| vpc.egress.clone()));
            let mut databases = world.databases().iter().enumerate();
            let database = databases.find(|(number, _)| rds::group(*number) == id);
            let of_endpoint = world.vpcs().iter().find_map(|vpc| {
                let mut endpoints = vpc.endpoints.iter().enumerate();
                let found = endpoints.find(|(number, _)| group(*number) == id);
                found.map(|(_, endpoint)| endpoint.ingress.clone())
            });
            xml.node("item", |xml| {
                xml.leaf("groupId", id);
                xml.node("ipPermissions", |xml| match database {
                    Some((_, database)) => rule(xml, &database.ingress, database.port),
                    None => rule(xml, &of_endpoint.unwrap_or_default(), HTTPS),
                });
                let egress = of_nodes.map(|egress| egress.unwrap_or_else(|| Vpc::usual("").egress));
                xml.node("ipPermissionsEgress", |xml| {
                    rule(xml, &egress.unwrap_or_default(), HTTPS);
                });
            });
        }
    });
    Ok(xml.finish())
}

const HTTPS: u16 = 443;

fn rule(xml: &mut Xml, range: &str, port: u16) {
    if range.is_empty() {
        return;
    }
    xml.node("item", |xml| {
        xml.leaf("ipProtocol", "tcp");
        xml.leaf("fromPort", &port.to_string());
        xml.leaf("toPort", &port.to_string());
        xml.node("ipRanges", |xml| {
            xml.node("item", |xml| xml.leaf("cidrIp", range));
        });
    });
}

pub(super) fn acls(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let mut xml = Xml::fragment();
    xml.node("networkAclSet", |xml| {
        let Some(vpc) = vpc(world, request) else { return };
        xml.node("item", |xml| {
            xml.leaf("networkAclId", "acl-0a0b0c0d0e0f00001");
            xml.node("entrySet", |xml| {
                if vpc.acl_denies {
                    entry(xml, 50, "deny", "true");
                }
                entry(xml, 100, "allow", "true");
                entry(xml, 100, "allow", "false");
                entry(xml, 32_767, "deny", "true");
                entry(xml, 32_767, "deny", "false");
            });
        });
    });
    Ok(xml.finish())
}

fn entry(xml: &mut Xml, number: u32, action: &str, egress: &str) {
    xml.node("item", |xml| {
        xml.leaf("ruleNumber", &number.to_string());
        xml.leaf("protocol", "-1");
        xml.leaf("ruleAction", action);
        xml.leaf("egress", egress);
        xml.leaf("cidrBlock", "0.0.0.0/0");
    });
}

pub(super) fn attribute(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let id = request.input.text("VpcId").unwrap_or_default();
    let name = request.input.text("Attribute").unwrap_or_default();
    let value = name != "enableDnsHostnames" || world.vpc(id).dns_hostnames;
    let mut xml = Xml::fragment();
    xml.leaf("vpcId", id);
    xml.node(name, |xml| {
        xml.leaf("value", if value { "true" } else { "false" })
    });
    Ok(xml.finish())
}
