//! What a session is made of: who asked for what, on which node.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::Faults;
use crate::kms::Keyring;

/// All that gateway and agent need to know of a session.
#[derive(Debug, Clone)]
pub struct SessionSpec {
    /// SessionId, of any shape.
    pub id: String,
    /// The Target of StartSession; part of the encryption context.
    pub target: String,
    /// The node.
    pub agent: AgentFacts,
    /// What runs there.
    pub kind: Kind,
    /// Encryption by a KMS key, where the preferences ask for it. Port sessions never are encrypted.
    pub encryption: Option<Encryption>,
    /// What goes wrong.
    pub faults: Faults,
    /// How the agent paces its output.
    pub pacing: Pacing,
    /// Ends the session when the client sends no stream data for so long.
    pub idle_timeout: Option<Duration>,
    /// Ends the session after so long.
    pub max_duration: Option<Duration>,
    /// The agent cannot start the session and says why.
    pub start_failure: Option<String>,
}

impl SessionSpec {
    /// A plain session: no encryption, no faults, no limits, an agent that does not pace.
    pub fn new(id: &str, target: &str, agent: AgentFacts, kind: Kind) -> Self {
        Self {
            id: id.to_owned(),
            target: target.to_owned(),
            agent,
            kind,
            encryption: None,
            faults: Faults::default(),
            pacing: Pacing::quick(),
            idle_timeout: None,
            max_duration: None,
            start_failure: None,
        }
    }
}

/// A node, as its agent sees it.
#[derive(Debug, Clone)]
pub struct AgentFacts {
    /// The agent's version, four numbers.
    pub version: String,
    /// The node's own home directory; made when it is missing.
    pub home: PathBuf,
    /// The name in the prompt.
    pub hostname: String,
    /// The user in the prompt and in USER.
    pub user: String,
    /// The platform it pretends to be; processes are this machine's all the same.
    pub platform: Platform,
    /// Whether shells begin with a handshake.
    pub handshake: Handshake,
    /// Names and addresses as the node resolves and reaches them: `db.internal` or `db.internal:5432`, to a
    /// service on loopback (`127.0.0.1:41234`; a port of 0 keeps the port that was asked for). An address of
    /// another kind stands for itself: it is checked, and found unreachable.
    pub names: BTreeMap<String, String>,
    /// How long it takes to look a remote host up.
    pub lookup: Duration,
    /// Blocks of the VPC (`10.0.0.0/16`), of which agents deny the first four and the last address.
    pub vpc_blocks: Vec<String>,
    /// Further environment of the processes.
    pub env: BTreeMap<String, String>,
}

impl AgentFacts {
    /// A Linux node with a recent agent.
    pub fn new(hostname: &str, home: impl Into<PathBuf>) -> Self {
        Self {
            version: "3.3.1142.0".to_owned(),
            home: home.into(),
            hostname: hostname.to_owned(),
            user: "ssm-user".to_owned(),
            platform: Platform::Linux,
            handshake: Handshake::WhereNeeded,
            names: BTreeMap::new(),
            lookup: Duration::ZERO,
            vpc_blocks: Vec::new(),
            env: BTreeMap::new(),
        }
    }
}

/// The platforms that agents differ by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Platform {
    /// Linux.
    #[default]
    Linux,
    /// Windows: line ends of the input are changed.
    Windows,
}

/// Whether a session begins with a handshake.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handshake {
    /// As agents do: ports, commands without a pty, and whatever is encrypted.
    #[default]
    WhereNeeded,
    /// Shells too.
    Always,
    /// Never: an agent too old for it.
    Never,
}

/// What runs on the node.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A shell in a pty.
    StandardStream {
        /// A line that the shell runs first: the preferences' shell profile.
        profile: Option<String>,
    },
    /// A command in a pty.
    InteractiveCommands {
        /// For `sh -c`.
        command: String,
    },
    /// A command without a pty.
    NonInteractiveCommands {
        /// For `sh -c`.
        command: String,
        /// stdout and stderr apart, and the exit code told; else all of it after the end.
        separate_output: bool,
        /// Put before each line of stdout, where apart.
        stdout_prefix: String,
        /// Put before each line of stderr, where apart.
        stderr_prefix: String,
    },
    /// A TCP port.
    Port(PortProperties),
}

impl Kind {
    /// The session type on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::StandardStream { .. } => "Standard_Stream",
            Self::InteractiveCommands { .. } => "InteractiveCommands",
            Self::NonInteractiveCommands { .. } => "NonInteractiveCommands",
            Self::Port(_) => "Port",
        }
    }
}

/// The properties of a Port session: the document's, with its parameters filled in. All are texts
/// and in this order, as on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortProperties {
    /// A host beyond the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `unix` makes the client listen on a unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_connection_type: Option<String>,
    /// Where the client listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_port_number: Option<String>,
    /// That socket's path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_unix_socket: Option<String>,
    /// The port on the node or on `host`.
    pub port_number: String,
    /// `LocalPortForwarding` for a port with connections; none for AWS-StartSSHSession.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
}

/// Encryption of a session.
#[derive(Debug, Clone)]
pub struct Encryption {
    /// The key that the preferences name: id, ARN or alias.
    pub key_id: String,
    /// Where the agent decrypts.
    pub keys: Keyring,
    /// The agent's own setting: a client that does not acknowledge the challenge is refused.
    pub require_challenge: bool,
}

/// How the agent paces its output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pacing {
    /// The most bytes of one payload.
    pub read: usize,
    /// The time between two payloads.
    pub pause: Duration,
    /// How long a pty session waits before its first output.
    pub pty_start: Duration,
}

impl Pacing {
    /// As real agents do. They sleep for 1 ms after each payload, which with all else gives 0.6 to 0.8 MB/s.
    pub fn faithful() -> Self {
        Self {
            read: 1024,
            pause: Duration::from_micros(1350),
            pty_start: Duration::from_secs(1),
        }
    }

    /// For tests: payloads of the same size, no waiting.
    pub fn quick() -> Self {
        Self {
            read: 1024,
            pause: Duration::ZERO,
            pty_start: Duration::ZERO,
        }
    }
}
