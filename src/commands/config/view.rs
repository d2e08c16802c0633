//! `ssmx config view`: what all layers come to, and where each value comes from.

use figment::value::{Dict, Value};
use serde_json::json;

use crate::commands::context::Context;
use crate::commands::error::{CommandError, Exit};
use crate::config::keys::KeyPath;
use crate::config::{Loaded, Origin};
use crate::ui::Format;
use crate::ui::text::escape_lines;

/// Print the merged config, as TOML or with `-o json`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show for each value the file and line, variable or flag it comes from
    #[arg(long)]
    origin: bool,

    /// Only this key or section, such as `targets.prod-web`
    #[arg(value_name = "KEY")]
    key: Option<String>,
}

pub(super) fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    let json = match ctx.globals().output {
        None | Some(Format::Table | Format::Wide) => false,
        Some(Format::Json) => true,
        Some(_) => {
            return Err(CommandError::usage(
                "`config view` prints TOML, or JSON with `-o json`, and no other format",
            ));
        }
    };
    let loaded = ctx.loaded()?;
    let path = match &args.key {
        None => KeyPath::default(),
        Some(key) => key.parse().map_err(|reason: String| {
            CommandError::usage(format!("`{key}` is not a key of the config")).because(reason)
        })?,
    };
    let chosen = find(loaded.values(), &path).ok_or_else(|| {
        CommandError::usage(format!("nothing is said about `{path}`"))
            .hint("`ssmx config view` shows all there is")
    })?;
    let text = match (args.origin, json) {
        (true, json) => {
            let mut rows = Vec::new();
            leaves(&path, &chosen, &mut rows);
            if json {
                origins_json(loaded, &rows)?
            } else {
                origins_toml(loaded, &rows)
            }
        }
        (false, true) => pretty(&chosen)?,
        (false, false) => escape_lines(&toml_text(&path, &chosen)?),
    };
    ctx.ui().data(&text)?;
    Ok(Exit::SUCCESS)
}

/// What stands at a path; names may hold dots, so figment's own dotted search is of no use.
fn find(values: &Dict, path: &KeyPath) -> Option<Value> {
    path.0
        .iter()
        .try_fold(Value::from(values.clone()), |value, part| match value {
            Value::Dict(_, mut entries) => entries.remove(part),
            _ => None,
        })
}

/// The values below a path that are no tables, in order.
fn leaves(path: &KeyPath, value: &Value, found: &mut Vec<(KeyPath, Value)>) {
    match value {
        Value::Dict(_, entries) => {
            for (key, value) in entries {
                leaves(&path.child(key), value, found);
            }
        }
        _ => found.push((path.clone(), value.clone())),
    }
}

fn toml_text(path: &KeyPath, value: &Value) -> Result<String, CommandError> {
    match value {
        Value::Dict(_, entries) => {
            toml_edit::ser::to_string_pretty(entries).map_err(|error| unprintable(path, &error))
        }
        _ => Ok(format!("{}\n", inline(value))),
    }
}

fn unprintable(path: &KeyPath, error: &dyn std::error::Error) -> CommandError {
    CommandError::failed(format!("`{path}` could not be printed")).because(error)
}

/// A value as it stands behind the `=` of a line of TOML.
fn inline(value: &Value) -> String {
    match value {
        Value::Array(_, elements) => {
            let elements: Vec<String> = elements.iter().map(inline).collect();
            format!("[{}]", elements.join(", "))
        }
        Value::String(_, text) => toml_edit::Value::from(text.as_str()).to_string(),
        Value::Bool(_, value) => value.to_string(),
        Value::Num(_, number) => number.to_i128().map_or_else(
            || number.to_f64().unwrap_or_default().to_string(),
            |n| n.to_string(),
        ),
        other => format!("{:?}", other.as_str().unwrap_or_default()),
    }
}

/// Lines of TOML again, each with its origin as a comment.
fn origins_toml(loaded: &Loaded, rows: &[(KeyPath, Value)]) -> String {
    let lines: Vec<(String, String)> = rows
        .iter()
        .map(|(path, value)| {
            let origin = loaded.origin(path).map(place).unwrap_or_default();
            (format!("{path} = {}", inline(value)), origin)
        })
        .collect();
    let widest = lines
        .iter()
        .map(|(line, _)| line.chars().count())
        .max()
        .unwrap_or(0)
        .min(60);
    let mut text = String::new();
    for (line, origin) in lines {
        text.push_str(&escape_lines(&format!("{line:<widest$}  # {origin}")));
        text.push('\n');
    }
    text
}

/// Where to look: a line, not a column.
fn place(origin: &Origin) -> String {
    match origin {
        Origin::File {
            path,
            at: Some((line, _)),
        } => format!("{}:{line}", path.display()),
        other => other.to_string(),
    }
}

fn origins_json(loaded: &Loaded, rows: &[(KeyPath, Value)]) -> Result<String, CommandError> {
    let rows: Vec<serde_json::Value> = rows
        .iter()
        .map(|(path, value)| {
            let mut row = json!({ "key": path.to_string(), "value": value });
            match loaded.origin(path) {
                Some(Origin::File { path, at }) => {
                    row["source"] = json!("file");
                    row["file"] = json!(path.display().to_string());
                    row["line"] = json!(at.map(|(line, _)| line));
                }
                Some(Origin::Variable(name)) => {
                    row["source"] = json!("variable");
                    row["variable"] = json!(name);
                }
                Some(Origin::Flag(flag)) => {
                    row["source"] = json!("flag");
                    row["flag"] = json!(flag);
                }
                Some(Origin::Default) | None => row["source"] = json!("default"),
            }
            row
        })
        .collect();
    pretty(&rows)
}

fn pretty(value: &impl serde::Serialize) -> Result<String, CommandError> {
    let mut text =
        serde_json::to_string_pretty(value).map_err(|error| unprintable(&KeyPath::default(), &error))?;
    text.push('\n');
    Ok(text)
}
