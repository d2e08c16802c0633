//! The one loop that moves bytes between the socket and the session's state, and finds a new socket when one
//! is cut.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{self, Message};
use uuid::Uuid;

use super::handle::Event;
use super::websocket::{Socket, connect};
use super::{ChannelError, Gateway, Lasting, Options, Resumption};
use crate::net::Dialer;
use crate::protocol::payload::Size;
use crate::protocol::session::{self, Session, Stamp};

/// What does not wait behind input.
#[derive(Debug)]
pub(super) enum Urgent {
    Interrupt(Bytes),
    Resize { cols: u32, rows: u32 },
}

/// Closed so often before anything was heard, and trying on is vain.
const CLOSED_AT_ONCE: u32 = 3;
/// How often the clocks are compared.
const CLOCK_CHECK: Duration = Duration::from_secs(5);
/// The wall clock ran ahead so far: the machine slept.
const SLEPT: Duration = Duration::from_secs(20);
/// After a sleep the gateway has this long to show that the connection lives.
const AFTER_SLEEP: Duration = Duration::from_secs(5);

/// What has arrived on a failed socket is there at once.
const REST: Duration = Duration::from_millis(100);
/// More messages than a socket's buffer holds.
const LONGEST_REST: usize = 10_000;

/// How one socket came to its end.
enum Cut {
    /// Find another one.
    Reconnect(String),
    /// The session, or whoever held the channel, has ended.
    Over,
    /// The channel failed for good.
    Failed(ChannelError),
}

pub(super) struct Driver {
    client_id: Uuid,
    gateway: Arc<dyn Gateway>,
    dialer: Arc<Dialer>,
    options: Options,
    session: Session,
    events: mpsc::Sender<Event>,
    writes: mpsc::Receiver<Bytes>,
    urgent: mpsc::Receiver<Urgent>,
    /// Events that the reader has not taken yet. While there are any, the socket is not read.
    pending: VecDeque<Event>,
    /// Whether the agent was heard at all.
    heard: bool,
    closed_at_once: u32,
    opened: Instant,
    wondered: bool,
}

impl Driver {
    pub(super) fn new(
        client_id: Uuid,
        gateway: Arc<dyn Gateway>,
        dialer: Arc<Dialer>,
        options: Options,
        events: mpsc::Sender<Event>,
        writes: mpsc::Receiver<Bytes>,
        urgent: mpsc::Receiver<Urgent>,
    ) -> Self {
        Self {
            client_id,
            gateway,
            dialer,
            options,
            session: Session::new(options.limits, Box::new(Clock)),
            events,
            writes,
            urgent,
            pending: VecDeque::new(),
            heard: false,
            closed_at_once: 0,
            opened: Instant::now(),
            wondered: false,
        }
    }

    pub(super) async fn run(mut self, mut socket: Socket) {
        let last = loop {
            let cause = match self.carry(&mut socket).await {
                Cut::Reconnect(cause) => cause,
                Cut::Over => break None,
                Cut::Failed(error) => break Some(Event::Failed(error)),
            };
            self.read_rest(&mut socket).await;
            drop(socket);
            // What came before the socket went may have been the session's end: that is no cut.
            if let Err(error) = self.collect() {
                break Some(Event::Failed(error));
            }
            if self.session.is_closed() {
                break None;
            }
            tracing::debug!(cause, "data channel cut");
            let since = Instant::now();
            self.pending.push_back(Event::Reconnecting { cause });
            match self.reconnect(since).await {
                Ok(Some(new)) => socket = new,
                Ok(None) => break Some(Event::TimedOut),
                Err(error) => break Some(Event::Failed(error)),
            }
            self.session.reconnected();
            self.pending.push_back(Event::Reconnected {
                away: since.elapsed(),
            });
        };
        self.pending.extend(last);
        // Every byte that was received is handed on, however slow the reader.
        for event in self.pending {
            if self.events.send(event).await.is_err() {
                return;
            }
        }
    }

    /// Works with one socket until it is of no more use.
    async fn carry(&mut self, socket: &mut Socket) -> Cut {
        let events = self.events.clone();
        let mut last_heard = Instant::now();
        let mut next_ping = Instant::now() + self.options.ping_every;
        let mut deaf_at = last_heard + self.options.deaf_after;
        let mut clocks = (Instant::now(), SystemTime::now());
        loop {
            if let Err(cause) = self.transmit(socket).await {
                return Cut::Reconnect(cause);
            }
            if let Err(error) = self.collect() {
                return Cut::Failed(error);
            }
            if self.session.is_closed() {
                drop(timeout(Duration::from_secs(1), socket.close(None)).await);
                return Cut::Over;
            }
            let now = Instant::now();
            let reading = self.pending.is_empty();
            if !reading {
                // Not reading, we cannot hear; that is not the gateway's fault.
                deaf_at = deaf_at.max(now + self.options.deaf_after);
            }
            let wake = [
                Some(next_ping),
                reading.then_some(deaf_at),
                Some(now + CLOCK_CHECK),
                self.session.poll_timeout(),
                self.silence_timer(),
            ];
            let wake = wake.into_iter().flatten().min().unwrap_or(next_ping);
            tokio::select! {
                message = socket.next(), if reading => {
                    last_heard = Instant::now();
                    deaf_at = last_heard + self.options.deaf_after;
                    match self.receive(message) {
                        Ok(()) => {}
                        Err(cut) => return cut,
                    }
                }
                permit = events.reserve(), if !reading => {
                    let Ok(permit) = permit else { return Cut::Over };
                    if let Some(event) = self.pending.pop_front() {
                        permit.send(event);
                    }
                }
                urgent = self.urgent.recv() => match urgent {
                    Some(Urgent::Interrupt(bytes)) => {
                        // What was handed over before the interrupt is as stale as what is queued.
                        while self.writes.try_recv().is_ok() {}
                        self.session.interrupt(bytes);
                    }
                    Some(Urgent::Resize { cols, rows }) => self.session.resize(Size { cols, rows }),
                    None => return Cut::Over,
                },
                bytes = self.writes.recv(), if !self.session.is_full() => match bytes {
                    Some(bytes) => self.session.write(bytes),
                    None => return Cut::Over,
                },
                () = sleep_until(wake.into()) => {}
            }
            let now = Instant::now();
            self.session.handle_timeout(now);
            if now >= next_ping {
                next_ping = now + self.options.ping_every;
                if let Err(error) = self
                    .send(socket, Message::Ping(Bytes::from_static(b"keepalive")))
                    .await
                {
                    return Cut::Reconnect(error);
                }
            }
            if slept(&mut clocks) {
                deaf_at = deaf_at.min(now + AFTER_SLEEP);
                next_ping = now;
            }
            if reading && now >= deaf_at {
                let silence = now.saturating_duration_since(last_heard).as_secs();
                return Cut::Reconnect(format!("nothing was heard for {silence} s"));
            }
            if let Some(cut) = self.check_silence(now) {
                return cut;
            }
        }
    }

    /// Hears what had arrived when the socket failed: a gateway that has said all it had to say may be gone
    /// before we have acknowledged it.
    async fn read_rest(&mut self, socket: &mut Socket) {
        for _ in 0..LONGEST_REST {
            match timeout(REST, socket.next()).await {
                Ok(Some(Ok(Message::Binary(bytes)))) => self.hear(&bytes),
                Ok(Some(Ok(Message::Text(text)))) => self.hear(text.as_bytes()),
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)))) => {}
                Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => return,
            }
        }
    }

    /// Takes over what the session has to tell.
    fn collect(&mut self) -> Result<(), ChannelError> {
        while let Some(event) = self.session.poll_event() {
            let event = self.translate(event)?;
            self.pending.push_back(event);
        }
        Ok(())
    }

    /// Sends all that the session wants to send, in one flush.
    async fn transmit(&mut self, socket: &mut Socket) -> Result<(), String> {
        let mut any = false;
        while let Some(bytes) = self.session.poll_transmit(Instant::now()) {
            any = true;
            let fed = timeout(self.options.deaf_after, socket.feed(Message::binary(bytes))).await;
            fed.map_err(|_| "the gateway takes nothing any more".to_owned())?
                .map_err(|error| error.to_string())?;
        }
        if any {
            let flushed = timeout(self.options.deaf_after, socket.flush()).await;
            flushed
                .map_err(|_| "the gateway takes nothing any more".to_owned())?
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    async fn send(&mut self, socket: &mut Socket, message: Message) -> Result<(), String> {
        let sent = timeout(self.options.deaf_after, socket.send(message)).await;
        sent.map_err(|_| "the gateway takes nothing any more".to_owned())?
            .map_err(|error| error.to_string())
    }

    fn receive(&mut self, message: Option<Result<Message, tungstenite::Error>>) -> Result<(), Cut> {
        match message {
            Some(Ok(Message::Binary(bytes))) => self.hear(&bytes),
            // The reference takes binary content in text frames too.
            Some(Ok(Message::Text(text))) => self.hear(text.as_bytes()),
            Some(Ok(Message::Close(frame))) => {
                let cause = frame.map_or_else(
                    || "the gateway closed the connection".to_owned(),
                    |frame| {
                        format!(
                            "the gateway closed the connection ({} {})",
                            frame.code, frame.reason
                        )
                    },
                );
                return Err(self.cut(cause));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Err(error)) => return Err(self.cut(error.to_string())),
            None => return Err(self.cut("the connection was closed".to_owned())),
        }
        Ok(())
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.heard = true;
        self.closed_at_once = 0;
        self.session.handle_message(Instant::now(), bytes);
    }

    /// A cut is answered by a reconnect, unless every connection ends before a word was said.
    fn cut(&mut self, cause: String) -> Cut {
        if self.heard {
            return Cut::Reconnect(cause);
        }
        self.closed_at_once += 1;
        if self.closed_at_once >= CLOSED_AT_ONCE {
            Cut::Failed(ChannelError::ClosedAtOnce(cause))
        } else {
            Cut::Reconnect(cause)
        }
    }

    fn translate(&self, event: session::Event) -> Result<Event, ChannelError> {
        Ok(match event {
            session::Event::Ready {
                session_type,
                agent_version,
            } => Event::Ready {
                session_type,
                agent_version,
            },
            session::Event::Output(bytes) => Event::Output(bytes),
            session::Event::ErrorOutput(bytes) => Event::ErrorOutput(bytes),
            session::Event::ExitCode(code) => Event::ExitCode(code),
            session::Event::CustomerMessage(words) => Event::CustomerMessage(words),
            session::Event::Refused(refusal) => Event::Refused(refusal),
            session::Event::Closed(output) => Event::Closed(output),
            session::Event::NotUnderstood(what) => return Err(ChannelError::NotUnderstood(what)),
        })
    }

    fn silence_timer(&self) -> Option<Instant> {
        let after = if self.wondered {
            self.options.silent_after
        } else {
            self.options.wonder_after
        };
        (!self.heard).then(|| self.opened + after)
    }

    fn check_silence(&mut self, now: Instant) -> Option<Cut> {
        if self.heard {
            return None;
        }
        let silence = now.saturating_duration_since(self.opened);
        if silence >= self.options.silent_after {
            return Some(Cut::Failed(ChannelError::Silent(self.options.silent_after)));
        }
        if silence >= self.options.wonder_after && !self.wondered {
            self.wondered = true;
            self.pending.push_back(Event::Waiting);
        }
        None
    }

    /// A new socket; `None` when the session has ended meanwhile. The first attempt is made at once, later
    /// ones after growing pauses, for as long as a session can live without a client.
    async fn reconnect(&mut self, since: Instant) -> Result<Option<Socket>, ChannelError> {
        let mut attempt = 0_u32;
        loop {
            self.hand_on();
            let error = match self.gateway.resume().await {
                Ok(Resumption::TimedOut) => return Ok(None),
                Ok(Resumption::Open(opening)) => {
                    match connect(&opening, self.client_id, self.gateway.as_ref(), &self.dialer).await {
                        Ok(socket) => return Ok(Some(socket)),
                        Err(error) => error,
                    }
                }
                Err(error) => ChannelError::Gateway(error),
            };
            if matches!(&error, ChannelError::Gateway(error) if error.lasting == Lasting::Final) {
                return Err(error);
            }
            tracing::debug!(%error, attempt, "could not reconnect");
            if since.elapsed() >= self.options.give_up_after {
                return Err(ChannelError::Lost {
                    after: self.options.give_up_after,
                    cause: error.to_string(),
                });
            }
            sleep(pause(attempt, self.options.longest_pause)).await;
            attempt = attempt.saturating_add(1);
        }
    }

    /// Hands events on without waiting: the person should read "reconnecting" while it goes on.
    fn hand_on(&mut self) {
        while let Some(event) = self.pending.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(event) | mpsc::error::TrySendError::Closed(event)) =
                self.events.try_send(event)
            {
                self.pending.push_front(event);
                return;
            }
        }
    }
}

/// Doubling from a quarter of a second, with jitter, so that many clients do not return in step.
fn pause(attempt: u32, longest: Duration) -> Duration {
    let full = Duration::from_millis(250)
        .saturating_mul(1 << attempt.min(10))
        .min(longest);
    let jitter = f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
    full.mul_f64(0.5 + jitter / 2.0)
}

/// Whether the wall clock ran ahead of the monotonic one, which stands still while the machine sleeps.
fn slept(clocks: &mut (Instant, SystemTime)) -> bool {
    let (monotonic, wall) = (Instant::now(), SystemTime::now());
    let ran = monotonic.saturating_duration_since(clocks.0);
    let passed = wall.duration_since(clocks.1).unwrap_or_default();
    *clocks = (monotonic, wall);
    passed > ran + SLEPT
}

/// Ids and dates for messages.
struct Clock;

impl Stamp for Clock {
    fn id(&mut self) -> Uuid {
        Uuid::new_v4()
    }

    fn created(&mut self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(1).max(1)
    }
}
