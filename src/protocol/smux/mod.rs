//! smux version 1, the client's half: many TCP connections over one session's bytes.
//!
//! Sans-IO like all of [`crate::protocol`]: [`Mux::receive`] takes what the session brought,
//! [`Mux::poll_transmit`] gives what it is to carry, [`Mux::poll_event`] says what became of the streams.
//! Version 1 has no window of its own: whoever reads a stream says so with [`Mux::taken`], and while too much
//! is untaken ([`Mux::is_congested`]) the session's bytes have to wait with the session. So a slow reader
//! costs its own stream first, the whole session when the budget is used up, and nobody ever a byte.

pub mod frame;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::ids::Version;
use frame::{Command, Decoder, HEADER, LONGEST_DATA, Piece, put_header};
use stream::{Side, Stream};

pub use frame::{FrameError, StreamId};

/// The reference begins here; the agent's half has the even ones.
const FIRST: u32 = 3;
/// How often a sign of life is due, where the agent wants one.
const NOP_EVERY: Duration = Duration::from_secs(10);
/// Agents above this let the client switch keepalive off, and do so for a client of our version.
const LAST_WITH_KEEPALIVE: Version = Version([3, 1, 1511, 0]);
/// Streams of the agent's that were refused and whose refusal has not left yet. The reference keeps a thousand for
/// who would accept them; nobody here does, and agents open none.
const MOST_REFUSALS: usize = 16;

/// Whether signs of life go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keepalive {
    /// None: every byte from the client resets the session's idle timeout, which is the administrator's.
    Off,
    /// A NOP every ten seconds, or the agent ends the session after thirty.
    Nops,
}

impl Keepalive {
    /// What an agent of this version counts on. NOPs from it are never counted on: pings watch the connection,
    /// and a session that is being resumed is silent for as long as that takes.
    pub fn wanted_by(agent: Option<Version>) -> Self {
        match agent {
            Some(version) if version <= LAST_WITH_KEEPALIVE => Self::Nops,
            _ => Self::Off,
        }
    }
}

/// What became of the streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Data for the local reader, who answers with [`Mux::taken`].
    Data(StreamId, Bytes),
    /// So many bytes of a stream have left: there is room for as many.
    Sent(StreamId, usize),
    /// The far end sends no more. The agent never half-closes: it hears no more either. Comes for streams that
    /// were given up too.
    FarFinished(StreamId),
}

/// The client's half of a mux session.
#[derive(Debug)]
pub struct Mux {
    decoder: Decoder,
    streams: BTreeMap<StreamId, Stream>,
    next: Option<u32>,
    /// Headers without data: they go before everything.
    marks: VecDeque<(Command, StreamId)>,
    /// Streams that the agent opened: each is told that nobody is there.
    refusals: VecDeque<StreamId>,
    /// The streams that wait to send, by turn.
    turns: BTreeSet<(u64, StreamId)>,
    /// The turn that was last taken.
    present: u64,
    /// What it costs to keep what was received and not taken.
    untaken: usize,
    budget: usize,
    nop_at: Option<Instant>,
    events: VecDeque<Event>,
}

impl Mux {
    /// A session without streams. More than `budget` bytes untaken make it congested.
    pub fn new(budget: usize, keepalive: Keepalive, now: Instant) -> Self {
        Self {
            decoder: Decoder::default(),
            streams: BTreeMap::new(),
            next: Some(FIRST),
            marks: VecDeque::new(),
            refusals: VecDeque::new(),
            turns: BTreeSet::new(),
            present: 0,
            untaken: 0,
            budget,
            nop_at: (keepalive == Keepalive::Nops).then_some(now + NOP_EVERY),
            events: VecDeque::new(),
        }
    }

    /// Opens a stream; the agent dials when it hears of it. `None` when two thousand million streams have used
    /// up the numbers.
    pub fn open(&mut self) -> Option<StreamId> {
        let number = self.next?;
        self.next = number.checked_add(2);
        let id = StreamId(number);
        self.streams.insert(id, Stream::new(self.present));
        self.marks.push_back((Command::Syn, id));
        Some(id)
    }

    /// Queues data. How much may wait is the caller's to bound, by [`Event::Sent`]; data of a stream that is
    /// finished or gone is dropped.
    pub fn write(&mut self, id: StreamId, bytes: Bytes) {
        if let Some(stream) = self.streams.get_mut(&id)
            && stream.near == Side::Open
            && !bytes.is_empty()
        {
            stream.push(bytes);
            Self::line_up(&mut self.turns, self.present, id, stream);
        }
    }

    /// Says that no more data follows. The agent then closes the target's connection altogether, so what the
    /// target still has to say is lost: wait for it before.
    pub fn finish(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && stream.near == Side::Open
        {
            stream.near = Side::Finishing;
            Self::line_up(&mut self.turns, self.present, id, stream);
        }
    }

    /// Forgets a stream whose local end is gone. What was received is dropped. What waits to be sent is dropped
    /// too, unless [`Mux::finish`] said before that it is all: then it and its FIN still go out.
    pub fn abort(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        self.untaken = self.untaken.saturating_sub(stream.give_up());
        stream.far = Side::Finished;
        if stream.near == Side::Open {
            self.turns.remove(&(stream.turn, id));
            self.streams.remove(&id);
            self.marks.push_back((Command::Fin, id));
        } else {
            self.forget_if_done(id);
        }
    }

    /// The local reader has taken so many bytes.
    pub fn taken(&mut self, id: StreamId, bytes: usize) {
        if let Some(stream) = self.streams.get_mut(&id) {
            self.untaken = self.untaken.saturating_sub(stream.taken(bytes));
        }
        self.forget_if_done(id);
    }

    /// Bytes that wait to be sent, of all streams.
    pub fn waiting_bytes(&self) -> usize {
        self.turns
            .iter()
            .filter_map(|(_, id)| self.streams.get(id))
            .map(Stream::waiting_bytes)
            .sum()
    }

    /// Whether the session's bytes should wait with the session.
    pub fn is_congested(&self) -> bool {
        self.untaken >= self.budget
    }

    /// How many streams there are.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Whether something waits to be sent.
    pub fn has_something_to_send(&self) -> bool {
        !self.marks.is_empty() || !self.refusals.is_empty() || !self.turns.is_empty()
    }

    /// Takes bytes of the session, cut anywhere.
    ///
    /// # Errors
    /// When they are no frames: the session is of no more use.
    pub fn receive(&mut self, mut bytes: Bytes) -> Result<(), FrameError> {
        let whole = bytes.len();
        while let Some(piece) = self.decoder.next(&mut bytes)? {
            match piece {
                Piece::Data(id, data) => {
                    // Data of a stream that we gave up: it was under way when we did.
                    let Some(stream) = self.streams.get_mut(&id) else {
                        continue;
                    };
                    if stream.far == Side::Finished {
                        continue;
                    }
                    self.untaken += stream.receive(data.len());
                    // A small piece would keep all that came with it.
                    let data = if data.len() < whole / 2 {
                        Bytes::copy_from_slice(&data)
                    } else {
                        data
                    };
                    self.events.push_back(Event::Data(id, data));
                }
                Piece::Mark(Command::Fin, id) => {
                    if let Some(stream) = self.streams.get_mut(&id) {
                        if stream.has_said_so {
                            continue;
                        }
                        stream.has_said_so = true;
                        stream.far = Side::Finished;
                    }
                    self.events.push_back(Event::FarFinished(id));
                    self.forget_if_done(id);
                }
                Piece::Mark(Command::Syn, id) if !self.streams.contains_key(&id) => {
                    if self.refusals.len() >= MOST_REFUSALS {
                        return Err(FrameError::Streams);
                    }
                    self.refusals.push_back(id);
                }
                Piece::Mark(Command::Syn | Command::Nop | Command::Psh, _) => {}
            }
        }
        Ok(())
    }

    /// The next bytes for the session, whole frames in at most `longest` bytes; the least is one frame with a
    /// byte of data.
    pub fn poll_transmit(&mut self, longest: usize) -> Option<Bytes> {
        let longest = longest.max(HEADER + 1);
        let mut bytes = BytesMut::new();
        while bytes.len() + HEADER <= longest {
            let refusal = || self.refusals.pop_front().map(|id| (Command::Fin, id));
            let Some((command, id)) = self.marks.pop_front().or_else(refusal) else {
                break;
            };
            put_header(&mut bytes, command, id, 0);
        }
        while let Some(&(turn, id)) = self.turns.first() {
            let room = longest.saturating_sub(bytes.len());
            let Some(stream) = self.streams.get_mut(&id) else {
                self.turns.remove(&(turn, id));
                continue;
            };
            let data = stream.waiting_bytes();
            if room < HEADER + usize::from(data > 0) {
                break;
            }
            self.turns.remove(&(turn, id));
            self.present = self.present.max(turn);
            if data > 0 {
                let length = data.min(room - HEADER).min(LONGEST_DATA);
                // No more than a frame holds, which a u16 does.
                let field = u16::try_from(length).unwrap_or(u16::MAX);
                bytes.reserve(HEADER + length);
                put_header(&mut bytes, Command::Psh, id, field);
                stream.take(length, &mut bytes);
                stream.turn = turn.saturating_add(length as u64);
                self.events.push_back(Event::Sent(id, length));
            } else {
                put_header(&mut bytes, Command::Fin, id, 0);
                stream.near = Side::Finished;
            }
            if stream.is_waiting() {
                self.turns.insert((stream.turn, id));
            }
            self.forget_if_done(id);
        }
        (!bytes.is_empty()).then(|| bytes.freeze())
    }

    /// What became of the streams.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Mux::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.nop_at
    }

    /// The time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.nop_at.is_some_and(|at| at <= now) {
            self.nop_at = Some(now + NOP_EVERY);
            self.marks.push_back((Command::Nop, StreamId(0)));
        }
    }

    fn line_up(turns: &mut BTreeSet<(u64, StreamId)>, present: u64, id: StreamId, stream: &mut Stream) {
        // One that waits already keeps its turn.
        if !turns.contains(&(stream.turn, id)) {
            stream.turn = stream.turn.max(present);
            turns.insert((stream.turn, id));
        }
    }

    fn forget_if_done(&mut self, id: StreamId) {
        let done = |stream: &Stream| {
            stream.near == Side::Finished && stream.far == Side::Finished && stream.is_taken()
        };
        if self.streams.get(&id).is_some_and(done) {
            self.streams.remove(&id);
        }
    }
}

/// Nothing, in so many bytes: NOPs, which a peer reads over, so that a message of them may be cut short or
/// come twice without harm. It is how a size of message is tried out.
pub fn nothing(length: usize) -> Bytes {
    let mut bytes = BytesMut::with_capacity(length);
    for _ in 0..length / HEADER {
        put_header(&mut bytes, Command::Nop, StreamId(0), 0);
    }
    bytes.freeze()
}
