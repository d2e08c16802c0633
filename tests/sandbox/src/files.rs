//! AWS's config and credentials files of a sandbox.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::scenario::Scenario;

const CONFIG: &str = "aws-config";
const CREDENTIALS: &str = "aws-credentials";

/// Writes the profiles that the scenario's keys name.
pub(crate) fn write(dir: &Path, scenario: &Scenario) -> anyhow::Result<()> {
    let mut config = String::new();
    let mut credentials = String::new();
    for key in scenario.accounts.iter().flat_map(|account| &account.keys) {
        for profile in &key.profiles {
            let section = match profile.as_str() {
                "default" => "default".to_owned(),
                name => format!("profile {name}"),
            };
            let _ = writeln!(config, "[{section}]\nregion = {}\n", key.region);
            let _ = writeln!(
                credentials,
                "[{profile}]\naws_access_key_id = {}\naws_secret_access_key = {}",
                key.id, key.secret
            );
            if let Some(token) = &key.session_token {
                let _ = writeln!(credentials, "aws_session_token = {token}");
            }
            credentials.push('\n');
        }
    }
    for (name, text) in [(CONFIG, config), (CREDENTIALS, credentials)] {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

/// The variables that lead to the files, and none that lead elsewhere.
pub(crate) fn env(dir: &Path) -> Vec<(String, String)> {
    let path = |name: &str| dir.join(name).display().to_string();
    [
        ("AWS_CONFIG_FILE", path(CONFIG)),
        ("AWS_SHARED_CREDENTIALS_FILE", path(CREDENTIALS)),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}
