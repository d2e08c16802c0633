//! A port forward: a local end that stays up, and the sessions behind it, opened, kept and replaced as product
//! rules want it; and SOCKS5, a forward to each place that a program asks for (`socks`).
//!
//! [`run`] owns the listener; sessions come and go behind it (`session`), what follows the end of one is decided
//! without I/O (`policy`), and which session a connection rides on by the supervisor (`supervisor`).

mod by_plugin;
mod door;
mod interrupt;
mod plugin_words;
mod policy;
mod pool;
pub(super) mod refusal;
mod session;
mod socks;
mod supervisor;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::TransportError;
use super::plan::Choice;
use crate::aws::Aws;
use crate::aws::error::ServiceError;
use crate::ids::{NodeId, Remote, SessionId};

pub use crate::datachannel::BoxFuture;
pub use crate::ports::{BindError, Listener};
pub use crate::transport::native::forward::Rate;
use door::Door;
pub use interrupt::Interrupts;
pub use socks::{SocksPlan, run as run_socks};

/// AWS's document for a port of the node itself.
pub const PORT_DOCUMENT: &str = "AWS-StartPortForwardingSession";
/// And for a port of a host that the node reaches.
pub const HOST_DOCUMENT: &str = "AWS-StartPortForwardingSessionToRemoteHost";
/// How long a connection waits for a session to ride on.
pub const CONNECTION_WAITS: Duration = Duration::from_secs(30);

/// One forward, wished.
#[derive(Debug, Clone)]
pub struct ForwardPlan {
    /// Where connections go.
    pub remote: Remote,
    /// The session document; `None` for AWS's own.
    pub document: Option<String>,
    /// When its first session starts.
    pub start: Start,
    /// After so long without a connection the sessions are ended, until the next connection.
    pub idle_timeout: Option<Duration>,
    /// After so long a fresh session is opened for new connections.
    pub max_age: Option<Duration>,
    /// When nothing of ours went into a session for so long, something harmless goes, against the service's idle
    /// timeout. The plugin knows nothing of the kind.
    pub keepalive: Option<Duration>,
    /// The largest payload of one message, bytes.
    pub payload_limit: Option<usize>,
    /// How fast its sessions may send, together.
    pub rate: Arc<Rate>,
}

/// When a forward's first session starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At once.
    Now,
    /// With the first connection.
    WithFirstConnection,
}

/// Where a session is started.
#[derive(Clone)]
pub struct Route {
    /// The scope.
    pub aws: Arc<Aws>,
    /// The node.
    pub target: NodeId,
    /// The node as people know it, such as `prod-bastion (i-…)`. Untrusted.
    pub label: String,
    /// Sent with StartSession.
    pub reason: Option<String>,
    /// What carries the session.
    pub transport: Choice,
    /// Over how many sessions the forward's connections may be spread; at least one.
    pub sessions: usize,
    /// Hosts that a stream URL may name beside AWS's own.
    pub stream_endpoints: Vec<String>,
}

/// Whether what was found before will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It will.
    Remembered,
    /// Look anew: the instance may have been replaced.
    Fresh,
}

/// Why there is no route.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct RouteError {
    /// Why, in words; untrusted text may be among them.
    pub message: String,
    /// What can be done.
    pub remedy: Remedy,
}

/// What can be done about a missing route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Try again later: a network, a node that starts.
    Time,
    /// A person has to confirm, log in, or enter a code.
    Person,
    /// Nothing.
    None,
}

/// Finds the way to a forward's target, each time that a session is to be started.
pub trait Routes: Send + Sync {
    /// The way.
    fn route(&self, freshness: Freshness) -> BoxFuture<'_, Result<Route, RouteError>>;
}

/// What happens to a forward. The caller words it.
#[derive(Debug, Clone)]
pub enum Notice {
    /// A session is being started.
    Starting,
    /// Connections are carried.
    Up {
        /// The session.
        session: SessionId,
        /// Through which node; untrusted.
        via: String,
        /// How many sessions carry the forward now.
        sessions: usize,
    },
    /// A session has ended or been given up; so many are left.
    Down {
        /// The session.
        session: SessionId,
        /// How many are left.
        sessions: usize,
        /// The newest of those.
        left: Option<Left>,
    },
    /// The data channel was cut; a new one is being made.
    Reconnecting(String),
    /// That takes long, and this is why.
    StillAway(String),
    /// The session goes on after that time.
    Back(Duration),
    /// The agent has not been heard for some seconds.
    Waiting,
    /// The agent does not answer any more; the next connection takes another session.
    Unanswered,
    /// The remote port refused a connection.
    Unreachable,
    /// No session is open; the next connection opens one.
    Dormant(Dormancy),
    /// No session could be opened; it is tried again after that time.
    Retrying {
        /// Why it could not.
        cause: String,
        /// When it is tried again.
        after: Duration,
    },
    /// A session was lost, or could not be opened, and this is why. The others carry on, and no other one is tried
    /// before load asks for it.
    Fewer(String),
    /// A person is needed before a session can be opened; the next connection asks again.
    NeedsPerson(String),
    /// A connection waited too long for a session and was closed.
    GaveUpWaiting,
    /// A program took nothing for long while others waited for what comes behind it; its connection was closed.
    StoodStill,
    /// The agent's own word. Untrusted.
    CustomerMessage(String),
    /// A session could not be ended.
    NotEnded(SessionId, String),
    /// The native session was ended, and another one is started through the plugin.
    FellBack {
        /// The session that was ended.
        ended: SessionId,
        /// Why.
        cause: String,
    },
    /// A SOCKS5 proxy takes connections; each destination has a session of its own, when it is asked for.
    Open {
        /// Through which node; untrusted.
        via: String,
    },
    /// What happens to one destination of a SOCKS5 proxy.
    Destination(Remote, Box<Notice>),
    /// A destination of a SOCKS5 proxy was given up; who asks for it again tries it again.
    GivenUp(String),
    /// A connection to a destination was refused: as many others as there may be are in use.
    Crowded,
    /// A program asked for no destination that there is.
    Misunderstood(String),
}

/// A session that carries connections when another one has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The session.
    pub session: SessionId,
    /// Through which node; untrusted.
    pub via: String,
    /// For how long it has carried them.
    pub age: Duration,
    /// Whether it takes more.
    pub takes: bool,
}

/// Why no session is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dormancy {
    /// None is wanted before somebody comes.
    Lazy,
    /// The last one was lost, or could not be opened, and nobody waits. Why.
    Lost(String),
    /// Nobody used it for the forward's own idle timeout.
    Unused,
    /// AWS's idle or maximum time was over. Its words, untrusted.
    TimedOut(String),
    /// The agent gave up. Its words, untrusted.
    Agent(String),
}

/// Who hears of it.
pub trait Notices: Send + Sync {
    /// Takes one. It may not wait.
    fn notice(&self, notice: Notice);
}

/// Runs a forward until it is told to stop, or ends by itself.
///
/// # Errors
/// Why it ended by itself: no way to the target at the start, a denial, a session that somebody else ended.
pub async fn run(
    listener: Listener,
    plan: ForwardPlan,
    routes: Arc<dyn Routes>,
    notices: Arc<dyn Notices>,
    counters: Arc<Counters>,
    stop: watch::Receiver<Stop>,
) -> Result<(), ForwardError> {
    let door = Door::Listener(listener, Arc::clone(&counters));
    supervisor::run(door, plan, routes, notices, counters, stop).await
}

/// What is asked of all forwards of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Nothing: go on.
    GoOn,
    /// Take no more connections, let those that there are finish within a moment, end the sessions.
    Drain,
    /// End the sessions.
    Now,
}

/// Why a forward ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// No way to the target.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// AWS does not start the session.
    #[error(transparent)]
    Start(ServiceError),
    /// Somebody else ended the session.
    #[error("the session was terminated{}", words(.0))]
    Terminated(String),
    /// The agent does not carry it. Its words, untrusted.
    #[error("the agent ended the session{}", words(.0))]
    Agent(String),
    /// The session failed in a way that trying again does not help.
    #[error(transparent)]
    Transport(TransportError),
}

fn words(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}

/// Figures of a forward, kept while it runs.
#[derive(Debug, Default)]
pub struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    accepted: AtomicU64,
    open: AtomicUsize,
    /// Of the whole that this is a part of.
    whole: Option<Arc<Self>>,
}

impl Counters {
    /// Figures of a part, which count for the whole too.
    fn part_of(whole: &Arc<Self>) -> Self {
        Self {
            whole: Some(Arc::clone(whole)),
            ..Self::default()
        }
    }

    fn each<T>(&self, count: impl Fn(&Self) -> T) {
        count(self);
        if let Some(whole) = &self.whole {
            count(whole);
        }
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.each(|figures| figures.sent.fetch_add(bytes as u64, Ordering::Relaxed));
    }

    pub(super) fn received(&self, bytes: usize) {
        self.each(|figures| figures.received.fetch_add(bytes as u64, Ordering::Relaxed));
    }

    fn accepted(&self) {
        self.each(|figures| {
            figures.accepted.fetch_add(1, Ordering::Relaxed);
            figures.open.fetch_add(1, Ordering::Relaxed);
        });
    }

    fn ended(&self) {
        self.each(|figures| figures.open.fetch_sub(1, Ordering::Relaxed));
    }

    /// Bytes to the remote.
    pub fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Bytes from it.
    pub fn bytes_received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Connections taken since the start.
    pub fn connections(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Those that are open, or wait for a session.
    pub fn open_connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}
