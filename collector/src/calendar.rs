//! Working time: weeks of working hours, holidays, and days that are worked in their place. Pure; days are the nation's, +07:00.
//!
//! Holidays are announced year by year. A year that is not among the data is told and not guessed: [`UnknownYear`].

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, DateTime, Weekday},
    tz::TimeZone,
};
use vonggac_wire::Time;

/// The nation's hours ahead of UTC; there is no summer time.
const HOURS_AHEAD: i8 = 7;

/// Hours of a day that are worked, in seconds since its midnight: ordered, none touching the next.
pub type Hours = Vec<(u32, u32)>;

/// No holidays are known of this year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "count working time in {0}: its holidays are not among the data; add them to registry/holidays.csv and calendar_years.csv"
)]
pub struct UnknownYear(pub i16);

/// When people work.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    /// From Monday on.
    week: [Hours; 7],
    /// Whether a day is worked against its week.
    days: BTreeMap<Date, bool>,
    years: BTreeSet<i16>,
}

impl Calendar {
    /// A week from Monday on, days that are off (`false`) or worked (`true`) against it, and the years of which all such days are given.
    #[must_use]
    pub fn new(week: [Hours; 7], days: BTreeMap<Date, bool>, years: BTreeSet<i16>) -> Self {
        Self { week, days, years }
    }

    /// The years of which holidays are known.
    #[must_use]
    pub const fn years(&self) -> &BTreeSet<i16> {
        &self.years
    }

    /// How much is worked from one moment to another; zero if the second is not behind the first.
    ///
    /// # Errors
    /// If they touch a year of which no holidays are known.
    pub fn working_time(&self, from: Time, until: Time) -> Result<Duration, UnknownYear> {
        let mut worked = Duration::ZERO;
        if until <= from {
            return Ok(worked);
        }
        let mut day = day_of(from);
        while midnight(day) < until {
            for (begin, end) in self.spans(day)? {
                worked += end.min(until).since(begin.max(from));
            }
            let Ok(next) = day.tomorrow() else { break };
            day = next;
        }
        Ok(worked)
    }

    /// The first moment at which so much has been worked since another.
    ///
    /// # Errors
    /// If it lies in, or behind, a year of which no holidays are known.
    pub fn deadline(&self, from: Time, length: Duration) -> Result<Time, UnknownYear> {
        let mut left = length;
        if left.is_zero() {
            return Ok(from);
        }
        let mut day = day_of(from);
        loop {
            for (begin, end) in self.spans(day)? {
                let begin = begin.max(from);
                let worked = end.since(begin);
                if worked >= left {
                    return Ok(begin.plus(left));
                }
                left -= worked;
            }
            // The years at hand end long before the calendar does.
            day = day.tomorrow().map_err(|_| UnknownYear(day.year()))?;
        }
    }

    /// Whether nobody works on a day. Of a year of which no holidays are known its week tells.
    #[must_use]
    pub fn is_off(&self, day: Date) -> bool {
        match self.days.get(&day) {
            Some(worked) => !worked,
            None => self.of_week(day).is_empty(),
        }
    }

    fn of_week(&self, day: Date) -> &Hours {
        &self.week[usize::from(day.weekday().to_monday_zero_offset().unsigned_abs())]
    }

    fn spans(&self, day: Date) -> Result<impl Iterator<Item = (Time, Time)> + '_, UnknownYear> {
        if !self.years.contains(&day.year()) {
            return Err(UnknownYear(day.year()));
        }
        let of_week = self.of_week(day);
        let hours: &[(u32, u32)] = match self.days.get(&day) {
            None => of_week,
            Some(false) => &[],
            // A Saturday that is worked for another day has the hours of a day that is worked anyway.
            Some(true) if of_week.is_empty() => {
                self.week.iter().find(|hours| !hours.is_empty()).map_or(&[], Vec::as_slice)
            }
            Some(true) => of_week,
        };
        let start = midnight(day);
        let at = move |seconds: u32| start.plus(Duration::from_secs(seconds.into()));
        Ok(hours.iter().map(move |(from, until)| (at(*from), at(*until))))
    }
}

/// A moment on the nation's clocks; one that no calendar has is the epoch.
#[must_use]
pub fn clock_of(time: Time) -> DateTime {
    zone().to_datetime(Timestamp::from_nanosecond(i128::from(time.0)).unwrap_or_default())
}

/// The day of a moment.
#[must_use]
pub fn day_of(time: Time) -> Date {
    clock_of(time).date()
}

/// When the nation's clocks show this; `None`: beyond all calendars.
#[must_use]
pub fn moment(clock: DateTime) -> Option<Time> {
    zone().to_timestamp(clock).ok().map(|stamp| Time::from_seconds(stamp.as_second()))
}

/// The beginning of a day.
#[must_use]
pub fn midnight(day: Date) -> Time {
    moment(day.to_datetime(jiff::civil::Time::midnight())).unwrap_or_default()
}

/// A weekday by its English name in small letters.
#[must_use]
pub fn weekday(name: &str) -> Option<Weekday> {
    const NAMES: [&str; 7] =
        ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let at = NAMES.iter().position(|known| *known == name)?;
    Weekday::from_monday_zero_offset(i8::try_from(at).ok()?).ok()
}

/// The next day `month`-`day` that has not begun at a moment.
#[must_use]
pub fn next_day(month: i8, day: i8, now: Time) -> Option<Date> {
    let today = day_of(now);
    let this = Date::new(today.year(), month, day).ok()?;
    if this > today { Some(this) } else { this.checked_add(1.year()).ok() }
}

const fn zone() -> TimeZone {
    TimeZone::fixed(jiff::tz::offset(HOURS_AHEAD))
}

#[cfg(test)]
mod tests;
