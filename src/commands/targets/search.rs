//! One resolution: the snapshot, the look-up, the choice, and what is said when there is none.

use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Freshness, PickArgs, Purpose, Reached, Resolved, bare, check_reachable, scope, words};
use crate::aws::Aws;
use crate::commands::context::Context;
use crate::commands::error::{CommandError, Kind};
use crate::config::Demands;
use crate::config::values::{Confirm, Refresh};
use crate::ids::{NodeId, Scope};
use crate::inventory::lookup::{Found, LookupError, find};
use crate::inventory::node::Node;
use crate::inventory::query::{Pattern, Query};
use crate::inventory::renew::renew;
use crate::inventory::snapshot::Snapshots;
use crate::resolve::nearest::nearest;
use crate::resolve::order::{Choice, Pick, Standing, choose, sort, standing};
use crate::resolve::{Names as _, Via, Wanted};
use crate::transport::plan::Gate;
use crate::ui::{Presence, picker};

/// Names of the snapshot that are compared for "did you mean".
const MANY: usize = 200_000;
/// Candidates that an error lists.
const LISTED: usize = 20;

pub(super) struct Search<'a> {
    ctx: &'a Context,
    reached: Reached,
    wanted: Wanted,
    flags: PickArgs,
    purpose: Purpose,
    demands: Demands,
    snapshots: Snapshots,
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
        let (profile, account) = (reached.aws.profile(), &reached.scope.account);
        let demands = loaded.demands(profile, Some(account), target, None);
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
        let may_hurry = self.demands.confirm == Confirm::Never && self.purpose != Purpose::Inspect;
        if let Some(id) = self.wanted.id().filter(|_| may_hurry) {
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
                    Some(id) if self.purpose != Purpose::Inspect => {
                        let (node, via) = (bare(id), self.wanted.via.clone());
                        Ok(self.resolved(node, via, Freshness::Given, None))
                    }
                    _ => Err(words::lookup_failed(
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
                None => return Err(self.nothing(&found)),
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
            Choice::None => Err(self.nothing(&found)),
        }
    }

    async fn settle(self, mut node: Node, via: Via) -> Result<Resolved, CommandError> {
        if self.purpose != Purpose::Inspect {
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
    fn pick(&self) -> Pick {
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

    /// The look-up that runs while the session starts. Its word on the name counts.
    fn gate(&self, node: &Node) -> Gate {
        let aws = Arc::clone(&self.reached.aws);
        let scope = self.reached.scope.clone();
        let snapshots = self.ctx_snapshots();
        let (query, pick) = (self.wanted.query.clone(), self.pick());
        let (name, id) = (self.wanted.name.clone(), node.id.clone());
        let learnt = self
            .snapshots
            .open(&scope)
            .and_then(|snapshot| snapshot.learnt(node));
        // Spawned, not merely handed over: it has to be on its way before anybody waits for it.
        let look_up = tokio::spawn(async move { agree(&aws, &scope, snapshots, &query, pick, &id).await });
        Box::pin(async move {
            let outcome = look_up
                .await
                .unwrap_or_else(|_| Err("the look-up was broken off".to_owned()));
            outcome.map_err(|why| match learnt {
                Some(learnt) => format!(
                    "`{name}` is not what was remembered ({} old): {why}",
                    words::age(learnt, Timestamp::now())
                ),
                None => format!("`{name}` is not what was remembered: {why}"),
            })
        })
    }

    /// The snapshots, unless the config keeps commands from renewing them.
    fn ctx_snapshots(&self) -> Option<Snapshots> {
        renews(self.ctx).then(|| self.snapshots.clone())
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
        if !passed_over.is_empty() && self.purpose != Purpose::Inspect {
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
            return pick_one(&question, nodes);
        }
        let hopeless = nodes.iter().all(|node| standing(node).reason().is_some());
        let connects = self.purpose != Purpose::Inspect;
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
            CommandError::usage(format!("{} nodes in {scope}: each {criterion}", nodes.len()))
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

    /// None fits: what is near, and where it was looked for.
    fn nothing(&self, found: &Found) -> CommandError {
        let Reached { aws, scope, .. } = &self.reached;
        let criterion = words::criterion(&self.wanted);
        let kind = match self.wanted.id() {
            Some(_) => Kind::Refused,
            None => Kind::Usage,
        };
        let mut failure = CommandError::new(kind, format!("no node in {scope} {criterion}"))
            .because(format!("searched: {scope} by {}", scope::way(aws)));
        for line in words::lacks(&found.coverage) {
            failure = failure.because(line);
        }
        for elsewhere in self.elsewhere() {
            failure = failure.hint(elsewhere);
        }
        if self.wanted.via == Via::Name
            && let Some(hint) = words::did_you_mean(&self.near())
        {
            failure = failure.hint(hint);
        }
        failure.hint("`ssmx ls` shows what there is")
    }

    /// Names like the one that was typed: of the config, and of the snapshot.
    fn near(&self) -> Vec<String> {
        let mut known = Vec::new();
        if let Ok(config) = self.ctx.config() {
            known = super::Known {
                config,
                profiles: None,
            }
            .all();
        }
        if let Some(snapshot) = self.snapshots.open(&self.reached.scope) {
            known.extend(snapshot.names("", MANY).into_iter().filter_map(|row| row.name));
        }
        nearest(&self.wanted.name, known)
    }

    /// Where else the same thing is remembered to be.
    fn elsewhere(&self) -> Vec<String> {
        let exact = matches!(self.wanted.query.name, Some(Pattern::Exact(_)));
        if !exact && self.wanted.id().is_none() {
            return Vec::new();
        }
        let others = self
            .snapshots
            .scopes()
            .into_iter()
            .filter(|scope| *scope != self.reached.scope);
        let holding = others.filter(|scope| {
            let nodes = self
                .snapshots
                .open(scope)
                .and_then(|snapshot| snapshot.find(&self.wanted.query));
            nodes.is_some_and(|nodes| !nodes.is_empty())
        });
        let reach = self.snapshots.reach();
        let by = |scope: &Scope| {
            let profiles = reach.profiles();
            let profile = profiles
                .iter()
                .find(|profile| reach.of(Some(profile), None).contains(scope));
            match profile {
                Some(profile) => format!(
                    "it was seen in {scope}: try `--profile {profile} --region {}`",
                    scope.region
                ),
                None => format!("it was seen in {scope}"),
            }
        };
        holding.map(|scope| by(&scope)).collect()
    }

    fn doing(&self) -> String {
        format!("cannot look up `{}` in {}", self.wanted.name, self.reached.scope)
    }
}

/// Whether the name still means that node.
async fn agree(
    aws: &Aws,
    scope: &Scope,
    snapshots: Option<Snapshots>,
    query: &Query,
    pick: Pick,
    id: &NodeId,
) -> Result<(), String> {
    let found = match find(aws, query).await {
        Ok(found) => found,
        Err(error) => {
            let mut why = format!("it could not be looked up ({error}");
            if let LookupError::BothMissing { ec2, ssm } = &error {
                why.push_str(&format!(": {ec2}; {ssm}"));
            }
            return Err(format!("{why})"));
        }
    };
    if let Some(snapshots) = snapshots
        && let Err(error) = snapshots.update(scope, query, &found.nodes)
    {
        tracing::debug!(%error, "the snapshot is not renewed");
    }
    match choose(found.nodes, pick) {
        Choice::One { node, .. } if node.id == *id => Ok(()),
        Choice::One { node, .. } => Err(format!("it is {} now, not {id}", node.id)),
        Choice::Several(nodes) => Err(format!("{} nodes bear it now", nodes.len())),
        Choice::None => Err("no node bears it any more".to_owned()),
    }
}

fn renews(ctx: &Context) -> bool {
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

fn pick_one(question: &str, mut nodes: Vec<Node>) -> Result<Node, CommandError> {
    let rows: Vec<String> = nodes.iter().map(words::row).collect();
    match picker::pick(question, &rows)? {
        Some(index) if index < nodes.len() => Ok(nodes.swap_remove(index)),
        _ => Err(CommandError::interrupted()),
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
    let mut nodes = Vec::new();
    let work = list_all(ctx, &reached, &mut nodes);
    let doing = format!("listing {}", reached.scope);
    ctx.ui().progress(&doing, work).await?;
    sort(&mut nodes);
    if nodes.is_empty() {
        return Err(CommandError::new(
            Kind::Refused,
            format!("there is no node in {}", reached.scope),
        ));
    }
    let node = pick_one(&format!("Nodes in {}", reached.scope), nodes)?;
    let wanted = Wanted {
        profile: None,
        via: Via::Id,
        name: node.id.to_string(),
        target: None,
        query: Query::id(node.id.clone()),
    };
    let search = Search::new(ctx, reached, wanted, flags, purpose)?;
    search.settle(node, Via::Picker).await
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
