//! AWS's own plugin, started as the AWS CLI starts it.
//!
//! The session's token travels in an environment variable, never in the arguments, which everybody on the
//! machine can read. Unlike the AWS CLI's, our ignored signals are handlers, and those are reset to the default
//! by exec: the plugin starts as from a shell and sets up what it wants itself. Key strokes that signal (Ctrl-C
//! and the like) reach it and us alike; only it answers them.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::plan::End;
use crate::aws::Aws;
use crate::aws::error::ServiceError;
use crate::aws::session::{Opening, SessionRequest};
use crate::ids::{InvalidId, Region, Version};
use crate::secret::Secret;
use crate::terminal::Signals;

const PROGRAM: &str = "session-manager-plugin";
/// Where AWS's packages put it, where they do not put it on PATH.
const USUAL_PLACES: &[&str] = &[
    "/usr/local/sessionmanagerplugin/bin/session-manager-plugin",
    "/usr/local/bin/session-manager-plugin",
];
/// Up to here the token would have to stand in the process list.
const TOO_OLD: Version = Version([1, 2, 497, 0]);
/// The variable that holds StartSession's answer; its name is the first argument.
const RESPONSE_VARIABLE: &str = "AWS_SSM_START_SESSION_RESPONSE";
/// How long `--version` may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the plugin may take to leave when it is told to.
const FAREWELL: Duration = Duration::from_secs(2);

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

/// What the plugin is told beside the session's address and token.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) region: &'a Region,
    pub(super) profile: Option<&'a str>,
    /// Credentials that it cannot have by the profile (a one-time code, a login), as variables; empty where the
    /// profile does.
    pub(super) lent: Vec<(&'static str, Secret<String>)>,
    /// `None` for AWS's own.
    pub(super) endpoint: Option<String>,
    pub(super) request: &'a SessionRequest,
}

impl<'a> Call<'a> {
    /// The call for a session that was asked for like this.
    pub(super) async fn of(aws: &'a Aws, request: &'a SessionRequest) -> Result<Self, ServiceError> {
        Ok(Self {
            region: aws.region(),
            profile: aws.profile(),
            lent: aws.lent_to_the_plugin().await?,
            endpoint: aws.endpoint_url(),
            request,
        })
    }
}

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

    /// Hands the terminal to the plugin until it is done; SIGTERM and SIGHUP end it. [`End::Remote`] says no
    /// more than that it left with status 0, which it does whatever happened.
    ///
    /// # Errors
    /// When it cannot be started, or fails.
    pub(super) async fn carry(
        &self,
        call: &Call<'_>,
        opening: Opening,
        signals: &mut Signals,
    ) -> Result<End, PluginError> {
        let failed = |cause| PluginError::Start {
            path: self.path.clone(),
            cause,
        };
        let mut child = self.command(call, &opening).spawn().map_err(failed)?;
        drop(opening);
        tokio::select! {
            status = child.wait() => {
                let status = status.map_err(failed)?;
                if status.success() { Ok(End::Remote(String::new())) } else { Err(PluginError::Failed(status)) }
            }
            signal = signals.ended_beside_child() => {
                dismiss(&mut child).await;
                Ok(End::Signal(signal))
            }
        }
    }

    /// Starts the plugin for a session with a port: without the terminal and out of reach of its keys, its words to
    /// be read from its stdout.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn begin(&self, call: &Call<'_>, opening: &Opening) -> Result<Child, PluginError> {
        self.command(call, opening)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|cause| PluginError::Start {
                path: self.path.clone(),
                cause,
            })
    }

    /// Arguments and environment are those of version 2 of the AWS CLI.
    fn command(&self, call: &Call<'_>, opening: &Opening) -> Command {
        let response = serde_json::json!({
            "SessionId": opening.session.as_str(),
            "TokenValue": opening.token.expose(),
            "StreamUrl": opening.stream_url.expose(),
        });
        let endpoint = call.endpoint.clone().unwrap_or_else(|| {
            let suffix = call.region.partition().dns_suffix();
            format!("https://ssm.{}.{suffix}", call.region)
        });
        let mut command = Command::new(&self.path);
        command
            .arg(RESPONSE_VARIABLE)
            .arg(call.region.as_str())
            .arg("StartSession")
            .arg(call.profile.filter(|_| call.lent.is_empty()).unwrap_or_default())
            .arg(request_json(call.request))
            .arg(endpoint)
            .env(RESPONSE_VARIABLE, response.to_string())
            .kill_on_drop(true);
        if !call.lent.is_empty() {
            // What else the environment says of credentials would come before them, or beside them.
            for name in ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"] {
                command.env_remove(name);
            }
        }
        for (name, value) in &call.lent {
            command.env(name, value.expose());
        }
        command
    }
}

/// Tells the plugin to leave, and sees that it does.
pub(super) async fn dismiss(child: &mut Child) {
    if let Some(pid) = child
        .id()
        .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()))
    {
        // It may have left this moment.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    if timeout(FAREWELL, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// The StartSession request as the AWS CLI repeats it to the plugin.
fn request_json(request: &SessionRequest) -> String {
    let mut json = serde_json::Map::new();
    json.insert("Target".into(), request.target.as_str().into());
    if let Some(document) = &request.document {
        json.insert("DocumentName".into(), document.as_str().into());
    }
    if let Some(reason) = &request.reason {
        json.insert("Reason".into(), reason.as_str().into());
    }
    if !request.parameters.is_empty() {
        json.insert("Parameters".into(), serde_json::json!(request.parameters));
    }
    serde_json::Value::Object(json).to_string()
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
    use std::io::Write as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::process::ExitStatusExt as _;

    use tempfile::TempDir;

    use super::*;

    /// Signals go to the whole process, hence to every test that listens.
    static SIGNALS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

    /// A directory with a stand-in for the plugin: a script that leaves a record of how it was started.
    fn stand_in(body: &str) -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(PROGRAM);
        let script = format!("#!/bin/sh\nhere={}\n{body}\n", directory.path().display());
        // Written by another process: had we the file open, a fork of another test's could keep it "busy".
        let mut writer = std::process::Command::new("sh")
            .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
            .arg(&path)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        writer.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(writer.wait().unwrap().success());
        (directory, path)
    }

    fn plugin(path: PathBuf) -> Plugin {
        Plugin {
            path,
            version: Version([1, 2, 835, 0]),
        }
    }

    fn opening() -> Opening {
        Opening {
            session: "me-0123".parse().unwrap(),
            stream_url: "wss://ssmmessages.eu-west-2.amazonaws.com/x?cell-number=1"
                .to_owned()
                .into(),
            token: "the-token".to_owned().into(),
        }
    }

    fn request() -> SessionRequest {
        SessionRequest {
            target: "i-0123456789abcdef0".parse().unwrap(),
            document: Some("Own-Shell".into()),
            parameters: [("a".to_owned(), vec!["b c".to_owned()])].into(),
            reason: Some("it's \"urgent\"".into()),
        }
    }

    async fn carry(path: PathBuf, endpoint: Option<&str>) -> Result<End, PluginError> {
        let region = "eu-west-2".parse().unwrap();
        let request = request();
        let call = Call {
            region: &region,
            profile: Some("prod"),
            lent: Vec::new(),
            endpoint: endpoint.map(ToOwned::to_owned),
            request: &request,
        };
        let _alone = SIGNALS.lock().await;
        let mut signals = Signals::listen().unwrap();
        plugin(path).carry(&call, opening(), &mut signals).await
    }

    #[test]
    fn what_it_cannot_have_by_the_profile_is_lent() {
        let (_directory, path) = stand_in("");
        let region = "eu-west-2".parse().unwrap();
        let request = request();
        let call = Call {
            region: &region,
            profile: Some("prod"),
            lent: vec![("AWS_ACCESS_KEY_ID", String::from("ASIA").into())],
            endpoint: None,
            request: &request,
        };
        let command = plugin(path).command(&call, &opening());
        let command = command.as_std();
        assert_eq!(command.get_args().nth(3).unwrap(), "");
        let variable = |name: &str| {
            let found = command.get_envs().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.map(ToOwned::to_owned))
        };
        assert_eq!(variable("AWS_ACCESS_KEY_ID"), Some(Some("ASIA".into())));
        assert_eq!(variable("AWS_PROFILE"), Some(None));
    }

    #[tokio::test]
    async fn it_is_started_as_the_aws_cli_starts_it() {
        let (directory, path) = stand_in(
            r#"printf '%s\n' "$@" > "$here/arguments"
               printf '%s\n' "$AWS_SSM_START_SESSION_RESPONSE" > "$here/response"
               tr '\0' ' ' < /proc/$$/cmdline > "$here/listed"
               # Without a fork: the shell blocks all signals during one.
               while read -r name mask; do
                   case $name in SigIgn:|SigBlk:) echo "$name $mask";; esac
               done < /proc/$$/status > "$here/signals""#,
        );
        assert_eq!(carry(path, None).await.unwrap(), End::Remote(String::new()));
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(
            read("arguments").lines().collect::<Vec<_>>(),
            [
                "AWS_SSM_START_SESSION_RESPONSE",
                "eu-west-2",
                "StartSession",
                "prod",
                concat!(
                    r#"{"Target":"i-0123456789abcdef0","DocumentName":"Own-Shell","#,
                    r#""Reason":"it's \"urgent\"","Parameters":{"a":["b c"]}}"#
                ),
                "https://ssm.eu-west-2.amazonaws.com",
            ]
        );
        assert_eq!(
            read("response").trim_end(),
            concat!(
                r#"{"SessionId":"me-0123","TokenValue":"the-token","#,
                r#""StreamUrl":"wss://ssmmessages.eu-west-2.amazonaws.com/x?cell-number=1"}"#
            )
        );
        assert!(!read("listed").contains("the-token"));
        // SIGINT, SIGQUIT and SIGTSTP are neither ignored nor blocked in the plugin.
        assert_eq!(read("signals").lines().count(), 2);
        for line in read("signals").lines() {
            let mask = u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap();
            let keys = [2, 3, 20].iter().fold(0, |keys, signal| keys | 1 << (signal - 1));
            assert_eq!(mask & keys, 0, "{line}");
        }
    }

    #[tokio::test]
    async fn a_chosen_endpoint_is_handed_on() {
        let (directory, path) = stand_in(r#"printf '%s' "$6" > "$here/endpoint""#);
        carry(path, Some("http://127.0.0.1:4566")).await.unwrap();
        let endpoint = fs::read_to_string(directory.path().join("endpoint")).unwrap();
        assert_eq!(endpoint, "http://127.0.0.1:4566");
    }

    #[tokio::test]
    async fn a_crash_is_a_failure() {
        let (_directory, path) = stand_in("kill -SEGV $$");
        match carry(path, None).await {
            Err(PluginError::Failed(status)) => assert_eq!(status.signal(), Some(11)),
            other => panic!("{other:?}"),
        }
        let (_directory, path) = stand_in("exit 2");
        assert!(matches!(carry(path, None).await, Err(PluginError::Failed(_))));
    }

    #[tokio::test]
    async fn sigterm_to_us_ends_it_and_sigint_does_not() {
        let (directory, path) = stand_in(
            r#"trap 'echo told > "$here/told"; exit 0' TERM
               kill -INT $PPID
               kill -TERM $PPID
               while :; do sleep 0.05; done"#,
        );
        assert_eq!(carry(path, None).await.unwrap(), End::Signal(15));
        assert!(directory.path().join("told").exists());
    }

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
