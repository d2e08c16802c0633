//! `ssmx proxy`: a port's bytes on stdin and stdout, for ssh.

use std::collections::BTreeMap;
use std::time::Duration;

use super::args::{DocumentArg, period};
use super::carry::{carry, shell_exit};
use super::consent::{self, ConsentArgs};
use super::context::Context;
use super::error::{CommandError, Exit};
use super::targets::{PickArgs, Purpose};
use crate::aws::session::SessionRequest;
use crate::transport::plan::{Choice, SessionPlan, Work};

/// AWS's document for one port as one stream.
const DOCUMENT: &str = "AWS-StartSSHSession";

/// Carry a port of a node on stdin and stdout, for ssh's ProxyCommand
///
/// In ~/.ssh/config:
///   Host prod-*
///     ProxyCommand ssmx proxy %h %p
///
/// Agents know no half-closed connection: after the end of stdin, what the node still sends is awaited until it
/// closes or has been silent for `--linger`.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// A name, an alias, an id, a selector (name=…, tag:Key=Value, ip=…, dns=…, asg=…) or PROFILE/NAME
    pub target: String,

    /// The port on the node
    #[arg(default_value_t = 22, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,

    /// How long the node may be silent after the end of stdin
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = period)]
    pub linger: Duration,

    /// What it is started by.
    #[command(flatten)]
    pub starter: DocumentArg,

    /// What has to be agreed before it.
    #[command(flatten)]
    pub consent: ConsentArgs,

    /// How to choose among several.
    #[command(flatten)]
    pub pick: PickArgs,
}

/// Joins stdin and stdout to the port until either ends.
///
/// # Errors
/// When the port cannot be reached, or the session did not run to its end.
pub async fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    let resolved = ctx
        .resolve(Some(&args.target), args.pick, Purpose::Unattended)
        .await?;
    let document = args.starter.document.unwrap_or_else(|| DOCUMENT.to_owned());
    consent::document(ctx, Some(&document))?;
    // The plugin's words would be taken for the stream: where it is configured, it is meant for shells.
    let choice = consent::transport(ctx, Some(Choice::Native), resolved.aws.profile())?;
    let keepalive = consent::keepalive(ctx)?;
    let reason = consent::obtain(ctx, &args.consent, "open a port of", &resolved)?;
    let parameters = BTreeMap::from([("portNumber".to_owned(), vec![args.port.to_string()])]);
    let outcome = carry(ctx, resolved, choice, Purpose::Unattended, |resolved| {
        SessionPlan {
            request: SessionRequest {
                target: resolved.node.id.clone(),
                document: Some(document.clone()),
                parameters: parameters.clone(),
                reason: reason.clone(),
            },
            work: Work::Stdio { linger: args.linger },
            keepalive,
        }
    })
    .await?;
    shell_exit(&outcome)
}
