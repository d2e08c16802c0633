//! The driver against a gateway of a few lines on loopback: cuts, silence, refusals, ends.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

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

use super::driver::{Driver, Urgent, Write};
use super::handle::Event;
use super::websocket::connect;
use super::{
    BoxFuture, ChannelError, DataKey, Gateway, GatewayError, Headers, KeyWish, Lasting, Limits, Opening,
    Options, Resumption,
};
use crate::net::Dialer;
use crate::protocol::message::{Message, MessageType, PayloadType};
use crate::protocol::payload::Acknowledgement;
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
    let driver = Driver::new(
        client_id, gateway, dialer, options, events_in, writes_out, urgent_out,
    );
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

#[tokio::test]
async fn the_hourly_bye_is_a_cut_and_the_session_goes_on_at_another_address() {
    let (far, second) = (Far::new().await, Far::new().await);
    let gateway = Prepared::resuming([
        Err(failure("the network is away", Lasting::Passing)),
        Ok(Resumption::Open(second.opening("second"))),
    ]);
    let (mut near, mut line) = pair(&far, gateway.clone(), OPTIONS, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    assert_eq!(acknowledged(&hear(&mut line).await), Some(0));
    near.write(b"ls\r").await;
    let unacknowledged = hear_input(&mut line).await;
    line.send(bye()).await.unwrap();

    let (mut line, open) = second.accept().await;
    assert_eq!(open["TokenValue"], "second");
    assert_eq!(open["ClientId"], Uuid::from_u128(7).to_string());
    assert_eq!(
        hear_input(&mut line).await,
        unacknowledged,
        "it is repeated at once, number and id"
    );
    assert_eq!(
        gateway.signatures.load(Ordering::SeqCst),
        2,
        "each dial is signed"
    );
    let Event::Reconnecting { cause } = near.event().await else {
        panic!("not told")
    };
    assert!(cause.contains("1000") && cause.contains("Bye"), "{cause}");
    assert!(matches!(near.event().await, Event::Reconnected { .. }));
    line.send(output(1, "README")).await.unwrap();
    assert!(matches!(near.event().await, Event::Output(bytes) if bytes == "README"));
}

/// The plugin gives up after some seconds and stays, dead.
#[tokio::test]
async fn a_network_that_is_long_away_is_waited_for() {
    let (far, second) = (Far::new().await, Far::new().await);
    let away = (0..12).map(|_| Err(failure("the network is away", Lasting::Passing)));
    let back = Ok(Resumption::Open(second.opening("second")));
    let gateway = Prepared::resuming(away.chain([back]));
    let (mut near, mut line) = pair(&far, gateway, OPTIONS, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    drop(line);
    let (mut line, _) = second.accept().await;
    assert!(matches!(near.event().await, Event::Reconnecting { .. }));
    assert!(matches!(near.event().await, Event::Reconnected { .. }));
    line.send(output(1, "README")).await.unwrap();
    assert!(matches!(near.event().await, Event::Output(bytes) if bytes == "README"));
}

#[tokio::test]
async fn an_old_socket_is_renewed_in_a_quiet_moment_and_nobody_is_told() {
    let (far, second) = (Far::new().await, Far::new().await);
    let options = Options {
        renew_after: Duration::from_millis(50),
        ..OPTIONS
    };
    let gateway = Prepared::resuming([Ok(Resumption::Open(second.opening("second")))]);
    let (mut near, mut line) = pair(&far, gateway, options, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    // While input is under way the moment is not quiet.
    near.write(b"ls\r").await;
    let typed = hear_input(&mut line).await;
    assert!(
        timeout(options.renew_after * 3, second.listener.accept())
            .await
            .is_err()
    );
    line.send(acknowledge(&typed)).await.unwrap();
    let (mut line, _) = second.accept().await;
    line.send(output(1, "README")).await.unwrap();
    assert!(matches!(near.event().await, Event::Output(bytes) if bytes == "README"));
}

/// A peer that reads only while it can write.
#[tokio::test]
async fn both_directions_full_do_not_stand_still() {
    const MESSAGES: i64 = 20_000;
    let far = Far::new().await;
    let options = Options {
        limits: Limits::PORT,
        read_ahead: 64 << 20,
        ..OPTIONS
    };
    let (mut near, mut line) = pair(&far, Arc::new(Prepared::default()), options, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    let writes = near.writes.clone();
    let writing = tokio::spawn(async move {
        // More than all buffers on the way hold; the window stops it, the test does not wait for it.
        while writes
            .send(Write::Bytes(Bytes::from(vec![b'y'; 32 * 1024])))
            .await
            .is_ok()
        {}
    });
    // It reads nothing until it has written everything.
    for sequence in 1..=MESSAGES {
        line.feed(output(sequence, vec![b'x'; 1024])).await.unwrap();
    }
    line.flush().await.unwrap();
    let mut heard = 0;
    while heard < MESSAGES {
        if let Event::Output(_) = near.event().await {
            heard += 1;
        }
    }
    writing.abort();
}

/// What has room by then is the window; a write that fills the buffer by itself is gone at once.
#[tokio::test]
async fn writes_larger_than_the_buffer_do_not_wait_for_each_other_s_acknowledgement() {
    const LARGE: [u8; 8192] = [b'x'; 8192];
    let far = Far::new().await;
    let options = Options {
        limits: Limits {
            payload: LARGE.len(),
            unsent: LARGE.len() / 2,
            ..Limits::PORT
        },
        ..OPTIONS
    };
    let (mut near, mut line) = pair(&far, Arc::new(Prepared::default()), options, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    for _ in 0..4 {
        near.write(&LARGE).await;
    }
    for number in 0..4 {
        let message = hear_input(&mut line).await;
        assert_eq!((message.sequence, message.payload.len()), (number, LARGE.len()));
    }
}

#[tokio::test]
async fn a_gateway_that_answers_no_ping_counts_as_cut() {
    let (far, second) = (Far::new().await, Far::new().await);
    let options = Options {
        ping_every: Duration::from_millis(30),
        deaf_after: Duration::from_millis(200),
        ..OPTIONS
    };
    let gateway = Prepared::resuming([Ok(Resumption::Open(second.opening("second")))]);
    // The first line is kept and not polled, so that no pong leaves.
    let (mut near, mut line) = pair(&far, gateway, options, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    let (mut second_line, _) = second.accept().await;
    let Event::Reconnecting { cause } = near.event().await else {
        panic!("not told")
    };
    assert!(cause.contains("nothing was heard"), "{cause}");
    assert!(matches!(near.event().await, Event::Reconnected { .. }));
    // One that answers pings is kept, well beyond the deadline.
    let started = tokio::time::Instant::now();
    let mut pings = 0;
    while started.elapsed() < options.deaf_after * 3 {
        if let Ok(frame) = timeout(options.deaf_after, second_line.next()).await {
            pings += usize::from(matches!(frame, Some(Ok(Frame::Ping(_)))));
        }
    }
    assert!(pings >= 3, "{pings}");
    assert!(near.events.try_recv().is_err(), "the second line was cut too");
}

#[tokio::test]
async fn the_end_is_told_even_when_the_socket_goes_with_it() {
    let far = Far::new().await;
    let options = Options {
        ping_every: Duration::from_millis(5),
        ..OPTIONS
    };
    let (mut near, mut line) = pair(&far, Arc::new(Prepared::default()), options, 1).await;
    line.send(output(0, "$ ")).await.unwrap();
    assert_eq!(acknowledged(&hear(&mut line).await), Some(0));
    // The driver waits for its reader, with all this unread before it, and can only write: to no one.
    line.feed(output(1, "bye")).await.unwrap();
    line.feed(closed("logged out")).await.unwrap();
    line.flush().await.unwrap();
    line.get_ref().set_zero_linger().unwrap();
    drop(line);
    // Not for luck: however this turns out, nothing may be lost; but within it some pings fail.
    tokio::time::sleep(Duration::from_millis(100)).await;
    expect_ready(&mut near).await;
    assert!(matches!(near.event().await, Event::Output(bytes) if bytes == "bye"));
    let last = near.event().await;
    assert!(
        matches!(&last, Event::Closed { words, torn: false } if words == "logged out"),
        "{last:?}"
    );
    assert!(timeout(PATIENCE, near.events.recv()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_slow_reader_loses_nothing_and_stops_the_acknowledgements() {
    const COUNT: i64 = 400;
    let far = Far::new().await;
    let (mut near, mut line) = pair(&far, Arc::new(Prepared::default()), OPTIONS, 2).await;
    line.send(output(0, "$ ")).await.unwrap();
    for sequence in 1..=COUNT {
        line.feed(output(sequence, vec![b'x'; 100])).await.unwrap();
    }
    line.flush().await.unwrap();
    // Two events wait in the queue and one message's worth with the driver; the rest is not acknowledged.
    let mut early = 0;
    while timeout(Duration::from_millis(300), line.next()).await.is_ok() {
        early += 1;
    }
    assert!(early < 10, "{early} acknowledged unread");
    expect_ready(&mut near).await;
    for sequence in 1..=COUNT {
        assert!(matches!(near.event().await, Event::Output(_)), "{sequence}");
    }
    let mut last = None;
    while last != Some(COUNT) {
        last = acknowledged(&hear(&mut line).await).or(last);
    }
}

#[tokio::test]
async fn who_lets_go_of_the_channel_ends_the_task() {
    let far = Far::new().await;
    let (near, mut line) = pair(&far, Arc::new(Prepared::default()), OPTIONS, 64).await;
    let Near {
        events,
        writes,
        _urgent: urgent,
        task,
    } = near;
    drop((events, writes, urgent));
    timeout(PATIENCE, task).await.unwrap().unwrap();
    assert!(!matches!(
        timeout(PATIENCE, line.next()).await.unwrap(),
        Some(Ok(Frame::Binary(_)))
    ));
}

#[tokio::test]
async fn a_session_that_ended_while_we_were_away_says_so() {
    let far = Far::new().await;
    let gateway = Prepared::resuming([Ok(Resumption::TimedOut)]);
    let (mut near, mut line) = pair(&far, gateway, OPTIONS, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    drop(line);
    assert!(matches!(near.event().await, Event::Reconnecting { .. }));
    assert!(matches!(near.event().await, Event::TimedOut));
}

#[tokio::test]
async fn what_cannot_be_resumed_fails_with_the_reason() {
    let far = Far::new().await;
    let gateway = Prepared::resuming([Err(failure("the credentials have expired", Lasting::Final))]);
    let (mut near, mut line) = pair(&far, gateway, OPTIONS, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    drop(line);
    assert!(matches!(near.event().await, Event::Reconnecting { .. }));
    let Event::Failed(error) = near.event().await else {
        panic!("not told")
    };
    assert_eq!(error.to_string(), "the credentials have expired");
}

#[tokio::test]
async fn an_agent_that_never_speaks_is_not_waited_for_for_ever() {
    let far = Far::new().await;
    let options = Options {
        wonder_after: Duration::from_millis(20),
        silent_after: Duration::from_millis(80),
        ..OPTIONS
    };
    let (mut near, _line) = pair(&far, Arc::new(Prepared::default()), options, 64).await;
    assert!(matches!(near.event().await, Event::Waiting));
    assert!(matches!(
        near.event().await,
        Event::Failed(ChannelError::Silent(_))
    ));
}

#[tokio::test]
async fn an_agent_that_answers_no_more_is_told_again_and_again_until_it_does() {
    let far = Far::new().await;
    let options = Options {
        unanswered_after: Some(Duration::from_millis(40)),
        ..OPTIONS
    };
    let (mut near, mut line) = pair(&far, Arc::new(Prepared::default()), options, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    near.write(b"is anybody there?").await;
    for times in 1..=3 {
        let Event::Unanswered(time) = near.event().await else {
            panic!("not told")
        };
        assert_eq!(time, Duration::from_millis(40) * times);
    }
    // Any word will do, and then there is nothing to wait for.
    let input = hear_input(&mut line).await;
    line.send(acknowledge(&input)).await.unwrap();
    line.send(output(1, "yes")).await.unwrap();
    let mut told = 3;
    let bytes = loop {
        match near.event().await {
            // On its way before the answer.
            Event::Unanswered(_) => told += 1,
            Event::Output(bytes) => break bytes,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(&bytes[..], b"yes");
    assert!(told < 10);
    assert!(
        timeout(Duration::from_millis(200), near.events.recv())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_refused_upgrade_tells_status_and_body() {
    let far = Far::new().await;
    let opening = far.opening("first");
    let refuse = async {
        let (mut tcp, _) = far.listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let length = tcp.read(&mut request).await.unwrap();
        let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
        assert!(request.contains("authorization: signature 1"), "{request}");
        let refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nnot today";
        tcp.write_all(refusal).await.unwrap();
        tcp
    };
    let gateway = Prepared::default();
    let dialer = Dialer::default();
    let (result, _tcp) = tokio::join!(connect(&opening, Uuid::from_u128(7), &gateway, &dialer), refuse);
    let error = result.unwrap_err().to_string();
    assert_eq!(error, "the gateway refused the data channel: HTTP 403 not today");
}
