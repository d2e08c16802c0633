//! Forwards without a terminal: which there are, how they are, and how they are ended.
//!
//! Each process has a name, and under it a lock that it holds for as long as it lives, a record of what it is, a
//! control socket and a log. The lock alone says whether it lives: after a crash the system has let go of it,
//! whatever the files say. Nothing is ever done to a process by its id, which may be another's by then.
//!
//! All of it lies in the state directory, for that is there as long as the processes are: the runtime directory is
//! emptied at the last logout, and unknown to a `cron` job. Homes can be shared by machines, hence a directory for
//! each.

mod control;
mod inherited;
mod machine;
mod registry;

use serde::{Deserialize, Serialize};

pub use control::{Asked, Control, ask_status, ask_to_stop};
pub use inherited::Inherited;
pub use registry::{Claim, Entry, LONGEST_NAME, Registry, RegistryError};

/// What a process of forwards is; written when it begins, and once more when it ends by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub name: String,
    /// Its process id, for people; never used to signal it.
    pub process: u32,
    /// When it began.
    pub started: jiff::Timestamp,
    /// What it was asked for.
    pub words: Vec<String>,
    /// The names of its forwards.
    #[serde(default)]
    pub forwards: Vec<String>,
    /// How it has ended by itself.
    pub ended: Option<Ended>,
}

/// The end of a process that nobody has asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at: jiff::Timestamp,
    /// How its forwards were then.
    pub forwards: Vec<ForwardStatus>,
}

/// How a process is; asked for by its control socket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its forwards.
    pub forwards: Vec<ForwardStatus>,
}

/// How a forward is. The process may be of an older program, which knows less.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ForwardStatus {
    /// The preset's name, or one made of the target's.
    pub name: String,
    /// In a word: `up`, `starting`, `reconnecting`, `retrying`, `idle`, `needs you`, `ended`.
    pub state: String,
    /// Why, where there is something to say. Untrusted.
    pub why: String,
    /// Where it listens.
    pub local: String,
    /// Where it leads.
    pub remote: String,
    /// What its first line says to scripts.
    pub ready: serde_json::Value,
    /// Through which node. Untrusted.
    pub via: String,
    /// Its newest session.
    pub session: Option<String>,
    /// Since when it has one.
    pub since: Option<jiff::Timestamp>,
    /// Open connections.
    pub open: u64,
    /// Connections since the start.
    pub connections: u64,
    /// Bytes to the remote.
    pub sent: u64,
    /// Bytes from it.
    pub received: u64,
}
