//! STS.

use std::sync::Arc;

use super::xml::Xml;
use super::{ApiError, Request, Service, Wire};
use crate::scenario::Role;
use crate::world::sign_in::issue;
use crate::world::{Identity, World};

pub(super) const SERVICE: Service = Service {
    name: "sts",
    wire: Wire::Query {
        version: "2011-06-15",
        namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
    },
    call,
};

/// Who has no credentials yet may call this.
pub(super) const OPEN: &str = "AssumeRoleWithWebIdentity";

fn call(world: &World, request: &Request<'_>) -> Option<Result<String, ApiError>> {
    Some(match request.operation {
        "GetCallerIdentity" => Ok(caller_identity(request)),
        "AssumeRole" => assume_role(world, request),
        OPEN => by_token(world, request),
        _ => return None,
    })
}

fn caller_identity(request: &Request<'_>) -> String {
    let mut xml = Xml::fragment();
    xml.leaf("Arn", &request.caller.arn);
    xml.leaf("UserId", &request.caller.user_id);
    xml.leaf("Account", &request.caller.account);
    xml.finish()
}

fn invalid(message: &str) -> ApiError {
    ApiError::new("ValidationError", message)
}

fn denied(request: &Request<'_>, arn: &str) -> ApiError {
    let who = &request.caller.arn;
    let words = format!("User: {who} is not authorized to perform: sts:AssumeRole on resource: {arn}");
    ApiError::new("AccessDenied", words).with_status(403)
}

fn assume_role(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let arn = request
        .input
        .text("RoleArn")
        .ok_or_else(|| invalid("RoleArn is missing"))?;
    let session = session_name(request)?;
    let role = find(world, arn).filter(|role| trusts(role, request.caller));
    let role = role.ok_or_else(|| denied(request, arn))?;
    if role.external_id.as_deref() != request.input.text("ExternalId") && role.external_id.is_some() {
        return Err(denied(request, arn));
    }
    if role.mfa_serial.is_some() {
        let serial = request.input.text("SerialNumber");
        let code = request.input.text("TokenCode").unwrap_or_default();
        if serial.is_none() {
            return Err(denied(request, arn));
        }
        if serial != role.mfa_serial.as_deref() || !world.sign_in.takes_code(role, code) {
            let words = "MultiFactorAuthentication failed with invalid MFA one time pass code. ";
            return Err(ApiError::new("AccessDenied", words).with_status(403));
        }
    }
    Ok(answer(&issue(world, arn, session, seconds(role, request)?), None))
}

fn by_token(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let arn = request
        .input
        .text("RoleArn")
        .ok_or_else(|| invalid("RoleArn is missing"))?;
    let session = session_name(request)?;
    let token = request.input.text("WebIdentityToken").unwrap_or_default();
    let role = find(world, arn).filter(|role| role.web_identity_token.as_deref() == Some(token));
    let role = role.ok_or_else(|| {
        ApiError::new(
            "InvalidIdentityToken",
            "Couldn't retrieve verification key from your identity provider",
        )
    })?;
    let issued = issue(world, arn, session, seconds(role, request)?);
    Ok(answer(&issued, Some("sandbox-subject")))
}

fn find<'a>(world: &'a World, arn: &str) -> Option<&'a Role> {
    world.sign_in.roles.iter().find(|role| role.arn == arn)
}

fn trusts(role: &Role, caller: &Identity) -> bool {
    let of_role = caller
        .arn
        .replacen(":sts:", ":iam:", 1)
        .replacen(":assumed-role/", ":role/", 1);
    role.trusts.is_empty()
        || role.trusts.iter().any(|trusted| {
            *trusted == caller.arn
                || *trusted == caller.account
                || of_role.starts_with(&format!("{trusted}/"))
        })
}

fn session_name<'a>(request: &Request<'a>) -> Result<&'a str, ApiError> {
    let name = request.input.text("RoleSessionName").unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if (2..=64).contains(&name.len()) && name.chars().all(allowed) {
        Ok(name)
    } else {
        Err(invalid("roleSessionName must satisfy [\\w+=,.@-]{2,64}"))
    }
}

fn seconds(role: &Role, request: &Request<'_>) -> Result<i64, ApiError> {
    let most = role.most_seconds.unwrap_or(3600);
    let Some(wanted) = request.input.text("DurationSeconds") else {
        return Ok(most.min(3600));
    };
    let wanted: i64 = wanted
        .parse()
        .map_err(|_| invalid("DurationSeconds is no number"))?;
    if wanted < 900 {
        return Err(invalid("DurationSeconds must be at least 900"));
    }
    if wanted > most.max(900) {
        return Err(invalid(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    Ok(wanted)
}

fn answer(issued: &Arc<Identity>, subject: Option<&str>) -> String {
    let mut xml = Xml::fragment();
    xml.maybe("SubjectFromWebIdentityToken", subject);
    xml.node("AssumedRoleUser", |xml| {
        xml.leaf("AssumedRoleId", &issued.user_id);
        xml.leaf("Arn", &issued.arn);
    });
    xml.node("Credentials", |xml| {
        xml.leaf("AccessKeyId", &issued.key);
        xml.leaf("SecretAccessKey", &issued.secret);
        xml.leaf(
            "SessionToken",
            issued.session_token.as_deref().unwrap_or_default(),
        );
        let end = issued
            .expires
            .map(|end| end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        xml.leaf("Expiration", &end.unwrap_or_default());
    });
    xml.finish()
}
