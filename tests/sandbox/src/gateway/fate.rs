//! What becomes of a message on its way: lost, doubled, late, overtaken.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

use tokio::time::Instant;

use crate::fault::{Chance, Faults, Lossy};

/// An overtaken message is at most so late.
const LATE: Duration = Duration::from_millis(20);

/// The two kinds of messages that meet with faults. The gateway's own meet with none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// Stream data, with a sequence number.
    Sequenced,
    /// An acknowledgement.
    Acknowledgement,
    /// Anything else.
    Other,
}

impl Nature {
    /// By the type in a message's bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let name = bytes.get(4..36).unwrap_or_default();
        if name.starts_with(b"output_stream_data") || name.starts_with(b"input_stream_data") {
            Self::Sequenced
        } else if name.starts_with(b"acknowledge") {
            Self::Acknowledgement
        } else {
            Self::Other
        }
    }
}

/// Decides by chance.
pub(super) struct Fate {
    chance: Chance,
}

impl Fate {
    pub(super) fn new(seed: u64, direction: u64) -> Self {
        Self {
            chance: Chance::new(seed, direction),
        }
    }

    /// How late the copies of a message arrive: none when it is lost, two when it is doubled.
    pub(super) fn of(&mut self, nature: Nature, lossy: &Lossy, faults: &Faults) -> [Option<Duration>; 2] {
        let way = faults.one_way();
        match nature {
            Nature::Other => [Some(way), None],
            Nature::Acknowledgement if self.chance.happens(lossy.lose_acks) => [None, None],
            Nature::Acknowledgement => [Some(way + Duration::from_millis(lossy.delay_acks_ms)), None],
            Nature::Sequenced if self.chance.happens(lossy.lose) => [None, None],
            Nature::Sequenced => {
                let mut arrival = || {
                    if self.chance.happens(lossy.reorder) {
                        way + LATE.mul_f64(self.chance.unit())
                    } else {
                        way
                    }
                };
                let first = arrival();
                let again = arrival();
                [Some(first), self.chance.happens(lossy.repeat).then_some(again)]
            }
        }
    }
}

/// Messages on their way, each with the time of its arrival; those of the same time stay in order.
pub(super) struct Line<T> {
    heap: BinaryHeap<Due<T>>,
    count: u64,
}

struct Due<T> {
    at: Instant,
    number: u64,
    item: T,
}

impl<T> Due<T> {
    /// The heap gives its greatest first: the earliest.
    fn rank(&self) -> Reverse<(Instant, u64)> {
        Reverse((self.at, self.number))
    }
}

impl<T> PartialEq for Due<T> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl<T> Eq for Due<T> {}

impl<T> PartialOrd for Due<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Due<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl<T> Line<T> {
    pub(super) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            count: 0,
        }
    }

    pub(super) fn push(&mut self, at: Instant, item: T) {
        let number = self.count;
        self.heap.push(Due { at, number, item });
        self.count += 1;
    }

    /// The next that has arrived by `now`.
    pub(super) fn pop(&mut self, now: Instant) -> Option<T> {
        if self.next()? > now {
            return None;
        }
        Some(self.heap.pop()?.item)
    }

    /// When the next one arrives.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|due| due.at)
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_order_but_for_those_that_are_late() {
        let start = Instant::now();
        let mut line = Line::new();
        line.push(start + Duration::from_millis(5), "late");
        line.push(start, "a");
        line.push(start, "b");
        assert_eq!(line.next(), Some(start));
        assert_eq!(line.pop(start), Some("a"));
        assert_eq!(line.pop(start), Some("b"));
        assert_eq!(line.pop(start), None);
        assert_eq!(line.pop(start + Duration::from_millis(5)), Some("late"));
        assert_eq!(line.len(), 0);
    }

    #[test]
    fn without_faults_everything_comes_once_and_at_once() {
        let mut fate = Fate::new(1, 0);
        let faults = Faults::default();
        for nature in [Nature::Sequenced, Nature::Acknowledgement, Nature::Other] {
            assert_eq!(
                fate.of(nature, &Lossy::default(), &faults),
                [Some(Duration::ZERO), None]
            );
        }
    }

    #[test]
    fn shares_are_kept_and_the_gateway_s_own_words_are_spared() {
        let lossy = Lossy {
            lose: 0.2,
            repeat: 0.5,
            lose_acks: 1.0,
            ..Lossy::default()
        };
        let faults = Faults::default();
        let mut fate = Fate::new(7, 0);
        let fates: Vec<_> = (0..1000)
            .map(|_| fate.of(Nature::Sequenced, &lossy, &faults))
            .collect();
        let lost = fates.iter().filter(|fate| fate[0].is_none()).count();
        let doubled = fates.iter().filter(|fate| fate[1].is_some()).count();
        assert!((150..250).contains(&lost), "{lost}");
        assert!((330..470).contains(&doubled), "{doubled}");
        assert_eq!(fate.of(Nature::Acknowledgement, &lossy, &faults), [None, None]);
        assert!(fate.of(Nature::Other, &lossy, &faults)[0].is_some());
    }
}
