//! What goes wrong with a forward, without the same words again and again: a program tries as fast as it can, and a
//! log is kept for as long as a forward lives.

use std::mem::{Discriminant, discriminant};
use std::time::{Duration, Instant};

use crate::transport::forward::{Dormancy, Notice};

/// The same is not said again for so long.
const WHILE: Duration = Duration::from_secs(600);
/// And of one kind no more than so often, whatever the words: some bear a number that is never the same.
const MOST: usize = 20;

/// What was complained of.
#[derive(Debug, Default)]
pub struct Complaints(Vec<Kind>);

/// One kind of complaint.
#[derive(Debug)]
struct Kind {
    which: Discriminant<Notice>,
    /// The last words.
    words: String,
    /// Since when it is counted.
    since: Instant,
    said: usize,
    /// What was not said.
    unsaid: usize,
}

impl Complaints {
    /// Whether this is to be said, and how many of its kind were not said before it. What is no complaint always is.
    pub fn hear(&mut self, notice: &Notice, now: Instant) -> Option<usize> {
        let Some((which, words)) = complaint(notice) else {
            if matches!(notice, Notice::Up { .. }) {
                // What goes wrong from now on is new.
                self.0.iter_mut().for_each(|kind| kind.words.clear());
            }
            return Some(0);
        };
        let Some(kind) = self.0.iter_mut().find(|kind| kind.which == which) else {
            self.0.push(Kind {
                which,
                words,
                since: now,
                said: 1,
                unsaid: 0,
            });
            return Some(0);
        };
        let is_over = kind.since + WHILE <= now;
        if !is_over && (kind.words == words || kind.said >= MOST) {
            kind.unsaid += 1;
            return None;
        }
        if is_over {
            (kind.since, kind.said) = (now, 0);
        }
        kind.words = words;
        kind.said += 1;
        Some(std::mem::take(&mut kind.unsaid))
    }
}

/// The kind and the words of a complaint.
fn complaint(notice: &Notice) -> Option<(Discriminant<Notice>, String)> {
    let words = match notice {
        Notice::Destination(_, inner) if matches!(**inner, Notice::Crowded) => return complaint(inner),
        Notice::Destination(remote, inner) => {
            let (which, words) = complaint(inner)?;
            return Some((which, format!("{remote}: {words}")));
        }
        Notice::Retrying { cause, .. } => cause,
        Notice::Fewer(why)
        | Notice::NeedsPerson(why)
        | Notice::GivenUp(why)
        | Notice::Misunderstood(why)
        | Notice::Dormant(Dormancy::Agent(why) | Dormancy::Lost(why)) => why,
        Notice::Unreachable | Notice::GaveUpWaiting | Notice::Crowded => "",
        _ => return None,
    };
    Some((discriminant(notice), words.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(cause: &str) -> Notice {
        Notice::Retrying {
            cause: cause.to_owned(),
            after: Duration::ZERO,
        }
    }

    #[test]
    fn the_same_is_said_once_in_a_while_and_counted() {
        let begin = Instant::now();
        let mut complaints = Complaints::default();
        assert_eq!(complaints.hear(&Notice::Unreachable, begin), Some(0));
        for second in 1..600 {
            let now = begin + Duration::from_secs(second);
            assert_eq!(complaints.hear(&Notice::Unreachable, now), None);
        }
        assert_eq!(complaints.hear(&Notice::Unreachable, begin + WHILE), Some(599));
        assert_eq!(complaints.hear(&Notice::Unreachable, begin + WHILE), None);
    }

    #[test]
    fn what_goes_wrong_again_after_it_went_well_is_new() {
        let now = Instant::now();
        let mut complaints = Complaints::default();
        assert_eq!(complaints.hear(&lost("a"), now), Some(0));
        assert_eq!(complaints.hear(&lost("a"), now), None);
        let up = Notice::Up {
            session: "s-1".parse().unwrap(),
            via: String::new(),
            sessions: 1,
        };
        assert_eq!(complaints.hear(&up, now), Some(0));
        assert_eq!(complaints.hear(&lost("a"), now), Some(1));
    }

    #[test]
    fn what_is_new_is_said_but_not_for_ever() {
        let now = Instant::now();
        let mut complaints = Complaints::default();
        for cause in ["a", "b"].into_iter().cycle().take(MOST) {
            assert_eq!(complaints.hear(&lost(cause), now), Some(0), "{cause}");
        }
        assert_eq!(complaints.hear(&lost("d"), now), None);
        assert_eq!(
            complaints.hear(&Notice::GaveUpWaiting, now),
            Some(0),
            "another kind"
        );
        assert_eq!(complaints.hear(&lost("d"), now + WHILE), Some(1));
        for _ in 0..9 {
            assert_eq!(complaints.hear(&Notice::Starting, now), Some(0), "no complaint");
        }
    }
}
