//! The words of the command line, and who they are handed to.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, CommandFactory as _, FromArgMatches as _, Parser};

use crate::commands::context::{Call, Context, GlobalArgs, Starter};
use crate::commands::error::{CommandError, Exit, Kind};
use crate::commands::help::Extent;
use crate::commands::start::Start;
use crate::commands::{
    alias, as_plugin, complete, completions, config, connect, console, describe, doctor, exec, forward, get,
    help, iam_policy, login, ls, plugin, preset, proxy, resolve, sessions, snapshot, start, target, version,
    via_aws, whoami,
};
use crate::ui::{Color, Ui};

/// Shells and port forwards to EC2 instances by name, through AWS Session Manager
#[derive(Debug, Parser)]
#[command(
    name = "ssmx",
    version,
    max_term_width = 100,
    subcommand_required = false,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(flatten)]
    globals: GlobalArgs,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Alias(alias::Args),
    Completions(completions::Args),
    Config(config::Args),
    #[command(visible_alias = "shell")]
    Connect(connect::Args),
    Describe(describe::Args),
    Exec(exec::Args),
    #[command(visible_aliases = ["port-forward", "pf"])]
    Forward(Box<forward::Args>),
    #[command(hide = true)]
    Get(get::Args),
    Help(help::Args),
    Ls(ls::Args),
    Plugin(plugin::Args),
    Preset(preset::Args),
    Proxy(proxy::Args),
    Resolve(resolve::Args),
    Sessions(sessions::Args),
    Snapshot(snapshot::Args),
    Socks(Box<forward::socks::Args>),
    Target(target::Args),
    Console(console::Args),
    Doctor(doctor::Args),
    IamPolicy(iam_policy::Args),
    Login(login::Args),
    Whoami(whoami::Args),
    Version(version::Args),
}

impl Command {
    /// As AWS's logs will have it.
    fn name(&self) -> &'static str {
        match self {
            Self::Alias(_) => "alias",
            Self::Completions(_) => "completions",
            Self::Config(_) => "config",
            Self::Connect(_) => "connect",
            Self::Describe(_) => "describe",
            Self::Exec(_) => "exec",
            Self::Get(_) => "get",
            Self::Help(_) => "help",
            Self::Forward(_) => "forward",
            Self::Ls(_) => "ls",
            Self::Console(_) => "console",
            Self::Doctor(_) => "doctor",
            Self::IamPolicy(_) => "iam-policy",
            Self::Login(_) => "login",
            Self::Plugin(_) => "plugin",
            Self::Proxy(_) => "proxy",
            Self::Preset(_) => "preset",
            Self::Resolve(_) => "resolve",
            Self::Sessions(_) => "sessions",
            Self::Snapshot(_) => "snapshot",
            Self::Socks(_) => "socks",
            Self::Target(_) => "target",
            Self::Version(_) => "version",
            Self::Whoami(_) => "whoami",
        }
    }
}

/// Parses the words, runs the command, says what went wrong, and gives the exit status.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = words.into_iter().collect();
    if words.first().is_some_and(|program| is_plugin(program)) {
        return as_plugin::run(words.into_iter().skip(1));
    }
    // Before anything else is awake: a TAB has no time.
    if words.get(1).is_some_and(|word| word == complete::WORD) {
        return complete::run(definition(), words.get(2..).unwrap_or_default());
    }
    let (words, starter) = match forward::without_word(words) {
        // They are whole: ours have been recovered before they were handed on.
        (words, Starter::Detach) => (words, Starter::Detach),
        (words, Starter::Outside) => match via_aws::recover(words) {
            Ok(words) => (words, Starter::Outside),
            Err(error) => return error.report(&Ui::new(Color::Auto)),
        },
    };
    let call = Call {
        words: words.iter().skip(1).cloned().collect(),
        starter,
    };
    let cli = match parse(words) {
        Ok(cli) => cli,
        Err(status) => return status,
    };
    let Cli { globals, command } = cli;
    let name = command.as_ref().map_or("", Command::name);
    let ctx = Context::new(globals, name, call);
    let result = ctx
        .start_log()
        .and_then(|()| preflight(&ctx))
        .and_then(|()| dispatch(&ctx, command));
    match result {
        Ok(Exit(status)) => ExitCode::from(status),
        Err(error) => leave(ctx.ui(), &error),
    }
}

/// Every word that there is: what completion and the manual are made from.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Every word that there is, with its help laid out.
pub fn command(extent: Extent) -> clap::Command {
    help::arrange(definition(), extent)
}

/// Whether we are called by the name of AWS's plugin.
fn is_plugin(program: &OsStr) -> bool {
    Path::new(program).file_stem() == Some(OsStr::new(as_plugin::NAME))
}

/// clap's own answers: help and version are data and succeed, mistakes are talk and 252.
fn parse(words: Vec<OsString>) -> Result<Cli, ExitCode> {
    let parsed = command(Extent::asked(&words))
        .try_get_matches_from(&words)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|mut error| {
        if error.kind() == ErrorKind::InvalidSubcommand
            && let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
        {
            return no_such_command(&words, word).report(&Ui::new(Color::Auto));
        }
        if error.kind() == ErrorKind::UnknownArgument
            && meant(&words, "--").0.get_arguments().any(Arg::is_last_set)
        {
            without_tip(&mut error);
        }
        // A closed stdout is quiet here as everywhere.
        drop(error.print());
        if error.use_stderr() {
            ExitCode::from(252)
        } else {
            ExitCode::SUCCESS
        }
    })
}

/// A word that stands where a command was expected.
fn no_such_command(words: &[OsString], word: &str) -> CommandError {
    let (command, path) = meant(words, word);
    help::words::no_such_command(&command, &path, word)
}

/// The command that the words before `end` come to, and what it is called.
fn meant(words: &[OsString], end: &str) -> (clap::Command, String) {
    let (mut command, mut path) = (command(Extent::Whole), "ssmx".to_owned());
    for known in words.iter().skip(1).map_while(|word| word.to_str()) {
        if known == end {
            break;
        }
        if let Some(sub) = command.find_subcommand(known) {
            path = format!("{path} {}", sub.get_name());
            command = sub.clone();
        }
    }
    (command, path)
}

/// Leaves out clap's advice to put a mistyped option behind `--`, for where that is a command to be run.
fn without_tip(error: &mut clap::Error) {
    let Some(ContextValue::StyledStrs(mut tips)) = error.remove(ContextKind::Suggested) else {
        return;
    };
    tips.retain(|tip| !tip.to_string().contains("as a value, use"));
    if !tips.is_empty() {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
}

/// Options that parse and are refused all the same.
fn preflight(ctx: &Context) -> Result<(), CommandError> {
    if ctx.globals().no_verify_ssl {
        return Err(
            CommandError::usage("ssmx always checks certificates, so `--no-verify-ssl` is refused")
                .hint("name the certificates to trust with `--ca-bundle FILE`"),
        );
    }
    Ok(())
}

fn dispatch(ctx: &Context, command: Option<Command>) -> Result<Exit, CommandError> {
    match command {
        None => match start::begin(ctx) {
            Start::Choose => waiting(start::choose(ctx)),
            Start::Help => start::help(ctx, self::command(Extent::Whole)),
        },
        Some(Command::Alias(args)) => alias::run(ctx, args),
        Some(Command::Completions(args)) => completions::run(ctx, &args),
        Some(Command::Config(args)) => config::run(ctx, args),
        Some(Command::Connect(args)) => waiting(connect::run(ctx, args)),
        Some(Command::Exec(args)) => waiting(exec::run(ctx, args)),
        Some(Command::Describe(args)) => waiting(describe::run(ctx, args)),
        Some(Command::Get(args)) => waiting(get::run(ctx, args)),
        Some(Command::Help(args)) => help::run(ctx, &args, self::command(Extent::Whole)),
        Some(Command::Forward(args)) => carrying(forward::run(ctx, *args)),
        Some(Command::Ls(args)) => waiting(ls::run(ctx, args)),
        Some(Command::Proxy(args)) => waiting(proxy::run(ctx, args)),
        Some(Command::Plugin(args)) => waiting(plugin::run(ctx, args)),
        Some(Command::Preset(args)) => preset::run(ctx, args),
        Some(Command::Resolve(args)) => waiting(resolve::run(ctx, args)),
        Some(Command::Sessions(args)) => waiting(sessions::run(ctx, args)),
        Some(Command::Snapshot(args)) => waiting(snapshot::run(ctx, args)),
        Some(Command::Socks(args)) => carrying(forward::socks::run(ctx, *args)),
        Some(Command::Target(args)) => target::run(ctx, args),
        Some(Command::Version(args)) => version::run(ctx, args),
        Some(Command::Console(args)) => waiting(console::run(ctx, args)),
        Some(Command::Doctor(args)) => waiting(doctor::run(ctx, args)),
        Some(Command::IamPolicy(args)) => waiting(iam_policy::run(ctx, args)),
        Some(Command::Login(args)) => waiting(login::run(ctx, args)),
        Some(Command::Whoami(args)) => waiting(whoami::run(ctx, args)),
    }
}

/// Runs a command that waits for AWS: on one thread, which is all that calls to an API need.
fn waiting(command: impl Future<Output = Result<Exit, CommandError>>) -> Result<Exit, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .map_err(|error| CommandError::failed("the runtime could not be started").because(error))?
        .block_on(command)
}

/// Runs a command that carries bytes, on as many threads as there is work for.
fn carrying(command: impl Future<Output = Result<Exit, CommandError>>) -> Result<Exit, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |count| count.get().min(4)))
        .enable_all()
        .build();
    let runtime =
        runtime.map_err(|error| CommandError::failed("the runtime could not be started").because(error))?;
    let result = runtime.block_on(command);
    // Nothing that is left over is waited for.
    runtime.shutdown_background();
    result
}

/// Says the failure. Who was interrupted dies of the interrupt, so that the calling shell sees the truth.
fn leave(ui: &Ui, error: &CommandError) -> ExitCode {
    let status = error.report(ui);
    let signal = match error.kind {
        Kind::Interrupted => Some(signal_hook::consts::SIGINT),
        Kind::Signal(number) => Some(number),
        _ => None,
    };
    if let Some(signal) = signal {
        drop(signal_hook::low_level::emulate_default_handler(signal));
    }
    status
}
