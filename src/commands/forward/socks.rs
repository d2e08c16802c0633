//! `ssmx socks`: a SOCKS5 proxy through a node.

use std::ffi::OsString;
use std::time::Duration;

use super::CarriageArgs;
use super::carry::Browser;
use super::detach::{self, Detached};
use super::wish::{self, Settings};
use super::{child, name, one, plan};
use crate::commands::args::{count, period};
use crate::commands::context::{Context, Starter};
use crate::commands::error::{CommandError, Exit};
use crate::ids::{Bind, Local};

/// The port that SOCKS has with IANA.
const PORT: u16 = 1080;

/// Take SOCKS5 connections to wherever a node can reach
///
/// Names are resolved by the node. Each host and port has a session of its own, started when it is asked for,
/// shared by its connections and ended when it is unused.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A name, an alias, an id, a selector (name=…, tag:Key=Value, ip=…, dns=…, asg=…) or PROFILE/NAME
    pub target: String,

    /// Run this command with the proxy up and return its status; {port} and {host} are filled in
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,

    /// The local port, on both loopbacks; 0: a free one
    #[arg(long, value_name = "PORT", default_value_t = PORT, value_parser = |text: &str| count(text, 0..=u16::MAX))]
    pub local: u16,

    /// At most so many hosts and ports at a time (1 to 256)
    #[arg(long, value_name = "COUNT", default_value_t = 32, value_parser = |text: &str| count(text, 1..=256))]
    pub sessions: u16,

    /// End a host's session when it was unused for so long; 5m where the config says nothing
    #[arg(long, value_name = "TIME", value_parser = period, allow_hyphen_values = true)]
    pub idle_timeout: Option<Duration>,

    /// Take new connections to a fresh session after so long, so that the host is resolved anew
    ///
    /// The old session ends with its last connection. A host has no more than two: where connections stay for long,
    /// the fresh one grows older.
    #[arg(long, value_name = "TIME", value_parser = period, allow_hyphen_values = true)]
    pub max_age: Option<Duration>,

    /// Go on in a process without a terminal; see `ssmx forward ps`
    #[arg(long, conflicts_with = "command")]
    pub detach: bool,

    /// The detached process's name, in place of the target's
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// How it is carried.
    #[command(flatten)]
    pub carriage: CarriageArgs,
}

/// Runs the proxy.
///
/// # Errors
/// When the target means nothing or is out of reach, or the local port is taken.
pub async fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    super::check_name(args.name.as_deref(), args.detach)?;
    if args.detach && ctx.call().starter == Starter::Outside {
        return detach::start(ctx).await;
    }
    let defaults = &ctx.config()?.defaults;
    let local = Local::Port {
        bind: Bind::Loopback,
        port: args.local,
    };
    let mut wish = wish::socks(&args.target, local);
    wish.settings = Settings {
        idle_timeout: args.idle_timeout.or(defaults.idle_timeout.map(|period| period.0)),
        max_age: args.max_age.or(defaults.max_age.map(|period| period.0)),
        sessions: Some(args.sessions),
        ..Settings::default()
    };
    wish.transport = args.carriage.transport;
    let plan = plan::socks(ctx, &wish)?;
    child::check(ctx, &args.command, [wish.name.as_str()].into_iter())?;
    one::check_output(ctx, &args.command)?;
    let words = ["socks".to_owned(), args.target];
    let name = args.name.unwrap_or_else(|| name::sound(&wish.name));
    let wishes = vec![(wish, plan)];
    let detached = match args.detach {
        true => Some(Detached::begin(ctx, name, &words, &wishes)?),
        false => None,
    };
    args.carriage
        .run(ctx, wishes, &args.command, Browser::Leave, detached)
        .await
}
