//! A table of what can be wrong with an instance, its agent and its role.

use super::super::report::{Verdict, Weight};
use super::*;

fn id() -> NodeId {
    "i-0123456789abcdef0".parse().unwrap()
}

fn denied(action: &str) -> ServiceError {
    ServiceError::local(
        ErrorKind::AccessDenied {
            action: action.into(),
        },
        "no",
    )
}

fn facts(state: &str) -> Result<InstanceFacts, ServiceError> {
    Ok(InstanceFacts {
        state: state.into(),
        ..InstanceFacts::default()
    })
}

#[test]
fn the_state_is_read_and_a_missing_instance_is_looked_for() {
    assert_eq!(state(&id(), &facts("running"), &[]).verdict, Verdict::Pass);
    let stopped = state(&id(), &facts("stopped"), &[]);
    assert_eq!(stopped.verdict, Verdict::Fail);
    assert_eq!(
        stopped.fix,
        ["aws ec2 start-instances --instance-ids i-0123456789abcdef0"]
    );
    assert_eq!(state(&id(), &facts("terminated"), &[]).verdict, Verdict::Fail);
    let missing = ServiceError::local(ErrorKind::NotFound, "none");
    let elsewhere = state(&id(), &Err(missing), &["account 1 in eu-west-1".to_owned()]);
    assert!(
        elsewhere.fix[0].contains("account 1 in eu-west-1"),
        "{elsewhere:?}"
    );
    let unseen = state(&id(), &Err(denied("ec2:DescribeInstances")), &[]);
    assert_eq!(
        (unseen.verdict, unseen.lacks.as_deref()),
        (Verdict::Unknown, Some("ec2:DescribeInstances"))
    );
}

#[test]
fn status_checks_tell_the_machine_from_the_instance() {
    let checks = |system: &str, instance: &str| {
        let checks = StatusChecks {
            system: system.into(),
            instance: instance.into(),
        };
        status(&id(), &Ok(Some(checks)))
    };
    assert_eq!(checks("ok", "ok").verdict, Verdict::Pass);
    assert!(checks("impaired", "ok").evidence.contains("machine below"));
    assert!(checks("ok", "impaired").fix[0].contains("get-console-output"));
    assert_eq!(checks("initializing", "initializing").verdict, Verdict::Unknown);
    assert_eq!(status(&id(), &Ok(None)).verdict, Verdict::Unknown);
}

fn node(state: AgentState, version: &str) -> Result<Option<Node>, ServiceError> {
    let mut node = Node::new(id());
    node.agent = state;
    node.agent_version = Some(version.into());
    node.last_ping = Some("2026-11-25T03:00:00Z".parse().unwrap());
    Ok(Some(node))
}

#[test]
fn the_agent_is_known_heard_and_new_enough() {
    let now: Timestamp = "2026-11-25T03:10:00Z".parse().unwrap();
    let verdicts = |told| {
        let findings = agent(&id(), &told, SESSIONS, now);
        findings
            .into_iter()
            .map(|finding| finding.verdict)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        verdicts(node(AgentState::Online, "3.3.1000.0")),
        [Verdict::Pass; 3]
    );
    // What an agent lacks is a fault only where it is needed.
    let older = node(AgentState::Online, "3.1.1000.0");
    assert_eq!(verdicts(older.clone()), [Verdict::Pass; 3]);
    assert_eq!(agent(&id(), &older, REMOTE_HOSTS, now)[2].verdict, Verdict::Fail);
    assert_eq!(
        verdicts(node(AgentState::Online, "2.3.50.0")),
        [Verdict::Pass, Verdict::Pass, Verdict::Fail]
    );
    let lost = &agent(&id(), &node(AgentState::Lost, "3.3.1000.0"), SESSIONS, now)[1];
    assert_eq!((lost.verdict, lost.weight), (Verdict::Fail, Weight::Symptom));
    assert_eq!(lost.evidence, "SSM has lost it, last heard of 10 min ago");
    let never = &agent(&id(), &Ok(None), SESSIONS, now)[0];
    assert_eq!((never.verdict, never.weight), (Verdict::Fail, Weight::Symptom));
    assert_eq!(
        verdicts(Err(denied("ssm:DescribeInstanceInformation"))),
        [Verdict::Unknown]
    );
}

#[test]
fn a_role_is_missing_empty_too_narrow_or_lent() {
    let profile = "arn:aws:iam::123456789012:instance-profile/web";
    let arn = "arn:aws:iam::123456789012:role/web".to_owned();
    let found = Ok(Some(arn));
    let simulate = |denied: &[&str]| -> Result<Vec<Simulated>, ServiceError> {
        Ok(AGENT_ACTIONS
            .iter()
            .map(|action| Simulated {
                action: (*action).to_owned(),
                resource: "*".into(),
                allowed: !denied.contains(action),
                forbidden: false,
            })
            .collect())
    };
    let with = |allowed: &Result<Vec<Simulated>, ServiceError>| {
        role(
            &id(),
            &RoleFacts {
                profile: Some(profile),
                role: Some(&found),
                allowed: Some(allowed),
                host_management: None,
                agent: None,
            },
        )
    };
    assert_eq!(with(&simulate(&[])).verdict, Verdict::Pass);
    // A simulation is not the real thing.
    let narrow = with(&simulate(&["ssmmessages:OpenControlChannel"]));
    assert_eq!(narrow.verdict, Verdict::Likely);
    assert!(
        narrow.evidence.contains("hides Default Host Management"),
        "{narrow:?}"
    );
    assert!(narrow.fix[0].contains("--role-name web"), "{narrow:?}");
    assert_eq!(
        with(&Err(denied("iam:SimulatePrincipalPolicy"))).verdict,
        Verdict::Unknown
    );
    let empty = role(
        &id(),
        &RoleFacts {
            profile: Some(profile),
            role: Some(&Ok(None)),
            allowed: None,
            host_management: None,
            agent: None,
        },
    );
    assert_eq!(empty.evidence, "the instance profile `web` holds no role");
    let without = |setting: Result<String, ServiceError>, agent: &str| {
        role(
            &id(),
            &RoleFacts {
                profile: None,
                role: None,
                allowed: None,
                host_management: Some(&setting),
                agent: agent.parse().ok(),
            },
        )
        .verdict
    };
    let lent = || Ok("service-role/Default".to_owned());
    assert_eq!(without(lent(), "3.2.582.0"), Verdict::Pass);
    assert_eq!(without(lent(), "unknown"), Verdict::Pass);
    assert_eq!(without(lent(), "3.2.500.0"), Verdict::Fail);
    assert_eq!(without(Ok("$None".into()), "3.3.0.0"), Verdict::Fail);
    assert_eq!(
        without(Err(denied("ssm:GetServiceSetting")), "3.3.0.0"),
        Verdict::Unknown
    );
}

#[test]
fn without_metadata_there_are_no_credentials() {
    let mut facts = InstanceFacts::default();
    assert_eq!(metadata(&id(), &facts).verdict, Verdict::Pass);
    facts.metadata.is_off = true;
    assert!(metadata(&id(), &facts).fix[0].contains("--http-endpoint enabled"));
}

#[test]
fn a_channel_is_connected_or_a_symptom() {
    assert_eq!(
        connection(&Ok(ConnectionStatus::Connected)).verdict,
        Verdict::Pass
    );
    assert_eq!(
        connection(&Ok(ConnectionStatus::NotConnected)).weight,
        Weight::Symptom
    );
    assert_eq!(
        connection(&Err(denied("ssm:GetConnectionStatus"))).verdict,
        Verdict::Unknown
    );
}

#[test]
fn hybrid_machines_need_the_advanced_tier() {
    assert_eq!(tier(&Ok("advanced".into())).verdict, Verdict::Pass);
    assert!(tier(&Ok("standard".into())).fix[0].contains("--setting-value advanced"));
    assert_eq!(
        tier(&Err(denied("ssm:GetServiceSetting"))).verdict,
        Verdict::Unknown
    );
}
