//! Changes to the user's file that keep its comments and its order. Nothing is written that would not check.

use std::io;
use std::path::{Path, PathBuf};

pub use toml_edit::{Array, Value};
use toml_edit::{DocumentMut, InlineTable, Item, Table, TableLike};

use super::document;
use super::env;
use super::error::{ConfigError, Problem};
use super::keys::KeyPath;
use super::load::{Flags, assemble};
use super::origin::Origin;
use super::overrides;
use super::places::Places;
use crate::private;

/// Why the user's file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// There is no home directory and no `SSMX_CONFIG`.
    #[error("there is no home directory, hence no config file of this user")]
    NoPlace,
    /// The file is not sound, or would not be sound afterwards.
    #[error(transparent)]
    Unsound(ConfigError),
    /// What was to be added is there.
    #[error("`{path}` is there already, at {at}")]
    Exists {
        /// What.
        path: KeyPath,
        /// Where.
        at: Origin,
    },
    /// What was to be removed is not in the user's file.
    #[error("`{path}` is not in `{file}`", file = file.display())]
    Missing {
        /// What.
        path: KeyPath,
        /// The user's file.
        file: PathBuf,
    },
    /// Somebody else changed it since it was read.
    #[error("`{path}` was changed by somebody else meanwhile", path = path.display())]
    ChangedMeanwhile {
        /// The file.
        path: PathBuf,
    },
    /// The file system's word.
    #[error("`{path}` cannot be written", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl From<ConfigError> for EditError {
    fn from(error: ConfigError) -> Self {
        Self::Unsound(error)
    }
}

impl From<Problem> for EditError {
    fn from(problem: Problem) -> Self {
        Self::Unsound(ConfigError {
            problems: vec![problem],
        })
    }
}

/// What to do with an entry that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Leave it, and tell.
    Keep,
    /// Put the new one in its place.
    Replace,
}

/// The user's file, being changed.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    before: Option<String>,
    document: DocumentMut,
}

impl Draft {
    /// Reads the user's file; one that is not there is begun.
    ///
    /// # Errors
    /// When there is no place for one, or it cannot be read or parsed.
    pub fn open(places: &Places) -> Result<Self, EditError> {
        let (path, before) = current(places)?;
        let text = before.clone().unwrap_or_else(|| "schema = 1\n".to_owned());
        // Parsed twice, for the first way knows the line of a mistake.
        document::Document::parse(&path, text.clone())?;
        let document = text.parse().map_err(|error: toml_edit::TomlError| {
            Problem::error(Origin::file(&path), error.message().to_owned())
        })?;
        Ok(Self {
            path,
            before,
            document,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text as it was; empty where there is no file yet.
    fn before(&self) -> &str {
        self.before.as_deref().unwrap_or_default()
    }

    /// Adds an entry such as `[targets.NAME]` with these values.
    ///
    /// # Errors
    /// When it is there and is to be kept.
    pub fn put_entry(
        &mut self,
        section: &str,
        name: &str,
        values: impl IntoIterator<Item = (KeyPath, Value)>,
        existing: Existing,
    ) -> Result<(), EditError> {
        let path = KeyPath::from([section, name]);
        self.make_room(&path, existing)?;
        // The header comes first, so that an entry without values is one all the same.
        let _ = self.item(&path.0);
        for (key, value) in values {
            let parts = path.0.iter().chain(&key.0).cloned().collect();
            self.set(&KeyPath(parts), value);
        }
        Ok(())
    }

    /// Adds a value such as `aliases.NAME`.
    ///
    /// # Errors
    /// When it is there and is to be kept.
    pub fn put_value(&mut self, path: &KeyPath, value: Value, existing: Existing) -> Result<(), EditError> {
        if existing == Existing::Keep {
            self.make_room(path, existing)?;
        }
        self.set(path, value);
        Ok(())
    }

    /// Sets one value, in place where it is there. Its comment stays.
    pub fn set(&mut self, path: &KeyPath, mut value: Value) {
        let Some((key, parents)) = path.0.split_last() else {
            return;
        };
        let Some(item) = self.item(parents) else { return };
        let within_line = item.is_inline_table();
        let Some(table) = item.as_table_like_mut() else {
            return;
        };
        match table.get_mut(key) {
            Some(Item::Value(old)) => {
                *value.decor_mut() = old.decor().clone();
                *old = value;
            }
            _ => {
                value.decor_mut().clear();
                table.insert(key, Item::Value(value));
                if within_line {
                    table.fmt();
                }
            }
        }
    }

    /// Takes a value or an entry out.
    ///
    /// # Errors
    /// When it is not in the file.
    pub fn remove(&mut self, path: &KeyPath) -> Result<(), EditError> {
        let missing = EditError::Missing {
            path: path.clone(),
            file: self.path.clone(),
        };
        let Some((key, parents)) = path.0.split_last() else {
            return Err(missing);
        };
        let mut table: &mut dyn TableLike = self.document.as_table_mut();
        for part in parents {
            match table.get_mut(part).and_then(Item::as_table_like_mut) {
                Some(next) => table = next,
                None => return Err(missing),
            }
        }
        match table.remove(key) {
            Some(_) => Ok(()),
            None => Err(missing),
        }
    }

    /// Checks the whole config with this text in the user's place, and writes it. Gives `false`, and writes
    /// nothing, where nothing has changed.
    ///
    /// # Errors
    /// When the result would not check, when the file was changed meanwhile, and the file system's own.
    pub fn save(self, places: &Places) -> Result<bool, EditError> {
        let text = self.text();
        if self.before.as_ref() == Some(&text) {
            return Ok(false);
        }
        replace(places, &self.path, self.before.as_deref(), &text)?;
        Ok(true)
    }

    /// The text as it would be written: its lines end as they did.
    pub fn text(&self) -> String {
        let text = self.document.to_string();
        if self.before().contains("\r\n") {
            text.replace("\r\n", "\n").replace('\n', "\r\n")
        } else {
            text
        }
    }

    /// Finds out whether an entry can be put, and clears the place for it. Its comment stays.
    fn make_room(&mut self, path: &KeyPath, existing: Existing) -> Result<(), EditError> {
        let mut item = self.document.as_item();
        for part in &path.0 {
            match item.get(part) {
                Some(next) => item = next,
                None => return Ok(()),
            }
        }
        if existing == Existing::Keep {
            return Err(EditError::Exists {
                path: path.clone(),
                at: self.origin(path),
            });
        }
        if let Some(table) = self.item(&path.0).and_then(Item::as_table_like_mut) {
            table.clear();
        }
        Ok(())
    }

    /// The place of a key in the file as it was read.
    fn origin(&self, path: &KeyPath) -> Origin {
        let whole = || Origin::file(&self.path);
        let Ok(document) = document::Document::parse(&self.path, self.before().to_owned()) else {
            return whole();
        };
        let mut table: &dyn TableLike = document.table();
        let mut span = None;
        for part in &path.0 {
            span = table.key(part).and_then(|key| key.span());
            match table.get(part).and_then(Item::as_table_like) {
                Some(next) => table = next,
                None => break,
            }
        }
        document.origin(span.map(|span| span.start))
    }

    /// The table at a path, as an item, made where it is not there; `None`: something else is in the way.
    fn item(&mut self, path: &[String]) -> Option<&mut Item> {
        let mut item = self.document.as_item_mut();
        for (depth, part) in path.iter().enumerate() {
            let parent_is_inline = item.is_inline_table();
            let table = item.as_table_like_mut()?;
            if !table.contains_key(part) {
                // A target's tags stand on one line.
                let new = if parent_is_inline || depth > 1 {
                    Item::Value(Value::InlineTable(InlineTable::new()))
                } else {
                    let mut table = Table::new();
                    // Headers that would stand above nothing but other headers are left out.
                    table.set_implicit(depth == 0 && path.len() > 1);
                    Item::Table(table)
                };
                table.insert(part, new);
                if parent_is_inline {
                    table.fmt();
                }
            }
            item = table.get_mut(part)?;
        }
        item.is_table_like().then_some(item)
    }
}

/// The user's file and what it says; `None`: it is not there yet.
///
/// # Errors
/// When there is no place for one, or it cannot be read.
pub fn current(places: &Places) -> Result<(PathBuf, Option<String>), EditError> {
    let path = places.user_file.as_ref().ok_or(EditError::NoPlace)?.path();
    // Who keeps the file elsewhere and links it keeps the link.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let text = document::read(&path)?;
    Ok((path, text))
}

/// Writes the user's file, which said `before`, after checking the whole config with the new text in its place.
///
/// # Errors
/// When the result would not check, when the file was changed meanwhile, and the file system's own.
pub fn replace(places: &Places, path: &Path, before: Option<&str>, text: &str) -> Result<(), EditError> {
    check_draft(places, text)?;
    let failed = |source| EditError::Io {
        path: path.to_path_buf(),
        source,
    };
    if current(places)?.1.as_deref() != before {
        return Err(EditError::ChangedMeanwhile {
            path: path.to_path_buf(),
        });
    }
    private::replace_as_it_was(path, text.as_bytes()).map_err(failed)
}

/// A text as the value of a key, by the key's type.
///
/// # Errors
/// With what was expected.
pub fn value_of(path: &KeyPath, text: &str) -> Result<Value, ConfigError> {
    overrides::value_of(path, text).map_err(|problems| ConfigError {
        problems: problems
            .into_iter()
            .map(|problem| Problem {
                origin: Origin::Flag(path.to_string()),
                ..problem
            })
            .collect(),
    })
}

/// What would be wrong with the user's file if it said this. Other files' faults are not its own.
///
/// # Errors
/// With all of it.
pub fn check_draft(places: &Places, text: &str) -> Result<(), ConfigError> {
    let (_, problems) = assemble(places, &Flags::default(), env::lookup, Some(text));
    let own: Vec<Problem> = problems
        .into_iter()
        .filter(|problem| match &problem.origin {
            Origin::File { path, .. } => places
                .user_file
                .as_ref()
                .is_some_and(|file| file.path() == path.as_ref()),
            _ => false,
        })
        .collect();
    if own.is_empty() {
        Ok(())
    } else {
        Err(ConfigError { problems: own })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::World;
    use super::*;

    const BEFORE: &str = "# my config\nschema = 1\n\n[defaults]\nregion = \"eu-west-2\"   # home\n\n\
                          # the web\n[targets.web]\nname = \"web-*\"\n\n[aliases]\nw = \"web\"\n";

    fn value(text: &str) -> Value {
        Value::from(text)
    }

    fn edit(before: &str, change: impl FnOnce(&mut Draft)) -> String {
        let world = World::new().user(before);
        let mut draft = Draft::open(&world.places).unwrap();
        change(&mut draft);
        assert!(draft.save(&world.places).unwrap());
        std::fs::read_to_string(world.places.user_file.as_ref().unwrap().path()).unwrap()
    }

    #[test]
    fn comments_and_order_stay() {
        let after = edit(BEFORE, |draft| {
            draft.set(&"defaults.region".parse().unwrap(), value("eu-west-1"));
            let values = [
                (KeyPath::from(["name"]), value("db")),
                (KeyPath::from(["tags", "aws:x"]), value("y")),
            ];
            draft.put_entry("targets", "db", values, Existing::Keep).unwrap();
            draft
                .put_value(&KeyPath::from(["aliases", "d"]), value("db"), Existing::Keep)
                .unwrap();
        });
        assert_eq!(
            after,
            "# my config\nschema = 1\n\n[defaults]\nregion = \"eu-west-1\"   # home\n\n\
             # the web\n[targets.web]\nname = \"web-*\"\n\n[targets.db]\nname = \"db\"\ntags = { \"aws:x\" = \"y\" }\n\n\
             [aliases]\nw = \"web\"\nd = \"db\"\n"
        );
    }

    #[test]
    fn a_file_is_begun_where_there_is_none() {
        let mut world = World::new();
        let path = world.root.path().join("deep/er/config.toml");
        world.places.user_file = Some(super::super::places::UserFile::Usual(path.clone()));
        let mut draft = Draft::open(&world.places).unwrap();
        let values = [(KeyPath::from(["id"]), value("i-0123456789abcdef0"))];
        draft.put_entry("targets", "a", values, Existing::Keep).unwrap();
        assert!(draft.save(&world.places).unwrap());
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            "schema = 1\n\n[targets.a]\nid = \"i-0123456789abcdef0\"\n"
        );
    }

    #[test]
    fn what_is_there_is_kept_or_replaced() {
        let world = World::new().user(BEFORE);
        let mut draft = Draft::open(&world.places).unwrap();
        let refused = draft.put_entry("targets", "web", [], Existing::Keep).unwrap_err();
        assert!(refused.to_string().ends_with("user.toml:8:10"), "{refused}");
        let after = edit(BEFORE, |draft| {
            let values = [(KeyPath::from(["asg"]), value("web"))];
            draft
                .put_entry("targets", "web", values, Existing::Replace)
                .unwrap();
        });
        assert!(
            after.contains("# the web\n[targets.web]\nasg = \"web\"\n"),
            "{after}"
        );
    }

    #[test]
    fn inline_tables_stay_inline() {
        let after = edit("targets = { a = { name = \"x\" } }\n", |draft| {
            let values = [(KeyPath::from(["name"]), value("y"))];
            draft.put_entry("targets", "b", values, Existing::Keep).unwrap();
        });
        assert_eq!(
            after,
            "targets = { a = { name = \"x\" }, b = { name = \"y\" } }\n"
        );
    }

    #[test]
    fn lines_end_as_they_did() {
        let after = edit(&BEFORE.replace('\n', "\r\n"), |draft| {
            draft.set(&"defaults.profile".parse().unwrap(), value("p"));
        });
        assert!(after.contains("# home\r\nprofile = \"p\"\r\n"), "{after:?}");
        assert_eq!(after.matches('\n').count(), after.matches("\r\n").count());
    }

    #[test]
    fn what_would_not_check_is_not_written() {
        let world = World::new().user(BEFORE);
        let mut draft = Draft::open(&world.places).unwrap();
        draft.remove(&KeyPath::from(["targets", "web"])).unwrap();
        let EditError::Unsound(error) = draft.save(&world.places).unwrap_err() else {
            panic!("saved");
        };
        assert_eq!(error.problems.len(), 1);
        assert_eq!(
            error.problems[0].message,
            "`aliases.w` is \"web\", expected the name of a target"
        );
        let path = world.places.user_file.as_ref().unwrap().path();
        assert_eq!(std::fs::read_to_string(path).unwrap(), BEFORE);
    }

    #[test]
    fn what_somebody_else_wrote_meanwhile_is_not_lost() {
        let world = World::new().user(BEFORE);
        let mut draft = Draft::open(&world.places).unwrap();
        draft.remove(&KeyPath::from(["aliases", "w"])).unwrap();
        let world = world.user("schema = 1\n");
        assert!(matches!(
            draft.save(&world.places),
            Err(EditError::ChangedMeanwhile { .. })
        ));
    }

    #[cfg(unix)]
    #[test]
    fn links_and_modes_stay() {
        use std::os::unix::fs::PermissionsExt as _;
        let mut world = World::new().file("real.toml", BEFORE);
        let (real, link) = (
            world.root.path().join("real.toml"),
            world.root.path().join("link.toml"),
        );
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        world.places.user_file = Some(super::super::places::UserFile::Usual(link.clone()));
        let mut draft = Draft::open(&world.places).unwrap();
        draft.remove(&KeyPath::from(["aliases", "w"])).unwrap();
        assert!(draft.save(&world.places).unwrap());
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(real.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        assert!(!std::fs::read_to_string(&real).unwrap().contains("w = "));
    }

    #[test]
    fn what_is_not_there_cannot_be_removed() {
        let world = World::new().user(BEFORE);
        let mut draft = Draft::open(&world.places).unwrap();
        for path in ["targets.db", "presets.x", "aliases.w.x"] {
            assert!(draft.remove(&path.parse().unwrap()).is_err(), "{path}");
        }
    }
}
