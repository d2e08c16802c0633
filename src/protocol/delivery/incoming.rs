//! The receiving half: every message once, in order.

use std::collections::BTreeMap;

use crate::protocol::message::Message;

/// Messages that came before their turn wait here; as many as the plugin keeps.
const CAPACITY: usize = 10_000;
/// And so many bytes: agents send 1 KiB a message, but nothing holds a broken peer to that.
const CAPACITY_BYTES: usize = 64 << 20;

/// The reorder buffer of one direction.
#[derive(Debug, Default)]
pub struct Incoming {
    expected: i64,
    early: BTreeMap<i64, Message>,
    early_bytes: usize,
}

/// What became of an arrived message, and with it whether it is to be acknowledged.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Its turn: it and what waited behind it, in order. Acknowledge.
    InOrder(Vec<Message>),
    /// Kept until its turn. Acknowledge.
    Early,
    /// Seen before. Acknowledge again: the first acknowledgement may be lost, and the agent resends its
    /// oldest message for ever (the plugin stays silent here, and such a session stalls).
    Duplicate,
    /// No room. Say nothing: the peer will send it again.
    Dropped,
}

impl Incoming {
    /// Takes a message in.
    pub fn arrive(&mut self, message: Message) -> Arrival {
        let sequence = message.sequence;
        if sequence < self.expected || self.early.contains_key(&sequence) {
            return Arrival::Duplicate;
        }
        if sequence > self.expected {
            let bytes = self.early_bytes.saturating_add(message.payload.len());
            if self.early.len() >= CAPACITY || bytes > CAPACITY_BYTES {
                return Arrival::Dropped;
            }
            self.early_bytes = bytes;
            self.early.insert(sequence, message);
            return Arrival::Early;
        }
        let mut ready = vec![message];
        self.expected = self.expected.saturating_add(1);
        while let Some(next) = self.early.remove(&self.expected) {
            self.early_bytes = self.early_bytes.saturating_sub(next.payload.len());
            ready.push(next);
            self.expected = self.expected.saturating_add(1);
        }
        Arrival::InOrder(ready)
    }

    /// Whether something is missing before what has come.
    pub fn has_gap(&self) -> bool {
        !self.early.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use uuid::Uuid;

    use super::*;
    use crate::protocol::message::{MessageType, PayloadType};

    fn message(sequence: i64) -> Message {
        Message {
            message_type: MessageType::OutputStreamData,
            schema_version: 1,
            created: 1,
            sequence,
            flags: 0,
            id: Uuid::nil(),
            payload_type: PayloadType::OUTPUT,
            payload: Bytes::from_static(b"x"),
        }
    }

    #[test]
    fn order_is_restored_and_doubles_are_known() {
        let mut incoming = Incoming::default();
        assert_eq!(incoming.arrive(message(1)), Arrival::Early);
        assert_eq!(incoming.arrive(message(1)), Arrival::Duplicate);
        assert!(incoming.has_gap());
        assert_eq!(
            incoming.arrive(message(0)),
            Arrival::InOrder(vec![message(0), message(1)])
        );
        assert!(!incoming.has_gap());
        assert_eq!(incoming.arrive(message(0)), Arrival::Duplicate);
        assert_eq!(incoming.arrive(message(-5)), Arrival::Duplicate);
        assert_eq!(incoming.arrive(message(2)), Arrival::InOrder(vec![message(2)]));
    }

    #[test]
    fn a_full_buffer_keeps_silent_but_never_refuses_the_next_in_turn() {
        let mut incoming = Incoming::default();
        for sequence in 1..=i64::try_from(CAPACITY).unwrap() {
            assert_eq!(incoming.arrive(message(sequence)), Arrival::Early);
        }
        assert_eq!(incoming.arrive(message(1 << 40)), Arrival::Dropped);
        let Arrival::InOrder(all) = incoming.arrive(message(0)) else {
            panic!("0 is in turn")
        };
        assert_eq!(all.len(), CAPACITY + 1);
    }

    #[test]
    fn large_messages_fill_it_sooner_and_leave_it_empty() {
        let payload = Bytes::from(vec![0; CAPACITY_BYTES / 4]);
        let large = |sequence| Message {
            payload: payload.clone(),
            ..message(sequence)
        };
        let mut incoming = Incoming::default();
        for round in 0..2 {
            let first = round * 5;
            for sequence in first + 1..=first + 4 {
                assert_eq!(incoming.arrive(large(sequence)), Arrival::Early);
            }
            assert_eq!(incoming.arrive(large(first + 5)), Arrival::Dropped);
            let Arrival::InOrder(all) = incoming.arrive(large(first)) else {
                panic!("{first} is in turn")
            };
            assert_eq!(all.len(), 5);
        }
    }
}
