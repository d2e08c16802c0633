//! Where the plugin is, and whether it may be used.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::{PROGRAM, Plugin, PluginError, TOO_OLD, USUAL_PLACES};
use crate::ids::{InvalidId, Version};

/// How long `--version` may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl Plugin {
    /// Finds the official plugin, on PATH or where AWS's packages put it, and asks for its version.
    ///
    /// # Errors
    /// When there is none, or none that may be used.
    pub async fn find() -> Result<Self, PluginError> {
        let path = locate(candidates(env::var_os("PATH")), ourselves().as_deref())?;
        Self::at(path).await
    }

    async fn at(path: PathBuf) -> Result<Self, PluginError> {
        let version = Self::version_of(&path).await?;
        if version <= TOO_OLD {
            return Err(PluginError::TooOld { path, version });
        }
        Ok(Self { path, version })
    }

    /// What a plugin says of its version.
    ///
    /// # Errors
    /// When it cannot be started or says none.
    pub async fn version_of(path: &Path) -> Result<Version, PluginError> {
        let path = path.to_owned();
        let no_version = |cause: String| PluginError::NoVersion {
            path: path.clone(),
            cause,
        };
        let asked = Command::new(&path)
            .arg("--version")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let answer = timeout(PATIENCE, asked)
            .await
            .map_err(|_| no_version(format!("it did not answer within {} s", PATIENCE.as_secs())))?
            .map_err(|cause| PluginError::Start {
                path: path.clone(),
                cause,
            })?;
        let text = String::from_utf8_lossy(&answer.stdout);
        text.trim().parse().map_err(|error: InvalidId| {
            if answer.status.success() {
                let words: String = error.to_string().chars().take(200).collect();
                no_version(words)
            } else {
                no_version(answer.status.to_string())
            }
        })
    }
}

/// Relative directories of PATH are passed over: the working directory decides nothing here.
fn candidates(path: Option<OsString>) -> Vec<PathBuf> {
    env::split_paths(&path.unwrap_or_default())
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(PROGRAM))
        .chain(USUAL_PLACES.iter().map(PathBuf::from))
        .collect()
}

/// The first that can be started and is not ssmx under the plugin's name: with that link before the official
/// one on PATH, the official one is still wanted.
fn locate(candidates: Vec<PathBuf>, us: Option<&Path>) -> Result<PathBuf, PluginError> {
    let mut ourselves = None;
    for candidate in candidates.into_iter().filter(|path| is_executable(path)) {
        if us.is_some_and(|us| is_same_file(us, &candidate)) {
            ourselves.get_or_insert(candidate);
        } else {
            return Ok(candidate);
        }
    }
    Err(ourselves.map_or(PluginError::Missing, PluginError::Ourselves))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The plugin that the AWS CLI would start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is this very program.
    pub is_ourselves: bool,
}

/// The first of that name on PATH, whoever it is.
pub fn on_path() -> Option<Found> {
    let directories = env::var_os("PATH").unwrap_or_default();
    let mut candidates = env::split_paths(&directories).map(|directory| directory.join(PROGRAM));
    let path = candidates.find(|path| is_executable(path))?;
    let is_ourselves = ourselves().is_some_and(|us| is_same_file(&us, &path));
    Some(Found { path, is_ourselves })
}

/// Where this program is.
pub fn ourselves() -> Option<PathBuf> {
    env::current_exe().ok()
}

/// By device and inode, so that hard links count too.
#[cfg(unix)]
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => one.dev() == other.dev() && one.ino() == other.ino(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::super::stand_in::stand_in;
    use super::*;

    #[tokio::test]
    async fn its_version_is_asked_and_old_ones_are_refused() {
        let (_directory, path) = stand_in("[ \"$1\" = --version ] && echo 1.2.835.0");
        let found = Plugin::at(path).await.unwrap();
        assert_eq!(found.version, Version([1, 2, 835, 0]));

        for (said, expected) in [
            ("echo 1.2.497.0", "show the session's token"),
            ("echo hello", "is not a version"),
            ("exit 3", "exit status: 3"),
            ("kill -9 $$", "signal: 9"),
        ] {
            let (_directory, path) = stand_in(said);
            let words = Plugin::at(path).await.unwrap_err().to_string();
            assert!(words.contains(expected), "{said}: {words}");
        }
    }

    #[test]
    fn ourselves_is_passed_over_under_any_name() {
        let (official, path) = stand_in("exit 0");
        let us = official.path().join("ssmx");
        fs::copy(&path, &us).unwrap();
        let links = tempfile::tempdir().unwrap();
        let (soft, hard) = (links.path().join("soft"), links.path().join("hard"));
        symlink(&us, &soft).unwrap();
        fs::hard_link(&us, &hard).unwrap();

        let found = locate(vec![soft.clone(), hard.clone(), path.clone()], Some(&us));
        assert_eq!(found.unwrap(), path);
        let found = locate(vec![hard.clone(), soft], Some(&us));
        assert!(matches!(found, Err(PluginError::Ourselves(found)) if found == hard));
    }

    #[test]
    fn what_cannot_be_started_is_none() {
        let (directory, path) = stand_in("exit 0");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let folder = directory.path().join("folder");
        fs::create_dir(&folder).unwrap();
        let found = locate(vec![path, folder, directory.path().join("absent")], None);
        let error = found.unwrap_err();
        assert!(matches!(error, PluginError::Missing));
        assert!(error.hint().unwrap().contains("--transport native"));
    }

    #[test]
    fn path_is_searched_in_order_and_relative_directories_are_not() {
        let found = candidates(Some("/one:two:/three".into()));
        let found: Vec<_> = found.iter().map(|path| path.to_str().unwrap()).take(3).collect();
        assert_eq!(
            found,
            [
                "/one/session-manager-plugin",
                "/three/session-manager-plugin",
                USUAL_PLACES[0]
            ]
        );
    }
}
