//! Reading files with secrets, which others should not be able to.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use crate::private;
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

fn make_private(open: &fs::File, file: &Path) -> Option<String> {
    let place = file.display();
    match private::take_back(open) {
        Ok(false) => None,
        Ok(true) => Some(format!(
            "`{place}` holds credentials and could be read by others; it is private now"
        )),
        Err(error) => Some(format!(
            "`{place}` holds credentials and can be read by others; it cannot be made private: {error}"
        )),
    }
}
