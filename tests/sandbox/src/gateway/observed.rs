//! What a test may learn of a session's client and agent.

use serde::Deserialize;
use serde_json::Value;

/// The open message, as the client sent it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Opened {
    /// "1.0".
    pub message_schema_version: String,
    /// A fresh UUID.
    pub request_id: String,
    /// The token.
    pub token_value: String,
    /// One UUID for all connections of a client.
    #[serde(default)]
    pub client_id: String,
    /// The client's version.
    #[serde(default)]
    pub client_version: String,
}

/// What was seen of a session's client and agent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// The open messages that were accepted, in order.
    pub opened: Vec<Opened>,
    /// The open messages that were refused, and why.
    pub refused: Vec<String>,
    /// The client's HandshakeResponse.
    pub handshake_response: Option<Value>,
    /// Stream data from the client, repetitions included.
    pub input_messages: u64,
    /// Of these, those whose number had come before.
    pub input_repeated: u64,
    /// Stream data that the agent sent, repetitions included.
    pub output_messages: u64,
    /// Of these, repetitions.
    pub output_repeated: u64,
    /// Acknowledgements from the client.
    pub acknowledgements: u64,
    /// Pings from the client.
    pub pings: u64,
}
