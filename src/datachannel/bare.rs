//! A channel without a socket, for tests of who holds one: events are put in, and what was written is taken out.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::driver::{Urgent, Write};
use super::handle::{EVENTS, Event, Events, WRITES, Writer};

/// The driver's place.
#[derive(Debug)]
pub struct Bare {
    events: mpsc::Sender<Event>,
    writes: mpsc::Receiver<Write>,
    _urgent: mpsc::Receiver<Urgent>,
    written: BytesMut,
}

/// A channel whose driver is the test.
pub fn channel() -> (Events, Writer, Bare) {
    let (events_in, events) = mpsc::channel(EVENTS);
    let (writes, writes_out) = mpsc::channel(WRITES);
    let (urgent, urgent_out) = mpsc::channel(1);
    let handful = Arc::new(AtomicUsize::new(1024));
    let bare = Bare {
        events: events_in,
        writes: writes_out,
        _urgent: urgent_out,
        written: BytesMut::new(),
    };
    (Events::bare(events), Writer::bare(writes, urgent, handful), bare)
}

impl Bare {
    /// Says what happens, when there is room.
    pub async fn say(&self, event: Event) {
        self.events.send(event).await.unwrap();
    }

    /// Has bytes come.
    pub async fn output(&self, bytes: impl Into<Bytes>) {
        self.say(Event::Output(bytes.into())).await;
    }

    /// The next so many bytes that were written.
    pub async fn written(&mut self, count: usize) -> Bytes {
        while self.written.len() < count {
            if let Write::Bytes(bytes) = self.writes.recv().await.unwrap() {
                self.written.extend_from_slice(&bytes);
            }
        }
        self.written.split_to(count).freeze()
    }

    /// Takes no more, as a driver that has come to its end.
    pub fn end(self) -> mpsc::Sender<Event> {
        self.events
    }
}
