//! Where things lie: the config's files, and the directories for state and cache.

use std::path::{Path, PathBuf};

use directories::{BaseDirs, ProjectDirs};

use super::env;

/// Where an administrator's settings lie.
const SYSTEM_FILE: &str = "/etc/ssmx/config.toml";

/// A team's file, found from the working directory upwards.
pub const TEAM_FILE: &str = ".ssmx.toml";

/// All places that ssmx reads from and writes to by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The administrator's file.
    pub system_file: PathBuf,
    /// Where the search for the team's file begins; `None`: there is no working directory, hence no team file.
    pub working_directory: Option<PathBuf>,
    /// The user's file, whether it exists or not; `None`: there is no home directory.
    pub user_file: Option<UserFile>,
    /// What has to outlive a login: trust, the session log, detached forwards. `None`: no home directory.
    pub state: Option<PathBuf>,
    /// What can be fetched anew: snapshots.
    pub cache: Option<PathBuf>,
}

/// The user's file, and whether it has to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserFile {
    /// Named by `SSMX_CONFIG`: an error when it is not there.
    Named(PathBuf),
    /// Where it belongs; need not be there.
    Usual(PathBuf),
}

impl UserFile {
    /// Its path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Named(path) | Self::Usual(path) => path,
        }
    }
}

impl Places {
    /// The places of this user on this machine. Looks at the environment and asks whether one file exists.
    pub fn of_this_user() -> Self {
        let project = ProjectDirs::from("", "", "ssmx");
        let home = home();
        let state = env::directory("XDG_STATE_HOME")
            .map(|dir| dir.join("ssmx"))
            .or_else(|| {
                let project = project.as_ref()?;
                Some(
                    project
                        .state_dir()
                        .unwrap_or_else(|| project.data_local_dir())
                        .to_path_buf(),
                )
            });
        let cache = env::directory("XDG_CACHE_HOME")
            .map(|dir| dir.join("ssmx"))
            .or_else(|| Some(project.as_ref()?.cache_dir().to_path_buf()));
        Self {
            system_file: PathBuf::from(SYSTEM_FILE),
            working_directory: std::env::current_dir().ok(),
            user_file: user_file(
                env::file("SSMX_CONFIG"),
                env::directory("XDG_CONFIG_HOME"),
                home.as_deref(),
                project.as_ref().map(ProjectDirs::config_dir),
            ),
            state,
            cache,
        }
    }

    /// The nearest team file, if there is one.
    pub fn team_file(&self) -> Option<PathBuf> {
        let from = self.working_directory.as_deref()?;
        from.ancestors()
            .map(|directory| directory.join(TEAM_FILE))
            .find(|path| path.symlink_metadata().is_ok())
    }
}

/// The user's home directory.
pub fn home() -> Option<PathBuf> {
    Some(BaseDirs::new()?.home_dir().to_path_buf())
}

/// `SSMX_CONFIG`, else `$XDG_CONFIG_HOME/ssmx/config.toml`, else `~/.config/ssmx/config.toml` where it exists, else
/// the platform's own directory.
fn user_file(
    named: Option<PathBuf>,
    xdg: Option<PathBuf>,
    home: Option<&Path>,
    platform: Option<&Path>,
) -> Option<UserFile> {
    if let Some(path) = named {
        return Some(UserFile::Named(path));
    }
    if let Some(directory) = xdg {
        return Some(UserFile::Usual(directory.join("ssmx/config.toml")));
    }
    let dotted = home.map(|home| home.join(".config/ssmx/config.toml"));
    dotted
        .filter(|path| path.exists())
        .or_else(|| Some(platform?.join("config.toml")))
        .map(UserFile::Usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_file_is_looked_for_in_order() {
        let home = tempfile::tempdir().unwrap();
        let platform = home.path().join("Library/ssmx");
        let xdg = Some(PathBuf::from("/xdg"));
        let usual = |path: &str| Some(UserFile::Usual(PathBuf::from(path)));
        let find = |named: Option<&str>, xdg: Option<PathBuf>| {
            user_file(named.map(PathBuf::from), xdg, Some(home.path()), Some(&platform))
        };
        assert_eq!(
            find(Some("/x.toml"), xdg.clone()),
            Some(UserFile::Named("/x.toml".into()))
        );
        assert_eq!(find(None, xdg), usual("/xdg/ssmx/config.toml"));
        assert_eq!(
            find(None, None),
            Some(UserFile::Usual(platform.join("config.toml")))
        );
        let dotted = home.path().join(".config/ssmx/config.toml");
        std::fs::create_dir_all(dotted.parent().unwrap()).unwrap();
        std::fs::write(&dotted, "").unwrap();
        assert_eq!(find(None, None), Some(UserFile::Usual(dotted)));
        assert_eq!(user_file(None, None, None, None), None);
    }

    #[test]
    fn the_team_file_is_the_nearest_one_upwards() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b/c");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(root.path().join(TEAM_FILE), "").unwrap();
        std::fs::write(root.path().join("a/b").join(TEAM_FILE), "").unwrap();
        let places = Places {
            system_file: PathBuf::new(),
            working_directory: Some(deep),
            user_file: None,
            state: None,
            cache: None,
        };
        assert_eq!(places.team_file(), Some(root.path().join("a/b").join(TEAM_FILE)));
    }
}
