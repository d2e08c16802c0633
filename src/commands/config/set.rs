//! `ssmx config set` and `unset`: one value of the user's file.

use crate::commands::context::Context;
use crate::commands::entries;
use crate::commands::error::{CommandError, Exit};
use crate::config::edit::{Draft, value_of};
use crate::config::keys::KeyPath;

/// Set one value: `ssmx config set defaults.region eu-west-2`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The key, with dots between its parts; parts with other characters than letters, digits, - and _ in quotes
    key: String,

    /// The value, read for the key's type
    #[arg(allow_hyphen_values = true)]
    value: String,
}

/// Take one value out of your config
#[derive(Debug, clap::Args)]
pub(super) struct UnsetArgs {
    /// The key
    key: String,
}

pub(super) fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    let path = key(&args.key)?;
    let value = value_of(&path, &args.value)?;
    let mut draft = Draft::open(ctx.places())?;
    draft.set(&path, value);
    entries::save(ctx, draft, &path, "set")
}

pub(super) fn unset(ctx: &Context, args: UnsetArgs) -> Result<Exit, CommandError> {
    let path = key(&args.key)?;
    let mut draft = Draft::open(ctx.places())?;
    draft.remove(&path)?;
    entries::save(ctx, draft, &path, "unset")
}

fn key(text: &str) -> Result<KeyPath, CommandError> {
    text.parse().map_err(|reason: String| {
        CommandError::usage(format!("`{text}` is not a key of the config")).because(reason)
    })
}
