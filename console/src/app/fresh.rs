//! How fresh the picture is: when the centre was heard last, when the newest record came to it, how its clock runs beside this machine's.

use std::time::Duration;

use vonggac_wire::{Time, proto::WatchReply};

use super::{App, LATE, Link, QUIET, STALE};

/// How much later than others a reply may come before the clocks, and not the way, are believed to differ.
const WAY_MAX: i64 = 300_000_000_000;

/// When the centre was heard, by its own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The last reply.
    pub at: Option<Time>,
    /// When the newest record came to the centre.
    pub newest: Option<Time>,
    /// Nanoseconds that the centre's clock is ahead of this machine's, as the reply with the shortest way told.
    ahead: i64,
    snapshot: bool,
}

impl Heard {
    /// Takes a reply, that came at a time of this machine's clock.
    pub fn reply(&mut self, reply: &WatchReply, local: Time) {
        let ahead = reply.time_unix_nano.saturating_sub(local.0);
        // A late reply makes the centre seem behind. A clock that was set is more than any way is long.
        let late = self.ahead.saturating_sub(ahead);
        if !self.snapshot || reply.snapshot || !(0..WAY_MAX).contains(&late) {
            self.ahead = ahead;
        }
        self.snapshot = true;
        self.at = Some(Time(reply.time_unix_nano));
        if reply.newest_event_unix_nano > 0 {
            self.newest = Some(Time(reply.newest_event_unix_nano));
        }
    }

    /// A time of this machine's clock by the centre's.
    #[must_use]
    pub fn centre(&self, local: Time) -> Time {
        Time(local.0.saturating_add(self.ahead))
    }

    /// Seconds that this machine's clock is ahead of the centre's; negative: behind.
    #[must_use]
    pub fn skew_seconds(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "tenths of seconds for a person")]
        let seconds = -(self.ahead as f64) / 1e9;
        seconds
    }

    /// How long ago the centre was heard, by its clock; never: without end.
    #[must_use]
    pub fn reply_age(&self, now: Time) -> Duration {
        self.at.map_or(Duration::MAX, |at| now.since(at))
    }
}

/// How far what is shown may be trusted, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fresh {
    /// No link, for so long.
    Lost(Option<Duration>),
    /// A link that has brought nothing for more than a minute.
    Stale(Duration),
    /// A centre that answers, and that no record has come to for so long; never: `None`.
    Quiet(Option<Duration>),
    /// A link that brings nothing at the moment.
    Late(Duration),
    /// Age of the newest record.
    Live(Duration),
}

impl Fresh {
    /// Whether the picture says nothing about now.
    #[must_use]
    pub const fn is_past(self) -> bool {
        match self {
            Self::Lost(_) | Self::Stale(_) => true,
            Self::Quiet(Some(age)) => age.as_secs() >= STALE.as_secs(),
            Self::Quiet(None) | Self::Late(_) | Self::Live(_) => false,
        }
    }
}

impl App {
    /// How far what is shown may be trusted, at a time of the centre's clock.
    #[must_use]
    pub fn fresh(&self, now: Time) -> Fresh {
        let reply = self.heard.reply_age(now);
        let record = self.heard.newest.map(|newest| now.since(newest));
        match &self.link {
            Link::Lost { .. } => {
                Fresh::Lost(self.lost_at.or(self.heard.at).map(|at| now.since(at)))
            }
            _ if reply >= STALE => Fresh::Stale(reply),
            _ if self.model.anybody() && record.is_none_or(|record| record >= QUIET) => {
                Fresh::Quiet(record)
            }
            _ if reply >= LATE => Fresh::Late(reply),
            _ => Fresh::Live(record.unwrap_or(reply)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn reply(at: i64) -> WatchReply {
        WatchReply { time_unix_nano: at * SECOND, ..WatchReply::default() }
    }

    #[test]
    fn the_clock_is_the_centres_whatever_this_machine_believes() {
        // This machine is an hour behind; it must not call what is old fresh.
        let mut heard = Heard::default();
        heard.reply(&reply(10_000), Time(6_400 * SECOND));
        assert_eq!(heard.centre(Time(6_400 * SECOND)), Time(10_000 * SECOND));
        let later = heard.centre(Time(6_490 * SECOND));
        assert_eq!(heard.reply_age(later), Duration::from_secs(90));
        assert!((heard.skew_seconds() + 3_600.0).abs() < 0.01);
    }

    #[test]
    fn a_reply_that_was_long_on_its_way_is_as_old_as_it_is() {
        let mut heard = Heard::default();
        heard.reply(&reply(100), Time(100 * SECOND));
        heard.reply(&reply(101), Time(131 * SECOND));
        let now = heard.centre(Time(131 * SECOND));
        assert_eq!(heard.reply_age(now), Duration::from_secs(30));
        // A clock that was set is followed.
        heard.reply(&reply(132), Time(4_000 * SECOND));
        assert_eq!(heard.centre(Time(4_000 * SECOND)), Time(132 * SECOND));
    }
}
