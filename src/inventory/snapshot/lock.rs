//! Writers take turns.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::private;

/// A writer's turn in one directory, which is made if need be; dropping it lets the next one in.
pub(super) struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

impl Lock {
    /// Waits for the turn. Writers are quick: they hold it for a rename or the rewriting of a small file.
    pub(super) fn take(directory: &Path) -> io::Result<Self> {
        let file = private::lock_file(&directory.join("lock"))?;
        match file.lock() {
            // Some file systems know no locks. Whole replacements still hold; at worst a single row is lost.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            other => other?,
        }
        Ok(Self(file))
    }
}
