//! Times as logs write them.

use jiff::{Timestamp, civil, tz::TimeZone};
use vonggac_wire::{Time, event::TimeDoubt};

use super::Context;

mod access;
mod names;
mod order;

pub(crate) use access::access;

use names::{foreign_month, long_month, month, vietnamese_month};
use order::day_first;

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
    let (month, rest) = match month(name).or_else(|| long_month(name)) {
        Some(month) => (month, rest),
        // In other tongues, with a point or as a number.
        None if name.len() <= 6 && has_clock(text) => match vietnamese_month(text) {
            Some(found) => found,
            None => (foreign_month(name.trim_end_matches('.'))?, rest),
        },
        None => return None,
    };
    let (day, rest) = rest.trim_start().split_once(' ')?;
    let day: i8 = day.trim_end_matches(',').parse().ok()?;
    let (mut word, mut rest) = rest.trim_start().split_once(' ')?;
    let mut year = None;
    if word.len() == 4 && word.bytes().all(|b| b.is_ascii_digit()) {
        year = Some(word.parse().ok()?);
        (word, rest) = rest.trim_start().split_once(' ')?;
    }
    let (clock, rest) = half_day(clock(word.trim_end_matches(':'))?, rest);
    if let Some(year) = year {
        let at = civil::Date::new(year, month, day).ok()?.to_datetime(clock);
        return Some(((local(at, &context.zone)?, TimeDoubt::Zone), rest));
    }
    Some((recent(month, day, clock, context)?, rest))
}

/// Whether a clock stands near the beginning: names of months in all tongues are not looked up for every line.
fn has_clock(text: &str) -> bool {
    let begin = text.as_bytes().get(..24).unwrap_or(text.as_bytes());
    text.starts_with(char::is_alphabetic) && begin.windows(6).any(|w| w[2] == b':' && w[5] == b':')
}

/// `4:00:00 PM`: the clock of a whole day, and what follows the mark.
fn half_day(clock: civil::Time, rest: &str) -> (civil::Time, &str) {
    let after = match rest.get(..2) {
        Some("AM" | "PM") => rest[2..].trim_start(),
        _ => return (clock, rest),
    };
    let hour = clock.hour() % 12 + if rest.starts_with('P') { 12 } else { 0 };
    let whole = civil::Time::new(hour, clock.minute(), clock.second(), clock.subsec_nanosecond());
    whole.map_or((clock, rest), |whole| (whole, after))
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
    // `date=2026-11-24 time=16:00:00` of appliances.
    let tail = tail.strip_prefix("time=").unwrap_or(tail);
    let end = tail
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.' | ',')))
        .unwrap_or(tail.len());
    let clock = clock(tail[..end].trim_end_matches([',', '.', ':']))?;
    let at = date.to_datetime(clock);
    let rest = &tail[end..];
    if let Some(rest) = rest.strip_prefix(['Z', 'z']) {
        return Some(((local(at, &TimeZone::UTC)?, TimeDoubt::None), rest));
    }
    for name in [" UTC", " GMT"] {
        if let Some(rest) = rest.strip_prefix(name) {
            return Some(((local(at, &TimeZone::UTC)?, TimeDoubt::None), rest));
        }
    }
    match offset(rest) {
        Some((zone, rest)) => Some(((local(at, &zone)?, TimeDoubt::None), rest)),
        None => Some(((local(at, &context.zone)?, TimeDoubt::Zone), rest)),
    }
}

/// `+07:00`, `+0700`, ` +0700`.
pub(super) fn offset(text: &str) -> Option<(TimeZone, &str)> {
    let trimmed = text.strip_prefix(' ').unwrap_or(text);
    let sign = match trimmed.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours: i32 = trimmed.get(1..3)?.parse().ok()?;
    let after = trimmed.get(3..)?;
    // `+07` alone is whole hours.
    let digits = after.strip_prefix(':').unwrap_or(after);
    let (minutes, rest) = match digits.get(..2) {
        Some(minutes) if minutes.bytes().all(|b| b.is_ascii_digit()) => (minutes, digits.get(2..)?),
        _ => ("", after),
    };
    let minutes: i32 = minutes.parse().unwrap_or(0);
    let offset = jiff::tz::Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()?;
    Some((offset.to_time_zone(), rest))
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

/// A time in any usual notation at the beginning of a text; gives the rest. A leading bracket or quote is skipped.
pub(crate) fn any<'a>(text: &'a str, context: &Context) -> Option<((Time, TimeDoubt), &'a str)> {
    let text = text.trim_start_matches(['[', '(', '<', '"', '\'', ' ']);
    let first = *text.as_bytes().first()?;
    if first == b'@' {
        return tai64n(text);
    }
    if first.is_ascii_digit() {
        return iso(text, context)
            .or_else(|| written(text, context))
            .or_else(|| numbers(text, context))
            .or_else(|| compact(text, context))
            .or_else(|| year_then_bsd(text, context))
            .or_else(|| seconds(text))
            .or_else(|| no_year(text, context));
    }
    if first.is_ascii_alphabetic() {
        // `Mon Nov 24 ...`, `Mon, 24 Nov ...`, `Monday, ...`: the day of the week says nothing new.
        let rest = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let word = &text[..text.len() - rest.len()];
        if DAYS.iter().any(|day| word.get(..3).is_some_and(|head| head.eq_ignore_ascii_case(day))) {
            let rest = rest.trim_start_matches([',', '.', ' ']);
            return bsd_then_year(rest, context).or_else(|| any(rest, context));
        }
        return bsd_then_year(text, context);
    }
    None
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// `Nov 24 16:00:00`, and what ctime writes: `Nov 24 16:00:00 2026`, with decimals and a zone between or behind.
fn bsd_then_year<'a>(text: &'a str, context: &Context) -> Option<((Time, TimeDoubt), &'a str)> {
    let comma = text.replacen(", ", " ", 1);
    let Some((found, rest)) = bsd(&padded(text), context).map(|(found, rest)| (found, rest.len()))
    else {
        // `Nov 24, 2026 16:00:00`
        let (found, rest) = bsd(&padded(&comma), context).map(|(f, rest)| (f, rest.len()))?;
        return Some((found, text.get(text.len().saturating_sub(rest)..)?));
    };
    let rest = text.get(text.len() - rest.min(text.len())..)?;
    if found.1 != TimeDoubt::Year {
        return Some((found, rest));
    }
    // A zone's name may stand between the clock and the year.
    let trimmed = rest.trim_start();
    let (word, after) =
        trimmed.split_at(trimmed.find([' ', ']', ')', ',']).unwrap_or(trimmed.len()));
    let (zone, word, after) =
        if word.len() <= 5 && word.bytes().all(|b| b.is_ascii_uppercase()) && !word.is_empty() {
            let after = after.trim_start();
            let (year, after) =
                after.split_at(after.find([' ', ']', ')', ',']).unwrap_or(after.len()));
            (word, year, after)
        } else {
            ("", word, after)
        };
    let Some(year) = year(word) else { return Some((found, rest)) };
    let here = context.zone.to_datetime(Timestamp::from_nanosecond(i128::from(found.0.0)).ok()?);
    let at = civil::Date::new(year, here.month(), here.day()).ok()?.to_datetime(here.time());
    let utc = matches!(zone, "UTC" | "GMT");
    let time = if utc { local(at, &TimeZone::UTC)? } else { local(at, &context.zone)? };
    Some(((time, if utc { TimeDoubt::None } else { TimeDoubt::Zone }), after))
}

/// `2026 Nov 24 16:00:00`, as some devices and syslog-ng's own template write it.
fn year_then_bsd<'a>(text: &'a str, context: &Context) -> Option<((Time, TimeDoubt), &'a str)> {
    let (word, rest) = text.split_once(' ')?;
    let year = year(word)?;
    let ((time, doubt), rest) = bsd(rest, context)?;
    let here = context.zone.to_datetime(Timestamp::from_nanosecond(i128::from(time.0)).ok()?);
    let at = civil::Date::new(year, here.month(), here.day()).ok()?.to_datetime(here.time());
    let doubt = if doubt == TimeDoubt::Year { TimeDoubt::Zone } else { doubt };
    Some(((local(at, &context.zone)?, doubt), rest))
}

/// A text whose clock is followed by something, as [`bsd`] wants it.
fn padded(text: &str) -> std::borrow::Cow<'_, str> {
    // Only a text that ends with its clock needs the space.
    if text.len() < 34 { format!("{text} ").into() } else { text.into() }
}

fn year(word: &str) -> Option<i16> {
    let number: i16 = word.parse().ok()?;
    (word.len() == 4 && (1970..2100).contains(&number)).then_some(number)
}

/// `24/Nov/2026:16:00:00 +0700`, `24-Nov-2026 16:00:00.123`, `24 Nov 2026 16:00:00,123`, `24 Nov 16:00:00.123`,
/// `24 thg 11, 2026, 16:00:00`.
fn written<'a>(text: &'a str, context: &Context) -> Option<((Time, TimeDoubt), &'a str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let day: i8 = text.get(..digits).filter(|_| digits <= 2)?.parse().ok()?;
    let rest = text.get(digits..)?.strip_prefix(['/', '-', ' '])?;
    let (month, rest) = match month(rest.get(..3)?) {
        // Long names of months too.
        Some(month) => (month, rest.trim_start_matches(|c: char| c.is_ascii_alphabetic())),
        None => vietnamese_month(rest)?,
    };
    let rest = rest.strip_prefix(['/', '-', ' ', ','])?.trim_start();
    let (year, rest) = match year(rest.get(..4)?) {
        Some(year) => (Some(year), rest.get(4..)?.trim_start_matches([':', ' ', ',', 'T'])),
        None => (None, rest),
    };
    let (time, rest) = clock_at(rest)?;
    match year {
        Some(year) => {
            zoned(civil::Date::new(year, month, day).ok()?.to_datetime(time), rest, context)
        }
        None => Some((recent(month, day, time, context)?, rest)),
    }
}

/// `2026/11/24 16:00:00`, `2026-11-24_16:00:00`, `11/24/2026 16:00:00`, `24.11.2026, 16:00:00`, with AM and PM. Of two numbers
/// that may both be months, that one is the month with which the day is the one of reading; else the one that does not lie in the
/// future; else the first with slashes, and the second with dots and strokes and in lands that write the day first.
fn numbers<'a>(text: &'a str, context: &Context) -> Option<((Time, TimeDoubt), &'a str)> {
    let end = text.find([' ', 'T', '_', ',', ';']).unwrap_or(text.len());
    let (date, rest) = text.split_at(end);
    let separator = date.chars().find(|c| matches!(c, '/' | '-' | '.'))?;
    let parts: Vec<i16> =
        date.split(separator).map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [first, second, third] = parts.as_slice() else { return None };
    let full = |year: i16| if year < 100 { year + 2000 } else { year };
    let (year, month, day) = if *first > 31 {
        (*first, *second, *third)
    } else if *first > 12 || (*second <= 12 && day_first(separator, &parts, context)) {
        (full(*third), *second, *first)
    } else {
        (full(*third), *first, *second)
    };
    let date = civil::Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let (time, rest) = clock_at(rest.trim_start_matches([' ', 'T', '_', ',', ';']))?;
    zoned(date.to_datetime(time), rest, context)
}

/// `20261124T160000Z`, `20261124 16:00:00`, `261124 16:00:00`, `20261124160000`.
fn compact<'a>(text: &'a str, context: &Context) -> Option<((Time, TimeDoubt), &'a str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i16>().ok();
    let (date, rest) = match digits {
        8 => ((part(0, 4)?, part(4, 6)?, part(6, 8)?), &text[8..]),
        6 => ((part(0, 2)? + 2000, part(2, 4)?, part(4, 6)?), &text[6..]),
        14 => ((part(0, 4)?, part(4, 6)?, part(6, 8)?), &text[8..]),
        _ => return None,
    };
    let date =
        civil::Date::new(date.0, i8::try_from(date.1).ok()?, i8::try_from(date.2).ok()?).ok()?;
    let rest = rest.trim_start_matches(['T', ' ', '-', '_']);
    let (time, rest) = clock_at(rest).or_else(|| {
        let number = |from: usize| rest.get(from..from + 2)?.parse::<i8>().ok();
        let time = civil::Time::new(number(0)?, number(2)?, number(4)?, 0).ok()?;
        Some((time, rest.get(6..)?))
    })?;
    zoned(date.to_datetime(time), rest, context)
}

/// A clock at the beginning (`9:05:01.123 PM`), and the rest.
fn clock_at(text: &str) -> Option<(civil::Time, &str)> {
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.' | ',')))
        .unwrap_or(text.len());
    let (word, mut rest) = text.split_at(end);
    let word = word.trim_end_matches([':', '.', ',']);
    // `16:00:00:123`: decimals behind a colon.
    let colons = word.matches(':').count();
    let word = if colons == 3 {
        let (head, tail) = word.rsplit_once(':')?;
        std::borrow::Cow::Owned(format!("{head}.{tail}"))
    } else {
        word.into()
    };
    let mut time = clock(&word)?;
    let half = rest.trim_start();
    let (mark, after) = half.split_at_checked(2).unwrap_or(("", half));
    if mark.eq_ignore_ascii_case("pm") && time.hour() < 12 {
        time = civil::Time::new(
            time.hour() + 12,
            time.minute(),
            time.second(),
            time.subsec_nanosecond(),
        )
        .ok()?;
        rest = after;
    } else if mark.eq_ignore_ascii_case("am") {
        if time.hour() == 12 {
            time =
                civil::Time::new(0, time.minute(), time.second(), time.subsec_nanosecond()).ok()?;
        }
        rest = after;
    }
    Some((time, rest))
}

/// With the zone that follows, else with the context's.
fn zoned<'a>(
    at: civil::DateTime,
    rest: &'a str,
    context: &Context,
) -> Option<((Time, TimeDoubt), &'a str)> {
    for name in ["Z", " UTC", " GMT", " Z"] {
        if let Some(after) = rest.strip_prefix(name) {
            if !after.starts_with(|c: char| c.is_ascii_alphanumeric()) {
                return Some(((local(at, &TimeZone::UTC)?, TimeDoubt::None), after));
            }
        }
    }
    match offset(rest) {
        Some((zone, rest)) => Some(((local(at, &zone)?, TimeDoubt::None), rest)),
        None => Some(((local(at, &context.zone)?, TimeDoubt::Zone), rest)),
    }
}

/// A day without its year: the last one that is not in the future.
fn recent(month: i8, day: i8, time: civil::Time, context: &Context) -> Option<(Time, TimeDoubt)> {
    let here = context.zone.to_datetime(Timestamp::from_second(context.observed.seconds()).ok()?);
    let day_after = context.observed.plus(std::time::Duration::from_secs(86_400));
    // 29 February may lie several years back.
    let time = (0..=4)
        .filter_map(|back| civil::Date::new(here.year() - back, month, day).ok())
        .filter_map(|date| local(date.to_datetime(time), &context.zone))
        .find(|time| *time <= day_after)?;
    Some((time, TimeDoubt::Year))
}

/// Seconds since 1970 with or without decimals, milliseconds, microseconds, as a word.
fn seconds(text: &str) -> Option<((Time, TimeDoubt), &str)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let whole = word.split('.').next()?;
    if !matches!(whole.len(), 10 | 13 | 16 | 19) {
        return None;
    }
    // Whole seconds and decimals apart: a float has no room for both.
    let (head, decimals) = word.split_once('.').unwrap_or((word, ""));
    if head.len() == 10 && decimals.len() <= 9 {
        let nanos: i64 = format!("{decimals:0<9}").parse().ok()?;
        let time = Time(head.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)?);
        return Some(((time, TimeDoubt::None), rest));
    }
    // Whole parts of a second are exact; a float would not be.
    let nanos_a_part: Option<i64> = match head.len() {
        13 => Some(1_000_000),
        16 => Some(1_000),
        19 => Some(1),
        _ => None,
    };
    if let Some(nanos) = nanos_a_part.filter(|_| decimals.is_empty()) {
        return Some((
            (Time(head.parse::<i64>().ok()?.checked_mul(nanos)?), TimeDoubt::None),
            rest,
        ));
    }
    Some(((epoch(word.parse().ok()?)?, TimeDoubt::None), rest))
}

/// `@400000004c6ec3ef...` of multilog: TAI64N. The ten leap seconds before 1972 and those since are not counted, as multilog does.
fn tai64n(text: &str) -> Option<((Time, TimeDoubt), &str)> {
    let hex = text.get(1..25).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let label = u64::from_str_radix(&hex[..16], 16).ok()?.checked_sub(1 << 62)?;
    let seconds = i64::try_from(label).ok()?.checked_sub(10)?;
    let nanos = i64::from_str_radix(&hex[16..], 16).ok()?;
    let time = Time(seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?);
    Some(((time, TimeDoubt::None), text.get(25..)?))
}

/// `11-24 16:00:00.123` (month first), or the clock alone: then it is the last such moment.
fn no_year<'a>(text: &'a str, context: &Context) -> Option<((Time, TimeDoubt), &'a str)> {
    let bytes = text.as_bytes();
    if bytes.len() > 11 && bytes[2] == b'-' && bytes[5] == b' ' {
        let (month, day) = (text.get(..2)?.parse().ok()?, text.get(3..5)?.parse().ok()?);
        let (time, rest) = clock_at(text.get(6..)?)?;
        return Some((recent(month, day, time, context)?, rest));
    }
    if bytes.len() > 8 && bytes[2] == b':' && bytes[5] == b':' {
        let (time, rest) = clock_at(text)?;
        let here =
            context.zone.to_datetime(Timestamp::from_second(context.observed.seconds()).ok()?);
        let soon = context.observed.plus(std::time::Duration::from_secs(600));
        let found = [here.date(), here.date().yesterday().ok()?]
            .into_iter()
            .filter_map(|date| local(date.to_datetime(time), &context.zone))
            .find(|time| *time <= soon)?;
        return Some(((found, TimeDoubt::Year), rest));
    }
    None
}
