//! The handshake that opens most sessions: the agent names the session's type and what it asks of the client.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::payload::encode;
use crate::ids::Version;

/// What kind of session the agent runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionType {
    /// A shell in a pty.
    StandardStream,
    /// A command in a pty.
    InteractiveCommands,
    /// A command without one.
    NonInteractiveCommands,
    /// A TCP port.
    Port,
    /// One that this client does not know.
    Other(String),
}

impl SessionType {
    fn from_name(name: &str) -> Self {
        match name {
            "Standard_Stream" => Self::StandardStream,
            "InteractiveCommands" => Self::InteractiveCommands,
            "NonInteractiveCommands" => Self::NonInteractiveCommands,
            "Port" => Self::Port,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// HandshakeRequest.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    #[serde(default)]
    agent_version: String,
    #[serde(default)]
    requested_client_actions: Vec<RequestedAction>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RequestedAction {
    action_type: String,
    #[serde(default)]
    action_parameters: Value,
}

/// What the client makes of a request: the answer to send, and what it learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HandshakeResponse's JSON.
    pub response: Bytes,
    /// The session's type; a shell where the agent names none.
    pub session_type: SessionType,
    /// The agent's version, where it is one.
    pub agent_version: Option<Version>,
    /// What could not be granted. The agent cancels the session when there is any.
    pub refused: Option<Refusal>,
}

/// An action that the client could not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The session's preferences ask for encryption by this KMS key.
    Encryption,
    /// The session is of a type that this client does not know.
    SessionType(String),
    /// The agent asks for something unheard of.
    Action(String),
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Response {
    client_version: &'static str,
    processed_client_actions: Vec<ProcessedAction>,
    errors: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProcessedAction {
    action_type: String,
    action_status: u8,
    action_result: Value,
    error: String,
}

const SUCCESS: u8 = 1;
const FAILED: u8 = 2;
const UNSUPPORTED: u8 = 3;

impl Request {
    /// Reads a request; `None` for what is none.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }

    /// Answers every action as far as this client can.
    pub fn answer(&self, client_version: &'static str) -> Answer {
        let mut session_type = SessionType::StandardStream;
        let mut refused = None;
        let mut processed = Vec::new();
        for action in &self.requested_client_actions {
            let refusal = match action.action_type.as_str() {
                "SessionType" => {
                    let name = action
                        .action_parameters
                        .get("SessionType")
                        .and_then(Value::as_str);
                    session_type = SessionType::from_name(name.unwrap_or_default());
                    match &session_type {
                        SessionType::Other(name) => Some((FAILED, Refusal::SessionType(name.clone()))),
                        _ => None,
                    }
                }
                "KMSEncryption" => Some((FAILED, Refusal::Encryption)),
                other => Some((UNSUPPORTED, Refusal::Action(other.to_owned()))),
            };
            processed.push(ProcessedAction {
                action_type: action.action_type.clone(),
                action_status: refusal.as_ref().map_or(SUCCESS, |(status, _)| *status),
                action_result: Value::Null,
                error: refusal
                    .as_ref()
                    .map(|(_, refusal)| refusal.to_string())
                    .unwrap_or_default(),
            });
            refused = refused.or(refusal.map(|(_, refusal)| refusal));
        }
        let response = Response {
            client_version,
            processed_client_actions: processed,
            errors: None,
        };
        Answer {
            response: encode(&response),
            session_type,
            agent_version: self.agent_version.parse().ok(),
            refused,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Encryption => f.write_str("this client does not encrypt sessions by KMS"),
            Self::SessionType(name) => write!(f, "unknown session type {name}"),
            Self::Action(name) => write!(f, "unsupported action {name}"),
        }
    }
}

/// HandshakeComplete's text for the person; empty where there is none. Untrusted.
pub fn customer_message(payload: &[u8]) -> String {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "PascalCase", default)]
    struct Complete {
        customer_message: String,
    }
    serde_json::from_slice::<Complete>(payload)
        .unwrap_or_default()
        .customer_message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_type_is_granted_as_the_plugin_grants_it() {
        let request = br#"{"AgentVersion":"3.3.1142.0","RequestedClientActions":[{"ActionType":"SessionType","ActionParameters":{"SessionType":"NonInteractiveCommands","Properties":null}}]}"#;
        let answer = Request::decode(request).unwrap().answer("1.2.835.0");
        assert_eq!(answer.session_type, SessionType::NonInteractiveCommands);
        assert_eq!(answer.agent_version, Some(Version([3, 3, 1142, 0])));
        assert_eq!(answer.refused, None);
        assert_eq!(
            answer.response,
            &br#"{"ClientVersion":"1.2.835.0","ProcessedClientActions":[{"ActionType":"SessionType","ActionStatus":1,"ActionResult":null,"Error":""}],"Errors":null}"#[..]
        );
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let request = br#"{"AgentVersion":"x","RequestedClientActions":[{"ActionType":"SessionType","ActionParameters":{"SessionType":"Standard_Stream"}},{"ActionType":"KMSEncryption","ActionParameters":{"KMSKeyId":"k"}},{"ActionType":"Dance"}]}"#;
        let answer = Request::decode(request).unwrap().answer("1.2.835.0");
        assert_eq!(answer.refused, Some(Refusal::Encryption));
        assert_eq!(answer.agent_version, None);
        let text = String::from_utf8(answer.response.to_vec()).unwrap();
        assert!(
            text.contains(r#""ActionType":"KMSEncryption","ActionStatus":2"#),
            "{text}"
        );
        assert!(
            text.contains(r#""ActionType":"Dance","ActionStatus":3"#),
            "{text}"
        );
    }

    #[test]
    fn rubbish_is_no_request() {
        assert!(Request::decode(b"{").is_none());
        assert_eq!(customer_message(b"{"), "");
        assert_eq!(
            customer_message(br#"{"CustomerMessage":"hello","HandshakeTimeToComplete":1}"#),
            "hello"
        );
    }
}
