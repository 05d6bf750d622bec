//! The query line of the event search: words, `field:value`, `-field:value`, `"phrase"`, `/regex/`, `-1h`, `08:00..09:30`.

use std::time::Duration;

use vonggac_daemon::settings::parse_duration;
use vonggac_wire::{
    Time,
    proto::{SearchRequest, Term},
};

/// Hours that a search without a time looks back.
const WINDOW: Duration = Duration::from_secs(3600);

/// Rows of one page of a search.
pub const PAGE_ROWS: u32 = 200;

/// Columns of the histogram.
pub const HISTOGRAM_COLUMNS: u32 = 60;

/// Makes a search of a line.
#[must_use]
pub fn parse(line: &str, now: Time) -> SearchRequest {
    let mut request = SearchRequest {
        since_unix_nano: now.minus(WINDOW).0,
        until_unix_nano: now.0,
        limit: PAGE_ROWS,
        histogram_columns: HISTOGRAM_COLUMNS,
        seconds_max: 10.0,
        ..SearchRequest::default()
    };
    for word in words(line) {
        let term = |field: &str, value: &str, negated| Term {
            field: field.into(),
            value: value.into(),
            negated,
        };
        if let Some(back) = word.strip_prefix('-').and_then(parse_duration) {
            request.since_unix_nano = now.minus(back).0;
        } else if let Some((since, until)) =
            word.split_once("..").and_then(|(a, b)| Some((clock(a, now)?, clock(b, now)?)))
        {
            (request.since_unix_nano, request.until_unix_nano) = (since.0, until.0);
        } else if let Some(pattern) =
            word.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')).filter(|p| !p.is_empty())
        {
            request.terms.push(term("regex", pattern, false));
        } else if let Some((field, value)) = word.split_once(':').filter(|(field, _)| {
            field.trim_start_matches('-').bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        }) {
            let negated = field.starts_with('-');
            request.terms.push(term(field.trim_start_matches('-'), value, negated));
        } else {
            request.terms.push(term("text", &word, false));
        }
    }
    request
}

/// Words; what stands in quotes is one.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// `08:00` today.
#[must_use]
pub fn clock(text: &str, now: Time) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute): (i64, i64) = (hour.parse().ok()?, minute.parse().ok()?);
    if !(0..24).contains(&hour) || !(0..60).contains(&minute) {
        return None;
    }
    Some(Time::from_seconds(midnight(now).seconds() + hour * 3600 + minute * 60))
}

/// The beginning of the nation's day.
#[must_use]
pub fn midnight(now: Time) -> Time {
    let local = now.seconds() + 7 * 3600;
    Time::from_seconds(now.seconds() - local.rem_euclid(86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_terms_and_a_window() {
        let now: Time = "2026-11-24T02:41:00Z".parse().unwrap();
        let request =
            parse("class:authentication -status:success \"wrong password\" /ro+t/ -2h web", now);
        let terms: Vec<(&str, &str, bool)> =
            request.terms.iter().map(|t| (t.field.as_str(), t.value.as_str(), t.negated)).collect();
        assert_eq!(
            terms,
            [
                ("class", "authentication", false),
                ("status", "success", true),
                ("text", "wrong password", false),
                ("regex", "ro+t", false),
                ("text", "web", false)
            ]
        );
        assert_eq!(Time(request.since_unix_nano), "2026-11-24T00:41:00Z".parse().unwrap());
        let request = parse("08:00..09:30", now);
        assert_eq!(Time(request.until_unix_nano), "2026-11-24T02:30:00Z".parse().unwrap());
    }
}
