//! How much may be in flight: as much as the path and the far end keep up with.

use std::time::{Duration, Instant};

/// The fastest round trip counts for so long, then it has to be seen again.
const MEMORY: Duration = Duration::from_secs(10);
/// A round trip may be longer than the fastest one by this, or by half of that one: so much waits somewhere.
const LEAST_WAIT: Duration = Duration::from_millis(5);

/// The bytes that may be unacknowledged. An agent acknowledges what it has written to its socket, so a round trip
/// that grows says that somebody, path or target, does not keep up: more in flight would only wait there, and every
/// other connection behind it.
#[derive(Debug, Clone)]
pub struct Window {
    bytes: usize,
    least: usize,
    most: usize,
    /// Doubled each round trip until waiting was seen for the first time.
    doubling: bool,
    fastest: Option<Duration>,
    /// The fastest since `since`, which takes over when the other one is forgotten.
    next_fastest: Option<Duration>,
    since: Option<Instant>,
    mean: Option<Duration>,
    /// What was acknowledged since the window last grew by a step.
    gathered: usize,
    shrunk: Option<Instant>,
}

/// The bounds of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Where it begins.
    pub first: usize,
    /// What it never falls below.
    pub least: usize,
    /// What it never grows above. Equal to the others: it stays as it is.
    pub most: usize,
}

impl Bounds {
    /// A window that stays as it is.
    pub const fn fixed(bytes: usize) -> Self {
        Self {
            first: bytes,
            least: bytes,
            most: bytes,
        }
    }
}

impl Window {
    /// A window that begins as the bounds say.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bytes: bounds.first,
            least: bounds.least,
            most: bounds.most,
            doubling: true,
            fastest: None,
            next_fastest: None,
            since: None,
            mean: None,
            gathered: 0,
            shrunk: None,
        }
    }

    /// How many bytes may be unacknowledged.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Learns from an acknowledgement of so many bytes. `round_trip` is that of a message sent once; `was_full`:
    /// the window was what held sending up, so that it says something that it was enough.
    pub fn acknowledged(&mut self, now: Instant, bytes: usize, round_trip: Duration, was_full: Fill) {
        if self.least == self.most {
            return;
        }
        self.remember(now, round_trip);
        let mean = self.mean.map_or(round_trip, |mean| (mean * 7 + round_trip) / 8);
        self.mean = Some(mean);
        let fastest = self.fastest.unwrap_or(round_trip);
        let waiting = mean.saturating_sub(fastest);
        let fair = LEAST_WAIT.max(fastest / 2);
        if waiting > fair * 2 {
            self.doubling = false;
            self.shrink(now, mean, 3, 4);
        } else if waiting > fair {
            self.doubling = false;
        } else if was_full == Fill::Full {
            self.grow(bytes);
        }
    }

    /// Something was lost, or the connection: begin anew, more carefully.
    pub fn lost(&mut self, now: Instant) {
        if self.least == self.most {
            return;
        }
        self.doubling = false;
        let mean = self.mean.unwrap_or(LEAST_WAIT);
        self.shrink(now, mean, 1, 2);
    }

    fn grow(&mut self, bytes: usize) {
        if self.doubling {
            self.bytes = (self.bytes + bytes).min(self.most);
            return;
        }
        // An eighth of the window each round trip.
        self.gathered += bytes;
        if self.gathered >= self.bytes {
            self.gathered = 0;
            self.bytes = (self.bytes + self.bytes / 8).min(self.most);
        }
    }

    /// At most once a round trip: what was sent before the last time tells nothing new.
    fn shrink(&mut self, now: Instant, mean: Duration, numerator: usize, denominator: usize) {
        if self
            .shrunk
            .is_some_and(|at| now.saturating_duration_since(at) < mean)
        {
            return;
        }
        self.shrunk = Some(now);
        self.gathered = 0;
        self.bytes = (self.bytes / denominator * numerator).max(self.least);
    }

    fn remember(&mut self, now: Instant, round_trip: Duration) {
        let fastest = |old: Option<Duration>| Some(old.map_or(round_trip, |old| old.min(round_trip)));
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) > MEMORY {
            self.fastest = self.next_fastest;
            self.next_fastest = None;
            self.since = Some(now);
        }
        self.fastest = fastest(self.fastest);
        self.next_fastest = fastest(self.next_fastest);
    }
}

/// Whether the window held sending up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// It did.
    Full,
    /// There was nothing more to send.
    Idle,
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        first: 64 << 10,
        least: 16 << 10,
        most: 4 << 20,
    };

    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as the start of a test"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    /// Sends as much as the window allows over a path of this rate and delay, for so long; the last round trip.
    fn send_over(
        window: &mut Window,
        now: &mut Instant,
        rate: usize,
        delay: Duration,
        time: Duration,
    ) -> Duration {
        let end = *now + time;
        let mut last = delay;
        while *now < end {
            // A round: the window's bytes, and what they wait for each other.
            let bytes = window.bytes();
            let drain = Duration::from_secs_f64(bytes as f64 / rate as f64);
            let round = delay.max(drain);
            for piece in 1..=16 {
                last = delay.max(drain * piece / 16);
                window.acknowledged(*now + last, bytes / 16, last, Fill::Full);
            }
            *now += round;
        }
        last
    }

    #[test]
    fn it_fills_a_long_path_and_does_not_flood_a_slow_one() {
        let mut now = start();
        let mut window = Window::new(BOUNDS);
        let ms = Duration::from_millis;
        // 20 MB/s over 50 ms hold 1 MB.
        send_over(&mut window, &mut now, 20_000_000, ms(50), ms(3000));
        assert!(
            (1_000_000..2_500_000).contains(&window.bytes()),
            "{}",
            window.bytes()
        );
        // The target takes 500 kB/s from now on: 32 KiB are 65 ms.
        let waits = send_over(&mut window, &mut now, 500_000, ms(50), ms(60_000));
        assert!(window.bytes() < 120_000, "{}", window.bytes());
        assert!(waits < ms(250), "{waits:?}");
        // And it recovers.
        send_over(&mut window, &mut now, 20_000_000, ms(50), ms(20_000));
        assert!(window.bytes() > 700_000, "{}", window.bytes());
    }

    #[test]
    fn a_loss_halves_it_once_a_round_trip() {
        let now = start();
        let mut window = Window::new(BOUNDS);
        window.lost(now);
        window.lost(now);
        assert_eq!(window.bytes(), BOUNDS.first / 2);
        for second in 1..20 {
            window.lost(now + Duration::from_secs(second));
        }
        assert_eq!(window.bytes(), BOUNDS.least);
    }

    #[test]
    fn what_was_not_full_says_nothing_and_what_is_fixed_stays() {
        let now = start();
        let mut window = Window::new(BOUNDS);
        for _ in 0..100 {
            window.acknowledged(now, 1024, Duration::from_millis(1), Fill::Idle);
        }
        assert_eq!(window.bytes(), BOUNDS.first);
        let mut fixed = Window::new(Bounds::fixed(1000));
        fixed.lost(now);
        fixed.acknowledged(now, 1000, Duration::from_millis(1), Fill::Full);
        assert_eq!(fixed.bytes(), 1000);
    }
}
