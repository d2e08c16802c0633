//! Our own token bucket: five hundred laptops must not throttle one account.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// Calls that may be made at once.
const BURST: f64 = 20.0;
/// Calls a second after that.
const RATE: f64 = 10.0;

#[derive(Debug)]
pub(super) struct Pace {
    bucket: Mutex<(f64, Instant)>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            bucket: Mutex::new((BURST, Instant::now())),
        }
    }
}

impl Pace {
    /// Takes a token; those who wait are served in order.
    pub(super) async fn take(&self) {
        let mut bucket = self.bucket.lock().await;
        let (tokens, since) = *bucket;
        let tokens = (tokens + since.elapsed().as_secs_f64() * RATE).min(BURST);
        if tokens < 1.0 {
            tokio::time::sleep(Duration::from_secs_f64((1.0 - tokens) / RATE)).await;
            *bucket = (0.0, Instant::now());
        } else {
            *bucket = (tokens - 1.0, Instant::now());
        }
    }
}
