//! `ssmx` alone: the picker for who has a config, help and the first two steps for who has none.

use super::context::Context;
use super::error::{CommandError, Exit};
use super::{connect, help};
use crate::aws::env::has_keys;
use crate::aws::sections::Sections;
use crate::ui::Presence;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// A person with a config: they choose a node and are connected.
    Choose,
    /// Anybody else.
    Help,
}

/// Whether a person is there, and has a config.
pub fn begin(ctx: &Context) -> Start {
    let places = ctx.places();
    let user = places.user_file.as_ref().is_some_and(|file| file.path().exists());
    let configured = user || places.system_file.exists();
    match (ctx.ui().presence(), ctx.ui().data_size(), configured) {
        (Presence::Person, Some(_), true) => Start::Choose,
        _ => Start::Help,
    }
}

/// Lets a person choose, and connects.
///
/// # Errors
/// Those of `ssmx connect`.
pub async fn choose(ctx: &Context) -> Result<Exit, CommandError> {
    connect::run(ctx, connect::Args::default()).await
}

/// Shows the help, and to a person without a config what to type next.
///
/// # Errors
/// When stdout cannot be written.
pub fn help(ctx: &Context, command: clap::Command) -> Result<Exit, CommandError> {
    let exit = help::run(ctx, &help::Args::default(), command)?;
    let user = ctx.places().user_file.as_ref();
    let is_new = user.is_some_and(|file| !file.path().exists());
    if is_new && ctx.ui().presence() == Presence::Person {
        for line in first_steps(has_keys() || Sections::load().names().next().is_some()) {
            ctx.ui().say(line);
        }
    }
    Ok(exit)
}

/// The next two commands; before them nothing has to be configured but AWS.
fn first_steps(has_credentials: bool) -> [&'static str; 3] {
    match has_credentials {
        true => [
            "\nNew here? No config is needed:",
            "  ssmx ls              the nodes of your AWS profile's account and region",
            "  ssmx connect NAME    a shell on one of them",
        ],
        false => [
            "\nNew here? AWS has no credentials on this machine yet:",
            "  aws configure sso    makes a profile (or `aws configure`, for access keys)",
            "  ssmx ls              shows the nodes that it leads to",
        ],
    }
}
