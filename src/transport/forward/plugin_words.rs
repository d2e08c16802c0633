//! What AWS's plugin says of a port session, line by line.

use tokio::io::AsyncReadExt as _;
use tokio::process::ChildStdout;

use crate::ids::SessionId;

/// Longer lines are cut: a line holds the agent's words at most.
const LONGEST: usize = 4096;

/// One line's meaning.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// It takes connections on this port.
    Listening(u16),
    /// The agent could not reach the port for one.
    Unreachable,
    /// The session is over, with the agent's or the service's words (untrusted, often none).
    Closed(String),
    /// It ended while nobody was connected.
    TimedOut,
    /// The plugin cannot go on, and why. Untrusted.
    Trouble(String),
    /// Somebody's word to the person. Untrusted.
    Other(String),
    /// What is known anyway.
    Nothing,
}

impl Word {
    /// Reads a line about this session. The plugin's own words are the same in all its versions; what names another
    /// session is not its own, for the agent's word to the person goes where its words go.
    pub(super) fn read(line: &str, session: &SessionId) -> Self {
        let line = line.trim();
        let session = session.as_str();
        let about = |before: &str, after: &str| {
            let rest = line.strip_prefix(before)?.strip_prefix(session)?;
            rest.strip_prefix(after)
        };
        if let Some(port) = line.strip_suffix(&format!(" opened for sessionId {session}."))
            && let Some(Ok(port)) = port.strip_prefix("Port ").map(str::parse)
        {
            return Self::Listening(port);
        }
        if about("Exiting session with sessionId: ", ".") == Some("") {
            return Self::Closed(String::new());
        }
        if let Some(words) = about("SessionId: ", " : ") {
            return Self::Closed(words.to_owned());
        }
        if about("Session: ", " timed out.") == Some("") {
            return Self::TimedOut;
        }
        if let Some(words) = line.strip_prefix("Cannot perform start session: ") {
            return Self::Trouble(words.to_owned());
        }
        if line.starts_with("Connection to destination port failed") {
            return Self::Unreachable;
        }
        let known = [
            "Starting session with SessionId: ",
            "Waiting for connections...",
            "Connection accepted for session",
            "Terminate signal received",
        ];
        if line.is_empty() || known.iter().any(|known| line.starts_with(known)) {
            Self::Nothing
        } else {
            Self::Other(line.to_owned())
        }
    }
}

/// The plugin's stdout.
#[derive(Debug)]
pub(super) struct Lines {
    stdout: ChildStdout,
    /// What came and is no whole line yet.
    rest: Vec<u8>,
    over: bool,
}

impl Lines {
    pub(super) fn new(stdout: ChildStdout) -> Self {
        Self {
            stdout,
            rest: Vec::new(),
            over: false,
        }
    }

    /// The next line, one that the end cuts included; `None` after the last. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<String> {
        loop {
            let end = self.rest.iter().position(|byte| *byte == b'\n');
            let end = end
                .map(|at| at + 1)
                .or((self.rest.len() >= LONGEST).then_some(LONGEST));
            if let Some(end) = end {
                let line: Vec<u8> = self.rest.drain(..end).collect();
                return Some(text(&line));
            }
            if self.over {
                let last = std::mem::take(&mut self.rest);
                return (!last.is_empty()).then(|| text(&last));
            }
            // Read errors are the end: the process has gone.
            let read = self.stdout.read_buf(&mut self.rest).await;
            self.over = read.unwrap_or(0) == 0;
        }
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line)
        .trim_end_matches(['\r', '\n'])
        .to_owned()
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use tokio::process::Command;

    use super::*;

    #[test]
    fn the_plugins_words_are_understood() {
        let session: SessionId = "alice-0123".parse().unwrap();
        for (line, word) in [
            (
                "Port 40123 opened for sessionId alice-0123.",
                Word::Listening(40123),
            ),
            ("Port 70000 opened for sessionId alice-0123.", {
                Word::Other("Port 70000 opened for sessionId alice-0123.".to_owned())
            }),
            ("Starting session with SessionId: alice-0123", Word::Nothing),
            ("Waiting for connections...", Word::Nothing),
            ("Connection accepted for session [alice-0123]", Word::Nothing),
            ("", Word::Nothing),
            (
                "Exiting session with sessionId: alice-0123.",
                Word::Closed(String::new()),
            ),
            (
                "SessionId: alice-0123 : Session timed out : twice",
                Word::Closed("Session timed out : twice".to_owned()),
            ),
            ("Session: alice-0123 timed out.", Word::TimedOut),
            (
                "Cannot perform start session: EOF",
                Word::Trouble("EOF".to_owned()),
            ),
            (
                "Connection to destination port failed, check SSM Agent logs.",
                Word::Unreachable,
            ),
            (
                "This session is encrypted.",
                Word::Other("This session is encrypted.".to_owned()),
            ),
        ] {
            assert_eq!(Word::read(line, &session), word, "{line}");
        }
    }

    #[test]
    fn words_about_another_session_are_somebodys() {
        let session: SessionId = "alice-0123".parse().unwrap();
        for line in [
            "Port 22 opened for sessionId alice-01234.",
            "Port 22 opened for sessionId mallory-0123.",
            "Port 22 opened for sessionId .",
            "Exiting session with sessionId: mallory-0123.",
            "SessionId: mallory-0123 : Session timed out",
            "Session: mallory-0123 timed out.",
        ] {
            let word = Word::Other(line.to_owned());
            assert_eq!(Word::read(line, &session), word, "{line}");
        }
    }

    #[tokio::test]
    async fn lines_end_with_the_stream_and_long_ones_are_cut() {
        let mut child = Command::new("sh")
            .args([
                "-c",
                "printf 'one\\n\\ntwo\\r\\n'; head -c 5000 /dev/zero | tr '\\0' x; printf '\\nlast'",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = Lines::new(child.stdout.take().unwrap());
        let mut heard = Vec::new();
        while let Some(line) = lines.next().await {
            heard.push(line);
        }
        assert!(child.wait().await.unwrap().success());
        let lengths: Vec<usize> = heard.iter().map(String::len).collect();
        assert_eq!(lengths, [3, 0, 3, 4096, 904, 4]);
        assert_eq!((heard[0].as_str(), heard[5].as_str()), ("one", "last"));
    }
}
