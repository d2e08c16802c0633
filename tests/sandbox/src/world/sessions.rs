//! The sessions that were started, from request to record. What runs in one is the gateway's.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::documents::Plan;
use super::{Identity, Node, Place};
use crate::fault::Faults;
use crate::gateway::{
    AgentFacts, Encryption, Gateway, Kind, Pacing, Platform, PortProperties, Resumed, SessionSpec,
    SessionState,
};
use crate::kms::Keyring;
use crate::scenario::{self, Preferences};

/// A session as DescribeSessions tells of it.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// Where it was started.
    pub place: Place,
    /// The target as the caller wrote it.
    pub target: String,
    /// The document that was asked for.
    pub document: Option<String>,
    /// The document's parameters as given.
    pub parameters: BTreeMap<String, Vec<String>>,
    /// The ARN of who started it.
    pub owner: String,
    /// STS's `UserId` of that.
    pub user_id: String,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub started: Timestamp,
    /// Minutes it may last, by the preferences.
    pub max_duration: Option<u32>,
}

/// All sessions, the ended ones included, oldest first.
pub(crate) struct Sessions {
    records: Mutex<Vec<Arc<Record>>>,
    gateway: Gateway,
    keyrings: Mutex<HashMap<Place, Keyring>>,
    /// Faults of sessions yet to be started, beside the node's own.
    faults: Mutex<Option<Faults>>,
    homes: PathBuf,
}

/// Who starts what.
pub(crate) struct Request<'a> {
    pub(crate) caller: &'a Identity,
    /// What the id begins with.
    pub(crate) prefix: &'a str,
    pub(crate) place: &'a Place,
    pub(crate) node: &'a Node,
    pub(crate) target: String,
    pub(crate) document: Option<String>,
    pub(crate) parameters: BTreeMap<String, Vec<String>>,
    pub(crate) plan: Plan,
    pub(crate) reason: Option<String>,
    pub(crate) preferences: Option<&'a Preferences>,
}

/// The id, and what follows the host in the stream URL, and the token.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) token: Option<String>,
}

impl Sessions {
    pub(super) fn new(keyrings: HashMap<Place, Keyring>, homes: &Path) -> Self {
        Self {
            records: Mutex::default(),
            gateway: Gateway::new(),
            keyrings: Mutex::new(keyrings),
            faults: Mutex::default(),
            homes: homes.to_owned(),
        }
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The KMS keys of a place.
    pub(crate) fn keyring(&self, place: &Place) -> Keyring {
        locked(&self.keyrings).entry(place.clone()).or_default().clone()
    }

    /// Faults of every session started from now on; `None` leaves them to the nodes.
    pub(crate) fn set_faults(&self, faults: Option<Faults>) {
        *locked(&self.faults) = faults;
    }

    /// # Errors
    /// With a sentence, when the document asks for what agents do not know.
    pub(crate) fn start(&self, request: Request<'_>, now: Timestamp) -> Result<Started, String> {
        let id = format!("{}-{}", request.prefix, tail());
        let spec = self.spec(&id, &request)?;
        let record = Record {
            id: id.clone(),
            place: request.place.clone(),
            target: request.target,
            document: request.document,
            parameters: request.parameters,
            owner: request.caller.arn.clone(),
            user_id: request.caller.user_id.clone(),
            reason: request.reason,
            started: now,
            max_duration: request.preferences.and_then(|entry| entry.max_session_duration),
        };
        locked(&self.records).push(Arc::new(record));
        let opening = self.gateway.open(spec);
        Ok(Started {
            path: path(&id, &opening.query()),
            token: Some(opening.token),
            id,
        })
    }

    /// `None` for a session that does not exist any more; no token for one that timed out.
    pub(crate) fn resume(&self, id: &str) -> Option<Started> {
        let (query, token) = match self.gateway.resume(id) {
            Resumed::Open(opening) => (opening.query(), Some(opening.token)),
            Resumed::TimedOut => ("role=publish_subscribe".to_owned(), None),
            Resumed::Unknown => return None,
        };
        Some(Started {
            id: id.to_owned(),
            path: path(id, &query),
            token,
        })
    }

    /// Oldest first.
    pub(crate) fn records(&self) -> Vec<Arc<Record>> {
        locked(&self.records).clone()
    }

    pub(crate) fn record(&self, id: &str) -> Option<Arc<Record>> {
        locked(&self.records)
            .iter()
            .find(|record| record.id == id)
            .cloned()
    }

    pub(crate) fn state(&self, id: &str) -> Option<SessionState> {
        self.gateway.status(id)
    }

    fn spec(&self, id: &str, request: &Request<'_>) -> Result<SessionSpec, String> {
        let node = request.node;
        let settings = &node.facts.session;
        let kind = kind(&request.plan, node, request.preferences)?;
        let agent = AgentFacts {
            version: node.facts.agent.version.clone(),
            platform: match node.facts.platform {
                scenario::Platform::Windows => Platform::Windows,
                _ => Platform::Linux,
            },
            handshake: settings.handshake,
            names: settings.names.clone(),
            lookup: settings
                .lookup
                .and_then(|time| Duration::try_from(time).ok())
                .unwrap_or_default(),
            vpc_blocks: settings.vpc_blocks.clone(),
            env: settings.env.clone(),
            user: request
                .preferences
                .and_then(|entry| entry.run_as.clone())
                .filter(|user| !user.is_empty())
                .unwrap_or_else(|| "ssm-user".to_owned()),
            ..AgentFacts::new(&hostname(node), self.homes.join(node.id.replace(':', "-")))
        };
        let encryption = request
            .preferences
            .and_then(|entry| entry.kms_key_id.clone())
            .map(|key_id| Encryption {
                key_id,
                keys: self.keyring(request.place),
                require_challenge: settings.require_challenge,
            });
        let minutes = |count: u32| Duration::from_secs(u64::from(count) * 60);
        let mut pacing = match settings.pacing {
            scenario::Pacing::Quick => Pacing::quick(),
            scenario::Pacing::Faithful => Pacing::faithful(),
        };
        if let Some(wait) = settings.pty_start {
            pacing.pty_start = Duration::try_from(wait).unwrap_or_default();
        }
        let faults = locked(&self.faults).clone();
        Ok(SessionSpec {
            encryption: encryption.filter(|_| !matches!(kind, Kind::Port(_))),
            faults: faults.unwrap_or_else(|| settings.faults.clone()),
            pacing,
            idle_timeout: settings
                .idle_timeout
                .and_then(|wait| Duration::try_from(wait).ok())
                .or_else(|| {
                    request
                        .preferences
                        .and_then(|entry| entry.idle_session_timeout)
                        .map(minutes)
                })
                .or(Some(minutes(20))),
            max_duration: request
                .preferences
                .and_then(|entry| entry.max_session_duration)
                .map(minutes),
            start_failure: settings.start_failure.clone(),
            ..SessionSpec::new(id, &request.target, agent, kind)
        })
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions")
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}

/// What the agent is to run.
fn kind(plan: &Plan, node: &Node, preferences: Option<&Preferences>) -> Result<Kind, String> {
    let platform = match node.facts.platform {
        scenario::Platform::Linux => "linux",
        scenario::Platform::Windows => "windows",
        scenario::Platform::MacOs => "macos",
    };
    let here = &plan.properties[platform];
    let text = |key: &str| here[key].as_str().map(ToOwned::to_owned);
    let command = || {
        text("commands")
            .filter(|command| !command.is_empty())
            .ok_or_else(|| format!("The document has no commands for {platform}."))
    };
    Ok(match plan.session_type.as_str() {
        "Standard_Stream" => Kind::StandardStream {
            profile: text("commands")
                .or_else(|| preferences.and_then(|entry| entry.linux_shell_profile.clone()))
                .filter(|line| !line.is_empty()),
        },
        "InteractiveCommands" => Kind::InteractiveCommands { command: command()? },
        "NonInteractiveCommands" => Kind::NonInteractiveCommands {
            command: command()?,
            separate_output: is_true(&here["separateOutputStream"]),
            stdout_prefix: text("stdoutSeparatorPrefix").unwrap_or_default(),
            stderr_prefix: text("stderrSeparatorPrefix").unwrap_or_default(),
        },
        "Port" => {
            let properties: PortProperties = serde_json::from_value(plan.properties.clone())
                .map_err(|error| format!("The document's properties cannot be used: {error}."))?;
            Kind::Port(properties)
        }
        other => return Err(format!("The document's session type {other} is unknown.")),
    })
}

/// Documents write a boolean as such, or, filled from a parameter, as text.
fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
        || value
            .as_str()
            .is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

/// The name in the prompt: the node's, as far as a host could bear it.
fn hostname(node: &Node) -> String {
    let name = node.facts.name.as_deref().unwrap_or(&node.id);
    let safe: String = name
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '-'
            }
        })
        .take(63)
        .collect();
    if safe.is_empty() { node.id.clone() } else { safe }
}

fn path(id: &str, query: &str) -> String {
    format!("/v1/data-channel/{id}?{query}")
}

/// The random end of a session's id: 26 of `a-z2-7`.
fn tail() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bits = Uuid::new_v4().as_u128();
    let mut text = String::new();
    for _ in 0..26 {
        text.push(char::from(ALPHABET[(bits & 31) as usize]));
        bits >>= 5;
    }
    text
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
