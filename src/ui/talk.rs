//! The way of talk to stderr: at once, or beside the work, so that a reader who stands still (a paused pager, a
//! terminal after Ctrl-S) holds nobody up.

use std::io::{self, Write as _};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::is_raw;

/// What may wait for its reader, in pieces of talk; what is said beyond that is lost, and counted.
const WAITING: usize = 256;
/// How long a reader is waited for where what was said has to stand before what comes.
const PATIENCE: Duration = Duration::from_millis(500);

/// The thread that writes, while there is one.
static BESIDE: Mutex<Option<Queue>> = Mutex::new(None);

struct Queue {
    pieces: SyncSender<Piece>,
    lost: usize,
}

enum Piece {
    Text(String),
    /// All before it is written.
    Mark(SyncSender<()>),
}

/// Talk is written beside the work for as long as this lives.
#[derive(Debug)]
#[must_use]
pub struct Beside(());

impl Beside {
    /// From now on nobody who says something waits until it is read.
    pub fn begin() -> Self {
        let (pieces, waiting) = sync_channel(WAITING);
        let spawned = thread::Builder::new()
            .name("talk".to_owned())
            .spawn(move || write_all(&waiting));
        // Without a thread talk is written at once, as before.
        if spawned.is_ok() {
            *beside() = Some(Queue { pieces, lost: 0 });
        }
        Self(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        settle();
        *beside() = None;
    }
}

/// Waits until what was said is written, if its reader reads.
pub(super) fn settle() {
    let Some(pieces) = beside().as_ref().map(|queue| queue.pieces.clone()) else {
        return;
    };
    let (mark, written) = sync_channel(1);
    if pieces.try_send(Piece::Mark(mark)).is_ok() {
        // Whoever reads too late reads in another order.
        let _ = written.recv_timeout(PATIENCE);
    }
}

/// Says something.
pub(super) fn write(text: &str) {
    let mut beside = beside();
    let Some(queue) = beside.as_mut() else {
        return write_now(text);
    };
    let text = match queue.lost {
        0 => text.to_owned(),
        lost => format!("({lost} lines were not read in time and are lost)\n{text}"),
    };
    match queue.pieces.try_send(Piece::Text(text)) {
        Ok(()) => queue.lost = 0,
        Err(TrySendError::Full(_)) => queue.lost += 1,
        Err(TrySendError::Disconnected(_)) => {}
    }
}

fn write_all(waiting: &Receiver<Piece>) {
    while let Ok(piece) = waiting.recv() {
        match piece {
            Piece::Text(text) => write_now(&text),
            // Whoever waited for it has waited long enough.
            Piece::Mark(written) => drop(written.try_send(())),
        }
    }
}

/// Nobody is left to tell when stderr itself fails.
fn write_now(text: &str) {
    let mut err = io::stderr().lock();
    if is_raw() {
        drop(err.write_all(format!("\r\n{}", text.replace('\n', "\r\n")).as_bytes()));
    } else {
        drop(err.write_all(text.as_bytes()));
    }
    drop(err.flush());
}

fn beside() -> MutexGuard<'static, Option<Queue>> {
    BESIDE.lock().unwrap_or_else(PoisonError::into_inner)
}
