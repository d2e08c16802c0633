//! Port sessions with many connections: smux streams, each to a connection of its own.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, WriteHalf, duplex, split};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use ssmx::protocol::message::PayloadType;

use super::Ending;
use super::channel::{Channel, Pace};
use super::destination::Destination;
use super::incoming::{Desk, Input};
use super::port::terminates;
use super::smux::{Keepalive, Server, Stream};
use super::version::above;
use crate::gateway::SessionSpec;

/// The agent's smux goes through a unix socket, which holds about so much each way.
const BETWEEN: usize = 208 << 10;
/// With clients above this one, agents that know it switch smux's keepalive off.
const KEEPALIVE_CLIENT: &str = "1.2.331.0";
/// The last agent that does not.
const KEEPALIVE_AGENT: &str = "3.1.1511.0";
/// How much a connection is read at once.
const READ: usize = 32 << 10;
/// A flag's payload: the destination could not be reached.
const CONNECT_ERROR: [u8; 4] = 3_u32.to_be_bytes();

/// Takes smux bytes.
pub(super) struct MuxInput {
    writing: WriteHalf<DuplexStream>,
    terminate: mpsc::Sender<()>,
}

impl MuxInput {
    /// Always takes the message; waits while smux reads no more.
    pub(super) async fn take(&mut self, payload_type: PayloadType, payload: Bytes) -> bool {
        match payload_type {
            PayloadType::OUTPUT => drop(self.writing.write_all(&payload).await),
            PayloadType::FLAG if terminates(&payload) => drop(self.terminate.try_send(())),
            _ => {}
        }
        true
    }
}

pub(super) async fn run(
    spec: &SessionSpec,
    destination: Destination,
    client_version: &str,
    channel: &Arc<Channel>,
    desk: &Arc<Desk>,
) -> Ending {
    let off = above(client_version, KEEPALIVE_CLIENT) && above(&spec.agent.version, KEEPALIVE_AGENT);
    let keepalive = (!off).then_some(Keepalive::DEFAULT);
    let (near, far) = duplex(BETWEEN);
    let (mut reading, writing) = split(near);
    let (terminate, mut terminated) = mpsc::channel(1);
    desk.give(Input::Mux(MuxInput { writing, terminate })).await;
    let (server, mut accepted) = Server::new(far, keepalive);
    let accept = async {
        let mut connections = JoinSet::new();
        while let Some(stream) = accepted.recv().await {
            while connections.try_join_next().is_some() {}
            // Here, not in a task: a slow dial holds up all that come after it.
            match destination.dial().await {
                Ok(connection) => drop(connections.spawn(carry(stream, connection))),
                Err(_) => {
                    channel
                        .send(PayloadType::FLAG, Bytes::from_static(&CONNECT_ERROR))
                        .await;
                    stream.close().await;
                }
            }
        }
    };
    let send = async {
        let mut buffer = vec![0; channel.payload_limit(&spec.pacing)];
        let mut pace = Pace::new(&spec.pacing);
        loop {
            channel.unpaused().await;
            let Ok(length @ 1..) = reading.read(&mut buffer).await else {
                return;
            };
            let payload = Bytes::copy_from_slice(&buffer[..length]);
            channel.send(PayloadType::OUTPUT, payload).await;
            pace.rest().await;
        }
    };
    tokio::select! {
        _ = terminated.recv() => Ending::default(),
        error = server.run() => Ending::with(error),
        () = accept => Ending::default(),
        () = send => Ending::default(),
    }
}

/// Carries one connection. When either way ends, both do: there is no half-close.
async fn carry(stream: Stream, connection: TcpStream) {
    let (mut from, mut to) = connection.into_split();
    let Stream {
        mut received,
        mut sending,
    } = stream;
    let down = async {
        while let Some(data) = received.next().await {
            if to.write_all(&data).await.is_err() {
                return;
            }
        }
    };
    let up = async {
        let mut buffer = vec![0; READ];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            if !sending.send(&buffer[..length]).await {
                return;
            }
        }
    };
    tokio::select! {
        () = down => {}
        () = up => {}
    }
    sending.close().await;
}
