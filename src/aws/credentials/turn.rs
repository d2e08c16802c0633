//! One at a time: two processes that want the same code or the same token must not both ask for it.

use std::fs::File;
use std::path::Path;

use crate::private;

/// Held while it is this process's turn; let go by dropping it, and by the system when the process ends.
#[derive(Debug)]
pub(in super::super) struct Turn(#[expect(dead_code, reason = "held for its lock")] Option<File>);

impl Turn {
    /// Waits for the turn of `name`; `waiting` is called once where somebody else has it. Without a directory
    /// to lock in, everybody goes at once: a lock is a courtesy, never a reason to fail.
    pub(in super::super) async fn take(
        directory: Option<&Path>,
        name: Option<&str>,
        waiting: impl FnOnce(),
    ) -> Self {
        let (Some(directory), Some(name)) = (directory, name) else {
            return Self(None);
        };
        let file = match private::lock_file(&directory.join("turns").join(name)) {
            Ok(file) => file,
            Err(error) => {
                tracing::debug!(%error, "no turn is taken");
                return Self(None);
            }
        };
        if file.try_lock().is_ok() {
            return Self(Some(file));
        }
        waiting();
        let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
        Self(locked.await.ok().and_then(Result::ok))
    }
}
