//! An smux v1 server, by the properties of the library that agents use.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, split};
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, timeout};

const VERSION: u8 = 1;
const SYN: u8 = 0;
const FIN: u8 = 1;
const PSH: u8 = 2;
const NOP: u8 = 3;

/// The most data of one frame that is sent.
const FRAME: usize = 32_768;
/// The bytes that all streams together may hold for their readers.
const BUDGET: i64 = 4_194_304;
/// Streams that wait to be accepted.
const BACKLOG: usize = 1024;
/// smux's keepalive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keepalive {
    /// A NOP so often.
    pub(super) every: Duration,
    /// The end after so long without any frame.
    pub(super) silence: Duration,
}

impl Keepalive {
    /// The library's defaults.
    pub(super) const DEFAULT: Self = Self {
        every: Duration::from_secs(10),
        silence: Duration::from_secs(30),
    };
}

/// The server's end of an smux session.
pub(super) struct Server {
    io: DuplexStream,
    keepalive: Option<Keepalive>,
    accepting: mpsc::Sender<Stream>,
    shared: Arc<Shared>,
    frames: mpsc::Receiver<Vec<u8>>,
}

struct Shared {
    /// Where each stream's data goes; none after its FIN.
    streams: Mutex<HashMap<u32, Option<mpsc::UnboundedSender<Bytes>>>>,
    budget: watch::Sender<i64>,
    frames: mpsc::Sender<Vec<u8>>,
}

/// An accepted stream.
pub(super) struct Stream {
    pub(super) received: Received,
    pub(super) sending: Sending,
}

/// What the client sends on a stream.
pub(super) struct Received {
    data: mpsc::UnboundedReceiver<Bytes>,
    shared: Arc<Shared>,
}

/// What the client is sent on a stream.
pub(super) struct Sending {
    id: u32,
    shared: Arc<Shared>,
    /// Whether the stream is still in the table.
    open: bool,
}

impl Server {
    /// A server on this pipe, and the streams that it accepts.
    pub(super) fn new(io: DuplexStream, keepalive: Option<Keepalive>) -> (Self, mpsc::Receiver<Stream>) {
        let (accepting, accepted) = mpsc::channel(BACKLOG);
        // One frame at a time and in turn: no stream overtakes by sending more.
        let (sender, frames) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            streams: Mutex::default(),
            budget: watch::Sender::new(BUDGET),
            frames: sender,
        });
        let server = Self {
            io,
            keepalive,
            accepting,
            shared,
            frames,
        };
        (server, accepted)
    }

    /// Runs until the pipe ends or the client breaks the protocol; says which.
    pub(super) async fn run(self) -> String {
        let (reading, mut writing) = split(self.io);
        let mut frames = self.frames;
        let write = async {
            while let Some(frame) = frames.recv().await {
                if writing.write_all(&frame).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            ended = receive(reading, &self.shared, &self.accepting, self.keepalive) => ended,
            () = write => "smux: broken pipe".to_owned(),
            never = keep_alive(&self.shared, self.keepalive) => match never {},
        }
    }
}

async fn keep_alive(shared: &Shared, keepalive: Option<Keepalive>) -> Infallible {
    let Some(keepalive) = keepalive else {
        return std::future::pending().await;
    };
    let mut ticks = interval(keepalive.every);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let _ = shared.frames.send(header(NOP, 0, 0).to_vec()).await;
    }
}

async fn receive(
    mut reading: impl AsyncRead + Unpin,
    shared: &Arc<Shared>,
    accepting: &mpsc::Sender<Stream>,
    keepalive: Option<Keepalive>,
) -> String {
    loop {
        // The sender is in `shared`: it does not go away meanwhile.
        let _ = shared.budget.subscribe().wait_for(|left| *left > 0).await;
        let mut head = [0; 8];
        let patience = keepalive.map_or(Duration::MAX, |keepalive| keepalive.silence);
        match timeout(patience, reading.read_exact(&mut head)).await {
            Err(_) => return "smux: keepalive timed out".to_owned(),
            Ok(Err(_)) => return "smux: the pipe ended".to_owned(),
            Ok(Ok(_)) => {}
        }
        let [version, command, low, high, a, b, c, d] = head;
        let (length, id) = (u16::from_le_bytes([low, high]), u32::from_le_bytes([a, b, c, d]));
        match (version, command) {
            (VERSION, SYN) => {
                let (sender, data) = mpsc::unbounded_channel();
                {
                    let mut streams = shared.lock();
                    if streams.contains_key(&id) {
                        continue;
                    }
                    streams.insert(id, Some(sender));
                }
                let stream = Stream {
                    received: Received {
                        data,
                        shared: Arc::clone(shared),
                    },
                    sending: Sending {
                        id,
                        shared: Arc::clone(shared),
                        open: true,
                    },
                };
                if accepting.send(stream).await.is_err() {
                    return "smux: closed".to_owned();
                }
            }
            (VERSION, FIN) => {
                if let Some(stream) = shared.lock().get_mut(&id) {
                    *stream = None;
                }
            }
            (VERSION, PSH) => {
                let mut data = vec![0; usize::from(length)];
                if reading.read_exact(&mut data).await.is_err() {
                    return "smux: the pipe ended".to_owned();
                }
                // For a stream that is not there the bytes are dropped and cost nothing.
                if let Some(Some(stream)) = shared.lock().get(&id)
                    && !data.is_empty()
                {
                    shared.budget.send_modify(|left| *left -= i64::from(length));
                    if stream.send(data.into()).is_err() {
                        shared.budget.send_modify(|left| *left += i64::from(length));
                    }
                }
            }
            (VERSION, NOP) => {}
            _ => return "smux: invalid protocol".to_owned(),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Option<mpsc::UnboundedSender<Bytes>>>> {
        self.streams.lock().unwrap_or_else(|broken| broken.into_inner())
    }

    fn give_back(&self, length: usize) {
        let length = i64::try_from(length).unwrap_or(BUDGET);
        self.budget.send_modify(|left| *left += length);
    }
}

impl Stream {
    /// Sends FIN and forgets the stream.
    pub(super) async fn close(mut self) {
        self.sending.close().await;
    }
}

impl Received {
    /// The next data; `None` after the client's FIN.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        let data = self.data.recv().await?;
        self.shared.give_back(data.len());
        Some(data)
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.data.close();
        while let Ok(data) = self.data.try_recv() {
            self.shared.give_back(data.len());
        }
    }
}

impl Sending {
    /// Sends data, in frames. Whether the session still takes it.
    pub(super) async fn send(&mut self, data: &[u8]) -> bool {
        for part in data.chunks(FRAME) {
            // At most 32,768 by the line above.
            let mut frame = header(PSH, part.len() as u16, self.id).to_vec();
            frame.extend_from_slice(part);
            if self.shared.frames.send(frame).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Sends FIN and forgets the stream: what comes for it from now on is dropped.
    pub(super) async fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            self.shared.lock().remove(&self.id);
            let _ = self.shared.frames.send(header(FIN, 0, self.id).to_vec()).await;
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if self.open {
            self.shared.lock().remove(&self.id);
        }
    }
}

fn header(command: u8, length: u16, id: u32) -> [u8; 8] {
    let [low, high] = length.to_le_bytes();
    let [a, b, c, d] = id.to_le_bytes();
    [VERSION, command, low, high, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    struct Client {
        io: DuplexStream,
        accepted: mpsc::Receiver<Stream>,
        ended: tokio::task::JoinHandle<String>,
    }

    fn start(keepalive: Option<Keepalive>) -> Client {
        let (io, far) = duplex(64 << 10);
        let (server, accepted) = Server::new(far, keepalive);
        Client {
            io,
            accepted,
            ended: tokio::spawn(server.run()),
        }
    }

    impl Client {
        async fn frame(&mut self, command: u8, id: u32, data: &[u8]) {
            self.io
                .write_all(&header(command, data.len() as u16, id))
                .await
                .unwrap();
            self.io.write_all(data).await.unwrap();
        }

        async fn read(&mut self) -> (u8, u32, Vec<u8>) {
            let mut head = [0; 8];
            self.io.read_exact(&mut head).await.unwrap();
            let mut data = vec![0; usize::from(u16::from_le_bytes([head[2], head[3]]))];
            self.io.read_exact(&mut data).await.unwrap();
            let id = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
            (head[1], id, data)
        }
    }

    #[test]
    fn headers_are_those_of_the_library() {
        assert_eq!(header(SYN, 0, 3), [1, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(header(PSH, 5, 3), [1, 2, 5, 0, 3, 0, 0, 0]);
    }

    #[tokio::test]
    async fn a_stream_carries_both_ways_and_ends() {
        let mut client = start(None);
        client.frame(SYN, 3, b"").await;
        client.frame(SYN, 3, b"").await;
        client.frame(PSH, 3, b"hello").await;
        client.frame(PSH, 9, b"for nobody").await;
        client.frame(FIN, 3, b"").await;
        let mut stream = client.accepted.recv().await.unwrap();
        assert_eq!(stream.received.next().await.unwrap(), "hello");
        assert_eq!(stream.received.next().await, None);
        assert!(stream.sending.send(b"bye").await);
        stream.close().await;
        assert_eq!(client.read().await, (PSH, 3, b"bye".to_vec()));
        assert_eq!(client.read().await, (FIN, 3, Vec::new()));
        client.frame(SYN, 5, b"").await;
        assert_eq!(client.accepted.recv().await.unwrap().sending.id, 5);
    }

    #[tokio::test]
    async fn a_wrong_version_is_the_end() {
        let mut client = start(None);
        client.io.write_all(&[2, 0, 0, 0, 3, 0, 0, 0]).await.unwrap();
        assert_eq!(client.ended.await.unwrap(), "smux: invalid protocol");
    }

    #[tokio::test]
    async fn one_slow_stream_stops_all_when_the_budget_is_spent() {
        let mut client = start(None);
        client.frame(SYN, 3, b"").await;
        client.frame(SYN, 5, b"").await;
        let mut slow = client.accepted.recv().await.unwrap();
        let mut other = client.accepted.recv().await.unwrap();
        let data = vec![1; FRAME];
        for _ in 0..BUDGET as usize / FRAME {
            client.frame(PSH, 3, &data).await;
        }
        client.frame(PSH, 5, b"hello").await;
        let waited = timeout(Duration::from_millis(50), other.received.next()).await;
        assert!(waited.is_err(), "nothing is read while the budget is spent");
        slow.received.next().await.unwrap();
        assert_eq!(other.received.next().await.unwrap(), "hello");
        drop(slow);
        assert_eq!(*other.received.shared.budget.borrow(), BUDGET);
    }

    #[tokio::test]
    async fn with_keepalive_silence_is_the_end() {
        let mut client = start(Some(Keepalive {
            every: Duration::from_millis(20),
            silence: Duration::from_millis(60),
        }));
        for _ in 0..2 {
            assert_eq!(client.read().await.0, NOP);
        }
        assert_eq!(client.ended.await.unwrap(), "smux: keepalive timed out");
    }
}
