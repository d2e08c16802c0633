//! The protocol room by itself: it does no I/O and needs nothing of the rest, so that fuzzing builds no AWS SDK.

#![allow(
    missing_docs,
    dead_code,
    reason = "the room is looked at from where it is at home"
)]

#[path = "../../src"]
mod src {
    pub mod ids;
    pub mod protocol;
    pub mod secret;
}

#[path = "../../src/protocol/samples.rs"]
pub mod samples;

use std::time::Instant;

use bytes::Bytes;
pub use src::{ids, protocol, secret};

use crate::protocol::message::{Message, MessageType, PayloadType};
use crate::samples::stream_data;

/// Any instant will do.
pub fn start() -> Instant {
    Instant::now()
}

/// An input of the client's, as far as an acknowledgement tells of it.
pub fn input(sequence: i64) -> Message {
    Message {
        message_type: MessageType::InputStreamData,
        ..stream_data(sequence, PayloadType::OUTPUT, Bytes::new())
    }
}
