//! Words of the command line that several commands have in common.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::values::Period;
use crate::transport::plan::Choice;

/// For commands of one session.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct TransportArg {
    /// What carries the session
    #[arg(long, value_name = "TRANSPORT")]
    pub transport: Option<Choice>,
}

/// For commands that have a document of AWS's when nothing else is said.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct DocumentArg {
    /// The session document, instead of AWS's own
    #[arg(long, visible_alias = "document-name", value_name = "NAME")]
    pub document: Option<String>,
}

/// Reads a number within bounds.
///
/// # Errors
/// With what was expected.
pub fn count(text: &str, bounds: RangeInclusive<u16>) -> Result<u16, String> {
    let number = text.parse().ok().filter(|number| bounds.contains(number));
    number.ok_or_else(|| {
        format!(
            "a number from {} to {} was expected",
            bounds.start(),
            bounds.end()
        )
    })
}

/// Reads a length of time.
///
/// # Errors
/// With what was expected.
pub fn period(text: &str) -> Result<Duration, String> {
    text.parse()
        .map(|Period(time)| time)
        .map_err(|_| "a length of time such as 30s, 5m or 1h30m was expected".to_owned())
}
