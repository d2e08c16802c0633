//! A node as AWS's services see it.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::scenario::{self, Ping, Platform, State};

/// A node in its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// `i-…` or `mi-…`.
    pub id: String,
    /// The account's id.
    pub account: String,
    /// The region.
    pub region: String,
    /// What the scenario says of it, or what changed since.
    pub facts: scenario::Node,
}

impl Node {
    /// Gives a scenario's node its place; `ordinal` tells apart those that are alike.
    pub(super) fn new(account: &str, facts: scenario::Node, ordinal: usize) -> Self {
        let id = facts.id.clone().unwrap_or_else(|| {
            let name = facts.name.as_deref().unwrap_or_default();
            let seed = format!("{account}/{}/{name}/{ordinal}", facts.region);
            format!("i-{}", &hex(&Sha256::digest(seed))[..17])
        });
        Self {
            id,
            account: account.to_owned(),
            region: facts.region.clone(),
            facts,
        }
    }

    /// Node `index` of those made by number.
    pub(super) fn generated(account: &str, entry: &scenario::Generate, index: usize) -> Self {
        let mut facts = scenario::Node {
            region: entry.region.clone(),
            name: Some(format!("{}-{index:06}", entry.prefix)),
            tags: entry.tags.clone(),
            private_ip: Some(format!(
                "10.{}.{}.{}",
                64 + (index >> 16 & 63),
                index >> 8 & 255,
                index & 255
            )),
            ..scenario::Node::default()
        };
        facts.tags.insert("Index".to_owned(), index.to_string());
        Self::new(account, facts, index)
    }

    /// One that belongs to no fleet: a container, as what an agent runs on.
    pub(crate) fn standing_alone(account: &str, facts: scenario::Node) -> Self {
        Self::new(account, facts, 0)
    }

    /// A node like any other, to ask what could be asked of one.
    pub(crate) fn like_any() -> Self {
        Self::new("", scenario::Node::default(), 0)
    }

    /// A machine outside EC2.
    pub fn is_hybrid(&self) -> bool {
        self.id.starts_with("mi-")
    }

    /// All tags, `Name` and the Auto Scaling group's included.
    pub fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        let name = self.facts.name.as_deref().map(|name| ("Name", name));
        let group = self
            .facts
            .asg
            .as_deref()
            .map(|asg| ("aws:autoscaling:groupName", asg));
        let others = self
            .facts
            .tags
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        name.into_iter().chain(group).chain(others)
    }

    /// The value of one tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags()
            .find(|(known, _)| *known == key)
            .map(|(_, value)| value)
    }

    /// The availability zone.
    pub fn zone(&self) -> String {
        self.facts
            .zone
            .clone()
            .unwrap_or_else(|| format!("{}a", self.region))
    }

    /// The private address.
    pub fn private_ip(&self) -> String {
        self.facts.private_ip.clone().unwrap_or_else(|| {
            let digest = Sha256::digest(self.id.as_bytes());
            format!("10.{}.{}.{}", digest[0] & 63, digest[1], digest[2].clamp(4, 254))
        })
    }

    /// The private name in DNS.
    pub fn private_dns(&self) -> String {
        let dashed = self.private_ip().replace('.', "-");
        match self.region.as_str() {
            "us-east-1" => format!("ip-{dashed}.ec2.internal"),
            region => format!("ip-{dashed}.{region}.compute.internal"),
        }
    }

    /// The public name in DNS, of a node with a public address.
    pub fn public_dns(&self) -> Option<String> {
        let dashed = self.facts.public_ip.as_deref()?.replace('.', "-");
        Some(match self.region.as_str() {
            "us-east-1" => format!("ec2-{dashed}.compute-1.amazonaws.com"),
            region => format!("ec2-{dashed}.{region}.compute.amazonaws.com"),
        })
    }

    /// What the machine calls itself.
    pub fn computer_name(&self) -> String {
        self.facts
            .computer_name
            .clone()
            .unwrap_or_else(|| match self.facts.platform {
                Platform::Windows => format!("EC2AMAZ-{}", self.id[self.id.len() - 7..].to_uppercase()),
                _ if self.is_hybrid() => self.facts.name.clone().unwrap_or_else(|| self.id.clone()),
                _ => self.private_dns(),
            })
    }

    /// Whether SSM lists it.
    pub fn is_registered(&self) -> bool {
        self.facts.agent.registered && (self.is_hybrid() || !self.facts.state.is_gone())
    }

    /// What SSM last heard of the agent.
    pub fn ping(&self) -> Ping {
        match self.facts.agent.ping {
            Ping::Online if !self.is_up() => Ping::ConnectionLost,
            ping => ping,
        }
    }

    /// When that was.
    pub fn last_ping(&self, now: Timestamp) -> Timestamp {
        let age = self.facts.agent.ping_age.unwrap_or(match self.ping() {
            Ping::Online => SignedDuration::from_secs(60),
            _ => SignedDuration::from_hours(72),
        });
        now.checked_sub(age).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Whether sessions reach it.
    pub fn is_connected(&self) -> bool {
        let online = self.facts.agent.ping == Ping::Online;
        self.is_registered() && self.is_up() && self.facts.agent.connected.unwrap_or(online)
    }

    fn is_up(&self) -> bool {
        self.is_hybrid() || self.facts.state == State::Running
    }

    /// SSM's platform name and version.
    pub fn platform(&self) -> (&str, &str) {
        let (name, version) = match self.facts.platform {
            Platform::Linux => ("Amazon Linux", "2023"),
            Platform::Windows => ("Microsoft Windows Server 2022 Datacenter", "10.0.20348"),
            Platform::MacOs => ("macOS", "14.6.1"),
        };
        (
            self.facts.platform_name.as_deref().unwrap_or(name),
            self.facts.platform_version.as_deref().unwrap_or(version),
        )
    }

    /// `kind-` and 17 digits that belong to this node: its reservation, its network interface.
    pub fn derived_id(&self, kind: &str) -> String {
        let digest = Sha256::digest(format!("{kind}/{}", self.id));
        format!("{kind}-{}", &hex(&digest)[..17])
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
