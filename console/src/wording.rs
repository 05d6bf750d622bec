//! Numbers, times and durations as each language writes them. Times are the nation's, +07:00.

use std::time::Duration;

use jiff::{Timestamp, civil::DateTime, tz::Offset};
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;
use vonggac_wire::Time;

pub use vonggac_answer::fit::fit;

use crate::{sanitise::within, words::Lang};

/// Seven hours ahead of UTC, without summer time.
const NATION: Offset = Offset::constant(7);

/// A moment on the nation's clocks.
pub(crate) fn local(time: Time) -> DateTime {
    let stamp = Timestamp::from_nanosecond(i128::from(time.0)).unwrap_or_default();
    NATION.to_datetime(stamp)
}

/// When the nation's clocks show this; `None`: beyond all calendars.
pub(crate) fn moment(clock: DateTime) -> Option<Time> {
    NATION.to_timestamp(clock).ok().map(|stamp| Time::from_seconds(stamp.as_second()))
}

/// `24/11 09:41:07`.
#[must_use]
pub fn date_time(time: Time) -> String {
    local(time).strftime("%d/%m %H:%M:%S").to_string()
}

/// `24/11/2026 09:41:07 +07:00`, for what goes out of the house.
#[must_use]
pub fn full(time: Time) -> String {
    local(time).strftime("%d/%m/%Y %H:%M:%S +07:00").to_string()
}

/// `24/11/2026`.
#[must_use]
pub fn day(time: Time) -> String {
    local(time).strftime("%d/%m/%Y").to_string()
}

/// `24/11 09:41`.
#[must_use]
pub fn day_minute(time: Time) -> String {
    local(time).strftime("%d/%m %H:%M").to_string()
}

/// `11/2026`.
#[must_use]
pub fn month(time: Time) -> String {
    local(time).strftime("%m/%Y").to_string()
}

/// `09:41:07`.
#[must_use]
pub fn clock(time: Time) -> String {
    local(time).strftime("%H:%M:%S").to_string()
}

/// `09:41`.
#[must_use]
pub fn minute(time: Time) -> String {
    local(time).strftime("%H:%M").to_string()
}

/// `20261124-094107`, for names of files.
#[must_use]
pub fn stamp(time: Time) -> String {
    local(time).strftime("%Y%m%d-%H%M%S").to_string()
}

/// `09:41`, or `23/11` if it was not today.
#[must_use]
pub fn since(time: Time, now: Time) -> String {
    let (then, today) = (local(time), local(now));
    let form = if then.date() == today.date() { "%H:%M" } else { "%d/%m" };
    then.strftime(form).to_string()
}

/// `45 s`, `3 ph`, `2g15`, `4 ng`; `45 s`, `3 min`, `2h15`, `4 d`.
#[must_use]
pub fn duration(lang: Lang, duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minute, hour, day) = match lang {
        Lang::Vi => ("ph", "g", "ng"),
        Lang::En => ("min", "h", "d"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} {minute}", seconds / 60),
        3600..86_400 => {
            let (hours, minutes) = (seconds / 3600, seconds % 3600 / 60);
            if minutes == 0 {
                format!("{hours} {hour}")
            } else {
                format!("{hours}{hour}{minutes:02}")
            }
        }
        _ => format!("{} {day}", seconds / 86_400),
    }
}

/// `1.234.567`; `1,234,567`.
#[must_use]
pub fn number(lang: Lang, number: u64) -> String {
    let digits = number.to_string();
    let mark = if lang == Lang::Vi { '.' } else { ',' };
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(mark);
        }
        text.push(digit);
    }
    text
}

/// With this many decimals: `12,5`; `12.5`.
#[must_use]
pub fn decimal(lang: Lang, number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    if lang == Lang::Vi { text.replace('.', ",") } else { text }
}

/// `12,5 %`; `12.5%`.
#[must_use]
pub fn percent(lang: Lang, share: f64) -> String {
    let text = decimal(lang, share * 100.0, 1);
    if lang == Lang::Vi { format!("{text} %") } else { format!("{text}%") }
}

/// Seconds with one decimal: `1,8 s`.
#[must_use]
pub fn seconds(lang: Lang, seconds: f64) -> String {
    format!("{} s", decimal(lang, seconds, 1))
}

/// `41 MB`.
#[must_use]
pub fn bytes(lang: Lang, bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "megabytes for a person")]
    let bytes = bytes as f64;
    match bytes {
        b if b < 1e6 => format!("{} kB", decimal(lang, b / 1e3, 0)),
        b if b < 1e9 => format!("{} MB", decimal(lang, b / 1e6, 0)),
        b => format!("{} GB", decimal(lang, b / 1e9, 1)),
    }
}

/// Without accents, in small letters, for searching: `da nang`.
#[must_use]
pub fn folded(text: &str) -> String {
    text.nfd()
        .filter(|c| !unicode_normalization::char::is_combining_mark(*c))
        .map(|c| match c {
            'đ' | 'Đ' => 'd',
            other => other,
        })
        .flat_map(char::to_lowercase)
        .collect()
}

/// As many parts (two blanks between them) as fit wholly, from the left: numbers and codes are whole or absent.
#[must_use]
pub fn whole(text: &str, width: usize) -> String {
    let mut kept = String::new();
    for part in text.split("  ") {
        let more = part.width() + if kept.is_empty() { 0 } else { 2 };
        if !kept.is_empty() && kept.width() + more > width {
            break;
        }
        if !kept.is_empty() {
            kept.push_str("  ");
        }
        kept.push_str(part);
    }
    fit(&kept, width)
}

/// At the right end of its columns.
#[must_use]
pub fn right(text: &str, columns: usize) -> String {
    let text = within(text, columns);
    let width = text.width();
    if width >= columns {
        fit(&text, columns)
    } else {
        format!("{}{text}", " ".repeat(columns - width))
    }
}

/// Harmless, as lines of at most so many columns, cut at graphemes: so many lines, and whether that is all.
#[must_use]
pub fn lines(text: &str, columns: usize, lines_max: usize) -> (Vec<String>, bool) {
    let columns = columns.max(2);
    let room = columns.saturating_mul(lines_max);
    let text = within(text, room);
    let (mut lines, mut line, mut used) = (Vec::new(), String::new(), 0);
    for grapheme in text.graphemes(true) {
        let wide = grapheme.width();
        if used + wide > columns {
            lines.push(std::mem::take(&mut line));
            used = 0;
            if lines.len() == lines_max {
                return (lines, false);
            }
        }
        line.push_str(grapheme);
        used += wide;
    }
    if !line.is_empty() {
        lines.push(line);
    }
    (lines, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_writes_numbers_its_own_way() {
        assert_eq!(
            (number(Lang::Vi, 1_234_567).as_str(), number(Lang::En, 1_234_567).as_str()),
            ("1.234.567", "1,234,567")
        );
        assert_eq!(
            (percent(Lang::Vi, 0.125).as_str(), percent(Lang::En, 0.125).as_str()),
            ("12,5 %", "12.5%")
        );
        assert_eq!(duration(Lang::Vi, Duration::from_secs(8_100)), "2g15");
        assert_eq!(duration(Lang::En, Duration::from_secs(180)), "3 min");
    }

    #[test]
    fn the_clock_is_the_nations() {
        let time: Time = "2026-11-24T02:41:07Z".parse().unwrap();
        assert_eq!(
            (date_time(time).as_str(), since(time, time).as_str()),
            ("24/11 09:41:07", "09:41")
        );
    }

    #[test]
    fn a_cell_is_cut_at_a_letter_and_never_wider_than_it_should_be() {
        // Decomposed letters stay whole, wide letters are not cut in two, controls are told.
        assert_eq!(fit("Đa\u{300} Nẵng", 3), "Đa\u{300}…");
        assert_eq!(fit("\u{56fd}\u{56fd}\u{56fd}", 4), "\u{56fd}… ");
        assert_eq!(fit("a\u{1b}[2J", 6), "a\\x1b…");
        for columns in 0..9 {
            assert_eq!(fit("Quảng \u{56fd} Ninh", columns).width(), columns);
        }
    }

    #[test]
    fn a_long_text_becomes_lines_and_says_where_it_goes_on() {
        assert_eq!(lines("Đà Nẵng", 4, 9), (vec!["Đà N".to_owned(), "ẵng".to_owned()], true));
        assert_eq!(
            lines("\u{56fd}\u{56fd}\u{56fd}", 3, 2),
            (vec!["\u{56fd}".to_owned(); 2], false)
        );
        let (all, whole) = lines(&"x".repeat(10_000_000), 80, 20);
        assert_eq!((all.len(), whole), (20, false));
        assert_eq!(right("\u{1b}", 6), "  \\x1b");
    }

    #[test]
    fn da_nang_finds_its_accents_and_cells_are_exact() {
        assert_eq!(folded("Đà Nẵng"), "da nang");
        assert_eq!(
            (fit("Quảng Ninh", 6).as_str(), fit("Huế", 5).as_str(), right("7", 3).as_str()),
            ("Quảng…", "Huế  ", "  7")
        );
    }
}
