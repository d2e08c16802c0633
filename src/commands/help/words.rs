//! Words that are not ours, and the nearest that are: those of the AWS CLI, kubectl, ssh, docker, and typos.

use clap::Command;

use super::super::error::CommandError;
use crate::nearest;

/// What people type who know other tools, and what they mean.
const FOREIGN: &[(&str, &str)] = &[
    ("start-session", "connect TARGET"),
    ("ssh", "connect TARGET"),
    ("attach", "connect TARGET"),
    ("enter", "connect TARGET"),
    ("open", "connect TARGET"),
    ("run", "exec TARGET -- COMMAND"),
    ("send-command", "exec TARGET -- COMMAND"),
    ("tunnel", "forward TARGET LOCAL:REMOTE"),
    ("portforward", "forward TARGET LOCAL:REMOTE"),
    ("fwd", "forward TARGET LOCAL:REMOTE"),
    ("list", "ls"),
    ("ps", "ls"),
    ("instances", "ls"),
    ("nodes", "ls"),
    ("describe-instances", "ls"),
    ("describe-instance-information", "ls"),
    ("show", "describe TARGET"),
    ("info", "describe TARGET"),
    ("describe-sessions", "sessions"),
    ("terminate-session", "sessions end ID"),
    ("kill", "sessions end ID"),
    ("get-connection-status", "doctor TARGET"),
    ("check", "doctor"),
    ("diagnose", "doctor"),
    ("sso", "login PROFILE"),
    ("get-caller-identity", "whoami"),
    ("configure", "config"),
    ("settings", "config"),
    ("completion", "completions"),
    ("browser", "console"),
];

/// A word where a command was expected.
pub fn no_such_command(command: &Command, path: &str, word: &str) -> CommandError {
    let spoken = format!("`{word}` is not a command of `{path}`");
    let error = suggest(CommandError::usage(spoken), command, path, word);
    let is_root = path == "ssmx" && command.find_subcommand("connect").is_some();
    if is_root && foreign(command, word).is_none() && near(command, word).is_none() {
        return error.hint(format!("to get onto a node of that name: `ssmx connect {word}`"));
    }
    error.hint(format!("`{path} --help` lists the commands"))
}

/// A word that `ssmx help` knows nothing of.
pub(super) fn no_such_topic(command: &Command, word: &str) -> CommandError {
    let spoken = format!("there is neither a command nor a help topic `{word}`");
    suggest(CommandError::usage(spoken), command, "ssmx", word).hint(format!(
        "the topics are {}; `ssmx --help` lists the commands",
        super::topics::NAMES.join(", ")
    ))
}

fn suggest(error: CommandError, command: &Command, path: &str, word: &str) -> CommandError {
    let meant = foreign(command, word)
        .filter(|_| path == "ssmx")
        .or_else(|| near(command, word));
    match meant {
        Some(meant) => error.hint(format!("did you mean `{path} {meant}`?")),
        None => error,
    }
}

/// What somebody means who knows another tool, as far as we have it.
fn foreign(command: &Command, word: &str) -> Option<&'static str> {
    let (_, ours) = FOREIGN
        .iter()
        .find(|(theirs, _)| theirs.eq_ignore_ascii_case(word))?;
    command.find_subcommand(ours.split(' ').next()?).map(|_| *ours)
}

/// The command whose name or alias is most like the word, where one is like it at all.
fn near<'a>(command: &'a Command, word: &str) -> Option<&'a str> {
    let spellings = command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .flat_map(|sub| {
            sub.get_name_and_visible_aliases()
                .into_iter()
                .map(move |name| (name, sub.get_name()))
        });
    let spellings: Vec<(&str, &str)> = spellings.collect();
    let near = nearest::one(word, spellings.iter().map(|(spelling, _)| *spelling))?;
    let meant = spellings.iter().find(|(spelling, _)| *spelling == near);
    meant.map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        Command::new("ssmx")
            .subcommand(Command::new("connect").visible_alias("shell"))
            .subcommand(Command::new("ls"))
    }

    #[test]
    fn the_nearest_name_is_found_by_its_aliases_too() {
        assert_eq!(near(&command(), "conect"), Some("connect"));
        assert_eq!(near(&command(), "shel"), Some("connect"));
        assert_eq!(near(&command(), "xyzzy"), None);
    }

    #[test]
    fn words_of_other_tools_count_where_we_have_the_thing() {
        assert_eq!(foreign(&command(), "Start-Session"), Some("connect TARGET"));
        assert_eq!(foreign(&command(), "tunnel"), None);
    }
}
