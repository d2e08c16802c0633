//! What has to be agreed before a session starts: the person's yes, a reason, the administrator's policy.

use std::time::Duration;

use super::context::Context;
use super::error::{CommandError, Kind};
use super::targets::Resolved;
use crate::config::values::{Confirm, Keepalive, Reason, Transport};
use crate::config::{Origin, env};
use crate::transport::plan::Choice;
use crate::ui::Presence;
use crate::ui::prompt;
use crate::ui::text::escape;

/// Longer reasons are refused by StartSession.
const LONGEST_REASON: usize = 256;

/// Words that every command shares which starts a session.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ConsentArgs {
    /// Why, for the audit: sent with StartSession
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// Answer the question that `confirm` asks; where it wants the name typed, give it: --yes=NAME
    #[arg(short, long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub yes: Option<String>,
}

/// Asks what has to be asked before ssmx may do something (`open a shell on`) to a node, and gives the reason to
/// send.
///
/// # Errors
/// When the person says no, or nobody is there to ask.
pub fn obtain(
    ctx: &Context,
    args: &ConsentArgs,
    doing: &str,
    resolved: &Resolved,
) -> Result<Option<String>, CommandError> {
    let subject = Subject {
        doing,
        id: resolved.node.id.as_str(),
        name: resolved.node.name.as_deref(),
        scope: resolved.scope.to_string(),
    };
    confirm(ctx, resolved.demands.confirm, args.yes.as_deref(), &subject)?;
    let reason = match (given(args), resolved.demands.reason) {
        (Some(reason), _) => Some(reason),
        (None, Reason::Optional) => None,
        (None, Reason::Required) => Some(ask_reason(ctx, &subject)?),
    };
    match reason {
        Some(reason) if reason.chars().count() > LONGEST_REASON => Err(CommandError::usage(format!(
            "the reason has {} characters; AWS takes {LONGEST_REASON}",
            reason.chars().count()
        ))),
        reason => Ok(reason),
    }
}

/// The reason that was given beforehand.
fn given(args: &ConsentArgs) -> Option<String> {
    let reason = args.reason.clone().or_else(|| env::lookup("SSMX_REASON"))?;
    Some(reason.trim().to_owned()).filter(|reason| !reason.is_empty())
}

/// Whether a session may want an answer that was not given beforehand. Told by the config alone, without a look at
/// any node: a yes may turn out to be a no.
///
/// # Errors
/// Those of the config.
pub fn may_ask(ctx: &Context, args: &ConsentArgs) -> Result<bool, CommandError> {
    let demands = ctx.loaded()?.strictest_demands();
    let confirms = match args.yes.as_deref() {
        None => demands.confirm != Confirm::Never,
        Some("") => demands.confirm == Confirm::TypeName,
        Some(_) => false,
    };
    Ok(confirms || (demands.reason == Reason::Required && given(args).is_none()))
}

/// What the questions are about.
struct Subject<'a> {
    doing: &'a str,
    id: &'a str,
    name: Option<&'a str>,
    scope: String,
}

fn confirm(
    ctx: &Context,
    asked: Confirm,
    yes: Option<&str>,
    subject: &Subject<'_>,
) -> Result<(), CommandError> {
    let what = words(subject);
    let names = [Some(subject.id), subject.name];
    match (asked, yes) {
        (Confirm::Never, _) | (Confirm::Ask, Some("")) => Ok(()),
        (_, Some(typed)) if !typed.is_empty() => {
            if names.contains(&Some(typed)) {
                Ok(())
            } else {
                Err(unanswered(format!(
                    "`--yes={typed}` names another node than {what}"
                )))
            }
        }
        (Confirm::TypeName, _) if ctx.ui().presence() == Presence::Script => {
            Err(nobody(subject).hint(format!(
                "say `--yes={}` to do it without a question",
                subject.name.unwrap_or(subject.id)
            )))
        }
        (Confirm::Ask, _) if ctx.ui().presence() == Presence::Script => {
            Err(nobody(subject).hint("say `--yes` to do it without a question"))
        }
        (Confirm::Ask, _) => match prompt::confirm(&format!("{} {what}?", capital(subject.doing)))? {
            Some(true) => Ok(()),
            Some(false) | None => Err(CommandError::interrupted()),
        },
        (Confirm::TypeName, _) => {
            let name = escape(subject.name.unwrap_or(subject.id)).into_owned();
            let typed = prompt::line(&format!(
                "{} {what}? Type its name ({name})",
                capital(subject.doing)
            ))?;
            match typed {
                Some(typed) if typed == name || typed == subject.id => Ok(()),
                Some(_) => Err(unanswered("that is another name; nothing was started")),
                None => Err(CommandError::interrupted()),
            }
        }
    }
}

fn unanswered(message: impl Into<String>) -> CommandError {
    CommandError::new(Kind::Unanswered, message)
}

fn nobody(subject: &Subject<'_>) -> CommandError {
    unanswered(format!(
        "the config asks for a confirmation before ssmx may {} {}, and nobody is at a terminal to give it",
        subject.doing,
        words(subject)
    ))
}

fn ask_reason(ctx: &Context, subject: &Subject<'_>) -> Result<String, CommandError> {
    let missing = || {
        unanswered(format!(
            "the config asks for a reason before ssmx may {} {}",
            subject.doing,
            words(subject)
        ))
        .hint("give it with `--reason TEXT` or `SSMX_REASON`")
    };
    if ctx.ui().presence() == Presence::Script {
        return Err(missing());
    }
    prompt::line("Reason (for the audit)")?.ok_or_else(missing)
}

fn words(subject: &Subject<'_>) -> String {
    let id = escape(subject.id);
    match subject.name {
        Some(name) => format!("{} ({id}) in {}", escape(name), subject.scope),
        None => format!("{id} in {}", subject.scope),
    }
}

fn capital(words: &str) -> String {
    let mut chars = words.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Which transport to take: the flag, else `SSMX_TRANSPORT`, else the profile's section, else the default; within
/// the policy.
///
/// # Errors
/// When the policy does not permit it.
pub fn transport(ctx: &Context, flag: Option<Choice>, profile: Option<&str>) -> Result<Choice, CommandError> {
    transport_of_preset(ctx, flag, None, profile)
}

/// The same where a preset may have a word in it, before the profile's section.
///
/// # Errors
/// When the policy does not permit it.
pub fn transport_of_preset(
    ctx: &Context,
    flag: Option<Choice>,
    preset: Option<Transport>,
    profile: Option<&str>,
) -> Result<Choice, CommandError> {
    let loaded = ctx.loaded()?;
    let config = &loaded.config;
    let general = config.defaults.transport;
    // A variable or `--set` is nearer to the person than a file's section.
    let said_now = matches!(
        loaded.origin(&["defaults", "transport"].into()),
        Some(Origin::Variable(_) | Origin::Flag(_))
    );
    let section = || profile.and_then(|profile| config.profiles.get(profile)?.transport);
    let configured = preset.or_else(section).filter(|_| !said_now).unwrap_or(general);
    let wanted = flag.unwrap_or(choice(configured));
    let permit = |wanted| config.policy.permit_transport(wanted);
    permit(match wanted {
        Choice::Auto => Transport::Auto,
        Choice::Native => Transport::Native,
        Choice::Plugin => Transport::Plugin,
    })?;
    Ok(match wanted {
        // What `auto` may go on to is asked about too.
        Choice::Auto if permit(Transport::Plugin).is_err() => Choice::Native,
        wanted => wanted,
    })
}

fn choice(transport: Transport) -> Choice {
    match transport {
        Transport::Auto => Choice::Auto,
        Transport::Native => Choice::Native,
        Transport::Plugin => Choice::Plugin,
    }
}

/// The transport's name as flags and config have it.
pub fn name(choice: Choice) -> &'static str {
    match choice {
        Choice::Auto => "auto",
        Choice::Native => "native",
        Choice::Plugin => "plugin",
    }
}

/// After how long without a word of ours a session is kept from its idle timeout; `None` for never.
///
/// # Errors
/// When the policy does not permit it.
pub fn keepalive(ctx: &Context) -> Result<Option<Duration>, CommandError> {
    let config = ctx.config()?;
    let wanted = config.defaults.keepalive;
    config.policy.permit_keepalive(wanted)?;
    Ok(match wanted {
        Keepalive::Off => None,
        Keepalive::Every(period) => Some(period.0),
    })
}

/// Checks a session document against the policy; `None` is the account's own preferences.
///
/// # Errors
/// When the policy does not permit it.
pub fn document(ctx: &Context, document: Option<&str>) -> Result<(), CommandError> {
    let document = document.unwrap_or("SSM-SessionManagerRunShell");
    Ok(ctx.config()?.policy.permit_document(document)?)
}
