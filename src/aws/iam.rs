//! The few calls of IAM that ssmx makes: the account's alias, and what a role may do.

use super::Aws;
use super::endpoint;
use super::error::ServiceError;
use super::query::{Service, texts};

impl Aws {
    fn iam(&self) -> Service {
        let region = self.region();
        let (home, host) = match region.partition().as_str() {
            "aws-cn" => ("cn-north-1", "iam.cn-north-1.amazonaws.com.cn"),
            "aws-us-gov" => ("us-gov-west-1", "iam.us-gov.amazonaws.com"),
            "aws-iso" => ("us-iso-east-1", "iam.us-iso-east-1.c2s.ic.gov"),
            "aws-iso-b" => ("us-isob-east-1", "iam.us-isob-east-1.sc2s.sgov.gov"),
            "aws-eusc" => ("eusc-de-east-1", "iam.eusc-de-east-1.amazonaws.eu"),
            _ => ("us-east-1", "iam.amazonaws.com"),
        };
        Service {
            name: "iam",
            endpoint: endpoint::chosen(&self.settings, &self.sdk, "iam")
                .unwrap_or_else(|| format!("https://{host}")),
            region: home.to_owned(),
            version: "2010-05-08",
        }
    }

    /// The account's alias, where it has one.
    ///
    /// # Errors
    /// What AWS refuses; `iam:ListAccountAliases` is often not allowed.
    pub async fn account_alias(&self) -> Result<Option<String>, ServiceError> {
        let answer = self.query(&self.iam(), "ListAccountAliases", &[]).await?;
        Ok(texts(&answer, "member")
            .into_iter()
            .find(|alias| !alias.is_empty()))
    }
}

/// What IAM's simulator says of one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulated {
    /// Such as `ssm:StartSession`.
    pub action: String,
    /// What it was asked about.
    pub resource: String,
    /// Whether the policies allow it. The simulator knows no session policies.
    pub allowed: bool,
    /// Whether something forbids it outright.
    pub forbidden: bool,
}

/// What the simulator is told of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// The condition key, such as `ssm:SessionDocumentAccessCheck`.
    pub key: String,
    /// Its type, such as `string`.
    pub kind: &'static str,
    /// Its value.
    pub value: String,
}

impl Aws {
    /// The ARN of the role in an instance profile; `None` for a profile without one.
    ///
    /// # Errors
    /// What AWS refuses.
    pub async fn role_of_profile(&self, profile_arn: &str) -> Result<Option<String>, ServiceError> {
        let name = profile_arn.rsplit('/').next().unwrap_or_default();
        let parameters = [("InstanceProfileName", name)];
        let answer = self.query(&self.iam(), "GetInstanceProfile", &parameters).await?;
        let arns = texts(&answer, "Arn");
        Ok(arns.into_iter().find(|arn| arn.contains(":role/")))
    }

    /// What the policies of a user or role allow. The simulator knows of a call only what `facts` tell: a
    /// condition on anything else does not hold for it.
    ///
    /// # Errors
    /// What AWS refuses.
    pub async fn simulate(
        &self,
        principal_arn: &str,
        actions: &[&str],
        resources: &[&str],
        facts: &[Fact],
    ) -> Result<Vec<Simulated>, ServiceError> {
        let mut parameters = vec![("PolicySourceArn".to_owned(), principal_arn)];
        for (index, fact) in facts.iter().enumerate() {
            let entry = format!("ContextEntries.member.{}", index + 1);
            parameters.extend([
                (format!("{entry}.ContextKeyName"), fact.key.as_str()),
                (format!("{entry}.ContextKeyType"), fact.kind),
                (format!("{entry}.ContextKeyValues.member.1"), fact.value.as_str()),
            ]);
        }
        for (kind, values) in [("ActionNames", actions), ("ResourceArns", resources)] {
            let numbered = values.iter().enumerate();
            parameters
                .extend(numbered.map(|(index, value)| (format!("{kind}.member.{}", index + 1), *value)));
        }
        let parameters: Vec<(&str, &str)> = parameters
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        let answer = self
            .query(&self.iam(), "SimulatePrincipalPolicy", &parameters)
            .await?;
        Ok(simulated(&answer))
    }
}

impl Aws {
    /// The value of a tag of a user or role; `None` where it does not bear it.
    ///
    /// # Errors
    /// What AWS refuses.
    pub async fn tag_of_principal(&self, arn: &str, key: &str) -> Result<Option<String>, ServiceError> {
        let name = arn.rsplit('/').next().unwrap_or_default();
        let (action, parameter) = if arn.contains(":user/") {
            ("ListUserTags", "UserName")
        } else {
            ("ListRoleTags", "RoleName")
        };
        let answer = self.query(&self.iam(), action, &[(parameter, name)]).await?;
        Ok(tag(&answer, key))
    }
}

fn tag(xml: &str, key: &str) -> Option<String> {
    let document = roxmltree::Document::parse(xml).ok()?;
    let text = |member: &roxmltree::Node<'_, '_>, name: &str| {
        let child = member.children().find(|child| child.tag_name().name() == name)?;
        Some(child.text().unwrap_or_default().trim().to_owned())
    };
    let mut members = document
        .descendants()
        .filter(|node| node.tag_name().name() == "member");
    members.find_map(|member| {
        let value = text(&member, "Value")?;
        (text(&member, "Key")? == key).then_some(value)
    })
}

fn simulated(xml: &str) -> Vec<Simulated> {
    let Ok(document) = roxmltree::Document::parse(xml) else {
        return Vec::new();
    };
    let named =
        |node: &roxmltree::Node<'_, '_>, name: &str| node.is_element() && node.tag_name().name() == name;
    let actions = document
        .descendants()
        .filter(|node| named(node, "EvalActionName"));
    actions
        .filter_map(|action| {
            let member = action.parent()?;
            let text = |name: &str| {
                let child = member.children().find(|child| named(child, name))?;
                child.text().map(|text| text.trim().to_owned())
            };
            let decision = text("EvalDecision")?;
            Some(Simulated {
                action: action.text()?.trim().to_owned(),
                resource: text("EvalResourceName").unwrap_or_default(),
                allowed: decision == "allowed",
                forbidden: decision == "explicitDeny",
            })
        })
        .collect()
}

/// The role behind a session of it, whose policies can be simulated; users are their own principals. `None` for
/// what has no policies of its own (the root user, federated users).
pub fn principal(arn: &str) -> Option<String> {
    let Some((front, rest)) = arn.split_once(":assumed-role/") else {
        return arn.contains(":user/").then(|| arn.to_owned());
    };
    let role = rest.rsplit_once('/').map_or(rest, |(role, _)| role);
    let front = front.replacen(":sts:", ":iam:", 1);
    // Roles of permission sets live below a path, which the session's ARN leaves out.
    let path = if role.starts_with("AWSReservedSSO_") {
        "aws-reserved/sso.amazonaws.com/"
    } else {
        ""
    };
    Some(format!("{front}:role/{path}{role}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_read() {
        let xml = r#"<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><SimulatePrincipalPolicyResult><EvaluationResults>
            <member><EvalActionName>ssm:StartSession</EvalActionName><EvalResourceName>*</EvalResourceName><EvalDecision>allowed</EvalDecision><MatchedStatements/></member>
            <member><EvalActionName>ssm:X</EvalActionName><EvalDecision>explicitDeny</EvalDecision></member>
            </EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"#;
        let read = simulated(xml);
        let [allowed, denied] = &read[..] else {
            panic!("{read:?}")
        };
        assert!(allowed.allowed && !allowed.forbidden && allowed.resource == "*");
        assert!(!denied.allowed && denied.forbidden);
        assert!(simulated("<html>").is_empty());
    }

    #[test]
    fn a_tag_is_found_by_its_key() {
        let xml = "<ListRoleTagsResult><Tags><member><Key>team</Key><Value>shop</Value></member>\
                   <member><Value>ops</Value><Key>SSMSessionRunAs</Key></member></Tags></ListRoleTagsResult>";
        assert_eq!(tag(xml, "SSMSessionRunAs").as_deref(), Some("ops"));
        assert_eq!(tag(xml, "other"), None);
        assert_eq!(tag("<html>", "team"), None);
    }

    #[test]
    fn the_role_behind_a_session_is_found() {
        for (arn, expected) in [
            (
                "arn:aws:sts::123456789012:assumed-role/deploy/alice",
                Some("arn:aws:iam::123456789012:role/deploy"),
            ),
            (
                "arn:aws-cn:sts::123456789012:assumed-role/AWSReservedSSO_Admin_0123/alice@example.com",
                Some(
                    "arn:aws-cn:iam::123456789012:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_0123",
                ),
            ),
            (
                "arn:aws:iam::123456789012:user/alice",
                Some("arn:aws:iam::123456789012:user/alice"),
            ),
            ("arn:aws:iam::123456789012:root", None),
        ] {
            assert_eq!(principal(arn).as_deref(), expected);
        }
    }
}
