//! Half a year, by the nation's calendar.

use std::{fmt, str::FromStr};

use jiff::civil::Date;
use vonggac_wire::Time;

use crate::wording::{local, moment};

/// The first or the second half of a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Half {
    year: i16,
    second: bool,
}

/// It is not written like `2026-H2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAHalf;

impl Half {
    /// The half that a moment lies in.
    #[must_use]
    pub fn of(time: Time) -> Self {
        let date = local(time).date();
        Self { year: date.year(), second: date.month() > 6 }
    }

    /// Its year.
    #[must_use]
    pub const fn year(self) -> i16 {
        self.year
    }

    /// It is the second one.
    #[must_use]
    pub const fn is_second(self) -> bool {
        self.second
    }

    /// From its beginning to that of the next.
    #[must_use]
    pub fn span(self) -> (Time, Time) {
        let (year, next) = (self.year, self.year.saturating_add(1));
        if self.second {
            (begin(year, 7, 1), begin(next, 1, 1))
        } else {
            (begin(year, 1, 1), begin(year, 7, 1))
        }
    }

    /// The id of the law's clock that it is reported for.
    #[must_use]
    pub const fn duty(self) -> &'static str {
        if self.second { "report-year-end" } else { "report-mid-year" }
    }

    /// The day before which it is sent, by that clock's limit, e.g. `12-15`.
    #[must_use]
    pub fn due(self, limit: &str) -> Option<Time> {
        let (month, day) = limit.split_once('-')?;
        let (month, day) = (month.parse().ok()?, day.parse().ok()?);
        Date::new(self.year, month, day).ok().map(|_| begin(self.year, month, day))
    }
}

fn begin(year: i16, month: i8, day: i8) -> Time {
    let date = Date::new(year, month, day).unwrap_or_default();
    moment(date.to_datetime(jiff::civil::Time::midnight())).unwrap_or_default()
}

impl FromStr for Half {
    type Err = NotAHalf;

    fn from_str(text: &str) -> Result<Self, NotAHalf> {
        let (year, half) = text.split_once('-').ok_or(NotAHalf)?;
        let year = year.parse().ok().filter(|year| (2000..=2200).contains(year)).ok_or(NotAHalf)?;
        match half {
            "H1" | "h1" => Ok(Self { year, second: false }),
            "H2" | "h2" => Ok(Self { year, second: true }),
            _ => Err(NotAHalf),
        }
    }
}

impl fmt::Display for Half {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-H{}", self.year, if self.second { 2 } else { 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_begins_at_the_nations_midnight() {
        let half: Half = "2026-H2".parse().unwrap();
        let at = |text: &str| text.parse::<Time>().unwrap();
        assert_eq!(half.span(), (at("2026-06-30T17:00:00Z"), at("2026-12-31T17:00:00Z")));
        assert_eq!(half.due("12-15"), Some(at("2026-12-14T17:00:00Z")));
        assert_eq!(Half::of(at("2026-06-30T16:59:59Z")).to_string(), "2026-H1");
        assert_eq!(Half::of(at("2026-06-30T17:00:00Z")).to_string(), "2026-H2");
        for wrong in ["2026", "2026-H3", "H1-2026", "1-H1", "26-H1", ""] {
            assert!(wrong.parse::<Half>().is_err(), "{wrong}");
        }
        assert_eq!((half.due("soon"), half.due("02-30")), (None, None));
    }
}
