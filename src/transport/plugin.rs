//! AWS's own plugin, started as the AWS CLI starts it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::plan::End;
use crate::aws::Aws;
use crate::aws::session::{Opening, SessionRequest};
use crate::ids::Version;
use crate::terminal::Signals;

const PROGRAM: &str = "session-manager-plugin";
/// Where AWS's packages put it, where they do not put it on PATH.
const USUAL_PLACES: &[&str] = &[
    "/usr/local/sessionmanagerplugin/bin/session-manager-plugin",
    "/usr/local/bin/session-manager-plugin",
];
/// Up to here the token would have to stand in the process list.
const TOO_OLD: Version = Version([1, 2, 497, 0]);
const RESPONSE_VARIABLE: &str = "AWS_SSM_START_SESSION_RESPONSE";
const PATIENCE: Duration = Duration::from_secs(10);

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
    #[error("`session-manager-plugin` was not found (looked on PATH and in {})", USUAL_PLACES.join(", "))]
    Missing,
    /// What was found is ssmx itself.
    #[error("the `session-manager-plugin` on PATH (`{}`) is ssmx itself", .0.display())]
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
        /// What it did instead.
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
    /// It failed.
    #[error("the plugin failed: {0}")]
    Failed(ExitStatus),
}

impl Plugin {
    /// Finds the official plugin and asks for its version.
    ///
    /// # Errors
    /// When there is none, or none that may be used.
    pub async fn find() -> Result<Self, PluginError> {
        let path = locate(env::var_os("PATH")).ok_or(PluginError::Missing)?;
        if is_ourselves(&path) {
            return Err(PluginError::Ourselves(path));
        }
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
            .map_err(|_| no_version("it did not answer".to_owned()))?
            .map_err(|cause| PluginError::Start {
                path: path.clone(),
                cause,
            })?;
        let text = String::from_utf8_lossy(&answer.stdout);
        let version: Version = text
            .trim()
            .parse()
            .map_err(|error: crate::ids::InvalidId| no_version(error.to_string()))?;
        if version <= TOO_OLD {
            return Err(PluginError::TooOld { path, version });
        }
        Ok(Self { path, version })
    }

    /// Hands the terminal to the plugin until it is done. Key strokes that signal (Ctrl-C and the like) are
    /// its to answer; SIGTERM and SIGHUP end it.
    ///
    /// # Errors
    /// When it cannot be started, or fails.
    pub(super) async fn carry(
        &self,
        aws: &Aws,
        request: &SessionRequest,
        opening: Opening,
        signals: &mut Signals,
    ) -> Result<End, PluginError> {
        let response = serde_json::json!({
            "SessionId": opening.session.as_str(),
            "TokenValue": opening.token.expose(),
            "StreamUrl": opening.stream_url.expose(),
        });
        let mut command = Command::new(&self.path);
        command
            .arg(RESPONSE_VARIABLE)
            .arg(aws.region().as_str())
            .arg("StartSession")
            .arg(aws.profile().unwrap_or_default())
            .arg(request_json(request))
            .arg(aws.endpoint_url().unwrap_or_else(|| default_endpoint(aws)))
            .env(RESPONSE_VARIABLE, response.to_string());
        drop(opening);
        // Handlers of ours are reset to the default by exec, so the plugin starts with clean dispositions.
        let mut child = command.spawn().map_err(|cause| PluginError::Start {
            path: self.path.clone(),
            cause,
        })?;
        tokio::select! {
            status = child.wait() => {
                let status = status.map_err(|cause| PluginError::Start { path: self.path.clone(), cause })?;
                if status.success() { Ok(End::Remote(String::new())) } else { Err(PluginError::Failed(status)) }
            }
            signal = signals.ended_beside_child() => {
                if let Some(pid) = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
                }
                if timeout(Duration::from_secs(2), child.wait()).await.is_err() {
                    let _ = child.kill().await;
                }
                Ok(End::Signal(signal))
            }
        }
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

fn default_endpoint(aws: &Aws) -> String {
    let region = aws.region();
    format!("https://ssm.{region}.{}", region.partition().dns_suffix())
}

fn locate(path: Option<OsString>) -> Option<PathBuf> {
    let on_path = env::split_paths(&path.unwrap_or_default())
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(PROGRAM))
        .collect::<Vec<_>>();
    let usual = USUAL_PLACES.iter().map(PathBuf::from);
    on_path
        .into_iter()
        .chain(usual)
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn is_ourselves(path: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    match (env::current_exe().ok().as_deref().and_then(real), real(path)) {
        (Some(us), Some(found)) => us == found,
        _ => false,
    }
}
