//! Times of access logs.

use jiff::civil;
use vonggac_wire::{Time, event::TimeDoubt};

use super::{super::Context, clock, foreign_month, local, month, names::MONTHS, offset};

/// `24/Nov/2026:16:00:00 +0700` of access logs.
pub(crate) fn access(text: &str, context: &Context) -> Option<(Time, TimeDoubt)> {
    access_plain(text).map(|time| (time, TimeDoubt::None)).or_else(|| access_any(text, context))
}

/// Exactly that, as every request has it: read by its places. `None`: it has to be read with more care.
fn access_plain(text: &str) -> Option<Time> {
    let bytes: &[u8; 26] = text.as_bytes().try_into().ok()?;
    let marks = [bytes[2], bytes[6], bytes[11], bytes[14], bytes[17], bytes[20]];
    let number = |from: usize, most: i64| {
        let (tens, ones) = (bytes[from].wrapping_sub(b'0'), bytes[from + 1].wrapping_sub(b'0'));
        let number = i64::from(tens) * 10 + i64::from(ones);
        (tens < 10 && ones < 10 && number <= most).then_some(number)
    };
    let sign = match bytes[21] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    if marks != *b"//::: " {
        return None;
    }
    let place = MONTHS.iter().position(|name| name.as_bytes() == &bytes[3..6])?;
    let month = i64::try_from(place).ok()? + 1;
    let (year, day) = (number(7, 21)? * 100 + number(9, 99)?, number(0, 31)?);
    let lasts = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if year < 1970 || day < 1 || day > lasts {
        return None;
    }
    // Years begin in March here, so that a leap day is the last of one.
    let (from_march, shifted) = ((month + 9) % 12, year - i64::from(month < 3));
    let leaps = shifted / 4 - shifted / 100 + shifted / 400;
    let days = shifted * 365 + leaps + (from_march * 153 + 2) / 5 + day - 719_469;
    let clock = (number(12, 23)? * 60 + number(15, 59)?) * 60 + number(18, 59)?;
    let offset = (number(22, 23)? * 60 + number(24, 59)?) * 60;
    Some(Time::from_seconds(days * 86_400 + clock - sign * offset))
}

/// The same with more care.
fn access_any(text: &str, context: &Context) -> Option<(Time, TimeDoubt)> {
    let (date, rest) = text.split_once(':')?;
    let mut parts = date.split('/');
    let day = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    // Proxmox writes `24/11/2026`.
    let month = month(name).or_else(|| name.parse().ok()).or_else(|| foreign_month(name))?;
    let year = parts.next()?.parse().ok()?;
    let (word, zone) = rest.split_once(' ').unwrap_or((rest, ""));
    let at = civil::Date::new(year, month, day).ok()?.to_datetime(clock(word)?);
    match offset(zone) {
        Some((zone, _)) => Some((local(at, &zone)?, TimeDoubt::None)),
        None => Some((local(at, &context.zone)?, TimeDoubt::Zone)),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    proptest::proptest! {
        #[test]
        fn a_request_s_time_is_read_by_its_places_as_it_is_with_care(
            (year, month, day) in (1960_u32..2200, 0_usize..12, 0_u32..33),
            (hour, minute, second) in (0_u32..25, 0_u32..61, 0_u32..62),
            (east, hours, minutes) in (proptest::bool::ANY, 0_u32..26, 0_u32..62),
        ) {
            let (sign, name) = (if east { '+' } else { '-' }, MONTHS[month]);
            let text = format!(
                "{day:02}/{name}/{year}:{hour:02}:{minute:02}:{second:02} {sign}{hours:02}{minutes:02}"
            );
            let context = Context::at(Time::from_seconds(1_796_000_000), TimeZone::UTC);
            let with_care = access_any(&text, &context);
            match access_plain(&text) {
                Some(time) => proptest::prop_assert_eq!(Some((time, TimeDoubt::None)), with_care),
                // Only what is no time of the years that logs are of.
                None => {
                    let rare = year < 1970 || second > 59 || hours > 23 || minutes > 59;
                    proptest::prop_assert!(rare || with_care.is_none(), "{}", text);
                }
            }
        }
    }
}
