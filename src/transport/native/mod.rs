//! Our own engine: a data channel joined to what the plan asks for.

mod command;
pub(super) mod forward;
mod gateway;
mod keys;
mod shell;
mod stdio;

use std::sync::Arc;

use std::time::Duration;

use super::adopt::Adopter;
use super::command::{Reading, Streams};
use super::plan::{End, Gate, Interrupts, Notice, Notices, SessionPlan, Shell, Work};
use super::{Carrier, TransportError, stream_url};
use crate::aws::session::Opening;
use crate::datachannel::{self, Event, Options, PortMode, Refusal, SessionType};
use crate::terminal::Signals;
use crate::terminal::record::Recorder;
use forward::adopted;
use gateway::AwsGateway;

/// How a session came out, and with which status.
#[derive(Debug)]
pub(super) struct Finish {
    pub(super) end: End,
    pub(super) status: Option<i32>,
}

impl Finish {
    fn without_status(end: End) -> Self {
        Self { end, status: None }
    }
}

/// Carries a started session to its end. The caller ends it with AWS where this does not say that it is over.
pub(super) async fn run(
    carrier: &Carrier,
    opening: Opening,
    plan: &SessionPlan,
    recorder: Option<Recorder>,
    gate: &mut Option<Gate>,
    signals: &mut Signals,
    notices: &dyn Notices,
) -> Result<Finish, TransportError> {
    let (aws, allowed) = (&carrier.aws, &carrier.stream_endpoints);
    stream_url::check(opening.stream_url.expose(), aws.region(), allowed)?;
    let gateway = Arc::new(AwsGateway::new(
        Arc::clone(aws),
        opening.session.clone(),
        plan.request.target.to_string(),
        allowed.clone(),
    ));
    let opening = datachannel::Opening {
        session: opening.session,
        url: opening.stream_url,
        token: opening.token,
    };
    let options = match &plan.work {
        Work::Shell(_) => Options::SHELL,
        Work::Command(_) => Options::COMMAND,
        Work::Stdio { .. } => Options::PORT,
    };
    let options = Options {
        keepalive: plan.keepalive,
        ..options
    };
    let opened = datachannel::open(opening, gateway, aws.dialer(), options);
    let channel = tokio::select! {
        channel = opened => channel?,
        signal = signals.ended() => return Ok(Finish::without_status(End::Signal(signal))),
    };
    match &plan.work {
        Work::Shell(shell) => shell::run(channel, shell, recorder, gate, signals, notices).await,
        work => {
            // Nobody watches what these do, so nothing is done before the look-up agrees.
            if let Some(gate) = gate {
                let agreed = tokio::select! {
                    agreed = gate => agreed,
                    signal = signals.ended() => return Ok(Finish::without_status(End::Signal(signal))),
                };
                if let Err(why) = agreed {
                    return Ok(Finish::without_status(End::GateRefused(why)));
                }
            }
            match work {
                Work::Command(reading) => command::run(channel, reading, signals, notices).await,
                Work::Stdio { linger } => stdio::run(channel, *linger, signals, notices).await,
                Work::Shell(_) => Err(TransportError::Ended),
            }
        }
    }
}

/// How long an adopted port waits for a silent far side after the end of stdin.
const LINGER: Duration = Duration::from_secs(15);

/// Carries a session that somebody else has started, by what the agent says of its kind.
pub(super) async fn adopt(
    adopter: &Adopter,
    opening: Opening,
    signals: &mut Signals,
    notices: &dyn Notices,
) -> Result<Finish, TransportError> {
    let gateway = Arc::new(AwsGateway::adopted(adopter, opening.session.clone()));
    let opening = datachannel::Opening {
        session: opening.session,
        url: opening.stream_url,
        token: opening.token,
    };
    let opened = datachannel::open(opening, gateway, Arc::clone(&adopter.dialer), Options::ADOPTED);
    let mut channel = tokio::select! {
        channel = opened => channel?,
        signal = signals.ended() => return Ok(Finish::without_status(End::Signal(signal))),
    };
    let mut watch = Watch::new(notices);
    let kind = loop {
        let first = tokio::select! {
            first = channel.peek() => first,
            signal = signals.ended() => return Ok(Finish::without_status(End::Signal(signal))),
        };
        if let Some(Event::Ready {
            session_type,
            agent_version,
            properties,
        }) = first
        {
            break match session_type {
                SessionType::NonInteractiveCommands => Kind::Command,
                SessionType::Port if properties.mode(*agent_version) == PortMode::Stream => Kind::Stdio,
                SessionType::Port => Kind::Listener(adopted::Local::wanted_by(properties, *agent_version)?),
                SessionType::StandardStream | SessionType::InteractiveCommands | SessionType::Other(_) => {
                    Kind::Shell
                }
            };
        }
        let next = channel.next().await;
        if let Came::End(end) = watch.hear(next)? {
            return Ok(Finish::without_status(end));
        }
    };
    match kind {
        Kind::Shell => {
            let shell = Shell {
                escape: Some(b'~'),
                interrupts: Interrupts::Remote,
                ..Shell::default()
            };
            shell::run(channel, &shell, None, &mut None, signals, notices).await
        }
        Kind::Command => {
            let reading = Reading {
                streams: Streams::AsThePlugin,
                ..Reading::default()
            };
            command::run(channel, &reading, signals, notices).await
        }
        Kind::Stdio => stdio::run(channel, LINGER, signals, notices).await,
        Kind::Listener(local) => adopted::run(channel, local, signals, notices)
            .await
            .map(Finish::without_status),
    }
}

/// What an adopted session turns out to be.
enum Kind {
    Shell,
    Command,
    Stdio,
    Listener(adopted::Local),
}

/// Hears a channel's events on behalf of whatever runs on it: notices what only has to be told, and knows the
/// ends.
struct Watch<'a> {
    notices: &'a dyn Notices,
    refused: Option<Refusal>,
}

/// What came of an event.
enum Came {
    /// Something to act on, or already told.
    Event(Event),
    /// The session is over.
    End(End),
}

impl<'a> Watch<'a> {
    fn new(notices: &'a dyn Notices) -> Self {
        Self {
            notices,
            refused: None,
        }
    }

    fn hear(&mut self, event: Option<Event>) -> Result<Came, TransportError> {
        let notice = match event {
            Some(Event::Closed { words, torn }) => {
                return match self.refused.take() {
                    Some(refusal) => Err(TransportError::Refused(refusal)),
                    None if torn => Ok(Came::End(End::Torn(words))),
                    None => Ok(Came::End(End::Remote(words))),
                };
            }
            Some(Event::TimedOut) => return Ok(Came::End(End::TimedOut)),
            Some(Event::Failed(error)) => return Err(error.into()),
            Some(Event::Refused(refusal @ Refusal::Encryption(_))) => {
                return Err(TransportError::Refused(refusal));
            }
            None => return Err(TransportError::Ended),
            Some(Event::Refused(refusal)) => {
                self.refused = Some(refusal.clone());
                return Ok(Came::Event(Event::Refused(refusal)));
            }
            Some(Event::Waiting | Event::Unanswered(_)) => Notice::Waiting,
            Some(Event::Reconnecting { ref cause }) => Notice::Reconnecting(cause.clone()),
            Some(Event::StillAway { ref cause }) => Notice::StillAway(cause.clone()),
            Some(Event::Reconnected { away }) => Notice::Back(away),
            Some(Event::CustomerMessage(ref words)) => Notice::CustomerMessage(words.clone()),
            Some(event) => return Ok(Came::Event(event)),
        };
        self.notices.notice(notice);
        // Told; some want to know all the same.
        event.map(Came::Event).ok_or(TransportError::Ended)
    }
}
