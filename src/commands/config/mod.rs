//! `ssmx config …`: what the config says, whether it is sound, and which team files count.

mod check;
mod init;
mod path;
mod trust;
mod view;

use super::context::Context;
use super::error::{CommandError, Exit};

/// View, check and make the config; accept a team's file
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    View(view::Args),
    Check(check::Args),
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
        Verb::Path(args) => path::run(ctx, args),
        Verb::Init(args) => init::run(ctx, args),
        Verb::Trust(args) => trust::run(ctx, args),
    }
}
