//! What follows the end of a session, and when to try again.

use std::time::Duration;

use super::session::Ended;
use super::{Dormancy, ForwardError, Freshness, Remedy, RouteError};
use crate::aws::error::ErrorKind;
use crate::datachannel::ChannelError;
use crate::transport::TransportError;
use crate::transport::native::forward::CarryEnd;
use crate::transport::plugin::PluginError;

/// Pauses between attempts double from here up to there, without a limit of attempts.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A session that lived for so long was no failure: what follows it starts without a pause.
pub(super) const SETTLED: Duration = Duration::from_secs(10);

/// Whether a forward has ever carried connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum History {
    /// Not yet: a person may be waiting for its first word, and sees the first failure.
    New,
    /// It has: it stays up.
    Proven,
}

/// What follows.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Nothing: the session was not needed any more.
    Nothing,
    /// Open another one.
    Again { cause: String },
    /// Open another one with the next connection.
    Sleep(Dormancy),
    /// A person is needed; the next connection asks again.
    AskPerson(String),
    /// The forward is over.
    Over(ForwardError),
}

/// Decides. `freshness` is how the failed session's route was found: a remembered node that is not there is
/// looked up once more, for it may have been replaced.
pub(super) fn verdict(ended: Ended, freshness: Freshness, history: History) -> Verdict {
    match ended {
        Ended::NotRouted(error) => route(error, history),
        Ended::NotStarted(error) => {
            let cause = error.to_string();
            match (&error.kind, history) {
                // Where rights go by tags, an instance that is gone is denied.
                (ErrorKind::TargetNotConnected | ErrorKind::AccessDenied { .. } | ErrorKind::NotFound, _)
                    if freshness == Freshness::Remembered =>
                {
                    Verdict::Again { cause }
                }
                (
                    ErrorKind::AccessDenied { .. }
                    | ErrorKind::NotFound
                    | ErrorKind::Region
                    | ErrorKind::Setting,
                    _,
                )
                | (_, History::New) => Verdict::Over(ForwardError::Start(error)),
                (
                    ErrorKind::Credentials
                    | ErrorKind::NoCredentials
                    | ErrorKind::Expired
                    | ErrorKind::LoginNeeded
                    | ErrorKind::Cancelled,
                    History::Proven,
                ) => Verdict::AskPerson(cause),
                (
                    ErrorKind::TargetNotConnected
                    | ErrorKind::Throttled
                    | ErrorKind::Unreachable
                    | ErrorKind::Other,
                    History::Proven,
                ) => Verdict::Again { cause },
            }
        }
        Ended::Carried(CarryEnd::Closed(words)) => closed(words, history),
        Ended::Carried(CarryEnd::TimedOut) => Verdict::Sleep(Dormancy::TimedOut(String::new())),
        Ended::Carried(CarryEnd::Retired | CarryEnd::Used) | Ended::Stopped => Verdict::Nothing,
        Ended::Failed(error) => failed(error, history),
    }
}

fn route(error: RouteError, history: History) -> Verdict {
    match (error.remedy, history) {
        (Remedy::Person, History::Proven) => Verdict::AskPerson(error.message),
        (Remedy::Time, History::Proven) => Verdict::Again { cause: error.message },
        (Remedy::None, _) | (_, History::New) => Verdict::Over(error.into()),
    }
}

/// channel_closed says in words what happened, if anything. A time that was over is opened again with the next
/// connection; an agent in trouble likewise, since it may have been restarted or a name may resolve again, but not
/// before the forward has ever worked. What the agent forbids stays forbidden. Silence, or the word for it, is
/// somebody who ended the session on purpose.
///
/// The agent's words quote host names, which may be any words: so its own forms are looked for first, and AWS's
/// sentences are told by how they begin.
fn closed(words: String, history: History) -> Verdict {
    match Speaker::of(&words) {
        Speaker::Time => Verdict::Sleep(Dormancy::TimedOut(words)),
        Speaker::Somebody => Verdict::Over(ForwardError::Terminated(words)),
        Speaker::Forbidding => Verdict::Over(ForwardError::Agent(words)),
        Speaker::Agent if history == History::New => Verdict::Over(ForwardError::Agent(words)),
        Speaker::Agent => Verdict::Sleep(Dormancy::Agent(words)),
    }
}

/// Whose the words of a closed channel are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaker {
    /// The agent's, about what may pass.
    Agent,
    /// Its, about what will not.
    Forbidding,
    /// AWS's: the idle or the longest time was over.
    Time,
    /// AWS's, or nobody's: somebody ended the session.
    Somebody,
}

impl Speaker {
    fn of(words: &str) -> Self {
        /// How the agent's own begin, and where a longer text has them.
        const AGENT: &[&str] = &[
            "lookup ",
            "unable to connect",
            "dial tcp",
            "----------error",
            "error",
        ];
        /// AWS's sentences, which speak of the session and name no host.
        const SESSION: &[&str] = &["session ", "your session ", "the session "];
        let lower = words.to_lowercase();
        let lower = lower.trim();
        let begins = |with: &[&str]| with.iter().any(|with| lower.starts_with(with));
        let says = |needles: &[&str]| needles.iter().any(|needle| lower.contains(needle));
        let forbids =
            lower.starts_with("forwarding to ") && lower.trim_end_matches('.').ends_with("is forbidden");
        if forbids || begins(&["invalid port", "invalid host"]) {
            Self::Forbidding
        } else if begins(AGENT) {
            Self::Agent
        } else if lower.is_empty() {
            Self::Somebody
        } else if begins(SESSION) || begins(&["maximum session duration"]) {
            // The time's end is called a termination too.
            if says(&["timed out", "timeout", "inactivity", "maximum", "duration"]) {
                Self::Time
            } else if says(&["terminated", "cancel"]) {
                Self::Somebody
            } else {
                Self::Agent
            }
        } else if begins(&["terminated", "cancel"]) {
            Self::Somebody
        } else {
            Self::Agent
        }
    }
}

fn failed(error: TransportError, history: History) -> Verdict {
    let hopeless = match &error {
        TransportError::Channel(error) => matches!(
            error,
            ChannelError::Address | ChannelError::NotUnderstood(_) | ChannelError::Undecipherable(_)
        ),
        TransportError::Mux(_) | TransportError::Ended => false,
        // A plugin that left is started again; one that is missing or too old stays so.
        TransportError::Plugin(error) => !matches!(
            error,
            PluginError::Failed(_) | PluginError::Refused(_) | PluginError::Left
        ),
        _ => true,
    };
    if hopeless || history == History::New {
        Verdict::Over(ForwardError::Transport(error))
    } else {
        Verdict::Again {
            cause: error.to_string(),
        }
    }
}

/// The pause before an attempt, after so many failed ones. `luck` between 0 and 1 spreads those who were cut
/// together.
pub(super) fn pause(failures: u32, luck: f64) -> Duration {
    if failures == 0 {
        return Duration::ZERO;
    }
    let full = SHORTEST_PAUSE
        .saturating_mul(1 << (failures - 1).min(10))
        .min(LONGEST_PAUSE);
    full.mul_f64(0.5 + luck.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::error::ServiceError;

    fn not_started(kind: ErrorKind, freshness: Freshness, history: History) -> Verdict {
        verdict(
            Ended::NotStarted(ServiceError::local(kind, "why")),
            freshness,
            history,
        )
    }

    fn carried(end: CarryEnd) -> Verdict {
        verdict(Ended::Carried(end), Freshness::Fresh, History::Proven)
    }

    #[test]
    fn words_of_a_closed_channel_decide() {
        for timed in [
            "Session timed out due to inactivity",
            "Your session timed out due to inactivity.",
            "Your session has been terminated for the idle timeout",
            "Your session has reached its maximum duration.",
            "maximum session duration exceeded",
        ] {
            assert!(
                matches!(
                    carried(CarryEnd::Closed(timed.to_owned())),
                    Verdict::Sleep(Dormancy::TimedOut(_))
                ),
                "{timed}"
            );
        }
        for trouble in [
            "----------ERROR-------\nno worker",
            "lookup db.internal: no such host",
            "lookup db.internal on 10.0.0.2:53: i/o timeout",
            "Unable to connect to specified port: dial tcp 127.0.0.1:5432: connect: connection timed out",
            // Hosts may be called anything.
            "lookup maximum-db.internal: no such host",
            "lookup duration.internal on 10.0.0.2:53: no such host",
            "lookup terminated.internal: no such host",
            "lookup cancel-db.internal: no such host",
            "lookup session-timed-out-due.internal: no such host",
            "lookup forbidden.internal: no such host",
            "dial tcp: lookup inactive.internal: no such host",
        ] {
            let closed = || CarryEnd::Closed(trouble.to_owned());
            assert!(
                matches!(carried(closed()), Verdict::Sleep(Dormancy::Agent(_))),
                "{trouble}"
            );
            // Who waits for the forward's first word would wait for ever.
            let first = verdict(Ended::Carried(closed()), Freshness::Fresh, History::New);
            assert!(
                matches!(first, Verdict::Over(ForwardError::Agent(_))),
                "{trouble}"
            );
        }
        assert!(matches!(
            carried(CarryEnd::Closed(
                "Forwarding to IP address 169.254.169.254 is forbidden.".to_owned()
            )),
            Verdict::Over(ForwardError::Agent(_))
        ));
        for ended in ["", "terminated by admin", "Session has been terminated by alice."] {
            assert!(matches!(
                carried(CarryEnd::Closed(ended.to_owned())),
                Verdict::Over(ForwardError::Terminated(_))
            ));
        }
        assert!(matches!(
            carried(CarryEnd::TimedOut),
            Verdict::Sleep(Dormancy::TimedOut(_))
        ));
        assert!(matches!(carried(CarryEnd::Retired), Verdict::Nothing));
    }

    #[test]
    fn a_denial_ends_and_a_network_does_not() {
        let denied = || ErrorKind::AccessDenied {
            action: String::new(),
        };
        assert!(matches!(
            not_started(denied(), Freshness::Fresh, History::Proven),
            Verdict::Over(_)
        ));
        assert!(matches!(
            not_started(ErrorKind::NotFound, Freshness::Fresh, History::Proven),
            Verdict::Over(_)
        ));
        assert!(matches!(
            not_started(ErrorKind::Unreachable, Freshness::Fresh, History::Proven),
            Verdict::Again { .. }
        ));
        assert!(matches!(
            not_started(ErrorKind::Unreachable, Freshness::Fresh, History::New),
            Verdict::Over(_)
        ));
        assert!(matches!(
            not_started(ErrorKind::Expired, Freshness::Fresh, History::Proven),
            Verdict::AskPerson(_)
        ));
    }

    #[test]
    fn a_remembered_node_is_looked_up_once_more() {
        let denied = ErrorKind::AccessDenied {
            action: String::new(),
        };
        for kind in [ErrorKind::TargetNotConnected, ErrorKind::NotFound, denied] {
            assert!(matches!(
                not_started(kind, Freshness::Remembered, History::New),
                Verdict::Again { .. }
            ));
        }
        assert!(matches!(
            not_started(ErrorKind::TargetNotConnected, Freshness::Fresh, History::New),
            Verdict::Over(_)
        ));
        assert!(matches!(
            not_started(ErrorKind::TargetNotConnected, Freshness::Fresh, History::Proven),
            Verdict::Again { .. }
        ));
    }

    #[test]
    fn pauses_grow_to_half_a_minute_and_no_further() {
        assert_eq!(pause(0, 1.0), Duration::ZERO);
        assert_eq!(pause(1, 1.0), Duration::from_millis(500));
        assert_eq!(pause(3, 1.0), Duration::from_secs(2));
        assert_eq!(pause(u32::MAX, 1.0), LONGEST_PAUSE);
        assert_eq!(pause(u32::MAX, 0.0), LONGEST_PAUSE / 2);
    }
}
