//! What goes back to the shell's script.

use clap_complete::CompletionCandidate;

use super::request::{Caller, Request};
use crate::ui::text::{escape, truncate};

/// More than that nobody reads.
pub(super) const MOST: usize = 500;
/// A description is a glance.
const WIDEST: usize = 60;

/// What the completers learn on the way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Collected {
    /// The shell should offer files.
    pub(super) files: bool,
    /// There are more candidates than are given.
    pub(super) more: bool,
}

/// The answer to one TAB.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    collected: Collected,
    candidates: Vec<(String, String)>,
}

impl Answer {
    pub(super) fn new(found: Vec<CompletionCandidate>, collected: Collected, request: &Request) -> Self {
        let is_option = |value: &str| value.starts_with('-');
        let mut candidates: Vec<(String, String)> = found
            .into_iter()
            .filter_map(|candidate| {
                let value = candidate.get_value().to_str()?.to_owned();
                let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
                let help = help.lines().next().unwrap_or_default();
                let fits = is_safe(added(&value, request).trim_start_matches('-'));
                fits.then(|| (value, truncate(&escape(help), WIDEST).into_owned()))
            })
            .collect();
        // Options are there to be asked for; where nothing else fits they are what is left.
        if !is_option(&request.current)
            && (collected.files || candidates.iter().any(|(value, _)| !is_option(value)))
        {
            candidates.retain(|(value, _)| !is_option(value));
        }
        // An id in place of a name that cannot be written: it replaces the word, so bash, which inserts what all
        // candidates have in common, may have it only alone.
        let continues = |value: &str| value.starts_with(&request.current);
        match request.shell {
            Caller::Bash if candidates.len() > 1 => candidates.retain(|(value, _)| continues(value)),
            Caller::Bash | Caller::Zsh => {}
            _ => candidates.retain(|(value, _)| continues(value)),
        }
        Self {
            collected,
            candidates,
        }
    }

    /// The lines for the script.
    pub(super) fn text(&self, request: &Request) -> String {
        let mut text = String::from("ssmx");
        let nospace = self
            .candidates
            .iter()
            .all(|(value, _)| value.ends_with([':', '=', '/']));
        let directives = [
            ("files", self.collected.files),
            ("more", self.collected.more),
            ("nospace", nospace && !self.candidates.is_empty()),
        ];
        for (word, holds) in directives {
            if holds {
                text.push(' ');
                text.push_str(word);
            }
        }
        text.push('\n');
        let several = self.candidates.len() > 1;
        let widest = self
            .candidates
            .iter()
            .map(|(value, _)| value.len())
            .max()
            .unwrap_or(0);
        for (value, help) in &self.candidates {
            let value = match request.shell {
                Caller::Bash if value.starts_with(&request.current) => {
                    value.get(request.split..).unwrap_or(value)
                }
                _ => value,
            };
            text.push_str(value);
            match request.shell {
                // bash has no place for it but the list that it shows and does not insert.
                Caller::Bash if request.listing && several && !help.is_empty() => {
                    text.push_str(&format!(
                        "{:pad$}  ({help})",
                        "",
                        pad = widest.saturating_sub(value.len())
                    ));
                }
                Caller::Bash => {}
                _ if help.is_empty() => {}
                _ => {
                    text.push('\t');
                    text.push_str(help);
                }
            }
            text.push('\n');
        }
        text
    }
}

/// What is new of a word: where a list with commas is at hand, what comes behind the last one. PowerShell makes a
/// list of its own of such a word.
fn added<'a>(value: &'a str, request: &Request) -> &'a str {
    let front = request.current.rfind(',').map(|comma| &request.current[..=comma]);
    let is_list = |front: &&str| {
        let mut words = front.trim_start_matches('-').split(',');
        request.shell != Caller::PowerShell && words.all(|word| word.is_empty() || is_safe(word))
    };
    match front.filter(is_list) {
        Some(front) => value.strip_prefix(front).unwrap_or(value),
        None => value,
    }
}

/// Whether a word means itself in every shell that there is, at every place of it.
pub(super) fn is_safe(word: &str) -> bool {
    let harmless = |c: char| c.is_alphanumeric() || "-_./@+:=".contains(c);
    !word.is_empty()
        && word.chars().all(harmless)
        && !word.starts_with(['@', '=', '-', '+'])
        // To some shells these open a directory.
        && !word.starts_with('~')
        && escape(word) == word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_without_a_meaning_are_safe() {
        for safe in [
            "prod-web",
            "i-0123",
            "tag:Role=web",
            "prod/web",
            "a.b@c",
            "žluť",
            "名前",
        ] {
            assert!(is_safe(safe), "{safe}");
        }
        for unsafe_word in [
            "",
            "a b",
            "a'b",
            "a\"b",
            "$(x)",
            "`x`",
            "a\nb",
            "a;b",
            "a|b",
            "a&b",
            "~a",
            "-a",
            "=ls",
            "@a",
            "a*",
            "a?",
            "[a]",
            "{a}",
            "a,b",
            "a!b",
            "#a",
            "a%b",
            "a\\b",
            "a<b",
            "a>b",
            "a^b",
            "(a)",
            "a\u{202e}b",
            "a\u{200b}b",
        ] {
            assert!(!is_safe(unsafe_word), "{unsafe_word:?}");
        }
    }
}
