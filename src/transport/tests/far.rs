//! An AWS and an agent of a few lines on loopback, and the child in its pty.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use pty_process::{Pty, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, Termios, tcgetattr};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{WebSocketStream, accept_async};
use uuid::Uuid;

use crate::protocol::message::{Message, MessageType, PayloadType};
use crate::protocol::payload::Acknowledgement;

/// Nothing here takes so long; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// An AWS that starts sessions, and keeps count of what it was asked.
#[derive(Default)]
pub(super) struct Api {
    /// Where sessions are said to be; else at the gateway.
    pub(super) stream_url: Option<String>,
    /// Where they are said to be after a cut.
    pub(super) resumed_url: Option<String>,
    /// This call is answered only after a `release`.
    pub(super) held: &'static str,
    pub(super) release: Notify,
    /// What GetConnectionStatus says.
    pub(super) status: &'static str,
    /// What GenerateDataKey answers with; nothing usable without it.
    pub(super) data_key: Option<Vec<u8>>,
    /// Whether sessions are listed as connected for ever.
    pub(super) immortal: bool,
    pub(super) gateway: String,
    pub(super) started: AtomicUsize,
    pub(super) calls: Mutex<Vec<(String, Value)>>,
    pub(super) called: Notify,
}

impl Api {
    async fn answer(&self, operation: &str, request: Value) -> Value {
        self.calls
            .lock()
            .unwrap()
            .push((operation.to_owned(), request.clone()));
        self.called.notify_one();
        if self.held == operation {
            self.release.notified().await;
        }
        match operation {
            "StartSession" => {
                let id = format!("me-{}", self.started.fetch_add(1, Ordering::SeqCst) + 1);
                let url = format!(
                    "ws://{}/v1/data-channel/{id}?role=publish_subscribe",
                    self.gateway
                );
                json!({
                    "SessionId": id,
                    "TokenValue": format!("token of {id}"),
                    "StreamUrl": self.stream_url.as_ref().unwrap_or(&url),
                })
            }
            "ResumeSession" => {
                let id = request["SessionId"].as_str().unwrap();
                let url = format!(
                    "ws://{}/v1/data-channel/{id}?role=publish_subscribe",
                    self.gateway
                );
                json!({
                    "SessionId": id,
                    "TokenValue": format!("token of {id}"),
                    "StreamUrl": self.resumed_url.as_ref().unwrap_or(&url),
                })
            }
            "DescribeSessions" if self.immortal => json!({ "Sessions": [
                { "SessionId": "me-1", "Status": "Connected" }, { "SessionId": "me-2", "Status": "Connected" },
            ]}),
            "DescribeSessions" => json!({ "Sessions": [{ "SessionId": "other", "Status": "Connected" }] }),
            "GenerateDataKey" => match &self.data_key {
                Some(key) => json!({
                    "Plaintext": STANDARD.encode(key),
                    "CiphertextBlob": STANDARD.encode("for the agent"),
                }),
                None => json!({}),
            },
            "GetConnectionStatus" => json!({ "Target": "i-0123456789abcdef0", "Status": self.status }),
            _ => json!({}),
        }
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream) -> Option<()> {
        let mut read = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                    break at + 4;
                }
                (stream.read_buf(&mut read).await.ok()? > 0).then_some(())?;
            };
            let head = String::from_utf8(read.drain(..end).collect())
                .ok()?
                .to_lowercase();
            let header = |name: &str| {
                Some(
                    head.split_once(&format!("\r\n{name}: "))?
                        .1
                        .split_once("\r\n")?
                        .0
                        .to_owned(),
                )
            };
            let length: usize = header("content-length")?.parse().ok()?;
            while read.len() < length {
                (stream.read_buf(&mut read).await.ok()? > 0).then_some(())?;
            }
            let body = serde_json::from_slice(&read.drain(..length).collect::<Vec<_>>()).ok()?;
            let operation = [
                "StartSession",
                "ResumeSession",
                "TerminateSession",
                "DescribeSessions",
                "GetConnectionStatus",
                "GenerateDataKey",
            ]
            .into_iter()
            .find(|name| {
                header("x-amz-target").is_some_and(|target| target.ends_with(&name.to_lowercase()))
            })?;
            let answer = self.answer(operation, body).await.to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            );
            stream.write_all((head + &answer).as_bytes()).await.ok()?;
        }
    }
}

/// A child in a pty, the AWS it talks to, and the gateway where its data channels arrive.
pub(super) struct Story {
    pub(super) pty: Pty,
    child: Child,
    pub(super) said: String,
    before: Termios,
    pub(super) api: Arc<Api>,
    gateway: TcpListener,
    _home: TempDir,
}

impl Story {
    pub(super) async fn start(name: &str, api: Api) -> Self {
        Self::start_with(name, api, None, "exit 0").await
    }

    pub(super) async fn start_with(name: &str, mut api: Api, stdin: Option<Stdio>, plugin: &str) -> Self {
        let gateway = TcpListener::bind("127.0.0.1:0").await.unwrap();
        api.gateway = gateway.local_addr().unwrap().to_string();
        let api = Arc::new(api);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let serving = Arc::clone(&api);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&serving).serve(stream));
            }
        });
        let home = tempfile::tempdir().unwrap();
        put_plugin(home.path(), plugin).await;
        let (pty, pts) = open().unwrap();
        pty.resize(pty_process::Size::new(41, 133)).unwrap();
        let before = tcgetattr(&pty).unwrap();
        let mut command = pty_process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "--test-threads=1"])
            .arg(format!("transport::tests::near::{name}"))
            .env_clear()
            .env("HOME", home.path())
            .env("PATH", format!("{}:/usr/bin:/bin", home.path().display()))
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_REGION", "eu-west-2")
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .kill_on_drop(true);
        if let Some(stdin) = stdin {
            command = command.stdin(stdin);
        }
        let child = command.spawn(pts).unwrap();
        Self {
            pty,
            child,
            said: String::new(),
            before,
            api,
            gateway,
            _home: home,
        }
    }

    /// The next data channel.
    pub(super) async fn agent(&self) -> Agent {
        let (tcp, _) = timeout(PATIENCE, self.gateway.accept()).await.unwrap().unwrap();
        let mut line = accept_async(tcp).await.unwrap();
        let Frame::Text(open) = line.next().await.unwrap().unwrap() else {
            panic!("the open message is a text frame")
        };
        assert!(open.contains("token of me-1"), "{open}");
        Agent {
            line,
            said: 0,
            heard: 0,
        }
    }

    /// Waits until the child has said this, and gives what it said before.
    pub(super) async fn hear(&mut self, wanted: &str) -> String {
        loop {
            if let Some((before, rest)) = self.said.split_once(wanted) {
                let before = before.to_owned();
                self.said = rest.to_owned();
                return before;
            }
            let mut buffer = [0; 4096];
            match timeout(PATIENCE, self.pty.read(&mut buffer)).await {
                Ok(Ok(length)) if length > 0 => {
                    self.said.push_str(&String::from_utf8_lossy(&buffer[..length]));
                }
                other => panic!("{other:?} instead of {wanted}: {}", self.said),
            }
        }
    }

    pub(super) async fn type_keys(&mut self, keys: &[u8]) {
        self.pty.write_all(keys).await.unwrap();
    }

    /// Waits until AWS was asked for this, and gives the request.
    pub(super) async fn call(&self, wanted: &str) -> Value {
        let asked = async {
            loop {
                let called = self.api.called.notified();
                let calls = self.api.calls.lock().unwrap().clone();
                if let Some((_, request)) = calls.into_iter().find(|(operation, _)| operation == wanted) {
                    return request;
                }
                called.await;
            }
        };
        timeout(PATIENCE, asked).await.unwrap()
    }

    pub(super) fn kill(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().unwrap().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// The sessions that were ended through the API.
    pub(super) fn terminated(&self) -> Vec<String> {
        let calls = self.api.calls.lock().unwrap();
        let of_terminate = calls
            .iter()
            .filter(|(operation, _)| operation == "TerminateSession");
        of_terminate
            .map(|(_, request)| request["SessionId"].as_str().unwrap().to_owned())
            .collect()
    }

    pub(super) fn is_raw(&self) -> bool {
        !tcgetattr(&self.pty)
            .unwrap()
            .local_modes
            .intersects(LocalModes::ICANON | LocalModes::ECHO)
    }

    pub(super) fn is_as_before(&self) -> bool {
        let now = tcgetattr(&self.pty).unwrap();
        now.local_modes == self.before.local_modes
            && now.input_modes == self.before.input_modes
            && now.output_modes == self.before.output_modes
    }

    pub(super) async fn wait(&mut self) -> ExitStatus {
        let mut buffer = [0; 4096];
        while matches!(timeout(PATIENCE, self.pty.read(&mut buffer)).await.unwrap(), Ok(length) if length > 0)
        {
        }
        timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap()
    }
}

/// Written by another process: had we the file open, a fork of another test's could keep it "busy".
async fn put_plugin(directory: &Path, body: &str) {
    let script = format!("#!/bin/sh\n[ \"$1\" = --version ] && {{ echo 1.2.835.0; exit; }}\n{body}\n");
    let status = tokio::process::Command::new("sh")
        .args(["-c", "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\""])
        .arg(directory.join("session-manager-plugin"))
        .arg(script)
        .status()
        .await
        .unwrap();
    assert!(status.success());
}

/// The agent's end of a data channel.
pub(super) struct Agent {
    line: WebSocketStream<TcpStream>,
    pub(super) said: i64,
    heard: i64,
}

impl Agent {
    pub(super) async fn send(
        &mut self,
        message_type: MessageType,
        payload_type: PayloadType,
        payload: impl Into<Bytes>,
    ) {
        let sequence = if message_type == MessageType::OutputStreamData {
            self.said += 1;
            self.said - 1
        } else {
            0
        };
        let message = Message {
            message_type,
            schema_version: 1,
            created: 1,
            sequence,
            flags: 0,
            id: Uuid::new_v4(),
            payload_type,
            payload: payload.into(),
        };
        self.line.send(Frame::binary(message.encode())).await.unwrap();
    }

    pub(super) async fn say(&mut self, bytes: impl Into<Bytes>) {
        self.send(MessageType::OutputStreamData, PayloadType::OUTPUT, bytes)
            .await;
    }

    pub(super) async fn close(&mut self, words: &str) {
        let payload = json!({ "Output": words }).to_string();
        self.send(MessageType::ChannelClosed, PayloadType::NONE, payload)
            .await;
    }

    pub(super) async fn speak_gibberish(&mut self) {
        for _ in 0..3 {
            self.line.send(Frame::binary(vec![7; 200])).await.unwrap();
        }
    }

    /// The next input message that is no repetition, acknowledged. `None` when the client has gone.
    pub(super) async fn hear(&mut self) -> Option<(PayloadType, Bytes)> {
        loop {
            let frame = timeout(PATIENCE, self.line.next()).await.unwrap()?.ok()?;
            let Frame::Binary(bytes) = frame else { continue };
            let message = Message::decode(&bytes).unwrap();
            if message.message_type != MessageType::InputStreamData {
                continue;
            }
            let acknowledgement = Acknowledgement {
                acknowledged_message_type: "input_stream_data".to_owned(),
                acknowledged_message_id: message.id.to_string(),
                acknowledged_message_sequence_number: message.sequence,
                is_sequential_message: true,
            };
            self.send(
                MessageType::Acknowledge,
                PayloadType::NONE,
                acknowledgement.encode(),
            )
            .await;
            if message.sequence == self.heard {
                self.heard += 1;
                return Some((message.payload_type, message.payload));
            }
        }
    }

    /// The next input message of this type.
    pub(super) async fn hear_of(&mut self, wanted: PayloadType) -> Bytes {
        loop {
            let (payload_type, payload) = self.hear().await.unwrap();
            if payload_type == wanted {
                return payload;
            }
        }
    }

    /// Waits for these bytes of input, and no others before them.
    pub(super) async fn hear_typed(&mut self, wanted: &[u8]) {
        let mut typed = Vec::new();
        while typed != wanted {
            let (payload_type, payload) = self.hear().await.unwrap();
            if payload_type == PayloadType::OUTPUT {
                typed.extend_from_slice(&payload);
                assert!(wanted.starts_with(&typed), "{}", String::from_utf8_lossy(&typed));
            }
        }
    }

    /// Everything that was typed until the client went.
    pub(super) async fn hear_rest(&mut self) -> Vec<u8> {
        let mut typed = Vec::new();
        while let Some((payload_type, payload)) = self.hear().await {
            if payload_type == PayloadType::OUTPUT {
                typed.extend_from_slice(&payload);
            }
        }
        typed
    }
}
