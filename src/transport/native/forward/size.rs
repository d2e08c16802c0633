//! How large messages may be: what is known, and what is still worth trying.
//!
//! Every message costs the same on its way, whatever its size, so bulk wants large ones; but the gateway's limit
//! is not published. It is tried out where there is bulk, once a session, with messages that mean nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

/// 32 KiB with the message's header, then 8 KiB.
const LADDER: [usize; 2] = [32_640, 8_064];
/// So much waiting to be sent is bulk.
const BULK: usize = 48 * 1024;
/// What every peer sends.
const USUAL: usize = 1024;

/// What the sessions of a forward have learnt together.
#[derive(Debug)]
pub(in crate::transport) struct Learnt {
    /// A size that did not pass.
    too_large: AtomicUsize,
}

impl Default for Learnt {
    fn default() -> Self {
        Self {
            too_large: AtomicUsize::new(usize::MAX),
        }
    }
}

/// The size of one session's messages.
#[derive(Debug)]
pub(super) struct Size {
    now: usize,
    most: usize,
    trying: Option<usize>,
}

impl Size {
    /// `limit` is the person's.
    pub(super) fn new(limit: Option<usize>) -> Self {
        Self {
            now: first(limit),
            most: limit.unwrap_or(usize::MAX),
            trying: None,
        }
    }

    /// The size to try now that so many bytes wait, if any. A path that takes no more than a handful of bytes at once
    /// would have all others wait behind a larger message.
    pub(super) fn worth_trying(&mut self, waiting: usize, handful: usize, learnt: &Learnt) -> Option<usize> {
        if self.trying.is_some() || waiting < BULK {
            return None;
        }
        let too_large = learnt.too_large.load(Ordering::Relaxed);
        let size = LADDER
            .into_iter()
            .map(|size| size.min(self.most))
            .find(|size| *size > self.now && *size < too_large && *size <= handful)?;
        self.trying = Some(size);
        Some(size)
    }

    /// The size that was tried passes.
    pub(super) fn passed(&mut self, size: usize) {
        self.now = self.now.max(size);
        self.trying = None;
    }

    /// It does not.
    pub(super) fn failed(&mut self, learnt: &Learnt) {
        if let Some(size) = self.trying.take() {
            learnt.too_large.fetch_min(size, Ordering::Relaxed);
        }
    }
}

/// The size that a session begins with.
pub(super) fn first(limit: Option<usize>) -> usize {
    limit.map_or(USUAL, |limit| limit.min(USUAL)).max(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is handed over at once on a fast path.
    const WIDE: usize = 32 * 1024;

    #[test]
    fn bulk_is_worth_a_try_and_a_failure_is_remembered() {
        let learnt = Learnt::default();
        let mut size = Size::new(None);
        assert_eq!(size.worth_trying(1000, WIDE, &learnt), None);
        assert_eq!(size.worth_trying(BULK, WIDE, &learnt), Some(32_640));
        assert_eq!(size.worth_trying(BULK, WIDE, &learnt), None, "one at a time");
        size.failed(&learnt);
        assert_eq!(size.worth_trying(BULK, WIDE, &learnt), Some(8_064));
        size.passed(8_064);
        assert_eq!(size.now, 8_064);
        assert_eq!(size.worth_trying(BULK, WIDE, &learnt), None);
        let mut next = Size::new(None);
        assert_eq!(next.worth_trying(BULK, WIDE, &learnt), Some(8_064));
    }

    #[test]
    fn no_more_is_tried_than_the_path_takes_at_once() {
        let learnt = Learnt::default();
        let mut size = Size::new(None);
        assert_eq!(size.worth_trying(BULK, 4096, &learnt), None);
        assert_eq!(size.worth_trying(BULK, WIDE / 2, &learnt), Some(8_064));
        size.passed(8_064);
        assert_eq!(size.worth_trying(BULK, WIDE / 2, &learnt), None);
        assert_eq!(size.worth_trying(BULK, WIDE, &learnt), Some(32_640));
    }

    #[test]
    fn the_persons_limit_holds() {
        let learnt = Learnt::default();
        let mut small = Size::new(Some(512));
        assert_eq!(small.now, 512);
        assert_eq!(small.worth_trying(BULK, WIDE, &learnt), None);
        let mut usual = Size::new(Some(1024));
        assert_eq!(usual.worth_trying(BULK, WIDE, &learnt), None);
        let mut middle = Size::new(Some(4096));
        assert_eq!(middle.worth_trying(BULK, WIDE, &learnt), Some(4096));
    }
}
