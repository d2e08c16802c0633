//! AWS's config and credentials files: which profiles there are and what the chosen one says.

use std::collections::BTreeSet;

use aws_config::profile::ProfileSet;
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_types::os_shim_internal::{Env, Fs};

use super::credentials::plan::SsoLogin;
use super::error::{ErrorKind, ServiceError};
use crate::nearest;

/// The profiles of this user.
#[derive(Debug)]
pub struct Profiles {
    set: ProfileSet,
    /// What stands in the credentials file, which counts before the config file's `credential_process`.
    credentials: ProfileSet,
}

impl Profiles {
    /// Reads the files, where `AWS_CONFIG_FILE` and `AWS_SHARED_CREDENTIALS_FILE` or the defaults say.
    ///
    /// # Errors
    /// When a file cannot be read or parsed; the message names it.
    pub async fn load() -> Result<Self, ServiceError> {
        let credentials = EnvConfigFiles::builder()
            .include_default_credentials_file(true)
            .build();
        Self::read(&EnvConfigFiles::default(), &credentials).await
    }

    async fn read(files: &EnvConfigFiles, credentials: &EnvConfigFiles) -> Result<Self, ServiceError> {
        let load = async |files: &EnvConfigFiles| {
            let loaded = aws_config::profile::load(&Fs::real(), &Env::real(), files, None).await;
            loaded.map_err(|error| {
                let cause = super::error::chain(&error);
                ServiceError::local(
                    ErrorKind::Credentials,
                    format!("AWS's config files cannot be read: {cause}"),
                )
            })
        };
        Ok(Self {
            set: load(files).await?,
            credentials: load(credentials).await?,
        })
    }

    /// What a config file with this content says.
    #[cfg(test)]
    pub(super) async fn of(config: &str) -> Self {
        Self::of_both(config, "").await
    }

    /// What the two files with this content say.
    #[cfg(test)]
    pub(super) async fn of_both(config: &str, credentials: &str) -> Self {
        use aws_runtime::env_config::file::EnvConfigFileKind::{Config, Credentials};
        let with = |files: &[(_, &str)]| {
            let builder = files
                .iter()
                .fold(EnvConfigFiles::builder(), |builder, (kind, text)| {
                    builder.with_contents(*kind, *text)
                });
            builder.build()
        };
        let both = with(&[(Config, config), (Credentials, credentials)]);
        Self::read(&both, &with(&[(Credentials, credentials)]))
            .await
            .unwrap()
    }

    /// Whether the credentials file, and not only the config file, holds this key of a profile.
    pub(super) fn in_credentials_file(&self, profile: &str, key: &str) -> bool {
        let profile = self.credentials.get_profile(profile);
        profile.is_some_and(|profile| profile.get(key).is_some())
    }

    /// All names, sorted.
    pub fn names(&self) -> BTreeSet<&str> {
        self.set.profiles().collect()
    }

    /// Checks that a profile exists: the SDK would pass over a mistyped one in silence and go on with the
    /// machine's own role.
    ///
    /// # Errors
    /// With the nearest names.
    pub fn check(&self, name: &str) -> Result<(), ServiceError> {
        if self.set.get_profile(name).is_some() {
            return Ok(());
        }
        let mut message = format!("the AWS profile `{name}` does not exist");
        if let Some(nearest) = nearest::one(name, self.set.profiles()) {
            message.push_str(&format!("; did you mean `{nearest}`?"));
        } else if self.set.is_empty() {
            message.push_str("; AWS's config files hold no profile at all");
        } else {
            let names: Vec<&str> = self.names().into_iter().take(10).collect();
            message.push_str(&format!("; there are {}", names.join(", ")));
        }
        Err(ServiceError::local(ErrorKind::Credentials, message))
    }

    /// A profile's own value of a key.
    pub fn value(&self, profile: &str, key: &str) -> Option<&str> {
        self.set.get_profile(profile)?.get(key)
    }

    /// The same without the blanks around it; one that is blank is none.
    pub fn trimmed(&self, profile: &str, key: &str) -> Option<String> {
        let value = self.value(profile, key)?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// The names of the profiles that have a region.
    pub fn with_region(&self) -> Vec<&str> {
        self.names()
            .into_iter()
            .filter(|name| self.value(name, "region").is_some())
            .collect()
    }

    /// The SSO login that a profile is reached by, or `None` for one that is not of SSO.
    ///
    /// # Errors
    /// When the profile names an `[sso-session]` that does not exist, contradicts it, or a part is missing.
    pub fn sso_login(&self, profile: &str) -> Result<Option<SsoLogin>, ServiceError> {
        let own = |key: &str| self.value(profile, key).map(ToOwned::to_owned);
        let unusable = |message: String| ServiceError::local(ErrorKind::Credentials, message);
        let Some(name) = own("sso_session") else {
            let (start_url, region) = (own("sso_start_url"), own("sso_region"));
            return match (start_url, region) {
                (None, None) => Ok(None),
                (Some(start_url), Some(region)) => Ok(Some(SsoLogin {
                    session: None,
                    start_url,
                    region,
                    scopes: Vec::new(),
                })),
                (None, _) => Err(unusable(format!(
                    "the AWS profile `{profile}` is one of SSO, but has no `sso_start_url`"
                ))),
                (_, None) => Err(unusable(format!(
                    "the AWS profile `{profile}` is one of SSO, but has no `sso_region`"
                ))),
            };
        };
        let login = self.sso_session(&name).map_err(|mut error| {
            error.message = format!("the AWS profile `{profile}`: {}", error.message);
            error
        })?;
        for (key, session) in [("sso_start_url", &login.start_url), ("sso_region", &login.region)] {
            if let Some(own) = own(key).filter(|own| own != session) {
                return Err(unusable(format!(
                    "the AWS profile `{profile}` has `{key} = {own}`, its SSO session `{name}` has `{session}`; expected one value"
                )));
            }
        }
        Ok(Some(login))
    }

    /// An `[sso-session]` by its name.
    ///
    /// # Errors
    /// When it does not exist or lacks a part.
    pub fn sso_session(&self, name: &str) -> Result<SsoLogin, ServiceError> {
        let unusable = |message: String| ServiceError::local(ErrorKind::Credentials, message);
        let session = self.set.sso_session(name).ok_or_else(|| {
            let mut known: Vec<&str> = self.set.sso_sessions().collect();
            known.sort_unstable();
            unusable(if known.is_empty() {
                format!("the SSO session `{name}` does not exist; AWS's config file has no `[sso-session …]`")
            } else {
                format!(
                    "the SSO session `{name}` does not exist; there are {}",
                    known.join(", ")
                )
            })
        })?;
        let wanted = |key: &str| {
            let value = session.get(key).map(str::trim).filter(|value| !value.is_empty());
            value
                .map(ToOwned::to_owned)
                .ok_or_else(|| unusable(format!("the SSO session `{name}` has no `{key}`")))
        };
        let scopes = session.get("sso_registration_scopes").unwrap_or_default();
        Ok(SsoLogin {
            session: Some(name.to_owned()),
            start_url: wanted("sso_start_url")?,
            region: wanted("sso_region")?,
            scopes: scopes
                .split(',')
                .map(|scope| scope.trim().to_owned())
                .filter(|scope| !scope.is_empty())
                .collect(),
        })
    }

    /// The profiles that an SSO login is good for.
    pub fn by_sso(&self) -> Vec<&str> {
        let is_sso = |name: &str| {
            ["sso_session", "sso_start_url"]
                .into_iter()
                .any(|key| self.value(name, key).is_some())
        };
        self.names().into_iter().filter(|name| is_sso(name)).collect()
    }

    /// The account that a profile's credentials belong to, where the profile tells.
    pub fn account(&self, profile: &str) -> Option<&str> {
        let role = self
            .value(profile, "role_arn")
            .and_then(|arn| arn.split(':').nth(4));
        role.or_else(|| self.value(profile, "sso_account_id"))
    }
}
