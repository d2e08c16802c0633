//! What the policy of a key's owner says of a call. Who has none may do everything.

use serde_json::Value;

use super::input::Input;
use crate::policy::{Decision, Facts, decide};
use crate::world::documents::{Library, PREFERENCES};
use crate::world::{Identity, Place, World};

/// Whether a call is allowed.
pub(super) fn allows(
    world: &World,
    caller: &Identity,
    place: &Place,
    operation: &str,
    input: &Input,
) -> bool {
    let Some(policy) = world.sign_in.policy_of(caller) else {
        return true;
    };
    let parameters = input.to_json();
    let text = |key: &str| parameters.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut facts = Facts::from([
        ("aws:userid".to_owned(), caller.user_id.clone()),
        ("aws:username".to_owned(), caller.name.clone()),
    ]);
    let may = |resource: &str, facts: &Facts| decide(policy, operation, resource, facts) == Decision::Allowed;
    match operation {
        // Nobody can be kept from it.
        "sts:GetCallerIdentity" => true,
        "ssm:StartSession" => {
            let target = text("Target");
            if let Some(node) = world.node(place, target) {
                let tags = node.facts.tags.iter();
                facts.extend(tags.map(|(key, value)| {
                    (
                        format!("ssm:resourcetag/{}", key.to_ascii_lowercase()),
                        value.clone(),
                    )
                }));
            }
            let checked = |value: &str| {
                let mut facts = facts.clone();
                facts.insert("ssm:sessiondocumentaccesscheck".to_owned(), value.to_owned());
                may(&node_arn(place, target), &facts)
            };
            let named = text("DocumentName");
            let is_demanded = !named.is_empty() || !checked("false");
            let document = if named.is_empty() { PREFERENCES } else { named };
            checked("true") && (!is_demanded || may(&document_arn(place, document), &facts))
        }
        "ssm:ResumeSession" | "ssm:TerminateSession" => {
            let id = text("SessionId");
            if let Some(record) = world.sessions.record(id) {
                let tag = "ssm:resourcetag/aws:ssmmessages:session-id".to_owned();
                facts.insert(tag, record.user_id.clone());
            }
            may(&arn(place, "ssm", &format!("session/{id}")), &facts)
        }
        "ssm:GetDocument" | "ssm:DescribeDocument" => may(&document_arn(place, text("Name")), &facts),
        "kms:GenerateDataKey" | "kms:DescribeKey" => {
            let key = world.sessions.keyring(place).arn(text("KeyId"));
            may(&key.unwrap_or_default(), &facts)
        }
        _ => may("*", &facts),
    }
}

fn arn(place: &Place, service: &str, rest: &str) -> String {
    format!("arn:aws:{service}:{}:{}:{rest}", place.region, place.account)
}

fn node_arn(place: &Place, id: &str) -> String {
    if id.starts_with("mi-") {
        arn(place, "ssm", &format!("managed-instance/{id}"))
    } else {
        arn(place, "ec2", &format!("instance/{id}"))
    }
}

fn document_arn(place: &Place, name: &str) -> String {
    let account = if Library::is_public(name) {
        ""
    } else {
        &place.account
    };
    format!("arn:aws:ssm:{}:{account}:document/{name}", place.region)
}
