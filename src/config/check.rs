//! One file against the shape of a config: what fits becomes values, the rest becomes problems with their place.

use std::collections::{BTreeMap, BTreeSet};

use figment::value::{Dict, Value};
use toml_edit::{Item, TableLike};

use super::document::Document;
use super::error::{Problem, Weight};
use super::keys::{KeyPath, check_name};
use super::origin::Origin;
use super::schema::Config;
use super::shape::{Key, Leaf, Shape, Shaped as _};
use crate::nearest;

/// Which layer a value stands in, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Compiled in.
    Default,
    /// The administrator's file.
    System,
    /// The team's file.
    Team,
    /// The user's file.
    User,
    /// Variables.
    Environment,
    /// The command line.
    Flags,
}

/// A layer's values and their places.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) rank: Rank,
    pub(super) values: Dict,
    /// The origin of every key: tables as well as what stands in them.
    pub(super) origins: BTreeMap<KeyPath, Origin>,
    /// Entries (or whole sections, or by the empty path everything) of which something is missing since it was
    /// wrong: nothing further is to be said about them.
    pub(super) damaged: BTreeSet<KeyPath>,
}

impl Layer {
    /// A layer that says nothing.
    pub(super) fn empty(rank: Rank) -> Self {
        Self {
            rank,
            values: Dict::new(),
            origins: BTreeMap::new(),
            damaged: BTreeSet::new(),
        }
    }

    /// A layer of which nothing can be known.
    pub(super) fn unreadable(rank: Rank) -> Self {
        let mut layer = Self::empty(rank);
        layer.damaged.insert(KeyPath::default());
        layer
    }
}

/// Reads what fits the shape of a config out of a file. Values that do not fit are left out.
pub(super) fn check(document: &Document, rank: Rank, problems: &mut Vec<Problem>) -> Layer {
    if let Some(problem) = another_schema(document) {
        problems.push(problem);
        return Layer::unreadable(rank);
    }
    let mut walk = Walk {
        document,
        rank,
        origins: BTreeMap::new(),
        damaged: BTreeSet::new(),
        problems,
    };
    let values = match Config::SHAPE {
        Shape::Table(keys) => walk.table(document.table(), keys, &KeyPath::default()),
        _ => Dict::new(),
    };
    Layer {
        rank,
        values,
        origins: walk.origins,
        damaged: walk.damaged,
    }
}

/// A file of another format: nothing in it means what it seems to.
fn another_schema(document: &Document) -> Option<Problem> {
    let item = document.table().get("schema")?;
    let number = item.as_integer().filter(|number| *number != 1)?;
    let origin = document.origin(item.span().map(|span| span.start));
    let problem = Problem::error(origin, format!("`schema` is {number}, expected 1"));
    Some(if number > 1 {
        problem.hint(format!(
            "the file is for a newer ssmx; this is {}",
            env!("CARGO_PKG_VERSION")
        ))
    } else {
        problem
    })
}

struct Walk<'a> {
    document: &'a Document,
    rank: Rank,
    origins: BTreeMap<KeyPath, Origin>,
    damaged: BTreeSet<KeyPath>,
    problems: &'a mut Vec<Problem>,
}

impl Walk<'_> {
    fn table(&mut self, table: &dyn TableLike, keys: &'static [Key], path: &KeyPath) -> Dict {
        let mut values = Dict::new();
        for (name, item) in table.iter().filter(|(name, _)| !name.starts_with("x-")) {
            let here = path.child(name);
            let origin = self.key_origin(table, name, item);
            let Some(key) = keys.iter().find(|key| key.name == name) else {
                self.unknown(origin, name, keys, path);
                continue;
            };
            if let Some(reason) = misplaced(&here, self.rank) {
                let weight = self.weight_of_unknown(path);
                self.problems.push(Problem {
                    weight,
                    ..Problem::error(origin, format!("`{here}` {reason}"))
                });
                continue;
            }
            if let Some(value) = self.value(item, &key.shape, &here, &origin) {
                self.origins.insert(here, origin);
                values.insert(name.to_owned(), value);
            }
        }
        values
    }

    fn named(&mut self, table: &dyn TableLike, entry: &Shape, path: &KeyPath) -> Dict {
        let mut values = Dict::new();
        for (name, item) in table.iter() {
            let here = path.child(name);
            let origin = self.key_origin(table, name, item);
            if let [section] = path.0.as_slice() {
                if name.starts_with("x-") {
                    continue;
                }
                if let Err(expected) = check_name(section, name) {
                    self.damaged.insert(here);
                    self.problems.push(Problem::error(
                        origin,
                        format!("`{name}` in `[{path}]` {expected}"),
                    ));
                    continue;
                }
            }
            if let Some(value) = self.value(item, entry, &here, &origin) {
                self.origins.insert(here, origin);
                values.insert(name.to_owned(), value);
            }
        }
        values
    }

    fn value(&mut self, item: &Item, shape: &Shape, path: &KeyPath, origin: &Origin) -> Option<Value> {
        match shape {
            Shape::Table(keys) => match item.as_table_like() {
                Some(table) => Some(Value::from(self.table(table, keys, path))),
                None => self.wrong(item, path, origin, "a table", None),
            },
            Shape::Named(entry) => match item.as_table_like() {
                Some(table) => Some(Value::from(self.named(table, entry, path))),
                None => self.wrong(item, path, origin, "a table", None),
            },
            Shape::List(element) => match item.as_array() {
                Some(array) => self.list(array, element, path, origin),
                None => {
                    let expected = format!("a list, each element of it {}", expected(element));
                    self.wrong(item, path, origin, &expected, None)
                }
            },
            Shape::OneOrList(element) => match item.as_array() {
                Some(array) if array.is_empty() => {
                    let expected = format!("{}, or a list of such that is not empty", expected(element));
                    self.wrong(item, path, origin, &expected, None)
                }
                Some(array) => self.list(array, element, path, origin),
                None => self.value(item, element, path, origin),
            },
            Shape::Leaf(leaf) => match item.as_value() {
                Some(value) if (leaf.check)(value) => Some(plain(value)),
                Some(value) => {
                    let hint = leaf_hint(leaf, value);
                    self.wrong(item, path, origin, leaf.expected, hint)
                }
                None => self.wrong(item, path, origin, leaf.expected, None),
            },
        }
    }

    fn list(
        &mut self,
        array: &toml_edit::Array,
        element: &Shape,
        path: &KeyPath,
        origin: &Origin,
    ) -> Option<Value> {
        let mut values = Vec::new();
        let mut whole = true;
        for value in array {
            let item = Item::Value(value.clone());
            // The clone keeps the span, so that problems name the element's own place.
            match self.value(&item, element, path, origin) {
                Some(value) => values.push(value),
                None => whole = false,
            }
        }
        whole.then(|| Value::from(values))
    }

    fn wrong(
        &mut self,
        item: &Item,
        path: &KeyPath,
        origin: &Origin,
        expected: &str,
        hint: Option<String>,
    ) -> Option<Value> {
        let origin = match item.span() {
            Some(span) => self.document.origin(Some(span.start)),
            None => origin.clone(),
        };
        self.damaged.insert(entry_of(path));
        let problem = Problem::error(
            origin,
            format!("`{path}` is {}, expected {expected}", describe(item)),
        );
        self.problems.push(Problem { hint, ..problem });
        None
    }

    fn unknown(&mut self, origin: Origin, name: &str, keys: &'static [Key], path: &KeyPath) {
        let place = if path.0.is_empty() {
            "at the top of the file".to_owned()
        } else {
            format!("in `[{path}]`")
        };
        let mut problem = Problem {
            weight: self.weight_of_unknown(path),
            ..Problem::error(origin, format!("`{name}` is not a key that is known {place}"))
        };
        let names = || keys.iter().map(|key| key.name);
        problem = match nearest::one(name, names()) {
            Some(near) => problem.did_you_mean(Some(near)),
            None => problem.hint(format!(
                "known there are {}; keys that begin with x- are free",
                names().collect::<Vec<_>>().join(", ")
            )),
        };
        // A misspelt key or section is missing where it was meant to be.
        if problem.weight == Weight::Error {
            self.damaged.insert(entry_of(path));
        }
        self.problems.push(problem);
    }

    /// Shared files are read by older programs too, the user's own file is not; a limit that is misspelt is none.
    fn weight_of_unknown(&self, path: &KeyPath) -> Weight {
        let policy = path.0.first().is_some_and(|section| section == "policy");
        match self.rank {
            Rank::System | Rank::Team if !policy => Weight::Warning,
            _ => Weight::Error,
        }
    }

    fn key_origin(&self, table: &dyn TableLike, name: &str, item: &Item) -> Origin {
        let span = table.key(name).and_then(|key| key.span()).or_else(|| item.span());
        self.document.origin(span.map(|span| span.start))
    }
}

/// The entry, or the section, that a path leads into.
fn entry_of(path: &KeyPath) -> KeyPath {
    KeyPath(path.0.iter().take(2).cloned().collect())
}

/// Why a key does not count in a layer.
fn misplaced(path: &KeyPath, rank: Rank) -> Option<&'static str> {
    let parts: Vec<&str> = path.0.iter().map(String::as_str).collect();
    match (parts.as_slice(), rank) {
        (_, Rank::Default) => None,
        (["policy", ..], Rank::Team | Rank::User | Rank::Environment | Rank::Flags) => {
            Some("counts in the system file alone")
        }
        // What names a command or a host to be trusted is nobody else's to say.
        (["profiles", _, "mfa_command"], Rank::System | Rank::Team) => Some("counts in the user file alone"),
        (["profiles", _, "stream_endpoint" | "federation_endpoint"] | ["defaults", "pager"], Rank::Team) => {
            Some("does not count in a team file")
        }
        _ => None,
    }
}

/// What a shape expects, to follow the word "expected".
pub(super) fn expected(shape: &Shape) -> String {
    match shape {
        Shape::Leaf(leaf) => leaf.expected.to_owned(),
        Shape::List(element) => format!("a list, each element of it {}", expected(element)),
        Shape::OneOrList(element) => format!("{}, or a list of such", expected(element)),
        Shape::Table(_) | Shape::Named(_) => "a table".to_owned(),
    }
}

/// What to write instead, where the value shows what was meant.
fn leaf_hint(leaf: &Leaf, value: &toml_edit::Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        if let Some(near) = nearest::one(text, leaf.choices.iter().copied()) {
            return Some(format!("did you mean \"{near}\"?"));
        }
        let bare: toml_edit::Value = text.trim().parse().ok()?;
        return (!bare.is_str() && (leaf.check)(&bare))
            .then(|| format!("write it without quotes: {}", text.trim()));
    }
    let bare = value.to_string().trim().to_owned();
    (leaf.check)(&toml_edit::Value::from(bare.as_str())).then(|| format!("write it in quotes: \"{bare}\""))
}

/// A value in a sentence.
fn describe(item: &Item) -> String {
    match item {
        Item::Value(toml_edit::Value::String(text)) => {
            let text = text.value();
            let short: String = text.chars().take(60).collect();
            let dots = if short.len() < text.len() { "…" } else { "" };
            format!("the string \"{short}{dots}\"")
        }
        Item::Value(toml_edit::Value::Integer(number)) => format!("the number {}", number.value()),
        Item::Value(toml_edit::Value::Float(number)) => format!("the number {}", number.value()),
        Item::Value(toml_edit::Value::Boolean(value)) => value.value().to_string(),
        Item::Value(toml_edit::Value::Datetime(value)) => format!("the date {}", value.value()),
        Item::Value(toml_edit::Value::Array(_)) => "a list".to_owned(),
        Item::ArrayOfTables(_) => "a list of tables".to_owned(),
        Item::Value(toml_edit::Value::InlineTable(_)) | Item::Table(_) => "a table".to_owned(),
        Item::None => "nothing".to_owned(),
    }
}

/// A value without its place.
pub(super) fn plain(value: &toml_edit::Value) -> Value {
    match value {
        toml_edit::Value::String(text) => Value::from(text.value().as_str()),
        toml_edit::Value::Integer(number) => Value::from(*number.value()),
        toml_edit::Value::Float(number) => Value::from(*number.value()),
        toml_edit::Value::Boolean(value) => Value::from(*value.value()),
        toml_edit::Value::Datetime(value) => Value::from(value.value().to_string()),
        toml_edit::Value::Array(array) => Value::from(array.iter().map(plain).collect::<Vec<_>>()),
        toml_edit::Value::InlineTable(table) => Value::from(
            table
                .iter()
                .map(|(key, value)| (key.to_owned(), plain(value)))
                .collect::<Dict>(),
        ),
    }
}
