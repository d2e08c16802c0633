//! Which machine this is, for a home that several share: each sees its own processes alone, whose locks and sockets
//! no other machine can judge.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// A short word for this machine, the same after a restart.
pub(super) fn machine() -> String {
    // Of the id itself systemd says that it is not to be shown.
    let digest = Sha256::digest(format!("ssmx forwards {}", id().unwrap_or_default()));
    digest.iter().take(4).fold(String::new(), |mut word, byte| {
        // A string takes whatever is written.
        let _ = write!(word, "{byte:02x}");
        word
    })
}

/// The machine's id; its name, where it was never given one, as in many containers.
#[cfg(target_os = "linux")]
fn id() -> Option<String> {
    let read = |path| {
        let text = std::fs::read_to_string(path).ok()?;
        let text = text.trim();
        (!text.is_empty() && text != "uninitialized").then(|| text.to_owned())
    };
    [
        "/etc/machine-id",
        "/var/lib/dbus/machine-id",
        "/proc/sys/kernel/hostname",
    ]
    .into_iter()
    .find_map(read)
}

/// Elsewhere homes are the machine's own, and its name changes with the network that it is in.
#[cfg(not(target_os = "linux"))]
fn id() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_short_and_stays() {
        let word = machine();
        assert_eq!(word.len(), 8);
        assert_eq!(word, machine());
    }
}
