//! `ssmx forward`: presets, groups and ad-hoc forwards, kept up until they are stopped.

mod carry;
mod child;
mod complaints;
mod detach;
mod ending;
mod list;
mod manage;
mod name;
mod one;
mod plan;
mod program;
mod ps;
mod route;
mod save;
mod say;
pub mod socks;
mod watch;
mod wish;

use std::ffi::OsString;
use std::time::Duration;

use super::args::{count, period};
use super::consent::ConsentArgs;
use super::context::{Context, Starter};
use super::error::{CommandError, Exit};
use super::targets::PickArgs;
use crate::transport::plan::Choice;
use crate::ui::Presence;
use carry::{Browser, Job};
use detach::Detached;
pub use detach::without_word;
pub use manage::DETACHED;
use manage::Manage;
use plan::Plan;
use watch::Watch;
use wish::{Settings, Wish};

/// As clap would write it, were the two forms apart for it: options for all may stand before `ps` and its like.
const USAGE: &str = "ssmx forward [OPTIONS] [PRESET|GROUP|TARGET SPEC]... [-- <COMMAND>...]\n       \
                     ssmx forward [OPTIONS] <ps|stop|logs>";

/// Forward local ports through nodes
///
/// A forward is a preset, a group of presets, or a target and one or more of: REMOTE, LOCAL:REMOTE, HOST:REMOTE,
/// LOCAL:HOST:REMOTE, BIND:LOCAL:HOST:REMOTE, :REMOTE (a free local port), /path.sock:REMOTE or
/// /path.sock:HOST:REMOTE. It stays up: cut connections are resumed, ended sessions started anew.
///
/// In COMMAND, {port} and {host} are the local end of the first forward, {NAME.port} and {NAME.host} that of the
/// forward whose line begins with NAME; its environment has the same in SSMX_FORWARD_PORT, SSMX_FORWARD_HOST and
/// so on, see `ssmx help environment`. The documents of `-o json`, and the states that `ssmx forward ps` shows, are
/// explained by `ssmx help output`.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE)]
pub struct Args {
    /// Detached forwards from outside, in place of a forward
    #[command(subcommand)]
    pub manage: Option<Manage>,

    /// Presets and groups, or a target with the forwards that go through it; none: the presets are listed
    #[arg(value_name = "PRESET|GROUP|TARGET SPEC")]
    pub words: Vec<String>,

    /// Run this command with the forwards up and return its status; {port}, {host} and {NAME.port} are filled in
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,

    /// Start the session with the first connection
    #[arg(long)]
    pub lazy: bool,

    /// End the session when it was unused for so long, such as 30m; the next connection starts another one
    #[arg(long, value_name = "TIME", value_parser = period, allow_hyphen_values = true)]
    pub idle_timeout: Option<Duration>,

    /// Take new connections to a fresh session after so long, so that the remote name is resolved anew
    ///
    /// The old session ends with its last connection. No more than twice as many sessions as --sessions says are open
    /// at a time: where connections stay for long, the fresh ones grow older.
    #[arg(long, value_name = "TIME", value_parser = period, allow_hyphen_values = true)]
    pub max_age: Option<Duration>,

    /// Spread connections over so many sessions, for speed (1 to 32)
    #[arg(long, value_name = "COUNT", value_parser = |text: &str| count(text, 1..=32))]
    pub sessions: Option<u16>,

    /// Go on in a process without a terminal; returns when the forwards are ready
    #[arg(long, conflicts_with_all = ["command", "open"])]
    pub detach: bool,

    /// The detached process's name, in place of the group's or the first forward's
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Write the forward down as a preset of this name, in the user's config, before it runs
    #[arg(long, value_name = "NAME")]
    pub save: Option<String>,

    /// Write it down in the place of a preset of that name
    #[arg(long, requires = "save")]
    pub replace: bool,

    /// Open a browser at the first forward
    #[arg(long)]
    pub open: bool,

    /// The session document, in place of AWS's own
    #[arg(long, visible_alias = "document-name", value_name = "NAME")]
    pub document: Option<String>,

    /// How it is carried.
    #[command(flatten)]
    pub carriage: CarriageArgs,
}

/// What `ssmx forward` and `ssmx socks` have in common.
#[derive(Debug, clap::Args)]
pub struct CarriageArgs {
    /// What carries the sessions
    #[arg(long, value_name = "TRANSPORT")]
    pub transport: Option<Choice>,

    /// Which node, where several fit
    #[command(flatten)]
    pub pick: PickArgs,

    /// What is agreed beforehand
    #[command(flatten)]
    pub consent: ConsentArgs,
}

/// Runs the forwards.
///
/// # Errors
/// When words mean nothing, a local end is taken, or a forward cannot be kept up.
pub async fn run(ctx: &Context, mut args: Args) -> Result<Exit, CommandError> {
    if let Some(manage) = args.manage.take() {
        args.nothing_beside(ctx, manage.word())?;
        return manage::run(ctx, manage).await;
    }
    check_name(args.name.as_deref(), args.detach)?;
    if args.words.is_empty()
        && ctx.ui().presence() == Presence::Script
        && let Some(what) = args.wants_a_forward(ctx)
    {
        return Err(
            CommandError::usage(format!("{what} wants a forward, and none is named")).hint(
                "name a preset, a group, or a target and its port; `ssmx forward` alone lists the presets",
            ),
        );
    }
    if args.detach && ctx.call().starter == Starter::Outside {
        return detach::start(ctx).await;
    }
    let words = if args.words.is_empty() {
        match list::choose(ctx)? {
            Some(preset) => vec![preset],
            None => return Ok(Exit::SUCCESS),
        }
    } else {
        args.words.clone()
    };
    let wishes = wishes(ctx, &args, &words)?;
    child::check(
        ctx,
        &args.command,
        wishes.iter().map(|(wish, _)| wish.name.as_str()),
    )?;
    one::check_output(ctx, &args.command)?;
    if let Some(name) = &args.save {
        save::save(ctx, name, &wishes, &args)?;
    }
    let detached = match args.detach {
        true => {
            let first = wishes.first().map(|(wish, _)| wish.name.as_str());
            let name = match &args.name {
                Some(name) => name.clone(),
                None => name::usual(ctx.config()?, args.save.as_deref(), &words, first),
            };
            Some(Detached::begin(ctx, name, &words, &wishes)?)
        }
        false => None,
    };
    let browser = if args.open { Browser::Open } else { Browser::Leave };
    args.carriage
        .run(ctx, wishes, &args.command, browser, detached)
        .await
}

impl Args {
    /// What was said that says nothing without a forward.
    fn wants_a_forward(&self, ctx: &Context) -> Option<&'static str> {
        if child::is_announced(ctx.call()) {
            return Some("the command after `--`");
        }
        let said = [
            ("`--detach`", self.detach),
            ("`--save`", self.save.is_some()),
            ("`--open`", self.open),
            ("`--lazy`", self.lazy),
            ("`--idle-timeout`", self.idle_timeout.is_some()),
            ("`--max-age`", self.max_age.is_some()),
            ("`--sessions`", self.sessions.is_some()),
            ("`--document`", self.document.is_some()),
            ("`--transport`", self.carriage.transport.is_some()),
        ];
        said.into_iter().find(|(_, said)| *said).map(|(option, _)| option)
    }

    /// Whether a command for detached forwards stands alone.
    fn nothing_beside(&self, ctx: &Context, command: &str) -> Result<(), CommandError> {
        let beside = match (self.words.first(), self.wants_a_forward(ctx)) {
            (Some(word), _) => format!("`{word}`"),
            (None, Some(what)) => what.to_owned(),
            (None, None) => return Ok(()),
        };
        Err(CommandError::usage(format!(
            "{beside} is of a forward, and `ssmx forward {command}` starts none"
        ))
        .hint(format!("`ssmx forward {command} --help` shows what it takes")))
    }
}

impl CarriageArgs {
    /// Listens and carries until it is told to stop.
    async fn run(
        &self,
        ctx: &Context,
        wishes: Vec<(Wish, Plan)>,
        command: &[OsString],
        browser: Browser,
        mut detached: Option<Detached>,
    ) -> Result<Exit, CommandError> {
        let listeners = one::bind(&wishes).await?;
        let job = Job {
            wishes,
            command,
            consent: &self.consent,
            pick: self.pick,
            browser,
            watch: detached.as_mut().map(|detached| detached as &mut dyn Watch),
        };
        let result = carry::run(ctx, job, listeners).await;
        if let Some(detached) = detached {
            detached.end(&result);
        }
        result
    }
}

/// Whether a name was given to what is detached.
///
/// # Errors
/// When nothing is.
fn check_name(name: Option<&str>, detach: bool) -> Result<(), CommandError> {
    match name {
        Some(name) if !detach => Err(CommandError::usage("`--name` is for detached forwards")
            .hint(format!("add `--detach`, or leave `--name {name}` out"))),
        _ => Ok(()),
    }
}

/// The forwards that the words ask for, each with its plan, as far as policy allows.
fn wishes(ctx: &Context, args: &Args, words: &[String]) -> Result<Vec<(Wish, Plan)>, CommandError> {
    let config = ctx.config()?;
    let home = directories::BaseDirs::new().map(|base| base.home_dir().to_path_buf());
    let flags = Settings {
        lazy: args.lazy.then_some(true),
        idle_timeout: args.idle_timeout,
        max_age: args.max_age,
        sessions: args.sessions,
        document: args.document.clone(),
    };
    let defaults = Settings {
        lazy: None,
        idle_timeout: config.defaults.idle_timeout.map(|period| period.0),
        max_age: config.defaults.max_age.map(|period| period.0),
        // What a profile says of it goes before the default, and is known with the node.
        sessions: None,
        document: None,
    };
    let read = wish::read(words, config, home)?;
    let mut wishes = Vec::new();
    for mut wish in read {
        wish.settings = flags.clone().or(wish.settings).or(defaults.clone());
        wish.transport = args.carriage.transport;
        let plan = plan::port(ctx, &wish)?;
        wishes.push((wish, plan));
    }
    Ok(wishes)
}
