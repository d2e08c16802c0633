//! The instance, its agent and its role: decided from facts, without asking anybody.

use jiff::Timestamp;

use super::report::Finding;
use crate::aws::diagnosis::instance::{InstanceFacts, StatusChecks};
use crate::aws::error::{ErrorKind, ServiceError};
use crate::aws::iam::Simulated;
use crate::aws::session::ConnectionStatus;
use crate::ids::{NodeId, Version};
use crate::inventory::node::{AgentState, Node, Os};

/// The check of the instance itself.
pub const INSTANCE: &str = "instance";
const STATUS: &str = "status checks";
const REGISTERED: &str = "registered";
const PING: &str = "agent";
const CONNECTION: &str = "message channel";
const VERSION: &str = "agent's version";
const ROLE: &str = "role";
const METADATA: &str = "metadata";

/// What the agent needs to be allowed.
pub const AGENT_ACTIONS: &[&str] = &[
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
];

/// The setting of Default Host Management.
pub const HOST_MANAGEMENT: &str = "/ssm/managed-instance/default-ec2-instance-management-role";

/// Whether the instance is there and up.
pub fn state(id: &NodeId, facts: &Result<InstanceFacts, ServiceError>, elsewhere: &[String]) -> Finding {
    match facts {
        Err(error) if error.kind == ErrorKind::NotFound => {
            let finding = Finding::fail(INSTANCE, format!("there is no {id} in this account and region"));
            match elsewhere {
                [] => finding
                    .fix("look into other accounts and regions: `ssmx ls --profile NAME --region REGION`"),
                seen => finding.fix(format!(
                    "it was seen in {}; use that profile and region",
                    seen.join(", ")
                )),
            }
        }
        Err(error) => Finding::unknown(INSTANCE, error),
        Ok(facts) => match facts.state.as_str() {
            "running" => Finding::pass(INSTANCE, "running"),
            "stopped" | "stopping" => Finding::fail(INSTANCE, with_reason(facts))
                .fix(format!("aws ec2 start-instances --instance-ids {id}")),
            "pending" => Finding::fail(INSTANCE, "it is being started")
                .fix(format!("aws ec2 wait instance-running --instance-ids {id}")),
            _ => Finding::fail(INSTANCE, with_reason(facts))
                .fix("it does not come back; find its successor with `ssmx ls`"),
        },
    }
}

fn with_reason(facts: &InstanceFacts) -> String {
    match &facts.state_reason {
        Some(reason) => format!("{} ({reason})", facts.state),
        None => facts.state.clone(),
    }
}

/// EC2's own checks.
pub fn status(id: &NodeId, checks: &Result<Option<StatusChecks>, ServiceError>) -> Finding {
    let checks = match checks {
        Ok(Some(checks)) => checks,
        Ok(None) => return Finding::unseen(STATUS, "EC2 has none for it"),
        Err(error) => return Finding::unknown(STATUS, error),
    };
    match (checks.system.as_str(), checks.instance.as_str()) {
        ("ok" | "not-applicable", "ok" | "not-applicable") => Finding::pass(STATUS, "ok"),
        ("impaired", _) => Finding::fail(STATUS, "the machine below is impaired")
            .fix(format!("aws ec2 stop-instances --instance-ids {id}"))
            .fix(format!("then, which moves it to another machine: aws ec2 start-instances --instance-ids {id}")),
        (_, "impaired") => Finding::fail(STATUS, "the instance does not answer EC2's check: its system hangs, its disk is full or its network is misconfigured")
            .fix(format!("aws ec2 get-console-output --latest --output text --instance-id {id}"))
            .fix(format!("aws ec2 reboot-instances --instance-ids {id}")),
        (system, instance) => Finding::unseen(STATUS, format!("machine {system}, instance {instance}")),
    }
}

/// What SSM knows of the agent: registered, pinging, of a version that can do what it needs to (one of [`GATES`]).
pub fn agent(
    id: &NodeId,
    told: &Result<Option<Node>, ServiceError>,
    needs: &str,
    now: Timestamp,
) -> Vec<Finding> {
    let node = match told {
        Ok(Some(node)) if node.agent != AgentState::NeverRegistered => node,
        Ok(_) => {
            return vec![
                Finding::fail(REGISTERED, "SSM has never heard of its agent")
                    .fix("the checks of role, metadata and network below tell why; on images without it, install the SSM agent")
                    .symptom(),
            ];
        }
        Err(error) => return vec![Finding::unknown(REGISTERED, error)],
    };
    if node.agent == AgentState::Unknown {
        return vec![Finding::unseen(REGISTERED, "SSM was not to be asked")];
    }
    let age = node.last_ping.map(|at| now.duration_since(at).as_secs().max(0));
    let ago = age
        .map(|age| format!(", last heard of {} ago", span(age)))
        .unwrap_or_default();
    let ping = match node.agent {
        AgentState::Online => Finding::pass(PING, format!("online{ago}")),
        _ => Finding::fail(PING, format!("SSM has lost it{ago}"))
            .fix(match node.os {
                Some(Os::Windows) => "on the node: Restart-Service AmazonSSMAgent",
                _ => "on the node: sudo systemctl restart amazon-ssm-agent (or snap.amazon-ssm-agent.amazon-ssm-agent)",
            })
            .fix(format!("without a way in: aws ec2 reboot-instances --instance-ids {id}"))
            .symptom(),
    };
    vec![
        Finding::pass(REGISTERED, "SSM knows its agent"),
        ping,
        version(node, needs),
    ]
}

fn span(seconds: i64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// What every agent has to be able to.
pub const SESSIONS: &str = "sessions";
/// What a preset with a host needs.
pub const REMOTE_HOSTS: &str = "forwards to remote hosts";

/// The newest thing that an agent of some version lacks; each version is the first that has it.
pub const GATES: &[(&str, &str)] = &[
    ("2.3.68.0", SESSIONS),
    ("3.0.196.1", "forwards with more than one connection"),
    ("3.0.1124.0", "commands that are not interactive"),
    ("3.1.1188.0", REMOTE_HOSTS),
    ("3.1.1511.0", "separate output and exit status of commands"),
];

fn version(node: &Node, needs: &str) -> Finding {
    let Some(text) = node.agent_version.as_deref().filter(|text| !text.is_empty()) else {
        return Finding::unseen(VERSION, "SSM does not say it");
    };
    let Ok(version) = text.parse::<Version>() else {
        return Finding::unseen(VERSION, format!("`{text}` is no version"));
    };
    let lacks: Vec<&str> = GATES
        .iter()
        .filter(|(since, _)| since.parse().is_ok_and(|since: Version| version < since))
        .map(|(_, what)| *what)
        .collect();
    let update = format!(
        "aws ssm send-command --document-name AWS-UpdateSSMAgent --instance-ids {}",
        node.id
    );
    match lacks.as_slice() {
        [] => Finding::pass(VERSION, text),
        lacks => {
            let needed = [SESSIONS, needs]
                .into_iter()
                .find(|needed| lacks.contains(needed));
            match needed {
                Some(needed) => Finding::fail(VERSION, format!("{text} is too old for {needed}")).fix(update),
                None => Finding::pass(VERSION, format!("{text}; it lacks {}", lacks.join(", "))),
            }
        }
    }
}

/// The setting that decides whether hybrid machines can be connected to.
pub const TIER: &str = "/ssm/managed-instance/activation-tier";

/// Whether hybrid machines can be connected to in this account and region.
pub fn tier(setting: &Result<String, ServiceError>) -> Finding {
    const CHECK: &str = "tier of hybrid machines";
    match setting {
        Ok(tier) if tier == "advanced" => Finding::pass(CHECK, "advanced"),
        Ok(tier) => Finding::fail(
            CHECK,
            format!("{tier}; sessions to hybrid machines need the advanced one"),
        )
        .fix(format!(
            "aws ssm update-service-setting --setting-id {TIER} --setting-value advanced"
        )),
        Err(error) => Finding::unknown(CHECK, error),
    }
}

/// Whether messages reach the agent just now.
pub fn connection(status: &Result<ConnectionStatus, ServiceError>) -> Finding {
    match status {
        Ok(ConnectionStatus::Connected) => Finding::pass(CONNECTION, "connected"),
        Ok(ConnectionStatus::NotConnected) => Finding::fail(
            CONNECTION,
            "the agent holds no message channel to AWS (TargetNotConnected)",
        )
        .fix("the checks of role and network below tell why: ssmmessages must be allowed and reachable")
        .symptom(),
        Err(error) => Finding::unknown(CONNECTION, error),
    }
}

/// What is known of the instance's role.
pub struct RoleFacts<'a> {
    /// The instance profile's ARN.
    pub profile: Option<&'a str>,
    /// The role in it, where there is a profile.
    pub role: Option<&'a Result<Option<String>, ServiceError>>,
    /// What its policies allow of [`AGENT_ACTIONS`], where there is a role.
    pub allowed: Option<&'a Result<Vec<Simulated>, ServiceError>>,
    /// The value of [`HOST_MANAGEMENT`], where there is no profile.
    pub host_management: Option<&'a Result<String, ServiceError>>,
    /// The agent's version, where SSM knows it.
    pub agent: Option<Version>,
}

/// The first agent that Default Host Management serves.
const HOST_MANAGEMENT_SINCE: Version = Version([3, 2, 582, 0]);

/// Whether the agent may talk to AWS.
pub fn role(id: &NodeId, facts: &RoleFacts<'_>) -> Finding {
    let attach = format!(
        "aws ec2 associate-iam-instance-profile --instance-id {id} --iam-instance-profile Name=PROFILE"
    );
    let Some(profile) = facts.profile else {
        return match facts.host_management {
            Some(Ok(role))
                if !role.is_empty()
                    && role != "$None"
                    && facts.agent.is_some_and(|agent| agent < HOST_MANAGEMENT_SINCE) =>
            {
                Finding::fail(
                    ROLE,
                    format!("it has no role of its own, and its agent is older than 3.2.582, from which on Default Host Management (`{role}`) serves"),
                )
                .fix(attach)
                .fix("or install a newer agent: its image's packages, or user data at the next start")
            }
            Some(Ok(role)) if !role.is_empty() && role != "$None" => Finding::pass(
                ROLE,
                format!("none of its own; Default Host Management lends `{role}`"),
            ),
            Some(Ok(_)) => Finding::fail(ROLE, "it has no instance profile, and Default Host Management is off")
                .fix(attach)
                .fix("the role's policy: `ssmx iam-policy connect --for-instance`, or AmazonSSMManagedInstanceCore"),
            Some(Err(error)) => {
                let mut finding = Finding::unknown(ROLE, error);
                finding.evidence = format!("it has no instance profile; Default Host Management: {}", finding.evidence);
                finding
            }
            None => Finding::unseen(ROLE, "it has no instance profile"),
        };
    };
    let name = profile.rsplit('/').next().unwrap_or_default();
    let role = match facts.role {
        Some(Ok(Some(role))) => role,
        Some(Ok(None)) => {
            return Finding::fail(ROLE, format!("the instance profile `{name}` holds no role")).fix(format!(
                "aws iam add-role-to-instance-profile --instance-profile-name {name} --role-name ROLE"
            ));
        }
        Some(Err(error)) if error.code.as_deref() == Some("NoSuchEntity") => {
            return Finding::fail(
                ROLE,
                format!("the instance profile `{name}` does not exist any more"),
            )
            .fix(attach);
        }
        Some(Err(error)) => return Finding::unknown(ROLE, error),
        None => return Finding::unseen(ROLE, format!("instance profile `{name}`")),
    };
    let simulated = match facts.allowed {
        Some(Ok(simulated)) => simulated,
        Some(Err(error)) => return Finding::unknown(ROLE, error),
        None => return Finding::unseen(ROLE, format!("role {role}")),
    };
    let denied: Vec<&str> = simulated
        .iter()
        .filter(|one| !one.allowed)
        .map(|one| one.action.as_str())
        .collect();
    if denied.is_empty() {
        return Finding::pass(ROLE, format!("{role} allows what the agent needs (simulated)"));
    }
    let hides = if denied.contains(&"ssm:UpdateInstanceInformation") {
        ""
    } else {
        "; since it may register, it also hides Default Host Management"
    };
    let role_name = role.rsplit('/').next().unwrap_or_default();
    Finding::likely(ROLE, format!("{role} does not allow {} (simulated){hides}", denied.join(", "))).fix(format!(
        "aws iam put-role-policy --role-name {role_name} --policy-name session-manager --policy-document \"$(ssmx iam-policy connect --for-instance)\""
    ))
}

/// Whether the agent finds its credentials on the machine.
pub fn metadata(id: &NodeId, facts: &InstanceFacts) -> Finding {
    let metadata = &facts.metadata;
    if metadata.is_off {
        return Finding::fail(METADATA, "the metadata service is off, so the agent finds no credentials").fix(format!(
            "aws ec2 modify-instance-metadata-options --instance-id {id} --http-endpoint enabled --http-tokens required"
        ));
    }
    let tokens = if metadata.needs_token {
        "tokens required"
    } else {
        "tokens optional"
    };
    let hops = metadata
        .hop_limit
        .map(|hops| format!(", hop limit {hops}"))
        .unwrap_or_default();
    Finding::pass(METADATA, format!("on, {tokens}{hops}"))
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
