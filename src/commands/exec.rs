//! `ssmx exec`: one command on a node, its output and its status.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::args::{DocumentArg, TransportArg, period};
use super::carry::{carry, shell_exit, signalled};
use super::consent::{self, ConsentArgs};
use super::context::Context;
use super::error::{CommandError, Exit};
use super::targets::{PickArgs, Purpose, Resolved};
use crate::aws::document::SeparateOutput;
use crate::aws::session::SessionRequest;
use crate::transport::command::{Carriage, Form, Platform, Script, Wanted, Words, script};
use crate::transport::plan::{End, Outcome, SessionPlan, Shell, Work};
use crate::ui::text::{escape, escape_lines};

/// AWS's document for commands without a terminal.
const COMMAND: &str = "AWS-StartNonInteractiveCommand";
/// And for those with one.
const TERMINAL: &str = "AWS-StartInteractiveCommand";

/// Run one command on a node
///
/// Arguments arrive as they were typed; stdin is not read. The exit status is the command's, 128+n where signal n
/// killed it; 252 to 255 may be ssmx's own, which `--status-file` tells for certain.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// A name, an alias, an id, a selector (name=…, tag:Key=Value, ip=…, dns=…, asg=…) or PROFILE/NAME
    pub target: String,

    /// The command and its arguments, after `--`
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,

    /// Give this text to the remote shell as it is, instead of a command
    #[arg(long, value_name = "TEXT", conflicts_with = "command")]
    pub shell: Option<String>,

    /// Carry every byte: without it the agent filters output for UTF-8
    #[arg(long)]
    pub binary: bool,

    /// Give up after this time, such as 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = period)]
    pub timeout: Option<Duration>,

    /// Read stdin; only together with -t
    #[arg(short = 'i', long)]
    pub stdin: bool,

    /// Run the command in a terminal of its own
    #[arg(short = 't', long)]
    pub tty: bool,

    /// Write to this file whose exit status it was, and which: `remote 3` or `ssmx 254`
    #[arg(long, value_name = "FILE")]
    pub status_file: Option<PathBuf>,

    /// What it is started by.
    #[command(flatten)]
    pub starter: DocumentArg,

    /// What carries it.
    #[command(flatten)]
    pub carrier: TransportArg,

    /// What has to be agreed before it.
    #[command(flatten)]
    pub consent: ConsentArgs,

    /// How to choose among several.
    #[command(flatten)]
    pub pick: PickArgs,
}

/// Runs the command; its status is the exit status.
///
/// # Errors
/// Where there is no status of the remote's.
pub async fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    let Some(file) = args.status_file.clone() else {
        return execute(ctx, args).await;
    };
    let unwritable = |cause: std::io::Error| {
        CommandError::failed(format!("the status file `{}` cannot be written", file.display())).because(cause)
    };
    // Said before the command has run.
    fs::write(&file, "").map_err(unwritable)?;
    let result = execute(ctx, args).await;
    let line = match &result {
        Ok(Exit(status)) => format!("remote {status}\n"),
        Err(error) => format!("ssmx {}\n", error.status()),
    };
    fs::write(&file, line).map_err(unwritable)?;
    result
}

async fn execute(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    let words = words(&args)?;
    let resolved = ctx
        .resolve(Some(&args.target), args.pick, Purpose::Unattended)
        .await?;
    let document = document(ctx, &args, &resolved)?;
    consent::document(ctx, Some(&document))?;
    let choice = consent::transport(ctx, args.carrier.transport, resolved.aws.profile())?;
    let keepalive = consent::keepalive(ctx)?;
    let platform = platform(&resolved);
    let (script, separate) = if args.tty {
        let form = match platform {
            Platform::Posix => Form::Terminal,
            // What a Windows terminal does with unknown control sequences is its own affair.
            Platform::Windows => Form::Separate,
        };
        (make(&words, platform, Carriage::Plain, form)?, None)
    } else {
        let separate = separate_output(ctx, &resolved, &document).await;
        let carriage = if args.binary {
            Carriage::Base64
        } else {
            Carriage::Plain
        };
        let form = match separate {
            SeparateOutput::Never => Form::Wrapped,
            SeparateOutput::Asked(_) | SeparateOutput::Always => Form::Separate,
        };
        (make(&words, platform, carriage, form)?, Some(separate))
    };
    let reason = consent::obtain(ctx, &args.consent, "run a command on", &resolved)?;
    let Script { text, mut reading } = script;
    reading.timeout = args.timeout;
    let work = if args.tty {
        Work::Shell(Shell {
            escape: Some(b'~'),
            reading: Some(reading),
            ..Shell::default()
        })
    } else {
        Work::Command(reading)
    };
    let mut parameters = std::collections::BTreeMap::from([("command".to_owned(), vec![text])]);
    if let Some(SeparateOutput::Asked(yes)) = separate {
        parameters.insert("separateOutputStream".to_owned(), vec![yes]);
    }
    let outcome = carry(ctx, resolved, choice, Purpose::Unattended, |resolved| {
        SessionPlan {
            request: SessionRequest {
                target: resolved.node.id.clone(),
                document: Some(document.clone()),
                parameters: parameters.clone(),
                reason: reason.clone(),
            },
            work: work.clone(),
            keepalive,
        }
    })
    .await?;
    exit(&args, platform, &outcome)
}

/// What is to be run; the combinations that make no sense are refused.
fn words(args: &Args) -> Result<Words, CommandError> {
    if args.stdin && !args.tty {
        return Err(
            CommandError::usage("`-i` alone is not possible: agents give a command no stdin")
                .hint("`-it` runs it in a terminal; to feed it bytes, go by ssh: ssh -o ProxyCommand='ssmx proxy %h %p' …"),
        );
    }
    for (given, name) in [(args.binary, "--binary"), (args.timeout.is_some(), "--timeout")] {
        if given && args.tty {
            return Err(CommandError::usage(format!(
                "`{name}` does not go with `-t`, which is for a person at a terminal"
            )));
        }
    }
    match (&args.shell, args.command.first()) {
        (Some(text), _) if !text.trim().is_empty() => Ok(Words::Shell(text.clone())),
        (None, Some(program)) if !program.is_empty() => Ok(Words::Arguments(args.command.clone())),
        _ => Err(CommandError::usage("there is no command to run")
            .hint("name it after `--`: ssmx exec TARGET -- uname -a")),
    }
}

fn make(words: &Words, platform: Platform, carriage: Carriage, form: Form) -> Result<Script, CommandError> {
    let made = script(Wanted {
        words,
        platform,
        carriage,
        form,
    });
    made.ok_or_else(|| {
        CommandError::usage(
            "`--binary` is not possible on a Windows node, where PowerShell handles lines of text",
        )
        .hint("have the command print base64 itself: [Convert]::ToBase64String([IO.File]::ReadAllBytes('…'))")
    })
}

/// By SSM's word on the node; where it has none, a node is no Windows machine.
fn platform(resolved: &Resolved) -> Platform {
    let named = resolved.node.platform.as_deref().unwrap_or_default();
    if named.to_ascii_lowercase().contains("windows") {
        Platform::Windows
    } else {
        Platform::Posix
    }
}

/// The flag's document, else the target's, the profile's, the default, AWS's.
fn document(ctx: &Context, args: &Args, resolved: &Resolved) -> Result<String, CommandError> {
    if let Some(document) = &args.starter.document {
        return Ok(document.clone());
    }
    if args.tty {
        return Ok(TERMINAL.to_owned());
    }
    let config = ctx.config()?;
    let (target, section) = resolved.sections(config);
    let chosen = target
        .and_then(|target| target.exec_document.as_ref())
        .or_else(|| section.and_then(|section| section.exec_document.as_ref()))
        .or(config.defaults.exec_document.as_ref());
    Ok(chosen.map_or(COMMAND, |document| document.as_str()).to_owned())
}

/// How the document hands out output. Where that cannot be learnt, the form is taken that needs nothing of it.
async fn separate_output(ctx: &Context, resolved: &Resolved, document: &str) -> SeparateOutput {
    let why = match resolved.aws.separate_output(document).await {
        Ok(SeparateOutput::Never) => format!("{} has no separate output", escape(document)),
        Ok(separate) => return separate,
        Err(error) => format!(
            "what {} offers cannot be read: {}",
            escape(document),
            escape(&error.to_string())
        ),
    };
    if ctx.globals().verbosity() > 0 {
        ctx.ui().say(&format!(
            "{why}; stdout and stderr come as one stream when the command has ended, the status at its end"
        ));
    }
    SeparateOutput::Never
}

fn exit(args: &Args, platform: Platform, outcome: &Outcome) -> Result<Exit, CommandError> {
    let no_status = |words: &str| {
        let failure = CommandError::failed("the command ended without telling its status");
        match words.trim() {
            "" => failure.because("its last output, which tells the status, did not come"),
            words => failure.because(escape_lines(words)),
        }
    };
    match (&outcome.end, outcome.status) {
        (End::Remote(_) | End::Abandoned, Some(status)) => status_of(status),
        (End::Signal(number), _) => Err(signalled(*number)),
        (End::OutOfTime, _) => Err(CommandError::failed(format!(
            "the command did not end within {} s; its session was ended",
            args.timeout.as_ref().map_or(0.0, |timeout| timeout.as_secs_f64())
        ))),
        (End::Remote(words), None)
            if args.tty && platform == Platform::Windows && words.trim().is_empty() =>
        {
            Ok(Exit::SUCCESS)
        }
        (End::Remote(words), None) => Err(no_status(words)),
        (End::Abandoned, None) => Err(no_status("")),
        (End::Torn(_) | End::Escape | End::TimedOut | End::GateRefused(_) | End::InputEnded, _) => {
            shell_exit(outcome)
        }
    }
}

/// A status as this system can pass it on.
fn status_of(status: i32) -> Result<Exit, CommandError> {
    match u8::try_from(status) {
        Ok(status) => Ok(Exit(status)),
        // The agent's word for a shell that a signal killed.
        Err(_) if status == -1 => Err(CommandError::failed("a signal killed the remote shell")),
        // Windows has 32 bits for it; what is no success stays none.
        Err(_) => match status.to_le_bytes()[0] {
            0 => Ok(Exit(1)),
            low => Ok(Exit(low)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::error::Kind;

    fn args(command: &[&str]) -> Args {
        Args {
            command: command.iter().map(ToString::to_string).collect(),
            ..Args::default()
        }
    }

    #[test]
    fn combinations_that_make_no_sense_are_refused() {
        assert!(words(&args(&["ls"])).is_ok());
        for refused in [
            args(&[]),
            args(&[""]),
            Args {
                shell: Some(" ".into()),
                ..args(&[])
            },
            Args {
                stdin: true,
                ..args(&["cat"])
            },
            Args {
                tty: true,
                binary: true,
                ..args(&["cat"])
            },
            Args {
                tty: true,
                timeout: Some(Duration::from_secs(5)),
                ..args(&["cat"])
            },
        ] {
            assert_eq!(words(&refused).unwrap_err().kind, Kind::Usage, "{refused:?}");
        }
        let both = Args {
            stdin: true,
            tty: true,
            ..args(&["top"])
        };
        assert!(words(&both).is_ok());
    }

    #[test]
    fn the_status_is_the_remotes() {
        let outcome = |end, status| Outcome {
            session: "me-1".parse().unwrap(),
            end,
            status,
        };
        let exit = |end, status| {
            exit(&args(&["x"]), Platform::Posix, &outcome(end, status)).map_err(|error| error.status())
        };
        let remote = || End::Remote(String::new());
        assert_eq!(exit(remote(), Some(0)), Ok(Exit(0)));
        assert_eq!(exit(remote(), Some(137)), Ok(Exit(137)));
        assert_eq!(exit(End::Abandoned, Some(3)), Ok(Exit(3)));
        assert_eq!(exit(remote(), Some(0x100)), Ok(Exit(1)));
        assert_eq!(exit(remote(), Some(-1_073_741_819)), Ok(Exit(5)));
        assert_eq!(exit(remote(), Some(-1)), Err(255));
        assert_eq!(exit(remote(), None), Err(255));
        assert_eq!(exit(End::OutOfTime, None), Err(255));
        assert_eq!(exit(End::Signal(2), None), Err(130));
        assert_eq!(exit(End::Signal(15), None), Err(143));
    }
}
