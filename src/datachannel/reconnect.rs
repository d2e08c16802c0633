//! A new socket for a session whose own was cut.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::clock::pause;
use super::driver::Driver;
use super::handle::Event;
use super::websocket::{Socket, connect};
use super::{ChannelError, Lasting, Resumption};
use crate::protocol::session::Session;

/// So long after a cut, and then every so often, it is said what keeps us away.
const FIRST_WORD: Duration = Duration::from_secs(10);
const NEXT_WORD: Duration = Duration::from_secs(120);

/// What has arrived on a failed socket is there at once, and all of it soon.
const REST: Duration = Duration::from_millis(100);
const WHOLE_REST: Duration = Duration::from_secs(2);
/// More than a socket's buffer holds, with what waits for the reader already: who goes on sending has not gone.
const LONGEST_REST: usize = 10_000;
const LARGEST_REST: usize = 8 << 20;

/// Whether the person was told of a cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Yes,
    NotYet,
}

/// How often a new socket was sought since one was last of use. It outlives the success: a proxy that takes every
/// upgrade and closes at once would keep us busy.
#[derive(Debug, Default)]
pub(super) struct Flapping {
    tries: u32,
    /// The session's progress when that was last looked at.
    progress: u64,
}

impl Flapping {
    /// Judges the socket that was cut, by how long it lived and what it brought.
    pub(super) fn weigh(&mut self, session: &Session, lived: Duration, steady_after: Duration) {
        let progress = session.progress();
        if lived >= steady_after {
            self.tries = 0;
        } else if progress > self.progress {
            // The first pause stays, or a message for each socket would buy as many sockets.
            self.tries = self.tries.min(1);
        }
        self.progress = progress;
    }

    /// Waits as long as the tries so far ask for, and counts one more.
    async fn pause(&mut self, longest: Duration) {
        if let Some(pauses) = self.tries.checked_sub(1) {
            pause(pauses, longest).await;
        }
        self.tries = self.tries.saturating_add(1);
    }
}

impl Driver {
    /// Hears what had arrived when the socket failed: a gateway that has said all it had to say may be gone
    /// before we have acknowledged it.
    pub(super) async fn read_rest(&mut self, socket: &mut Socket) {
        let until = Instant::now() + WHOLE_REST;
        let mut room = LARGEST_REST.saturating_sub(self.pending_bytes);
        for _ in 0..LONGEST_REST {
            let left = REST.min(until.saturating_duration_since(Instant::now()));
            if room == 0 || left.is_zero() || self.session.owes_too_much() {
                return;
            }
            let Ok(Some(Ok(message))) = timeout(left, socket.next()).await else {
                return;
            };
            room = room.saturating_sub(message.len());
            match message {
                Message::Binary(bytes) => self.hear(&bytes),
                Message::Text(text) => self.hear(text.as_bytes()),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                Message::Close(_) => return,
            }
        }
    }

    /// A new socket; `None` when the session has ended meanwhile. The first attempt is made at once, later
    /// ones after growing pauses, for as long as a session can live without a client.
    pub(super) async fn reconnect(
        &mut self,
        since: Instant,
        cause: &str,
        told: &mut Told,
    ) -> Result<Option<Socket>, ChannelError> {
        let mut next_word = FIRST_WORD;
        loop {
            self.hand_on();
            self.flapping.pause(self.options.longest_pause).await;
            let error = match self.gateway.resume().await {
                Ok(Resumption::TimedOut) => return Ok(None),
                Ok(Resumption::Open(opening)) => {
                    match connect(&opening, self.client_id, self.gateway.as_ref(), &self.dialer).await {
                        Ok(socket) => return Ok(Some(socket)),
                        Err(error) => error,
                    }
                }
                Err(error) => ChannelError::Gateway(error),
            };
            if matches!(&error, ChannelError::Gateway(error) if error.lasting == Lasting::Final) {
                return Err(error);
            }
            tracing::debug!(%error, tries = self.flapping.tries, "could not reconnect");
            if *told == Told::NotYet {
                *told = Told::Yes;
                self.push(Event::Reconnecting {
                    cause: cause.to_owned(),
                });
            }
            let away = since.elapsed();
            if away >= self.options.give_up_after {
                return Err(ChannelError::Lost {
                    after: self.options.give_up_after,
                    cause: error.to_string(),
                });
            }
            if away >= next_word {
                next_word = away + NEXT_WORD;
                self.push(Event::StillAway {
                    cause: error.to_string(),
                });
            }
        }
    }
}
