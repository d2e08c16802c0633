//! Sessions whose data channel is the test: what becomes of programs when the far end does what it likes.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::pace::Rate;
use super::{CarryEnd, Connections, FULL_GIVEN_UP, GIVEN_UP, Report, SILENCE, basic, mux};
use crate::datachannel::bare::{self, Bare};
use crate::datachannel::{ChannelError, Event, Flag};
use crate::ports::Connection;
use crate::protocol::smux::StreamId;
use crate::protocol::smux::frame::{Command, HEADER, put_header};
use crate::transport::TransportError;

/// Nothing here takes so long; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// A program may stand still for so long.
const STANDS_STILL: Duration = Duration::from_millis(500);
/// The streams of the first programs.
const FIRST: StreamId = StreamId(3);
const SECOND: StreamId = StreamId(5);

type Ended = (Result<CarryEnd, TransportError>, Vec<Connection>);

/// A session.
struct Session {
    bare: Bare,
    connections: mpsc::UnboundedSender<Connection>,
    reports: mpsc::UnboundedReceiver<Report>,
    task: JoinHandle<Ended>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mux,
    Basic,
}

impl Session {
    fn start(kind: Kind) -> Self {
        let (mut events, writer, bare) = bare::channel();
        let (supply, next) = mpsc::unbounded_channel();
        let (tell, reports) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut connections = Connections {
                next,
                counters: Arc::default(),
                silence: SILENCE,
                payload_limit: None,
                rate: Arc::new(Rate::new(None)),
                learnt: Arc::default(),
            };
            let (still, supply) = (STANDS_STILL, &mut connections);
            // A test may have heard enough.
            let report = move |report| drop(tell.send(report));
            let end = match kind {
                Kind::Mux => mux::carry_with(still, &mut events, &writer, None, supply, &report).await,
                Kind::Basic => {
                    let turns = basic::Turns::Many;
                    basic::carry_with(still, &mut events, &writer, turns, supply, &report).await
                }
            };
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

    /// The next thing that is told.
    async fn report(&mut self) -> Report {
        soon(self.reports.recv()).await.unwrap()
    }

    /// Says this for as long as it is heard: then the session waits for a program that takes nothing.
    async fn fill(&self, piece: Bytes) {
        while timeout(STANDS_STILL, self.bare.output(piece.clone()))
            .await
            .is_ok()
        {}
    }

    /// The agent has not answered for so long.
    async fn unanswered(&self, time: Duration) {
        self.bare.say(Event::Unanswered(time)).await;
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
    let mut session = Session::start(Kind::Mux);
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
    let mut session = Session::start(Kind::Mux);
    let mut program = session.known_program(FIRST).await;
    session.fill(frame(Command::Psh, FIRST, &[b'x'; 32_768])).await;
    let events = session.bare.end();
    // It is taken up again.
    let place = soon(events.reserve()).await.unwrap();
    let (late, _late) = Connection::with_program().await;
    session.connections.send(late).unwrap();
    place.send(closed(""));
    let (end, unserved) = soon(session.task).await.unwrap();
    assert_eq!(end.unwrap(), CarryEnd::Closed(String::new()));
    assert_eq!(unserved.len(), 1, "who came late waits for another session");
    // It was not all there was to hear.
    soon(program.read_to_end(&mut Vec::new())).await.unwrap_err();
}

#[tokio::test]
async fn a_program_that_stands_still_goes_when_others_wait_behind_it() {
    let mut session = Session::start(Kind::Mux);
    let mut stands = session.known_program(FIRST).await;
    session.fill(frame(Command::Psh, FIRST, &[b'x'; 32_768])).await;
    // Nobody else wants anything.
    assert!(timeout(STANDS_STILL * 3, session.reports.recv()).await.is_err());
    let mut waits = session.known_program(SECOND).await;
    let hello = frame(Command::Psh, SECOND, b"hello");
    let (told, ()) = tokio::join!(soon(session.reports.recv()), session.bare.output(hello));
    assert_eq!(told, Some(Report::StoodStill));
    let mut heard = [0; 5];
    soon(waits.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"hello");
    soon(stands.read_to_end(&mut Vec::new())).await.unwrap_err();
    assert_eq!(session.report().await, Report::Ended);
    assert!(session.reports.try_recv().is_err(), "the other one goes on");
}

#[tokio::test]
async fn a_program_that_is_slow_keeps_its_connection() {
    let mut session = Session::start(Kind::Mux);
    let mut slow = session.known_program(FIRST).await;
    session.fill(frame(Command::Psh, FIRST, &[b'x'; 32_768])).await;
    let _waits = session.known_program(SECOND).await;
    let mut taken = vec![0; 1 << 20];
    let piece = frame(Command::Psh, FIRST, &[b'x'; 32_768]);
    for _ in 0..8 {
        soon(slow.read_exact(&mut taken)).await.unwrap();
        let moment = STANDS_STILL / 5;
        while timeout(moment, session.bare.output(piece.clone())).await.is_ok() {}
    }
    assert!(session.reports.try_recv().is_err());
}

#[tokio::test]
async fn a_turn_that_stands_still_goes_when_others_wait_for_theirs() {
    let mut session = Session::start(Kind::Basic);
    let mut stands = session.program().await;
    stands.write_all(b"x").await.unwrap();
    assert_eq!(session.bare.written(1).await, "x");
    session.fill(Bytes::from_static(&[b'x'; 32_768])).await;
    assert!(timeout(STANDS_STILL * 3, session.reports.recv()).await.is_err());
    let _waits = session.program().await;
    assert_eq!(session.report().await, Report::StoodStill);
    soon(stands.read_to_end(&mut Vec::new())).await.unwrap_err();
    assert_eq!(session.report().await, Report::Ended);
}

/// A session where a program has sent so much; the far end has answered it or not.
async fn loaded(kind: Kind, bytes: usize, answer: Option<&'static [u8]>) -> (Session, TcpStream) {
    let mut session = Session::start(kind);
    let mut program = match kind {
        Kind::Mux => session.known_program(FIRST).await,
        Kind::Basic => session.program().await,
    };
    let load = vec![b'u'; bytes];
    soon(async { tokio::join!(program.write_all(&load), session.bare.written(bytes)) })
        .await
        .0
        .unwrap();
    if let Some(answer) = answer {
        let whole = match kind {
            Kind::Mux => frame(Command::Psh, FIRST, answer),
            Kind::Basic => Bytes::from_static(answer),
        };
        session.bare.output(whole).await;
        soon(program.read_exact(&mut vec![0; answer.len()]))
            .await
            .unwrap();
    }
    (session, program)
}

#[tokio::test]
async fn an_agent_that_is_not_full_is_given_up_soon_and_a_full_one_later() {
    for kind in [Kind::Mux, Kind::Basic] {
        // All that went there was answered.
        let (session, _program) = loaded(kind, 6_000_000, Some(b"ok")).await;
        session.unanswered(GIVEN_UP).await;
        let (end, _) = soon(session.task).await.unwrap();
        let error = end.unwrap_err();
        assert!(
            matches!(error, TransportError::Channel(ChannelError::Silent(GIVEN_UP))),
            "{error}"
        );

        let (mut session, _program) = loaded(kind, 6_000_000, None).await;
        session.unanswered(GIVEN_UP).await;
        assert_eq!(session.report().await, Report::Unanswered);
        session.unanswered(FULL_GIVEN_UP).await;
        let (end, _) = soon(session.task).await.unwrap();
        let error = end.unwrap_err();
        assert!(
            matches!(
                error,
                TransportError::Channel(ChannelError::Silent(FULL_GIVEN_UP))
            ),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_dial_that_failed_after_its_program_left_is_nobody_elses() {
    let mut session = Session::start(Kind::Mux);
    let program = session.known_program(FIRST).await;
    program.set_zero_linger().unwrap();
    drop(program);
    session.bare.say(Event::Flag(Flag::ConnectToPortError)).await;
    assert_eq!(
        soon(session.bare.written(HEADER)).await,
        frame(Command::Fin, FIRST, b"")
    );
    assert_eq!(session.report().await, Report::Ended);
    session.bare.output(frame(Command::Fin, FIRST, b"")).await;
    assert_eq!(session.report().await, Report::Unreachable);
    let mut silent = session.known_program(SECOND).await;
    session.bare.output(frame(Command::Fin, SECOND, b"")).await;
    let mut heard = Vec::new();
    // An end, and no reset.
    soon(silent.read_to_end(&mut heard)).await.unwrap();
    drop(silent);
    assert_eq!(session.report().await, Report::Ended);
}
