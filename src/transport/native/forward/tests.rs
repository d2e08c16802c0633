//! Sessions whose data channel is the test: what becomes of programs when the far end does what it likes.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{CarryEnd, Connections, Report, SILENCE, mux};
use crate::datachannel::Event;
use crate::datachannel::bare::{self, Bare};
use crate::ports::Connection;
use crate::protocol::smux::StreamId;
use crate::protocol::smux::frame::{Command, HEADER, put_header};
use crate::transport::TransportError;

/// Nothing here takes so long; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// The streams of the first programs.
const FIRST: StreamId = StreamId(3);

type Ended = (Result<CarryEnd, TransportError>, Vec<Connection>);

/// A mux session.
struct Session {
    bare: Bare,
    connections: mpsc::UnboundedSender<Connection>,
    reports: mpsc::UnboundedReceiver<Report>,
    task: JoinHandle<Ended>,
}

impl Session {
    fn start() -> Self {
        let (mut events, writer, bare) = bare::channel();
        let (supply, next) = mpsc::unbounded_channel();
        let (tell, reports) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut connections = Connections {
                next,
                counters: Arc::default(),
                silence: SILENCE,
                payload_limit: None,
                rate_limit: None,
                learnt: Arc::default(),
            };
            let report = move |report| tell.send(report).unwrap();
            let end = mux::carry(&mut events, &writer, None, &mut connections, &report).await;
            connections.next.close();
            let unserved = std::iter::from_fn(|| connections.next.try_recv().ok()).collect();
            (end, unserved)
        });
        Self {
            bare,
            connections: supply,
            reports,
            task,
        }
    }

    /// A program that has connected.
    async fn program(&self) -> TcpStream {
        let (connection, program) = Connection::with_program().await;
        self.connections.send(connection).unwrap();
        program
    }

    /// One whose stream the agent has heard of.
    async fn known_program(&mut self, id: StreamId) -> TcpStream {
        let program = self.program().await;
        assert_eq!(self.bare.written(HEADER).await, frame(Command::Syn, id, b""));
        program
    }
}

fn frame(command: Command, id: StreamId, data: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    put_header(&mut frame, command, id, u16::try_from(data.len()).unwrap());
    frame.extend_from_slice(data);
    frame.freeze()
}

fn closed(words: &str) -> Event {
    Event::Closed {
        words: words.to_owned(),
        torn: false,
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.unwrap()
}

#[tokio::test]
async fn what_came_before_the_end_arrives_while_a_program_sends() {
    let mut session = Session::start();
    let mut program = session.known_program(FIRST).await;
    // More than is ever taken, so that there is something to send when the channel ends.
    let (mut reading, mut writing) = program.split();
    let sent = async { while writing.write_all(&[b'u'; 4096]).await.is_ok() {} };
    let told = async {
        // A frame is cut by the messages that bring it.
        let whole = frame(Command::Psh, FIRST, &[b'z'; 10_000]);
        let all = [&whole[..], &whole, &frame(Command::Fin, FIRST, b"")].concat();
        let pieces: Vec<Bytes> = all.chunks(1001).map(Bytes::copy_from_slice).collect();
        assert_eq!(session.bare.written(HEADER).await[1], 2, "the program's own");
        let events = session.bare.end();
        for piece in pieces {
            events.send(Event::Output(piece)).await.unwrap();
        }
        events.send(closed("terminated")).await.unwrap();
        session.task.await.unwrap()
    };
    let mut heard = Vec::new();
    let (heard, (end, _)) = soon(async {
        tokio::select! {
            both = async { tokio::join!(reading.read_to_end(&mut heard), told) } => both,
            () = sent => panic!("the program was reset"),
        }
    })
    .await;
    assert_eq!(heard.unwrap(), 20_000);
    assert_eq!(end.unwrap(), CarryEnd::Closed("terminated".to_owned()));
}

#[tokio::test]
async fn the_end_is_seen_past_a_program_that_stands_still() {
    let mut session = Session::start();
    let mut program = session.known_program(FIRST).await;
    let full = frame(Command::Psh, FIRST, &[b'x'; 32_768]);
    // Beyond the budget the session waits.
    let mut count = 0;
    while timeout(Duration::from_millis(200), session.bare.output(full.clone()))
        .await
        .is_ok()
    {
        count += 1;
    }
    assert!(count > 500, "{count}");
    let late = session.program().await;
    let events = session.bare.end();
    let ends = events.send(closed(""));
    let (ended, sent) = soon(async { tokio::join!(session.task, ends) }).await;
    sent.unwrap();
    let (end, unserved) = ended.unwrap();
    assert_eq!(end.unwrap(), CarryEnd::Closed(String::new()));
    assert_eq!(unserved.len(), 1, "who came late waits for another session");
    drop(late);
    let mut rest = Vec::new();
    // It was not all there was to hear.
    soon(program.read_to_end(&mut rest)).await.unwrap_err();
}
