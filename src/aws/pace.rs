//! Our own token bucket: five hundred laptops must not throttle one account.
//!
//! A listing of some thousands of nodes may go out in one burst; whoever goes on longer is slowed to a rate
//! that leaves room for others. When AWS says that it is too much, it is right: what was saved up is gone, and
//! the rate falls.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::FinalizerInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

/// Calls that may be made at once: EC2's own bucket for describing holds as many.
const BURST: f64 = 100.0;
/// Calls a second after that.
const RATE: f64 = 10.0;
/// The rate falls no further.
const LEAST: f64 = 1.0;

#[derive(Debug)]
pub(super) struct Pace {
    bucket: Mutex<Bucket>,
    /// Those who wait are served in order.
    queue: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    rate: f64,
    since: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            bucket: Mutex::new(Bucket {
                tokens: BURST,
                rate: RATE,
                since: Instant::now(),
            }),
            queue: tokio::sync::Mutex::new(()),
        }
    }
}

impl Bucket {
    /// Takes a token, or says how long it takes until there is one.
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let past = now.saturating_duration_since(self.since).as_secs_f64();
        self.tokens = (self.tokens + past * self.rate).min(BURST);
        self.since = now;
        if self.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / self.rate));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    fn slow_down(&mut self, now: Instant) {
        self.tokens = 0.0;
        self.rate = (self.rate / 2.0).max(LEAST);
        self.since = now;
    }
}

impl Pace {
    /// Takes a token; those who wait are served in order.
    pub(super) async fn take(&self) {
        let _turn = self.queue.lock().await;
        while let Err(wait) = self.with(|bucket| bucket.take(Instant::now())) {
            tokio::time::sleep(wait).await;
        }
    }

    fn slow_down(&self) {
        self.with(|bucket| bucket.slow_down(Instant::now()));
    }

    fn with<T>(&self, act: impl FnOnce(&mut Bucket) -> T) -> T {
        act(&mut self.bucket.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Hears AWS say that it is too much, retries included.
#[derive(Debug, Clone)]
pub(super) struct Ear(pub(super) Arc<Pace>);

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Ear {
    fn name(&self) -> &'static str {
        "ssmx pace"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.response().is_some_and(is_too_much) {
            self.0.slow_down();
        }
        Ok(())
    }
}

/// The services spell it in many ways, in the status or in the body's code.
fn is_too_much(response: &HttpResponse) -> bool {
    let status = response.status().as_u16();
    if status < 400 {
        return false;
    }
    let words: [&[u8]; 4] = [
        b"Throttl",
        b"RequestLimitExceeded",
        b"TooManyRequests",
        b"SlowDown",
    ];
    let told = |body: &[u8]| {
        let holds = |word: &&[u8]| body.windows(word.len()).any(|window| window == *word);
        words.iter().any(holds)
    };
    status == 429 || response.body().bytes().is_some_and(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(now: Instant) -> Bucket {
        Bucket {
            tokens: BURST,
            rate: RATE,
            since: now,
        }
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = bucket(start);
        for _ in 0..100 {
            assert_eq!(bucket.take(start), Ok(()));
        }
        let wait = bucket.take(start).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert_eq!(bucket.take(start + wait), Ok(()));
        assert!(bucket.take(start + wait).is_err());
        // What is saved up is bounded.
        let later = start + Duration::from_secs(3600);
        let taken = (0..1000).take_while(|_| bucket.take(later).is_ok()).count();
        assert_eq!(taken, 100);
    }

    #[test]
    fn who_is_told_to_slow_down_does() {
        let start = Instant::now();
        let mut bucket = bucket(start);
        bucket.slow_down(start);
        assert_eq!(bucket.take(start), Err(Duration::from_millis(200)));
        for _ in 0..20 {
            bucket.slow_down(start);
        }
        assert_eq!(bucket.take(start), Err(Duration::from_secs(1)));
        // A clock that stands still or goes back gives nothing.
        assert!(bucket.take(start - Duration::from_secs(5)).is_err());
    }

    #[test]
    fn throttling_is_heard_in_all_spellings() {
        use aws_smithy_types::body::SdkBody;
        let answer = |status: u16, body: &'static str| {
            HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))
        };
        assert!(is_too_much(&answer(400, r#"{"__type":"ThrottlingException"}"#)));
        assert!(is_too_much(&answer(503, "<Code>RequestLimitExceeded</Code>")));
        assert!(is_too_much(&answer(429, "")));
        assert!(!is_too_much(&answer(
            400,
            r#"{"__type":"AccessDeniedException"}"#
        )));
        assert!(!is_too_much(&answer(200, "Throttl")));
    }
}
