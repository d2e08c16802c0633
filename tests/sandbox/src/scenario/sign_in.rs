//! Ways to credentials: roles to assume, instance profiles, portals of IAM Identity Center.

use serde::Deserialize;

/// A role that can be assumed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// Who may assume it: ARNs of users or roles, or account ids. Everybody, where none is named.
    #[serde(default)]
    pub trusts: Vec<String>,
    /// The device whose code is wanted.
    pub mfa_serial: Option<String>,
    /// The codes that it shows, one after the other; each is good once.
    #[serde(default)]
    pub mfa_codes: Vec<String>,
    /// The external id that is wanted.
    pub external_id: Option<String>,
    /// The token of whom may assume it without credentials.
    pub web_identity_token: Option<String>,
    /// How many seconds its credentials last at most; 3600 where nothing is said.
    pub most_seconds: Option<i64>,
    /// Actions that its policies do not allow, for the simulator.
    #[serde(default)]
    pub denied: Vec<String>,
}

/// An instance profile.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceProfile {
    /// Its name.
    pub name: String,
    /// The account; the first one where none is named.
    pub account: Option<String>,
    /// The ARN of the role in it, if any.
    pub role: Option<String>,
}

/// What a person does in the browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consent {
    /// Agrees.
    #[default]
    Given,
    /// Says no.
    Refused,
    /// Goes away.
    Never,
}

/// A portal of IAM Identity Center.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Portal {
    /// Where people log in.
    pub start_url: String,
    /// Its region.
    pub region: String,
    /// Who logs in.
    pub user: String,
    /// The permission sets that the user has.
    #[serde(default)]
    pub roles: Vec<PortalRole>,
    /// What the user does.
    #[serde(default)]
    pub consent: Consent,
    /// How often a client that asks for its token is told to go on waiting.
    #[serde(default)]
    pub pending: u32,
    /// How many seconds a token lasts; 28800 where nothing is said.
    pub token_seconds: Option<i64>,
    /// How many seconds a device code lasts; 600 where nothing is said.
    pub code_seconds: Option<i64>,
}

/// A permission set in an account.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortalRole {
    /// The account.
    pub account: String,
    /// The permission set's name.
    pub name: String,
}
