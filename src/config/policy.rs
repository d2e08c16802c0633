//! What an administrator's `[policy]` permits.

use super::schema::Policy;
use super::values::{Bind, Keepalive, Recording, Sessions, Transport};

/// The policy of the system file does not permit something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the policy of this machine {0}")]
pub struct Refusal(String);

/// Whether a session is being recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is.
    Yes,
    /// It is not.
    No,
}

impl Policy {
    /// # Errors
    /// With the transports that are permitted.
    pub fn permit_transport(&self, transport: Transport) -> Result<(), Refusal> {
        let Some(permitted) = &self.transports else {
            return Ok(());
        };
        // `auto` begins with the native one and may go on to the plugin: each step is asked about again.
        let fits = permitted.contains(&transport)
            || (transport == Transport::Auto && permitted.contains(&Transport::Native));
        if fits {
            return Ok(());
        }
        let permitted: Vec<String> = permitted.iter().map(ToString::to_string).collect();
        Err(Refusal(format!(
            "does not permit the transport `{transport}`, only {}",
            list(&permitted)
        )))
    }

    /// # Errors
    /// With the documents that are permitted.
    pub fn permit_document(&self, document: &str) -> Result<(), Refusal> {
        match &self.documents {
            Some(permitted) if !permitted.iter().any(|pattern| matches(pattern, document)) => {
                Err(Refusal(format!(
                    "does not permit the session document `{document}`, only {}",
                    list(permitted)
                )))
            }
            _ => Ok(()),
        }
    }

    /// # Errors
    /// With the addresses that are permitted.
    pub fn permit_bind(&self, bind: &Bind) -> Result<(), Refusal> {
        let Some(permitted) = &self.bind else {
            return Ok(());
        };
        let fits =
            permitted.contains(bind) || (!bind.is_beyond_loopback() && permitted.contains(&Bind::Loopback));
        if fits {
            return Ok(());
        }
        let permitted: Vec<String> = permitted.iter().map(ToString::to_string).collect();
        Err(Refusal(format!(
            "does not permit forwards to listen on `{bind}`, only on {}",
            list(&permitted)
        )))
    }

    /// # Errors
    /// When a shell must be recorded and is not, or is and may not.
    pub fn permit_recording(&self, recorded: Recorded) -> Result<(), Refusal> {
        match (self.recording, recorded) {
            (Recording::Required, Recorded::No) => {
                Err(Refusal("demands that shells are recorded".to_owned()))
            }
            (Recording::Forbidden, Recorded::Yes) => {
                Err(Refusal("does not permit that shells are recorded".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// # Errors
    /// When one session is all that a forward may have.
    pub fn permit_sessions(&self, sessions: Sessions) -> Result<(), Refusal> {
        if self.pools == Some(false) && sessions.number() > 1 {
            return Err(Refusal("permits a forward one session only".to_owned()));
        }
        Ok(())
    }

    /// # Errors
    /// When idle sessions are to end.
    pub fn permit_keepalive(&self, keepalive: Keepalive) -> Result<(), Refusal> {
        if self.keepalive == Some(false) && keepalive != Keepalive::Off {
            return Err(Refusal(
                "does not permit idle sessions to be kept alive".to_owned(),
            ));
        }
        Ok(())
    }
}

fn list(words: &[String]) -> String {
    if words.is_empty() {
        "none at all".to_owned()
    } else {
        words.join(", ")
    }
}

/// `*` stands for any characters, everything else for itself.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_says_nothing_permits_everything() {
        let policy = Policy::default();
        assert_eq!(policy.permit_transport(Transport::Plugin), Ok(()));
        assert_eq!(policy.permit_document("Any"), Ok(()));
        assert_eq!(policy.permit_bind(&"0.0.0.0".parse().unwrap()), Ok(()));
        assert_eq!(policy.permit_recording(Recorded::Yes), Ok(()));
        assert_eq!(policy.permit_recording(Recorded::No), Ok(()));
    }

    #[test]
    fn what_is_not_listed_is_refused_with_the_list() {
        let policy = Policy {
            transports: Some(vec![Transport::Native]),
            documents: Some(vec!["SSM-*".into(), "Ours".into()]),
            bind: Some(vec![Bind::Loopback]),
            recording: Recording::Required,
            pools: Some(false),
            keepalive: Some(false),
            required_version: None,
        };
        assert_eq!(policy.permit_transport(Transport::Auto), Ok(()));
        let said = |verdict: Result<(), Refusal>| verdict.unwrap_err().to_string();
        assert_eq!(
            said(policy.permit_transport(Transport::Plugin)),
            "the policy of this machine does not permit the transport `plugin`, only native"
        );
        assert_eq!(policy.permit_document("SSM-SessionManagerRunShell"), Ok(()));
        assert_eq!(
            said(policy.permit_document("AWS-X")),
            "the policy of this machine does not permit the session document `AWS-X`, only SSM-*, Ours"
        );
        assert_eq!(policy.permit_bind(&"127.0.0.1".parse().unwrap()), Ok(()));
        assert!(policy.permit_bind(&"10.0.0.1".parse().unwrap()).is_err());
        assert!(policy.permit_recording(Recorded::No).is_err());
        assert!(policy.permit_sessions(Sessions::try_from(2).unwrap()).is_err());
        assert!(policy.permit_keepalive("5m".parse().unwrap()).is_err());
    }

    #[test]
    fn stars_match_any_characters() {
        assert!(matches("*", ""));
        assert!(matches("a*c", "abbc"));
        assert!(matches("a*b*c", "aXbYc"));
        assert!(!matches("a*c", "abcd"));
        assert!(!matches("abc", "abcd"));
        assert!(!matches("a*bc*c", "abc"));
    }
}
