//! The plugin's known mistakes, each with its test.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{LIMITS, pattern, session, start, stream_data};
use crate::protocol::delivery::outgoing::Limits;
use crate::protocol::delivery::window::Bounds;
use crate::protocol::message::{Message, MessageType, PayloadType};
use crate::protocol::session::{Event, Session};

fn ready_session(now: Instant, limits: Limits) -> Session {
    let mut session = session(limits);
    session.handle_message(now, &stream_data(0, PayloadType::OUTPUT, &b"$ "[..]).encode());
    while session.poll_transmit(now).is_some() {}
    while session.poll_event().is_some() {}
    session
}

fn sent(session: &mut Session, now: Instant) -> Vec<Message> {
    std::iter::from_fn(|| session.poll_transmit(now))
        .map(|bytes| Message::decode(&bytes).unwrap())
        .collect()
}

/// The plugin keeps silent; with its first acknowledgement lost the agent resends that message for ever.
#[test]
fn a_repeated_message_is_acknowledged_again_and_shown_once() {
    let now = start();
    let mut session = session(LIMITS);
    let output = stream_data(0, PayloadType::OUTPUT, &b"$ "[..]).encode();
    for _ in 0..3 {
        session.handle_message(now, &output);
        let acknowledgements = sent(&mut session, now);
        assert_eq!(acknowledgements.len(), 1);
        assert_eq!(acknowledgements[0].message_type, MessageType::Acknowledge);
    }
    let outputs =
        std::iter::from_fn(|| session.poll_event()).filter(|event| matches!(event, Event::Output(_)));
    assert_eq!(outputs.count(), 1);
}

/// The plugin forgets when it last sent, and repeats on every scan of 100 ms.
#[test]
fn a_silent_agent_is_not_flooded() {
    let begin = start();
    let mut session = ready_session(begin, LIMITS);
    session.write(Bytes::from_static(b"ls\r"));
    let mut repeats = 0;
    for scan in 0..300 {
        let now = begin + Duration::from_millis(100) * scan;
        session.handle_timeout(now);
        repeats += sent(&mut session, now).len();
    }
    assert!(
        (5..=25).contains(&repeats),
        "{repeats} in 30 s; the plugin sends 300"
    );
}

/// The plugin evicts the oldest of more than 10,000 unacknowledged messages, and repeats one per 100 ms.
#[test]
fn nothing_is_evicted_and_a_reconnect_repeats_everything_at_once() {
    let limits = Limits {
        payload: 1,
        in_flight: Bounds::fixed(20_000),
        unsent: 20_000,
    };
    let now = start();
    let mut session = ready_session(now, limits);
    let all: Vec<u8> = (0..12).flat_map(pattern).collect();
    assert!(all.len() > 10_000);
    session.write(all.clone().into());
    let first = sent(&mut session, now);
    assert_eq!(first.len(), all.len());
    session.reconnected(now);
    assert_eq!(sent(&mut session, now), first, "the same messages, ids and dates");
}

/// The plugin turns a payload that is one line feed into a carriage return, in every session.
#[test]
fn a_lone_line_feed_stays_one() {
    let now = start();
    let mut session = ready_session(now, LIMITS);
    session.write(Bytes::from_static(b"\n"));
    assert_eq!(sent(&mut session, now)[0].payload, &b"\n"[..]);
}

/// A handshake request that comes twice, as another message with the same number, is answered once.
#[test]
fn a_repeated_handshake_request_is_answered_once() {
    let now = start();
    let mut session = session(LIMITS);
    let request = br#"{"AgentVersion":"3.3.1142.0","RequestedClientActions":[{"ActionType":"SessionType","ActionParameters":{"SessionType":"Standard_Stream"}}]}"#;
    let mut responses = 0;
    for sequence in [0, 0, 1] {
        session.handle_message(
            now,
            &stream_data(sequence, PayloadType::HANDSHAKE_REQUEST, &request[..]).encode(),
        );
        responses += sent(&mut session, now)
            .iter()
            .filter(|message| message.payload_type == PayloadType::HANDSHAKE_RESPONSE)
            .count();
    }
    assert_eq!(responses, 1);
}

/// An agent could fill a log by repeating itself.
#[test]
fn the_agent_s_word_to_the_person_is_heard_once() {
    let now = start();
    let mut session = session(LIMITS);
    let complete = br#"{"HandshakeTimeToComplete":1,"CustomerMessage":"hello"}"#;
    for sequence in 0..3 {
        let message = stream_data(sequence, PayloadType::HANDSHAKE_COMPLETE, &complete[..]);
        session.handle_message(now, &message.encode());
    }
    let words = std::iter::from_fn(|| session.poll_event())
        .filter(|event| matches!(event, Event::CustomerMessage(words) if words == "hello"));
    assert_eq!(words.count(), 1);
}

/// Go peers cannot read an empty payload, so there is no empty message, whoever asks for one.
#[test]
fn nothing_empty_is_sent() {
    let now = start();
    let mut session = ready_session(now, LIMITS);
    session.write(Bytes::new());
    session.interrupt(Bytes::new());
    assert_eq!(sent(&mut session, now), []);
}

/// Acknowledgements that a cut kept from leaving are sent on the next socket.
#[test]
fn acknowledgements_outlive_the_socket() {
    let now = start();
    let mut session = session(LIMITS);
    session.handle_message(now, &stream_data(0, PayloadType::OUTPUT, &b"$ "[..]).encode());
    session.reconnected(now);
    assert_eq!(sent(&mut session, now)[0].message_type, MessageType::Acknowledge);
}
