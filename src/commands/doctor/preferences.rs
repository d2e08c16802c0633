//! The account's settings of shells: decided from facts.

use super::report::Finding;
use super::rights::Told;
use crate::aws::diagnosis::logs::LogPlace;
use crate::aws::diagnosis::settings::Preferences;
use crate::aws::error::{ErrorKind, ServiceError};
use crate::aws::kms::KeyFacts;

const PREFERENCES: &str = "preferences";
const KMS: &str = "encryption";
const RUN_AS: &str = "run as";
const BUCKET: &str = "log bucket";
const GROUP: &str = "log group";
const LOGGED: &str = "session log";
const LIMITS: &str = "time limits";
const PROFILE: &str = "shell profile";

/// What was learnt around the preferences; each part where the preferences ask for it.
#[derive(Default)]
pub struct Around {
    /// The key that sessions are encrypted with.
    pub key: Option<Result<KeyFacts, ServiceError>>,
    /// What the simulator says of the caller's kms:GenerateDataKey.
    pub caller: Option<Told>,
    /// And of kms:Decrypt by the node's role.
    pub node: Option<Told>,
    /// The caller's tag SSMSessionRunAs.
    pub run_as: Option<Result<Option<String>, ServiceError>>,
    /// The bucket of logs.
    pub bucket: Option<Result<LogPlace, ServiceError>>,
    /// The log group.
    pub group: Option<Result<LogPlace, ServiceError>>,
}

/// What the account's preferences ask of a shell, and whether that can be had.
pub fn findings(told: &Result<Option<Preferences>, ServiceError>, around: &Around) -> Vec<Finding> {
    let preferences = match told {
        Ok(Some(preferences)) => preferences,
        Ok(None) => return vec![Finding::pass(PREFERENCES, "none saved; AWS's defaults hold")],
        Err(error) => return vec![Finding::unknown(PREFERENCES, error)],
    };
    let mut found = vec![encryption(preferences, around), run_as(preferences, around)];
    found.extend(logs(preferences, around));
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

fn encryption(preferences: &Preferences, around: &Around) -> Finding {
    let Some(key) = &preferences.kms_key else {
        return Finding::pass(KMS, "by TLS alone");
    };
    match &around.key {
        Some(Ok(facts)) if facts.state != "Enabled" => {
            return Finding::fail(
                KMS,
                format!("the key {key} is {}, so every session ends at once", facts.state),
            )
            .fix(format!("aws kms enable-key --key-id {key}"))
            .fix("or save another key in Session Manager's preferences");
        }
        Some(Err(error)) if error.kind == ErrorKind::NotFound => {
            return Finding::fail(
                KMS,
                format!("there is no key {key} here, so every session ends at once"),
            )
            .fix(
                "save another key in Session Manager's preferences (the document SSM-SessionManagerRunShell)",
            );
        }
        _ => {}
    }
    for (who, action, simulated) in [
        ("you", "kms:GenerateDataKey", &around.caller),
        ("the instance's role", "kms:Decrypt", &around.node),
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
    if let Some(Err(error)) = &around.key {
        return Finding::unknown(KMS, error);
    }
    Finding::pass(
        KMS,
        format!("by {key}, which both sides may use (simulated; the key's own policy decides too)"),
    )
}

fn run_as(preferences: &Preferences, around: &Around) -> Finding {
    if !preferences.run_as {
        return Finding::pass(RUN_AS, "shells run as ssm-user");
    }
    const ENDS: &str = "a user that does not exist on the node ends the session at once";
    match (&around.run_as, &preferences.run_as_user) {
        (Some(Ok(Some(user))), _) => Finding::unseen(
            RUN_AS,
            format!("shells run as `{user}`, as your tag SSMSessionRunAs says; {ENDS}"),
        ),
        (_, Some(user)) => Finding::unseen(
            RUN_AS,
            format!("shells run as `{user}`, or as a tag SSMSessionRunAs of your session says; {ENDS}"),
        ),
        // A tag may also come with the session (IAM Identity Center sends such), which nobody can look at.
        (Some(Ok(None)), None) => Finding::likely(
            RUN_AS,
            "shells run as the caller's tag SSMSessionRunAs says; you bear none, and no user is set for those without it",
        )
        .fix("aws iam tag-role --role-name ROLE --tags Key=SSMSessionRunAs,Value=USER (or tag-user)")
        .fix("or save a default user in Session Manager's preferences"),
        (Some(Err(error)), None) => Finding::unknown(RUN_AS, error),
        (None, None) => Finding::unseen(
            RUN_AS,
            "shells run as the caller's tag SSMSessionRunAs says; whether you bear one cannot be told",
        ),
    }
}

fn logs(preferences: &Preferences, around: &Around) -> Vec<Finding> {
    let wants = [
        (
            BUCKET,
            "bucket",
            &preferences.log_bucket,
            preferences.bucket_encrypted,
            &around.bucket,
        ),
        (
            GROUP,
            "log group",
            &preferences.log_group,
            preferences.group_encrypted,
            &around.group,
        ),
    ];
    let found: Vec<Finding> = wants
        .into_iter()
        .filter_map(|(check, kind, name, encrypted, told)| {
            let name = name.as_ref()?;
            Some(place(check, kind, name, encrypted, told.as_ref()))
        })
        .collect();
    if found.is_empty() {
        return vec![Finding::pass(LOGGED, "shells are not logged")];
    }
    found
}

fn place(
    check: &'static str,
    kind: &str,
    name: &str,
    must_be_encrypted: bool,
    told: Option<&Result<LogPlace, ServiceError>>,
) -> Finding {
    let make = match check {
        BUCKET => format!("aws s3 mb s3://{name}"),
        _ => format!("aws logs create-log-group --log-group-name {name}"),
    };
    match told {
        Some(Ok(LogPlace::Missing)) => Finding::fail(
            check,
            format!("shells are to be logged to the {kind} `{name}`, which does not exist: they end at once"),
        )
        .fix(make),
        Some(Ok(LogPlace::There { encrypted: false })) if must_be_encrypted => Finding::fail(
            check,
            format!("the preferences want the {kind} `{name}` encrypted, and it is not: shells end at once"),
        )
        .fix(match check {
            BUCKET => format!(
                "aws s3api put-bucket-encryption --bucket {name} --server-side-encryption-configuration '{{\"Rules\":[{{\"ApplyServerSideEncryptionByDefault\":{{\"SSEAlgorithm\":\"AES256\"}}}}]}}'"
            ),
            _ => format!("aws logs associate-kms-key --log-group-name {name} --kms-key-id KEY_ARN"),
        })
        .fix("or take the demand out of Session Manager's preferences"),
        Some(Ok(LogPlace::There { .. })) => Finding::pass(check, format!("shells are logged to `{name}`, which is there")),
        Some(Err(error)) => {
            let mut finding = Finding::unknown(check, error);
            finding.evidence = format!("shells are logged to `{name}`; {}", finding.evidence);
            finding
        }
        None => Finding::unseen(check, format!("shells are logged to `{name}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;
    use crate::aws::iam::Simulated;

    fn denied(action: &str) -> ServiceError {
        let action = action.to_owned();
        ServiceError::local(ErrorKind::AccessDenied { action }, "no")
    }

    fn simulated(allowed: bool) -> Option<Told> {
        Some(Ok(vec![Simulated {
            action: "kms:x".into(),
            resource: "arn:x".into(),
            allowed,
            forbidden: false,
        }]))
    }

    fn key(state: &str) -> Option<Result<KeyFacts, ServiceError>> {
        Some(Ok(KeyFacts {
            arn: "arn:key".into(),
            state: state.into(),
        }))
    }

    fn verdict(preferences: Preferences, around: Around, check: &str) -> Verdict {
        let found = findings(&Ok(Some(preferences)), &around);
        let finding = found.iter().find(|finding| finding.check == check).unwrap();
        let needs_fix = matches!(finding.verdict, Verdict::Fail | Verdict::Likely);
        assert_eq!(needs_fix, !finding.fix.is_empty(), "{finding:?}");
        finding.verdict
    }

    #[test]
    fn a_key_must_be_there_and_both_sides_may_use_it() {
        let encrypted = || Preferences {
            kms_key: Some("arn:key".into()),
            ..Preferences::default()
        };
        let with = |key, caller, node| {
            let around = Around {
                key,
                caller,
                node,
                ..Around::default()
            };
            verdict(encrypted(), around, KMS)
        };
        let (yes, no) = (|| simulated(true), || simulated(false));
        assert_eq!(with(key("Enabled"), yes(), yes()), Verdict::Pass);
        assert_eq!(with(key("Disabled"), yes(), yes()), Verdict::Fail);
        assert_eq!(with(key("PendingDeletion"), None, None), Verdict::Fail);
        assert_eq!(with(key("Enabled"), no(), yes()), Verdict::Likely);
        assert_eq!(with(key("Enabled"), yes(), no()), Verdict::Likely);
        assert_eq!(with(key("Enabled"), yes(), None), Verdict::Unknown);
        assert_eq!(
            with(Some(Err(denied("kms:DescribeKey"))), yes(), yes()),
            Verdict::Unknown
        );
        assert_eq!(
            with(
                key("Enabled"),
                Some(Err(denied("iam:SimulatePrincipalPolicy"))),
                yes()
            ),
            Verdict::Unknown
        );
        let gone = ServiceError::local(ErrorKind::NotFound, "none");
        assert_eq!(with(Some(Err(gone)), None, None), Verdict::Fail);
        assert_eq!(
            verdict(Preferences::default(), Around::default(), KMS),
            Verdict::Pass
        );
    }

    #[test]
    fn somebody_has_to_say_as_whom_shells_run() {
        let with = |user: Option<&str>, tag: Option<Result<Option<String>, ServiceError>>| {
            let preferences = Preferences {
                run_as: true,
                run_as_user: user.map(str::to_owned),
                ..Preferences::default()
            };
            let around = Around {
                run_as: tag,
                ..Around::default()
            };
            verdict(preferences, around, RUN_AS)
        };
        assert_eq!(with(None, Some(Ok(None))), Verdict::Likely);
        // Whether that user is on the node cannot be told from here.
        assert_eq!(with(Some("app"), Some(Ok(None))), Verdict::Unknown);
        assert_eq!(with(None, Some(Ok(Some("app".into())))), Verdict::Unknown);
        assert_eq!(
            with(None, Some(Err(denied("iam:ListRoleTags")))),
            Verdict::Unknown
        );
        assert_eq!(
            verdict(Preferences::default(), Around::default(), RUN_AS),
            Verdict::Pass
        );
    }

    #[test]
    fn what_shells_are_logged_to_has_to_be_there_as_it_is_wanted() {
        let with = |told: Result<LogPlace, ServiceError>, encrypted: bool| {
            let preferences = || Preferences {
                log_bucket: Some("logs".into()),
                bucket_encrypted: encrypted,
                log_group: Some("logs".into()),
                group_encrypted: encrypted,
                ..Preferences::default()
            };
            let around = || Around {
                bucket: Some(told.clone()),
                group: Some(told.clone()),
                ..Around::default()
            };
            let both = [BUCKET, GROUP].map(|check| verdict(preferences(), around(), check));
            assert_eq!(both[0], both[1]);
            both[0]
        };
        let there = |encrypted| Ok(LogPlace::There { encrypted });
        assert_eq!(with(there(true), true), Verdict::Pass);
        assert_eq!(with(there(false), false), Verdict::Pass);
        assert_eq!(with(there(false), true), Verdict::Fail);
        assert_eq!(with(Ok(LogPlace::Missing), false), Verdict::Fail);
        assert_eq!(
            with(Err(denied("s3:GetEncryptionConfiguration")), true),
            Verdict::Unknown
        );
        assert_eq!(
            verdict(Preferences::default(), Around::default(), LOGGED),
            Verdict::Pass
        );
    }

    #[test]
    fn preferences_need_not_be_saved() {
        let around = Around::default();
        assert_eq!(findings(&Ok(None), &around)[0].verdict, Verdict::Pass);
        let hidden = Err(denied("ssm:GetDocument"));
        assert_eq!(findings(&hidden, &around)[0].verdict, Verdict::Unknown);
    }
}
