//! The gateway and its agents, through a client of the tests' own.

mod client;
mod commands;
mod encryption;
mod faults;
mod ports;
mod rules;
mod shells;

use std::path::Path;

use tempfile::TempDir;

use super::{AgentFacts, Kind, SessionSpec};

/// A node with a home of its own.
fn node() -> (TempDir, AgentFacts) {
    let home = tempfile::tempdir().unwrap();
    let agent = facts(home.path());
    (home, agent)
}

fn facts(home: &Path) -> AgentFacts {
    AgentFacts::new("prod-web", home)
}

fn session(agent: AgentFacts, kind: Kind) -> SessionSpec {
    SessionSpec::new("me-0123456789abcdef0", "i-0123456789abcdef0", agent, kind)
}

fn shell() -> Kind {
    Kind::StandardStream { profile: None }
}
