//! What was typed, as the shell tells it.

use std::ffi::OsString;

use super::line;

/// Which shell asks: they differ in how words are split and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Bash,
    Zsh,
    Fish,
    PowerShell,
    Elvish,
}

/// What was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) shell: Caller,
    /// The words between `ssmx` and the one at hand, without their quotes.
    pub(super) before: Vec<String>,
    /// The word at hand up to the cursor, without its quotes.
    pub(super) current: String,
    /// So many bytes of the word at hand count as words before it to the shell: bash splits at `:` and `=`.
    pub(super) split: usize,
    /// The shell only shows the candidates this time.
    pub(super) listing: bool,
}

impl Request {
    /// `bash LINE WORD TYPE`: the line up to the cursor, what bash holds for the word, and `COMP_TYPE`. Others:
    /// `SHELL WORD… :CURRENT`, words as typed in fish, unquoted elsewhere; the colon keeps an empty word alive.
    pub(super) fn read(words: &[OsString]) -> Option<Self> {
        let words: Vec<String> = words
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let (shell, rest) = words.split_first()?;
        let shell = match shell.as_str() {
            "bash" => return Self::read_bash(rest),
            "zsh" => Caller::Zsh,
            "fish" => Caller::Fish,
            "powershell" => Caller::PowerShell,
            "elvish" => Caller::Elvish,
            _ => return None,
        };
        let (current, before) = rest.split_last()?;
        let current = current.strip_prefix(':')?;
        let current = match shell {
            Caller::Fish => line::unquote(current),
            _ => current.to_owned(),
        };
        Some(Self {
            shell,
            before: before.to_vec(),
            current,
            split: 0,
            listing: false,
        })
    }

    fn read_bash(rest: &[String]) -> Option<Self> {
        let [line, held, kind] = rest else { return None };
        let mut words = line::split(line);
        let current = words.pop()?;
        // The first word is ssmx itself, however it was typed.
        let before = words.get(1..)?.to_vec();
        let held = line::unquote(held);
        let split = match current.strip_suffix(&held) {
            Some(front) => front.len(),
            None => current.rfind([':', '=']).map_or(0, |at| at + 1),
        };
        Some(Self {
            shell: Caller::Bash,
            before,
            current,
            split,
            // '?': the list after the second TAB.
            listing: kind == "63",
        })
    }

    /// The value that was typed of an option, whichever way it was written.
    pub(super) fn option(&self, long: &str, short: char) -> Option<&str> {
        let mut found = None;
        let mut words = self.before.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                break;
            }
            let written = word
                .strip_prefix("--")
                .and_then(|word| word.strip_prefix(long))
                .or_else(|| word.strip_prefix('-').and_then(|word| word.strip_prefix(short)));
            match written {
                Some("") => found = words.next().map(String::as_str),
                Some(rest) if word.starts_with("--") => found = rest.strip_prefix('=').or(found),
                Some(rest) => found = Some(rest.strip_prefix('=').unwrap_or(rest)),
                None => {}
            }
        }
        found.filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Request {
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        Request::read(&words).unwrap()
    }

    #[test]
    fn bash_splits_words_where_we_do_not() {
        let request = read(&["bash", "ssmx ls tag:Role=we", "we", "9"]);
        assert_eq!(request.before, ["ls"]);
        assert_eq!((request.current.as_str(), request.split), ("tag:Role=we", 9));
        // At the break itself bash holds nothing, or the break.
        assert_eq!(read(&["bash", "ssmx ls tag:", "", "9"]).split, 4);
        assert_eq!(read(&["bash", "ssmx ls tag:", ":", "9"]).split, 3);
        // Within quotes it splits nothing.
        let request = read(&["bash", "ssmx ls \"tag:Role=we", "tag:Role=we", "63"]);
        assert_eq!((request.current.as_str(), request.split), ("tag:Role=we", 0));
        assert!(request.listing);
    }

    #[test]
    fn options_are_found_in_all_spellings() {
        for line in [
            "--profile p",
            "--profile=p",
            "-p p",
            "-pp",
            "-p=p",
            "-p a --profile=p",
        ] {
            let request = read(&["bash", &format!("ssmx {line} connect "), "", "9"]);
            assert_eq!(request.option("profile", 'p'), Some("p"), "{line}");
        }
        let request = read(&["bash", "ssmx exec x -- --profile p ", "", "9"]);
        assert_eq!(request.option("profile", 'p'), None);
    }
}
