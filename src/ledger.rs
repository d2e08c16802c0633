//! The local log of sessions: who started which, why and where, one JSON document a line; nothing of what was said
//! or done in one. It is only ever added to, and private to the user.
//!
//! Whether the process that started a session still lives is told by a lock that the system lets go with it, so
//! that neither a crash nor a reused process id can lie about it.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, NodeId, Region, SessionId};
use crate::private;

/// A session that was started here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Its id.
    pub session: SessionId,
    /// The ssmx command.
    pub command: String,
    /// The node.
    pub target: NodeId,
    /// The account, where it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The region.
    pub region: Region,
    /// The profile; `None` for ambient credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Who was logged in to this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The reason that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The session document; `None` for the account's preferences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
}

/// A line of the file: the entry, and the lock of the process that wrote it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    entry: Entry,
    process: String,
}

/// What the log says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// The sessions, oldest first, each with whether the process that started it still lives.
    pub sessions: Vec<(Entry, Life)>,
    /// How many lines could not be read.
    pub damaged: usize,
}

/// What became of the process that started a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It runs.
    Lives,
    /// It is gone.
    Over,
}

/// The log of one user.
#[derive(Debug)]
pub struct Ledger {
    directory: PathBuf,
    /// Held from the first entry of this process to its end.
    own: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    name: String,
    path: PathBuf,
    _lock: File,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Left behind, it is as good as gone: nobody holds it.
        drop(fs::remove_file(&self.path));
    }
}

impl Ledger {
    /// With its files in this directory, which is made when the first entry is.
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            own: Mutex::default(),
        }
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.directory.join("log.jsonl")
    }

    /// Adds a session, as one write.
    ///
    /// # Errors
    /// The file system's own.
    pub fn add(&self, entry: Entry) -> io::Result<()> {
        let process = self.process()?;
        let line = serde_json::to_string(&Line { entry, process })?;
        let mut file = private::append(&self.path())?;
        // Whoever opened it to others did not mean to.
        private::take_back(&file)?;
        // A line that a crash cut off must not spoil the next one.
        let separator = if ends_in_a_line(&mut file)? { "" } else { "\n" };
        file.write_all(format!("{separator}{line}\n").as_bytes())
    }

    /// Reads all of it. A file that is not there says nothing.
    ///
    /// # Errors
    /// The file system's own.
    pub fn read(&self) -> io::Result<Told> {
        let bytes = match fs::read(self.path()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Told::default()),
            Err(error) => return Err(error),
        };
        let mut told = Told::default();
        let mut lives = std::collections::HashMap::new();
        let text = String::from_utf8_lossy(&bytes);
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let Ok(Line { entry, process }) = serde_json::from_str(line) else {
                told.damaged += 1;
                continue;
            };
            let life = *lives
                .entry(process)
                .or_insert_with_key(|process| self.life(process));
            told.sessions.push((entry, life));
        }
        Ok(told)
    }

    /// The name of this process's lock, which is taken on first use.
    fn process(&self) -> io::Result<String> {
        let mut own = self.own.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(held) = &*own {
            return Ok(held.name.clone());
        }
        let name = uuid::Uuid::new_v4().simple().to_string();
        let path = self.lock(&name);
        let lock = private::lock_file(&path)?;
        lock.lock()?;
        *own = Some(Held {
            name: name.clone(),
            path,
            _lock: lock,
        });
        Ok(name)
    }

    fn lock(&self, process: &str) -> PathBuf {
        self.directory.join(format!("{process}.lock"))
    }

    /// A lock that nobody holds is cleared away.
    fn life(&self, process: &str) -> Life {
        let is_name = !process.is_empty() && process.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let path = self.lock(process);
        let file = match File::open(&path) {
            Ok(file) if is_name => file,
            _ => return Life::Over,
        };
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Life::Lives,
            // A file system without locks tells nothing; then a session is rather left alone.
            Err(TryLockError::Error(_)) => Life::Lives,
            Ok(()) => {
                drop(fs::remove_file(path));
                Life::Over
            }
        }
    }
}

fn ends_in_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(session: &str) -> Entry {
        Entry {
            at: "2026-11-25T10:00:00Z".parse().unwrap(),
            session: session.parse().unwrap(),
            command: "connect".into(),
            target: "i-0123456789abcdef0".parse().unwrap(),
            account: Some("123456789012".parse().unwrap()),
            region: "eu-west-2".parse().unwrap(),
            profile: Some("prod".into()),
            user: None,
            reason: Some("disk\nfull".into()),
            document: None,
        }
    }

    fn lives(ledger: &Ledger) -> Vec<(String, Life)> {
        let told = ledger.read().unwrap().sessions;
        told.into_iter()
            .map(|(entry, life)| (entry.session.to_string(), life))
            .collect()
    }

    #[test]
    fn what_is_added_is_read_and_lives_as_long_as_who_added_it() {
        let state = tempfile::tempdir().unwrap();
        let directory = state.path().join("a/sessions");
        let reader = Ledger::new(&directory);
        assert_eq!(reader.read().unwrap(), Told::default());
        let (first, second) = (Ledger::new(&directory), Ledger::new(&directory));
        first.add(entry("me-1")).unwrap();
        second.add(entry("me-2")).unwrap();
        first.add(entry("me-3")).unwrap();
        assert_eq!(reader.read().unwrap().sessions[0].0, entry("me-1"));
        drop(first);
        let expected = [
            ("me-1".to_owned(), Life::Over),
            ("me-2".to_owned(), Life::Lives),
            ("me-3".to_owned(), Life::Over),
        ];
        assert_eq!(lives(&reader), expected);
        // One that was killed leaves its lock behind, and nobody holds it.
        let left = Ledger::new(&directory);
        left.add(entry("me-4")).unwrap();
        let held = left.own.lock().unwrap().take().unwrap();
        let kept = held.path.with_extension("kept");
        fs::rename(&held.path, &kept).unwrap();
        let path = held.path.clone();
        drop(held);
        fs::rename(&kept, &path).unwrap();
        assert_eq!(lives(&reader)[3], ("me-4".to_owned(), Life::Over));
        assert!(!path.exists());
    }

    #[test]
    fn damage_costs_the_line_that_it_met() {
        let state = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(state.path());
        ledger.add(entry("me-1")).unwrap();
        let mut file = private::append(&ledger.path()).unwrap();
        file.write_all(b"{\"at\":\"2026-11").unwrap();
        ledger.add(entry("me-2")).unwrap();
        file.write_all(b"\xff\xfe\n").unwrap();
        let told = ledger.read().unwrap();
        assert_eq!((told.sessions.len(), told.damaged), (2, 2));
        // A name that would lead elsewhere is none.
        assert_eq!(ledger.life("../../etc/passwd"), Life::Over);
    }

    #[cfg(unix)]
    #[test]
    fn it_is_private_and_made_so_again() {
        use std::os::unix::fs::PermissionsExt as _;
        let state = tempfile::tempdir().unwrap();
        let directory = state.path().join("sessions");
        let ledger = Ledger::new(&directory);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        ledger.add(entry("me-1")).unwrap();
        assert_eq!((mode(&directory), mode(&ledger.path())), (0o700, 0o600));
        fs::set_permissions(ledger.path(), fs::Permissions::from_mode(0o644)).unwrap();
        ledger.add(entry("me-2")).unwrap();
        assert_eq!(mode(&ledger.path()), 0o600);
    }
}
