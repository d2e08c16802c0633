//! What clap has against the words, said as all other errors are.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::commands::error::CommandError;

/// The same in ssmx's words; `None` for what clap says as well as we could.
pub fn refused(error: &clap::Error) -> Option<CommandError> {
    let text = |kind| match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(all) => Some(all.join("`, `")),
        _ => None,
    };
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    };
    let usage = usage.lines().next().unwrap_or_default();
    let usage = usage.trim_start_matches("Usage: ");
    let argument = text(ContextKind::InvalidArg)?;
    let name = option(&argument);
    let value = text(ContextKind::InvalidValue).unwrap_or_default();
    let failure = match error.kind() {
        ErrorKind::UnknownArgument => {
            let command = command(usage);
            let failure = CommandError::usage(match argument.starts_with('-') {
                true => format!("`{argument}` is not an option of `{command}`"),
                false => format!("`{argument}` is one word too many for `{command}`"),
            });
            let failure = match text(ContextKind::SuggestedArg) {
                Some(near) => failure.hint(format!("did you mean `{}`?", option(&near))),
                None => failure,
            };
            return Some(failure.hint(format!("`{command} --help` shows what there is")));
        }
        ErrorKind::InvalidValue if value.is_empty() => CommandError::usage(format!("`{name}` wants a value")),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let failure = CommandError::usage(format!("`{value}` cannot be the value of `{name}`"));
            match error.source() {
                Some(cause) => failure.because(cause),
                None => failure,
            }
        }
        ErrorKind::MissingRequiredArgument => CommandError::usage(format!("`{argument}` is missing")),
        ErrorKind::ArgumentConflict => CommandError::usage(match text(ContextKind::PriorArg) {
            Some(prior) if prior == argument => format!("`{name}` is given twice"),
            Some(prior) => format!("`{name}` and `{}` exclude each other", option(&prior)),
            None => format!("`{name}` cannot stand with the other words"),
        }),
        _ => return None,
    };
    let near = text(ContextKind::SuggestedValue).map(|near| format!("did you mean `{near}`?"));
    let values = text(ContextKind::ValidValue)
        .filter(|values| !values.is_empty())
        .map(|values| format!("the values are `{values}`"));
    let usage = Some(format!("it is written `{usage}`")).filter(|_| !usage.is_empty());
    let hints = [near, values, usage].into_iter().flatten();
    Some(hints.fold(failure, CommandError::hint))
}

/// An option without what stands for its value; other arguments as they are.
fn option(argument: &str) -> &str {
    match argument.split_once([' ', '=']) {
        Some((option, _)) if option.starts_with("--") => option.trim_end_matches('['),
        _ => argument,
    }
}

/// `ssmx forward stop` of `ssmx forward stop <NAME>...`.
fn command(usage: &str) -> String {
    let words = usage
        .split(' ')
        .take_while(|word| !word.starts_with(['[', '<', '-']));
    words.collect::<Vec<&str>>().join(" ")
}
