//! Whether a connection's far end was reached, for programs that wait to hear it.
//!
//! Agents tell of failures alone. A connection is asked for by the first message about it; an agent acknowledges
//! that once its port session is there, the name resolved, and dials. So what is not refused within a moment
//! after the acknowledgement was reached, and bytes from the far end are proof.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::link::ToLink;
use crate::ports::Refusal;

/// How long what may take.
struct Times {
    /// An agent's dial, where nothing is known of the port.
    dial: Duration,
    /// The same where the last connection to it got an answer. A program waits so long with its first byte.
    again: Duration,
    /// The request itself.
    request: Duration,
}

const TIMES: Times = Times {
    dial: Duration::from_millis(200),
    again: Duration::from_millis(20),
    // Longer than any resolver takes.
    request: Duration::from_secs(30),
};

/// What is known of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport) enum Trust {
    /// Nothing, or nothing good.
    Unknown,
    /// The last connection to it got an answer.
    Proven,
}

/// A connection was asked for.
#[derive(Debug)]
pub(in crate::transport) struct Asked {
    /// Comes when the agent has acknowledged it; `None` where nobody tells, and that is taken to be so.
    pub(in crate::transport) acknowledged: Option<oneshot::Receiver<()>>,
    pub(in crate::transport) trust: Trust,
}

/// What came first from the far end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum First {
    Data(Bytes),
    Finished,
}

/// Waits until a connection counts as reached; with what the far end said first, if it did.
///
/// # Errors
/// With what to tell the program.
pub(super) async fn wait(inbox: &mut mpsc::UnboundedReceiver<ToLink>) -> Result<Option<First>, Refusal> {
    wait_within(&TIMES, inbox).await
}

async fn wait_within(
    times: &Times,
    inbox: &mut mpsc::UnboundedReceiver<ToLink>,
) -> Result<Option<First>, Refusal> {
    let reached = async {
        match inbox.recv().await {
            Some(ToLink::Asked(asked)) => reached(times, asked, inbox).await,
            Some(message) => first(message),
            None => Err(Refusal::Failed),
        }
    };
    timeout(times.request, reached)
        .await
        .unwrap_or(Err(Refusal::TimedOut))
}

async fn reached(
    times: &Times,
    asked: Asked,
    inbox: &mut mpsc::UnboundedReceiver<ToLink>,
) -> Result<Option<First>, Refusal> {
    let dial = match asked.trust {
        Trust::Unknown => times.dial,
        Trust::Proven => times.again,
    };
    let silence = async {
        if let Some(acknowledged) = asked.acknowledged
            && acknowledged.await.is_err()
        {
            // The channel has ended, which the inbox tells with its reason.
            std::future::pending::<()>().await;
        }
        sleep(dial).await;
    };
    tokio::select! {
        biased;
        message = inbox.recv() => message.map_or(Err(Refusal::Failed), first),
        () = silence => Ok(None),
    }
}

fn first(message: ToLink) -> Result<Option<First>, Refusal> {
    match message {
        ToLink::Data(bytes) => Ok(Some(First::Data(bytes))),
        ToLink::Finished => Ok(Some(First::Finished)),
        ToLink::Refused(why) => Err(why),
        ToLink::Asked(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So long that what waits for it has failed.
    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(1);

    /// What a program hears when its session says this of an acknowledged request.
    async fn told(trust: Trust, times: &Times, message: Option<ToLink>) -> Result<Option<First>, Refusal> {
        let (to, mut inbox) = mpsc::unbounded_channel();
        let (acknowledge, acknowledged) = oneshot::channel();
        let acknowledged = Some(acknowledged);
        acknowledge.send(()).unwrap();
        to.send(ToLink::Asked(Asked { acknowledged, trust })).unwrap();
        if let Some(message) = message {
            to.send(message).unwrap();
        }
        wait_within(times, &mut inbox).await
    }

    #[tokio::test]
    async fn silence_after_the_acknowledgement_is_success_and_a_refusal_is_none() {
        let patient = Times {
            dial: LONG,
            again: LONG,
            request: LONG,
        };
        let hello = Bytes::from_static(b"220 hello");
        for trust in [Trust::Unknown, Trust::Proven] {
            let refused = Some(ToLink::Refused(Refusal::Refused));
            assert_eq!(told(trust, &patient, refused).await, Err(Refusal::Refused));
            let said = Some(ToLink::Data(hello.clone()));
            let first = Ok(Some(First::Data(hello.clone())));
            assert_eq!(told(trust, &patient, said).await, first);
            let end = Some(ToLink::Finished);
            assert_eq!(told(trust, &patient, end).await, Ok(Some(First::Finished)));
        }
        let dial = Times {
            dial: SHORT,
            ..patient
        };
        assert_eq!(told(Trust::Unknown, &dial, None).await, Ok(None));
        let again = Times {
            again: SHORT,
            dial: LONG,
            ..dial
        };
        assert_eq!(told(Trust::Proven, &again, None).await, Ok(None));
    }

    #[tokio::test]
    async fn without_an_acknowledgement_nothing_counts_as_reached() {
        let times = Times {
            dial: SHORT,
            again: SHORT,
            request: Duration::from_millis(20),
        };
        let (to, mut inbox) = mpsc::unbounded_channel();
        let (acknowledge, acknowledged) = oneshot::channel();
        let acknowledged = Some(acknowledged);
        let trust = Trust::Proven;
        to.send(ToLink::Asked(Asked { acknowledged, trust })).unwrap();
        assert_eq!(wait_within(&times, &mut inbox).await, Err(Refusal::TimedOut));
        drop(acknowledge);

        let (acknowledge, acknowledged) = oneshot::channel();
        let acknowledged = Some(acknowledged);
        to.send(ToLink::Asked(Asked { acknowledged, trust })).unwrap();
        drop(acknowledge);
        to.send(ToLink::Refused(Refusal::HostUnreachable)).unwrap();
        assert_eq!(wait(&mut inbox).await, Err(Refusal::HostUnreachable));
        drop(to);
        assert_eq!(wait(&mut inbox).await, Err(Refusal::Failed));
    }
}
