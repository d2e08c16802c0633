//! Which team files the user has accepted: by path and by content.
//!
//! A team file comes with a repository that the user may not trust. What was accepted is kept word for word, so
//! that a changed file is left out until its difference was seen.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::private;

/// What is known of a team file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Its path was never accepted.
    Never,
    /// Its path was accepted with another content.
    Changed {
        /// That content.
        accepted: String,
    },
    /// Accepted as it is.
    Accepted,
}

/// What is kept of an accepted file.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    path: String,
    content: String,
}

/// What was accepted of a path, if anything. A record that cannot be read counts as none.
pub fn accepted(state: &Path, file: &Path) -> Option<String> {
    let path = canonical(file).ok()?;
    let record = std::fs::read(record_path(state, &path)).ok()?;
    let record: Record = serde_json::from_slice(&record).ok()?;
    (record.path == path.to_string_lossy()).then_some(record.content)
}

/// Compares a team file's content with what was accepted.
pub fn trust(state: &Path, file: &Path, content: &str) -> Trust {
    match accepted(state, file) {
        None => Trust::Never,
        Some(accepted) if accepted == content => Trust::Accepted,
        Some(accepted) => Trust::Changed { accepted },
    }
}

/// Accepts a team file with this content.
///
/// # Errors
/// The file system's own.
pub fn accept(state: &Path, file: &Path, content: &str) -> io::Result<()> {
    let path = canonical(file)?;
    let target = record_path(state, &path);
    let record = Record {
        path: path.to_string_lossy().into_owned(),
        content: content.to_owned(),
    };
    private::replace_durably(&target, &serde_json::to_vec(&record)?)
}

/// Takes the acceptance back; `false`: there was none.
///
/// # Errors
/// The file system's own.
pub fn forget(state: &Path, file: &Path) -> io::Result<bool> {
    let record = record_path(state, &canonical(file)?);
    match std::fs::remove_file(record) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn canonical(file: &Path) -> io::Result<PathBuf> {
    file.canonicalize()
}

fn record_path(state: &Path, canonical: &Path) -> PathBuf {
    let digest = Sha256::digest(canonical.as_os_str().as_encoded_bytes());
    let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    state.join("trust").join(format!("{name}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_goes_by_path_and_content() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let file = dir.path().join(".ssmx.toml");
        std::fs::write(&file, "schema = 1\n").unwrap();
        assert_eq!(trust(&state, &file, "schema = 1\n"), Trust::Never);
        accept(&state, &file, "schema = 1\n").unwrap();
        assert_eq!(trust(&state, &file, "schema = 1\n"), Trust::Accepted);
        assert_eq!(
            trust(&state, &file, "schema = 2\n"),
            Trust::Changed {
                accepted: "schema = 1\n".into()
            }
        );
        let elsewhere = dir.path().join("other.toml");
        std::fs::write(&elsewhere, "schema = 1\n").unwrap();
        assert_eq!(trust(&state, &elsewhere, "schema = 1\n"), Trust::Never);
        assert!(forget(&state, &file).unwrap());
        assert!(!forget(&state, &file).unwrap());
        assert_eq!(trust(&state, &file, "schema = 1\n"), Trust::Never);
    }

    #[cfg(unix)]
    #[test]
    fn records_are_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let file = dir.path().join(".ssmx.toml");
        std::fs::write(&file, "").unwrap();
        accept(&state, &file, "").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&state.join("trust")), 0o700);
        assert_eq!(mode(&record_path(&state, &file.canonicalize().unwrap())), 0o600);
    }

    #[test]
    fn a_damaged_record_is_no_trust() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".ssmx.toml");
        std::fs::write(&file, "x").unwrap();
        accept(dir.path(), &file, "x").unwrap();
        std::fs::write(record_path(dir.path(), &file.canonicalize().unwrap()), "{").unwrap();
        assert_eq!(trust(dir.path(), &file, "x"), Trust::Never);
    }
}
