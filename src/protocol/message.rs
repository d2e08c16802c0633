//! One message of the data channel, and its bytes.
//!
//! The layout is the plugin's `AgentMessage`: a 116-byte header, the payload's length, the payload; integers
//! are big-endian.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The value of the HeaderLength field: the offset of the payload's length, not of the payload.
const HEADER_LENGTH: u32 = 116;
/// Where the payload begins in what we send.
const PAYLOAD_OFFSET: usize = 120;
const TYPE_LENGTH: usize = 32;

/// Marks the first message of a direction; set together with [`FIN`] on acknowledgements.
pub const SYN: u64 = 1;
/// See [`SYN`].
pub const FIN: u64 = 2;

/// What a message is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageType {
    /// Client to agent, sequenced.
    InputStreamData,
    /// Agent to client, sequenced.
    OutputStreamData,
    /// Either way: one sequenced message was taken.
    Acknowledge,
    /// From the gateway: the session is over.
    ChannelClosed,
    /// From the gateway: the other side listens (again).
    StartPublication,
    /// From the gateway: the other side is away.
    PausePublication,
    /// From the agent to the gateway.
    AgentSessionState,
    /// Any other; such messages are ignored.
    Other(String),
}

impl MessageType {
    /// The name on the wire.
    pub fn name(&self) -> &str {
        match self {
            Self::InputStreamData => "input_stream_data",
            Self::OutputStreamData => "output_stream_data",
            Self::Acknowledge => "acknowledge",
            Self::ChannelClosed => "channel_closed",
            Self::StartPublication => "start_publication",
            Self::PausePublication => "pause_publication",
            Self::AgentSessionState => "agent_session_state",
            Self::Other(name) => name,
        }
    }

    fn from_name(name: &str) -> Self {
        match name {
            "input_stream_data" => Self::InputStreamData,
            "output_stream_data" => Self::OutputStreamData,
            "acknowledge" => Self::Acknowledge,
            "channel_closed" => Self::ChannelClosed,
            "start_publication" => Self::StartPublication,
            "pause_publication" => Self::PausePublication,
            "agent_session_state" => Self::AgentSessionState,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Publication messages may come without a date and without a digest (plugin's validation skips them).
    fn is_publication(&self) -> bool {
        matches!(self, Self::StartPublication | Self::PausePublication)
    }
}

/// What the payload of a sequenced message is. A number on the wire; unknown ones are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PayloadType(pub u32);

impl PayloadType {
    /// On messages that carry no stream data.
    pub const NONE: Self = Self(0);
    /// Bytes of the session, either way.
    pub const OUTPUT: Self = Self(1);
    /// Defined, not sent by agents.
    pub const ERROR: Self = Self(2);
    /// The terminal's size, JSON.
    pub const SIZE: Self = Self(3);
    /// What the agent asks of the client, JSON.
    pub const HANDSHAKE_REQUEST: Self = Self(5);
    /// The client's answer, JSON.
    pub const HANDSHAKE_RESPONSE: Self = Self(6);
    /// The agent is ready, JSON.
    pub const HANDSHAKE_COMPLETE: Self = Self(7);
    /// The agent checks the encryption, JSON.
    pub const ENC_CHALLENGE_REQUEST: Self = Self(8);
    /// The client's answer, JSON.
    pub const ENC_CHALLENGE_RESPONSE: Self = Self(9);
    /// A 4-byte number; port sessions.
    pub const FLAG: Self = Self(10);
    /// Bytes of a command's stderr.
    pub const STDERR: Self = Self(11);
    /// `EXIT_CODE: n`.
    pub const EXIT_CODE: Self = Self(12);
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is for.
    pub message_type: MessageType,
    /// 1 today.
    pub schema_version: u32,
    /// Milliseconds since the epoch.
    pub created: u64,
    /// Counts the sequenced messages of a direction from 0; 0 on the others.
    pub sequence: i64,
    /// [`SYN`] and [`FIN`].
    pub flags: u64,
    /// Fresh for each message, kept over retransmissions.
    pub id: Uuid,
    /// What the payload is.
    pub payload_type: PayloadType,
    /// The payload. Never sent empty: the Go peers cannot read such a message.
    pub payload: Bytes,
}

/// Why bytes are not a message. Such bytes are dropped; the channel goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than the header needs, or a header length that points elsewhere.
    #[error("the message is cut short ({0} bytes)")]
    Short(usize),
    /// The type is empty or no text.
    #[error("the message has no type")]
    NoType,
    /// The date is zero on a message that needs one.
    #[error("the message has no date")]
    NoDate,
    /// The payload is not what its digest says.
    #[error("the payload does not match its digest")]
    Digest,
}

impl Message {
    /// The bytes for the wire; the type is padded with spaces, as Go peers do.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(PAYLOAD_OFFSET + self.payload.len());
        bytes.extend_from_slice(&HEADER_LENGTH.to_be_bytes());
        let name = self.message_type.name().as_bytes();
        let name = name.get(..TYPE_LENGTH).unwrap_or(name);
        bytes.extend_from_slice(name);
        bytes.resize(4 + TYPE_LENGTH, b' ');
        bytes.extend_from_slice(&self.schema_version.to_be_bytes());
        bytes.extend_from_slice(&self.created.to_be_bytes());
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.flags.to_be_bytes());
        // The agent writes a UUID's halves in the order of Java's least and most significant bits.
        let (high, low) = self.id.as_u64_pair();
        bytes.extend_from_slice(&low.to_be_bytes());
        bytes.extend_from_slice(&high.to_be_bytes());
        bytes.extend_from_slice(&Sha256::digest(&self.payload));
        bytes.extend_from_slice(&self.payload_type.0.to_be_bytes());
        // A payload of 4 GiB cannot arise: senders cut at some kilobytes.
        bytes.extend_from_slice(
            &u32::try_from(self.payload.len())
                .unwrap_or(u32::MAX)
                .to_be_bytes(),
        );
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// Reads a message. Tolerant where peers differ: padding by spaces or NULs on either side, a longer
    /// header, a payload length that does not fit (then the rest is the payload, as both Go peers read it).
    ///
    /// # Errors
    /// For bytes that the plugin would drop too.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let short = DecodeError::Short(bytes.len());
        let mut fields = Fields { bytes };
        let header_length = usize::try_from(fields.u32().ok_or(short)?).map_err(|_| short)?;
        let name = fields.take(TYPE_LENGTH).ok_or(short)?;
        let name = std::str::from_utf8(name).map_err(|_| DecodeError::NoType)?;
        let name = name.trim_matches(|c| c == ' ' || c == '\0');
        if name.is_empty() {
            return Err(DecodeError::NoType);
        }
        let message_type = MessageType::from_name(name);
        let schema_version = fields.u32().ok_or(short)?;
        let created = fields.u64().ok_or(short)?;
        let sequence = fields.u64().ok_or(short)?.cast_signed();
        let flags = fields.u64().ok_or(short)?;
        let low = fields.u64().ok_or(short)?;
        let high = fields.u64().ok_or(short)?;
        let digest = fields.take(32).ok_or(short)?;
        let payload_type = PayloadType(fields.u32().ok_or(short)?);
        if header_length < PAYLOAD_OFFSET - 4 {
            return Err(short);
        }
        let length = bytes
            .get(header_length..)
            .and_then(|rest| rest.get(..4))
            .ok_or(short)?;
        let length = length
            .iter()
            .fold(0_usize, |length, byte| (length << 8) | usize::from(*byte));
        let rest = bytes.get(header_length + 4..).ok_or(short)?;
        let payload = rest.get(..length).unwrap_or(rest);
        if !message_type.is_publication() {
            if created == 0 {
                return Err(DecodeError::NoDate);
            }
            if !payload.is_empty() && Sha256::digest(payload).as_slice() != digest {
                return Err(DecodeError::Digest);
            }
        }
        Ok(Self {
            message_type,
            schema_version,
            created,
            sequence,
            flags,
            id: Uuid::from_u64_pair(high, low),
            payload_type,
            payload: Bytes::copy_from_slice(payload),
        })
    }
}

/// Reads fields from the front; `None` past the end.
struct Fields<'a> {
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(field)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    fn message() -> Message {
        Message {
            message_type: MessageType::InputStreamData,
            schema_version: 1,
            created: 1_700_000_000_000,
            sequence: 0,
            flags: 0,
            id: "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap(),
            payload_type: PayloadType::OUTPUT,
            payload: Bytes::from_static(b"ls\r"),
        }
    }

    /// Written out by hand from the plugin's layout.
    const VECTOR: [u8; 123] = hex!(
        "00000074696e7075745f73747265616d5f646174612020202020202020202020"
        "20202020000000010000018bcfe5680000000000000000000000000000000000"
        "8899aabbccddeeff00112233445566771d887ce0f8672e4914d9000e801cd74e"
        "cd805dd9366c0bc42dc16adc0197dc2f00000001000000036c730d"
    );

    #[test]
    fn the_vector_holds_both_ways() {
        assert_eq!(message().encode(), VECTOR);
        assert_eq!(Message::decode(&VECTOR), Ok(message()));
    }

    #[test]
    fn padding_of_other_senders_is_trimmed() {
        let mut nul = VECTOR.to_vec();
        nul[21..36].fill(0);
        assert_eq!(Message::decode(&nul), Ok(message()));
        let mut left = VECTOR.to_vec();
        left[4..36].copy_from_slice(b"               input_stream_data");
        assert_eq!(Message::decode(&left), Ok(message()));
    }

    #[test]
    fn a_changed_payload_is_refused() {
        let mut bytes = VECTOR.to_vec();
        bytes[122] ^= 1;
        assert_eq!(Message::decode(&bytes), Err(DecodeError::Digest));
    }

    #[test]
    fn publication_needs_neither_date_nor_digest() {
        let mut bytes = Message {
            message_type: MessageType::StartPublication,
            created: 0,
            payload: Bytes::from_static(b"x"),
            ..message()
        }
        .encode();
        bytes[80..112].fill(0);
        assert!(Message::decode(&bytes).is_ok());
    }

    proptest! {
        #[test]
        fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Message::decode(&bytes);
        }

        #[test]
        fn damage_never_panics(at in 0_usize..123, to: u8, keep in 0_usize..=123) {
            let mut bytes = VECTOR.to_vec();
            bytes[at] = to;
            bytes.truncate(keep);
            let _ = Message::decode(&bytes);
        }

        #[test]
        fn what_is_encoded_is_decoded(
            payload in proptest::collection::vec(any::<u8>(), 1..2000),
            sequence: i64, flags: u64, id: u128, payload_type: u32, created in 1_u64..,
        ) {
            let message = Message {
                created, sequence, flags, id: Uuid::from_u128(id),
                payload_type: PayloadType(payload_type), payload: payload.into(), ..message()
            };
            prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
        }
    }
}
