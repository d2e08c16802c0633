//! The agent of one session: an emulation by the rules of the real one, with real processes and sockets.
//!
//! It shares the bytes of a message with ssmx and nothing else: two hands, or a bug of one would be invisible.

mod channel;
mod command;
mod crypto;
mod destination;
mod handshake;
mod incoming;
mod mux;
mod port;
mod process;
mod pty;
mod smux;
mod utf8;
mod version;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::fault::Faults;
use crate::gateway::{Handshake, Kind, Observed, SessionSpec};
use channel::Channel;
use incoming::Desk;

/// How long an agent waits at the end for its messages to be acknowledged.
const DRAIN: Duration = Duration::from_secs(2);

/// How a session came to its end on the node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ending {
    /// For channel_closed; empty at a normal end.
    pub(crate) output: String,
    /// Whether it never began.
    pub(crate) failed: bool,
}

impl Ending {
    /// The session could not be started.
    fn failed(output: impl Into<String>) -> Self {
        Self {
            output: output.into(),
            failed: true,
        }
    }

    /// The session ended with words.
    fn with(output: impl Into<String>) -> Self {
        Self {
            output: output.into(),
            failed: false,
        }
    }
}

/// Runs a session to its end. Dropped, it takes its processes with it.
pub(crate) async fn run(
    spec: Arc<SessionSpec>,
    mut inbox: mpsc::Receiver<Bytes>,
    outbox: mpsc::Sender<Bytes>,
    faults: watch::Receiver<Faults>,
    observed: Arc<Mutex<Observed>>,
) -> Ending {
    let (first, delay) = {
        let faults = faults.borrow();
        (faults.first_sequence, faults.agent_delay_ms)
    };
    sleep(Duration::from_millis(delay)).await;
    let channel = Arc::new(Channel::new(spec.id.clone(), outbox, faults, observed, first));
    let (desk, answers) = Desk::new(Arc::clone(&channel), first);
    let desk = Arc::new(desk);
    let whole = async {
        channel.tell_state("Connected").await;
        let ending = conduct(&spec, &channel, &desk, answers).await;
        if !ending.failed {
            let _ = timeout(DRAIN, channel.drained()).await;
        }
        channel.tell_state("Terminating").await;
        ending
    };
    tokio::select! {
        ending = whole => ending,
        () = desk.read(&mut inbox) => Ending::default(),
        never = channel.resend() => match never {},
    }
}

/// The handshake where there is one, then what was asked for.
async fn conduct(
    spec: &SessionSpec,
    channel: &Arc<Channel>,
    desk: &Arc<Desk>,
    answers: mpsc::Receiver<handshake::Answer>,
) -> Ending {
    if let Some(failure) = &spec.start_failure {
        return Ending::failed(failure.clone());
    }
    let encryption = match spec.kind {
        Kind::Port(_) => None,
        _ => spec.encryption.as_ref(),
    };
    let wanted = match spec.agent.handshake {
        Handshake::Always => true,
        Handshake::Never => false,
        Handshake::WhereNeeded => {
            encryption.is_some() || matches!(spec.kind, Kind::Port(_) | Kind::NonInteractiveCommands { .. })
        }
    };
    let mut client_version = String::new();
    if wanted {
        match handshake::shake(spec, encryption, channel, answers).await {
            Ok(version) => client_version = version,
            Err(words) => return Ending::failed(words),
        }
    }
    desk.open();
    if channel.faults().unknown_payloads {
        channel
            .send(channel::UNKNOWN_PAYLOAD, Bytes::from_static(b"{\"future\":1}"))
            .await;
    }
    match &spec.kind {
        Kind::StandardStream { profile } => pty::shell(spec, profile.as_deref(), channel, desk).await,
        Kind::InteractiveCommands { command } => pty::command(spec, command, channel, desk).await,
        Kind::NonInteractiveCommands {
            command,
            separate_output: false,
            ..
        } => command::merged(spec, command, channel, desk).await,
        Kind::NonInteractiveCommands {
            command,
            stdout_prefix,
            stderr_prefix,
            ..
        } => command::separate(spec, command, [stdout_prefix, stderr_prefix], channel, desk).await,
        Kind::Port(properties) => port::run(spec, properties, &client_version, channel, desk).await,
    }
}

/// Milliseconds since the epoch, as messages are dated.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
