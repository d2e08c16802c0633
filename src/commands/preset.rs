//! `ssmx preset add|rm|ls`: saved port forwards.

use super::context::Context;
use super::entries::{self, EntryRow, Replacing, Verb};
use super::error::{CommandError, Exit};
use crate::config::edit::{Array, Draft, Existing, Value};
use crate::config::keys::KeyPath;
use crate::config::load::load_what_fits;
use crate::config::schema::{self, Config, Preset};
use crate::config::{names_target, values};
use crate::ids::{Bind, ForwardSpec, Local, NodeId};
use crate::nearest;
use crate::resolve::selector;
use crate::ui::text::escape;

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
    let mut more = Vec::new();
    for word in &args.words {
        let Some((key, text)) = word.split_once('=') else {
            return Err(CommandError::usage(format!("`{word}` is not KEY=VALUE"))
                .hint("several targets stand in one word, with commas between"));
        };
        more.push(entries::assignment("presets", &args.name, key, text)?);
    }
    save(ctx, &args.name, &targets, &args.spec, more, args.replacing.into())
}

/// Saves a forward as a preset of the user's config, with the profile and the region that the flags name.
///
/// # Errors
/// When the name cannot be one or is taken, when a preset cannot say what the words and the flags mean together,
/// and when the result would not check.
pub(super) fn save(
    ctx: &Context,
    name: &str,
    targets: &[&str],
    spec: &ForwardSpec,
    more: Vec<(KeyPath, Value)>,
    existing: Existing,
) -> Result<Exit, CommandError> {
    entries::checked_name("presets", name)?;
    let globals = ctx.globals();
    let through = Through {
        // What is wrong with the config is told of what would be written.
        config: &load_what_fits(ctx.places(), &ctx.flags()).config,
        profile: globals.profile.as_deref(),
        region: globals.region.as_deref(),
    };
    let targets: Vec<Target> = targets
        .iter()
        .map(|word| through.read(word))
        .collect::<Result<_, _>>()?;
    let mut values = said(&targets, spec);
    // One that every target has in itself would be a word without meaning.
    let profile = through
        .profile
        .filter(|_| !targets.iter().all(|target| target.word.contains('/')));
    for (key, text) in [("profile", profile), ("region", through.region)] {
        if let Some(text) = text {
            values.push(entries::assignment("presets", name, key, text)?);
        }
    }
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
    let exit = entries::save(ctx, draft, &KeyPath::from(["presets", name]), "wrote")?;
    for note in targets.iter().filter_map(|target| target.note.as_deref()) {
        ctx.ui().say(&escape(note));
    }
    Ok(exit)
}

/// What a command line says of its targets.
struct Through<'a> {
    config: &'a Config,
    /// `--profile`.
    profile: Option<&'a str>,
    /// `--region`.
    region: Option<&'a str>,
}

/// A target as a preset names it.
struct Target {
    word: String,
    /// What is to be said of that.
    note: Option<String>,
}

impl Through<'_> {
    /// The word that means in a preset what the typed one means beside these flags.
    fn read(&self, typed: &str) -> Result<Target, CommandError> {
        let named = typed.rsplit('/').next().unwrap_or(typed);
        let aliased = self.config.aliases.get(named).map_or(named, String::as_str);
        let target = self.config.targets.get(aliased);
        let own_region = target.and_then(|target| target.region.as_ref());
        if let (Some(flag), Some(own)) = (self.region, own_region)
            && flag != own.as_str()
        {
            return Err(CommandError::usage(format!(
                "a preset cannot keep `--region {flag}`: the target `{named}` names {own}, which counts first"
            ))
            .hint(format!(
                "give the node there a name of its own: `ssmx target add NAME … -r {flag}`"
            )));
        }
        let short = typed.strip_prefix("target/").filter(|_| target.is_some());
        let short = short.or_else(|| {
            typed
                .strip_prefix("instance/")
                .filter(|id| id.parse::<NodeId>().is_ok())
        });
        let word = short.unwrap_or(typed);
        // What says outright that it is a target is refused where it is none, and so is nothing at all.
        let is_bare = !word.is_empty() && !word.starts_with("target/");
        if is_bare && !names_target(self.config, word) {
            return Ok(self.by_name(word));
        }
        let word = match self.profile {
            None => word.to_owned(),
            Some(profile) => self.in_profile(profile, word, target)?,
        };
        Ok(Target { word, note: None })
    }

    /// A word beside `--profile`. A preset's own `profile` counts only where nothing in the word names one.
    fn in_profile(
        &self,
        profile: &str,
        word: &str,
        target: Option<&schema::Target>,
    ) -> Result<String, CommandError> {
        let begins_with_it = word
            .strip_prefix(profile)
            .is_some_and(|rest| rest.starts_with('/'));
        let is_elsewhere = target.is_some_and(|target| {
            target.account.is_some() || target.profile.as_ref().is_some_and(|own| own != profile)
        });
        let is_selector = || selector::parse(word).is_ok_and(|query| query.is_some());
        match word.contains('/') {
            true if begins_with_it => Ok(word.to_owned()),
            true if !is_selector() => Err(CommandError::usage(format!(
                "the profile is named twice: `--profile {profile}` and `{word}`"
            ))
            .hint(format!(
                "leave one of them out; an instance of that whole Name is `name={word}`"
            ))),
            false if !is_elsewhere => Ok(word.to_owned()),
            _ => Ok(format!("{profile}/{word}")),
        }
    }

    /// A word that is a Name and nothing else: forwards know it, a preset wants it said.
    fn by_name(&self, name: &str) -> Target {
        let mut word = String::from("name=");
        for c in name.chars() {
            if matches!(c, '*' | '?' | '\\') {
                word.push('\\');
            }
            word.push(c);
        }
        let known = self.config.targets.keys().chain(self.config.aliases.keys());
        let near = match nearest::one(name, known.map(String::as_str)) {
            Some(near) => format!("; did you mean `{near}`?"),
            None => String::new(),
        };
        let note = format!("`{name}` is no target or alias of the config, so the preset says `{word}`{near}");
        Target {
            word,
            note: Some(note),
        }
    }
}

/// A forward in the words of the config; what is so anyway is left out.
fn said(targets: &[Target], spec: &ForwardSpec) -> Vec<(KeyPath, Value)> {
    let mut values = Vec::new();
    let mut say = |key: &str, value: Value| values.push((KeyPath::from([key]), value));
    match targets {
        [one] => say("target", Value::from(one.word.as_str())),
        several => {
            let words = several.iter().map(|target| target.word.as_str());
            say("target", Value::Array(words.collect::<Array>()));
        }
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
            let targets: Vec<Target> = targets
                .iter()
                .map(|word| Target {
                    word: (*word).to_owned(),
                    note: None,
                })
                .collect();
            said(&targets, &spec.parse().unwrap())
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
