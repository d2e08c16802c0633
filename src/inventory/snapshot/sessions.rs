//! The sessions that were seen last: what a completion of their ids offers. A small file, replaced whole.

use std::path::Path;
use std::{fs, io};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ids::SessionId;
use crate::private;

/// More are not kept.
const MOST: usize = 500;
/// Whatever was seen longer ago has ended: AWS lets no session live longer.
const LIFE: SignedDuration = SignedDuration::from_hours(24);
/// A file larger than this is not ours.
const LARGEST: u64 = 1024 * 1024;

/// A session as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedSession {
    /// Its id.
    pub id: SessionId,
    /// The node's name or its id; untrusted.
    pub target: String,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it was seen.
    pub seen: Timestamp,
}

pub(super) fn write(path: &Path, sessions: &[RememberedSession]) -> io::Result<()> {
    let mut text = Vec::new();
    for session in sessions.iter().take(MOST) {
        serde_json::to_writer(&mut text, session)?;
        text.push(b'\n');
    }
    private::replace(path, &text)
}

/// Lines that cannot be read are left out.
pub(super) fn read(path: &Path) -> Vec<RememberedSession> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() > LARGEST) {
        return Vec::new();
    }
    let text = fs::read_to_string(path).unwrap_or_default();
    let now = Timestamp::now();
    text.lines()
        .filter_map(|line| serde_json::from_str::<RememberedSession>(line).ok())
        .filter(|session| now.duration_since(session.seen) < LIFE)
        .take(MOST)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_or_damaged_is_not_offered() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions");
        let session = |id: &str, seen: Timestamp| RememberedSession {
            id: id.parse().unwrap(),
            target: "prod\nweb".to_owned(),
            started: None,
            seen,
        };
        let now = Timestamp::now();
        let fresh = session("alice-0123456789abcdef0", now);
        let old = session("alice-0123456789abcdef1", now - SignedDuration::from_hours(25));
        write(&path, &[fresh.clone(), old]).unwrap();
        assert_eq!(read(&path), std::slice::from_ref(&fresh));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("nonsense\n{text}{{\"id\":")).unwrap();
        assert_eq!(read(&path), [fresh]);
        assert!(read(&directory.path().join("nothing")).is_empty());
    }
}
