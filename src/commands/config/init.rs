//! `ssmx config init`: a first file, in which everything is explained and nothing is decided.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};

use crate::commands::context::Context;
use crate::commands::error::{CommandError, Exit};
use crate::private;
use crate::ui::text::escape;

/// The file, all of it comments but for the schema.
pub(super) const TEMPLATE: &str = include_str!("init.toml");

/// Write a commented config file; one that is there is never touched
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print the file instead of writing it
    #[arg(long)]
    print: bool,
}

pub(super) fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    if args.print {
        ctx.ui().data(TEMPLATE)?;
        return Ok(Exit::SUCCESS);
    }
    let path = ctx
        .places()
        .user_file
        .as_ref()
        .map(|file| file.path())
        .ok_or_else(|| {
            CommandError::usage("there is no home directory, hence no place for a config file")
                .hint("name one with the variable `SSMX_CONFIG`")
        })?;
    let failed = |error: std::io::Error| {
        let shown = path.display();
        match error.kind() {
            ErrorKind::AlreadyExists => {
                CommandError::usage(format!("`{shown}` is there already and is not touched"))
                    .hint("see it with `ssmx config view`, change it with `ssmx config edit`")
            }
            _ => CommandError::failed(format!("`{shown}` cannot be written")).because(error),
        }
    };
    if let Some(directory) = path.parent() {
        private::create_directory(directory).map_err(failed)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(TEMPLATE.as_bytes()).map_err(failed)?;
    ctx.ui()
        .say(&format!("wrote `{}`", escape(&path.display().to_string())));
    Ok(Exit::SUCCESS)
}
