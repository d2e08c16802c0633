//! The other end of the stories.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::{Dice, acknowledgement, data_key, pattern, stream_data};
use crate::protocol::crypto::{Ciphers, agents_end};
use crate::protocol::message::{Message, MessageType, PayloadType};
use crate::protocol::payload::Acknowledgement;

/// How the agent begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// With output.
    AtOnce,
    /// With a handshake.
    Handshake,
    /// With a handshake that asks for encryption, and a challenge.
    Encrypted,
}

const CHALLENGE: [u8; 64] = [7; 64];

/// The agent as protocol and source have it: it acknowledges and forgets what comes before the handshake is
/// complete, keeps silent before its pty stands, resends only its oldest message, and that on every scan.
pub(super) struct Agent {
    opening: Opening,
    ciphers: Option<Ciphers>,
    nonce: u64,
    complete: bool,
    /// From when on the pty stands.
    stands: Instant,
    pub(super) paused: bool,
    expected: i64,
    early: BTreeMap<i64, Message>,
    next: i64,
    pub(super) unacknowledged: BTreeMap<i64, (Message, Instant)>,
    pub(super) to_send: Vec<u8>,
    pub(super) received: Vec<u8>,
    pub(super) responses: usize,
    pub(super) last_size: Option<Bytes>,
    pub(super) out: Vec<Vec<u8>>,
}

impl Agent {
    pub(super) fn new(opening: Opening, stands: Instant) -> Self {
        Self {
            opening,
            ciphers: (opening == Opening::Encrypted).then(|| agents_end(&data_key().plaintext)),
            nonce: 0,
            complete: opening == Opening::AtOnce,
            stands,
            paused: false,
            expected: 0,
            early: BTreeMap::new(),
            next: 0,
            unacknowledged: BTreeMap::new(),
            to_send: pattern(0x5a),
            received: Vec::new(),
            responses: 0,
            last_size: None,
            out: Vec::new(),
        }
    }

    fn seal(&mut self, payload: Vec<u8>) -> Vec<u8> {
        let Some(ciphers) = &self.ciphers else {
            return payload;
        };
        self.nonce += 1;
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&self.nonce.to_le_bytes());
        ciphers.seal(nonce, &payload).to_vec()
    }

    fn send(&mut self, now: Instant, payload_type: PayloadType, payload: Vec<u8>) {
        let message = stream_data(self.next, payload_type, payload);
        self.next += 1;
        if !self.paused {
            self.out.push(message.encode());
        }
        self.unacknowledged.insert(message.sequence, (message, now));
    }

    pub(super) fn hear(&mut self, now: Instant, bytes: &[u8]) {
        let message = Message::decode(bytes).unwrap();
        self.paused = false;
        match message.message_type {
            MessageType::Acknowledge => {
                let sequence = Acknowledgement::decode(&message.payload)
                    .unwrap()
                    .acknowledged_message_sequence_number;
                self.unacknowledged.remove(&sequence);
            }
            MessageType::InputStreamData if message.sequence < self.expected => {
                self.out.push(acknowledgement(&message));
            }
            MessageType::InputStreamData if message.sequence > self.expected => {
                self.out.push(acknowledgement(&message));
                self.early.insert(message.sequence, message);
            }
            MessageType::InputStreamData => {
                if self.complete && now < self.stands {
                    return;
                }
                self.out.push(acknowledgement(&message));
                self.process(now, message);
                while let Some(message) = self.early.remove(&self.expected) {
                    self.process(now, message);
                }
            }
            other => panic!("the client sent {other:?}"),
        }
    }

    fn process(&mut self, now: Instant, message: Message) {
        assert!(!message.payload.is_empty(), "Go peers cannot read empty payloads");
        self.expected += 1;
        match message.payload_type {
            PayloadType::HANDSHAKE_RESPONSE => {
                self.responses += 1;
                if self.ciphers.is_some() {
                    let challenge = STANDARD.encode(self.seal(CHALLENGE.to_vec()));
                    let request = format!(r#"{{"Challenge":"{challenge}"}}"#);
                    return self.send(now, PayloadType::ENC_CHALLENGE_REQUEST, request.into_bytes());
                }
                self.complete(now);
            }
            PayloadType::ENC_CHALLENGE_RESPONSE => {
                let answer: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
                let frame = STANDARD.decode(answer["Challenge"].as_str().unwrap()).unwrap();
                assert_eq!(
                    self.ciphers.as_ref().unwrap().open(&frame).unwrap(),
                    &CHALLENGE[..]
                );
                self.complete(now);
            }
            _ if !self.complete => {}
            PayloadType::SIZE => self.last_size = Some(message.payload),
            PayloadType::OUTPUT => {
                let bytes = match &self.ciphers {
                    Some(ciphers) => ciphers.open(&message.payload).unwrap(),
                    None => message.payload,
                };
                self.received.extend_from_slice(&bytes);
            }
            other => panic!("the client sent {other:?}"),
        }
    }

    fn complete(&mut self, now: Instant) {
        self.complete = true;
        let complete = br#"{"HandshakeTimeToComplete":1,"CustomerMessage":""}"#;
        self.send(now, PayloadType::HANDSHAKE_COMPLETE, complete.to_vec());
    }

    /// Every 100 ms: some output, and the oldest message once more.
    pub(super) fn scan(&mut self, now: Instant, dice: &mut Dice) {
        if self.opening != Opening::AtOnce && self.next == 0 {
            let encryption = match self.opening {
                Opening::Encrypted => {
                    r#",{"ActionType":"KMSEncryption","ActionParameters":{"KMSKeyId":"alias/k","Challenge":"AAEC"}}"#
                }
                _ => "",
            };
            let request = format!(
                r#"{{"AgentVersion":"3.3.1142.0","RequestedClientActions":[{{"ActionType":"SessionType","ActionParameters":{{"SessionType":"Standard_Stream"}}}}{encryption}]}}"#
            );
            self.send(now, PayloadType::HANDSHAKE_REQUEST, request.into_bytes());
        }
        if self.paused {
            return;
        }
        if self.complete && now >= self.stands {
            for _ in 0..dice.below(6) {
                let cut = self.to_send.len().min(1 + dice.below(200) as usize);
                if cut > 0 {
                    let rest = self.to_send.split_off(cut);
                    let payload = std::mem::replace(&mut self.to_send, rest);
                    let payload = self.seal(payload);
                    self.send(now, PayloadType::OUTPUT, payload);
                }
            }
        }
        if let Some((message, at)) = self.unacknowledged.values_mut().next()
            && now.saturating_duration_since(*at) >= Duration::from_millis(200)
        {
            *at = now;
            self.out.push(message.encode());
        }
    }
}
