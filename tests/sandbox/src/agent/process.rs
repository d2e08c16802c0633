//! Processes of a node: their environment, and their certain end.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::{Child, Command};

use crate::gateway::{AgentFacts, Platform};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment of a process on the node, and nothing of the sandbox's own.
pub(super) fn environment(agent: &AgentFacts) -> Vec<(String, String)> {
    let fixed = [
        ("HOME", agent.home.display().to_string()),
        ("USER", agent.user.clone()),
        ("LOGNAME", agent.user.clone()),
        ("HOSTNAME", agent.hostname.clone()),
        ("PATH", PATH.to_owned()),
        ("TERM", "xterm-256color".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
    ];
    let fixed = fixed.map(|(name, value)| (name.to_owned(), value));
    let own = agent
        .env
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    fixed.into_iter().chain(own).collect()
}

/// The prompt of the node's shell, which shows the directory where the shell can.
pub(super) fn prompt(agent: &AgentFacts, directory: &str) -> String {
    match agent.platform {
        Platform::Linux => format!("[{}@{} {directory}]$ ", agent.user, agent.hostname),
        Platform::Windows => "PS C:\\Windows\\system32> ".to_owned(),
    }
}

/// The shell: bash where there is one (its prompt and line editing are what people know), else sh.
pub(super) fn shell() -> (&'static str, &'static [&'static str]) {
    if Path::new("/bin/bash").exists() {
        ("/bin/bash", &["--noprofile", "--norc"])
    } else {
        ("/bin/sh", &[])
    }
}

/// A plain command of the node, without a terminal, in a process group of its own.
pub(super) fn command(agent: &AgentFacts, line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", line])
        .env_clear()
        .envs(environment(agent))
        .current_dir(&agent.home)
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// A child and all that it started. Dropped, all of it is killed; the child itself is reaped by the runtime.
pub(super) struct Family {
    leader: Option<Pid>,
    pub(super) child: Child,
}

impl Family {
    pub(super) fn new(child: Child) -> Self {
        let leader = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Self { leader, child }
    }

    /// Signals the process group of the child.
    pub(super) fn signal(&self, signal: Signal) {
        // Once it is reaped its number may be another's.
        if let (Some(leader), Some(_)) = (self.leader, self.child.id()) {
            let _ = kill_process_group(leader, signal);
        }
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        let Some(leader) = self.leader else { return };
        // A group keeps its number while any member lives, and the session of a reaped leader likewise.
        let _ = kill_process_group(leader, Signal::KILL);
        for member in members(leader) {
            let _ = kill_process(member, Signal::KILL);
        }
    }
}

/// The processes of a session (job control gives each job a group of its own). Only where /proc tells.
fn members(session: Pid) -> Vec<Pid> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let session = session.as_raw_nonzero().to_string();
    processes
        .flatten()
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .filter(|process| {
            let path = format!("/proc/{}/stat", process.as_raw_nonzero());
            std::fs::read_to_string(path).is_ok_and(|stat| session_in(&stat) == Some(&session))
        })
        .collect()
}

/// The session of a process. Behind its name, which may hold anything: state, parent, group, session.
fn session_in(stat: &str) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_s_session_is_found_behind_any_name() {
        assert_eq!(session_in("12 (a) b) (c) S 1 2 34 5"), Some("34"));
        assert_eq!(session_in(""), None);
    }
}
