//! `--detach`: the same forwards in a process without a terminal, and the process that waits until they are ready.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::Notify;

use super::watch::{Begun, Watch};
use super::wish::Wish;
use crate::commands::context::Context;
use crate::commands::error::{CommandError, Exit, Kind};
use crate::detached::{Asked, Claim, Control, ForwardStatus, Record, Registry, RegistryError, Status};
use crate::transport::forward::{BoxFuture, Counters, ForwardError, Notice};
use crate::ui::text::escape;

/// The last line of the child's stdout: it is ready, and says no more there.
const READY: &str = "\u{1}ready";
/// What a child that failed is shown to have said, at most.
const LONGEST_LAST_WORDS: u64 = 4096;

/// Where detached forwards are written down.
///
/// # Errors
/// Where the user has no home.
pub fn registry(ctx: &Context) -> Result<Registry, CommandError> {
    let places = ctx.places();
    match (&places.runtime, &places.state) {
        (Some(runtime), Some(state)) => Ok(Registry::new(runtime, state)),
        _ => Err(CommandError::failed(
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
            RegistryError::Name(_) | RegistryError::Io { .. } => None,
        };
        let kind = match &error {
            RegistryError::Name(_) | RegistryError::Unknown(_) => Kind::Usage,
            _ => Kind::Failed,
        };
        let failure = Self::new(kind, error.to_string());
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// The name of the process: the chosen one, else the first forward's.
pub fn name(chosen: Option<&str>, wishes: &[&Wish]) -> String {
    if let Some(chosen) = chosen {
        return chosen.to_owned();
    }
    let first = wishes.first().map(|wish| wish.name.as_str()).unwrap_or_default();
    let sound = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name: String = first.chars().map(|c| if sound(c) { c } else { '-' }).collect();
    name.trim_start_matches(['.', '-']).chars().take(48).collect()
}

/// Starts the child and waits until it is ready, or has failed; its words are ours then.
///
/// # Errors
/// When it cannot be started, or failed.
pub async fn spawn(ctx: &Context, name: &str) -> Result<Exit, CommandError> {
    let registry = registry(ctx)?;
    // A name that is taken is said here, in a terminal; the child takes it for itself.
    drop(registry.claim(name)?);
    let log = registry.open_log(name)?;
    let begin = log.metadata()?.len();
    let program = std::env::current_exe()
        .map_err(|error| CommandError::failed("cannot find the program itself").because(error))?;
    let mut child = Command::new(program)
        .args(child_words(std::env::args_os().skip(1), name))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|error| {
            CommandError::failed("cannot start a process of its own for the forward").because(error)
        })?;
    let Some(said) = child.stdout.take() else {
        return Err(CommandError::failed("the process of the forward has no voice"));
    };
    let mut lines = BufReader::new(said).lines();
    while let Some(line) = lines.next_line().await? {
        if line == READY {
            ctx.ui().say(&format!(
                "detached as `{name}`; `ssmx forward ps` shows it, `ssmx forward stop {name}` ends it"
            ));
            return Ok(Exit::SUCCESS);
        }
        ctx.ui().data(&format!("{line}\n"))?;
    }
    let status = child.wait().await?;
    let words = last_words(&registry, name, begin);
    for line in words.lines() {
        ctx.ui().say(&escape(line));
    }
    match status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(code) if code != 0 => Ok(Exit(code)),
        _ => Err(CommandError::failed(format!(
            "the process of forward `{name}` ended ({status})"
        ))),
    }
}

/// The words for the child: ours, but for those that make a child.
fn child_words(words: impl Iterator<Item = OsString>, name: &str) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut words = words;
    while let Some(word) = words.next() {
        if word == "--detach" || word == "-d" {
            continue;
        }
        if word == "--name" {
            drop(words.next());
            continue;
        }
        if word.to_str().is_some_and(|word| word.starts_with("--name=")) {
            continue;
        }
        kept.push(word);
    }
    let place = kept
        .iter()
        .position(|word| is_forward(word))
        .map_or(kept.len(), |at| at + 1);
    kept.insert(place, OsString::from(format!("--detached-as={name}")));
    kept
}

fn is_forward(word: &OsStr) -> bool {
    ["forward", "port-forward", "pf", "socks"]
        .iter()
        .any(|name| word == *name)
}

fn last_words(registry: &Registry, name: &str, begin: u64) -> String {
    let read = || -> Option<String> {
        let mut log = File::open(registry.log(name).ok()?).ok()?;
        log.seek(SeekFrom::Start(begin)).ok()?;
        let mut bytes = Vec::new();
        log.take(LONGEST_LAST_WORDS).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

/// The child's side: takes the name, leaves the terminal, and answers whoever asks.
pub struct Detached {
    known: Arc<Mutex<Known>>,
    stop: Arc<Notify>,
    _claim: Claim,
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
    /// Takes the name and begins to answer.
    ///
    /// # Errors
    /// When the name is taken or the files cannot be made.
    pub fn begin(ctx: &Context, name: &str, words: &[String]) -> Result<Self, CommandError> {
        // Fails only for who leads a group of processes already, and that one has no terminal to lose.
        let _ = rustix::process::setsid();
        let claim = registry(ctx)?.claim(name)?;
        claim.record(&Record {
            name: name.to_owned(),
            process: std::process::id(),
            started: jiff::Timestamp::now(),
            words: words.to_vec(),
        })?;
        let control = Control::listen(claim.socket()).map_err(|error| {
            let socket = claim.socket().display();
            CommandError::failed(format!("cannot listen on {socket}")).because(error)
        })?;
        let known = Arc::new(Mutex::new(Known::default()));
        let stop = Arc::new(Notify::new());
        tokio::spawn(serve(control, Arc::clone(&known), Arc::clone(&stop)));
        Ok(Self {
            known,
            stop,
            _claim: claim,
        })
    }

    fn change(&self, forward: usize, change: impl FnOnce(&mut ForwardStatus)) {
        if let Some((status, _)) = lock(&self.known).forwards.get_mut(forward) {
            change(status);
        }
    }
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
                ..ForwardStatus::default()
            };
            (status, Some(forward.counters))
        });
        lock(&self.known).forwards = begun.collect();
    }

    fn ready(&mut self) {
        // stdout is the parent's, who goes now. What cannot be written to it has no reader any more.
        use std::io::Write as _;
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{READY}");
        let _ = out.flush();
        drop(out);
        if let Ok(null) = OpenOptions::new().write(true).open("/dev/null") {
            let _ = rustix::stdio::dup2_stdout(&null);
        }
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
            Notice::Down { sessions: 0, .. } => {
                status.session = None;
                status.since = None;
            }
            Notice::Starting if status.session.is_none() => status.state = "starting".to_owned(),
            Notice::Reconnecting(why) | Notice::StillAway(why) => {
                status.state = "reconnecting".to_owned();
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
                status.state = "needs you".to_owned();
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
            | Notice::Down { .. }
            | Notice::Starting
            | Notice::Waiting
            | Notice::Unanswered
            | Notice::Unreachable
            | Notice::GaveUpWaiting
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
        Box::pin(self.stop.notified())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_is_told_what_the_parent_was_told() {
        let words = [
            "-p", "prod", "forward", "--detach", "prod-db", "--name", "x", "--lazy", "--name=y",
        ];
        let words = child_words(words.iter().map(OsString::from), "x");
        assert_eq!(
            words,
            ["-p", "prod", "forward", "--detached-as=x", "prod-db", "--lazy"]
        );
    }
}
