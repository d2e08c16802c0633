//! The way to a forward's target, found anew for each session: names, consent, reason.
//!
//! Sessions are opened by tasks that outlive any borrow, and the person can be asked one thing at a time: so
//! sessions ask by a channel, and the command answers between other things.

use tokio::sync::{mpsc, oneshot};

use super::say;
use super::wish::{Leads, Wish};
use crate::aws::session::ConnectionStatus;
use crate::commands::carry::stream_endpoints;
use crate::commands::consent::{self, ConsentArgs};
use crate::commands::context::Context;
use crate::commands::error::{CommandError, Kind};
use crate::commands::targets::{PickArgs, Purpose, Resolved};
use crate::config::values::{Confirm, Sessions};
use crate::ids::Scope;
use crate::transport::forward::{BoxFuture, Freshness, Remedy, Route, RouteError, Routes};
use crate::ui::text::escape;

/// A session that asks for its way.
pub struct Ask {
    /// Which forward it belongs to.
    pub forward: usize,
    freshness: Freshness,
    answer: oneshot::Sender<Result<Route, RouteError>>,
}

/// The asking side.
pub struct Asking {
    forward: usize,
    asks: mpsc::UnboundedSender<Ask>,
}

impl Asking {
    /// For the forward of this number.
    pub fn new(forward: usize, asks: mpsc::UnboundedSender<Ask>) -> Self {
        Self { forward, asks }
    }
}

impl Routes for Asking {
    fn route(&self, freshness: Freshness) -> BoxFuture<'_, Result<Route, RouteError>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let ask = Ask {
                forward: self.forward,
                freshness,
                answer,
            };
            let gone = || RouteError {
                message: "ssmx is about to end".to_owned(),
                remedy: Remedy::None,
            };
            self.asks.send(ask).map_err(|_| gone())?;
            answered.await.map_err(|_| gone())?
        })
    }
}

/// A way that was found for a session, and may do for another one.
#[derive(Clone)]
pub struct Known {
    route: Route,
    holds: Holds,
}

/// How long a way holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// Until a session says otherwise.
    UntilRefused,
    /// For one session: each is asked for.
    Once,
}

impl Known {
    fn lasting(&self) -> Option<Self> {
        (self.holds == Holds::UntilRefused).then(|| self.clone())
    }
}

/// What came of an answer.
#[derive(Default)]
pub struct Answered {
    /// Which forward asked.
    pub forward: usize,
    /// The node that was found.
    pub node: Option<String>,
    /// Its scope.
    pub scope: Option<Scope>,
    /// Why there was none.
    pub trouble: Option<CommandError>,
}

/// Asks ahead of a forward's first session what there is to be asked, and keeps the way for it.
///
/// # Errors
/// When there is no way, or no answer.
pub async fn agree(
    ctx: &Context,
    wish: &Wish,
    consent: &ConsentArgs,
    pick: PickArgs,
) -> Result<Known, CommandError> {
    find(ctx, wish, consent, pick).await.map(|(known, _)| known)
}

/// Answers one session. `advice` is for a person who is to be asked, and is not here.
pub async fn answer(
    ctx: &Context,
    wish: &Wish,
    consent: &ConsentArgs,
    pick: PickArgs,
    known: Option<&Known>,
    advice: Option<&str>,
    ask: Ask,
) -> (Answered, Option<Known>) {
    let forward = ask.forward;
    if let (Freshness::Remembered, Some(known)) = (ask.freshness, known) {
        let answered = Answered {
            forward,
            ..Answered::default()
        };
        let _ = ask.answer.send(Ok(known.route.clone()));
        return (answered, known.lasting());
    }
    match find(ctx, wish, consent, pick).await {
        Ok((known, scope)) => {
            let kept = known.lasting();
            let node = known.route.target.to_string();
            // A session that was told to stop meanwhile does not mind.
            let _ = ask.answer.send(Ok(known.route));
            let answered = Answered {
                forward,
                node: Some(node),
                scope: Some(scope),
                trouble: None,
            };
            (answered, kept)
        }
        Err(trouble) => {
            let _ = ask.answer.send(Err(RouteError {
                message: message(&trouble, advice),
                remedy: remedy(&trouble),
            }));
            let answered = Answered {
                forward,
                trouble: Some(trouble),
                ..Answered::default()
            };
            (answered, None)
        }
    }
}

/// Words and policy stay wrong; credentials and questions want a person; the rest may pass.
fn remedy(trouble: &CommandError) -> Remedy {
    match trouble.kind {
        Kind::Usage => Remedy::None,
        Kind::Credentials | Kind::Interrupted | Kind::Unanswered => Remedy::Person,
        _ => Remedy::Time,
    }
}

/// The trouble in a line; to a person with what there is to do.
fn message(trouble: &CommandError, advice: Option<&str>) -> String {
    let steps: Vec<&str> = match (trouble.kind, advice) {
        (Kind::Unanswered, Some(advice)) => vec![advice],
        _ if remedy(trouble) == Remedy::Person => trouble.hints().iter().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    steps
        .into_iter()
        .fold(trouble.summary(), |message, step| format!("{message}; {step}"))
}

async fn find(
    ctx: &Context,
    wish: &Wish,
    consent: &ConsentArgs,
    pick: PickArgs,
) -> Result<(Known, Scope), CommandError> {
    let mut resolved = first_online(ctx, wish, pick).await?;
    let config = ctx.config()?;
    let preset = wish.preset.as_ref().and_then(|name| config.presets.get(name));
    // A preset may ask for more than its target's profile does.
    if let Some(preset) = preset {
        let demands = &mut resolved.demands;
        demands.confirm = preset
            .confirm
            .map_or(demands.confirm, |own| own.max(demands.confirm));
        demands.reason = preset
            .reason
            .map_or(demands.reason, |own| own.max(demands.reason));
    }
    let own = preset.and_then(|preset| preset.transport);
    let transport = consent::transport_of_preset(ctx, wish.transport, own, resolved.aws.profile())?;
    let doing = match (&wish.leads, &wish.preset) {
        (Leads::To(_), Some(name)) => format!("open `{name}` to {} through", say::destination(wish)),
        (Leads::To(_), None) => format!("forward {} through", say::destination(wish)),
        (Leads::Anywhere, _) => "open a SOCKS5 proxy through".to_owned(),
    };
    let reason = consent::obtain(ctx, consent, &doing, &resolved)?;
    let sessions = sessions(ctx, wish, resolved.aws.profile())?;
    let stream_endpoints = stream_endpoints(ctx, resolved.aws.profile())?;
    let label = match &resolved.node.name {
        Some(name) => format!("{name} ({})", resolved.node.id),
        None => resolved.node.id.to_string(),
    };
    let route = Route {
        aws: resolved.aws,
        target: resolved.node.id,
        label,
        reason,
        transport,
        sessions,
        stream_endpoints,
    };
    // Who agrees to a proxy agrees to the sessions that it is made of.
    let holds = if resolved.demands.confirm == Confirm::Never || wish.leads == Leads::Anywhere {
        Holds::UntilRefused
    } else {
        Holds::Once
    };
    Ok((Known { route, holds }, resolved.scope))
}

/// Over how many sessions its connections may be spread: by the flag or the preset, else the profile's section, else
/// the default; within the policy. A destination of a SOCKS5 proxy has one.
fn sessions(ctx: &Context, wish: &Wish, profile: Option<&str>) -> Result<usize, CommandError> {
    if wish.leads == Leads::Anywhere {
        return Ok(1);
    }
    let config = ctx.config()?;
    let section = || profile.and_then(|profile| config.profiles.get(profile)?.sessions);
    let own = wish.settings.sessions.map(Sessions::try_from);
    let sessions = own
        .and_then(Result::ok)
        .or_else(section)
        .unwrap_or(config.defaults.sessions);
    config.policy.permit_sessions(sessions)?;
    Ok(usize::from(sessions.number()))
}

/// Whether sessions reach it just now: an id is no look-up, and what a look-up says of an agent is minutes old.
/// Where that may not be asked it is taken to be there.
async fn is_connected(resolved: &Resolved) -> bool {
    match resolved.aws.connection_status(&resolved.node.id).await {
        Ok(status) => status == ConnectionStatus::Connected,
        Err(error) => {
            tracing::debug!(%error, "the connection's status is not known");
            true
        }
    }
}

/// The first target that is there. With several, the reason why each is not is told.
pub async fn first_online(ctx: &Context, wish: &Wish, pick: PickArgs) -> Result<Resolved, CommandError> {
    let mut troubles: Vec<(String, CommandError)> = Vec::new();
    for target in &wish.targets {
        let region = wish.region.as_ref();
        match ctx.resolve_in(target, region, pick, Purpose::Unattended).await {
            // One alone is tried in any case, and StartSession says what is wrong with it.
            Ok(resolved) if wish.targets.len() == 1 || is_connected(&resolved).await => return Ok(resolved),
            Ok(resolved) => {
                let trouble = format!("{} is not connected to Session Manager", resolved.node.id);
                troubles.push((target.clone(), CommandError::new(Kind::Refused, trouble)));
            }
            // A word that is wrong stays so, and nobody wants to find out on the day of an outage. A node that is not
            // there may be about to be replaced; or its name is mistyped, so it is said.
            Err(error) if matches!(error.kind, Kind::Usage | Kind::Unanswered) || wish.targets.len() == 1 => {
                return Err(error);
            }
            Err(error) => {
                if error.kind == Kind::Absent {
                    let name = escape(&wish.name);
                    ctx.ui()
                        .warn(&format!("{name}: passed over: {}", escape(error.sentence())));
                }
                troubles.push((target.clone(), error));
            }
        }
    }
    let kind = troubles.last().map_or(Kind::Refused, |(_, error)| error.kind);
    let failure = CommandError::new(kind, format!("none of the targets of `{}` is there", wish.name));
    Err(troubles.into_iter().fold(failure, |failure, (target, error)| {
        failure.because(format!("{target}: {}", error.summary()))
    }))
}
