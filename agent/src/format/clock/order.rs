//! Which of two numbers of a date is the day, where both may be.

use jiff::civil;

use crate::format::Context;

/// Whether the first of two numbers that may both be months is the day.
pub(super) fn day_first(separator: char, parts: &[i16], context: &Context) -> bool {
    const DAY_FIRST: [&str; 5] =
        ["Asia/Ho_Chi_Minh", "Asia/Saigon", "Asia/Bangkok", "Asia/Vientiane", "Asia/Phnom_Penh"];
    let usual =
        separator != '/' || context.zone.iana_name().is_some_and(|name| DAY_FIRST.contains(&name));
    let [first, second, third] = parts else { return usual };
    let read = jiff::Timestamp::from_nanosecond(i128::from(context.observed.0)).ok();
    let Some(read) = read.map(|read| read.to_zoned(context.zone.clone()).date()) else {
        return usual;
    };
    // Days from the reading to what the numbers say, by each of the two readings.
    let until = |month: i16, day: i16| {
        let year = if *third < 100 { third + 2000 } else { *third };
        let date = civil::Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
        date.ok()?.since(read).ok().map(|span| span.get_days())
    };
    let (day, month) = (until(*second, *first), until(*first, *second));
    let (Some(day), Some(month)) = (day, month) else { return usual };
    match ((-1..=1).contains(&day), (-1..=1).contains(&month)) {
        (true, false) => true,
        (false, true) => false,
        _ if day > 1 && month <= 1 => false,
        _ if month > 1 && day <= 1 => true,
        _ => usual,
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::super::any;
    use crate::format::Context;

    #[test]
    fn of_two_numbers_the_one_that_makes_sense_is_the_day() {
        let read = "2026-11-05T09:00:00Z".parse().unwrap();
        let of = |zone: &str, text: &str| {
            let context = Context::at(read, TimeZone::get(zone).unwrap());
            any(text, &context)
                .unwrap_or_else(|| panic!("{text}"))
                .0
                .0
                .to_string()
                .get(..10)
                .unwrap()
                .to_owned()
        };
        for (text, wanted) in [
            // It was read on that day.
            ("05/11/2026 16:00:00", "2026-11-05"),
            ("11/05/2026 16:00:00", "2026-11-05"),
            // The other lies in the future.
            ("10/12/2026 16:00:00", "2026-10-12"),
            ("12/10/2026 16:00:00", "2026-10-12"),
            // By the sign between, and the land.
            ("02.03.2026 16:00:00", "2026-03-02"),
            ("02-03-2026 16:00:00", "2026-03-02"),
            ("02/03/2026 16:00:00", "2026-02-03"),
            ("24/03/2026 16:00:00", "2026-03-24"),
        ] {
            assert_eq!(of("UTC", text), wanted, "{text}");
        }
        assert_eq!(of("Asia/Ho_Chi_Minh", "02/03/2026 16:00:00"), "2026-03-02");
        assert_eq!(of("Asia/Ho_Chi_Minh", "5 thg 11, 2026, 16:00:00"), "2026-11-05");
        assert_eq!(of("Asia/Ho_Chi_Minh", "November 5, 2026 16:00:00"), "2026-11-05");
    }
}
