//! Temporary credentials: what was issued, which codes were used, who is logged in to which portal.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Identity, World};
use crate::scenario::{InstanceProfile, Portal, Role, Scenario};

/// Roles, profiles and portals, and what has become of them.
#[derive(Debug)]
pub(crate) struct SignIn {
    pub(crate) roles: Vec<Role>,
    pub(crate) profiles: Vec<InstanceProfile>,
    pub(crate) portals: Vec<Portal>,
    pub(crate) aliases: HashMap<String, String>,
    /// Users and roles with keys of the scenario, by their ARNs.
    people: HashMap<String, Person>,
    used: Mutex<HashSet<String>>,
    grants: Mutex<HashMap<String, Grant>>,
}

/// A user or role.
#[derive(Debug, Clone, Default)]
pub(crate) struct Person {
    /// Its tags.
    pub(crate) tags: BTreeMap<String, String>,
    /// What it may do; everything where nothing is said.
    pub(crate) policy: Option<Value>,
}

/// The ARN of the user or role behind an identity.
fn principal(arn: &str) -> String {
    match arn.replacen(":sts:", ":iam:", 1).split_once(":assumed-role/") {
        Some((front, rest)) => {
            let role = rest.split('/').next().unwrap_or_default();
            format!("{front}:role/{role}")
        }
        None => arn.to_owned(),
    }
}

fn people(scenario: &Scenario) -> HashMap<String, Person> {
    let mut people: HashMap<String, Person> = HashMap::new();
    for account in &scenario.accounts {
        for key in &account.keys {
            let arn = principal(&Identity::new(account, key).arn);
            let person = people.entry(arn).or_default();
            person.tags.extend(key.tags.clone());
            // The scenario was checked: a policy is JSON.
            let policy = key
                .policy
                .as_deref()
                .and_then(|text| serde_json::from_str(text).ok());
            person.policy = policy.or(person.policy.take());
        }
    }
    people
}

/// What a client was given, by its token or code.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    /// Which portal.
    pub(crate) portal: usize,
    /// What it is.
    pub(crate) kind: Kind,
    /// Until when it is good.
    pub(crate) until: Timestamp,
    /// How often it was asked about.
    pub(crate) asked: u32,
}

/// Kinds of grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A device code.
    Device,
    /// An authorization code, with its challenge and the address it was sent to.
    Code { challenge: String, redirect: String },
    /// A token for the portal.
    Access,
    /// A token for another one.
    Refresh,
}

impl SignIn {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let aliases = scenario
            .accounts
            .iter()
            .map(|account| (account.id.clone(), account.alias.clone()));
        Self {
            roles: scenario.roles.clone(),
            profiles: scenario.instance_profiles.clone(),
            portals: scenario.portals.clone(),
            aliases: aliases.collect(),
            people: people(scenario),
            used: Mutex::default(),
            grants: Mutex::default(),
        }
    }

    /// A user or role by its ARN.
    pub(crate) fn person(&self, arn: &str) -> Option<&Person> {
        self.people.get(arn)
    }

    /// The policy of whoever calls; `None` where everything is allowed.
    pub(crate) fn policy_of(&self, caller: &Identity) -> Option<&Value> {
        self.person(&principal(&caller.arn))?.policy.as_ref()
    }

    /// Whether a code is good just now; it is not any more afterwards.
    pub(crate) fn takes_code(&self, role: &Role, code: &str) -> bool {
        let known = role.mfa_codes.iter().any(|known| known == code);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        known && used.insert(code.to_owned())
    }

    /// Hands something out.
    pub(crate) fn grant(&self, name: &str, grant: Grant) -> String {
        let token = format!("{name}-{}", uuid::Uuid::new_v4().simple());
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants.insert(token.clone(), grant);
        token
    }

    /// Looks at what was handed out, counting how often.
    pub(crate) fn look(&self, token: &str) -> Option<Grant> {
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        let grant = grants.get_mut(token)?;
        grant.asked += 1;
        Some(grant.clone())
    }

    /// Takes something back: it was good once.
    pub(crate) fn spend(&self, token: &str) {
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants.remove(token);
    }
}

/// Credentials of a role's session, known to the world from now on.
pub(crate) fn issue(world: &World, role_arn: &str, session: &str, seconds: i64) -> std::sync::Arc<Identity> {
    let tail = uuid::Uuid::new_v4().simple().to_string();
    let mut words = role_arn.split(':');
    let account = words.nth(4).unwrap_or_default().to_owned();
    let role = role_arn.rsplit('/').next().unwrap_or_default();
    let partition = role_arn.split(':').nth(1).unwrap_or("aws");
    world.admit(Identity {
        key: format!("ASIA{}", tail.get(..16).unwrap_or_default().to_uppercase()),
        secret: format!("sandbox-secret-{tail}"),
        session_token: Some(format!("sandbox-token-{tail}")),
        arn: format!("arn:{partition}:sts::{account}:assumed-role/{role}/{session}"),
        user_id: format!(
            "AROASANDBOX{:0<10}:{session}",
            role.to_uppercase().get(..role.len().min(10)).unwrap_or_default()
        ),
        account,
        name: session.to_owned(),
        expires: world.now().checked_add(SignedDuration::from_secs(seconds)).ok(),
    })
}
