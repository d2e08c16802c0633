//! Many connections at a time: one smux stream each.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::answer::{Asked, Trust};
use super::link::{self, FromLink, Link, ToLink};
use super::pace::Pace;
use super::size::Size;
use super::{CarryEnd, Connections, Report, STANDS_STILL, heard, patience};
use crate::datachannel::{ChannelError, Event, Events, Flag, Tried, Writer};
use crate::ids::Version;
use crate::ports::Refusal;
use crate::protocol::smux::{self, Keepalive, Mux, StreamId, frame};
use crate::transport::TransportError;
use crate::transport::forward::{Counters, refusal};

/// Received bytes that local programs have not taken yet, of all connections of a session. Beyond it the session
/// waits: a program that stands still costs the others this much.
///
/// Without a window of a stream's own there are two ways out for those who wait behind it, and both cost a program
/// bytes: to drop what came, which would leave a hole in a stream that seems whole, or to reset the connection,
/// which says that something is missing. So one that is slow is waited for as long as it takes anything, one that
/// stands still as long as nobody else wants something; and after [`STANDS_STILL`] of both it is reset. That is
/// also how a session is found out to have ended when its end lies in the socket behind what nobody takes.
const BUDGET: usize = 16 << 20;
/// What an agent holds of streams whose targets do not read. Full, it reads nothing more, and acknowledges nothing.
const AGENTS_BUDGET: u64 = 4 << 20;

/// A connection as the session sees it.
struct Stream {
    link: Link,
    /// Whether a byte came from the far end.
    answered: bool,
    /// Whether the far end has finished.
    finished: bool,
    /// Bytes that went there since its last answer: what was answered was read.
    sent: u64,
    /// Since when the far end owes something: a first word, or an answer.
    owes: Option<Instant>,
    /// What came and the program has not taken.
    untaken: usize,
    /// When it last took something, or began not to.
    took: Instant,
}

impl Stream {
    fn new(link: Link, now: Instant) -> Self {
        Self {
            link,
            answered: false,
            finished: false,
            sent: 0,
            owes: Some(now),
            untaken: 0,
            took: now,
        }
    }
}

/// Carries connections until the session or their supply ends.
pub(super) async fn carry(
    events: &mut Events,
    writer: &Writer,
    agent: Option<Version>,
    connections: &mut Connections,
    report: &(dyn Fn(Report) + Send + Sync),
) -> Result<CarryEnd, TransportError> {
    carry_with(STANDS_STILL, events, writer, agent, connections, report).await
}

/// The same, where a program may stand still for so long.
pub(super) async fn carry_with(
    stands_still: Duration,
    events: &mut Events,
    writer: &Writer,
    agent: Option<Version>,
    connections: &mut Connections,
    report: &(dyn Fn(Report) + Send + Sync),
) -> Result<CarryEnd, TransportError> {
    let mut session = Session {
        channel: Alive::Yes,
        mux: Mux::new(BUDGET, Keepalive::wanted_by(agent), Instant::now()),
        streams: HashMap::new(),
        left: HashSet::new(),
        congested: None,
        stands_still,
        unreachable: 0,
        asking: VecDeque::new(),
        trust: Trust::Unknown,
        counters: Arc::clone(&connections.counters),
        report,
    };
    let end = session.carry(events, writer, connections).await;
    if let Ok(CarryEnd::Closed(words)) = &end {
        let why = refusal::of_words(words).unwrap_or(Refusal::Failed);
        for stream in session.streams.values().filter(|stream| !stream.answered) {
            stream.link.send(ToLink::Refused(why));
        }
    }
    end
}

/// A stream whose program waits to hear that it was reached.
struct Asking {
    id: StreamId,
    /// Whether the agent was asked for it.
    asked: bool,
}

/// Whether the channel takes more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alive {
    Yes,
    /// What it brought is held by it, and follows.
    No,
}

struct Session<'a> {
    channel: Alive,
    mux: Mux,
    streams: HashMap<StreamId, Stream>,
    /// Streams whose programs left before anything came; the agent may still be dialling for them.
    left: HashSet<StreamId>,
    /// Since when the session waits for programs to take what came.
    congested: Option<Instant>,
    stands_still: Duration,
    /// Dials that failed and whose streams are still to be finished by the agent.
    unreachable: usize,
    /// Those whose programs wait to hear that they were reached, until the question's end is marked.
    asking: VecDeque<Asking>,
    /// What is known of the port.
    trust: Trust,
    counters: Arc<Counters>,
    report: &'a (dyn Fn(Report) + Send + Sync),
}

impl Session<'_> {
    async fn carry(
        &mut self,
        events: &mut Events,
        writer: &Writer,
        connections: &mut Connections,
    ) -> Result<CarryEnd, TransportError> {
        let silence = connections.silence;
        let mut size = Size::new(connections.payload_limit);
        let mut pace = Pace::new(&connections.rate, Instant::now());
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut supplied = true;
        loop {
            self.settle();
            if !supplied && self.streams.is_empty() && !self.mux.has_something_to_send() {
                return Ok(CarryEnd::Retired);
            }
            let alive = self.channel == Alive::Yes;
            let now = Instant::now();
            let holds_up_until = self.cut_who_stands_still(now);
            let waits = pace.wait(now);
            let timers = [self.mux.poll_timeout(), waits, holds_up_until];
            let timer = timers.into_iter().flatten().min();
            let sends = alive && (self.mux.has_something_to_send() || !self.asking.is_empty());
            tokio::select! {
                // To leave with the channel what it holds would save nothing, and keep its end from us.
                event = events.next(), if !self.mux.is_congested() || !alive => match event {
                    Some(Event::Output(bytes)) => self.hear(bytes)?,
                    Some(Event::Flag(Flag::ConnectToPortError)) => self.unreachable += 1,
                    Some(Event::Unanswered(time)) if time >= patience(self.held_by_agent(), AGENTS_BUDGET) => {
                        return Err(ChannelError::Silent(time).into());
                    }
                    Some(Event::Tried(Tried::Passed(bytes))) => size.passed(bytes),
                    Some(Event::Tried(Tried::Failed)) => size.failed(&connections.learnt),
                    other => if let Some(end) = heard(other, self.report)? {
                        return Ok(end);
                    },
                },
                place = writer.writable(), if waits.is_none() && sends => match place {
                    Some(place) => {
                        let handful = place.handful().min(pace.most());
                        if let Some(id) = self.next_asked() {
                            let asked = Asked { acknowledged: Some(place.mark()), trust: self.trust };
                            if let Some(stream) = self.streams.get(&id) {
                                stream.link.send(ToLink::Asked(asked));
                            }
                        } else if let Some(size) = size.worth_trying(self.mux.waiting_bytes(), handful, &connections.learnt) {
                            pace.spend(Instant::now(), size);
                            place.try_size(smux::nothing(size), smux::nothing(frame::HEADER));
                        } else if let Some(bytes) = self.mux.poll_transmit(handful) {
                            // Streams are opened before all data.
                            self.asking.iter_mut().for_each(|asking| asking.asked = true);
                            pace.spend(Instant::now(), bytes.len());
                            place.write(bytes);
                        }
                    }
                    // The last events follow.
                    None => self.channel = Alive::No,
                },
                () = writer.ended(), if alive => self.channel = Alive::No,
                // The sending half lives in this function.
                Some((id, message)) = told.recv() => self.take(id, message),
                connection = connections.next.recv(), if supplied && alive => match connection {
                    Some(connection) => match self.mux.open() {
                        Some(id) => {
                            if connection.owes_an_answer() {
                                self.asking.push_back(Asking { id, asked: false });
                            }
                            let link = link::start(connection, id, silence, tell.clone());
                            self.streams.insert(id, Stream::new(link, Instant::now()));
                        }
                        None => {
                            connection.refuse(Refusal::Failed);
                            (self.report)(Report::Ended);
                        }
                    },
                    None => supplied = false,
                },
                () = sleep_until(timer.unwrap_or_else(Instant::now).into()), if timer.is_some() => {
                    self.mux.handle_timeout(Instant::now());
                }
            }
        }
    }

    /// The next stream that the agent was asked for and whose question's end is to be marked.
    fn next_asked(&mut self) -> Option<StreamId> {
        let asking = self.asking.pop_front_if(|asking| asking.asked)?;
        Some(asking.id)
    }

    /// What the agent may hold, silent because targets do not take it.
    fn held_by_agent(&self) -> u64 {
        self.streams.values().map(|stream| stream.sent).sum()
    }

    /// Resets the connection of a program that has kept the others waiting for too long. When that may next be so.
    fn cut_who_stands_still(&mut self, now: Instant) -> Option<Instant> {
        let is_congested = self.channel == Alive::Yes && self.mux.is_congested();
        self.congested = is_congested.then(|| self.congested.unwrap_or(now));
        let since = self.congested?;
        let waits = |stream: &Stream| stream.owes.filter(|_| stream.untaken == 0);
        let kept_waiting = self.streams.values().filter_map(waits).min()?;
        let (id, stream) = self.streams.iter().max_by_key(|(_, stream)| stream.untaken)?;
        let until = since.max(kept_waiting).max(stream.took) + self.stands_still;
        if until > now {
            return Some(until);
        }
        let id = *id;
        stream.link.cut();
        (self.report)(Report::StoodStill);
        self.gone(id);
        Some(now)
    }

    /// A link is over.
    fn gone(&mut self, id: StreamId) {
        self.mux.abort(id);
        if let Some(stream) = self.streams.remove(&id) {
            if !stream.answered && !stream.finished {
                self.left.insert(id);
            }
            (self.report)(Report::Ended);
        }
    }

    fn hear(&mut self, bytes: Bytes) -> Result<(), TransportError> {
        self.mux.receive(bytes).map_err(TransportError::Mux)
    }

    /// Hands on what became of the streams.
    fn settle(&mut self) {
        while let Some(event) = self.mux.poll_event() {
            match event {
                smux::Event::Data(id, bytes) => match self.streams.get_mut(&id) {
                    Some(stream) => {
                        stream.answered = true;
                        stream.sent = 0;
                        stream.owes = None;
                        if stream.untaken == 0 {
                            stream.took = Instant::now();
                        }
                        stream.untaken += bytes.len();
                        self.trust = Trust::Proven;
                        self.counters.received(bytes.len());
                        stream.link.send(ToLink::Data(bytes));
                    }
                    None => self.mux.taken(id, bytes.len()),
                },
                smux::Event::Sent(id, bytes) => {
                    self.counters.sent(bytes);
                    if let Some(stream) = self.streams.get_mut(&id) {
                        stream.sent += bytes as u64;
                        stream.owes.get_or_insert_with(Instant::now);
                        stream.link.sent(bytes);
                    }
                }
                smux::Event::FarFinished(id) => self.far_finished(id),
            }
        }
    }

    fn far_finished(&mut self, id: StreamId) {
        let stream = self.streams.get_mut(&id);
        let unanswered = match &stream {
            Some(stream) => !stream.answered && !stream.finished,
            None => self.left.remove(&id),
        };
        // The flag names no stream, but the end of the one that it is about follows it, and the agent dials one
        // after another.
        let failed = unanswered && self.unreachable > 0;
        if failed {
            self.unreachable -= 1;
            self.trust = Trust::Unknown;
            (self.report)(Report::Unreachable);
        }
        if let Some(stream) = stream {
            stream.finished = true;
            stream.owes = None;
            stream.link.send(match failed {
                true => ToLink::Refused(Refusal::Refused),
                false => ToLink::Finished,
            });
        }
    }

    fn take(&mut self, id: StreamId, message: FromLink) {
        match message {
            FromLink::Data(bytes) => self.mux.write(id, bytes),
            FromLink::Taken(bytes) => {
                self.mux.taken(id, bytes);
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.untaken = stream.untaken.saturating_sub(bytes);
                    stream.took = Instant::now();
                }
            }
            FromLink::Finished => self.mux.finish(id),
            FromLink::Gone => self.gone(id),
        }
    }
}
