//! The names of config and AWS, as resolution wants them.

use crate::aws::profiles::Profiles;
use crate::config::schema::{Config, Target};
use crate::config::values;
use crate::inventory::query::{Address, Pattern, Query};
use crate::resolve::order::Pick;
use crate::resolve::{NamedTarget, Names};

pub(super) struct Known<'a> {
    pub(super) config: &'a Config,
    /// Read only for words that may begin with one.
    pub(super) profiles: Option<&'a Profiles>,
}

impl Names for Known<'_> {
    fn is_profile(&self, name: &str) -> bool {
        self.config.profiles.contains_key(name)
            || self
                .profiles
                .is_some_and(|profiles| profiles.names().contains(name))
    }

    fn alias(&self, name: &str) -> Option<String> {
        self.config.aliases.get(name).cloned()
    }

    fn target(&self, name: &str) -> Option<NamedTarget> {
        self.config.targets.get(name).map(named_target)
    }

    fn all(&self) -> Vec<String> {
        let targets = self.config.targets.keys();
        targets.chain(self.config.aliases.keys()).cloned().collect()
    }
}

/// A named target in resolution's words.
pub(super) fn named_target(target: &Target) -> NamedTarget {
    let query = match &target.id {
        Some(id) => Query::id(id.clone()),
        None => Query {
            id: None,
            name: target.name.as_deref().map(Pattern::parse),
            tags: target
                .tags
                .iter()
                .map(|(key, value)| (key.clone(), Pattern::parse(value)))
                .collect(),
            address: target.address.map(|values::Address(ip)| Address::Ip(ip)),
            asg: target.asg.clone(),
        },
    };
    NamedTarget {
        query,
        pick: match target.pick {
            values::Pick::Ask => Pick::Ask,
            values::Pick::Newest => Pick::Newest,
            values::Pick::Oldest => Pick::Oldest,
            values::Pick::Any => Pick::Any,
        },
        profile: target.profile.clone(),
        account: target.account.clone(),
        region: target.region.clone(),
    }
}
