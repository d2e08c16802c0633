//! What must hold between entries once they are merged: references lead somewhere, selectors select, versions fit.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Problem;
use super::keys::KeyPath;
use super::origin::Origin;
use super::schema::{Config, Preset, Target};
use crate::ids::{NodeId, Version};
use crate::nearest;

/// Checks a merged config. Of `damaged` entries something is missing that was told of already.
pub(super) fn check(
    config: &Config,
    origins: &BTreeMap<KeyPath, Origin>,
    damaged: &BTreeSet<KeyPath>,
    problems: &mut Vec<Problem>,
) {
    let mut rules = Rules {
        config,
        origins,
        damaged,
        problems,
    };
    rules.version();
    for (name, target) in &config.targets {
        if !rules.is_damaged("targets", name) {
            rules.target(name, target);
        }
    }
    for name in config.aliases.keys() {
        rules.alias(name);
    }
    for (name, preset) in &config.presets {
        if !rules.is_damaged("presets", name) {
            rules.preset(name, preset);
        }
    }
    for (name, members) in &config.groups {
        rules.group(name, members);
    }
    rules.policy();
}

/// Whether a preset may name its target so: by the name of a target or an alias, an id, a selector or PROFILE/NAME.
pub fn names_target(config: &Config, word: &str) -> bool {
    let name = word.strip_prefix("target/").unwrap_or(word);
    let selector = ["name=", "ip=", "dns=", "asg=", "tag:"]
        .iter()
        .any(|prefix| word.starts_with(prefix))
        && word.contains('=');
    // A word with a slash is PROFILE/NAME, unless it says outright that it is a target's name.
    let elsewhere = name.contains('/') || word.starts_with("ecs:");
    config.targets.contains_key(name)
        || config.aliases.contains_key(name)
        || selector
        || elsewhere
        || word.parse::<NodeId>().is_ok()
}

struct Rules<'a> {
    config: &'a Config,
    origins: &'a BTreeMap<KeyPath, Origin>,
    damaged: &'a BTreeSet<KeyPath>,
    problems: &'a mut Vec<Problem>,
}

impl Rules<'_> {
    fn is_damaged(&self, section: &str, name: &str) -> bool {
        let path = [section, name];
        (0..=path.len()).any(|end| {
            let parts = path.iter().take(end).map(|part| (*part).to_owned());
            self.damaged.contains(&KeyPath(parts.collect()))
        })
    }

    fn is_target(&self, name: &str) -> bool {
        self.config.targets.contains_key(name) || self.is_damaged("targets", name)
    }

    /// The place of a key, else of the entry that it would stand in.
    fn at(&self, path: &KeyPath) -> Origin {
        (0..path.0.len())
            .rev()
            .find_map(|end| self.origins.get(&KeyPath(path.0.get(..=end)?.to_vec())))
            .cloned()
            .unwrap_or(Origin::Default)
    }

    fn error(&mut self, path: &KeyPath, message: String) -> &mut Problem {
        self.problems.push(Problem::error(self.at(path), message));
        let last = self.problems.len() - 1;
        &mut self.problems[last]
    }

    fn version(&mut self) {
        let Some(oldest) = self.config.policy.required_version else {
            return;
        };
        let own = env!("CARGO_PKG_VERSION");
        let numbers = own.split(['-', '+']).next().unwrap_or(own);
        if numbers.parse::<Version>().is_ok_and(|own| own < oldest.0) {
            let path = KeyPath::from(["policy", "required_version"]);
            let message = format!("`{path}` demands ssmx {} or newer, this is {own}", oldest.0);
            self.error(&path, message).hint = Some("install a newer ssmx".to_owned());
        }
    }

    fn target(&mut self, name: &str, target: &Target) {
        let path = KeyPath::from(["targets", name]);
        let others: Vec<&str> = [
            ("name", target.name.is_some()),
            ("tags", !target.tags.is_empty()),
            ("address", target.address.is_some()),
            ("asg", target.asg.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, given)| given.then_some(key))
        .collect();
        let extended = |entries: &BTreeMap<String, Target>| {
            entries
                .iter()
                .any(|(other, entry)| other != name && entry.extends.as_deref() == Some(name))
        };
        if target.id.is_some() && !others.is_empty() {
            self.error(
                &path.child("id"),
                format!(
                    "`{path}` has both `id` and `{}`: an id alone says which node it is",
                    others.join("`, `")
                ),
            );
        } else if target.id.is_none() && others.is_empty() && !extended(&self.config.targets) {
            self.error(
                &path,
                format!("`{path}` does not say which node it is, expected `id`, or any of `name`, `tags`, `address`, `asg`"),
            );
        }
        let pinned = target.profile.as_ref().and_then(|profile| {
            let pin = self.config.profiles.get(profile)?.account.as_ref()?;
            Some((profile, pin))
        });
        if let (Some(account), Some((profile, pin))) = (&target.account, pinned)
            && account != pin
        {
            self.error(
                &path.child("account"),
                format!("`{path}.account` is {account}, but `[profiles.{profile}]` is pinned to {pin}"),
            );
        }
    }

    fn alias(&mut self, name: &str) {
        let path = KeyPath::from(["aliases", name]);
        let mut chain = vec![name];
        let mut current = name;
        while let Some(next) = self.config.aliases.get(current) {
            if chain.contains(&next.as_str()) {
                // Each alias of the loop would say the same: the first of them speaks.
                if chain.iter().min() == Some(&name) && next == name {
                    let loops = format!("`{path}` is a loop: {} → {next}", chain.join(" → "));
                    self.error(&path, loops).hint = Some("an alias leads to a named target".to_owned());
                }
                return;
            }
            chain.push(next);
            current = next;
        }
        // A chain's last link is told where it stands.
        if !self.is_target(current) && chain.len() == 2 {
            let known = self.config.targets.keys().map(String::as_str);
            let near = nearest::one(current, known).map(str::to_owned);
            let message = format!("`{path}` is \"{current}\", expected the name of a target");
            self.error(&path, message).hint = near.map(|near| format!("did you mean `{near}`?"));
        }
    }

    fn preset(&mut self, name: &str, preset: &Preset) {
        let path = KeyPath::from(["presets", name]);
        let extended = self
            .config
            .presets
            .iter()
            .any(|(other, entry)| other != name && entry.extends.as_deref() == Some(name));
        if preset.port.is_none() && !extended {
            self.error(
                &path,
                format!("`{path}` has no `port`: the port of the far end is expected"),
            );
        }
        match &preset.target {
            None if !extended => {
                let message =
                    format!("`{path}` has no `target`: a target's name, an id or a selector is expected");
                self.error(&path, message);
            }
            None => {}
            Some(targets) => {
                for word in targets.as_slice() {
                    self.preset_target(&path.child("target"), word);
                }
            }
        }
    }

    fn preset_target(&mut self, path: &KeyPath, word: &str) {
        let name = word.strip_prefix("target/").unwrap_or(word);
        if names_target(self.config, word) || self.is_damaged("targets", name) {
            return;
        }
        let known = self.config.targets.keys().chain(self.config.aliases.keys());
        let near = nearest::one(name, known.map(String::as_str)).map(str::to_owned);
        let message =
            format!("`{path}` is \"{word}\", expected the name of a target or alias, an id or a selector");
        let by_name = format!("for the instance of that Name write \"name={name}\"");
        self.error(path, message).hint = Some(match near {
            Some(near) => format!("did you mean `{near}`? {by_name}"),
            None => by_name,
        });
    }

    fn group(&mut self, name: &str, members: &[String]) {
        let path = KeyPath::from(["groups", name]);
        if members.is_empty() {
            self.error(&path, format!("`{path}` is empty, expected names of presets"));
        }
        let mut seen = BTreeSet::new();
        for member in members {
            if !self.config.presets.contains_key(member) && !self.is_damaged("presets", member) {
                let known = self.config.presets.keys().map(String::as_str);
                let near = nearest::one(member, known).map(str::to_owned);
                let message = format!("`{path}` has \"{member}\", expected the name of a preset");
                self.error(&path, message).hint = near.map(|near| format!("did you mean `{near}`?"));
            } else if !seen.insert(member) {
                self.error(&path, format!("`{path}` has \"{member}\" twice"));
            }
        }
    }

    /// What the policy will refuse when it is used is told beforehand.
    fn policy(&mut self) {
        let policy = &self.config.policy;
        let defaults = &self.config.defaults;
        let mut refusals: Vec<(KeyPath, String)> = Vec::new();
        let mut note = |path: KeyPath, verdict: Result<(), super::policy::Refusal>| {
            if let Err(refusal) = verdict {
                refusals.push((path, refusal.to_string()));
            }
        };
        let default = |key: &str| KeyPath::from(["defaults", key]);
        note(default("transport"), policy.permit_transport(defaults.transport));
        note(default("bind"), policy.permit_bind(&defaults.bind));
        note(default("sessions"), policy.permit_sessions(defaults.sessions));
        note(default("keepalive"), policy.permit_keepalive(defaults.keepalive));
        for (name, profile) in &self.config.profiles {
            let key = |key: &str| KeyPath::from(["profiles", name, key]);
            if let Some(transport) = profile.transport {
                note(key("transport"), policy.permit_transport(transport));
            }
            if let Some(sessions) = profile.sessions {
                note(key("sessions"), policy.permit_sessions(sessions));
            }
        }
        for (name, preset) in &self.config.presets {
            let key = |key: &str| KeyPath::from(["presets", name, key]);
            if let Some(bind) = &preset.bind {
                note(key("bind"), policy.permit_bind(bind));
            }
            if let Some(sessions) = preset.sessions {
                note(key("sessions"), policy.permit_sessions(sessions));
            }
        }
        let documents = [
            ("defaults", "document", defaults.document.as_ref()),
            ("defaults", "exec_document", defaults.exec_document.as_ref()),
        ];
        for (section, key, document) in documents {
            if let Some(document) = document {
                note(
                    KeyPath::from([section, key]),
                    policy.permit_document(document.as_str()),
                );
            }
        }
        for (path, refusal) in refusals {
            // A default that nobody wrote is no one's mistake; the refusal comes when it is used.
            let origin = self.at(&path);
            if origin != Origin::Default {
                self.problems
                    .push(Problem::warning(origin, format!("`{path}`: {refusal}")));
            }
        }
    }
}
