//! `ssmx forward ps`, `stop` and `logs`: detached forwards from outside.

use std::fs::File;
use std::io::{self, Read as _};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::detach::{NEEDS_YOU, registry};
use crate::commands::context::Context;
use crate::commands::error::{CommandError, Exit};
use crate::detached::{self, Entry, ForwardStatus, Registry};
use crate::ui::Format;
use crate::ui::output::{Cell, Column, Listing, Row, Tone};
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
        /// Their names
        #[arg(id = DETACHED, value_name = "NAME", required_unless_present = "all")]
        names: Vec<String>,
        /// All of them
        #[arg(long, conflicts_with = DETACHED)]
        all: bool,
    },
    /// Show what a detached forward has said
    Logs {
        /// Its name
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
            let names = if all {
                registry.entries()?.into_iter().map(|entry| entry.name).collect()
            } else {
                names
            };
            stop(ctx, &registry, &names).await
        }
        Manage::Logs { name, follow } => logs(ctx, &registry, &name, follow).await,
    }
}

/// One forward of a detached process.
struct Line {
    process: String,
    status: ForwardStatus,
    started: Option<jiff::Timestamp>,
}

async fn ps(ctx: &Context, registry: &Registry) -> Result<Exit, CommandError> {
    let output = ctx.output()?;
    let entries = registry.entries()?;
    let told = join_all(entries.into_iter().map(|entry| lines(registry, entry))).await;
    let listing = Listing {
        key: "forwards",
        columns: vec![
            Column::new("NAME", "name").whole(),
            Column::new("FORWARD", "forward"),
            Column::new("STATE", "state"),
            Column::new("LOCAL", "local").whole(),
            Column::new("REMOTE", "remote"),
            Column::new("VIA", "via"),
            Column::new("UP", "up"),
            Column::new("CONNECTIONS", "connections"),
            Column::new("SENT", "sent"),
            Column::new("RECEIVED", "received"),
            Column::new("SESSION", "session").whole().wide(),
            Column::new("WHY", "why").wide(),
        ],
    };
    let mut printer = ctx.ui().listing(&output, listing)?;
    for line in told.iter().flatten() {
        printer.push(line)?;
    }
    printer.finish()?;
    if output.format == Format::Table {
        // The other formats have the column.
        for line in told
            .iter()
            .flatten()
            .filter(|line| line.status.state == NEEDS_YOU)
        {
            let (process, why) = (escape(&line.process), escape(&line.status.why));
            ctx.ui().warn(&format!("{process} needs you: {why}"));
        }
    }
    Ok(Exit::SUCCESS)
}

async fn lines(registry: &Registry, entry: Entry) -> Vec<Line> {
    let started = entry.record.as_ref().map(|record| record.started);
    let words = entry.record.as_ref().map(|record| record.words.join(" "));
    let odd = |state: &str, why: String| {
        vec![Line {
            process: entry.name.clone(),
            status: ForwardStatus {
                name: words.clone().unwrap_or_default(),
                state: state.to_owned(),
                why,
                ..ForwardStatus::default()
            },
            started,
        }]
    };
    if !entry.lives {
        return odd("dead", "its process ended without a word".to_owned());
    }
    let asked = match registry.socket(&entry.name) {
        Ok(socket) => detached::ask_status(&socket).await,
        Err(error) => Err(io::Error::other(error)),
    };
    match asked {
        Ok(status) => status
            .forwards
            .into_iter()
            .map(|status| Line {
                process: entry.name.clone(),
                status,
                started,
            })
            .collect(),
        Err(error) => odd("silent", error.to_string()),
    }
}

impl Line {
    fn up(&self) -> Option<u64> {
        let since = jiff::Timestamp::now().duration_since(self.status.since.or(self.started)?);
        u64::try_from(since.as_secs()).ok()
    }

    fn tone(&self) -> Tone {
        match self.status.state.as_str() {
            "up" | "idle" => Tone::Good,
            "dead" | "ended" | NEEDS_YOU | "silent" => Tone::Bad,
            _ => Tone::Odd,
        }
    }
}

impl Row for Line {
    fn cells(&self) -> Vec<Cell> {
        let status = &self.status;
        let connections = format!("{} of {}", status.open, status.connections);
        vec![
            self.process.clone().into(),
            status.name.clone().into(),
            Cell::toned(status.state.clone(), self.tone()),
            status.local.clone().into(),
            status.remote.clone().into(),
            status.via.clone().into(),
            self.up().map(time).into(),
            connections.into(),
            bytes(status.sent).into(),
            bytes(status.received).into(),
            status.session.clone().into(),
            status.why.clone().into(),
        ]
    }

    fn name(&self) -> String {
        format!("forward/{}", self.process)
    }

    fn document(&self) -> Value {
        let status = &self.status;
        json!({
            "name": self.process,
            "forward": status.name,
            "state": status.state,
            "why": status.why,
            "local": status.local,
            "remote": status.remote,
            "via": status.via,
            "up": self.up(),
            "started": self.started.map(|at| at.to_string()),
            "connections": { "open": status.open, "all": status.connections },
            "sent": status.sent,
            "received": status.received,
            "session": status.session,
        })
    }
}

/// `42s`, `5m`, `3h12m`, `2d4h`.
fn time(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// `512 B`, `3.4 MiB`.
fn bytes(count: u64) -> String {
    let mut value = count as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" {
        format!("{count} B")
    } else {
        format!("{value:.1} {unit}")
    }
}

async fn stop(ctx: &Context, registry: &Registry, names: &[String]) -> Result<Exit, CommandError> {
    let mut entries = Vec::new();
    for name in names {
        entries.push(registry.entry(name)?);
    }
    let stopped = join_all(entries.iter().map(|entry| stop_one(registry, entry))).await;
    let mut failed = Vec::new();
    for (entry, result) in entries.iter().zip(stopped) {
        match result {
            Ok(()) if entry.lives => ctx.ui().say(&format!("{}: ended", entry.name)),
            Ok(()) => ctx
                .ui()
                .say(&format!("{}: was dead already; forgotten", entry.name)),
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

async fn stop_one(registry: &Registry, entry: &Entry) -> Result<(), CommandError> {
    if !entry.lives {
        return Ok(registry.forget(&entry.name)?);
    }
    let socket = registry.socket(&entry.name)?;
    let doing = || format!("cannot end the detached forward `{}`", entry.name);
    let process = entry.record.as_ref().map(|record| record.process);
    let by_hand = |failure: CommandError| match process {
        Some(process) => failure.hint(format!(
            "its record names process {process}; make sure that it is an ssmx before you `kill` it"
        )),
        None => failure,
    };
    detached::ask_to_stop(&socket)
        .await
        .map_err(|error| by_hand(CommandError::failed(doing()).because(error)))?;
    let until = Instant::now() + PATIENCE;
    while registry.entry(&entry.name).is_ok_and(|entry| entry.lives) {
        if Instant::now() > until {
            let seconds = PATIENCE.as_secs();
            return Err(by_hand(
                CommandError::failed(doing()).because(format!("it has not ended within {seconds} s")),
            ));
        }
        sleep(LOOK).await;
    }
    Ok(())
}

async fn logs(ctx: &Context, registry: &Registry, name: &str, follow: bool) -> Result<Exit, CommandError> {
    let path = registry.log(name)?;
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(detached::RegistryError::Unknown(name.to_owned()).into());
        }
        Err(error) => {
            return Err(CommandError::failed(format!("cannot read {}", path.display())).because(error));
        }
    };
    loop {
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(|error| {
            CommandError::failed(format!("cannot read {}", path.display())).because(error)
        })?;
        // It was escaped when it was said, and holds colours at most.
        ctx.ui().data(&escape_lines(&String::from_utf8_lossy(&text)))?;
        let lives = registry.entry(name).is_ok_and(|entry| entry.lives);
        if !follow || !lives && text.is_empty() {
            return Ok(Exit::SUCCESS);
        }
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_short() {
        assert_eq!(
            [42, 300, 11_520, 187_200].map(time),
            ["42s", "5m", "3h12m", "2d4h"]
        );
        assert_eq!(
            [0, 1023, 1024, 3_565_158, 1 << 50].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "3.4 MiB", "1024.0 TiB"]
        );
    }
}
