//! The person's own limit of speed.

use std::time::{Duration, Instant};

/// So much time's worth may be sent at once.
const BURST: Duration = Duration::from_millis(50);

/// Lets so many bytes a second pass; all of them without a limit.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Option<f64>,
    /// Until when what was sent has used up the rate.
    paid_until: Option<Instant>,
}

impl Pace {
    pub(super) fn new(rate: Option<usize>) -> Self {
        Self {
            rate: rate.map(|rate| rate.max(1) as f64),
            paid_until: None,
        }
    }

    /// When more may be sent, if not now.
    pub(super) fn wait(&self, now: Instant) -> Option<Instant> {
        let until = self.paid_until?.checked_sub(BURST)?;
        (until > now).then_some(until)
    }

    /// So many bytes were sent.
    pub(super) fn spend(&mut self, now: Instant, bytes: usize) {
        if let Some(rate) = self.rate {
            let from = self.paid_until.map_or(now, |until| until.max(now));
            self.paid_until = Some(from + Duration::from_secs_f64(bytes as f64 / rate));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_carries_the_rate_and_a_burst() {
        let begin = Instant::now();
        let mut pace = Pace::new(Some(1_000_000));
        let (mut now, mut sent) = (begin, 0);
        while now < begin + Duration::from_secs(1) {
            match pace.wait(now) {
                Some(at) => now = at,
                None => {
                    pace.spend(now, 1000);
                    sent += 1000;
                }
            }
        }
        assert!((1_000_000..1_060_000).contains(&sent), "{sent}");
        let mut free = Pace::new(None);
        free.spend(now, usize::MAX);
        assert_eq!(free.wait(now), None);
    }
}
