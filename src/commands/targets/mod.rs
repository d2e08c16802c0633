//! From the words of the command line to one node in a scope that is reached: `ctx.resolve(…)`, the same for
//! all commands.

mod absent;
mod gate;
mod names;
mod picking;
pub mod scope;
mod search;
pub mod words;

use std::sync::Arc;

use crate::aws::Aws;
use crate::aws::session::ConnectionStatus;
use crate::commands::context::Context;
use crate::commands::error::{CommandError, Kind};
use crate::config::schema::{Profile, Target};
use crate::config::{Config, Demands};
use crate::ids::{AccountId, NodeId, Region, Scope};
use crate::inventory::node::{AgentState, Node};
use crate::resolve::order::{Pick, Standing, standing};
use crate::resolve::{Via, Wanted, read};
use crate::transport::plan::Gate;
use names::{Known, named_target};
pub use scope::Reached;
use search::Search;

/// Choosing one of several on purpose.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct PickArgs {
    /// Where several nodes fit, take the one launched last
    #[arg(long, conflicts_with_all = ["oldest", "any"])]
    pub newest: bool,

    /// Where several nodes fit, take the one launched first
    #[arg(long, conflicts_with = "any")]
    pub oldest: bool,

    /// Where several nodes fit, take any that is online
    #[arg(long)]
    pub any: bool,
}

impl PickArgs {
    /// The flag that was given, without its dashes; the config's `pick` has the same words.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self { newest: true, .. } => Some("newest"),
            Self { oldest: true, .. } => Some("oldest"),
            Self { any: true, .. } => Some("any"),
            _ => None,
        }
    }

    fn pick(self) -> Option<Pick> {
        match self {
            Self { newest: true, .. } => Some(Pick::Newest),
            Self { oldest: true, .. } => Some(Pick::Oldest),
            Self { any: true, .. } => Some(Pick::Any),
            _ => None,
        }
    }
}

/// What the node is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A session that takes a person's input, and can hold it until a look-up agrees: the short way is open.
    Interactive,
    /// A session that acts by itself: the name is looked up first.
    Unattended,
    /// Nothing but to know it: whether it can be reached does not matter.
    Inspect,
    /// Finding out what is wrong with it: a given id is taken as it is, without a look-up that may be what is wrong.
    Diagnose,
}

/// How sure it is that the name means this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// The person or the config gave the id.
    Given,
    /// The name comes from the snapshot; the gate tells whether it still holds.
    Remembered,
    /// It was looked up just now.
    LookedUp,
}

/// One node in one scope.
pub struct Resolved {
    /// What is known of it; of a given id perhaps nothing else.
    pub node: Node,
    /// The way to its scope.
    pub aws: Arc<Aws>,
    /// Its scope.
    pub scope: Scope,
    /// By which kind of name it was found.
    pub via: Via,
    /// What is asked of the person before a session.
    pub demands: Demands,
    /// How sure that is.
    pub freshness: Freshness,
    /// Hand it to the session: input waits for it.
    pub gate: Option<Gate>,
    wanted: Wanted,
    pick: PickArgs,
}

impl Resolved {
    /// The node's name, else its id, escaped for the screen.
    pub fn label(&self) -> String {
        words::label(&self.node)
    }

    /// The named target of the config that it was found by.
    pub fn target(&self) -> Option<&str> {
        match &self.via {
            Via::Target { target, .. } => Some(target),
            _ => None,
        }
    }

    /// What the config says of it: the named target that it was found by, and its profile's section.
    pub fn sections<'a>(&self, config: &'a Config) -> (Option<&'a Target>, Option<&'a Profile>) {
        let target = self.target().and_then(|target| config.targets.get(target));
        let section = self
            .aws
            .profile()
            .and_then(|profile| config.profiles.get(profile));
        (target, section)
    }

    /// Whether a named target may mean this node in this scope.
    pub fn fits(&self, config: &Config, target: &Target) -> bool {
        let profile = target.profile.as_deref();
        let pin = profile.and_then(|profile| config.profiles.get(profile)?.account.as_ref());
        let same = |account: Option<&AccountId>| account.is_none_or(|account| *account == self.scope.account);
        let account_known = target.account.is_some() || pin.is_some();
        same(target.account.as_ref())
            && same(pin)
            && (account_known || profile.is_none() || profile == self.aws.profile())
            && target
                .region
                .as_ref()
                .is_none_or(|region| *region == self.scope.region)
            && named_target(target).query.matches(&self.node)
    }
}

impl Context {
    /// Finds the one node that is meant. `words`: an id, `PROFILE/NAME`, an alias, a named target, a selector or
    /// a Name; without any, a person chooses.
    ///
    /// # Errors
    /// When the words mean nothing or several things, when the scope cannot be reached, and, for a session, when
    /// the node cannot be.
    pub async fn resolve(
        &self,
        words: Option<&str>,
        pick: PickArgs,
        purpose: Purpose,
    ) -> Result<Resolved, CommandError> {
        match words {
            Some(words) => self.resolve_in(words, None, pick, purpose).await,
            None => search::choose_from_all(self, pick, purpose).await,
        }
    }

    /// The same in a region, where the words' target names none itself.
    ///
    /// # Errors
    /// As for [`Context::resolve`].
    pub async fn resolve_in(
        &self,
        words: &str,
        region: Option<&Region>,
        pick: PickArgs,
        purpose: Purpose,
    ) -> Result<Resolved, CommandError> {
        let config = self.config()?;
        let profiles = match words.contains('/') {
            true => Some(self.profiles().await?),
            false => None,
        };
        let wanted = read(words, &Known { config, profiles }).map_err(words::unreadable)?;
        let reached = scope::reach(self, wanted.profile.as_deref(), wanted.target.as_ref(), region).await?;
        Search::new(self, reached, wanted, pick, purpose)?.run().await
    }

    /// Looks the same words up anew: a remembered id was refused (TargetNotConnected, AccessDenied), or the gate
    /// disagreed.
    ///
    /// # Errors
    /// As for [`Context::resolve`]; of a given id it is told what is wrong with the node.
    pub async fn resolve_fresh(&self, old: &Resolved, purpose: Purpose) -> Result<Resolved, CommandError> {
        let reached = Reached {
            aws: Arc::clone(&old.aws),
            scope: old.scope.clone(),
        };
        Search::new(self, reached, old.wanted.clone(), old.pick, purpose)?
            .looked_up()
            .await
    }
}

/// Whether a session to the last candidate has a chance. What EC2 says of a state is so; pings lag, so there
/// GetConnectionStatus decides, and where that is denied, StartSession will.
async fn check_reachable(aws: &Aws, scope: &Scope, node: &mut Node) -> Result<(), CommandError> {
    let reason = match standing(node) {
        Standing::Ready | Standing::Unknown => return Ok(()),
        Standing::Down(reason) => reason,
        Standing::Doubtful(reason) => match aws.connection_status(&node.id).await {
            Ok(ConnectionStatus::Connected) => {
                node.agent = AgentState::Online;
                return Ok(());
            }
            Ok(ConnectionStatus::NotConnected) => reason,
            Err(error) => {
                tracing::debug!(%error, "the connection's status is not known");
                return Ok(());
            }
        },
    };
    Err(CommandError::new(
        Kind::Refused,
        format!(
            "{} in {scope} cannot be reached: {}",
            words::label_and_id(node),
            reason.as_str()
        ),
    )
    .hint(words::remedy(reason, &node.id)))
}

/// An id as the only thing known.
fn bare(id: &NodeId) -> Node {
    Node::new(id.clone())
}
