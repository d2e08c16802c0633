//! `ssmx snapshot …`: what ssmx remembers of scopes, and bringing it up to date.

use std::ops::ControlFlow;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::context::Context;
use super::error::{CommandError, Exit};
use super::targets::scope::{self, Reached};
use super::targets::words;
use crate::ids::Scope;
use crate::inventory::renew::renew;
use crate::ui::output::{Cell, Column, Listing, Row};

/// A renewal that nobody waits for is given up after so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// See, renew and forget what is remembered of scopes
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the scopes of which anything is remembered
    Ls,
    Refresh(RefreshArgs),
    Rm(RmArgs),
}

/// List the scope at hand anew, for completions and the picker
#[derive(Debug, clap::Args)]
struct RefreshArgs {
    /// As a TAB starts it: silent, with credentials that are at hand, or not at all.
    #[arg(long, hide = true)]
    background: bool,
}

/// Forget the scope at hand, or all
#[derive(Debug, clap::Args)]
struct RmArgs {
    /// Forget all scopes
    #[arg(long)]
    all: bool,
}

/// Does one of them.
///
/// # Errors
/// When a scope cannot be reached or listed, and when files cannot be written.
pub async fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    match args.verb {
        Verb::Ls => ls(ctx),
        Verb::Refresh(RefreshArgs { background: true }) => {
            // Nobody is there to be told; the next TAB tries again, after a while.
            let renewed = tokio::time::timeout(PATIENCE, in_background(ctx)).await;
            tracing::debug!(?renewed, "renewed in the background");
            Ok(Exit::SUCCESS)
        }
        Verb::Refresh(RefreshArgs { background: false }) => refresh(ctx).await,
        Verb::Rm(args) => rm(ctx, &args).await,
    }
}

async fn in_background(ctx: &Context) -> Result<(), CommandError> {
    let Reached { aws, scope } = scope::here_at_hand(ctx).await?;
    let listed = renew(aws.as_ref(), &ctx.snapshots(), &scope, |_| {
        ControlFlow::Continue(())
    })
    .await;
    let renewed = listed.map_err(|error| words::lookup_failed("cannot list", &error))?;
    Ok(renewed.snapshot?)
}

async fn refresh(ctx: &Context) -> Result<Exit, CommandError> {
    let Reached { aws, scope } = scope::here(ctx).await?;
    let snapshots = ctx.snapshots();
    let mut count = 0;
    let renewing = renew(aws.as_ref(), &snapshots, &scope, |page| {
        count += page.len();
        ControlFlow::Continue(())
    });
    let doing = format!("listing {scope}");
    let renewed = ctx.ui().progress(&doing, renewing).await;
    let renewed = renewed
        .map_err(|error| words::lookup_failed(&format!("cannot list the nodes of {scope}"), &error))?;
    for line in words::lacks(&renewed.coverage) {
        ctx.ui().warn(&line);
    }
    renewed.snapshot.map_err(|error| {
        CommandError::failed(format!("the snapshot of {scope} cannot be written")).because(error)
    })?;
    ctx.ui().say(&format!("{count} nodes of {scope} are remembered"));
    Ok(Exit::SUCCESS)
}

async fn rm(ctx: &Context, args: &RmArgs) -> Result<Exit, CommandError> {
    let snapshots = ctx.snapshots();
    let scopes = match args.all {
        true => snapshots.scopes(),
        false => vec![scope::here(ctx).await?.scope],
    };
    for scope in &scopes {
        snapshots.forget(scope).map_err(|error| {
            CommandError::failed(format!("the snapshot of {scope} cannot be removed")).because(error)
        })?;
        ctx.ui().say(&format!("forgot {scope}"));
    }
    Ok(Exit::SUCCESS)
}

fn ls(ctx: &Context) -> Result<Exit, CommandError> {
    let output = ctx.output()?;
    let snapshots = ctx.snapshots();
    let columns = vec![
        Column::new("account", "account").whole(),
        Column::new("region", "region").whole(),
        Column::new("nodes", "nodes"),
        Column::new("age", ""),
        Column::new("taken", "taken").wide(),
        Column::new("partition", "partition").wide(),
    ];
    let listing = Listing {
        key: "snapshots",
        columns,
    };
    let mut printer = ctx.ui().listing(&output, listing)?;
    let now = Timestamp::now();
    for scope in snapshots.scopes() {
        let known = snapshots.open(&scope);
        printer.push(&SnapshotRow {
            taken: known.as_ref().and_then(|known| known.taken()),
            nodes: known.as_ref().and_then(|known| known.listed()),
            scope,
            now,
        })?;
    }
    if printer.finish()? == 0 {
        ctx.ui().say("nothing is remembered yet; `ssmx ls` begins");
    }
    Ok(Exit::SUCCESS)
}

struct SnapshotRow {
    scope: Scope,
    /// When it was listed as a whole, if it was.
    taken: Option<Timestamp>,
    nodes: Option<u64>,
    now: Timestamp,
}

impl Row for SnapshotRow {
    fn cells(&self) -> Vec<Cell> {
        let age = match self.taken {
            Some(taken) => words::age(taken, self.now),
            None => "never listed whole".to_owned(),
        };
        vec![
            Cell::from(self.scope.account.as_str()),
            Cell::from(self.scope.region.as_str()),
            Cell::from(self.nodes.map(|nodes| nodes.to_string())),
            Cell::from(age),
            Cell::from(self.taken.map(|taken| taken.to_string())),
            Cell::from(self.scope.partition.as_str()),
        ]
    }

    fn name(&self) -> String {
        format!("snapshot/{}/{}", self.scope.account, self.scope.region)
    }

    fn document(&self) -> Value {
        json!({
            "partition": self.scope.partition,
            "account": self.scope.account,
            "region": self.scope.region,
            "nodes": self.nodes,
            "taken": self.taken,
        })
    }
}
