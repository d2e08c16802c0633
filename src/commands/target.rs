//! `ssmx target add|rm|ls`: named targets of the user's config.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::context::Context;
use super::entries::{self, EntryRow, Replacing, Verb};
use super::error::{CommandError, Exit};
use crate::config::edit::{Draft, Value};
use crate::config::keys::KeyPath;
use crate::config::schema::Target;
use crate::ids::NodeId;

/// Give nodes friendly names
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb<Add>,
}

/// Add a named target to your config
#[derive(Debug, clap::Args)]
struct Add {
    /// The friendly name
    name: String,

    /// An id, a Name, `tag:KEY=VALUE`, `ip=…`, `asg=…`, and any KEY=VALUE of `[targets]`
    #[arg(required = true, value_name = "WORD")]
    words: Vec<String>,

    #[command(flatten)]
    replacing: Replacing,
}

/// Does one of them.
///
/// # Errors
/// Those of the config, of the user's file and of stdout.
pub fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    entries::run(ctx, "targets", args.verb, add, ls)
}

fn add(ctx: &Context, args: Add) -> Result<Exit, CommandError> {
    entries::checked_name("targets", &args.name)?;
    let mut values: BTreeMap<KeyPath, Value> = BTreeMap::new();
    let globals = ctx.globals();
    let given = [("profile", &globals.profile), ("region", &globals.region)];
    let given = given
        .into_iter()
        .filter_map(|(key, text)| Some((key.to_owned(), text.clone()?)));
    let words = args.words.iter().map(|word| meaning(word));
    for (key, text) in given.chain(words) {
        let (key, value) = entries::assignment("targets", &args.name, &key, &text)?;
        if values.insert(key.clone(), value).is_some() {
            return Err(CommandError::usage(format!(
                "`{key}` is said twice of the target `{}`",
                args.name
            )));
        }
    }
    let mut draft = Draft::open(ctx.places())?;
    draft.put_entry("targets", &args.name, values, args.replacing.into())?;
    let path = KeyPath::from(["targets", args.name.as_str()]);
    entries::save(ctx, draft, &path, "wrote")
}

/// The key that a word is about, and what it says.
fn meaning(word: &str) -> (String, String) {
    let is = |key: &str, text: &str| (key.to_owned(), text.to_owned());
    if word.parse::<NodeId>().is_ok() {
        return is("id", word);
    }
    if word.parse::<IpAddr>().is_ok() {
        return is("address", word);
    }
    if let Some((key, text)) = word.strip_prefix("tag:").and_then(|tag| tag.split_once('=')) {
        return (KeyPath::from(["tags", key]).to_string(), text.to_owned());
    }
    match word.split_once('=') {
        Some(("ip", text)) => is("address", text),
        Some((key, text)) => is(key, text),
        None => is("name", word),
    }
}

pub(super) fn ls(ctx: &Context) -> Result<Exit, CommandError> {
    let loaded = ctx.loaded()?;
    let config = &loaded.config;
    let rows: Vec<EntryRow> = config
        .targets
        .iter()
        .map(|(name, target)| {
            let aliases: Vec<&str> = config
                .aliases
                .iter()
                .filter(|(_, of)| *of == name)
                .map(|(alias, _)| alias.as_str())
                .collect();
            EntryRow::new(loaded, "target", "targets", name)
                .with(selector(target))
                .with(target.profile.clone().unwrap_or_default())
                .with(target.region.as_ref().map_or("", |region| region.as_str()))
                .with(aliases.join(", "))
        })
        .collect();
    entries::list(ctx, "targets", &["finds", "profile", "region", "aliases"], &rows)
}

/// A selector as it would be typed.
fn selector(target: &Target) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(target.id.as_ref().map(ToString::to_string));
    parts.extend(target.name.as_ref().map(|name| format!("name={name}")));
    parts.extend(
        target
            .tags
            .iter()
            .map(|(key, value)| format!("tag:{key}={value}")),
    );
    parts.extend(target.address.map(|address| format!("ip={}", address.0)));
    parts.extend(target.asg.as_ref().map(|asg| format!("asg={asg}")));
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_about_keys() {
        let cases = [
            ("i-0123456789abcdef0", "id", "i-0123456789abcdef0"),
            ("prod-web-*", "name", "prod-web-*"),
            ("tag:aws:x=a=b", "tags.\"aws:x\"", "a=b"),
            ("ip=10.0.0.1", "address", "10.0.0.1"),
            ("fd00::1", "address", "fd00::1"),
            ("asg=web", "asg", "web"),
            ("pick=newest", "pick", "newest"),
        ];
        for (word, key, text) in cases {
            assert_eq!(meaning(word), (key.to_owned(), text.to_owned()), "{word}");
        }
    }
}
