//! The sending half: nothing is forgotten before it is acknowledged, and no more is in flight than the peer
//! keeps up with. Every step costs the same however much is in flight.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use uuid::Uuid;

use super::rtt::RoundTrip;
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

/// The outgoing buffer of one direction.
#[derive(Debug)]
pub struct Outgoing {
    limits: Limits,
    /// Handshake answers, sizes: sent before any data and not held back.
    control: VecDeque<(PayloadType, Bytes)>,
    /// Data, and what keeps its place among it.
    data: VecDeque<(PayloadType, Bytes)>,
    /// A message whose size is being tried out; nothing else is sent meanwhile.
    trial: Option<Trial>,
    data_bytes: usize,
    /// Data waits until the agent would not throw it away.
    released: bool,
    /// What was sent, from the sequence number `base` on; `None` for what was acknowledged out of turn.
    sent: VecDeque<Option<Sent>>,
    base: i64,
    /// The highest acknowledged number: what is below it and not acknowledged is lost, for the peer
    /// acknowledges what comes early as well.
    highest: i64,
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
            control: VecDeque::new(),
            data: VecDeque::new(),
            trial: None,
            data_bytes: 0,
            released: false,
            sent: VecDeque::new(),
            base: 0,
            highest: -1,
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
    pub fn write(&mut self, mut bytes: Bytes) {
        self.data_bytes += bytes.len();
        while !bytes.is_empty() {
            let cut = bytes.len().min(self.limits.payload);
            self.data.push_back((PayloadType::OUTPUT, bytes.split_to(cut)));
        }
    }

    /// Drops the bytes that are not sent yet and sends these instead, window or not: a Ctrl-C does not wait
    /// behind a paste that the remote does not read.
    pub fn overtake(&mut self, bytes: Bytes) {
        self.data.clear();
        self.data_bytes = 0;
        if bytes.is_empty() {
            return;
        }
        if self.released {
            self.control.push_back((PayloadType::OUTPUT, bytes));
        } else {
            self.write(bytes);
        }
    }

    /// Queues a message that goes before all data.
    pub fn control(&mut self, payload_type: PayloadType, payload: Bytes) {
        self.control.push_back((payload_type, payload));
    }

    /// Queues a message that keeps its place among the data.
    pub fn in_order(&mut self, payload_type: PayloadType, payload: Bytes) {
        self.data_bytes += payload.len();
        self.data.push_back((payload_type, payload));
    }

    /// From now on data is sent.
    pub fn release(&mut self) {
        self.released = true;
    }

    /// Whether more data should wait with the caller.
    pub fn is_full(&self) -> bool {
        self.data_bytes >= self.limits.unsent
    }

    /// Whether everything was sent and acknowledged.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty() && self.control.is_empty() && self.sent.is_empty() && self.trial.is_none()
    }

    /// Tries out whether messages may be as large as `large`. It goes out alone, when all else is acknowledged,
    /// and holds all else back until it is acknowledged too: a message that is too large has to be cut, and that
    /// can be done only while nothing follows it. Since it may have arrived all the same, what is sent in its
    /// place, `small`, must mean the same to the peer, come once or come twice.
    pub fn try_size(&mut self, large: Bytes, small: Bytes) {
        if self.trial.is_none() {
            self.trial = Some(Trial {
                large,
                small,
                sequence: None,
            });
        }
    }

    /// An acknowledgement of one sequence number. Unknown ones (doubles) are ignored. Says what became of a trial
    /// that this ends.
    pub fn acknowledge(&mut self, now: Instant, sequence: i64) -> Option<Tried> {
        let was_full = if self.unacknowledged_bytes + self.limits.payload >= self.window.bytes() {
            Fill::Full
        } else {
            Fill::Idle
        };
        let sent = self.slot(sequence).and_then(Option::take)?;
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
        let mut lost = false;
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
                lost = true;
            } else {
                sent.overdue = true;
                let again = now + rtt.timeout(sent.repeats);
                let repeats = sent.repeats;
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
        if lost {
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
        let sequence = self.base.saturating_add_unsigned(self.sent.len() as u64);
        let (payload_type, payload) = match (self.next_trial(sequence), self.control.pop_front()) {
            (Some(trial), control) => {
                control
                    .into_iter()
                    .for_each(|control| self.control.push_front(control));
                (PayloadType::OUTPUT, trial)
            }
            (None, Some(control)) => control,
            (None, None) => self.next_data()?,
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
        let alone = self.released && self.sent.is_empty();
        let trial = self
            .trial
            .as_mut()
            .filter(|trial| alone && trial.sequence.is_none())?;
        trial.sequence = Some(sequence);
        Some(trial.large.clone())
    }

    /// The next payload of data, small writes joined up to the longest payload.
    fn next_data(&mut self) -> Option<(PayloadType, Bytes)> {
        let is_open = self.released
            && self.trial.is_none()
            && self.unacknowledged_bytes < self.window.bytes()
            && self.sent.len() < LONGEST_SPAN;
        if !is_open {
            return None;
        }
        let (payload_type, first) = self.data.pop_front()?;
        let mut joined = None;
        let mut length = first.len();
        while let Some((PayloadType::OUTPUT, next)) = self.data.front()
            && payload_type == PayloadType::OUTPUT
        {
            if length + next.len() > self.limits.payload {
                break;
            }
            length += next.len();
            joined
                .get_or_insert_with(|| BytesMut::from(&first[..]))
                .extend_from_slice(next);
            self.data.pop_front();
        }
        self.data_bytes = self.data_bytes.saturating_sub(length);
        Some((payload_type, joined.map_or(first, BytesMut::freeze)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: Limits = Limits {
        payload: 4,
        in_flight: Bounds::fixed(8),
        unsent: 16,
    };

    fn open(now: Instant) -> (Outgoing, Instant) {
        let mut outgoing = Outgoing::new(LIMITS);
        outgoing.release();
        (outgoing, now)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as the start of a test"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    struct Plain;

    impl Finish for Plain {
        fn finish(&mut self, _: PayloadType, payload: Bytes) -> Finished {
            Finished {
                id: Uuid::nil(),
                created: 1,
                payload,
            }
        }
    }

    fn drain(outgoing: &mut Outgoing, now: Instant) -> Vec<(i64, Bytes)> {
        std::iter::from_fn(|| outgoing.poll(now, &mut Plain))
            .map(|due| (due.sequence, due.finished.payload))
            .collect()
    }

    fn numbers(outgoing: &mut Outgoing, now: Instant) -> Vec<i64> {
        let drained = drain(outgoing, now).into_iter();
        drained.map(|(sequence, _)| sequence).collect()
    }

    #[test]
    fn data_waits_for_release_and_control_does_not() {
        let mut outgoing = Outgoing::new(LIMITS);
        let now = start();
        outgoing.write(Bytes::from_static(b"ls"));
        outgoing.control(PayloadType::SIZE, Bytes::from_static(b"{}"));
        assert_eq!(drain(&mut outgoing, now), [(0, Bytes::from_static(b"{}"))]);
        outgoing.release();
        assert_eq!(drain(&mut outgoing, now), [(1, Bytes::from_static(b"ls"))]);
    }

    #[test]
    fn the_window_closes_and_opens_and_nothing_is_evicted() {
        let (mut outgoing, now) = open(start());
        outgoing.write(Bytes::from_static(b"abcdefghijklmnopqrstuvwx"));
        assert!(outgoing.is_full());
        assert_eq!(drain(&mut outgoing, now).len(), 2);
        outgoing.acknowledge(now, 1);
        assert_eq!(drain(&mut outgoing, now), [(2, Bytes::from_static(b"ijkl"))]);
        outgoing.resend_all(now);
        assert_eq!(numbers(&mut outgoing, now), [0, 2]);
    }

    #[test]
    fn what_is_not_acknowledged_in_time_is_sent_again_ever_more_slowly() {
        let (mut outgoing, now) = open(start());
        outgoing.write(Bytes::from_static(b"a"));
        drain(&mut outgoing, now);
        let first = outgoing.timeout().unwrap();
        assert_eq!(first - now, Duration::from_millis(200));
        outgoing.handle_timeout(first);
        assert_eq!(drain(&mut outgoing, first).len(), 1);
        // The plugin sets this time on a copy and so resends on every scan.
        assert_eq!(outgoing.timeout().unwrap() - first, Duration::from_millis(400));
    }

    #[test]
    fn repeated_messages_teach_nothing_about_the_round_trip() {
        let (mut outgoing, now) = open(start());
        outgoing.write(Bytes::from_static(b"a"));
        drain(&mut outgoing, now);
        outgoing.resend_all(now);
        drain(&mut outgoing, now);
        outgoing.acknowledge(now + Duration::from_secs(30), 0);
        assert!(outgoing.is_empty());
        outgoing.write(Bytes::from_static(b"b"));
        drain(&mut outgoing, now);
        assert_eq!(outgoing.timeout().unwrap() - now, Duration::from_millis(200));
    }

    #[test]
    fn an_interrupt_overtakes_what_is_not_sent() {
        let (mut outgoing, now) = open(start());
        outgoing.write(Bytes::from_static(b"abcdefghijklmnop"));
        drain(&mut outgoing, now);
        outgoing.overtake(Bytes::from_static(b"\x03"));
        assert_eq!(drain(&mut outgoing, now), [(2, Bytes::from_static(b"\x03"))]);
    }

    fn wide(count: usize) -> (Outgoing, Instant) {
        let mut outgoing = Outgoing::new(Limits {
            payload: 1,
            in_flight: Bounds::fixed(1 << 20),
            unsent: 1 << 20,
        });
        let now = start();
        outgoing.release();
        outgoing.write(vec![b'x'; count].into());
        assert_eq!(drain(&mut outgoing, now).len(), count);
        (outgoing, now)
    }

    fn trial(outgoing: &mut Outgoing) {
        outgoing.try_size(Bytes::from_static(b"0123456789"), Bytes::from_static(b"."));
        outgoing.write(Bytes::from_static(b"abcdefgh"));
    }

    #[test]
    fn a_larger_size_is_tried_out_alone_and_used_when_it_passes() {
        let (mut outgoing, now) = open(start());
        outgoing.write(Bytes::from_static(b"first"));
        drain(&mut outgoing, now);
        trial(&mut outgoing);
        assert!(
            drain(&mut outgoing, now).is_empty(),
            "what is in flight comes first"
        );
        assert_eq!(outgoing.acknowledge(now, 0), None);
        assert_eq!(outgoing.acknowledge(now, 1), None);
        assert_eq!(
            drain(&mut outgoing, now),
            [(2, Bytes::from_static(b"0123456789"))]
        );
        assert_eq!(outgoing.acknowledge(now, 2), Some(Tried::Passed(10)));
        assert_eq!(drain(&mut outgoing, now), [(3, Bytes::from_static(b"abcdefgh"))]);
        outgoing.acknowledge(now, 3);
        assert!(outgoing.is_empty());
        assert_eq!(outgoing.unacknowledged_bytes, 0);
    }

    #[test]
    fn a_size_that_cuts_the_connection_is_given_up() {
        let (mut outgoing, now) = open(start());
        trial(&mut outgoing);
        assert_eq!(drain(&mut outgoing, now).len(), 1);
        outgoing.resend_all(now);
        assert_eq!(drain(&mut outgoing, now), [(0, Bytes::from_static(b"."))]);
        assert_eq!(outgoing.acknowledge(now, 0), Some(Tried::Failed));
        let rest = drain(&mut outgoing, now);
        assert_eq!(
            rest,
            [(1, Bytes::from_static(b"abcd")), (2, Bytes::from_static(b"efgh"))]
        );
        outgoing.acknowledge(now, 1);
        outgoing.acknowledge(now, 2);
        assert_eq!(outgoing.unacknowledged_bytes, 0);
    }

    #[test]
    fn a_size_that_vanishes_is_given_up_after_a_second_try() {
        let (mut outgoing, mut now) = open(start());
        trial(&mut outgoing);
        let mut lengths = Vec::new();
        for _ in 0..4 {
            lengths.extend(drain(&mut outgoing, now).iter().map(|(_, payload)| payload.len()));
            now = outgoing.timeout().unwrap();
            outgoing.handle_timeout(now);
        }
        assert_eq!(lengths, [10, 10, 1, 1]);
        assert_eq!(outgoing.acknowledge(now, 0), Some(Tried::Failed));
    }

    #[test]
    fn what_others_have_overtaken_is_lost_and_all_of_it_is_sent_again() {
        let (mut outgoing, now) = wide(100);
        for sequence in (1..100).step_by(2) {
            outgoing.acknowledge(now, sequence);
        }
        outgoing.handle_timeout(now + Duration::from_secs(2));
        let holes: Vec<i64> = (0..100).step_by(2).collect();
        assert_eq!(numbers(&mut outgoing, now + Duration::from_secs(2)), holes);
    }

    #[test]
    fn a_busy_peer_is_probed_and_not_flooded() {
        let (mut outgoing, mut now) = wide(1000);
        let mut again = 0;
        for _ in 0..100 {
            now += Duration::from_millis(100);
            outgoing.handle_timeout(now);
            again += drain(&mut outgoing, now).len();
        }
        assert!((4..60).contains(&again), "{again}");
    }

    #[test]
    fn a_long_tail_that_was_lost_is_there_again_soon() {
        let (mut outgoing, mut now) = wide(1000);
        let begin = now;
        while !outgoing.is_empty() {
            now = outgoing.timeout().unwrap().max(now + Duration::from_millis(20));
            outgoing.handle_timeout(now);
            loop {
                let again = numbers(&mut outgoing, now);
                if again.is_empty() {
                    break;
                }
                now += Duration::from_millis(20);
                for sequence in again {
                    outgoing.acknowledge(now, sequence);
                }
            }
        }
        // One a round trip would be 20 s, one a timeout 200 s.
        assert!(now - begin < Duration::from_secs(1), "{:?}", now - begin);
    }

    #[test]
    fn with_the_oldest_one_lost_sending_stops_before_the_peer_overflows() {
        let (mut outgoing, now) = wide(LONGEST_SPAN);
        for sequence in 1..i64::try_from(LONGEST_SPAN).unwrap() {
            outgoing.acknowledge(now, sequence);
        }
        outgoing.write(Bytes::from_static(b"more"));
        assert!(drain(&mut outgoing, now).is_empty());
        outgoing.acknowledge(now, 0);
        assert_eq!(drain(&mut outgoing, now).len(), 4);
    }

    #[test]
    fn a_flag_keeps_its_place_among_the_data() {
        let (mut outgoing, now) = open(start());
        outgoing.write(Bytes::from_static(b"ab"));
        outgoing.in_order(PayloadType::FLAG, Bytes::from_static(&[0, 0, 0, 1]));
        outgoing.write(Bytes::from_static(b"cd"));
        let sent: Vec<_> = std::iter::from_fn(|| outgoing.poll(now, &mut Plain))
            .map(|due| due.payload_type)
            .collect();
        assert_eq!(
            sent,
            [PayloadType::OUTPUT, PayloadType::FLAG, PayloadType::OUTPUT]
        );
    }
}
