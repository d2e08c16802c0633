//! What TAB offers: from config and snapshots alone, without network, noise or questions; nothing on failure.
//!
//! The shells' scripts (`completions/`) call `ssmx __complete SHELL …` before anything else of ssmx is awake. The
//! answer is one line of directives, then a line for each candidate: a word, a tab, what it is. Every word is safe
//! in every shell as it stands; what cannot be written so is offered by its id, or not at all.

mod answer;
mod candidates;
mod line;
mod renew;
mod request;
mod world;

use std::ffi::OsString;
use std::io::Write as _;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use answer::Answer;
use candidates::Shared;
use request::Request;

/// The word that the scripts call ssmx with.
pub const WORD: &str = "__complete";

/// Answers a script. `words` are those after [`WORD`].
pub fn run(command: clap::Command, words: &[OsString]) -> ExitCode {
    // Below it lies an unstable engine and whatever people have in their files: a TAB never makes noise.
    panic::set_hook(Box::new(|_| {}));
    let answered = panic::catch_unwind(AssertUnwindSafe(|| {
        let request = Request::read(words)?;
        let (answer, shared) = answer(command, &request);
        Some((answer.text(&request), shared))
    }));
    if let Ok(Some((text, shared))) = answered {
        // The shell may have gone.
        drop(std::io::stdout().lock().write_all(text.as_bytes()));
        let renewing = AssertUnwindSafe(|| shared.world(renew::renew_if_due));
        drop(panic::catch_unwind(renewing));
    }
    ExitCode::SUCCESS
}

/// Whether the word at hand is of a command that is to be run: the engine would offer what may stand before `--`.
fn in_command(command: &clap::Command, request: &Request) -> bool {
    let mut before = request.before.iter();
    let mut at = command;
    for word in before.by_ref().take_while(|word| *word != "--") {
        at = at.find_subcommand(word).unwrap_or(at);
    }
    let is_behind = request.before.iter().any(|word| word == "--");
    is_behind && at.get_positionals().any(clap::Arg::is_last_set)
}

fn answer(command: clap::Command, request: &Request) -> (Answer, Shared) {
    let (mut command, shared) = candidates::attach(command, request);
    let mut words: Vec<OsString> = vec!["ssmx".into()];
    words.extend(request.before.iter().map(Into::into));
    words.push(request.current.clone().into());
    let index = words.len() - 1;
    let found = match in_command(&command, request) {
        true => Vec::new(),
        false => clap_complete::engine::complete(&mut command, words, index, None).unwrap_or_default(),
    };
    (Answer::new(found, shared.collected(), request), shared)
}
