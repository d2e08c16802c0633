//! `ssmx sessions`: what runs in a scope, what has run, and ending it.

mod end;
mod list;
mod local;
mod whose;

use super::context::Context;
use super::error::{CommandError, Exit};

/// List sessions, or end some
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
    /// List sessions: the active ones of the scope, mine first
    Ls(ListArgs),
    /// End sessions: by id, the beginning of one, or target
    End(EndArgs),
}

/// Which sessions.
#[derive(Debug, Clone, clap::Args)]
pub struct ListArgs {
    /// List those that have ended in the last thirty days
    #[arg(long)]
    history: bool,

    /// List active ones and those that have ended
    #[arg(short, long, conflicts_with = "history")]
    all: bool,

    /// List mine alone: of whichever permission set, by the name that a session of it bears
    #[arg(long)]
    mine: bool,

    /// List those on this target alone
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,

    /// List those in the scopes of all AWS profiles that can be reached without a question
    #[arg(long, conflicts_with = "target")]
    all_profiles: bool,

    /// List what was started from this machine, by its own log: who, why, where; AWS is not asked
    #[arg(long, conflicts_with_all = ["history", "all", "mine", "all_profiles"])]
    local: bool,
}

#[derive(Debug, clap::Args)]
struct EndArgs {
    /// The sessions' ids, their beginnings, or targets whose active sessions are meant
    #[arg(required_unless_present_any = ["mine", "stale"], value_name = "SESSION|TARGET")]
    sessions: Vec<String>,

    /// End all of mine in the scope
    #[arg(long)]
    mine: bool,

    /// End what ssmx started from this machine and left behind: its process is gone (killed, power lost)
    #[arg(long)]
    stale: bool,

    /// Answer the question that is asked before several or somebody else's are ended
    #[arg(short, long)]
    yes: bool,
}

/// Lists or ends sessions.
///
/// # Errors
/// When AWS refuses, nobody agrees, or stdout cannot be written.
pub async fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    match args.command {
        Some(Command::End(args)) => end::run(ctx, args).await,
        Some(Command::Ls(args)) => listed(ctx, args).await,
        None => listed(ctx, args.list).await,
    }
}

pub(super) async fn listed(ctx: &Context, args: ListArgs) -> Result<Exit, CommandError> {
    if args.local {
        return local::run(ctx, args.target.as_deref()).await;
    }
    list::run(ctx, args).await
}
