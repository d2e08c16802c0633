//! Private directories, whole replacements, and turns.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// Makes a directory that only its owner can look into.
pub(super) fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(directory)
}

/// Replaces a file whole, or leaves it as it was.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(path);
    // Private from the start: tempfile creates it with mode 0600.
    let mut new = NamedTempFile::new_in(directory)?;
    new.write_all(content)?;
    new.persist(path)?;
    Ok(())
}

/// A writer's turn in one directory; dropping it lets the next one in.
pub(super) struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

impl Lock {
    /// Waits for the turn. Writers are quick: they hold it for a rename or the rewriting of a small file.
    pub(super) fn take(directory: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let file = options.open(directory.join("lock"))?;
        match file.lock() {
            // Some file systems know no locks. Whole replacements still hold; at worst a single row is lost.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            other => other?,
        }
        Ok(Self(file))
    }
}
