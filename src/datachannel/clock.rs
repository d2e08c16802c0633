//! Time and randomness, which the logic below does not have.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::time::sleep;
use uuid::Uuid;

use crate::protocol::session::Stamp;

/// The wall clock ran ahead so far: the machine slept.
const SLEPT: Duration = Duration::from_secs(20);
/// A pause is looked after so often, so that it ends with a sleep of the machine.
const LOOK: Duration = Duration::from_secs(1);

/// Ids, dates and nonces for messages.
pub(super) struct Clock {
    /// Counts on from a random start: 96 bits that do not come twice in a session.
    nonce: u128,
}

impl Clock {
    pub(super) fn new() -> Self {
        // Two ids have 244 random bits; the lower 96 of this mixture are all random.
        let (one, two) = (Uuid::new_v4().as_u128(), Uuid::new_v4().as_u128());
        Self {
            nonce: one ^ two.rotate_left(64),
        }
    }
}

impl Stamp for Clock {
    fn id(&mut self) -> Uuid {
        Uuid::new_v4()
    }

    fn created(&mut self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(1).max(1)
    }

    fn nonce(&mut self) -> [u8; 12] {
        self.nonce = self.nonce.wrapping_add(1);
        let [_, _, _, _, nonce @ ..] = self.nonce.to_be_bytes();
        nonce
    }
}

/// Two clocks side by side: the monotonic one stands still while the machine sleeps.
pub(super) struct Clocks {
    monotonic: Instant,
    wall: SystemTime,
}

impl Clocks {
    pub(super) fn now() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// Whether the machine slept since the last look.
    pub(super) fn slept(&mut self) -> bool {
        let before = std::mem::replace(self, Self::now());
        let ran = self.monotonic.saturating_duration_since(before.monotonic);
        let passed = self.wall.duration_since(before.wall).unwrap_or_default();
        passed > ran + SLEPT
    }
}

/// Waits before another attempt, doubling from a quarter of a second, with jitter, so that many clients do not
/// return in step. A machine that wakes from a sleep does not wait: its network is back, or will say so.
pub(super) async fn pause(attempt: u32, longest: Duration) {
    let full = Duration::from_millis(250)
        .saturating_mul(1 << attempt.min(10))
        .min(longest);
    let jitter = f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
    let mut left = full.mul_f64(0.5 + jitter / 2.0);
    let mut clocks = Clocks::now();
    while !left.is_zero() && !clocks.slept() {
        let piece = left.min(LOOK);
        sleep(piece).await;
        left -= piece;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_ran_ahead_tells_of_a_sleep() {
        let mut clocks = Clocks::now();
        assert!(!clocks.slept());
        clocks.wall -= Duration::from_secs(3600);
        assert!(clocks.slept());
        assert!(!clocks.slept(), "told once");
    }

    #[test]
    fn nonces_do_not_come_twice() {
        let mut clock = Clock::new();
        let nonces: std::collections::HashSet<_> = (0..10_000).map(|_| clock.nonce()).collect();
        assert_eq!(nonces.len(), 10_000);
        assert_ne!(Clock::new().nonce(), Clock::new().nonce());
    }
}
