//! Roles by STS: with the credentials before it in a chain, or with a token from a file.

use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::types::{AssumedRoleUser, Credentials as StsCredentials};

use super::super::agent::UserAgent;
use super::super::env;
use super::super::error::{ErrorKind, ServiceError};
use super::cli_cache::Kind;
use super::mfa::{Codes, TRIES};
use super::plan::{Role, WebIdentity};
use crate::secret::Secret;

/// A session name has so many characters.
const NAME_LENGTH: std::ops::RangeInclusive<usize> = 2..=64;
/// A token of an identity provider is a few kilobytes.
const LARGEST_TOKEN: u64 = 64 * 1024;

/// Fresh credentials of a role, and what the cache keeps beside them.
pub(super) struct Assumed {
    pub(super) credentials: Credentials,
    pub(super) kind: Kind,
}

/// Assumes a role with `source`.
///
/// # Errors
/// What STS refuses, and a code that is not to be had.
pub(super) async fn assume(
    role: &Role,
    source: Credentials,
    name: &str,
    sdk: &SdkConfig,
    codes: &Codes,
    agent: UserAgent,
) -> Result<Assumed, ServiceError> {
    const OPERATION: &str = "sts:AssumeRole";
    let config = aws_sdk_sts::config::Builder::from(sdk)
        .credentials_provider(SharedCredentialsProvider::new(source))
        .interceptor(agent);
    let sts = aws_sdk_sts::Client::from_conf(config.build());
    let mut tries = 0;
    loop {
        let code = match role.mfa_serial {
            Some(_) => Some(codes.code(role).await?),
            None => None,
        };
        let may_ask_again = code.as_ref().is_some_and(|code| code.asked);
        let call = sts
            .assume_role()
            .role_arn(&role.arn)
            .role_session_name(name)
            .set_external_id(role.external_id.clone())
            .set_duration_seconds(role.duration)
            .set_serial_number(role.mfa_serial.clone())
            .set_token_code(code.map(|code| code.code.expose().clone()));
        match call.send().await {
            Ok(answer) => return assumed(OPERATION, answer.credentials, answer.assumed_role_user),
            Err(error) => {
                tries += 1;
                let mut error = ServiceError::from_sdk(OPERATION, error);
                if may_ask_again && tries < TRIES && is_wrong_code(&error) {
                    codes.tell("AWS does not take this code; wait for the next one, each is good once");
                    continue;
                }
                error.message.push_str(&format!(
                    " (role `{}` of the AWS profile `{}`)",
                    role.arn, role.profile
                ));
                return Err(error);
            }
        }
    }
}

/// STS says so in its message alone.
fn is_wrong_code(error: &ServiceError) -> bool {
    error.message.contains("MultiFactorAuthentication failed")
}

/// Assumes a role by the token in a file, which is read anew each time: it is replaced as it expires.
///
/// # Errors
/// What STS refuses, and a file that cannot be read.
pub(super) async fn by_token(
    identity: &WebIdentity,
    token: &Secret<String>,
    name: &str,
    sdk: &SdkConfig,
    agent: UserAgent,
) -> Result<Assumed, ServiceError> {
    const OPERATION: &str = "sts:AssumeRoleWithWebIdentity";
    let config = aws_sdk_sts::config::Builder::from(sdk).interceptor(agent);
    let sts = aws_sdk_sts::Client::from_conf(config.build());
    let call = sts
        .assume_role_with_web_identity()
        .role_arn(&identity.arn)
        .role_session_name(name)
        .web_identity_token(token.expose());
    let answer = call.send().await.map_err(|error| {
        let mut error = ServiceError::from_sdk(OPERATION, error);
        error.message.push_str(&format!(
            " (role `{}` by the token in `{}`)",
            identity.arn, identity.token_file
        ));
        error
    })?;
    assumed(OPERATION, answer.credentials, answer.assumed_role_user)
}

/// The token, as it is just now: whoever puts it there renews it.
///
/// # Errors
/// When the file cannot be read, or holds nothing.
pub(super) async fn read_token(identity: &WebIdentity) -> Result<Secret<String>, ServiceError> {
    use tokio::io::AsyncReadExt as _;
    let unreadable = |cause: String| {
        ServiceError::local(
            ErrorKind::Credentials,
            format!("the token file `{}` cannot be read: {cause}", identity.token_file),
        )
    };
    let file = tokio::fs::File::open(&identity.token_file).await;
    let file = file.map_err(|error| unreadable(error.to_string()))?;
    let mut text = String::new();
    let read = file.take(LARGEST_TOKEN).read_to_string(&mut text).await;
    let text = Secret::new(text);
    read.map_err(|error| unreadable(error.to_string()))?;
    let token = text.expose().trim();
    if token.is_empty() {
        return Err(unreadable("it is empty".to_owned()));
    }
    Ok(Secret::new(token.to_owned()))
}

fn assumed(
    operation: &str,
    credentials: Option<StsCredentials>,
    user: Option<AssumedRoleUser>,
) -> Result<Assumed, ServiceError> {
    let given = credentials.ok_or_else(|| {
        let mut error = ServiceError::local(ErrorKind::Other, "the answer has no credentials");
        error.operation = operation.to_owned();
        error
    })?;
    let (id, arn) = user.map_or_else(Default::default, |user| (user.assumed_role_id, user.arn));
    let mut credentials = Credentials::builder()
        .access_key_id(given.access_key_id)
        .secret_access_key(given.secret_access_key)
        .session_token(given.session_token)
        .provider_name("AssumeRole");
    credentials.set_expiry(SystemTime::try_from(given.expiration).ok());
    if let Some(account) = arn.split(':').nth(4).filter(|account| !account.is_empty()) {
        credentials = credentials.account_id(account);
    }
    Ok(Assumed {
        credentials: credentials.build(),
        kind: Kind::Assumed { id, arn },
    })
}

/// The name of a role's session where the profile gives none: the same in every process, so that sessions
/// started yesterday are still one's own, and a name that people know in the audit.
pub(super) fn session_name() -> String {
    let user = env::user().unwrap_or_default();
    clean(&user)
}

fn clean(user: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    let mut name: String = user
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .take(*NAME_LENGTH.end())
        .collect();
    if name.len() < *NAME_LENGTH.start() || !name.contains(|c: char| c.is_ascii_alphanumeric()) {
        name = format!("ssmx-{name}");
        name.truncate(*NAME_LENGTH.end());
    }
    name.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_named_as_sts_allows() {
        assert_eq!(clean("alice"), "alice");
        assert_eq!(clean("alice@example.com"), "alice@example.com");
        assert_eq!(clean("CORP\\žluťoučký kůň"), "CORP--lu-ou-k--k");
        assert_eq!(clean("a"), "ssmx-a");
        assert_eq!(clean(""), "ssmx");
        assert_eq!(clean(&"x".repeat(100)).len(), 64);
    }
}
