//! What is wrong with a config, and where.

use std::fmt;

use super::origin::Origin;

/// One thing that is wrong: where, what, what was expected, what to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// One sentence that names the key and what was expected. Holds text of the file: escaped where printed.
    pub message: String,
    /// What to do, where that is known.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}

/// The config cannot be used: everything that was found wrong with it, never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the config cannot be used")]
pub struct ConfigError {
    /// All of it, in the order of layers and lines.
    pub problems: Vec<Problem>,
}
