//! A session from its start to its exit status: the same for all commands that carry one themselves.

use std::io;

use super::context::Context;
use super::doctor;
use super::error::{CommandError, Exit, Kind};
use super::notices::Talk;
use super::targets::{Freshness, Purpose, Resolved, words};
use crate::aws::error::{ErrorKind, ServiceError};
use crate::transport::plan::{Choice, End, Outcome, SessionPlan};
use crate::transport::{Carrier, TransportError};
use crate::ui::text::escape_lines;

/// Starts the session that `plan` makes for the resolved node, and carries it to its end. A remembered node that
/// AWS refuses is looked up once more: the name may have moved.
///
/// # Errors
/// When it could not be started or did not run to its end; it is ended then too.
pub async fn carry(
    ctx: &Context,
    mut resolved: Resolved,
    choice: Choice,
    purpose: Purpose,
    plan: impl Fn(&Resolved) -> SessionPlan,
) -> Result<Outcome, CommandError> {
    let mut looked_again = false;
    loop {
        let carrier = Carrier {
            aws: std::sync::Arc::clone(&resolved.aws),
            choice,
            stream_endpoints: stream_endpoints(ctx, resolved.aws.profile())?,
        };
        let gate = resolved.gate.take();
        let talk = Talk::new(ctx.ui(), &resolved.label());
        let error = match carrier.run(&plan(&resolved), gate, &talk).await {
            Ok(outcome) => return Ok(outcome),
            Err(error) => error,
        };
        if let TransportError::Start(cause) = &error
            && may_have_moved(cause)
            && resolved.freshness != Freshness::LookedUp
            && !looked_again
        {
            looked_again = true;
            match ctx.resolve_fresh(&resolved, purpose).await {
                Ok(fresh) if fresh.node.id != resolved.node.id => {
                    ctx.ui().say(&format!(
                        "{} has moved: it is {} now",
                        resolved.label(),
                        fresh.node.id
                    ));
                    resolved = fresh;
                    continue;
                }
                // What is wrong with the node says more than the refusal does.
                Err(told) if told.kind == Kind::Refused => {
                    let told = told.because(cause);
                    return Err(doctor::explain(ctx, &resolved, told).await);
                }
                Ok(_) | Err(_) => {}
            }
        }
        let is_out_of_reach =
            matches!(&error, TransportError::Start(cause) if cause.kind == ErrorKind::TargetNotConnected);
        let failure = failure(error, &resolved);
        return Err(if is_out_of_reach {
            doctor::explain(ctx, &resolved, failure).await
        } else {
            failure
        });
    }
}

/// Hosts that a stream URL may name besides AWS's own.
pub fn stream_endpoints(ctx: &Context, profile: Option<&str>) -> Result<Vec<String>, CommandError> {
    let section = profile.and_then(|profile| ctx.config().ok()?.profiles.get(profile));
    let hosts = section.and_then(|section| section.stream_endpoint.as_ref());
    Ok(hosts
        .map(|hosts| {
            hosts
                .as_slice()
                .iter()
                .map(|host| host.as_str().to_owned())
                .collect()
        })
        .unwrap_or_default())
}

/// The exit status of a shell whose session has ended.
///
/// # Errors
/// When it ended otherwise than by the shell's own end.
pub fn shell_exit(outcome: &Outcome) -> Result<Exit, CommandError> {
    match &outcome.end {
        End::Remote(words) if words.trim().is_empty() => Ok(Exit::SUCCESS),
        End::Remote(words) => Err(CommandError::failed("the far end closed the session")
            .because(escape_lines(words.trim()))
            .hint("an administrator, a time limit or the agent ended it; `ssmx sessions --history` tells")),
        End::Torn(words) => Err(torn(words)),
        End::Escape | End::InputEnded | End::Abandoned => Ok(Exit::SUCCESS),
        End::TimedOut => Err(CommandError::failed(
            "the session had timed out before it could be reached again",
        )),
        End::OutOfTime => Err(CommandError::failed("the time that was given is over")),
        End::Signal(number) => Err(signalled(*number)),
        End::GateRefused(why) => Err(CommandError::new(Kind::Refused, why.clone())
            .because("the session was ended before anything was typed")
            .hint("`ssmx resolve` shows what the name means now")),
    }
}

/// Output is missing, and nobody can say how much.
fn torn(words: &str) -> CommandError {
    let error = CommandError::failed("the session ended before all of its output had come")
        .because("the agent waits no longer than 2 s after the end for what was lost on the way");
    match words.trim() {
        "" => error,
        words => error.because(escape_lines(words)),
    }
}

/// Ended by a signal: the status says so, and so does our own end.
pub fn signalled(number: i32) -> CommandError {
    if number == signal_hook::consts::SIGINT {
        CommandError::interrupted()
    } else {
        CommandError::new(Kind::Signal(number), "")
    }
}

/// Refusals that a name on another node explains.
fn may_have_moved(error: &ServiceError) -> bool {
    matches!(
        error.kind,
        ErrorKind::TargetNotConnected | ErrorKind::AccessDenied { .. } | ErrorKind::NotFound
    )
}

/// A session that failed, in words.
pub fn failure(error: TransportError, resolved: &Resolved) -> CommandError {
    let on = format!("{} in {}", words::label_and_id(&resolved.node), resolved.scope);
    match error {
        TransportError::Start(cause) => CommandError::aws(format!("cannot start a session on {on}"), &cause),
        TransportError::Interrupted(number) => signalled(number),
        TransportError::Terminal(cause) if cause.kind() == io::ErrorKind::BrokenPipe => cause.into(),
        TransportError::Plugin(cause) => {
            let hint = cause.hint();
            let failure =
                CommandError::failed(format!("the session on {on} cannot be carried by the plugin"))
                    .because(cause);
            hint.into_iter().fold(failure, |failure, hint| failure.hint(hint))
        }
        TransportError::NativeOnly => CommandError::usage(error.to_string())
            .hint("leave `--transport plugin` out, or take `--transport native`"),
        TransportError::Record { .. } => CommandError::failed(error.to_string()),
        TransportError::NotAShell => {
            CommandError::usage(error.to_string()).hint("`ssmx forward` and `ssmx proxy` carry port sessions")
        }
        other => CommandError::failed(format!("the session on {on} failed")).because(other),
    }
}
