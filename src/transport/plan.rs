//! What a session is to do, and how it came out. A plan says what, never how.

use std::time::Duration;

use crate::aws::session::SessionRequest;
use crate::datachannel::BoxFuture;
use crate::ids::{Local, SessionId};
pub use crate::terminal::record::{Keys, Recording};
use crate::transport::command::Reading;

/// One session, wished.
#[derive(Debug, Clone)]
pub struct SessionPlan {
    /// What StartSession is asked for.
    pub request: SessionRequest,
    /// What the session does.
    pub work: Work,
    /// When nothing of ours went for so long, something harmless goes, against the service's idle timeout. The
    /// plugin knows nothing of the kind.
    pub keepalive: Option<Duration>,
}

/// What a session does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// The terminal is the remote's.
    Shell(Shell),
    /// A command without a terminal: its output to stdout and stderr, its status to [`Outcome::status`].
    Command(Reading),
    /// A port's bytes on stdin and stdout.
    Stdio {
        /// How long after the end of stdin the far side may be silent before the session is ended.
        linger: Duration,
    },
}

/// How a terminal is joined to a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shell {
    /// The character that begins `~.`, if any.
    pub escape: Option<u8>,
    /// Where the shell is one command whose status comes back in its output: how to read that.
    pub reading: Option<Reading>,
    /// What is recorded of it.
    pub record: Option<Recording>,
    /// Whom signals of the keyboard mean.
    pub interrupts: Interrupts,
}

/// Whom SIGINT, SIGQUIT and SIGTSTP mean. In a raw terminal keys make none; they come from elsewhere then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interrupts {
    /// This process.
    #[default]
    Us,
    /// The remote, as the key that makes the signal.
    Remote,
}

impl Work {
    /// Whether the plugin does it as well as our own engine: it puts words of its own on stdout.
    pub fn is_for_plugin(&self) -> bool {
        matches!(
            self,
            Self::Shell(Shell {
                reading: None,
                record: None,
                ..
            })
        )
    }
}

/// Which transport to take.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize, serde::Serialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// Our own engine; the plugin where the far end speaks what we do not understand
    #[default]
    Auto,
    /// Our own engine
    Native,
    /// AWS's session-manager-plugin
    Plugin,
}

/// What typed input waits for: the session is started on a remembered id while the name is still being looked
/// up. `Err` says why the two disagree; then the session ends before a byte was sent.
pub type Gate = BoxFuture<'static, Result<(), String>>;

/// What happens on the way. The caller words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A signal came while AWS was starting the session: its answer is awaited, so that the session can be
    /// ended. Another Ctrl-C does not wait.
    Interrupted,
    /// AWS has started the session.
    Started(SessionId),
    /// The terminal is about to be the remote's; until [`Notice::Left`] it may be raw.
    Entering(Screen),
    /// The terminal is as it was.
    Left,
    /// The agent has not been heard for some seconds.
    Waiting,
    /// The connection was cut; a new one is being made.
    Reconnecting(String),
    /// It takes long to come back, and this is why.
    StillAway(String),
    /// The session goes on after that time.
    Back(Duration),
    /// The agent's own word. Untrusted.
    CustomerMessage(String),
    /// `~?` was typed.
    EscapeHelp,
    /// The recording broke off; the session goes on.
    NotRecorded(String),
    /// The remote command was sent a signal; another Ctrl-C ends the session.
    Interrupting,
    /// The native session was ended and another one started through the plugin.
    FellBack {
        /// The session that was ended.
        ended: SessionId,
        /// The new one.
        started: SessionId,
        /// Why.
        cause: String,
    },
    /// The local end of a port session that somebody else has started is taken; [`Turns`] says of what kind.
    Listening(Local, Turns),
    /// Its first connection was taken.
    Accepted(Turns),
    /// The agent could not connect to the port.
    FarPort,
    /// A signal ends the port session.
    Terminating,
    /// A session could not be ended.
    NotEnded(SessionId, String),
}

/// How many connections a port session carries at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turns {
    /// Many.
    Together,
    /// One after another, as old agents know it.
    OneByOne,
}

/// In which state the terminal is while a session runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// Raw: lines have to end in CR LF.
    Raw,
    /// Untouched: stdin is no terminal.
    AsItIs,
}

/// Who hears of them.
pub trait Notices: Send + Sync {
    /// Takes one. It may not wait.
    fn notice(&self, notice: Notice);
}

/// How a session came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The session.
    pub session: SessionId,
    /// How it ended.
    pub end: End,
    /// The remote command's status, where it came back. Agents say -1 of a shell that a signal killed.
    pub status: Option<i32>,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// By the far end, with its words (untrusted, often none).
    Remote(String),
    /// By the far end, which did not wait until all of its output had come; with its words.
    Torn(String),
    /// By the person: `~.`, or Ctrl-C where the plugin is told so to end a port session.
    Escape,
    /// By AWS, while nobody was connected.
    TimedOut,
    /// By a signal to us.
    Signal(i32),
    /// Before a byte was sent: what was looked up disagrees.
    GateRefused(String),
    /// By the end of our own input, or of who reads our output.
    InputEnded,
    /// By our own deadline.
    OutOfTime,
    /// The command has ended; the session had to be ended after it.
    Abandoned,
}

impl End {
    /// Whether the far end or AWS has ended the session, so that nobody has to.
    pub fn is_theirs(&self) -> bool {
        matches!(self, Self::Remote(_) | Self::Torn(_) | Self::TimedOut)
    }
}
