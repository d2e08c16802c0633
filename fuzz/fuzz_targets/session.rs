//! Any order of any operations on a session, with any messages, in clear and encrypted: nothing panics, no number is
//! left out, what is sent again is the same, and nothing is sent after the end.

#![no_main]

use std::collections::BTreeMap;
use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use ssmx_fuzz::protocol::crypto::{DataKey, KEY_LENGTH};
use ssmx_fuzz::protocol::delivery::outgoing::Limits;
use ssmx_fuzz::protocol::message::{Message, MessageType, PayloadType};
use ssmx_fuzz::protocol::payload::{Flag, Size};
use ssmx_fuzz::protocol::session::Session;
use ssmx_fuzz::samples::{Counting, acknowledgement, stream_data};
use ssmx_fuzz::{input, start};

#[derive(Debug, Arbitrary)]
enum Operation {
    Hear {
        sequence: i8,
        payload_type: u8,
        payload: Vec<u8>,
    },
    HearFar(i64, Vec<u8>),
    HearBytes(Vec<u8>),
    Handshake(Wish),
    Closed(Vec<u8>),
    Acknowledge(i8),
    AcknowledgeFar(i64),
    Write(Vec<u8>),
    Interrupt(Vec<u8>),
    TrySize(u16),
    Resize(u32, u32),
    Disconnect,
    Terminate,
    Key(bool),
    Wait(u16),
    Reconnect,
    Transmit(u8),
}

#[derive(Debug, Arbitrary)]
enum Wish {
    Shell,
    Port,
    Encrypted,
    Unknown,
}

fn handshake(wish: &Wish) -> &'static [u8] {
    match wish {
        Wish::Shell => br#"{"AgentVersion":"3.3.1142.0","RequestedClientActions":[{"ActionType":"SessionType","ActionParameters":{"SessionType":"Standard_Stream"}}]}"#,
        Wish::Port => br#"{"AgentVersion":"3.3.1142.0","RequestedClientActions":[{"ActionType":"SessionType","ActionParameters":{"SessionType":"Port","Properties":{"portNumber":"1","type":"LocalPortForwarding"}}}]}"#,
        Wish::Encrypted => br#"{"RequestedClientActions":[{"ActionType":"KMSEncryption","ActionParameters":{"KMSKeyId":"k"}}]}"#,
        Wish::Unknown => br#"{"RequestedClientActions":[{"ActionType":"Dance"},{"ActionType":7}]}"#,
    }
}

/// What stands in for a size that does not pass.
const SMALL: [u8; 8] = [0; 8];

fn is_trial(payload: &[u8]) -> bool {
    payload.iter().all(|byte| *byte == 0)
}

fuzz_target!(|story: (bool, Vec<Operation>)| {
    let (port, operations) = story;
    let limits = if port { Limits::PORT } else { Limits::SHELL };
    let mut now = start();
    let mut session = Session::new(limits, Box::new(Counting::default()));
    let mut sent: BTreeMap<i64, Message> = BTreeMap::new();
    for operation in operations {
        match operation {
            Operation::Hear {
                sequence,
                payload_type,
                payload,
            } => {
                let message = stream_data(sequence.into(), PayloadType(payload_type.into()), payload);
                session.handle_message(now, &message.encode());
            }
            Operation::HearFar(sequence, payload) => {
                session.handle_message(now, &stream_data(sequence, PayloadType::OUTPUT, payload).encode());
            }
            Operation::HearBytes(bytes) => session.handle_message(now, &bytes),
            Operation::Handshake(wish) => {
                session.handle_message(
                    now,
                    &stream_data(0, PayloadType::HANDSHAKE_REQUEST, handshake(&wish)).encode(),
                );
            }
            Operation::Closed(payload) => {
                let message = Message {
                    message_type: MessageType::ChannelClosed,
                    ..stream_data(0, PayloadType::NONE, payload)
                };
                session.handle_message(now, &message.encode());
            }
            Operation::Acknowledge(sequence) => {
                session.handle_message(now, &acknowledgement(&input(sequence.into())));
            }
            Operation::AcknowledgeFar(sequence) => {
                session.handle_message(now, &acknowledgement(&input(sequence)));
            }
            Operation::Write(bytes) => session.write(bytes.into()),
            Operation::Interrupt(bytes) => session.interrupt(bytes.into()),
            Operation::TrySize(length) => {
                session.try_size(vec![0; usize::from(length) + 1].into(), SMALL.to_vec().into());
            }
            Operation::Resize(cols, rows) => session.resize(Size { cols, rows }),
            Operation::Disconnect => session.flag(Flag::DisconnectToPort),
            Operation::Terminate => session.flag(Flag::TerminateSession),
            Operation::Key(true) => session.provide_key(Ok(DataKey {
                plaintext: vec![7; KEY_LENGTH].into(),
                ciphertext: vec![8; 40],
            })),
            Operation::Key(false) => session.provide_key(Err("denied".to_owned())),
            Operation::Wait(ms) => {
                now += Duration::from_millis(ms.into());
                session.handle_timeout(now);
            }
            Operation::Reconnect => session.reconnected(now),
            Operation::Transmit(most) => {
                for _ in 0..most {
                    let closed = session.is_closed();
                    let Some(bytes) = session.poll_transmit(now) else {
                        break;
                    };
                    let message = Message::decode(&bytes).expect("what is sent can be read");
                    assert!(!message.payload.is_empty() && message.created != 0);
                    if message.message_type == MessageType::Acknowledge {
                        continue;
                    }
                    assert!(!closed, "input after the end");
                    assert_eq!(message.message_type, MessageType::InputStreamData);
                    let next = sent.last_key_value().map_or(0, |(last, _)| last + 1);
                    match sent.get(&message.sequence) {
                        // A size that does not pass is given up: the small payload takes the large one's place.
                        Some(before) if is_trial(&before.payload) && message.payload[..] == SMALL => {
                            sent.insert(message.sequence, message);
                        }
                        Some(before) => assert_eq!(before, &message, "a repetition repeats"),
                        None => {
                            assert_eq!(message.sequence, next, "no number is left out");
                            sent.insert(next, message);
                        }
                    }
                }
            }
        }
        while session.poll_event().is_some() {}
        if let Some(due) = session.poll_timeout() {
            assert!(
                due < now + Duration::from_secs(3600),
                "a timer that nobody lives to see"
            );
        }
    }
});
