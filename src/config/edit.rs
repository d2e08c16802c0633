//! Changes to the user's file that keep its comments and its order. Nothing is written that would not check.

use std::fs::File;
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
    /// The file is not sound; or a whole text in its place would not be.
    #[error(transparent)]
    Unsound(ConfigError),
    /// One change to it would make it so. Lines of what was never written help nobody.
    #[error("`{path}` stays as it is: with this change it would be wrong", path = path.display())]
    WouldBeUnsound {
        /// The file.
        path: PathBuf,
        /// What would be wrong.
        error: ConfigError,
    },
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

/// The user's file, being changed: nobody else changes it meanwhile.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    before: Option<String>,
    document: DocumentMut,
    turn: Turn,
}

impl Draft {
    /// Reads the user's file; one that is not there is begun.
    ///
    /// # Errors
    /// When there is no place for one, or it cannot be read or parsed.
    pub fn open(places: &Places) -> Result<Self, EditError> {
        let turn = Turn::take(places)?;
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
            turn,
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
        let written = self
            .turn
            .replace(places, &self.path, self.before.as_deref(), &text);
        match written {
            Ok(()) => Ok(true),
            Err(EditError::Unsound(error)) => Err(EditError::WouldBeUnsound {
                path: self.path,
                error,
            }),
            Err(error) => Err(error),
        }
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
    Turn::take(places)?.replace(places, path, before, text)
}

/// The right to change the user's file, which one process has at a time until it lets go of this.
#[derive(Debug)]
struct Turn {
    _lock: File,
}

impl Turn {
    /// Waits for it.
    fn take(places: &Places) -> Result<Self, EditError> {
        let file = places.user_file.as_ref().ok_or(EditError::NoPlace)?.path();
        // Not beside the file where that can be had: who keeps it in a repository wants nothing else there.
        let path = match &places.state {
            Some(state) => state.join("config.lock"),
            None => file.with_extension("lock"),
        };
        let failed = |source| EditError::Io {
            path: path.clone(),
            source,
        };
        let lock = private::lock_file(&path).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(Self { _lock: lock })
    }

    fn replace(
        &self,
        places: &Places,
        path: &Path,
        before: Option<&str>,
        text: &str,
    ) -> Result<(), EditError> {
        check_draft(places, text)?;
        // An editor does not wait for its turn.
        if current(places)?.1.as_deref() != before {
            return Err(EditError::ChangedMeanwhile {
                path: path.to_path_buf(),
            });
        }
        private::replace_as_it_was(path, text.as_bytes()).map_err(|source| EditError::Io {
            path: path.to_path_buf(),
            source,
        })
    }
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
