//! IAM Identity Center and the federation endpoint: plain HTTP with JSON, without signatures.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, Response};
use jiff::SignedDuration;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Incoming;
use crate::scenario::{Consent, Portal};
use crate::world::World;
use crate::world::sign_in::{Grant, Kind, issue};

/// A request that is one of these, and its name in the list of calls.
pub(super) fn recognise(incoming: &Incoming) -> Option<&'static str> {
    match (&incoming.method, incoming.uri.path()) {
        (&Method::POST, "/client/register") => Some("sso-oidc:RegisterClient"),
        (&Method::POST, "/device_authorization") => Some("sso-oidc:StartDeviceAuthorization"),
        (&Method::GET, "/authorize") => Some("sso-oidc:Authorize"),
        (&Method::POST, "/token") => Some("sso-oidc:CreateToken"),
        (&Method::GET, "/federation/credentials") => Some("sso:GetRoleCredentials"),
        (&Method::GET | &Method::POST, "/federation") => Some("signin:Federation"),
        _ => None,
    }
}

/// How one of them fails.
struct Refusal {
    status: u16,
    code: &'static str,
    oauth: &'static str,
}

const fn refusal(status: u16, code: &'static str, oauth: &'static str) -> Refusal {
    Refusal { status, code, oauth }
}

const INVALID: Refusal = refusal(400, "InvalidRequestException", "invalid_request");
const CLIENT: Refusal = refusal(401, "InvalidClientException", "invalid_client");
const GRANT: Refusal = refusal(400, "InvalidGrantException", "invalid_grant");
const PENDING: Refusal = refusal(400, "AuthorizationPendingException", "authorization_pending");
const EXPIRED: Refusal = refusal(400, "ExpiredTokenException", "expired_token");
const DECLINED: Refusal = refusal(400, "AccessDeniedException", "access_denied");
const UNAUTHORIZED: Refusal = refusal(401, "UnauthorizedException", "");
const FORBIDDEN: Refusal = refusal(403, "ForbiddenException", "");

/// Answers one of them.
pub(super) fn answer(world: &World, incoming: &Incoming) -> Response<String> {
    let query: Vec<(String, String)> =
        form_urlencoded::parse(incoming.uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let asked = Asked {
        world,
        incoming,
        query,
        body: serde_json::from_slice(&incoming.body).unwrap_or_default(),
    };
    let result = match incoming.uri.path() {
        "/client/register" => Ok(asked.register()),
        "/device_authorization" => asked.device(),
        "/authorize" => return asked.authorize(),
        "/token" => asked.token(),
        "/federation/credentials" => asked.credentials(),
        _ => asked.federation(),
    };
    let (status, code, body) = match result {
        Ok(body) => (200, "", body),
        Err(refusal) => (
            refusal.status,
            refusal.code,
            json!({ "error": refusal.oauth, "error_description": refusal.code, "message": refusal.code }),
        ),
    };
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("x-amzn-errortype", code);
    response.body(body.to_string()).unwrap_or_default()
}

struct Asked<'a> {
    world: &'a World,
    incoming: &'a Incoming,
    query: Vec<(String, String)>,
    body: Value,
}

impl Asked<'_> {
    fn text(&self, name: &str) -> &str {
        self.body.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn queried(&self, name: &str) -> &str {
        let found = self.query.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    fn base(&self) -> String {
        let scheme = if self.incoming.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.incoming.header("host"))
    }

    fn portal(&self, start_url: &str) -> Option<(usize, &Portal)> {
        let mut portals = self.world.sign_in.portals.iter().enumerate();
        portals.find(|(_, portal)| portal.start_url == start_url)
    }

    fn grant(&self, name: &str, portal: usize, kind: Kind, seconds: i64) -> String {
        let until = self.world.now().checked_add(SignedDuration::from_secs(seconds));
        let grant = Grant {
            portal,
            kind,
            until: until.unwrap_or(jiff::Timestamp::MAX),
            asked: 0,
        };
        self.world.sign_in.grant(name, grant)
    }

    /// The issuer rides along in the client's id, as the real one does in its own way.
    fn register(&self) -> Value {
        let issuer = self.text("issuerUrl");
        json!({
            "clientId": format!("sandbox-client {issuer}"),
            "clientSecret": "sandbox-client-secret",
            "clientIdIssuedAt": self.world.now().as_second(),
            "clientSecretExpiresAt": self.world.now().as_second() + 90 * 86_400,
        })
    }

    fn checked_client(&self) -> Result<(), Refusal> {
        let known = self.text("clientId").starts_with("sandbox-client")
            && self.text("clientSecret") == "sandbox-client-secret";
        if known { Ok(()) } else { Err(CLIENT) }
    }

    fn device(&self) -> Result<Value, Refusal> {
        self.checked_client()?;
        let (index, portal) = self.portal(self.text("startUrl")).ok_or(INVALID)?;
        let seconds = portal.code_seconds.unwrap_or(600);
        let device = self.grant("device", index, Kind::Device, seconds);
        let page = format!("{}/start", self.base());
        Ok(json!({
            "deviceCode": device,
            "userCode": "ABCD-EFGH",
            "verificationUri": page,
            "verificationUriComplete": format!("{page}?user_code=ABCD-EFGH"),
            "expiresIn": seconds,
            "interval": 1,
        }))
    }

    /// The page where the person agrees: the sandbox's people decide at once.
    fn authorize(&self) -> Response<String> {
        let issuer = self.queried("client_id").trim_start_matches("sandbox-client ");
        let redirect = self.queried("redirect_uri");
        let state: String = form_urlencoded::byte_serialize(self.queried("state").as_bytes()).collect();
        let Some((index, portal)) = self.portal(issuer) else {
            return Response::builder()
                .status(400)
                .body(String::new())
                .unwrap_or_default();
        };
        let answer = match portal.consent {
            Consent::Refused => format!("{redirect}?error=access_denied&state={state}"),
            Consent::Never => return Response::new("nobody is here".to_owned()),
            Consent::Given => {
                let kind = Kind::Code {
                    challenge: self.queried("code_challenge").to_owned(),
                    redirect: redirect.to_owned(),
                };
                format!(
                    "{redirect}?code={}&state={state}",
                    self.grant("code", index, kind, 60)
                )
            }
        };
        let response = Response::builder().status(302).header("location", answer);
        response.body(String::new()).unwrap_or_default()
    }

    fn token(&self) -> Result<Value, Refusal> {
        self.checked_client()?;
        let given = match self.text("grantType") {
            "authorization_code" => self.text("code"),
            "refresh_token" => self.text("refreshToken"),
            _ => self.text("deviceCode"),
        };
        let grant = self.world.sign_in.look(given).ok_or(GRANT)?;
        if grant.until <= self.world.now() {
            return Err(EXPIRED);
        }
        let portal = self.world.sign_in.portals.get(grant.portal).ok_or(GRANT)?;
        match &grant.kind {
            Kind::Device => match portal.consent {
                Consent::Refused => return Err(DECLINED),
                Consent::Never => return Err(PENDING),
                Consent::Given if grant.asked <= portal.pending => return Err(PENDING),
                Consent::Given => {}
            },
            Kind::Code { challenge, redirect } => {
                let verified = URL_SAFE_NO_PAD.encode(Sha256::digest(self.text("codeVerifier")));
                if verified != *challenge || self.text("redirectUri") != redirect {
                    return Err(GRANT);
                }
            }
            Kind::Refresh => {}
            Kind::Access => return Err(GRANT),
        }
        self.world.sign_in.spend(given);
        let seconds = portal.token_seconds.unwrap_or(28_800);
        Ok(json!({
            "accessToken": self.grant("sandbox-sso-token", grant.portal, Kind::Access, seconds),
            "refreshToken": self.grant("sandbox-refresh-token", grant.portal, Kind::Refresh, 90 * 86_400),
            "tokenType": "Bearer",
            "expiresIn": seconds,
        }))
    }

    fn credentials(&self) -> Result<Value, Refusal> {
        let token = self.incoming.header("x-amz-sso_bearer_token");
        let grant = self.world.sign_in.look(token).ok_or(UNAUTHORIZED)?;
        if grant.kind != Kind::Access || grant.until <= self.world.now() {
            return Err(UNAUTHORIZED);
        }
        let portal = self.world.sign_in.portals.get(grant.portal).ok_or(UNAUTHORIZED)?;
        let (account, name) = (self.queried("account_id"), self.queried("role_name"));
        let has = portal
            .roles
            .iter()
            .any(|role| role.account == account && role.name == name);
        if !has {
            return Err(FORBIDDEN);
        }
        let arn = format!(
            "arn:aws:iam::{account}:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_{name}_0123456789abcdef"
        );
        let issued = issue(self.world, &arn, &portal.user, 3600);
        Ok(json!({ "roleCredentials": {
            "accessKeyId": issued.key,
            "secretAccessKey": issued.secret,
            "sessionToken": issued.session_token,
            "expiration": issued.expires.map(|end| end.as_millisecond()),
        }}))
    }

    /// A token for signing in to the console, for temporary credentials that the sandbox knows.
    fn federation(&self) -> Result<Value, Refusal> {
        if self.queried("Action") != "getSigninToken" {
            return Err(INVALID);
        }
        let session: Value = serde_json::from_str(self.queried("Session")).map_err(|_| INVALID)?;
        let text = |name: &str| session.get(name).and_then(Value::as_str).unwrap_or_default();
        let identity = self.world.identity(text("sessionId")).ok_or(INVALID)?;
        let fits = identity.secret == text("sessionKey")
            && identity.session_token.as_deref() == Some(text("sessionToken"));
        let is_good = identity.expires.is_none_or(|end| end > self.world.now());
        if fits && is_good {
            Ok(json!({ "SigninToken": format!("sandbox-signin-{}", identity.key) }))
        } else {
            Err(INVALID)
        }
    }
}
