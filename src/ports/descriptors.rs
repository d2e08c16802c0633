//! The descriptors of this process: enough of them, and some that no local program can take. Without one a session
//! cannot be reconnected, which is when they count.

use std::os::fd::{AsFd, AsRawFd as _};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept from connections.
const SPARE: u64 = 16;
/// Enough for everybody, and what macOS takes. Our children inherit it, and
/// there are programs that a million makes slow: they close all there may be.
const ENOUGH: u64 = 10_240;

/// Each may take one more than it looked for.
static WAITING: AtomicU64 = AtomicU64::new(0);

/// A listener that counts among those that wait for a connection.
#[derive(Debug)]
pub(super) struct Waiting(());

impl Waiting {
    pub(super) fn new() -> Self {
        WAITING.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Allows this process more than the few that a shell hands on for the sake of old programs.
pub(super) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let enough = maximum.map_or(ENOUGH, |maximum| maximum.min(ENOUGH));
    if current.is_some_and(|current| current < enough) {
        let raised = Rlimit {
            current: Some(enough),
            maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the limit of descriptors stays");
        }
    }
}

/// Whether a connection would take one of the last. `any` descriptor will do to find out.
pub(super) fn are_scarce(any: impl AsFd) -> bool {
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return false;
    };
    let spare = SPARE + WAITING.load(Ordering::Relaxed);
    // The system gives the lowest that is free.
    match rustix::io::fcntl_dupfd_cloexec(any, 0) {
        Ok(next) => {
            let next = u64::try_from(next.as_raw_fd()).unwrap_or(u64::MAX);
            next >= limit - spare.min(limit / 4)
        }
        Err(_) => true,
    }
}
