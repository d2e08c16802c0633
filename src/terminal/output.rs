//! The screen, written by a thread of its own: a terminal that is stopped must not stop the pings.

use std::io::{self, Write as _};
use std::thread::JoinHandle;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::{mpsc, oneshot};

/// Chunks that wait to be written; behind them the session waits.
const WAITING: usize = 16;

/// The writer of stdout.
#[derive(Debug)]
pub struct Output {
    chunks: mpsc::Sender<Bytes>,
    done: oneshot::Receiver<io::Result<()>>,
    _thread: JoinHandle<()>,
}

impl Output {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn start() -> io::Result<Self> {
        let (chunks, waiting) = mpsc::channel(WAITING);
        let (tell, done) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("stdout".to_owned())
            .spawn(move || {
                let _ = tell.send(write(waiting));
            })?;
        Ok(Self {
            chunks,
            done,
            _thread: thread,
        })
    }

    /// Queues bytes. [`Gone`] when stdout takes no more; [`Output::finish`] then says why. Cancel-safe.
    ///
    /// # Errors
    /// See [`Gone`].
    pub async fn write(&self, bytes: Bytes) -> Result<(), Gone> {
        self.chunks.send(bytes).await.map_err(|_| Gone)
    }

    /// Waits until the last byte is written.
    ///
    /// # Errors
    /// Whatever writing gave.
    pub async fn finish(self) -> io::Result<()> {
        drop(self.chunks);
        self.done
            .await
            .unwrap_or_else(|_| Err(io::Error::other("the writer of stdout has died")))
    }
}

/// Stdout takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

fn write(mut chunks: mpsc::Receiver<Bytes>) -> io::Result<()> {
    // Unbuffered: std's stdout would hold back the last line.
    let mut out = io::stdout().lock();
    while let Some(first) = chunks.blocking_recv() {
        let mut batch = first;
        if let Ok(second) = chunks.try_recv() {
            let mut joined = Vec::from(batch);
            joined.extend_from_slice(&second);
            while joined.len() < 64 * 1024
                && let Ok(next) = chunks.try_recv()
            {
                joined.extend_from_slice(&next);
            }
            batch = joined.into();
        }
        write_all(&mut out, &batch)?;
    }
    Ok(())
}

fn write_all(out: &mut io::StdoutLock<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            // Somebody who shares the terminal has made it non-blocking.
            Err(rustix::io::Errno::AGAIN) => {
                let stdout = rustix::stdio::stdout();
                poll(&mut [PollFd::new(&stdout, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    out.flush()
}
