//! The caller's rights, the document and the account's settings of sessions: decided from facts.

use super::report::Finding;
use crate::aws::diagnosis::settings::{PREFERENCES, Preferences};
use crate::aws::error::{ErrorKind, ServiceError};
use crate::aws::iam::Simulated;

const RIGHTS: &str = "your rights";
const DOCUMENT: &str = "document";
const KMS: &str = "encryption";
const RUN_AS: &str = "run as";
const LOGGED: &str = "session log";
const LIMITS: &str = "time limits";
const PROFILE: &str = "shell profile";

/// What the simulator says of the caller's StartSession.
pub fn caller(simulated: &Result<Vec<Simulated>, ServiceError>) -> Finding {
    let simulated = match simulated {
        Ok(simulated) => simulated,
        Err(error) => return Finding::unknown(RIGHTS, error),
    };
    let denied: Vec<String> = simulated
        .iter()
        .filter(|one| !one.allowed)
        .map(|one| {
            let how = if one.forbidden { "forbidden" } else { "not allowed" };
            format!("{} on {} is {how}", one.action, one.resource)
        })
        .collect();
    if denied.is_empty() {
        return Finding::pass(RIGHTS, "StartSession is allowed (simulated)");
    }
    let fix = if simulated.iter().any(|one| one.forbidden) {
        "something forbids it outright: a policy with Deny, a boundary or a service control policy; ask your administrator"
    } else {
        "ask for the policy that `ssmx iam-policy connect TARGET` prints"
    };
    Finding::likely(RIGHTS, format!("{} (simulated)", denied.join("; "))).fix(fix)
}

/// Whether the document is one of sessions. The preferences exist only once somebody saved them.
pub fn document(name: Option<&str>, kind: &Result<String, ServiceError>) -> Finding {
    let Some(name) = name.filter(|name| *name != PREFERENCES) else {
        return Finding::pass(DOCUMENT, "the account's own preferences of shells");
    };
    match kind {
        Ok(kind) if kind == "Session" => Finding::pass(DOCUMENT, format!("`{name}` is a session document")),
        Ok(kind) => Finding::fail(
            DOCUMENT,
            format!("`{name}` is of type {kind}; sessions need type Session"),
        )
        .fix("aws ssm list-documents --filters Key=DocumentType,Values=Session"),
        Err(error) if error.kind == ErrorKind::NotFound => Finding::fail(
            DOCUMENT,
            format!("there is no document `{name}` in this account and region"),
        )
        .fix("aws ssm list-documents --filters Key=DocumentType,Values=Session"),
        Err(error) => Finding::unknown(DOCUMENT, error),
    }
}

/// What the account's preferences ask of a shell. `caller` and `node` are what the simulator says of
/// kms:GenerateDataKey and kms:Decrypt, where there is a key.
pub fn preferences(
    told: &Result<Option<Preferences>, ServiceError>,
    caller: Option<&Result<Vec<Simulated>, ServiceError>>,
    node: Option<&Result<Vec<Simulated>, ServiceError>>,
) -> Vec<Finding> {
    let preferences = match told {
        Ok(Some(preferences)) => preferences,
        Ok(None) => return vec![Finding::pass("preferences", "none saved; AWS's defaults hold")],
        Err(error) => return vec![Finding::unknown("preferences", error)],
    };
    let mut found = vec![encryption(preferences, caller, node)];
    found.push(match (&preferences.run_as, &preferences.run_as_user) {
        (false, _) => Finding::pass(RUN_AS, "shells run as ssm-user"),
        (true, Some(user)) => Finding::unseen(
            RUN_AS,
            format!("shells run as `{user}`, or as your tag SSMSessionRunAs says; a user that does not exist on the node ends the session at once"),
        ),
        (true, None) => Finding::likely(RUN_AS, "shells run as your tag SSMSessionRunAs says, and no user is set for callers without it")
            .fix("aws iam tag-role --role-name ROLE --tags Key=SSMSessionRunAs,Value=USER (or tag-user)")
            .symptom(),
    });
    let places: Vec<String> = [
        preferences
            .log_bucket
            .as_ref()
            .map(|bucket| format!("bucket {bucket}")),
        preferences
            .log_group
            .as_ref()
            .map(|group| format!("log group {group}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    found.push(if places.is_empty() {
        Finding::pass(LOGGED, "shells are not logged")
    } else {
        Finding::unseen(
            LOGGED,
            format!("shells are logged to {}; one that is missing or not encrypted as asked for ends them at once", places.join(" and ")),
        )
    });
    let minutes =
        |what: &str, value: &Option<String>| value.as_ref().map(|value| format!("{what} {value} min"));
    let limits: Vec<String> = [
        minutes("ends after idle", &preferences.idle_minutes),
        minutes("ends in any case after", &preferences.most_minutes),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !limits.is_empty() {
        found.push(Finding::pass(LIMITS, limits.join(", ")));
    }
    if preferences.shell_profile.is_some() {
        found.push(Finding::unseen(
            PROFILE,
            "each shell begins with commands of the account's; one that fails or execs away ends it",
        ));
    }
    found
}

fn encryption(
    preferences: &Preferences,
    caller: Option<&Result<Vec<Simulated>, ServiceError>>,
    node: Option<&Result<Vec<Simulated>, ServiceError>>,
) -> Finding {
    let Some(key) = &preferences.kms_key else {
        return Finding::pass(KMS, "by TLS alone");
    };
    for (who, action, simulated) in [
        ("you", "kms:GenerateDataKey", caller),
        ("the instance's role", "kms:Decrypt", node),
    ] {
        match simulated {
            Some(Ok(simulated)) if simulated.iter().all(|one| one.allowed) => {}
            Some(Ok(_)) => {
                return Finding::likely(KMS, format!("{who} may not {action} with {key} (simulated)")).fix(
                    format!("allow {action} on {key} in the policy, and in the key's own policy"),
                );
            }
            Some(Err(error)) => return Finding::unknown(KMS, error),
            None => {
                return Finding::unseen(KMS, format!("by {key}; whether {who} may {action} is not known"));
            }
        }
    }
    Finding::pass(
        KMS,
        format!("by {key}, which both sides may use (simulated; the key's own policy decides too)"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    fn denied() -> ServiceError {
        ServiceError::local(
            ErrorKind::AccessDenied {
                action: "iam:SimulatePrincipalPolicy".into(),
            },
            "no",
        )
    }

    fn simulated(allowed: bool, forbidden: bool) -> Result<Vec<Simulated>, ServiceError> {
        Ok(vec![Simulated {
            action: "ssm:StartSession".into(),
            resource: "arn:x".into(),
            allowed,
            forbidden,
        }])
    }

    #[test]
    fn a_simulation_is_likely_and_a_denied_one_unknown() {
        assert_eq!(caller(&simulated(true, false)).verdict, Verdict::Pass);
        let lacking = caller(&simulated(false, false));
        assert_eq!(lacking.verdict, Verdict::Likely);
        assert!(lacking.fix[0].contains("ssmx iam-policy"), "{lacking:?}");
        assert!(caller(&simulated(false, true)).fix[0].contains("service control policy"));
        assert_eq!(caller(&Err(denied())).verdict, Verdict::Unknown);
    }

    #[test]
    fn a_document_is_of_sessions_or_wrong() {
        let kind = |kind: &str| Ok(kind.to_owned());
        assert_eq!(document(None, &kind("")).verdict, Verdict::Pass);
        // Its absence is no fault.
        let missing = || Err(ServiceError::local(ErrorKind::NotFound, "none"));
        assert_eq!(document(Some(PREFERENCES), &missing()).verdict, Verdict::Pass);
        assert_eq!(document(Some("Ours"), &kind("Session")).verdict, Verdict::Pass);
        assert_eq!(document(Some("Ours"), &kind("Command")).verdict, Verdict::Fail);
        assert_eq!(document(Some("Ours"), &missing()).verdict, Verdict::Fail);
        assert_eq!(document(Some("Ours"), &Err(denied())).verdict, Verdict::Unknown);
    }

    #[test]
    fn a_key_needs_both_sides() {
        let told = Ok(Some(Preferences {
            kms_key: Some("arn:key".into()),
            run_as: true,
            ..Preferences::default()
        }));
        let verdict = |caller, node| preferences(&told, caller, node)[0].verdict;
        let (yes, no) = (simulated(true, false), simulated(false, false));
        assert_eq!(verdict(Some(&yes), Some(&yes)), Verdict::Pass);
        assert_eq!(verdict(Some(&no), Some(&yes)), Verdict::Likely);
        assert_eq!(verdict(Some(&yes), Some(&no)), Verdict::Likely);
        assert_eq!(verdict(Some(&yes), None), Verdict::Unknown);
        assert_eq!(verdict(Some(&Err(denied())), None), Verdict::Unknown);
        assert_eq!(preferences(&told, None, None)[1].verdict, Verdict::Likely);
        assert_eq!(preferences(&Ok(None), None, None)[0].verdict, Verdict::Pass);
    }
}
