//! `ssmx connect`: a shell on a node.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::args::TransportArg;
use super::carry::{carry, shell_exit};
use super::consent::{self, ConsentArgs};
use super::context::Context;
use super::error::{CommandError, Exit};
use super::targets::{PickArgs, Purpose, Resolved, scope, words};
use crate::aws::diagnosis::settings::Logging;
use crate::aws::session::SessionRequest;
use crate::config::policy::Recorded;
use crate::config::values::EscapeChar;
use crate::transport::command_line::equivalent;
use crate::transport::plan::{Choice, Keys, Recording, SessionPlan, Shell, Work};
use crate::ui::text::escape;

/// Open a shell on a node
///
/// `~.` after a new line ends a stuck session, `~?` shows the rest.
#[derive(Debug, Default, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// A name, an alias, an id, a selector (name=…, tag:Key=Value, ip=…, dns=…, asg=…) or PROFILE/NAME; left out:
    /// choose from a list
    pub target: Option<String>,

    /// The session document, instead of the account's own preferences
    #[arg(long, visible_alias = "document-name", value_name = "NAME")]
    pub document: Option<String>,

    /// A parameter of the document (can be repeated; the same key again adds a value)
    #[arg(long, value_name = "KEY=VALUE")]
    pub parameter: Vec<String>,

    /// The document's parameters as the AWS CLI takes them: JSON, or key=value,value
    #[arg(long, value_name = "JSON", conflicts_with = "parameter")]
    pub parameters: Option<String>,

    /// What carries it.
    #[command(flatten)]
    pub carrier: TransportArg,

    /// The character that begins ~. and ~?, or `none`
    #[arg(long, value_name = "CHAR", value_parser = escape_char)]
    pub escape_char: Option<EscapeChar>,

    /// Record what the screen shows to this file (asciicast version 2)
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

    /// Record what is typed as well, passwords included
    #[arg(long, requires = "record")]
    pub record_input: bool,

    /// Print the AWS CLI's words for the same session, and start nothing
    #[arg(long)]
    pub dry_run: bool,

    /// What has to be agreed.
    #[command(flatten)]
    pub consent: ConsentArgs,

    /// How to choose among several.
    #[command(flatten)]
    pub pick: PickArgs,
}

/// Resolves the target, asks what has to be asked, and joins the terminal to a shell there.
///
/// # Errors
/// When any of that fails; see [`CommandError`].
pub async fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    let parameters = parameters(&args)?;
    let recorded = if args.record.is_some() {
        Recorded::Yes
    } else {
        Recorded::No
    };
    ctx.config()?.policy.permit_recording(recorded)?;
    let purpose = if args.dry_run {
        Purpose::Inspect
    } else {
        Purpose::Interactive
    };
    let resolved = ctx.resolve(args.target.as_deref(), args.pick, purpose).await?;
    let document = document(ctx, &args, &resolved)?;
    consent::document(ctx, document.as_deref())?;
    let choice = consent::transport(ctx, args.carrier.transport, resolved.aws.profile())?;
    let keepalive = consent::keepalive(ctx)?;
    if args.dry_run {
        let request = SessionRequest {
            target: resolved.node.id.clone(),
            document,
            parameters,
            reason: args.consent.reason.clone(),
        };
        let line = equivalent(
            &request,
            resolved.aws.region(),
            resolved.aws.profile(),
            resolved.aws.endpoint_url().as_deref(),
        );
        ctx.ui().data(&format!("{line}\n"))?;
        return Ok(Exit::SUCCESS);
    }
    let reason = consent::obtain(ctx, &args.consent, "open a shell on", &resolved)?;
    let logging = match &document {
        // A document of its own has preferences of its own.
        Some(_) => None,
        None => resolved.aws.logging_at_hand(&resolved.scope),
    };
    ctx.ui().say(&headline(&resolved, choice, logging.as_ref()));
    let escape = args.escape_char.unwrap_or(ctx.config()?.defaults.escape_char);
    let shell = Shell {
        escape: match escape {
            EscapeChar::Char(byte) => Some(byte),
            EscapeChar::None => None,
        },
        record: args.record.clone().map(|file| Recording {
            file,
            keys: if args.record_input {
                Keys::Recorded
            } else {
                Keys::LeftOut
            },
        }),
        ..Shell::default()
    };
    let outcome = carry(ctx, resolved, choice, Purpose::Interactive, |resolved| {
        SessionPlan {
            request: SessionRequest {
                target: resolved.node.id.clone(),
                document: document.clone(),
                parameters: parameters.clone(),
                reason: reason.clone(),
            },
            work: Work::Shell(shell.clone()),
            keepalive,
        }
    })
    .await?;
    shell_exit(&outcome)
}

/// Where the person is about to be, and who looks on as far as that is at hand: one line, before the shell.
fn headline(resolved: &Resolved, choice: Choice, logging: Option<&Logging>) -> String {
    let logged = logging.map(|logging| match logging.places() {
        Some(places) => format!(" · logged {}", escape(&places)),
        None => " · not logged".to_owned(),
    });
    format!(
        "{} · account {} · {} · {} · {}{}",
        words::label_and_id(&resolved.node),
        resolved.scope.account,
        resolved.scope.region,
        scope::way(&resolved.aws),
        consent::name(choice),
        logged.unwrap_or_default()
    )
}

/// The flag's document, else the target's, the profile's, the default.
fn document(ctx: &Context, args: &Args, resolved: &Resolved) -> Result<Option<String>, CommandError> {
    if let Some(document) = &args.document {
        return Ok(Some(document.clone()));
    }
    let config = ctx.config()?;
    let (target, section) = resolved.sections(config);
    let chosen = target
        .and_then(|target| target.document.as_ref())
        .or_else(|| section.and_then(|section| section.document.as_ref()))
        .or(config.defaults.document.as_ref());
    Ok(chosen.map(|document| document.as_str().to_owned()))
}

fn escape_char(text: &str) -> Result<EscapeChar, String> {
    text.parse()
        .map_err(|_| "one visible ASCII character, or `none`, was expected".to_owned())
}

/// `--parameter k=v`, or `--parameters` in one of the AWS CLI's two forms.
fn parameters(args: &Args) -> Result<BTreeMap<String, Vec<String>>, CommandError> {
    let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for parameter in &args.parameter {
        let (key, value) = parameter
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| CommandError::usage(format!("`--parameter {parameter}` is no KEY=VALUE")))?;
        parameters
            .entry(key.to_owned())
            .or_default()
            .push(value.to_owned());
    }
    let Some(text) = &args.parameters else {
        return Ok(parameters);
    };
    let refused = || {
        CommandError::usage(format!("`--parameters {text}` cannot be read")).hint(
            "as JSON: '{\"key\":[\"value\"]}'; in short: key=value,value; or one by one with --parameter KEY=VALUE",
        )
    };
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|cause| refused().because(cause));
    }
    let mut key = None;
    for part in text.split(',') {
        match (part.split_once('='), &key) {
            (Some((name, value)), _) if !name.trim().is_empty() => {
                let name = name.trim().to_owned();
                parameters.entry(name.clone()).or_default().push(value.to_owned());
                key = Some(name);
            }
            (None, Some(name)) => parameters.entry(name.clone()).or_default().push(part.to_owned()),
            _ => return Err(refused()),
        }
    }
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: Args) -> Result<Vec<(String, Vec<String>)>, String> {
        parameters(&args)
            .map(|parameters| parameters.into_iter().collect())
            .map_err(|_| "refused".to_owned())
    }

    #[test]
    fn parameters_in_every_form() {
        let expected = Ok(vec![
            ("a".to_owned(), vec!["1".to_owned(), "2".to_owned()]),
            ("b".to_owned(), vec!["x=y".to_owned()]),
        ]);
        let one_by_one = Args {
            parameter: vec!["a=1".into(), "b=x=y".into(), "a=2".into()],
            ..Args::default()
        };
        assert_eq!(read(one_by_one), expected);
        for text in [r#"{"a":["1","2"],"b":["x=y"]}"#, "a=1,2,b=x=y"] {
            let together = Args {
                parameters: Some(text.to_owned()),
                ..Args::default()
            };
            assert_eq!(read(together), expected, "{text}");
        }
    }

    #[test]
    fn parameters_that_are_none() {
        for (parameter, parameters) in [
            (Some("a"), None),
            (Some("=x"), None),
            (None, Some("{\"a\":1}")),
            (None, Some("a")),
            (None, Some("=1")),
        ] {
            let args = Args {
                parameter: parameter.into_iter().map(str::to_owned).collect(),
                parameters: parameters.map(str::to_owned),
                ..Args::default()
            };
            assert_eq!(
                read(args),
                Err("refused".to_owned()),
                "{parameter:?} {parameters:?}"
            );
        }
    }
}
