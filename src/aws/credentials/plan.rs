//! How a profile's credentials are come by, read off AWS's files before anything is asked of anybody. The
//! rules are version 2 of the AWS CLI's.

use super::super::error::{ErrorKind, ServiceError};
use super::super::profiles::Profiles;
use super::super::{ProfileChoice, env};
use super::keys::Keys;

/// The way to credentials: something to start from, then roles, each assumed with the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where the first credentials come from.
    pub base: Base,
    /// The roles, in the order in which they are assumed.
    pub roles: Vec<Role>,
}

/// Where the first credentials come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Keys in the environment.
    Environment,
    /// Keys in AWS's files.
    Keys(Keys),
    /// A program that prints them.
    Process {
        /// The profile that names it.
        profile: String,
        /// Its words.
        command: String,
    },
    /// A role for the bearer of a token in a file.
    WebIdentity(WebIdentity),
    /// A permission set of IAM Identity Center.
    Sso(SsoRole),
    /// What `aws login` left.
    Login {
        /// The profile.
        profile: String,
        /// The ARN that `aws login` was for.
        session: String,
    },
    /// The container's role.
    Container,
    /// The machine's role.
    Machine,
    /// Nobody chose: the container's role, else the machine's.
    Surroundings,
}

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// The profile that names it.
    pub profile: String,
    /// Its ARN.
    pub arn: String,
    /// `role_session_name`.
    pub session_name: Option<String>,
    /// `external_id`.
    pub external_id: Option<String>,
    /// The device whose one-time code is wanted.
    pub mfa_serial: Option<String>,
    /// `duration_seconds`.
    pub duration: Option<i32>,
}

/// A role for the bearer of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebIdentity {
    /// The profile, or `None` where the environment says it all.
    pub profile: Option<String>,
    /// The role's ARN.
    pub arn: String,
    /// The file that holds the token.
    pub token_file: String,
    /// `role_session_name`.
    pub session_name: Option<String>,
}

/// An SSO login: by an `[sso-session]` or, the old way, by the profile itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsoLogin {
    /// The `[sso-session]`'s name.
    pub session: Option<String>,
    /// Where people log in.
    pub start_url: String,
    /// The region of IAM Identity Center.
    pub region: String,
    /// What the login is good for.
    pub scopes: Vec<String>,
}

/// A permission set in an account, by an SSO login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsoRole {
    /// The profile.
    pub profile: String,
    /// The login.
    pub login: SsoLogin,
    /// The account.
    pub account: String,
    /// The permission set's name.
    pub role: String,
}

/// What the environment says of credentials.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `AWS_ACCESS_KEY_ID` is there.
    pub access_key: bool,
    /// `AWS_SECRET_ACCESS_KEY` is there.
    pub secret_key: bool,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE`.
    pub token_file: Option<String>,
    /// `AWS_ROLE_ARN`.
    pub role_arn: Option<String>,
    /// `AWS_ROLE_SESSION_NAME`.
    pub session_name: Option<String>,
}

impl Surroundings {
    /// Looks at the environment.
    pub fn look() -> Self {
        Self {
            access_key: env::lookup("AWS_ACCESS_KEY_ID").is_some(),
            secret_key: env::lookup("AWS_SECRET_ACCESS_KEY").is_some(),
            token_file: env::lookup("AWS_WEB_IDENTITY_TOKEN_FILE"),
            role_arn: env::lookup("AWS_ROLE_ARN"),
            session_name: env::lookup("AWS_ROLE_SESSION_NAME"),
        }
    }
}

impl Plan {
    /// The way to the credentials of the chosen profile, or to ambient ones.
    ///
    /// # Errors
    /// When the files contradict themselves, name what is not there, or go in a circle.
    pub fn make(
        profiles: &Profiles,
        choice: Option<&ProfileChoice>,
        surroundings: &Surroundings,
    ) -> Result<Self, ServiceError> {
        let is_explicit = matches!(choice, Some(ProfileChoice::Explicit(_)));
        if !is_explicit && surroundings.access_key {
            if !surroundings.secret_key {
                return Err(unusable(
                    "`AWS_ACCESS_KEY_ID` is set without `AWS_SECRET_ACCESS_KEY`",
                ));
            }
            return Ok(Self::of(Base::Environment));
        }
        let profile = choice.map_or("default", ProfileChoice::name);
        let from_environment = (!is_explicit).then_some(surroundings);
        let plan = Reader { profiles }.chain(profile, from_environment, &mut Vec::new())?;
        Ok(plan.unwrap_or_else(|| Self::of(Base::Surroundings)))
    }

    fn of(base: Base) -> Self {
        Self {
            base,
            roles: Vec::new(),
        }
    }

    /// The account that the credentials will belong to, where the plan tells for certain. `aws_account_id` does
    /// not: keys may have been changed beside it.
    pub fn account(&self) -> Option<&str> {
        match (self.roles.last(), &self.base) {
            (Some(role), _) => account_of(&role.arn),
            (None, Base::WebIdentity(identity)) => account_of(&identity.arn),
            (None, Base::Sso(sso)) => Some(&sso.account),
            (None, Base::Login { session, .. }) => account_of(session),
            _ => None,
        }
    }

    /// Whether the official plugin, which knows profiles but no people, can have these credentials by itself.
    pub fn suits_the_plugin(&self) -> bool {
        let asks = self.roles.iter().any(|role| role.mfa_serial.is_some());
        !asks && !matches!(self.base, Base::Login { .. })
    }

    /// Where the credentials come from, for people: the last step first.
    pub fn story(&self) -> String {
        let base = match &self.base {
            Base::Environment => "keys in the environment".to_owned(),
            Base::Keys(Keys { profile, .. }) => format!("keys of the profile `{profile}`"),
            Base::Process { profile, .. } => format!("`credential_process` of the profile `{profile}`"),
            Base::WebIdentity(identity) => {
                format!("role {} by the token in `{}`", identity.arn, identity.token_file)
            }
            Base::Sso(sso) => format!("permission set {} by {}", sso.role, sso.login.title()),
            Base::Login { profile, .. } => format!("`aws login` of the profile `{profile}`"),
            Base::Container => "the container's role".to_owned(),
            Base::Machine => "the machine's role".to_owned(),
            Base::Surroundings => "the container's or the machine's role".to_owned(),
        };
        let mut steps = vec![base];
        for role in &self.roles {
            let mfa = if role.mfa_serial.is_some() {
                ", with MFA"
            } else {
                ""
            };
            steps.push(format!(
                "role {} of the profile `{}`{mfa}",
                role.arn, role.profile
            ));
        }
        steps.reverse();
        steps.join(", from ")
    }
}

impl SsoLogin {
    /// What the AWS CLI's cache of logins knows it by.
    pub fn key(&self) -> &str {
        self.session.as_deref().unwrap_or(&self.start_url)
    }

    /// For people.
    pub fn title(&self) -> String {
        match &self.session {
            Some(session) => format!("the SSO session `{session}`"),
            None => format!("SSO at {}", self.start_url),
        }
    }
}

fn account_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(4).filter(|account| !account.is_empty())
}

pub(super) fn unusable(message: impl Into<String>) -> ServiceError {
    ServiceError::local(ErrorKind::Credentials, message)
}

struct Reader<'a> {
    profiles: &'a Profiles,
}

impl Reader<'_> {
    fn value(&self, profile: &str, key: &str) -> Option<String> {
        self.profiles.trimmed(profile, key)
    }

    fn has_keys(&self, profile: &str) -> bool {
        self.value(profile, "aws_access_key_id").is_some()
            || self.value(profile, "aws_secret_access_key").is_some()
    }

    /// `None`: the profile says nothing of credentials.
    fn chain(
        &self,
        profile: &str,
        environment: Option<&Surroundings>,
        visited: &mut Vec<String>,
    ) -> Result<Option<Plan>, ServiceError> {
        let is_role = self.value(profile, "role_arn").is_some()
            && self.value(profile, "web_identity_token_file").is_none();
        // A source with keys of its own is used for these, whatever role it also names.
        let is_source = !visited.is_empty();
        if !is_role || (is_source && self.has_keys(profile)) {
            return Ok(self.base(profile, environment)?.map(Plan::of));
        }
        let role = self.role(profile);
        visited.push(profile.to_owned());
        let mut plan = match (
            self.value(profile, "source_profile"),
            self.value(profile, "credential_source"),
        ) {
            (Some(_), Some(_)) => {
                return Err(unusable(format!(
                    "the AWS profile `{profile}` has both `source_profile` and `credential_source`; expected one of them"
                )));
            }
            (None, None) => {
                return Err(unusable(format!(
                    "the AWS profile `{profile}` has `role_arn`, but neither `source_profile` nor `credential_source` says with which credentials to assume it"
                )));
            }
            (None, Some(source)) => Plan::of(named(profile, &source)?),
            (Some(source), None) => self.source(profile, &source, visited)?,
        };
        plan.roles.push(role);
        Ok(Some(plan))
    }

    fn source(&self, profile: &str, source: &str, visited: &mut Vec<String>) -> Result<Plan, ServiceError> {
        self.profiles.check(source).map_err(|error| {
            unusable(format!(
                "the AWS profile `{profile}` names `{source}` as its `source_profile`: {}",
                error.message
            ))
        })?;
        let uses_own_keys = source == profile && self.has_keys(profile);
        if visited.iter().any(|known| known == source) && !uses_own_keys {
            visited.push(source.to_owned());
            return Err(unusable(format!(
                "the `source_profile` of AWS profiles goes in a circle: {}",
                visited.join(" → ")
            )));
        }
        self.chain(source, None, visited)?.ok_or_else(|| {
            unusable(format!(
                "the AWS profile `{profile}` takes its credentials from `{source}`, which has none"
            ))
        })
    }

    fn role(&self, profile: &str) -> Role {
        let value = |key| self.value(profile, key);
        Role {
            profile: profile.to_owned(),
            arn: value("role_arn").unwrap_or_default(),
            session_name: value("role_session_name"),
            external_id: value("external_id"),
            mfa_serial: value("mfa_serial"),
            // The AWS CLI passes over one that is no number.
            duration: value("duration_seconds").and_then(|seconds| seconds.parse().ok()),
        }
    }

    fn base(&self, profile: &str, environment: Option<&Surroundings>) -> Result<Option<Base>, ServiceError> {
        let value = |key| self.value(profile, key);
        if let Some(identity) = self.web_identity(profile, environment)? {
            return Ok(Some(Base::WebIdentity(identity)));
        }
        if value("sso_account_id").is_some() || value("sso_role_name").is_some() {
            return self.sso(profile).map(|role| Some(Base::Sso(role)));
        }
        let profile = profile.to_owned();
        // As in the AWS CLI: keys of the credentials file, `aws login`, a program, keys of the config file.
        let keys_come_first = self.profiles.in_credentials_file(&profile, "aws_access_key_id")
            || (value("login_session").is_none() && value("credential_process").is_none());
        if keys_come_first && let Some(keys) = Keys::of(self.profiles, &profile)? {
            return Ok(Some(Base::Keys(keys)));
        }
        if let Some(session) = value("login_session") {
            return Ok(Some(Base::Login { profile, session }));
        }
        Ok(value("credential_process").map(|command| Base::Process { profile, command }))
    }

    /// The environment's words beat the profile's, one by one, as in the AWS CLI.
    fn web_identity(
        &self,
        profile: &str,
        environment: Option<&Surroundings>,
    ) -> Result<Option<WebIdentity>, ServiceError> {
        let empty = Surroundings::default();
        let environment = environment.unwrap_or(&empty);
        let either = |told: &Option<String>, key| told.clone().or_else(|| self.value(profile, key));
        let Some(token_file) = either(&environment.token_file, "web_identity_token_file") else {
            return Ok(None);
        };
        let by_environment = environment.token_file.is_some();
        let arn = either(&environment.role_arn, "role_arn").ok_or_else(|| {
            unusable(if by_environment {
                "`AWS_WEB_IDENTITY_TOKEN_FILE` is set without `AWS_ROLE_ARN`".to_owned()
            } else {
                format!("the AWS profile `{profile}` has `web_identity_token_file` without `role_arn`")
            })
        })?;
        Ok(Some(WebIdentity {
            profile: (!by_environment).then(|| profile.to_owned()),
            arn,
            token_file,
            session_name: either(&environment.session_name, "role_session_name"),
        }))
    }

    fn sso(&self, profile: &str) -> Result<SsoRole, ServiceError> {
        let lacking = |key: &str| {
            unusable(format!(
                "the AWS profile `{profile}` is one of SSO, but has no `{key}`"
            ))
        };
        Ok(SsoRole {
            profile: profile.to_owned(),
            login: self
                .profiles
                .sso_login(profile)?
                .ok_or_else(|| lacking("sso_session"))?,
            account: self
                .value(profile, "sso_account_id")
                .ok_or_else(|| lacking("sso_account_id"))?,
            role: self
                .value(profile, "sso_role_name")
                .ok_or_else(|| lacking("sso_role_name"))?,
        })
    }
}

fn named(profile: &str, source: &str) -> Result<Base, ServiceError> {
    match source.to_ascii_lowercase().as_str() {
        "environment" => Ok(Base::Environment),
        "ecscontainer" => Ok(Base::Container),
        "ec2instancemetadata" => Ok(Base::Machine),
        _ => Err(unusable(format!(
            "the AWS profile `{profile}` has `credential_source = {source}`; expected Environment, EcsContainer or Ec2InstanceMetadata"
        ))),
    }
}
