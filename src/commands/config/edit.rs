//! `ssmx config edit`: the person's own editor, and a check before anything is kept.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use super::init::TEMPLATE;
use crate::commands::context::Context;
use crate::commands::error::{CommandError, Exit};
use crate::config::edit::{self, EditError};
use crate::config::env;
use crate::ui::text::{escape, escape_lines};
use crate::ui::{Presence, prompt};

/// Edit your config by `$VISUAL` or `$EDITOR`, and check it
///
/// What would not check is not kept.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(ctx: &Context, _args: Args) -> Result<Exit, CommandError> {
    let places = ctx.places();
    // A file that is broken can be edited too: it is opened as text.
    let (path, before) = edit::current(places)?;
    let begun = before.clone().unwrap_or_else(|| TEMPLATE.to_owned());
    let shown = escape(&path.display().to_string()).into_owned();
    let failed = |error: std::io::Error| {
        CommandError::failed("the copy to be edited could not be written").because(error)
    };
    let directory = tempfile::Builder::new()
        .prefix("ssmx-")
        .tempdir()
        .map_err(failed)?;
    let copy = directory.path().join("config.toml");
    let mut file = std::fs::File::create_new(&copy).map_err(failed)?;
    file.write_all(begun.as_bytes()).map_err(failed)?;
    drop(file);
    loop {
        run_editor(&copy)?;
        let after = std::fs::read_to_string(&copy).map_err(failed)?;
        if before.as_ref() == Some(&after) {
            ctx.ui().say(&format!("`{shown}` stays as it is"));
            return Ok(Exit::SUCCESS);
        }
        match edit::replace(places, &path, before.as_deref(), &after) {
            Ok(()) => {
                ctx.ui().say(&format!("wrote `{shown}`"));
                return Ok(Exit::SUCCESS);
            }
            Err(EditError::Unsound(error)) => {
                for problem in &error.problems {
                    ctx.ui().warn(&escape_lines(&problem.to_string()));
                }
                let again = ctx.ui().presence() == Presence::Person
                    && prompt::confirm("edit it again? (no: the changes are lost)")?.unwrap_or(false);
                if !again {
                    return Err(error.into());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn run_editor(copy: &Path) -> Result<(), CommandError> {
    let editor = env::editor().unwrap_or_else(|| if cfg!(windows) { "notepad" } else { "vi" }.to_owned());
    let unusable = || {
        CommandError::usage(format!("the editor `{editor}` cannot be run"))
            .hint("name one with the variable `EDITOR` or `VISUAL`")
    };
    let words = shlex::split(&editor).ok_or_else(unusable)?;
    let (program, words) = words.split_first().ok_or_else(unusable)?;
    let status = Command::new(program)
        .args(words)
        .arg(copy)
        .status()
        .map_err(|error| unusable().because(error))?;
    if status.success() {
        Ok(())
    } else {
        Err(CommandError::failed(format!(
            "the editor `{editor}` failed ({status}); nothing was changed"
        )))
    }
}
