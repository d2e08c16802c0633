//! Our own engine: a data channel joined to what the plan asks for.

mod command;
mod gateway;
mod keys;
mod shell;
mod stdio;

use std::sync::Arc;

use super::plan::{End, Gate, Notice, Notices, SessionPlan, Work};
use super::{TransportError, stream_url};
use crate::aws::Aws;
use crate::aws::session::Opening;
use crate::datachannel::{self, Event, Options, Refusal};
use crate::terminal::Signals;
use gateway::AwsGateway;

/// How a session came out, and with which status.
#[derive(Debug)]
pub(super) struct Finish {
    pub(super) end: End,
    pub(super) status: Option<i32>,
}

/// Carries a started session to its end. The caller ends it with AWS where this does not say that it is over.
pub(super) async fn run(
    aws: &Arc<Aws>,
    opening: Opening,
    allowed: &[String],
    plan: &SessionPlan,
    gate: &mut Option<Gate>,
    signals: &mut Signals,
    notices: &dyn Notices,
) -> Result<Finish, TransportError> {
    stream_url::check(opening.stream_url.expose(), aws.region(), allowed)?;
    let gateway = Arc::new(AwsGateway::new(
        Arc::clone(aws),
        opening.session.clone(),
        plan.request.target.to_string(),
        allowed.to_vec(),
    ));
    let opening = datachannel::Opening {
        session: opening.session,
        url: opening.stream_url,
        token: opening.token,
    };
    let options = match &plan.work {
        Work::Shell { .. } => Options::SHELL,
        Work::Command(_) => Options::COMMAND,
        Work::Stdio { .. } => Options::PORT,
    };
    let opened = datachannel::open(opening, gateway, aws.dialer(), options);
    let channel = tokio::select! {
        channel = opened => channel?,
        signal = signals.ended() => return Ok(Finish { end: End::Signal(signal), status: None }),
    };
    match &plan.work {
        Work::Shell { escape, reading } => {
            shell::run(channel, *escape, reading.as_ref(), gate, signals, notices).await
        }
        work => {
            // Nobody watches what these do, so nothing is done before the look-up agrees.
            if let Some(gate) = gate {
                let agreed = tokio::select! {
                    agreed = gate => agreed,
                    signal = signals.ended() => return Ok(Finish { end: End::Signal(signal), status: None }),
                };
                if let Err(why) = agreed {
                    return Ok(Finish {
                        end: End::GateRefused(why),
                        status: None,
                    });
                }
            }
            match work {
                Work::Command(reading) => command::run(channel, reading, signals, notices).await,
                Work::Stdio { linger } => stdio::run(channel, *linger, signals, notices).await,
                Work::Shell { .. } => Err(TransportError::Ended),
            }
        }
    }
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
            Some(Event::Closed(words)) => {
                return match self.refused.take() {
                    Some(refusal) => Err(TransportError::Refused(refusal)),
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
            Some(Event::Waiting) => Notice::Waiting,
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
