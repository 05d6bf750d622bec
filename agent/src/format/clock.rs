//! Times as logs write them.

use jiff::{Timestamp, civil, tz::TimeZone};
use vonggac_wire::{Time, event::TimeDoubt};

use super::Context;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn month(text: &str) -> Option<i8> {
    let at = MONTHS.iter().position(|name| text.eq_ignore_ascii_case(name))?;
    i8::try_from(at + 1).ok()
}

fn time(stamp: Timestamp) -> Option<Time> {
    i64::try_from(stamp.as_nanosecond()).ok().map(Time)
}

fn local(at: civil::DateTime, zone: &TimeZone) -> Option<Time> {
    // A time that a clock change skips or doubles is taken as the earlier one.
    let stamp = zone.to_ambiguous_timestamp(at).compatible().ok()?;
    time(stamp)
}

/// `HH:MM:SS`, perhaps with decimals after `.` or `,`.
fn clock(text: &str) -> Option<civil::Time> {
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let mut parts = whole.split(':');
    let hour = parts.next()?.parse().ok()?;
    let minute = parts.next()?.parse().ok()?;
    let second: i8 = parts.next()?.parse().ok()?;
    if parts.next().is_some() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let nanos = if fraction.is_empty() { 0 } else { format!("{fraction:0<9}").parse().ok()? };
    // A leap second is told as the one before.
    civil::Time::new(hour, minute, second.min(59), nanos).ok()
}

/// `Nov 24 16:00:00` or `Nov 24 2026 16:00:00` at the beginning; gives the rest.
/// Without a year: the one in which it lies at most a day after the reading time.
pub(crate) fn bsd<'a>(text: &'a str, context: &Context) -> Option<((Time, TimeDoubt), &'a str)> {
    let (name, rest) = text.split_once(' ')?;
    let month = month(name)?;
    let (day, rest) = rest.trim_start().split_once(' ')?;
    let day: i8 = day.parse().ok()?;
    let (mut word, mut rest) = rest.trim_start().split_once(' ')?;
    let mut year = None;
    if word.len() == 4 && word.bytes().all(|b| b.is_ascii_digit()) {
        year = Some(word.parse().ok()?);
        (word, rest) = rest.trim_start().split_once(' ')?;
    }
    let clock = clock(word.trim_end_matches(':'))?;
    let here = context.zone.to_datetime(Timestamp::from_second(context.observed.seconds()).ok()?);
    if let Some(year) = year {
        let at = civil::Date::new(year, month, day).ok()?.to_datetime(clock);
        return Some(((local(at, &context.zone)?, TimeDoubt::Zone), rest));
    }
    let day_after = context.observed.plus(std::time::Duration::from_secs(86_400));
    // 29 February may lie several years back.
    let time = (0..=4)
        .filter_map(|back| civil::Date::new(here.year() - back, month, day).ok())
        .filter_map(|date| local(date.to_datetime(clock), &context.zone))
        .find(|time| *time <= day_after)?;
    Some(((time, TimeDoubt::Year), rest))
}

/// `2026-11-24T16:00:00.123+07:00`, with a space for `T`, with or without zone, as one or two words; gives the rest.
pub(crate) fn iso<'a>(text: &'a str, context: &Context) -> Option<((Time, TimeDoubt), &'a str)> {
    let bytes = text.as_bytes();
    if bytes.len() < 19 || bytes[4] != b'-' || !bytes[0].is_ascii_digit() {
        return None;
    }
    let date = civil::Date::new(
        text.get(..4)?.parse().ok()?,
        text.get(5..7)?.parse().ok()?,
        text.get(8..10)?.parse().ok()?,
    )
    .ok()?;
    if !matches!(bytes[10], b'T' | b' ' | b't') {
        return None;
    }
    let tail = text.get(11..)?;
    let end = tail
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.' | ',')))
        .unwrap_or(tail.len());
    let clock = clock(tail[..end].trim_end_matches([',', '.', ':']))?;
    let at = date.to_datetime(clock);
    let rest = &tail[end..];
    if let Some(rest) = rest.strip_prefix(['Z', 'z']) {
        return Some(((local(at, &TimeZone::UTC)?, TimeDoubt::None), rest));
    }
    match offset(rest) {
        Some((zone, rest)) => Some(((local(at, &zone)?, TimeDoubt::None), rest)),
        None => Some(((local(at, &context.zone)?, TimeDoubt::Zone), rest)),
    }
}

/// `+07:00`, `+0700`, ` +0700`.
fn offset(text: &str) -> Option<(TimeZone, &str)> {
    let trimmed = text.strip_prefix(' ').unwrap_or(text);
    let sign = match trimmed.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours: i32 = trimmed.get(1..3)?.parse().ok()?;
    let after = trimmed.get(3..)?;
    let (minutes, rest) = match after.strip_prefix(':') {
        Some(after) => (after.get(..2)?, after.get(2..)?),
        None => (after.get(..2)?, after.get(2..)?),
    };
    let minutes: i32 = minutes.parse().ok()?;
    let offset = jiff::tz::Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()?;
    Some((offset.to_time_zone(), rest))
}

/// `24/Nov/2026:16:00:00 +0700` of access logs.
pub(crate) fn access(text: &str, context: &Context) -> Option<(Time, TimeDoubt)> {
    let (date, rest) = text.split_once(':')?;
    let mut parts = date.split('/');
    let day = parts.next()?.parse().ok()?;
    let month = month(parts.next()?)?;
    let year = parts.next()?.parse().ok()?;
    let (word, zone) = rest.split_once(' ').unwrap_or((rest, ""));
    let at = civil::Date::new(year, month, day).ok()?.to_datetime(clock(word)?);
    match offset(zone) {
        Some((zone, _)) => Some((local(at, &zone)?, TimeDoubt::None)),
        None => Some((local(at, &context.zone)?, TimeDoubt::Zone)),
    }
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size.
pub(crate) fn epoch(number: f64) -> Option<Time> {
    let nanos = match number.abs() {
        n if n < 1e11 => number * 1e9,
        n if n < 1e14 => number * 1e6,
        n if n < 1e17 => number * 1e3,
        _ => number,
    };
    #[expect(clippy::cast_possible_truncation, reason = "saturates at the ends of time")]
    let time = Time(nanos as i64);
    (nanos.is_finite() && nanos > 0.0).then_some(time)
}
