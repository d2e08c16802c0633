//! A node as a scenario describes it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::fault::Faults;
use crate::gateway::Handshake;

/// A node. Nothing but a name is needed; the rest has defaults.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// The account's alias or id; the first account where it is left out.
    pub account: Option<String>,
    /// The region.
    #[serde(default = "super::default_region")]
    pub region: String,
    /// `i-…` or `mi-…`; made up from the rest where it is left out.
    pub id: Option<String>,
    /// The Name tag; of a hybrid node its name.
    pub name: Option<String>,
    /// Further tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// EC2's state; a hybrid node has none.
    #[serde(default)]
    pub state: State,
    /// Made up where it is left out.
    pub private_ip: Option<String>,
    /// None where it is left out.
    pub public_ip: Option<String>,
    /// None where it is left out.
    pub ipv6: Option<String>,
    /// The VPC.
    #[serde(default = "default_vpc")]
    pub vpc: String,
    /// The subnet.
    #[serde(default = "default_subnet")]
    pub subnet: String,
    /// The region's first zone where it is left out.
    pub zone: Option<String>,
    /// Such as `t3.micro`.
    #[serde(default = "default_type")]
    pub instance_type: String,
    /// When it was launched.
    #[serde(default = "default_launched")]
    pub launched: Timestamp,
    /// Its Auto Scaling group.
    pub asg: Option<String>,
    /// What it runs on.
    #[serde(default)]
    pub platform: Platform,
    /// Such as `Amazon Linux`; by the platform where it is left out.
    pub platform_name: Option<String>,
    /// Such as `2023`; by the platform where it is left out.
    pub platform_version: Option<String>,
    /// What the machine calls itself; made up where it is left out.
    pub computer_name: Option<String>,
    /// The name of its instance profile, of a hybrid node the service role.
    pub role: Option<String>,
    /// Its SSM agent.
    #[serde(default)]
    pub agent: Agent,
    /// How sessions on it behave.
    #[serde(default)]
    pub session: Session,
    /// What listens there, by the name and port that the node knows it by: `localhost:80`, `db.internal:5432`.
    #[serde(default)]
    pub services: BTreeMap<String, Service>,
}

/// EC2's instance state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Being started.
    Pending,
    /// Up.
    #[default]
    Running,
    /// Being deleted.
    ShuttingDown,
    /// Deleted.
    Terminated,
    /// On its way down.
    Stopping,
    /// Down.
    Stopped,
}

impl State {
    /// EC2's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// EC2's number of it.
    pub fn code(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::ShuttingDown => 32,
            Self::Terminated => 48,
            Self::Stopping => 64,
            Self::Stopped => 80,
        }
    }

    /// Deleted, or about to be.
    pub fn is_gone(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

/// What a node runs on. The sandbox's agents are all `sh` on this machine; a Windows node only says it is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Platform {
    /// Linux.
    #[default]
    Linux,
    /// Windows.
    Windows,
    /// macOS.
    #[serde(rename = "MacOS")]
    MacOs,
}

impl Platform {
    /// As SSM spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Linux => "Linux",
            Self::Windows => "Windows",
            Self::MacOs => "MacOS",
        }
    }
}

/// The SSM agent of a node.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Agent {
    /// Whether SSM has ever heard of it.
    pub registered: bool,
    /// What SSM last heard.
    pub ping: Ping,
    /// How long ago; a minute for one that is online, three days for one that is not, where it is left out.
    pub ping_age: Option<SignedDuration>,
    /// Whether sessions reach it; what `ping` and the state say, where it is left out.
    pub connected: Option<bool>,
    /// Four numbers.
    pub version: String,
    /// Whether that is the newest.
    pub latest: bool,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            registered: true,
            ping: Ping::Online,
            ping_age: None,
            connected: None,
            version: "3.3.1345.0".to_owned(),
            latest: true,
        }
    }
}

/// How sessions on a node behave.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Session {
    /// Whether shells begin with a handshake.
    pub handshake: Handshake,
    /// How the agent paces its output.
    pub pacing: Pacing,
    /// How long a pty session waits before its first output, where it is not what `pacing` says.
    pub pty_start: Option<SignedDuration>,
    /// The agent cannot start a session, and says this.
    pub start_failure: Option<String>,
    /// Ends a session without input, where it is not what the preferences say.
    pub idle_timeout: Option<SignedDuration>,
    /// The agent refuses clients that do not acknowledge KMS's challenge.
    pub require_challenge: bool,
    /// Names and addresses as the node reaches them: `db.internal` to `127.0.0.1:5432`.
    pub names: BTreeMap<String, String>,
    /// How long the agent takes to look a remote host up.
    pub lookup: Option<SignedDuration>,
    /// The VPC's blocks of addresses.
    pub vpc_blocks: Vec<String>,
    /// Further environment of the node's processes.
    pub env: BTreeMap<String, String>,
    /// What goes wrong within sessions.
    pub faults: Faults,
}

/// A server on loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// Sends back what it receives.
    Echo,
    /// A web server with one page.
    Http,
}

/// How an agent paces its output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pacing {
    /// Not at all.
    #[default]
    Quick,
    /// As real agents do: a second before the first output, a millisecond between payloads.
    Faithful,
}

/// SSM's ping status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Ping {
    /// Pings arrive.
    Online,
    /// They have stopped.
    ConnectionLost,
    /// They stopped long ago.
    Inactive,
}

impl Ping {
    /// As SSM spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "Online",
            Self::ConnectionLost => "ConnectionLost",
            Self::Inactive => "Inactive",
        }
    }
}

impl Node {
    /// A running Linux node with an agent that is online, in the scenario's first account.
    pub fn named(name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..Self::default()
        }
    }
}

impl Default for Node {
    fn default() -> Self {
        Self {
            account: None,
            region: super::default_region(),
            id: None,
            name: None,
            tags: BTreeMap::new(),
            state: State::default(),
            private_ip: None,
            public_ip: None,
            ipv6: None,
            vpc: default_vpc(),
            subnet: default_subnet(),
            zone: None,
            instance_type: default_type(),
            launched: default_launched(),
            asg: None,
            platform: Platform::default(),
            platform_name: None,
            platform_version: None,
            computer_name: None,
            role: None,
            agent: Agent::default(),
            session: Session::default(),
            services: BTreeMap::new(),
        }
    }
}

fn default_vpc() -> String {
    "vpc-0a1b2c3d4e5f60718".to_owned()
}

fn default_subnet() -> String {
    "subnet-0a1b2c3d4e5f60718".to_owned()
}

fn default_type() -> String {
    "t3.micro".to_owned()
}

fn default_launched() -> Timestamp {
    Timestamp::constant(1_788_249_600, 0)
}
