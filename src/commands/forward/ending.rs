//! Why a process of forwards ends, and with what status.

use super::route;
use super::wish::Wish;
use crate::commands::context::Context;
use crate::commands::doctor;
use crate::commands::error::{CommandError, Exit, Kind};
use crate::commands::targets::PickArgs;

/// Why the process ends, other than that all its forwards have ended.
pub enum Ending {
    /// By a signal.
    Signal(i32),
    /// With the command's status.
    Command(Exit),
    /// Because somebody asked by the control socket.
    Asked,
    /// Because it could not begin.
    Failed(CommandError),
    /// The node of this forward is not connected to Session Manager.
    OutOfReach(Box<Wish>, CommandError),
}

impl Ending {
    /// The process's status; `begun` if all its forwards were ready before.
    ///
    /// # Errors
    /// With what to say, wherever that status is no success of the forwards or of the command.
    pub async fn outcome(self, ctx: &Context, pick: PickArgs, begun: bool) -> Result<Exit, CommandError> {
        match self {
            Self::Command(exit) => Ok(exit),
            Self::Asked if begun => Ok(Exit::SUCCESS),
            // Somebody waits for a forward that there will not be.
            Self::Asked => Err(CommandError::failed("the forward was ended before it was ready")),
            Self::Signal(signal) => Err(by_signal(signal)),
            Self::Failed(error) => Err(error),
            Self::OutOfReach(wish, error) => Err(explained(ctx, pick, &wish, error).await),
        }
    }
}

/// The failure, and why the node is out of reach where that can be told.
async fn explained(ctx: &Context, pick: PickArgs, wish: &Wish, failure: CommandError) -> CommandError {
    // The same that the session was to go through.
    match route::first_online(ctx, wish, pick).await {
        Ok(resolved) => doctor::explain(ctx, &resolved, failure).await,
        Err(_) => failure,
    }
}

/// Ended by a signal, Ctrl-C among them.
pub fn by_signal(signal: i32) -> CommandError {
    match signal {
        signal_hook::consts::SIGINT => CommandError::interrupted(),
        signal => CommandError::new(Kind::Signal(signal), ""),
    }
}
