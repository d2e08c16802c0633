//! `ssmx preset add|rm|ls`: saved port forwards.

use super::context::Context;
use super::entries::{self, EntryRow, Replacing, Verb};
use super::error::{CommandError, Exit};
use crate::config::edit::{Array, Draft, Existing, Value};
use crate::config::keys::KeyPath;
use crate::config::schema::Preset;
use crate::config::values;
use crate::ids::{Bind, ForwardSpec, Local};

/// Save port forwards under names
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb<Add>,
}

/// Save a port forward in your config
#[derive(Debug, clap::Args)]
struct Add {
    /// The preset's name
    name: String,

    /// The target, or several with commas between: the first that is online
    target: String,

    /// What to forward, as `ssmx forward` takes it
    spec: ForwardSpec,

    /// Any KEY=VALUE of `[presets]`
    #[arg(value_name = "KEY=VALUE")]
    words: Vec<String>,

    #[command(flatten)]
    replacing: Replacing,
}

/// Does one of them.
///
/// # Errors
/// Those of the config, of the user's file and of stdout.
pub fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    entries::run(ctx, "presets", args.verb, add, ls)
}

fn add(ctx: &Context, args: Add) -> Result<Exit, CommandError> {
    let targets: Vec<&str> = args.target.split(',').collect();
    let globals = ctx.globals();
    let mut more = Vec::new();
    for (key, text) in [("profile", &globals.profile), ("region", &globals.region)] {
        if let Some(text) = text {
            more.push(entries::assignment("presets", &args.name, key, text)?);
        }
    }
    for word in &args.words {
        let Some((key, text)) = word.split_once('=') else {
            return Err(CommandError::usage(format!("`{word}` is not KEY=VALUE"))
                .hint("several targets stand in one word, with commas between"));
        };
        more.push(entries::assignment("presets", &args.name, key, text)?);
    }
    save(ctx, &args.name, &targets, &args.spec, more, args.replacing.into())
}

/// Saves a forward as a preset of the user's config.
///
/// # Errors
/// When the name cannot be one or is taken, and when the result would not check.
pub(super) fn save(
    ctx: &Context,
    name: &str,
    targets: &[&str],
    spec: &ForwardSpec,
    more: Vec<(KeyPath, Value)>,
    existing: Existing,
) -> Result<Exit, CommandError> {
    entries::checked_name("presets", name)?;
    let mut values = said(targets, spec);
    for (key, value) in more {
        if values.iter().any(|(said, _)| *said == key) {
            return Err(CommandError::usage(format!(
                "`{key}` is said twice of the preset `{name}`"
            )));
        }
        values.push((key, value));
    }
    let mut draft = Draft::open(ctx.places())?;
    draft.put_entry("presets", name, values, existing)?;
    entries::save(ctx, draft, &KeyPath::from(["presets", name]), "wrote")
}

/// A forward in the words of the config; what is so anyway is left out.
fn said(targets: &[&str], spec: &ForwardSpec) -> Vec<(KeyPath, Value)> {
    let mut values = Vec::new();
    let mut say = |key: &str, value: Value| values.push((KeyPath::from([key]), value));
    match targets {
        [one] => say("target", Value::from(*one)),
        several => say("target", Value::Array(several.iter().copied().collect::<Array>())),
    }
    if let Some(host) = &spec.remote.host {
        say("host", Value::from(host.as_str()));
    }
    say("port", Value::from(i64::from(spec.remote.port)));
    match &spec.local {
        Local::Port { bind, port } => {
            if *port != spec.remote.port {
                say("local", Value::from(i64::from(*port)));
            }
            if let Bind::Address(address) = bind {
                say("bind", Value::from(address.to_string()));
            }
        }
        Local::Socket(path) => say("local", Value::from(path.to_string_lossy().as_ref())),
    }
    values
}

pub(super) fn ls(ctx: &Context) -> Result<Exit, CommandError> {
    let loaded = ctx.loaded()?;
    let config = &loaded.config;
    let rows: Vec<EntryRow> = config
        .presets
        .iter()
        .map(|(name, preset)| {
            let groups: Vec<&str> = config
                .groups
                .iter()
                .filter(|(_, members)| members.contains(name))
                .map(|(group, _)| group.as_str())
                .collect();
            let via = preset
                .target
                .as_ref()
                .map_or_else(String::new, |targets| targets.as_slice().join(", "));
            EntryRow::new(loaded, "preset", "presets", name)
                .with(local(preset))
                .with(remote(preset))
                .with(via)
                .with(groups.join(", "))
        })
        .collect();
    entries::list(ctx, "presets", &["local", "remote", "via", "groups"], &rows)
}

fn local(preset: &Preset) -> String {
    match (&preset.local, preset.port) {
        (Some(values::Local::Socket(path)), _) => path.0.display().to_string(),
        (Some(values::Local::Port(0)), _) => "any free port".to_owned(),
        (Some(values::Local::Port(port)), _) => port.to_string(),
        (None, Some(port)) => port.number().to_string(),
        (None, None) => String::new(),
    }
}

fn remote(preset: &Preset) -> String {
    let port = preset
        .port
        .map_or_else(String::new, |port| port.number().to_string());
    match &preset.host {
        Some(host) => format!("{host}:{port}"),
        None => port,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forward_is_said_in_few_words() {
        let said = |targets: &[&str], spec: &str| {
            said(targets, &spec.parse().unwrap())
                .iter()
                .map(|(key, value)| format!("{key} = {value}"))
                .collect::<Vec<_>>()
                .join("; ")
        };
        assert_eq!(said(&["web"], "80"), "target = \"web\"; port = 80");
        assert_eq!(
            said(&["a", "b"], "0.0.0.0:15432:db.internal:5432"),
            "target = [\"a\", \"b\"]; host = \"db.internal\"; port = 5432; local = 15432; bind = \"0.0.0.0\""
        );
        assert_eq!(
            said(&["web"], "/run/db.sock:[fd00::1]:5432"),
            "target = \"web\"; host = \"fd00::1\"; port = 5432; local = \"/run/db.sock\""
        );
        assert_eq!(said(&["web"], ":80"), "target = \"web\"; port = 80; local = 0");
    }
}
