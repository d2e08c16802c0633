//! A shell: keys to the remote, its bytes to the screen.

use bytes::{Bytes, BytesMut};

use crate::datachannel::{Channel, Event, Refusal, Writer};
use crate::terminal::escape::{Escapes, Typed};
use crate::terminal::input::Input;
use crate::terminal::output::Output;
use crate::terminal::{self, Heard, RawMode, Signals};
use crate::transport::TransportError;
use crate::transport::plan::{End, Gate, Notice, Notices};

/// Typed bytes that wait for the channel; a paste beyond this waits in the terminal.
const LONGEST_BACKLOG: usize = 1 << 20;
/// One write to the channel.
const CHUNK: usize = 4096;
/// Ctrl-C, Ctrl-Z and Ctrl-\: what they interrupt does not want the rest of a paste either.
const INTERRUPTS: &[u8] = &[0x03, 0x1a, 0x1c];
/// What a terminal sends for its end of input.
const END_OF_INPUT: u8 = 0x04;

pub(super) async fn run(
    channel: Channel,
    escape: Option<u8>,
    gate: Option<Gate>,
    signals: &mut Signals,
    notices: &dyn Notices,
) -> Result<End, TransportError> {
    let output = Output::start()?;
    notices.notice(Notice::Entering);
    let raw = RawMode::enter()?;
    let result = carry(channel, &output, escape, raw.is_some(), gate, signals, notices).await;
    // The last byte first, then the terminal as it was, then whatever there is to say.
    let written = output.finish().await;
    drop(raw);
    let end = result?;
    match written {
        Err(error) if !matches!(end, End::Signal(_)) => Err(error.into()),
        _ => Ok(end),
    }
}

/// Keys on their way to the remote.
struct Keys {
    escapes: Escapes,
    backlog: BytesMut,
    ended: bool,
}

async fn carry(
    channel: Channel,
    output: &Output,
    escape: Option<u8>,
    person: bool,
    gate: Option<Gate>,
    signals: &mut Signals,
    notices: &dyn Notices,
) -> Result<End, TransportError> {
    let (mut events, writer) = channel.split();
    let mut input = Input::start()?;
    let mut gate = gate;
    // `~.` is for people: a piped script may well begin a line with it.
    let mut keys = Keys {
        escapes: Escapes::new(escape.filter(|_| person)),
        backlog: BytesMut::new(),
        ended: false,
    };
    let resize = |writer: &Writer| {
        let size = terminal::size();
        writer.resize(size.cols, size.rows);
    };
    resize(&writer);
    let mut refused = None;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::Output(bytes) | Event::ErrorOutput(bytes)) => {
                    if output.write(bytes).await.is_err() {
                        return Ok(End::Escape);
                    }
                }
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
                Some(Event::Ready { .. } | Event::ExitCode(_)) => {}
                None => return Err(TransportError::Ended),
            },
            typed = input.next(), if !keys.ended && keys.backlog.len() < LONGEST_BACKLOG => {
                match typed {
                    Ok(Some(bytes)) => {
                        if keys.take(&bytes, gate.is_none(), &writer, notices) == Wish::End {
                            return Ok(End::Escape);
                        }
                    }
                    // The far end sees what it would see of a terminal whose user presses Ctrl-D; its output
                    // is still awaited.
                    Ok(None) => {
                        keys.ended = true;
                        keys.backlog.extend_from_slice(&[END_OF_INPUT]);
                    }
                    // The terminal is gone.
                    Err(_) => return Ok(End::Signal(signal_of_hangup())),
                }
            }
            place = writer.writable(), if gate.is_none() && !keys.backlog.is_empty() => {
                if let Some(place) = place {
                    let length = keys.backlog.len().min(CHUNK);
                    place.write(keys.backlog.split_to(length).freeze());
                } else {
                    // The last events follow.
                    keys.backlog.clear();
                }
            }
            agreed = wait(&mut gate), if gate.is_some() => {
                gate = None;
                if let Err(why) = agreed {
                    return Ok(End::GateRefused(why));
                }
            }
            heard = signals.next() => match heard {
                Heard::Resized => resize(&writer),
                Heard::Ended(signal) => return Ok(End::Signal(signal)),
            },
        }
    }
}

#[derive(PartialEq, Eq)]
enum Wish {
    GoOn,
    End,
}

impl Keys {
    /// Takes what was typed. An interrupt overtakes a backlog, which is dropped, as a terminal drops its
    /// input on Ctrl-C.
    fn take(&mut self, bytes: &Bytes, open: bool, writer: &Writer, notices: &dyn Notices) -> Wish {
        for typed in self.escapes.sort(bytes) {
            match typed {
                Typed::End => return Wish::End,
                Typed::Help => notices.notice(Notice::EscapeHelp),
                Typed::Bytes(bytes) => {
                    let interrupt = bytes.iter().position(|byte| INTERRUPTS.contains(byte));
                    match interrupt {
                        Some(at) if open && !self.backlog.is_empty() => {
                            self.backlog.clear();
                            let (_, rest) = bytes.split_at(at);
                            writer.interrupt(Bytes::copy_from_slice(rest));
                        }
                        _ => self.backlog.extend_from_slice(&bytes),
                    }
                }
            }
        }
        Wish::GoOn
    }
}

async fn wait(gate: &mut Option<Gate>) -> Result<(), String> {
    match gate {
        Some(gate) => gate.await,
        None => std::future::pending().await,
    }
}

fn signal_of_hangup() -> i32 {
    rustix::process::Signal::HUP.as_raw()
}
