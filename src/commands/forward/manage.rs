//! `ssmx forward stop` and `logs`: detached forwards from outside.

use std::fs::File;
use std::io::{self, Read as _};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::sleep;

use super::detach::registry;
use super::ps::ps;
use crate::commands::context::Context;
use crate::commands::error::{CommandError, Exit};
use crate::detached::{self, Entry, Registry, RegistryError};
use crate::ui::text::{escape, escape_lines};

/// How long a forward that was told to end may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often its end, or a log's growth, is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// The argument that names them, by which completion knows it.
pub const DETACHED: &str = "detached";

/// What there is to do with detached forwards.
#[derive(Debug, clap::Subcommand)]
pub enum Manage {
    /// List detached forwards
    Ps,
    /// End detached forwards
    Stop {
        /// Their names, or those of forwards in them; a process ends whole
        #[arg(id = DETACHED, value_name = "NAME", required_unless_present = "all")]
        names: Vec<String>,
        /// All of them
        #[arg(long, conflicts_with = DETACHED)]
        all: bool,
    },
    /// Show what a detached forward has said
    Logs {
        /// Its name, or that of a forward in it
        #[arg(id = DETACHED, value_name = "NAME")]
        name: String,
        /// Go on as it says more
        #[arg(short, long)]
        follow: bool,
    },
}

impl Manage {
    /// All of them, as they are typed.
    pub const WORDS: [&str; 3] = ["ps", "stop", "logs"];

    /// As it is typed.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ps => "ps",
            Self::Stop { .. } => "stop",
            Self::Logs { .. } => "logs",
        }
    }
}

/// Does it.
///
/// # Errors
/// When a name means nothing, or a process does not end.
pub async fn run(ctx: &Context, manage: Manage) -> Result<Exit, CommandError> {
    let registry = registry(ctx)?;
    match manage {
        Manage::Ps => ps(ctx, &registry).await,
        Manage::Stop { names, all } => {
            let entries = match all {
                true => registry.entries()?,
                false => meant(&registry, &names)?,
            };
            stop(ctx, &registry, &entries).await
        }
        Manage::Logs { name, follow } => logs(ctx, &registry, bare(&name), follow).await,
    }
}

/// Says that there is nothing.
pub fn say_none(ctx: &Context) {
    ctx.ui().say("there are no detached forwards");
}

/// As `ps -o name` prints it, or without the kind.
fn bare(name: &str) -> &str {
    name.strip_prefix("forward/").unwrap_or(name)
}

/// The processes that are meant, each once.
fn meant(registry: &Registry, names: &[String]) -> Result<Vec<Entry>, CommandError> {
    let mut entries: Vec<Entry> = Vec::new();
    for name in names {
        let entry = registry.find(bare(name))?;
        if entries.iter().all(|known| known.name != entry.name) {
            entries.push(entry);
        }
    }
    Ok(entries)
}

async fn stop(ctx: &Context, registry: &Registry, entries: &[Entry]) -> Result<Exit, CommandError> {
    if entries.is_empty() {
        say_none(ctx);
    }
    let stopped = join_all(entries.iter().map(|entry| stop_one(registry, entry))).await;
    let mut failed = Vec::new();
    for (entry, result) in entries.iter().zip(stopped) {
        let name = &entry.name;
        match result {
            Ok(()) if entry.ended().is_some() => {
                ctx.ui().say(&format!("{name}: had ended by itself; forgotten"));
            }
            Ok(()) if entry.lives => ctx.ui().say(&format!("{name}: ended{}", with_forwards(entry))),
            Ok(()) => ctx.ui().say(&format!("{name}: was dead already; forgotten")),
            Err(error) => {
                error.report(ctx.ui());
                failed.push(entry.name.as_str());
            }
        }
    }
    if failed.is_empty() {
        Ok(Exit::SUCCESS)
    } else {
        Err(CommandError::failed(format!(
            "could not be ended: {}",
            failed.join(", ")
        )))
    }
}

/// Who has asked for one may not know of the others.
fn with_forwards(entry: &Entry) -> String {
    match entry.forwards() {
        [] | [_] => String::new(),
        forwards => format!(", with {}", escape(&forwards.join(", "))),
    }
}

/// Ends a process that lives, and forgets what is left of it.
async fn stop_one(registry: &Registry, entry: &Entry) -> Result<(), CommandError> {
    let doing = || format!("cannot end the detached forward `{}`", entry.name);
    let process = entry.record.as_ref().map(|record| record.process);
    let by_hand = |failure: CommandError| match process {
        Some(process) => failure.hint(format!(
            "its record names process {process}; make sure that it is an ssmx before you `kill` it"
        )),
        None => failure,
    };
    let lives = || registry.look(&entry.name).is_some_and(|entry| entry.lives);
    let goes_on = || {
        registry
            .look(&entry.name)
            .is_some_and(|entry| entry.lives && entry.ended().is_none())
    };
    if goes_on() {
        let socket = registry.socket(&entry.name)?;
        if let Err(error) = detached::ask_to_stop(&socket).await
            && goes_on()
        {
            return Err(by_hand(CommandError::failed(doing()).because(error)));
        }
    }
    let until = Instant::now() + PATIENCE;
    while lives() {
        if Instant::now() > until {
            let seconds = PATIENCE.as_secs();
            return Err(by_hand(
                CommandError::failed(doing()).because(format!("it has not ended within {seconds} s")),
            ));
        }
        sleep(LOOK).await;
    }
    match registry.forget(&entry.name) {
        // Somebody has the name already, and nothing of this one is left.
        Ok(()) | Err(RegistryError::Taken(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn logs(ctx: &Context, registry: &Registry, word: &str, follow: bool) -> Result<Exit, CommandError> {
    let name = match registry.find(word) {
        Ok(entry) => entry.name,
        // What has ended as it was to has left its log.
        Err(RegistryError::Unknown(name)) => name,
        Err(error) => return Err(error.into()),
    };
    let path = registry.log(&name)?;
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(RegistryError::Unknown(name).into());
        }
        Err(error) => {
            return Err(CommandError::failed(format!("cannot read {}", path.display())).because(error));
        }
    };
    let mut is_mute = true;
    loop {
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(|error| {
            CommandError::failed(format!("cannot read {}", path.display())).because(error)
        })?;
        is_mute &= text.is_empty();
        // It was escaped when it was said.
        ctx.ui().data(&escape_lines(&String::from_utf8_lossy(&text)))?;
        let lives = registry.look(&name).is_some_and(|entry| entry.lives);
        if !follow || !lives && text.is_empty() {
            break;
        }
        sleep(LOOK).await;
    }
    if is_mute {
        ctx.ui().say(&format!("{name}: nothing was said"));
    }
    Ok(Exit::SUCCESS)
}
