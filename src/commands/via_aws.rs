//! `aws ssmx …`: getting back the options that the AWS CLI takes for its own.
//!
//! It takes its global options wherever they stand before `--`, unique beginnings of them too, and drops them before
//! an alias runs. The alias sets `SSMX_VIA=aws`; the whole line is then read from the AWS CLI's own process, our
//! parent or grandparent. Where it cannot be read for certain, nothing is done: an `--profile` that is passed over
//! would lead into the wrong account.

use std::ffi::OsString;

use super::error::CommandError;
use crate::config::env::lookup;

/// The AWS CLI's global options, and whether each takes a value. Both versions', since a beginning is unique only
/// among all that its version has.
const GLOBALS: &[(&str, Takes)] = &[
    ("ca-bundle", Takes::Value),
    ("cli-auto-prompt", Takes::Nothing),
    ("cli-binary-format", Takes::Value),
    ("cli-connect-timeout", Takes::Value),
    ("cli-read-timeout", Takes::Value),
    ("color", Takes::Value),
    ("debug", Takes::Nothing),
    ("endpoint-url", Takes::Value),
    ("no-cli-auto-prompt", Takes::Nothing),
    ("no-cli-pager", Takes::Nothing),
    ("no-paginate", Takes::Nothing),
    ("no-sign-request", Takes::Nothing),
    ("no-verify-ssl", Takes::Nothing),
    ("output", Takes::Value),
    ("profile", Takes::Value),
    ("query", Takes::Value),
    ("region", Takes::Value),
    ("v2-debug", Takes::Nothing),
    ("version", Takes::Nothing),
];

/// Those that mean something to us under the same name.
const OURS: &[&str] = &[
    "ca-bundle",
    "color",
    "debug",
    "endpoint-url",
    "no-cli-pager",
    "no-verify-ssl",
    "output",
    "profile",
    "query",
    "region",
];

/// How far up the AWS CLI may be: itself, or behind its shell, or behind a wrapper of that.
const NEAREST: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
}

/// Our words with the options that the AWS CLI kept; as they are where it has no part in it.
///
/// # Errors
/// When the AWS CLI's line cannot be read for certain.
pub fn recover(words: Vec<OsString>) -> Result<Vec<OsString>, CommandError> {
    if lookup("SSMX_VIA").as_deref() != Some("aws") {
        return Ok(words);
    }
    let Some((us, ours)) = words.split_first() else {
        return Ok(words);
    };
    let ours: Vec<String> = ours
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let refused = |why: &str| {
        CommandError::usage(format!("what `aws` was called with cannot be told: {why}"))
            .hint("run `ssmx` itself, or put the options after `--`: `aws ssmx -- ls --profile prod`")
    };
    let ancestors = ancestors();
    let mut seen = false;
    for arguments in &ancestors {
        let Some(theirs) = after_aws(arguments) else {
            // Somebody that the AWS CLI's ssmx has started: its options were given in full.
            if !seen && program(arguments).is_some_and(|name| name == "ssmx") {
                return Ok(words);
            }
            continue;
        };
        seen = true;
        if let Some(kept) = kept(theirs, &ours) {
            let mut whole = vec![us.clone()];
            whole.extend(kept.into_iter().map(OsString::from));
            whole.extend(words.iter().skip(1).cloned());
            return Ok(whole);
        }
    }
    Err(refused(if seen {
        "its line does not fit ours"
    } else {
        "it is not among the processes that started ssmx"
    }))
}

/// The file name of the program that a line starts.
fn program(arguments: &[String]) -> Option<&str> {
    arguments.first()?.rsplit('/').next()
}

/// The words after `aws`, where that is what the process runs: by itself, or as an interpreter's script.
fn after_aws(arguments: &[String]) -> Option<&[String]> {
    let at = arguments
        .iter()
        .take(3)
        .position(|word| word.rsplit('/').next() == Some("aws"))?;
    arguments.get(at + 1..)
}

/// The options that were taken from a line of the AWS CLI's, in our spelling; `None` where what is left of the
/// line is not what we were called with.
fn kept(line: &[String], ours: &[String]) -> Option<Vec<String>> {
    let mut kept = Vec::new();
    let mut left: Vec<&str> = Vec::new();
    let mut words = line.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            // Right after the alias it vanishes, further on it stays.
            if left != ["ssmx"] {
                left.push(word);
            }
            left.extend(words.by_ref().map(String::as_str));
            break;
        }
        let Some(option) = word.strip_prefix("--") else {
            left.push(word);
            continue;
        };
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (option, None),
        };
        let Some((name, takes)) = global(name) else {
            left.push(word);
            continue;
        };
        let value = match takes {
            Takes::Value => Some(value.or_else(|| words.next().cloned())?),
            Takes::Nothing => None,
        };
        if OURS.contains(&name) {
            kept.push(match value {
                Some(value) => format!("--{name}={value}"),
                None => format!("--{name}"),
            });
        }
    }
    let fits = left.first() == Some(&"ssmx") && left.get(1..)?.iter().eq(ours.iter());
    fits.then_some(kept)
}

/// The global option of that name, or of that unique beginning.
fn global(name: &str) -> Option<(&'static str, Takes)> {
    if let Some(known) = GLOBALS.iter().find(|(known, _)| *known == name) {
        return Some(*known);
    }
    let mut like = GLOBALS
        .iter()
        .filter(|(known, _)| !name.is_empty() && known.starts_with(name));
    match (like.next(), like.next()) {
        (Some(only), None) => Some(*only),
        _ => None,
    }
}

/// The arguments of the processes above this one, the nearest first.
#[cfg(target_os = "linux")]
fn ancestors() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut next = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    while let Some(pid) = next.filter(|pid| *pid > 1 && found.len() < NEAREST) {
        let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else {
            break;
        };
        let line = String::from_utf8_lossy(&line).into_owned();
        found.push(
            line.trim_end_matches('\0')
                .split('\0')
                .map(str::to_owned)
                .collect(),
        );
        // The name in brackets may hold anything; what counts comes after the last bracket: state, parent.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after = stat.rsplit(')').next().unwrap_or_default();
        next = after
            .split_whitespace()
            .nth(1)
            .and_then(|parent| parent.parse().ok());
    }
    found
}

/// As `ps` tells it: words with blanks in them come apart, do not fit ours, and are refused.
#[cfg(all(unix, not(target_os = "linux")))]
fn ancestors() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut next = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().to_string());
    while let Some(pid) = next.filter(|pid| pid != "1" && found.len() < NEAREST) {
        let told = std::process::Command::new("ps")
            .args(["-ww", "-o", "ppid=,args=", "-p", &pid])
            .output();
        let Ok(told) = told else { break };
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let mut words = told.split_whitespace().map(str::to_owned);
        next = words.next();
        found.push(words.collect());
    }
    found
}

#[cfg(not(unix))]
fn ancestors() -> Vec<Vec<String>> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_was_taken_comes_back() {
        for (line, ours, back) in [
            ("--profile prod ssmx ls", "ls", "--profile=prod"),
            ("ssmx ls --prof prod x", "ls x", "--profile=prod"),
            (
                "ssmx ls --reg=eu-west-1 --no-cli-p",
                "ls",
                "--region=eu-west-1 --no-cli-pager",
            ),
            ("ssmx ls --no-paginate --query a", "ls", "--query=a"),
            (
                "ssmx exec x -- uname --profile y",
                "exec x -- uname --profile y",
                "",
            ),
            ("ssmx -- ls --profile prod", "ls --profile prod", ""),
            (
                "ssmx ls -p prod --state running",
                "ls -p prod --state running",
                "",
            ),
        ] {
            assert_eq!(kept(&words(line), &words(ours)), Some(words(back)), "{line}");
        }
    }

    #[test]
    fn a_line_that_does_not_fit_is_not_guessed_at() {
        for (line, ours) in [
            ("ssmx ls x", "ls y"),
            ("ssm start-session", "start-session"),
            ("ssmx ls --profile", "ls"),
            ("", ""),
        ] {
            assert_eq!(kept(&words(line), &words(ours)), None, "{line}");
        }
    }

    #[test]
    fn only_unique_beginnings_count() {
        assert_eq!(global("prof"), Some(("profile", Takes::Value)));
        assert_eq!(global("no-"), None);
        assert_eq!(global("cli-"), None);
        assert_eq!(global("state"), None);
    }

    #[test]
    fn the_aws_cli_is_known_with_and_without_its_interpreter() {
        assert_eq!(
            after_aws(&words("/usr/bin/python3 /usr/bin/aws ssmx")),
            Some(words("ssmx").as_slice())
        );
        assert_eq!(after_aws(&words("aws ssmx")), Some(words("ssmx").as_slice()));
        assert_eq!(after_aws(&words("/bin/sh -c SSMX_VIA=aws")), None);
    }
}
