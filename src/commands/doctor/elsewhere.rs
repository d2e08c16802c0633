//! The other scopes of the config and of AWS's profiles: whether what is not here is there.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::timeout;

use super::report::Finding;
use crate::commands::context::Context;
use crate::commands::side_by_side::side_by_side;
use crate::commands::targets::scope::{self, Reached};
use crate::ids::{NodeId, Scope};
use crate::inventory::lookup;
use crate::inventory::query::{Pattern, Query};
use crate::ui::text::escape;

/// Scopes that are looked into, at most.
const MOST: usize = 24;
/// One of them may not hold up the rest.
const PATIENCE: Duration = Duration::from_secs(6);

/// A scope where it is.
pub struct There {
    scope: Scope,
    profile: String,
    id: NodeId,
}

impl There {
    /// For people.
    pub fn words(&self) -> String {
        format!(
            "account {} in {} (profile `{}`)",
            self.scope.account,
            self.scope.region,
            escape(&self.profile)
        )
    }

    fn way(&self) -> String {
        format!(
            "ssmx connect {} --profile {} --region {}",
            self.id, self.profile, self.scope.region
        )
    }
}

/// Where an id is that is not in the scope at hand: by what is remembered, and by asking.
pub async fn with_id(ctx: &Context, here: &Scope, id: &NodeId) -> Vec<String> {
    let snapshots = ctx.snapshots();
    let scopes = snapshots.scopes().into_iter().filter(|scope| scope != here);
    let remembered: Vec<String> = scopes
        .filter(|scope| {
            let known = snapshots
                .open(scope)
                .and_then(|snapshot| snapshot.find(&Query::id(id.clone())));
            known.is_some_and(|nodes| !nodes.is_empty())
        })
        .map(|scope| format!("account {} in {}", scope.account, scope.region))
        .collect();
    if !remembered.is_empty() {
        return remembered;
    }
    let found = ask(ctx, Some(here), &Query::id(id.clone())).await;
    found.iter().map(There::words).collect()
}

/// Where a name is that is not in the scope at hand; `None` where nobody knows it, or it is no plain name.
pub async fn named(ctx: &Context, name: &str) -> Option<Finding> {
    if name.contains(['/', '=', '*', '?']) {
        return None;
    }
    let query = Query::name(Pattern::Exact(name.to_owned()));
    let found = ask(ctx, None, &query).await;
    let places: Vec<String> = found.iter().map(There::words).collect();
    if places.is_empty() {
        return None;
    }
    let finding = Finding::fail(
        super::node::INSTANCE,
        format!(
            "no node of this account and region is named `{name}`; there is one in {}",
            places.join(", and in ")
        ),
    );
    Some(
        found
            .iter()
            .fold(finding, |finding, there| finding.fix(there.way())),
    )
}

/// Looks into every scope that a profile leads to without a question, but for the one at hand.
async fn ask(ctx: &Context, here: Option<&Scope>, query: &Query) -> Vec<There> {
    let Ok(ways) = scope::of_all_profiles(ctx).await else {
        return Vec::new();
    };
    let reached = side_by_side(ways.into_iter().take(MOST), |(profile, region)| async move {
        let reached = timeout(PATIENCE, scope::unasked(ctx, &profile, region)).await;
        Some((profile, reached.ok()?.ok()?))
    })
    .await;
    let mut seen = HashSet::new();
    let others = reached
        .into_iter()
        .flatten()
        .filter(|(_, reached)| Some(&reached.scope) != here && seen.insert(reached.scope.clone()));
    let found = side_by_side(others, |(profile, Reached { aws, scope })| async move {
        let found = timeout(PATIENCE, lookup::find(aws.as_ref(), query)).await;
        let node = found.ok()?.ok()?.nodes.into_iter().find(|node| !node.is_gone())?;
        Some(There {
            scope,
            profile,
            id: node.id,
        })
    })
    .await;
    found.into_iter().flatten().collect()
}
