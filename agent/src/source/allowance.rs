//! How much may be taken in a time: of one sender, of one file.

use std::time::{Duration, Instant};

/// Seconds of allowance that a quiet sender may save: devices speak in bursts.
const BURST_SECONDS: f64 = 2.0;

/// An allowance that fills again with time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    left: f64,
    seen: Instant,
}

impl Allowance {
    pub(crate) fn new(per_second: u64, now: Instant) -> Self {
        Self { left: most(per_second), seen: now }
    }

    /// How long nothing was taken.
    pub(crate) fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.seen)
    }

    /// How much may be taken now.
    pub(crate) fn left(&mut self, per_second: u64, now: Instant) -> u64 {
        self.fill(per_second, now);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole ones, and never below nothing"
        )]
        let left = self.left.max(0.0) as u64;
        left
    }

    fn fill(&mut self, per_second: u64, now: Instant) {
        #[expect(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
        let rate = per_second as f64;
        let passed = now.saturating_duration_since(self.seen).as_secs_f64();
        self.left = (self.left + passed * rate).min(most(per_second));
        self.seen = now;
    }

    /// Takes `count` if there is as much; otherwise tells how long to wait for it.
    pub(crate) fn take(
        &mut self,
        count: u64,
        per_second: u64,
        now: Instant,
    ) -> Result<(), Duration> {
        #[expect(clippy::cast_precision_loss, reason = "messages a second are far below 2^52")]
        let (rate, count) = (per_second as f64, count as f64);
        self.fill(per_second, now);
        // A taking larger than the whole allowance passes when it is full, and leaves a debt.
        if self.left >= count.min(most(per_second)) {
            self.left -= count;
            return Ok(());
        }
        Err(Duration::from_secs_f64((count.min(most(per_second)) - self.left) / rate))
    }
}

#[expect(clippy::cast_precision_loss, reason = "messages a second are far below 2^52")]
fn most(per_second: u64) -> f64 {
    per_second as f64 * BURST_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_tells_how_long_to_wait() {
        let now = Instant::now();
        let mut allowance = Allowance::new(100, now);
        assert!(allowance.take(200, 100, now).is_ok());
        let wait = allowance.take(50, 100, now).unwrap_err();
        assert!((0.49..0.51).contains(&wait.as_secs_f64()), "{wait:?}");
        assert!(allowance.take(50, 100, now + wait + Duration::from_millis(1)).is_ok());
        assert!(
            allowance.take(10_000, 100, now + Duration::from_secs(60)).is_ok(),
            "a large one passes when full"
        );
    }
}
