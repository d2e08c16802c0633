//! `ssmx sessions`: what runs in the scope, and ending it.

use std::cmp::Reverse;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::context::Context;
use super::error::{CommandError, Exit, Kind};
use super::targets::scope::{self, Reached};
use super::targets::words;
use crate::aws::session::{SessionRecord, Which};
use crate::ids::SessionId;
use crate::inventory::query::Query;
use crate::ui::output::{Cell, Column, Listing, Row, Tone};

/// List the sessions of the scope, or end some
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the sessions of the scope
    Ls(ListArgs),
    /// End sessions
    End(EndArgs),
}

#[derive(Debug, Clone, clap::Args)]
struct ListArgs {
    /// List those that have ended in the last thirty days
    #[arg(long)]
    history: bool,
}

#[derive(Debug, clap::Args)]
struct EndArgs {
    /// The sessions' ids
    #[arg(required = true, value_name = "ID")]
    ids: Vec<SessionId>,
}

/// Lists or ends sessions.
///
/// # Errors
/// When AWS refuses, or stdout cannot be written.
pub async fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    match args.command {
        Some(Command::End(args)) => end(ctx, args).await,
        Some(Command::Ls(args)) => list(ctx, args).await,
        None => list(ctx, args.list).await,
    }
}

async fn list(ctx: &Context, args: ListArgs) -> Result<Exit, CommandError> {
    let output = ctx.output()?;
    let Reached { aws, scope } = scope::here(ctx).await?;
    let which = if args.history {
        Which::History
    } else {
        Which::Active
    };
    let doing = format!("listing the sessions of {scope}");
    let mut records = ctx
        .ui()
        .progress(&doing, aws.sessions(which))
        .await
        .map_err(|error| CommandError::aws(format!("cannot list the sessions of {scope}"), &error))?;
    records.sort_by_key(|record| Reverse(record.started));
    let snapshot = ctx.snapshots().open(&scope);
    let now = Timestamp::now();
    let mut printer = ctx.ui().listing(&output, listing(which))?;
    for record in &records {
        let known = record.target.parse().ok().and_then(|id| {
            let nodes = snapshot.as_ref()?.find(&Query::id(id))?;
            nodes.into_iter().next()?.name
        });
        printer.push(&SessionRow {
            record,
            name: known,
            now,
        })?;
    }
    if printer.finish()? == 0 {
        let kind = if args.history { "ended" } else { "active" };
        ctx.ui().say(&format!("no {kind} session in {scope}"));
    }
    Ok(Exit::SUCCESS)
}

fn listing(which: Which) -> Listing {
    let mut columns = vec![
        Column::new("session", "id").whole(),
        Column::new("name", "name"),
        Column::new("target", "target").whole(),
        Column::new("status", "status"),
        Column::new("age", ""),
        Column::new("reason", "reason"),
        Column::new("document", "document").wide(),
        Column::new("owner", "owner").wide(),
        Column::new("started", "started").wide(),
    ];
    if which == Which::History {
        columns.push(Column::new("ended", "ended").wide());
    }
    Listing {
        key: "sessions",
        columns,
    }
}

struct SessionRow<'a> {
    record: &'a SessionRecord,
    /// The node's name, where the snapshot has it.
    name: Option<String>,
    now: Timestamp,
}

impl Row for SessionRow<'_> {
    fn cells(&self) -> Vec<Cell> {
        let record = self.record;
        let time = |at: Option<Timestamp>| Cell::from(at.map(|at| at.to_string()));
        let tone = match record.status.as_str() {
            "Connected" => Tone::Good,
            "Failed" => Tone::Bad,
            "Terminated" => Tone::Faint,
            _ => Tone::Odd,
        };
        vec![
            Cell::from(record.id.as_str()),
            Cell::from(self.name.clone()),
            Cell::from(record.target.as_str()),
            Cell::toned(record.status.clone(), tone),
            Cell::from(record.started.map(|started| words::age(started, self.now))),
            Cell::from(record.reason.clone()),
            Cell::from(record.document.clone()),
            Cell::from(record.owner.clone()),
            time(record.started),
            time(record.ended),
        ]
    }

    fn name(&self) -> String {
        format!("session/{}", self.record.id)
    }

    fn document(&self) -> Value {
        let record = self.record;
        json!({
            "id": record.id,
            "name": self.name,
            "target": record.target,
            "status": record.status,
            "started": record.started,
            "ended": record.ended,
            "document": record.document,
            "owner": record.owner,
            "reason": record.reason,
        })
    }
}

/// Ends each; a failure does not keep the others from being ended.
async fn end(ctx: &Context, args: EndArgs) -> Result<Exit, CommandError> {
    let Reached { aws, scope } = scope::here(ctx).await?;
    let mut failures = Vec::new();
    for id in &args.ids {
        match aws.terminate_session(id).await {
            Ok(()) => ctx.ui().say(&format!("ended {id}")),
            Err(error) => failures.push((id, error)),
        }
    }
    let [(id, error), others @ ..] = failures.as_slice() else {
        return Ok(Exit::SUCCESS);
    };
    let mut failure = CommandError::aws(format!("cannot end session {id} in {scope}"), error);
    for (id, error) in others {
        failure = failure.because(format!("session {id}: {error}"));
    }
    if failures.len() < args.ids.len() {
        failure.kind = Kind::Failed;
    }
    Err(failure)
}
