//! One connection at a time, without frames: what agents before 3.0.197 know. The others wait their turn.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::answer::{Asked, Trust};
use super::link::{self, FromLink, ToLink};
use super::pace::Pace;
use super::{CarryEnd, Connections, Report, STANDS_STILL, heard, patience};
use crate::datachannel::{ChannelError, Event, Events, Flag, Writer};
use crate::ports::{Connection, Refusal};
use crate::transport::TransportError;
use crate::transport::forward::refusal;

/// Received bytes that the program has not taken yet; beyond it the session waits.
const BUDGET: usize = 4 << 20;
/// What a target that reads nothing leaves to the agent's system at the least; then the agent waits for it, and
/// acknowledges nothing.
const AGENTS_BUDGET: u64 = 16 << 10;

/// Whether the session takes another connection after one has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turns {
    /// The agent dials again when it is told that the connection has gone.
    Many,
    /// The agent dialled when the session began, and the session ends with it.
    One,
}

/// Carries connections until the session or their supply ends.
pub(super) async fn carry(
    events: &mut Events,
    writer: &Writer,
    turns: Turns,
    connections: &mut Connections,
    report: &(dyn Fn(Report) + Send + Sync),
) -> Result<CarryEnd, TransportError> {
    carry_with(STANDS_STILL, events, writer, turns, connections, report).await
}

/// The same, where a program may stand still for so long.
pub(super) async fn carry_with(
    stands_still: Duration,
    events: &mut Events,
    writer: &Writer,
    turns: Turns,
    connections: &mut Connections,
    report: &(dyn Fn(Report) + Send + Sync),
) -> Result<CarryEnd, TransportError> {
    let mut session = Session {
        stands_still,
        sent: 0,
        events,
        writer,
        connections,
        greeting: Some(VecDeque::new()),
        report,
    };
    loop {
        let connection = match session.next_connection().await? {
            Next::Connection(connection) => connection,
            Next::End(end) => return Ok(end),
        };
        let end = session.carry_one(connection).await?;
        report(Report::Ended);
        if let Some(end) = end {
            return Ok(end);
        }
        if turns == Turns::One {
            return Ok(CarryEnd::Used);
        }
        if let Some(end) = session.disconnect().await? {
            return Ok(end);
        }
    }
}

struct Session<'a> {
    stands_still: Duration,
    /// Bytes that went to the far end since its last answer.
    sent: u64,
    events: &'a mut Events,
    writer: &'a Writer,
    connections: &'a mut Connections,
    /// What a server said before the first connection came: the agent dialled when the session began. It dials
    /// again for a connection that says something.
    greeting: Option<VecDeque<Bytes>>,
    report: &'a (dyn Fn(Report) + Send + Sync),
}

enum Next {
    Connection(Connection),
    End(CarryEnd),
}

impl Session<'_> {
    async fn next_connection(&mut self) -> Result<Next, TransportError> {
        loop {
            let held: usize = self.greeting.iter().flatten().map(Bytes::len).sum();
            tokio::select! {
                connection = self.connections.next.recv() => return Ok(match connection {
                    Some(connection) => Next::Connection(connection),
                    None => Next::End(CarryEnd::Retired),
                }),
                event = self.events.next(), if held < BUDGET => match event {
                    // Without a greeting to keep it is of a connection that has gone.
                    Some(Event::Output(bytes)) => if let Some(greeting) = &mut self.greeting {
                        greeting.push_back(bytes);
                    },
                    other => if let Some(end) = self.heard(other)? {
                        return Ok(Next::End(end));
                    },
                },
            }
        }
    }

    /// One connection, until the program is done with it. The agent does not tell when the server is.
    async fn carry_one(&mut self, connection: Connection) -> Result<Option<CarryEnd>, TransportError> {
        let (tell, mut told) = mpsc::unbounded_channel();
        let waits_for_answer = connection.owes_an_answer();
        let link = link::start(connection, (), self.connections.silence, tell);
        if waits_for_answer && let Some(place) = self.writer.writable().await {
            // The agent dials by itself, and ends the session where it cannot.
            link.send(ToLink::Asked(Asked {
                acknowledged: Some(place.mark()),
                trust: Trust::Unknown,
            }));
        }
        let mut unsent: VecDeque<Bytes> = VecDeque::new();
        let mut pace = Pace::new(&self.connections.rate, Instant::now());
        let mut untaken = 0;
        for bytes in self.greeting.take().into_iter().flatten() {
            untaken += bytes.len();
            self.connections.counters.received(bytes.len());
            link.send(ToLink::Data(bytes));
        }
        self.sent = 0;
        let (mut gone, mut alive, mut took) = (false, true, Instant::now());
        while !(gone && unsent.is_empty()) {
            let waits = pace.wait(Instant::now());
            let stands_until = (alive && untaken >= BUDGET).then(|| took + self.stands_still);
            let timer = [waits, stands_until].into_iter().flatten().min();
            tokio::select! {
                event = self.events.next(), if untaken < BUDGET || !alive => match event {
                    Some(Event::Output(bytes)) => if !gone {
                        self.sent = 0;
                        untaken += bytes.len();
                        self.connections.counters.received(bytes.len());
                        link.send(ToLink::Data(bytes));
                    },
                    other => if let Some(end) = self.heard(other)? {
                        if let CarryEnd::Closed(words) = &end {
                            let why = refusal::of_words(words).unwrap_or(Refusal::Failed);
                            link.send(ToLink::Refused(why));
                        }
                        return Ok(Some(end));
                    },
                },
                place = self.writer.writable(), if waits.is_none() && !unsent.is_empty() => match (place, unsent.pop_front()) {
                    (Some(place), Some(bytes)) => {
                        link.sent(bytes.len());
                        self.sent += bytes.len() as u64;
                        self.connections.counters.sent(bytes.len());
                        pace.spend(Instant::now(), bytes.len());
                        place.write(bytes);
                    }
                    // The last events follow.
                    _ => unsent.clear(),
                },
                () = self.writer.ended(), if alive => alive = false,
                message = told.recv(), if !gone => match message {
                    Some(((), FromLink::Data(bytes))) => unsent.push_back(bytes),
                    Some(((), FromLink::Taken(bytes))) => {
                        untaken = untaken.saturating_sub(bytes);
                        took = Instant::now();
                    }
                    // All that the agent can be told is that the connection has gone.
                    Some(((), FromLink::Finished | FromLink::Gone)) | None => {
                        gone = true;
                        untaken = 0;
                    }
                },
                () = sleep_until(timer.unwrap_or_else(Instant::now).into()), if timer.is_some() => {
                    if stands_until.is_some_and(|until| until <= Instant::now()) {
                        // As in a mux: it is waited for as long as nobody else wants a turn.
                        if !self.connections.next.is_empty() {
                            link.cut();
                            (self.report)(Report::StoodStill);
                        }
                        took = Instant::now();
                    }
                }
            }
        }
        Ok(None)
    }

    /// What becomes of the session with an event that brings no bytes.
    fn heard(&self, event: Option<Event>) -> Result<Option<CarryEnd>, TransportError> {
        match event {
            Some(Event::Unanswered(time)) if time >= patience(self.sent, AGENTS_BUDGET) => {
                Err(ChannelError::Silent(time).into())
            }
            other => heard(other, self.report),
        }
    }

    /// Tells the agent that the connection has gone and waits until it knows: what comes before that belongs to
    /// the old connection and must not reach the next one.
    async fn disconnect(&mut self) -> Result<Option<CarryEnd>, TransportError> {
        let writer = self.writer;
        let mut told = pin!(async {
            if let Some(place) = writer.writable().await {
                place.flag(Flag::DisconnectToPort);
            }
            writer.drained().await
        });
        let mut asking = true;
        loop {
            tokio::select! {
                alive = &mut told, if asking => {
                    if alive {
                        return Ok(None);
                    }
                    // The last events follow.
                    asking = false;
                }
                event = self.events.next() => match event {
                    Some(Event::Output(_)) => {}
                    other => if let Some(end) = self.heard(other)? {
                        return Ok(Some(end));
                    },
                },
            }
        }
    }
}
