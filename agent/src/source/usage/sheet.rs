//! Rows of a CSV file as objects that could have been posted. Spreadsheets write true, numbers and times in many ways.

use jiff::{
    civil::{Date, DateTime, Time as CivilTime},
    tz::TimeZone,
};
use serde_json::{Map, Value};

/// Keys that are true or false.
const FLAGS: [&str; 6] =
    ["online", "full_process", "digitised", "on_time", "electronic", "succeeded"];

/// Keys that are whole numbers.
const NUMBERS: [&str; 6] =
    ["level", "count", "amount_vnd", "score", "request_bytes", "response_bytes"];

/// Keys that are times.
const TIMES: [&str; 4] = ["time", "due", "request_in", "response_out"];

/// The separator that the head of a file uses most.
pub(super) fn separator(head: &str) -> u8 {
    let count = |byte: u8| head.bytes().filter(|found| *found == byte).count();
    [b',', b';', b'\t', b'|'].into_iter().max_by_key(|byte| count(*byte)).unwrap_or(b',')
}

/// One row. `columns` are the keys of the file's head; empty cells say nothing.
pub(super) fn object(columns: &[String], row: &[&str], zone: &TimeZone) -> Map<String, Value> {
    let mut object = Map::new();
    for (key, cell) in columns.iter().zip(row) {
        let cell = cell.trim();
        if !key.is_empty() && !cell.is_empty() {
            object.insert(key.clone(), value(key, cell, zone));
        }
    }
    object
}

/// What cannot be read stays a text, which is then refused by its key.
fn value(key: &str, cell: &str, zone: &TimeZone) -> Value {
    if FLAGS.contains(&key) {
        return match cell.to_lowercase().as_str() {
            "true" | "1" | "x" | "yes" | "y" | "có" | "co" | "đúng" => true.into(),
            "false" | "0" | "no" | "n" | "không" | "khong" | "sai" => false.into(),
            _ => cell.into(),
        };
    }
    if NUMBERS.contains(&key) {
        // Thousands are grouped by dots in Vietnamese, by commas in English.
        let digits: String =
            cell.chars().filter(|c| !matches!(c, '.' | ',' | ' ' | '\u{a0}')).collect();
        return digits.parse::<u64>().map_or_else(|_| cell.into(), Value::from);
    }
    if TIMES.contains(&key) {
        return time(cell, zone).map_or_else(|| cell.into(), Value::from);
    }
    cell.into()
}

/// `24/11/2026 09:41[:12]`, `24-11-2026`, `2026-11-24 09:41`, in the host's zone; what names its zone is left as it is.
fn time(cell: &str, zone: &TimeZone) -> Option<String> {
    let (date, clock) = cell.split_once([' ', 'T']).unwrap_or((cell, ""));
    // A zone or an offset stands behind the clock.
    if clock.chars().any(|c| !(c.is_ascii_digit() || matches!(c, ':' | '.' | ' '))) {
        return None;
    }
    let parts: Vec<i16> =
        date.split(['/', '-', '.']).map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [first, month, last] = parts[..] else { return None };
    let (year, day) = if first > 31 { (first, last) } else { (last, first) };
    let date = Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let clock = if clock.is_empty() { CivilTime::midnight() } else { clock.trim().parse().ok()? };
    let zoned = DateTime::from_parts(date, clock).to_zoned(zone.clone()).ok()?;
    Some(zoned.timestamp().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_as_spreadsheets_write_them() {
        let zone = TimeZone::fixed(jiff::tz::offset(7));
        let columns: Vec<String> =
            ["kind", "time", "online", "amount_vnd", "", "service"].map(String::from).to_vec();
        let row = ["payment", "24/11/2026 09:41", "Có", "1.250.000", "note", ""];
        let text = Value::Object(object(&columns, &row, &zone)).to_string();
        assert_eq!(
            text,
            r#"{"kind":"payment","time":"2026-11-24T02:41:00Z","online":true,"amount_vnd":1250000}"#
        );
        assert_eq!(time("2026-11-24 09:41:12", &zone).unwrap(), "2026-11-24T02:41:12Z");
        assert_eq!(time("24-11-2026", &zone).unwrap(), "2026-11-23T17:00:00Z");
        assert_eq!(time("2026-11-24T09:00:00+07:00", &zone), None, "read as it is");
        assert_eq!((separator("a;b;c"), separator("a\tb"), separator("a")), (b';', b'\t', b'|'));
    }
}
