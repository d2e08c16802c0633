//! IAM, as far as ssmx asks it.

use super::xml::Xml;
use super::{ApiError, Request, Service, Wire};
use crate::policy::{Decision, Facts, decide};
use crate::world::World;

pub(super) const SERVICE: Service = Service {
    name: "iam",
    wire: Wire::Query {
        version: "2010-05-08",
        namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
    },
    call,
};

fn call(world: &World, request: &Request<'_>) -> Option<Result<String, ApiError>> {
    Some(match request.operation {
        "ListAccountAliases" => Ok(aliases(world, request)),
        "GetInstanceProfile" => instance_profile(world, request),
        "ListRoleTags" => tags(world, request, "role", "RoleName"),
        "ListUserTags" => tags(world, request, "user", "UserName"),
        "SimulatePrincipalPolicy" => simulate(world, request),
        _ => return None,
    })
}

fn aliases(world: &World, request: &Request<'_>) -> String {
    let mut xml = Xml::fragment();
    xml.leaf("IsTruncated", "false");
    xml.node("AccountAliases", |xml| {
        xml.maybe(
            "member",
            world
                .sign_in
                .aliases
                .get(&request.caller.account)
                .map(String::as_str),
        );
    });
    xml.finish()
}

fn no_such(what: &str, name: &str) -> ApiError {
    ApiError::new("NoSuchEntity", format!("{what} {name} cannot be found.")).with_status(404)
}

fn instance_profile(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let name = request.input.text("InstanceProfileName").unwrap_or_default();
    let account = &request.caller.account;
    let profile = world.sign_in.profiles.iter().find(|profile| {
        profile.name == name && profile.account.as_deref().unwrap_or(world.first_account()) == account
    });
    let profile = profile.ok_or_else(|| no_such("Instance Profile", name))?;
    let mut xml = Xml::fragment();
    xml.node("InstanceProfile", |xml| {
        xml.leaf("InstanceProfileName", name);
        xml.leaf("Arn", &format!("arn:aws:iam::{account}:instance-profile/{name}"));
        xml.node("Roles", |xml| {
            if let Some(role) = &profile.role {
                xml.node("member", |xml| {
                    xml.leaf("RoleName", role.rsplit('/').next().unwrap_or_default());
                    xml.leaf("Arn", role);
                });
            }
        });
    });
    Ok(xml.finish())
}

fn tags(world: &World, request: &Request<'_>, kind: &str, parameter: &str) -> Result<String, ApiError> {
    let name = request.input.text(parameter).unwrap_or_default();
    let arn = format!("arn:aws:iam::{}:{kind}/{name}", request.caller.account);
    let person = world.sign_in.person(&arn).ok_or_else(|| no_such(kind, name))?;
    let mut xml = Xml::fragment();
    xml.leaf("IsTruncated", "false");
    xml.node("Tags", |xml| {
        for (key, value) in &person.tags {
            xml.node("member", |xml| {
                xml.leaf("Key", key);
                xml.leaf("Value", value);
            });
        }
    });
    Ok(xml.finish())
}

/// What the caller tells of the call: single values.
fn context(request: &Request<'_>) -> Facts {
    let entry = |number: usize| {
        let text = |rest: &str| {
            request
                .input
                .text(&format!("ContextEntries.member.{number}.{rest}"))
        };
        let key = text("ContextKeyName")?.to_ascii_lowercase();
        Some((
            key,
            text("ContextKeyValues.member.1").unwrap_or_default().to_owned(),
        ))
    };
    (1..).map_while(entry).collect()
}

/// By the policy of the user or role; who has none may do everything but what a role's `denied` names.
fn simulate(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let principal = request.input.text("PolicySourceArn").unwrap_or_default();
    let role = world.sign_in.roles.iter().find(|role| role.arn == principal);
    let person = world.sign_in.person(principal);
    if role.is_none() && person.is_none() && principal.contains(":role/") {
        return Err(no_such("The role", principal));
    }
    let resources = request.input.list("ResourceArns.member");
    let resource = resources.first().copied().unwrap_or("*");
    let facts = context(request);
    let mut xml = Xml::fragment();
    xml.leaf("IsTruncated", "false");
    xml.node("EvaluationResults", |xml| {
        for action in request.input.list("ActionNames.member") {
            let policy = person.and_then(|person| person.policy.as_ref());
            let decision = policy.map(|policy| decide(policy, action, resource, &facts));
            let denied = role.is_some_and(|role| role.denied.iter().any(|denied| denied == action));
            let decision = match decision {
                Some(Decision::Explicit) => "explicitDeny",
                Some(Decision::Implicit) => "implicitDeny",
                _ if denied => "implicitDeny",
                _ => "allowed",
            };
            xml.node("member", |xml| {
                xml.leaf("EvalActionName", action);
                xml.leaf("EvalResourceName", resource);
                xml.leaf("EvalDecision", decision);
            });
        }
    });
    Ok(xml.finish())
}
