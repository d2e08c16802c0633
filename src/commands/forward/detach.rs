//! `--detach`: the same command once more in a process of its own, which has the terminal until its forwards are
//! ready, and then goes on without one; and the process that waits for that.
//!
//! Whatever is asked of a person is so asked by the process that needs the answer, and in the same words.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::Notify;

use super::child;
use super::plan::Plan;
use super::watch::{Begun, Watch};
use super::wish::Wish;
use crate::commands::context::{Context, Starter};
use crate::commands::error::{CommandError, Exit, Kind};
use crate::detached::{
    Asked, Claim, Control, Ended, ForwardStatus, Inherited, Record, Registry, RegistryError, Status,
};
use crate::transport::forward::{BoxFuture, Counters, ForwardError, Interrupts, Notice};
use crate::ui::Ui;
use crate::ui::text::escape;

/// The last line of the child's stdout: it is ready, and says no more there.
const READY: &str = "\u{1}ready";
/// The state of a forward whose next session wants a person.
pub const NEEDS_YOU: &str = "needs you";
/// And of one whose data channel was cut.
const RECONNECTING: &str = "reconnecting";
/// The word before all others that a child is known by. Those that a person gave come after it as they are.
const WORD: &str = "__detach";

/// The words without ours, and who has started this process with them.
pub fn without_word(mut words: Vec<OsString>) -> (Vec<OsString>, Starter) {
    if words.get(1).is_some_and(|word| word == WORD) {
        words.remove(1);
        (words, Starter::Detach)
    } else {
        (words, Starter::Outside)
    }
}

/// Where detached forwards are written down.
///
/// # Errors
/// Where the user has no home.
pub fn registry(ctx: &Context) -> Result<Registry, CommandError> {
    match &ctx.places().state {
        Some(state) => Ok(Registry::new(state)),
        None => Err(CommandError::failed(
            "detached forwards need a place for their files, and this user has no home directory",
        )),
    }
}

impl From<RegistryError> for CommandError {
    fn from(error: RegistryError) -> Self {
        let hint = match &error {
            RegistryError::Taken(name) => Some(format!(
                "`ssmx forward ps` shows it, `ssmx forward stop {name}` ends it, `--name` gives this one another name"
            )),
            RegistryError::Unknown(_) => Some("`ssmx forward ps` lists what there is".to_owned()),
            RegistryError::NotPrivate(path) => Some(format!(
                "make it yours alone: `chmod 700 {}`",
                escape(&path.display().to_string())
            )),
            RegistryError::Ambiguous { names, .. } => {
                Some(format!("name the one that is meant: `{}`", names.join("` or `")))
            }
            RegistryError::Io { .. } => Some(
                "what is known of detached forwards lies in ssmx's state directory, which has to be yours and writable; \
                 `XDG_STATE_HOME` names the directory above it"
                    .to_owned(),
            ),
            RegistryError::Name(_) => None,
        };
        let kind = match &error {
            RegistryError::Name(_) | RegistryError::Unknown(_) | RegistryError::Ambiguous { .. } => {
                Kind::Usage
            }
            RegistryError::Taken(_) | RegistryError::NotPrivate(_) | RegistryError::Io { .. } => Kind::Failed,
        };
        let failure = match &error {
            RegistryError::Io { path, cause, .. } => {
                Self::new(kind, error.to_string()).because(format!("{}: {cause}", path.display()))
            }
            _ => Self::new(kind, error.to_string()),
        };
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// Starts the child and waits until it is ready, or has ended; its status is ours then.
///
/// # Errors
/// When it cannot be started, or was killed.
pub async fn start(ctx: &Context) -> Result<Exit, CommandError> {
    let mut interrupts = Interrupts::listen()?;
    let program = std::env::current_exe()
        .map_err(|error| CommandError::failed("cannot find the program itself").because(error))?;
    let mut child = Command::new(program)
        .arg(WORD)
        .args(&ctx.call().words)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| {
            CommandError::failed("cannot start a process of its own for the forward").because(error)
        })?;
    let Some(said) = child.stdout.take() else {
        return Err(CommandError::failed("the process of the forward has no voice"));
    };
    let mut lines = BufReader::new(said).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) if line == READY => return Ok(Exit::SUCCESS),
                Some(line) => ctx.ui().data(&format!("{line}\n"))?,
                None => break,
            },
            // Keys are for both; what was meant for this process alone is for the child.
            signal = interrupts.next_with_child() => child::signal(&child, signal),
        }
    }
    outcome(child.wait().await?)
}

/// What becomes of us with a child that has ended before it was ready. What there was to say, it has said.
fn outcome(status: ExitStatus) -> Result<Exit, CommandError> {
    match status.signal() {
        None => Ok(child::exit(status)),
        Some(signal_hook::consts::SIGINT) => Err(CommandError::interrupted()),
        Some(signal) => Err(CommandError::new(
            Kind::Signal(signal),
            format!("the process of the forward was killed ({status})"),
        )),
    }
}

/// The child's side: takes the name, answers whoever asks, and leaves the terminal when all is ready.
pub struct Detached {
    record: Record,
    ui: Ui,
    /// Where stderr goes then.
    log: File,
    known: Arc<Mutex<Known>>,
    stop: Arc<Notify>,
    progress: Progress,
    /// Until the terminal is left: the process that waits has the same.
    inherited: Option<Inherited>,
    claim: Claim,
}

/// How far the child has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Somebody waits for it.
    Begun,
    /// It is on its own.
    Left,
    /// It was asked to end.
    Asked,
}

#[derive(Default)]
struct Known {
    forwards: Vec<(ForwardStatus, Option<Arc<Counters>>)>,
}

impl Known {
    fn status(&self) -> Status {
        let forwards = self.forwards.iter().map(|(status, counters)| {
            let mut status = status.clone();
            if let Some(counters) = counters {
                status.open = counters.open_connections() as u64;
                status.connections = counters.connections();
                status.sent = counters.bytes_sent();
                status.received = counters.bytes_received();
            }
            status
        });
        Status {
            forwards: forwards.collect(),
        }
    }
}

impl Detached {
    /// Takes the name and begins to answer. `words` are what it was asked for.
    ///
    /// # Errors
    /// When the name is taken or the files cannot be made.
    pub fn begin(
        ctx: &Context,
        name: String,
        words: &[String],
        wishes: &[(Wish, Plan)],
    ) -> Result<Self, CommandError> {
        let inherited = Inherited::take();
        let registry = registry(ctx)?;
        let claim = registry.claim(&name)?;
        let log = registry.open_log(&name)?;
        let record = Record {
            name,
            process: std::process::id(),
            started: jiff::Timestamp::now(),
            words: words.to_vec(),
            forwards: wishes.iter().map(|(wish, _)| wish.name.clone()).collect(),
            ended: None,
        };
        claim.record(&record)?;
        let control = Control::listen(claim.socket()).map_err(|error| not_listening(&claim, &error))?;
        let known = Arc::new(Mutex::new(Known::default()));
        let stop = Arc::new(Notify::new());
        tokio::spawn(serve(control, Arc::clone(&known), Arc::clone(&stop)));
        Ok(Self {
            record,
            ui: ctx.ui().clone(),
            log,
            known,
            stop,
            progress: Progress::Begun,
            inherited: Some(inherited),
            claim,
        })
    }

    /// Leaves word of an end that nobody has asked for, and nobody was there to see.
    pub fn end(mut self, result: &Result<Exit, CommandError>) {
        if self.progress != Progress::Left {
            return;
        }
        let why = match result {
            Ok(_) => "its forwards have ended".to_owned(),
            Err(error) => match error.kind {
                Kind::Interrupted => by_signal(signal_hook::consts::SIGINT),
                Kind::Signal(signal) => by_signal(signal),
                _ => error.summary(),
            },
        };
        let mut forwards = lock(&self.known).status().forwards;
        for status in &mut forwards {
            status.state = "ended".to_owned();
            status.session = None;
            if status.why.is_empty() {
                status.why.clone_from(&why);
            }
        }
        self.record.ended = Some(Ended {
            at: jiff::Timestamp::now(),
            forwards,
        });
        if let Err(error) = self.claim.leave(&self.record) {
            CommandError::from(error).report(&self.ui);
        }
    }

    /// From now on nobody is asked, and what is said goes into the log.
    fn leave_terminal(&mut self) -> io::Result<()> {
        self.ui.settle();
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        self.inherited = None;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stderr(&self.log)?;
        self.ui.leave_terminal();
        // Fails only for who leads a group of processes, and a child of ours does not.
        let _ = rustix::process::setsid();
        // stdout is the parent's, who goes now. What cannot be written to it has no reader any more.
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{READY}");
        let _ = out.flush();
        rustix::stdio::dup2_stdout(&null)?;
        self.progress = Progress::Left;
        Ok(())
    }

    fn change(&self, forward: usize, change: impl FnOnce(&mut ForwardStatus)) {
        if let Some((status, _)) = lock(&self.known).forwards.get_mut(forward) {
            change(status);
        }
    }
}

fn by_signal(signal: i32) -> String {
    format!("its process was ended by signal {signal}")
}

fn not_listening(claim: &Claim, error: &io::Error) -> CommandError {
    let socket = claim.socket().display();
    let wanted = match error.kind() {
        io::ErrorKind::InvalidInput => "with a shorter path",
        _ => "on a file system that can hold sockets",
    };
    CommandError::failed(format!(
        "cannot listen on {socket}, by which the forward is to be asked"
    ))
    .because(error)
    .hint(format!(
        "name a directory {wanted} by `XDG_STATE_HOME`, whenever you ask for detached forwards"
    ))
}

async fn serve(control: Control, known: Arc<Mutex<Known>>, stop: Arc<Notify>) {
    loop {
        let stream = control.accept().await;
        let (status, stop) = (lock(&known).status(), Arc::clone(&stop));
        tokio::spawn(async move {
            if let Ok(Asked::Stop) = Control::answer(stream, &status).await {
                stop.notify_one();
            }
        });
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch for Detached {
    fn begun(&mut self, forwards: Vec<Begun>) {
        let begun = forwards.into_iter().map(|forward| {
            let status = ForwardStatus {
                name: forward.name,
                state: "starting".to_owned(),
                local: forward.local,
                remote: forward.remote,
                ready: forward.document,
                ..ForwardStatus::default()
            };
            (status, Some(forward.counters))
        });
        lock(&self.known).forwards = begun.collect();
    }

    fn ready(&mut self) -> Result<(), CommandError> {
        let name = &self.record.name;
        self.ui.say(&format!(
            "detached as `{name}`; `ssmx forward ps` shows it, `ssmx forward stop {name}` ends it"
        ));
        self.leave_terminal()
            .map_err(|error| CommandError::failed("cannot leave the terminal").because(error))
    }

    fn advice(&self) -> String {
        let name = &self.record.name;
        format!("end it with `ssmx forward stop {name}` and start it again where you can be asked")
    }

    fn found(&mut self, forward: usize, document: Value) {
        self.change(forward, |status| status.ready = document);
    }

    fn notice(&mut self, forward: usize, notice: &Notice) {
        self.change(forward, |status| match notice {
            Notice::Up { session, via, .. } => {
                status.state = "up".to_owned();
                status.why = String::new();
                status.via = via.clone();
                status.session = Some(session.to_string());
                status.since = Some(jiff::Timestamp::now());
            }
            Notice::Down { left: None, .. } => {
                status.session = None;
                status.since = None;
            }
            Notice::Down { left: Some(left), .. } => {
                let session = Some(left.session.to_string());
                if status.session != session {
                    status.session = session;
                    status.via = left.via.clone();
                    status.since = jiff::Timestamp::now().checked_sub(left.age).ok();
                }
                if left.takes && status.state == RECONNECTING {
                    status.state = "up".to_owned();
                    status.why = String::new();
                }
            }
            Notice::Starting if status.session.is_none() => status.state = "starting".to_owned(),
            Notice::Reconnecting(why) | Notice::StillAway(why) => {
                status.state = RECONNECTING.to_owned();
                status.why = why.clone();
            }
            Notice::Back(_) => {
                status.state = "up".to_owned();
                status.why = String::new();
            }
            Notice::Dormant(_) => {
                status.state = "idle".to_owned();
                status.why = String::new();
            }
            Notice::Retrying { cause, .. } => {
                status.state = "retrying".to_owned();
                status.why = cause.clone();
            }
            Notice::NeedsPerson(why) => {
                status.state = NEEDS_YOU.to_owned();
                status.why = why.clone();
            }
            Notice::Open { via } => {
                status.state = "up".to_owned();
                status.via = via.clone();
                status.since = Some(jiff::Timestamp::now());
            }
            // One of many says nothing of the whole.
            Notice::Destination(..)
            | Notice::FellBack { .. }
            | Notice::GivenUp(_)
            | Notice::Crowded
            | Notice::Misunderstood(_)
            | Notice::Fewer(_)
            | Notice::Starting
            | Notice::Waiting
            | Notice::Unanswered
            | Notice::Unreachable
            | Notice::GaveUpWaiting
            | Notice::StoodStill
            | Notice::CustomerMessage(_)
            | Notice::NotEnded(..) => {}
        });
    }

    fn ended(&mut self, forward: usize, error: Option<&ForwardError>) {
        self.change(forward, |status| {
            status.state = "ended".to_owned();
            status.why = error.map(ToString::to_string).unwrap_or_default();
            status.session = None;
        });
    }

    fn asked_to_stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.stop.notified().await;
            self.progress = Progress::Asked;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_known_by_its_first_word_alone() {
        let told = |words: &[&str]| without_word(words.iter().map(OsString::from).collect());
        let given = [
            "ssmx", "-p", "forward", "forward", WORD, "--detach", "--name", "x",
        ];
        assert_eq!(
            told(&given),
            (given.map(OsString::from).to_vec(), Starter::Outside)
        );
        let handed = [&given[..1], &[WORD], &given[1..]].concat();
        assert_eq!(
            told(&handed),
            (given.map(OsString::from).to_vec(), Starter::Detach)
        );
        assert_eq!(told(&["ssmx"]), (vec!["ssmx".into()], Starter::Outside));
    }
}
