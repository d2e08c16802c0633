//! The data channel's service: tokens, WebSockets, and an agent behind each session.
//!
//! The API opens a session with a [`SessionSpec`] and hands the token to the client; the HTTP server asks
//! [`Gateway::admit`] and gives the upgraded connection to [`Gateway::serve`]. The agent starts with the first
//! connection and lives until the session ends, however often the client's connection does.

mod alarm;
mod client;
mod connection;
mod fate;
mod frames;
mod observed;
mod session;
mod spec;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncWrite};

pub use observed::{Observed, Opened};
pub use spec::{AgentFacts, Encryption, Handshake, Kind, Pacing, Platform, PortProperties, SessionSpec};

use crate::fault::{Faults, Resume};
use session::Session;

/// The gateway of a sandbox. Clones are the same gateway; when the last one goes, all agents and their
/// processes go with it.
#[derive(Clone, Default)]
pub struct Gateway {
    sessions: Arc<Sessions>,
}

#[derive(Default)]
struct Sessions {
    by_id: Mutex<HashMap<String, Arc<Session>>>,
}

/// What StartSession and ResumeSession answer with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// TokenValue: good for one connection.
    pub token: String,
    /// Which cell of the gateway serves the session; another one after each resume.
    pub cell: u32,
}

impl Opening {
    /// The query of the StreamUrl.
    pub fn query(&self) -> String {
        format!("role=publish_subscribe&cell-number={}", self.cell)
    }
}

/// What ResumeSession comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumed {
    /// A new token and a new StreamUrl. The old token is void.
    Open(Opening),
    /// The session timed out: an answer without a token.
    TimedOut,
    /// DoesNotExistException.
    Unknown,
}

/// What the HTTP server does with an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Switch protocols and call [`Gateway::serve`].
    Upgrade,
    /// Answer with this HTTP status.
    Refuse(u16),
    /// Do not answer and keep the connection.
    Silence,
}

/// AWS's words for how a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Started, no client yet.
    Connecting,
    /// A client is there.
    Connected,
    /// The client's connection is gone; it may resume.
    Disconnected,
    /// The agent is ending it.
    Terminating,
    /// Over.
    Terminated,
    /// The agent could not start it.
    Failed,
}

impl Status {
    /// The value in DescribeSessions.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "Connecting",
            Self::Connected => "Connected",
            Self::Disconnected => "Disconnected",
            Self::Terminating => "Terminating",
            Self::Terminated => "Terminated",
            Self::Failed => "Failed",
        }
    }

    /// Whether the session belongs to DescribeSessions' History.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Terminated | Self::Failed)
    }
}

/// How a session is, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionState {
    /// AWS's word for it.
    pub status: Status,
    /// When it was opened.
    pub started: SystemTime,
    /// When it was over.
    pub ended: Option<SystemTime>,
    /// The text that its end was told with.
    pub output: String,
}

impl Gateway {
    /// A gateway without sessions.
    pub fn new() -> Self {
        Self::default()
    }

    /// StartSession: remembers the session, and gives the token for its first connection. An id that is
    /// already known is opened anew; what it was before ends.
    pub fn open(&self, spec: SessionSpec) -> Opening {
        let id = spec.id.clone();
        let (session, opening) = Session::open(spec);
        let before = self.lock().insert(id, session);
        if let Some(before) = before {
            before.end("", Status::Terminated);
        }
        opening
    }

    /// ResumeSession.
    pub fn resume(&self, id: &str) -> Resumed {
        let Some(session) = self.session(id) else {
            return Resumed::Unknown;
        };
        match session.faults().resume {
            Resume::Granted => session.resume(),
            Resume::NoToken => Resumed::TimedOut,
            Resume::Unknown => Resumed::Unknown,
        }
    }

    /// TerminateSession: the agent's processes end, the client is told with `output` (empty from the API
    /// call; the reason at an idle timeout). Whether there was such a session that was not over yet.
    pub fn terminate(&self, id: &str, output: &str) -> bool {
        self.session(id)
            .is_some_and(|session| session.end(output, Status::Terminated))
    }

    /// How a session is; `None` for an unknown one.
    pub fn status(&self, id: &str) -> Option<SessionState> {
        Some(self.session(id)?.state())
    }

    /// Whether an upgrade is let through, by the session's faults. The signature is the HTTP server's to check.
    pub fn admit(&self, id: &str) -> Admission {
        self.session(id)
            .map_or(Admission::Refuse(404), |session| session.admit())
    }

    /// Serves one upgraded connection of a session until it ends.
    pub async fn serve<S>(&self, stream: S, id: &str)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        connection::serve(self.session(id), stream).await;
    }

    /// Changes a session's faults from now on. Triggers count anew.
    pub fn set_faults(&self, id: &str, faults: Faults) {
        self.with(id, |session| session.set_faults(faults));
    }

    /// Ends the client's connection without a close frame.
    pub fn cut(&self, id: &str) {
        self.with(id, Session::cut);
    }

    /// Ends all connections without a close frame, as a gateway that is restarted does.
    pub fn cut_all(&self) {
        let sessions: Vec<_> = self.lock().values().cloned().collect();
        for session in sessions {
            session.cut();
        }
    }

    /// Closes the client's connection with 1000 "Bye", as the service does each hour.
    pub fn bye(&self, id: &str) {
        self.with(id, Session::bye);
    }

    /// Kills the agent and its processes; the session stays.
    pub fn kill_agent(&self, id: &str) {
        self.with(id, Session::kill_agent);
    }

    /// Sends the agent a pause_publication (or, with `false`, a start_publication).
    pub fn pause(&self, id: &str, paused: bool) {
        self.with(id, |session| session.pause_agent(paused));
    }

    /// What was seen of a session's client and agent so far.
    pub fn observed(&self, id: &str) -> Option<Observed> {
        Some(self.session(id)?.observed())
    }

    /// Ends every session that is not over, without a word, and waits until the processes are gone.
    pub async fn shutdown(&self) {
        let sessions: Vec<_> = self.lock().drain().map(|(_, session)| session).collect();
        for session in sessions {
            session.end("", Status::Terminated);
            session.cut();
            // A killed process is gone at once; what waits longer is not ours to wait for.
            let _ = tokio::time::timeout(Duration::from_secs(2), session.agent_gone()).await;
        }
    }

    fn session(&self, id: &str) -> Option<Arc<Session>> {
        self.lock().get(id).cloned()
    }

    fn with(&self, id: &str, act: impl FnOnce(&Session)) {
        if let Some(session) = self.session(id) {
            act(&session);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.sessions
            .by_id
            .lock()
            .unwrap_or_else(|broken| broken.into_inner())
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        let sessions = self.by_id.get_mut().unwrap_or_else(|broken| broken.into_inner());
        for session in sessions.values() {
            session.end("", Status::Terminated);
            session.cut();
        }
    }
}
