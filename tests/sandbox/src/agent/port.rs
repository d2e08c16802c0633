//! Port sessions: which way of carrying connections it is, and the two that carry one at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::sleep;

use ssmx::protocol::message::PayloadType;

use super::Ending;
use super::channel::{Channel, Pace};
use super::destination::Destination;
use super::incoming::{Desk, Input};
use super::mux;
use super::version::{above, compare};
use crate::gateway::{PortProperties, SessionSpec};

/// Agents above this one speak smux.
const LAST_BASIC_AGENT: &str = "3.0.196.0";
/// Clients from this one on speak smux.
const FIRST_MUX_CLIENT: &str = "1.1.70";

/// The client closed its connection.
const DISCONNECT: u32 = 1;
/// The client ends the session.
const TERMINATE: u32 = 2;

/// The flag in a payload.
pub(super) fn flag(payload: &[u8]) -> Option<u32> {
    payload.first_chunk::<4>().copied().map(u32::from_be_bytes)
}

/// Whether this flag ends the session.
pub(super) fn terminates(payload: &[u8]) -> bool {
    flag(payload) == Some(TERMINATE)
}

pub(super) async fn run(
    spec: &SessionSpec,
    properties: &PortProperties,
    client_version: &str,
    channel: &Arc<Channel>,
    desk: &Arc<Desk>,
) -> Ending {
    // Till it knows, it takes nothing of the client's.
    if properties.host.is_some() && !spec.agent.lookup.is_zero() {
        sleep(spec.agent.lookup).await;
    }
    let destination = match Destination::resolve(&spec.agent, properties) {
        Ok(destination) => destination,
        Err(words) => return Ending::failed(words),
    };
    let forwards = properties.r#type.as_deref() == Some("LocalPortForwarding");
    if forwards
        && above(&spec.agent.version, LAST_BASIC_AGENT)
        && compare(client_version, FIRST_MUX_CLIENT).is_ge()
    {
        return mux::run(spec, destination, client_version, channel, desk).await;
    }
    single(spec, &destination, forwards, channel, desk).await
}

/// What the reading side tells the one that sends.
enum News {
    /// The client ends the session.
    Terminated,
    /// The client's connection is gone.
    Disconnected,
    /// The service was dialled anew.
    Connected(OwnedReadHalf),
    /// It could not be.
    Failed(String),
}

/// Takes the bytes for a port with one connection.
pub(super) struct PortInput {
    writing: OwnedWriteHalf,
    /// Basic mode: the next data dials anew once the connection is gone.
    redials: Option<Destination>,
    gone: Arc<AtomicBool>,
    news: mpsc::UnboundedSender<News>,
}

impl PortInput {
    /// Takes the message unless the service cannot be reached any more.
    pub(super) async fn take(&mut self, payload_type: PayloadType, payload: Bytes) -> bool {
        match payload_type {
            PayloadType::OUTPUT => {
                if self.gone.load(Ordering::SeqCst)
                    && let Some(destination) = &self.redials
                {
                    match destination.dial().await {
                        Ok(stream) => {
                            let (reading, writing) = stream.into_split();
                            self.writing = writing;
                            self.gone.store(false, Ordering::SeqCst);
                            let _ = self.news.send(News::Connected(reading));
                        }
                        Err(error) => {
                            let _ = self.news.send(News::Failed(error.to_string()));
                            return false;
                        }
                    }
                }
                // Where the service has hung up, the reading side is about to notice.
                let _ = self.writing.write_all(&payload).await;
            }
            PayloadType::FLAG if terminates(&payload) => {
                let _ = self.news.send(News::Terminated);
            }
            PayloadType::FLAG if flag(&payload) == Some(DISCONNECT) && self.redials.is_some() => {
                self.gone.store(true, Ordering::SeqCst);
                let _ = self.writing.shutdown().await;
                let _ = self.news.send(News::Disconnected);
            }
            _ => {}
        }
        true
    }
}

/// One connection, made at the start. For ssh the session ends with it; in basic mode the next data makes another.
async fn single(
    spec: &SessionSpec,
    destination: &Destination,
    forwards: bool,
    channel: &Arc<Channel>,
    desk: &Arc<Desk>,
) -> Ending {
    let stream: TcpStream = match destination.dial().await {
        Ok(stream) => stream,
        Err(error) => return Ending::failed(format!("Unable to connect to specified port: {error}")),
    };
    let (reading, writing) = stream.into_split();
    let gone = Arc::new(AtomicBool::new(false));
    let (news, mut told) = mpsc::unbounded_channel();
    desk.give(Input::Port(PortInput {
        writing,
        redials: forwards.then(|| destination.clone()),
        gone: Arc::clone(&gone),
        news,
    }))
    .await;
    let mut buffer = vec![0; channel.payload_limit(&spec.pacing)];
    let mut pace = Pace::new(&spec.pacing);
    let mut reading = Some(reading);
    loop {
        channel.unpaused().await;
        let read = async {
            match &mut reading {
                Some(reading) => reading.read(&mut buffer).await,
                None => std::future::pending().await,
            }
        };
        let length = tokio::select! {
            biased;
            news = told.recv() => {
                match news {
                    Some(News::Terminated) | None => return Ending::default(),
                    Some(News::Disconnected) => reading = None,
                    Some(News::Connected(anew)) => reading = Some(anew),
                    Some(News::Failed(words)) => {
                        return Ending::with(format!("Unable to connect to specified port: {words}"));
                    }
                }
                continue;
            }
            length = read => length,
        };
        match length {
            Ok(length @ 1..) => {
                let payload = Bytes::copy_from_slice(&buffer[..length]);
                channel.send(PayloadType::OUTPUT, payload).await;
                pace.rest().await;
            }
            Ok(0) | Err(_) if forwards => {
                gone.store(true, Ordering::SeqCst);
                reading = None;
            }
            Ok(0) | Err(_) => return Ending::default(),
        }
    }
}
