//! The roll-ups and the rows that they are of, as two queries whose answers must be alike: groups, events, and a hash of every column.

use std::time::Duration;

use anyhow::ensure;
use vonggac_collector::store::rollup::{SUMMED, Span};

use crate::machine::Machine;

const KEYS: &str = "agency, class, status, lane, system, usage_service, step, simulated, kafka_topic, kafka_partition";

/// The two queries for a span, over the events for which a condition on the keys holds: of the rows, of the roll-ups.
#[must_use]
pub fn queries(span: Span, condition: &str) -> (String, String) {
    let minute = "toDateTime(toUInt32(greatest(0, least(toUnixTimestamp64Second(time), 4294967295))), 'UTC')";
    let bucket = match span {
        Span::Minute => format!("toStartOfMinute({minute})"),
        Span::Hour => format!("toStartOfHour({minute})"),
        Span::Day => format!("toStartOfDay({minute})"),
    };
    let sum = |name: &str, value: &str| match name {
        // Sums of fractions depend on their order.
        "seconds" => format!("toInt64(round(sum({value}) * 1000)) AS sum_seconds"),
        _ => format!("toInt64(sum({value})) AS sum_{name}"),
    };
    let of_rows: Vec<String> = SUMMED.iter().map(|(name, row)| sum(name, row)).collect();
    let of_rollups: Vec<String> = SUMMED.iter().map(|(name, _)| sum(name, name)).collect();
    let names: Vec<String> = SUMMED.iter().map(|(name, _)| format!("sum_{name}")).collect();
    let all = |inner: String| {
        format!(
            "SELECT count() AS buckets, sum(sum_events) AS events, toString(groupBitXor(sipHash64(start, {KEYS}, {}, longest, users_all, newest_all, last))) AS hash \
             FROM ({inner})",
            names.join(", ")
        )
    };
    (
        all(format!(
            "SELECT {bucket} AS start, {KEYS}, {}, max(total_seconds) AS longest, uniqCombinedIf(user, user != '') AS users_all, \
             max(time) AS newest_all, max(kafka_offset) AS last FROM events WHERE {condition} GROUP BY start, {KEYS}",
            of_rows.join(", ")
        )),
        all(format!(
            "SELECT bucket AS start, {KEYS}, {}, max(seconds_max) AS longest, uniqCombinedIfMerge(users) AS users_all, \
             max(newest) AS newest_all, max(last_offset) AS last FROM rollups WHERE span = '{}' AND ({condition}) GROUP BY start, {KEYS}",
            of_rollups.join(", "),
            span.name()
        )),
    )
}

/// How long the roll-ups of a running machine may be behind its rows.
const BEHIND: Duration = Duration::from_secs(60);

/// Waits until the roll-ups of a machine are those of its rows, of the events for which a condition on the keys holds; gives their number.
///
/// # Errors
/// If they do not become so.
pub fn alike(machine: &Machine, condition: &str) -> anyhow::Result<u64> {
    let mut events = None;
    for span in Span::ALL {
        let (rows, rollups) = queries(span, condition);
        let both = machine.until(
            "roll-ups like their rows",
            BEHIND,
            |machine| Ok((machine.rows(&["sql", &rows])?, machine.rows(&["sql", &rollups])?)),
            |(rows, rollups)| rows == rollups,
        )?;
        let of_span = both.1.first().and_then(|row| {
            let events = &row["events"];
            events.as_u64().or_else(|| events.as_str()?.parse().ok())
        });
        ensure!(events.is_none() || events == of_span, "{span:?}: {of_span:?}, not {events:?}");
        events = of_span;
    }
    Ok(events.unwrap_or(0))
}
