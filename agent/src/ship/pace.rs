//! How much may be on its way, and whose turn it is. Pure.
//!
//! A thin link must not be filled with more than it carries in some seconds: what is sent next would wait behind it, and requests would
//! time out and be sent again for ever. So the bytes on their way are bounded by a [window](Pace::has_room) that grows while reports come
//! soon and shrinks when they come late, and batches are cut to a part of it.
//!
//! Lanes take turns by weight: security has most of the link while it has something to send, but uptime, where heartbeats travel, and usage
//! always move on. A lane that was idle has no credit.

use std::time::Duration;

use vonggac_wire::Lane;

/// Bytes on their way over the worst link: a batch of some dozen lines.
const WINDOW_BYTES_MIN: usize = 16 * 1024;

/// Where a start begins: what a telephone's link carries in some seconds.
const WINDOW_BYTES_FIRST: usize = 64 * 1024;

/// Bytes on their way over the best link; this is the shipper's bound of memory.
const WINDOW_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of encoded events at which a batch is cut at most: below the wire's limit with room for its head.
pub(super) const BATCH_BYTES_CUT: usize = 768 * 1024;

/// Below it a batch's head would weigh too much.
const BATCH_BYTES_MIN: usize = 8 * 1024;

/// A report within this time says that the link carries more.
const SOON: Duration = Duration::from_millis(1_000);

/// A report after this time says that it carries less.
const LATE: Duration = Duration::from_secs(5);

/// Parts of the link, of all lanes that have something to send: security, uptime, usage.
const WEIGHTS: [f64; 3] = [16.0, 4.0, 1.0];

/// What is on its way.
#[derive(Debug)]
pub(super) struct Pace {
    window: usize,
    in_flight: usize,
    /// What each lane had of the link, by its weight.
    served: [f64; 3],
}

impl Default for Pace {
    fn default() -> Self {
        Self { window: WINDOW_BYTES_FIRST, in_flight: 0, served: [0.0; 3] }
    }
}

impl Pace {
    /// Bytes at which the next batch is cut.
    pub(super) fn batch_bytes(&self) -> usize {
        (self.window / 4).clamp(BATCH_BYTES_MIN, BATCH_BYTES_CUT)
    }

    /// Another batch may go.
    pub(super) const fn has_room(&self) -> bool {
        self.in_flight < self.window
    }

    /// The lane whose turn it is, of those that have something to send.
    pub(super) fn turn(&mut self, due: [bool; 3]) -> Option<Lane> {
        let least = Lane::ALL
            .into_iter()
            .filter(|lane| due[lane.index()])
            .min_by(|a, b| self.served[a.index()].total_cmp(&self.served[b.index()]))?;
        // Who was idle does not save up.
        let floor = self.served[least.index()];
        for lane in Lane::ALL.into_iter().filter(|lane| !due[lane.index()]) {
            let served = &mut self.served[lane.index()];
            *served = served.max(floor);
        }
        Some(least)
    }

    /// A batch went.
    pub(super) fn sent(&mut self, lane: Lane, bytes: usize) {
        self.in_flight += bytes;
        #[expect(clippy::cast_precision_loss, reason = "a batch has far fewer bytes than 2^52")]
        let bytes = bytes as f64;
        self.served[lane.index()] += bytes / WEIGHTS[lane.index()];
    }

    /// Its report came after this time.
    pub(super) fn delivered(&mut self, bytes: usize, after: Duration) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
        if after <= SOON {
            self.window = (self.window + bytes).min(WINDOW_BYTES_MAX);
        } else if after >= LATE {
            self.shrink();
        }
    }

    /// It will be sent again.
    pub(super) fn failed(&mut self, bytes: usize) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
        self.shrink();
    }

    fn shrink(&mut self) {
        self.window = (self.window / 4 * 3).max(WINDOW_BYTES_MIN);
    }
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "bytes of a test")]
mod tests {
    use super::*;

    /// Sends until `bytes` have gone over a link that carries `rate` bytes a second; gives back what each lane had.
    fn over(pace: &mut Pace, due: [bool; 3], rate: usize, bytes: usize) -> ([usize; 3], Duration) {
        let (mut on_the_way, mut had) = (std::collections::VecDeque::new(), [0; 3]);
        let (mut now, mut free, mut longest) = (0.0_f64, 0.0_f64, Duration::ZERO);
        while had.iter().sum::<usize>() < bytes {
            while pace.has_room() {
                let lane = pace.turn(due).unwrap();
                let size = pace.batch_bytes();
                pace.sent(lane, size);
                free = free.max(now) + size as f64 / rate as f64;
                on_the_way.push_back((lane, size, now, free));
            }
            let (lane, size, sent, arrives) = on_the_way.pop_front().unwrap();
            now = now.max(arrives);
            longest = longest.max(Duration::from_secs_f64(now - sent));
            had[lane.index()] += size;
            pace.delivered(size, Duration::from_secs_f64(now - sent));
        }
        for (_, size, ..) in on_the_way {
            pace.delivered(size, SOON * 2);
        }
        (had, longest)
    }

    #[test]
    fn security_has_most_of_a_link_and_nobody_starves() {
        let (had, _) = over(&mut Pace::default(), [true; 3], 1_000_000, 200_000_000);
        let all: usize = had.iter().sum();
        assert!(had[0] > all / 10 * 7, "{had:?}");
        assert!(had[1] > all / 10 && had[2] > all / 50, "{had:?}");
    }

    #[test]
    fn a_fast_link_is_filled_and_a_thin_one_is_not() {
        let mut pace = Pace::default();
        over(&mut pace, [false, false, true], 100_000_000, 200_000_000);
        assert_eq!((pace.window, pace.batch_bytes()), (WINDOW_BYTES_MAX, BATCH_BYTES_CUT));
        // The link becomes thin: after a while nothing waits long any more.
        over(&mut pace, [true; 3], 5_000, 12_000_000);
        let (_, longest) = over(&mut pace, [true; 3], 5_000, 200_000);
        assert!(longest < Duration::from_secs(12), "{longest:?}");
    }

    #[test]
    fn who_was_idle_has_no_credit() {
        let mut pace = Pace::default();
        over(&mut pace, [false, false, true], 1_000_000, 50_000_000);
        let (had, _) = over(&mut pace, [true, false, true], 1_000_000, 50_000_000);
        let all: usize = had.iter().sum();
        assert!(had[2] > all / 30, "usage goes on although security comes anew: {had:?}");
    }
}
