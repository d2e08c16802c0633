//! Credentials that people really have: every kind of profile that the AWS CLI works with, its caches shared
//! with it, and one-time codes and logins asked for before any other work.

mod cli_cache;
mod kept;
mod keys;
mod mfa;
pub mod plan;
mod private_file;
mod process;
mod refused;
mod role;
mod sso_role;
pub(super) mod sso_token;
#[cfg(test)]
mod tests;
pub(super) mod turn;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::login::LoginCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;

pub(super) use cli_cache::time_text;
pub(super) use kept::Kept;
pub use mfa::{Mfa, Person};
pub(super) use refused::Watch;

use super::agent::UserAgent;
use super::error::{ErrorKind, ServiceError, credentials_trouble};
use super::profiles::Profiles;
use cli_cache::{Cached, Kind, Slot};
use keys::Keys;
use mfa::Codes;
use plan::{Base, Plan, Role, SsoRole, WebIdentity};
use refused::Refused;
use sso_token::Place;
use turn::Turn;

/// Where the AWS CLI keeps what it was given.
#[derive(Debug, Clone, Default)]
pub(super) struct Directories {
    /// `~/.aws/cli/cache`: temporary credentials.
    pub(super) cli_cache: Option<PathBuf>,
    /// `~/.aws/sso/cache`: tokens of SSO logins.
    pub(super) sso_cache: Option<PathBuf>,
    /// Ours, for locks.
    pub(super) locks: Option<PathBuf>,
}

/// Follows a plan to credentials, each time they are wanted.
#[derive(Debug)]
pub(super) struct Source {
    plan: Plan,
    /// Region, endpoints, HTTP client; no credentials.
    sdk: SdkConfig,
    provider: ProviderConfig,
    directories: Directories,
    codes: Codes,
    agent: UserAgent,
    /// The session's name of the last role, once it was assumed: it stays the same when it is renewed.
    name: Mutex<Option<String>>,
    refused: Refused,
}

impl Source {
    pub(super) fn new(
        plan: Plan,
        sdk: SdkConfig,
        provider: ProviderConfig,
        directories: Directories,
        mfa: Mfa,
        agent: UserAgent,
    ) -> Self {
        Self {
            plan,
            sdk,
            provider,
            directories,
            codes: Codes::new(mfa),
            agent,
            name: Mutex::new(None),
            refused: Refused::default(),
        }
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// These are not given again where there are others.
    pub(super) fn refuse(&self, access_key: &str) {
        self.refused.add(access_key);
    }

    pub(super) fn is_refused(&self, credentials: &Credentials) -> bool {
        self.refused.holds(credentials.access_key_id())
    }

    /// Whether credentials have to be fetched before the first call: an SDK call waits for half a minute, a
    /// person with a code, or a program that talks to one, may take longer.
    pub(super) fn wants_time(&self) -> bool {
        let now = SystemTime::now();
        let (known, cached) = self.start(now);
        if cached.is_some() && known == self.plan.roles.len() {
            return false;
        }
        let code = self
            .plan
            .roles
            .iter()
            .skip(known)
            .any(|role| role.mfa_serial.is_some());
        let program = cached.is_none() && matches!(self.plan.base, Base::Process { .. });
        program || (code && self.codes.needs_person())
    }

    /// Whether files and the environment have unexpired credentials: nobody and nothing has to be asked for them.
    pub(super) fn is_at_hand(&self) -> bool {
        let now = SystemTime::now();
        let (known, cached) = self.start(now);
        let roles = self.plan.roles.len();
        match &self.plan.base {
            _ if cached.is_some() => known == roles,
            Base::Environment | Base::Keys(_) => roles == 0,
            Base::Sso(role) => roles == 0 && self.slot_of_sso(role).read(now).is_some(),
            _ => false,
        }
    }

    /// Tells from files alone that a person has to log in.
    ///
    /// # Errors
    /// [`ErrorKind::LoginNeeded`].
    pub(super) fn check_login(&self) -> Result<(), ServiceError> {
        let Base::Sso(role) = &self.plan.base else {
            return Ok(());
        };
        let now = SystemTime::now();
        if self.start(now).1.is_some() || self.read(&self.slot_of_sso(role), now).is_some() {
            return Ok(());
        }
        let Some(place) = self.place(role) else {
            return Ok(());
        };
        if let Some(warning) = sso_token::check(&place, &role.login, now)? {
            self.codes.tell(&warning);
        }
        Ok(())
    }

    /// How far down the chain of roles the AWS CLI's cache reaches: so many roles are done with, by these
    /// credentials.
    fn start(&self, now: SystemTime) -> (usize, Option<Cached>) {
        let roles = self.plan.roles.iter().enumerate().rev();
        roles
            .filter_map(|(index, role)| Some((index + 1, Some(self.read(&self.slot_of_role(role), now)?))))
            .next()
            .unwrap_or((0, None))
    }

    /// Credentials by the plan.
    ///
    /// # Errors
    /// With the step that failed and, where it is a login, that a person is needed.
    pub(super) async fn fetch(&self) -> Result<Credentials, ServiceError> {
        let (done, cached) = self.start(SystemTime::now());
        let mut credentials = match cached {
            Some(cached) => self.taken(cached, done == self.plan.roles.len()),
            None => self.base().await?,
        };
        for (index, role) in self.plan.roles.iter().enumerate().skip(done) {
            let is_last = index + 1 == self.plan.roles.len();
            credentials = self.role(role, credentials, is_last).await?;
        }
        Ok(credentials)
    }

    /// What is cached. Whoever looks first finds the file open to others and closes it, so it is told there.
    fn read(&self, slot: &Slot, now: SystemTime) -> Option<Cached> {
        let cached = slot.read(now)?;
        if self.is_refused(&cached.credentials) {
            return None;
        }
        if let Some(warning) = &cached.warning {
            self.codes.tell(warning);
        }
        Some(cached)
    }

    fn taken(&self, cached: Cached, is_last: bool) -> Credentials {
        if is_last {
            self.remember_name(cached.arn.as_deref());
        }
        cached.credentials
    }

    async fn role(
        &self,
        role: &Role,
        source: Credentials,
        is_last: bool,
    ) -> Result<Credentials, ServiceError> {
        let slot = self.slot_of_role(role);
        let _turn = match role.mfa_serial {
            Some(_) => {
                let turn = self.turn(
                    slot.name(),
                    "another ssmx asks for the same one-time code; waiting for it",
                );
                let turn = turn.await;
                if let Some(cached) = self.read(&slot, SystemTime::now()) {
                    return Ok(self.taken(cached, is_last));
                }
                Some(turn)
            }
            None => None,
        };
        let name = self.session_name(role, is_last);
        let access_key = source.access_key_id().to_owned();
        let assumed = role::assume(role, source, &name, &self.sdk, &self.codes, self.agent.clone()).await;
        let assumed = assumed.inspect_err(|error| {
            if error.kind == ErrorKind::Expired {
                self.refuse(&access_key);
            }
        })?;
        self.keep(&slot, &assumed.credentials, &assumed.kind);
        if is_last {
            self.remember_name(Some(&format!("/{name}")));
        }
        Ok(assumed.credentials)
    }

    fn session_name(&self, role: &Role, is_last: bool) -> String {
        let kept = || self.name.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let told = role.session_name.clone();
        told.or_else(|| kept().filter(|_| is_last))
            .unwrap_or_else(role::session_name)
    }

    fn remember_name(&self, arn: Option<&str>) {
        let name = arn.and_then(|arn| arn.rsplit('/').next()).map(ToOwned::to_owned);
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            *self.name.lock().unwrap_or_else(PoisonError::into_inner) = Some(name);
        }
    }

    async fn base(&self) -> Result<Credentials, ServiceError> {
        match &self.plan.base {
            Base::Environment => by_sdk(&EnvironmentVariableCredentialsProvider::new()).await,
            // Other programs write new ones into the file as they expire.
            Base::Keys(keys) if self.refused.holds(&keys.access_key) => {
                let anew = Keys::of(&Profiles::load().await?, &keys.profile)?;
                Ok(anew.as_ref().unwrap_or(keys).credentials())
            }
            Base::Keys(keys) => Ok(keys.credentials()),
            Base::Process { profile, command } => process::credentials(profile, command).await,
            Base::WebIdentity(identity) => self.web_identity(identity).await,
            Base::Sso(role) => self.sso(role).await,
            Base::Login { profile, session } => self.login(profile, session).await,
            Base::Container => by_sdk(&self.container()).await,
            Base::Machine => by_sdk(&self.machine()).await,
            Base::Surroundings => match self.container().provide_credentials().await {
                Err(CredentialsError::CredentialsNotLoaded(_)) => by_sdk(&self.machine()).await,
                other => other.map_err(trouble),
            },
        }
    }

    fn container(&self) -> EcsCredentialsProvider {
        EcsCredentialsProvider::builder()
            .configure(&self.provider)
            .build()
    }

    fn machine(&self) -> ImdsCredentialsProvider {
        ImdsCredentialsProvider::builder()
            .configure(&self.provider)
            .build()
    }

    async fn web_identity(&self, identity: &WebIdentity) -> Result<Credentials, ServiceError> {
        let token = role::read_token(identity).await?;
        let slot = Slot::of_web_identity(self.directories.cli_cache.as_ref(), identity, &token);
        if let Some(cached) = self.read(&slot, SystemTime::now()) {
            return Ok(self.taken(cached, self.plan.roles.is_empty()));
        }
        let name = identity.session_name.clone().unwrap_or_else(role::session_name);
        let assumed = role::by_token(identity, &token, &name, &self.sdk, self.agent.clone()).await?;
        self.keep(&slot, &assumed.credentials, &assumed.kind);
        Ok(assumed.credentials)
    }

    async fn sso(&self, role: &SsoRole) -> Result<Credentials, ServiceError> {
        let slot = self.slot_of_sso(role);
        if let Some(cached) = self.read(&slot, SystemTime::now()) {
            return Ok(self.taken(cached, false));
        }
        let place = self.place(role).ok_or_else(|| {
            ServiceError::local(
                ErrorKind::Credentials,
                "there is no home directory, so no SSO login can be found",
            )
        })?;
        let _turn = self
            .turn(
                place.name(),
                "another ssmx renews the same SSO login; waiting for it",
            )
            .await;
        let token = sso_token::good_token(&place, &role.login, &self.sdk, self.agent.clone()).await?;
        if let Some(warning) = &token.warning {
            self.codes.tell(warning);
        }
        let credentials = sso_role::credentials(role, &token, &self.sdk, self.agent.clone()).await?;
        self.keep(&slot, &credentials, &Kind::Sso);
        Ok(credentials)
    }

    async fn login(&self, profile: &str, session: &str) -> Result<Credentials, ServiceError> {
        let provider = LoginCredentialsProvider::builder(session)
            .configure(&self.provider)
            .build();
        by_sdk(&provider).await.map_err(|mut error| {
            error.message = format!(
                "what `aws login` left for {session} cannot be used; log in anew with `aws login --profile {profile}`: {}",
                error.message
            );
            error
        })
    }

    fn keep(&self, slot: &Slot, credentials: &Credentials, kind: &Kind) {
        if let Err(error) = slot.write(credentials, kind) {
            tracing::warn!(%error, "the credentials are not kept in the AWS CLI's cache");
        }
    }

    async fn turn(&self, name: Option<&str>, waiting: &str) -> Turn {
        Turn::take(self.directories.locks.as_deref(), name, || {
            self.codes.tell(waiting)
        })
        .await
    }

    fn slot_of_role(&self, role: &Role) -> Slot {
        Slot::of_role(self.directories.cli_cache.as_ref(), role)
    }

    fn slot_of_sso(&self, role: &SsoRole) -> Slot {
        Slot::of_sso(self.directories.cli_cache.as_ref(), role)
    }

    fn place(&self, role: &SsoRole) -> Option<Place> {
        let directory = self.directories.sso_cache.as_deref()?;
        Some(Place::new(directory, &role.login))
    }
}

/// A provider of the SDK's.
async fn by_sdk(provider: &impl ProvideCredentials) -> Result<Credentials, ServiceError> {
    provider.provide_credentials().await.map_err(trouble)
}

fn trouble(error: CredentialsError) -> ServiceError {
    let (kind, message) = credentials_trouble(&error);
    ServiceError::local(kind, message)
}
