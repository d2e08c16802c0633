//! The files of detached processes: private to the user, and right after any crash.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::machine::machine;
use super::{Ended, Record};
use crate::private;

/// A log that has grown beyond this begins anew with the next process of its name; the old one is kept once.
const LONGEST_LOG: u64 = 1 << 20;
/// As long as names of presets and groups are; they become parts of paths.
pub const LONGEST_NAME: usize = 64;

/// Why a detached forward cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Another process bears the name.
    #[error("a detached forward `{0}` is running already")]
    Taken(String),
    /// The name cannot be one.
    #[error(
        "`{0}` cannot name a detached forward: letters, digits, `-`, `_` and `.` can, up to {LONGEST_NAME}, `.` not first"
    )]
    Name(String),
    /// A directory is another user's, or others can write to it.
    #[error("{} is not private to this user", .0.display())]
    NotPrivate(PathBuf),
    /// There is no such process, living or dead.
    #[error("there is no detached forward `{0}`")]
    Unknown(String),
    /// Several processes have a forward of this name.
    #[error("`{word}` is a forward of more than one detached process")]
    Ambiguous {
        /// What was asked for.
        word: String,
        /// The processes.
        names: Vec<String>,
    },
    /// The system's word.
    #[error("cannot {doing}")]
    Io {
        /// What was to be done.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

/// Where detached processes are written down.
#[derive(Debug, Clone)]
pub struct Registry {
    directory: PathBuf,
}

/// A detached process, by what its files say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is. `None` where the record was lost.
    pub record: Option<Record>,
    /// Its name.
    pub name: String,
    /// Whether it lives: its lock is held.
    pub lives: bool,
}

/// A name, taken for as long as this lives.
#[derive(Debug)]
pub struct Claim {
    files: Files,
    /// Let go by the system, whatever becomes of us.
    _lock: File,
}

#[derive(Debug, Clone)]
struct Files {
    lock: PathBuf,
    record: PathBuf,
    socket: PathBuf,
}

impl Registry {
    /// Below this directory, which other machines may have too.
    pub fn new(state: &Path) -> Self {
        Self::of_machine(state, &machine())
    }

    fn of_machine(state: &Path, machine: &str) -> Self {
        Self {
            directory: state.join("forwards").join(machine),
        }
    }

    /// Takes a name, if no living process has it; what a dead one left is cleared away.
    ///
    /// # Errors
    /// When it is taken, or is no name.
    pub fn claim(&self, name: &str) -> Result<Claim, RegistryError> {
        const DOING: &str = "take the name of a detached forward";
        let files = self.files(name)?;
        own_directory(DOING, &self.directory)?;
        let lock = private::lock_file(&files.lock).map_err(io_error(DOING, &files.lock))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(RegistryError::Taken(name.to_owned())),
            Err(TryLockError::Error(cause)) => return Err(io_error(DOING, &files.lock)(cause)),
        }
        for left in [&files.record, &files.socket] {
            remove(left).map_err(io_error(DOING, left))?;
        }
        Ok(Claim { files, _lock: lock })
    }

    /// All processes that are written down, by name.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn entries(&self) -> Result<Vec<Entry>, RegistryError> {
        let read = match fs::read_dir(&self.directory) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(io_error("list detached forwards", &self.directory)(cause)),
        };
        let mut entries: Vec<Entry> = read
            .flatten()
            .filter_map(|file| {
                let name = file.file_name().into_string().ok()?;
                self.look(name.strip_suffix(".lock")?)
            })
            .collect();
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// The one that is meant by its name, or by that of a forward in it.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn find(&self, word: &str) -> Result<Entry, RegistryError> {
        if let Some(entry) = self.look(word) {
            return Ok(entry);
        }
        let mut having = self.entries()?;
        having.retain(|entry| entry.forwards().iter().any(|forward| forward == word));
        match having.len() {
            0 | 1 => having
                .pop()
                .ok_or_else(|| RegistryError::Unknown(word.to_owned())),
            _ => Err(RegistryError::Ambiguous {
                word: word.to_owned(),
                names: having.into_iter().map(|entry| entry.name).collect(),
            }),
        }
    }

    /// The process of this name. `None`: there is none, living or dead.
    pub fn look(&self, name: &str) -> Option<Entry> {
        let files = self.files(name).ok()?;
        let lock = File::open(&files.lock).ok()?;
        let lives = matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock));
        let record = fs::read(&files.record)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        // A lock file alone is what every process leaves behind that ended well.
        (lives || record.is_some()).then(|| Entry {
            record,
            name: name.to_owned(),
            lives,
        })
    }

    /// Forgets a dead process.
    ///
    /// # Errors
    /// When it lives.
    pub fn forget(&self, name: &str) -> Result<(), RegistryError> {
        // Whoever takes the name clears away what was there, and leaves nothing.
        self.claim(name).map(drop)
    }

    /// Where a process of this name is asked.
    ///
    /// # Errors
    /// When it is no name.
    pub fn socket(&self, name: &str) -> Result<PathBuf, RegistryError> {
        Ok(self.files(name)?.socket)
    }

    /// Where a process of this name writes its log.
    ///
    /// # Errors
    /// When it is no name.
    pub fn log(&self, name: &str) -> Result<PathBuf, RegistryError> {
        self.files(name)?;
        Ok(self.directory.join(format!("{name}.log")))
    }

    /// Opens the log to write behind what is there.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn open_log(&self, name: &str) -> Result<File, RegistryError> {
        let path = self.log(name)?;
        const DOING: &str = "open the log of a detached forward";
        own_directory(DOING, &self.directory)?;
        if fs::metadata(&path).is_ok_and(|meta| meta.len() > LONGEST_LOG) {
            let old = self.directory.join(format!("{name}.log.old"));
            fs::rename(&path, &old).map_err(io_error(DOING, &path))?;
        }
        private::append(&path).map_err(io_error(DOING, &path))
    }

    fn files(&self, name: &str) -> Result<Files, RegistryError> {
        let sound = (1..=LONGEST_NAME).contains(&name.len())
            && !name.starts_with(['.', '-'])
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !sound {
            return Err(RegistryError::Name(name.to_owned()));
        }
        let file = |suffix: &str| self.directory.join(format!("{name}.{suffix}"));
        Ok(Files {
            lock: file("lock"),
            record: file("json"),
            socket: file("sock"),
        })
    }
}

impl Entry {
    /// The names of its forwards, as far as that is known.
    pub fn forwards(&self) -> &[String] {
        self.record
            .as_ref()
            .map_or(&[], |record| record.forwards.as_slice())
    }

    /// How it has ended, where it could tell.
    pub fn ended(&self) -> Option<&Ended> {
        self.record.as_ref()?.ended.as_ref()
    }
}

impl Claim {
    /// Writes down what the process is.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn record(&self, record: &Record) -> Result<(), RegistryError> {
        let path = &self.files.record;
        let fail = || io_error("write down a detached forward", path);
        let text = serde_json::to_vec_pretty(record).map_err(|error| fail()(error.into()))?;
        private::replace(path, &text).map_err(fail())
    }

    /// Leaves the record, with the end in it, until the process is forgotten. The name is taken for as long as the
    /// process is there, which has its last words to say.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn leave(self, record: &Record) -> Result<(), RegistryError> {
        self.record(record)?;
        // Who is not asked any more is seen as what its record says.
        let _ = remove(&self.files.socket);
        std::mem::forget(self);
        Ok(())
    }

    /// Where the process is to be asked.
    pub fn socket(&self) -> &Path {
        &self.files.socket
    }
}

impl Drop for Claim {
    /// The lock's file stays: removed, it could be another's lock by then.
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Somebody will want to know: it is seen as dead.
            return;
        }
        // What stays is seen as what it is.
        let _ = remove(&self.files.record);
        let _ = remove(&self.files.socket);
    }
}

fn own_directory(doing: &'static str, path: &Path) -> Result<(), RegistryError> {
    private::create_directory(path).map_err(io_error(doing, path))?;
    let meta = fs::metadata(path).map_err(io_error(doing, path))?;
    let ours = meta.uid() == rustix::process::getuid().as_raw() && meta.mode() & 0o022 == 0;
    if ours {
        Ok(())
    } else {
        Err(RegistryError::NotPrivate(path.to_owned()))
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RegistryError {
    move |cause| RegistryError::Io {
        doing,
        path: path.to_owned(),
        cause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> (tempfile::TempDir, Registry) {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::new(directory.path());
        (directory, registry)
    }

    fn record(name: &str) -> Record {
        Record {
            name: name.to_owned(),
            process: 1,
            started: jiff::Timestamp::UNIX_EPOCH,
            words: vec!["prod-db".to_owned()],
            forwards: vec!["prod-db".to_owned()],
            ended: None,
        }
    }

    #[test]
    fn a_name_is_taken_once_and_free_again_afterwards() {
        let (_directory, registry) = registry();
        let claim = registry.claim("prod-db").unwrap();
        claim.record(&record("prod-db")).unwrap();
        assert!(matches!(registry.claim("prod-db"), Err(RegistryError::Taken(_))));
        let entry = registry.look("prod-db").unwrap();
        assert!(entry.lives);
        assert_eq!(entry.record, Some(record("prod-db")));
        drop(claim);
        assert_eq!(registry.entries().unwrap(), []);
        registry.claim("prod-db").unwrap();
    }

    #[test]
    fn what_a_crash_leaves_is_seen_as_dead_and_does_not_stand_in_the_way() {
        let (_directory, registry) = registry();
        let claim = registry.claim("a").unwrap();
        claim.record(&record("a")).unwrap();
        fs::write(claim.socket(), "left behind").unwrap();
        // As by a crash: the lock goes, the files stay.
        let Claim { files, _lock } = &claim;
        _lock.unlock().unwrap();
        assert!(files.record.exists());
        let entry = registry.look("a").unwrap();
        assert!(!entry.lives);
        std::mem::forget(claim);
        let next = registry.claim("a").unwrap();
        assert!(!next.socket().exists());
    }

    #[test]
    fn a_panic_leaves_what_a_crash_leaves() {
        let (_directory, registry) = registry();
        let claim = registry.claim("a").unwrap();
        claim.record(&record("a")).unwrap();
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _claim = claim;
            panic!("as it happens");
        }))
        .unwrap_err();
        let entry = registry.look("a").unwrap();
        assert!(!entry.lives && entry.record.is_some());
    }

    #[test]
    fn a_dead_one_can_be_forgotten_and_a_living_one_cannot() {
        let (_directory, registry) = registry();
        assert_eq!(registry.look("x"), None);
        let claim = registry.claim("a").unwrap();
        assert!(matches!(registry.forget("a"), Err(RegistryError::Taken(_))));
        claim.record(&record("a")).unwrap();
        claim._lock.unlock().unwrap();
        std::mem::forget(claim);
        registry.forget("a").unwrap();
        assert_eq!(registry.entries().unwrap(), []);
    }

    #[test]
    fn a_process_is_found_by_its_name_and_by_its_forwards() {
        let (_directory, registry) = registry();
        let begin = |name: &str, forwards: &[&str]| {
            let claim = registry.claim(name).unwrap();
            let forwards = forwards.iter().map(|name| (*name).to_owned()).collect();
            claim
                .record(&Record {
                    forwards,
                    ..record(name)
                })
                .unwrap();
            claim
        };
        let _claims = [
            begin("db", &["db"]),
            begin("all", &["db", "cache", "web:80"]),
            begin("two", &["cache"]),
        ];
        let found = |word: &str| registry.find(word).map(|entry| entry.name);
        assert_eq!(found("db").unwrap(), "db", "a name goes before a forward");
        assert_eq!(found("web:80").unwrap(), "all");
        assert!(matches!(found("x"), Err(RegistryError::Unknown(_))));
        match found("cache") {
            Err(RegistryError::Ambiguous { names, .. }) => assert_eq!(names, ["all", "two"]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn another_machine_that_has_the_same_home_has_its_own() {
        let home = tempfile::tempdir().unwrap();
        let here = Registry::of_machine(home.path(), "here");
        let there = Registry::of_machine(home.path(), "there");
        let claim = here.claim("a").unwrap();
        claim.record(&record("a")).unwrap();
        assert_eq!(there.entries().unwrap(), []);
        drop(there.claim("a").unwrap());
        assert!(here.look("a").unwrap().lives);
    }

    #[test]
    fn names_stay_within_the_directory() {
        let (_directory, registry) = registry();
        for bad in ["", ".", "..", "a/b", "-x", "a b", "\u{e9}", &"x".repeat(65)] {
            assert!(
                matches!(registry.claim(bad), Err(RegistryError::Name(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn files_are_private_and_a_shared_directory_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_directory, registry) = registry();
        let claim = registry.claim("a").unwrap();
        claim.record(&record("a")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&registry.directory), 0o700);
        assert_eq!(mode(&claim.files.record), 0o600);
        drop(registry.open_log("a").unwrap());
        assert_eq!(mode(&registry.log("a").unwrap()), 0o600);
        fs::set_permissions(&registry.directory, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(registry.claim("b"), Err(RegistryError::NotPrivate(_))));
    }
}
