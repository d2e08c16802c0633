//! The caller's rights and the document: decided from facts.

use super::report::Finding;
use crate::aws::diagnosis::settings::PREFERENCES;
use crate::aws::error::{ErrorKind, ServiceError};
use crate::aws::iam::Simulated;
use crate::ids::NodeId;

const RIGHTS: &str = "your rights";
const DOCUMENT: &str = "document";

/// What the simulator says of the caller's StartSession: on the node, on the node where the document is not to be
/// checked, and on the document.
pub struct Start<'a> {
    /// The node.
    pub node: &'a NodeId,
    /// With `ssm:SessionDocumentAccessCheck`, as StartSession calls it.
    pub on_node: &'a Told,
    /// Without: where this is denied, the policy demands the check of the document.
    pub unchecked: &'a Told,
    /// On the document.
    pub on_document: &'a Told,
    /// The document that was named; the account's preferences are checked only where a policy demands it.
    pub document: Option<&'a str>,
}

/// The simulator's answer, if there is one.
pub type Told = Result<Vec<Simulated>, ServiceError>;

/// What comes of [`Start`].
pub fn caller(start: &Start<'_>) -> Finding {
    let on_node = match start.on_node {
        Ok(on_node) => on_node,
        Err(error) => return Finding::unknown(RIGHTS, error),
    };
    if let Some(finding) = denial(start.node, on_node) {
        return finding;
    }
    let is_checked = start.document.is_some() || start.unchecked.as_ref().is_ok_and(|told| !allows(told));
    if !is_checked {
        return Finding::pass(RIGHTS, "StartSession is allowed (simulated)");
    }
    match start.on_document {
        Ok(on_document) => denial(start.node, on_document).unwrap_or_else(|| {
            Finding::pass(
                RIGHTS,
                "StartSession is allowed, on the node and with the document (simulated)",
            )
        }),
        Err(error) => Finding::unknown(RIGHTS, error),
    }
}

fn allows(simulated: &[Simulated]) -> bool {
    simulated.iter().all(|one| one.allowed)
}

fn denial(node: &NodeId, simulated: &[Simulated]) -> Option<Finding> {
    if allows(simulated) {
        return None;
    }
    let denied: Vec<String> = simulated
        .iter()
        .filter(|one| !one.allowed)
        .map(|one| {
            let how = if one.forbidden { "forbidden" } else { "not allowed" };
            format!("{} on {} is {how}", one.action, one.resource)
        })
        .collect();
    let fix = if simulated.iter().any(|one| one.forbidden) {
        "something forbids it outright: a policy with Deny, a boundary or a service control policy; ask your administrator".to_owned()
    } else {
        format!("ask your administrator for the policy that `ssmx iam-policy connect {node}` prints")
    };
    Some(Finding::likely(RIGHTS, format!("{} (simulated)", denied.join("; "))).fix(fix))
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
        let (yes, no, forbidden) = (
            simulated(true, false),
            simulated(false, false),
            simulated(false, true),
        );
        let node = "i-0123456789abcdef0".parse().unwrap();
        let verdict = |on_node: &Told, unchecked: &Told, on_document: &Told, document| {
            caller(&Start {
                node: &node,
                on_node,
                unchecked,
                on_document,
                document,
            })
        };
        assert_eq!(verdict(&yes, &yes, &no, None).verdict, Verdict::Pass);
        let lacking = verdict(&no, &no, &yes, None);
        assert_eq!(lacking.verdict, Verdict::Likely);
        assert!(lacking.fix[0].contains("ssmx iam-policy"), "{lacking:?}");
        assert!(verdict(&forbidden, &yes, &yes, None).fix[0].contains("service control policy"));
        // Of the document it is asked where it was named, or where the policy wants it so.
        assert_eq!(verdict(&yes, &yes, &no, Some("Ours")).verdict, Verdict::Likely);
        assert_eq!(verdict(&yes, &no, &no, None).verdict, Verdict::Likely);
        assert_eq!(verdict(&yes, &no, &yes, None).verdict, Verdict::Pass);
        let hidden: Told = Err(denied());
        assert_eq!(verdict(&hidden, &yes, &yes, None).verdict, Verdict::Unknown);
        assert_eq!(verdict(&yes, &no, &hidden, None).verdict, Verdict::Unknown);
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
}
