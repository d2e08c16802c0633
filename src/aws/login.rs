//! Logging in to IAM Identity Center: by the browser of this machine (authorization code with PKCE), or by a
//! code that is typed in any browser. What comes of it is kept where the AWS CLI keeps it.

use std::time::{Duration, SystemTime};

use aws_sdk_ssooidc::Client;
use aws_sdk_ssooidc::operation::create_token::{CreateTokenError, CreateTokenOutput};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use tokio::time::{sleep, timeout};

use super::agent::UserAgent;
use super::credentials::plan::SsoLogin;
use super::credentials::sso_token::{Fresh, Place, seconds};
use super::credentials::time_text;
use super::credentials::turn::Turn;
use super::error::{ErrorKind, ServiceError};
use super::ground::{Ground, directories};
use super::profiles::Profiles;
use super::{Settings, endpoint};
use crate::ids::Region;
use crate::net::loopback::{Loopback, Reply};
use crate::secret::Secret;

/// How long a person has in the browser; AWS's own codes live as long.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// How often AWS is asked whether the person is done, where it does not say.
const INTERVAL: Duration = Duration::from_secs(5);
/// Added when AWS asks to be asked less often (RFC 8628).
const SLOWER: Duration = Duration::from_secs(5);
/// What a login is good for, where the session's section does not say.
const SCOPE: &str = "sso:account:access";
const CALLBACK: &str = "/oauth/callback";

/// How a person logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// In a browser on this machine, which comes back by itself.
    Browser,
    /// By typing a code, in any browser.
    Code,
}

/// What the person has to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'a> {
    /// A page to be opened on this machine.
    Open {
        /// The page.
        url: &'a str,
    },
    /// A page, and a code to type there.
    Code {
        /// The page.
        url: &'a str,
        /// The code.
        code: &'a str,
        /// The page with the code filled in.
        complete: Option<&'a str>,
    },
    /// Another process is logging in to the same.
    Waiting,
}

/// A login that worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedIn {
    /// What to, in words.
    pub title: String,
    /// Until when.
    pub until: Option<Timestamp>,
}

/// Logs in, whether or not somebody is logged in already. `guide` shows what the person has to do.
///
/// # Errors
/// When the person refuses or does not come back in time, and what AWS refuses.
pub async fn login(
    settings: &Settings,
    profiles: &Profiles,
    login: &SsoLogin,
    way: Way,
    guide: &(dyn Fn(&Step<'_>) + Sync),
) -> Result<LoggedIn, ServiceError> {
    let profile = settings.profile.as_ref().map(|choice| choice.name());
    let ground = Ground::lay(settings, profile, profiles, &login.region).await;
    let directories = directories(settings);
    let place = directories.sso_cache.map(|cache| Place::new(&cache, login));
    let place = place.ok_or_else(|| refused("there is no home directory to keep a login in"))?;
    let before = place.read().map(|token| token.expires);
    let _turn = Turn::take(directories.locks.as_deref(), place.name(), || {
        guide(&Step::Waiting)
    })
    .await;
    if let Some(other) = place.read().filter(|token| token.is_good(SystemTime::now()))
        && before != Some(other.expires)
    {
        return Ok(logged_in(login, other.expires));
    }
    let config =
        aws_sdk_ssooidc::config::Builder::from(&ground.sdk).interceptor(UserAgent::new(&settings.command));
    let flow = Flow {
        oidc: Client::from_conf(config.build()),
        endpoint: endpoint::chosen(settings, &ground.sdk, "sso-oidc"),
        login,
        guide,
    };
    let fresh = match way {
        Way::Browser => flow.by_browser().await?,
        Way::Code => flow.by_code().await?,
    };
    place.write(login, &fresh).map_err(|error| {
        ServiceError::local(
            ErrorKind::Other,
            format!("the login worked, but cannot be kept: {error}"),
        )
    })?;
    Ok(logged_in(login, fresh.expires))
}

fn logged_in(login: &SsoLogin, until: SystemTime) -> LoggedIn {
    LoggedIn {
        title: login.title(),
        until: Timestamp::try_from(until).ok(),
    }
}

fn refused(message: impl Into<String>) -> ServiceError {
    ServiceError::local(ErrorKind::Credentials, message)
}

struct Flow<'a> {
    oidc: Client,
    /// An endpoint that somebody chose.
    endpoint: Option<String>,
    login: &'a SsoLogin,
    guide: &'a (dyn Fn(&Step<'_>) + Sync),
}

/// This client, as AWS knows it from now on.
struct Registration {
    id: String,
    secret: Secret<String>,
    until: String,
}

impl Flow<'_> {
    fn scopes(&self) -> Vec<String> {
        match self.login.session {
            // Logins of the old kind know no scopes, and are not renewed.
            None => Vec::new(),
            Some(_) if self.login.scopes.is_empty() => vec![SCOPE.to_owned()],
            Some(_) => self.login.scopes.clone(),
        }
    }

    async fn register(&self, way: Way) -> Result<Registration, ServiceError> {
        const OPERATION: &str = "sso-oidc:RegisterClient";
        let scopes = Some(self.scopes()).filter(|scopes| !scopes.is_empty());
        let mut call = self
            .oidc
            .register_client()
            .client_name("ssmx")
            .client_type("public")
            .set_scopes(scopes);
        if way == Way::Browser {
            call = call
                .grant_types("authorization_code")
                .grant_types("refresh_token")
                .redirect_uris(format!("http://127.0.0.1{CALLBACK}"))
                .issuer_url(&self.login.start_url);
        }
        let answer = call
            .send()
            .await
            .map_err(|error| self.explain(ServiceError::from_sdk(OPERATION, error)))?;
        let until = u64::try_from(answer.client_secret_expires_at).unwrap_or(0);
        let until = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(until));
        Ok(Registration {
            id: answer.client_id.ok_or_else(|| lacking(OPERATION, "client id"))?,
            secret: answer
                .client_secret
                .ok_or_else(|| lacking(OPERATION, "client secret"))?
                .into(),
            until: until.map(time_text).unwrap_or_default(),
        })
    }

    /// A wrong start URL or region shows as a refused request.
    fn explain(&self, mut error: ServiceError) -> ServiceError {
        error
            .message
            .push_str(&format!(" ({} in {})", self.login.start_url, self.login.region));
        error
    }

    async fn by_code(&self) -> Result<Fresh, ServiceError> {
        const OPERATION: &str = "sso-oidc:StartDeviceAuthorization";
        let registration = self.register(Way::Code).await?;
        let call = self
            .oidc
            .start_device_authorization()
            .client_id(&registration.id)
            .client_secret(registration.secret.expose())
            .start_url(&self.login.start_url);
        let answer = call
            .send()
            .await
            .map_err(|error| self.explain(ServiceError::from_sdk(OPERATION, error)))?;
        let device = answer
            .device_code()
            .ok_or_else(|| lacking(OPERATION, "device code"))?;
        (self.guide)(&Step::Code {
            url: answer
                .verification_uri()
                .ok_or_else(|| lacking(OPERATION, "page to go to"))?,
            code: answer.user_code().ok_or_else(|| lacking(OPERATION, "code"))?,
            complete: answer.verification_uri_complete(),
        });
        let life = match answer.expires_in() {
            0 => PATIENCE,
            given => seconds(given),
        };
        let mut interval = match answer.interval() {
            0 => INTERVAL,
            given => seconds(given),
        };
        let polling = async {
            loop {
                sleep(interval).await;
                let call = self
                    .oidc
                    .create_token()
                    .grant_type("urn:ietf:params:oauth:grant-type:device_code")
                    .client_id(&registration.id)
                    .client_secret(registration.secret.expose())
                    .device_code(device);
                let error = match call.send().await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                };
                match error.as_service_error() {
                    Some(CreateTokenError::AuthorizationPendingException(_)) => {}
                    Some(CreateTokenError::SlowDownException(_)) => interval += SLOWER,
                    Some(CreateTokenError::ExpiredTokenException(_)) => return Err(too_late()),
                    Some(CreateTokenError::AccessDeniedException(_)) => return Err(declined()),
                    _ => return Err(ServiceError::from_sdk(CREATE_TOKEN, error)),
                }
            }
        };
        let answer = timeout(life, polling).await.unwrap_or_else(|_| Err(too_late()))?;
        fresh(answer, registration)
    }

    async fn by_browser(&self) -> Result<Fresh, ServiceError> {
        let page = Loopback::bind()
            .await
            .map_err(|error| refused(format!("no page for the browser to come back to: {error}")))?;
        let registration = self.register(Way::Browser).await?;
        let redirect = format!("http://127.0.0.1:{}{CALLBACK}", page.port());
        let (state, verifier) = (random(), random());
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose()));
        let scopes = self.scopes().join(" ");
        let query = endpoint::query(&[
            ("response_type", "code"),
            ("client_id", &registration.id),
            ("redirect_uri", &redirect),
            ("state", state.expose()),
            ("code_challenge_method", "S256"),
            ("scopes", &scopes),
            ("code_challenge", &challenge),
        ]);
        let own = || pages_of(&self.login.region);
        let base = self.endpoint.clone().unwrap_or_else(own);
        let url = format!("{}/authorize?{query}", base.trim_end_matches('/'));
        (self.guide)(&Step::Open { url: &url });
        let back = page.serve(|path| came_back(path, &state));
        let code = match timeout(PATIENCE, back).await {
            Ok(Ok(outcome)) => outcome?,
            Ok(Err(error)) => return Err(refused(format!("the browser cannot come back: {error}"))),
            Err(_) => return Err(too_late()),
        };
        let call = self
            .oidc
            .create_token()
            .grant_type("authorization_code")
            .client_id(&registration.id)
            .client_secret(registration.secret.expose())
            .code(code.expose())
            .code_verifier(verifier.expose())
            .redirect_uri(redirect);
        let answer = call
            .send()
            .await
            .map_err(|error| match error.as_service_error() {
                Some(CreateTokenError::AccessDeniedException(_)) => declined(),
                _ => ServiceError::from_sdk(CREATE_TOKEN, error),
            })?;
        fresh(answer, registration)
    }
}

const CREATE_TOKEN: &str = "sso-oidc:CreateToken";

/// What the browser brings back, by the path that it asks for.
fn came_back(path: &str, state: &Secret<String>) -> Reply<Result<Secret<String>, ServiceError>> {
    let Some(query) = path
        .strip_prefix(CALLBACK)
        .and_then(|rest| rest.strip_prefix('?'))
    else {
        return Reply::not_found();
    };
    let value = |name: &str| {
        let pair = query
            .split('&')
            .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))?;
        let spaced = pair.1.replace('+', " ");
        Some(
            percent_encoding::percent_decode_str(&spaced)
                .decode_utf8_lossy()
                .into_owned(),
        )
    };
    // Whoever does not know the state was not sent by us.
    if value("state").as_ref() != Some(state.expose()) {
        return Reply::not_found();
    }
    let (page, done) = match (value("code"), value("error")) {
        (Some(code), None) if !code.is_empty() => (
            "Logged in. You can close this page and go back to the terminal.".to_owned(),
            Ok(Secret::new(code)),
        ),
        (_, Some(error)) if error != "access_denied" => {
            let said = value("error_description").unwrap_or_default();
            let cause = format!("AWS answered the browser with {error} {said}")
                .trim_end()
                .to_owned();
            (
                "The login failed. The terminal says more.".to_owned(),
                Err(refused(cause)),
            )
        }
        _ => ("You are not logged in.".to_owned(), Err(declined())),
    };
    Reply {
        status: "200 OK",
        location: None,
        page,
        done: Some(done),
    }
}

fn fresh(answer: CreateTokenOutput, registration: Registration) -> Result<Fresh, ServiceError> {
    let access = answer.access_token.filter(|token| !token.is_empty());
    Ok(Fresh {
        access: access.ok_or_else(|| lacking(CREATE_TOKEN, "token"))?.into(),
        expires: SystemTime::now() + seconds(answer.expires_in),
        refresh: answer.refresh_token.map(Secret::new),
        client_id: registration.id,
        client_secret: registration.secret,
        registered_until: registration.until,
    })
}

/// 256 bits that nobody can guess, in letters that URLs take.
fn random() -> Secret<String> {
    let mut bytes = Vec::with_capacity(48);
    // A UUID of version 4 has 122 random bits.
    for _ in 0..3 {
        bytes.extend_from_slice(uuid::Uuid::new_v4().as_bytes());
    }
    Secret::new(URL_SAFE_NO_PAD.encode(Sha256::digest(&bytes)))
}

fn lacking(operation: &str, part: &str) -> ServiceError {
    let mut error = ServiceError::local(ErrorKind::Other, format!("the answer has no {part}"));
    error.operation = operation.to_owned();
    error
}

fn too_late() -> ServiceError {
    refused("nobody finished the login in time; the code is no longer good")
}

fn declined() -> ServiceError {
    refused("the login was refused in the browser")
}

/// Where the service has its pages for people, by the region of the login.
fn pages_of(region: &str) -> String {
    let suffix = region
        .parse::<Region>()
        .map_or("amazonaws.com", |region| region.partition().dns_suffix());
    format!("https://oidc.{region}.{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_pages() {
        for (region, pages) in [
            ("eu-west-1", "https://oidc.eu-west-1.amazonaws.com"),
            ("cn-north-1", "https://oidc.cn-north-1.amazonaws.com.cn"),
            ("us-gov-west-1", "https://oidc.us-gov-west-1.amazonaws.com"),
            ("eusc-de-east-1", "https://oidc.eusc-de-east-1.amazonaws.eu"),
        ] {
            assert_eq!(pages_of(region), pages);
        }
    }

    fn outcome(path: &str) -> Option<Result<String, String>> {
        let done = came_back(path, &String::from("s t").into()).done?;
        Some(
            done.map(|code| code.expose().clone())
                .map_err(|error| error.message),
        )
    }

    #[test]
    fn the_browser_is_believed_only_with_our_state() {
        assert_eq!(
            outcome("/oauth/callback?code=a%2Fb&state=s%20t"),
            Some(Ok("a/b".to_owned()))
        );
        assert_eq!(
            outcome("/oauth/callback?state=s+t&code=c"),
            Some(Ok("c".to_owned()))
        );
        for stranger in [
            "/",
            "/oauth/callback",
            "/oauth/callback?code=a",
            "/oauth/callback?code=a&state=other",
            "/oauth/callbackx?code=a&state=s+t",
        ] {
            assert_eq!(outcome(stranger), None, "{stranger}");
        }
        assert_eq!(
            outcome("/oauth/callback?error=access_denied&state=s+t"),
            Some(Err("the login was refused in the browser".to_owned()))
        );
        assert_eq!(
            outcome("/oauth/callback?error=server_error&error_description=sorry&state=s+t"),
            Some(Err("AWS answered the browser with server_error sorry".to_owned()))
        );
    }

    #[test]
    fn what_is_random_differs() {
        let one = random();
        assert_eq!(one.expose().len(), 43);
        assert_ne!(one, random());
    }
}
