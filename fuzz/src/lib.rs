//! The protocol room by itself: it does no I/O and needs nothing of the rest, so that fuzzing builds no AWS SDK.

#![allow(missing_docs, dead_code, reason = "the room is looked at from where it is at home")]

#[path = "../../src"]
mod src {
    pub mod ids;
    pub mod protocol;
    pub mod secret;
}

use std::time::Instant;

use bytes::Bytes;
pub use src::{ids, protocol, secret};
use uuid::Uuid;

use crate::protocol::message::{FIN, Message, MessageType, PayloadType, SYN};
use crate::protocol::payload::Acknowledgement;
use crate::protocol::session::Stamp;

/// Ids and nonces that count.
pub struct Counting(pub u128);

impl Stamp for Counting {
    fn id(&mut self) -> Uuid {
        self.0 += 1;
        Uuid::from_u128(self.0)
    }

    fn created(&mut self) -> u64 {
        1_700_000_000_000
    }

    fn nonce(&mut self) -> [u8; 12] {
        let mut nonce = [0; 12];
        self.0 += 1;
        nonce.copy_from_slice(&self.0.to_be_bytes()[4..]);
        nonce
    }
}

/// Any instant will do.
pub fn start() -> Instant {
    Instant::now()
}

/// Stream data of an agent.
pub fn stream_data(sequence: i64, payload_type: u32, payload: impl Into<Bytes>) -> Message {
    Message {
        message_type: MessageType::OutputStreamData,
        schema_version: 1,
        created: 1,
        sequence,
        flags: if sequence == 0 { SYN } else { 0 },
        id: Uuid::from_u128(u128::from(sequence.unsigned_abs())),
        payload_type: PayloadType(payload_type),
        payload: payload.into(),
    }
}

/// The acknowledgement of a message of that type and number.
pub fn acknowledgement(of: &MessageType, sequence: i64) -> Vec<u8> {
    let payload = Acknowledgement {
        acknowledged_message_type: of.name().to_owned(),
        acknowledged_message_id: Uuid::nil().to_string(),
        acknowledged_message_sequence_number: sequence,
        is_sequential_message: true,
    };
    Message {
        message_type: MessageType::Acknowledge,
        schema_version: 1,
        created: 1,
        sequence: 0,
        flags: SYN | FIN,
        id: Uuid::nil(),
        payload_type: PayloadType::NONE,
        payload: payload.encode(),
    }
    .encode()
}
