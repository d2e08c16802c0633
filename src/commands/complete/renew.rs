//! `refresh = "background"`: a TAB that met an old snapshot starts a renewal, and does not wait for it.

use std::process::{Command, Stdio};

use jiff::{SignedDuration, Timestamp};

use super::world::World;
use crate::config::values::Refresh;

/// A snapshot that is younger is good enough.
const OLD: SignedDuration = SignedDuration::from_mins(10);
/// Between two tries for a scope, however they end.
const PAUSE: SignedDuration = SignedDuration::from_mins(5);

/// Starts a renewal of the scope that was asked about, where one is due. Whatever fails is silent.
pub(super) fn renew_if_due(world: &World) {
    let Some(met) = world.met() else { return };
    if world.config().defaults.refresh != Refresh::Background {
        return;
    }
    let age = met.taken.map(|taken| Timestamp::now().duration_since(taken));
    if age.is_some_and(|age| age < OLD) {
        return;
    }
    let claimed = world
        .snapshots()
        .is_some_and(|snapshots| snapshots.claim_renewal(&met.scope, PAUSE).unwrap_or(false));
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    if !claimed {
        return;
    }
    let mut command = Command::new(program);
    command.args(["snapshot", "refresh", "--background", "--region"]);
    command.arg(met.scope.region.as_str());
    if let Some(profile) = &met.profile {
        command.args(["--profile", profile]);
    }
    // A group of its own: Ctrl-C at the prompt is not for it.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // It is nobody's child as soon as this process ends, which is now.
    drop(command.spawn());
}
