//! What is said of nodes, candidates and names that mean nothing.

use jiff::Timestamp;

use crate::aws::error::ServiceError;
use crate::commands::error::{CommandError, Kind};
use crate::ids::NodeId;
use crate::inventory::lookup::{Coverage, LookupError};
use crate::inventory::node::{AgentState, Node};
use crate::resolve::order::{Reason, standing};
use crate::resolve::{Unreadable, Wanted};
use crate::ui::text::escape;

/// A name, else an id; escaped.
pub fn label(node: &Node) -> String {
    escape(node.name.as_deref().unwrap_or(node.id.as_str())).into_owned()
}

/// `prod-web (i-…)`, or the id alone; escaped.
pub fn label_and_id(node: &Node) -> String {
    match &node.name {
        Some(name) => format!("{} ({})", escape(name), node.id),
        None => node.id.to_string(),
    }
}

/// Whether it can be reached, in a few words: `online`, `stopped`, `agent lost`.
pub fn condition(node: &Node) -> &'static str {
    match (standing(node).reason(), node.agent) {
        (Some(reason), _) => reason.as_str(),
        (None, AgentState::Online) => "online",
        (None, _) => "agent unknown",
    }
}

/// A row of a list of candidates. Untrusted; escaped where it is shown.
pub fn row(node: &Node) -> String {
    let mut row = format!(
        "{}  {}  {}",
        node.id,
        node.name.as_deref().unwrap_or("-"),
        condition(node)
    );
    for part in [node.addresses.first(), node.zone.as_ref()].into_iter().flatten() {
        row.push_str("  ");
        row.push_str(part);
    }
    if let Some(launched) = node.launched {
        row.push_str(&format!("  since {}", launched.strftime("%Y-%m-%d %H:%M")));
    }
    row
}

/// How old something is, in the largest unit that says enough.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// What may help, by the reason.
pub(super) fn remedy(reason: Reason, id: &NodeId) -> String {
    match reason {
        Reason::Stopped => {
            format!("start it with `aws ec2 start-instances --instance-ids {id}`, if you may")
        }
        Reason::Pending => "its agent registers a moment after the start: try again shortly".to_owned(),
        Reason::Terminated => "its successor may bear the same name: look with `ssmx ls`".to_owned(),
        Reason::AgentLost | Reason::NeverRegistered => {
            format!("`ssmx doctor {id}` tells what keeps its agent from Session Manager")
        }
    }
}

pub(super) fn unreadable(error: Unreadable) -> CommandError {
    let near = match &error {
        Unreadable::NoSuchTarget { near, .. } => near.clone(),
        Unreadable::Empty | Unreadable::Selector(_) => Vec::new(),
    };
    let failure = CommandError::usage(error.to_string());
    match did_you_mean(&near) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

pub(super) fn did_you_mean(near: &[String]) -> Option<String> {
    let near: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
    match near.split_last() {
        None => None,
        Some((one, [])) => Some(format!("did you mean {one}?")),
        Some((last, others)) => Some(format!("did you mean {} or {last}?", others.join(", "))),
    }
}

/// What was looked for, to follow "no node" or "several nodes": `is named`, `fits`.
pub(super) fn criterion(wanted: &Wanted) -> String {
    let name = &wanted.name;
    match &wanted.via {
        crate::resolve::Via::Name | crate::resolve::Via::Prefix => format!("bears the name `{name}`"),
        crate::resolve::Via::Target { target, alias: None } => format!("fits the target `{target}`"),
        crate::resolve::Via::Target {
            target,
            alias: Some(alias),
        } => format!("fits the target `{target}` (alias `{alias}`)"),
        crate::resolve::Via::Id => format!("has the id `{name}`"),
        crate::resolve::Via::Selector | crate::resolve::Via::Picker => format!("fits `{name}`"),
    }
}

/// A look-up that failed as a whole.
pub fn lookup_failed(doing: &str, error: &LookupError) -> CommandError {
    match error {
        LookupError::Failed(error) => CommandError::aws(doing, error),
        LookupError::BothMissing { ec2, ssm } => {
            let denied = ec2.is_denied() || ssm.is_denied();
            let kind = if denied { Kind::Refused } else { Kind::Failed };
            let failure = CommandError::new(kind, doing).because(ec2).because(ssm);
            if denied {
                failure
                    .hint("listing needs one of the IAM actions `ec2:DescribeInstances` and `ssm:DescribeInstanceInformation`")
                    .hint("without both, name nodes by id (i-…), or give the id a name with `[targets.NAME] id = \"i-…\"`")
            } else {
                failure
            }
        }
    }
}

/// What one service could not contribute, in lines for the person.
pub fn lacks(coverage: &Coverage) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(error) = coverage.ec2.missing() {
        lines.push(format!(
            "EC2 did not tell its instances ({}); shown is what SSM knows: no states, and machines' own names",
            brief(error, "ec2:DescribeInstances")
        ));
    }
    if let Some(error) = coverage.ssm.missing() {
        lines.push(format!(
            "SSM did not tell its agents ({}); whether nodes can be reached is unknown",
            brief(error, "ssm:DescribeInstanceInformation")
        ));
    }
    lines
}

/// A denial by the action that lacks, anything else in full.
fn brief(error: &ServiceError, action: &str) -> String {
    if error.is_denied() {
        format!("the IAM action `{action}` is denied")
    } else {
        escape(&error.to_string()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_one_unit() {
        let now = Timestamp::from_second(1_000_000_000).unwrap();
        let ago = |seconds: i64| age(Timestamp::from_second(1_000_000_000 - seconds).unwrap(), now);
        assert_eq!(ago(-5), "0 s");
        assert_eq!(ago(59), "59 s");
        assert_eq!(ago(60), "1 min");
        assert_eq!(ago(3600 * 30), "30 h");
        assert_eq!(ago(86_400 * 9), "9 days");
    }

    #[test]
    fn near_names_make_a_question() {
        let near = |names: &[&str]| did_you_mean(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        assert_eq!(near(&[]), None);
        assert_eq!(near(&["a"]).unwrap(), "did you mean `a`?");
        assert_eq!(near(&["a", "b", "c"]).unwrap(), "did you mean `a`, `b` or `c`?");
    }
}
