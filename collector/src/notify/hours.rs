//! Hours and days as people in Vietnam keep them. Pure.

use std::str::FromStr;

use jiff::civil::Date;
use vonggac_wire::Time;

use crate::calendar::{Calendar, clock_of, moment};

/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;

/// A time on the clocks of Vietnam.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// The day.
    pub date: Date,
    /// Since midnight.
    pub minute: u16,
}

/// A time on the clocks of Vietnam; one that no calendar has is the epoch.
#[must_use]
pub fn local(time: Time) -> Local {
    let civil = clock_of(time);
    let (hour, minute) = (u16::from(civil.hour().unsigned_abs()), civil.minute().unsigned_abs());
    Local { date: civil.date(), minute: hour * 60 + u16::from(minute) }
}

/// When a minute of a day in Vietnam is; `None`: beyond all calendars.
#[must_use]
pub fn at(date: Date, clock: Clock) -> Option<Time> {
    let (hour, minute) = (i8::try_from(clock.0 / 60).ok()?, i8::try_from(clock.0 % 60).ok()?);
    moment(date.at(hour, minute, 0, 0))
}

/// `dd/mm hh:mm` in Vietnam, as the console shows times.
#[must_use]
pub fn shown(time: Time) -> String {
    let Local { date, minute } = local(time);
    format!("{:02}/{:02} {:02}:{:02}", date.day(), date.month(), minute / 60, minute % 60)
}

/// A minute of the day, `07:30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clock(u16);

impl Clock {
    /// The first minute.
    pub const MIDNIGHT: Self = Self(0);
}

/// The text is no time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no time of day")]
pub struct NoClock;

impl FromStr for Clock {
    type Err = NoClock;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (hour, minute) = text.split_once(':').ok_or(NoClock)?;
        let part = |part: &str, most: u16| {
            let two = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse::<u16>().ok().filter(|number| two && *number < most)
        };
        Ok(Self(part(hour, 24).ok_or(NoClock)? * 60 + part(minute, 60).ok_or(NoClock)?))
    }
}

/// From one time of day to another, `07:00-17:30`; the end is not in it. `18:00-07:00` goes through midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    from: u16,
    until: u16,
}

impl Hours {
    /// The whole day.
    pub const ALL: Self = Self { from: 0, until: DAY_MINUTES };

    /// Whether a minute of the day is in it.
    #[must_use]
    pub const fn has(self, minute: u16) -> bool {
        if self.from < self.until {
            self.from <= minute && minute < self.until
        } else {
            minute >= self.from || minute < self.until
        }
    }
}

impl FromStr for Hours {
    type Err = NoClock;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (from, until) = text.split_once('-').ok_or(NoClock)?;
        let Clock(from) = from.trim().parse()?;
        // A day ends at 24:00, which is no time of it.
        let until = match until.trim() {
            "24:00" => DAY_MINUTES,
            until => until.parse::<Clock>()?.0,
        };
        if from == until { Err(NoClock) } else { Ok(Self { from, until }) }
    }
}

/// On which days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Days {
    /// Every day.
    #[default]
    All,
    /// Those that the calendar has worked: Monday to Friday, but for holidays, and days that are worked in their place.
    Working,
    /// The others.
    Off,
}

impl Days {
    /// Whether a day is one of them.
    #[must_use]
    pub fn has(self, date: Date, calendar: &Calendar) -> bool {
        match self {
            Self::All => true,
            Self::Working => !calendar.is_off(date),
            Self::Off => calendar.is_off(date),
        }
    }
}

impl FromStr for Days {
    type Err = NoClock;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self::All),
            "working" => Ok(Self::Working),
            "off" => Ok(Self::Off),
            _ => Err(NoClock),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::registry::Registry;

    /// Friday 27/11/2026 06:59:59 in Vietnam.
    const FRIDAY: i64 = 1_795_737_599;

    #[test]
    fn a_time_is_read_on_the_clocks_of_vietnam() {
        let before = local(Time::from_seconds(FRIDAY));
        assert_eq!((before.date, before.minute), (date(2026, 11, 27), 6 * 60 + 59));
        assert_eq!(shown(Time::from_seconds(FRIDAY)), "27/11 06:59");
        assert_eq!(
            at(date(2026, 11, 27), "07:00".parse().unwrap()),
            Some(Time::from_seconds(FRIDAY + 1))
        );
    }

    #[test]
    fn hours_begin_with_their_first_minute_and_end_before_their_last() {
        for (text, within, without) in [
            ("07:00-17:30", vec![420, 1_049], vec![419, 1_050, 0]),
            ("18:00-07:00", vec![1_080, 1_439, 0, 419], vec![420, 1_079]),
            ("00:00-24:00", vec![0, 1_439], vec![]),
        ] {
            let hours: Hours = text.parse().unwrap();
            assert!(within.iter().all(|minute| hours.has(*minute)), "{text}");
            assert!(!without.iter().any(|minute| hours.has(*minute)), "{text}");
        }
        for wrong in
            ["", "7-17", "07:00", "07:60-08:00", "24:00-07:00", "07:00-07:00", "+7:00-08:00"]
        {
            assert!(wrong.parse::<Hours>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_holiday_is_a_day_off_and_saturday_is_one_unless_it_is_worked_in_its_place() {
        let registry = Registry::builtin().unwrap();
        let off = |day| {
            let [all, working, off] = [Days::All, Days::Working, Days::Off]
                .map(|days| days.has(day, registry.calendar()));
            assert!(all && working != off);
            off
        };
        assert!(!off(date(2026, 11, 27)) && off(date(2026, 11, 28)));
        assert!(off(date(2026, 9, 2)) && off(date(2026, 8, 31)) && !off(date(2026, 8, 22)));
        // Of a year without data the week tells.
        assert!(off(date(2099, 11, 28)) && !off(date(2099, 11, 27)));
    }

    proptest! {
        #[test]
        fn each_minute_is_in_hours_or_in_those_that_are_left(from in 0_u16..1_440, until in 0_u16..1_440, minute in 0_u16..1_440) {
            prop_assume!(from != until);
            let hours = Hours { from, until };
            let others = Hours { from: until, until: from };
            prop_assert!(hours.has(minute) != others.has(minute));
        }
    }
}
