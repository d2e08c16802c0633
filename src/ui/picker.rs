//! Choosing one of several by typing a part of it.

use std::io;

use dialoguer::FuzzySelect;
use dialoguer::theme::ColorfulTheme;

use super::prompt::answer;
use super::text::{escape, truncate};

/// Rows are cut to this, so that one stays on one line of most terminals.
const WIDEST_ROW: usize = 110;

/// Shows the rows (untrusted text; escaped here) and answers with the index of the chosen one. `None`: the
/// person left with Escape or Ctrl-C.
///
/// # Errors
/// The terminal's own.
pub fn pick(question: &str, rows: &[String]) -> io::Result<Option<usize>> {
    let rows: Vec<String> = rows
        .iter()
        .map(|row| truncate(&escape(row), WIDEST_ROW).into_owned())
        .collect();
    let chosen = FuzzySelect::with_theme(&ColorfulTheme::default())
        .with_prompt(question)
        .items(&rows)
        .default(0)
        .max_length(12)
        .interact_opt();
    answer(chosen.map_err(|dialoguer::Error::IO(error)| error))
}
