//! `ssmx alias add|rm|ls`: second names of named targets.

use super::context::Context;
use super::entries::{self, EntryRow, Replacing, Verb};
use super::error::{CommandError, Exit};
use crate::config::edit::{Draft, Value};
use crate::config::keys::KeyPath;

/// Give named targets second names
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb<Add>,
}

/// Add an alias to your config, as in `ssmx alias add pw prod-web`
#[derive(Debug, clap::Args)]
struct Add {
    /// The second name
    name: String,

    /// The named target
    target: String,

    #[command(flatten)]
    replacing: Replacing,
}

/// Does one of them.
///
/// # Errors
/// Those of the config, of the user's file and of stdout.
pub fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    entries::run(ctx, "aliases", args.verb, add, ls)
}

fn add(ctx: &Context, args: Add) -> Result<Exit, CommandError> {
    entries::checked_name("aliases", &args.name)?;
    let path = KeyPath::from(["aliases", args.name.as_str()]);
    let mut draft = Draft::open(ctx.places())?;
    let target = args.target.strip_prefix("target/").unwrap_or(&args.target);
    draft.put_value(&path, Value::from(target), args.replacing.into())?;
    entries::save(ctx, draft, &path, "wrote")
}

pub(super) fn ls(ctx: &Context) -> Result<Exit, CommandError> {
    let loaded = ctx.loaded()?;
    let rows: Vec<EntryRow> = loaded
        .config
        .aliases
        .iter()
        .map(|(name, target)| EntryRow::new(loaded, "alias", "aliases", name).with(target))
        .collect();
    entries::list(ctx, "aliases", &["target"], &rows)
}
