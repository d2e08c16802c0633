//! Words that arrive as they were typed, whatever is in them.

/// Words that a shell does not take for the name of a program.
const RESERVED: &[&str] = &[
    "!", "[[", "]]", "{", "}", "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for",
    "function", "if", "in", "select", "then", "time", "until", "while",
];

/// One word for `sh`.
pub(super) fn sh(word: &str) -> String {
    // Neither `=`, which makes an assignment of a first word, nor `~`.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) && !RESERVED.contains(&word) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// One literal for PowerShell, to which typographic quotes are quotes too.
pub(super) fn powershell(word: &str) -> String {
    let mut quoted = String::with_capacity(word.len() + 2);
    quoted.push('\'');
    for c in word.chars() {
        if matches!(c, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}') {
            quoted.push(c);
        }
        quoted.push(c);
    }
    quoted.push('\'');
    quoted
}

/// The word as PowerShell up to 7.2 has to be given it for a native program: it builds the command line without
/// escaping quotes, puts quotes around words with spaces alone, and drops empty words.
pub(super) fn native(word: &str) -> String {
    if word.is_empty() {
        return "\"\"".to_owned();
    }
    let mut escaped = String::with_capacity(word.len());
    let mut backslashes = 0;
    for c in word.chars() {
        match c {
            '\\' => backslashes += 1,
            '"' => {
                // Doubled before a quote, which gets one of its own.
                escaped.extend(std::iter::repeat_n('\\', backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        escaped.push(c);
    }
    if word.contains(char::is_whitespace) {
        // Before the quote that PowerShell puts behind.
        escaped.extend(std::iter::repeat_n('\\', backslashes));
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn through_sh(words: &[String]) -> Vec<String> {
        let quoted: Vec<String> = words.iter().map(|word| sh(word)).collect();
        let script = format!(
            "for word in {}; do printf '%s\\0' \"$word\"; done",
            quoted.join(" ")
        );
        let said = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        assert!(said.status.success(), "{script}");
        let text = String::from_utf8(said.stdout).unwrap();
        let mut words: Vec<String> = text.split('\0').map(ToOwned::to_owned).collect();
        words.pop();
        words
    }

    #[test]
    fn sh_gives_back_what_was_typed() {
        let words = [
            "",
            "plain",
            "two words",
            "it's",
            "\"",
            "$HOME",
            "$(id)",
            "`id`",
            "\\",
            "-n",
            "--",
            "a=b",
            "~",
            "*",
            "?",
            "line\nbreak",
            "\ttab",
            "#",
            "!",
            "ünï",
            "{a,b}",
            "a;b",
            "&&",
            "'",
            "''",
            "if",
            "\r",
        ]
        .map(ToOwned::to_owned);
        assert_eq!(through_sh(&words), words);
    }

    #[test]
    fn a_reserved_word_is_a_program_like_others() {
        assert_eq!(sh("if"), "'if'");
        assert_eq!(sh("A=1"), "'A=1'");
        assert_eq!(sh("ls"), "ls");
    }

    #[test]
    fn powershell_literals_double_every_quote_it_knows() {
        assert_eq!(powershell("it's $x `n \"y\""), "'it''s $x `n \"y\"'");
        assert_eq!(powershell("\u{2019}"), "'\u{2019}\u{2019}'");
        assert_eq!(powershell(""), "''");
    }

    /// How a program of the usual runtime takes its command line apart.
    fn taken_apart(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        let mut word = None;
        let mut quoted = false;
        let mut characters = line.chars().peekable();
        while let Some(c) = characters.next() {
            match c {
                '\\' => {
                    let mut count = 1;
                    while characters.next_if_eq(&'\\').is_some() {
                        count += 1;
                    }
                    let word: &mut String = word.get_or_insert_default();
                    if characters.peek() == Some(&'"') {
                        word.extend(std::iter::repeat_n('\\', count / 2));
                        if count % 2 == 1 {
                            characters.next();
                            word.push('"');
                        }
                    } else {
                        word.extend(std::iter::repeat_n('\\', count));
                    }
                }
                '"' => {
                    word.get_or_insert_default();
                    quoted = !quoted;
                }
                ' ' | '\t' if !quoted => words.extend(word.take()),
                c => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }

    /// How PowerShell 5.1 builds a command line.
    fn built(words: &[String]) -> String {
        let word = |word: &String| {
            if word.contains(char::is_whitespace) {
                format!("\"{word}\"")
            } else {
                word.clone()
            }
        };
        words.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    proptest! {
        #[test]
        fn any_words_come_through_sh(words in proptest::collection::vec("[^\0]{0,12}", 1..4)) {
            prop_assert_eq!(through_sh(&words), words);
        }

        #[test]
        fn any_words_come_through_an_old_powershell(words in proptest::collection::vec("[ a\\\\\"'$]{0,8}", 1..4)) {
            let native: Vec<String> = words.iter().map(|word| native(word)).collect();
            prop_assert_eq!(taken_apart(&built(&native)), words);
        }
    }
}
