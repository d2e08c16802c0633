//! `ssmx config …`: what the config says, whether it is sound, and which team files count.

mod check;
mod edit;
mod import;
mod init;
mod path;
mod set;
mod trust;
mod view;

use super::context::Context;
use super::error::{CommandError, Exit};

/// View, check, make and change the config; accept a team's file
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    View(view::Args),
    Check(check::Args),
    Edit(edit::Args),
    Set(set::Args),
    Unset(set::UnsetArgs),
    Import(import::Args),
    Path(path::Args),
    Init(init::Args),
    Trust(trust::Args),
}

/// Does one of them.
///
/// # Errors
/// Those of the config, of its files, and of stdout.
pub fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    match args.verb {
        Verb::View(args) => view::run(ctx, args),
        Verb::Check(args) => check::run(ctx, args),
        Verb::Edit(args) => edit::run(ctx, args),
        Verb::Set(args) => set::run(ctx, args),
        Verb::Unset(args) => set::unset(ctx, args),
        Verb::Import(args) => import::run(ctx, args),
        Verb::Path(args) => path::run(ctx, args),
        Verb::Init(args) => init::run(ctx, args),
        Verb::Trust(args) => trust::run(ctx, args),
    }
}
