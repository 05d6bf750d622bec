//! In which month of the table `events` a row lies. As the column `day` of migration 1: by its own time, held near the time of storing.

const DAY_MICROS: i64 = 86_400_000_000;

/// How far a row's month lies from when it was stored, before and behind.
const CLAMP: (i64, i64) = (400 * DAY_MICROS, DAY_MICROS);

/// What decides where a row lies: its own time, and when it was stored, both in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Its own.
    pub time: i64,
    /// When it was stored.
    pub stored: i64,
}

impl Times {
    /// The time that decides its month, in microseconds.
    #[must_use]
    pub fn clamped(self) -> i64 {
        self.time.min(self.stored.saturating_add(CLAMP.1)).max(self.stored.saturating_sub(CLAMP.0))
    }

    /// Its month, as 202611; 0: out of all calendars.
    #[must_use]
    pub fn month(self) -> u32 {
        let Ok(stamp) = jiff::Timestamp::from_microsecond(self.clamped()) else { return 0 };
        let date = jiff::tz::Offset::UTC.to_datetime(stamp).date();
        u32::try_from(i32::from(date.year()) * 100 + i32::from(date.month())).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use vonggac_wire::Time;

    use super::*;

    fn month(time: &str, stored: &str) -> u32 {
        let micros = |text: &str| text.parse::<Time>().unwrap().micros();
        Times { time: micros(time), stored: micros(stored) }.month()
    }

    #[test]
    fn a_row_lies_in_the_month_of_its_time_unless_the_clock_is_wrong_by_more_than_a_year() {
        assert_eq!(month("2026-10-31T23:59:59Z", "2026-11-26T09:00:00Z"), 202_610);
        assert_eq!(month("1970-01-01T00:00:00Z", "2026-11-26T09:00:00Z"), 202_510);
        assert_eq!(month("2087-01-01T00:00:00Z", "2026-11-30T09:00:00Z"), 202_612);
    }
}
