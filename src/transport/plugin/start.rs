//! The plugin's start, as the AWS CLI does it, and its end.
//!
//! The session's token travels in an environment variable, never in the arguments, which everybody on the
//! machine can read. Unlike the AWS CLI's, our ignored signals are handlers, and those are reset to the default
//! by exec: the plugin starts as from a shell and sets up what it wants itself. Key strokes that signal (Ctrl-C
//! and the like) reach it and us alike; only it answers them.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{Plugin, PluginError};
use crate::aws::Aws;
use crate::aws::error::ServiceError;
use crate::aws::session::{Opening, SessionRequest};
use crate::ids::Region;
use crate::secret::Secret;
use crate::terminal::Signals;
use crate::transport::plan::End;

/// The variable that holds StartSession's answer; its name is the first argument.
const RESPONSE_VARIABLE: &str = "AWS_SSM_START_SESSION_RESPONSE";
/// How long the plugin may take to leave when it is told to.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the plugin is told beside the session's address and token.
#[derive(Debug)]
pub(in crate::transport) struct Call<'a> {
    pub(in crate::transport) region: &'a Region,
    pub(in crate::transport) profile: Option<&'a str>,
    /// Credentials that it cannot have by the profile (a one-time code, a login), as variables; empty where the
    /// profile does.
    pub(in crate::transport) lent: Vec<(&'static str, Secret<String>)>,
    /// `None` for AWS's own.
    pub(in crate::transport) endpoint: Option<String>,
    pub(in crate::transport) request: &'a SessionRequest,
}

impl<'a> Call<'a> {
    /// The call for a session that was asked for like this.
    pub(in crate::transport) async fn of(
        aws: &'a Aws,
        request: &'a SessionRequest,
    ) -> Result<Self, ServiceError> {
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
    /// Hands the terminal to the plugin until it is done; SIGTERM and SIGHUP end it. [`End::Remote`] says no
    /// more than that it left with status 0, which it does whatever happened.
    ///
    /// # Errors
    /// When it cannot be started, or fails.
    pub(in crate::transport) async fn carry(
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
    pub(in crate::transport) fn begin(
        &self,
        call: &Call<'_>,
        opening: &Opening,
    ) -> Result<Child, PluginError> {
        let mut command = self.command(call, opening);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        leave_with_us(&mut command);
        command.spawn().map_err(|cause| PluginError::Start {
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

/// Has the system tell the plugin to leave when we go without having done so (SIGKILL): its port would stay taken and
/// its session open. It goes with the thread that started it, which of ours all live as long as the process.
#[cfg(target_os = "linux")]
fn leave_with_us(command: &mut Command) {
    use rustix::process::{Signal, set_parent_process_death_signal};
    // SAFETY: between fork and exec nothing is done but one system call.
    #[expect(
        unsafe_code,
        reason = "there is no safe way to say it to a process that is about to start"
    )]
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::TERM))?));
    }
}

/// Other systems tell nobody.
#[cfg(not(target_os = "linux"))]
fn leave_with_us(_command: &mut Command) {}

/// Whether a process is on its way out. Its connections are closed before anybody can wait for its end.
#[cfg(target_os = "linux")]
pub(in crate::transport) fn is_leaving(process: u32) -> bool {
    /// The kernel's `PF_EXITING`, one of the flags in proc_pid_stat(5).
    const EXITING: u64 = 4;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name before them may hold anything, parentheses included.
    let after_name = stat.rsplit_once(')').map(|(_, fields)| fields);
    let flags = after_name.and_then(|fields| fields.split_whitespace().nth(6)?.parse::<u64>().ok());
    flags.is_some_and(|flags| flags & EXITING != 0)
}

/// Other systems do not tell.
#[cfg(not(target_os = "linux"))]
pub(in crate::transport) fn is_leaving(_process: u32) -> bool {
    false
}

/// Tells the plugin to leave, and sees that it does.
pub(in crate::transport) async fn dismiss(child: &mut Child) {
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::process::ExitStatusExt as _;
    use std::path::PathBuf;

    use super::super::stand_in::stand_in;
    use super::*;
    use crate::ids::Version;

    /// Signals go to the whole process, hence to every test that listens.
    static SIGNALS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_has_ended_is_leaving_until_it_is_waited_for() {
        assert!(!is_leaving(std::process::id()));
        let mut child = std::process::Command::new("cat")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        assert!(!is_leaving(child.id()));
        let process = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
        let ended = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(process), ended).unwrap();
        assert!(is_leaving(child.id()));
        child.wait().unwrap();
        assert!(!is_leaving(process.as_raw_nonzero().get().cast_unsigned()));
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
}
