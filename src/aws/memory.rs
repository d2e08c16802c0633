//! Where answers that hardly ever change are remembered: a file each, named by a hash of what was asked.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// The file of a question, by all that the answer depends on.
pub(super) fn file(cache: &Path, kind: &str, question: &[&str]) -> PathBuf {
    let hash = Sha256::digest(question.join("\0"));
    let name: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    cache.join(kind).join(name)
}
