//! Commands without a pty.

use std::io::Seek as _;
use std::process::Stdio;
use std::sync::Arc;

use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;

use ssmx::protocol::message::PayloadType;

use super::Ending;
use super::channel::{Channel, Pace};
use super::incoming::{Desk, Input};
use super::process::{Family, command as process};
use super::utf8::Utf8;
use crate::gateway::SessionSpec;

/// The longest prefix of a line, and what it may be made of beside letters and digits.
const PREFIX: (usize, &str) = (30, "\r\n_:-");

/// Takes Ctrl-C and Ctrl-\ for a command; all else is discarded.
pub(super) struct Signals {
    signals: mpsc::UnboundedSender<Signal>,
}

impl Signals {
    fn new() -> (Self, mpsc::UnboundedReceiver<Signal>) {
        let (signals, told) = mpsc::unbounded_channel();
        (Self { signals }, told)
    }

    /// Always takes the message.
    pub(super) fn take(&self, payload_type: PayloadType, payload: &[u8]) -> bool {
        if payload_type == PayloadType::OUTPUT {
            for byte in payload {
                match byte {
                    0x03 => drop(self.signals.send(Signal::INT)),
                    0x1c => drop(self.signals.send(Signal::QUIT)),
                    _ => {}
                }
            }
        }
        true
    }
}

/// All of the output, in one stream, once the command has ended.
pub(super) async fn merged(
    spec: &SessionSpec,
    line: &str,
    channel: &Arc<Channel>,
    desk: &Arc<Desk>,
) -> Ending {
    let started = (|| {
        std::fs::create_dir_all(&spec.agent.home)?;
        let file = tempfile::tempfile()?;
        let child = process(&spec.agent, line)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file.try_clone()?)
            .spawn()?;
        std::io::Result::Ok((file, Family::new(child)))
    })();
    let (mut file, mut family) = match started {
        Ok(started) => started,
        Err(error) => return refuse(channel, &error).await,
    };
    let (signals, told) = Signals::new();
    desk.give(Input::Signals(signals)).await;
    let _ = wait(&mut family, told).await;
    drop(family);
    if let Err(error) = file.rewind() {
        return Ending::with(error.to_string());
    }
    let mut reading = tokio::fs::File::from_std(file);
    let mut buffer = vec![0; channel.payload_limit(&spec.pacing)];
    let mut filter = Utf8::default();
    let mut pace = Pace::new(&spec.pacing);
    loop {
        channel.unpaused().await;
        match reading.read(&mut buffer).await {
            Ok(0) => return Ending::default(),
            Ok(length) => {
                let passed = filter.pass(&buffer[..length]);
                channel.send(PayloadType::OUTPUT, passed.into()).await;
            }
            Err(error) => return Ending::with(error.to_string()),
        }
        pace.rest().await;
    }
}

/// stdout and stderr as they come, each by its payload type, then the exit code.
pub(super) async fn separate(
    spec: &SessionSpec,
    line: &str,
    prefixes: [&str; 2],
    channel: &Arc<Channel>,
    desk: &Arc<Desk>,
) -> Ending {
    for prefix in prefixes {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || PREFIX.1.contains(letter);
        if prefix.len() > PREFIX.0 || !prefix.chars().all(allowed) {
            return Ending::failed("Invalid prefix of the separate output stream");
        }
    }
    let started = (|| {
        std::fs::create_dir_all(&spec.agent.home)?;
        let mut child = process(&spec.agent, line)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let pipes = (child.stdout.take(), child.stderr.take());
        std::io::Result::Ok((pipes, Family::new(child)))
    })();
    let ((Some(stdout), Some(stderr)), mut family) = (match started {
        Ok(started) => started,
        Err(error) => return refuse(channel, &error).await,
    }) else {
        return Ending::failed("Unable to start command: no pipes");
    };
    let (signals, told) = Signals::new();
    desk.give(Input::Signals(signals)).await;
    let limit = channel.payload_limit(&spec.pacing);
    let (out, err, code) = tokio::join!(
        pass_on(stdout, PayloadType::OUTPUT, prefixes[0], limit, channel),
        pass_on(stderr, PayloadType::STDERR, prefixes[1], limit, channel),
        wait(&mut family, told),
    );
    if !(out && err) {
        return Ending::with("Unable to read the command's output: the data channel is paused");
    }
    if let Some(code) = code {
        channel
            .send(PayloadType::EXIT_CODE, format!("EXIT_CODE: {code}").into())
            .await;
    }
    Ending::default()
}

/// Whether the stream was read to its end. Where the channel is paused at a turn of the loop, the agent gives up.
async fn pass_on(
    mut reading: impl AsyncRead + Unpin,
    payload_type: PayloadType,
    prefix: &str,
    limit: usize,
    channel: &Channel,
) -> bool {
    let mut buffer = vec![0; limit.saturating_sub(prefix.len()).max(1)];
    let mut filter = Utf8::default();
    let mut lines = Lines {
        prefix,
        at_start: true,
    };
    loop {
        if channel.is_paused() {
            return false;
        }
        match reading.read(&mut buffer).await {
            Ok(0) | Err(_) => return true,
            Ok(length) => {
                let passed = lines.mark(filter.pass(&buffer[..length]));
                channel.send(payload_type, passed.into()).await;
            }
        }
    }
}

/// Puts the prefix before each line.
struct Lines<'a> {
    prefix: &'a str,
    at_start: bool,
}

impl Lines<'_> {
    fn mark(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        if self.prefix.is_empty() {
            return bytes;
        }
        let mut marked = Vec::with_capacity(bytes.len() + self.prefix.len());
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.at_start {
                marked.extend_from_slice(self.prefix.as_bytes());
            }
            marked.extend_from_slice(line);
            self.at_start = line.ends_with(b"\n");
        }
        marked
    }
}

/// Waits for the end, passing on signals. The exit code; of a command killed by signal n, 128 + n.
async fn wait(family: &mut Family, mut told: mpsc::UnboundedReceiver<Signal>) -> Option<i32> {
    loop {
        let status = tokio::select! {
            status = family.child.wait() => status,
            Some(signal) = told.recv() => {
                family.signal(signal);
                continue;
            }
        };
        use std::os::unix::process::ExitStatusExt as _;
        let status = status.ok()?;
        return status.code().or_else(|| Some(128 + status.signal()?));
    }
}

async fn refuse(channel: &Channel, error: &std::io::Error) -> Ending {
    let words = format!("Unable to start command: {error}");
    channel.send(PayloadType::STDERR, words.clone().into()).await;
    Ending::failed(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_gets_its_prefix_once_however_it_is_cut() {
        let mut lines = Lines {
            prefix: "OUT:",
            at_start: true,
        };
        let mut marked = lines.mark(b"ab".to_vec());
        marked.extend(lines.mark(b"c\nd\n".to_vec()));
        marked.extend(lines.mark(b"e".to_vec()));
        assert_eq!(marked, b"OUT:abc\nOUT:d\nOUT:e");
    }

    #[test]
    fn only_control_keys_are_heard() {
        let (signals, mut told) = Signals::new();
        assert!(signals.take(PayloadType::OUTPUT, b"a\x03b\x1c"));
        assert!(signals.take(PayloadType::SIZE, b"\x03"));
        assert_eq!(told.try_recv(), Ok(Signal::INT));
        assert_eq!(told.try_recv(), Ok(Signal::QUIT));
        assert!(told.try_recv().is_err());
    }
}
