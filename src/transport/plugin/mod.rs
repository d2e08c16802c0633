//! AWS's own plugin: found (`find`) and started as the AWS CLI starts it (`start`).

mod find;
#[cfg(test)]
mod stand_in;
mod start;

use std::path::PathBuf;
use std::process::ExitStatus;

pub use find::{Found, is_same_file, on_path, ourselves};
pub(in crate::transport) use start::{Call, dismiss, is_leaving};

use crate::ids::Version;

/// What it is called.
const PROGRAM: &str = "session-manager-plugin";
/// Where AWS's packages put it, where they do not put it on PATH.
const USUAL_PLACES: &[&str] = &[
    "/usr/local/sessionmanagerplugin/bin/session-manager-plugin",
    "/usr/local/bin/session-manager-plugin",
];
/// Up to here the token would have to stand in the process list.
const TOO_OLD: Version = Version([1, 2, 497, 0]);

/// A plugin that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    /// Where it is.
    pub path: PathBuf,
    /// What it says of itself.
    pub version: Version,
}

/// Why the plugin cannot be used, or what became of it.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// Not found.
    #[error("`{PROGRAM}` was not found (looked on PATH and for {})", USUAL_PLACES.join(", "))]
    Missing,
    /// What was found is ssmx itself.
    #[error("the only `{PROGRAM}` that was found, `{}`, is ssmx itself", .0.display())]
    Ourselves(PathBuf),
    /// Its version is not to be used.
    #[error("`{}` is version {version}; versions up to {TOO_OLD} show the session's token in the process list", .path.display())]
    TooOld {
        /// Where it is.
        path: PathBuf,
        /// Its version.
        version: Version,
    },
    /// It does not say its version.
    #[error("`{} --version` gave no version: {cause}", .path.display())]
    NoVersion {
        /// Where it is.
        path: PathBuf,
        /// What it did instead; untrusted.
        cause: String,
    },
    /// It could not be started.
    #[error("`{}` could not be started: {cause}", .path.display())]
    Start {
        /// Where it is.
        path: PathBuf,
        /// The system's word.
        cause: std::io::Error,
    },
    /// It crashed, or was killed.
    #[error("the plugin failed: {0}")]
    Failed(ExitStatus),
    /// It could not carry a forward.
    #[error("the plugin could not carry the session: {0}")]
    Refused(String),
    /// It left as if all were well, but the session was still open. It has said why on the terminal.
    #[error("the plugin left while the session was still open; its own words are above")]
    Left,
}

impl PluginError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Missing | Self::Ourselves(_) | Self::TooOld { .. } | Self::NoVersion { .. } => Some(
                "install it as `Install the Session Manager plugin for the AWS CLI` in the AWS Systems Manager \
                 documentation tells, or use `--transport native`, which needs none",
            ),
            Self::Start { .. } | Self::Failed(_) | Self::Refused(_) | Self::Left => {
                Some("try `--transport native`")
            }
        }
    }
}
