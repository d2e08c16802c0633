//! `ssmx config view`: what all layers come to, and where each value comes from.

use serde_json::{Map, Value, json};

use crate::commands::context::Context;
use crate::commands::error::{CommandError, Exit};
use crate::config::keys::KeyPath;
use crate::config::view::Line;
use crate::config::{Loaded, Origin};
use crate::ui::Format;
use crate::ui::output::{Cell, Column, Listing, Record, Row};
use crate::ui::text::escape_lines;

/// Print the merged config, as TOML or by `-o json` or `-o yaml`
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
    let loaded = ctx.loaded()?;
    let path: KeyPath = match &args.key {
        None => KeyPath::default(),
        Some(key) => key.parse().map_err(|reason: String| {
            CommandError::usage(format!("`{key}` is not a key of the config")).because(reason)
        })?,
    };
    let lines = loaded.lines(&path);
    if lines.is_empty() {
        return Err(CommandError::usage(format!("nothing is said about `{path}`"))
            .hint("`ssmx config view` shows all there is"));
    }
    // A config is TOML: that is its form for people, whatever `[defaults] output` says of listings.
    let as_toml = matches!(ctx.globals().output, None | Some(Format::Table)) && ctx.globals().query.is_none();
    match (args.origin, as_toml) {
        (true, true) => ctx.ui().data(&origins(&lines))?,
        (true, false) => listing(ctx, &lines)?,
        (false, true) => ctx.ui().data(&escape_lines(&toml(loaded, &path)))?,
        (false, false) => document(ctx, loaded, &path)?,
    }
    Ok(Exit::SUCCESS)
}

fn toml(loaded: &Loaded, path: &KeyPath) -> String {
    if !path.0.is_empty() {
        return loaded.toml(path).unwrap_or_default();
    }
    sections(loaded)
        .iter()
        .filter_map(|section| {
            let text = loaded.toml(&KeyPath::from([section.as_str()]))?;
            // A section has its header; a value at the top of the file has its key before it.
            Some(match loaded.json(&KeyPath::from([section.as_str()])) {
                Some(Value::Object(_)) => format!("\n{text}"),
                _ => format!("{section} = {text}"),
            })
        })
        .collect()
}

/// What stands at the top, values before tables.
fn sections(loaded: &Loaded) -> Vec<String> {
    let mut sections: Vec<String> = Vec::new();
    for line in loaded.lines(&KeyPath::default()) {
        if let Some(section) = line.path.0.first().filter(|section| !sections.contains(section)) {
            sections.push(section.clone());
        }
    }
    sections.sort_by_key(|section| section != "schema");
    sections
}

fn document(ctx: &Context, loaded: &Loaded, path: &KeyPath) -> Result<(), CommandError> {
    let output = ctx.output()?;
    if !matches!(output.format, Format::Json | Format::Yaml) && output.query.is_none() {
        return Err(
            CommandError::usage("a config is printed as TOML, or by `-o json` or `-o yaml`")
                .hint("`--origin` makes a listing of it, which every format takes"),
        );
    }
    let document = if path.0.is_empty() {
        let sections = sections(loaded);
        let all = sections
            .iter()
            .filter_map(|section| Some((section.clone(), loaded.json(&KeyPath::from([section.as_str()]))?)));
        Value::Object(all.collect::<Map<_, _>>())
    } else {
        loaded.json(path).unwrap_or_default()
    };
    let record = Record {
        name: "config".to_owned(),
        fields: Vec::new(),
        document,
    };
    Ok(ctx.ui().record(&output, &record)?)
}

/// Lines of TOML, each with its origin as a comment.
fn origins(lines: &[Line<'_>]) -> String {
    let said: Vec<String> = lines
        .iter()
        .map(|line| format!("{} = {}", line.path, line.toml))
        .collect();
    let widths = said.iter().map(|line| line.chars().count());
    let widest = widths.max().unwrap_or(0).min(60);
    said.iter()
        .zip(lines)
        .map(|(said, line)| {
            format!(
                "{}\n",
                escape_lines(&format!("{said:<widest$}  # {}", place(line.origin)))
            )
        })
        .collect()
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

fn listing(ctx: &Context, lines: &[Line<'_>]) -> Result<(), CommandError> {
    let columns = ["key", "value", "origin"].map(|key| Column::new(key, key).whole());
    let listing = Listing {
        key: "values",
        columns: columns.to_vec(),
    };
    let mut printer = ctx.ui().listing(&ctx.output()?, listing)?;
    for line in lines {
        printer.push(line)?;
    }
    printer.finish()?;
    Ok(())
}

impl Row for Line<'_> {
    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::from(self.path.to_string()),
            Cell::from(self.toml.as_str()),
            Cell::from(place(self.origin)),
        ]
    }

    fn name(&self) -> String {
        format!("key/{}", self.path)
    }

    fn document(&self) -> Value {
        let mut row =
            json!({ "key": self.path.to_string(), "value": self.json, "origin": place(self.origin) });
        match self.origin {
            Origin::File { path, at } => {
                row["source"] = json!("file");
                row["file"] = json!(path.display().to_string());
                row["line"] = json!(at.map(|(line, _)| line));
            }
            Origin::Variable(name) => {
                row["source"] = json!("variable");
                row["variable"] = json!(name);
            }
            Origin::Flag(flag) => {
                row["source"] = json!("flag");
                row["flag"] = json!(flag);
            }
            Origin::Default => row["source"] = json!("default"),
        }
        row
    }
}
