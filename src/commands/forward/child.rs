//! The command that runs with the tunnel up: its words and its environment.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use tokio::process::{Child, Command};

use super::program;
use crate::commands::context::{Call, Context};
use crate::commands::error::{CommandError, Exit};

/// A local end that the command may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The forward's name.
    pub name: String,
    /// The address, or the path of a socket.
    pub host: String,
    /// The port; `None` for a socket.
    pub port: Option<u16>,
}

/// The words with `{port}`, `{host}`, `{NAME.port}` and `{NAME.host}` filled in; the plain ones are those of the
/// first forward. All other braces are the command's own.
///
/// # Errors
/// When a name in braces is no forward of this run.
fn fill(words: &[OsString], ends: &[End]) -> Result<Vec<OsString>, CommandError> {
    words.iter().map(|word| fill_one(word, ends)).collect()
}

/// Whether a command was to be run, be it an empty one.
pub fn is_announced(call: &Call) -> bool {
    call.words.iter().any(|word| word == "--")
}

/// Whether the words will do for forwards of these names, before anything is started for them.
///
/// # Errors
/// As for [`fill`], and when there is no such program.
pub fn check<'a>(
    ctx: &Context,
    words: &[OsString],
    names: impl Iterator<Item = &'a str>,
) -> Result<(), CommandError> {
    let Some(program) = words.first() else {
        return match is_announced(ctx.call()) {
            true => Err(CommandError::usage("the command after `--` is empty")),
            false => Ok(()),
        };
    };
    let end = |name: &str| End {
        name: name.to_owned(),
        host: String::new(),
        port: None,
    };
    let ends: Vec<End> = names.map(end).collect();
    fill(words, &ends)?;
    for (variable, names) in shared(&ends) {
        ctx.ui().warn(&format!(
            "`{}` come to one variable, so there is no `{variable}PORT` and no `{variable}HOST`",
            names.join("` and `")
        ));
    }
    // What is filled in is known later.
    match program.as_bytes().contains(&b'{') {
        true => Ok(()),
        false => program::check(program),
    }
}

/// Variables that several forwards come to, which nobody gets then, and the forwards' names.
fn shared(ends: &[End]) -> Vec<(String, Vec<&str>)> {
    let mut all: Vec<(String, Vec<&str>)> = Vec::new();
    for end in ends {
        let variable = variable(&end.name);
        match all.iter_mut().find(|(known, _)| *known == variable) {
            Some((_, names)) => names.push(&end.name),
            None => all.push((variable, vec![&end.name])),
        }
    }
    all.retain(|(_, names)| names.len() > 1);
    all
}

/// The beginning of a forward's variables.
fn variable(name: &str) -> String {
    let plain = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    };
    let name: String = name.chars().map(plain).collect();
    format!("SSMX_FORWARD_{name}_")
}

fn fill_one(word: &OsStr, ends: &[End]) -> Result<OsString, CommandError> {
    let mut filled = Vec::new();
    let mut rest = word.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'{') {
        let (before, from) = rest.split_at(at);
        filled.extend_from_slice(before);
        let inner = from.iter().position(|byte| *byte == b'}').and_then(|end| {
            let inner = std::str::from_utf8(from.get(1..end)?).ok()?;
            Some((inner, from.get(end + 1..)?))
        });
        let value = match inner {
            Some((inner, _)) => value(inner, ends)?,
            None => None,
        };
        match (value, inner) {
            (Some(value), Some((_, after))) => {
                filled.extend_from_slice(value.as_bytes());
                rest = after;
            }
            _ => {
                filled.push(b'{');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    filled.extend_from_slice(rest);
    Ok(OsString::from_vec(filled))
}

/// What stands for the text between braces; `None` where it is none of ours.
fn value(inner: &str, ends: &[End]) -> Result<Option<String>, CommandError> {
    let (name, what) = match inner.rsplit_once('.') {
        Some((name, what)) => (Some(name), what),
        None => (None, inner),
    };
    if !matches!(what, "port" | "host") {
        return Ok(None);
    }
    let end = match name {
        None => ends.first(),
        Some(name) => {
            let mut fitting = ends.iter().filter(|end| end.name == name);
            let named = fitting.next();
            if fitting.next().is_some() {
                return Err(CommandError::usage(format!(
                    "`{{{inner}}}` in the command names several forwards of this run"
                ))
                .hint(
                    "`{port}` and `{host}` are those of the first; the others want presets to be told apart",
                ));
            }
            // `${x.port}` and the like are some other language's.
            let sound = name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.:/".contains(&b));
            if named.is_none() && sound {
                let names: Vec<&str> = ends.iter().map(|end| end.name.as_str()).collect();
                return Err(CommandError::usage(format!(
                    "`{{{inner}}}` in the command names no forward of this run"
                ))
                .hint(format!("the forwards are: {}", names.join(", "))));
            }
            named
        }
    };
    Ok(end.map(|end| match what {
        "host" => end.host.clone(),
        _ => end.port.map(|port| port.to_string()).unwrap_or_default(),
    }))
}

/// What the command finds in its environment.
fn environment(ends: &[End]) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    let mut add = |prefix: &str, end: &End| {
        variables.push((format!("{prefix}HOST"), end.host.clone()));
        let port = end.port.map(|port| port.to_string()).unwrap_or_default();
        variables.push((format!("{prefix}PORT"), port));
    };
    if let Some(first) = ends.first() {
        add("SSMX_FORWARD_", first);
    }
    let shared = shared(ends);
    for end in ends {
        let variable = variable(&end.name);
        if shared.iter().all(|(known, _)| *known != variable) {
            add(&variable, end);
        }
    }
    variables
}

/// Starts the command with its words and environment filled in.
///
/// # Errors
/// When it names a forward that is none, or cannot be started.
pub fn spawn(command: &[OsString], ends: &[End]) -> Result<Child, CommandError> {
    let words = fill(command, ends)?;
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| CommandError::usage("the command after `--` is empty"))?;
    Command::new(program)
        .args(arguments)
        .envs(environment(ends))
        .spawn()
        .map_err(|error| {
            CommandError::failed(format!("cannot start `{}`", program.to_string_lossy()))
                .because(error)
                .hint("a script wants a first line that says what runs it, such as `#!/bin/sh`")
        })
}

/// Passes a signal on.
pub fn signal(child: &Child, signal: i32) {
    let pid = child
        .id()
        .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
    if let (Some(pid), Some(signal)) = (pid, rustix::process::Signal::from_named_raw(signal)) {
        // It may have left this moment.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Waits for the command; for ever where there is none. Cancel-safe.
pub async fn wait(child: &mut Option<Child>) -> std::io::Result<ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}

/// The command's exit status as ours.
pub fn exit(status: ExitStatus) -> Exit {
    let code = match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 255,
    };
    Exit(u8::try_from(code).unwrap_or(255))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> Vec<End> {
        vec![
            End {
                name: "prod-db".to_owned(),
                host: "127.0.0.1".to_owned(),
                port: Some(15432),
            },
            End {
                name: "cache".to_owned(),
                host: "/run/c.sock".to_owned(),
                port: None,
            },
        ]
    }

    fn filled(word: &str) -> String {
        let filled = fill(&[OsString::from(word)], &ends()).unwrap();
        filled.into_iter().next().unwrap().into_string().unwrap()
    }

    #[test]
    fn braces_of_ours_are_filled_and_others_are_not() {
        for (word, expected) in [
            ("{port}", "15432"),
            ("postgres://{host}:{port}/x", "postgres://127.0.0.1:15432/x"),
            ("{prod-db.port}{prod-db.host}", "15432127.0.0.1"),
            ("{cache.host}", "/run/c.sock"),
            ("{cache.port}", ""),
            ("{\"port\": {port}}", "{\"port\": 15432}"),
            ("{}", "{}"),
            ("{ports}", "{ports}"),
            ("{port", "{port"),
            ("a}b{", "a}b{"),
            ("${a b.port}", "${a b.port}"),
            ("{{port}}", "{15432}"),
        ] {
            assert_eq!(filled(word), expected, "{word}");
        }
        let odd = OsString::from_vec(b"\xff{port}".to_vec());
        assert_eq!(fill(&[odd], &ends()).unwrap()[0].as_bytes(), b"\xff15432");
    }

    #[test]
    fn a_forward_that_is_not_there_is_an_error() {
        let error = fill(&[OsString::from("{prod-dbx.port}")], &ends()).unwrap_err();
        assert_eq!(error.status(), 252);
        let words = [OsString::from("{cache.port}")];
        assert!(fill(&words, &ends()).is_ok());
        assert!(fill(&words, &ends()[..1]).is_err());
        // Which of two, nobody can tell.
        let twice = [ends(), ends()].concat();
        assert_eq!(fill(&words, &twice).unwrap_err().status(), 252);
        assert!(fill(&[OsString::from("{port}")], &twice).is_ok());
    }

    #[test]
    fn the_environment_has_the_first_and_each() {
        let variables = environment(&ends());
        let get = |name: &str| {
            let found = variables.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(get("SSMX_FORWARD_PORT"), Some("15432"));
        assert_eq!(get("SSMX_FORWARD_HOST"), Some("127.0.0.1"));
        assert_eq!(get("SSMX_FORWARD_PROD_DB_PORT"), Some("15432"));
        assert_eq!(get("SSMX_FORWARD_CACHE_HOST"), Some("/run/c.sock"));
        assert_eq!(get("SSMX_FORWARD_CACHE_PORT"), Some(""));
    }

    #[test]
    fn a_variable_of_two_forwards_is_nobodys() {
        let named = |name: &str| End {
            name: name.to_owned(),
            ..ends()[0].clone()
        };
        let ends = [named("a.b"), named("a-b"), named("c")];
        let variables = environment(&ends);
        let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "SSMX_FORWARD_HOST",
                "SSMX_FORWARD_PORT",
                "SSMX_FORWARD_C_HOST",
                "SSMX_FORWARD_C_PORT"
            ]
        );
        assert_eq!(
            shared(&ends),
            [("SSMX_FORWARD_A_B_".to_owned(), vec!["a.b", "a-b"])]
        );
    }

    #[test]
    fn the_status_is_the_commands() {
        assert_eq!(exit(ExitStatus::from_raw(3 << 8)), Exit(3));
        assert_eq!(exit(ExitStatus::from_raw(9)), Exit(137));
    }
}
