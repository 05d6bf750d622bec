//! What an administrator allows the shipper: bytes a second, and hours in which only the urgent goes. Pure.

use std::{io::Write, str::FromStr, time::Duration};

use flate2::{Compression, write::DeflateEncoder};
use vonggac_wire::Lane;

/// Seconds for which an idle ceiling may save.
const BURST: Duration = Duration::from_secs(2);

/// Bytes around a batch on the wire: Kafka's frame, CloudEvents' headers, TCP's segments and their answers.
const AROUND_BYTES: usize = 600;

/// Minutes of a day between which the link belongs to others, by the host's clock. A span may go over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    from: u16,
    to: u16,
}

/// Why a text names no span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no span of a day like \"07:30-17:00\"")]
pub struct SpanError;

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let minute = |text: &str| {
            let (hours, minutes) = text.trim().split_once(':')?;
            let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
            (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
        };
        let (from, to) = text.split_once('-').ok_or(SpanError)?;
        let (from, to) = (minute(from).ok_or(SpanError)?, minute(to).ok_or(SpanError)?);
        if from == to { Err(SpanError) } else { Ok(Self { from, to }) }
    }
}

impl Span {
    /// Whether a minute of the day lies in it.
    #[must_use]
    pub const fn holds(self, minute: u16) -> bool {
        if self.from < self.to {
            self.from <= minute && minute < self.to
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

/// A quarter: a backlog still goes down by three quarters of the link, and of a link that carries thrice what a host says nothing fresh waits.
const FRESH_PERCENT: u8 = 25;

/// How old the oldest event of a lane has to be, usually, before others go ahead of it: what is younger is caught up with sooner.
const FRESH_AFTER: Duration = Duration::from_secs(60);

/// What the shipper may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShipLimits {
    /// Bytes a second on the wire; `None`: as many as the link carries.
    pub bytes_per_second_max: Option<u64>,
    /// When the quiet lanes wait.
    pub quiet_hours: Vec<Span>,
    /// Lanes that wait then. Never the security lane. Heartbeats travel on the uptime lane.
    pub quiet_lanes: Vec<Lane>,
    /// Part of a lane's bytes for what is fresh, while there is a backlog; 0: everything goes in order.
    pub fresh_percent: u8,
    /// How long the oldest event of a lane waits before that begins.
    pub fresh_after: Duration,
}

impl Default for ShipLimits {
    fn default() -> Self {
        Self {
            bytes_per_second_max: None,
            quiet_hours: Vec::new(),
            quiet_lanes: Vec::new(),
            fresh_percent: FRESH_PERCENT,
            fresh_after: FRESH_AFTER,
        }
    }
}

impl ShipLimits {
    /// Whether a lane has to wait at this minute of the day.
    #[must_use]
    pub fn is_quiet(&self, lane: Lane, minute: u16) -> bool {
        lane != Lane::Security
            && self.quiet_lanes.contains(&lane)
            && self.quiet_hours.iter().any(|span| span.holds(minute))
    }
}

/// The ceiling of bytes a second. A batch goes when nothing is owed, and leaves a debt.
#[derive(Debug)]
pub(super) struct Ceiling {
    per_second: Option<f64>,
    left: f64,
    seen: Duration,
}

impl Ceiling {
    pub(super) fn new(per_second: Option<u64>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
        let per_second = per_second.map(|rate| rate as f64);
        Self { per_second, left: 0.0, seen: Duration::ZERO }
    }

    /// Another rate from now on. What is owed stays owed: in bytes, which the new rate pays back.
    pub(super) fn set_rate(&mut self, per_second: Option<u64>, now: Duration) {
        self.allows(now);
        let owed = self.left.min(0.0);
        *self = Self { left: owed, seen: now, ..Self::new(per_second) };
    }

    /// Whether a batch may go, at this time of a clock that only grows.
    pub(super) fn allows(&mut self, now: Duration) -> bool {
        let Some(rate) = self.per_second else { return true };
        let passed = now.saturating_sub(self.seen).as_secs_f64();
        self.left = (self.left + passed * rate).min(rate * BURST.as_secs_f64());
        self.seen = now;
        self.left > 0.0
    }

    /// A batch of these bytes went. Kafka's client compresses it out of sight; a fast compressor of the same kind tells about how many they
    /// are on the wire, rather too many than too few.
    pub(super) fn spend(&mut self, value: &[u8]) {
        if self.per_second.is_none() {
            return;
        }
        let mut packer = DeflateEncoder::new(Vec::new(), Compression::fast());
        let packed = packer.write_all(value).and_then(|()| packer.finish());
        let bytes = packed.map_or(value.len(), |packed| packed.len()) + AROUND_BYTES;
        #[expect(clippy::cast_precision_loss, reason = "a batch has far fewer bytes than 2^52")]
        let bytes = bytes as f64;
        self.left -= bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_a_day_may_go_over_midnight() {
        let day: Span = "07:30-17:00".parse().unwrap();
        assert!(day.holds(450) && day.holds(1_019) && !day.holds(1_020) && !day.holds(0));
        let night: Span = "22:00 - 05:00".parse().unwrap();
        assert!(night.holds(1_320) && night.holds(0) && night.holds(299) && !night.holds(300));
        for wrong in ["", "7", "07:30", "25:00-26:00", "07:60-08:00", "08:00-08:00", "a:b-c:d"] {
            assert_eq!(wrong.parse::<Span>(), Err(SpanError), "{wrong}");
        }
    }

    #[test]
    fn security_never_waits_for_quiet_hours_to_end() {
        let limits = ShipLimits {
            quiet_hours: vec!["07:00-19:00".parse().unwrap()],
            quiet_lanes: Lane::ALL.to_vec(),
            ..ShipLimits::default()
        };
        assert!(limits.is_quiet(Lane::Usage, 600) && limits.is_quiet(Lane::Uptime, 600));
        assert!(!limits.is_quiet(Lane::Security, 600) && !limits.is_quiet(Lane::Usage, 1_200));
    }

    #[test]
    fn a_ceiling_that_is_changed_forgets_no_debt_and_gives_no_burst() {
        let second = Duration::from_secs(1);
        let mut ceiling = Ceiling::new(Some(1_000));
        assert!(ceiling.allows(second), "a second is saved up");
        ceiling.left = -4_000.0;
        ceiling.set_rate(Some(2_000), second);
        assert!(!ceiling.allows(3 * second), "the debt is paid back by the new rate");
        assert!(ceiling.allows(4 * second));
        ceiling.set_rate(None, 4 * second);
        assert!(ceiling.allows(4 * second));
        ceiling.set_rate(Some(10), 9 * second);
        assert!(!ceiling.allows(9 * second), "nothing was saved up while there was no ceiling");
        assert!(ceiling.allows(10 * second));
    }

    #[test]
    fn a_ceiling_is_kept_over_a_minute() {
        let mut ceiling = Ceiling::new(Some(10_000));
        // Bytes that cannot be compressed.
        let mut state = 1_u32;
        let value: Vec<u8> = (0..30_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let mut sent = 0;
        for tick in 0..600 {
            while ceiling.allows(Duration::from_millis(tick * 100)) {
                ceiling.spend(&value);
                sent += value.len();
            }
        }
        assert!((500_000..=640_000).contains(&sent), "{sent}");
        assert!(Ceiling::new(None).allows(Duration::ZERO));
    }
}
