//! What is known of one node.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::NodeId;

/// EC2's word on an instance's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Being started.
    Pending,
    /// Up.
    Running,
    /// On its way down.
    Stopping,
    /// Down.
    Stopped,
    /// Being deleted; bears no name any more.
    ShuttingDown,
    /// Deleted; bears no name any more.
    Terminated,
    /// EC2 was not asked, denied the look-up, or does not know the node (a hybrid one).
    Unknown,
}

/// SSM's word on a node's agent. It lags: for the last candidate GetConnectionStatus tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentState {
    /// Pings arrive.
    Online,
    /// Pings have stopped (ConnectionLost, Inactive).
    Lost,
    /// SSM has never heard of the node.
    NeverRegistered,
    /// SSM was not asked or denied the look-up.
    Unknown,
}

/// The family of a node's operating system: what decides how a command is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Os {
    /// Linux, whichever.
    Linux,
    /// Windows.
    Windows,
    /// macOS.
    MacOs,
}

/// One node, merged from EC2 and SSM. Every text in it is untrusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// The Name tag; for hybrid nodes, and where EC2 is denied, SSM's name or the computer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The instance's state.
    pub state: InstanceState,
    /// The agent's state.
    pub agent: AgentState,
    /// The agent's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// The operating system's family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<Os>,
    /// SSM's platform name and version, such as `Amazon Linux 2023`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The name that the machine itself bears, as SSM was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computer: Option<String>,
    /// Private address first, then public, IPv6 and names in DNS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// All tags, `Name` included.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Such as `t3.micro`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// Availability zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// VPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc: Option<String>,
    /// The Auto Scaling group (from its tag).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asg: Option<String>,
    /// The instance profile's or service role's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// When it was launched or activated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launched: Option<jiff::Timestamp>,
    /// SSM's last ping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_ping: Option<jiff::Timestamp>,
}

impl Node {
    /// A node of which nothing but the id is known.
    pub fn new(id: NodeId) -> Self {
        Self {
            id,
            name: None,
            state: InstanceState::Unknown,
            agent: AgentState::Unknown,
            agent_version: None,
            os: None,
            platform: None,
            computer: None,
            addresses: Vec::new(),
            tags: BTreeMap::new(),
            instance_type: None,
            zone: None,
            vpc: None,
            asg: None,
            role: None,
            launched: None,
            last_ping: None,
        }
    }

    /// Whether it is deleted or about to be: AWS lists such instances for an hour, with all their tags, but
    /// they bear no name any more.
    pub fn is_gone(&self) -> bool {
        matches!(
            self.state,
            InstanceState::Terminated | InstanceState::ShuttingDown
        )
    }
}

impl InstanceState {
    /// EC2's own word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Unknown => "unknown",
        }
    }
}

impl AgentState {
    /// A word for people and for formats.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Lost => "lost",
            Self::NeverRegistered => "never-registered",
            Self::Unknown => "unknown",
        }
    }
}
