//! The sessions of a forward: which there are, how old and how ridden, and which of them takes a connection.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::{Freshness, Left};
use crate::ids::SessionId;
use crate::ports::Connection;

/// One of several sessions that nobody rides on is ended after so long; the last one is not.
const SPARE: Duration = Duration::from_secs(60);

/// A session, from the moment that it was wished.
pub(super) struct Slot {
    pub(super) number: u64,
    /// Where its connections go; dropped, it takes no more and ends with its last one.
    pub(super) connections: Option<mpsc::UnboundedSender<Connection>>,
    pub(super) session: Option<(SessionId, String)>,
    /// Whether it takes connections.
    pub(super) open: bool,
    /// Since when the agent's port is known to be there.
    pub(super) ready: Option<Instant>,
    pub(super) riding: usize,
    /// Whether its data channel is being made anew: who comes then waits.
    pub(super) away: bool,
    /// Since when nobody rides on it.
    pub(super) unused: Instant,
    pub(super) freshness: Freshness,
}

impl Slot {
    pub(super) fn new(
        number: u64,
        connections: mpsc::UnboundedSender<Connection>,
        freshness: Freshness,
    ) -> Self {
        Self {
            number,
            connections: Some(connections),
            session: None,
            open: false,
            ready: None,
            riding: 0,
            away: false,
            unused: Instant::now(),
            freshness,
        }
    }

    fn is_live(&self) -> bool {
        self.connections.is_some()
    }

    fn takes_connections(&self) -> bool {
        self.is_live() && self.open && !self.away
    }
}

/// All sessions of a forward.
pub(super) struct Pool {
    slots: Vec<Slot>,
    max_age: Option<Duration>,
}

impl Pool {
    /// None yet. After `max_age` a session is too old for new connections.
    pub(super) fn new(max_age: Option<Duration>) -> Self {
        Self {
            slots: Vec::new(),
            max_age,
        }
    }

    pub(super) fn add(&mut self, slot: Slot) {
        self.slots.push(slot);
    }

    pub(super) fn get(&mut self, number: u64) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.number == number)
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Slot> {
        let at = self.slots.iter().position(|slot| slot.number == number)?;
        Some(self.slots.remove(at))
    }

    /// Has all end with their last connections.
    pub(super) fn close(&mut self) {
        for slot in &mut self.slots {
            slot.connections = None;
        }
    }

    /// Those that do not end with their last connections.
    pub(super) fn live(&self) -> usize {
        self.count(Slot::is_live)
    }

    /// Those that are not too old for new connections.
    pub(super) fn fresh(&self, now: Instant) -> usize {
        self.count(|slot| slot.is_live() && !self.is_aged(slot, now))
    }

    /// Those that do not take connections yet.
    pub(super) fn opening(&self) -> usize {
        self.count(|slot| slot.is_live() && !slot.open)
    }

    /// Those that are known to carry connections.
    pub(super) fn carrying(&self) -> usize {
        self.count(|slot| slot.ready.is_some())
    }

    /// Whether one would take connections, if not at this moment.
    pub(super) fn is_open(&self) -> bool {
        self.slots.iter().any(|slot| slot.is_live() && slot.open)
    }

    /// Whether one takes connections at this moment.
    pub(super) fn takes_connections(&self) -> bool {
        self.slots.iter().any(Slot::takes_connections)
    }

    /// Those that take connections, or are kept by some.
    pub(super) fn kept(&self) -> usize {
        self.count(|slot| slot.is_live() || slot.riding > 0)
    }

    /// The newest of those that carry connections; one that takes more, if there is one.
    pub(super) fn left(&self, now: Instant) -> Option<Left> {
        let carrying = self.slots.iter().filter_map(|slot| {
            let (session, via) = slot.session.clone()?;
            let left = Left {
                session,
                via,
                age: now.saturating_duration_since(slot.ready?),
                takes: slot.takes_connections(),
            };
            Some((slot.number, left))
        });
        let newest = carrying.max_by_key(|(number, left)| (left.takes, *number));
        newest.map(|(_, left)| left)
    }

    /// Whether nobody rides on any.
    pub(super) fn is_unused(&self) -> bool {
        self.slots.iter().all(|slot| slot.riding == 0)
    }

    /// The least ridden of those that take connections, by age and number of riders.
    pub(super) fn least_ridden(&mut self, now: Instant, old: Old, riders: Riders) -> Option<&mut Slot> {
        let max_age = self.max_age;
        self.slots
            .iter_mut()
            .filter(|slot| slot.takes_connections())
            .filter(|slot| old == Old::WillDo || !is_aged(slot, max_age, now))
            .filter(|slot| riders == Riders::Any || slot.riding == 0)
            .min_by_key(|slot| slot.riding)
    }

    /// Has one that was spare for too long end.
    pub(super) fn end_spare(&mut self, now: Instant) {
        let is_spare =
            |slot: &&mut Slot| slot.takes_connections() && slot.riding == 0 && slot.unused + SPARE <= now;
        if self.live() > 1
            && let Some(spare) = self.slots.iter_mut().find(is_spare)
        {
            spare.connections = None;
        }
    }

    /// Has those that are too old end where a fresh one is known to carry connections. Whether one is too old and
    /// has no such successor.
    pub(super) fn end_aged(&mut self, now: Instant) -> bool {
        let has_successor = self
            .slots
            .iter()
            .any(|slot| slot.takes_connections() && slot.ready.is_some() && !self.is_aged(slot, now));
        let max_age = self.max_age;
        let mut aged = self
            .slots
            .iter_mut()
            .filter(|slot| slot.is_live() && is_aged(slot, max_age, now));
        if has_successor {
            aged.for_each(|slot| slot.connections = None);
            return false;
        }
        aged.next().is_some()
    }

    /// When one will be too old, or spare for too long. Of those that are too old their successors tell.
    pub(super) fn wakes(&self, now: Instant) -> impl Iterator<Item = Instant> {
        let several = self.live() > 1;
        self.slots
            .iter()
            .filter(|slot| slot.is_live())
            .flat_map(move |slot| {
                let aged = slot.ready.zip(self.max_age).map(|(since, age)| since + age);
                let spare = (several && slot.riding == 0).then_some(slot.unused + SPARE);
                aged.filter(|at| *at > now).into_iter().chain(spare)
            })
    }

    fn count(&self, counts: impl Fn(&Slot) -> bool) -> usize {
        self.slots.iter().filter(|slot| counts(slot)).count()
    }

    fn is_aged(&self, slot: &Slot, now: Instant) -> bool {
        is_aged(slot, self.max_age, now)
    }
}

fn is_aged(slot: &Slot, max_age: Option<Duration>, now: Instant) -> bool {
    slot.ready
        .zip(max_age)
        .is_some_and(|(since, max_age)| since + max_age <= now)
}

/// Whether one that is too old will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Old {
    WillDo,
    WillNot,
}

/// How many may ride on it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Riders {
    None,
    Any,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sessions that take connections and have so many riders each.
    fn pool(riders: &[usize], now: Instant) -> Pool {
        let mut pool = Pool::new(None);
        for (number, riding) in riders.iter().enumerate() {
            let (connections, _) = mpsc::unbounded_channel();
            pool.add(Slot {
                open: true,
                riding: *riding,
                unused: now,
                ..Slot::new(number as u64, connections, Freshness::Remembered)
            });
        }
        pool
    }

    #[test]
    fn one_that_is_spare_for_a_minute_ends_unless_it_is_the_last() {
        let now = Instant::now();
        let mut sessions = pool(&[0, 1, 0], now);
        sessions.end_spare(now + SPARE - SECOND);
        assert_eq!(sessions.live(), 3);
        assert_eq!(sessions.wakes(now).min(), Some(now + SPARE));
        for live in [2, 1, 1] {
            sessions.end_spare(now + SPARE);
            assert_eq!(sessions.live(), live);
        }
        let mut alone = pool(&[0], now);
        alone.end_spare(now + 2 * SPARE);
        assert_eq!((alone.live(), alone.wakes(now).count()), (1, 0));
    }
}
