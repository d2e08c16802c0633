//! Where a value comes from.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a value comes from, or where something is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Compiled in.
    Default,
    /// A file, and the place in it where that is known.
    File {
        /// Which file.
        path: Arc<Path>,
        /// Line and column, from 1.
        at: Option<(usize, usize)>,
    },
    /// An environment variable.
    Variable(&'static str),
    /// A flag of the command line.
    Flag(String),
}

impl Origin {
    /// A file as a whole.
    pub fn file(path: &Path) -> Self {
        Self::File {
            path: path.into(),
            at: None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, at: None } => write!(f, "{}", path.display()),
            Self::File {
                path,
                at: Some((line, column)),
            } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}
