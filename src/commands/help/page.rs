//! Pages of the manual: written once in a little Markdown, shown as text at a terminal and as roff for `man`.
//!
//! The Markdown is headings (`# `), paragraphs, code (indented by four blanks), terms with their explanation
//! (`- term: text`), and `code` within a line. Nothing else is needed, nothing else is known.

use anstyle::Style;
use unicode_width::UnicodeWidthStr as _;

/// A part of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// Of a section.
    Heading(String),
    /// Running text.
    Paragraph(String),
    /// A term and what it means.
    Term(String, String),
    /// Lines as they are typed.
    Code(Vec<String>),
}

/// Reads a page.
pub fn read(markdown: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut open, mut gap) = (false, false);
    for line in markdown.lines() {
        if line.trim().is_empty() {
            open = false;
            gap = true;
            continue;
        }
        if let Some(heading) = line.strip_prefix("# ") {
            blocks.push(Block::Heading(heading.to_owned()));
            open = false;
        } else if let Some(code) = line.strip_prefix("    ").filter(|_| !open) {
            match blocks.last_mut() {
                Some(Block::Code(lines)) => {
                    lines.extend(gap.then(String::new));
                    lines.push(code.to_owned());
                }
                _ => blocks.push(Block::Code(vec![code.to_owned()])),
            }
        } else if let Some((term, text)) = line.strip_prefix("- ").and_then(|item| item.split_once(": ")) {
            blocks.push(Block::Term(term.to_owned(), text.to_owned()));
            open = true;
        } else {
            match blocks.last_mut().filter(|_| open) {
                Some(Block::Paragraph(text) | Block::Term(_, text)) => {
                    text.push(' ');
                    text.push_str(line.trim());
                }
                _ => blocks.push(Block::Paragraph(line.trim().to_owned())),
            }
            open = true;
        }
        gap = false;
    }
    blocks
}

/// The page as lines of at most so many columns.
pub fn text(blocks: &[Block], columns: usize, styled: bool) -> String {
    let bold = if styled { Style::new().bold() } else { Style::new() };
    let mut out = String::new();
    for (index, block) in blocks.iter().enumerate() {
        let after_term = matches!(
            index.checked_sub(1).map(|before| &blocks[before]),
            Some(Block::Term(..))
        );
        if index > 0 && !(after_term && matches!(block, Block::Term(..))) {
            out.push('\n');
        }
        match block {
            Block::Heading(heading) => out.push_str(&format!("{bold}{}{bold:#}\n", heading.to_uppercase())),
            Block::Paragraph(text) => wrap(text, 2, columns, bold, &mut out),
            Block::Term(term, text) => {
                wrap(term, 2, columns, bold, &mut out);
                wrap(text, 6, columns, bold, &mut out);
            }
            Block::Code(lines) => lines
                .iter()
                .for_each(|line| out.push_str(&format!("    {line}\n"))),
        }
    }
    out
}

fn wrap(text: &str, indent: usize, columns: usize, bold: Style, out: &mut String) {
    let mut width = 0;
    let mut code = false;
    for word in words(text) {
        let bare = word.replace('`', "");
        if width == 0 || width + 1 + bare.width() > columns {
            if width > 0 {
                out.push('\n');
            }
            out.extend(std::iter::repeat_n(' ', indent));
            width = indent;
        } else {
            out.push(' ');
            width += 1;
        }
        width += bare.width();
        for piece in word.split_inclusive('`') {
            let shown = piece.trim_end_matches('`');
            if code {
                out.push_str(&format!("{bold}{shown}{bold:#}"));
            } else {
                out.push_str(shown);
            }
            code ^= piece.ends_with('`');
        }
    }
    out.push('\n');
}

/// Words to be wrapped; code stays in one piece.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut code = false;
    for c in text.chars() {
        code ^= c == '`';
        if c == ' ' && !code {
            words.push(std::mem::take(&mut word));
        } else {
            word.push(c);
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// The page as roff, from the title line on.
pub fn roff(name: &str, section: &str, about: &str, blocks: &[Block]) -> String {
    let mut out = title(name, section);
    out.push_str(&format!(".SH NAME\n{} \\- {}\n", plain(name), plain(about)));
    body(blocks, &mut out);
    out
}

/// When the pages were last gone through by a person.
const DATE: &str = "2026-11-25";

/// The first line of a page for `man`.
pub fn title(name: &str, section: &str) -> String {
    format!(
        ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n.TH {} {section} {DATE} \"ssmx {}\" \"ssmx manual\"\n",
        name.to_uppercase(),
        env!("CARGO_PKG_VERSION")
    )
}

/// The blocks as roff.
pub fn body(blocks: &[Block], out: &mut String) {
    let mut fresh = false;
    for block in blocks {
        match block {
            Block::Heading(heading) => out.push_str(&format!(".SH {}\n", plain(&heading.to_uppercase()))),
            // A section begins with a paragraph by itself.
            Block::Paragraph(text) if fresh => out.push_str(&format!("{}\n", inline(text))),
            Block::Paragraph(text) => out.push_str(&format!(".PP\n{}\n", inline(text))),
            Block::Term(term, text) => out.push_str(&format!(".TP\n{}\n{}\n", inline(term), inline(text))),
            Block::Code(lines) => {
                out.push_str(if fresh { ".nf\n" } else { ".PP\n.nf\n" });
                for line in lines {
                    out.push_str(&format!("    {}\n", plain(line)));
                }
                out.push_str(".fi\n");
            }
        }
        fresh = matches!(block, Block::Heading(_));
    }
}

fn inline(text: &str) -> String {
    let mut out = String::new();
    for (index, piece) in text.split('`').enumerate() {
        if index % 2 == 1 {
            out.push_str(&format!("\\fB{}\\fR", plain(piece)));
        } else {
            out.push_str(&plain(piece));
        }
    }
    // A line that begins with a dot or a quote would be a request.
    if out.starts_with(['.', '\'']) {
        out.insert_str(0, "\\&");
    }
    out
}

/// Text that means itself to roff.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '~' => out.push_str("\\(ti"),
            '^' => out.push_str("\\(ha"),
            '\'' => out.push_str("\\*(Aq"),
            '`' => out.push_str("\\(ga"),
            '…' => out.push_str("..."),
            '→' => out.push_str("\\(->"),
            c => out.push(c),
        }
    }
    if out.starts_with('.') {
        out.insert_str(0, "\\&");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# First steps\n\nSome `code here` and\nmore.\n\n    $ ssmx ls\n    $ ssmx\n\n- `one`: the first\n  thing\n- two: the second\n";

    #[test]
    fn a_page_is_read() {
        assert_eq!(
            read(PAGE),
            [
                Block::Heading("First steps".into()),
                Block::Paragraph("Some `code here` and more.".into()),
                Block::Code(vec!["$ ssmx ls".into(), "$ ssmx".into()]),
                Block::Term("`one`".into(), "the first thing".into()),
                Block::Term("two".into(), "the second".into()),
            ]
        );
    }

    #[test]
    fn text_is_wrapped_and_code_is_not_broken() {
        assert_eq!(
            text(&read(PAGE), 18, false),
            "FIRST STEPS\n\n  Some code here\n  and more.\n\n    $ ssmx ls\n    $ ssmx\n\n  one\n      the first\n      thing\n  two\n      the second\n"
        );
        assert!(text(&read(PAGE), 80, true).contains("\u{1b}[1mcode here\u{1b}[0m"));
    }

    #[test]
    fn roff_is_told_what_is_text() {
        let mut out = String::new();
        body(&read("# A\n\n.not a request, `--flag` it's\\\n"), &mut out);
        assert_eq!(out, ".SH A\n\\&.not a request, \\fB\\-\\-flag\\fR it\\*(Aqs\\e\n");
    }
}
