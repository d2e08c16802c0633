//! Which words fit where.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::sync::{Arc, Mutex, PoisonError};

use clap::{Arg, Command, ValueHint};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use jiff::Timestamp;

use super::answer::{Collected, MOST, is_safe};
use super::request::Request;
use super::world::World;
use crate::aws::regions;
use crate::commands::forward::DETACHED;
use crate::commands::help::topics::NAMES;
use crate::commands::targets::words;
use crate::inventory::node::{AgentState, InstanceState};
use crate::inventory::snapshot::Row;
use crate::ledger::Life;

/// Before what the last one is.
const MORE: &str = "… more before this one: type on;";
/// Of the log's sessions so many are offered.
const SESSIONS: usize = 20;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Target,
    Preset,
    PresetOrTarget,
    SessionOrTarget,
    Profile,
    Region,
    Document,
    Topic,
    Tag,
    Detached,
    File,
    Other,
}

impl Kind {
    /// Told by the argument's value name: commands name alike what is alike.
    fn of(arg: &Arg) -> Self {
        if matches!(
            arg.get_value_hint(),
            ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath | ValueHint::ExecutablePath
        ) {
            return Self::File;
        }
        let name = arg
            .get_value_names()
            .and_then(|names| names.first())
            .map_or("", |name| name.as_str());
        match (name, arg.get_id().as_str()) {
            ("PROFILE", _) | (_, "profile" | "profiles") => Self::Profile,
            ("REGION", _) | (_, "region") => Self::Region,
            ("DOCUMENT", _) | (_, "document" | "document_name" | "exec_document") => Self::Document,
            ("TOPIC", _) => Self::Topic,
            (_, "tags") => Self::Tag,
            (_, DETACHED) => Self::Detached,
            ("FILE" | "DIR" | "PATH", _) => Self::File,
            (name, _) if name.contains("SESSION") => Self::SessionOrTarget,
            (name, _) if name.contains("PRESET") && name.contains("TARGET") => Self::PresetOrTarget,
            (name, _) if name.contains("PRESET") => Self::Preset,
            (name, _) if name.contains("TARGET") || name.contains("SELECTOR") => Self::Target,
            _ => Self::Other,
        }
    }
}

/// What the completers share. They have to be `Sync`, though nothing here runs on a second thread.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<State>>);

struct State {
    world: World,
    topics: Vec<String>,
    collected: Collected,
}

impl Shared {
    pub(super) fn collected(&self) -> Collected {
        self.with(|state| state.collected.clone())
    }

    /// Looks at what the completers came to know.
    pub(super) fn world(&self, look: impl FnOnce(&World)) {
        self.with(|state| look(&state.world));
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Gives every argument of the tree its completer.
pub(super) fn attach(command: Command, request: &Request) -> (Command, Shared) {
    let names = command.get_subcommands().map(|sub| sub.get_name().to_owned());
    let state = State {
        world: World::new(request.option("profile", 'p'), request.option("region", 'r')),
        topics: names.chain(NAMES.iter().map(|name| (*name).to_owned())).collect(),
        collected: Collected::default(),
    };
    let shared = Shared(Arc::new(Mutex::new(state)));
    (attach_one(command, &shared), shared)
}

fn attach_one(command: Command, shared: &Shared) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    let mut command = command.mut_args(|arg| {
        let kind = Kind::of(&arg);
        let is_one_of = arg.get_value_parser().possible_values().is_some();
        if kind == Kind::Other || is_one_of || !arg.get_action().takes_values() {
            return arg;
        }
        let shared = shared.clone();
        // Options are the word before, so that the engine's own completion of files is not wanted either.
        arg.value_hint(ValueHint::Other)
            .add(ArgValueCompleter::new(move |typed: &OsStr| {
                let typed = typed.to_str().unwrap_or_default();
                shared.with(|state| state.candidates(kind, typed))
            }))
    });
    for name in names {
        command = command.mut_subcommand(&name, |sub| attach_one(sub, shared));
    }
    command
}

impl State {
    fn candidates(&mut self, kind: Kind, typed: &str) -> Vec<CompletionCandidate> {
        let mut offers = Offers::new(typed);
        match kind {
            Kind::Target => self.targets(typed, &mut offers),
            Kind::Preset => self.presets(&mut offers),
            Kind::PresetOrTarget => {
                self.presets(&mut offers);
                self.targets(typed, &mut offers);
            }
            Kind::SessionOrTarget => {
                self.sessions(&mut offers);
                self.targets(typed, &mut offers);
            }
            Kind::Profile => self.profiles(&mut offers),
            Kind::Region => self.regions(&mut offers),
            Kind::Document => self.documents(&mut offers),
            Kind::Topic => self.topics.iter().for_each(|topic| offers.add(topic, "")),
            Kind::Tag => self.tags(typed, "", &mut offers),
            Kind::Detached => self.detached(&mut offers),
            Kind::File => self.collected.files = true,
            Kind::Other => {}
        }
        self.collected.more |= offers.more;
        offers.candidates
    }

    fn presets(&self, offers: &mut Offers<'_>) {
        let config = self.world.config();
        for (name, preset) in &config.presets {
            let host = preset.host.as_ref().map_or("", |host| host.as_str());
            let port = preset
                .port
                .map(|port| format!(":{}", port.number()))
                .unwrap_or_default();
            offers.add(name, &format!("preset {host}{port}"));
            offers.add(&format!("preset/{name}"), "");
        }
        for (name, presets) in &config.groups {
            offers.add(name, &format!("group of {}", presets.join(", ")));
        }
    }

    /// Names of the config, then of nodes; ids once they are asked for.
    fn targets(&self, typed: &str, offers: &mut Offers<'_>) {
        let config = self.world.config();
        if let Some((profile, rest)) = typed.split_once('/') {
            if profile == "target" {
                config
                    .targets
                    .keys()
                    .for_each(|name| offers.add(&format!("target/{name}"), "named target"));
                return;
            }
            if self.world.sections().names().any(|name| name == profile) {
                self.nodes(Some(profile), rest, &format!("{profile}/"), offers);
            }
            return;
        }
        if let Some(rest) = typed.strip_prefix("name=") {
            return self.nodes(None, rest, "name=", offers);
        }
        if let Some(rest) = typed.strip_prefix("tag:") {
            return self.tags(rest, "tag:", offers);
        }
        for (alias, target) in &config.aliases {
            offers.add(alias, &format!("alias of {target}"));
        }
        for (name, target) in &config.targets {
            let profile = target.profile.as_deref().map(|profile| format!(" in {profile}"));
            offers.add(name, &format!("named target{}", profile.unwrap_or_default()));
        }
        self.nodes(None, typed, "", offers);
        if !typed.is_empty() {
            for selector in ["name=", "tag:", "ip=", "dns=", "asg="] {
                offers.add(selector, "selector");
            }
            for profile in self.world.sections().names() {
                offers.add(&format!("{profile}/"), "a name in the scope of that profile");
            }
        }
    }

    fn nodes(&self, profile: Option<&str>, typed: &str, front: &str, offers: &mut Offers<'_>) {
        let Some(snapshot) = self.world.snapshot(profile) else {
            return;
        };
        let by_id = typed.starts_with("i-") || typed.starts_with("mi-");
        let (mut rows, is_cut) = if by_id {
            cut(snapshot.ids(typed, MOST + 1))
        } else {
            cut(snapshot.names(typed, MOST + 1))
        };
        if is_cut {
            let last = if by_id {
                snapshot.last_ids(typed)
            } else {
                snapshot.last_names(typed)
            };
            let mut last = last.into_iter().rev().filter(bears_a_name);
            rows.extend(last.find(|row| by_id || row.name.as_deref().is_some_and(is_safe)));
        }
        let way = profile
            .or(self.world.profile())
            .map(|name| format!("  {name}"))
            .unwrap_or_default();
        for (index, row) in rows.iter().enumerate().filter(|(_, row)| bears_a_name(row)) {
            let name = row.name.as_deref().unwrap_or_default();
            let state = format!("{}{way}", states(row));
            let (word, help) = if by_id || !is_safe(name) {
                (row.id.as_str(), format!("{name}  {state}"))
            } else {
                (name, format!("{}  {state}", row.id))
            };
            let word = format!("{front}{word}");
            if index >= MOST {
                offers.add_last(&word, &help);
            } else if by_id || is_safe(name) {
                offers.add(&word, &help);
            } else if front != "name=" {
                offers.add_in_place(&word, &help);
            }
        }
    }

    /// Keys of tags, then, behind `=`, their values: those that the snapshot has seen, and those of the config.
    fn tags(&self, typed: &str, front: &str, offers: &mut Offers<'_>) {
        let config = self.world.config();
        let snapshot = self.world.snapshot(None);
        let named = config.targets.values().flat_map(|target| &target.tags);
        if let Some((key, value)) = typed.split_once('=') {
            let mut values: BTreeSet<String> = BTreeSet::new();
            values.extend(
                named
                    .filter(|(known, _)| *known == key)
                    .map(|(_, value)| value.clone()),
            );
            if let Some(snapshot) = &snapshot {
                values.extend(snapshot.tag_values(key, value, MOST + 1));
            }
            let is_cut = values.len() > MOST;
            for value in values.iter().take(MOST) {
                offers.add(&format!("{front}{key}={value}"), "");
            }
            if is_cut {
                let last = snapshot.map(|snapshot| snapshot.last_tag_values(key, value));
                let last = last
                    .into_iter()
                    .flatten()
                    .chain(values)
                    .filter(|value| is_safe(value));
                if let Some(value) = last.max() {
                    offers.add_last(&format!("{front}{key}={value}"), "");
                }
            }
            return;
        }
        let mut keys: BTreeSet<String> = config.defaults.columns.iter().cloned().collect();
        keys.insert("Name".to_owned());
        keys.extend(named.map(|(key, _)| key.clone()));
        if let Some(snapshot) = &snapshot {
            keys.extend(snapshot.tag_keys(typed, MOST + 1));
        }
        for key in keys {
            offers.add(&format!("{front}{key}="), "a tag");
        }
    }

    /// Those that `ssmx sessions` saw last, then what else was started from here, newest first.
    fn sessions(&self, offers: &mut Offers<'_>) {
        let now = Timestamp::now();
        let seen = self.world.sessions_seen();
        for session in &seen {
            let began = session.started.map(|at| format!("  {} old", words::age(at, now)));
            let help = format!("{}{}", session.target, began.unwrap_or_default());
            offers.add(session.id.as_str(), &help);
        }
        let from_here = self.world.sessions_from_here();
        let unseen = from_here
            .iter()
            .rev()
            .take(SESSIONS)
            .filter(|(entry, _)| seen.iter().all(|session| session.id != entry.session));
        for (entry, life) in unseen {
            let state = match life {
                Life::Lives => "running",
                Life::Over => "its process is over",
            };
            let help = format!("{}  {}  {state}", entry.command, entry.target);
            offers.add(entry.session.as_str(), &help);
        }
    }

    /// By their records alone: nobody is asked how they are.
    fn detached(&self, offers: &mut Offers<'_>) {
        for entry in self.world.detached() {
            let words = entry.record.map(|record| record.words.join(" "));
            let state = if entry.lives { "" } else { "  dead" };
            offers.add(&entry.name, &format!("{}{state}", words.unwrap_or_default()));
        }
    }

    fn profiles(&self, offers: &mut Offers<'_>) {
        let config = self.world.config();
        let sections = self.world.sections();
        for name in sections.names() {
            let region = sections.value(name, "region").unwrap_or_default();
            let account = config
                .profiles
                .get(name)
                .and_then(|section| section.account.as_ref());
            let account = account.map(ToString::to_string).unwrap_or_default();
            offers.add(name, format!("{account} {region}").trim());
        }
    }

    fn regions(&self, offers: &mut Offers<'_>) {
        let config = self.world.config();
        let mut near: BTreeSet<String> = self.world.regions().iter().map(ToString::to_string).collect();
        let sections = config.profiles.values().flat_map(|section| &section.regions);
        near.extend(
            sections
                .chain(config.defaults.region.as_ref())
                .map(ToString::to_string),
        );
        let sections = self.world.sections();
        near.extend(
            sections
                .names()
                .filter_map(|name| sections.value(name, "region"))
                .map(str::to_owned),
        );
        near.iter().for_each(|region| offers.add(region, "in use"));
        regions::ALL
            .iter()
            .filter(|region| !near.contains(**region))
            .for_each(|region| offers.add(region, ""));
    }

    fn documents(&self, offers: &mut Offers<'_>) {
        let config = self.world.config();
        let of_profiles = config
            .profiles
            .values()
            .flat_map(|section| [&section.document, &section.exec_document]);
        let of_targets = config
            .targets
            .values()
            .flat_map(|target| [&target.document, &target.exec_document]);
        let defaults = [&config.defaults.document, &config.defaults.exec_document];
        let mut own: BTreeSet<String> = BTreeSet::new();
        own.extend(
            of_profiles
                .chain(of_targets)
                .chain(defaults)
                .flatten()
                .map(|document| document.as_str().to_owned()),
        );
        own.iter()
            .for_each(|document| offers.add(document, "of the config"));
        DOCUMENTS
            .iter()
            .for_each(|(document, what)| offers.add(document, what));
    }
}

/// The candidates for one word.
struct Offers<'a> {
    typed: &'a str,
    candidates: Vec<CompletionCandidate>,
    more: bool,
}

impl<'a> Offers<'a> {
    fn new(typed: &'a str) -> Self {
        Self {
            typed,
            candidates: Vec::new(),
            more: false,
        }
    }

    /// A word that goes on from what was typed.
    fn add(&mut self, word: &str, help: &str) {
        if word.starts_with(self.typed) && is_safe(word) {
            self.add_in_place(word, help);
        }
    }

    /// A word that stands in for what was typed.
    fn add_in_place(&mut self, word: &str, help: &str) {
        if self.candidates.len() >= MOST {
            self.more = true;
            return;
        }
        let help = (!help.is_empty()).then(|| help.to_owned().into());
        self.push(word, help);
    }

    /// The last one of more than are given. Thanks to it shells see how far all of them agree, which is what they
    /// put on the line; and it tells people, in whatever way their shell shows what a word is.
    fn add_last(&mut self, word: &str, help: &str) {
        self.more = true;
        let help = format!("{MORE}  {help}");
        self.push(word, Some(help.trim_end().to_owned().into()));
    }

    fn push(&mut self, word: &str, help: Option<clap::builder::StyledStr>) {
        let order = Some(self.candidates.len());
        self.candidates
            .push(CompletionCandidate::new(word).help(help).display_order(order));
    }
}

/// What can be given of so many, and whether that is not all.
fn cut(mut rows: Vec<Row>) -> (Vec<Row>, bool) {
    let is_cut = rows.len() > MOST;
    rows.truncate(MOST);
    (rows, is_cut)
}

/// Terminated instances do not.
fn bears_a_name(row: &Row) -> bool {
    !matches!(row.state, InstanceState::Terminated | InstanceState::ShuttingDown)
}

fn states(row: &Row) -> &'static str {
    match (row.state, row.agent) {
        (InstanceState::Stopped, _) => "stopped",
        (InstanceState::Stopping, _) => "stopping",
        (InstanceState::Pending, _) => "pending",
        (_, AgentState::Online) => "online",
        (_, AgentState::Lost) => "agent lost",
        (_, AgentState::NeverRegistered) => "never registered",
        (InstanceState::Running, AgentState::Unknown) => "running",
        _ => "",
    }
}

/// Session documents of AWS's own.
const DOCUMENTS: &[(&str, &str)] = &[
    ("AWS-StartInteractiveCommand", "a command in a pty"),
    ("AWS-StartNonInteractiveCommand", "a command"),
    ("AWS-StartPortForwardingSession", "a port of the node"),
    (
        "AWS-StartPortForwardingSessionToRemoteHost",
        "a port behind the node",
    ),
    ("AWS-StartSSHSession", "ssh"),
    ("SSM-SessionManagerRunShell", "the account's preferences"),
];
