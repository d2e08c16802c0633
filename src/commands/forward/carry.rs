//! Forwards of one process, from their listeners to their ends.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::child::{self, End};
use super::ending::{self, Ending};
use super::one::{Forward, Ready};
use super::plan::Plan;
use super::route::{self, Answered, Ask, Asking, Known};
use super::say;
use super::watch::Watch;
use super::wish::Wish;
use crate::aws::error::ErrorKind;
use crate::commands::consent::{self, ConsentArgs};
use crate::commands::context::Context;
use crate::commands::error::{CommandError, Exit};
use crate::commands::targets::PickArgs;
use crate::transport::forward::{ForwardError, Interrupts, Listener, Notice, Notices, Stop};
use crate::ui::Beside;

/// How long sessions may take to end before somebody wonders.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a process of forwards is to do.
pub struct Job<'a> {
    /// The forwards.
    pub wishes: Vec<(Wish, Plan)>,
    /// The command that runs with them up; its end is theirs.
    pub command: &'a [OsString],
    /// What was agreed beforehand.
    pub consent: &'a ConsentArgs,
    /// Which node, where several fit.
    pub pick: PickArgs,
    /// Whether a browser is opened at the first forward.
    pub browser: Browser,
    /// Who else wants to know, and can ask for the end.
    pub watch: Option<&'a mut dyn Watch>,
}

/// Whether a browser is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Browser {
    /// When the first forward is ready.
    Open,
    /// No.
    Leave,
}

/// Passes notices of one forward on to the command.
struct Pass {
    forward: usize,
    to: mpsc::UnboundedSender<(usize, Notice)>,
}

impl Notices for Pass {
    fn notice(&self, notice: Notice) {
        // At the very end nobody listens any more.
        let _ = self.to.send((self.forward, notice));
    }
}

/// Runs the forwards until they are stopped, or have all ended by themselves.
///
/// # Errors
/// When one of them could not be kept up, and when ssmx was interrupted.
pub async fn run(ctx: &Context, mut job: Job<'_>, listeners: Vec<Listener>) -> Result<Exit, CommandError> {
    let _talk = Beside::begin();
    let mut interrupts = Interrupts::listen()?;
    let asks_ahead = job.watch.is_some() && consent::may_ask(ctx, job.consent)?;
    let (notices, heard) = mpsc::unbounded_channel();
    let (asks, asked) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(Stop::GoOn);
    // Nothing is started before all has been agreed and said that may fail.
    let mut begun = Vec::new();
    for ((wish, plan), listener) in std::mem::take(&mut job.wishes).into_iter().zip(listeners) {
        let mut forward = Forward::new(wish, &listener);
        if plan.begins_ready() {
            if asks_ahead {
                // With its first connection nobody will be there to ask.
                forward.route = tokio::select! {
                    known = route::agree(ctx, &forward.wish, job.consent, job.pick) => Some(known?),
                    signal = interrupts.next() => return Err(ending::by_signal(signal)),
                };
            }
            forward.ready = Ready::Yes;
            forward.announce(ctx, None, job.command.is_empty())?;
        }
        begun.push((forward, plan, listener));
    }
    let mut tasks = JoinSet::new();
    let mut forwards = Vec::new();
    for (index, (forward, plan, listener)) in begun.into_iter().enumerate() {
        let counters = Arc::clone(&forward.counters);
        forwards.push(forward);
        let routes = Arc::new(Asking::new(index, asks.clone()));
        let pass = Arc::new(Pass {
            forward: index,
            to: notices.clone(),
        });
        let stopped = stopped.clone();
        tasks.spawn(async move {
            let ended = plan.run(listener, routes, pass, counters, stopped).await;
            (index, ended)
        });
    }
    drop((notices, asks));
    if let Some(watch) = &mut job.watch {
        watch.begun(forwards.iter().map(Forward::begun).collect());
    }
    let waits = |(index, forward): (usize, &Forward)| (forward.ready == Ready::NotYet).then_some(index);
    let begins = forwards.iter().enumerate().filter_map(waits).collect();
    let mut running = Running {
        ctx,
        forwards,
        command: job.command,
        consent: job.consent,
        pick: job.pick,
        detaches: job.watch.is_some(),
        advice: job.watch.as_ref().map(|watch| watch.advice()),
        browser: job.browser,
        child: None,
        begun: false,
        begins,
        stop,
        ending: None,
        patience: None,
    };
    running.carry(tasks, heard, asked, interrupts, job.watch).await
}

struct Running<'a> {
    ctx: &'a Context,
    forwards: Vec<Forward>,
    command: &'a [OsString],
    consent: &'a ConsentArgs,
    pick: PickArgs,
    /// Whether somebody waits until all are ready.
    detaches: bool,
    /// For a person who is to be asked, and is not here.
    advice: Option<String>,
    browser: Browser,
    child: Option<Child>,
    /// Whether all were ready.
    begun: bool,
    /// The forwards that are about to ask for their first way.
    begins: BTreeSet<usize>,
    stop: watch::Sender<Stop>,
    ending: Option<Ending>,
    /// When whoever wants it to end is told that it takes its time.
    patience: Option<Instant>,
}

type Answering<'a> = LocalBoxFuture<'a, (Answered, Option<Known>)>;

impl<'a> Running<'a> {
    async fn carry(
        &mut self,
        mut tasks: JoinSet<(usize, Result<(), ForwardError>)>,
        mut heard: mpsc::UnboundedReceiver<(usize, Notice)>,
        mut asked: mpsc::UnboundedReceiver<Ask>,
        mut interrupts: Interrupts,
        mut watch: Option<&mut dyn Watch>,
    ) -> Result<Exit, CommandError> {
        let mut waiting: Vec<Ask> = Vec::new();
        let mut answering: Option<Answering<'a>> = None;
        self.begin_if_ready(&mut watch);
        loop {
            // A person is asked in the order of the words: all that begin at once ask for their way at once.
            if answering.is_none() && self.begins.is_empty() {
                let first = waiting.iter().enumerate().min_by_key(|(_, ask)| ask.forward);
                if let Some((first, _)) = first {
                    answering = Some(self.answer(waiting.remove(first)));
                }
            }
            let foreground = match self.child {
                Some(_) => Foreground::Child,
                None => Foreground::Ours,
            };
            tokio::select! {
                // What was said before an end is said before it.
                biased;
                Some((index, notice)) = heard.recv() => {
                    if let Some(watch) = &mut watch {
                        watch.notice(index, &notice);
                    }
                    if let Err(error) = self.hear(index, &notice) {
                        // Nobody reads what it says: its sessions are ended all the same.
                        self.end(Ending::Failed(error));
                    }
                    self.begin_if_ready(&mut watch);
                }
                Some(ended) = tasks.join_next() => match ended {
                    Ok((index, result)) => {
                        if let Some(watch) = &mut watch {
                            watch.ended(index, result.as_ref().err());
                        }
                        self.begins.remove(&index);
                        self.ended(index, result);
                        if tasks.is_empty() {
                            break;
                        }
                    }
                    Err(error) => match error.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(_) => continue,
                    },
                },
                (answered, route) = pending_if_none(&mut answering) => {
                    answering = None;
                    let index = answered.forward;
                    self.answered(answered, route);
                    if let (Some(watch), Some(forward)) = (&mut watch, self.forwards.get(index)) {
                        watch.found(index, forward.document(None));
                    }
                }
                Some(ask) = asked.recv() => {
                    self.begins.remove(&ask.forward);
                    waiting.push(ask);
                }
                status = child::wait(&mut self.child) => {
                    self.child = None;
                    let exit = match status {
                        Ok(status) => Ending::Command(child::exit(status)),
                        Err(error) => Ending::Failed(CommandError::failed("the command cannot be waited for").because(error)),
                    };
                    self.end(exit);
                }
                signal = next_signal(&mut interrupts, foreground) => self.interrupted(signal).await,
                () = asked_to_stop(&mut watch) => self.end(Ending::Asked),
                () = pending_until(self.patience) => {
                    self.patience = None;
                    self.ctx.ui().say("still ending the sessions (Ctrl-C again: do not wait)");
                }
            }
        }
        while let Ok((_, notice @ Notice::NotEnded(..))) = heard.try_recv() {
            say::say(self.ctx.ui(), "", &notice, 0);
        }
        self.outcome().await
    }

    fn answer(&self, ask: Ask) -> Answering<'a> {
        let forward = self.forwards.get(ask.forward);
        let (ctx, consent, pick) = (self.ctx, self.consent, self.pick);
        let wish = forward.map(|forward| forward.wish.clone());
        let known = forward.and_then(|forward| forward.route.clone());
        // Before that, whoever has started it is here.
        let advice = self.advice.clone().filter(|_| self.begun);
        async move {
            match wish {
                Some(wish) => {
                    route::answer(ctx, &wish, consent, pick, known.as_ref(), advice.as_deref(), ask).await
                }
                // There is no such forward; dropping the question says so.
                None => (
                    Answered {
                        forward: ask.forward,
                        ..Answered::default()
                    },
                    None,
                ),
            }
        }
        .boxed_local()
    }

    fn answered(&mut self, answered: Answered, route: Option<Known>) {
        let Some(forward) = self.forwards.get_mut(answered.forward) else {
            return;
        };
        forward.route = route;
        forward.node = answered.node.or(forward.node.take());
        forward.scope = answered.scope.or(forward.scope.take());
        forward.trouble = answered.trouble;
    }

    /// Says a notice.
    fn hear(&mut self, index: usize, notice: &Notice) -> Result<(), CommandError> {
        let Some(forward) = self.forwards.get_mut(index) else {
            return Ok(());
        };
        let up = match notice {
            Notice::Up { session, via, .. } => Some((Some(session), via.as_str())),
            Notice::Open { via } => Some((None, via.as_str())),
            _ => None,
        };
        if up.is_some() && forward.ready == Ready::NotYet {
            forward.ready = Ready::Yes;
            forward.announce(self.ctx, up, self.command.is_empty())?;
        }
        forward.say(self.ctx.ui(), notice);
        Ok(())
    }

    /// Starts the command, or the browser, once every forward is ready.
    fn begin_if_ready(&mut self, watch: &mut Option<&mut dyn Watch>) {
        let all = self.forwards.iter().all(|forward| forward.ready == Ready::Yes);
        if !all || self.begun || self.ending.is_some() {
            return;
        }
        self.begun = true;
        if let Some(watch) = watch
            && let Err(error) = watch.ready()
        {
            self.end(Ending::Failed(error));
            return;
        }
        if self.browser == Browser::Open
            && let Some(first) = self.forwards.first()
        {
            first.open_browser(self.ctx);
        }
        if self.command.is_empty() {
            return;
        }
        self.ctx.ui().settle();
        let ends: Vec<End> = self.forwards.iter().map(|forward| forward.end.clone()).collect();
        match child::spawn(self.command, &ends) {
            Ok(child) => self.child = Some(child),
            Err(error) => self.end(Ending::Failed(error)),
        }
    }

    fn ended(&mut self, index: usize, result: Result<(), ForwardError>) {
        let Some(forward) = self.forwards.get_mut(index) else {
            return;
        };
        let Err(error) = result else { return };
        forward.failed = true;
        let is_out_of_reach =
            matches!(&error, ForwardError::Start(cause) if cause.kind == ErrorKind::TargetNotConnected);
        let wish = is_out_of_reach.then(|| forward.wish.clone());
        let failure = say::failure(&forward.wish, error, forward.trouble.take());
        let alone = self.forwards.len() == 1;
        let waiting = (!self.command.is_empty() || self.detaches) && !self.begun;
        if alone || waiting {
            // Where a command was not started yet, or whoever waits was not let go, one that is missing is one too
            // many.
            self.end(match wish {
                Some(wish) => Ending::OutOfReach(Box::new(wish), failure),
                None => Ending::Failed(failure),
            });
        } else {
            failure.report(self.ctx.ui());
        }
    }

    fn end(&mut self, ending: Ending) {
        // Not `send_replace` with a look at what there is: the look holds a lock until the call returns.
        self.stop.send_if_modified(|stop| {
            let before = *stop;
            *stop = before.max(Stop::Drain);
            *stop != before
        });
        self.ending.get_or_insert(ending);
    }

    async fn interrupted(&mut self, signal: i32) {
        if self.ending.is_some() {
            self.stop.send_replace(Stop::Now);
            return;
        }
        if let Some(child) = &self.child {
            // What ends us ends the command, which has its own idea of how to end.
            child::signal(child, signal);
        }
        let ui = self.ctx.ui();
        let open: usize = self
            .forwards
            .iter()
            .map(|forward| forward.counters.open_connections())
            .sum();
        if open > 0 {
            ui.say(&format!(
                "ending; {} a moment (Ctrl-C again: now)",
                match open {
                    1 => "one open connection has".to_owned(),
                    open => format!("{open} open connections have"),
                }
            ));
        } else {
            self.patience = Some(Instant::now() + PATIENCE);
        }
        self.end(Ending::Signal(signal));
    }

    async fn outcome(&mut self) -> Result<Exit, CommandError> {
        if let Some(mut child) = self.child.take() {
            // All forwards have ended under it: the command finds out by itself, and its status is ours.
            if let Ok(status) = child.wait().await {
                self.ending.get_or_insert(Ending::Command(child::exit(status)));
            }
        }
        let failed: Vec<&str> = self
            .forwards
            .iter()
            .filter(|forward| forward.failed)
            .map(|forward| forward.wish.name.as_str())
            .collect();
        match self.ending.take() {
            Some(ending) => ending.outcome(self.ctx, self.pick, self.begun).await,
            None if failed.is_empty() => Ok(Exit::SUCCESS),
            None => Err(CommandError::failed(format!(
                "forwards that could not be kept up: {}",
                failed.join(", ")
            ))),
        }
    }
}

/// Whom key strokes are meant for.
#[derive(Clone, Copy)]
enum Foreground {
    Ours,
    Child,
}

async fn next_signal(interrupts: &mut Interrupts, foreground: Foreground) -> i32 {
    match foreground {
        Foreground::Child => interrupts.next_with_child().await,
        Foreground::Ours => interrupts.next().await,
    }
}

async fn pending_if_none<T>(future: &mut Option<LocalBoxFuture<'_, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn pending_until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn asked_to_stop(watch: &mut Option<&mut dyn Watch>) {
    match watch {
        Some(watch) => watch.asked_to_stop().await,
        None => std::future::pending().await,
    }
}
