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

/// One node, merged from EC2 and SSM. Every text in it is untrusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// The Name tag; for hybrid nodes, and where EC2 is denied, SSM's name or the computer's.
    pub name: Option<String>,
    /// The instance's state.
    pub state: InstanceState,
    /// The agent's state.
    pub agent: AgentState,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// SSM's platform name and version, such as `Amazon Linux 2023`.
    pub platform: Option<String>,
    /// Private address first, then public, IPv6 and names in DNS.
    pub addresses: Vec<String>,
    /// All tags, `Name` included.
    pub tags: BTreeMap<String, String>,
    /// Such as `t3.micro`.
    pub instance_type: Option<String>,
    /// Availability zone.
    pub zone: Option<String>,
    /// VPC.
    pub vpc: Option<String>,
    /// The Auto Scaling group (from its tag).
    pub asg: Option<String>,
    /// The instance profile's or service role's name.
    pub role: Option<String>,
    /// When it was launched or activated.
    pub launched: Option<jiff::Timestamp>,
    /// SSM's last ping.
    pub last_ping: Option<jiff::Timestamp>,
}
