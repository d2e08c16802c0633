//! The screen, written by a thread of its own: a terminal that is stopped must not stop the pings.
//! Or another of our two ways out, which may be slow as well.

use std::io::{self, Write as _};
use std::thread::JoinHandle;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::{mpsc, oneshot};

/// Chunks that wait to be written; behind them the session waits.
const WAITING: usize = 16;

/// One of our two ways out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standard {
    /// stdout
    Output,
    /// stderr
    Error,
}

/// The writer of stdout or stderr.
#[derive(Debug)]
pub struct Output {
    chunks: mpsc::Sender<Bytes>,
    done: oneshot::Receiver<io::Result<()>>,
    _thread: JoinHandle<()>,
}

impl Output {
    /// Starts the thread that writes stdout.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn start() -> io::Result<Self> {
        Self::start_on(Standard::Output)
    }

    /// Starts the thread that writes this one.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn start_on(standard: Standard) -> io::Result<Self> {
        let (chunks, waiting) = mpsc::channel(WAITING);
        let (tell, done) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || {
                let _ = tell.send(write(standard, waiting));
            })?;
        Ok(Self {
            chunks,
            done,
            _thread: thread,
        })
    }

    /// A place for one chunk, when there is room. `None`: stdout takes no more; [`Output::finish`] says why.
    /// Cancel-safe.
    pub async fn place(&self) -> Option<Place<'_>> {
        self.chunks.reserve().await.ok().map(Place)
    }

    /// Waits until the last byte is written: for ever, where nobody reads. Given up, the rest is written
    /// while the process lives.
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

/// A place for one chunk.
#[derive(Debug)]
pub struct Place<'a>(mpsc::Permit<'a, Bytes>);

impl Place<'_> {
    /// Queues the bytes.
    pub fn write(self, bytes: Bytes) {
        self.0.send(bytes);
    }
}

fn write(standard: Standard, mut chunks: mpsc::Receiver<Bytes>) -> io::Result<()> {
    // What std still holds goes first; from then on nothing is held back, the last line included.
    if standard == Standard::Output {
        io::stdout().flush()?;
    }
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
        write_all(standard, &batch)?;
    }
    Ok(())
}

fn write_all(standard: Standard, mut bytes: &[u8]) -> io::Result<()> {
    let out = match standard {
        Standard::Output => rustix::stdio::stdout(),
        Standard::Error => rustix::stdio::stderr(),
    };
    while !bytes.is_empty() {
        match rustix::io::write(out, bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            // Somebody who shares the terminal has made it non-blocking.
            Err(rustix::io::Errno::AGAIN) => {
                poll(&mut [PollFd::new(&out, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
