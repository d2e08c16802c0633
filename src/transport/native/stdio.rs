//! A port's bytes on stdin and stdout, for ssh's ProxyCommand and its like. Nothing else goes to stdout.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Came, Finish, Watch};
use crate::datachannel::{BoxFuture, Channel, Event, Flag, PortMode, SessionType};
use crate::terminal::input::Input;
use crate::terminal::output::Output;
use crate::terminal::{self, Heard, Signals};
use crate::transport::TransportError;
use crate::transport::plan::{End, Notices};

/// How long stdout may take for its last bytes where the session was given up.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// Joins the port to stdin and stdout until one of them ends.
///
/// The end of stdin cannot be told to the far side: agents know no half-closed connection. So what it still
/// answers is awaited, until it closes or has been silent for `linger`.
pub(super) async fn run(
    channel: Channel,
    linger: Duration,
    signals: &mut Signals,
    notices: &dyn Notices,
) -> Result<Finish, TransportError> {
    let output = Output::start()?;
    let carried = carry(channel, &output, linger, signals, notices).await;
    let finishing = output.finish();
    let end = match carried {
        Ok(end) if end.is_theirs() => tokio::select! {
            written = finishing => written.map(|()| end)?,
            number = signals.ended() => End::Signal(number),
        },
        Ok(end @ End::Signal(_)) => end,
        Ok(end) => timeout(LAST_BYTES, finishing)
            .await
            .unwrap_or(Ok(()))
            .map(|()| end)?,
        Err(error) => {
            drop(timeout(LAST_BYTES, finishing).await);
            return Err(error);
        }
    };
    Ok(Finish { end, status: None })
}

async fn carry(
    channel: Channel,
    output: &Output,
    linger: Duration,
    signals: &mut Signals,
    notices: &dyn Notices,
) -> Result<End, TransportError> {
    let (mut events, writer) = channel.split();
    let mut watch = Watch::new(notices);
    let mut input = Input::bulk()?;
    let mut unwritten: Option<Bytes> = None;
    let mut unsent: Option<Bytes> = None;
    let mut has_ended = false;
    // Set at the end of stdin, once our last bytes are with the agent.
    let mut silent_at = None;
    let mut draining: Option<BoxFuture<'_, bool>> = None;
    loop {
        let far = silent_at.unwrap_or_else(|| Instant::now() + linger);
        tokio::select! {
            came = events.next(), if unwritten.is_none() => match watch.hear(came)? {
                Came::Event(Event::Output(bytes)) => {
                    unwritten = Some(bytes);
                    silent_at = silent_at.map(|_| Instant::now() + linger);
                }
                Came::Event(Event::Ready { session_type, agent_version, properties }) => {
                    let is_stream = session_type == SessionType::Port
                        && properties.mode(agent_version) != PortMode::Mux;
                    if !is_stream {
                        return Err(TransportError::NotAPort);
                    }
                }
                Came::Event(Event::Flag(Flag::ConnectToPortError)) => return Err(TransportError::FarPort),
                Came::Event(_) => {}
                Came::End(end) => return Ok(end),
            },
            place = output.place(), if unwritten.is_some() => match (place, unwritten.take()) {
                (Some(place), Some(bytes)) => place.write(bytes),
                // Whoever read has gone.
                _ => return Ok(End::InputEnded),
            },
            typed = input.next(), if unsent.is_none() && !has_ended => match typed {
                Ok(Some(bytes)) => unsent = Some(bytes),
                Ok(None) => {
                    has_ended = true;
                    draining = Some(Box::pin(writer.drained()));
                }
                Err(error) => return Err(error.into()),
            },
            place = writer.writable(), if unsent.is_some() => match (place, unsent.take()) {
                (Some(place), Some(bytes)) => place.write(bytes),
                // The last events follow.
                _ => has_ended = true,
            },
            _ = drained(&mut draining), if draining.is_some() => {
                draining = None;
                silent_at = Some(Instant::now() + linger);
            }
            heard = signals.next() => match heard {
                Heard::Ended(number) => return Ok(End::Signal(number)),
                Heard::Stopped => terminal::stop(),
                Heard::Resized | Heard::Continued => {}
            },
            () = sleep_until(far), if silent_at.is_some() => {
                // Silence means nothing while we do not listen.
                if unwritten.is_none() {
                    return Ok(End::InputEnded);
                }
                silent_at = Some(Instant::now() + linger);
            }
        }
    }
}

async fn drained(draining: &mut Option<BoxFuture<'_, bool>>) -> bool {
    match draining {
        Some(draining) => draining.await,
        None => std::future::pending().await,
    }
}
