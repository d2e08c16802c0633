//! One local connection of a session: its socket on this side, a stream or the session's bare bytes on that one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::sleep_until;

use super::answer;
use crate::ports::{Connection, Refusal, refuse};

/// Bytes of one connection that wait to be sent. Small, so that a stream is chosen late and fairly.
pub(super) const UNSENT: usize = 64 * 1024;
/// The first read of a connection, and what its reads grow to while they come full.
const SMALL_READ: usize = 4 * 1024;
const LARGE_READ: usize = 32 * 1024;
/// Received pieces are joined up to here for one write.
const JOINED: usize = 64 * 1024;
/// How often it is looked whether the program is gone; the first look comes after [`FIRST_LOOK`].
const NEXT_LOOK: Duration = Duration::from_millis(500);
const FIRST_LOOK: Duration = Duration::from_millis(2);
/// After the far end's last byte the program has this long to close. Closed on it, the system would throw away
/// what it has not read.
const LINGER: Duration = Duration::from_secs(10);
/// A far end that is told of the end answers with its own; one that has not for so long is not waited for.
const FAREWELL: Duration = Duration::from_secs(30);

/// What a link tells the session.
#[derive(Debug)]
pub(in crate::transport) enum FromLink {
    /// Bytes from the program.
    Data(Bytes),
    /// The program has taken so many bytes.
    Taken(usize),
    /// No more comes, and no answer is waited for.
    Finished,
    /// The link is over; last.
    Gone,
}

/// What the session tells a link.
#[derive(Debug)]
pub(in crate::transport) enum ToLink {
    /// Bytes for the program.
    Data(Bytes),
    /// The far end has finished.
    Finished,
    /// The far end was never reached.
    Refused(Refusal),
    /// It was asked for, and how to tell that it was reached.
    Asked(answer::Asked),
}

/// The session's hold on a link. Dropped, the program's connection is reset when it has taken what came.
#[derive(Debug)]
pub(in crate::transport) struct Link {
    to: mpsc::UnboundedSender<ToLink>,
    room: Arc<Semaphore>,
    cut: Arc<Notify>,
}

impl Link {
    pub(in crate::transport) fn send(&self, message: ToLink) {
        // A link that is gone has said so.
        let _ = self.to.send(message);
    }

    /// So many of its bytes have left.
    pub(in crate::transport) fn sent(&self, bytes: usize) {
        self.room.add_permits(bytes);
    }

    /// Resets the program's connection, whatever it has not taken.
    pub(in crate::transport) fn cut(&self) {
        self.cut.notify_one();
    }
}

/// Begins to carry a connection. What it has to say comes with `id`.
pub(in crate::transport) fn start<Id: Copy + Send + 'static>(
    connection: Connection,
    id: Id,
    silence: Duration,
    from: mpsc::UnboundedSender<(Id, FromLink)>,
) -> Link {
    let (to, inbox) = mpsc::unbounded_channel();
    let (room, cut) = (Arc::new(Semaphore::new(UNSENT)), Arc::new(Notify::new()));
    let orders = Orders {
        inbox,
        cut: Arc::clone(&cut),
    };
    let carried = carry(connection, Arc::clone(&room), silence, orders, {
        let from = from.clone();
        move |message| {
            // A session that is gone drops the inbox too, which ends the link.
            let _ = from.send((id, message));
        }
    });
    tokio::spawn(async move {
        carried.await;
        let _ = from.send((id, FromLink::Gone));
    });
    Link { to, room, cut }
}

/// How far the program's direction has come.
#[derive(Clone, Copy)]
enum Input {
    Open,
    /// It has shut its side. The program is looked at next then; the far end is told when all is silent until
    /// then.
    Shut {
        look: Instant,
        tell: Instant,
    },
    /// The far end was told, and has so long to finish too.
    Told {
        until: Instant,
    },
    /// The far end has finished, and all of it is written: the program has so long to close.
    Lingering {
        until: Instant,
    },
}

/// The link's end of what a session has to say.
struct Orders {
    inbox: mpsc::UnboundedReceiver<ToLink>,
    cut: Arc<Notify>,
}

async fn carry(
    connection: Connection,
    room: Arc<Semaphore>,
    silence: Duration,
    orders: Orders,
    tell: impl Fn(FromLink),
) {
    let Orders { mut inbox, cut } = orders;
    let (mut incoming, mut outgoing) = connection.split();
    let mut first = None;
    if outgoing.owes_an_answer() {
        match answer::wait(&mut inbox).await {
            Ok(heard) => first = heard,
            Err(why) => return refuse(incoming, outgoing, why),
        }
        if outgoing.accept().await.is_err() {
            return;
        }
    }
    let mut input = Input::Open;
    let mut buffer = BytesMut::new();
    // What one read may bring; none without room for it.
    let mut allowance = 0;
    let mut read = SMALL_READ;
    let (mut unwritten, mut far_finished) = match first {
        Some(answer::First::Data(bytes)) => joined(bytes, &mut inbox),
        Some(answer::First::Finished) => (Bytes::new(), true),
        None => (Bytes::new(), false),
    };
    loop {
        if far_finished && unwritten.is_empty() && !matches!(input, Input::Lingering { .. }) {
            if outgoing.shutdown().await.is_err() || !matches!(input, Input::Open) {
                return;
            }
            input = Input::Lingering {
                until: Instant::now() + LINGER,
            };
            allowance = SMALL_READ;
        }
        let timer = match input {
            Input::Open => None,
            Input::Shut { look, tell } => Some(look.min(tell)),
            Input::Told { until } | Input::Lingering { until } => Some(until),
        };
        let reading = matches!(input, Input::Open | Input::Lingering { .. });
        if reading && allowance > 0 {
            buffer.reserve(allowance);
        }
        let mut place = (&mut buffer).limit(allowance);
        tokio::select! {
            permit = room.acquire(), if reading && allowance == 0 => {
                // Never closed; without a permit there is nothing to do but to leave.
                let Ok(permit) = permit else { return };
                drop(permit);
                allowance = read.min(room.available_permits());
            }
            count = incoming.read_buf(&mut place), if reading && allowance > 0 => match (count, input) {
                (Ok(0) | Err(_), Input::Lingering { .. }) => return,
                // The far end hears nothing any more.
                (Ok(_), Input::Lingering { .. }) => buffer.clear(),
                (Ok(0), _) => {
                    let now = Instant::now();
                    input = Input::Shut { look: now + FIRST_LOOK, tell: now + silence };
                }
                (Ok(count), _) => {
                    read = next_read(read, count);
                    // There are as many: only this loop takes any.
                    if let Ok(permits) = room.try_acquire_many(u32::try_from(count).unwrap_or(u32::MAX)) {
                        permits.forget();
                    }
                    allowance = 0;
                    tell(FromLink::Data(std::mem::take(&mut buffer).freeze()));
                }
                // Reset by the program: nothing is of any use to it any more.
                (Err(_), _) => return,
            },
            message = inbox.recv(), if unwritten.is_empty() && !far_finished => match message {
                Some(ToLink::Data(bytes)) => {
                    (unwritten, far_finished) = joined(bytes, &mut inbox);
                    if let Input::Shut { look, .. } = input {
                        input = Input::Shut { look, tell: Instant::now() + silence };
                    }
                }
                Some(ToLink::Finished) => far_finished = true,
                Some(ToLink::Refused(why)) => return refuse(incoming, outgoing, why),
                // What is asked for here needs no answer, or has it.
                Some(ToLink::Asked(_)) => {}
                None => return refuse(incoming, outgoing, Refusal::Failed),
            },
            () = cut.notified() => return refuse(incoming, outgoing, Refusal::TimedOut),
            count = outgoing.write_buf(&mut unwritten), if !unwritten.is_empty() => match count {
                Ok(count) if count > 0 => tell(FromLink::Taken(count)),
                // The program is gone; what it said before still goes out.
                Ok(_) | Err(_) => {
                    tell(FromLink::Finished);
                    return;
                }
            },
            () = sleep_until(timer.unwrap_or_else(Instant::now).into()), if timer.is_some() => match input {
                Input::Shut { tell: at, .. } => {
                    let now = Instant::now();
                    if unwritten.is_empty() && (now >= at || outgoing.is_gone()) {
                        input = Input::Told { until: now + FAREWELL };
                        tell(FromLink::Finished);
                    } else {
                        input = Input::Shut { look: now + NEXT_LOOK, tell: at.max(now + NEXT_LOOK) };
                    }
                }
                Input::Told { .. } | Input::Lingering { .. } => return,
                Input::Open => {}
            },
        }
    }
}

/// Reads grow while they come full and shrink when they come nearly empty: a bulk transfer wants few, and two
/// hundred idle connections no memory.
fn next_read(read: usize, count: usize) -> usize {
    if count >= read {
        (read * 2).min(LARGE_READ)
    } else if count * 4 < read {
        (read / 2).max(SMALL_READ)
    } else {
        read
    }
}

/// What waits behind the first bytes, joined to them, and whether the end stood there too.
fn joined(first: Bytes, inbox: &mut mpsc::UnboundedReceiver<ToLink>) -> (Bytes, bool) {
    let mut all: Option<BytesMut> = None;
    let mut length = first.len();
    while length < JOINED {
        match inbox.try_recv() {
            Ok(ToLink::Data(more)) => {
                length += more.len();
                let all = all.get_or_insert_with(|| {
                    let mut all = BytesMut::with_capacity(JOINED.min(length * 2));
                    all.put_slice(&first);
                    all
                });
                all.put_slice(&more);
            }
            Ok(ToLink::Finished | ToLink::Refused(_)) => return (all.map_or(first, BytesMut::freeze), true),
            Ok(ToLink::Asked(_)) => {}
            Err(_) => break,
        }
    }
    (all.map_or(first, BytesMut::freeze), false)
}
