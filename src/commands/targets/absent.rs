//! What is said when nothing fits: near names, and where else the thing was seen.

use super::names::Known;
use super::search::Search;
use super::{Reached, scope, words};
use crate::commands::error::{CommandError, Kind};
use crate::ids::Scope;
use crate::inventory::lookup::{Found, some_names};
use crate::inventory::query::Pattern;
use crate::nearest;
use crate::resolve::{Names as _, Via};

/// Names of the snapshot that are compared for "did you mean".
const MANY: usize = 200_000;

impl Search<'_> {
    /// None fits: what is near, and where it was looked for.
    pub(super) async fn nothing(&self, found: &Found) -> CommandError {
        let Reached { aws, scope, .. } = &self.reached;
        let criterion = words::criterion(&self.wanted);
        let kind = match self.wanted.id() {
            Some(_) => Kind::Refused,
            None => Kind::Absent,
        };
        let mut failure = CommandError::new(kind, format!("no node in {scope} {criterion}"))
            .because(format!("searched: {scope} by {}", scope::way(aws)));
        for line in words::lacks(&found.coverage) {
            failure = failure.because(line);
        }
        for elsewhere in self.elsewhere() {
            failure = failure.hint(elsewhere);
        }
        if let Some(hint) = self.profile_meant().await {
            failure = failure.hint(hint);
        }
        let name = &self.wanted.name;
        if self.wanted.via == Via::Name
            && self
                .ctx
                .config()
                .is_ok_and(|config| config.presets.contains_key(name))
        {
            failure = failure.hint(format!(
                "`{name}` is a preset, which has its target and ports: `ssmx forward {name}`"
            ));
        } else if self.wanted.via == Via::Name
            && let Some(hint) = words::did_you_mean(&self.near().await)
        {
            failure = failure.hint(hint);
        }
        failure.hint("`ssmx ls` shows what there is")
    }

    /// Names like the one that was typed: of the config, and of the snapshot; where the scope was never listed,
    /// of EC2's first page.
    async fn near(&self) -> Vec<String> {
        let mut known = Vec::new();
        if let Ok(config) = self.ctx.config() {
            let profiles = None;
            known = Known { config, profiles }.all();
        }
        let snapshot = self.snapshots.open(&self.reached.scope);
        match snapshot.filter(|snapshot| snapshot.taken().is_some()) {
            Some(snapshot) => known.extend(snapshot.names("", MANY).into_iter().filter_map(|row| row.name)),
            None => known.extend(some_names(self.reached.aws.as_ref()).await),
        }
        nearest::some(&self.wanted.name, known)
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

    /// What stands before a slash may have been meant as a profile.
    async fn profile_meant(&self) -> Option<String> {
        let (before, _) = self.wanted.name.split_once('/')?;
        let profiles = self.ctx.profiles().await.ok()?;
        let names = profiles.names().into_iter().map(ToOwned::to_owned);
        let near = words::did_you_mean(&nearest::some(before, names));
        Some(match near {
            Some(near) => format!("no AWS profile is called `{before}`; {near}"),
            None => format!("no AWS profile is called `{before}`, so it was taken for a part of the name"),
        })
    }
}
