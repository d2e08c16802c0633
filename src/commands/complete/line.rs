//! A command line split into words as a shell would, without ever expanding anything.

/// The words of a line up to the cursor; the last one is the word at hand, empty after a blank.
pub(super) fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut begun = false;
    let mut quote: Option<char> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (' ' | '\t' | '\n', None) => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
                continue;
            }
            ('\\', None) => word.extend(chars.next()),
            ('\\', Some('"')) => match chars.next() {
                Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                Some(c) => word.extend(['\\', c]),
                None => {}
            },
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, _) => word.push(c),
        }
        begun = true;
    }
    words.push(word);
    words
}

/// One word without its quotes, closed or not.
pub(super) fn unquote(word: &str) -> String {
    let mut words = split(word);
    match words.len() {
        1 => words.pop().unwrap_or_default(),
        // A blank that nothing quotes: it was no word of a shell.
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_and_nothing_is_expanded() {
        assert_eq!(split("ssmx connect "), ["ssmx", "connect", ""]);
        assert_eq!(split("ssmx connect \"a b"), ["ssmx", "connect", "a b"]);
        assert_eq!(
            split(r"ssmx a\ b 'c $(d)' $(e)"),
            ["ssmx", "a b", "c $(d)", "$(e)"]
        );
        assert_eq!(split("ssmx '' x"), ["ssmx", "", "x"]);
        assert_eq!(split(r#""\$x\y""#), [r"$x\y"]);
    }

    #[test]
    fn quotes_come_off_whether_closed_or_not() {
        assert_eq!(unquote("'pro"), "pro");
        assert_eq!(unquote("\"pro\""), "pro");
        assert_eq!(unquote(r"a\ b"), "a b");
        assert_eq!(unquote(""), "");
    }
}
