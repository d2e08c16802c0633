//! Places in what is written, each of which is passed when all before it is acknowledged.

use std::collections::VecDeque;

/// The places that were not passed yet, in order.
#[derive(Debug, Default)]
pub(super) struct Marks(VecDeque<Mark>);

#[derive(Debug)]
enum Mark {
    /// So many bytes before it are not sent yet.
    Unsent(usize),
    /// What is below this sequence number is before it.
    Sent(i64),
}

impl Marks {
    /// Sets one behind all that was written: so many bytes of it are not sent yet, and `next` is the sequence
    /// number of what is sent next.
    pub(super) fn set(&mut self, unsent: usize, next: i64) {
        self.0.push_back(match unsent {
            0 => Mark::Sent(next),
            unsent => Mark::Unsent(unsent),
        });
    }

    /// So many bytes were sent, or dropped; `next` as before.
    pub(super) fn sent(&mut self, bytes: usize, next: i64) {
        for mark in &mut self.0 {
            if let Mark::Unsent(unsent) = mark {
                *unsent = unsent.saturating_sub(bytes);
                if *unsent == 0 {
                    *mark = Mark::Sent(next);
                }
            }
        }
    }

    /// How many were passed, now that all below `base` is acknowledged; they are forgotten.
    pub(super) fn passed(&mut self, base: i64) -> usize {
        let passed = |mark: &&Mark| matches!(mark, Mark::Sent(next) if *next <= base);
        let count = self.0.iter().take_while(passed).count();
        self.0.drain(..count);
        count
    }
}
