//! A sign of life for work that takes longer than half a second.

use std::future::Future;
use std::time::Duration;

use super::text::truncate;
use super::{Presence, Ui, has_left, talk};

/// How long work may take before somebody wonders.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often it is looked how far the work is.
const PACE: Duration = Duration::from_millis(200);

impl Ui {
    /// Runs `work`; at a terminal, after half a second, `doing` is shown until it is done.
    pub async fn progress<T>(&self, doing: &str, work: impl Future<Output = T>) -> T {
        self.progress_of(|| doing.to_owned(), work).await
    }

    /// The same for work that can tell how far it is: `doing` is asked again and again.
    pub async fn progress_of<T>(&self, doing: impl Fn() -> String, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        if self.presence() == Presence::Script {
            return work.await;
        }
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(PATIENCE) => {}
        }
        let mut line = Line::default();
        loop {
            line.show(&doing());
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep(PACE) => {}
            }
        }
    }
}

/// The shown line; dropping it takes it off the screen, also when the work is cancelled.
#[derive(Default)]
struct Line(String);

impl Line {
    fn show(&mut self, doing: &str) {
        if self.0 == doing || has_left() {
            return;
        }
        // One that wrapped could not be taken off again.
        let columns = dialoguer::console::Term::stderr().size().1;
        let shown = truncate(doing, usize::from(columns).saturating_sub(2).max(10));
        talk::write(&format!("\r{shown}…\x1b[K"));
        doing.clone_into(&mut self.0);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !has_left() {
            talk::write("\r\x1b[K");
        }
    }
}
