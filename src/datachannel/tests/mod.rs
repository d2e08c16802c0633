//! The driver against a gateway of a few lines on loopback. What both sides are made of is here.

mod cuts;
mod ends;
mod flow;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, accept_async};
use uuid::Uuid;

use super::driver::{Driver, Orders, Urgent, Write};
use super::handle::Event;
use super::websocket::connect;
use super::{
    BoxFuture, ChannelError, DataKey, Gateway, GatewayError, Headers, KeyWish, Lasting, Limits, Opening,
    Options, Resumption,
};
use crate::net::Dialer;
use crate::protocol::message::{Message, MessageType, PayloadType};
use crate::protocol::payload::{Acknowledgement, Flag};
use crate::secret::Secret;

/// Nothing here takes so long; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

const OPTIONS: Options = Options {
    limits: Limits::SHELL,
    late_port_limits: None,
    read_ahead: 0,
    renew_after: Duration::from_secs(60 * 60),
    quiet_for: Duration::from_millis(20),
    ping_every: Duration::from_secs(25),
    deaf_after: Duration::from_secs(70),
    wonder_after: Duration::from_secs(30),
    silent_after: Duration::from_secs(60),
    unanswered_after: None,
    longest_pause: Duration::from_millis(20),
    steady_after: Duration::from_secs(10),
    keepalive: None,
    give_up_after: Duration::from_secs(60),
};

/// Hands out prepared answers, and counts how often it was asked.
#[derive(Default)]
struct Prepared {
    resumptions: Mutex<VecDeque<Result<Resumption, GatewayError>>>,
    signatures: AtomicUsize,
}

impl Prepared {
    fn resuming(resumptions: impl IntoIterator<Item = Result<Resumption, GatewayError>>) -> Arc<Self> {
        Arc::new(Self {
            resumptions: Mutex::new(resumptions.into_iter().collect()),
            signatures: AtomicUsize::new(0),
        })
    }
}

impl Gateway for Prepared {
    fn sign<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Headers, GatewayError>> {
        let count = self.signatures.fetch_add(1, Ordering::SeqCst) + 1;
        let signature = Secret::new(format!("signature {count}"));
        Box::pin(async move { Ok(vec![("authorization".to_owned(), signature)]) })
    }

    fn data_key<'a>(&'a self, wish: &'a KeyWish) -> BoxFuture<'a, Result<DataKey, GatewayError>> {
        let key = match wish.key_id.as_str() {
            "alias/good" => Ok(data_key()),
            other => Err(failure(&format!("{other} is denied"), Lasting::Final)),
        };
        Box::pin(async move { key })
    }

    fn resume(&self) -> BoxFuture<'_, Result<Resumption, GatewayError>> {
        let next = self.resumptions.lock().unwrap().pop_front();
        Box::pin(async move { next.unwrap_or_else(|| Err(failure("nothing was prepared", Lasting::Final))) })
    }
}

fn data_key() -> DataKey {
    DataKey {
        plaintext: Secret::new((0..64).collect()),
        ciphertext: b"for the agent".to_vec(),
    }
}

fn failure(message: &str, lasting: Lasting) -> GatewayError {
    GatewayError {
        message: message.to_owned(),
        lasting,
    }
}

/// The gateway's side: one listener, which every opening points to.
struct Far {
    listener: TcpListener,
}

type Line = WebSocketStream<TcpStream>;

impl Far {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener }
    }

    fn opening(&self, token: &str) -> Opening {
        Opening {
            session: "test-0123".parse().unwrap(),
            url: Secret::new(format!(
                "ws://{}/v1/data-channel/test-0123?role=publish_subscribe",
                self.listener.local_addr().unwrap()
            )),
            token: Secret::new(token.to_owned()),
        }
    }

    /// The next connection, with its open message.
    async fn accept(&self) -> (Line, serde_json::Value) {
        let (tcp, _) = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        let mut line = accept_async(tcp).await.unwrap();
        let Frame::Text(open) = line.next().await.unwrap().unwrap() else {
            panic!("the open message is a text frame")
        };
        (line, serde_json::from_str(&open).unwrap())
    }
}

/// Our side: the driver, held by its channels.
struct Near {
    events: mpsc::Receiver<Event>,
    writes: mpsc::Sender<Write>,
    _urgent: mpsc::Sender<Urgent>,
    task: JoinHandle<()>,
}

impl Near {
    async fn event(&mut self) -> Event {
        timeout(PATIENCE, self.events.recv())
            .await
            .unwrap()
            .expect("an event")
    }

    async fn write(&self, bytes: &'static [u8]) {
        let write = Write::Bytes(Bytes::from_static(bytes));
        self.writes.send(write).await.unwrap();
    }
}

async fn near(far: &Far, gateway: Arc<dyn Gateway>, options: Options, events: usize) -> Near {
    let client_id = Uuid::from_u128(7);
    let dialer = Arc::new(Dialer::default());
    let socket = connect(&far.opening("first"), client_id, gateway.as_ref(), &dialer)
        .await
        .unwrap();
    let (events_in, events) = mpsc::channel(events);
    let (writes, writes_out) = mpsc::channel(4);
    let (urgent, urgent_out) = mpsc::channel(4);
    let orders = Orders {
        writes: writes_out,
        urgent: urgent_out,
        handful: Arc::default(),
    };
    let driver = Driver::new(client_id, gateway, dialer, options, events_in, orders);
    Near {
        events,
        writes,
        _urgent: urgent,
        task: tokio::spawn(driver.run(socket)),
    }
}

/// Both sides, connected.
async fn pair(far: &Far, gateway: Arc<dyn Gateway>, options: Options, events: usize) -> (Near, Line) {
    let (near, (line, open)) = tokio::join!(near(far, gateway, options, events), far.accept());
    assert_eq!(open["TokenValue"], "first");
    (near, line)
}

fn message(message_type: MessageType, sequence: i64, payload: impl Into<Bytes>) -> Frame {
    let payload_type = match message_type {
        MessageType::OutputStreamData => PayloadType::OUTPUT,
        _ => PayloadType::NONE,
    };
    typed(message_type, payload_type, sequence, payload)
}

fn typed(
    message_type: MessageType,
    payload_type: PayloadType,
    sequence: i64,
    payload: impl Into<Bytes>,
) -> Frame {
    let message = Message {
        message_type,
        schema_version: 1,
        created: 1,
        sequence,
        flags: 0,
        id: Uuid::from_u128(u128::from(sequence.unsigned_abs())),
        payload_type,
        payload: payload.into(),
    };
    Frame::binary(message.encode())
}

fn output(sequence: i64, payload: impl Into<Bytes>) -> Frame {
    message(MessageType::OutputStreamData, sequence, payload)
}

fn flag(sequence: i64) -> Frame {
    let payload = Flag::ConnectToPortError.encode();
    typed(
        MessageType::OutputStreamData,
        PayloadType::FLAG,
        sequence,
        payload,
    )
}

fn closed(words: &str) -> Frame {
    message(
        MessageType::ChannelClosed,
        0,
        format!(r#"{{"Output":"{words}"}}"#).into_bytes(),
    )
}

/// The next message of the client; pings are passed over.
async fn hear(line: &mut Line) -> Message {
    loop {
        if let Frame::Binary(bytes) = timeout(PATIENCE, line.next()).await.unwrap().unwrap().unwrap() {
            return Message::decode(&bytes).unwrap();
        }
    }
}

async fn hear_input(line: &mut Line) -> Message {
    loop {
        let message = hear(line).await;
        if message.message_type == MessageType::InputStreamData {
            return message;
        }
    }
}

fn acknowledged(message: &Message) -> Option<i64> {
    (message.message_type == MessageType::Acknowledge).then(|| {
        Acknowledgement::decode(&message.payload)
            .unwrap()
            .acknowledged_message_sequence_number
    })
}

fn acknowledge(message_of_ours: &Message) -> Frame {
    let acknowledgement = Acknowledgement {
        acknowledged_message_type: "input_stream_data".to_owned(),
        acknowledged_message_id: message_of_ours.id.to_string(),
        acknowledged_message_sequence_number: message_of_ours.sequence,
        is_sequential_message: true,
    };
    message(MessageType::Acknowledge, 0, acknowledgement.encode())
}

fn bye() -> Frame {
    Frame::Close(Some(CloseFrame {
        code: CloseCode::Normal,
        reason: "Bye".into(),
    }))
}

async fn expect_ready(near: &mut Near) {
    assert!(matches!(near.event().await, Event::Ready { .. }));
    assert!(matches!(near.event().await, Event::Output(bytes) if bytes == "$ "));
}
