//! What the agent sends: numbered, remembered until acknowledged, sent again.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use uuid::Uuid;

use ssmx::protocol::message::{FIN, Message, MessageType, PayloadType, SYN};

use super::crypto::Cipher;
use super::now;
use crate::fault::Faults;
use crate::gateway::{Observed, Pacing};

/// A payload type that no client knows.
pub(super) const UNKNOWN_PAYLOAD: PayloadType = PayloadType(77);

/// Beyond so many unacknowledged messages the agent sends without remembering.
const REMEMBERED: usize = 100_000;
const SCAN: Duration = Duration::from_millis(100);
const FIRST_RTT: Duration = Duration::from_millis(100);
const FIRST_RTO: Duration = Duration::from_millis(200);
const LEAST_VARIATION: Duration = Duration::from_millis(10);
const MOST_RTO: Duration = Duration::from_secs(1);

/// The sending half of a session's channel.
pub(super) struct Channel {
    session_id: String,
    outbox: mpsc::Sender<Bytes>,
    /// Held while a message is numbered and handed on: numbers leave in order.
    order: tokio::sync::Mutex<()>,
    sending: Mutex<Sending>,
    unacknowledged: watch::Sender<usize>,
    paused: watch::Sender<bool>,
    faults: watch::Receiver<Faults>,
    observed: Arc<Mutex<Observed>>,
}

struct Sending {
    next: i64,
    unacknowledged: VecDeque<Sent>,
    timer: Timer,
    cipher: Option<Cipher>,
}

struct Sent {
    sequence: i64,
    bytes: Bytes,
    at: Instant,
}

impl Channel {
    pub(super) fn new(
        session_id: String,
        outbox: mpsc::Sender<Bytes>,
        faults: watch::Receiver<Faults>,
        observed: Arc<Mutex<Observed>>,
        first: i64,
    ) -> Self {
        Self {
            session_id,
            outbox,
            order: tokio::sync::Mutex::new(()),
            sending: Mutex::new(Sending {
                next: first,
                unacknowledged: VecDeque::new(),
                timer: Timer::new(),
                cipher: None,
            }),
            unacknowledged: watch::Sender::new(0),
            paused: watch::Sender::new(false),
            faults,
            observed,
        }
    }

    pub(super) fn faults(&self) -> Faults {
        self.faults.borrow().clone()
    }

    /// The most bytes that one payload may hold.
    pub(super) fn payload_limit(&self, pacing: &Pacing) -> usize {
        let limit = self.faults.borrow().payload_limit;
        limit.map_or(pacing.read, |limit| limit.min(pacing.read)).max(1)
    }

    /// From now on the session's own bytes are encrypted.
    pub(super) fn encrypt(&self, cipher: Cipher) {
        self.lock().cipher = Some(cipher);
    }

    /// The clear form of a payload from the client; `None` when it cannot be opened.
    pub(super) fn opened(&self, payload_type: PayloadType, payload: &Bytes) -> Option<Bytes> {
        match &self.lock().cipher {
            Some(cipher) if payload_type == PayloadType::OUTPUT => cipher.open(payload),
            _ => Some(payload.clone()),
        }
    }

    /// Stream data. Waits while the gateway takes no more; an empty payload is never sent.
    pub(super) async fn send(&self, payload_type: PayloadType, payload: Bytes) {
        if payload.is_empty() {
            return;
        }
        let _order = self.order.lock().await;
        let bytes = {
            let mut sending = self.lock();
            let is_own = matches!(
                payload_type,
                PayloadType::OUTPUT | PayloadType::STDERR | PayloadType::EXIT_CODE
            );
            let payload = match &mut sending.cipher {
                Some(cipher) if is_own => cipher.seal(&payload),
                _ => payload,
            };
            let sequence = sending.next;
            sending.next += 1;
            let message = Message {
                message_type: MessageType::OutputStreamData,
                sequence,
                flags: if sequence == 0 { SYN } else { 0 },
                payload_type,
                payload,
                ..blank()
            };
            let bytes = Bytes::from(message.encode());
            if sending.unacknowledged.len() < REMEMBERED {
                sending.unacknowledged.push_back(Sent {
                    sequence,
                    bytes: bytes.clone(),
                    at: Instant::now(),
                });
                self.unacknowledged.send_replace(sending.unacknowledged.len());
            }
            bytes
        };
        if !self.is_paused() {
            self.note(|observed| observed.output_messages += 1);
            let _ = self.outbox.send(bytes).await;
        }
    }

    /// agent_session_state, for the gateway.
    pub(super) async fn tell_state(&self, state: &str) {
        let payload = json!({ "SchemaVersion": 1, "SessionState": state, "SessionId": self.session_id });
        let message = Message {
            message_type: MessageType::AgentSessionState,
            flags: SYN | FIN,
            payload: payload.to_string().into(),
            ..blank()
        };
        let _ = self.outbox.send(message.encode().into()).await;
    }

    /// Acknowledges a message of the client's.
    pub(super) async fn acknowledge(&self, message: &Message) {
        let payload = json!({
            "AcknowledgedMessageType": message.message_type.name(),
            "AcknowledgedMessageId": message.id.to_string(),
            "AcknowledgedMessageSequenceNumber": message.sequence,
            "IsSequentialMessage": true,
        });
        let acknowledgement = Message {
            message_type: MessageType::Acknowledge,
            flags: SYN | FIN,
            payload: payload.to_string().into(),
            ..blank()
        };
        let _ = self.outbox.send(acknowledgement.encode().into()).await;
    }

    /// The client acknowledged this number: it is forgotten, and its way measured (after a repetition too:
    /// agents know no Karn's rule).
    pub(super) fn acknowledged(&self, sequence: i64) {
        let mut sending = self.lock();
        let Some(at) = sending
            .unacknowledged
            .iter()
            .position(|sent| sent.sequence == sequence)
        else {
            return;
        };
        let Some(sent) = sending.unacknowledged.remove(at) else {
            return;
        };
        sending.timer.sample(sent.at.elapsed());
        self.unacknowledged.send_replace(sending.unacknowledged.len());
    }

    /// Waits until everything is acknowledged.
    pub(super) async fn drained(&self) {
        // The sender is ours: it does not go away meanwhile.
        let _ = self
            .unacknowledged
            .subscribe()
            .wait_for(|count| *count == 0)
            .await;
    }

    pub(super) fn pause(&self, paused: bool) {
        self.paused
            .send_if_modified(|now| std::mem::replace(now, paused) != paused);
    }

    pub(super) fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Waits while the agent is paused.
    pub(super) async fn unpaused(&self) {
        // The sender is ours: it does not go away meanwhile.
        let _ = self.paused.subscribe().wait_for(|paused| !paused).await;
    }

    /// Sends the oldest unacknowledged message again when its time is up; never another.
    pub(super) async fn resend(&self) -> Infallible {
        let mut scan = interval(SCAN);
        scan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            scan.tick().await;
            if self.is_paused() {
                continue;
            }
            let again = {
                let mut sending = self.lock();
                let rto = sending.timer.rto;
                sending.unacknowledged.front_mut().and_then(|sent| {
                    (sent.at.elapsed() > rto).then(|| {
                        sent.at = Instant::now();
                        sent.bytes.clone()
                    })
                })
            };
            if let Some(bytes) = again {
                self.note(|observed| {
                    observed.output_messages += 1;
                    observed.output_repeated += 1;
                });
                let _ = self.outbox.send(bytes).await;
            }
        }
    }

    pub(super) fn note(&self, note: impl FnOnce(&mut Observed)) {
        note(&mut self.observed.lock().unwrap_or_else(|broken| broken.into_inner()));
    }

    fn lock(&self) -> MutexGuard<'_, Sending> {
        self.sending.lock().unwrap_or_else(|broken| broken.into_inner())
    }
}

/// The retransmission timeout, from how long acknowledgements take.
struct Timer {
    rtt: Duration,
    variation: Duration,
    rto: Duration,
}

impl Timer {
    fn new() -> Self {
        Self {
            rtt: FIRST_RTT,
            variation: Duration::ZERO,
            rto: FIRST_RTO,
        }
    }

    /// The variation first, then the round trip itself.
    fn sample(&mut self, sample: Duration) {
        let difference = self.rtt.abs_diff(sample);
        self.variation = self.variation * 3 / 4 + difference / 4;
        self.rtt = self.rtt * 7 / 8 + sample / 8;
        self.rto = (self.rtt + LEAST_VARIATION.max(self.variation * 4)).min(MOST_RTO);
    }
}

/// The time between payloads. Kept on average, since timers are coarser than the pauses.
pub(super) struct Pace {
    pause: Duration,
    next: Instant,
}

impl Pace {
    pub(super) fn new(pacing: &Pacing) -> Self {
        Self {
            pause: pacing.pause,
            next: Instant::now(),
        }
    }

    /// Waits out the time after a payload.
    pub(super) async fn rest(&mut self) {
        if self.pause.is_zero() {
            return;
        }
        // After an idle time the pace begins anew: nothing is caught up with.
        let now = Instant::now();
        if self.next + Duration::from_millis(5) < now {
            self.next = now;
        }
        self.next += self.pause;
        sleep_until(self.next).await;
    }
}

fn blank() -> Message {
    Message {
        message_type: MessageType::OutputStreamData,
        schema_version: 1,
        created: now(),
        sequence: 0,
        flags: 0,
        id: Uuid::new_v4(),
        payload_type: PayloadType::NONE,
        payload: Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel() -> (Channel, mpsc::Receiver<Bytes>) {
        let (outbox, sent) = mpsc::channel(100);
        let (_, faults) = watch::channel(Faults::default());
        let channel = Channel::new("s".to_owned(), outbox, faults, Arc::default(), 0);
        (channel, sent)
    }

    async fn next(sent: &mut mpsc::Receiver<Bytes>) -> Message {
        Message::decode(&sent.recv().await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn only_the_oldest_is_sent_again_and_only_after_its_time() {
        let (channel, mut sent) = channel();
        for text in ["a", "b"] {
            channel.send(PayloadType::OUTPUT, text.into()).await;
        }
        let first = next(&mut sent).await;
        assert_eq!((first.sequence, first.flags), (0, SYN));
        let second = next(&mut sent).await;
        assert_eq!((second.sequence, second.flags), (1, 0));
        let began = Instant::now();
        let again = async {
            assert_eq!(next(&mut sent).await, first);
            let after = began.elapsed();
            assert!(after >= FIRST_RTO, "{after:?}");
            assert_eq!(next(&mut sent).await, first);
            channel.acknowledged(0);
            assert_eq!(next(&mut sent).await, second);
        };
        tokio::select! {
            () = again => {}
            _ = channel.resend() => {}
        }
        channel.acknowledged(1);
        channel.drained().await;
    }

    #[tokio::test]
    async fn paused_it_stores_and_sends_after_the_pause() {
        let (channel, mut sent) = channel();
        channel.pause(true);
        channel.send(PayloadType::OUTPUT, "a".into()).await;
        let waited = tokio::time::timeout(FIRST_RTO + SCAN * 2, async {
            tokio::select! {
                message = sent.recv() => message,
                never = channel.resend() => match never {},
            }
        });
        assert!(waited.await.is_err());
        channel.pause(false);
        let message = async {
            tokio::select! {
                message = next(&mut sent) => message,
                never = channel.resend() => match never {},
            }
        };
        assert_eq!(message.await.payload, "a");
    }

    #[test]
    fn the_timeout_follows_the_way_up_to_a_second() {
        let mut timer = Timer::new();
        timer.sample(Duration::from_millis(20));
        // The variation is a quarter of 80 ms, the round trip 100 - 12.5 + 2.5 ms.
        assert_eq!(timer.rto, Duration::from_millis(90 + 80));
        for _ in 0..100 {
            timer.sample(Duration::from_millis(20));
        }
        assert!(timer.rto < Duration::from_millis(31), "{:?}", timer.rto);
        for _ in 0..100 {
            timer.sample(Duration::from_secs(3));
        }
        assert_eq!(timer.rto, MOST_RTO);
    }

    #[tokio::test]
    async fn the_pace_holds_on_average() {
        let mut pace = Pace::new(&Pacing::faithful());
        let began = Instant::now();
        for _ in 0..100 {
            pace.rest().await;
        }
        // Not sooner; how much later is the machine's affair.
        assert!(
            began.elapsed() >= Duration::from_millis(134),
            "{:?}",
            began.elapsed()
        );
    }
}
