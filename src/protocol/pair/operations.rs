//! Any order of any operations, with any messages: nothing panics, and what is sent keeps the protocol's rules.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::{LIMITS, acknowledgement, data_key, session, start, stream_data};
use crate::protocol::message::{Message, MessageType, PayloadType};
use crate::protocol::payload::{Flag, Size};

#[derive(Debug, Clone)]
enum Operation {
    Hear(Message),
    HearDamaged(Message, usize, u8),
    HearBytes(Vec<u8>),
    Acknowledge(i64),
    Write(Vec<u8>),
    Interrupt(Vec<u8>),
    Resize(u32, u32),
    Raise(Flag),
    Key(bool),
    Wait(u16),
    Reconnect,
    Transmit,
}

fn payload() -> impl Strategy<Value = Bytes> {
    let known = prop_oneof![
        Just(&br#"{"AgentVersion":"3.3.1142.0","RequestedClientActions":[{"ActionType":"SessionType","ActionParameters":{"SessionType":"Port","Properties":{"portNumber":"1","type":"LocalPortForwarding"}}}]}"#[..]),
        Just(&br#"{"RequestedClientActions":[{"ActionType":"KMSEncryption","ActionParameters":{"KMSKeyId":"k"}}]}"#[..]),
        Just(&br#"{"RequestedClientActions":[{"ActionType":"Dance"},{"ActionType":7}]}"#[..]),
        Just(&br#"{"Challenge":"AAAA"}"#[..]),
        Just(&br#"{"CustomerMessage":"hello"}"#[..]),
        Just(&b"EXIT_CODE: 3"[..]),
        Just(&[0, 0, 0, 3][..]),
    ];
    prop_oneof![
        known.prop_map(Bytes::from_static),
        proptest::collection::vec(any::<u8>(), 0..80).prop_map(Bytes::from),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let message_type = prop_oneof![
        8 => Just(MessageType::OutputStreamData),
        1 => Just(MessageType::Acknowledge),
        1 => Just(MessageType::ChannelClosed),
        1 => Just(MessageType::PausePublication),
        1 => Just(MessageType::InputStreamData),
        1 => Just(MessageType::Other("novelty".to_owned())),
    ];
    let sequence = prop_oneof![9 => -1..12_i64, 1 => any::<i64>()];
    (message_type, sequence, 0..14_u32, payload()).prop_map(
        |(message_type, sequence, payload_type, payload)| Message {
            message_type,
            ..stream_data(sequence, PayloadType(payload_type), payload)
        },
    )
}

fn operation() -> impl Strategy<Value = Operation> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        6 => message().prop_map(Operation::Hear),
        1 => (message(), any::<usize>(), any::<u8>()).prop_map(|(message, at, to)| Operation::HearDamaged(message, at, to)),
        1 => bytes().prop_map(Operation::HearBytes),
        3 => prop_oneof![9 => 0..12_i64, 1 => any::<i64>()].prop_map(Operation::Acknowledge),
        3 => bytes().prop_map(Operation::Write),
        1 => bytes().prop_map(Operation::Interrupt),
        1 => (any::<u32>(), any::<u32>()).prop_map(|(cols, rows)| Operation::Resize(cols, rows)),
        1 => prop_oneof![Just(Flag::DisconnectToPort), Just(Flag::TerminateSession)].prop_map(Operation::Raise),
        1 => any::<bool>().prop_map(Operation::Key),
        2 => any::<u16>().prop_map(Operation::Wait),
        1 => Just(Operation::Reconnect),
        4 => Just(Operation::Transmit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_operations_keep_the_rules(operations in proptest::collection::vec(operation(), 1..60)) {
        let mut now = start();
        let mut session = session(LIMITS);
        let mut sent: BTreeMap<i64, Message> = BTreeMap::new();
        let mut closed = false;
        for operation in operations {
            match operation {
                Operation::Hear(message) => session.handle_message(now, &message.encode()),
                Operation::HearDamaged(message, at, to) => {
                    let mut bytes = message.encode();
                    let at = at % bytes.len();
                    bytes[at] = to;
                    session.handle_message(now, &bytes);
                }
                Operation::HearBytes(bytes) => session.handle_message(now, &bytes),
                Operation::Acknowledge(sequence) => {
                    let of = stream_data(sequence, PayloadType::OUTPUT, Bytes::new());
                    session.handle_message(now, &acknowledgement(&of));
                }
                Operation::Write(bytes) => session.write(bytes.into()),
                Operation::Interrupt(bytes) => session.interrupt(bytes.into()),
                Operation::Resize(cols, rows) => session.resize(Size { cols, rows }),
                Operation::Raise(flag) => session.flag(flag),
                Operation::Key(true) => session.provide_key(Ok(data_key())),
                Operation::Key(false) => session.provide_key(Err("denied".to_owned())),
                Operation::Wait(ms) => {
                    now += Duration::from_millis(ms.into());
                    session.handle_timeout(now);
                }
                Operation::Reconnect => session.reconnected(now),
                Operation::Transmit => {
                    while let Some(bytes) = session.poll_transmit(now) {
                        let message = Message::decode(&bytes).unwrap();
                        prop_assert!(!message.payload.is_empty());
                        prop_assert!(message.created != 0);
                        if message.message_type != MessageType::InputStreamData {
                            prop_assert_eq!(message.message_type, MessageType::Acknowledge);
                            continue;
                        }
                        prop_assert!(!closed, "no input after the end");
                        let next = sent.last_key_value().map_or(0, |(last, _)| last + 1);
                        match sent.get(&message.sequence) {
                            Some(before) => prop_assert_eq!(before, &message, "a repetition repeats"),
                            None => {
                                prop_assert_eq!(message.sequence, next, "no number is left out");
                                sent.insert(next, message);
                            }
                        }
                    }
                }
            }
            while session.poll_event().is_some() {}
            closed = session.is_closed();
        }
    }
}
