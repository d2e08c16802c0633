//! Many connections at a time: one smux stream each.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::answer::{Asked, Trust};
use super::link::{self, FromLink, Link, ToLink};
use super::pace::Pace;
use super::size::Size;
use super::{CarryEnd, Connections, Report, heard};
use crate::datachannel::{ChannelError, Event, Events, Flag, Tried, Writer};
use crate::ids::Version;
use crate::ports::Refusal;
use crate::protocol::smux::{self, Keepalive, Mux, StreamId, frame};
use crate::transport::TransportError;
use crate::transport::forward::{Counters, refusal};

/// Received bytes that local programs have not taken yet, of all connections of a session. Beyond it the session
/// waits: a program that stands still costs the others this much.
const BUDGET: usize = 16 << 20;
/// What an agent holds of streams whose targets do not read. Full, it reads nothing more, and acknowledges nothing.
const AGENTS_BUDGET: u64 = 4 << 20;
/// An agent that is not merely full has so long to answer.
const GIVEN_UP: Duration = Duration::from_secs(30);

/// A connection as the session sees it.
struct Stream {
    link: Link,
    /// Whether a byte came from the far end.
    answered: bool,
    /// Bytes that went there.
    sent: u64,
}

/// Carries connections until the session or their supply ends.
pub(super) async fn carry(
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
        let mut pace = Pace::new(connections.rate_limit);
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut supplied = true;
        loop {
            self.settle();
            if !supplied && self.streams.is_empty() && !self.mux.has_something_to_send() {
                return Ok(CarryEnd::Retired);
            }
            let waits = pace.wait(Instant::now());
            let timer = [self.mux.poll_timeout(), waits].into_iter().flatten().min();
            let alive = self.channel == Alive::Yes;
            let sends = alive && (self.mux.has_something_to_send() || !self.asking.is_empty());
            tokio::select! {
                // To leave with the channel what it holds would save nothing, and keep its end from us.
                event = events.next(), if !self.mux.is_congested() || !alive => match event {
                    Some(Event::Output(bytes)) => self.hear(bytes)?,
                    Some(Event::Flag(Flag::ConnectToPortError)) => self.unreachable += 1,
                    Some(Event::Unanswered(time)) if time >= GIVEN_UP && !self.may_have_filled_the_agent() => {
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
                        if let Some(id) = self.next_asked() {
                            let asked = Asked { acknowledged: Some(place.mark()), trust: self.trust };
                            if let Some(stream) = self.streams.get(&id) {
                                stream.link.send(ToLink::Asked(asked));
                            }
                        } else if let Some(size) = size.worth_trying(self.mux.waiting_bytes(), place.handful(), &connections.learnt) {
                            place.try_size(smux::nothing(size), smux::nothing(frame::HEADER));
                        } else if let Some(bytes) = self.mux.poll_transmit(place.handful()) {
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
                            self.streams.insert(id, Stream { link, answered: false, sent: 0 });
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

    /// Whether the agent may be silent because targets do not take what it holds for them.
    fn may_have_filled_the_agent(&self) -> bool {
        self.streams.values().map(|stream| stream.sent).sum::<u64>() >= AGENTS_BUDGET
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
                        stream.link.sent(bytes);
                    }
                }
                smux::Event::FarFinished(id) => {
                    let Some(stream) = self.streams.get(&id) else {
                        continue;
                    };
                    // The flag names no stream, but the end of the one that it is about follows it, and the
                    // agent dials one after another.
                    if self.unreachable > 0 && !stream.answered {
                        self.unreachable -= 1;
                        self.trust = Trust::Unknown;
                        stream.link.send(ToLink::Refused(Refusal::Refused));
                        (self.report)(Report::Unreachable);
                    } else {
                        stream.link.send(ToLink::Finished);
                    }
                }
            }
        }
    }

    fn take(&mut self, id: StreamId, message: FromLink) {
        match message {
            FromLink::Data(bytes) => self.mux.write(id, bytes),
            FromLink::Taken(bytes) => self.mux.taken(id, bytes),
            FromLink::Finished => self.mux.finish(id),
            FromLink::Gone => {
                self.mux.abort(id);
                if self.streams.remove(&id).is_some() {
                    (self.report)(Report::Ended);
                }
            }
        }
    }
}
