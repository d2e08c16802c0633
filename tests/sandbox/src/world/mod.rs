//! The state that the API calls look at and change: accounts, regions, nodes, documents, sessions.

pub(crate) mod documents;
mod fleet;
pub(crate) mod identity;
pub(crate) mod node;
mod regions;
pub(crate) mod sessions;
pub(crate) mod sign_in;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use anyhow::{Context as _, ensure};
use jiff::{SignedDuration, Timestamp};

use fleet::Fleet;
pub use identity::Identity;
pub use node::Node;

use crate::api_fault::ApiFaults;
use crate::kms::Keyring;
use crate::scenario::{self, Database, LogPlace, OptIn, Scenario, State, Task, Vpc};

/// An account's id and a region.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Twelve digits.
    pub account: String,
    /// Such as `eu-west-2`.
    pub region: String,
}

/// Everything there is in a sandbox, shared between its API and the test that watches it.
#[derive(Debug)]
pub struct World {
    fleets: RwLock<HashMap<Place, Fleet>>,
    identities: RwLock<HashMap<String, Arc<Identity>>>,
    regions: BTreeMap<String, OptIn>,
    first_account: Option<String>,
    documents: documents::Library,
    tasks: HashMap<Place, Vec<Task>>,
    pub(crate) sign_in: sign_in::SignIn,
    vpcs: Vec<Vpc>,
    host_management: String,
    activation_tier: String,
    databases: Vec<Database>,
    logs: Vec<LogPlace>,
    pub(crate) sessions: sessions::Sessions,
    pub(crate) faults: ApiFaults,
    unsigned_upgrades: AtomicBool,
    /// How many milliseconds the world's clock is ahead.
    ahead: AtomicI64,
    /// How many milliseconds the clock that signatures are checked by is ahead of this machine's.
    skew: AtomicI64,
}

impl World {
    /// `homes` is where the nodes' home directories come to be.
    pub(crate) fn new(scenario: &Scenario, homes: &Path) -> Self {
        let mut fleets: HashMap<Place, Fleet> = HashMap::new();
        for (ordinal, facts) in scenario.nodes.iter().enumerate() {
            let account = facts.account.clone().unwrap_or_default();
            let node = Node::new(&account, facts.clone(), ordinal);
            let place = Place {
                account,
                region: facts.region.clone(),
            };
            fleets.entry(place).or_default().push(node);
        }
        for entry in &scenario.generate {
            let account = entry.account.clone().unwrap_or_default();
            let place = Place {
                account: account.clone(),
                region: entry.region.clone(),
            };
            fleets.entry(place).or_default().promise(&account, entry.clone());
        }
        let identities = scenario.accounts.iter().flat_map(|account| {
            let of = move |key| Identity::new(account, key);
            account.keys.iter().map(of)
        });
        Self {
            fleets: RwLock::new(fleets),
            identities: RwLock::new(identities.map(|id| (id.key.clone(), Arc::new(id))).collect()),
            regions: regions::all(&scenario.regions),
            first_account: scenario.accounts.first().map(|account| account.id.clone()),
            documents: documents::Library::new(scenario),
            tasks: tasks(scenario),
            sign_in: sign_in::SignIn::new(scenario),
            vpcs: scenario.vpcs.clone(),
            host_management: scenario
                .host_management
                .clone()
                .unwrap_or_else(|| "$None".to_owned()),
            activation_tier: scenario
                .activation_tier
                .clone()
                .unwrap_or_else(|| "advanced".to_owned()),
            databases: scenario.databases.clone(),
            logs: scenario.logs.clone(),
            sessions: sessions::Sessions::new(keyrings(scenario), homes),
            faults: ApiFaults::new(scenario.faults.clone()),
            unsigned_upgrades: AtomicBool::new(scenario.unsigned_upgrades),
            ahead: AtomicI64::new(0),
            skew: AtomicI64::new(0),
        }
    }

    /// The world's time. Keys expire by it.
    pub fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_millis(self.ahead.load(Ordering::Relaxed));
        Timestamp::now().saturating_add(ahead).unwrap_or(Timestamp::MAX)
    }

    /// Lets time pass in the world: keys expire, pings grow old.
    pub fn advance(&self, by: SignedDuration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.ahead.fetch_add(millis, Ordering::Relaxed);
    }

    /// The time that signatures are checked by, and that answers are dated with.
    pub(crate) fn wall(&self) -> Timestamp {
        let ahead = SignedDuration::from_millis(self.skew.load(Ordering::Relaxed));
        Timestamp::now().saturating_add(ahead).unwrap_or(Timestamp::MAX)
    }

    /// From now on AWS's clock is so far ahead of this machine's.
    pub fn set_skew(&self, ahead: SignedDuration) {
        let millis = i64::try_from(ahead.as_millis()).unwrap_or(i64::MAX);
        self.skew.store(millis, Ordering::Relaxed);
    }

    /// One more node, at once.
    ///
    /// # Errors
    /// When its id is taken or the scenario has no account.
    pub fn add(&self, mut facts: scenario::Node) -> anyhow::Result<String> {
        let account = match facts.account.take() {
            Some(account) => account,
            None => self.first_account.clone().context("there is no account")?,
        };
        let place = Place {
            account: account.clone(),
            region: facts.region.clone(),
        };
        let mut fleets = self.fleets_mut();
        let fleet = fleets.entry(place).or_default();
        fleet.settle();
        let node = Node::new(&account, facts, fleet.nodes().len());
        ensure!(fleet.find(&node.id).is_none(), "the id `{}` is taken", node.id);
        let id = node.id.clone();
        fleet.push(node);
        Ok(id)
    }

    /// Takes a node away, as if it had never been. Whether there was one.
    pub fn remove(&self, id: &str) -> bool {
        self.fleets_mut().values_mut().any(|fleet| fleet.remove(id))
    }

    /// Changes a node. Whether there was one.
    pub fn edit(&self, id: &str, change: impl FnOnce(&mut scenario::Node)) -> bool {
        let mut change = Some(change);
        for fleet in self.fleets_mut().values_mut() {
            let edited = fleet.edit(id, |node| {
                if let Some(change) = change.take() {
                    change(&mut node.facts);
                }
            });
            if edited {
                return true;
            }
        }
        false
    }

    /// Gives a node another Name. Whether there was one.
    pub fn rename(&self, id: &str, name: &str) -> bool {
        self.edit(id, |facts| facts.name = Some(name.to_owned()))
    }

    /// Puts a node into a state. Whether there was one.
    pub fn set_state(&self, id: &str, state: State) -> bool {
        self.edit(id, |facts| facts.state = state)
    }

    /// The nodes of a place, in a fixed order.
    pub fn nodes(&self, place: &Place) -> Vec<Arc<Node>> {
        self.with_fleet(place, |fleet| fleet.nodes().to_vec())
            .unwrap_or_default()
    }

    /// A node of a place.
    pub fn node(&self, place: &Place, id: &str) -> Option<Arc<Node>> {
        self.with_fleet(place, |fleet| fleet.find(id).cloned()).flatten()
    }

    /// The first node that bears a name, wherever it is.
    pub fn node_named(&self, name: &str) -> Option<Arc<Node>> {
        let places: Vec<Place> = self.fleets().keys().cloned().collect();
        places.iter().find_map(|place| {
            let bears = |node: &&Arc<Node>| node.facts.name.as_deref() == Some(name);
            self.with_fleet(place, |fleet| fleet.nodes().iter().find(bears).cloned())
                .flatten()
        })
    }

    /// Runs over a place's nodes without copying the list.
    pub(crate) fn scan<T>(&self, place: &Place, look: impl FnOnce(&[Arc<Node>]) -> T) -> T {
        let mut look = Some(look);
        let seen = self.with_fleet(place, |fleet| look.take().map(|look| look(fleet.nodes())));
        match (seen.flatten(), look) {
            (Some(seen), _) => seen,
            (None, Some(look)) => look(&[]),
            (None, None) => unreachable!("the closure either gave its answer or was not called"),
        }
    }

    /// The VPCs that the scenario describes.
    pub(crate) fn vpcs(&self) -> &[Vpc] {
        &self.vpcs
    }

    /// A VPC, as described or as usual.
    pub(crate) fn vpc(&self, id: &str) -> Vpc {
        let known = self.vpcs.iter().find(|vpc| vpc.id == id);
        known.cloned().unwrap_or_else(|| Vpc::usual(id))
    }

    /// The role that Default Host Management lends, or `$None`.
    pub(crate) fn host_management(&self) -> &str {
        &self.host_management
    }

    pub(crate) fn activation_tier(&self) -> &str {
        &self.activation_tier
    }

    pub(crate) fn databases(&self) -> &[Database] {
        &self.databases
    }

    pub(crate) fn logs(&self) -> &[LogPlace] {
        &self.logs
    }

    /// The account of whatever names none.
    pub(crate) fn first_account(&self) -> &str {
        self.first_account.as_deref().unwrap_or_default()
    }

    /// Makes temporary credentials known, so that they can sign.
    pub(crate) fn admit(&self, identity: Identity) -> Arc<Identity> {
        let identity = Arc::new(identity);
        let mut identities = self.identities.write().unwrap_or_else(PoisonError::into_inner);
        identities.insert(identity.key.clone(), Arc::clone(&identity));
        identity
    }

    pub(crate) fn identity(&self, key: &str) -> Option<Arc<Identity>> {
        let identities = self.identities.read().unwrap_or_else(PoisonError::into_inner);
        identities.get(key).cloned()
    }

    pub(crate) fn regions(&self) -> &BTreeMap<String, OptIn> {
        &self.regions
    }

    pub(crate) fn documents(&self) -> &documents::Library {
        &self.documents
    }

    pub(crate) fn tasks(&self, place: &Place) -> impl Iterator<Item = &Task> {
        self.tasks.get(place).into_iter().flatten()
    }

    /// Whether a data channel may be opened without a signature.
    pub fn allow_unsigned_upgrades(&self, allowed: bool) {
        self.unsigned_upgrades.store(allowed, Ordering::Relaxed);
    }

    pub(crate) fn allows_unsigned_upgrades(&self) -> bool {
        self.unsigned_upgrades.load(Ordering::Relaxed)
    }

    /// Faults of API calls.
    pub fn faults(&self) -> &ApiFaults {
        &self.faults
    }

    fn with_fleet<T>(&self, place: &Place, look: impl FnOnce(&Fleet) -> T) -> Option<T> {
        if self.fleets().get(place)?.is_pending() {
            self.fleets_mut().get_mut(place)?.settle();
        }
        self.fleets().get(place).map(look)
    }

    fn fleets(&self) -> RwLockReadGuard<'_, HashMap<Place, Fleet>> {
        self.fleets.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn fleets_mut(&self) -> RwLockWriteGuard<'_, HashMap<Place, Fleet>> {
        self.fleets.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tasks(scenario: &Scenario) -> HashMap<Place, Vec<Task>> {
    let mut tasks: HashMap<Place, Vec<Task>> = HashMap::new();
    for task in &scenario.tasks {
        let place = Place {
            account: task.account.clone().unwrap_or_default(),
            region: task.region.clone(),
        };
        tasks.entry(place).or_default().push(task.clone());
    }
    tasks
}

fn keyrings(scenario: &Scenario) -> HashMap<Place, Keyring> {
    let mut rings: HashMap<Place, Keyring> = HashMap::new();
    for key in &scenario.kms_keys {
        let account = key.account.clone().unwrap_or_default();
        let arn = format!("arn:aws:kms:{}:{account}:key/{}", key.region, key.id);
        let aliases: Vec<&str> = key.aliases.iter().map(String::as_str).collect();
        let place = Place {
            account,
            region: key.region.clone(),
        };
        let ring = rings.entry(place).or_default();
        ring.add(&arn, &aliases);
        ring.set_enabled(&arn, !key.disabled);
    }
    rings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(generated: usize) -> (World, Place) {
        let scenario = Scenario::parse(
            "[[accounts]]\nid = \"111122223333\"\nalias = \"dev\"\n[[nodes]]\nname = \"web\"\n",
            "test",
        );
        let world = World::new(
            &scenario.unwrap().with_generated(generated),
            Path::new("/nowhere"),
        );
        let place = Place {
            account: "111122223333".to_owned(),
            region: "eu-west-2".to_owned(),
        };
        (world, place)
    }

    #[test]
    fn nodes_come_change_and_go() {
        let (world, place) = world(3);
        assert_eq!(world.nodes(&place).len(), 4);
        let id = world.add(scenario::Node::named("web")).unwrap();
        assert_eq!(world.nodes(&place).len(), 5);
        assert!(world.rename(&id, "web-2"));
        assert_eq!(world.node(&place, &id).unwrap().tag("Name"), Some("web-2"));
        assert!(world.set_state(&id, State::Stopped));
        assert!(!world.node(&place, &id).unwrap().is_connected());
        let first = world.node_named("web").unwrap().id.clone();
        assert!(world.remove(&first));
        assert!(!world.remove(&first));
        assert_eq!(
            world.node(&place, &id).unwrap().tag("Name"),
            Some("web-2"),
            "found by id still"
        );
    }

    #[test]
    fn ids_are_distinct_and_well_formed() {
        let (world, place) = world(2000);
        let ids: std::collections::HashSet<_> =
            world.nodes(&place).iter().map(|node| node.id.clone()).collect();
        assert_eq!(ids.len(), 2001);
        assert!(ids.iter().all(|id| id.parse::<ssmx::ids::NodeId>().is_ok()));
    }

    #[test]
    fn time_can_be_made_to_pass() {
        let (world, _) = world(0);
        let before = world.now();
        world.advance(SignedDuration::from_hours(1));
        assert!(world.now().duration_since(before) >= SignedDuration::from_hours(1));
    }
}
