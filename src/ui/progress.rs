//! A sign of life for work that takes longer than half a second.

use std::future::Future;
use std::time::Duration;

use super::{Presence, Ui, write_talk};

/// How long work may take before somebody wonders.
const PATIENCE: Duration = Duration::from_millis(500);

impl Ui {
    /// Runs `work`; at a terminal, after half a second, `doing` is shown until it is done.
    pub async fn progress<T>(&self, doing: &str, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        if self.presence() == Presence::Script {
            return work.await;
        }
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(PATIENCE) => {}
        }
        let line = Line::show(doing);
        let done = work.await;
        drop(line);
        done
    }
}

/// The shown line; dropping it takes it off the screen, also when the work is cancelled.
struct Line;

impl Line {
    fn show(doing: &str) -> Self {
        write_talk(&format!("{doing}…"));
        Self
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        write_talk("\r\x1b[K");
    }
}
