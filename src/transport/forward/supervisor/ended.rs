//! What follows the end of a session.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Supervisor;
use crate::ports::{Connection, Refusal};
use crate::transport::forward::policy::{History, SETTLED, Verdict, pause, verdict};
use crate::transport::forward::session::Ended;
use crate::transport::forward::{
    Dormancy, ForwardError, Freshness, Notice, Remedy, RouteError, Start, refusal,
};

impl Supervisor {
    /// A session has ended: what follows?
    pub(super) fn ended(
        &mut self,
        number: u64,
        ended: Ended,
        unserved: Vec<Connection>,
    ) -> Result<(), ForwardError> {
        let now = Instant::now();
        let Some(slot) = self.pool.remove(number) else {
            return Ok(());
        };
        // Those that it carried are closed; those that it did not come to carry go on waiting.
        for _ in unserved.len()..slot.riding {
            self.shared.counters.ended();
        }
        for connection in unserved.into_iter().rev() {
            self.queue.push_front((connection, now));
        }
        if let Some((session, _)) = &slot.session {
            self.notice(Notice::Down {
                session: session.clone(),
                sessions: self.pool.carrying(),
                left: self.pool.left(now),
            });
        }
        let settled = slot
            .ready
            .is_some_and(|since| now.saturating_duration_since(since) >= SETTLED);
        self.failures = if settled {
            0
        } else {
            self.failures.saturating_add(1)
        };
        let history = match &ended {
            // It was said to be there before its first session.
            Ended::NotRouted(RouteError {
                remedy: Remedy::Person,
                ..
            }) if self.shared.plan.start == Start::WithFirstConnection => History::Proven,
            _ => self.history,
        };
        match verdict(ended, slot.freshness, history) {
            Verdict::Nothing => {
                self.failures = 0;
                if self.pool.kept() == 0 && self.queue.is_empty() && self.may_open() {
                    self.notice(Notice::Dormant(Dormancy::Lazy));
                }
            }
            Verdict::Again { cause } => {
                // The first try after a failed look-up, or after a session that had lived, is at once.
                let at_once = settled || slot.freshness == Freshness::Remembered;
                let failures = if at_once { 0 } else { self.failures };
                self.freshness = Freshness::Fresh;
                self.again(cause, now, pause(failures, luck()));
            }
            Verdict::Sleep(why) => {
                if let Dormancy::Agent(words) = &why
                    && let Some(refusal) = refusal::of_words(words)
                {
                    // It would say the same of these.
                    self.refuse_queue(refusal);
                }
                // An agent that ends each session at once is not asked again by each connection.
                let hurries = matches!(why, Dormancy::Agent(_)) && !settled;
                if hurries || !self.queue.is_empty() {
                    self.attempt_at = Some(now + pause(self.failures, luck()));
                }
                self.asleep = true;
                if self.pool.live() == 0 {
                    self.notice(Notice::Dormant(why));
                }
            }
            Verdict::AskPerson(why) => {
                self.needs_person = true;
                // The others of a pool, or the one that is too old, carry on.
                if !self.pool.is_open() {
                    self.refuse_queue(Refusal::Failed);
                }
                self.notice(Notice::NeedsPerson(why));
            }
            // The others of a pool carry on, and no more are tried for a while.
            Verdict::Over(ForwardError::Start(error)) if self.pool.carrying() > 0 => {
                self.again(error.to_string(), now, pause(u32::MAX, luck()));
            }
            Verdict::Over(error) => return Err(error),
        }
        Ok(())
    }

    /// No other session is opened before that time is over, and then where one is wanted.
    fn again(&mut self, cause: String, now: Instant, after: Duration) {
        self.attempt_at = Some(now + after);
        let tries = match self.pool.live() {
            0 => self.is_wanted(),
            _ => !self.queue.is_empty() && !self.pool.takes_connections(),
        };
        self.trouble = tries.then(|| cause.clone());
        self.notice(if tries {
            Notice::Retrying { cause, after }
        } else if self.pool.live() > 0 {
            Notice::Fewer(cause)
        } else {
            Notice::Dormant(Dormancy::Lost(cause))
        });
    }
}

/// Between 0 and 1.
fn luck() -> f64 {
    f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}
