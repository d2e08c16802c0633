//! Whose a session is. A person's sessions are hers over all permission sets: what counts is the name that the
//! session of a role bears, as it does for AWS's own policies (`${aws:userid}`).

use crate::aws::error::ServiceError;
use crate::aws::identity::Identity;
use crate::aws::session::SessionRecord;
use crate::ids::SessionId;

/// Who asks; nobody is known where AWS does not say.
#[derive(Debug, Clone)]
pub(super) struct Whose(Option<Identity>);

impl Whose {
    pub(super) fn new(identity: Result<Identity, ServiceError>) -> Self {
        Self(
            identity
                .inspect_err(|error| tracing::debug!(%error, "who asks is not known"))
                .ok(),
        )
    }

    /// Whether a listed session is the caller's.
    pub(super) fn is_mine(&self, record: &SessionRecord) -> bool {
        let Some(me) = &self.0 else { return false };
        let Some(owner) = record.owner.as_deref() else {
            return self.is_named_after_me(&record.id);
        };
        let same_session = match (session_of(owner), me.session()) {
            (Some(theirs), Some(mine)) => theirs == mine,
            _ => false,
        };
        owner == me.arn || same_session
    }

    /// Whether a session that is not listed is the caller's, by its id: AWS puts the caller's name before it.
    pub(super) fn is_named_after_me(&self, id: &SessionId) -> bool {
        let Some(me) = &self.0 else { return false };
        let name = me.session().unwrap_or_else(|| last_part(&me.arn));
        let rest = id.as_str().strip_prefix(name);
        rest.and_then(|rest| rest.strip_prefix('-'))
            .is_some_and(|rest| !rest.is_empty() && !rest.contains('-'))
    }
}

/// Who a session belongs to, for a column: the name of the role's session, or of the user.
pub(super) fn short(owner: &str) -> &str {
    session_of(owner).unwrap_or_else(|| last_part(owner))
}

fn session_of(arn: &str) -> Option<&str> {
    let rest = arn.split_once(":assumed-role/")?.1;
    rest.rsplit_once('/').map(|(_, session)| session)
}

fn last_part(arn: &str) -> &str {
    arn.rsplit(['/', ':']).next().unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me(arn: &str) -> Whose {
        Whose(Some(Identity {
            account: "123456789012".parse().unwrap(),
            arn: arn.to_owned(),
            user_id: String::new(),
        }))
    }

    fn record(owner: Option<&str>) -> SessionRecord {
        SessionRecord {
            id: "ada-0123456789abcdef0".parse().unwrap(),
            target: String::new(),
            status: String::new(),
            started: None,
            ended: None,
            document: None,
            owner: owner.map(str::to_owned),
            reason: None,
        }
    }

    #[test]
    fn a_person_is_one_over_all_roles() {
        let role =
            |role: &str, session: &str| format!("arn:aws:sts::123456789012:assumed-role/{role}/{session}");
        let ada = me(&role("Admin", "ada"));
        assert!(ada.is_mine(&record(Some(&role("Admin", "ada")))));
        assert!(ada.is_mine(&record(Some(&role("ReadOnly", "ada")))));
        assert!(!ada.is_mine(&record(Some(&role("Admin", "bob")))));
        // A user of that name is somebody else.
        let user = "arn:aws:iam::123456789012:user/staff/ada";
        assert!(!ada.is_mine(&record(Some(user))));
        assert!(me(user).is_mine(&record(Some(user))));
        assert!(!me(user).is_mine(&record(Some(&role("Admin", "ada")))));
        assert!(!Whose(None).is_mine(&record(Some(user))));
        assert_eq!((short(user), short(&role("Admin", "ada@x"))), ("ada", "ada@x"));
    }

    #[test]
    fn an_id_alone_tells_by_its_beginning() {
        let ada = me("arn:aws:iam::123456789012:user/staff/ada");
        assert!(ada.is_mine(&record(None)));
        assert!(!me("arn:aws:iam::123456789012:user/ad").is_mine(&record(None)));
        let id = "ada-lovelace-0123456789abcdef0".parse().unwrap();
        assert!(!ada.is_named_after_me(&id));
    }
}
