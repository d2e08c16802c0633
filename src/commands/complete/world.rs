//! What a completion may know: the config, AWS's files, the snapshots. Each part is read when it is asked for, once.

use std::cell::OnceCell;

use jiff::Timestamp;

use crate::aws::env as aws_env;
use crate::aws::sections::Sections;
use crate::config::env::lookup;
use crate::config::load::load_what_fits;
use crate::config::{Config, Flags, Places};
use crate::detached::{self, Registry};
use crate::ids::{Region, Scope};
use crate::inventory::snapshot::{RememberedSession, Snapshot, Snapshots};
use crate::ledger::{Entry, Ledger, Life};

/// The world as far as files tell of it.
pub(super) struct World {
    /// `--profile`, as typed.
    profile: Option<String>,
    /// `--region`, as typed.
    region: Option<String>,
    places: OnceCell<Places>,
    config: OnceCell<Config>,
    sections: OnceCell<Sections>,
    met: OnceCell<Met>,
}

/// A scope that was asked about.
pub(super) struct Met {
    pub(super) scope: Scope,
    /// Who leads there; `None`: ambient credentials.
    pub(super) profile: Option<String>,
    /// When it was listed last.
    pub(super) taken: Option<Timestamp>,
}

impl World {
    pub(super) fn new(profile: Option<&str>, region: Option<&str>) -> Self {
        Self {
            profile: profile.map(str::to_owned),
            region: region.map(str::to_owned),
            places: OnceCell::new(),
            config: OnceCell::new(),
            sections: OnceCell::new(),
            met: OnceCell::new(),
        }
    }

    fn places(&self) -> &Places {
        self.places.get_or_init(Places::of_this_user)
    }

    /// The config, as far as it can be used.
    pub(super) fn config(&self) -> &Config {
        self.config
            .get_or_init(|| load_what_fits(self.places(), &Flags::default()).config)
    }

    /// AWS's profiles.
    pub(super) fn sections(&self) -> &Sections {
        self.sections.get_or_init(Sections::load)
    }

    pub(super) fn snapshots(&self) -> Option<Snapshots> {
        Some(Snapshots::new(self.places().cache.as_deref()?))
    }

    /// What is remembered of the scope at hand, or of a profile's.
    pub(super) fn snapshot(&self, profile: Option<&str>) -> Option<Snapshot> {
        let snapshots = self.snapshots()?;
        let scope = self.scope(&snapshots, profile)?;
        let snapshot = snapshots.open(&scope);
        self.met.get_or_init(|| Met {
            profile: profile.map(str::to_owned).or_else(|| self.chosen()),
            taken: snapshot.as_ref().and_then(Snapshot::taken),
            scope,
        });
        snapshot
    }

    /// The scope that was asked about first, if any was.
    pub(super) fn met(&self) -> Option<&Met> {
        self.met.get()
    }

    /// The profile that a command would take, where somebody chose one.
    fn chosen(&self) -> Option<String> {
        self.profile
            .clone()
            .or_else(|| lookup("SSMX_PROFILE"))
            .or_else(aws_env::profile)
            .or_else(|| self.config().defaults.profile.clone())
    }

    /// The sessions that were started from this machine, by its log.
    pub(super) fn sessions_from_here(&self) -> Vec<(Entry, Life)> {
        let state = self.places().state.as_deref();
        let told = state.and_then(|state| Ledger::new(&state.join("sessions")).read().ok());
        told.unwrap_or_default().sessions
    }

    /// What goes on, or went on, in processes without a terminal.
    pub(super) fn detached(&self) -> Vec<detached::Entry> {
        let found = || {
            let places = self.places();
            let registry = Registry::new(places.state.as_deref()?);
            registry.entries().ok()
        };
        found().unwrap_or_default()
    }

    /// The sessions that were seen last in the scope at hand.
    pub(super) fn sessions_seen(&self) -> Vec<RememberedSession> {
        let found = || {
            let snapshots = self.snapshots()?;
            Some(snapshots.sessions(&self.scope(&snapshots, None)?))
        };
        found().unwrap_or_default()
    }

    /// The profile that somebody named.
    pub(super) fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// The regions that were ever reached.
    pub(super) fn regions(&self) -> Vec<Region> {
        let scopes = self
            .snapshots()
            .map(|snapshots| snapshots.scopes())
            .unwrap_or_default();
        scopes.into_iter().map(|scope| scope.region).collect()
    }

    /// The scope that a command would reach, as far as earlier ones have told where its profile leads.
    fn scope(&self, snapshots: &Snapshots, profile: Option<&str>) -> Option<Scope> {
        let chosen = profile.map(str::to_owned).or_else(|| self.chosen());
        let reach = snapshots.reach();
        let leads = |name: Option<&str>| reach.of(name, None);
        let scopes = match &chosen {
            Some(name) => leads(Some(name)),
            // Who names none has the default one, or ambient credentials.
            None => Some(leads(None))
                .filter(|scopes| !scopes.is_empty())
                .unwrap_or_else(|| leads(Some("default"))),
        };
        let typed = self
            .region
            .clone()
            .or_else(|| lookup("SSMX_REGION"))
            .or_else(aws_env::region);
        if let Some(region) = typed {
            return scopes.into_iter().find(|scope| scope.region.as_str() == region);
        }
        let name = chosen.as_deref().unwrap_or("default");
        let own = self
            .config()
            .profiles
            .get(name)
            .and_then(|section| section.regions.first())
            .map(Region::as_str);
        let own = own.or_else(|| self.sections().value(name, "region"));
        let default = self.config().defaults.region.as_ref().map(Region::as_str);
        let usual = own.or(default);
        let at_home = scopes.iter().find(|scope| Some(scope.region.as_str()) == usual);
        // The last one that was reached is the best guess where nothing is said.
        at_home.or(scopes.first()).cloned()
    }
}
