//! The network around nodes. A VPC that no scenario describes is healthy: a NAT gateway, open groups.

use serde::Deserialize;

/// A VPC, seen from the one subnet that matters.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vpc {
    /// Its id.
    pub id: String,
    /// Where the default route leads: the id of a gateway; empty for nowhere.
    #[serde(default = "nat")]
    pub default_route: String,
    /// Its endpoints.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    /// To which CIDR the nodes' security group lets HTTPS out; empty for nowhere.
    #[serde(default = "everywhere")]
    pub egress: String,
    /// Numbers of ACL entries that deny everything outwards, before the one that allows.
    #[serde(default)]
    pub acl_denies: bool,
    /// `enableDnsHostnames`.
    #[serde(default = "yes")]
    pub dns_hostnames: bool,
    /// The name servers of its DHCP options.
    #[serde(default = "amazon")]
    pub name_servers: Vec<String>,
}

/// A database of RDS.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Its identifier.
    pub id: String,
    /// Such as `available`.
    #[serde(default = "available")]
    pub status: String,
    /// The port that it listens on.
    pub port: u16,
    /// Its VPC.
    pub vpc: String,
    /// From which CIDR its security group lets that port in; empty for nowhere.
    #[serde(default = "everywhere")]
    pub ingress: String,
}

/// A VPC endpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Such as `ssm`.
    pub service: String,
    /// Such as `available`.
    #[serde(default = "available")]
    pub state: String,
    /// Whether the service's own name leads to it.
    #[serde(default = "yes")]
    pub private_dns: bool,
    /// From which CIDR its security group lets HTTPS in.
    #[serde(default = "everywhere")]
    pub ingress: String,
}

impl Vpc {
    /// One that nobody described.
    pub(crate) fn usual(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            default_route: nat(),
            endpoints: Vec::new(),
            egress: everywhere(),
            acl_denies: false,
            dns_hostnames: true,
            name_servers: amazon(),
        }
    }
}

fn nat() -> String {
    "nat-0a0b0c0d0e0f00001".to_owned()
}

fn everywhere() -> String {
    "0.0.0.0/0".to_owned()
}

fn amazon() -> Vec<String> {
    vec!["AmazonProvidedDNS".to_owned()]
}

fn available() -> String {
    "available".to_owned()
}

fn yes() -> bool {
    true
}
