//! The sessions of one scope, or of many.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::ListArgs;
use super::whose::{Whose, short};
use crate::aws::session::{SessionRecord, Which};
use crate::commands::context::Context;
use crate::commands::error::{CommandError, Exit, Kind};
use crate::commands::nodes::time;
use crate::commands::side_by_side::side_by_side;
use crate::commands::targets::scope::{self, Reached};
use crate::commands::targets::{PickArgs, Purpose, words};
use crate::ids::{NodeId, Scope};
use crate::inventory::lookup::names_of;
use crate::inventory::query::Query;
use crate::inventory::snapshot::RememberedSession;
use crate::ui::output::{Cell, Column, Listing, Row, Tone};
use crate::ui::text::escape_lines;

/// A session and what is known around it.
pub(super) struct Listed {
    pub(super) record: SessionRecord,
    /// The node's name.
    pub(super) name: Option<String>,
    pub(super) mine: bool,
    scope: Scope,
    profile: Option<String>,
}

pub(super) async fn run(ctx: &Context, args: ListArgs) -> Result<Exit, CommandError> {
    let output = ctx.output()?;
    let which: &[Which] = match (args.history, args.all) {
        (true, _) => &[Which::History],
        (_, true) => &[Which::Active, Which::History],
        _ => &[Which::Active],
    };
    let mut target = None;
    let scopes = match &args.target {
        // An id needs no look-up: sessions of instances that are gone are listed too.
        Some(words) => match words.parse::<NodeId>() {
            Ok(id) => {
                target = Some(id);
                vec![scope::here(ctx).await?]
            }
            Err(_) => {
                let resolved = ctx
                    .resolve(Some(words), PickArgs::default(), Purpose::Inspect)
                    .await?;
                target = Some(resolved.node.id);
                vec![Reached {
                    aws: resolved.aws,
                    scope: resolved.scope,
                }]
            }
        },
        None if args.all_profiles => everywhere(ctx).await?,
        None => vec![scope::here(ctx).await?],
    };
    let place = match scopes.as_slice() {
        [one] => one.scope.to_string(),
        several => format!("{} scopes", several.len()),
    };
    let wanted = target.as_ref();
    let asking = side_by_side(&scopes, |reached| async move {
        (reached, ask(ctx, reached, which, wanted).await)
    });
    let mut sessions = Vec::new();
    let mut failed = None;
    for (reached, told) in ctx
        .ui()
        .progress(&format!("listing the sessions of {place}"), asking)
        .await
    {
        match told {
            Ok(told) => sessions.extend(told),
            Err(error) if scopes.len() == 1 => return Err(error),
            Err(error) => {
                let line = format!("{}: {}", scope::way(&reached.aws), error.summary());
                ctx.ui().warn(&escape_lines(&line));
                failed = Some(error);
            }
        }
    }
    if which == [Which::Active] && target.is_none() && failed.is_none() {
        for reached in &scopes {
            remember(ctx, &reached.scope, &sessions);
        }
    }
    sessions.retain(|session| session.mine || !args.mine);
    sessions.sort_by_key(|session| (!session.mine, Reverse(session.record.started)));
    let now = Timestamp::now();
    let has_ended = args.history || args.all;
    let mut printer = ctx.ui().listing(&output, listing(has_ended))?;
    for session in &sessions {
        printer.push(&SessionRow { session, now })?;
    }
    let is_partial = failed.is_some();
    if printer.finish()? == 0 && !is_partial {
        let kind = match (args.history, args.all) {
            (true, _) => "ended",
            (_, true) => "known",
            _ => "active",
        };
        let whose = if args.mine { " of mine" } else { "" };
        let on = target.map(|id| format!(" on {id}")).unwrap_or_default();
        ctx.ui().say(&format!("no {kind} session{whose}{on} in {place}"));
    }
    match failed {
        // What could be listed was; what could not was told.
        Some(_) => Ok(Exit(255)),
        None => Ok(Exit::SUCCESS),
    }
}

/// Keeps what was seen for completions, which can do without.
pub(super) fn remember(ctx: &Context, scope: &Scope, sessions: &[Listed]) {
    let now = Timestamp::now();
    let seen: Vec<_> = sessions
        .iter()
        .filter(|session| session.scope == *scope)
        .map(|session| RememberedSession {
            id: session.record.id.clone(),
            target: session
                .name
                .clone()
                .unwrap_or_else(|| session.record.target.clone()),
            started: session.record.started,
            seen: now,
        })
        .collect();
    if let Err(error) = ctx.snapshots().remember_sessions(scope, &seen) {
        tracing::debug!(%error, "the sessions are not remembered");
    }
}

/// Every scope that a profile leads to without anybody being asked; what cannot be reached is told.
async fn everywhere(ctx: &Context) -> Result<Vec<Reached>, CommandError> {
    let wanted = scope::of_all_profiles(ctx).await?;
    let reaching = side_by_side(wanted, |(profile, region)| async move {
        let reached = scope::unasked(ctx, &profile, region).await;
        (profile, reached)
    });
    let mut seen = HashSet::new();
    let mut scopes = Vec::new();
    for (profile, reached) in ctx
        .ui()
        .progress("reaching the scopes of all profiles", reaching)
        .await
    {
        match reached {
            Ok(reached) if seen.insert(reached.scope.clone()) => scopes.push(reached),
            Ok(_) => {}
            Err(error) => {
                let line = format!("profile `{profile}` is left out: {}", error.summary());
                ctx.ui().warn(&escape_lines(&line));
            }
        }
    }
    if scopes.is_empty() {
        return Err(CommandError::new(
            Kind::Credentials,
            "no profile leads to a scope that could be listed",
        )
        .hint("`ssmx login PROFILE` logs in; `ssmx whoami -p PROFILE` tells what is missing"));
    }
    Ok(scopes)
}

/// The sessions of a scope with all that is shown of them.
pub(super) async fn ask(
    ctx: &Context,
    reached: &Reached,
    which: &[Which],
    target: Option<&NodeId>,
) -> Result<Vec<Listed>, CommandError> {
    let Reached { aws, scope } = reached;
    let listing = async {
        let mut records: Vec<SessionRecord> = Vec::new();
        for which in which {
            records.extend(aws.sessions(*which, target).await?);
        }
        // Between two listings one may have ended: it is told once, as it is now.
        let mut seen = HashSet::new();
        records.reverse();
        records.retain(|record| seen.insert(record.id.clone()));
        records.retain(|record| target.is_none_or(|target| record.target == target.as_str()));
        Ok(records)
    };
    let (records, identity) = tokio::join!(listing, aws.identity());
    let records: Vec<SessionRecord> =
        records.map_err(|error| CommandError::aws(format!("cannot list the sessions of {scope}"), &error))?;
    let names = names(ctx, reached, &records).await;
    let whose = Whose::new(identity);
    Ok(records
        .into_iter()
        .map(|record| Listed {
            name: record
                .target
                .parse()
                .ok()
                .and_then(|id: NodeId| names.get(&id).cloned()),
            mine: whose.is_mine(&record),
            scope: scope.clone(),
            profile: aws.profile().map(str::to_owned),
            record,
        })
        .collect())
}

/// From the snapshot as far as it goes; AWS is asked for the rest. A listing without names is still one.
async fn names(ctx: &Context, reached: &Reached, records: &[SessionRecord]) -> HashMap<NodeId, String> {
    let mut open: BTreeSet<NodeId> = records
        .iter()
        .filter_map(|record| record.target.parse().ok())
        .collect();
    let mut names = HashMap::new();
    if let Some(snapshot) = ctx.snapshots().open(&reached.scope) {
        open.retain(|id| {
            let known = snapshot.find(&Query::id(id.clone()));
            let name = known.and_then(|nodes| nodes.into_iter().next()?.name);
            let is_open = name.is_none();
            names.extend(name.map(|name| (id.clone(), name)));
            is_open
        });
    }
    if !open.is_empty() {
        match names_of(reached.aws.as_ref(), &open).await {
            Ok(found) => names.extend(found),
            Err(error) => tracing::debug!(%error, "the names of nodes are not known"),
        }
    }
    names
}

fn listing(has_ended: bool) -> Listing {
    let mut columns = vec![
        Column::new("session", "id").whole(),
        Column::new("whose", ""),
        Column::new("name", "name"),
        Column::new("target", "target").whole(),
        Column::new("status", "status"),
        Column::new("age", ""),
        Column::new("document", "document"),
        Column::new("reason", "reason"),
        Column::new("owner", "owner").wide(),
        Column::new("started", "started").wide(),
        Column::new("account", "account").wide(),
        Column::new("region", "region").wide(),
        Column::new("profile", "profile").wide(),
    ];
    if has_ended {
        columns.push(Column::new("ended", "ended"));
    }
    Listing {
        key: "sessions",
        columns,
    }
}

struct SessionRow<'a> {
    session: &'a Listed,
    now: Timestamp,
}

impl Row for SessionRow<'_> {
    fn cells(&self) -> Vec<Cell> {
        let Listed {
            record,
            name,
            mine,
            scope,
            profile,
        } = self.session;
        let tone = match record.status.as_str() {
            "Connected" => Tone::Good,
            "Failed" => Tone::Bad,
            "Terminated" => Tone::Faint,
            _ => Tone::Odd,
        };
        let whose = if *mine {
            Cell::from("mine")
        } else {
            Cell::from(record.owner.as_deref().map(|owner| short(owner).to_owned()))
        };
        vec![
            Cell::from(record.id.as_str()),
            whose,
            Cell::from(name.clone()),
            Cell::from(record.target.as_str()),
            Cell::toned(record.status.clone(), tone),
            Cell::from(record.started.map(|started| words::age(started, self.now))),
            Cell::from(record.document.clone()),
            Cell::from(record.reason.clone()),
            Cell::from(record.owner.clone()),
            Cell::from(record.started.map(time)),
            Cell::from(scope.account.as_str()),
            Cell::from(scope.region.as_str()),
            Cell::from(profile.clone()),
            Cell::from(record.ended.map(time)),
        ]
    }

    fn name(&self) -> String {
        format!("session/{}", self.session.record.id)
    }

    fn document(&self) -> Value {
        let Listed {
            record,
            name,
            mine,
            scope,
            profile,
        } = self.session;
        json!({
            "id": record.id,
            "mine": mine,
            "name": name,
            "target": record.target,
            "status": record.status,
            "started": record.started,
            "ended": record.ended,
            "document": record.document,
            "owner": record.owner,
            "reason": record.reason,
            "account": scope.account,
            "region": scope.region,
            "profile": profile,
        })
    }
}
