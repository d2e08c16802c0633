//! Many connections at a time: one smux stream each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::link::{self, FromLink, Link, ToLink};
use super::pace::Pace;
use super::size::Size;
use super::{CarryEnd, Connections, Report, heard};
use crate::datachannel::{Event, Events, Flag, Tried, Writer};
use crate::ids::Version;
use crate::protocol::smux::{self, Keepalive, Mux, StreamId, frame};
use crate::transport::TransportError;
use crate::transport::forward::Counters;

/// Received bytes that local programs have not taken yet, of all connections of a session. Beyond it the session
/// waits: a program that stands still costs the others this much.
const BUDGET: usize = 16 << 20;
/// What is handed to the data channel at once at least; it cuts messages of it.
const WRITE: usize = 8 * 1024;

/// A connection as the session sees it.
struct Stream {
    link: Link,
    /// Whether a byte came from the far end.
    answered: bool,
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
        mux: Mux::new(BUDGET, Keepalive::wanted_by(agent), Instant::now()),
        streams: HashMap::new(),
        unreachable: 0,
        counters: Arc::clone(&connections.counters),
        report,
    };
    let silence = connections.silence;
    let mut size = Size::new(connections.payload_limit);
    let mut pace = Pace::new(connections.rate_limit);
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut supplied = true;
    loop {
        session.settle();
        if !supplied && session.streams.is_empty() && !session.mux.has_something_to_send() {
            return Ok(CarryEnd::Retired);
        }
        let waits = pace.wait(Instant::now());
        let timer = [session.mux.poll_timeout(), waits].into_iter().flatten().min();
        tokio::select! {
            event = events.next(), if !session.mux.is_congested() => match event {
                Some(Event::Output(bytes)) => session.hear(bytes)?,
                Some(Event::Flag(Flag::ConnectToPortError)) => session.unreachable += 1,
                Some(Event::Tried(Tried::Passed(bytes))) => size.passed(bytes),
                Some(Event::Tried(Tried::Failed)) => size.failed(&connections.learnt),
                other => if let Some(end) = heard(other, report)? {
                    return Ok(end);
                },
            },
            place = writer.writable(), if waits.is_none() && session.mux.has_something_to_send() => match place {
                Some(place) => {
                    if let Some(size) = size.worth_trying(session.mux.waiting_bytes(), &connections.learnt) {
                        place.try_size(smux::nothing(size), smux::nothing(frame::HEADER));
                    } else if let Some(bytes) = session.mux.poll_transmit(size.now().max(WRITE)) {
                        pace.spend(Instant::now(), bytes.len());
                        place.write(bytes);
                    }
                }
                // The last events follow.
                None => session.mux = Mux::new(BUDGET, Keepalive::Off, Instant::now()),
            },
            // The sending half lives in this function.
            Some((id, message)) = told.recv() => session.take(id, message),
            connection = connections.next.recv(), if supplied => match connection {
                Some(connection) => match session.mux.open() {
                    Some(id) => {
                        let link = link::start(connection, id, silence, tell.clone());
                        session.streams.insert(id, Stream { link, answered: false });
                    }
                    None => {
                        connection.reset();
                        report(Report::Ended);
                    }
                },
                None => supplied = false,
            },
            () = sleep_until(timer.unwrap_or_else(Instant::now).into()), if timer.is_some() => {
                session.mux.handle_timeout(Instant::now());
            }
        }
    }
}

struct Session<'a> {
    mux: Mux,
    streams: HashMap<StreamId, Stream>,
    /// Dials that failed and whose streams are still to be finished by the agent.
    unreachable: usize,
    counters: Arc<Counters>,
    report: &'a (dyn Fn(Report) + Send + Sync),
}

impl Session<'_> {
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
                        self.counters.received(bytes.len());
                        stream.link.send(ToLink::Data(bytes));
                    }
                    None => self.mux.taken(id, bytes.len()),
                },
                smux::Event::Sent(id, bytes) => {
                    self.counters.sent(bytes);
                    if let Some(stream) = self.streams.get(&id) {
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
                        stream.link.send(ToLink::Unreachable);
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
