//! A recording of what the screen shows, in asciicast version 2: one JSON value a line, with times.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::Size;
use crate::private;

/// What is to be recorded, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// The file, which does not exist yet.
    pub file: PathBuf,
    /// Whether what is typed is recorded too: passwords are typed.
    pub keys: Keys,
}

/// Whether what is typed is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keys {
    /// What is shown alone.
    #[default]
    LeftOut,
    /// What is typed as well.
    Recorded,
}

/// An open recording.
#[derive(Debug)]
pub struct Recorder<W = File> {
    file: W,
    keys: Keys,
    begun: Instant,
    shown: Utf8,
    typed: Utf8,
    trouble: Option<io::Error>,
}

impl Recorder {
    /// Creates the file, for nobody but the user to read.
    ///
    /// # Errors
    /// When it exists, or cannot be made.
    pub fn create(recording: &Recording, size: Size) -> io::Result<Self> {
        let file = private::create_new(&recording.file)?;
        Ok(Self::begin(file, recording.keys, size, SystemTime::now()))
    }
}

impl<W: Write> Recorder<W> {
    fn begin(file: W, keys: Keys, size: Size, now: SystemTime) -> Self {
        let mut recorder = Self {
            file,
            keys,
            begun: Instant::now(),
            shown: Utf8::default(),
            typed: Utf8::default(),
            trouble: None,
        };
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        recorder.line(&json!({
            "version": 2, "width": size.cols, "height": size.rows, "timestamp": seconds,
            "env": { "TERM": "xterm-256color" },
        }));
        recorder
    }

    /// Bytes that the screen was given.
    pub fn shown(&mut self, bytes: &[u8]) {
        let text = self.shown.push(bytes);
        self.event("o", text);
    }

    /// Bytes that were typed.
    pub fn typed(&mut self, bytes: &[u8]) {
        if self.keys == Keys::Recorded {
            let text = self.typed.push(bytes);
            self.event("i", text);
        }
    }

    /// The screen has another size.
    pub fn resized(&mut self, size: Size) {
        self.event("r", format!("{}x{}", size.cols, size.rows));
    }

    /// What went wrong, if anything: the session goes on without its recording.
    pub fn finish(mut self) -> io::Result<()> {
        let rest = self.shown.rest();
        self.event("o", rest);
        match self.trouble {
            Some(error) => Err(error),
            None => self.file.flush(),
        }
    }

    fn event(&mut self, kind: &str, text: String) {
        if !text.is_empty() {
            let at = self.begun.elapsed().as_secs_f64();
            // Microseconds, as other recorders have them.
            let at = (at * 1e6).round() / 1e6;
            self.line(&json!([at, kind, text]));
        }
    }

    fn line(&mut self, value: &serde_json::Value) {
        if self.trouble.is_none()
            && let Err(error) = self.file.write_all(format!("{value}\n").as_bytes())
        {
            self.trouble = Some(error);
        }
    }
}

/// Text out of bytes that may be cut within a character. What is no text is shown as such.
#[derive(Debug, Default)]
struct Utf8 {
    held: Vec<u8>,
}

impl Utf8 {
    fn push(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let mut text = String::new();
        let mut used = 0;
        for chunk in self.held.utf8_chunks() {
            text.push_str(chunk.valid());
            used += chunk.valid().len();
            let invalid = chunk.invalid();
            let is_last = used + invalid.len() == self.held.len();
            if is_last && is_beginning(invalid) {
                break;
            }
            if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
                used += invalid.len();
            }
        }
        self.held.drain(..used);
        text
    }

    fn rest(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.held)).into_owned()
    }
}

/// Whether more bytes could make a character of these.
fn is_beginning(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: Size = Size { cols: 80, rows: 24 };

    fn recorder(keys: Keys) -> Recorder<Vec<u8>> {
        Recorder::begin(
            Vec::new(),
            keys,
            SIZE,
            UNIX_EPOCH + std::time::Duration::from_secs(7),
        )
    }

    fn lines(recorder: &Recorder<Vec<u8>>) -> Vec<serde_json::Value> {
        let text = std::str::from_utf8(&recorder.file).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn it_is_asciicast_and_what_is_typed_is_left_out() {
        let mut recorder = recorder(Keys::LeftOut);
        recorder.shown(b"$ ");
        recorder.typed(b"secret\r");
        recorder.resized(Size { cols: 100, rows: 30 });
        let lines = lines(&recorder);
        assert_eq!(lines[0]["version"], 2);
        assert_eq!(
            (&lines[0]["width"], &lines[0]["timestamp"]),
            (&json!(80), &json!(7))
        );
        assert!(lines[1][0].as_f64().is_some_and(|at| at >= 0.0));
        assert_eq!((&lines[1][1], &lines[1][2]), (&json!("o"), &json!("$ ")));
        assert_eq!((&lines[2][1], &lines[2][2]), (&json!("r"), &json!("100x30")));
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn keys_are_recorded_where_that_was_asked_for() {
        let mut recorder = recorder(Keys::Recorded);
        recorder.typed(b"ls\r");
        assert_eq!(lines(&recorder)[1][2], "ls\r");
    }

    #[test]
    fn the_file_is_the_users_alone_and_never_overwritten() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let recording = Recording {
            file: directory.path().join("a.cast"),
            keys: Keys::LeftOut,
        };
        Recorder::create(&recording, SIZE).unwrap().finish().unwrap();
        let mode = std::fs::metadata(&recording.file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = Recorder::create(&recording, SIZE).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_full_disk_is_told_at_the_end() {
        let file = File::options().write(true).open("/dev/full").unwrap();
        let mut recorder = Recorder::begin(file, Keys::LeftOut, SIZE, UNIX_EPOCH);
        recorder.shown(b"$ ");
        assert_eq!(recorder.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    proptest! {
        #[test]
        fn text_survives_any_cuts(text in ".{0,40}", cut in 1..5_usize) {
            let mut utf8 = Utf8::default();
            let mut read = String::new();
            for piece in text.as_bytes().chunks(cut) {
                read.push_str(&utf8.push(piece));
            }
            read.push_str(&utf8.rest());
            prop_assert_eq!(read, text);
        }

        #[test]
        fn other_bytes_are_shown_as_such(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut utf8 = Utf8::default();
            let mut read = utf8.push(&bytes);
            read.push_str(&utf8.rest());
            prop_assert_eq!(read, String::from_utf8_lossy(&bytes));
        }
    }
}
