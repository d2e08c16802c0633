//! The one loop that moves bytes between the socket and the session's state.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::tungstenite::{self, Message};
use uuid::Uuid;

use super::clock::{Clock, Clocks};
use super::exchange::{Exchanged, exchange};
use super::handle::Event;
use super::reconnect::{Flapping, Told};
use super::websocket::Socket;
use super::{BoxFuture, ChannelError, DataKey, Gateway, GatewayError, Options};
use crate::net::Dialer;
use crate::protocol::handshake::SessionType;
use crate::protocol::payload::{Flag, Size};
use crate::protocol::session::{self, Session};

/// What is sent in the order in which it was given.
#[derive(Debug)]
pub(super) enum Write {
    Bytes(Bytes),
    Flag(Flag),
    /// Try out whether messages may be as large as the first.
    Trial(Bytes, Bytes),
    /// Tell when all before this was acknowledged.
    Drained(oneshot::Sender<()>),
    /// Tell the same, whatever is written after it.
    Mark(oneshot::Sender<()>),
    /// Send what changes nothing, and tell when it was acknowledged, with all before it.
    Nothing(oneshot::Sender<()>),
}

/// The driver's end of what a [`super::Writer`] asks for.
#[derive(Debug)]
pub(super) struct Orders {
    pub(super) writes: mpsc::Receiver<Write>,
    pub(super) urgent: mpsc::Receiver<Urgent>,
    /// How many bytes a write should have.
    pub(super) handful: Arc<AtomicUsize>,
}

/// What does not wait behind input.
#[derive(Debug)]
pub(super) enum Urgent {
    Interrupt(Bytes),
    Resize { cols: u32, rows: u32 },
    Terminate,
}

/// Closed so often before anything was heard, and trying on is vain.
const CLOSED_AT_ONCE: u32 = 3;
/// How often the clocks are compared.
const CLOCK_CHECK: Duration = Duration::from_secs(5);
/// After a sleep the gateway has this long to show that the connection lives.
const AFTER_SLEEP: Duration = Duration::from_secs(5);
/// A session that nobody has used for so long is left to the service's own rules: a resumption would count as
/// use. One that is kept alive is meant to be used.
const IN_USE: Duration = Duration::from_secs(10 * 60);

/// How one socket came to its end.
enum Cut {
    /// Find another one.
    Reconnect(String),
    /// It is old, and this is a quiet moment: find another one before the gateway closes it.
    Renew,
    /// The session, or whoever held the channel, has ended.
    Over,
    /// The channel failed for good.
    Failed(ChannelError),
}

type Keying = BoxFuture<'static, Result<DataKey, GatewayError>>;

pub(super) struct Driver {
    pub(super) client_id: Uuid,
    pub(super) gateway: Arc<dyn Gateway>,
    pub(super) dialer: Arc<Dialer>,
    pub(super) options: Options,
    pub(super) session: Session,
    events: mpsc::Sender<Event>,
    orders: Orders,
    /// Events that the reader has not taken yet. While they are too large, the socket is not read.
    pending: VecDeque<Event>,
    pub(super) pending_bytes: usize,
    keying: Option<Keying>,
    draining: Vec<oneshot::Sender<()>>,
    marks: VecDeque<oneshot::Sender<()>>,
    pub(super) flapping: Flapping,
    /// Whether the agent was heard at all.
    heard: bool,
    closed_at_once: u32,
    opened: Instant,
    wondered: bool,
    /// When bytes last went either way, and when the last ones of ours did.
    last_carried: Instant,
    last_written: Instant,
    /// Since when something of ours waits for a word of the agent, and how often that was told.
    unanswered: Option<(Instant, u32)>,
}

impl Driver {
    pub(super) fn new(
        client_id: Uuid,
        gateway: Arc<dyn Gateway>,
        dialer: Arc<Dialer>,
        options: Options,
        events: mpsc::Sender<Event>,
        orders: Orders,
    ) -> Self {
        let now = Instant::now();
        let mut session = Session::new(options.limits, Box::new(Clock::new()));
        if let Some(after) = options.keepalive {
            session.keep_alive(after);
        }
        Self {
            client_id,
            gateway,
            dialer,
            options,
            session,
            events,
            orders,
            pending: VecDeque::new(),
            pending_bytes: 0,
            keying: None,
            draining: Vec::new(),
            marks: VecDeque::new(),
            flapping: Flapping::default(),
            heard: false,
            closed_at_once: 0,
            opened: now,
            wondered: false,
            last_carried: now,
            last_written: now,
            unanswered: None,
        }
    }

    pub(super) async fn run(mut self, mut socket: Socket) {
        let last = loop {
            let born = Instant::now();
            let (cause, mut told) = match self.carry(&mut socket).await {
                Cut::Reconnect(cause) => (cause, Told::Yes),
                Cut::Renew => ("the connection was about to be closed".to_owned(), Told::NotYet),
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
            self.flapping
                .weigh(&self.session, since - born, self.options.steady_after);
            if told == Told::Yes {
                self.push(Event::Reconnecting { cause: cause.clone() });
            }
            match self.reconnect(since, &cause, &mut told).await {
                Ok(Some(new)) => socket = new,
                Ok(None) => break Some(Event::TimedOut),
                Err(error) => break Some(Event::Failed(error)),
            }
            self.session.reconnected(Instant::now());
            self.unanswered = None;
            if told == Told::Yes {
                self.push(Event::Reconnected {
                    away: since.elapsed(),
                });
            }
        };
        self.pending.extend(last);
        // Who writes learns of the end though a slow reader has not come to it.
        drop(self.orders);
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
        let born = Instant::now();
        let mut frames = VecDeque::new();
        let mut last_heard = born;
        let mut next_ping = born + self.options.ping_every;
        let mut deaf_at = last_heard + self.options.deaf_after;
        let mut clocks = Clocks::now();
        loop {
            if let Err(error) = self.collect() {
                return Cut::Failed(error);
            }
            if self.session.is_closed() {
                drop(timeout(Duration::from_secs(1), self.farewell(socket)).await);
                return Cut::Over;
            }
            let passed = self.session.passed_marks().min(self.marks.len());
            for waiting in self.marks.drain(..passed) {
                let _ = waiting.send(());
            }
            if self.session.is_drained() {
                for waiting in self.draining.drain(..) {
                    // Who asked may have gone.
                    let _ = waiting.send(());
                }
            }
            let now = Instant::now();
            let room = self.room();
            if room.is_none() {
                // Not reading, we cannot hear; that is not the gateway's fault.
                deaf_at = deaf_at.max(now + self.options.deaf_after);
                self.unanswered = None;
            }
            let answer_timer = self.check_answers(now);
            let renew_at = (born + self.options.renew_after).max(self.last_carried + self.options.quiet_for);
            let wake = [
                Some(renew_at).filter(|at| *at > now),
                Some(next_ping),
                room.and(Some(deaf_at)),
                Some(now + CLOCK_CHECK),
                self.session.poll_timeout(),
                self.silence_timer(),
                answer_timer,
            ];
            let wake = wake.into_iter().flatten().min().unwrap_or(next_ping);
            self.orders
                .handful
                .store(self.session.handful(), Ordering::Relaxed);
            let takes_more = !self.session.is_full();
            tokio::select! {
                exchanged = exchange(socket, &mut self.session, &mut frames, room) => match exchanged {
                    Ok(Exchanged::Heard(heard)) => {
                        last_heard = Instant::now();
                        deaf_at = last_heard + self.options.deaf_after;
                        for message in heard {
                            if let Err(cut) = self.receive(message) {
                                return cut;
                            }
                        }
                    }
                    // More is taken below.
                    Ok(Exchanged::Room) => {}
                    Err(error) => return Cut::Reconnect(error.to_string()),
                },
                permit = events.reserve(), if !self.pending.is_empty() => {
                    let Ok(permit) = permit else { return Cut::Over };
                    if let Some(event) = self.pop() {
                        permit.send(event);
                    }
                }
                urgent = self.orders.urgent.recv() => match urgent {
                    Some(Urgent::Interrupt(bytes)) => {
                        // What was handed over before the interrupt is as stale as what is queued.
                        while self.orders.writes.try_recv().is_ok() {}
                        self.session.interrupt(bytes);
                        self.last_written = Instant::now();
                    }
                    Some(Urgent::Resize { cols, rows }) => self.session.resize(Size { cols, rows }),
                    Some(Urgent::Terminate) => self.session.flag(Flag::TerminateSession),
                    None => return Cut::Over,
                },
                write = self.orders.writes.recv(), if takes_more => match write {
                    Some(write) => self.write(write),
                    None => return Cut::Over,
                },
                key = answered(&mut self.keying), if self.keying.is_some() => {
                    self.keying = None;
                    self.session.provide_key(key.map_err(|error| error.message));
                }
                () = sleep_until(wake.into()) => {}
            }
            let now = Instant::now();
            self.session.handle_timeout(now);
            if now >= next_ping {
                next_ping = now + self.options.ping_every;
                frames.push_back(Message::Ping(Bytes::from_static(b"keepalive")));
            }
            if clocks.slept() {
                deaf_at = deaf_at.min(now + AFTER_SLEEP);
                next_ping = now;
            }
            if room.is_some() && now >= deaf_at {
                let silence = now.saturating_duration_since(last_heard).as_secs();
                // Owing too much, we have not listened.
                let cause = if self.session.owes_too_much() {
                    format!("the gateway has taken nothing for {silence} s")
                } else {
                    format!("nothing was heard for {silence} s")
                };
                return Cut::Reconnect(cause);
            }
            if let Some(cut) = self.check_silence(now) {
                return cut;
            }
            if self.is_time_to_renew(now, born) {
                return Cut::Renew;
            }
        }
    }

    /// The last acknowledgements, and a close.
    async fn farewell(&mut self, socket: &mut Socket) {
        let mut last = VecDeque::from([Message::Close(None)]);
        while let Some(acknowledgement) = self.session.poll_transmit(Instant::now()) {
            last.push_front(Message::binary(acknowledgement));
        }
        // It returns when the gateway has closed too, or has said anything else.
        drop(exchange(socket, &mut self.session, &mut last, Some(1)).await);
    }

    /// How many bytes may be read now; `None` while the reader has enough to do.
    fn room(&self) -> Option<usize> {
        let left = self.options.read_ahead.saturating_sub(self.pending_bytes);
        (self.pending.is_empty() || left > 0).then_some(left)
    }

    pub(super) fn push(&mut self, event: Event) {
        self.pending_bytes += event.size();
        self.pending.push_back(event);
    }

    fn pop(&mut self) -> Option<Event> {
        let event = self.pending.pop_front()?;
        self.pending_bytes = self.pending_bytes.saturating_sub(event.size());
        Some(event)
    }

    fn write(&mut self, write: Write) {
        self.last_written = Instant::now();
        self.last_carried = self.last_written;
        match write {
            Write::Bytes(bytes) => self.session.write(bytes),
            Write::Flag(flag) => self.session.flag(flag),
            Write::Trial(large, small) => self.session.try_size(large, small),
            Write::Drained(waiting) => self.draining.push(waiting),
            Write::Mark(waiting) => {
                self.session.mark();
                self.marks.push_back(waiting);
            }
            Write::Nothing(waiting) => {
                self.session.write_nothing();
                self.marks.push_back(waiting);
            }
        }
    }

    /// The gateway closes every socket after an hour; where nothing is under way, we come before it.
    fn is_time_to_renew(&self, now: Instant, born: Instant) -> bool {
        let since = |then| now.saturating_duration_since(then);
        since(born) >= self.options.renew_after
            && since(self.last_carried) >= self.options.quiet_for
            && (since(self.last_written) < IN_USE || self.options.keepalive.is_some())
            && self.session.is_drained()
            && self.pending.is_empty()
    }

    /// Takes over what the session has to tell.
    pub(super) fn collect(&mut self) -> Result<(), ChannelError> {
        while let Some(event) = self.session.poll_event() {
            if let Some(event) = self.translate(event)? {
                self.push(event);
            }
        }
        Ok(())
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

    pub(super) fn hear(&mut self, bytes: &[u8]) {
        self.heard = true;
        self.unanswered = None;
        self.closed_at_once = 0;
        self.last_carried = Instant::now();
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

    fn translate(&mut self, event: session::Event) -> Result<Option<Event>, ChannelError> {
        Ok(Some(match event {
            session::Event::Ready {
                session_type,
                agent_version,
                properties,
            } => {
                if let (SessionType::Port, Some(limits)) = (&session_type, self.options.late_port_limits) {
                    self.session.limit(limits);
                }
                Event::Ready {
                    session_type,
                    agent_version,
                    properties,
                }
            }
            session::Event::NeedKey(wish) => {
                let gateway = Arc::clone(&self.gateway);
                self.keying = Some(Box::pin(async move { gateway.data_key(&wish).await }));
                return Ok(None);
            }
            session::Event::Output(bytes) => Event::Output(bytes),
            session::Event::ErrorOutput(bytes) => Event::ErrorOutput(bytes),
            session::Event::ExitCode(code) => Event::ExitCode(code),
            session::Event::Flag(flag) => Event::Flag(flag),
            session::Event::Tried(tried) => Event::Tried(tried),
            session::Event::CustomerMessage(words) => Event::CustomerMessage(words),
            session::Event::Refused(refusal) => Event::Refused(refusal),
            session::Event::Closed { words, torn } => Event::Closed { words, torn },
            session::Event::NotUnderstood(what) => return Err(ChannelError::NotUnderstood(what)),
            session::Event::Undecipherable(error) => return Err(ChannelError::Undecipherable(error)),
        }))
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
            self.push(Event::Waiting);
        }
        None
    }

    /// Tells how long the agent has not answered, each time that so long has passed. When that will be the next
    /// time.
    fn check_answers(&mut self, now: Instant) -> Option<Instant> {
        let after = self.options.unanswered_after?;
        if !self.heard || self.session.is_drained() {
            self.unanswered = None;
            return None;
        }
        let (since, told) = *self.unanswered.get_or_insert((now, 0));
        let next = since + after * (told + 1);
        if next > now {
            return Some(next);
        }
        self.unanswered = Some((since, told + 1));
        self.push(Event::Unanswered(after * (told + 1)));
        Some(next + after)
    }

    /// Hands events on without waiting: the person should read "reconnecting" while it goes on.
    pub(super) fn hand_on(&mut self) {
        while !self.pending.is_empty()
            && let Ok(permit) = self.events.clone().try_reserve_owned()
        {
            if let Some(event) = self.pop() {
                permit.send(event);
            }
        }
    }
}

/// The data key, when it has come.
async fn answered(keying: &mut Option<Keying>) -> Result<DataKey, GatewayError> {
    match keying {
        Some(keying) => keying.await,
        None => pending().await,
    }
}
