//! The handshake that opens most sessions: the agent names the session's type and what it asks of the client.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::crypto::KeyWish;
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

/// What the agent tells of a Port session; all of it untrusted text. Empty for other sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Properties {
    /// The port on the far side.
    pub port_number: Option<String>,
    /// The port to listen on, by the document's parameters.
    pub local_port_number: Option<String>,
    /// The Unix socket to listen on.
    pub local_unix_socket: Option<String>,
    /// `unix` for a Unix socket.
    pub local_connection_type: Option<String>,
    /// `LocalPortForwarding`, or nothing for one stream on stdin and stdout.
    pub r#type: Option<String>,
    /// The host behind the node.
    pub host: Option<String>,
}

/// How the bytes of a Port session are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortMode {
    /// One connection for the whole session, without any frame.
    Stream,
    /// One connection at a time, without any frame; a flag tells that it has gone.
    Basic,
    /// Many at a time: smux.
    Mux,
}

/// Up to here agents know one connection at a time only.
const LAST_WITHOUT_MUX: Version = Version([3, 0, 196, 0]);

impl Properties {
    /// The plugin's rule.
    pub fn mode(&self, agent: Option<Version>) -> PortMode {
        match self.r#type.as_deref() {
            Some("LocalPortForwarding") if agent.is_some_and(|version| version > LAST_WITHOUT_MUX) => {
                PortMode::Mux
            }
            Some("LocalPortForwarding") => PortMode::Basic,
            _ => PortMode::Stream,
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

impl RequestedAction {
    fn text(&self, key: &str) -> Option<&str> {
        self.action_parameters.get(key).and_then(Value::as_str)
    }
}

/// What became of the wish for a data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key<'a> {
    /// This is it, encrypted for the agent.
    Ciphertext(&'a [u8]),
    /// It could not be had, and why.
    Refused(&'a str),
}

/// What the client makes of a request: the answer to send, and what it learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HandshakeResponse's JSON.
    pub response: Bytes,
    /// The session's type; a shell where the agent names none.
    pub session_type: SessionType,
    /// What the agent tells of a port.
    pub properties: Properties,
    /// The agent's version, where it is one.
    pub agent_version: Option<Version>,
    /// What could not be granted. The agent cancels the session when there is any.
    pub refused: Option<Refusal>,
}

/// An action that the client could not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The session's preferences ask for encryption, and there is no data key; why.
    Encryption(String),
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

const ENCRYPTION: &str = "KMSEncryption";
const SUCCESS: u8 = 1;
const FAILED: u8 = 2;
const UNSUPPORTED: u8 = 3;

impl Request {
    /// Reads a request; `None` for what is none.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }

    /// The data key that the agent wants the session to be encrypted with, if any.
    pub fn wish(&self) -> Option<KeyWish> {
        let mut actions = self.requested_client_actions.iter();
        let action = actions.find(|action| action.action_type == ENCRYPTION)?;
        Some(KeyWish {
            key_id: action.text("KMSKeyId").unwrap_or_default().to_owned(),
            challenge: action.text("Challenge").map(ToOwned::to_owned),
        })
    }

    /// Answers every action as far as this client can.
    pub fn answer(&self, client_version: &'static str, key: Key<'_>) -> Answer {
        let mut session_type = SessionType::StandardStream;
        let mut properties = Properties::default();
        let mut refused = None;
        let mut processed = Vec::new();
        for action in &self.requested_client_actions {
            let mut result = Value::Null;
            let refusal = match action.action_type.as_str() {
                "SessionType" => {
                    session_type = SessionType::from_name(action.text("SessionType").unwrap_or_default());
                    properties = action.properties();
                    match &session_type {
                        SessionType::Other(name) => Some((FAILED, Refusal::SessionType(name.clone()))),
                        _ => None,
                    }
                }
                ENCRYPTION => match key {
                    Key::Ciphertext(ciphertext) => {
                        result = json!({
                            "KMSCipherTextKey": STANDARD.encode(ciphertext),
                            "KMSCipherTextHash": null,
                            "ChallengeAcknowledgement": action.text("Challenge").is_some(),
                        });
                        None
                    }
                    Key::Refused(why) => Some((FAILED, Refusal::Encryption(why.to_owned()))),
                },
                other => Some((UNSUPPORTED, Refusal::Action(other.to_owned()))),
            };
            processed.push(ProcessedAction {
                action_type: action.action_type.clone(),
                action_status: refusal.as_ref().map_or(SUCCESS, |(status, _)| *status),
                action_result: result,
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
            properties,
            agent_version: self.agent_version.parse().ok(),
            refused,
        }
    }
}

impl RequestedAction {
    /// What cannot be read is as good as absent: the session types that need none go on.
    fn properties(&self) -> Properties {
        let properties = self.action_parameters.get("Properties").cloned();
        serde_json::from_value(properties.unwrap_or_default()).unwrap_or_default()
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Encryption(why) => write!(f, "the session is to be encrypted and has no key: {why}"),
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
        let answer = Request::decode(request)
            .unwrap()
            .answer("1.2.835.0", Key::Refused("no permission"));
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
        let answer = Request::decode(request)
            .unwrap()
            .answer("1.2.835.0", Key::Refused("no permission"));
        assert_eq!(
            answer.refused,
            Some(Refusal::Encryption("no permission".to_owned()))
        );
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

    #[test]
    fn a_key_is_answered_with_what_the_agent_has_to_decrypt() {
        let request = |challenge: &str| {
            let text = format!(
                r#"{{"RequestedClientActions":[{{"ActionType":"KMSEncryption","ActionParameters":{{"KMSKeyId":"alias/k"{challenge}}}}}]}}"#
            );
            Request::decode(text.as_bytes()).unwrap()
        };
        for (challenge, acknowledged) in [("", false), (r#","Challenge":"AAEC""#, true)] {
            let request = request(challenge);
            let wish = request.wish().unwrap();
            assert_eq!(wish.key_id, "alias/k");
            assert_eq!(wish.challenge.is_some(), acknowledged);
            let answer = request.answer("1.2.835.0", Key::Ciphertext(b"\x01\x02\x03"));
            assert_eq!(answer.refused, None);
            let response: Value = serde_json::from_slice(&answer.response).unwrap();
            assert_eq!(
                response["ProcessedClientActions"][0],
                json!({
                    "ActionType": "KMSEncryption", "ActionStatus": 1, "Error": "",
                    "ActionResult": { "KMSCipherTextKey": "AQID", "KMSCipherTextHash": null,
                        "ChallengeAcknowledgement": acknowledged },
                })
            );
        }
    }

    #[test]
    fn the_layout_of_a_port_follows_type_and_version() {
        let properties = |json: &str| serde_json::from_str::<Properties>(json).unwrap();
        let forwarding = properties(
            r#"{"portNumber":"80","localPortNumber":"0","type":"LocalPortForwarding","host":"db","x":"y"}"#,
        );
        assert_eq!(forwarding.host.as_deref(), Some("db"));
        let version = |text: &str| text.parse().ok();
        assert_eq!(forwarding.mode(version("3.0.197.0")), PortMode::Mux);
        assert_eq!(forwarding.mode(version("3.0.196.0")), PortMode::Basic);
        assert_eq!(forwarding.mode(None), PortMode::Basic);
        let ssh = properties(r#"{"portNumber":"22"}"#);
        assert_eq!(ssh.mode(version("3.3.0.0")), PortMode::Stream);
    }
}
