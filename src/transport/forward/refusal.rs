//! What a program is told of a connection that it does not get.

use super::{ForwardError, RouteError};
use crate::aws::error::ErrorKind;
use crate::ports::Refusal;

/// What the words of an agent that closed its session say of the port, where they say something of it: a name
/// that it cannot resolve, an address that it may not dial, a port where nobody listens. It would say the same
/// again.
pub(in crate::transport) fn of_words(words: &str) -> Option<Refusal> {
    let lower = words.to_lowercase();
    let says = |needles: &[&str]| needles.iter().any(|needle| lower.contains(needle));
    if says(&["forbidden", "not allowed"]) {
        Some(Refusal::NotAllowed)
    } else if says(&["no such host", "lookup ", "resolve", "no route to host"]) {
        Some(Refusal::HostUnreachable)
    } else if says(&["unable to connect", "connection refused"]) {
        Some(Refusal::Refused)
    } else {
        None
    }
}

/// What the end of a forward says of it.
pub(super) fn of_error(error: &ForwardError) -> Refusal {
    match error {
        ForwardError::Start(error) => match error.kind {
            ErrorKind::AccessDenied { .. } => Refusal::NotAllowed,
            ErrorKind::TargetNotConnected | ErrorKind::NotFound | ErrorKind::Unreachable => {
                Refusal::NetworkUnreachable
            }
            _ => Refusal::Failed,
        },
        ForwardError::Route(RouteError { .. }) => Refusal::NetworkUnreachable,
        ForwardError::Terminated(words) | ForwardError::Agent(words) => {
            of_words(words).unwrap_or(Refusal::Failed)
        }
        ForwardError::Transport(_) => Refusal::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::error::ServiceError;

    #[test]
    fn words_about_the_port_are_told_from_others() {
        for (words, why) in [
            (
                "lookup nowhere.internal on 10.0.0.2:53: no such host",
                Some(Refusal::HostUnreachable),
            ),
            (
                "Forwarding to IP address 169.254.169.254 is forbidden.",
                Some(Refusal::NotAllowed),
            ),
            (
                "Unable to connect to specified port: dial tcp 127.0.0.1:1: connect: connection refused",
                Some(Refusal::Refused),
            ),
            (
                "Unable to connect to specified port: dial tcp 10.9.9.9:1: connect: no route to host",
                Some(Refusal::HostUnreachable),
            ),
            ("Session timed out due to inactivity", None),
            ("", None),
        ] {
            assert_eq!(of_words(words), why, "{words}");
        }
    }

    #[test]
    fn a_denial_a_lost_node_and_the_rest_are_told_apart() {
        for (kind, why) in [
            (
                ErrorKind::AccessDenied {
                    action: "ssm:StartSession".to_owned(),
                },
                Refusal::NotAllowed,
            ),
            (ErrorKind::TargetNotConnected, Refusal::NetworkUnreachable),
            (ErrorKind::Unreachable, Refusal::NetworkUnreachable),
            (ErrorKind::Throttled, Refusal::Failed),
        ] {
            let error = ForwardError::Start(ServiceError::local(kind, "why"));
            assert_eq!(of_error(&error), why, "{error}");
        }
    }
}
