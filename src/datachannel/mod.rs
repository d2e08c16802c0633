//! The data channel's socket: WebSocket, timers and reconnects around the logic of [`crate::protocol`].

#[cfg(test)]
pub mod bare;
mod clock;
mod driver;
mod exchange;
mod handle;
mod reconnect;
#[cfg(test)]
mod tests;
mod websocket;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::ids::SessionId;
use crate::net::DialError;
use crate::secret::Secret;

pub use crate::protocol::crypto::{CryptoError, DataKey, KEY_LENGTH, KeyWish};
pub use crate::protocol::delivery::outgoing::{Limits, Tried};
pub use crate::protocol::delivery::window::Bounds;
pub use crate::protocol::handshake::{PortMode, Properties, Refusal, SessionType};
pub use crate::protocol::payload::Flag;
pub use crate::protocol::session::CLIENT_VERSION;
pub use handle::{Channel, Event, Events, Writable, Writer, open};

/// A boxed future, for traits that are used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Header names and their values.
pub type Headers = Vec<(String, Secret<String>)>;

/// What the data channel asks of the world.
pub trait Gateway: Send + Sync + 'static {
    /// The headers that sign an upgrade request to `url`, with credentials of this moment.
    fn sign<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Headers, GatewayError>>;

    /// A new address and token for the session, after its socket was cut.
    fn resume(&self) -> BoxFuture<'_, Result<Resumption, GatewayError>>;

    /// The data key that encrypts the session, which the agent awaits within 15 s.
    fn data_key<'a>(&'a self, wish: &'a KeyWish) -> BoxFuture<'a, Result<DataKey, GatewayError>>;
}

/// Where a data channel opens, and with what.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The session.
    pub session: SessionId,
    /// The address, as the API gave it.
    pub url: Secret<String>,
    /// Good for one connection.
    pub token: Secret<String>,
}

/// The answer to a wish to resume.
#[derive(Debug)]
pub enum Resumption {
    /// Go on there.
    Open(Opening),
    /// The session has ended meanwhile.
    TimedOut,
}

/// The world could not help.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct GatewayError {
    /// Why, in words.
    pub message: String,
    /// Whether asking again can help.
    pub lasting: Lasting,
}

/// Whether a failure passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// Try again later.
    Passing,
    /// It will not help.
    Final,
}

/// Times and sizes of a channel.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Sizes of sending.
    pub limits: Limits,
    /// The same from the moment on when a session of unknown kind turns out to be a port's.
    pub late_port_limits: Option<Limits>,
    /// Bytes that may wait for a slow reader before the socket is not read any more.
    pub read_ahead: usize,
    /// Between pings. Proxies and NATs forget connections that are silent for a minute.
    pub ping_every: Duration,
    /// So long without a sign of the gateway, and the connection counts as cut.
    pub deaf_after: Duration,
    /// So long without a first message, and [`Event::Waiting`] says so.
    pub wonder_after: Duration,
    /// So long without a first message, and the channel fails.
    pub silent_after: Duration,
    /// So long with something unacknowledged and without a message, and [`Event::Unanswered`] says so; never where
    /// it is left out. The service says nothing of an agent that is gone: the session stays until its idle time is
    /// over, which our own repetitions may put off for ever.
    pub unanswered_after: Option<Duration>,
    /// The longest pause between two attempts to reconnect.
    pub longest_pause: Duration,
    /// A socket that lived so long was of use, and its cut is answered at once; one that did not, and brought nothing,
    /// is followed by a pause that grows.
    pub steady_after: Duration,
    /// The age at which a socket is replaced in a quiet moment. The gateway closes it at an hour.
    pub renew_after: Duration,
    /// So long without a byte either way, and a moment is quiet.
    pub quiet_for: Duration,
    /// When nothing of ours went into the session for so long, something harmless goes, so that the service's idle
    /// timeout does not end it; never where it is left out.
    pub keepalive: Option<Duration>,
    /// No session outlives this without a client: the longest idle timeout that AWS allows.
    pub give_up_after: Duration,
}

impl Options {
    /// For shells.
    pub const SHELL: Self = Self {
        limits: Limits::SHELL,
        late_port_limits: None,
        read_ahead: 64 * 1024,
        ping_every: Duration::from_secs(25),
        deaf_after: Duration::from_secs(70),
        wonder_after: Duration::from_secs(8),
        silent_after: Duration::from_secs(60),
        unanswered_after: None,
        longest_pause: Duration::from_secs(15),
        steady_after: Duration::from_secs(10),
        renew_after: Duration::from_secs(57 * 60),
        quiet_for: Duration::from_secs(3),
        keepalive: None,
        give_up_after: Duration::from_secs(60 * 60),
    };

    /// For commands. An agent gives its last output two seconds to be acknowledged, so a good deal of it is
    /// taken even where its reader is slow.
    pub const COMMAND: Self = Self {
        read_ahead: 4 * 1024 * 1024,
        ..Self::SHELL
    };

    /// For a session whose kind is not known yet.
    pub const ADOPTED: Self = Self {
        late_port_limits: Some(Limits::PORT),
        read_ahead: 1024 * 1024,
        ..Self::SHELL
    };

    /// For the bytes of a port.
    pub const PORT: Self = Self {
        limits: Limits::PORT,
        read_ahead: 1024 * 1024,
        unanswered_after: Some(Duration::from_secs(15)),
        ..Self::SHELL
    };
}

/// Why a channel did not open, or failed for good.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// No connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The address is none.
    #[error("the data channel's address is no WebSocket URL")]
    Address,
    /// The upgrade could not be signed, or the session not resumed.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The gateway refused the upgrade.
    #[error("the gateway refused the data channel: HTTP {status} {body}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said, untrusted.
        body: String,
    },
    /// The WebSocket failed while it opened.
    #[error("the data channel did not open: {0}")]
    WebSocket(String),
    /// The gateway closed the channel before anything was heard, again and again.
    #[error("the gateway closed the data channel at once: {0}")]
    ClosedAtOnce(String),
    /// The agent never said anything.
    #[error("the agent did not answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// The peer speaks what we do not understand.
    #[error("the other end speaks what ssmx does not understand: {0}")]
    NotUnderstood(String),
    /// What came does not decrypt.
    #[error("the encrypted session failed: {0}")]
    Undecipherable(CryptoError),
    /// Reconnecting was given up.
    #[error("the session could not be reached again within {} min: {cause}", .after.as_secs() / 60)]
    Lost {
        /// How long it was tried.
        after: Duration,
        /// The last failure.
        cause: String,
    },
}
