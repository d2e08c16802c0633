//! A shell: keys to the remote, its bytes to the screen.

use std::io;
use std::time::Duration;

use tokio::time::timeout;

use super::keys::{Ask, Door, Keys};
use crate::datachannel::{Channel, Event, Refusal, SessionType, Writer};
use crate::terminal::escape::Escapes;
use crate::terminal::input::Input;
use crate::terminal::output::Output;
use crate::terminal::{self, Heard, RawMode, Signals};
use crate::transport::TransportError;
use crate::transport::plan::{End, Gate, Notice, Notices, Screen};

/// How long the screen may take for its last bytes where the session was given up.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// Joins terminal and channel until one of them ends. A gate that has agreed is taken out of `gate`.
pub(super) async fn run(
    channel: Channel,
    escape: Option<u8>,
    gate: &mut Option<Gate>,
    signals: &mut Signals,
    notices: &dyn Notices,
) -> Result<End, TransportError> {
    let output = Output::start()?;
    notices.notice(Notice::Entering(if terminal::is_terminal() {
        Screen::Raw
    } else {
        Screen::AsItIs
    }));
    let raw = RawMode::enter()?;
    let result = carry(channel, &output, escape, raw.as_ref(), gate, signals, notices).await;
    // The last byte first, then the terminal as it was, then whatever there is to say.
    let written = finish(output, &result, signals).await;
    drop(raw);
    notices.notice(Notice::Left);
    match (result?, written) {
        (end, Ok(())) => Ok(end),
        (end @ End::Signal(_), Err(_)) => Ok(end),
        (_, Err(Unwritten::Failed(error))) => Err(error.into()),
        (_, Err(Unwritten::Signal(number))) => Ok(End::Signal(number)),
    }
}

/// Why the last bytes did not reach the screen.
enum Unwritten {
    Failed(io::Error),
    Signal(i32),
}

/// Writes what was received. After the session's own end that takes as long as the reader takes; where it
/// was given up, nobody waits for a reader that does not read.
async fn finish(
    output: Output,
    result: &Result<End, TransportError>,
    signals: &mut Signals,
) -> Result<(), Unwritten> {
    let finished = output.finish();
    if matches!(result, Ok(End::Remote(_) | End::TimedOut)) {
        return tokio::select! {
            written = finished => written.map_err(Unwritten::Failed),
            number = signals.ended() => Err(Unwritten::Signal(number)),
        };
    }
    match timeout(LAST_BYTES, finished).await {
        Ok(written) => written.map_err(Unwritten::Failed),
        Err(_) => Ok(()),
    }
}

async fn carry(
    channel: Channel,
    output: &Output,
    escape: Option<u8>,
    raw: Option<&RawMode>,
    gate: &mut Option<Gate>,
    signals: &mut Signals,
    notices: &dyn Notices,
) -> Result<End, TransportError> {
    let (mut events, writer) = channel.split();
    let mut input = Input::start()?;
    // `~.` is for people: a piped script may well begin a line with it.
    let mut keys = Keys::new(Escapes::new(escape.filter(|_| raw.is_some())));
    let mut refused = None;
    let mut unwritten = None;
    resize(&writer);
    loop {
        tokio::select! {
            event = events.next(), if unwritten.is_none() => match event {
                Some(Event::Output(bytes) | Event::ErrorOutput(bytes)) => unwritten = Some(bytes),
                Some(Event::Ready { session_type: SessionType::Port, .. }) => return Err(TransportError::NotAShell),
                Some(Event::Ready { .. } | Event::ExitCode(_)) => {}
                Some(Event::Closed(words)) => {
                    return match refused {
                        Some(refusal) => Err(TransportError::Refused(refusal)),
                        None => Ok(End::Remote(words)),
                    };
                }
                Some(Event::TimedOut) => return Ok(End::TimedOut),
                Some(Event::Failed(error)) => return Err(error.into()),
                Some(Event::Refused(refusal @ Refusal::Encryption)) => return Err(TransportError::Refused(refusal)),
                Some(Event::Refused(refusal)) => refused = Some(refusal),
                Some(Event::Waiting) => notices.notice(Notice::Waiting),
                Some(Event::Reconnecting { cause }) => notices.notice(Notice::Reconnecting(cause)),
                Some(Event::Reconnected { away }) => {
                    notices.notice(Notice::Back(away));
                    resize(&writer);
                }
                Some(Event::CustomerMessage(words)) => notices.notice(Notice::CustomerMessage(words)),
                None => return Err(TransportError::Ended),
            },
            // A screen that takes no more keeps the session waiting, but neither keys nor signals.
            place = output.place(), if unwritten.is_some() => match (place, unwritten.take()) {
                (Some(place), Some(bytes)) => place.write(bytes),
                // Stdout takes no more; `Output::finish` says why.
                _ => return Ok(End::Escape),
            },
            typed = input.next(), if keys.is_hungry() => match typed {
                Ok(Some(bytes)) => {
                    let door = if gate.is_some() { Door::Shut } else { Door::Open };
                    for ask in keys.take(&bytes, door) {
                        match ask {
                            Ask::Interrupt(bytes) => writer.interrupt(bytes),
                            Ask::Help => notices.notice(Notice::EscapeHelp),
                            Ask::End => return Ok(End::Escape),
                        }
                    }
                }
                Ok(None) => keys.end(),
                // The terminal is gone.
                Err(_) => return Ok(End::Signal(rustix::process::Signal::HUP.as_raw())),
            },
            place = writer.writable(), if gate.is_none() && keys.is_waiting() => match place {
                Some(place) => place.write(keys.next_chunk()),
                // The last events follow.
                None => keys.forget(),
            },
            agreed = wait(gate), if gate.is_some() => {
                *gate = None;
                if let Err(why) = agreed {
                    return Ok(End::GateRefused(why));
                }
            }
            heard = signals.next() => match heard {
                Heard::Ended(signal) => return Ok(End::Signal(signal)),
                Heard::Resized => resize(&writer),
                Heard::Stopped => raw.map_or_else(terminal::stop, RawMode::suspend),
                Heard::Continued => {
                    if let Some(raw) = raw {
                        raw.resume();
                    }
                    resize(&writer);
                }
            },
        }
    }
}

fn resize(writer: &Writer) {
    let size = terminal::size();
    writer.resize(size.cols, size.rows);
}

async fn wait(gate: &mut Option<Gate>) -> Result<(), String> {
    match gate {
        Some(gate) => gate.await,
        None => std::future::pending().await,
    }
}
