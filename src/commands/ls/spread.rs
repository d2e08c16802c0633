//! Over which scopes a listing spreads, how each is reached, and what is said of those that are not.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::aws::credentials::plan::{Base, Plan, Surroundings};
use crate::aws::profiles::Profiles;
use crate::aws::{ProfileChoice, regions};
use crate::commands::context::Context;
use crate::commands::error::{CommandError, Kind};
use crate::commands::nodes::Breadth;
use crate::commands::reach::Asking;
use crate::commands::side_by_side::side_by_side;
use crate::commands::targets::scope::{self, Reached};
use crate::ids::{AccountId, Region, Scope};
use crate::inventory::lookup::LookupError;

/// Where to look beyond the scope at hand.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct SpreadArgs {
    /// By each of these profiles, with commas between
    #[arg(
        long,
        value_name = "PROFILES",
        value_delimiter = ',',
        conflicts_with = "all_profiles"
    )]
    profiles: Vec<String>,

    /// In every account that a profile leads to without asking anybody
    #[arg(short = 'A', long)]
    all_profiles: bool,

    /// In every region that the account may use
    #[arg(long)]
    all_regions: bool,
}

/// A scope to list.
pub(super) struct Place {
    pub(super) reached: Reached,
    /// One of all regions: not every account may use every one.
    pub(super) may_be_shut: bool,
}

/// What cannot be listed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) profile: Option<String>,
    pub(super) account: Option<AccountId>,
    pub(super) region: Option<Region>,
    pub(super) error: CommandError,
}

/// The scopes that are reached, and why others are not.
pub(super) struct Spread {
    pub(super) places: Vec<Place>,
    pub(super) failures: Vec<Failure>,
}

impl Failure {
    pub(super) fn at(place: &Place, error: CommandError) -> Self {
        let Reached { aws, scope } = &place.reached;
        Self {
            profile: aws.profile().map(ToOwned::to_owned),
            account: Some(scope.account.clone()),
            region: Some(scope.region.clone()),
            error,
        }
    }

    fn of_profile(profile: &str, error: CommandError) -> Self {
        Self {
            profile: Some(profile.to_owned()),
            account: None,
            region: None,
            error,
        }
    }
}

impl SpreadArgs {
    /// Whether more than the scope at hand is asked for.
    pub(super) fn is_wide(&self) -> bool {
        self.all_profiles || self.all_regions || !self.profiles.is_empty()
    }

    /// What tells the rows apart.
    pub(super) fn breadth(&self) -> Breadth {
        match (self.all_profiles || !self.profiles.is_empty(), self.all_regions) {
            (true, _) => Breadth::Accounts,
            (false, true) => Breadth::Regions,
            (false, false) => Breadth::OneScope,
        }
    }

    /// Reaches the scopes.
    ///
    /// # Errors
    /// When the words contradict each other, and when no scope at all is reached.
    pub(super) async fn find(&self, ctx: &Context) -> Result<Spread, CommandError> {
        let globals = ctx.globals();
        if let (Some(profile), Breadth::Accounts) = (&globals.profile, self.breadth()) {
            return Err(CommandError::usage(format!(
                "`--profile {profile}` and several profiles contradict each other"
            ))
            .hint("leave one out"));
        }
        if let (Some(region), true) = (&globals.region, self.all_regions) {
            return Err(CommandError::usage(format!(
                "`--region {region}` and `--all-regions` contradict each other"
            ))
            .hint("leave one out"));
        }
        let (reached, failures) = if self.all_profiles {
            let all = all_profiles(ctx);
            ctx.ui().progress("looking where the profiles lead", all).await?
        } else if self.profiles.is_empty() {
            (vec![scope::here(ctx).await?], Vec::new())
        } else {
            named(ctx, &self.profiles).await
        };
        let mut spread = Spread {
            places: Vec::new(),
            failures,
        };
        for reached in reached {
            let here = reached.scope.region.clone();
            if self.all_regions {
                let scope = &reached.scope;
                let doing = format!("looking which regions {} may use", scope.account);
                let found = ctx.ui().progress(&doing, reached.aws.regions()).await;
                match found {
                    Ok(regions) => spread.add(&reached, &here, regions),
                    Err(error) if error.is_denied() => {
                        tracing::info!(%error, "which regions there are is not told; all known ones are tried");
                        spread.add(&reached, &here, regions::known(&scope.partition));
                    }
                    Err(error) => {
                        let failure = CommandError::aws(
                            format!("cannot tell which regions {} may use", scope.account),
                            &error,
                        );
                        let place = Place {
                            reached,
                            may_be_shut: false,
                        };
                        spread.failures.push(Failure::at(&place, failure));
                    }
                }
            } else {
                spread.add(&reached, &here, Vec::new());
            }
        }
        match spread.places.is_empty() {
            true => Err(nothing(spread.failures)),
            false => Ok(spread),
        }
    }
}

impl Spread {
    /// Adds an account's own region, then its others.
    fn add(&mut self, reached: &Reached, here: &Region, others: Vec<Region>) {
        let many = !others.is_empty();
        self.places.push(Place {
            reached: reached.clone(),
            may_be_shut: many,
        });
        for region in others.into_iter().filter(|region| region != here) {
            let scope = Scope {
                partition: reached.scope.partition.clone(),
                account: reached.scope.account.clone(),
                region: region.clone(),
            };
            self.places.push(Place {
                reached: Reached {
                    aws: Arc::new(reached.aws.in_region(region)),
                    scope,
                },
                may_be_shut: true,
            });
        }
    }
}

/// By the profiles that somebody named. They are reached one after the other: each may ask for a code.
async fn named(ctx: &Context, names: &[String]) -> (Vec<Reached>, Vec<Failure>) {
    let (mut reached, mut failures): (Vec<Reached>, Vec<Failure>) = (Vec::new(), Vec::new());
    for name in names {
        match scope::by_profile(ctx, name, Asking::Allowed).await {
            Ok(one) if reached.iter().any(|known| known.scope == one.scope) => {}
            Ok(one) => reached.push(one),
            Err(error) => failures.push(Failure::of_profile(name, error)),
        }
    }
    (reached, failures)
}

/// One way into each account that profiles lead to.
async fn all_profiles(ctx: &Context) -> Result<(Vec<Reached>, Vec<Failure>), CommandError> {
    let profiles = ctx.profiles().await?;
    let usual = scope::profile_here(ctx)?;
    let usual = usual.as_ref().map_or("default", ProfileChoice::name);
    let sections = &ctx.config()?.profiles;
    let mut names: Vec<&str> = profiles
        .names()
        .into_iter()
        .filter(|name| leads(profiles, name))
        .collect();
    if names.is_empty() {
        return Ok((vec![scope::here(ctx).await?], Vec::new()));
    }
    // Of several that lead to one account: the usual one, else one that the config has something to say of.
    names.sort_by_key(|name| (*name != usual, !sections.contains_key(*name)));
    let pin = |name: &str| sections.get(name).and_then(|section| section.account.clone());
    let ways = grouped(names.into_iter().map(|name| {
        let told = pin(name).or_else(|| told_account(profiles, name));
        (told, name)
    }));
    let tried = side_by_side(&ways, |names| first_that_leads(ctx, names)).await;
    Ok(one_each(tried))
}

/// Whether a profile says anything of credentials. Others hold settings for their like, and would be answered for
/// by the machine's own role. One that contradicts itself counts: somebody should hear of it.
fn leads(profiles: &Profiles, name: &str) -> bool {
    let choice = ProfileChoice::Explicit(name.to_owned());
    let plan = Plan::make(profiles, Some(&choice), &Surroundings::default());
    plan.is_err() || plan.is_ok_and(|plan| plan.base != Base::Surroundings)
}

/// The account, where AWS's files tell for certain.
fn told_account(profiles: &Profiles, name: &str) -> Option<AccountId> {
    let choice = ProfileChoice::Explicit(name.to_owned());
    let plan = Plan::make(profiles, Some(&choice), &Surroundings::default()).ok()?;
    plan.account()?.parse().ok()
}

/// The profiles of each account, in order; one of which nobody knows the account stands alone.
fn grouped<'a>(told: impl Iterator<Item = (Option<AccountId>, &'a str)>) -> Vec<Vec<&'a str>> {
    let mut groups: Vec<(Option<AccountId>, Vec<&str>)> = Vec::new();
    for (account, name) in told {
        let known = groups
            .iter_mut()
            .find(|(known, _)| account.is_some() && *known == account);
        match known {
            Some((_, names)) => names.push(name),
            None => groups.push((account, vec![name])),
        }
    }
    groups.into_iter().map(|(_, names)| names).collect()
}

/// The first profile that works; of none that does, the first one's failure.
async fn first_that_leads(ctx: &Context, names: &[&str]) -> Result<Reached, Failure> {
    let mut failure = None;
    for name in names {
        match scope::by_profile(ctx, name, Asking::Never).await {
            Ok(reached) => return Ok(reached),
            Err(error) => {
                failure.get_or_insert(Failure::of_profile(name, error));
            }
        }
    }
    Err(failure.unwrap_or_else(|| Failure::of_profile("", CommandError::failed("no profile leads there"))))
}

/// Each account once.
fn one_each(tried: Vec<Result<Reached, Failure>>) -> (Vec<Reached>, Vec<Failure>) {
    let mut accounts = BTreeSet::new();
    let (mut reached, mut failures) = (Vec::new(), Vec::new());
    for outcome in tried {
        match outcome {
            Ok(one) if accounts.insert(one.scope.account.clone()) => reached.push(one),
            Ok(_) => {}
            Err(failure) => failures.push(failure),
        }
    }
    (reached, failures)
}

/// Whether a region answers as one does that the account has not switched on, or that a policy closes.
pub(super) fn is_shut(error: &LookupError) -> bool {
    use crate::aws::error::{ErrorKind, ServiceError};
    let says_no = |error: &ServiceError| {
        error.is_denied() || (error.kind == ErrorKind::Credentials && error.code.is_some())
    };
    match error {
        LookupError::Failed(error) => says_no(error),
        LookupError::BothMissing { ec2, ssm } => says_no(ec2) && says_no(ssm),
    }
}

/// Regions that are shut are passed over, unless all of an account are: then its own one tells why.
pub(super) fn wholly_shut(shut: Vec<Failure>, places: &[Place]) -> Vec<Failure> {
    let of = |account: &AccountId| {
        let all = places
            .iter()
            .filter(|place| place.reached.scope.account == *account);
        let closed = shut
            .iter()
            .filter(|failure| failure.account.as_ref() == Some(account));
        all.count() == closed.count()
    };
    let mut told = BTreeSet::new();
    let whole: Vec<bool> = shut
        .iter()
        .map(|failure| {
            let account = failure.account.as_ref();
            account.is_some_and(|account| of(account) && told.insert(account.clone()))
        })
        .collect();
    let shut = shut.into_iter().zip(whole);
    shut.filter_map(|(failure, whole)| {
        if !whole {
            tracing::info!(region = ?failure.region, "passed over: {}", failure.error.summary());
        }
        whole.then_some(failure)
    })
    .collect()
}

/// Nothing at all could be listed.
pub(super) fn nothing(mut failures: Vec<Failure>) -> CommandError {
    if failures.is_empty() {
        return CommandError::failed("there is no scope to list");
    }
    let first = failures.remove(0).error;
    let others = failures.iter().map(|failure| failure.error.summary());
    others.fold(first, CommandError::because)
}

/// Some could not be listed; the others were.
pub(super) fn in_part(failures: &[Failure], listed: usize) -> CommandError {
    let all = listed + failures.len();
    let failure = CommandError::new(
        Kind::Failed,
        format!(
            "the listing is not whole: {} of {all} scopes could not be listed",
            failures.len()
        ),
    );
    let summaries = failures.iter().map(|failure| failure.error.summary());
    let failure = summaries.fold(failure, CommandError::because);
    let mut hints: Vec<&String> = failures
        .iter()
        .flat_map(|failure| failure.error.hints())
        .collect();
    hints.dedup();
    hints.into_iter().fold(failure, CommandError::hint)
}
