//! The session's end of a connection: what is to be written, and orders that do not wait in line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

/// How many of the agent's messages may wait for the client.
pub(super) const WAITING: usize = 256;

/// The session's end of a connection.
#[derive(Clone)]
pub(super) struct Client {
    queue: mpsc::UnboundedSender<Queued>,
    slots: Arc<Semaphore>,
    pub(super) orders: Arc<Orders>,
}

/// What a connection is told besides messages.
#[derive(Default)]
pub(super) struct Orders {
    /// End without a close frame.
    pub(super) cut: Notify,
    /// One of the next two was set.
    pub(super) changed: Notify,
    /// Close with 1000 "Bye".
    pub(super) bye: AtomicBool,
    /// Say nothing more.
    pub(super) muted: AtomicBool,
    /// Read nothing more.
    pub(super) deaf: AtomicBool,
    /// `deaf` was set.
    pub(super) heard_deaf: Notify,
}

/// What is to be written.
pub(super) enum Outgoing {
    /// A message of the agent's, which meets with the faults of the way.
    Agent(Bytes),
    /// A message of the gateway's, which arrives.
    Own(Bytes),
    /// A pong.
    Pong(Bytes),
    /// A close frame.
    Close(u16, &'static str),
    /// Nothing follows: the client is expected to hang up.
    End,
}

/// With the permit of those that had to wait for one.
pub(super) type Queued = (Outgoing, Option<OwnedSemaphorePermit>);

impl Client {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Queued>) {
        let (queue, queued) = mpsc::unbounded_channel();
        let client = Self {
            queue,
            slots: Arc::new(Semaphore::new(WAITING)),
            orders: Arc::default(),
        };
        (client, queued)
    }

    /// A message of the agent's. Waits while too many wait already; lost when the connection is gone.
    pub(super) async fn send(&self, bytes: Bytes) {
        // Never closed: a permit comes, or the queue is gone and gave its permits back.
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
        let _ = self.queue.send((Outgoing::Agent(bytes), slot));
    }

    pub(super) fn tell(&self, outgoing: Outgoing) {
        let _ = self.queue.send((outgoing, None));
    }

    pub(super) fn cut(&self) {
        self.orders.cut.notify_one();
    }

    pub(super) fn bye(&self) {
        self.orders.bye.store(true, Ordering::SeqCst);
        self.orders.changed.notify_one();
    }
}
