//! Whether a program is there, before a session is started for it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::aws::env;
use crate::commands::error::CommandError;

/// Whether a program can be started, as far as its file tells.
///
/// # Errors
/// When there is none, or this user may not start it.
pub fn check(program: &OsStr) -> Result<(), CommandError> {
    let shown = program.to_string_lossy();
    let mut there = None;
    for path in places(program) {
        if !path.is_file() {
            continue;
        }
        if may_start(&path) {
            return Ok(());
        }
        there.get_or_insert(path);
    }
    Err(match there {
        Some(path) => CommandError::usage(format!("`{shown}` cannot be started"))
            .because(format!("{} is not executable", path.display()))
            .hint(format!(
                "allow it with `chmod +x {}`, or name what runs it before it",
                path.display()
            )),
        None if is_path(program) => CommandError::usage(format!("there is no program `{shown}`")),
        None => CommandError::usage(format!("there is no program `{shown}` on the PATH"))
            .hint("what only a shell knows wants a shell: `-- sh -c '…'`"),
    })
}

/// Whether a word is the name of a program on the PATH.
pub fn is_one(word: &str) -> bool {
    let word = OsStr::new(word);
    !is_path(word) && places(word).iter().any(|path| path.is_file() && may_start(path))
}

fn is_path(program: &OsStr) -> bool {
    program.as_bytes().contains(&b'/')
}

fn may_start(path: &Path) -> bool {
    access(path, Access::EXEC_OK).is_ok()
}

/// Where the system would look.
fn places(program: &OsStr) -> Vec<PathBuf> {
    if is_path(program) {
        return vec![PathBuf::from(program)];
    }
    // As execvp(3) has it where nothing is said.
    let path = env::lookup("PATH").unwrap_or_else(|| "/bin:/usr/bin".to_owned());
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .collect()
}
