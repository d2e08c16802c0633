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
    fn exit_codes_are_text() {
        assert_eq!(exit_code(b"EXIT_CODE: 3"), Some(3));
        assert_eq!(exit_code(b"EXIT_CODE: -1\n"), Some(-1));
        assert_eq!(exit_code(b"3"), None);
    }
}
