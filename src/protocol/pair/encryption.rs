//! What an encrypted session refuses.

use bytes::Bytes;

use super::{LIMITS, data_key, session, start, stream_data};
use crate::protocol::crypto::{CryptoError, DataKey, agents_end};
use crate::protocol::handshake::Refusal;
use crate::protocol::message::{Message, MessageType, PayloadType};
use crate::protocol::session::{Event, Session};
use crate::secret::Secret;

const REQUEST: &[u8] = br#"{"AgentVersion":"3.3.1142.0","RequestedClientActions":[{"ActionType":"SessionType","ActionParameters":{"SessionType":"Standard_Stream"}},{"ActionType":"KMSEncryption","ActionParameters":{"KMSKeyId":"alias/k"}}]}"#;

fn asked() -> Session {
    let mut session = session(LIMITS);
    session.handle_message(
        start(),
        &stream_data(0, PayloadType::HANDSHAKE_REQUEST, REQUEST).encode(),
    );
    assert!(matches!(session.poll_event(), Some(Event::NeedKey(_))));
    session
}

fn hear(session: &mut Session, sequence: i64, payload_type: PayloadType, payload: impl Into<Bytes>) {
    session.handle_message(start(), &stream_data(sequence, payload_type, payload).encode());
}

fn sent(session: &mut Session) -> Vec<Message> {
    std::iter::from_fn(|| session.poll_transmit(start()))
        .map(|bytes| Message::decode(&bytes).unwrap())
        .filter(|message| message.message_type == MessageType::InputStreamData)
        .collect()
}

#[test]
fn nothing_in_clear_is_believed_while_the_key_is_fetched() {
    for payload_type in [
        PayloadType::OUTPUT,
        PayloadType::STDERR,
        PayloadType::EXIT_CODE,
        PayloadType::HANDSHAKE_COMPLETE,
    ] {
        let mut session = asked();
        session.write(Bytes::from_static(b"secret"));
        hear(&mut session, 1, payload_type, &b"EXIT_CODE: 0"[..]);
        assert_eq!(
            session.poll_event(),
            Some(Event::Undecipherable(CryptoError::TooEarly))
        );
        assert_eq!(sent(&mut session), [], "nothing is sent in clear either");
    }
}

#[test]
fn another_key_or_clear_text_ends_the_session() {
    let theirs = agents_end(&Secret::new(vec![9; 64]));
    for payload in [
        theirs.seal([1; 12], b"$ "),
        Bytes::from_static(b"$ in clear, and long enough for a frame"),
    ] {
        let mut session = asked();
        session.provide_key(Ok(data_key()));
        hear(&mut session, 1, PayloadType::OUTPUT, payload);
        assert_eq!(
            session.poll_event(),
            Some(Event::Undecipherable(CryptoError::Tag))
        );
        hear(&mut session, 2, PayloadType::OUTPUT, &b"more"[..]);
        assert_eq!(session.poll_event(), None);
    }
}

#[test]
fn a_challenge_that_does_not_decrypt_ends_the_session() {
    let mut session = asked();
    session.provide_key(Ok(data_key()));
    let request = br#"{"Challenge":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;
    hear(&mut session, 1, PayloadType::ENC_CHALLENGE_REQUEST, &request[..]);
    assert_eq!(
        session.poll_event(),
        Some(Event::Undecipherable(CryptoError::Tag))
    );
}

#[test]
fn without_a_key_the_agent_is_told_and_so_is_the_caller() {
    let short = DataKey {
        plaintext: Secret::new(vec![0; 32]),
        ciphertext: vec![1],
    };
    for (key, why) in [
        (Err("AccessDenied".to_owned()), "AccessDenied"),
        (Ok(short), "the data key has 32 bytes instead of 64"),
    ] {
        let mut session = asked();
        session.provide_key(key);
        assert_eq!(
            session.poll_event(),
            Some(Event::Refused(Refusal::Encryption(why.to_owned())))
        );
        let response = String::from_utf8(sent(&mut session)[0].payload.to_vec()).unwrap();
        assert!(response.contains(r#""ActionStatus":2"#), "{response}");
        assert!(response.contains(why), "{response}");
    }
}

#[test]
fn input_is_encrypted_once_and_repeated_as_it_was() {
    let mut session = asked();
    session.provide_key(Ok(data_key()));
    hear(&mut session, 1, PayloadType::HANDSHAKE_COMPLETE, &b"{}"[..]);
    session.write(Bytes::from_static(b"ls\r"));
    let first = sent(&mut session);
    session.reconnected(start());
    assert_eq!(sent(&mut session), first, "no second nonce for the same message");
    let input = &first[1];
    assert_eq!(input.payload_type, PayloadType::OUTPUT);
    assert_eq!(
        agents_end(&data_key().plaintext).open(&input.payload).unwrap(),
        &b"ls\r"[..]
    );
}
