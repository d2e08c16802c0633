//! The payloads that are not the session's own bytes: acknowledgements, the end, sizes, flags, exit codes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The payload of an acknowledge message, with the plugin's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Acknowledgement {
    /// The acknowledged message's type.
    pub acknowledged_message_type: String,
    /// Its id, lower-case with hyphens.
    pub acknowledged_message_id: String,
    /// Its sequence number. There is no cumulative acknowledgement: just this one is meant.
    pub acknowledged_message_sequence_number: i64,
    /// Always true from both Go peers.
    #[serde(default)]
    pub is_sequential_message: bool,
}

impl Acknowledgement {
    /// The JSON for the wire.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// Reads one; `None` for anything else.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }
}

/// The payload of channel_closed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ChannelClosed {
    /// Why, in the service's or the agent's words; empty at a normal end. Untrusted text.
    pub output: String,
}

impl ChannelClosed {
    /// Reads what can be read: a channel that says it is closed is closed, whatever its words.
    pub fn decode(payload: &[u8]) -> Self {
        serde_json::from_slice(payload).unwrap_or_default()
    }
}

/// The terminal's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Columns.
    pub cols: u32,
    /// Rows.
    pub rows: u32,
}

impl Size {
    /// The JSON for the wire.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }
}

/// What a 4-byte number means to a port session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// Client to agent: the local connection has gone (one connection at a time only).
    DisconnectToPort,
    /// Client to agent: end the session.
    TerminateSession,
    /// Agent to client: the destination cannot be reached. It does not say for which stream.
    ConnectToPortError,
}

impl Flag {
    /// The payload on the wire.
    pub fn encode(self) -> Bytes {
        let number: u32 = match self {
            Self::DisconnectToPort => 1,
            Self::TerminateSession => 2,
            Self::ConnectToPortError => 3,
        };
        Bytes::copy_from_slice(&number.to_be_bytes())
    }

    /// Reads one; `None` for numbers without a meaning.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        match u32::from_be_bytes(payload.try_into().ok()?) {
            1 => Some(Self::DisconnectToPort),
            2 => Some(Self::TerminateSession),
            3 => Some(Self::ConnectToPortError),
            _ => None,
        }
    }
}

/// Reads `EXIT_CODE: n`, the text form that agents send.
pub fn exit_code(payload: &[u8]) -> Option<i32> {
    let text = std::str::from_utf8(payload).ok()?;
    text.trim().strip_prefix("EXIT_CODE:")?.trim().parse().ok()
}

/// Plain structs of text and numbers always have a JSON form.
pub(super) fn encode(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_have_the_plugins_keys_in_its_order() {
        let acknowledgement = Acknowledgement {
            acknowledged_message_type: "output_stream_data".to_owned(),
            acknowledged_message_id: "855e4808-2868-4457-a33d-8c7ba44349f7".to_owned(),
            acknowledged_message_sequence_number: 7,
            is_sequential_message: true,
        };
        let json = r#"{"AcknowledgedMessageType":"output_stream_data","AcknowledgedMessageId":"855e4808-2868-4457-a33d-8c7ba44349f7","AcknowledgedMessageSequenceNumber":7,"IsSequentialMessage":true}"#;
        assert_eq!(acknowledgement.encode(), json.as_bytes());
        assert_eq!(Acknowledgement::decode(json.as_bytes()), Some(acknowledgement));
    }

    #[test]
    fn a_closed_channel_is_closed_whatever_it_says() {
        assert_eq!(
            ChannelClosed::decode(br#"{"Output":"timed out","SchemaVersion":1}"#).output,
            "timed out"
        );
        assert_eq!(ChannelClosed::decode(b"\xff").output, "");
    }

    #[test]
    fn flags_are_numbers_of_four_bytes() {
        for flag in [
            Flag::DisconnectToPort,
            Flag::TerminateSession,
            Flag::ConnectToPortError,
        ] {
            assert_eq!(Flag::decode(&flag.encode()), Some(flag));
        }
        assert_eq!(Flag::TerminateSession.encode(), &[0, 0, 0, 2][..]);
        for other in [&[0, 0, 0, 9][..], &[0, 0, 2], &[0, 0, 0, 0, 2], b""] {
            assert_eq!(Flag::decode(other), None);
        }
    }

    #[test]
    fn exit_codes_are_text() {
        assert_eq!(exit_code(b"EXIT_CODE: 3"), Some(3));
        assert_eq!(exit_code(b"EXIT_CODE: -1\n"), Some(-1));
        assert_eq!(exit_code(b"3"), None);
    }
}
