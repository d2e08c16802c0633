//! `ssmx config import`: names that ssh and aws-gate know, as named targets of the user's config.

use std::path::{Path, PathBuf};

use crate::commands::context::Context;
use crate::commands::error::{CommandError, Exit};
use crate::config::edit::{Draft, EditError, Existing};
use crate::config::import::{Found, aws_gate, ssh_config};
use crate::config::places;
use crate::ui::text::{escape, escape_lines};

/// Import named targets from `~/.ssh/config` and from aws-gate
///
/// Of ssh's, hosts whose ProxyCommand goes through Session Manager.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file; else those of ssh and of aws-gate, as far as they are there
    file: Option<PathBuf>,

    /// Whose form the file has; else its content tells
    #[arg(long, value_name = "TOOL", requires = "file")]
    from: Option<Tool>,

    /// Show what would be added; change nothing
    #[arg(long)]
    dry_run: bool,

    /// Put imported targets in the place of those that have their names
    #[arg(long)]
    replace: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Tool {
    /// ssh's config
    Ssh,
    /// aws-gate's YAML
    AwsGate,
}

pub(super) fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    let ui = ctx.ui();
    let mut draft = Draft::open(ctx.places())?;
    let existing = if args.replace {
        Existing::Replace
    } else {
        Existing::Keep
    };
    let mut added = 0;
    for (file, tool) in sources(&args)? {
        let shown = escape(&file.display().to_string()).into_owned();
        let found = read(&file, tool)?;
        for why in &found.passed_over {
            ui.warn(&format!("{shown}: {}", escape_lines(why)));
        }
        for target in found.targets {
            let said: Vec<String> = target
                .values
                .iter()
                .map(|(key, value)| format!("{key} = {value}"))
                .collect();
            match draft.put_entry("targets", &target.name, target.values, existing) {
                Ok(()) => {
                    added += 1;
                    ui.say(&format!("{}: {}", target.name, escape(&said.join(", "))));
                }
                Err(EditError::Exists { at, .. }) => ui.warn(&format!(
                    "{shown}: `{}` is left as it is at {}",
                    target.name,
                    escape(&at.to_string())
                )),
                Err(error) => return Err(error.into()),
            }
        }
    }
    let file = escape(&draft.path().display().to_string()).into_owned();
    if added == 0 {
        ui.say("there is nothing to import");
    } else if args.dry_run {
        ui.say(&format!("{added} to be added to `{file}`; nothing was changed"));
    } else {
        draft.save(ctx.places())?;
        ui.say(&format!("added {added} to `{file}`"));
    }
    Ok(Exit::SUCCESS)
}

/// The files to read, each with the form that is known of it.
fn sources(args: &Args) -> Result<Vec<(PathBuf, Option<Tool>)>, CommandError> {
    if let Some(file) = &args.file {
        return Ok(vec![(file.clone(), args.from)]);
    }
    let home = places::home().ok_or_else(|| {
        CommandError::usage("there is no home directory to look for other tools' files in")
            .hint("name the file: `ssmx config import FILE`")
    })?;
    let mut files = vec![
        (home.join(".ssh/config"), Some(Tool::Ssh)),
        (home.join(".aws-gate/config"), Some(Tool::AwsGate)),
    ];
    let more = std::fs::read_dir(home.join(".aws-gate/config.d"));
    let mut more: Vec<PathBuf> = more
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "yaml" || end == "yml"))
        .collect();
    more.sort();
    files.extend(more.into_iter().map(|path| (path, Some(Tool::AwsGate))));
    files.retain(|(path, _)| path.is_file());
    Ok(files)
}

fn read(file: &Path, tool: Option<Tool>) -> Result<Found, CommandError> {
    let unreadable = || CommandError::usage(format!("`{}` cannot be imported", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| unreadable().because(error))?;
    let hosts = text.lines().any(|line| line.starts_with("hosts:"));
    let told = if hosts { Tool::AwsGate } else { Tool::Ssh };
    match tool.unwrap_or(told) {
        Tool::Ssh => Ok(ssh_config(&text)),
        Tool::AwsGate => aws_gate(&text).map_err(|cause| unreadable().because(cause)),
    }
}
