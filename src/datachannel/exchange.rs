//! Both directions of one socket at once.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::{Sink as _, Stream as _};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::websocket::Socket;
use crate::protocol::session::Session;

/// So many messages are heard before they are acknowledged, all in one write.
const BATCH: usize = 64;

/// What came, in order. `None` is the connection's end; nothing follows it.
pub(super) type Heard = Vec<Option<Result<Message, Error>>>;

/// What an exchange has come to.
pub(super) enum Exchanged {
    /// This came.
    Heard(Heard),
    /// So much was sent that the session takes more input again.
    Room,
}

/// Sends what there is to send, `frames` first, and waits for what comes, or until a session that was full has
/// room. Neither direction waits for the other: a peer that reads only while it can write would otherwise stand
/// still with us.
///
/// Nothing is read without `room`; with it, until that many bytes have come. A peer that is owed too many
/// acknowledgements and does not take them is not read either.
///
/// # Errors
/// When sending fails. What had come by then can still be read.
pub(super) async fn exchange(
    socket: &mut Socket,
    session: &mut Session,
    frames: &mut VecDeque<Message>,
    room: Option<usize>,
) -> Result<Exchanged, Error> {
    poll_fn(|cx| {
        let mut socket = Pin::new(&mut *socket);
        let was_full = session.is_full();
        // Waiting for the socket to take more is no reason not to read.
        if let Poll::Ready(Err(error)) = send(cx, socket.as_mut(), session, frames) {
            return Poll::Ready(Err(error));
        }
        let mut heard = Vec::new();
        if let Some(room) = room.filter(|_| !session.owes_too_much()) {
            hear(cx, socket, room, &mut heard);
        }
        if !heard.is_empty() {
            Poll::Ready(Ok(Exchanged::Heard(heard)))
        } else if was_full && !session.is_full() {
            Poll::Ready(Ok(Exchanged::Room))
        } else {
            Poll::Pending
        }
    })
    .await
}

fn send(
    cx: &mut Context<'_>,
    mut socket: Pin<&mut Socket>,
    session: &mut Session,
    frames: &mut VecDeque<Message>,
) -> Poll<Result<(), Error>> {
    loop {
        match socket.as_mut().poll_ready(cx)? {
            Poll::Ready(()) => {}
            Poll::Pending => return Poll::Pending,
        }
        let next = frames.pop_front();
        let next = next.or_else(|| session.poll_transmit(Instant::now()).map(Message::binary));
        match next {
            Some(frame) => socket.as_mut().start_send(frame)?,
            None => return socket.as_mut().poll_flush(cx),
        }
    }
}

fn hear(cx: &mut Context<'_>, mut socket: Pin<&mut Socket>, mut room: usize, heard: &mut Heard) {
    while heard.len() < BATCH
        && let Poll::Ready(message) = socket.as_mut().poll_next(cx)
    {
        let size = match &message {
            Some(Ok(message)) => message.len(),
            Some(Err(_)) | None => {
                heard.push(message);
                return;
            }
        };
        heard.push(message);
        if size >= room {
            return;
        }
        room -= size;
    }
}
