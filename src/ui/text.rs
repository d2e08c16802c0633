//! Untrusted text made harmless: whatever AWS or a remote says is shown, never obeyed.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The text with everything that a terminal could obey, or that could hide or reorder what is beside it,
/// written as a visible escape: control characters, bidirectional marks, zero-width and other invisible
/// characters. A backslash stays as it is; this is for eyes, not for parsing back.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            '\x1b' => safe.push_str("\\e"),
            c if (c as u32) < 0x80 && is_unsafe(c) => drop(write!(safe, "\\x{:02x}", c as u32)),
            c if is_unsafe(c) => drop(write!(safe, "\\u{{{:x}}}", c as u32)),
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// Several lines of untrusted text: line breaks and tabs are kept, the rest is escaped.
pub fn escape_lines(text: &str) -> String {
    let unified = text.replace("\r\n", "\n");
    let mut safe = String::with_capacity(unified.len());
    for (index, line) in unified.split('\n').enumerate() {
        if index > 0 {
            safe.push('\n');
        }
        for (index, cell) in line.split('\t').enumerate() {
            if index > 0 {
                safe.push('\t');
            }
            safe.push_str(&escape(cell));
        }
    }
    safe
}

/// The text cut to `columns` of a terminal, with an ellipsis where something is missing.
pub fn truncate(text: &str, columns: usize) -> Cow<'_, str> {
    let mut width = 0;
    let mut keep = 0;
    for (index, c) in text.char_indices() {
        let next = width + c.width().unwrap_or(0);
        if next > columns {
            let mut cut = text.get(..keep).unwrap_or_default().to_owned();
            cut.push('…');
            return Cow::Owned(cut);
        }
        width = next;
        if width < columns {
            keep = index + c.len_utf8();
        }
    }
    Cow::Borrowed(text)
}

/// How many columns of a terminal the text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text, and blanks up to `columns` of a terminal.
pub fn pad(text: &str, columns: usize) -> String {
    format!(
        "{text}{:missing$}",
        "",
        missing = columns.saturating_sub(width(text))
    )
}

/// Whether a character could act on a terminal or on the reading of the line it stands in.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e000}'..='\u{f8ff}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
            | '\u{f0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_spelled_out() {
        assert_eq!(escape("prod-web"), "prod-web");
        assert_eq!(escape("a\x1b[31mb"), "a\\e[31mb");
        assert_eq!(escape("a\nb\rc\td"), "a\\nb\\rc\\td");
        assert_eq!(escape("\u{9b}31m\x07\x7f"), "\\u{9b}31m\\x07\\x7f");
        assert_eq!(escape("evil\u{202e}txt"), "evil\\u{202e}txt");
        assert_eq!(escape("zero\u{200b}width\u{feff}"), "zero\\u{200b}width\\u{feff}");
        assert_eq!(escape("žluťoučký 名前 😀"), "žluťoučký 名前 😀");
    }

    #[test]
    fn lines_keep_their_breaks_only() {
        assert_eq!(escape_lines("a\r\nb\x1b]0;x\x07\n\tc"), "a\nb\\e]0;x\\x07\n\tc");
    }

    #[test]
    fn cutting_counts_columns() {
        assert_eq!(truncate("prod-web", 8), "prod-web");
        assert_eq!(truncate("prod-web-1", 8), "prod-we…");
        assert_eq!(truncate("名前名前", 5), "名前…");
        assert_eq!(pad("名前", 5), "名前 ");
        assert_eq!(pad("e\u{301}", 2), "e\u{301} ");
        assert_eq!(pad("longer", 2), "longer");
    }
}
