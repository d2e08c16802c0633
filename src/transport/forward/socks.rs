//! SOCKS5 on a local end: a forward for each place that a program asks for, with a session of its own, shared by
//! its connections and ended when it is unused.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::door::Door;
use super::{
    CONNECTION_WAITS, Counters, Dormancy, ForwardError, ForwardPlan, Freshness, Notice, Notices, Rate,
    RouteError, Routes, Start, Stop, supervisor,
};
use crate::ids::Remote;
use crate::ports::socks::{SocksError, request};
use crate::ports::{Connection, Listener, Refusal};

/// Programs that may be asked at a time where they want to go; when another one comes, the one that has been silent
/// for the longest goes.
const ASKED: usize = 256;

/// A SOCKS5 proxy, wished.
#[derive(Debug, Clone)]
pub struct SocksPlan {
    /// After so long without a connection a destination's session is ended.
    pub idle_timeout: Duration,
    /// How many destinations may have a session at a time; at least one.
    pub sessions: usize,
    /// After so long a fresh session is opened for new connections.
    pub max_age: Option<Duration>,
    /// As in [`ForwardPlan`].
    pub keepalive: Option<Duration>,
    /// The largest payload of one message, bytes.
    pub payload_limit: Option<usize>,
    /// How fast all sessions may send, together.
    pub rate: Arc<Rate>,
}

/// Runs a SOCKS5 proxy until it is told to stop.
///
/// # Errors
/// When there is no way to the target at the start. Later, what goes wrong concerns one destination, and whoever
/// asked for it is told.
pub async fn run(
    listener: Listener,
    plan: SocksPlan,
    routes: Arc<dyn Routes>,
    notices: Arc<dyn Notices>,
    counters: Arc<Counters>,
    mut stop: watch::Receiver<Stop>,
) -> Result<(), ForwardError> {
    let route = tokio::select! {
        route = routes.route(Freshness::Remembered) => route?,
        () = supervisor::end(&mut stop) => return Ok(()),
    };
    notices.notice(Notice::Open { via: route.label });
    let (tell, told) = mpsc::unbounded_channel();
    let proxy = Proxy {
        turns: Arc::new(Semaphore::new(plan.sessions.max(1))),
        plan,
        routes,
        notices,
        counters,
        destinations: HashMap::new(),
        numbers: 0,
        tell,
        told,
        tasks: JoinSet::new(),
        stop,
    };
    proxy.run(listener).await;
    Ok(())
}

/// A place that was asked for.
struct Destination {
    number: u64,
    /// Dropped, it ends with its last connection.
    connections: mpsc::UnboundedSender<Connection>,
    counters: Arc<Counters>,
    asked: Instant,
}

struct Proxy {
    plan: SocksPlan,
    routes: Arc<dyn Routes>,
    notices: Arc<dyn Notices>,
    counters: Arc<Counters>,
    destinations: HashMap<Remote, Destination>,
    /// One that is ending keeps its turn until its session is over.
    turns: Arc<Semaphore>,
    numbers: u64,
    tell: mpsc::UnboundedSender<(u64, Remote, Notice)>,
    told: mpsc::UnboundedReceiver<(u64, Remote, Notice)>,
    tasks: JoinSet<(u64, Remote, Result<(), ForwardError>)>,
    stop: watch::Receiver<Stop>,
}

/// Passes the notices of one destination on to the proxy.
struct Pass {
    number: u64,
    remote: Remote,
    to: mpsc::UnboundedSender<(u64, Remote, Notice)>,
}

impl Notices for Pass {
    fn notice(&self, notice: Notice) {
        // At the very end nobody listens any more.
        let _ = self.to.send((self.number, self.remote.clone(), notice));
    }
}

/// The programs that have not said where they want to go, the oldest first.
#[derive(Debug, Default)]
struct Silent(VecDeque<AbortHandle>);

impl Silent {
    /// Another one; one that has been silent for too long may have to go for it.
    fn push(&mut self, another: AbortHandle) {
        self.0.retain(|asked| !asked.is_finished());
        if self.0.len() >= ASKED
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(another);
    }
}

impl Destination {
    /// Hands a connection over, which counts as open from now on.
    ///
    /// # Errors
    /// With the connection, where the destination has ended.
    fn hand(&self, connection: Connection) -> Result<(), Connection> {
        self.counters.accepted();
        self.connections.send(connection).map_err(|error| {
            self.counters.ended();
            error.0
        })
    }
}

impl Proxy {
    async fn run(mut self, listener: Listener) {
        let mut asking = JoinSet::new();
        let mut silent = Silent::default();
        let mut stop = self.stop.clone();
        loop {
            tokio::select! {
                connection = listener.accept() => silent.push(asking.spawn(request(connection))),
                Some(asked) = asking.join_next() => match asked {
                    Ok((connection, Ok(remote))) => self.carry(connection, remote),
                    Ok((connection, Err(error))) => {
                        self.misunderstood(&error);
                        connection.close();
                    }
                    Err(error) => resume(error),
                },
                Some((number, remote, notice)) = self.told.recv() => self.hear(number, remote, notice),
                Some(ended) = self.tasks.join_next() => self.ended(ended),
                () = supervisor::end(&mut stop) => break,
            }
        }
        drop((listener, asking));
        self.destinations.clear();
        while let Some(ended) = self.tasks.join_next().await {
            self.ended(ended);
        }
        while let Ok((number, remote, notice)) = self.told.try_recv() {
            self.hear(number, remote, notice);
        }
    }

    /// Gives a connection to its destination, which is begun where it is new.
    fn carry(&mut self, connection: Connection, remote: Remote) {
        let connection = match self.destinations.get_mut(&remote) {
            None => connection,
            Some(destination) => {
                destination.asked = Instant::now();
                match destination.hand(connection) {
                    Ok(()) => return,
                    // It has ended this moment.
                    Err(connection) => connection,
                }
            }
        };
        self.destinations.remove(&remote);
        if self.destinations.len() >= self.plan.sessions && !self.make_room() {
            connection.refuse(Refusal::Failed);
            self.pass_on(remote, Notice::Crowded);
            return;
        }
        let destination = self.begin(&remote);
        // Its task holds the other end and has not begun yet.
        let _ = destination.hand(connection);
        self.destinations.insert(remote, destination);
    }

    /// Ends the destination that nobody has asked for the longest, if there is one that nobody uses.
    fn make_room(&mut self) -> bool {
        let unused = self
            .destinations
            .iter()
            .filter(|(_, destination)| destination.counters.open_connections() == 0)
            .min_by_key(|(_, destination)| destination.asked);
        let Some(remote) = unused.map(|(remote, _)| remote.clone()) else {
            return false;
        };
        self.destinations.remove(&remote).is_some()
    }

    fn begin(&mut self, remote: &Remote) -> Destination {
        self.numbers += 1;
        let number = self.numbers;
        let (connections, handed) = mpsc::unbounded_channel();
        let counters = Arc::new(Counters::part_of(&self.counters));
        let plan = ForwardPlan {
            remote: remote.clone(),
            document: None,
            start: Start::WithFirstConnection,
            idle_timeout: Some(self.plan.idle_timeout),
            max_age: self.plan.max_age,
            keepalive: self.plan.keepalive,
            payload_limit: self.plan.payload_limit,
            rate: Arc::clone(&self.plan.rate),
        };
        let pass = Arc::new(Pass {
            number,
            remote: remote.clone(),
            to: self.tell.clone(),
        });
        let (turns, routes, mut stop) = (
            Arc::clone(&self.turns),
            Arc::clone(&self.routes),
            self.stop.clone(),
        );
        let (remote, figures) = (remote.clone(), Arc::clone(&counters));
        self.tasks.spawn(async move {
            let door = Door::Handed(handed);
            let turn = tokio::select! {
                turn = timeout(CONNECTION_WAITS, turns.acquire_owned()) => turn.map_err(|_| Refusal::TimedOut),
                () = supervisor::end(&mut stop) => Err(Refusal::Failed),
            };
            let turn = match turn {
                Ok(turn) => turn,
                Err(why) => {
                    for connection in door.close() {
                        connection.refuse(why);
                        figures.ended();
                        if why == Refusal::TimedOut {
                            pass.notice(Notice::GaveUpWaiting);
                        }
                    }
                    return (number, remote, Ok(()));
                }
            };
            let ended = supervisor::run(door, plan, routes, pass, figures, stop).await;
            drop(turn);
            (number, remote, ended)
        });
        Destination {
            number,
            connections,
            counters,
            asked: Instant::now(),
        }
    }

    fn hear(&mut self, number: u64, remote: Remote, notice: Notice) {
        match notice {
            // It begins without a session, which is how it is meant here.
            Notice::Dormant(Dormancy::Lazy) => {}
            // Whoever asks for it next begins it anew.
            Notice::Dormant(Dormancy::Unused | Dormancy::TimedOut(_)) => {
                self.forget(number, &remote);
                tracing::info!(%remote, "unused, so its session was ended");
            }
            Notice::Dormant(Dormancy::Agent(_) | Dormancy::Lost(_)) => {
                self.forget(number, &remote);
                self.pass_on(remote, notice);
            }
            notice => self.pass_on(remote, notice),
        }
    }

    fn pass_on(&self, remote: Remote, notice: Notice) {
        self.notices.notice(Notice::Destination(remote, Box::new(notice)));
    }

    /// Lets a destination end, unless another one has taken its place.
    fn forget(&mut self, number: u64, remote: &Remote) {
        if self
            .destinations
            .get(remote)
            .is_some_and(|destination| destination.number == number)
        {
            self.destinations.remove(remote);
        }
    }

    fn ended(&mut self, ended: Result<(u64, Remote, Result<(), ForwardError>), tokio::task::JoinError>) {
        match ended {
            Ok((number, remote, result)) => {
                self.forget(number, &remote);
                if let Err(error) = result {
                    self.pass_on(remote, Notice::GivenUp(words(&error)));
                }
            }
            Err(error) => resume(error),
        }
    }

    fn misunderstood(&self, error: &SocksError) {
        match error {
            SocksError::Version(_) | SocksError::Authentication | SocksError::Refused(_) => {
                self.notices.notice(Notice::Misunderstood(error.to_string()));
            }
            SocksError::Io(_) => tracing::debug!(%error, "a program left"),
        }
    }
}

fn words(error: &ForwardError) -> String {
    match error {
        ForwardError::Route(RouteError { message, .. }) => message.clone(),
        error => error.to_string(),
    }
}

/// A bug in a task takes the proxy with it, in the open.
fn resume(error: tokio::task::JoinError) {
    if let Ok(panic) = error.try_into_panic() {
        std::panic::resume_unwind(panic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_silent_program_goes_when_there_are_too_many() {
        let mut asking = JoinSet::new();
        let mut silent = Silent::default();
        // It has said what it wants.
        silent.push(asking.spawn(std::future::ready(0)));
        assert_eq!(asking.join_next().await.unwrap().unwrap(), 0);
        for number in 1..=ASKED {
            silent.push(asking.spawn(async move {
                std::future::pending::<()>().await;
                number
            }));
        }
        silent.push(asking.spawn(std::future::ready(ASKED + 1)));
        let mut over = [
            asking.join_next().await.unwrap(),
            asking.join_next().await.unwrap(),
        ];
        over.sort_by_key(Result::is_ok);
        assert!(over[0].as_ref().is_err_and(tokio::task::JoinError::is_cancelled));
        assert!(matches!(over[1], Ok(number) if number == ASKED + 1));
        assert_eq!(asking.len(), ASKED - 1);
    }
}
