//! How long an acknowledgement may take before a message counts as lost.

use std::time::Duration;

/// Round-trip estimate with the constants of both Go peers (gains 1/8 and 1/4, start at 100 ms).
/// Samples must come from messages that were sent once (Karn's rule); the peers ignore that, and learn from
/// acknowledgements of the wrong copy. They also cap it at 1 s: a path that is full for longer than that is then
/// filled with repetitions.
#[derive(Debug, Clone)]
pub struct RoundTrip {
    mean: Duration,
    variation: Duration,
    measured: bool,
    /// How often the timeout was doubled since the last sample. Messages that are sent meanwhile wait as long as
    /// those that were repeated, or a path that has become slow would never give a sample again.
    doubled: u32,
}

const INITIAL: Duration = Duration::from_millis(100);
const INITIAL_TIMEOUT: Duration = Duration::from_millis(200);
const LEAST_MARGIN: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(8);
const MOST_ATTEMPTS: u32 = 3;
const MOST_DOUBLINGS: u32 = 6;

impl Default for RoundTrip {
    fn default() -> Self {
        Self {
            mean: INITIAL,
            variation: Duration::ZERO,
            measured: false,
            doubled: 0,
        }
    }
}

impl RoundTrip {
    /// Learns from an acknowledgement that took `sample`.
    pub fn sample(&mut self, sample: Duration) {
        let sample = sample.min(Duration::from_secs(60));
        self.variation = (self.variation * 3 + self.mean.abs_diff(sample)) / 4;
        self.mean = (self.mean * 7 + sample) / 8;
        self.measured = true;
        self.doubled = 0;
    }

    /// The timeout of a message that was sent `attempts` times before has passed, and nothing that was sent later
    /// was acknowledged.
    pub fn expired(&mut self, attempts: u32) {
        self.doubled = self.doubled.max(attempts.saturating_add(1));
    }

    /// The retransmission timeout of a message that was sent again `attempts` times: doubled each time, so that a
    /// slow path is not flooded, up to 8 s. It has to reach any round trip for messages that were sent once, of
    /// which alone can be learnt; what was repeated waits for no more than eight times the estimate.
    pub fn timeout(&self, attempts: u32) -> Duration {
        let base = if self.measured {
            self.mean + (self.variation * 4).max(LEAST_MARGIN)
        } else {
            INITIAL_TIMEOUT
        };
        let doublings = match attempts {
            0 => self.doubled.min(MOST_DOUBLINGS),
            attempts => attempts.min(MOST_ATTEMPTS),
        };
        (base * (1 << doublings)).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_at_200_ms_and_follows_the_path() {
        let mut rtt = RoundTrip::default();
        assert_eq!(rtt.timeout(0), Duration::from_millis(200));
        for _ in 0..100 {
            rtt.sample(Duration::from_millis(20));
        }
        assert!(rtt.timeout(0) < Duration::from_millis(45), "{:?}", rtt.timeout(0));
        for _ in 0..100 {
            rtt.sample(Duration::from_secs(3));
        }
        let timeout = rtt.timeout(0);
        assert!((3_000..3_100).contains(&timeout.as_millis()), "{timeout:?}");
        assert_eq!(rtt.timeout(9), Duration::from_secs(8));
    }

    #[test]
    fn a_path_that_has_become_slow_is_learnt_of_again() {
        let mut rtt = RoundTrip::default();
        for _ in 0..100 {
            rtt.sample(Duration::from_millis(20));
        }
        // It takes 150 ms now: a timeout that is doubled for every message lets one through unrepeated.
        let mut attempts = 0;
        while rtt.timeout(0) < Duration::from_millis(150) {
            rtt.expired(attempts);
            attempts += 1;
            assert!(attempts < 5);
        }
        rtt.sample(Duration::from_millis(150));
        assert!(
            rtt.timeout(0) > Duration::from_millis(150),
            "{:?}",
            rtt.timeout(0)
        );
    }
}
