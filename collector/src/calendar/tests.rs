use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::registry::Registry;

static CALENDAR: LazyLock<Calendar> =
    LazyLock::new(|| Registry::builtin().unwrap().calendar().clone());

fn at(text: &str) -> Time {
    format!("{text}:00+07:00").parse().unwrap()
}

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3_600)
}

#[test]
fn nights_noons_weekends_and_holidays_are_not_worked() {
    for (from, until, worked) in [
        ("2026-11-25T08:00", "2026-11-25T17:00", 8),
        ("2026-11-25T12:00", "2026-11-25T13:00", 0),
        ("2026-11-25T17:00", "2026-11-26T08:00", 0),
        // Friday to Monday.
        ("2026-11-27T16:00", "2026-11-30T09:00", 2),
        // Culture Day, a Tuesday.
        ("2026-11-23T16:00", "2026-11-25T09:00", 2),
        // Tết: from the last Friday to the first Monday.
        ("2026-02-13T17:00", "2026-02-23T08:00", 0),
        ("2026-02-13T16:00", "2026-02-23T09:00", 2),
        // The Saturday that is worked for 31 August.
        ("2026-08-22T00:00", "2026-08-23T00:00", 8),
        ("2026-08-29T00:00", "2026-09-03T00:00", 0),
        ("2026-11-25T09:00", "2026-11-25T09:00", 0),
        ("2026-11-26T09:00", "2026-11-25T09:00", 0),
    ] {
        assert_eq!(CALENDAR.working_time(at(from), at(until)), Ok(hours(worked)), "{from} {until}");
    }
}

#[test]
fn a_deadline_goes_on_behind_what_is_not_worked() {
    for (from, length, deadline) in [
        ("2026-11-25T08:00", 8, "2026-11-25T17:00"),
        ("2026-11-25T16:00", 2, "2026-11-26T09:00"),
        ("2026-11-27T16:00", 2, "2026-11-30T09:00"),
        ("2026-11-28T12:00", 8, "2026-11-30T17:00"),
        ("2026-02-13T16:00", 2, "2026-02-23T09:00"),
        ("2026-11-28T12:00", 0, "2026-11-28T12:00"),
        ("2026-12-31T16:00", 2, "2027-01-04T09:00"),
    ] {
        assert_eq!(CALENDAR.deadline(at(from), hours(length)), Ok(at(deadline)), "{from} {length}");
    }
}

#[test]
fn a_year_without_data_is_told_and_not_guessed() {
    let late = at("2027-12-31T16:00");
    assert_eq!(CALENDAR.deadline(late, hours(1)), Ok(at("2027-12-31T17:00")));
    assert_eq!(CALENDAR.deadline(late, hours(2)), Err(UnknownYear(2028)));
    assert_eq!(CALENDAR.working_time(late, at("2028-01-01T09:00")), Err(UnknownYear(2028)));
    assert_eq!(CALENDAR.deadline(at("2019-06-03T08:00"), hours(1)), Err(UnknownYear(2019)));
}

#[test]
fn the_next_day_of_a_report_is_never_today() {
    let day = |text: &str| next_day(6, 20, at(text)).unwrap().to_string();
    assert_eq!(day("2026-06-19T23:59"), "2026-06-20");
    assert_eq!(day("2026-06-20T00:00"), "2027-06-20");
    assert_eq!(next_day(2, 30, at("2026-06-20T00:00")), None);
}

fn moment() -> impl Strategy<Value = Time> {
    let (first, last) = (at("2025-01-01T00:00").0, at("2027-06-30T00:00").0);
    (first..last).prop_map(Time)
}

proptest! {
    #[test]
    fn what_was_worked_until_a_deadline_is_what_it_was_given(from in moment(), seconds in 0_u64..2_000_000) {
        let length = Duration::from_secs(seconds);
        let deadline = CALENDAR.deadline(from, length).unwrap();
        prop_assert_eq!(CALENDAR.working_time(from, deadline), Ok(length));
        // And not a moment sooner.
        if seconds > 0 {
            let before = CALENDAR.working_time(from, Time(deadline.0 - 1)).unwrap();
            prop_assert!(before < length);
        }
    }

    #[test]
    fn working_time_is_the_sum_of_its_parts_and_never_more_than_all_time(a in moment(), b in moment(), c in moment()) {
        let mut all = [a, b, c];
        all.sort();
        let [a, b, c] = all;
        let worked = |from, until| CALENDAR.working_time(from, until).unwrap();
        prop_assert_eq!(worked(a, b) + worked(b, c), worked(a, c));
        prop_assert!(worked(a, c) <= c.since(a));
    }

    #[test]
    fn a_pause_moves_a_deadline_and_takes_nothing_from_it(from in moment(), seconds in 1_u64..200_000, pause in 0_u64..2_000_000, part in 0.0_f64..1.0) {
        let length = Duration::from_secs(seconds);
        let due = CALENDAR.deadline(from, length).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a moment between")]
        let held = Time(from.0 + ((due.0 - from.0) as f64 * part) as i64);
        let left = CALENDAR.working_time(held, due).unwrap();
        let resumed = held.plus(Duration::from_secs(pause));
        let again = CALENDAR.deadline(resumed, left).unwrap();
        prop_assert!(again >= due || left.is_zero());
        prop_assert_eq!(CALENDAR.working_time(from, held).unwrap() + CALENDAR.working_time(resumed, again).unwrap(), length);
    }
}
