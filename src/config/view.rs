//! A merged config as people and scripts read it.

use figment::value::{Dict, Value};

use super::keys::KeyPath;
use super::load::Loaded;
use super::origin::Origin;

/// One value and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Line<'a> {
    /// Its key.
    pub path: KeyPath,
    /// The value as it stands behind the `=` of a line of TOML.
    pub toml: String,
    /// The value as JSON.
    pub json: serde_json::Value,
    /// Where it comes from.
    pub origin: &'a Origin,
}

impl Loaded {
    /// What stands at a path, as JSON; `None`: nothing does.
    pub fn json(&self, path: &KeyPath) -> Option<serde_json::Value> {
        serde_json::to_value(find(&self.values, path)?).ok()
    }

    /// What stands at a path, as TOML: a table with its header, or a value.
    pub fn toml(&self, path: &KeyPath) -> Option<String> {
        let value = find(&self.values, path)?;
        if !matches!(value, Value::Dict(..)) {
            return Some(format!("{}\n", inline(value)));
        }
        let whole = path.0.iter().rev().fold(value.clone(), |value, part| {
            Value::from(Dict::from([(part.clone(), value)]))
        });
        toml_edit::ser::to_string_pretty(&whole).ok()
    }

    /// Every value at and below a path that is no table, in the order of their keys.
    pub fn lines(&self, path: &KeyPath) -> Vec<Line<'_>> {
        let mut lines = Vec::new();
        if path.0.is_empty() {
            for (key, value) in &self.values {
                self.collect(path.child(key), value, &mut lines);
            }
        } else if let Some(value) = find(&self.values, path) {
            self.collect(path.clone(), value, &mut lines);
        }
        lines
    }

    fn collect<'a>(&'a self, path: KeyPath, value: &Value, lines: &mut Vec<Line<'a>>) {
        match value {
            Value::Dict(_, entries) => {
                for (key, value) in entries {
                    self.collect(path.child(key), value, lines);
                }
            }
            _ => lines.push(Line {
                toml: inline(value),
                json: serde_json::to_value(value).unwrap_or_default(),
                origin: self.origin(&path).unwrap_or(&Origin::Default),
                path,
            }),
        }
    }
}

/// What stands at a path; names may hold dots, so figment's own dotted search is of no use. The empty path has no
/// value of its own here.
fn find<'a>(values: &'a Dict, path: &KeyPath) -> Option<&'a Value> {
    let (first, rest) = path.0.split_first()?;
    rest.iter()
        .try_fold(values.get(first)?, |value, part| match value {
            Value::Dict(_, entries) => entries.get(part),
            _ => None,
        })
}

/// A value as it stands behind the `=` of a line of TOML.
fn inline(value: &Value) -> String {
    match value {
        Value::Array(_, elements) => {
            let elements: Vec<String> = elements.iter().map(inline).collect();
            format!("[{}]", elements.join(", "))
        }
        Value::Bool(_, value) => value.to_string(),
        Value::Num(_, number) => {
            let whole = number.to_i128().map(|number| number.to_string());
            let broken = || number.to_f64().map(|number| number.to_string());
            whole.or_else(broken).unwrap_or_default()
        }
        other => toml_edit::Value::from(other.as_str().unwrap_or_default()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::World;
    use super::*;

    #[test]
    fn a_value_is_found_and_printed_as_toml_again() {
        let (loaded, _) = World::new()
            .user("[targets.\"a.b\"]\nname = \"q\\\"x\"\ntags = { \"aws:x\" = \"y\" }\n[presets.p]\ntarget = [\"a.b\"]\nport = 80\nlazy = true\n")
            .load_with(&[], &[]);
        let path = |text: &str| text.parse::<KeyPath>().unwrap();
        assert_eq!(
            loaded.toml(&path("targets.\"a.b\"")).unwrap(),
            "[targets.\"a.b\"]\nname = 'q\"x'\n\n[targets.\"a.b\".tags]\n\"aws:x\" = \"y\"\n"
        );
        assert_eq!(loaded.toml(&path("presets.p.port")).unwrap(), "80\n");
        assert_eq!(loaded.toml(&path("presets.q")), None);
        let lines: Vec<String> = loaded
            .lines(&path("presets"))
            .iter()
            .map(|line| format!("{} = {}", line.path, line.toml))
            .collect();
        assert_eq!(
            lines,
            [
                "presets.p.lazy = true",
                "presets.p.port = 80",
                "presets.p.target = [\"a.b\"]"
            ]
        );
        assert_eq!(
            loaded.json(&path("presets.p.lazy")),
            Some(serde_json::json!(true))
        );
    }
}
