//! Keys in AWS's files: a user's own for ever, or temporary ones that another program writes there.

use aws_credential_types::Credentials;

use super::super::error::ServiceError;
use super::super::profiles::Profiles;
use super::plan::unusable;
use crate::secret::Secret;

/// A profile's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The profile that holds them.
    pub profile: String,
    /// The access key's id.
    pub access_key: String,
    /// The key itself.
    pub secret: Secret<String>,
    /// For temporary keys.
    pub token: Option<Secret<String>>,
}

impl Keys {
    /// The profile's own keys, if it has any.
    ///
    /// # Errors
    /// When it has half of them.
    pub fn of(profiles: &Profiles, profile: &str) -> Result<Option<Self>, ServiceError> {
        let value = |key| profiles.trimmed(profile, key);
        let lacking = |key: &str| unusable(format!("the AWS profile `{profile}` has no `{key}`"));
        let (access_key, secret) = match (value("aws_access_key_id"), value("aws_secret_access_key")) {
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err(lacking("aws_access_key_id")),
            (Some(_), None) => return Err(lacking("aws_secret_access_key")),
            (Some(access_key), Some(secret)) => (access_key, secret),
        };
        Ok(Some(Self {
            profile: profile.to_owned(),
            access_key,
            secret: secret.into(),
            token: value("aws_session_token")
                .or_else(|| value("aws_security_token"))
                .map(Secret::new),
        }))
    }

    /// As the SDK wants them.
    pub(super) fn credentials(&self) -> Credentials {
        let token = self.token.as_ref().map(|token| token.expose().clone());
        Credentials::new(&self.access_key, self.secret.expose(), token, None, "profile")
    }
}
