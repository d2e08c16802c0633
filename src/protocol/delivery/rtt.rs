//! How long an acknowledgement may take before a message counts as lost.

use std::time::Duration;

/// Round-trip estimate with the constants of both Go peers (gains 1/8 and 1/4, start at 100 ms, cap 1 s).
/// Samples must come from messages that were sent once (Karn's rule); the peers ignore that, and learn from
/// acknowledgements of the wrong copy.
#[derive(Debug, Clone)]
pub struct RoundTrip {
    mean: Duration,
    variation: Duration,
    measured: bool,
}

const INITIAL: Duration = Duration::from_millis(100);
const INITIAL_TIMEOUT: Duration = Duration::from_millis(200);
const LEAST_MARGIN: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(1);

impl Default for RoundTrip {
    fn default() -> Self {
        Self {
            mean: INITIAL,
            variation: Duration::ZERO,
            measured: false,
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
    }

    /// The retransmission timeout of a message that was sent `attempts` times before: doubled each time, so
    /// that a slow path is not flooded, up to 8 s.
    pub fn timeout(&self, attempts: u32) -> Duration {
        let base = if self.measured {
            (self.mean + (self.variation * 4).max(LEAST_MARGIN)).min(LONGEST)
        } else {
            INITIAL_TIMEOUT
        };
        base * (1 << attempts.min(3))
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
            rtt.sample(Duration::from_secs(5));
        }
        assert_eq!(rtt.timeout(0), Duration::from_secs(1));
        assert_eq!(rtt.timeout(9), Duration::from_secs(8));
    }
}
