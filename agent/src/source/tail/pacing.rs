//! When what of a rank may be read again, in one reading thread. Pure.
//!
//! Each rank has a purse of CPU time that fills by its share and is emptied by its reading. An empty one rests until it is half full again,
//! so that a slowed thread wakes seldom and does something when it does.

use std::time::{Duration, Instant};

use crate::governor::Rank;

/// What a purse holds: a few chunks of lines.
const PURSE: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug)]
struct Purse {
    /// Seconds; below nothing if more was taken than there was.
    left: f64,
    seen: Instant,
    resting: bool,
}

/// The purses of a thread.
#[derive(Debug)]
pub(super) struct Pacing {
    purses: [Purse; 3],
}

impl Pacing {
    pub(super) fn new(now: Instant) -> Self {
        let full = Purse { left: PURSE.as_secs_f64(), seen: now, resting: false };
        Self { purses: [full; 3] }
    }

    /// How long a rank has to rest that may take this share of a core; `None`: it may be read now.
    pub(super) fn rest(&mut self, rank: Rank, share: f64, now: Instant) -> Option<Duration> {
        let purse = &mut self.purses[rank as usize];
        let full = PURSE.as_secs_f64();
        let passed = now.saturating_duration_since(purse.seen).as_secs_f64();
        purse.left = if share >= 1.0 { full } else { passed.mul_add(share, purse.left).min(full) };
        purse.seen = now;
        let wanted = if purse.resting { full / 2.0 } else { 0.0 };
        purse.resting = purse.left <= wanted && share < 1.0;
        purse.resting.then(|| Duration::from_secs_f64((full / 2.0 - purse.left).max(0.0) / share))
    }

    /// Reading of a rank took so much CPU time.
    pub(super) fn took(&mut self, rank: Rank, cpu: Duration) {
        self.purses[rank as usize].left -= cpu.as_secs_f64();
    }
}

/// CPU time of the thread that asks.
pub(super) fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CPU that a rank takes in ten seconds if each look takes so much, and how often it is looked at.
    fn over_ten_seconds(pacing: &mut Pacing, share: f64, look: Duration) -> (f64, u32) {
        let (mut now, mut looks) = (Instant::now(), 0);
        let end = now + Duration::from_secs(10);
        while now < end {
            match pacing.rest(Rank::Later, share, now) {
                Some(rest) => now += rest.max(Duration::from_millis(1)),
                None => {
                    pacing.took(Rank::Later, look);
                    now += look;
                    looks += 1;
                }
            }
        }
        (f64::from(looks) * look.as_secs_f64() / 10.0, looks)
    }

    #[test]
    fn a_rank_takes_its_share_whatever_a_look_takes() {
        for share in [0.8, 0.5, 0.1, 0.0115] {
            for look in
                [Duration::from_micros(50), Duration::from_millis(2), Duration::from_millis(60)]
            {
                let mut pacing = Pacing::new(Instant::now());
                let (taken, looks) = over_ten_seconds(&mut pacing, share, look);
                let least = (share * 0.8).min(look.as_secs_f64() / 10.0);
                assert!(
                    (least..=share + 0.009).contains(&taken),
                    "{share} {look:?}: {taken} by {looks}"
                );
            }
        }
    }

    #[test]
    fn a_rank_that_is_not_slowed_never_rests_and_others_do_not_mind() {
        let mut pacing = Pacing::new(Instant::now());
        let (taken, _) = over_ten_seconds(&mut pacing, 1.0, Duration::from_millis(5));
        assert!(taken > 0.99, "{taken}");
        pacing.took(Rank::Later, Duration::from_secs(9));
        assert!(pacing.rest(Rank::Later, 0.5, Instant::now()).is_some());
        assert!(pacing.rest(Rank::Security, 0.5, Instant::now()).is_none());
    }

    #[test]
    fn a_thread_knows_its_own_cpu_time() {
        let begun = thread_cpu();
        std::thread::spawn(|| {
            let begun = thread_cpu();
            let mut sum = 0_u64;
            while thread_cpu() - begun < Duration::from_millis(30) {
                sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(1));
            }
        })
        .join()
        .unwrap();
        assert!(thread_cpu() - begun < Duration::from_millis(30));
    }
}
