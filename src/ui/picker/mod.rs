//! Choosing one of many by typing parts of it.
//!
//! Ours rather than dialoguer's: that one matches only what it shows, has no place for details, and cannot redraw
//! rows that are wider than the terminal. Its layer for terminals and keys is what this stands on.

mod fuzzy;
mod state;

use std::io;

use dialoguer::console::Term;

use super::prompt::answer;
use state::{State, Step};

/// One that can be chosen. Untrusted text: it is escaped where it is drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// The row.
    pub row: String,
    /// What it is found by beside the row, such as tags; each by itself.
    pub keywords: Vec<String>,
}

impl From<String> for Entry {
    fn from(row: String) -> Self {
        Self {
            row,
            keywords: Vec::new(),
        }
    }
}

/// Shows the entries in their order, and `details` of the one at hand below; answers with the index of the chosen
/// one. `None`: the person left with Escape or Ctrl-C.
///
/// # Errors
/// The terminal's own.
pub fn pick(
    question: &str,
    entries: &[Entry],
    details: &dyn Fn(usize) -> Vec<String>,
) -> io::Result<Option<usize>> {
    super::talk::settle();
    let term = Term::stderr();
    term.hide_cursor()?;
    let chosen = answer(choose(&term, question, entries, details));
    term.show_cursor()?;
    chosen
}

fn choose(
    term: &Term,
    question: &str,
    entries: &[Entry],
    details: &dyn Fn(usize) -> Vec<String>,
) -> io::Result<Option<usize>> {
    let mut state = State::new(entries);
    let mut drawn = 0;
    let chosen = loop {
        let (rows, columns) = term.size();
        let lines = state.draw(question, details, usize::from(rows), usize::from(columns));
        let mut screen = lines.join("\n");
        screen.push('\n');
        if drawn > 0 {
            // Up to the question, and off with all below it.
            screen.insert_str(0, &format!("\x1b[{drawn}A\r\x1b[J"));
        }
        term.write_str(&screen)?;
        drawn = lines.len();
        match term.read_key().map(|key| state.press(&key))? {
            Step::On => {}
            Step::Chosen(index) => break Some(index),
            Step::Left => break None,
        }
    };
    term.clear_last_lines(drawn)?;
    Ok(chosen)
}
