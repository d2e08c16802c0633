//! A client of a few lines, by the wire's description: it keeps order, acknowledges, and sends again.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{DuplexStream, duplex};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use uuid::Uuid;

use ssmx::protocol::message::{Message, MessageType, PayloadType};

use super::super::{Gateway, Opening, SessionSpec};

/// Nothing here takes so long; a test that waits for it has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Client {
    gateway: Gateway,
    pub(super) id: String,
    pub(super) client_id: String,
    pub(super) line: WebSocketStream<DuplexStream>,
    pub(super) expected: i64,
    early: BTreeMap<i64, Message>,
    pub(super) next: i64,
    unacknowledged: BTreeMap<i64, Message>,
    /// Every message that was read, but acknowledgements.
    pub(super) log: Vec<Message>,
    /// The stream data that was read, once and in order.
    pub(super) heard: Vec<Message>,
    pub(super) closed: Option<String>,
    pub(super) acknowledges: bool,
}

impl Client {
    /// Opens a session and its data channel.
    pub(super) async fn start(gateway: &Gateway, spec: SessionSpec) -> Self {
        let id = spec.id.clone();
        let opening = gateway.open(spec);
        Self::attach(gateway, &id, &opening).await
    }

    pub(super) async fn attach(gateway: &Gateway, id: &str, opening: &Opening) -> Self {
        let client_id = Uuid::new_v4().to_string();
        let line = connect(gateway, id, &opening.token, &client_id).await;
        Self {
            gateway: gateway.clone(),
            id: id.to_owned(),
            client_id,
            line,
            expected: 0,
            early: BTreeMap::new(),
            next: 0,
            unacknowledged: BTreeMap::new(),
            log: Vec::new(),
            heard: Vec::new(),
            closed: None,
            acknowledges: true,
        }
    }

    /// A new connection for the same session; everything unacknowledged is sent again.
    pub(super) async fn reattach(&mut self, opening: &Opening) {
        self.line = connect(&self.gateway, &self.id, &opening.token, &self.client_id).await;
        self.send_again().await;
    }

    pub(super) async fn send_again(&mut self) {
        for message in self.unacknowledged.clone().into_values() {
            self.put(&message).await;
        }
    }

    /// The next stream data in order, acknowledged; `None` when the session or the connection is over.
    pub(super) async fn read(&mut self) -> Option<Message> {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < PATIENCE, "nothing in order: {:?}", self.log);
            if let Some(message) = self.early.remove(&self.expected) {
                self.expected += 1;
                self.heard.push(message.clone());
                return Some(message);
            }
            // Now and then what may have been lost is sent again.
            let message = loop {
                assert!(began.elapsed() < PATIENCE, "nothing new: {:?}", self.log);
                match timeout(Duration::from_millis(300), self.message()).await {
                    Ok(message) => break message?,
                    Err(_) => self.send_again().await,
                }
            };
            if message.message_type == MessageType::ChannelClosed {
                let payload: Value = serde_json::from_slice(&message.payload).unwrap();
                self.closed = Some(payload["Output"].as_str().unwrap().to_owned());
                return None;
            }
            if message.message_type != MessageType::OutputStreamData {
                continue;
            }
            if self.acknowledges {
                self.acknowledge(&message).await;
            }
            if message.sequence >= self.expected {
                self.early.insert(message.sequence, message);
            }
        }
    }

    /// The next message, whatever it is, without any answer. Acknowledgements are taken note of.
    pub(super) async fn message(&mut self) -> Option<Message> {
        loop {
            let bytes = match timeout(PATIENCE, self.line.next()).await.expect("a message") {
                Some(Ok(Frame::Binary(bytes))) => bytes,
                Some(Ok(Frame::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => continue,
            };
            let Ok(message) = Message::decode(&bytes) else {
                continue;
            };
            if message.message_type == MessageType::Acknowledge {
                let payload: Value = serde_json::from_slice(&message.payload).unwrap();
                self.unacknowledged
                    .remove(&payload["AcknowledgedMessageSequenceNumber"].as_i64().unwrap());
                continue;
            }
            self.log.push(message.clone());
            return Some(message);
        }
    }

    pub(super) async fn acknowledge(&mut self, message: &Message) {
        let payload = json!({
            "AcknowledgedMessageType": message.message_type.name(),
            "AcknowledgedMessageId": message.id.to_string(),
            "AcknowledgedMessageSequenceNumber": message.sequence,
            "IsSequentialMessage": true,
        });
        let acknowledgement = Message {
            message_type: MessageType::Acknowledge,
            flags: 3,
            payload: payload.to_string().into(),
            ..blank()
        };
        self.put(&acknowledgement).await;
    }

    /// Sends stream data.
    pub(super) async fn send(&mut self, payload_type: PayloadType, payload: impl Into<Bytes>) {
        let message = Message {
            sequence: self.next,
            payload_type,
            payload: payload.into(),
            ..blank()
        };
        self.next += 1;
        self.unacknowledged.insert(message.sequence, message.clone());
        self.put(&message).await;
    }

    pub(super) async fn type_keys(&mut self, keys: &str) {
        self.send(PayloadType::OUTPUT, keys.to_owned()).await;
    }

    pub(super) async fn put(&mut self, message: &Message) {
        // A connection that is gone is noticed where it is read.
        let _ = self.line.send(Frame::binary(message.encode())).await;
    }

    /// Answers the handshake as a recent client without KMS does.
    pub(super) async fn shake(&mut self) -> Value {
        self.shake_as("1.2.804.0").await
    }

    pub(super) async fn shake_as(&mut self, version: &str) -> Value {
        let request = self.read_json(PayloadType::HANDSHAKE_REQUEST).await;
        let action =
            json!({ "ActionType": "SessionType", "ActionStatus": 1, "ActionResult": null, "Error": "" });
        let response =
            json!({ "ClientVersion": version, "ProcessedClientActions": [action], "Errors": null });
        self.send(PayloadType::HANDSHAKE_RESPONSE, response.to_string())
            .await;
        self.read_json(PayloadType::HANDSHAKE_COMPLETE).await;
        request
    }

    pub(super) async fn read_json(&mut self, payload_type: PayloadType) -> Value {
        let message = self.read().await.expect("a message");
        assert_eq!(message.payload_type, payload_type);
        serde_json::from_slice(&message.payload).unwrap()
    }

    /// Reads output until `wanted` is in it; all that was read.
    pub(super) async fn hear(&mut self, wanted: &str) -> String {
        let mut heard = String::new();
        while !heard.contains(wanted) {
            let Some(message) = self.read().await else {
                panic!("the end ({:?}) instead of {wanted:?}: {heard:?}", self.closed);
            };
            heard.push_str(&String::from_utf8_lossy(&message.payload));
        }
        heard
    }

    /// All output until the session is over.
    pub(super) async fn rest(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        while let Some(message) = self.read().await {
            heard.extend_from_slice(&message.payload);
        }
        heard
    }

    /// Reads until the connection is gone; the close frame's code and reason.
    pub(super) async fn close_frame(&mut self) -> Option<(u16, String)> {
        loop {
            match timeout(PATIENCE, self.line.next()).await.expect("an end") {
                Some(Ok(Frame::Close(frame))) => {
                    return frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
                }
                Some(Ok(_)) => {}
                Some(Err(Error::Io(_) | _)) | None => return None,
            }
        }
    }
}

/// A WebSocket to the gateway, with the open message sent.
pub(super) async fn connect(
    gateway: &Gateway,
    id: &str,
    token: &str,
    client_id: &str,
) -> WebSocketStream<DuplexStream> {
    let (near, far) = duplex(256 << 10);
    let (gateway, id) = (gateway.clone(), id.to_owned());
    tokio::spawn(async move { gateway.serve(far, &id).await });
    let mut line = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
    let open = json!({
        "MessageSchemaVersion": "1.0",
        "RequestId": Uuid::new_v4().to_string(),
        "TokenValue": token,
        "ClientId": client_id,
        "ClientVersion": "1.2.804.0",
    });
    line.send(Frame::text(open.to_string())).await.unwrap();
    line
}

pub(super) fn blank() -> Message {
    Message {
        message_type: MessageType::InputStreamData,
        schema_version: 1,
        created: crate::agent::now(),
        sequence: 0,
        flags: 0,
        id: Uuid::new_v4(),
        payload_type: PayloadType::NONE,
        payload: Bytes::new(),
    }
}
