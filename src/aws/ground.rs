//! What every call stands on: region, endpoints, retries, patience and the HTTP client, without credentials.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};

use super::agent::UserAgent;
use super::credentials::Directories;
use super::http::Http;
use super::profiles::Profiles;
use super::{Settings, env};
use crate::net::Roots;

/// How often a call is tried where nobody says otherwise; 3 is the SDK's, which a busy account outlasts.
const ATTEMPTS: u32 = 4;

pub(super) struct Ground {
    pub(super) sdk: SdkConfig,
    /// The same for the SDK's own credential providers.
    pub(super) provider: ProviderConfig,
    pub(super) http: Http,
    pub(super) roots: Arc<Roots>,
}

impl Ground {
    /// For one profile's settings in one region. Nothing is asked of anybody.
    pub(super) async fn lay(
        settings: &Settings,
        profile: Option<&str>,
        profiles: &Profiles,
        region: &str,
    ) -> Self {
        let effective = profile.unwrap_or("default");
        let ca_bundle = settings
            .ca_bundle
            .clone()
            .or_else(env::ca_bundle)
            .or_else(|| profiles.value(effective, "ca_bundle").map(PathBuf::from));
        let roots = Arc::new(Roots::new(ca_bundle, env::ssl_cert_file()));
        let http = Http::new(Arc::clone(&roots), &UserAgent::new(&settings.command));
        let retries = RetryConfig::standard().with_max_attempts(attempts(effective, profiles));
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(8))
            .operation_attempt_timeout(Duration::from_secs(30))
            .operation_timeout(Duration::from_secs(90))
            .build();
        let region = aws_config::Region::new(region.to_owned());
        let provider = ProviderConfig::without_region()
            .with_region(Some(region.clone()))
            .with_http_client(http.client())
            .with_retry_config(retries.clone());
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(region)
            .retry_config(retries)
            .timeout_config(timeouts)
            .http_client(http.client())
            // What `Kept` holds is all that is held: the SDK's own cache gives a person five seconds.
            .identity_cache(IdentityCache::no_cache())
            .no_credentials();
        if let Some(name) = profile {
            loader = loader.profile_name(name);
        }
        if let Some(url) = &settings.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        Self {
            sdk: loader.load().await,
            provider,
            http,
            roots,
        }
    }
}

/// How often a call is tried. What the SDK would panic on is passed over.
fn attempts(profile: &str, profiles: &Profiles) -> u32 {
    let told = || {
        let text = profiles.value(profile, "max_attempts")?;
        text.trim().parse().ok().filter(|attempts| *attempts > 0)
    };
    env::max_attempts().or_else(told).unwrap_or(ATTEMPTS)
}

/// Where the AWS CLI keeps what it was given, and where we take turns.
pub(super) fn directories(settings: &Settings) -> Directories {
    Directories {
        cli_cache: env::home().map(|home| home.join(".aws/cli/cache")),
        sso_cache: env::home().map(|home| home.join(".aws/sso/cache")),
        locks: settings.cache.clone(),
    }
}
