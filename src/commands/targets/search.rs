//! One resolution: the snapshot, the look-up, the choice, and what is said when there is none.

use std::ops::ControlFlow;

use jiff::{SignedDuration, Timestamp};

use super::picking::pick_one;
use super::{Freshness, PickArgs, Purpose, Reached, Resolved, bare, check_reachable, scope, words};
use crate::commands::context::Context;
use crate::commands::error::{CommandError, Kind};
use crate::config::Demands;
use crate::config::values::{Confirm, Refresh};
use crate::ids::Scope;
use crate::inventory::lookup::{Found, LookupError, find};
use crate::inventory::node::Node;
use crate::inventory::query::Query;
use crate::inventory::renew::renew;
use crate::inventory::snapshot::{Breadth, Snapshots};
use crate::resolve::order::{Choice, Pick, Standing, choose, sort, standing};
use crate::resolve::{Via, Wanted};
use crate::transport::plan::Gate;
use crate::ui::Presence;

/// A listing no older than this is good enough to choose from; the chosen one is looked up.
const FRESH: SignedDuration = SignedDuration::from_mins(5);
/// Candidates that an error lists.
const LISTED: usize = 20;

pub(super) struct Search<'a> {
    pub(super) ctx: &'a Context,
    pub(super) reached: Reached,
    pub(super) wanted: Wanted,
    flags: PickArgs,
    purpose: Purpose,
    demands: Demands,
    pub(super) snapshots: Snapshots,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        ctx: &'a Context,
        reached: Reached,
        wanted: Wanted,
        flags: PickArgs,
        purpose: Purpose,
    ) -> Result<Self, CommandError> {
        let loaded = ctx.loaded()?;
        let target = match &wanted.via {
            Via::Target { target, .. } => loaded.config.targets.get(target),
            _ => None,
        };
        let section = scope::section(&reached.aws);
        let demands = loaded.demands(section, Some(&reached.scope.account), target, None);
        Ok(Self {
            snapshots: ctx.snapshots(),
            ctx,
            reached,
            wanted,
            flags,
            purpose,
            demands,
        })
    }

    pub(super) async fn run(self) -> Result<Resolved, CommandError> {
        // What has to be confirmed is shown first, and is shown as it is now.
        let may_hurry = self.demands.confirm == Confirm::Never && self.starts_a_session();
        let takes_ids = may_hurry || self.purpose == Purpose::Diagnose;
        if let Some(id) = self.wanted.id().filter(|_| takes_ids) {
            let known = self.remembered(&self.wanted.query);
            let node = known
                .and_then(|nodes| nodes.into_iter().next())
                .unwrap_or_else(|| bare(id));
            let via = self.wanted.via.clone();
            return Ok(self.resolved(node, via, Freshness::Given, None));
        }
        if may_hurry
            && self.purpose == Purpose::Interactive
            && let Some(node) = self.remembered_one()
        {
            let gate = self.gate(&node);
            let via = self.wanted.via.clone();
            return Ok(self.resolved(node, via, Freshness::Remembered, Some(gate)));
        }
        self.looked_up().await
    }

    /// Asks AWS, then chooses.
    pub(super) async fn looked_up(self) -> Result<Resolved, CommandError> {
        let found = match self.look_up(&self.wanted.query).await {
            Ok(found) => found,
            // Without both halves, ids are all there is, and they suffice for a session.
            Err(LookupError::BothMissing { ec2, ssm }) => {
                return match self.wanted.id() {
                    Some(id) => {
                        if self.purpose == Purpose::Inspect {
                            self.ctx.ui().warn(&format!(
                                "neither EC2 nor SSM tells anything of {id}: nothing but the id is known"
                            ));
                        }
                        let (node, via) = (bare(id), self.wanted.via.clone());
                        Ok(self.resolved(node, via, Freshness::Given, None))
                    }
                    None => Err(words::lookup_failed(
                        &self.doing(),
                        &LookupError::BothMissing { ec2, ssm },
                    )),
                };
            }
            Err(error) => return Err(words::lookup_failed(&self.doing(), &error)),
        };
        let (choice, via) = match choose(found.nodes.clone(), self.pick()) {
            Choice::None => match self.by_prefix().await? {
                Some(nodes) => (choose(nodes, self.pick()), Via::Prefix),
                None => return Err(self.nothing(&found).await),
            },
            choice => (choice, self.wanted.via.clone()),
        };
        match choice {
            Choice::One { node, passed_over } => {
                self.note(&via, &node, &passed_over);
                self.settle(*node, via).await
            }
            Choice::Several(nodes) => {
                let node = self.ask(nodes)?;
                self.settle(node, Via::Picker).await
            }
            Choice::None => Err(self.nothing(&found).await),
        }
    }

    fn starts_a_session(&self) -> bool {
        matches!(self.purpose, Purpose::Interactive | Purpose::Unattended)
    }

    async fn settle(self, mut node: Node, via: Via) -> Result<Resolved, CommandError> {
        if self.starts_a_session() {
            check_reachable(&self.reached.aws, &self.reached.scope, &mut node).await?;
        }
        Ok(self.resolved(node, via, Freshness::LookedUp, None))
    }

    fn resolved(self, node: Node, via: Via, freshness: Freshness, gate: Option<Gate>) -> Resolved {
        Resolved {
            node,
            aws: self.reached.aws,
            scope: self.reached.scope,
            via,
            demands: self.demands,
            freshness,
            gate,
            wanted: self.wanted,
            pick: self.flags,
        }
    }

    /// What decides among several: a flag, else the config; never where a session has to be confirmed.
    pub(super) fn pick(&self) -> Pick {
        if self.demands.confirm == Confirm::Never {
            self.flags.pick().unwrap_or_else(|| self.wanted.pick())
        } else {
            Pick::Ask
        }
    }

    fn remembered(&self, query: &Query) -> Option<Vec<Node>> {
        self.snapshots.open(&self.reached.scope)?.find(query)
    }

    /// The one node that the snapshot knows for the name, where it could be reached then.
    fn remembered_one(&self) -> Option<Node> {
        match choose(self.remembered(&self.wanted.query)?, self.pick()) {
            Choice::One { node, .. } if standing(&node) == Standing::Ready => Some(*node),
            _ => None,
        }
    }

    async fn look_up(&self, query: &Query) -> Result<Found, LookupError> {
        let Reached { aws, scope, .. } = &self.reached;
        let doing = format!("looking in {scope}");
        let found = self.ctx.ui().progress(&doing, find(aws.as_ref(), query)).await?;
        remember(self.ctx, &self.snapshots, scope, query, &found);
        for line in words::lacks(&found.coverage) {
            tracing::info!("{line}");
        }
        Ok(found)
    }

    /// The nodes whose Name begins with what was typed, where a person typed it and one Name alone does.
    async fn by_prefix(&self) -> Result<Option<Vec<Node>>, CommandError> {
        let Some(query) = self.wanted.by_prefix() else {
            return Ok(None);
        };
        if self.ctx.ui().presence() != Presence::Person {
            return Ok(None);
        }
        let found = self.look_up(&query).await;
        let found = found.map_err(|error| words::lookup_failed(&self.doing(), &error))?;
        let first = found.nodes.first().map(|node| node.name.clone());
        let alone = first.is_some_and(|first| found.nodes.iter().all(|node| node.name == first));
        Ok(alone.then_some(found.nodes))
    }

    /// Says what was decided in the person's stead.
    fn note(&self, via: &Via, node: &Node, passed_over: &[Node]) {
        let ui = self.ctx.ui();
        if *via == Via::Prefix {
            let typed = crate::ui::text::escape(&self.wanted.name);
            ui.say(&format!("{typed} → {}", words::label_and_id(node)));
        }
        if !passed_over.is_empty() && self.starts_a_session() {
            let others: Vec<String> = passed_over
                .iter()
                .take(LISTED)
                .map(|other| format!("{} ({})", other.id, words::condition(other)))
                .collect();
            ui.say(&format!(
                "took {}; passed over: {}",
                words::label_and_id(node),
                others.join(", ")
            ));
        }
    }

    /// Several fit: a person chooses, a script is told.
    fn ask(&self, nodes: Vec<Node>) -> Result<Node, CommandError> {
        let scope = &self.reached.scope;
        if self.ctx.ui().presence() == Presence::Person {
            let question = format!("Several nodes in {scope}");
            return pick_one(self.ctx, scope, &question, nodes);
        }
        let hopeless = nodes.iter().all(|node| standing(node).reason().is_some());
        let connects = self.starts_a_session();
        let criterion = words::criterion(&self.wanted);
        let mut failure = if hopeless && connects {
            CommandError::new(
                Kind::Refused,
                format!(
                    "{} nodes in {scope}: each {criterion}, and none can be reached",
                    nodes.len()
                ),
            )
        } else {
            CommandError::new(
                Kind::Unanswered,
                format!("{} nodes in {scope}: each {criterion}", nodes.len()),
            )
        };
        for node in nodes.iter().take(LISTED) {
            failure = failure.because(words::row(node));
        }
        if nodes.len() > LISTED {
            failure = failure.because(format!("… and {} more", nodes.len() - LISTED));
        }
        let choice = self.flags.pick().or(match self.wanted.pick() {
            Pick::Ask => None,
            pick => Some(pick),
        });
        Err(match (self.demands.confirm, choice) {
            (Confirm::Never, None) => {
                failure.hint("name one by its id, or choose with `--newest`, `--oldest` or `--any`")
            }
            (Confirm::Never, Some(_)) => {
                failure.hint("their launch times do not tell them apart: name one by its id")
            }
            (_, None) => failure.hint("name one by its id"),
            (_, Some(_)) => failure
                .hint("name one by its id: where the config sets `confirm`, nothing is chosen among several"),
        })
    }

    fn doing(&self) -> String {
        format!("cannot look up `{}` in {}", self.wanted.name, self.reached.scope)
    }
}

pub(super) fn renews(ctx: &Context) -> bool {
    ctx.config()
        .is_ok_and(|config| config.defaults.refresh != Refresh::Off)
}

/// Keeps what was found. Without EC2's word nothing is known to be gone, so nothing is kept then.
fn remember(ctx: &Context, snapshots: &Snapshots, scope: &Scope, query: &Query, found: &Found) {
    if !renews(ctx) || found.coverage.ec2.missing().is_some() {
        return;
    }
    if let Err(error) = snapshots.update(scope, query, &found.nodes) {
        tracing::debug!(%error, "the snapshot is not renewed");
    }
}

/// No word was given: a person chooses among all nodes of the scope at hand.
pub(super) async fn choose_from_all(
    ctx: &Context,
    flags: PickArgs,
    purpose: Purpose,
) -> Result<Resolved, CommandError> {
    if ctx.ui().presence() != Presence::Person {
        return Err(
            CommandError::usage("no target is named, and nobody is at a terminal to choose one")
                .hint("name one: an id, a name, an alias, or a selector such as `tag:Role=web`"),
        );
    }
    let reached = scope::here(ctx).await?;
    let remembered = fresh(ctx, &reached.scope);
    let is_fresh = remembered.is_some();
    let (nodes, question) = match remembered {
        Some((nodes, age)) => (nodes, format!("Nodes in {}, {age} ago", reached.scope)),
        None => {
            let mut nodes = Vec::new();
            let work = list_all(ctx, &reached, &mut nodes);
            let doing = format!("listing {}", reached.scope);
            ctx.ui().progress(&doing, work).await?;
            sort(&mut nodes);
            (nodes, format!("Nodes in {}", reached.scope))
        }
    };
    if nodes.is_empty() {
        return Err(CommandError::new(
            Kind::Refused,
            format!("there is no node in {}", reached.scope),
        ));
    }
    let node = pick_one(ctx, &reached.scope, &question, nodes)?;
    let wanted = Wanted {
        profile: None,
        via: Via::Id,
        name: node.id.to_string(),
        target: None,
        query: Query::id(node.id.clone()),
    };
    let search = Search::new(ctx, reached, wanted, flags, purpose)?;
    if !is_fresh {
        return search.settle(node, Via::Picker).await;
    }
    // What was shown may have changed since.
    let resolved = search.looked_up().await?;
    if resolved.node.name != node.name {
        return Err(CommandError::new(
            Kind::Refused,
            format!(
                "{} is {} now, no longer {}",
                node.id,
                words::label(&resolved.node),
                words::label(&node)
            ),
        )
        .hint("choose again; `ssmx ls` brings what is remembered up to date"));
    }
    Ok(resolved)
}

/// The nodes that a listing of the last few minutes knows, and how old that is: so the picker opens at once.
fn fresh(ctx: &Context, scope: &Scope) -> Option<(Vec<Node>, String)> {
    if !renews(ctx) {
        return None;
    }
    let snapshot = ctx.snapshots().open(scope)?;
    let (taken, now) = (snapshot.taken()?, Timestamp::now());
    if snapshot.breadth() != Some(Breadth::Full) || now.duration_since(taken) > FRESH {
        return None;
    }
    let mut nodes = snapshot.search(&Query::default());
    sort(&mut nodes);
    (!nodes.is_empty()).then(|| (nodes, words::age(taken, now)))
}

async fn list_all(ctx: &Context, reached: &Reached, nodes: &mut Vec<Node>) -> Result<(), CommandError> {
    let Reached { aws, scope, .. } = reached;
    let renewed = renew(aws.as_ref(), &ctx.snapshots(), scope, |page| {
        nodes.extend(page);
        ControlFlow::Continue(())
    })
    .await
    .map_err(|error| words::lookup_failed(&format!("cannot list the nodes of {scope}"), &error))?;
    for line in words::lacks(&renewed.coverage) {
        ctx.ui().warn(&line);
    }
    Ok(())
}
