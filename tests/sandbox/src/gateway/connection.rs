//! One WebSocket of a session, from the open message to its close.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep_until, timeout};

use super::alarm::Alarm;
use super::client::{Client, Outgoing, Queued, WAITING};
use super::fate::{Fate, Line, Nature};
use super::frames::{self, Frame, Frames};
use super::session::{Session, plain};
use crate::fault::{Faults, Padding, Trigger};

/// How long the open message may take.
const OPEN_PATIENCE: Duration = Duration::from_secs(10);
/// How long a client may take to hang up after the last message.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);
/// How many messages may be under way in one direction.
const UNDER_WAY: usize = 4096;
/// Frames are written together up to so many bytes.
const BATCH: usize = 64 << 10;
/// Types of other channels, and one of the future.
const UNKNOWN_TYPES: [&str; 3] = ["agent_job", "interactive_shell", "hologram_stream_data"];

/// How the writing side of a connection came to its end.
enum Last {
    /// The connection is broken or cut: nothing more is said.
    Gone,
    /// A close frame was the last: the client may answer it.
    Closed,
}

/// Serves a connection until it ends.
pub(super) async fn serve<S>(session: Option<Arc<Session>>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (reading, mut writing) = tokio::io::split(stream);
    let mut reading = Frames::new(reading);
    let (client, queue) = Client::new();
    let attached = match session {
        None => Err("Unknown session".to_owned()),
        Some(session) => match timeout(OPEN_PATIENCE, reading.next()).await {
            Ok(Ok(Some(Frame::Text(text)))) => session
                .attach(&String::from_utf8_lossy(&text), client.clone())
                .map(|number| (session, number)),
            _ => Err("The first message must be the open message, a text frame".to_owned()),
        },
    };
    let (session, number) = match attached {
        Ok(attached) => attached,
        Err(reason) => {
            let mut out = Vec::new();
            frames::put_close(&mut out, 1008, &reason);
            let _ = writing.write_all(&out).await;
            hang_up(reading, writing).await;
            return;
        }
    };
    let attached = Attached { session, number };
    let passage = Passage {
        session: &attached.session,
        client: &client,
        opened: Instant::now(),
        messages: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        number,
        struck: AtomicU64::new(0),
    };
    // In no fixed order: either side may have work without end.
    let last = tokio::select! {
        () = client.orders.cut.notified() => Last::Gone,
        last = passage.write(&mut writing, queue) => last,
        () = passage.read(&mut reading) => Last::Gone,
        () = passage.watch() => Last::Gone,
    };
    drop(attached);
    if matches!(last, Last::Closed) {
        hang_up(reading, writing).await;
    }
}

/// Lets the client read our last frame: a socket closed on unread data would reset the connection under it.
async fn hang_up<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(mut reading: Frames<R>, mut writing: W) {
    let _ = writing.shutdown().await;
    let _ = timeout(CLOSE_PATIENCE, reading.drain()).await;
}

/// Tells the session when the connection is gone, in whatever way.
struct Attached {
    session: Arc<Session>,
    number: u64,
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.session.detach(self.number);
    }
}

/// What passes over one connection.
struct Passage<'a> {
    session: &'a Session,
    client: &'a Client,
    opened: Instant,
    messages: AtomicU64,
    bytes: AtomicU64,
    number: u64,
    /// The triggers that have struck on this connection, a bit each: none strikes twice here, unless the
    /// faults were set anew (how often, in the upper half).
    struck: AtomicU64,
}

/// What a trigger does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Strike {
    Bye,
    Cut,
    Mute,
    StopReading,
    KillAgent,
    Gibberish,
}

impl Passage<'_> {
    async fn read<R: AsyncRead + Unpin>(&self, reading: &mut Frames<R>) {
        let mut faults = self.session.watch_faults();
        let mut fate = Fate::new(faults.borrow().seed, self.number * 2 + 1);
        let mut line = Line::new();
        let mut alarm = Alarm::default();
        let orders = &self.client.orders;
        loop {
            while let Some(bytes) = line.pop(Instant::now()) {
                self.session.to_agent(bytes).await;
            }
            let arrival = line.next();
            let frame = tokio::select! {
                biased;
                () = alarm.wait(arrival) => continue,
                () = orders.heard_deaf.notified() => continue,
                frame = reading.next(), if line.len() < UNDER_WAY && !orders.deaf.load(Ordering::SeqCst) => frame,
            };
            let bytes = match frame {
                Ok(Some(Frame::Text(bytes) | Frame::Binary(bytes))) => bytes,
                Ok(Some(Frame::Ping(payload))) => {
                    self.session.observe(|observed| observed.pings += 1);
                    if !faults.borrow().mute_pings {
                        self.client.tell(Outgoing::Pong(payload));
                    }
                    continue;
                }
                Ok(Some(Frame::Pong)) => continue,
                Ok(Some(Frame::Close(_))) => {
                    self.client.tell(Outgoing::Close(1000, ""));
                    return std::future::pending().await;
                }
                Ok(None) | Err(_) => return,
            };
            let faults = faults.borrow_and_update().clone();
            if faults.frame_limit.is_some_and(|limit| bytes.len() > limit) {
                self.client.tell(Outgoing::Close(1009, "Message too big"));
                return std::future::pending().await;
            }
            let nature = Nature::of(&bytes);
            if nature == Nature::Sequenced {
                self.session.touch();
            }
            let now = Instant::now();
            for late in fate.of(nature, &faults.to_agent, &faults).into_iter().flatten() {
                line.push(now + late, bytes.clone());
            }
            self.passed(&faults, bytes.len());
        }
    }

    async fn write<W: AsyncWrite + Unpin>(
        &self,
        writing: &mut W,
        mut queue: mpsc::UnboundedReceiver<Queued>,
    ) -> Last {
        let mut faults = self.session.watch_faults();
        let mut fate = Fate::new(faults.borrow().seed, self.number * 2);
        let mut line = Line::new();
        let mut alarm = Alarm::default();
        let mut out = Vec::with_capacity(BATCH * 2);
        let mut hang_up_at = None;
        let orders = &self.client.orders;
        loop {
            let arrival = line.next();
            let mut queued = tokio::select! {
                biased;
                () = orders.changed.notified() => None,
                () = wait_until(hang_up_at) => {
                    let mut close = Vec::new();
                    frames::put_close(&mut close, 1000, "");
                    let _ = writing.write_all(&close).await;
                    return Last::Closed;
                }
                () = alarm.wait(arrival) => None,
                queued = queue.recv(), if line.len() < UNDER_WAY => queued,
            };
            let faults = faults.borrow_and_update().clone();
            let now = Instant::now();
            while let Some((outgoing, _slot)) = queued {
                let fates = match &outgoing {
                    Outgoing::Agent(bytes) => fate.of(Nature::of(bytes), &faults.to_client, &faults),
                    _ => [Some(faults.one_way()), None],
                };
                let [first, again] = fates;
                if let (Some(late), Outgoing::Agent(bytes)) = (again, &outgoing) {
                    line.push(now + late, Outgoing::Agent(bytes.clone()));
                }
                if let Some(late) = first {
                    line.push(now + late, outgoing);
                }
                queued = if line.len() < WAITING {
                    queue.try_recv().ok()
                } else {
                    None
                };
            }
            let mut last = None;
            while last.is_none()
                && out.len() < BATCH
                && let Some(outgoing) = line.pop(now)
            {
                if orders.muted.load(Ordering::SeqCst) {
                    continue;
                }
                match outgoing {
                    Outgoing::Agent(bytes) | Outgoing::Own(bytes) => {
                        put_message(&mut out, &bytes, &faults);
                        last = self.passed(&faults, bytes.len());
                        self.put_gibberish(&mut out, &faults);
                    }
                    Outgoing::Pong(payload) => frames::put(&mut out, frames::PONG, &payload),
                    Outgoing::Close(code, reason) => {
                        frames::put_close(&mut out, code, reason);
                        last = Some(Last::Closed);
                    }
                    Outgoing::End if faults.close_at_end => {
                        frames::put_close(&mut out, 1000, "");
                        last = Some(Last::Closed);
                    }
                    Outgoing::End => hang_up_at = Some(now + CLOSE_PATIENCE),
                }
            }
            if last.is_none() && orders.bye.swap(false, Ordering::SeqCst) {
                frames::put_close(&mut out, 1000, "Bye");
                last = Some(Last::Closed);
            }
            if writing.write_all(&out).await.is_err() || writing.flush().await.is_err() {
                return Last::Gone;
            }
            out.clear();
            if let Some(last) = last {
                return last;
            }
        }
    }

    /// Strikes by time alone, where nothing passes.
    async fn watch(&self) {
        let mut faults = self.session.watch_faults();
        loop {
            let waits = {
                let faults = faults.borrow_and_update();
                let triggers = [
                    faults.bye,
                    faults.cut,
                    faults.mute,
                    faults.stop_reading,
                    faults.kill_agent,
                ];
                triggers.into_iter().flatten().next().is_some()
            };
            if !waits {
                if faults.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let mut tick = interval(Duration::from_millis(5));
            while matches!(faults.has_changed(), Ok(false)) {
                tick.tick().await;
                let now = faults.borrow().clone();
                if matches!(self.strike(&now), Some(Last::Gone)) {
                    return;
                }
                if self.client.orders.bye.load(Ordering::SeqCst) {
                    self.client.orders.changed.notify_one();
                }
            }
        }
    }

    /// Counts a message. What the writing side does at once, if its time has come: it ends the connection.
    fn passed(&self, faults: &Faults, length: usize) -> Option<Last> {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bytes
            .fetch_add(length.saturating_sub(120) as u64, Ordering::Relaxed);
        self.strike(faults)
    }

    /// Whether it is time, and the first time on this connection, and not too often in this session.
    fn is_due(&self, strike: Strike, trigger: Option<Trigger>) -> bool {
        let bit = 1 << strike as u32;
        let settings = u64::from(self.session.settings()) << 32;
        let strikes_first = || {
            let before = self
                .struck
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |struck| {
                    let kept = if struck >> 32 == settings >> 32 {
                        struck
                    } else {
                        settings
                    };
                    Some(kept | bit)
                })
                .unwrap_or_default();
            before >> 32 != settings >> 32 || before & bit == 0
        };
        trigger.is_some_and(|trigger| {
            trigger.is_due(
                self.messages.load(Ordering::Relaxed),
                self.bytes.load(Ordering::Relaxed),
                self.opened.elapsed(),
            ) && strikes_first()
                && self.session.strikes(strike, &trigger)
        })
    }

    fn strike(&self, faults: &Faults) -> Option<Last> {
        let orders = &self.client.orders;
        if self.is_due(Strike::KillAgent, faults.kill_agent) {
            self.session.kill_agent();
        }
        if self.is_due(Strike::Mute, faults.mute) {
            orders.muted.store(true, Ordering::SeqCst);
        }
        if self.is_due(Strike::StopReading, faults.stop_reading) {
            orders.deaf.store(true, Ordering::SeqCst);
            orders.heard_deaf.notify_one();
        }
        if self.is_due(Strike::Bye, faults.bye) {
            orders.bye.store(true, Ordering::SeqCst);
        }
        if self.is_due(Strike::Cut, faults.cut) {
            orders.cut.notify_one();
            return Some(Last::Gone);
        }
        None
    }

    fn put_gibberish(&self, out: &mut Vec<u8>, faults: &Faults) {
        if self.is_due(Strike::Gibberish, faults.gibberish) {
            frames::put(out, frames::BINARY, &[7; 200]);
            frames::put(out, frames::BINARY, b"\0");
            frames::put(out, frames::TEXT, b"{\"message\": \"Forbidden\"}");
        }
    }
}

/// Puts a message as the faults want it dressed.
fn put_message(out: &mut Vec<u8>, bytes: &[u8], faults: &Faults) {
    let opcode = if faults.text_frames {
        frames::TEXT
    } else {
        frames::BINARY
    };
    if faults.unknown_messages {
        for name in UNKNOWN_TYPES {
            let mut stray = plain();
            stray.message_type = ssmx::protocol::message::MessageType::Other(name.to_owned());
            stray.payload = Bytes::from_static(b"{\"news\":true}");
            frames::put(out, opcode, &stray.encode());
        }
    }
    if faults.padding == Padding::Spaces {
        frames::put(out, opcode, bytes);
    } else {
        frames::put(out, opcode, &repadded(bytes, faults.padding));
    }
}

/// The message with its type's 32 bytes filled in another way.
fn repadded(bytes: &[u8], padding: Padding) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(field) = bytes.get_mut(4..36) {
        let name = field.trim_ascii().to_vec();
        let (fill, at) = match padding {
            Padding::Spaces => (b' ', 0),
            Padding::Nul => (0, 0),
            Padding::Left => (b' ', 32 - name.len()),
            Padding::LeftNul => (0, 32 - name.len()),
        };
        field.fill(fill);
        if let Some(place) = field.get_mut(at..at + name.len()) {
            place.copy_from_slice(&name);
        }
    }
    bytes
}

async fn wait_until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ssmx::protocol::message::Message;

    #[test]
    fn every_padding_reads_the_same() {
        let bytes = plain().encode();
        for padding in [Padding::Spaces, Padding::Nul, Padding::Left, Padding::LeftNul] {
            let dressed = repadded(&bytes, padding);
            assert_eq!(dressed.len(), bytes.len());
            assert_eq!(
                Message::decode(&dressed).unwrap(),
                Message::decode(&bytes).unwrap(),
                "{padding:?}"
            );
        }
    }
}
