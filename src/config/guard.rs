//! What a team file may not do, trusted or not: loosen `confirm`, `reason` or `bind`, or lead a pinned profile to
//! another account.
//!
//! Looser is measured against what would hold without the team file.

use figment::value::{Dict, Value};

use super::check::{Layer, Rank};
use super::error::Problem;
use super::keys::KeyPath;
use super::merge::Entry;
use super::origin::Origin;
use super::values::Bind;

/// Keys of which a stricter value counts, with their words from loose to strict.
const GUARDED: &[(&str, &[&str])] = &[
    ("confirm", &["never", "ask", "type-name"]),
    ("reason", &["optional", "required"]),
];

/// The account that a profile is pinned to: a team file may pin what is not, and keep a pin, no more.
const PIN: &str = "account";

/// Takes what loosens out of a team file's `[defaults]`.
pub(super) fn guard_defaults(layers: &mut [Layer], problems: &mut Vec<Problem>) {
    let Some(team) = layers.iter().position(|layer| layer.rank == Rank::Team) else {
        return;
    };
    let (below, rest) = layers.split_at_mut(team);
    let Some(layer) = rest.first_mut() else { return };
    let Some(Value::Dict(_, defaults)) = layer.values.get_mut("defaults") else {
        return;
    };
    let floor = |key: &str| {
        below
            .iter()
            .rev()
            .find_map(|layer| text(layer.values.get("defaults")?.as_dict()?, key))
    };
    for key in ["confirm", "reason", "bind"] {
        let Some(own) = text(defaults, key) else { continue };
        let floor = floor(key);
        if loosens(key, &own, floor.as_deref()) {
            let path = KeyPath::from(["defaults", key]);
            let origin = layer.origins.remove(&path).unwrap_or(Origin::Default);
            problems.push(refused(origin, &path, &own, floor.as_deref()));
            defaults.remove(key);
        }
    }
}

/// Takes what loosens out of a team file's entry, and keeps what a lower layer's entry of that name demanded.
pub(super) fn guard_entry(
    layers: &[Layer],
    index: usize,
    section: &str,
    name: &str,
    entry: &mut Entry,
    problems: &mut Vec<Problem>,
) {
    if layers[index].rank != Rank::Team {
        return;
    }
    let path = KeyPath::from([section, name]);
    for key in ["confirm", "reason", "bind", PIN] {
        if key == PIN && section != "profiles" {
            continue;
        }
        let replaced = layers[..index].iter().rev().find_map(|layer| {
            let entries = layer.values.get(section)?.as_dict()?;
            let value = text(entries.get(name)?.as_dict()?, key)?;
            let origin = layer.origins.get(&path.child(key)).cloned();
            Some((value, origin.unwrap_or(Origin::Default)))
        });
        // Without an entry of its own a profile goes by the defaults. A target's or preset's `confirm` and
        // `reason` can only add to the profile's.
        let general = || {
            layers
                .iter()
                .rev()
                .filter(|layer| layer.rank != Rank::Team)
                .find_map(|layer| text(layer.values.get("defaults")?.as_dict()?, key))
        };
        let floor = match &replaced {
            Some((value, _)) => Some(value.clone()),
            None if key == PIN => None,
            None if section == "profiles" || key == "bind" => general(),
            None => None,
        };
        match text(&entry.values, key) {
            Some(own) if loosens(key, &own, floor.as_deref()) => {
                let origin = entry.origins.remove(&path.child(key)).unwrap_or(Origin::Default);
                problems.push(refused(origin, &path.child(key), &own, floor.as_deref()));
                entry.values.remove(key);
            }
            _ => {}
        }
        if let (None, Some((value, origin))) = (entry.values.get(key), replaced) {
            entry.values.insert(key.to_owned(), Value::from(value));
            entry.origins.insert(path.child(key), origin);
        }
    }
}

fn refused(origin: Origin, path: &KeyPath, own: &str, floor: Option<&str>) -> Problem {
    let verb = if path.0.last().is_some_and(|key| key == PIN) {
        "change"
    } else {
        "loosen"
    };
    let stays = floor.map_or(String::new(), |floor| format!("; \"{floor}\" stays"));
    Problem::warning(
        origin,
        format!("`{path}` = \"{own}\" is left out: a team file may not {verb} it{stays}"),
    )
}

fn text(values: &Dict, key: &str) -> Option<String> {
    values.get(key)?.as_str().map(str::to_owned)
}

fn loosens(key: &str, own: &str, floor: Option<&str>) -> bool {
    if key == PIN {
        return floor.is_some_and(|floor| floor != own);
    }
    if key == "bind" {
        let loopback = own.parse::<Bind>().is_ok_and(|bind| !bind.is_beyond_loopback());
        return !loopback && floor != Some(own);
    }
    let strictness = |word: &str| {
        let (_, words) = GUARDED.iter().find(|(guarded, _)| *guarded == key)?;
        words.iter().position(|known| *known == word)
    };
    floor.is_some_and(|floor| strictness(own) < strictness(floor))
}
