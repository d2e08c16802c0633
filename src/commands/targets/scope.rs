//! Which profile, which region, and whether the account is the right one.

use std::sync::Arc;

use crate::aws::profiles::Profiles;
use crate::aws::{Aws, Effort, ProfileChoice, env};
use crate::commands::context::Context;
use crate::commands::error::{CommandError, Kind};
use crate::commands::reach::Asking;
use crate::config::{Config, Loaded, Strength};
use crate::ids::{AccountId, Region, Scope};
use crate::resolve::NamedTarget;

/// A scope that is reached.
#[derive(Clone)]
pub struct Reached {
    /// The way there.
    pub aws: Arc<Aws>,
    /// Where that is.
    pub scope: Scope,
}

/// Reaches the scope of the flags, variables and config alone: what `ls` lists.
///
/// # Errors
/// As for [`reach`].
pub async fn here(ctx: &Context) -> Result<Reached, CommandError> {
    reach(ctx, None, None, None).await
}

/// Reaches the scope of a target. `profile` is that of `PROFILE/NAME`; `region` is wanted where the target names
/// none itself, as a preset does.
///
/// # Errors
/// When the profile does not exist or has no usable credentials, when there is no region, and when the account
/// is another than the config pins.
pub async fn reach(
    ctx: &Context,
    profile: Option<&str>,
    target: Option<&NamedTarget>,
    region: Option<&Region>,
) -> Result<Reached, CommandError> {
    let loaded = ctx.loaded()?;
    let flag = ctx.globals().profile.as_deref();
    if let (Some(flag), Some(typed)) = (flag, profile)
        && flag != typed
    {
        return Err(CommandError::usage(format!(
            "the profile is named twice: `--profile {flag}` and `{typed}/…`"
        )));
    }
    let choices = Choices {
        ctx,
        loaded,
        typed: profile,
        target,
        region,
    };
    let aws = choices.aws().await?;
    arrive(ctx, aws, target).await
}

/// Reaches the scope of a profile, whatever else is chosen.
///
/// # Errors
/// As for [`reach`].
pub async fn by_profile(ctx: &Context, profile: &str, asking: Asking) -> Result<Reached, CommandError> {
    let choice = ProfileChoice::Explicit(profile.to_owned());
    let choices = choices_here(ctx)?;
    let region = choices.region(ctx.profiles().await?, Some(&choice), Rank::Named)?;
    let aws = match asking {
        Asking::Allowed => ctx.aws(Some(choice), region).await?,
        Asking::Never => ctx.aws_unasked(Some(choice), region, Effort::Any).await?,
    };
    arrive(ctx, aws, None).await
}

/// Reaches the scope of the flags, variables and config where credentials are at hand: for work that nobody waits
/// for.
///
/// # Errors
/// As for [`reach`], and where somebody or something would have to be asked for credentials.
pub async fn here_at_hand(ctx: &Context) -> Result<Reached, CommandError> {
    let choices = choices_here(ctx)?;
    let (choice, strength) = choices.usual();
    let rank = match strength {
        None | Some(Strength::Default) => Rank::Default,
        Some(_) => Rank::Named,
    };
    let region = choices.region(ctx.profiles().await?, choice.as_ref(), rank)?;
    let aws = ctx.aws_unasked(choice, region, Effort::AtHand).await?;
    arrive(ctx, aws, None).await
}

/// Arrives, and remembers who leads there.
async fn arrive(ctx: &Context, aws: Arc<Aws>, target: Option<&NamedTarget>) -> Result<Reached, CommandError> {
    let reached = locate(ctx, aws, target).await?;
    let Reached { aws, scope } = &reached;
    // A hint for completions; it can be done without.
    if let Err(error) = ctx.snapshots().reach().remember(aws.profile(), scope) {
        tracing::debug!(%error, "which scope the profile reaches is not remembered");
    }
    Ok(reached)
}

/// Learns the account, and holds it against the pins.
async fn locate(ctx: &Context, aws: Arc<Aws>, target: Option<&NamedTarget>) -> Result<Reached, CommandError> {
    let scope = aws.scope().await.map_err(|error| {
        CommandError::aws(format!("cannot tell the account behind {}", way(&aws)), &error)
    })?;
    check_pins(&ctx.loaded()?.config, target, &aws, &scope)?;
    Ok(Reached { aws, scope })
}

/// The way to AWS by the flags, variables and config alone. Its account is not looked at, so no pin is checked:
/// for commands that start nothing.
///
/// # Errors
/// As for [`reach`], but for pins.
pub async fn way_here(ctx: &Context) -> Result<Arc<Aws>, CommandError> {
    choices_here(ctx)?.aws().await
}

/// The regions of every AWS profile: those of its section, else the one that flags, variables, the profile or the
/// config name; `None` leaves it to AWS's own defaults.
///
/// # Errors
/// With everything that is wrong with the config or AWS's files.
pub async fn of_all_profiles(ctx: &Context) -> Result<Vec<(String, Option<Region>)>, CommandError> {
    let choices = choices_here(ctx)?;
    let profiles = ctx.profiles().await?;
    let mut ways = Vec::new();
    for name in profiles.names() {
        let own = choices.loaded.config.profiles.get(name);
        let regions = own.map(|section| section.regions.as_slice()).unwrap_or_default();
        let is_said = ctx.globals().region.is_some();
        if regions.is_empty() || is_said {
            let choice = ProfileChoice::Explicit(name.to_owned());
            let region = choices.region(profiles, Some(&choice), Rank::Named)?;
            ways.push((name.to_owned(), region));
        } else {
            ways.extend(
                regions
                    .iter()
                    .map(|region| (name.to_owned(), Some(region.clone()))),
            );
        }
    }
    Ok(ways)
}

/// Reaches a scope of a profile where that takes no person: no login is offered, no code is asked for. It is a
/// look in passing, which completions do not remember.
///
/// # Errors
/// As for [`reach`].
pub async fn unasked(ctx: &Context, profile: &str, region: Option<Region>) -> Result<Reached, CommandError> {
    let choice = ProfileChoice::Explicit(profile.to_owned());
    let aws = ctx.aws_unasked(Some(choice), region, Effort::Any).await?;
    locate(ctx, aws, None).await
}

/// The profile that flags, variables and config choose; `None` leaves it to AWS's own default.
///
/// # Errors
/// With everything that is wrong with the config.
pub fn profile_here(ctx: &Context) -> Result<Option<ProfileChoice>, CommandError> {
    Ok(choices_here(ctx)?.usual().0)
}

fn choices_here(ctx: &Context) -> Result<Choices<'_>, CommandError> {
    Ok(Choices {
        ctx,
        loaded: ctx.loaded()?,
        typed: None,
        target: None,
        region: None,
    })
}

/// The section of `[profiles]` that holds: the profile's own. Where none was chosen it is AWS's default one,
/// unless keys in the environment come before it.
pub fn section(aws: &Aws) -> Option<&str> {
    aws.profile().or_else(|| (!env::has_keys()).then_some("default"))
}

/// How the credentials are spoken of.
pub fn way(aws: &Aws) -> String {
    match aws.profile() {
        Some(profile) => format!("profile `{profile}`"),
        None => "the default credentials".to_owned(),
    }
}

struct Choices<'a> {
    ctx: &'a Context,
    loaded: &'a Loaded,
    /// The profile of `PROFILE/NAME`.
    typed: Option<&'a str>,
    target: Option<&'a NamedTarget>,
    /// Where the target names none.
    region: Option<&'a Region>,
}

impl Choices<'_> {
    async fn aws(&self) -> Result<Arc<Aws>, CommandError> {
        let profiles = self.ctx.profiles().await?;
        if let Some(typed) = self.typed {
            return self.named(profiles, typed).await;
        }
        let (usual, strength) = self.usual();
        if strength == Some(Strength::Flag) {
            return self.by(profiles, usual, Rank::Named).await;
        }
        let rank = match strength {
            None | Some(Strength::Default) => Rank::Default,
            Some(_) => Rank::Named,
        };
        let Some(target) = self.target else {
            return self.by(profiles, usual, rank).await;
        };
        let pin = target.account.as_ref().or_else(|| {
            let profile = target.profile.as_ref()?;
            self.loaded.config.profiles.get(profile)?.account.as_ref()
        });
        // Keys in the environment that lead to the right account are used as they are.
        if let Some(pin) = pin
            && env::has_keys()
            && let Ok(aws) = self.by(profiles, None, Rank::Default).await
            && aws.scope().await.is_ok_and(|scope| scope.account == *pin)
        {
            return Ok(aws);
        }
        if let Some(profile) = &target.profile {
            return self.named(profiles, profile).await;
        }
        let Some(pin) = pin else {
            return self.by(profiles, usual, rank).await;
        };
        let name = usual.as_ref().map_or("default", ProfileChoice::name).to_owned();
        let leading = self.leading_to(profiles, pin);
        match leading.as_slice() {
            // The account of the usual profile may simply not be told; it is checked before a session.
            [] => self.by(profiles, usual, rank).await,
            [one] => self.named(profiles, one).await,
            several => {
                let usual_leads = match self.by(profiles, usual, rank).await {
                    Ok(aws) => aws
                        .scope()
                        .await
                        .is_ok_and(|scope| scope.account == *pin)
                        .then_some(aws),
                    Err(_) => None,
                };
                match usual_leads {
                    Some(aws) => Ok(aws),
                    None if several.contains(&name) => self.named(profiles, &name).await,
                    None => Err(CommandError::usage(format!(
                        "several profiles lead to account {pin}: {}",
                        several.join(", ")
                    ))
                    .hint("choose one with `--profile NAME` or `NAME/TARGET`")),
                }
            }
        }
    }

    /// What holds where a target says nothing more particular, and who said so.
    fn usual(&self) -> (Option<ProfileChoice>, Option<Strength>) {
        let Some(chosen) = self.loaded.profile(None, env::profile().as_deref()) else {
            return (None, None);
        };
        let choice = match chosen.strength {
            Strength::Flag | Strength::Own | Strength::Variable => ProfileChoice::Explicit(chosen.value),
            Strength::AwsVariable | Strength::Default => ProfileChoice::Ambient(chosen.value),
        };
        (Some(choice), Some(chosen.strength))
    }

    async fn named(&self, profiles: &Profiles, profile: &str) -> Result<Arc<Aws>, CommandError> {
        let choice = ProfileChoice::Explicit(profile.to_owned());
        self.by(profiles, Some(choice), Rank::Named).await
    }

    /// The profiles that lead to an account, by what config and AWS's files tell and by where they led before.
    /// It is a choice only: whether the account is the right one is checked afterwards.
    fn leading_to(&self, profiles: &Profiles, account: &AccountId) -> Vec<String> {
        let sections = &self.loaded.config.profiles;
        let reach = self.ctx.snapshots().reach();
        let told = |name: &str| {
            let pinned = sections.get(name).and_then(|section| section.account.as_ref());
            let led = || {
                let before = reach.of(Some(name), None);
                before.iter().any(|scope| scope.account == *account)
            };
            pinned == Some(account) || profiles.account(name) == Some(account.as_str()) || led()
        };
        let names = profiles.names().into_iter().filter(|name| told(name));
        names.map(ToOwned::to_owned).collect()
    }

    async fn by(
        &self,
        profiles: &Profiles,
        choice: Option<ProfileChoice>,
        rank: Rank,
    ) -> Result<Arc<Aws>, CommandError> {
        let region = self.region(profiles, choice.as_ref(), rank)?;
        self.ctx.aws(choice, region).await
    }

    /// The region; `None` leaves it to AWS's own defaults.
    fn region(
        &self,
        profiles: &Profiles,
        choice: Option<&ProfileChoice>,
        rank: Rank,
    ) -> Result<Option<Region>, CommandError> {
        let parse = |text: &str, from: &str| {
            text.parse::<Region>().map_err(|error| {
                CommandError::new(Kind::Credentials, format!("the region of {from} cannot be used"))
                    .because(error)
            })
        };
        let variable = env::region().map(|text| parse(&text, "the environment"));
        let own = self
            .target
            .and_then(|target| target.region.as_ref())
            .or(self.region);
        let chosen = self.loaded.region(own, variable.transpose()?.as_ref());
        // A profile that was named brings its region along; one that is a default stands beside [defaults].
        match chosen {
            Some(chosen) if chosen.strength != Strength::Default || rank == Rank::Default => {
                return Ok(Some(chosen.value));
            }
            _ => {}
        }
        let name = choice.map_or("default", ProfileChoice::name);
        let sections = &self.loaded.config.profiles;
        if let Some(first) = sections.get(name).and_then(|section| section.regions.first()) {
            return Ok(Some(first.clone()));
        }
        match profiles.value(name, "region") {
            Some(own) => Ok(Some(parse(own, &format!("profile `{name}`"))?)),
            None => Ok(chosen.map(|chosen| chosen.value)),
        }
    }
}

/// How a profile came to be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    /// Somebody named it.
    Named,
    /// Nobody did.
    Default,
}

fn check_pins(
    config: &Config,
    target: Option<&NamedTarget>,
    aws: &Aws,
    scope: &Scope,
) -> Result<(), CommandError> {
    let of_profile = section(aws).and_then(|profile| {
        let pin = config.profiles.get(profile)?.account.as_ref()?;
        Some((pin, format!("`[profiles.{profile}]`")))
    });
    let of_target = target.and_then(|target| {
        let whose = target.account.as_ref().map(|pin| (pin, "the target".to_owned()));
        whose.or_else(|| {
            let profile = target.profile.as_ref()?;
            let pin = config.profiles.get(profile)?.account.as_ref()?;
            Some((pin, format!("the target's profile `{profile}`")))
        })
    });
    for (pin, whose) in [of_profile, of_target].into_iter().flatten() {
        if *pin != scope.account {
            return Err(CommandError::new(
                Kind::Credentials,
                format!(
                    "the account behind {} is {}, and {whose} is pinned to account {pin}: nothing is started there",
                    way(aws),
                    scope.account
                ),
            )
            .hint("use a profile of that account, or correct the pin (`account = \"…\"`) in the config"));
        }
    }
    Ok(())
}
