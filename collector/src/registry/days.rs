//! Working hours and holidays from the registry's files.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::Deserialize;

use super::{RegistryError, rows, wrong};
use crate::calendar::{Calendar, Hours, weekday};

const HOURS: &str = "working_hours.csv";
const DAYS: &str = "holidays.csv";
const YEARS: &str = "calendar_years.csv";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HoursRow {
    weekday: String,
    from: String,
    until: String,
    #[serde(rename = "source")]
    _source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DayRow {
    date: Date,
    kind: Kind,
    #[serde(rename = "name_vi")]
    _name_vi: String,
    #[serde(rename = "name_en")]
    _name_en: String,
    #[serde(rename = "confidence")]
    _confidence: String,
    #[serde(rename = "source")]
    _source: String,
}

#[derive(PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Off,
    Work,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct YearRow {
    year: i16,
    #[serde(rename = "confidence")]
    _confidence: String,
    #[serde(rename = "note")]
    _note: String,
}

/// The calendar of this build's data.
pub(super) fn builtin() -> Result<Calendar, RegistryError> {
    let mut week: [Hours; 7] = Default::default();
    for row in rows::<HoursRow>(HOURS, include_str!("../../registry/working_hours.csv"))? {
        let day = weekday(&row.weekday).ok_or_else(|| wrong(HOURS, &row.weekday))?;
        let from = seconds(&row.from).ok_or_else(|| wrong(HOURS, &row.from))?;
        let until = seconds(&row.until).ok_or_else(|| wrong(HOURS, &row.until))?;
        let hours = &mut week[usize::from(day.to_monday_zero_offset().unsigned_abs())];
        if from >= until || hours.last().is_some_and(|(_, before)| *before > from) {
            return Err(wrong(HOURS, &format!("{} {}", row.weekday, row.from)));
        }
        hours.push((from, until));
    }
    let years: BTreeSet<i16> =
        rows::<YearRow>(YEARS, include_str!("../../registry/calendar_years.csv"))?
            .into_iter()
            .map(|row| row.year)
            .collect();
    let mut days = BTreeMap::new();
    for row in rows::<DayRow>(DAYS, include_str!("../../registry/holidays.csv"))? {
        let twice = days.insert(row.date, row.kind == Kind::Work).is_some();
        if twice || !years.contains(&row.date.year()) {
            return Err(wrong(DAYS, &row.date.to_string()));
        }
    }
    Ok(Calendar::new(week, days, years))
}

/// `08:00` in seconds since midnight.
fn seconds(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours <= 24 && minutes < 60).then_some(hours * 3_600 + minutes * 60)
}
