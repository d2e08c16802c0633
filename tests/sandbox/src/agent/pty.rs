//! Shells and commands in a pty.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pty_process::{OwnedReadPty, OwnedWritePty, Size};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use ssmx::protocol::message::PayloadType;

use super::Ending;
use super::channel::{Channel, Pace};
use super::incoming::{Desk, Input};
use super::process::{Family, environment, prompt, shell as shell_of};
use super::utf8::Utf8;
use crate::gateway::{Platform, SessionSpec};

/// The size of a pty before the client tells its own.
const FIRST_SIZE: (u16, u16) = (24, 80);

/// How long a process without its terminal may go on.
const LAST_WAIT: Duration = Duration::from_millis(500);
/// A terminal without its process is done when it has said nothing for so long,
const QUIET: Duration = Duration::from_millis(50);
/// or so much: more than a pty can have held when the process ended.
const LAST_BYTES: usize = 256 << 10;

/// Takes the keys for a pty, and its size.
pub(super) struct PtyInput {
    writing: OwnedWritePty,
    platform: Platform,
}

impl PtyInput {
    /// Always takes the message; waits while the pty takes no more.
    pub(super) async fn take(&mut self, payload_type: PayloadType, payload: Bytes) -> bool {
        match payload_type {
            PayloadType::OUTPUT => {
                let keys = match self.platform {
                    Platform::Windows => windows_keys(payload),
                    Platform::Linux => payload,
                };
                // A pty whose processes are gone takes nothing; the session is about to end.
                let _ = self.writing.write_all(&keys).await;
            }
            PayloadType::SIZE => {
                if let Some(size) = size(&payload) {
                    let _ = self.writing.resize(size);
                }
            }
            _ => {}
        }
        true
    }
}

fn size(payload: &[u8]) -> Option<Size> {
    let size: Value = serde_json::from_slice(payload).ok()?;
    let side = |name: &str| u16::try_from(size.get(name)?.as_u64()?).ok();
    Some(Size::new(side("rows")?, side("cols")?))
}

/// Where no line ends in CR LF, each LF becomes CR.
fn windows_keys(payload: Bytes) -> Bytes {
    if payload.contains(&b'\n') && !payload.windows(2).any(|pair| pair == b"\r\n") {
        let keys = payload
            .iter()
            .map(|byte| if *byte == b'\n' { b'\r' } else { *byte });
        return keys.collect::<Vec<_>>().into();
    }
    payload
}

/// A shell.
pub(super) async fn shell(
    spec: &SessionSpec,
    profile: Option<&str>,
    channel: &Arc<Channel>,
    desk: &Arc<Desk>,
) -> Ending {
    let (program, args) = shell_of();
    let directory = if args.is_empty() { "~" } else { "\\W" };
    let command = pty_process::Command::new(program)
        .args(args)
        .env_clear()
        .envs(environment(&spec.agent))
        .env("PS1", prompt(&spec.agent, directory))
        .env("SHELL", program);
    run(spec, command, profile, channel, desk).await
}

/// One command.
pub(super) async fn command(
    spec: &SessionSpec,
    line: &str,
    channel: &Arc<Channel>,
    desk: &Arc<Desk>,
) -> Ending {
    let command = pty_process::Command::new("/bin/sh")
        .args(["-c", line])
        .env_clear()
        .envs(environment(&spec.agent));
    run(spec, command, None, channel, desk).await
}

async fn run(
    spec: &SessionSpec,
    command: pty_process::Command,
    profile: Option<&str>,
    channel: &Arc<Channel>,
    desk: &Arc<Desk>,
) -> Ending {
    let started = std::fs::create_dir_all(&spec.agent.home)
        .map_err(pty_process::Error::Io)
        .and_then(|()| {
            let (pty, pts) = pty_process::open()?;
            pty.resize(Size::new(FIRST_SIZE.0, FIRST_SIZE.1))?;
            let child = command
                .current_dir(&spec.agent.home)
                .kill_on_drop(true)
                .spawn(pts)?;
            Ok((pty.into_split(), Family::new(child)))
        });
    let ((reading, mut writing), mut family) = match started {
        Ok(started) => started,
        Err(error) => return Ending::failed(format!("Unable to start shell: {error}")),
    };
    if let Some(profile) = profile {
        let _ = writing.write_all(format!("{profile}\n").as_bytes()).await;
    }
    desk.give(Input::Pty(PtyInput {
        writing,
        platform: spec.agent.platform,
    }))
    .await;
    sleep(spec.pacing.pty_start).await;
    send(spec, reading, &mut family, channel).await;
    // One that goes on without a terminal is killed, like all that it started.
    let _ = timeout(LAST_WAIT, family.child.wait()).await;
    Ending::default()
}

/// Sends what the pty says until nobody has it any more, or its process has ended and it is quiet: a job in
/// the background does not keep a session whose shell is gone.
async fn send(spec: &SessionSpec, mut reading: OwnedReadPty, family: &mut Family, channel: &Arc<Channel>) {
    let mut buffer = vec![0; channel.payload_limit(&spec.pacing)];
    let mut filter = Utf8::default();
    let mut pace = Pace::new(&spec.pacing);
    let mut left = None;
    while left != Some(0) {
        channel.unpaused().await;
        let length = tokio::select! {
            biased;
            // An error is how Linux says that no process has the terminal any more.
            read = reading.read(&mut buffer) => match read {
                Ok(length @ 1..) => length,
                _ => return,
            },
            _ = family.child.wait(), if left.is_none() => {
                left = Some(LAST_BYTES);
                continue;
            }
            () = sleep(QUIET), if left.is_some() => return,
        };
        left = left.map(|left: usize| left.saturating_sub(length));
        let passed = filter.pass(&buffer[..length]);
        channel.send(PayloadType::OUTPUT, passed.into()).await;
        pace.rest().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_nonsense_is_not() {
        assert_eq!(
            size(br#"{"cols":132,"rows":50}"#).map(|size| format!("{size:?}")),
            Some(format!("{:?}", Size::new(50, 132)))
        );
        assert!(size(br#"{"cols":70000,"rows":50}"#).is_none());
        assert!(size(b"x").is_none());
    }

    #[test]
    fn windows_wants_carriage_returns() {
        assert_eq!(windows_keys(Bytes::from_static(b"dir\n")), "dir\r");
        assert_eq!(windows_keys(Bytes::from_static(b"dir\r\nls\n")), "dir\r\nls\n");
    }
}
