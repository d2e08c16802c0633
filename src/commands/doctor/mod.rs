//! `ssmx doctor`: why it does not work. Facts are had from AWS side by side, then judged in order, and the first
//! certain cause is the answer.

mod elsewhere;
mod far;
mod look;
mod machine;
mod network;
mod node;
mod preferences;
mod report;
mod rights;

use std::time::Duration;

use tokio::time::timeout;

use super::context::Context;
use super::error::{CommandError, Exit, Kind};
use super::targets::{PickArgs, Purpose, Resolved, scope};
use crate::ui::Format;
use crate::ui::output::Record;
use far::Far;
use look::{Wanted, look};
use node::{REMOTE_HOSTS, SESSIONS};
use report::{Extent, Report, Verdict};

/// Find out why an instance cannot be reached; without one, whether this machine can talk to AWS
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The instance or preset to look at
    #[arg(value_name = "TARGET")]
    pub target: Option<String>,

    /// Tell all checks, also those after the first certain cause
    #[arg(long)]
    pub all: bool,

    /// The session document that is going to be used
    #[arg(long, value_name = "NAME")]
    pub document_name: Option<String>,
}

/// Looks, tells, and fails where something is wrong for certain.
///
/// # Errors
/// When the target means nothing or several things.
pub async fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    let output = ctx.output()?;
    let report = match &args.target {
        None => {
            ctx.ui()
                .progress("looking at this machine", of_machine(ctx))
                .await
        }
        Some(target) => of_target(ctx, target, args.document_name.as_deref()).await?,
    };
    if output.format == Format::Table && output.query.is_none() {
        let extent = if args.all { Extent::All } else { Extent::UpToCause };
        ctx.ui().data(&report.text(extent))?;
    } else {
        let record = Record {
            name: report.cause().map_or("ok", |cause| cause.check).to_owned(),
            fields: Vec::new(),
            document: report.document(args.target.as_deref()),
        };
        ctx.ui().record(&output, &record)?;
    }
    // 255: a check has failed, and all that was to be said was said.
    Ok(if report.has_failed() {
        Exit(255)
    } else {
        Exit::SUCCESS
    })
}

async fn of_machine(ctx: &Context) -> Report {
    let loaded = ctx.config().map(drop);
    let mut findings = vec![machine::config(&loaded)];
    let around = [
        machine::plugin().await,
        machine::aws_cli(),
        machine::snapshot(ctx, ctx.snapshots().scopes().len()),
        machine::terminal(ctx),
    ];
    if loaded.is_err() {
        findings.extend(around);
        return Report { findings };
    }
    let aws = match scope::way_here(ctx).await {
        Ok(aws) => aws,
        Err(error) => {
            findings.push(machine::no_way(&error));
            findings.extend(around);
            return Report { findings };
        }
    };
    let (identity, ahead, ssm, messages) = tokio::join!(
        aws.identity(),
        aws.clock_ahead(),
        machine::endpoint(&aws, "endpoint of ssm", "ssm"),
        machine::endpoint(&aws, "endpoint of ssmmessages", "ssmmessages"),
    );
    // A wrong clock shows as refused credentials, a dead network as both: causes first.
    findings.extend([
        machine::region(&aws),
        machine::proxy(&aws),
        ssm,
        messages,
        machine::clock(&ahead),
        machine::identity(&identity, &aws.credentials_story()),
    ]);
    findings.extend(around);
    Report { findings }.in_scope(aws.profile(), aws.region())
}

async fn of_target(ctx: &Context, words: &str, document: Option<&str>) -> Result<Report, CommandError> {
    let name = words.strip_prefix("preset/").unwrap_or(words);
    let preset = ctx.config()?.presets.get(name);
    let mut wanted = Wanted {
        document,
        needs: SESSIONS,
        far: None,
        other_scopes: true,
    };
    let mut target = words;
    if let Some(preset) = preset {
        let targets = preset.target.as_ref().map(|targets| targets.as_slice());
        target = targets
            .and_then(|targets| targets.first())
            .map_or(words, String::as_str);
        if let Some(host) = &preset.host {
            wanted.needs = REMOTE_HOSTS;
            wanted.far = preset.port.map(|port| Far {
                host: host.as_str().to_owned(),
                port: port.number(),
            });
        }
    }
    let resolving = ctx.resolve(Some(target), PickArgs::default(), Purpose::Diagnose);
    let resolved = timeout(ANSWER, resolving).await.unwrap_or_else(|_| {
        Err(CommandError::failed(format!(
            "AWS did not answer within {} s what `{target}` means",
            ANSWER.as_secs()
        ))
        .hint(
            "`ssmx doctor` without a target looks at the way to AWS; with the instance's id it needs no name",
        ))
    });
    let resolved = match resolved {
        Ok(resolved) => resolved,
        // Nothing here bears that name: the other scopes are looked through for it.
        Err(error) if error.kind == Kind::Absent => {
            let looking = elsewhere::named(ctx, target);
            let found = ctx.ui().progress("looking into the other scopes", looking).await;
            return found
                .map(|finding| Report {
                    findings: vec![finding],
                })
                .ok_or(error);
        }
        Err(error) => return Err(error),
    };
    let looking = Box::pin(look(ctx, &resolved, &wanted));
    Ok(ctx.ui().progress("looking", looking).await)
}

/// How long AWS may take to say what a name means.
const ANSWER: Duration = Duration::from_secs(20);

/// How long somebody whose session failed is kept waiting for the reason.
const PATIENCE: Duration = Duration::from_secs(8);

/// Adds to a failure to reach a node what is probably behind it, where that can be told in a few seconds.
pub async fn explain(ctx: &Context, resolved: &Resolved, failure: CommandError) -> CommandError {
    let wanted = Wanted {
        document: None,
        needs: SESSIONS,
        far: None,
        other_scopes: false,
    };
    let looking = timeout(PATIENCE, Box::pin(look(ctx, resolved, &wanted)));
    let looked = ctx.ui().progress("looking for the reason", looking).await;
    let failure = match looked.ok().as_ref().and_then(Report::cause) {
        Some(cause) => {
            let how = match cause.verdict {
                Verdict::Fail => "because",
                _ => "probably because",
            };
            let told = failure.because(format!("{how} of {}: {}", cause.check, cause.evidence));
            let fixed = cause.fix.first().into_iter();
            fixed.fold(told, |told, fix| told.hint(fix.clone()))
        }
        None => failure,
    };
    if failure.hints().iter().any(|hint| hint.contains("`ssmx doctor")) {
        return failure;
    }
    failure.hint(format!("`ssmx doctor {}` tells more", resolved.node.id))
}
