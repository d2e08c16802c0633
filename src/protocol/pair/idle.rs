//! A session that nobody uses, kept from its idle timeout.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;

use super::{LIMITS, SIZE, acknowledgement, session, start, stream_data};
use crate::protocol::message::{Message, MessageType, PayloadType};
use crate::protocol::session::Session;
use crate::protocol::smux;

const AFTER: Duration = Duration::from_secs(300);
const SECOND: Duration = Duration::from_secs(1);

/// What of ours goes at this time; the agent acknowledges it at once.
fn goes(session: &mut Session, now: Instant) -> Vec<(PayloadType, Bytes)> {
    session.handle_timeout(now);
    let sent: Vec<Message> = std::iter::from_fn(|| session.poll_transmit(now))
        .map(|bytes| Message::decode(&bytes).unwrap())
        .filter(|message| message.message_type == MessageType::InputStreamData)
        .collect();
    for message in &sent {
        session.handle_message(now, &acknowledgement(message));
    }
    sent.into_iter()
        .map(|message| (message.payload_type, message.payload))
        .collect()
}

/// A session of this type, ready and kept alive.
fn ready(now: Instant, session_type: &str, properties: &serde_json::Value) -> Session {
    let mut session = session(LIMITS);
    session.keep_alive(AFTER);
    let request = json!({
        "AgentVersion": "3.3.1142.0",
        "RequestedClientActions": [{
            "ActionType": "SessionType",
            "ActionParameters": { "SessionType": session_type, "Properties": properties },
        }],
    });
    let request = Bytes::from(request.to_string());
    session.handle_message(
        now,
        &stream_data(0, PayloadType::HANDSHAKE_REQUEST, request).encode(),
    );
    goes(&mut session, now);
    session.handle_message(
        now,
        &stream_data(1, PayloadType::HANDSHAKE_COMPLETE, &b"{}"[..]).encode(),
    );
    assert_eq!(goes(&mut session, now), []);
    session
}

#[test]
fn what_goes_into_an_idle_session_means_nothing_to_it() {
    let nop = (PayloadType::OUTPUT, smux::nothing(smux::frame::HEADER));
    let any = (PayloadType::SIZE, super::Size { cols: 80, rows: 24 }.encode());
    for (session_type, kind, expected) in [
        ("Port", "LocalPortForwarding", Some(nop)),
        ("Port", "", Some(any.clone())),
        ("NonInteractiveCommands", "", Some(any)),
        // Its terminal would get a size that it was never given.
        ("Standard_Stream", "", None),
        ("InteractiveCommands", "", None),
    ] {
        let now = start();
        let mut session = ready(now, session_type, &json!({ "type": kind, "portNumber": "80" }));
        assert_eq!(goes(&mut session, now + AFTER - SECOND), []);
        assert_eq!(
            goes(&mut session, now + AFTER),
            Vec::from_iter(expected),
            "{session_type} {kind}"
        );
    }
}

#[test]
fn a_terminal_hears_its_size_once_more_each_time_that_nothing_was_typed_for_so_long() {
    let begin = start();
    let mut session = ready(begin, "Standard_Stream", &json!({}));
    session.resize(SIZE);
    let size = [(PayloadType::SIZE, SIZE.encode())];
    assert_eq!(goes(&mut session, begin), size);
    let mut now = begin + 200 * SECOND;
    session.write(Bytes::from_static(b"x"));
    assert_eq!(goes(&mut session, now).len(), 1);
    for _ in 0..3 {
        assert_eq!(session.poll_timeout(), Some(now + AFTER));
        now += AFTER;
        assert_eq!(goes(&mut session, now), size);
    }
}

#[test]
fn nothing_is_added_to_what_waits_for_an_answer_or_where_nobody_asked() {
    let now = start();
    let mut session = ready(now, "Standard_Stream", &json!({}));
    session.resize(SIZE);
    // It is not acknowledged: what goes is this alone, again and again.
    let _ = session.poll_transmit(now);
    session.handle_timeout(now + AFTER);
    let again: Vec<_> = std::iter::from_fn(|| session.poll_transmit(now + AFTER)).collect();
    assert_eq!(again.len(), 1);

    let mut session = super::session(LIMITS);
    session.handle_message(now, &stream_data(0, PayloadType::OUTPUT, &b"$ "[..]).encode());
    assert_eq!(goes(&mut session, now), []);
    session.resize(SIZE);
    assert_eq!(goes(&mut session, now).len(), 1);
    assert_eq!(session.poll_timeout(), None);
    assert_eq!(goes(&mut session, now + 100 * AFTER), []);
}
