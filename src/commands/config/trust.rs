//! `ssmx config trust`: a team's file is shown, and counts from then on as it was shown.

use std::path::{Path, PathBuf};

use crate::commands::context::Context;
use crate::commands::error::{CommandError, Exit};
use crate::config::load::read_team_file;
use crate::config::trust::{self, Trust};
use crate::ui::text::{escape, escape_lines};
use crate::ui::{Presence, prompt};

/// Accept a team's file, after showing what it says or how it changed
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file; else the nearest `.ssmx.toml` from here upwards
    path: Option<PathBuf>,

    /// Accept without a question
    #[arg(long, short)]
    yes: bool,

    /// Take the acceptance back
    #[arg(long, conflicts_with = "yes")]
    forget: bool,
}

pub(super) fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    let places = ctx.places();
    let state = places.state.as_deref().ok_or_else(|| {
        CommandError::usage("there is no home directory, hence no place to remember what was accepted")
    })?;
    let path = args.path.clone().or_else(|| places.team_file()).ok_or_else(|| {
        CommandError::usage("there is no `.ssmx.toml` here or in any directory above")
            .hint("name the file: `ssmx config trust PATH`")
    })?;
    let shown = escape(&path.display().to_string()).into_owned();
    let unkept = |error: std::io::Error| {
        CommandError::failed(format!("what was accepted of `{shown}` could not be remembered")).because(error)
    };
    if args.forget {
        let word = if trust::forget(state, &path).map_err(unkept)? {
            "is not accepted any more"
        } else {
            "had not been accepted"
        };
        ctx.ui().say(&format!("`{shown}` {word}"));
        return Ok(Exit::SUCCESS);
    }
    let (content, warnings) = read_team_file(&path)?;
    show(ctx, state, &path, &content);
    for warning in &warnings {
        ctx.ui().warn(&escape_lines(&warning.to_string()));
    }
    if trust::trust(state, &path, &content) == Trust::Accepted {
        ctx.ui().say(&format!("`{shown}` is accepted as it is already"));
        return Ok(Exit::SUCCESS);
    }
    if !args.yes && !asked(ctx, &shown)? {
        return Err(CommandError::interrupted());
    }
    // What was read and shown is what is accepted, whatever the file says by now.
    trust::accept(state, &path, &content).map_err(unkept)?;
    ctx.ui()
        .say(&format!("`{shown}` counts from now on, until it changes"));
    Ok(Exit::SUCCESS)
}

fn asked(ctx: &Context, shown: &str) -> Result<bool, CommandError> {
    if ctx.ui().presence() == Presence::Script {
        return Err(
            CommandError::usage(format!("`{shown}` was not accepted: nobody is here to be asked"))
                .hint("accept it without a question by `ssmx config trust --yes`"),
        );
    }
    Ok(prompt::confirm("accept it?")?.unwrap_or(false))
}

fn show(ctx: &Context, state: &Path, path: &Path, content: &str) {
    let ui = ctx.ui();
    let shown = escape(&path.display().to_string()).into_owned();
    let text = match trust::trust(state, path, content) {
        Trust::Changed { accepted } => {
            ui.say(&format!("`{shown}` was accepted before and has changed:"));
            difference(&accepted, content)
        }
        Trust::Never | Trust::Accepted => {
            ui.say(&format!("`{shown}` says:"));
            content.lines().map(|line| format!("  {line}\n")).collect()
        }
    };
    ui.say(escape_lines(&text).trim_end());
}

/// Beyond this many pairs of lines the changed part is shown as a whole.
const LARGEST_COMPARISON: usize = 4_000_000;

/// The lines of two texts: `-` only in the old one, `+` only in the new one, and a few common ones around.
fn difference(old: &str, new: &str) -> String {
    let old: Vec<&str> = old.lines().collect();
    let new: Vec<&str> = new.lines().collect();
    let before = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let after = old[before..]
        .iter()
        .rev()
        .zip(new[before..].iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let changed_old = &old[before..old.len() - after];
    let changed_new = &new[before..new.len() - after];
    let mut text = String::new();
    let mut put = |sign: char, line: &str| text.push_str(&format!("{sign} {line}\n"));
    for line in &old[before.saturating_sub(3)..before] {
        put(' ', line);
    }
    for (sign, line) in edits(changed_old, changed_new) {
        put(sign, line);
    }
    for line in old[old.len() - after..].iter().take(3) {
        put(' ', line);
    }
    text
}

/// The shortest way from one list of lines to the other, by their longest common subsequence.
fn edits<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    if old.len().saturating_mul(new.len()) > LARGEST_COMPARISON {
        let gone = old.iter().map(|line| ('-', *line));
        return gone.chain(new.iter().map(|line| ('+', *line))).collect();
    }
    let width = new.len() + 1;
    // common[i * width + j]: how many lines old[i..] and new[j..] have in common.
    let mut common = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = if old[i] == new[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut edits = Vec::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            edits.push((' ', old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len()
            || (i < old.len() && common[(i + 1) * width + j] >= common[i * width + j + 1])
        {
            edits.push(('-', old[i]));
            i += 1;
        } else {
            edits.push(('+', new[j]));
            j += 1;
        }
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_what_went_and_what_came() {
        let old = "schema = 1\n[targets.a]\nname = \"x\"\n[targets.b]\nname = \"y\"\n";
        let new =
            "schema = 1\n[targets.a]\nname = \"z\"\nregion = \"eu-west-2\"\n[targets.b]\nname = \"y\"\n";
        assert_eq!(
            difference(old, new),
            "  schema = 1\n  [targets.a]\n- name = \"x\"\n+ name = \"z\"\n+ region = \"eu-west-2\"\n  [targets.b]\n  name = \"y\"\n"
        );
        assert_eq!(difference("", "a\n"), "+ a\n");
        assert_eq!(difference("a\n", ""), "- a\n");
        assert_eq!(difference("a\nb\nc\n", "c\n"), "- a\n- b\n  c\n");
    }

    #[test]
    fn huge_changes_are_shown_as_a_whole() {
        let old: Vec<String> = (0..3000).map(|n| format!("old {n}")).collect();
        let new: Vec<String> = (0..3000).map(|n| format!("new {n}")).collect();
        let lines = difference(&old.join("\n"), &new.join("\n"));
        assert_eq!(lines.lines().count(), 6000);
    }
}
