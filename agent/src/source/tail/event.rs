//! From a record to an event.

use vonggac_wire::{
    Event,
    event::{Body, Class},
};

use super::record::Record;
use crate::format::{self, Context};

/// Where the lines behind the first stand (OpenTelemetry's name).
const REST: &str = "exception.stacktrace";

/// The first line says what happened; a format that understands the whole record may say more.
pub(super) fn of(format: &str, record: Record, context: &Context) -> (Event, bool) {
    let Record { first, rest, cut, .. } = record;
    if rest.is_empty() {
        return format::event_of(format, first, cut, context);
    }
    let whole = [first.as_slice(), rest.as_slice()].concat();
    let (event, known) = format::event(format, &first, cut, context);
    if !known {
        let (event, known) = format::event(format, &whole, cut, context);
        if known {
            return (event, true);
        }
    }
    let event = event.with_edits(|raw, body| {
        *raw = whole;
        if let Body::Activity(activity) = body {
            let rest = String::from_utf8_lossy(rest.trim_ascii_start()).into_owned();
            activity.unmapped.insert(REST.into(), rest);
        }
    });
    (event, known)
}

/// It tells of who did what: a log of such is slowed last. Connections come in floods and are not meant.
pub(super) fn is_of_security(event: &Event) -> bool {
    match event.body() {
        Body::Activity(activity) => {
            !matches!(activity.class(), Class::Base | Class::Http | Class::Network)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use vonggac_wire::Time;

    use super::{
        super::{
            file::Line,
            record::{Begins, Joining, Records},
        },
        *,
    };

    #[test]
    fn the_lines_behind_the_first_are_kept_with_it() {
        let (mut records, mut done, now) =
            (Records::new(Joining::Auto), Vec::new(), Instant::now());
        for text in ["2026-11-24T09:41:12Z ERROR order failed", "\tat vn.gov.A.b(A.java:7)"] {
            let line = Line { stream: "s".into(), start: 0, end: 1, bytes: text.into(), cut: 0 };
            records.push(line, now, |_| Begins::default(), &mut done);
        }
        records.finish(now, &mut done);
        let record = done.remove(0);
        let (event, _) = of("auto", record, &Context::here(Time::from_seconds(1_796_000_000)));
        assert!(
            String::from_utf8_lossy(event.raw()).ends_with("failed\n\tat vn.gov.A.b(A.java:7)")
        );
        assert_eq!(event.activity().unwrap().unmapped[REST], "at vn.gov.A.b(A.java:7)");
    }
}
