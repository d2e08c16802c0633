//! From files, variables and flags to one config.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::value::Dict;

use super::check::{Layer, Rank, check};
use super::document::{self, Document};
use super::env;
use super::error::{ConfigError, Problem, Weight};
use super::keys::KeyPath;
use super::merge::{Merged, Shadowed, merge};
use super::origin::Origin;
use super::overrides;
use super::places::{Places, UserFile};
use super::rules;
use super::schema::Config;
use super::trust::{self, Trust};

/// The layer below all files.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// What the command line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--profile`.
    pub profile: Option<String>,
    /// `--region`.
    pub region: Option<String>,
    /// Each `--set KEY=VALUE`.
    pub set: Vec<String>,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// It is not there.
    Absent,
    /// It counts.
    Read,
    /// There is something wrong with it.
    Faulty,
    /// A team file that was never accepted.
    NotAccepted,
    /// A team file that has changed since it was accepted.
    Changed,
}

/// A file of the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// Whose it is.
    pub rank: Rank,
    /// Where it is.
    pub path: PathBuf,
    /// What became of it.
    pub state: FileState,
}

/// What all layers come to.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The typed values.
    pub config: Config,
    /// What somebody should know, though the config can be used.
    pub warnings: Vec<Problem>,
    /// The files that were looked for.
    pub files: Vec<FileReport>,
    /// Names that a higher layer uses for something else.
    pub shadowed: Vec<Shadowed>,
    /// The merged values as they were written, for `config view`.
    pub(super) values: Dict,
    origins: BTreeMap<KeyPath, Origin>,
}

impl Loaded {
    /// Where a value comes from.
    pub fn origin(&self, path: &KeyPath) -> Option<&Origin> {
        self.origins.get(path)
    }

    /// The team file that does not count, because it was not accepted as it is.
    pub fn left_out(&self) -> Option<&FileReport> {
        self.files
            .iter()
            .find(|file| matches!(file.state, FileState::NotAccepted | FileState::Changed))
    }
}

/// Reads all layers and merges them.
///
/// # Errors
/// With everything that is wrong in any layer.
pub fn load(places: &Places, flags: &Flags) -> Result<Loaded, ConfigError> {
    let (loaded, problems) = assemble(places, flags, env::lookup, None);
    if problems.is_empty() {
        Ok(loaded)
    } else {
        Err(ConfigError { problems })
    }
}

/// As [`load`], but what is wrong is left out and nothing is said: for completion, where something is better than
/// nothing and an error has no place.
pub fn load_what_fits(places: &Places, flags: &Flags) -> Loaded {
    assemble(places, flags, env::lookup, None).0
}

/// The config as far as it goes, and all errors. A `draft` stands for the user's file.
pub(super) fn assemble(
    places: &Places,
    flags: &Flags,
    lookup: impl Fn(&str) -> Option<String>,
    draft: Option<&str>,
) -> (Loaded, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut files = Vec::new();
    let mut layers = vec![defaults(&mut problems)];
    layers.extend(file(Rank::System, &places.system_file, &mut files, &mut problems));
    layers.extend(team(places, &mut files, &mut problems));
    layers.extend(match (draft, &places.user_file) {
        (Some(text), Some(file)) => Some(parse(
            Rank::User,
            file.path(),
            text.to_owned(),
            &mut files,
            &mut problems,
        )),
        _ => user(places, &mut files, &mut problems),
    });
    layers.push(overrides::environment(lookup, &mut problems));
    layers.push(overrides::flags(flags, &mut problems));
    let damaged = layers.iter().flat_map(|layer| layer.damaged.clone()).collect();
    let Merged {
        config,
        values,
        origins,
        shadowed,
    } = merge(layers, &mut problems);
    rules::check(&config, &origins, &damaged, &mut problems);
    let (errors, warnings) = problems
        .into_iter()
        .partition(|problem| problem.weight == Weight::Error);
    let loaded = Loaded {
        config,
        warnings,
        files,
        shadowed,
        values,
        origins,
    };
    (loaded, errors)
}

fn defaults(problems: &mut Vec<Problem>) -> Layer {
    let mut layer = match Document::parse(Path::new("defaults.toml"), DEFAULTS.to_owned()) {
        Ok(document) => check(&document, Rank::Default, problems),
        Err(problem) => {
            problems.push(problem);
            Layer::empty(Rank::Default)
        }
    };
    for origin in layer.origins.values_mut() {
        *origin = Origin::Default;
    }
    layer
}

/// Reads one file into a layer; `None`: it is not there.
fn file(rank: Rank, path: &Path, files: &mut Vec<FileReport>, problems: &mut Vec<Problem>) -> Option<Layer> {
    let text = match document::read(path) {
        Ok(Some(text)) => Some(text),
        Ok(None) => {
            files.push(report(rank, path, FileState::Absent));
            return None;
        }
        Err(problem) => {
            problems.push(problem);
            files.push(report(rank, path, FileState::Faulty));
            return Some(Layer::unreadable(rank));
        }
    };
    Some(parse(rank, path, text?, files, problems))
}

fn parse(
    rank: Rank,
    path: &Path,
    text: String,
    files: &mut Vec<FileReport>,
    problems: &mut Vec<Problem>,
) -> Layer {
    let before = problems.len();
    let layer = match Document::parse(path, text) {
        Ok(document) => check(&document, rank, problems),
        Err(problem) => {
            problems.push(problem);
            Layer::unreadable(rank)
        }
    };
    let faulty = problems
        .iter()
        .skip(before)
        .any(|problem| problem.weight == Weight::Error);
    let state = if faulty {
        FileState::Faulty
    } else {
        FileState::Read
    };
    files.push(report(rank, path, state));
    layer
}

fn report(rank: Rank, path: &Path, state: FileState) -> FileReport {
    FileReport {
        rank,
        path: path.to_path_buf(),
        state,
    }
}

/// The team's file, where the user has accepted it. One whose path was never accepted is not even opened.
fn team(places: &Places, files: &mut Vec<FileReport>, problems: &mut Vec<Problem>) -> Option<Layer> {
    let path = places.team_file()?;
    let state = places.state.as_deref();
    if state.and_then(|state| trust::accepted(state, &path)).is_none() {
        files.push(report(Rank::Team, &path, FileState::NotAccepted));
        return None;
    }
    let text = match document::read(&path) {
        Ok(text) => text?,
        // The accepted file was a file; what cannot be read has changed.
        Err(_) => {
            files.push(report(Rank::Team, &path, FileState::Changed));
            return None;
        }
    };
    match state.map(|state| trust::trust(state, &path, &text)) {
        Some(Trust::Accepted) => Some(parse(Rank::Team, &path, text, files, problems)),
        Some(Trust::Changed { .. }) => {
            files.push(report(Rank::Team, &path, FileState::Changed));
            None
        }
        Some(Trust::Never) | None => {
            files.push(report(Rank::Team, &path, FileState::NotAccepted));
            None
        }
    }
}

fn user(places: &Places, files: &mut Vec<FileReport>, problems: &mut Vec<Problem>) -> Option<Layer> {
    let user_file = places.user_file.as_ref()?;
    let layer = file(Rank::User, user_file.path(), files, problems);
    if let (None, UserFile::Named(path)) = (&layer, user_file)
        && matches!(files.last(), Some(file) if file.state == FileState::Absent && file.rank == Rank::User)
    {
        problems.push(
            Problem::error(
                Origin::Variable("SSMX_CONFIG"),
                format!("the file `{}` does not exist", path.display()),
            )
            .hint("make it with `ssmx config init`, or unset the variable"),
        );
    }
    layer
}

/// Reads and checks a team file on its own, before it is accepted.
///
/// # Errors
/// With everything that would be wrong with it.
pub fn read_team_file(path: &Path) -> Result<(String, Vec<Problem>), ConfigError> {
    let mut problems = Vec::new();
    let text = match document::read(path) {
        Ok(Some(text)) => text,
        Ok(None) => {
            problems.push(Problem::error(Origin::file(path), "there is no such file"));
            String::new()
        }
        Err(problem) => {
            problems.push(problem);
            String::new()
        }
    };
    parse(Rank::Team, path, text.clone(), &mut Vec::new(), &mut problems);
    let (errors, warnings): (Vec<_>, _) = problems
        .into_iter()
        .partition(|problem| problem.weight == Weight::Error);
    if errors.is_empty() {
        Ok((text, warnings))
    } else {
        Err(ConfigError { problems: errors })
    }
}
