//! What `target`, `alias` and `preset` have in common: entries of the user's file are added, removed and listed.

use serde_json::{Value as Json, json};

use super::context::Context;
use super::error::{CommandError, Exit};
use crate::config::edit::{Draft, EditError, Existing, Value, value_of};
use crate::config::keys::{KeyPath, check_name};
use crate::config::{Loaded, Origin};
use crate::nearest;
use crate::ui::output::{Cell, Column, Listing, Row, Tone};
use crate::ui::text::escape;

/// What is done with the entries of a section; `A` is what adding one takes.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb<A: clap::Args> {
    Add(A),
    Rm(Names),
    /// List them, and say where each stands
    Ls,
}

/// Remove some from your config
#[derive(Debug, clap::Args)]
pub(super) struct Names {
    /// Their names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

/// Does one of them for a section, which says itself how an entry is added and how all are listed.
pub(super) fn run<A: clap::Args>(
    ctx: &Context,
    section: &str,
    verb: Verb<A>,
    add: impl FnOnce(&Context, A) -> Result<Exit, CommandError>,
    ls: impl FnOnce(&Context) -> Result<Exit, CommandError>,
) -> Result<Exit, CommandError> {
    match verb {
        Verb::Add(args) => add(ctx, args),
        Verb::Rm(args) => remove(ctx, section, &args.names),
        Verb::Ls => ls(ctx),
    }
}

/// Whether an entry of that name may be replaced.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Replacing {
    /// Put it in the place of one of that name
    #[arg(long)]
    replace: bool,
}

impl From<Replacing> for Existing {
    fn from(replacing: Replacing) -> Self {
        if replacing.replace {
            Self::Replace
        } else {
            Self::Keep
        }
    }
}

/// Refuses names that the config would refuse, before anything else is looked at.
pub(super) fn checked_name(section: &str, name: &str) -> Result<(), CommandError> {
    check_name(section, name).map_err(|reason| CommandError::usage(format!("`{name}` {reason}")))
}

/// A word KEY=VALUE about an entry, read for the key's type.
pub(super) fn assignment(
    section: &str,
    name: &str,
    key: &str,
    text: &str,
) -> Result<(KeyPath, Value), CommandError> {
    let key: KeyPath = key.parse().map_err(|reason: String| {
        CommandError::usage(format!("`{key}` is not a key of `[{section}]`")).because(reason)
    })?;
    let parts = [section, name]
        .map(str::to_owned)
        .into_iter()
        .chain(key.0.clone());
    let value = value_of(&KeyPath(parts.collect()), text)?;
    Ok((key, value))
}

/// Writes the user's file and says what became of it. Names of lower layers that are hidden by it are told.
pub(super) fn save(ctx: &Context, draft: Draft, path: &KeyPath, did: &str) -> Result<Exit, CommandError> {
    let file = draft.path().display().to_string();
    let changed = draft.save(ctx.places())?;
    let what = if changed {
        did
    } else {
        "nothing had to be changed for"
    };
    ctx.ui().say(&format!(
        "{what} `{}` in `{}`",
        escape(&path.to_string()),
        escape(&file)
    ));
    Ok(Exit::SUCCESS)
}

/// Takes entries out of the user's file, all or none.
fn remove(ctx: &Context, section: &str, names: &[String]) -> Result<Exit, CommandError> {
    let mut draft = Draft::open(ctx.places())?;
    for name in names {
        let path = KeyPath::from([section, name.as_str()]);
        if let Err(error) = draft.remove(&path) {
            return Err(elsewhere(ctx, error, section, name));
        }
    }
    let file = draft.path().display().to_string();
    draft.save(ctx.places())?;
    for name in names {
        ctx.ui().say(&format!(
            "removed `{section}.{}` from `{}`",
            escape(name),
            escape(&file)
        ));
    }
    Ok(Exit::SUCCESS)
}

/// Why an entry that is there cannot be removed: another file has it.
fn elsewhere(ctx: &Context, error: EditError, section: &str, name: &str) -> CommandError {
    let failure = CommandError::from(error);
    let Ok(loaded) = ctx.loaded() else { return failure };
    match loaded.origin(&KeyPath::from([section, name])) {
        Some(origin) => failure.hint(format!("it is defined at {origin}")),
        None => {
            let entries = loaded.json(&KeyPath::from([section]));
            let known = entries.as_ref().and_then(Json::as_object).into_iter();
            match nearest::one(name, known.flat_map(|known| known.keys().map(String::as_str))) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure,
            }
        }
    }
}

/// An entry in a listing: what its columns say, and where it stands.
pub(super) struct EntryRow {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) cells: Vec<String>,
    pub(super) origin: Option<Origin>,
    pub(super) said: Json,
}

impl EntryRow {
    /// A row for an entry of a section.
    pub(super) fn new(loaded: &Loaded, kind: &'static str, section: &str, name: &str) -> Self {
        let path = KeyPath::from([section, name]);
        Self {
            kind,
            name: name.to_owned(),
            cells: Vec::new(),
            origin: loaded.origin(&path).cloned(),
            said: loaded.json(&path).unwrap_or_default(),
        }
    }

    /// Adds what the next column says.
    #[must_use]
    pub(super) fn with(mut self, text: impl Into<String>) -> Self {
        self.cells.push(text.into());
        self
    }

    fn place(&self) -> String {
        match &self.origin {
            Some(Origin::File {
                path,
                at: Some((line, _)),
            }) => format!("{}:{line}", path.display()),
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }
}

impl Row for EntryRow {
    fn cells(&self) -> Vec<Cell> {
        let mut cells = vec![Cell::from(self.name.as_str())];
        cells.extend(self.cells.iter().map(|text| Cell::from(text.as_str())));
        cells.push(Cell::toned(self.place(), Tone::Faint));
        cells
    }

    fn name(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    fn document(&self) -> Json {
        json!({ "name": self.name, "config": self.said, "origin": self.place() })
    }
}

/// Prints a listing of entries.
pub(super) fn list(
    ctx: &Context,
    key: &'static str,
    columns: &[&'static str],
    rows: &[EntryRow],
) -> Result<Exit, CommandError> {
    let output = ctx.output()?;
    let mut all = vec![Column::new("name", "name").whole()];
    all.extend(columns.iter().map(|heading| Column::new(*heading, "")));
    all.push(Column::new("from", "origin").wide());
    let listing = Listing { key, columns: all };
    let mut printer = ctx.ui().listing(&output, listing)?;
    for row in rows {
        printer.push(row)?;
    }
    if printer.finish()? == 0 {
        ctx.ui().say(&format!("there are no {key}"));
    }
    Ok(Exit::SUCCESS)
}
