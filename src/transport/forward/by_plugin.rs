//! One session of a forward, carried by AWS's plugin: it listens on a port of its own, and the connections that our
//! listener took are relayed to it. What becomes of the session is read from its words, for its exit status says
//! nothing.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::WriteHalf;
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

use super::plugin_words::{Lines, Word};
use super::refusal;
use crate::ids::SessionId;
use crate::ports::{Connection, Refusal};
use crate::transport::TransportError;
use crate::transport::native::forward::answer::{Asked, Trust};
use crate::transport::native::forward::link::{self, FromLink, Link, ToLink};
use crate::transport::native::forward::{CarryEnd, Connections, Report};
use crate::transport::plugin::{self, PluginError};

/// How long the plugin may take until it listens: it dials, and the agent resolves.
const PATIENCE: Duration = Duration::from_secs(60);
/// The plugin says that the far port cannot be reached beside closing the connection, and it closes all of them
/// when it leaves: so long is waited to tell these from the end of a connection.
const DOUBT: Duration = Duration::from_millis(20);
/// How often, where the connection had no answer: its end alone would count as one.
const DOUBTS: usize = 5;
/// The plugin listens before the agent has looked the host up, and says nothing of that but the session's end: what
/// has not ended so long after is there.
const MOMENT: Duration = Duration::from_millis(500);
/// How long its last words may take, and its relays to see that it has left.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long the plugin may take to close a connection that has nothing more to say. Closed on it, the system may
/// throw away what was said last.
const PARTING: Duration = Duration::from_secs(1);
/// What a connection is read at once, and what may wait for a program that does not read.
const READ: usize = 32 * 1024;
const BUDGET: usize = 4 << 20;

/// Carries connections until the plugin leaves or their supply ends.
///
/// # Errors
/// When it does not come to listen, or leaves without the end of its session.
pub(super) async fn carry(
    mut child: Child,
    session: SessionId,
    connections: &mut Connections,
    report: &(dyn Fn(Report) + Send + Sync),
) -> Result<CarryEnd, TransportError> {
    let Some(stdout) = child.stdout.take() else {
        return Err(PluginError::Refused("it has no voice".to_owned()).into());
    };
    let mut said = Said {
        lines: Lines::new(stdout),
        session,
        port: None,
        end: None,
        trouble: None,
        far: Arc::new(Far {
            process: child.id(),
            ..Far::default()
        }),
    };
    let mut relays = JoinSet::new();
    let end = tokio::select! {
        end = carry_on(&mut said, &mut relays, connections, report) => end,
        status = child.wait() => {
            said.far.left.store(true, Ordering::SeqCst);
            // What it said last may still be in the pipe, and tells why before it is known that it has gone.
            drop(timeout(LAST_WORDS, said.hear_all(report)).await);
            said.far.gone.store(true, Ordering::SeqCst);
            match (status, said.end.take()) {
                (_, Some(end)) => Ok(end),
                (Ok(status), None) if !status.success() => Err(PluginError::Failed(status).into()),
                (_, None) => {
                    let words = said.trouble.take();
                    let words = words.unwrap_or_else(|| "it left while the session was still open".to_owned());
                    Err(PluginError::Refused(words).into())
                }
            }
        }
    };
    plugin::dismiss(&mut child).await;
    // Its connections have ended with it, which their relays are about to see.
    let parting = async { while relays.join_next().await.is_some() {} };
    drop(timeout(LAST_WORDS, parting).await);
    end
}

/// What the plugin has said.
struct Said {
    lines: Lines,
    session: SessionId,
    port: Option<u16>,
    end: Option<CarryEnd>,
    trouble: Option<String>,
    far: Arc<Far>,
}

/// What relays know of the far end.
#[derive(Debug, Default)]
struct Far {
    /// Connections that it could not reach the port for, and that are still to be closed for it.
    unreachable: AtomicUsize,
    /// The plugin's process.
    process: Option<u32>,
    /// It has ended; why is still to be read.
    left: AtomicBool,
    /// The plugin has left, or is about to, and has said why.
    gone: AtomicBool,
    /// Why, as programs are told.
    why: OnceLock<Refusal>,
}

impl Far {
    /// Whether the plugin's end is under way, so that it is about to be known why.
    fn is_leaving(&self) -> bool {
        self.left.load(Ordering::SeqCst) || self.process.is_some_and(plugin::is_leaving)
    }
}

impl Said {
    /// Hears one line. `false`: there are no more.
    async fn hear(&mut self, report: &(dyn Fn(Report) + Send + Sync)) -> bool {
        let Some(line) = self.lines.next().await else {
            return false;
        };
        match Word::read(&line, &self.session) {
            Word::Listening(port) => self.port = Some(port),
            Word::Unreachable => drop(self.far.unreachable.fetch_add(1, Ordering::SeqCst)),
            Word::Closed(words) => {
                if let Some(why) = refusal::of_words(&words) {
                    // The first word counts.
                    let _ = self.far.why.set(why);
                }
                self.far.gone.store(true, Ordering::SeqCst);
                self.end = Some(CarryEnd::Closed(words));
            }
            Word::TimedOut => {
                self.far.gone.store(true, Ordering::SeqCst);
                self.end = Some(CarryEnd::TimedOut);
            }
            Word::Trouble(words) => self.trouble = Some(words),
            Word::Other(words) => report(Report::CustomerMessage(words)),
            Word::Nothing => {}
        }
        true
    }

    async fn hear_all(&mut self, report: &(dyn Fn(Report) + Send + Sync)) {
        while self.hear(report).await {}
    }
}

/// Relays connections; it ends when their supply has, or when the plugin has told the end of the session.
async fn carry_on(
    said: &mut Said,
    relays: &mut JoinSet<Reached>,
    connections: &mut Connections,
    report: &(dyn Fn(Report) + Send + Sync),
) -> Result<CarryEnd, TransportError> {
    let listening = async { while said.port.is_none() && said.end.is_none() && said.hear(report).await {} };
    if timeout(PATIENCE, listening).await.is_err() {
        let seconds = PATIENCE.as_secs();
        return Err(PluginError::Refused(format!("it took no connections within {seconds} s")).into());
    }
    let port = match (said.end.take(), said.port) {
        (Some(end), _) => return Ok(end),
        (None, Some(port)) => port,
        // It is about to leave, which tells more.
        (None, None) => return std::future::pending().await,
    };
    report(Report::Open);
    let ready_at = Instant::now() + MOMENT;
    let (mut supplied, mut talks, mut ready) = (true, true, false);
    while supplied || !relays.is_empty() {
        tokio::select! {
            connection = connections.next.recv(), if supplied => match connection {
                Some(connection) => {
                    let relay = Relay {
                        far: Arc::clone(&said.far),
                        counters: Arc::clone(&connections.counters),
                        silence: connections.silence,
                    };
                    relays.spawn(relay.carry(connection, port));
                }
                None => supplied = false,
            },
            Some(ended) = relays.join_next() => match ended {
                Ok(Reached::Yes) => report(Report::Ended),
                Ok(Reached::No) => {
                    report(Report::Unreachable);
                    report(Report::Ended);
                }
                Err(error) => if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                },
            },
            more = said.hear(report), if talks => {
                talks = more;
                if let Some(end) = said.end.take() {
                    return Ok(end);
                }
            }
            () = sleep_until(ready_at.into()), if !ready => {
                ready = true;
                report(Report::Ready);
            }
        }
    }
    Ok(CarryEnd::Retired)
}

/// Whether a connection came to the far port.
#[derive(Debug, PartialEq, Eq)]
enum Reached {
    Yes,
    No,
}

/// One connection on its way to the plugin.
struct Relay {
    far: Arc<Far>,
    counters: Arc<super::Counters>,
    silence: Duration,
}

impl Relay {
    async fn carry(self, connection: Connection, port: u16) -> Reached {
        let mut stream = match dial(port).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "the plugin takes no connection");
                // It has left as likely as not, and is about to have said why.
                for _ in 0..DOUBTS {
                    if !self.far.gone.load(Ordering::SeqCst) {
                        sleep(DOUBT).await;
                    }
                }
                connection.refuse(self.far.why.get().copied().unwrap_or(Refusal::Failed));
                return Reached::Yes;
            }
        };
        let (tell, mut told) = mpsc::unbounded_channel();
        let waits_for_answer = connection.owes_an_answer();
        let link = link::start(connection, (), self.silence, tell);
        if waits_for_answer {
            link.send(ToLink::Asked(Asked {
                acknowledged: None,
                trust: Trust::Unknown,
            }));
        }
        let (mut from, mut to) = stream.split();
        let mut buffer = BytesMut::new();
        let mut unsent: VecDeque<Bytes> = VecDeque::new();
        let (mut untaken, mut answered, mut far_finished) = (0_usize, false, false);
        let mut near = Near::Open;
        loop {
            if near == Near::Finishing && unsent.is_empty() {
                // No answer is waited for, and the plugin closes the whole of the far connection, as agents do.
                drop(to.shutdown().await);
                near = Near::Finished {
                    until: Instant::now() + PARTING,
                };
            }
            let parting = match near {
                Near::Finished { until } => Some(until),
                Near::Open | Near::Finishing => None,
            };
            buffer.reserve(READ);
            tokio::select! {
                count = from.read_buf(&mut buffer), if untaken < BUDGET && !far_finished => match count {
                    Ok(count @ 1..) => {
                        answered = true;
                        untaken += count;
                        self.counters.received(count);
                        link.send(ToLink::Data(buffer.split().freeze()));
                    }
                    end @ (Ok(0) | Err(_)) => {
                        far_finished = true;
                        // Of a reset nobody knows what it has thrown away: it stays one.
                        let word = end.map_or(ToLink::Refused(Refusal::Failed), |_| ToLink::Finished);
                        if self.ends(&link, answered, word).await == Reached::No {
                            return Reached::No;
                        }
                    }
                },
                written = write_first(&mut to, &mut unsent), if !unsent.is_empty() => match written {
                    Ok(count) => {
                        self.counters.sent(count);
                        link.sent(count);
                    }
                    // Its other half says the same.
                    Err(_) => unsent.clear(),
                },
                message = told.recv() => match message {
                    Some(((), FromLink::Data(bytes))) => unsent.push_back(bytes),
                    Some(((), FromLink::Taken(bytes))) => untaken = untaken.saturating_sub(bytes),
                    Some(((), FromLink::Finished)) => near = Near::Finishing,
                    Some(((), FromLink::Gone)) | None => return Reached::Yes,
                },
                () = sleep_until(parting.unwrap_or_else(Instant::now).into()), if parting.is_some() => {
                    return Reached::Yes;
                }
            }
        }
    }

    /// The plugin has closed the connection: it has ended, which is told with this word, or was never made, or the
    /// plugin has left.
    async fn ends(&self, link: &Link, answered: bool, word: ToLink) -> Reached {
        let take_one = |count: usize| count.checked_sub(1);
        let last_words = Instant::now() + LAST_WORDS;
        let mut doubts = if answered { 1 } else { DOUBTS };
        while doubts > 0 {
            sleep(DOUBT).await;
            let unreachable = &self.far.unreachable;
            if !answered
                && unreachable
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take_one)
                    .is_ok()
            {
                link.send(ToLink::Refused(Refusal::Refused));
                return Reached::No;
            }
            let leaving = self.far.is_leaving();
            if self.far.gone.load(Ordering::SeqCst) || (leaving && Instant::now() >= last_words) {
                let why = self.far.why.get().copied().unwrap_or(Refusal::Failed);
                link.send(ToLink::Refused(why));
                return Reached::Yes;
            }
            if !leaving {
                doubts -= 1;
            }
        }
        link.send(word);
        Reached::Yes
    }
}

/// How far the program's direction has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Near {
    Open,
    /// No more comes; what came is still to be written.
    Finishing,
    /// It was told; it has so long to close.
    Finished {
        until: Instant,
    },
}

/// Writes some of what waits, and says how much. Cancel-safe.
async fn write_first(to: &mut WriteHalf<'_>, unsent: &mut VecDeque<Bytes>) -> io::Result<usize> {
    let Some(first) = unsent.front_mut() else {
        return Ok(0);
    };
    let count = to.write_buf(first).await?;
    if first.is_empty() {
        unsent.pop_front();
    }
    Ok(count)
}

/// The plugin listens on `localhost`, which is one address of the two.
async fn dial(port: u16) -> io::Result<TcpStream> {
    let first = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
    let stream = match first {
        Ok(stream) => stream,
        Err(_) => TcpStream::connect(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}
