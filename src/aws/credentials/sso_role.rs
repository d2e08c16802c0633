//! Credentials of a permission set, by the token of an SSO login.

use std::time::{Duration, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;

use super::super::agent::UserAgent;
use super::super::error::{ErrorKind, ServiceError};
use super::plan::SsoRole;
use super::sso_token::Token;

/// Asks the access portal.
///
/// # Errors
/// [`ErrorKind::LoginNeeded`] when the portal does not take the token; what else it refuses.
pub(super) async fn credentials(
    role: &SsoRole,
    token: &Token,
    sdk: &SdkConfig,
    agent: UserAgent,
) -> Result<Credentials, ServiceError> {
    const OPERATION: &str = "sso:GetRoleCredentials";
    let region = aws_config::Region::new(role.login.region.clone());
    let config = aws_sdk_sso::config::Builder::from(sdk)
        .region(region)
        .interceptor(agent);
    let portal = aws_sdk_sso::Client::from_conf(config.build());
    let call = portal
        .get_role_credentials()
        .role_name(&role.role)
        .account_id(&role.account)
        .access_token(token.access.expose());
    let answer = call.send().await.map_err(|error| {
        let mut error = ServiceError::from_sdk(OPERATION, error);
        if error.code.as_deref() == Some("UnauthorizedException") {
            error.kind = ErrorKind::LoginNeeded;
        }
        error.message.push_str(&format!(
            " (permission set `{}` in account {} of the AWS profile `{}`)",
            role.role, role.account, role.profile
        ));
        error
    })?;
    let lacking = || {
        let mut error = ServiceError::local(ErrorKind::Other, "the answer has no credentials");
        error.operation = OPERATION.to_owned();
        error
    };
    let given = answer.role_credentials.ok_or_else(lacking)?;
    let mut credentials = Credentials::builder()
        .access_key_id(given.access_key_id.ok_or_else(lacking)?)
        .secret_access_key(given.secret_access_key.ok_or_else(lacking)?)
        .account_id(role.account.as_str())
        .provider_name("SSO");
    credentials.set_session_token(given.session_token);
    let expiry = u64::try_from(given.expiration).ok().filter(|millis| *millis > 0);
    credentials.set_expiry(expiry.map(|millis| UNIX_EPOCH + Duration::from_millis(millis)));
    Ok(credentials.build())
}
