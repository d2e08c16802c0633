//! Questions to a person at the terminal. They are drawn on stderr; stdout stays data.

use std::io;

use dialoguer::theme::SimpleTheme;
use dialoguer::{Confirm, Input};

use super::talk;

/// Yes or no; Enter alone means no. `None`: the person left with Ctrl-C or Escape.
///
/// # Errors
/// The terminal's own.
pub fn confirm(question: &str) -> io::Result<Option<bool>> {
    talk::settle();
    answer(
        Confirm::with_theme(&SimpleTheme)
            .with_prompt(question)
            .default(false)
            .interact_opt()
            .map_err(io_error),
    )
}

/// A line of text. `None`: the person left with Ctrl-C, or sent nothing.
///
/// # Errors
/// The terminal's own.
pub fn line(question: &str) -> io::Result<Option<String>> {
    talk::settle();
    let typed = Input::<String>::with_theme(&SimpleTheme)
        .with_prompt(question)
        .allow_empty(true)
        .interact_text()
        .map(Some)
        .map_err(io_error);
    Ok(answer(typed)?
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty()))
}

fn io_error(error: dialoguer::Error) -> io::Error {
    let dialoguer::Error::IO(error) = error;
    error
}

/// dialoguer leaves the cursor hidden when it is interrupted; the person gets it back.
pub(super) fn answer<T>(answer: io::Result<Option<T>>) -> io::Result<Option<T>> {
    match answer {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            drop(dialoguer::console::Term::stderr().show_cursor());
            Ok(None)
        }
        other => other,
    }
}
