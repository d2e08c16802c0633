//! The token of an SSO login, where the AWS CLI keeps it (`~/.aws/sso/cache`): read, renewed, kept.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use serde_json::{Map, Value, json};
use sha1::{Digest as _, Sha1};

use super::super::agent::UserAgent;
use super::super::error::{ErrorKind, ServiceError};
use super::cli_cache::{hex, time, time_text};
use super::plan::SsoLogin;
use super::private_file;
use crate::private;
use crate::secret::Secret;

/// Renewed this long before it expires, as the AWS CLI does.
const RENEW_BEFORE: Duration = Duration::from_secs(15 * 60);

/// What a login left behind.
#[derive(Debug, Clone)]
pub(in super::super) struct Token {
    /// The bearer's token.
    pub(in super::super) access: Secret<String>,
    /// Until when it is good.
    pub(in super::super) expires: SystemTime,
    /// What renews it; `None` for logins of the old kind.
    renewal: Option<Renewal>,
    /// What has to be told: the file was open to others.
    pub(in super::super) warning: Option<String>,
}

#[derive(Debug, Clone)]
struct Renewal {
    client_id: String,
    client_secret: Secret<String>,
    refresh: Secret<String>,
    /// When our registration ends, as it was written.
    registered_until: String,
}

/// Where a login's token is.
#[derive(Debug, Clone)]
pub(in super::super) struct Place {
    file: PathBuf,
}

impl Place {
    /// By the session's name, or the start URL of logins of the old kind.
    pub(in super::super) fn new(directory: &Path, login: &SsoLogin) -> Self {
        let name = hex(&Sha1::digest(login.key()));
        Self {
            file: directory.join(format!("{name}.json")),
        }
    }

    /// The key, for a lock of the same name.
    pub(in super::super) fn name(&self) -> Option<&str> {
        self.file.file_stem()?.to_str()
    }

    /// The token, expired or not. A file that is damaged or half written is as good as none.
    pub(in super::super) fn read(&self) -> Option<Token> {
        let (text, warning) = private_file::read(&self.file).ok()?;
        let value: Value = serde_json::from_slice(text.expose()).ok()?;
        let text = |key: &str| {
            value
                .get(key)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        let renewal = || {
            Some(Renewal {
                client_id: text("clientId")?.to_owned(),
                client_secret: text("clientSecret")?.to_owned().into(),
                refresh: text("refreshToken")?.to_owned().into(),
                registered_until: text("registrationExpiresAt")?.to_owned(),
            })
        };
        Some(Token {
            access: text("accessToken")?.to_owned().into(),
            expires: time(text("expiresAt")?)?,
            renewal: renewal(),
            warning,
        })
    }

    /// Keeps a token in the AWS CLI's format.
    ///
    /// # Errors
    /// The file system's.
    pub(in super::super) fn write(&self, login: &SsoLogin, fresh: &Fresh) -> std::io::Result<()> {
        let mut whole = Map::new();
        let mut put = |key: &str, value: &str| whole.insert(key.to_owned(), json!(value));
        put("startUrl", &login.start_url);
        put("region", &login.region);
        put("accessToken", fresh.access.expose());
        put("expiresAt", &time_text(fresh.expires));
        put("clientId", &fresh.client_id);
        put("clientSecret", fresh.client_secret.expose());
        put("registrationExpiresAt", &fresh.registered_until);
        if let Some(refresh) = &fresh.refresh {
            put("refreshToken", refresh.expose());
        }
        let text = Secret::new(Value::Object(whole).to_string());
        private::replace_durably(&self.file, text.expose().as_bytes())
    }
}

/// A token just had, with all that renewing it will want.
pub(in super::super) struct Fresh {
    pub(in super::super) access: Secret<String>,
    pub(in super::super) expires: SystemTime,
    pub(in super::super) refresh: Option<Secret<String>>,
    pub(in super::super) client_id: String,
    pub(in super::super) client_secret: Secret<String>,
    pub(in super::super) registered_until: String,
}

impl Token {
    /// Whether a call can be made with it.
    pub(in super::super) fn is_good(&self, now: SystemTime) -> bool {
        self.expires > now
    }

    /// Whether it can be renewed without a person.
    pub(in super::super) fn is_renewable(&self, now: SystemTime) -> bool {
        let renewal = self.renewal.as_ref();
        renewal
            .and_then(|renewal| time(&renewal.registered_until))
            .is_some_and(|until| until > now)
    }
}

/// A token that is good: the one at its place, or a renewed one.
///
/// # Errors
/// [`ErrorKind::LoginNeeded`] when a person has to log in.
pub(in super::super) async fn good_token(
    place: &Place,
    login: &SsoLogin,
    sdk: &SdkConfig,
    agent: UserAgent,
) -> Result<Token, ServiceError> {
    let now = SystemTime::now();
    let token = place.read().ok_or_else(|| absent(login))?;
    let is_late = token
        .expires
        .checked_sub(RENEW_BEFORE)
        .is_none_or(|late| late <= now);
    let Some(renewal) = token
        .renewal
        .as_ref()
        .filter(|_| is_late && token.is_renewable(now))
    else {
        return if token.is_good(now) {
            Ok(token)
        } else {
            Err(expired(login, &token))
        };
    };
    match renew(renewal, login, sdk, agent).await {
        Ok(fresh) => {
            if let Err(error) = place.write(login, &fresh) {
                tracing::warn!(%error, file = %place.file.display(), "the renewed SSO login is not kept");
            }
            Ok(Token {
                access: fresh.access,
                expires: fresh.expires,
                renewal: None,
                warning: token.warning,
            })
        }
        Err(_) if token.is_good(now) => Ok(token),
        Err(error) => {
            // Another process may have renewed it with the refresh token that we found used up.
            let other = place.read().filter(|other| other.is_good(now));
            let denied = !matches!(error.kind, ErrorKind::Unreachable);
            other.ok_or_else(|| if denied { expired(login, &token) } else { error })
        }
    }
}

/// Whether a person has to log in before anything else can be done; the network is not asked.
pub(in super::super) fn check(
    place: &Place,
    login: &SsoLogin,
    now: SystemTime,
) -> Result<Option<String>, ServiceError> {
    let token = place.read().ok_or_else(|| absent(login))?;
    if token.is_good(now) || token.is_renewable(now) {
        Ok(token.warning)
    } else {
        Err(expired(login, &token))
    }
}

async fn renew(
    renewal: &Renewal,
    login: &SsoLogin,
    sdk: &SdkConfig,
    agent: UserAgent,
) -> Result<Fresh, ServiceError> {
    const OPERATION: &str = "sso-oidc:CreateToken";
    let region = aws_config::Region::new(login.region.clone());
    let config = aws_sdk_ssooidc::config::Builder::from(sdk)
        .region(region)
        .interceptor(agent);
    let oidc = aws_sdk_ssooidc::Client::from_conf(config.build());
    let call = oidc
        .create_token()
        .grant_type("refresh_token")
        .client_id(&renewal.client_id)
        .client_secret(renewal.client_secret.expose())
        .refresh_token(renewal.refresh.expose());
    let answer = call
        .send()
        .await
        .map_err(|error| ServiceError::from_sdk(OPERATION, error))?;
    let access = answer.access_token.filter(|token| !token.is_empty());
    let access = access.ok_or_else(|| {
        let mut error = ServiceError::local(ErrorKind::Other, "the answer has no token");
        error.operation = OPERATION.to_owned();
        error
    })?;
    Ok(Fresh {
        access: access.into(),
        expires: SystemTime::now() + seconds(answer.expires_in),
        refresh: answer
            .refresh_token
            .map(Secret::new)
            .or_else(|| Some(renewal.refresh.clone())),
        client_id: renewal.client_id.clone(),
        client_secret: renewal.client_secret.clone(),
        registered_until: renewal.registered_until.clone(),
    })
}

/// What AWS gives as a number of seconds.
pub(in super::super) fn seconds(count: i32) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0))
}

fn absent(login: &SsoLogin) -> ServiceError {
    ServiceError::local(
        ErrorKind::LoginNeeded,
        format!("nobody is logged in to {}", login.title()),
    )
}

fn expired(login: &SsoLogin, token: &Token) -> ServiceError {
    ServiceError::local(
        ErrorKind::LoginNeeded,
        format!(
            "the login to {} expired at {}",
            login.title(),
            time_text(token.expires)
        ),
    )
}
