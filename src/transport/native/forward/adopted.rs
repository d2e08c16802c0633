//! A port session that somebody else has started: the listener that its document asks for, for as long as the
//! session lives.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Begun, CarryEnd, Connections, DRAIN, FAREWELL, Learnt, Report, SILENCE, begin};
use crate::datachannel::{Channel, PortMode, Properties};
use crate::ids::{self, Bind, Version};
use crate::ports::{Connection, Listener};
use crate::terminal::{Heard, Signals};
use crate::transport::TransportError;
use crate::transport::forward::Counters;
use crate::transport::plan::{End, Notice, Notices, Turns};

/// The local end that a session's document names, and how many connections it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transport::native) struct Local {
    end: ids::Local,
    turns: Turns,
}

impl Local {
    /// Reads what the agent tells of the document: a Unix socket where the type says so, else a port; none, or
    /// zero, for a free one.
    pub(in crate::transport::native) fn wanted_by(
        properties: &Properties,
        agent: Option<Version>,
    ) -> Result<Self, TransportError> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let end = if properties.local_connection_type.as_deref() == Some("unix") {
            let path = text(&properties.local_unix_socket);
            if path.is_empty() {
                return Err(TransportError::NoLocalEnd(path));
            }
            ids::Local::Socket(path.into())
        } else {
            let port = text(&properties.local_port_number);
            let number = if port.is_empty() { Ok(0) } else { port.parse() };
            ids::Local::Port {
                bind: Bind::Loopback,
                port: number.map_err(|_| TransportError::NoLocalEnd(port))?,
            }
        };
        let turns = match properties.mode(agent) {
            PortMode::Mux => Turns::Together,
            PortMode::Basic | PortMode::Stream => Turns::OneByOne,
        };
        Ok(Self { end, turns })
    }
}

/// Listens and carries what is accepted until the session ends or a signal ends it.
pub(in crate::transport::native) async fn run(
    channel: Channel,
    local: Local,
    signals: &mut Signals,
    notices: &dyn Notices,
) -> Result<End, TransportError> {
    let Local { end, turns } = local;
    let listener = Listener::bind(&end).await?;
    notices.notice(Notice::Listening(listener.local().clone(), turns));
    let (give, next) = mpsc::unbounded_channel();
    let mut connections = Connections {
        next,
        counters: Arc::new(Counters::default()),
        silence: SILENCE,
        payload_limit: None,
        rate: Arc::default(),
        learnt: Arc::new(Learnt::default()),
    };
    let report = |report| tell(notices, report);
    let (mut events, writer) = channel.split();
    let carrying = async {
        match begin(&mut events, &report).await? {
            Begun::Port(port) => port.carry(&mut events, &writer, &mut connections, &report).await,
            Begun::Ended(end) => Ok(end),
        }
    };
    let carried = tokio::select! {
        carried = carrying => Ok(carried?),
        never = accept(&listener, &give, || notices.notice(Notice::Accepted(turns))) => match never {},
        end = interrupted(signals) => Err(end),
    };
    let end = match carried {
        Ok(CarryEnd::Closed(words)) => return Ok(End::Remote(words)),
        Ok(CarryEnd::TimedOut) => return Ok(End::TimedOut),
        Ok(CarryEnd::Retired | CarryEnd::Used) => End::Abandoned,
        Err(end) => end,
    };
    drop(listener);
    if end == End::Escape {
        notices.notice(Notice::Terminating);
    }
    // What was taken from a local program is to arrive; who is impatient says so once more.
    tokio::select! {
        _ = timeout(DRAIN, writer.drained()) => {}
        () = signals.impatience() => {}
    }
    writer.terminate();
    drop(timeout(FAREWELL, writer.drained()).await);
    Ok(end)
}

/// Nothing: the listener stays.
enum Never {}

async fn accept(
    listener: &Listener,
    give: &mpsc::UnboundedSender<Connection>,
    first: impl FnOnce(),
) -> Never {
    let mut connection = listener.accept().await;
    first();
    loop {
        // Whoever carries them lives as long as this.
        let _ = give.send(connection);
        connection = listener.accept().await;
    }
}

/// The keys that interrupt, quit or stop end the session, as its caller expects of the plugin; other signals
/// mean this process.
async fn interrupted(signals: &mut Signals) -> End {
    loop {
        match signals.next().await {
            Heard::Stopped => return End::Escape,
            Heard::Ended(number) if is_a_key(number) => return End::Escape,
            Heard::Ended(number) => return End::Signal(number),
            Heard::Resized | Heard::Continued => {}
        }
    }
}

fn is_a_key(number: i32) -> bool {
    use rustix::process::Signal;
    [Signal::INT, Signal::QUIT].map(Signal::as_raw).contains(&number)
}

fn tell(notices: &dyn Notices, report: Report) {
    notices.notice(match report {
        // The plugin has no word for the last.
        Report::Open | Report::Ready | Report::Ended | Report::StoodStill => return,
        Report::Unreachable => Notice::FarPort,
        Report::Waiting | Report::Unanswered => Notice::Waiting,
        Report::Reconnecting(cause) => Notice::Reconnecting(cause),
        Report::StillAway(cause) => Notice::StillAway(cause),
        Report::Back(away) => Notice::Back(away),
        Report::CustomerMessage(words) => Notice::CustomerMessage(words),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(port: Option<&str>) -> Properties {
        Properties {
            r#type: Some("LocalPortForwarding".to_owned()),
            local_port_number: port.map(ToOwned::to_owned),
            ..Properties::default()
        }
    }

    fn wanted(properties: &Properties, agent: [u32; 4]) -> Result<(ids::Local, Turns), String> {
        Local::wanted_by(properties, Some(Version(agent)))
            .map(|local| (local.end, local.turns))
            .map_err(|error| error.to_string())
    }

    fn port(port: u16) -> ids::Local {
        ids::Local::Port {
            bind: Bind::Loopback,
            port,
        }
    }

    #[test]
    fn the_document_names_the_local_end() {
        let new = [3, 3, 1142, 0];
        let together = |local| Ok((local, Turns::Together));
        assert_eq!(wanted(&properties(Some("15432")), new), together(port(15432)));
        assert_eq!(wanted(&properties(Some("0")), new), together(port(0)));
        assert_eq!(wanted(&properties(None), new), together(port(0)));
        assert_eq!(
            wanted(&properties(Some("15432")), [3, 0, 196, 0]),
            Ok((port(15432), Turns::OneByOne))
        );
        let mut socket = properties(None);
        socket.local_connection_type = Some("unix".to_owned());
        let nowhere = "the session's document names no local port or socket, but ``";
        assert_eq!(wanted(&socket, new), Err(nowhere.to_owned()));
        socket.local_unix_socket = Some("/run/db.sock".to_owned());
        assert_eq!(
            wanted(&socket, new),
            together(ids::Local::Socket("/run/db.sock".into()))
        );
        let wrong = "the session's document names no local port or socket, but `70000`";
        assert_eq!(wanted(&properties(Some("70000")), new), Err(wrong.to_owned()));
    }
}
