//! How much each sender may send: one that floods is limited alone.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// Senders that are told apart; those beyond share one allowance.
const SENDERS_MAX: usize = 4_096;

/// Seconds of allowance that a quiet sender may save: devices speak in bursts.
const BURST_SECONDS: f64 = 2.0;

/// A sender that was quiet for so long has its whole allowance again, and is forgotten.
const IDLE: Duration = Duration::from_secs(60);

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

    /// Takes `count` if there is as much; otherwise tells how long to wait for it.
    pub(crate) fn take(
        &mut self,
        count: u64,
        per_second: u64,
        now: Instant,
    ) -> Result<(), Duration> {
        #[expect(clippy::cast_precision_loss, reason = "messages a second are far below 2^52")]
        let (rate, count) = (per_second as f64, count as f64);
        let passed = now.saturating_duration_since(self.seen).as_secs_f64();
        self.left = (self.left + passed * rate).min(most(per_second));
        self.seen = now;
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

/// All senders of a listener.
#[derive(Debug)]
pub(super) struct Senders {
    per_second: u64,
    known: HashMap<IpAddr, Allowance>,
    others: Option<Allowance>,
}

impl Senders {
    pub(super) fn new(per_second: u64) -> Self {
        Self { per_second, known: HashMap::new(), others: None }
    }

    /// Whether one message more may be taken from this sender.
    pub(super) fn admit(&mut self, sender: IpAddr, now: Instant) -> bool {
        if !self.known.contains_key(&sender) && self.known.len() >= SENDERS_MAX {
            self.known.retain(|_, allowance| now.saturating_duration_since(allowance.seen) < IDLE);
        }
        let fresh = Allowance::new(self.per_second, now);
        let allowance = if self.known.contains_key(&sender) || self.known.len() < SENDERS_MAX {
            self.known.entry(sender).or_insert(fresh)
        } else {
            self.others.get_or_insert(fresh)
        };
        allowance.take(1, self.per_second, now).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_that_floods_is_limited_alone_and_recovers() {
        let (mut senders, begun) = (Senders::new(10), Instant::now());
        let (loud, quiet): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let taken = (0..100).filter(|_| senders.admit(loud, begun)).count();
        assert_eq!(taken, 20, "two seconds' allowance at once");
        assert!(senders.admit(quiet, begun));
        let later = begun + Duration::from_secs(1);
        assert_eq!((0..100).filter(|_| senders.admit(loud, later)).count(), 10);
    }

    #[test]
    fn a_million_forged_senders_take_bounded_memory() {
        let (mut senders, now) = (Senders::new(1), Instant::now());
        let taken =
            (0..20_000_u32).filter(|n| senders.admit(IpAddr::from(n.to_be_bytes()), now)).count();
        assert!(senders.known.len() <= SENDERS_MAX && taken <= SENDERS_MAX + 2, "{taken}");
    }

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
