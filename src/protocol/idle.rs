//! How long nothing of ours went into a session, and when it is due a sign of use.

use std::time::{Duration, Instant};

/// The time since something of ours went.
#[derive(Debug, Default)]
pub(super) struct Idle {
    /// `None`: the service's own idle timeout holds.
    most: Option<Duration>,
    since: Option<Instant>,
}

impl Idle {
    /// After so long a sign of use is due.
    pub(super) fn at_most(&mut self, most: Duration) {
        self.most = Some(most);
    }

    /// Something of ours went, or the time begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// When a sign is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since?.checked_add(self.most?)
    }

    /// Whether one is due, in which case the time begins anew. It begins with the first question, too.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        if self.since.is_none() {
            self.begin(now);
        }
        let over = self.due().is_some_and(|at| at <= now);
        if over {
            self.begin(now);
        }
        over
    }
}
