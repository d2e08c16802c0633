//! `ssmx plugin alias`: `aws ssmx …`, by the AWS CLI's own file of aliases.

use std::fs;
use std::path::{Path, PathBuf};

use super::context::Context;
use super::error::CommandError;
use crate::private;
use crate::ui::text::escape;

/// What the alias runs: through a shell of the AWS CLI's. The variable says that options may have been lost.
const VALUE: &str = "!SSMX_VIA=aws ssmx";

/// How the alias is made.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Replace an alias `ssmx` that runs something else
    #[arg(long)]
    force: bool,

    /// Take the alias away
    #[arg(long, conflicts_with = "force")]
    remove: bool,
}

/// Writes the alias, or takes it away; all else in the file stays as it is.
///
/// # Errors
/// When an alias of that name runs something else, or the file cannot be read or written.
pub fn run(ctx: &Context, args: &Args) -> Result<(), CommandError> {
    let path = file()
        .ok_or_else(|| CommandError::failed("there is no home directory, hence no `~/.aws/cli/alias`"))?;
    let shown = escape(&path.display().to_string()).into_owned();
    let failed = |doing: &str, error: std::io::Error| {
        CommandError::failed(format!("could not {doing} `{shown}`")).because(error)
    };
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        other => other.map_err(|error| failed("read", error))?,
    };
    let there = find(&text);
    let edited = match &there {
        None if args.remove => return said(ctx, &format!("{shown} has no alias `ssmx`")),
        Some(there) if args.remove => cut(&text, there),
        Some(there) if there.value == VALUE => {
            return said(ctx, &format!("{shown} has it already; try `aws ssmx ls`"));
        }
        Some(there) if !args.force => {
            return Err(CommandError::usage(format!(
                "{shown}:{}: there is an alias `ssmx` that runs something else: `{}`",
                there.line + 1,
                there.value
            ))
            .hint("`ssmx plugin alias --force` replaces it"));
        }
        Some(there) => add(&cut(&text, there)),
        None => add(&text),
    };
    write(&path, &edited).map_err(|error| failed("write", error))?;
    if args.remove {
        return said(ctx, &format!("took the alias `ssmx` out of {shown}"));
    }
    said(
        ctx,
        &format!("wrote the alias `ssmx` to {shown}; try `aws ssmx ls`"),
    )
}

fn said(ctx: &Context, words: &str) -> Result<(), CommandError> {
    ctx.ui().say(words);
    Ok(())
}

/// The AWS CLI knows no other place.
fn file() -> Option<PathBuf> {
    Some(std::env::home_dir()?.join(".aws/cli/alias"))
}

/// Where the alias stands.
#[derive(Debug, PartialEq, Eq)]
struct There {
    /// Its first line, from 0, and how many lines it takes.
    line: usize,
    lines: usize,
    value: String,
}

/// The alias `ssmx` among those of the top level.
fn find(text: &str) -> Option<There> {
    let mut found: Option<There> = None;
    let mut top = false;
    for (number, line) in text.lines().enumerate() {
        if let Some(there) = &mut found {
            // A value goes on where lines are indented.
            if line.starts_with([' ', '\t']) && !line.trim().is_empty() && number == there.line + there.lines
            {
                there.lines += 1;
                there.value.push('\n');
                there.value.push_str(line.trim());
                continue;
            }
            return found;
        }
        if line.starts_with('[') {
            top = line.trim_end() == "[toplevel]";
        } else if top
            && !line.starts_with([' ', '\t', '#', ';'])
            && let Some((key, value)) = line.split_once(['=', ':'])
            && key.trim() == "ssmx"
        {
            found = Some(There {
                line: number,
                lines: 1,
                value: value.trim().to_owned(),
            });
        }
    }
    found
}

fn cut(text: &str, there: &There) -> String {
    let kept = text.split_inclusive('\n').enumerate();
    let kept = kept.filter(|(number, _)| !(there.line..there.line + there.lines).contains(number));
    kept.map(|(_, line)| line).collect()
}

/// The text with the alias, first of its section.
fn add(text: &str) -> String {
    let line = format!("ssmx = {VALUE}\n");
    let mut edited = String::with_capacity(text.len() + line.len() + 16);
    let mut added = false;
    for piece in text.split_inclusive('\n') {
        edited.push_str(piece);
        if !added && piece.trim_end() == "[toplevel]" {
            if !piece.ends_with('\n') {
                edited.push('\n');
            }
            edited.push_str(&line);
            added = true;
        }
    }
    if !added {
        if !edited.is_empty() {
            edited.push_str(if edited.ends_with('\n') { "\n" } else { "\n\n" });
        }
        edited.push_str("[toplevel]\n");
        edited.push_str(&line);
    }
    edited
}

/// Replaces the file whole; through a link, where people keep their settings elsewhere.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    private::replace_as_it_was(&path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alias_joins_what_is_there() {
        assert_eq!(add(""), "[toplevel]\nssmx = !SSMX_VIA=aws ssmx\n");
        let others = "# mine\n[toplevel]\n\nwhoami = sts get-caller-identity\n\n[command ec2]\nx = y\n";
        assert_eq!(
            add(others),
            "# mine\n[toplevel]\nssmx = !SSMX_VIA=aws ssmx\n\nwhoami = sts get-caller-identity\n\n[command ec2]\nx = y\n"
        );
        assert_eq!(
            add("[command ec2]\nx = y"),
            "[command ec2]\nx = y\n\n[toplevel]\nssmx = !SSMX_VIA=aws ssmx\n"
        );
    }

    #[test]
    fn the_alias_is_found_and_goes_without_a_trace() {
        for text in [
            "[toplevel]\nwhoami = x\n",
            "[command ssmx]\nssmx = no\n[toplevel]\n",
        ] {
            let there = find(&add(text)).unwrap();
            assert_eq!(there.value, VALUE);
            assert_eq!(cut(&add(text), &there), text);
            assert_eq!(find(text), None);
        }
        let other = "[toplevel]\nssmx =\n  !f() {\n    ls\n  }; f\nwhoami = x\n";
        let there = find(other).unwrap();
        assert_eq!((there.line, there.lines), (1, 4));
        assert_eq!(cut(other, &there), "[toplevel]\nwhoami = x\n");
    }
}
