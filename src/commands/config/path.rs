//! `ssmx config path`. It looks at the environment and whether files exist, and at nothing else.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::commands::context::Context;
use crate::commands::error::{CommandError, Exit};
use crate::ui::output::{Cell, Field, Record, Tone};

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
    ];
    let record = Record {
        name: "config/path".to_owned(),
        fields: rows
            .iter()
            .map(|(what, path)| Field::new(what, path.map(described).unwrap_or_default()))
            .collect(),
        document: rows
            .iter()
            .map(|(what, path)| ((*what).to_owned(), document(*path)))
            .collect::<Map<_, _>>()
            .into(),
    };
    ctx.ui()
        .record(&ctx.output_by(ctx.globals().output.unwrap_or_default())?, &record)?;
    Ok(Exit::SUCCESS)
}

fn document(path: Option<&Path>) -> Value {
    path.map_or(
        Value::Null,
        |path| json!({ "path": path.display().to_string(), "exists": path.exists() }),
    )
}

fn described(path: &Path) -> Cell {
    if path.exists() {
        Cell::from(path.display().to_string())
    } else {
        Cell::toned(format!("{} (not there)", path.display()), Tone::Faint)
    }
}
