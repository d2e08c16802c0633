//! The sending half: nothing is forgotten before it is acknowledged, and no more is in flight than the peer
//! keeps up with. Every step costs the same however much is in flight.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use uuid::Uuid;

use super::marks::Marks;
use super::rtt::RoundTrip;
use super::unsent::Unsent;
use super::window::{Bounds, Fill, Window};
use crate::protocol::message::PayloadType;

/// Sizes of one session's sending.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest payload, bytes. Agents and the plugin send 1,024.
    pub payload: usize,
    /// Unacknowledged bytes at which sending waits. The agent acknowledges what it has written to the pty,
    /// so a small window keeps a Ctrl-C close behind what the remote has taken.
    pub in_flight: Bounds,
    /// Unsent bytes at which [`Outgoing::is_full`] says so.
    pub unsent: usize,
}

impl Limits {
    /// For shells: key strokes and pastes.
    pub const SHELL: Self = Self {
        payload: 1024,
        in_flight: Bounds::fixed(16 * 1024),
        unsent: 4 * 1024,
    };

    /// For a port's bytes. The agent has 4 MiB for all connections of a session before it hears nothing any
    /// more; what is unsent waits where streams are still chosen fairly.
    pub const PORT: Self = Self {
        payload: 1024,
        in_flight: Bounds {
            first: 64 * 1024,
            least: 16 * 1024,
            most: 3 * 1024 * 1024,
        },
        unsent: 16 * 1024,
    };
}

/// The peer keeps 100,000 messages that came before their turn and drops what is beyond; where the oldest
/// one is lost, no more than half of that is sent meanwhile.
const LONGEST_SPAN: usize = 50_000;
/// So many of the oldest messages are sent again where nothing behind them was acknowledged. Such silence is
/// mostly a peer that is busy, not one that has lost everything.
const PROBE: usize = 4;
/// The probe doubles with each message that is acknowledged after it was sent again, up to this.
const LARGEST_PROBE: usize = 1024;

/// What makes a message out of a payload, at the moment when it is sent for the first time.
pub trait Finish {
    /// Gives the message its id and date and, where the session is encrypted, its final payload.
    fn finish(&mut self, payload_type: PayloadType, payload: Bytes) -> Finished;
}

/// What a retransmission repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The message's id.
    pub id: Uuid,
    /// Its date.
    pub created: u64,
    /// The payload as it goes over the wire.
    pub payload: Bytes,
}

/// What is to be sent. A retransmission repeats all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The sequence number.
    pub sequence: i64,
    /// What the payload is.
    pub payload_type: PayloadType,
    /// Id, date and payload.
    pub finished: Finished,
    /// Whether this sequence number has been sent before.
    pub again: bool,
}

#[derive(Debug)]
struct Sent {
    payload_type: PayloadType,
    finished: Finished,
    at: Instant,
    /// How often it was sent again.
    repeats: u32,
    /// The timer under which it stands in `timers`.
    timer: Option<Instant>,
    /// Its time has passed, but it is too far from the front to be worth sending again yet.
    overdue: bool,
}

/// So many messages fit into the window: with one alone, each would wait for the acknowledgement of the last, and
/// on a slow path, whose window is small, everything behind it for all of a large one.
const PIPELINE: usize = 4;
/// Small messages are handed over several at a time, up to this.
const HANDFUL: usize = 32 * 1024;
/// What a message may hold however small the window is.
const LEAST_PAYLOAD: usize = 1024;

/// The outgoing buffer of one direction.
#[derive(Debug)]
pub struct Outgoing {
    limits: Limits,
    unsent: Unsent,
    marks: Marks,
    /// A message whose size is being tried out; nothing else is sent meanwhile.
    trial: Option<Trial>,
    /// What was sent, from the sequence number `base` on; `None` for what was acknowledged out of turn.
    sent: VecDeque<Option<Sent>>,
    base: i64,
    /// The highest acknowledged number: what is below it and not acknowledged is lost, for the peer
    /// acknowledges what comes early as well.
    highest: i64,
    /// Messages that were acknowledged, each counted once.
    acknowledged: u64,
    /// Numbers that wait to be sent again.
    due: BTreeSet<i64>,
    timers: BTreeSet<(Instant, i64)>,
    unacknowledged_bytes: usize,
    window: Window,
    probe: usize,
    rtt: RoundTrip,
}

/// A size of message that is being tried out.
#[derive(Debug, Clone)]
struct Trial {
    large: Bytes,
    small: Bytes,
    /// Bytes that were written before it and are not sent yet.
    behind: usize,
    sequence: Option<i64>,
}

/// What became of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// Messages are so large from now on.
    Passed(usize),
    /// They stay as they were.
    Failed,
}

impl Outgoing {
    /// An empty buffer; data is held until [`Outgoing::release`].
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            unsent: Unsent::default(),
            marks: Marks::default(),
            trial: None,
            sent: VecDeque::new(),
            base: 0,
            highest: -1,
            acknowledged: 0,
            due: BTreeSet::new(),
            timers: BTreeSet::new(),
            unacknowledged_bytes: 0,
            window: Window::new(limits.in_flight),
            probe: PROBE,
            rtt: RoundTrip::default(),
        }
    }

    /// Other limits, from here on. What is known of the path is known of small messages only, so the window
    /// begins anew.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
        self.window = Window::new(limits.in_flight);
    }

    /// Queues bytes of the session. Empty ones are dropped: Go peers cannot read an empty payload.
    pub fn write(&mut self, bytes: Bytes) {
        self.unsent.write(bytes);
    }

    /// Drops the bytes that are not sent yet and sends these instead, window or not: a Ctrl-C does not wait
    /// behind a paste that the remote does not read.
    pub fn overtake(&mut self, bytes: Bytes) {
        self.marks.sent(self.unsent.data_bytes(), self.next());
        self.unsent.overtake(bytes);
        if let Some(trial) = &mut self.trial {
            trial.behind = self.unsent.data_bytes();
        }
    }

    /// Queues a message that goes before all data.
    pub fn control(&mut self, payload_type: PayloadType, payload: Bytes) {
        self.unsent.control(payload_type, payload);
    }

    /// Queues a message that keeps its place among the data.
    pub fn in_order(&mut self, payload_type: PayloadType, payload: Bytes) {
        self.unsent.in_order(payload_type, payload);
    }

    /// From now on data is sent.
    pub fn release(&mut self) {
        self.unsent.release();
    }

    /// How much to hand over at once: what is unsent goes out in its order, so it is little where the path is slow,
    /// and the next choice between several connections soon.
    pub fn handful(&self) -> usize {
        self.payload().max(HANDFUL.min(self.window.bytes() / PIPELINE))
    }

    /// Whether more data should wait with the caller.
    pub fn is_full(&self) -> bool {
        self.unsent.data_bytes() >= self.limits.unsent.min(self.handful())
    }

    /// Whether everything was sent and acknowledged.
    pub fn is_empty(&self) -> bool {
        self.unsent.is_empty() && self.sent.is_empty() && self.trial.is_none()
    }

    /// How many messages were acknowledged, each counted once.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Marks the end of what was written; see [`Outgoing::passed_marks`].
    pub fn mark(&mut self) {
        self.marks.set(self.unsent.data_bytes(), self.next());
    }

    /// How many marks more, in the order in which they were set, have nothing before them that is not
    /// acknowledged.
    pub fn passed_marks(&mut self) -> usize {
        self.marks.passed(self.base)
    }

    /// Tries out whether messages may be as large as `large`. It keeps its place behind what was written, goes out
    /// alone, when all of that is acknowledged, and holds all else back until it is acknowledged too: a message that
    /// is too large has to be cut, and that can be done only while nothing follows it. Since it may have arrived all
    /// the same, what is sent in its place, `small`, must mean the same to the peer, come once or come twice.
    pub fn try_size(&mut self, large: Bytes, small: Bytes) {
        if self.trial.is_none() {
            self.trial = Some(Trial {
                large,
                small,
                behind: self.unsent.data_bytes(),
                sequence: None,
            });
        }
    }

    /// An acknowledgement of one sequence number. Unknown ones (doubles) are ignored. Says what became of a trial
    /// that this ends.
    pub fn acknowledge(&mut self, now: Instant, sequence: i64) -> Option<Tried> {
        let was_full = if self.unacknowledged_bytes + self.payload() >= self.window.bytes() {
            Fill::Full
        } else {
            Fill::Idle
        };
        let sent = self.slot(sequence).and_then(Option::take)?;
        self.acknowledged += 1;
        self.due.remove(&sequence);
        if let Some(timer) = sent.timer {
            self.timers.remove(&(timer, sequence));
        }
        self.highest = self.highest.max(sequence);
        self.unacknowledged_bytes = self
            .unacknowledged_bytes
            .saturating_sub(sent.finished.payload.len());
        while let Some(None) = self.sent.front() {
            self.sent.pop_front();
            self.base += 1;
        }
        if sent.repeats == 0 {
            let round_trip = now.saturating_duration_since(sent.at);
            let bytes = sent.finished.payload.len();
            self.rtt.sample(round_trip);
            self.window.acknowledged(now, bytes, round_trip, was_full);
            self.probe = PROBE;
        } else {
            // What was lost is coming through: more of it, and more each time.
            self.probe = (self.probe * 2).min(LARGEST_PROBE);
            self.hurry();
        }
        let trial = self.trial.take_if(|trial| trial.sequence == Some(sequence))?;
        if sent.finished.payload.len() < trial.large.len() {
            return Some(Tried::Failed);
        }
        self.limits.payload = self.limits.payload.max(trial.large.len());
        Some(Tried::Passed(self.limits.payload))
    }

    /// Puts the small message in the place of the large one, which seems not to pass.
    fn give_up_trial(&mut self) {
        let Some(trial) = &self.trial else { return };
        let (small, sequence) = (trial.small.clone(), trial.sequence);
        match sequence {
            // It was not sent yet.
            None => self.trial = None,
            Some(sequence) => {
                if let Some(Some(sent)) = self.slot(sequence) {
                    let (before, after) = (sent.finished.payload.len(), small.len());
                    sent.finished.payload = small;
                    self.unacknowledged_bytes = self
                        .unacknowledged_bytes
                        .saturating_sub(before)
                        .saturating_add(after);
                }
            }
        }
    }

    /// After a reconnect: everything unacknowledged is due at once, in order.
    pub fn resend_all(&mut self, now: Instant) {
        self.give_up_trial();
        self.window.lost(now);
        let base = self.base;
        let waiting = self.sent.iter().zip(base..).filter(|(sent, _)| sent.is_some());
        self.due = waiting.map(|(_, sequence)| sequence).collect();
        self.timers.clear();
        for sent in self.sent.iter_mut().flatten() {
            sent.timer = None;
        }
    }

    /// When [`Outgoing::handle_timeout`] wants to be called.
    pub fn timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Marks what was not acknowledged in time.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut late = Vec::new();
        while let Some(&(at, sequence)) = self.timers.first() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            late.push(sequence);
        }
        let mut slow_down = false;
        for sequence in late {
            let (rtt, highest) = (self.rtt.clone(), self.highest);
            let Some(Some(sent)) = self.slot(sequence) else {
                continue;
            };
            sent.timer = None;
            // The path may have become slower since the message was sent.
            let deadline = sent.at + rtt.timeout(sent.repeats);
            if deadline > now {
                self.arm(sequence, deadline);
            } else if sequence < highest {
                self.due.insert(sequence);
                slow_down = true;
            } else {
                sent.overdue = true;
                let repeats = sent.repeats;
                self.rtt.expired(repeats);
                // Nothing tells how long it takes now, only that there is too much on the way.
                slow_down |= repeats == 0;
                let again = now + rtt.timeout(repeats);
                self.arm(sequence, again);
                let is_trial = self
                    .trial
                    .as_ref()
                    .is_some_and(|trial| trial.sequence == Some(sequence));
                // The first repetition is still as large: messages get lost for other reasons too.
                if is_trial && repeats >= 1 {
                    self.give_up_trial();
                }
            }
        }
        if slow_down {
            self.window.lost(now);
        }
        self.hurry();
    }

    /// The next message to send: repeats first, since the peer waits for them.
    pub fn poll(&mut self, now: Instant, finish: &mut dyn Finish) -> Option<Due> {
        while let Some(sequence) = self.due.pop_first() {
            let rtt = self.rtt.clone();
            let Some(Some(sent)) = self.slot(sequence) else {
                continue;
            };
            sent.repeats = sent.repeats.saturating_add(1);
            sent.at = now;
            sent.overdue = false;
            let due = Due {
                sequence,
                payload_type: sent.payload_type,
                finished: sent.finished.clone(),
                again: true,
            };
            let deadline = now + rtt.timeout(sent.repeats);
            self.arm(sequence, deadline);
            return Some(due);
        }
        let sequence = self.next();
        let (payload_type, payload) = match self.next_trial(sequence) {
            Some(trial) => (PayloadType::OUTPUT, trial),
            None => {
                let before = self.unsent.data_bytes();
                let next = self.next_unsent()?;
                let sent = before - self.unsent.data_bytes();
                self.marks.sent(sent, sequence.saturating_add(1));
                next
            }
        };
        let finished = finish.finish(payload_type, payload);
        self.unacknowledged_bytes += finished.payload.len();
        self.sent.push_back(Some(Sent {
            payload_type,
            finished: finished.clone(),
            at: now,
            repeats: 0,
            timer: None,
            overdue: false,
        }));
        self.arm(sequence, now + self.rtt.timeout(0));
        Some(Due {
            sequence,
            payload_type,
            finished,
            again: false,
        })
    }

    /// What a message holds now.
    fn payload(&self) -> usize {
        let fits = self.window.bytes() / PIPELINE;
        self.limits.payload.min(fits.max(LEAST_PAYLOAD))
    }

    /// The sequence number of what is sent next for the first time.
    fn next(&self) -> i64 {
        self.base.saturating_add_unsigned(self.sent.len() as u64)
    }

    fn slot(&mut self, sequence: i64) -> Option<&mut Option<Sent>> {
        let at = usize::try_from(sequence.checked_sub(self.base)?).ok()?;
        self.sent.get_mut(at)
    }

    /// Sets the message's timer, in place of the one that it has.
    fn arm(&mut self, sequence: i64, deadline: Instant) {
        let Some(Some(sent)) = self.slot(sequence) else {
            return;
        };
        let before = sent.timer.replace(deadline);
        if let Some(before) = before {
            self.timers.remove(&(before, sequence));
        }
        self.timers.insert((deadline, sequence));
    }

    /// The foremost of what is overdue is sent again.
    fn hurry(&mut self) {
        let waiting = self.sent.iter().zip(self.base..);
        let waiting = waiting.filter_map(|(sent, sequence)| Some((sent.as_ref()?, sequence)));
        let overdue: Vec<_> = waiting
            .take(self.probe)
            .filter(|(sent, _)| sent.overdue)
            .map(|(sent, sequence)| (sent.timer, sequence))
            .collect();
        for (timer, sequence) in overdue {
            if let Some(timer) = timer {
                self.timers.remove(&(timer, sequence));
            }
            if let Some(Some(sent)) = self.slot(sequence) {
                sent.timer = None;
                sent.overdue = false;
            }
            self.due.insert(sequence);
        }
    }

    /// The large message of a trial whose turn has come.
    fn next_trial(&mut self, sequence: i64) -> Option<Bytes> {
        let alone = self.unsent.is_released() && self.sent.is_empty();
        let trial = self
            .trial
            .as_mut()
            .filter(|trial| alone && trial.behind == 0 && trial.sequence.is_none())?;
        trial.sequence = Some(sequence);
        Some(trial.large.clone())
    }

    /// What goes out next for the first time: control at any time, data while the window is open.
    fn next_unsent(&mut self) -> Option<(PayloadType, Bytes)> {
        if let Some(control) = self.unsent.next_control() {
            return Some(control);
        }
        let is_open = self.unacknowledged_bytes < self.window.bytes() && self.sent.len() < LONGEST_SPAN;
        let longest = self.payload();
        let longest = self
            .trial
            .as_ref()
            .map_or(longest, |trial| longest.min(trial.behind));
        if !is_open || longest == 0 {
            return None;
        }
        let before = self.unsent.data_bytes();
        let next = self.unsent.next_data(longest);
        if let Some(trial) = &mut self.trial {
            let taken = before.saturating_sub(self.unsent.data_bytes());
            trial.behind = trial.behind.saturating_sub(taken);
        }
        next
    }
}

#[cfg(test)]
#[path = "outgoing_tests.rs"]
mod tests;
