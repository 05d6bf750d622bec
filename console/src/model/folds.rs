//! Repeats among the events found: within one minute, from the same to the same, with the same outcome, one row stands for all of them.

use std::collections::HashMap;

use vonggac_wire::proto::EventRow;

/// A row of a list of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// The place of the event that is shown: the first of them in the list.
    pub at: usize,
    /// How many events it stands for.
    pub count: usize,
}

/// Bytes of a text that repeats are told by: a long line that differs behind them is shown once.
const TEXT_BYTES_MAX: usize = 2_048;

const MINUTE: i64 = 60_000_000_000;

/// What makes two events the same to somebody who reads a list.
#[derive(PartialEq, Eq, Hash)]
struct Key<'a> {
    minute: i64,
    places: [&'a str; 5],
    outcome: [&'a str; 3],
    text: [&'a str; 3],
}

fn key(event: &EventRow) -> Key<'_> {
    let field = |name: &str| event.fields.get(name).map_or("", String::as_str);
    let detail = field("status_detail");
    let url = field("http_request.url");
    let text = if !url.is_empty() {
        [field("http_request.http_method"), field("http_response.code"), url]
    } else if event.class == "authentication" && !detail.is_empty() {
        // Lines about the same log-in differ in process and port alone.
        ["", "", ""]
    } else {
        let text = if event.message.is_empty() { &event.raw } else { &event.message };
        [field("check.name"), field("check.target"), head(text)]
    };
    Key {
        minute: event.time_unix_nano.div_euclid(MINUTE),
        places: [&event.agency, &event.host, &event.system, &event.user, &event.src_ip],
        outcome: [&event.class, &event.status, detail],
        text,
    }
}

fn head(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The rows of a list of events, in its order.
pub(super) fn folds(events: &[EventRow]) -> Vec<Fold> {
    let mut known: HashMap<Key<'_>, usize> = HashMap::with_capacity(events.len());
    let mut rows: Vec<Fold> = Vec::with_capacity(events.len());
    for (at, event) in events.iter().enumerate() {
        // Nothing tells that two events without any text are the same.
        let told = !(event.raw.is_empty() && event.message.is_empty() && event.fields.is_empty());
        let row = *known.entry(key(event)).or_insert(rows.len());
        match rows.get_mut(row).filter(|_| told) {
            Some(row) => row.count += 1,
            None => rows.push(Fold { at, count: 1 }),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(second: i64, user: &str, port: u32) -> EventRow {
        EventRow {
            time_unix_nano: second * 1_000_000_000,
            class: "authentication".into(),
            status: "failure".into(),
            user: user.into(),
            src_ip: "203.0.113.7".into(),
            raw: format!("sshd[{port}]: Failed password for {user} port {port}"),
            fields: [("status_detail".to_owned(), "wrong-password".to_owned())].into(),
            ..EventRow::default()
        }
    }

    fn counts(events: &[EventRow]) -> Vec<(usize, usize)> {
        folds(events).iter().map(|fold| (fold.at, fold.count)).collect()
    }

    #[test]
    fn attempts_of_a_minute_are_one_row_and_of_another_user_or_minute_another() {
        let events = [
            attempt(59, "root", 1),
            attempt(50, "admin", 2),
            attempt(40, "root", 3),
            attempt(2, "root", 4),
            attempt(-1, "root", 5),
        ];
        assert_eq!(counts(&events), [(0, 3), (1, 1), (4, 1)]);
    }

    #[test]
    fn what_differs_in_its_text_stays_apart() {
        let line = |raw: &str| EventRow { raw: raw.into(), ..EventRow::default() };
        assert_eq!(
            counts(&[line("disk 97 %"), line("disk 98 %"), line("disk 97 %")]),
            [(0, 2), (1, 1)]
        );
        assert_eq!(counts(&[EventRow::default(), EventRow::default()]), [(0, 1), (1, 1)]);
        let request = |url: &str, code: &str| EventRow {
            raw: "x".into(),
            fields: [
                ("http_request.url".to_owned(), url.to_owned()),
                ("http_response.code".to_owned(), code.to_owned()),
            ]
            .into(),
            ..EventRow::default()
        };
        let all = [
            request("/a", "200"),
            request("/a", "500"),
            request("/b", "200"),
            request("/a", "200"),
        ];
        assert_eq!(counts(&all), [(0, 2), (1, 1), (2, 1)]);
    }
}
