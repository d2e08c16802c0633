//! What a sandbox holds when it starts: a scenario, read from TOML. Strict: what is misspelt is refused, and
//! the error names the line.

mod check;
mod network;
mod node;
mod sign_in;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

pub use network::{Database, Endpoint, Vpc};
pub use node::{Agent, Node, Pacing, Ping, Platform, Service, Session, State};
pub use sign_in::{Consent, InstanceProfile, Portal, PortalRole, Role};

use crate::api_fault::ApiFault;

/// The region of whatever names none.
pub const DEFAULT_REGION: &str = "eu-west-2";

/// A whole scenario.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The accounts; the first is the one of nodes, documents and preferences that name none.
    #[serde(default)]
    pub accounts: Vec<Account>,
    /// Regions beside AWS's default ones, and default ones that are not opted in.
    #[serde(default)]
    pub regions: Vec<Region>,
    /// The nodes, terminated ones and those without an agent included.
    #[serde(default)]
    pub nodes: Vec<Node>,
    /// Nodes by the thousand.
    #[serde(default)]
    pub generate: Vec<Generate>,
    /// Session documents of the accounts' own.
    #[serde(default)]
    pub documents: Vec<Document>,
    /// Session Manager's preferences.
    #[serde(default)]
    pub preferences: Vec<Preferences>,
    /// Tasks of ECS.
    #[serde(default)]
    pub tasks: Vec<Task>,
    /// Keys of KMS.
    #[serde(default)]
    pub kms_keys: Vec<KmsKey>,
    /// Networks around nodes; those that are not described are healthy.
    #[serde(default)]
    pub vpcs: Vec<Vpc>,
    /// The value of Default Host Management's setting; `$None` where nothing is said.
    pub host_management: Option<String>,
    /// The tier of hybrid machines; `advanced` where nothing is said.
    pub activation_tier: Option<String>,
    /// Databases of RDS, in the first account.
    #[serde(default)]
    pub databases: Vec<Database>,
    /// Buckets of S3 and log groups of CloudWatch, wherever they are.
    #[serde(default)]
    pub logs: Vec<LogPlace>,
    /// Roles that can be assumed.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// Instance profiles.
    #[serde(default)]
    pub instance_profiles: Vec<InstanceProfile>,
    /// IAM Identity Center.
    #[serde(default)]
    pub portals: Vec<Portal>,
    /// Whether a data channel may be opened without a signature, as it once could.
    #[serde(default)]
    pub unsigned_upgrades: bool,
    /// What goes wrong with API calls from the start.
    #[serde(default)]
    pub faults: Vec<ApiFault>,
}

/// An AWS account.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// What the scenario calls it.
    pub alias: String,
    /// The keys that sign for it.
    #[serde(default)]
    pub keys: Vec<Key>,
}

/// An access key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// `AKIA…`, or `ASIA…` for a temporary one.
    pub id: String,
    /// What signatures are made with.
    pub secret: String,
    /// The session token of a temporary key, which then must come along.
    pub session_token: Option<String>,
    /// Whose it is: `root`, `user/NAME` or `assumed-role/ROLE/SESSION`.
    pub identity: String,
    /// When it ceases to work.
    pub expires: Option<jiff::Timestamp>,
    /// The profiles of the sandbox's AWS files that hold it.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// The tags of the user or role.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The policy of the user or role, as JSON, for the simulator; without one everything is allowed.
    pub policy: Option<String>,
    /// The region of those profiles.
    #[serde(default = "default_region")]
    pub region: String,
}

/// A region.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Such as `ap-east-1`.
    pub name: String,
    /// How it stands with the accounts.
    pub status: OptIn,
}

/// EC2's `opt-in-status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptIn {
    /// On for everybody.
    OptInNotRequired,
    /// Switched on.
    OptedIn,
    /// Off: keys do not work there.
    NotOptedIn,
}

impl OptIn {
    /// As EC2 spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OptInNotRequired => "opt-in-not-required",
            Self::OptedIn => "opted-in",
            Self::NotOptedIn => "not-opted-in",
        }
    }
}

/// Nodes made by number: `prefix-000000`, `prefix-000001`, …
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// The account's alias or id.
    pub account: Option<String>,
    /// The region.
    #[serde(default = "default_region")]
    pub region: String,
    /// How many.
    pub count: usize,
    /// What the names begin with.
    #[serde(default = "default_prefix")]
    pub prefix: String,
    /// Tags that each bears beside `Name` and `Index`.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A session document.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The account's alias or id.
    pub account: Option<String>,
    /// The region.
    #[serde(default = "default_region")]
    pub region: String,
    /// Its name.
    pub name: String,
    /// What it holds, as JSON.
    pub content: String,
}

/// Session Manager's preferences in one account and region: the document `SSM-SessionManagerRunShell`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preferences {
    /// The account's alias or id.
    pub account: Option<String>,
    /// The region.
    #[serde(default = "default_region")]
    pub region: String,
    /// Encrypts the sessions' data.
    pub kms_key_id: Option<String>,
    /// Minutes without input before a session ends.
    pub idle_session_timeout: Option<u32>,
    /// Minutes a session may last.
    pub max_session_duration: Option<u32>,
    /// Where session logs go.
    pub s3_bucket_name: Option<String>,
    /// Where session logs go, too.
    pub cloud_watch_log_group_name: Option<String>,
    /// The OS user that shells run as, where it is not `ssm-user`; empty: the one that the caller's tag names.
    pub run_as: Option<String>,
    /// Run in the shell when it starts.
    pub linux_shell_profile: Option<String>,
}

/// A place for logs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPlace {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: LogKind,
    /// Whether it is encrypted.
    #[serde(default = "yes")]
    pub encrypted: bool,
}

/// Kinds of places for logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogKind {
    /// Of S3.
    Bucket,
    /// Of CloudWatch.
    Group,
}

/// A task of ECS, running.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// The account's alias or id.
    pub account: Option<String>,
    /// The region.
    #[serde(default = "default_region")]
    pub region: String,
    /// The cluster's name.
    #[serde(default = "default_cluster")]
    pub cluster: String,
    /// 32 hexadecimal digits.
    pub id: String,
    /// What runs in it.
    pub containers: Vec<Container>,
    /// Whether it was started with ECS Exec.
    #[serde(default = "yes")]
    pub execute_command: bool,
    /// How sessions in it behave.
    #[serde(default)]
    pub session: Session,
}

/// A container of a task.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// Its name in the task.
    pub name: String,
    /// Whether it runs.
    #[serde(default = "yes")]
    pub running: bool,
}

/// A key of KMS.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KmsKey {
    /// The account's alias or id.
    pub account: Option<String>,
    /// The region.
    #[serde(default = "default_region")]
    pub region: String,
    /// Its id: a UUID.
    pub id: String,
    /// Its aliases, `alias/…`.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Whether it works.
    #[serde(default)]
    pub disabled: bool,
}

fn default_region() -> String {
    DEFAULT_REGION.to_owned()
}

fn default_cluster() -> String {
    "default".to_owned()
}

fn yes() -> bool {
    true
}

fn default_prefix() -> String {
    "node".to_owned()
}

impl Scenario {
    /// The built-in one: two accounts and about a dozen nodes.
    ///
    /// # Panics
    /// Never: a test reads it.
    pub fn demo() -> Self {
        Self::parse(include_str!("../../scenarios/demo.toml"), "scenarios/demo.toml")
            .expect("the built-in scenario is read by a test")
    }

    /// Names and tags made to hurt whoever prints them.
    ///
    /// # Panics
    /// Never: a test reads it.
    pub fn hostile() -> Self {
        Self::parse(
            include_str!("../../scenarios/hostile.toml"),
            "scenarios/hostile.toml",
        )
        .expect("the built-in scenario is read by a test")
    }

    /// A built-in one by its name, else a file.
    ///
    /// # Errors
    /// When the file cannot be read or does not check.
    pub fn named(name: &str) -> anyhow::Result<Self> {
        match name {
            "demo" => Ok(Self::demo()),
            "hostile" => Ok(Self::hostile()),
            path => {
                let text = std::fs::read_to_string(Path::new(path)).with_context(|| {
                    format!("cannot read the scenario `{path}` (built in are `demo` and `hostile`)")
                })?;
                Self::parse(&text, path)
            }
        }
    }

    /// Reads and checks a scenario; `origin` names the text in errors.
    ///
    /// # Errors
    /// A misspelt key, a wrong type, or something that cannot be (an id twice, an unknown account).
    pub fn parse(text: &str, origin: &str) -> anyhow::Result<Self> {
        let mut scenario: Self =
            toml::from_str(text).with_context(|| format!("in the scenario `{origin}`"))?;
        check::check(&mut scenario).with_context(|| format!("in the scenario `{origin}`"))?;
        Ok(scenario)
    }

    /// With so many more nodes, made by number, in the first account.
    #[must_use]
    pub fn with_generated(mut self, count: usize) -> Self {
        self.generate.push(Generate {
            account: self.accounts.first().map(|account| account.id.clone()),
            region: default_region(),
            count,
            prefix: default_prefix(),
            tags: BTreeMap::new(),
        });
        self
    }
}
