//! `ssmx forward ps`: detached forwards, how they are, and what is wrong with them.

use std::io;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::detach::NEEDS_YOU;
use super::manage::say_none;
use crate::commands::context::Context;
use crate::commands::error::{CommandError, Exit};
use crate::detached::{self, Entry, ForwardStatus, Registry};
use crate::ui::Format;
use crate::ui::output::{Cell, Column, Listing, Output, Row, Tone};
use crate::ui::text::{escape, escape_lines};

/// The state of a process that was killed.
const DEAD: &str = "dead";
/// That of one that does not answer.
const SILENT: &str = "silent";
/// That of a forward that has ended.
const ENDED: &str = "ended";

/// One forward of a detached process.
struct Line {
    process: String,
    id: Option<u32>,
    status: ForwardStatus,
    started: Option<jiff::Timestamp>,
    ended: Option<jiff::Timestamp>,
}

/// Lists them.
///
/// # Errors
/// When their files cannot be read, or the list not be printed.
pub async fn ps(ctx: &Context, registry: &Registry) -> Result<Exit, CommandError> {
    let output = output(ctx)?;
    let entries = registry.entries()?;
    let told = join_all(entries.iter().map(|entry| lines(registry, entry))).await;
    let listing = Listing {
        key: "forwards",
        columns: vec![
            Column::new("NAME", "name").whole(),
            Column::new("FORWARD", "forward"),
            Column::new("STATE", "state").whole(),
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
    for lines in &told {
        // The names are those of processes, for `stop` and `logs`.
        let shown = if output.format == Format::Name {
            1
        } else {
            lines.len()
        };
        for line in lines.iter().take(shown) {
            printer.push(line)?;
        }
    }
    printer.finish()?;
    if entries.is_empty() {
        say_none(ctx);
    }
    if output.format == Format::Table {
        // The other formats have the column.
        say_why(ctx, told.iter().flatten());
    }
    Ok(Exit::SUCCESS)
}

/// How it is printed. A config that is broken only takes its own wish away: what runs can be seen all the same.
fn output(ctx: &Context) -> Result<Output, CommandError> {
    if ctx.globals().output.is_none()
        && let Err(error) = ctx.config()
    {
        ctx.ui().warn(&escape_lines(&error.summary()));
        return ctx.output_by(Format::default());
    }
    ctx.output()
}

fn say_why<'a>(ctx: &Context, lines: impl Iterator<Item = &'a Line>) {
    let mut is_over = false;
    for line in lines {
        let (process, why) = (&line.process, &line.status.why);
        let forward = match &line.status.name {
            name if name == process => process.clone(),
            name => format!("{process}: {name}"),
        };
        let trouble = match line.status.state.as_str() {
            NEEDS_YOU => format!("{forward} needs you"),
            ENDED => format!("{forward} has ended"),
            DEAD => format!("{process} is dead"),
            SILENT => format!("{process} does not answer"),
            _ => continue,
        };
        is_over |= line.is_over();
        ctx.ui().warn(&escape(&format!("{trouble}: {why}")));
    }
    if is_over {
        ctx.ui()
            .hint("`ssmx forward logs NAME` shows what was said, `ssmx forward stop NAME` forgets it");
    }
}

async fn lines(registry: &Registry, entry: &Entry) -> Vec<Line> {
    let record = entry.record.as_ref();
    let line = |status: ForwardStatus| Line {
        process: entry.name.clone(),
        id: record.map(|record| record.process),
        status,
        started: record.map(|record| record.started),
        ended: entry.ended().map(|ended| ended.at),
    };
    let odd = |state: &str, why: String| {
        vec![line(ForwardStatus {
            name: entry.forwards().join(" "),
            state: state.to_owned(),
            why,
            ..ForwardStatus::default()
        })]
    };
    if let Some(ended) = entry.ended() {
        return ended.forwards.iter().cloned().map(line).collect();
    }
    if !entry.lives {
        return odd(DEAD, "its process ended without a word".to_owned());
    }
    let asked = match registry.socket(&entry.name) {
        Ok(socket) => detached::ask_status(&socket).await,
        Err(error) => Err(io::Error::other(error)),
    };
    match asked {
        Ok(status) => status.forwards.into_iter().map(line).collect(),
        Err(error) => odd(SILENT, error.to_string()),
    }
}

impl Line {
    fn is_over(&self) -> bool {
        matches!(self.status.state.as_str(), DEAD | ENDED)
    }

    fn up(&self) -> Option<u64> {
        if self.is_over() {
            return None;
        }
        let since = jiff::Timestamp::now().duration_since(self.status.since.or(self.started)?);
        u64::try_from(since.as_secs()).ok()
    }

    fn tone(&self) -> Tone {
        match self.status.state.as_str() {
            "up" | "idle" => Tone::Good,
            DEAD | ENDED | NEEDS_YOU | SILENT => Tone::Bad,
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

    /// The keys of the line by which a forward says that it is ready have the same here, but for the name: here it
    /// is the process's.
    fn document(&self) -> Value {
        let status = &self.status;
        let ready = |key: &str| status.ready.get(key).cloned().unwrap_or_default();
        json!({
            "name": self.process,
            "forward": status.name,
            "preset": ready("preset"),
            "state": status.state,
            "why": status.why,
            "local": ready("local"),
            "remote": ready("remote"),
            "targets": ready("targets"),
            "via": status.via,
            "id": ready("id"),
            "account": ready("account"),
            "region": ready("region"),
            "session": status.session,
            "up": self.up(),
            "pid": self.id,
            "started": self.started.map(|at| at.to_string()),
            "ended": self.ended.map(|at| at.to_string()),
            "connections": { "open": status.open, "all": status.connections },
            "sent": status.sent,
            "received": status.received,
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
