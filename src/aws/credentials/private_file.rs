//! Files with secrets: private to the user, replaced whole, never half read.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use crate::secret::Secret;

/// Caches are small; whatever is larger is none of them.
const LARGEST: u64 = 1 << 20;

/// The content, and a warning where others could read it: it is made private on the spot.
///
/// # Errors
/// The file system's, and for a file that is too large.
pub(super) fn read(file: &Path) -> io::Result<(Secret<Vec<u8>>, Option<String>)> {
    let open = fs::File::open(file)?;
    let warning = make_private(&open, file);
    let mut content = Vec::new();
    let length = open.take(LARGEST + 1).read_to_end(&mut content)?;
    let content = Secret::new(content);
    if length as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too large"));
    }
    Ok((content, warning))
}

/// Replaces the file: whoever reads sees the old one or the new one.
///
/// # Errors
/// The file system's.
pub(super) fn write(file: &Path, content: &str) -> io::Result<()> {
    let directory = file.parent().unwrap_or(file);
    create_directory(directory)?;
    // tempfile creates it with mode 0600.
    let mut new = tempfile::Builder::new().suffix(".tmp").tempfile_in(directory)?;
    new.write_all(content.as_bytes())?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    Ok(())
}

/// A directory that is private where we have to create it.
///
/// # Errors
/// The file system's.
pub(super) fn create_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(directory)
}

#[cfg(unix)]
fn make_private(open: &fs::File, file: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = open.metadata().ok()?.permissions().mode();
    if mode & 0o077 == 0 {
        return None;
    }
    let place = file.display();
    Some(match open.set_permissions(fs::Permissions::from_mode(0o600)) {
        Ok(()) => format!("`{place}` holds credentials and could be read by others; it is private now"),
        Err(error) => {
            format!(
                "`{place}` holds credentials and can be read by others; it cannot be made private: {error}"
            )
        }
    })
}

/// Windows: the profile directory's access list is inherited.
#[cfg(not(unix))]
fn make_private(_open: &fs::File, _file: &Path) -> Option<String> {
    None
}
