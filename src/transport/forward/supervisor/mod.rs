//! Keeps a forward up: takes connections, gives each a session to ride on, and sees to it that there is one.

mod ended;

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::door::Door;
use super::policy::History;
use super::pool::{Old, Pool, Riders, Slot};
use super::session::{self, Ended, Shared, Told};
use super::{
    CONNECTION_WAITS, Counters, Dormancy, ForwardError, ForwardPlan, Freshness, Notice, Notices, Routes,
    Start, Stop, refusal,
};
use crate::ports::{Connection, Refusal};
use crate::transport::native::forward::Report;

/// How long connections may go on after the forward was told to end.
const DRAIN: Duration = Duration::from_secs(3);
/// A forward that had a connection so lately gets its fresh session before the next one wants it.
const BUSY: Duration = Duration::from_secs(60);
/// How long a connection waits for a session that is being opened where another one would carry it.
const OPENING_WAITS: Duration = Duration::from_secs(5);
/// How often the clocks are compared during a pause.
const CLOCK_CHECK: Duration = Duration::from_secs(2);
/// The wall clock ran ahead so far: the machine slept.
const SLEPT: Duration = Duration::from_secs(20);

/// Runs a forward until it is told to stop, no more connections come, or it ends by itself; see [`super::run`].
pub(super) async fn run(
    door: Door,
    plan: ForwardPlan,
    routes: Arc<dyn Routes>,
    notices: Arc<dyn Notices>,
    counters: Arc<Counters>,
    stop: watch::Receiver<Stop>,
) -> Result<(), ForwardError> {
    let (tell, told) = mpsc::unbounded_channel();
    let (stop_sessions, _) = watch::channel(Stop::GoOn);
    let pool = Pool::new(plan.max_age);
    let supervisor = Supervisor {
        shared: Arc::new(Shared {
            plan,
            routes,
            notices,
            counters,
            learnt: Arc::default(),
        }),
        pool,
        queue: VecDeque::new(),
        tasks: JoinSet::new(),
        tell,
        told,
        stop_sessions,
        history: History::New,
        freshness: Freshness::Remembered,
        failures: 0,
        attempt_at: None,
        trouble: None,
        asleep: false,
        needs_person: false,
        last_used: Instant::now(),
        last_connection: None,
        numbers: 0,
        sessions: 1,
    };
    supervisor.run(door, stop).await
}

struct Supervisor {
    shared: Arc<Shared>,
    pool: Pool,
    /// Connections without a session, and since when they wait.
    queue: VecDeque<(Connection, Instant)>,
    tasks: JoinSet<(u64, Ended, Vec<Connection>)>,
    tell: mpsc::UnboundedSender<(u64, Told)>,
    told: mpsc::UnboundedReceiver<(u64, Told)>,
    stop_sessions: watch::Sender<Stop>,
    history: History,
    freshness: Freshness,
    failures: u32,
    /// When another session is to be tried, or may be.
    attempt_at: Option<Instant>,
    /// Why, where it was said that it will be.
    trouble: Option<String>,
    /// Whether the next session waits for a connection that wants it.
    asleep: bool,
    /// Whether the last attempt wanted a person: there is no other one before the next connection.
    needs_person: bool,
    last_used: Instant,
    /// When somebody came.
    last_connection: Option<Instant>,
    numbers: u64,
    /// Over how many sessions connections may be spread; one, until the first knows its way.
    sessions: usize,
}

impl Supervisor {
    async fn run(mut self, mut door: Door, mut stop: watch::Receiver<Stop>) -> Result<(), ForwardError> {
        match self.shared.plan.start {
            Start::Now => self.open(),
            Start::WithFirstConnection => self.notice(Notice::Dormant(Dormancy::Lazy)),
        }
        let mut clocks = (Instant::now(), SystemTime::now());
        let mut more_come = true;
        let result = loop {
            self.place(Instant::now());
            if !more_come && self.is_unused() {
                break Ok(());
            }
            let now = Instant::now();
            let wake = self.wake(now);
            tokio::select! {
                connection = door.next(), if more_come => match connection {
                    Some(connection) => {
                        let came = Instant::now();
                        self.last_used = came;
                        self.needs_person = false;
                        self.last_connection = Some(came);
                        self.queue.push_back((connection, came));
                    }
                    None => more_come = false,
                },
                Some((number, told)) = self.told.recv() => self.hear(number, told),
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok((number, ended, unserved)) => {
                        if let Err(error) = self.ended(number, ended, unserved) {
                            break Err(error);
                        }
                    }
                    // A bug in a session takes the forward with it, in the open.
                    Err(error) => match error.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(_) => continue,
                    },
                },
                () = end(&mut stop) => break Ok(()),
                () = sleep_until(wake.into()) => {}
            }
            if slept(&mut clocks) && self.attempt_at.is_some() {
                self.attempt_at = Some(Instant::now());
            }
            self.see_to_it(Instant::now());
        };
        let why = result.as_ref().err().map_or(Refusal::Failed, refusal::of_error);
        for connection in door.close() {
            connection.refuse(why);
            self.shared.counters.ended();
        }
        self.leave(why, stop).await;
        result
    }

    /// Ends everything: connections have a moment unless that too is refused.
    async fn leave(mut self, why: Refusal, mut stop: watch::Receiver<Stop>) {
        self.refuse_queue(why);
        self.pool.close();
        let drained_at = Instant::now() + DRAIN;
        let mut asked = *stop.borrow();
        loop {
            if asked == Stop::Now {
                self.stop_sessions.send_replace(Stop::Now);
            }
            tokio::select! {
                ended = self.tasks.join_next() => {
                    let Some(ended) = ended else { return };
                    if let Ok((number, _, unserved)) = ended {
                        unserved.into_iter().for_each(|connection| connection.refuse(why));
                        self.pool.remove(number);
                    }
                }
                Some((number, told)) = self.told.recv() => self.hear(number, told),
                () = now(&mut stop), if asked != Stop::Now => asked = Stop::Now,
                () = sleep_until(drained_at.into()), if asked != Stop::Now => asked = Stop::Now,
            }
        }
    }

    fn notice(&self, notice: Notice) {
        self.shared.notices.notice(notice);
    }

    /// Wishes another session.
    fn open(&mut self) {
        self.attempt_at = None;
        self.trouble = None;
        self.asleep = false;
        self.numbers += 1;
        let number = self.numbers;
        let (connections, next) = mpsc::unbounded_channel();
        self.pool.add(Slot::new(number, connections, self.freshness));
        self.notice(Notice::Starting);
        let (shared, tell) = (Arc::clone(&self.shared), self.tell.clone());
        let (freshness, stop) = (self.freshness, self.stop_sessions.subscribe());
        self.tasks.spawn(async move {
            let tell = move |told| {
                // A supervisor that has gone does not mind.
                let _ = tell.send((number, told));
            };
            let (ended, unserved) = session::run(&shared, freshness, next, stop, tell).await;
            (number, ended, unserved)
        });
    }

    /// Gives the connections that wait a session each: one that nobody rides on, else one that is opened for it,
    /// else, when no more sessions may be opened, the least ridden one. One that is too old does where there is no
    /// fresh one to be had, or it takes long.
    fn place(&mut self, now: Instant) {
        while let Some(&(_, since)) = self.queue.front() {
            let long = since + OPENING_WAITS <= now;
            let none_comes = !self.may_open() || (self.pool.fresh(now) == 0 && !self.has_room());
            let old = match long || none_comes {
                true => Old::WillDo,
                false => Old::WillNot,
            };
            if self.ride(now, old, Riders::None) {
                continue;
            }
            while self.pool.opening() < self.queue.len()
                && self.pool.fresh(now) < self.sessions
                && self.may_open()
                && self.has_room()
            {
                self.open();
            }
            let each_gets_one = self.queue.len() <= self.pool.opening();
            if (each_gets_one && !long) || !self.ride(now, old, Riders::Any) {
                return;
            }
        }
    }

    /// Lets the first connection that waits ride on the least ridden of the sessions that will do.
    fn ride(&mut self, now: Instant, old: Old, riders: Riders) -> bool {
        let Some(slot) = self.pool.least_ridden(now, old, riders) else {
            return false;
        };
        let (Some(connections), Some((connection, since))) = (&slot.connections, self.queue.pop_front())
        else {
            return false;
        };
        match connections.send(connection) {
            Ok(()) => {
                slot.riding += 1;
                true
            }
            Err(mpsc::error::SendError(connection)) => {
                // It is about to say that it has ended.
                slot.connections = None;
                self.queue.push_front((connection, since));
                false
            }
        }
    }

    fn hear(&mut self, number: u64, told: Told) {
        let now = Instant::now();
        let Some(slot) = self.pool.get(number) else {
            return;
        };
        match told {
            Told::Routed { sessions } => self.sessions = sessions.max(1),
            Told::Started { session, via } => slot.session = Some((session, via)),
            Told::Report(Report::Open) => {
                slot.open = true;
                slot.unused = now;
                self.last_used = now;
            }
            Told::Report(Report::Ready) => {
                slot.ready = Some(now);
                slot.unused = now;
                self.last_used = now;
                self.history = History::Proven;
                self.needs_person = false;
                self.freshness = Freshness::Remembered;
                if let Some((session, via)) = slot.session.clone() {
                    let sessions = self.pool.carrying();
                    self.notice(Notice::Up {
                        session,
                        via,
                        sessions,
                    });
                }
            }
            Told::Report(Report::Ended) => {
                slot.riding = slot.riding.saturating_sub(1);
                slot.unused = now;
                self.last_used = now;
                self.shared.counters.ended();
            }
            Told::Report(Report::Reconnecting(cause)) => {
                slot.away = true;
                self.notice(Notice::Reconnecting(cause));
            }
            Told::Report(Report::Back(after)) => {
                slot.away = false;
                self.notice(Notice::Back(after));
            }
            Told::Report(Report::StillAway(cause)) => self.notice(Notice::StillAway(cause)),
            Told::Report(Report::StoodStill) => self.notice(Notice::StoodStill),
            Told::Report(Report::Unreachable) => self.notice(Notice::Unreachable),
            // It still looks the host up, and the session ends where that takes too long.
            Told::Report(Report::Unanswered) if slot.ready.is_none() => self.notice(Notice::Waiting),
            Told::Report(Report::Unanswered) => {
                // It takes no more, and ends with its last connection: a new one finds out what is the matter.
                if slot.connections.take().is_some() {
                    self.freshness = Freshness::Fresh;
                    self.notice(Notice::Unanswered);
                }
            }
            Told::Report(Report::Waiting) => self.notice(Notice::Waiting),
            Told::Report(Report::CustomerMessage(words)) => self.notice(Notice::CustomerMessage(words)),
        }
    }

    fn refuse_queue(&mut self, why: Refusal) {
        for (connection, _) in self.queue.drain(..) {
            connection.refuse(why);
            self.shared.counters.ended();
        }
    }

    /// What the time brings.
    fn see_to_it(&mut self, now: Instant) {
        if self.attempt_at.is_some_and(|at| at <= now) {
            self.attempt_at = None;
            if self.pool.live() == 0 && self.is_wanted() {
                self.open();
            }
        }
        let waited = |(_, since): &(_, Instant)| *since + CONNECTION_WAITS <= now;
        while self.queue.front().is_some_and(waited) {
            if let Some((connection, _)) = self.queue.pop_front() {
                connection.refuse(Refusal::TimedOut);
                self.shared.counters.ended();
                self.notice(Notice::GaveUpWaiting);
                if self.pool.live() == 0
                    && !self.is_wanted()
                    && let Some(trouble) = self.trouble.take()
                {
                    self.notice(Notice::Dormant(Dormancy::Lost(trouble)));
                }
            }
        }
        if self.idle_at().is_some_and(|at| at <= now) {
            self.pool.close();
            self.attempt_at = None;
            self.notice(Notice::Dormant(Dormancy::Unused));
        }
        self.pool.end_spare(now);
        if let Some(max_age) = self.shared.plan.max_age {
            self.renew(now, max_age);
        }
    }

    /// Replaces sessions that are too old: where nobody came lately, with the next connection, for which
    /// [`Supervisor::place`] opens one. The new one is there before the old one takes no more.
    fn renew(&mut self, now: Instant, max_age: Duration) {
        if !self.pool.end_aged(now) {
            return;
        }
        let busy = self
            .last_connection
            .is_some_and(|at| at + BUSY.min(max_age) > now);
        if busy && self.pool.fresh(now) == 0 && self.may_open() && self.has_room() {
            self.open();
        }
    }

    /// Whether nothing speaks against another session just now.
    fn may_open(&self) -> bool {
        self.attempt_at.is_none() && !self.needs_person
    }

    /// Whether another one would not be one too many beside those that are too old, which connections that stay may
    /// keep for ever. Without one that takes connections there always is.
    fn has_room(&self) -> bool {
        self.pool.live() == 0 || self.pool.kept() < 2 * self.sessions
    }

    /// Whether a session is wanted where there is none.
    fn is_wanted(&self) -> bool {
        !self.queue.is_empty() || (self.shared.plan.start == Start::Now && !self.asleep)
    }

    /// When the forward will have been unused for too long.
    fn idle_at(&self) -> Option<Instant> {
        let timeout = self.shared.plan.idle_timeout?;
        (self.is_unused() && self.pool.live() > 0).then(|| self.last_used + timeout)
    }

    fn is_unused(&self) -> bool {
        self.queue.is_empty() && self.pool.is_unused()
    }

    /// When the time will bring something.
    fn wake(&self, now: Instant) -> Instant {
        let attempt = self.attempt_at.map(|at| at.min(now + CLOCK_CHECK));
        let waits = self.queue.front().into_iter().flat_map(|(_, since)| {
            let ends = [OPENING_WAITS, CONNECTION_WAITS].map(|wait| *since + wait);
            ends.into_iter().filter(|at| *at > now)
        });
        [attempt, self.idle_at()]
            .into_iter()
            .flatten()
            .chain(waits)
            .chain(self.pool.wakes(now))
            .min()
            .unwrap_or(now + Duration::from_secs(3600))
    }
}

/// Waits until the forward is to end.
pub(super) async fn end(stop: &mut watch::Receiver<Stop>) {
    if stop.wait_for(|stop| *stop > Stop::GoOn).await.is_err() {
        // Nobody is left who could say so.
        pending::<()>().await;
    }
}

/// Waits until it is to end at once.
async fn now(stop: &mut watch::Receiver<Stop>) {
    if stop.wait_for(|stop| *stop == Stop::Now).await.is_err() {
        pending::<()>().await;
    }
}

/// Whether the wall clock ran ahead of the monotonic one, which stands still while the machine sleeps.
fn slept(clocks: &mut (Instant, SystemTime)) -> bool {
    let (monotonic, wall) = (Instant::now(), SystemTime::now());
    let ran = monotonic.saturating_duration_since(clocks.0);
    let passed = wall.duration_since(clocks.1).unwrap_or_default();
    *clocks = (monotonic, wall);
    passed > ran + SLEPT
}
