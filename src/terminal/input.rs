//! What is typed, read by a thread of its own: stdin may not be made non-blocking, since the shell that
//! started us shares it.

use std::io;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::mpsc;

/// One read; a paste comes in pieces of this.
const CHUNK: usize = 4096;
/// One read of what nobody types.
const BULK: usize = 32 * 1024;
/// Chunks that wait to be taken.
const WAITING: usize = 4;

/// The reader of stdin. Dropping it stops the thread without swallowing a further key.
#[derive(Debug)]
pub struct Input {
    typed: mpsc::Receiver<io::Result<Bytes>>,
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Input {
    /// Starts to read.
    ///
    /// # Errors
    /// When the system refuses a pipe or a thread.
    pub fn start() -> io::Result<Self> {
        Self::in_chunks(CHUNK)
    }

    /// Starts to read in larger pieces.
    ///
    /// # Errors
    /// When the system refuses a pipe or a thread.
    pub fn bulk() -> io::Result<Self> {
        Self::in_chunks(BULK)
    }

    fn in_chunks(chunk: usize) -> io::Result<Self> {
        let (stopped, stop) = io::pipe()?;
        let (send, typed) = mpsc::channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(move || read(&stopped.into(), &send, chunk))?;
        Ok(Self {
            typed,
            stop: Some(stop.into()),
            thread: Some(thread),
        })
    }

    /// The next bytes; `None` at the end of input. Cancel-safe.
    ///
    /// # Errors
    /// The terminal's own, such as EIO when it is gone.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        self.typed.recv().await.transpose()
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // Closing our end of the pipe wakes the poll; closing the queue wakes a blocked send.
        self.typed.close();
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read(stopped: &OwnedFd, send: &mpsc::Sender<io::Result<Bytes>>, chunk: usize) {
    let stdin = rustix::stdio::stdin();
    let mut buffer = vec![0; chunk];
    loop {
        let mut polled = [
            PollFd::new(&stdin, PollFlags::IN),
            PollFd::new(stopped, PollFlags::IN),
        ];
        match poll(&mut polled, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                let _ = send.blocking_send(Err(error.into()));
                return;
            }
        }
        let [typed, stopped] = polled;
        if !stopped.revents().is_empty() {
            return;
        }
        if typed.revents().is_empty() {
            continue;
        }
        let message = match rustix::io::read(stdin, &mut buffer[..]) {
            Ok(0) => return,
            Ok(length) => Ok(Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default())),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
            Err(error) => Err(error.into()),
        };
        let failed = message.is_err();
        if send.blocking_send(message).is_err() || failed {
            return;
        }
    }
}
