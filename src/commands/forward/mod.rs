//! `ssmx forward`: presets, groups and ad-hoc forwards, kept up until they are stopped.

mod carry;
mod child;
mod complaints;
mod detach;
mod ending;
mod list;
mod manage;
mod one;
mod plan;
mod route;
mod say;
pub mod socks;
mod watch;
mod wish;

use std::ffi::OsString;
use std::time::Duration;

use super::args::period;
use super::consent::ConsentArgs;
use super::context::{Context, Starter};
use super::error::{CommandError, Exit};
use super::preset;
use super::targets::PickArgs;
use crate::config::edit::{Existing, Value};
use crate::config::keys::KeyPath;
use crate::ids::ForwardSpec;
use crate::transport::plan::Choice;
use carry::{Browser, Job};
use detach::Detached;
pub use detach::without_word;
use manage::Manage;
use plan::Plan;
use watch::Watch;
use wish::{Leads, Settings, Wish};

/// Forward local ports through nodes
///
/// A forward is a preset, a group of presets, or a target and one or more of: REMOTE, LOCAL:REMOTE, HOST:REMOTE,
/// LOCAL:HOST:REMOTE, BIND:LOCAL:HOST:REMOTE, :REMOTE (a free local port), /path.sock:REMOTE or
/// /path.sock:HOST:REMOTE. It stays up: cut connections are resumed, ended sessions started anew.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
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
    #[arg(long, value_name = "TIME", value_parser = period)]
    pub idle_timeout: Option<Duration>,

    /// Take new connections to a fresh session after so long, so that the remote name is resolved anew
    ///
    /// The old session ends with its last connection. No more than twice as many sessions as --sessions says are open
    /// at a time: where connections stay for long, the fresh ones grow older.
    #[arg(long, value_name = "TIME", value_parser = period)]
    pub max_age: Option<Duration>,

    /// Spread connections over so many sessions, for speed (1 to 32)
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=32))]
    pub sessions: Option<u16>,

    /// Go on in a process without a terminal; returns when the forwards are ready
    #[arg(long, conflicts_with_all = ["command", "open"])]
    pub detach: bool,

    /// The detached process's name, in place of the first forward's
    #[arg(long, value_name = "NAME", requires = "detach")]
    pub name: Option<String>,

    /// Write the forward down as a preset of this name, in the user's config, before it runs
    #[arg(long, value_name = "NAME")]
    pub save: Option<String>,

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
        return manage::run(ctx, manage).await;
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
    child::check(&args.command, wishes.iter().map(|(wish, _)| wish.name.as_str()))?;
    if let Some(name) = &args.save {
        save(ctx, name, &wishes)?;
    }
    let mut detached = match args.detach {
        true => Some(Detached::begin(ctx, args.name.as_deref(), &words, &wishes)?),
        false => None,
    };
    let browser = if args.open { Browser::Open } else { Browser::Leave };
    args.carriage
        .run(ctx, wishes, &args.command, browser, detached.as_mut())
        .await
}

impl CarriageArgs {
    /// Listens and carries until it is told to stop.
    async fn run(
        &self,
        ctx: &Context,
        wishes: Vec<(Wish, Plan)>,
        command: &[OsString],
        browser: Browser,
        detached: Option<&mut Detached>,
    ) -> Result<Exit, CommandError> {
        let listeners = one::bind(&wishes).await?;
        let job = Job {
            wishes,
            command,
            consent: &self.consent,
            pick: self.pick,
            browser,
            watch: detached.map(|detached| detached as &mut dyn Watch),
        };
        carry::run(ctx, job, listeners).await
    }
}

/// Writes the one forward down that was asked for, with what was said of it.
fn save(ctx: &Context, name: &str, wishes: &[(Wish, Plan)]) -> Result<(), CommandError> {
    let [(wish, _)] = wishes else {
        return Err(CommandError::usage(format!(
            "`--save {name}` wants one forward, and these are {}",
            wishes.len()
        )));
    };
    let Leads::To(remote) = &wish.leads else {
        return Err(CommandError::usage(format!(
            "`{}` is no forward to one port",
            wish.name
        )));
    };
    let spec = ForwardSpec {
        local: wish.local.clone(),
        remote: remote.clone(),
    };
    let targets: Vec<&str> = wish.targets.iter().map(String::as_str).collect();
    let settings = &wish.settings;
    let seconds = |time: Duration| Value::from(format!("{}s", time.as_secs()));
    let said = [
        ("lazy", settings.lazy.map(Value::from)),
        ("idle_timeout", settings.idle_timeout.map(seconds)),
        ("max_age", settings.max_age.map(seconds)),
        (
            "sessions",
            settings.sessions.map(|count| Value::from(i64::from(count))),
        ),
        ("document", settings.document.as_deref().map(Value::from)),
    ];
    let more = said
        .into_iter()
        .filter_map(|(key, value)| Some((KeyPath::from([key]), value?)))
        .collect();
    preset::save(ctx, name, &targets, &spec, more, Existing::Keep)?;
    Ok(())
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
