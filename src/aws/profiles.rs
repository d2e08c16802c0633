//! AWS's config and credentials files: which profiles there are and what the chosen one says.

use std::collections::BTreeSet;

use aws_config::profile::ProfileSet;
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_types::os_shim_internal::{Env, Fs};

use super::error::{ErrorKind, ServiceError};

/// So many links of `source_profile`, and it is a loop.
const LONGEST_CHAIN: usize = 16;

/// The profiles of this user.
#[derive(Debug)]
pub struct Profiles {
    set: ProfileSet,
}

impl Profiles {
    /// Reads the files, where `AWS_CONFIG_FILE` and `AWS_SHARED_CREDENTIALS_FILE` or the defaults say.
    ///
    /// # Errors
    /// When a file cannot be read or parsed; the message names it.
    pub async fn load() -> Result<Self, ServiceError> {
        let loaded =
            aws_config::profile::load(&Fs::real(), &Env::real(), &EnvConfigFiles::default(), None).await;
        let set = loaded.map_err(|error| {
            let cause = super::error::chain(&error);
            ServiceError::local(
                ErrorKind::Credentials,
                format!("AWS's config files cannot be read: {cause}"),
            )
        })?;
        Ok(Self { set })
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
        let mut near: Vec<(f64, &str)> = self
            .set
            .profiles()
            .map(|known| (strsim::jaro_winkler(name, known), known))
            .filter(|(likeness, _)| *likeness > 0.75)
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        let mut message = format!("the AWS profile `{name}` does not exist");
        if let Some((_, nearest)) = near.first() {
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

    /// The names of the profiles that have a region.
    pub fn with_region(&self) -> Vec<&str> {
        self.names()
            .into_iter()
            .filter(|name| self.value(name, "region").is_some())
            .collect()
    }

    /// The profile of a `source_profile` chain that wants a one-time code, if any.
    pub fn wants_mfa<'a>(&'a self, profile: &'a str) -> Option<&'a str> {
        let mut current = profile;
        for _ in 0..LONGEST_CHAIN {
            if self.value(current, "mfa_serial").is_some() && self.value(current, "role_arn").is_some() {
                return Some(current);
            }
            match self.value(current, "source_profile") {
                Some(source) if source != current => current = source,
                _ => return None,
            }
        }
        None
    }

    /// The account that a profile's credentials belong to, where the profile tells.
    pub fn account(&self, profile: &str) -> Option<&str> {
        let role = self
            .value(profile, "role_arn")
            .and_then(|arn| arn.split(':').nth(4));
        role.or_else(|| self.value(profile, "sso_account_id"))
    }
}
