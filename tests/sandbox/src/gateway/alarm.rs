//! Waiting to the microsecond: tokio's timers are as coarse as the round trips that are to be emulated.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// One timer, set anew for each wait.
#[derive(Default)]
pub(super) struct Alarm {
    #[cfg(target_os = "linux")]
    timer: Option<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>>,
}

impl Alarm {
    /// Waits until then; for ever without a time. May be dropped and called again.
    pub(super) async fn wait(&mut self, at: Option<Instant>) {
        let Some(at) = at else {
            return std::future::pending().await;
        };
        let left = at.saturating_duration_since(Instant::now());
        if !left.is_zero() && self.wait_exactly(left).await.is_none() {
            sleep_until(at).await;
        }
    }

    /// `None` where the system has no such timers.
    #[cfg(target_os = "linux")]
    async fn wait_exactly(&mut self, left: Duration) -> Option<()> {
        use rustix::time::{
            Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
            timerfd_settime,
        };
        if self.timer.is_none() {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags).ok()?;
            // SAFETY: an `OwnedFd` keeps its descriptor open, and nothing here takes it away from the `AsyncFd`.
            #[expect(
                unsafe_code,
                reason = "tokio has no safe way to wait for a timer's descriptor"
            )]
            let timer = unsafe { tokio::io::unix::AsyncFd::register(timer) };
            self.timer = Some(timer.ok()?);
        }
        let timer = self.timer.as_ref()?;
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(left).ok()?,
        };
        // Setting it clears what an earlier wait may have left in it.
        timerfd_settime(timer, TimerfdTimerFlags::empty(), &once).ok()?;
        loop {
            let mut ready = timer.readable().await.ok()?;
            match rustix::io::read(timer, &mut [0; 8]) {
                Ok(_) => return Some(()),
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(_) => return None,
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    async fn wait_exactly(&mut self, _left: Duration) -> Option<()> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[tokio::test]
    async fn it_never_rings_early_and_again_after_a_wait_that_was_given_up() {
        let mut alarm = Alarm::default();
        let given_up = alarm.wait(Some(Instant::now() + Duration::from_secs(60)));
        assert!(timeout(Duration::from_millis(5), given_up).await.is_err());
        for micros in [1, 300, 700, 2_500] {
            let at = Instant::now() + Duration::from_micros(micros);
            alarm.wait(Some(at)).await;
            assert!(Instant::now() >= at, "{micros}");
        }
        alarm.wait(Some(Instant::now())).await;
        assert!(timeout(Duration::from_millis(5), alarm.wait(None)).await.is_err());
    }
}
