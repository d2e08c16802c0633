//! Files of state: private to the user, written as a whole or not at all.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

/// Makes a directory, and those above it, for this user alone. One that is there is left as it is.
///
/// # Errors
/// The file system's own.
pub fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Writes a file for this user alone: a reader sees the old content or the new one, never a part.
///
/// # Errors
/// The file system's own; then the old content stays.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // Temporary files are made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
