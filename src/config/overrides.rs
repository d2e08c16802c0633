//! The layers that are no files: variables and the command line.

use std::path::Path;

use figment::value::{Dict, Value};

use super::check::{Layer, Rank, check};
use super::document::Document;
use super::env::VARIABLES;
use super::error::{Problem, Weight};
use super::keys::KeyPath;
use super::load::Flags;
use super::origin::Origin;

/// How a text was meant that is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// As it stands; as TOML where that does not fit (a number).
    TextFirst,
    /// As TOML; as it stands where that does not fit (`eu-west-2`, an account's digits).
    TomlFirst,
}

/// The layer of variables; `lookup` gives a variable's value where it is set.
pub(super) fn environment(lookup: impl Fn(&str) -> Option<String>, problems: &mut Vec<Problem>) -> Layer {
    let mut layer = Layer::empty(Rank::Environment);
    for variable in VARIABLES {
        if let (Some(key), Some(text)) = (variable.key, lookup(variable.name)) {
            let path = KeyPath(key.iter().map(|part| (*part).to_owned()).collect());
            let origin = Origin::Variable(variable.name);
            put(&mut layer, &path, &text, Reading::TextFirst, &origin, problems);
        }
    }
    layer
}

/// The layer of the command line.
pub(super) fn flags(flags: &Flags, problems: &mut Vec<Problem>) -> Layer {
    let mut layer = Layer::empty(Rank::Flags);
    for assignment in &flags.set {
        let origin = Origin::Flag("--set".to_owned());
        let Some((key, text)) = split_assignment(assignment) else {
            let message = format!("`{assignment}` is not KEY=VALUE");
            problems.push(Problem::error(origin, message).hint("such as --set defaults.region=eu-west-2"));
            continue;
        };
        match key.trim().parse::<KeyPath>() {
            Ok(path) => put(&mut layer, &path, text, Reading::TomlFirst, &origin, problems),
            Err(reason) => {
                problems.push(Problem::error(
                    origin,
                    format!("`{key}` is not a config key: {reason}"),
                ));
            }
        }
    }
    let named = [
        ("--profile", "profile", &flags.profile),
        ("--region", "region", &flags.region),
    ];
    for (flag, key, text) in named {
        if let Some(text) = text {
            let path = KeyPath::from(["defaults", key]);
            let origin = Origin::Flag(flag.to_owned());
            put(&mut layer, &path, text, Reading::TextFirst, &origin, problems);
        }
    }
    layer
}

/// The `=` that ends the key: quoted parts of a key may hold others.
fn split_assignment(assignment: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, c) in assignment.char_indices() {
        match (quote, c) {
            (None, '=') => return Some((&assignment[..at], &assignment[at + 1..])),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    None
}

/// Puts a text into a layer as a key's value.
fn put(
    layer: &mut Layer,
    path: &KeyPath,
    text: &str,
    reading: Reading,
    origin: &Origin,
    problems: &mut Vec<Problem>,
) {
    match read(path, text, reading, layer.rank) {
        Ok((_, read)) => {
            overlay(&mut layer.values, read.values);
            layer
                .origins
                .extend(read.origins.into_keys().map(|key| (key, origin.clone())));
        }
        Err(found) => problems.extend(found.into_iter().map(|problem| Problem {
            origin: origin.clone(),
            ..problem
        })),
    }
}

/// A text as the value of a key: as TOML where that fits, else as a string.
///
/// # Errors
/// With what was expected.
pub(super) fn value_of(path: &KeyPath, text: &str) -> Result<toml_edit::Value, Vec<Problem>> {
    read(path, text, Reading::TomlFirst, Rank::User).map(|(value, _)| value)
}

/// Checks a text as a key's value, in the ways that it may have been meant.
fn read(
    path: &KeyPath,
    text: &str,
    reading: Reading,
    rank: Rank,
) -> Result<(toml_edit::Value, Layer), Vec<Problem>> {
    let quoted = toml_edit::Value::from(text);
    let toml = text.parse::<toml_edit::Value>().ok();
    let readings = match reading {
        Reading::TextFirst => [Some(quoted), toml],
        Reading::TomlFirst => [toml, Some(quoted)],
    };
    let mut first_failure = None;
    for value in readings.into_iter().flatten() {
        let value = value.decorated("", "");
        let mut found = Vec::new();
        let layer = match Document::parse(Path::new(""), format!("{path} = {value}\n")) {
            Ok(document) => check(&document, rank, &mut found),
            Err(problem) => {
                found.push(problem);
                Layer::empty(rank)
            }
        };
        if found.is_empty() {
            return Ok((value, layer));
        }
        first_failure.get_or_insert(found);
    }
    let failure = first_failure.unwrap_or_default().into_iter();
    Err(failure
        .map(|problem| Problem {
            weight: Weight::Error,
            // How to quote in a file is no help here.
            hint: problem.hint.filter(|hint| !hint.starts_with("write it")),
            ..problem
        })
        .collect())
}

/// Puts one dictionary over another: what is there in both is taken from above, tables key by key.
pub(super) fn overlay(below: &mut Dict, above: Dict) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Dict(_, below)), Value::Dict(_, above)) => overlay(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(words: &[&str]) -> (Layer, Vec<String>) {
        let mut problems = Vec::new();
        let words = Flags {
            set: words.iter().map(|word| (*word).to_owned()).collect(),
            ..Flags::default()
        };
        let layer = flags(&words, &mut problems);
        (layer, problems.iter().map(ToString::to_string).collect())
    }

    fn value(layer: &Layer, path: &str) -> Option<Value> {
        Value::from(layer.values.clone()).find(path)
    }

    #[test]
    fn values_are_read_for_their_keys_type() {
        let (layer, problems) = set(&[
            "defaults.region=eu-west-2",
            "defaults.profile=\"a b\"",
            "profiles.\"x=y\".account=123456789012",
            "profiles.z.account=012345678901",
            "defaults.columns=[\"Team\"]",
            "presets.db.port=5432",
            "presets.db.lazy=true",
            "defaults.sessions=2",
            "defaults.sessions=4",
        ]);
        assert_eq!(problems, Vec::<String>::new());
        let text = |path: &str| value(&layer, path).and_then(|value| value.as_str().map(str::to_owned));
        assert_eq!(text("defaults.region").as_deref(), Some("eu-west-2"));
        assert_eq!(text("defaults.profile").as_deref(), Some("a b"));
        assert_eq!(text("profiles.x=y.account").as_deref(), Some("123456789012"));
        assert_eq!(text("profiles.z.account").as_deref(), Some("012345678901"));
        assert_eq!(
            value(&layer, "presets.db.port").and_then(|port| port.to_i128()),
            Some(5432)
        );
        assert_eq!(
            value(&layer, "defaults.sessions").and_then(|n| n.to_i128()),
            Some(4)
        );
        assert_eq!(
            layer.origins.get(&KeyPath::from(["presets", "db", "port"])),
            Some(&Origin::Flag("--set".into()))
        );
    }

    #[test]
    fn wrong_words_are_told() {
        let cases = [
            (
                "defaults.region",
                "--set: `defaults.region` is not KEY=VALUE (such as --set defaults.region=eu-west-2)",
            ),
            ("a..b=1", "--set: `a..b` is not a config key"),
            (
                "defaults.regoin=x",
                "--set: `regoin` is not a key that is known in `[defaults]` (did you mean `region`?)",
            ),
            (
                "policy.pools=false",
                "--set: `policy` counts in the system file alone",
            ),
            (
                "presets.db.port=0",
                "--set: `presets.db.port` is the number 0, expected a port: a number from 1 to 65535",
            ),
            (
                "defaults.transport=nativ",
                "--set: `defaults.transport` is the string \"nativ\", expected \"auto\", \"native\" or \"plugin\" \
                 (did you mean \"native\"?)",
            ),
            (
                "defaults.sessions=1\n[policy]\npools=false",
                "--set: `defaults.sessions` is the string \"1\n[policy]\npools=false\", expected a number from 1 to 32",
            ),
        ];
        for (words, message) in cases {
            let (layer, problems) = set(&[words]);
            assert_eq!(problems.len(), 1, "{words}: {problems:?}");
            assert!(problems[0].starts_with(message), "{words}: {problems:?}");
            assert!(layer.origins.is_empty(), "{words}");
        }
    }

    #[test]
    fn variables_are_text_first() {
        let mut problems = Vec::new();
        let lookup = |name: &str| match name {
            "SSMX_PROFILE" => Some("123456789012".to_owned()),
            "SSMX_REGION" => Some("nowhere".to_owned()),
            _ => None,
        };
        let layer = environment(lookup, &mut problems);
        assert_eq!(
            value(&layer, "defaults.profile")
                .and_then(Value::into_string)
                .as_deref(),
            Some("123456789012")
        );
        assert_eq!(
            problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "SSMX_REGION: `defaults.region` is the string \"nowhere\", expected a region, such as \"eu-west-2\""
            ]
        );
    }
}
