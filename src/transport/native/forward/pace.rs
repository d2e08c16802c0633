//! The person's own limit of speed: one for all sessions of a forward.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So much time's worth may be sent at once.
const BURST: Duration = Duration::from_millis(50);
/// A message is not made smaller than this for it.
const SMALLEST: usize = 1024;

/// Lets so many bytes a second pass, whichever session sends them; all of them without a limit.
#[derive(Debug, Default)]
pub struct Rate {
    limit: Option<f64>,
    /// Until when what was sent has used it up.
    paid_until: Mutex<Option<Instant>>,
}

impl Rate {
    /// So many bytes a second.
    pub fn new(limit: Option<usize>) -> Self {
        Self {
            limit: limit.map(|limit| limit.max(1) as f64),
            paid_until: Mutex::default(),
        }
    }

    /// So many bytes were sent, beside all that was before: when may whoever sent them send again?
    fn pay(&self, now: Instant, bytes: usize) -> Option<Instant> {
        let time = Duration::from_secs_f64(bytes as f64 / self.limit?);
        let mut paid_until = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
        let until = paid_until.map_or(now, |until| until.max(now)) + time;
        *paid_until = Some(until);
        until.checked_sub(BURST)
    }
}

/// What one session has of it. Sessions that send together take turns, for the next message of each waits until those
/// of the others before it are paid for.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Arc<Rate>,
    turn: Option<Instant>,
}

impl Pace {
    /// It begins behind those that send already.
    pub(super) fn new(rate: &Arc<Rate>, now: Instant) -> Self {
        Self {
            rate: Arc::clone(rate),
            turn: rate.pay(now, 0),
        }
    }

    /// When more may be sent, if not now.
    pub(super) fn wait(&self, now: Instant) -> Option<Instant> {
        self.turn.filter(|turn| *turn > now)
    }

    /// How many bytes one message may have, so that the others' turns come soon.
    pub(super) fn most(&self) -> usize {
        let burst = self.rate.limit.map(|limit| limit * BURST.as_secs_f64());
        burst.map_or(usize::MAX, |burst| (burst as usize).max(SMALLEST))
    }

    /// So many bytes were sent.
    pub(super) fn spend(&mut self, now: Instant, bytes: usize) {
        self.turn = self.rate.pay(now, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each of them sends within that time, when each sends whenever it may.
    fn sent(rate: &Arc<Rate>, from: Instant, time: Duration, messages: &[usize]) -> Vec<usize> {
        let mut paces: Vec<Pace> = messages.iter().map(|_| Pace::new(rate, from)).collect();
        let mut sent = vec![0; messages.len()];
        let mut now = from;
        while now < from + time {
            for ((pace, sent), bytes) in paces.iter_mut().zip(&mut sent).zip(messages) {
                if pace.wait(now).is_none() {
                    pace.spend(now, *bytes);
                    *sent += bytes;
                }
            }
            let next = paces.iter().filter_map(|pace| pace.wait(now)).min();
            now = next.unwrap_or(now);
        }
        sent
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_second_carries_the_rate_and_a_burst() {
        let begin = Instant::now();
        let sent = sent(&Arc::new(Rate::new(Some(1_000_000))), begin, SECOND, &[1000]);
        assert!((1_000_000..1_060_000).contains(&sent[0]), "{sent:?}");
        let mut free = Pace::new(&Arc::default(), begin);
        free.spend(begin, usize::MAX);
        assert_eq!((free.wait(begin), free.most()), (None, usize::MAX));
    }

    #[test]
    fn several_sessions_share_it_and_take_turns() {
        let begin = Instant::now();
        let rate = Arc::new(Rate::new(Some(1_000_000)));
        let first = sent(&rate, begin, SECOND, &[1000; 4]);
        let all: usize = first.iter().sum();
        assert!((1_000_000..1_060_000).contains(&all), "{first:?}");
        let shares = (first.iter().min().unwrap(), first.iter().max().unwrap());
        assert!(shares.1 - shares.0 <= 1000, "{first:?}");
        // Who comes to it later has no second helping.
        let later: usize = sent(&rate, begin + SECOND, SECOND, &[1000; 4]).iter().sum();
        assert!(later <= 1_010_000, "{later}");
    }

    #[test]
    fn a_message_takes_no_longer_than_a_burst() {
        let most = |limit| Pace::new(&Arc::new(Rate::new(Some(limit))), Instant::now()).most();
        assert_eq!((most(100_000), most(1)), (5000, SMALLEST));
    }
}
