//! The sending half: nothing is forgotten before it is acknowledged, and no more is in flight than the peer
//! keeps up with.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::rtt::RoundTrip;
use crate::protocol::message::PayloadType;

/// Sizes of one session's sending.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest payload, bytes. Agents and the plugin send 1,024.
    pub payload: usize,
    /// Unacknowledged bytes at which sending waits. The agent acknowledges what it has written to the pty,
    /// so a small window keeps a Ctrl-C close behind what the remote has taken.
    pub in_flight: usize,
    /// Unsent bytes at which [`Outgoing::is_full`] says so.
    pub unsent: usize,
}

impl Limits {
    /// For shells: key strokes and pastes.
    pub const SHELL: Self = Self {
        payload: 1024,
        in_flight: 16 * 1024,
        unsent: 4 * 1024,
    };
}

/// What is to be sent: a sequence number, a payload type, a payload. A retransmission repeats all three.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The sequence number.
    pub sequence: i64,
    /// What the payload is.
    pub payload_type: PayloadType,
    /// The payload.
    pub payload: Bytes,
    /// Whether this sequence number has been sent before.
    pub again: bool,
}

#[derive(Debug)]
struct Sent {
    payload_type: PayloadType,
    payload: Bytes,
    at: Instant,
    /// How often it was sent again.
    repeats: u32,
}

/// The outgoing buffer of one direction.
#[derive(Debug)]
pub struct Outgoing {
    limits: Limits,
    next: i64,
    /// Handshake answers, sizes: sent before any data and not held back.
    control: VecDeque<(PayloadType, Bytes)>,
    data: VecDeque<Bytes>,
    data_bytes: usize,
    /// Data waits until the agent would not throw it away.
    released: bool,
    unacknowledged: BTreeMap<i64, Sent>,
    /// Those of them that wait to be sent again.
    due: BTreeSet<i64>,
    unacknowledged_bytes: usize,
    rtt: RoundTrip,
}

impl Outgoing {
    /// An empty buffer; data is held until [`Outgoing::release`].
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            next: 0,
            control: VecDeque::new(),
            data: VecDeque::new(),
            data_bytes: 0,
            released: false,
            unacknowledged: BTreeMap::new(),
            due: BTreeSet::new(),
            unacknowledged_bytes: 0,
            rtt: RoundTrip::default(),
        }
    }

    /// Queues bytes of the session. Empty ones are dropped: Go peers cannot read an empty payload.
    pub fn write(&mut self, mut bytes: Bytes) {
        self.data_bytes += bytes.len();
        while !bytes.is_empty() {
            let cut = bytes.len().min(self.limits.payload);
            self.data.push_back(bytes.split_to(cut));
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
        self.data.is_empty() && self.control.is_empty() && self.unacknowledged.is_empty()
    }

    /// An acknowledgement of one sequence number. Unknown ones (doubles) are ignored.
    pub fn acknowledge(&mut self, now: Instant, sequence: i64) {
        let Some(sent) = self.unacknowledged.remove(&sequence) else {
            return;
        };
        self.due.remove(&sequence);
        self.unacknowledged_bytes = self.unacknowledged_bytes.saturating_sub(sent.payload.len());
        if sent.repeats == 0 {
            self.rtt.sample(now.saturating_duration_since(sent.at));
        }
    }

    /// After a reconnect: everything unacknowledged is due at once, in order.
    pub fn resend_all(&mut self) {
        self.due = self.unacknowledged.keys().copied().collect();
    }

    /// When [`Outgoing::handle_timeout`] wants to be called.
    pub fn timeout(&self) -> Option<Instant> {
        let waiting = self
            .unacknowledged
            .iter()
            .filter(|(sequence, _)| !self.due.contains(sequence));
        waiting
            .map(|(_, sent)| sent.at + self.rtt.timeout(sent.repeats))
            .min()
    }

    /// Marks what was not acknowledged in time.
    pub fn handle_timeout(&mut self, now: Instant) {
        for (sequence, sent) in &self.unacknowledged {
            if sent.at + self.rtt.timeout(sent.repeats) <= now {
                self.due.insert(*sequence);
            }
        }
    }

    /// The next message to send: repeats first, since the peer waits for them.
    pub fn poll(&mut self, now: Instant) -> Option<Due> {
        while let Some(sequence) = self.due.pop_first() {
            let Some(sent) = self.unacknowledged.get_mut(&sequence) else {
                continue;
            };
            sent.repeats = sent.repeats.saturating_add(1);
            sent.at = now;
            return Some(Due {
                sequence,
                payload_type: sent.payload_type,
                payload: sent.payload.clone(),
                again: true,
            });
        }
        let (payload_type, payload) = match self.control.pop_front() {
            Some(control) => control,
            None => (PayloadType::OUTPUT, self.next_data()?),
        };
        let sequence = self.next;
        self.next += 1;
        self.unacknowledged_bytes += payload.len();
        let sent = Sent {
            payload_type,
            payload: payload.clone(),
            at: now,
            repeats: 0,
        };
        self.unacknowledged.insert(sequence, sent);
        Some(Due {
            sequence,
            payload_type,
            payload,
            again: false,
        })
    }

    /// The next payload of data, small writes joined up to the longest payload.
    fn next_data(&mut self) -> Option<Bytes> {
        if !self.released || self.unacknowledged_bytes >= self.limits.in_flight {
            return None;
        }
        let first = self.data.pop_front()?;
        let mut joined = None;
        let mut length = first.len();
        while let Some(next) = self.data.front() {
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
        Some(joined.map_or(first, BytesMut::freeze))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: Limits = Limits {
        payload: 4,
        in_flight: 8,
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

    fn drain(outgoing: &mut Outgoing, now: Instant) -> Vec<(i64, Bytes)> {
        std::iter::from_fn(|| outgoing.poll(now))
            .map(|due| (due.sequence, due.payload))
            .collect()
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
        outgoing.resend_all();
        let again: Vec<i64> = drain(&mut outgoing, now)
            .into_iter()
            .map(|(sequence, _)| sequence)
            .collect();
        assert_eq!(again, [0, 2]);
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
        outgoing.resend_all();
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
}
