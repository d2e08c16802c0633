//! What is said when nothing fits: near names, and where else the thing was seen.

use super::search::Search;
use super::{Reached, scope, words};
use crate::commands::error::{CommandError, Kind};
use crate::ids::Scope;
use crate::inventory::lookup::Found;
use crate::inventory::query::Pattern;
use crate::resolve::nearest::nearest;
use crate::resolve::{Names as _, Via};

/// Names of the snapshot that are compared for "did you mean".
const MANY: usize = 200_000;

impl Search<'_> {
    /// None fits: what is near, and where it was looked for.
    pub(super) fn nothing(&self, found: &Found) -> CommandError {
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
}
