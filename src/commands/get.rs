//! `ssmx get instances` and its like: what people type who come from kubectl. Each is one of our commands.

use super::context::Context;
use super::error::{CommandError, Exit};
use super::{alias, ls, preset, sessions, target};

/// List things, as kubectl does
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to list.
    #[command(subcommand)]
    pub what: What,
}

/// What can be listed.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// The nodes of a scope: `ssmx ls`
    #[command(visible_aliases = ["instance", "nodes", "node", "no"])]
    Instances(Box<ls::Args>),
    /// The sessions of the scope: `ssmx sessions`
    #[command(visible_alias = "session")]
    Sessions(sessions::ListArgs),
    /// Named targets: `ssmx target ls`
    #[command(visible_alias = "target")]
    Targets,
    /// Their second names: `ssmx alias ls`
    #[command(visible_alias = "alias")]
    Aliases,
    /// Saved forwards: `ssmx preset ls`
    #[command(visible_alias = "preset")]
    Presets,
}

/// Lists.
///
/// # Errors
/// Those of the command that it stands for.
pub async fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    match args.what {
        What::Instances(args) => ls::run(ctx, *args).await,
        What::Sessions(args) => sessions::listed(ctx, args).await,
        What::Targets => target::ls(ctx),
        What::Aliases => alias::ls(ctx),
        What::Presets => preset::ls(ctx),
    }
}
