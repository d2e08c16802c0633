//! A shell: keys to the remote, its bytes to the screen.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::Signal;
use tokio::time::timeout;

use super::keys::{Ask, Door, Keys};
use super::{Came, Finish, Watch};
use crate::datachannel::{Channel, Event, SessionType, Writer};
use crate::terminal::escape::Escapes;
use crate::terminal::input::Input;
use crate::terminal::output::Output;
use crate::terminal::record::Recorder;
use crate::terminal::{self, Heard, RawMode, Signals};
use crate::transport::TransportError;
use crate::transport::command::Decoder;
use crate::transport::plan::{End, Gate, Interrupts, Notice, Notices, Screen, Shell};

/// How long the screen may take for its last bytes where the session was given up.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// Joins terminal and channel until one of them ends. A gate that has agreed is taken out of `gate`.
pub(super) async fn run(
    channel: Channel,
    shell: &Shell,
    mut recorder: Option<Recorder>,
    gate: &mut Option<Gate>,
    signals: &mut Signals,
    notices: &dyn Notices,
) -> Result<Finish, TransportError> {
    let output = Output::start()?;
    let mut decoder = shell.reading.as_ref().map(Decoder::new);
    notices.notice(Notice::Entering(if terminal::is_terminal() {
        Screen::Raw
    } else {
        Screen::AsItIs
    }));
    let raw = RawMode::enter()?;
    // `~.` is for people: a piped script may well begin a line with it.
    let keys = Keys::new(Escapes::new(shell.escape.filter(|_| raw.is_some())));
    let tty = Terminal {
        output: &output,
        raw: raw.as_ref(),
        interrupts: shell.interrupts,
    };
    let sides = Sides {
        decoder: decoder.as_mut(),
        recorder: recorder.as_mut(),
    };
    let result = carry(channel, tty, keys, sides, gate, signals, notices).await;
    // The last byte first, then the terminal as it was, then whatever there is to say.
    let written = finish(output, &result, signals).await;
    drop(raw);
    notices.notice(Notice::Left);
    if let Some(Err(error)) = recorder.map(Recorder::finish) {
        notices.notice(Notice::NotRecorded(error.to_string()));
    }
    let end = match (result?, written) {
        (end, Ok(())) => end,
        (end @ End::Signal(_), Err(_)) => end,
        (_, Err(Unwritten::Failed(error))) => return Err(error.into()),
        (_, Err(Unwritten::Signal(number))) => End::Signal(number),
    };
    let status = decoder.and_then(|decoder| decoder.status());
    Ok(Finish { end, status })
}

/// The terminal's two sides.
#[derive(Clone, Copy)]
struct Terminal<'a> {
    output: &'a Output,
    raw: Option<&'a RawMode>,
    interrupts: Interrupts,
}

/// What output passes on its way to the screen.
struct Sides<'a> {
    decoder: Option<&'a mut Decoder>,
    recorder: Option<&'a mut Recorder>,
}

impl Sides<'_> {
    fn shown(&mut self, bytes: Bytes) -> Result<Bytes, TransportError> {
        let bytes = match &mut self.decoder {
            Some(decoder) => decoder.push(&bytes)?,
            None => bytes,
        };
        if let Some(recorder) = &mut self.recorder {
            recorder.shown(&bytes);
        }
        Ok(bytes)
    }

    fn typed(&mut self, bytes: &[u8]) {
        if let Some(recorder) = &mut self.recorder {
            recorder.typed(bytes);
        }
    }

    fn resize(&mut self, writer: &Writer) {
        let size = terminal::size();
        writer.resize(size.cols, size.rows);
        if let Some(recorder) = &mut self.recorder {
            recorder.resized(size);
        }
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
    if result.as_ref().is_ok_and(End::is_theirs) {
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
    terminal: Terminal<'_>,
    mut keys: Keys,
    mut sides: Sides<'_>,
    gate: &mut Option<Gate>,
    signals: &mut Signals,
    notices: &dyn Notices,
) -> Result<End, TransportError> {
    let Terminal {
        output,
        raw,
        interrupts,
    } = terminal;
    let (mut events, writer) = channel.split();
    let mut watch = Watch::new(notices);
    let mut input = Input::start()?;
    let mut unwritten = None;
    sides.resize(&writer);
    loop {
        tokio::select! {
            event = events.next(), if unwritten.is_none() => match watch.hear(event)? {
                Came::Event(Event::Output(bytes) | Event::ErrorOutput(bytes)) => {
                    unwritten = Some(sides.shown(bytes)?).filter(|bytes| !bytes.is_empty());
                }
                Came::Event(Event::Ready { session_type: SessionType::Port, .. }) => return Err(TransportError::NotAShell),
                Came::Event(Event::Reconnected { .. }) => sides.resize(&writer),
                Came::Event(_) => {}
                Came::End(end) => return Ok(end),
            },
            // A screen that takes no more keeps the session waiting, but neither keys nor signals.
            place = output.place(), if unwritten.is_some() => match (place, unwritten.take()) {
                (Some(place), Some(bytes)) => place.write(bytes),
                // Stdout takes no more; `Output::finish` says why.
                _ => return Ok(End::Escape),
            },
            typed = input.next(), if keys.is_hungry() => match typed {
                Ok(Some(bytes)) => {
                    sides.typed(&bytes);
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
                Heard::Ended(_) | Heard::Stopped if interrupts == Interrupts::Remote
                    && let Some(key) = key_of(heard) =>
                {
                    writer.interrupt(Bytes::copy_from_slice(&[key]));
                }
                Heard::Ended(signal) => return Ok(End::Signal(signal)),
                Heard::Resized => sides.resize(&writer),
                Heard::Stopped => raw.map_or_else(terminal::stop, RawMode::suspend),
                Heard::Continued => {
                    if let Some(raw) = raw {
                        raw.resume();
                    }
                    sides.resize(&writer);
                }
            },
        }
    }
}

/// The key that makes a signal.
fn key_of(heard: Heard) -> Option<u8> {
    match heard {
        Heard::Stopped => Some(0x1a),
        Heard::Ended(number) => match Signal::from_named_raw(number) {
            Some(Signal::INT) => Some(0x03),
            Some(Signal::QUIT) => Some(0x1c),
            _ => None,
        },
        Heard::Resized | Heard::Continued => None,
    }
}

async fn wait(gate: &mut Option<Gate>) -> Result<(), String> {
    match gate {
        Some(gate) => gate.await,
        None => std::future::pending().await,
    }
}
