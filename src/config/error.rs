//! What is wrong with a config, and where.

use std::fmt;

use super::origin::Origin;

/// How much a problem weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// The config can be used all the same.
    Warning,
    /// It cannot.
    Error,
}

/// One thing that is wrong: where, what, what was expected, what to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How much it weighs.
    pub weight: Weight,
    /// Where it stands.
    pub origin: Origin,
    /// One sentence that names the key and what was expected. Holds text of the file: escaped where printed.
    pub message: String,
    /// What to do, where that is known.
    pub hint: Option<String>,
}

impl Problem {
    /// Something that must be put right.
    pub(super) fn error(origin: Origin, message: impl Into<String>) -> Self {
        Self {
            weight: Weight::Error,
            origin,
            message: message.into(),
            hint: None,
        }
    }

    /// Something that somebody should know.
    pub(super) fn warning(origin: Origin, message: impl Into<String>) -> Self {
        Self {
            weight: Weight::Warning,
            ..Self::error(origin, message)
        }
    }

    /// Adds what to do.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the word that may have been meant, if there is one.
    #[must_use]
    pub(super) fn did_you_mean(mut self, word: Option<&str>) -> Self {
        if let Some(word) = word {
            self.hint = Some(format!("did you mean `{word}`?"));
        }
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// The config cannot be used: everything that was found wrong with it, never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the config cannot be used")]
pub struct ConfigError {
    /// All of it, in the order of layers and lines.
    pub problems: Vec<Problem>,
}
