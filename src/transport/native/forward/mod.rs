//! A port session: local connections joined to the streams, or the bare bytes, of a data channel.

pub(super) mod adopted;
pub(in crate::transport) mod answer;
mod basic;
pub(in crate::transport) mod link;
mod mux;
mod pace;
mod size;
#[cfg(test)]
mod tests;

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::gateway::AwsGateway;
use crate::aws::Aws;
use crate::aws::session::Opening;
use crate::datachannel::{
    self, Channel, ChannelError, Event, Events, Options, PortMode, SessionType, Writer,
};
use crate::ids::{NodeId, Version};
use crate::ports::Connection;
use crate::transport::forward::{CONNECTION_WAITS, Counters};
use crate::transport::{TransportError, stream_url};

pub use pace::Rate;
pub(in crate::transport) use size::Learnt;

/// A program that has shut its sending side may wait for an answer. The far end knows no half-close: told of it,
/// it would drop the answer. So it is told when the answer has been silent for this long, or the program is gone.
pub(in crate::transport) const SILENCE: Duration = Duration::from_secs(15);
/// An agent that has shaken hands has so long until its port is there: longer than any resolver takes.
const PREPARES: Duration = Duration::from_secs(60);
/// An agent that is not merely full has so long to answer.
const GIVEN_UP: Duration = Duration::from_secs(30);
/// One that may be: so long AWS's plugin sends again what nobody acknowledges.
const FULL_GIVEN_UP: Duration = Duration::from_secs(5 * 60);
/// A program that took nothing for so long, and so keeps others from what they wait for, is the one to go.
const STANDS_STILL: Duration = CONNECTION_WAITS;
/// How long the last bytes may take to be acknowledged, and the word that there are no more.
const DRAIN: Duration = Duration::from_secs(2);
const FAREWELL: Duration = Duration::from_millis(300);

/// How a port's data channel is sized, and whether it is kept alive.
pub(in crate::transport) fn options(payload: Option<usize>, keepalive: Option<Duration>) -> Options {
    let mut options = Options {
        keepalive,
        ..Options::PORT
    };
    options.limits.payload = size::first(payload);
    options
}

/// Opens a started session's data channel, if its address is one that a token may be sent to.
pub(in crate::transport) async fn open(
    aws: &Arc<Aws>,
    opening: Opening,
    target: &NodeId,
    allowed: &[String],
    options: Options,
) -> Result<Channel, TransportError> {
    stream_url::check(opening.stream_url.expose(), aws.region(), allowed)?;
    let gateway = Arc::new(AwsGateway::new(
        Arc::clone(aws),
        opening.session.clone(),
        target.to_string(),
        allowed.to_vec(),
    ));
    let opening = datachannel::Opening {
        session: opening.session,
        url: opening.stream_url,
        token: opening.token,
    };
    Ok(datachannel::open(opening, gateway, aws.dialer(), options).await?)
}

/// The supply of local connections. When it ends, the session ends with its last connection.
pub(in crate::transport) struct Connections {
    pub(in crate::transport) next: mpsc::UnboundedReceiver<Connection>,
    pub(in crate::transport) counters: Arc<Counters>,
    /// How long a program that has shut its sending side waits for a silent answer.
    pub(in crate::transport) silence: Duration,
    /// The person's limit of a message's size, bytes.
    pub(in crate::transport) payload_limit: Option<usize>,
    /// And of bytes sent in a second.
    pub(in crate::transport) rate: Arc<Rate>,
    /// What the forward's sessions know of sizes.
    pub(in crate::transport) learnt: Arc<Learnt>,
}

/// What happens meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transport) enum Report {
    /// Connections are taken from now on. Whether there is a port for them is not known yet.
    Open,
    /// The agent's port is there: it has looked the host up, and does not forbid it.
    Ready,
    /// A connection has ended.
    Ended,
    /// The agent could not reach the port for one.
    Unreachable,
    /// A program took nothing for long while others waited, so its connection was closed.
    StoodStill,
    /// The agent has not been heard for some seconds.
    Waiting,
    /// It was, and does not answer any more: who comes next is better off with another session.
    Unanswered,
    /// The data channel was cut; a new one is being made.
    Reconnecting(String),
    /// It takes long, and this is why.
    StillAway(String),
    /// The session goes on after that time.
    Back(Duration),
    /// The agent's own word. Untrusted.
    CustomerMessage(String),
}

/// How a session came to its end without failing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transport) enum CarryEnd {
    /// The service or the agent closed it, with its words (untrusted, often none).
    Closed(String),
    /// It ended while nobody was connected.
    TimedOut,
    /// No more connections come and the last one has ended. The session is still open.
    Retired,
    /// It served the one connection that its kind serves. The session may still be open.
    Used,
}

/// Carries a port session's connections to its end. The caller ends it with AWS where it may still be open.
///
/// # Errors
/// When the channel fails for good, or the session is of another type or speaks something else.
pub(in crate::transport) async fn carry(
    channel: Channel,
    connections: &mut Connections,
    report: &(dyn Fn(Report) + Send + Sync),
) -> Result<CarryEnd, TransportError> {
    let (mut events, writer) = channel.split();
    let port = match begin(&mut events, report).await? {
        Begun::Port(port) => port,
        Begun::Ended(end) => return Ok(end),
    };
    report(Report::Open);
    // The agent is asked first, before anything of the connections is written.
    let end = tokio::select! {
        biased;
        error = wait_for_port(&writer, report) => Err(error),
        end = port.carry(&mut events, &writer, connections, report) => end,
    };
    if matches!(end, Ok(CarryEnd::Retired | CarryEnd::Used)) {
        part(&writer).await;
    }
    end
}

/// Reports once that the agent's port is there, and comes back only where it does not come to be.
///
/// Agents shake hands before they look a host up. What they cannot or may not carry ends the session then; till they
/// know, they leave what comes unacknowledged (`InputStreamMessageHandler` in `port.go`, amazon-ssm-agent from 2021 on;
/// older ones acknowledge at once). To ask them costs nobody anything, where a connection would be one to the target.
async fn wait_for_port(writer: &Writer, report: &(dyn Fn(Report) + Send + Sync)) -> TransportError {
    let asked = async {
        match writer.writable().await {
            Some(place) => place.nothing().await.is_ok(),
            None => false,
        }
    };
    match timeout(PREPARES, asked).await {
        Ok(true) => report(Report::Ready),
        // The channel has ended, which its events tell with the reason.
        Ok(false) => {}
        Err(_) => return ChannelError::Silent(PREPARES).into(),
    }
    pending().await
}

/// What was sent last is to arrive, and the agent to know that this is all.
async fn part(writer: &Writer) {
    drop(timeout(DRAIN, writer.drained()).await);
    writer.terminate();
    drop(timeout(FAREWELL, writer.drained()).await);
}

/// How a session has begun.
enum Begun {
    Port(Port),
    Ended(CarryEnd),
}

/// A session that is a port's.
struct Port {
    agent: Option<Version>,
    mode: PortMode,
}

/// Waits until the agent has shaken hands.
async fn begin(
    events: &mut Events,
    report: &(dyn Fn(Report) + Send + Sync),
) -> Result<Begun, TransportError> {
    loop {
        match events.next().await {
            Some(Event::Ready {
                session_type: SessionType::Port,
                agent_version: agent,
                properties,
            }) => {
                let mode = properties.mode(agent);
                return Ok(Begun::Port(Port { agent, mode }));
            }
            Some(Event::Ready { .. }) => return Err(TransportError::NotAForward),
            other => {
                if let Some(end) = heard(other, report)? {
                    return Ok(Begun::Ended(end));
                }
            }
        }
    }
}

impl Port {
    async fn carry(
        self,
        events: &mut Events,
        writer: &Writer,
        connections: &mut Connections,
        report: &(dyn Fn(Report) + Send + Sync),
    ) -> Result<CarryEnd, TransportError> {
        match self.mode {
            PortMode::Mux => mux::carry(events, writer, self.agent, connections, report).await,
            PortMode::Basic => {
                let turns = basic::Turns::Many;
                basic::carry(events, writer, turns, connections, report).await
            }
            PortMode::Stream => {
                let turns = basic::Turns::One;
                basic::carry(events, writer, turns, connections, report).await
            }
        }
    }
}

/// How long an agent may be silent that may hold so much of what went there since the far end's last answers, and
/// becomes full with `full`.
fn patience(held: u64, full: u64) -> Duration {
    if held >= full { FULL_GIVEN_UP } else { GIVEN_UP }
}

/// What every kind of port session makes of an event that brings no bytes.
fn heard(
    event: Option<Event>,
    report: &(dyn Fn(Report) + Send + Sync),
) -> Result<Option<CarryEnd>, TransportError> {
    match event {
        Some(Event::Closed { words, .. }) => return Ok(Some(CarryEnd::Closed(words))),
        Some(Event::TimedOut) => return Ok(Some(CarryEnd::TimedOut)),
        Some(Event::Failed(error)) => return Err(error.into()),
        Some(Event::Refused(refusal)) => return Err(TransportError::Refused(refusal)),
        Some(Event::Waiting) => report(Report::Waiting),
        Some(Event::Unanswered(_)) => report(Report::Unanswered),
        Some(Event::Reconnecting { cause }) => report(Report::Reconnecting(cause)),
        Some(Event::StillAway { cause }) => report(Report::StillAway(cause)),
        Some(Event::Reconnected { away }) => report(Report::Back(away)),
        Some(Event::CustomerMessage(words)) => report(Report::CustomerMessage(words)),
        Some(
            Event::Ready { .. }
            | Event::Output(_)
            | Event::ErrorOutput(_)
            | Event::ExitCode(_)
            | Event::Flag(_)
            | Event::Tried(_),
        ) => {}
        None => return Err(TransportError::Ended),
    }
    Ok(None)
}
