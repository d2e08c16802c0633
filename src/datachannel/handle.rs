//! What a session holds of its data channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::driver::{Driver, Orders, Urgent, Write};
use super::websocket::connect;
use super::{ChannelError, Flag, Gateway, Opening, Options, Properties, Refusal, SessionType, Tried};
use crate::ids::Version;
use crate::net::Dialer;

/// Events that wait for a slow reader; behind them the socket is not read, so nothing is dropped.
pub(super) const EVENTS: usize = 64;
/// Writes that wait for the driver: the backlog is the caller's, who can drop it.
pub(super) const WRITES: usize = 1;
/// Sizes and interrupts: a person cannot type faster.
const URGENT: usize = 64;

/// What happens on a data channel, in order.
#[derive(Debug)]
pub enum Event {
    /// Input is taken from now on.
    Ready {
        /// The session's type.
        session_type: SessionType,
        /// The agent's version, where it was told.
        agent_version: Option<Version>,
        /// What it told of a port.
        properties: Properties,
    },
    /// Bytes of the session.
    Output(Bytes),
    /// Bytes of a command's stderr.
    ErrorOutput(Bytes),
    /// A command's exit status.
    ExitCode(i32),
    /// A port's flag.
    Flag(Flag),
    /// What became of a size of message that was tried out.
    Tried(Tried),
    /// The agent's word to the person. Untrusted.
    CustomerMessage(String),
    /// The agent asked for what we cannot do; it will cancel the session.
    Refused(Refusal),
    /// The agent has not been heard yet.
    Waiting,
    /// Something waits to be acknowledged, and nothing was heard of the agent for that time. Told again each time
    /// that [`super::Options::unanswered_after`] is over.
    Unanswered(Duration),
    /// The connection was cut; a new one is being made.
    Reconnecting {
        /// What cut it.
        cause: String,
    },
    /// It takes long, and this is why.
    StillAway {
        /// What keeps us away.
        cause: String,
    },
    /// The session goes on.
    Reconnected {
        /// How long it was away.
        away: Duration,
    },
    /// The session is over (channel_closed). Last.
    Closed {
        /// Untrusted and often empty.
        words: String,
        /// Whether some of the output before the end never came.
        torn: bool,
    },
    /// The session ended while nobody was connected. Last.
    TimedOut,
    /// The channel failed for good. Last.
    Failed(ChannelError),
}

impl Event {
    /// What it costs to keep: that of what the peer sends nothing is free.
    pub(super) fn size(&self) -> usize {
        let content = match self {
            Self::Output(bytes) | Self::ErrorOutput(bytes) => bytes.len(),
            Self::CustomerMessage(words) | Self::Closed { words, .. } => words.len(),
            _ => 0,
        };
        content + size_of::<Self>()
    }
}

/// An open data channel.
#[derive(Debug)]
pub struct Channel {
    events: Events,
    writer: Writer,
}

/// The receiving side. Dropping it closes the socket; it does not end the session.
#[derive(Debug)]
pub struct Events {
    /// Looked at and not yet taken.
    first: Option<Event>,
    events: mpsc::Receiver<Event>,
    task: JoinHandle<()>,
}

/// The sending side.
#[derive(Debug, Clone)]
pub struct Writer {
    writes: mpsc::Sender<Write>,
    urgent: mpsc::Sender<Urgent>,
    handful: Arc<AtomicUsize>,
}

/// Dials and sends the open message; then a task carries the channel until its last event.
///
/// # Errors
/// When the connection, the upgrade or the signature fails. Nothing is tried again here: a first failure
/// is one that a person should see.
pub async fn open(
    opening: Opening,
    gateway: Arc<dyn Gateway>,
    dialer: Arc<Dialer>,
    options: Options,
) -> Result<Channel, ChannelError> {
    let client_id = Uuid::new_v4();
    let socket = connect(&opening, client_id, gateway.as_ref(), &dialer).await?;
    let (events_in, events) = mpsc::channel(EVENTS);
    let (writes, writes_out) = mpsc::channel(WRITES);
    let (urgent, urgent_out) = mpsc::channel(URGENT);
    let handful = Arc::new(AtomicUsize::new(options.limits.payload));
    let orders = Orders {
        writes: writes_out,
        urgent: urgent_out,
        handful: Arc::clone(&handful),
    };
    let driver = Driver::new(client_id, gateway, dialer, options, events_in, orders);
    let task = tokio::spawn(driver.run(socket));
    Ok(Channel {
        events: Events {
            first: None,
            events,
            task,
        },
        writer: Writer {
            writes,
            urgent,
            handful,
        },
    })
}

impl Channel {
    /// The next event, which stays there. Cancel-safe.
    pub async fn peek(&mut self) -> Option<&Event> {
        if self.events.first.is_none() {
            self.events.first = self.events.events.recv().await;
        }
        self.events.first.as_ref()
    }

    /// The next event; `None` after the last. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.next().await
    }

    /// Both sides, to be used side by side.
    pub fn split(self) -> (Events, Writer) {
        (self.events, self.writer)
    }
}

impl Events {
    /// The next event; `None` after the last. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        match self.first.take() {
            Some(first) => Some(first),
            None => self.events.recv().await,
        }
    }
}

#[cfg(test)]
impl Events {
    pub(super) fn bare(events: mpsc::Receiver<Event>) -> Self {
        Self {
            first: None,
            events,
            task: tokio::spawn(async {}),
        }
    }
}

#[cfg(test)]
impl Writer {
    pub(super) fn bare(
        writes: mpsc::Sender<Write>,
        urgent: mpsc::Sender<Urgent>,
        handful: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            writes,
            urgent,
            handful,
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Writer {
    /// A place for one write, when the channel takes more. `None`: the channel has ended. Cancel-safe.
    pub async fn writable(&self) -> Option<Writable<'_>> {
        let place = self.writes.reserve().await.ok()?;
        let handful = self.handful.load(Ordering::Relaxed);
        Some(Writable { place, handful })
    }

    /// Waits until the channel has ended. What came before is held, and its events still follow, the last one
    /// with the reason.
    pub async fn ended(&self) {
        self.writes.closed().await;
    }

    /// Waits until all that was written is acknowledged. `false`: the channel has ended.
    pub async fn drained(&self) -> bool {
        let (tell, told) = oneshot::channel();
        self.writes.send(Write::Drained(tell)).await.is_ok() && told.await.is_ok()
    }

    /// Asks the agent to end a port session, ahead of all that is not sent yet.
    pub fn terminate(&self) {
        let _ = self.urgent.try_send(Urgent::Terminate);
    }

    /// Sends bytes ahead of everything not sent yet, which is dropped: for Ctrl-C and the like.
    pub fn interrupt(&self, bytes: Bytes) {
        let _ = self.urgent.try_send(Urgent::Interrupt(bytes));
    }

    /// Tells the agent the terminal's size.
    pub fn resize(&self, cols: u16, rows: u16) {
        let _ = self.urgent.try_send(Urgent::Resize {
            cols: cols.into(),
            rows: rows.into(),
        });
    }
}

/// A place for one write.
#[derive(Debug)]
pub struct Writable<'a> {
    place: mpsc::Permit<'a, Write>,
    handful: usize,
}

impl Writable<'_> {
    /// How many bytes to write in it: fewer make more messages than need be, and what follows waits for more.
    pub fn handful(&self) -> usize {
        self.handful
    }

    /// Queues the bytes.
    pub fn write(self, bytes: Bytes) {
        self.place.send(Write::Bytes(bytes));
    }

    /// Tries out, behind what was written, whether messages may be as large as `large`. Both mean nothing to the
    /// peer, however often they come; `small` goes out where `large` does not pass. [`Event::Tried`] answers.
    pub fn try_size(self, large: Bytes, small: Bytes) {
        self.place.send(Write::Trial(large, small));
    }

    /// Marks the end of what was written. The answer comes when all of it is acknowledged, whatever follows; it
    /// fails when the channel ends before.
    pub fn mark(self) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        self.place.send(Write::Mark(tell));
        told
    }

    /// Queues what changes nothing, and marks its end as [`Writable::mark`] does: an agent acknowledges it once what
    /// runs in the session is there. What was written before must be whole frames where the session has frames.
    pub fn nothing(self) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        self.place.send(Write::Nothing(tell));
        told
    }

    /// Queues a flag, which keeps its place behind what was written.
    pub fn flag(self, flag: Flag) {
        self.place.send(Write::Flag(flag));
    }
}
