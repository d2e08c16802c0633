//! IAM, as far as ssmx asks it.

use super::xml::Xml;
use super::{ApiError, Request, Service, Wire};
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

/// Everything is allowed but what a role's `denied` names; users may do everything.
fn simulate(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let principal = request.input.text("PolicySourceArn").unwrap_or_default();
    let role = world.sign_in.roles.iter().find(|role| role.arn == principal);
    if role.is_none() && principal.contains(":role/") {
        return Err(no_such("The role", principal));
    }
    let resources = request.input.list("ResourceArns.member");
    let resource = resources.first().copied().unwrap_or("*");
    let mut xml = Xml::fragment();
    xml.leaf("IsTruncated", "false");
    xml.node("EvaluationResults", |xml| {
        for action in request.input.list("ActionNames.member") {
            let denied = role.is_some_and(|role| role.denied.iter().any(|denied| denied == action));
            xml.node("member", |xml| {
                xml.leaf("EvalActionName", action);
                xml.leaf("EvalResourceName", resource);
                xml.leaf("EvalDecision", if denied { "implicitDeny" } else { "allowed" });
            });
        }
    });
    Ok(xml.finish())
}
