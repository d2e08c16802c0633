//! AWS: credentials, clients and calls for one scope, and its errors in words that rooms can act on.

mod account;
mod agent;
mod call;
mod clock;
pub mod credentials;
pub mod diagnosis;
pub mod document;
mod endpoint;
pub mod env;
pub mod error;
pub mod federation;
mod ground;
mod http;
pub mod iam;
pub mod identity;
pub mod kms;
pub mod login;
mod memory;
mod pace;
pub mod profiles;
mod query;
pub mod regions;
mod request;
pub mod sections;
pub mod session;
mod signing;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use aws_config::SdkConfig;
use aws_credential_types::provider::SharedCredentialsProvider;
use tokio::sync::OnceCell;

use crate::ids::{AccountId, Region, Scope};
pub use crate::net::Dialer;
use crate::net::{Proxies, Roots};
use agent::UserAgent;
use credentials::plan::{Base, Plan, Surroundings};
use credentials::{Kept, Mfa, Source, Watch};
use error::{ErrorKind, ServiceError};
use ground::Ground;
use http::Http;
use pace::{Ear, Pace};
use profiles::Profiles;

/// How AWS is to be reached: the choices that flags, config and environment have already been merged into.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The AWS profile, where one was chosen.
    pub profile: Option<ProfileChoice>,
    /// The region, where one was chosen; else the environment's, else the profile's.
    pub region: Option<Region>,
    /// One endpoint for every service (`--endpoint-url`).
    pub endpoint_url: Option<String>,
    /// An endpoint for SSM alone, which counts before all others.
    pub ssm_endpoint_url: Option<String>,
    /// A bundle of certificates to trust instead of the system's (`--ca-bundle`).
    pub ca_bundle: Option<PathBuf>,
    /// The ssmx command at work, for the user agent.
    pub command: String,
    /// Where the accounts of access keys are remembered, if anywhere.
    pub cache: Option<PathBuf>,
    /// Where one-time codes come from.
    pub mfa: Mfa,
    /// Who hears of sessions that are started, if anybody.
    pub starts: Option<Arc<dyn session::Starts>>,
    /// How far one may go for credentials.
    pub effort: Effort,
}

/// How far one may go for credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// As far as the profile says.
    #[default]
    Any,
    /// Files and the environment have them, or nobody does: no program, no person, no login, no role to assume.
    AtHand,
}

/// A profile, and how strongly it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ProfileChoice {
    /// Named for this very thing: it beats keys in the environment, as the AWS CLI's `--profile` does.
    Explicit(String),
    /// From `AWS_PROFILE` or a default: keys in the environment win.
    Ambient(String),
}

impl ProfileChoice {
    /// The profile's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Explicit(name) | Self::Ambient(name) => name,
        }
    }
}

/// One profile (or ambient credentials) in one region. Clients are built on first use.
pub struct Aws {
    settings: Settings,
    profile: Option<String>,
    region: Region,
    /// What the profile says of its account, where it is the profile's credentials that are used.
    told_account: Option<AccountId>,
    account: OnceCell<AccountId>,
    credentials: Kept,
    http: Http,
    sdk: SdkConfig,
    dialer: Arc<Dialer>,
    pace: Arc<Pace>,
    ec2: OnceLock<aws_sdk_ec2::Client>,
    ssm: OnceLock<aws_sdk_ssm::Client>,
}

impl Aws {
    /// Reads AWS's own files and prepares credentials. Where a person is needed for them (a one-time code) or a
    /// program may talk to one, they are fetched now, before any other work; else no call is made.
    ///
    /// # Errors
    /// For a profile that does not exist or contradicts itself, an SSO login that is absent or over
    /// ([`ErrorKind::LoginNeeded`]), a missing region, a code or a program's credentials that are not to be had.
    pub async fn load(settings: Settings) -> Result<Self, ServiceError> {
        let profiles = Profiles::load().await?;
        let choice = settings.profile.clone();
        let choice = choice.or_else(|| env::profile().map(ProfileChoice::Ambient));
        if let Some(choice) = &choice {
            profiles.check(choice.name())?;
        }
        let plan = Plan::make(&profiles, choice.as_ref(), &Surroundings::look())?;
        let is_explicit = matches!(choice, Some(ProfileChoice::Explicit(_)));
        let profile_rules = is_explicit || plan.base != Base::Environment || !plan.roles.is_empty();
        let profile = choice.map(|choice| choice.name().to_owned());
        let effective = profile.as_deref().unwrap_or("default");
        let region = choose_region(&settings, effective, &profiles)?;
        let ground = Ground::lay(&settings, profile.as_deref(), &profiles, region.as_str()).await;
        endpoint::check(&settings, &ground.sdk)?;
        let told_account = plan.account().and_then(|account| account.parse().ok());
        let source = Source::new(
            plan,
            ground.sdk.clone(),
            ground.provider,
            ground::directories(&settings),
            settings.mfa.clone(),
            UserAgent::new(&settings.command),
        );
        if settings.effort == Effort::AtHand && !source.is_at_hand() {
            return Err(ServiceError::local(
                ErrorKind::LoginNeeded,
                format!("the credentials of `{effective}` are not at hand"),
            ));
        }
        source.check_login()?;
        let wants_time = source.wants_time();
        let credentials = Kept::new(source);
        if wants_time {
            credentials.credentials().await?;
        }
        let sdk = ground
            .sdk
            .into_builder()
            .credentials_provider(SharedCredentialsProvider::new(credentials.clone()))
            .build();
        Ok(Self {
            profile: profile.filter(|_| profile_rules),
            region,
            told_account,
            account: OnceCell::new(),
            credentials,
            sdk,
            http: ground.http,
            dialer: Arc::new(Dialer::new(ground.roots, Proxies::from_lookup(env::lookup))),
            pace: Arc::default(),
            ec2: OnceLock::new(),
            ssm: OnceLock::new(),
            settings,
        })
    }

    /// The profile in use, `None` for ambient credentials.
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// The region in use.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// The same credentials in another region of the partition.
    #[must_use]
    pub fn in_region(&self, region: Region) -> Self {
        let sdk = self.sdk.clone().into_builder();
        let sdk = sdk.region(aws_config::Region::new(region.to_string())).build();
        Self {
            settings: Settings {
                region: Some(region.clone()),
                ..self.settings.clone()
            },
            profile: self.profile.clone(),
            region,
            told_account: self.told_account.clone(),
            account: self.account.clone(),
            credentials: self.credentials.clone(),
            http: self.http.clone(),
            sdk,
            dialer: Arc::clone(&self.dialer),
            // AWS counts calls by region.
            pace: Arc::default(),
            ec2: OnceLock::new(),
            ssm: OnceLock::new(),
        }
    }

    /// The endpoint that every service is reached by, where one was chosen.
    pub fn endpoint_url(&self) -> Option<String> {
        self.settings
            .endpoint_url
            .clone()
            .or_else(|| self.sdk.endpoint_url().map(ToOwned::to_owned))
    }

    /// Partition, account and region. The account comes from the profile or the credentials where they tell
    /// it, else from GetCallerIdentity, once per access key.
    ///
    /// # Errors
    /// When there are no credentials, or AWS does not know them.
    pub async fn scope(&self) -> Result<Scope, ServiceError> {
        let account = self.account.get_or_try_init(|| account::find(self)).await?;
        Ok(Scope {
            partition: self.region.partition(),
            account: account.clone(),
            region: self.region.clone(),
        })
    }

    /// How the data channel dials: the same roots and proxies as the API calls.
    pub fn dialer(&self) -> Arc<Dialer> {
        Arc::clone(&self.dialer)
    }

    /// The EC2 client; for `inventory`.
    pub fn ec2(&self) -> &aws_sdk_ec2::Client {
        self.ec2.get_or_init(|| {
            let config = aws_sdk_ec2::config::Builder::from(&self.sdk)
                .interceptor(self.user_agent())
                .interceptor(Watch(self.credentials.clone()))
                .interceptor(Ear(Arc::clone(&self.pace)));
            aws_sdk_ec2::Client::from_conf(config.build())
        })
    }

    /// The SSM client; for `inventory`.
    pub fn ssm(&self) -> &aws_sdk_ssm::Client {
        self.ssm.get_or_init(|| {
            let mut config = aws_sdk_ssm::config::Builder::from(&self.sdk)
                .interceptor(self.user_agent())
                .interceptor(Watch(self.credentials.clone()))
                .interceptor(Ear(Arc::clone(&self.pace)));
            if let Some(url) = &self.settings.ssm_endpoint_url {
                config = config.endpoint_url(url);
            }
            aws_sdk_ssm::Client::from_conf(config.build())
        })
    }

    /// Waits until another call is due: listings must not throttle an account that others use too.
    pub async fn pace(&self) {
        self.pace.take().await;
    }

    fn user_agent(&self) -> UserAgent {
        UserAgent::new(&self.settings.command)
    }
}

/// How to dial where there is no [`Aws`] to ask: by the environment's roots and proxies.
pub fn dialer_by_environment() -> Arc<Dialer> {
    let roots = Arc::new(Roots::new(env::ca_bundle(), env::ssl_cert_file()));
    Arc::new(Dialer::new(roots, Proxies::from_lookup(env::lookup)))
}

fn choose_region(settings: &Settings, profile: &str, profiles: &Profiles) -> Result<Region, ServiceError> {
    let chosen = match &settings.region {
        Some(region) => return Ok(region.clone()),
        None => env::region().or_else(|| profiles.value(profile, "region").map(ToOwned::to_owned)),
    };
    match chosen {
        Some(text) => text.parse().map_err(|error: crate::ids::InvalidId| {
            ServiceError::local(ErrorKind::Region, error.to_string())
        }),
        None => {
            let with = profiles.with_region();
            let mut message =
                String::from("no region is chosen; name one with `--region`, `AWS_REGION` or the profile");
            if !with.is_empty() {
                message.push_str(&format!(" (profiles that have one: {})", with.join(", ")));
            }
            Err(ServiceError::local(ErrorKind::Region, message))
        }
    }
}
