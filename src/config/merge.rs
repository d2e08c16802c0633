//! Layers into one config. Entries of the user's own (targets, presets, …) are replaced whole by a higher layer,
//! never merged field by field; `extends` copies on purpose.

use std::collections::BTreeMap;

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::check::{Layer, Rank};
use super::error::Problem;
use super::guard::{guard_defaults, guard_entry};
use super::keys::{KeyPath, SHARED_NAMES};
use super::origin::Origin;
use super::overrides::overlay;
use super::schema::Config;
use crate::nearest;

/// A name that a higher layer uses for something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadowed {
    /// The section and the name that is not seen.
    pub hidden: KeyPath,
    /// Where it stands.
    pub hidden_at: Origin,
    /// Where the entry stands that is seen instead.
    pub shown_at: Origin,
}

/// What all layers come to.
#[derive(Debug, Clone, Default)]
pub(super) struct Merged {
    pub(super) config: Config,
    pub(super) values: Dict,
    pub(super) origins: BTreeMap<KeyPath, Origin>,
    pub(super) shadowed: Vec<Shadowed>,
}

/// An entry with the places of its values.
#[derive(Debug, Clone, Default)]
pub(super) struct Entry {
    pub(super) values: Dict,
    pub(super) origins: BTreeMap<KeyPath, Origin>,
}

/// The keys of a target that choose its node together.
const SELECTOR: &[&str] = &["id", "name", "tags", "address", "asg"];

/// Merges the layers, lowest first.
pub(super) fn merge(mut layers: Vec<Layer>, problems: &mut Vec<Problem>) -> Merged {
    patch_entries(&mut layers);
    guard_defaults(&mut layers, problems);
    let mut shadowed = Vec::new();
    let winners = winners(&layers, &mut shadowed, problems);

    let mut origins = BTreeMap::new();
    let mut figment = Figment::new();
    for (index, layer) in layers.iter().enumerate() {
        let mut values = layer.values.clone();
        for section in SHARED_NAMES.iter().flat_map(|names| names.iter()) {
            values.remove(*section);
        }
        for (path, origin) in &layer.origins {
            if !is_named_section(path) {
                origins.insert(path.clone(), origin.clone());
            }
        }
        for (path, at) in &winners {
            let [section, name] = path.0.as_slice() else {
                continue;
            };
            if *at != index {
                continue;
            }
            let Some(value) = entry_value(layer, section, name) else {
                continue;
            };
            let value = match value {
                Value::Dict(..) => {
                    let entry = expand(&layers, index, section, name, &mut Vec::new(), problems);
                    origins.extend(entry.origins);
                    Value::from(entry.values)
                }
                other => other.clone(),
            };
            if let Some(origin) = layer.origins.get(path) {
                origins.insert(path.clone(), origin.clone());
            }
            let section_values = values
                .entry(section.clone())
                .or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, entries) = section_values {
                entries.insert(name.clone(), value);
            }
        }
        figment = figment.merge(Source {
            rank: layer.rank,
            values,
        });
    }
    let values: Dict = figment.extract().unwrap_or_default();
    let config = figment.extract().unwrap_or_else(|error| {
        problems.extend(error.into_iter().map(|error| unforeseen(&error, &origins)));
        Config::default()
    });
    Merged {
        config,
        values,
        origins,
        shadowed,
    }
}

/// Every value was checked against its shape before; should the two ever differ, it is still told by its key.
fn unforeseen(error: &figment::Error, origins: &BTreeMap<KeyPath, Origin>) -> Problem {
    let path = KeyPath(error.path.clone());
    let origin = origins.get(&path).cloned().unwrap_or(Origin::Default);
    Problem::error(origin, format!("`{path}`: {}", error.kind))
}

struct Source {
    rank: Rank,
    values: Dict,
}

impl Provider for Source {
    fn metadata(&self) -> Metadata {
        Metadata::named(format!("{:?}", self.rank))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

fn is_named_section(path: &KeyPath) -> bool {
    let section = path.0.first().map_or("", String::as_str);
    SHARED_NAMES.iter().any(|names| names.contains(&section))
}

fn entry_value<'a>(layer: &'a Layer, section: &str, name: &str) -> Option<&'a Value> {
    match layer.values.get(section)? {
        Value::Dict(_, entries) => entries.get(name),
        _ => None,
    }
}

/// The command line changes single fields: what it says of an entry goes into the layer that has the entry.
fn patch_entries(layers: &mut [Layer]) {
    let Some((flags, below)) = layers.split_last_mut() else {
        return;
    };
    if flags.rank != Rank::Flags {
        return;
    }
    for section in SHARED_NAMES.iter().flat_map(|names| names.iter()) {
        let Some(Value::Dict(_, entries)) = flags.values.get_mut(*section) else {
            continue;
        };
        let names: Vec<String> = entries.keys().cloned().collect();
        for name in names {
            let owner = below
                .iter_mut()
                .rev()
                .find(|layer| entry_value(layer, section, &name).is_some());
            let Some(owner) = owner else { continue };
            let Some(patch) = entries.remove(&name) else {
                continue;
            };
            let path = KeyPath::from([section, name.as_str()]);
            if let Some(Value::Dict(_, below)) = owner.values.get_mut(*section) {
                overlay(below, Dict::from([(name.clone(), patch)]));
            }
            let moved: Vec<_> = flags
                .origins
                .iter()
                .filter(|(key, _)| key.0.len() > 2 && key.0.starts_with(&path.0))
                .map(|(key, origin)| (key.clone(), origin.clone()))
                .collect();
            owner.origins.extend(moved);
        }
    }
}

/// Which layer each name is taken from.
fn winners(
    layers: &[Layer],
    shadowed: &mut Vec<Shadowed>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<KeyPath, usize> {
    let mut winners = BTreeMap::new();
    for sections in SHARED_NAMES {
        let mut seen: BTreeMap<&str, (usize, KeyPath)> = BTreeMap::new();
        for (index, layer) in layers.iter().enumerate() {
            for section in *sections {
                let Some(Value::Dict(_, entries)) = layer.values.get(*section) else {
                    continue;
                };
                for name in entries.keys() {
                    let path = KeyPath::from([*section, name.as_str()]);
                    let at = |layer: &Layer, path: &KeyPath| {
                        layer.origins.get(path).cloned().unwrap_or(Origin::Default)
                    };
                    match seen.get(name.as_str()) {
                        Some((other, earlier)) if *other == index => {
                            problems.push(Problem::error(
                                at(layer, &path),
                                format!(
                                    "`{path}`: the name `{name}` is used twice, here and by `{earlier}` at {}; \
                                     {} share one set of names",
                                    at(layer, earlier),
                                    sections.join(" and ")
                                ),
                            ));
                        }
                        Some((other, earlier)) => {
                            shadowed.push(Shadowed {
                                hidden: earlier.clone(),
                                hidden_at: at(&layers[*other], earlier),
                                shown_at: at(layer, &path),
                            });
                            seen.insert(name, (index, path));
                        }
                        None => {
                            seen.insert(name, (index, path));
                        }
                    }
                }
            }
        }
        winners.extend(seen.into_values().map(|(index, path)| (path, index)));
    }
    winners
}

/// An entry with what it copies by `extends`.
fn expand(
    layers: &[Layer],
    index: usize,
    section: &str,
    name: &str,
    chain: &mut Vec<(usize, String)>,
    problems: &mut Vec<Problem>,
) -> Entry {
    let path = KeyPath::from([section, name]);
    let layer = &layers[index];
    let Some(Value::Dict(_, values)) = entry_value(layer, section, name) else {
        return Entry::default();
    };
    let mut entry = Entry {
        values: values.clone(),
        origins: layer
            .origins
            .range(path.clone()..)
            .take_while(|(key, _)| key.0.starts_with(&path.0))
            .map(|(key, origin)| (key.clone(), origin.clone()))
            .collect(),
    };
    chain.push((index, name.to_owned()));
    if let Some(base_name) = values.get("extends").and_then(Value::as_str) {
        let base_name = base_name.to_owned();
        let origin = entry
            .origins
            .get(&path.child("extends"))
            .cloned()
            .unwrap_or(Origin::Default);
        match base(layers, index, section, name, &base_name) {
            Some(at) if chain.contains(&(at, base_name.clone())) => {
                // Each entry of the loop comes by here: the first of them speaks for all.
                let link = (at, base_name.clone());
                if chain.first() == Some(&link) && chain.iter().min() == Some(&link) {
                    let names: Vec<&str> = chain.iter().map(|(_, name)| name.as_str()).collect();
                    let start = KeyPath::from([section, base_name.as_str()]).child("extends");
                    let origin = layers[at].origins.get(&start).cloned().unwrap_or(origin);
                    let message = format!("`{start}` is a loop: {} → {base_name}", names.join(" → "));
                    problems.push(Problem::error(origin, message));
                }
            }
            Some(at) => {
                let base_path = KeyPath::from([section, base_name.as_str()]);
                let base = expand(layers, at, section, &base_name, chain, problems);
                inherit(&mut entry, &path, base, &base_path);
            }
            None => {
                let known = layers
                    .iter()
                    .filter_map(|layer| match layer.values.get(section) {
                        Some(Value::Dict(_, entries)) => Some(entries.keys().map(String::as_str)),
                        _ => None,
                    })
                    .flatten()
                    .filter(|known| *known != name);
                let message = format!(
                    "`{path}.extends` is \"{base_name}\", expected the name of an entry of `[{section}]`"
                );
                problems.push(Problem::error(origin, message).did_you_mean(nearest::one(&base_name, known)));
            }
        }
    }
    chain.pop();
    guard_entry(layers, index, section, name, &mut entry, problems);
    entry
}

/// The layer that an entry's `extends` means: the highest that has the name, or for its own name the next below.
fn base(layers: &[Layer], index: usize, section: &str, name: &str, base: &str) -> Option<usize> {
    let end = if base == name { index } else { layers.len() };
    (0..end)
        .rev()
        .find(|at| entry_value(&layers[*at], section, base).is_some())
}

/// Copies what an entry leaves out. A selector is taken as one: half of one and half of another means nothing.
fn inherit(entry: &mut Entry, path: &KeyPath, base: Entry, base_path: &KeyPath) {
    let selects = SELECTOR.iter().any(|key| entry.values.contains_key(*key));
    for (key, value) in base.values {
        let part_of_selector = selects && path.0.first().is_some_and(|section| section == "targets");
        let left_out =
            entry.values.contains_key(&key) || (part_of_selector && SELECTOR.contains(&key.as_str()));
        if left_out || key == "extends" {
            continue;
        }
        let from = base_path.child(&key);
        for (origin_key, origin) in &base.origins {
            if origin_key.0.starts_with(&from.0) {
                let rest = origin_key.0.iter().skip(base_path.0.len()).cloned();
                let copied = KeyPath(path.0.iter().cloned().chain(rest).collect());
                entry.origins.insert(copied, origin.clone());
            }
        }
        entry.values.insert(key, value);
    }
}
