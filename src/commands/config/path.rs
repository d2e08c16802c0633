//! `ssmx config path`. It looks at the environment and whether files exist, and at nothing else.

use std::path::Path;

use crate::commands::context::Context;
use crate::commands::error::{CommandError, Exit};
use crate::ui::table;

/// Print where the user's config file is
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print every place that ssmx reads or writes
    #[arg(long)]
    all: bool,
}

pub(super) fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    let places = ctx.places();
    let user = places.user_file.as_ref().map(|file| file.path());
    if !args.all {
        let path = user.ok_or_else(|| {
            CommandError::usage("there is no home directory, hence no config file of this user")
                .hint("name one with the variable `SSMX_CONFIG`")
        })?;
        // A path is data for a script: unlike talk it is printed as it is, where it is text at all.
        ctx.ui().data(&format!("{}\n", path.display()))?;
        return Ok(Exit::SUCCESS);
    }
    let team = places.team_file();
    let rows = [
        ("system", Some(places.system_file.as_path())),
        ("team", team.as_deref()),
        ("user", user),
        ("state", places.state.as_deref()),
        ("cache", places.cache.as_deref()),
        ("runtime", places.runtime.as_deref()),
    ];
    let rows: Vec<(&str, String)> = rows
        .into_iter()
        .filter_map(|(what, path)| Some((what, described(path?))))
        .collect();
    ctx.ui().data(&table::fields(&rows))?;
    Ok(Exit::SUCCESS)
}

fn described(path: &Path) -> String {
    let there = if path.exists() { "" } else { " (not there)" };
    format!("{}{there}", path.display())
}
