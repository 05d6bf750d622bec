//! Figures over windows of time, from the roll-ups: days in the middle, hours and minutes at the ends.

use std::collections::{BTreeMap, BTreeSet};

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::Time;

use super::{
    Store, StoreError,
    query::{Reach, bind},
    rollup::{SUMMED, Span},
};
use crate::indicator::SUMS;

/// Classes and lanes that figures are made of.
const SCOPE: &str = "lane IN ('usage', 'uptime') AND class IN ('dossier', 'document', 'payment', 'rating', 'session', 'exchange', 'http_activity', 'check')";

/// Sums of one agency, in the order of [`SUMS`].
#[derive(Clone, Debug, PartialEq)]
pub struct UsageSums {
    /// The agency.
    pub agency: String,
    /// The sums.
    pub sums: Vec<u64>,
    /// The newest event in them.
    pub newest: Option<Time>,
}

/// Whole minutes: from the first second to before the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first second.
    pub from: i64,
    /// Behind the last second.
    pub to: i64,
}

impl Window {
    /// The minutes that lie between two times, with those in which the times themselves are.
    #[must_use]
    pub const fn of(since: Time, until: Time) -> Self {
        let width = Span::Minute.seconds();
        let from = since.seconds().div_euclid(width) * width;
        let last = until.nanos().div_euclid(1_000_000_000);
        let whole = last.rem_euclid(width) == 0 && until.nanos().rem_euclid(1_000_000_000) == 0;
        let to = if whole { last } else { (last.div_euclid(width) + 1) * width };
        Self { from, to }
    }

    /// Buckets that make up this window, none of them twice: the widest that fit.
    #[must_use]
    pub fn cover(self) -> Vec<(Span, Self)> {
        let mut ranges = Vec::new();
        cover(self, &[Span::Day, Span::Hour, Span::Minute], &mut ranges);
        ranges
    }
}

fn cover(window: Window, spans: &[Span], ranges: &mut Vec<(Span, Window)>) {
    let Some((span, narrower)) = spans.split_first() else { return };
    if window.from >= window.to {
        return;
    }
    let width = span.seconds();
    let first = window.from.div_euclid(width) * width;
    let from = if first == window.from { first } else { first.saturating_add(width) };
    let to = window.to.div_euclid(width) * width;
    if from >= to {
        return cover(window, narrower, ranges);
    }
    cover(Window { from: window.from, to: from }, narrower, ranges);
    ranges.push((*span, Window { from, to }));
    cover(Window { from: to, to: window.to }, narrower, ranges);
}

/// Where figures are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The roll-ups.
    RollUps,
    /// The rows themselves: slower, and right also while the roll-ups are being made.
    Rows,
}

/// The seconds of a bucket lie in what a DateTime holds.
fn seconds(at: i64) -> i64 {
    at.clamp(0, i64::from(u32::MAX))
}

/// Table, time and sums of one way of reading, for a window; `rows`: where rows are read; `of_one`: of the one agency that is bound; `reached`: a condition behind it. The engine takes longer to plan this
/// than to do it, so nothing stands in it that could be left out.
fn usage_text(read: Read, window: Window, rows: &str, of_one: bool, reached: &str) -> String {
    let (table, newest, place) = match read {
        Read::RollUps => {
            let ranges: Vec<String> = window
                .cover()
                .into_iter()
                .map(|(span, part)| {
                    format!(
                        "(span = '{}' AND bucket >= {} AND bucket < {})",
                        span.name(),
                        seconds(part.from),
                        seconds(part.to)
                    )
                })
                .collect();
            let place = if ranges.is_empty() { "false".to_owned() } else { ranges.join(" OR ") };
            ("rollups", "newest", place)
        }
        Read::Rows => (
            rows,
            "time",
            format!(
                "time >= toDateTime64({}, 6, 'UTC') AND time < toDateTime64({}, 6, 'UTC')",
                window.from, window.to
            ),
        ),
    };
    let sums: Vec<String> = columns()
        .into_iter()
        .map(|column| match read {
            Read::RollUps => format!("sum({column})"),
            Read::Rows => {
                let of_row =
                    SUMMED.iter().find(|(name, _)| *name == column).map_or("0", |(_, row)| row);
                format!("toUInt64(sum({of_row}))")
            }
        })
        .collect();
    format!(
        "SELECT agency, class, step, status, [{}] AS sums, toUnixTimestamp64Micro(max({newest})) AS latest FROM {table} WHERE {SCOPE} AND ({place}){}{reached} \
         GROUP BY agency, class, step, status",
        sums.join(", "),
        if of_one { " AND agency = ?" } else { "" }
    )
}

/// Columns that are summed.
fn columns() -> BTreeSet<&'static str> {
    SUMS.iter().map(|sum| sum.column).collect()
}

/// Events of one kind of one agency, summed by column.
#[derive(Row, Serialize, Deserialize)]
struct Kind {
    agency: String,
    class: String,
    step: String,
    status: String,
    sums: Vec<u64>,
    latest: i64,
}

/// The sums of each agency. They are put together here: the engine would take longer to plan two dozen conditions than to answer.
fn by_agency(kinds: Vec<Kind>) -> Vec<UsageSums> {
    let columns = columns();
    let mut agencies: BTreeMap<String, UsageSums> = BTreeMap::new();
    for kind in kinds {
        let sums = agencies.entry(kind.agency.clone()).or_insert_with(|| UsageSums {
            agency: kind.agency.clone(),
            sums: vec![0; SUMS.len()],
            newest: None,
        });
        sums.newest = sums.newest.max(Some(Time(kind.latest.saturating_mul(1000))));
        for (total, sum) in sums.sums.iter_mut().zip(SUMS) {
            if sum.counts(&kind.class, &kind.step, &kind.status) {
                let of_kind = columns.iter().zip(&kind.sums).find(|(name, _)| **name == sum.column);
                *total += of_kind.map_or(0, |(_, value)| *value);
            }
        }
    }
    agencies.into_values().collect()
}

impl Store {
    /// Sums for indicators, by agency that is reached, over the whole minutes of a window.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn usage(
        &self,
        since: Time,
        until: Time,
        agency: &str,
        reach: &Reach,
    ) -> Result<Vec<UsageSums>, StoreError> {
        let read = if self.rolled_up().await? { Read::RollUps } else { Read::Rows };
        self.usage_within(read, Window::of(since, until), agency, reach).await
    }

    /// The same, read in one way.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn usage_of(
        &self,
        read: Read,
        window: Window,
        agency: &str,
    ) -> Result<Vec<UsageSums>, StoreError> {
        self.usage_within(read, window, agency, &Reach::Nation).await
    }

    async fn usage_within(
        &self,
        read: Read,
        window: Window,
        agency: &str,
        reach: &Reach,
    ) -> Result<Vec<UsageSums>, StoreError> {
        let reached = reach.and();
        let rows = match read {
            // Nothing goes cold before it is summed.
            Read::RollUps => String::new(),
            Read::Rows => {
                let (since, until) =
                    (Time::from_seconds(window.from), Time::from_seconds(window.to));
                let agencies: Vec<&str> =
                    Some(agency).filter(|one| !one.is_empty()).into_iter().collect();
                self.events_of(since, until, &agencies).await?
            }
        };
        let text = usage_text(read, window, &rows, !agency.is_empty(), &reached.text);
        let query = self.reader().query(&text);
        let query = if agency.is_empty() { query } else { query.bind(agency) };
        let query = bind(query, &reached.values);
        let query = match read {
            // Few rows: a second thread costs more than it does.
            Read::RollUps => query.with_setting("max_threads", "1"),
            Read::Rows => query,
        };
        let kinds: Vec<Kind> = query.fetch_all().await?;
        Ok(by_agency(kinds))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_month_of_vietnam_is_days_with_hours_at_its_ends() {
        let since: Time = "2026-10-31T17:00:00Z".parse().unwrap();
        let until: Time = "2026-11-30T17:00:00Z".parse().unwrap();
        let ranges = Window::of(since, until).cover();
        let widths: Vec<(Span, i64)> = ranges
            .iter()
            .map(|(span, window)| (*span, (window.to - window.from) / span.seconds()))
            .collect();
        assert_eq!(widths, [(Span::Hour, 7), (Span::Day, 29), (Span::Hour, 17)]);
    }

    #[test]
    fn the_minutes_of_both_ends_are_in_and_a_whole_end_is_not_begun() {
        let since: Time = "2026-11-24T02:41:07Z".parse().unwrap();
        let window = Window::of(since, "2026-11-24T02:43:00.000000001Z".parse().unwrap());
        assert_eq!(window, Window { from: since.seconds() - 7, to: since.seconds() - 7 + 180 });
        let window = Window::of(since, "2026-11-24T02:43:00Z".parse().unwrap());
        assert_eq!(window.to, since.seconds() - 7 + 120);
    }

    proptest! {
        #[test]
        fn a_cover_holds_each_minute_of_its_window_once(from in 0_i64..3_000_000, minutes in 0_i64..9_000) {
            let window = Window { from: from * 60, to: (from + minutes) * 60 };
            let ranges = window.cover();
            let mut at = window.from;
            for (span, part) in &ranges {
                prop_assert_eq!(part.from, at);
                prop_assert!(part.from < part.to);
                prop_assert_eq!((part.from % span.seconds(), part.to % span.seconds()), (0, 0));
                at = part.to;
            }
            prop_assert_eq!(at, window.to);
            prop_assert!(ranges.len() <= 5);
        }
    }
}
