//! Which forwards the words mean: presets, groups, and targets with specs.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::manage::Manage;
use super::program;
use crate::commands::error::CommandError;
use crate::config::Config;
use crate::config::schema::Preset;
use crate::config::values;
use crate::ids::{Bind, ForwardSpec, Local, NodeId, Region, Remote};
use crate::nearest;
use crate::resolve::selector;
use crate::transport::plan::Choice;

/// One forward, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The preset's name, else the target's with the remote end.
    pub name: String,
    /// The preset that it comes from.
    pub preset: Option<String>,
    /// Targets, of which the first that is online is taken; as they would be typed.
    pub targets: Vec<String>,
    /// The region that the preset wants where its target names none.
    pub region: Option<Region>,
    /// Where connections are taken.
    pub local: Local,
    /// Where they go.
    pub leads: Leads,
    /// What is to carry it, where the command says so.
    pub transport: Option<Choice>,
    /// The rest.
    pub settings: Settings,
}

/// Where a forward leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leads {
    /// To one port.
    To(Remote),
    /// Wherever the program asks for by SOCKS5.
    Anywhere,
}

impl fmt::Display for Leads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::To(remote) => write!(f, "{remote}"),
            Self::Anywhere => f.write_str("SOCKS5"),
        }
    }
}

/// What presets and options say beside from where to where. `None`: the next one that has a word in it decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether the session starts with the first connection.
    pub lazy: Option<bool>,
    /// After so long unused the session ends.
    pub idle_timeout: Option<Duration>,
    /// After so long a fresh session takes new connections.
    pub max_age: Option<Duration>,
    /// Over how many sessions connections may be spread.
    pub sessions: Option<u16>,
    /// The session document.
    pub document: Option<String>,
}

impl Settings {
    /// These, and where they say nothing, those.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            lazy: self.lazy.or(other.lazy),
            idle_timeout: self.idle_timeout.or(other.idle_timeout),
            max_age: self.max_age.or(other.max_age),
            sessions: self.sessions.or(other.sessions),
            document: self.document.or(other.document),
        }
    }
}

/// Reads the words: each is a preset or a group (`preset/NAME` says so outright), or a target that the specs after
/// it belong to. What is asked for twice is done once.
///
/// # Errors
/// When a word means nothing here, or a spec is malformed.
pub fn read(words: &[String], config: &Config, home: Option<PathBuf>) -> Result<Vec<Wish>, CommandError> {
    let mut wishes: Vec<Wish> = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        if let Some(name) = word.strip_prefix("preset/") {
            wishes.push(preset(name, config, home.as_ref())?);
        } else if let Some(names) = config.groups.get(word.as_str()) {
            for name in names {
                wishes.push(preset(name, config, home.as_ref())?);
            }
        } else if config.presets.contains_key(word.as_str())
            && words.peek().is_none_or(|next| !is_spec(next, config))
        {
            wishes.push(preset(word, config, home.as_ref())?);
        } else if is_spec(word, config) && !word.starts_with(char::is_alphabetic) {
            // A Name like that can be had by `name=`.
            return Err(no_target(word));
        } else {
            let before = wishes.len();
            while let Some(spec) = words.next_if(|next| is_spec(next, config)) {
                wishes.push(ad_hoc(word, spec.parse()?));
            }
            if wishes.len() == before {
                if before > 0 && program::is_one(word) {
                    return Err(no_command(word));
                }
                return Err(no_forward(word, words.peek().copied(), config));
            }
        }
    }
    let mut once: Vec<Wish> = Vec::new();
    for wish in wishes {
        if !once.contains(&wish) {
            once.push(wish);
        }
    }
    tell_apart(&mut once);
    Ok(once)
}

/// The same host and port through several targets: each has its target in its name.
fn tell_apart(wishes: &mut [Wish]) {
    let names: Vec<String> = wishes.iter().map(|wish| wish.name.clone()).collect();
    for wish in wishes.iter_mut().filter(|wish| wish.preset.is_none()) {
        if let ([target], Leads::To(remote)) = (wish.targets.as_slice(), &wish.leads)
            && names.iter().filter(|name| **name == wish.name).count() > 1
        {
            wish.name = through(target, remote);
        }
    }
}

/// A forward's name that begins with its target's.
fn through(target: &str, remote: &Remote) -> String {
    format!("{}:{remote}", target.strip_prefix("target/").unwrap_or(target))
}

/// Whether a word is a forward, right or wrong.
fn is_spec(word: &str, config: &Config) -> bool {
    word.parse::<ForwardSpec>().is_ok() || ForwardSpec::is_meant(word) && !names_target(word, config)
}

/// Whether a word can only be a target, right or wrong; a node's Name is told by a look-up alone.
fn names_target(word: &str, config: &Config) -> bool {
    let known = |name: &str| config.targets.contains_key(name) || config.aliases.contains_key(name);
    let is_in_profile = word.split_once('/').is_some_and(|(profile, _)| {
        profile.starts_with(char::is_alphabetic) && !profile.contains(':') && profile != "preset"
    });
    known(word)
        || is_in_profile
        || word.parse::<NodeId>().is_ok()
        || !matches!(selector::parse(word), Ok(None))
}

fn ad_hoc(target: &str, spec: ForwardSpec) -> Wish {
    Wish {
        name: match &spec.remote.host {
            Some(_) => spec.remote.to_string(),
            None => through(target, &spec.remote),
        },
        preset: None,
        targets: vec![target.to_owned()],
        region: None,
        local: spec.local,
        leads: Leads::To(spec.remote),
        transport: None,
        settings: Settings::default(),
    }
}

/// A SOCKS5 proxy through a target.
pub fn socks(target: &str, local: Local) -> Wish {
    Wish {
        name: target.strip_prefix("target/").unwrap_or(target).to_owned(),
        preset: None,
        targets: vec![target.to_owned()],
        region: None,
        local,
        leads: Leads::Anywhere,
        transport: None,
        settings: Settings::default(),
    }
}

/// A forward where a target was expected.
fn no_target(word: &str) -> CommandError {
    match word.parse::<ForwardSpec>() {
        Ok(_) => CommandError::usage(format!("`{word}` is a forward without a target before it"))
            .hint(format!("say through which node: `ssmx forward TARGET {word}`")),
        Err(error) => error.into(),
    }
}

/// A word that is no preset and has no spec behind it.
fn no_forward(word: &str, next: Option<&String>, config: &Config) -> CommandError {
    if is_spec(word, config) {
        return no_target(word);
    }
    if !names_target(word, config) {
        return unknown(word, config);
    }
    let means_something = |next: &str| {
        let names = config.presets.contains_key(next) || config.groups.contains_key(next);
        names || next.starts_with("preset/") || names_target(next, config)
    };
    match next
        .filter(|next| !means_something(next))
        .map(|next| next.parse::<ForwardSpec>())
    {
        Some(Err(error)) => error.into(),
        _ => CommandError::usage(format!(
            "`{word}` is a target, and nothing says which of its ports"
        ))
        .hint(format!("name the port too: `ssmx forward {word} LOCAL:REMOTE`")),
    }
}

/// A program's name where only forwards are expected.
fn no_command(word: &str) -> CommandError {
    CommandError::usage(format!("there is no preset or group `{word}`")).hint(format!(
        "to run it with the forwards up, write `--` before it: `-- {word}`"
    ))
}

/// A word that names nothing.
fn unknown(word: &str, config: &Config) -> CommandError {
    let names = config.presets.keys().chain(config.groups.keys()).cloned();
    let commands = Manage::WORDS.iter().map(|command| (*command).to_owned());
    let near = nearest::some(word, names.chain(commands));
    let failure = CommandError::usage(format!("there is no preset or group `{word}`"));
    if Manage::WORDS.contains(&word) {
        return failure.hint(format!(
            "the command `{word}` stands before all names: `ssmx forward {word}`"
        ));
    }
    if word == "ls" || word == "list" {
        return failure.hint("`ssmx forward` alone lists the presets, `ssmx forward ps` what is detached");
    }
    let failure = match near.as_slice() {
        [] => failure,
        near => failure.hint(format!("did you mean `{}`?", near.join("` or `"))),
    };
    failure.hint(format!(
        "to forward a port of a target, name the port too: `ssmx forward {word} LOCAL:REMOTE`"
    ))
}

fn preset(name: &str, config: &Config, home: Option<&PathBuf>) -> Result<Wish, CommandError> {
    let Some(preset) = config.presets.get(name) else {
        return Err(unknown(name, config));
    };
    let incomplete = |lacks: &str| {
        CommandError::usage(format!("the preset `{name}` names no {lacks}"))
            .hint(format!("add it to `[presets.{name}]` in the config"))
    };
    let targets = match &preset.target {
        None => return Err(incomplete("target")),
        Some(targets) => targets.as_slice().to_vec(),
    };
    let port = preset.port.ok_or_else(|| incomplete("port"))?.number();
    let host = preset
        .host
        .as_ref()
        .map(|host| host.as_str().parse())
        .transpose()
        .map_err(|why: String| {
            CommandError::usage(format!("the host of preset `{name}` cannot be used: {why}"))
        })?;
    Ok(Wish {
        name: name.to_owned(),
        preset: Some(name.to_owned()),
        targets: targets
            .into_iter()
            .map(|target| with_profile(target, preset.profile.as_deref(), config))
            .collect(),
        region: preset.region.clone(),
        local: local(preset, port, config, home),
        leads: Leads::To(Remote { host, port }),
        transport: None,
        settings: Settings {
            lazy: preset.lazy,
            idle_timeout: preset.idle_timeout.map(|period| period.0),
            max_age: preset.max_age.map(|period| period.0),
            sessions: preset.sessions.map(|sessions| sessions.number()),
            document: preset
                .document
                .as_ref()
                .map(|document| document.as_str().to_owned()),
        },
    })
}

/// The preset's profile counts where the target names none of its own.
fn with_profile(target: String, profile: Option<&str>, config: &Config) -> String {
    let named = config
        .aliases
        .get(&target)
        .map_or(target.as_str(), String::as_str);
    let own = config
        .targets
        .get(named)
        .is_some_and(|target| target.profile.is_some() || target.account.is_some());
    match profile {
        Some(profile) if !own && !target.contains('/') => format!("{profile}/{target}"),
        _ => target,
    }
}

fn local(preset: &Preset, port: u16, config: &Config, home: Option<&PathBuf>) -> Local {
    let port = match &preset.local {
        Some(values::Local::Socket(path)) => {
            let path = &path.0;
            let path = match (path.strip_prefix("~"), home) {
                (Ok(below), Some(home)) => home.join(below),
                _ => path.clone(),
            };
            return Local::Socket(path);
        }
        Some(values::Local::Port(local)) => *local,
        None => port,
    };
    Local::Port {
        bind: bind(preset.bind.unwrap_or(config.defaults.bind)),
        port,
    }
}

/// The config's word for where to listen, as a forward has it.
pub fn bind(bind: values::Bind) -> Bind {
    match bind {
        values::Bind::Loopback => Bind::Loopback,
        values::Bind::Address(address) => Bind::Address(address),
    }
}
