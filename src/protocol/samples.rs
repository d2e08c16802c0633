//! What tests and fuzzing feed a session with: ids that count up, messages of an agent.

use bytes::Bytes;
use uuid::Uuid;

use crate::protocol::message::{FIN, Message, MessageType, PayloadType, SYN};
use crate::protocol::payload::Acknowledgement;
use crate::protocol::session::Stamp;

/// Ids and nonces that count.
#[derive(Default)]
pub struct Counting(u128);

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

/// Stream data of an agent; its id follows from its number.
pub fn stream_data(sequence: i64, payload_type: PayloadType, payload: impl Into<Bytes>) -> Message {
    Message {
        message_type: MessageType::OutputStreamData,
        schema_version: 1,
        created: 1,
        sequence,
        flags: if sequence == 0 { SYN } else { 0 },
        id: Uuid::from_u128(0xa9e4_0000_u128 + u128::from(sequence.unsigned_abs())),
        payload_type,
        payload: payload.into(),
    }
}

/// The acknowledgement of a message.
pub fn acknowledgement(of: &Message) -> Vec<u8> {
    let payload = Acknowledgement {
        acknowledged_message_type: of.message_type.name().to_owned(),
        acknowledged_message_id: of.id.to_string(),
        acknowledged_message_sequence_number: of.sequence,
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
