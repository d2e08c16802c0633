//! The AWS CLI's cache of temporary credentials (`~/.aws/cli/cache`), in its own format and under its own
//! keys, so that one prompt serves both tools.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use serde_json::{Map, Value, json};
use sha1::{Digest as _, Sha1};

use super::plan::{Role, SsoRole, WebIdentity};
use super::private_file;
use crate::private;
use crate::secret::Secret;

/// Credentials that expire sooner are not taken out: they should outlive the command.
const MARGIN: Duration = Duration::from_secs(5 * 60);
/// The same where renewing costs a person a one-time code.
const MARGIN_WITH_CODE: Duration = Duration::from_secs(60);

/// One place in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    /// The file, `None` where there is no home directory.
    file: Option<PathBuf>,
    margin: Duration,
}

/// What a slot holds.
#[derive(Debug, Clone)]
pub(super) struct Cached {
    /// The credentials.
    pub(super) credentials: Credentials,
    /// The ARN of the assumed role, whose last part is the session's name.
    pub(super) arn: Option<String>,
    /// What has to be told: the file was open to others.
    pub(super) warning: Option<String>,
}

impl Slot {
    /// The slot of an assumed role.
    pub(super) fn of_role(directory: Option<&PathBuf>, role: &Role) -> Self {
        let margin = match role.mfa_serial {
            Some(_) => MARGIN_WITH_CODE,
            None => MARGIN,
        };
        Self::new(directory, &python_json(&role_arguments(role), ", ", ": "), margin)
    }

    /// The slot of a role for the bearer of a token.
    pub(super) fn of_web_identity(
        directory: Option<&PathBuf>,
        identity: &WebIdentity,
        token: &Secret<String>,
    ) -> Self {
        let mut arguments = vec![("RoleArn", json!(identity.arn))];
        if let Some(name) = &identity.session_name {
            arguments.push(("RoleSessionName", json!(name)));
        }
        // Two who bear different tokens are two people, though both may have the role.
        arguments.push(("WebIdentityToken", json!(token.expose())));
        Self::new(directory, &python_json(&arguments, ", ", ": "), MARGIN)
    }

    /// The slot of a permission set.
    pub(super) fn of_sso(directory: Option<&PathBuf>, role: &SsoRole) -> Self {
        let login = match &role.login.session {
            Some(session) => ("sessionName", json!(session)),
            None => ("startUrl", json!(role.login.start_url)),
        };
        let arguments = [
            ("accountId", json!(role.account)),
            ("roleName", json!(role.role)),
            login,
        ];
        Self::new(directory, &python_json(&arguments, ",", ":"), MARGIN)
    }

    fn new(directory: Option<&PathBuf>, arguments: &str, margin: Duration) -> Self {
        let name = hex(&Sha1::digest(arguments));
        Self {
            file: directory.map(|directory| directory.join(format!("{name}.json"))),
            margin,
        }
    }

    /// The key, for a lock of the same name.
    pub(super) fn name(&self) -> Option<&str> {
        self.file.as_ref()?.file_stem()?.to_str()
    }

    /// Credentials that are still good for a while. A file that is damaged, half written or of another tool is
    /// as good as none.
    pub(super) fn read(&self, now: SystemTime) -> Option<Cached> {
        let file = self.file.as_deref()?;
        let (text, warning) = private_file::read(file).ok()?;
        let value: Value = serde_json::from_slice(text.expose()).ok()?;
        let (credentials, arn) = parse(&value)?;
        let good_until = credentials.expiry()?.checked_sub(self.margin)?;
        (good_until > now).then_some(Cached {
            credentials,
            arn,
            warning,
        })
    }

    /// Keeps credentials for the next run and for the AWS CLI.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn write(&self, credentials: &Credentials, kind: &Kind) -> std::io::Result<()> {
        let (Some(file), Some(expiry)) = (self.file.as_deref(), credentials.expiry()) else {
            return Ok(());
        };
        let mut entry = json!({
            "AccessKeyId": credentials.access_key_id(),
            "SecretAccessKey": credentials.secret_access_key(),
            "SessionToken": credentials.session_token().unwrap_or_default(),
            "Expiration": time_text(expiry),
        });
        if let (Some(account), Some(entry)) = (credentials.account_id(), entry.as_object_mut()) {
            entry.insert("AccountId".to_owned(), json!(account.as_str()));
        }
        let mut whole = Map::new();
        match kind {
            Kind::Sso => {
                whole.insert("ProviderType".to_owned(), json!("sso"));
                whole.insert("Credentials".to_owned(), entry);
            }
            Kind::Assumed { id, arn } => {
                whole.insert("Credentials".to_owned(), entry);
                let user = json!({ "AssumedRoleId": id, "Arn": arn });
                whole.insert("AssumedRoleUser".to_owned(), user);
            }
        }
        private::replace_durably(file, Value::Object(whole).to_string().as_bytes())
    }
}

/// What is kept beside the credentials.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// Of AssumeRole and its kin.
    Assumed {
        /// `AssumedRoleId`.
        id: String,
        /// The assumed role's ARN.
        arn: String,
    },
    /// Of IAM Identity Center.
    Sso,
}

/// What botocore hashes of an AssumeRole call. A session name that it made up is left out; so is ours.
fn role_arguments(role: &Role) -> Vec<(&'static str, Value)> {
    let mut arguments = Vec::new();
    // In the order that Python's `sort_keys` gives.
    if let Some(seconds) = role.duration {
        arguments.push(("DurationSeconds", json!(seconds)));
    }
    if let Some(id) = &role.external_id {
        arguments.push(("ExternalId", json!(id)));
    }
    arguments.push(("RoleArn", json!(role.arn)));
    if let Some(name) = &role.session_name {
        arguments.push(("RoleSessionName", json!(name)));
    }
    if let Some(serial) = &role.mfa_serial {
        arguments.push(("SerialNumber", json!(serial)));
    }
    arguments
}

/// A flat object as Python's `json.dumps` writes it: the hash of this very text is the file's name.
pub(super) fn python_json(members: &[(&str, Value)], comma: &str, colon: &str) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(key, value)| ascii(&json!(key).to_string()) + colon + &ascii(&value.to_string()))
        .collect();
    format!("{{{}}}", members.join(comma))
}

/// Python escapes all that is not printable ASCII.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if (' '..='~').contains(&c) {
            text.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse(value: &Value) -> Option<(Credentials, Option<String>)> {
    let entry = value.get("Credentials")?;
    let text = |key: &str| entry.get(key)?.as_str().filter(|text| !text.is_empty());
    let mut credentials = Credentials::builder()
        .access_key_id(text("AccessKeyId")?)
        .secret_access_key(text("SecretAccessKey")?)
        .session_token(text("SessionToken")?)
        .expiry(time(text("Expiration")?)?)
        .provider_name("AWS CLI cache");
    let arn = value
        .pointer("/AssumedRoleUser/Arn")
        .and_then(Value::as_str)
        .map(ToOwned::to_owned);
    let account = text("AccountId").or_else(|| arn.as_deref()?.split(':').nth(4));
    if let Some(account) = account {
        credentials = credentials.account_id(account);
    }
    Some((credentials.build(), arn))
}

/// The times that the AWS CLI and botocore have written over the years: `…Z`, `…UTC`, `…+00:00`.
pub(super) fn time(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    let text = match text.strip_suffix("UTC") {
        Some(front) => format!("{}Z", front.trim_end()),
        None => text.to_owned(),
    };
    let at: jiff::Timestamp = text.parse().ok()?;
    let seconds = u64::try_from(at.as_second()).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Seconds are enough, and all that the AWS CLI writes.
pub(in super::super) fn time_text(at: SystemTime) -> String {
    match jiff::Timestamp::try_from(at) {
        Ok(at) => at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => String::new(),
    }
}
