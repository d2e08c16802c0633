//! A command: its two streams to ours, its status to whoever asked.

use std::time::Duration;

use bytes::Bytes;
use rustix::process::Signal;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Came, Finish, Watch};
use crate::datachannel::{Channel, Event, SessionType};
use crate::terminal::output::{Output, Standard};
use crate::terminal::{self, Heard, Signals};
use crate::transport::TransportError;
use crate::transport::command::{Decoder, Reading, Streams as ToWhere};
use crate::transport::plan::{End, Notice, Notices};

/// After the status nothing but the session's end follows; an agent that does not manage that is not waited
/// for longer.
const AFTER_STATUS: Duration = Duration::from_secs(5);
/// How long our streams may take for their last bytes where the session was given up.
const LAST_BYTES: Duration = Duration::from_secs(1);
/// What agents make a signal of.
const INTERRUPT: u8 = 0x03;
const QUIT: u8 = 0x1c;

/// The two ways out, each behind its decoder.
struct Streams {
    stdout: Output,
    stderr: Output,
    out: Decoder,
    err: Decoder,
    /// What waits for room.
    waiting: Vec<(Standard, Bytes)>,
}

impl Streams {
    fn start(reading: &Reading) -> Result<Self, TransportError> {
        Ok(Self {
            stdout: Output::start()?,
            stderr: Output::start_on(Standard::Error)?,
            out: Decoder::new(reading),
            err: Decoder::for_stderr(reading),
            waiting: Vec::new(),
        })
    }

    /// As the plugin shows it: in the words of the agent, where it comes.
    fn show_status(&mut self, code: i32) {
        self.waiting
            .push((Standard::Output, format!("EXIT_CODE: {code}").into()));
    }

    fn take(&mut self, to: Standard, bytes: &[u8]) -> Result<(), TransportError> {
        let decoder = match to {
            Standard::Output => &mut self.out,
            Standard::Error => &mut self.err,
        };
        let bytes = decoder.push(bytes)?;
        if !bytes.is_empty() {
            self.waiting.push((to, bytes));
        }
        Ok(())
    }

    /// Hands on the first piece that waits. `false`: that stream takes no more.
    async fn hand_on(&mut self) -> bool {
        let to = match self.waiting.first() {
            Some((Standard::Output, _)) => &self.stdout,
            Some((Standard::Error, _)) => &self.stderr,
            None => return true,
        };
        match to.place().await {
            Some(place) => {
                let (_, bytes) = self.waiting.remove(0);
                place.write(bytes);
                true
            }
            None => false,
        }
    }

    /// What the decoders still hold.
    fn rest(&mut self) -> Result<(), TransportError> {
        let rest = [
            (Standard::Output, self.out.finish()?),
            (Standard::Error, self.err.finish()?),
        ];
        self.waiting
            .extend(rest.into_iter().filter(|(_, bytes)| !bytes.is_empty()));
        Ok(())
    }

    /// Writes out everything.
    async fn finish(mut self) -> Result<(), TransportError> {
        while !self.waiting.is_empty() {
            if !self.hand_on().await {
                break;
            }
        }
        let (out, err) = tokio::join!(self.stdout.finish(), self.stderr.finish());
        out.and(err).map_err(Into::into)
    }
}

/// Carries the command until the session ends.
pub(super) async fn run(
    channel: Channel,
    reading: &Reading,
    signals: &mut Signals,
    notices: &dyn Notices,
) -> Result<Finish, TransportError> {
    let mut streams = Streams::start(reading)?;
    let mut status = Status::default();
    let carried = carry(channel, reading, &mut streams, &mut status, signals, notices).await;
    let rest = streams.rest();
    let interrupt = status.interrupt;
    let status = status.told.or(streams.out.status());
    let carried = match (carried, interrupt) {
        // The remote shell itself went the way that was meant for the command.
        (Ok(End::Remote(_)), Some(number)) if status.is_none() => Ok(End::Signal(number)),
        (carried, _) => carried,
    };
    let finishing = streams.finish();
    let end = match carried {
        // The command's last bytes take as long as their reader takes.
        Ok(end) if end.is_theirs() || end == End::Abandoned => {
            let written = tokio::select! {
                written = finishing => written,
                number = signals.ended() => return Ok(Finish { end: End::Signal(number), status }),
            };
            rest.and(written).map(|()| end)
        }
        other => {
            // Nobody waits for a reader that does not read where the session was given up.
            let written = timeout(LAST_BYTES, finishing).await.unwrap_or(Ok(()));
            match other {
                Ok(end @ (End::Signal(_) | End::OutOfTime)) => Ok(end),
                Ok(end) => written.map(|()| end),
                Err(error) => Err(error),
            }
        }
    };
    Ok(Finish { end: end?, status })
}

/// What is known of how the command ended.
#[derive(Default)]
struct Status {
    told: Option<i32>,
    /// The signal that was passed on to it.
    interrupt: Option<i32>,
}

async fn carry(
    channel: Channel,
    reading: &Reading,
    streams: &mut Streams,
    status: &mut Status,
    signals: &mut Signals,
    notices: &dyn Notices,
) -> Result<End, TransportError> {
    let (mut events, writer) = channel.split();
    let mut watch = Watch::new(notices);
    let mut is_ready = false;
    let far = Instant::now() + Duration::from_secs(60 * 60 * 24 * 365);
    let out_of_time = reading.timeout.map_or(far, |after| Instant::now() + after);
    let mut abandon = far;
    loop {
        tokio::select! {
            came = events.next(), if streams.waiting.is_empty() => match watch.hear(came)? {
                Came::Event(Event::Output(bytes)) => streams.take(Standard::Output, &bytes)?,
                Came::Event(Event::ErrorOutput(bytes)) => {
                    let to = match reading.streams {
                        ToWhere::Apart => Standard::Error,
                        ToWhere::AsThePlugin => Standard::Output,
                    };
                    streams.take(to, &bytes)?;
                }
                Came::Event(Event::ExitCode(code)) => {
                    status.told = Some(code);
                    if reading.streams == ToWhere::AsThePlugin {
                        streams.show_status(code);
                    }
                    abandon = Instant::now() + AFTER_STATUS;
                }
                Came::Event(Event::Ready { session_type, .. }) => {
                    if session_type == SessionType::Port {
                        return Err(TransportError::NotACommand);
                    }
                    is_ready = true;
                }
                Came::Event(_) => {}
                Came::End(end) => return Ok(end),
            },
            taken = streams.hand_on(), if !streams.waiting.is_empty() => if !taken {
                // `Output::finish` says why.
                return Ok(End::Escape);
            },
            heard = signals.next() => match heard {
                Heard::Ended(number) => {
                    let byte = match Signal::from_named_raw(number) {
                        Some(Signal::INT) => INTERRUPT,
                        Some(Signal::QUIT) => QUIT,
                        _ => return Ok(End::Signal(number)),
                    };
                    if !is_ready || status.interrupt.replace(number).is_some() {
                        return Ok(End::Signal(number));
                    }
                    writer.interrupt(Bytes::copy_from_slice(&[byte]));
                    notices.notice(Notice::Interrupting);
                }
                Heard::Stopped => terminal::stop(),
                Heard::Resized | Heard::Continued => {}
            },
            () = sleep_until(out_of_time) => return Ok(End::OutOfTime),
            () = sleep_until(abandon) => return Ok(End::Abandoned),
        }
    }
}
