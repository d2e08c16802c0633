//! `ssmx config check`: everything that is wrong, and what one might not expect.

use crate::commands::context::Context;
use crate::commands::error::{CommandError, Exit};
use crate::config::load::{FileReport, FileState};
use crate::config::{self, ConfigError, Rank};
use crate::ui::text::{escape, escape_lines};

/// Check the config; names that are hidden by others are told
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Let warnings fail the check: unknown keys in team and system files among them
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    let loaded = config::load(ctx.places(), &ctx.flags())?;
    if args.strict && !loaded.warnings.is_empty() {
        return Err(ConfigError {
            problems: loaded.warnings,
        }
        .into());
    }
    let ui = ctx.ui();
    for warning in &loaded.warnings {
        ui.warn(&escape_lines(&warning.to_string()));
    }
    for name in &loaded.shadowed {
        ui.say(&escape_lines(&format!(
            "`{}` at {} is hidden by {}",
            name.hidden, name.hidden_at, name.shown_at
        )));
    }
    for file in &loaded.files {
        ui.say(&report(file));
    }
    Ok(Exit::SUCCESS)
}

fn report(file: &FileReport) -> String {
    let whose = match file.rank {
        Rank::System => "system",
        Rank::Team => "team",
        _ => "user",
    };
    let state = match file.state {
        FileState::Absent => "is not there",
        FileState::Read => "is sound",
        FileState::Faulty => "is faulty",
        FileState::NotAccepted => "is left out: it has not been accepted (`ssmx config trust`)",
        FileState::Changed => "is left out: it has changed since it was accepted (`ssmx config trust`)",
    };
    format!(
        "{whose} file `{}` {state}",
        escape(&file.path.display().to_string())
    )
}
