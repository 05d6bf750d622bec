//! What is usual at this hour of the week, from the weeks that are stored.

use std::{collections::HashMap, time::Duration};

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::{Time, proto::Baseline};

use super::{Store, StoreError, usage::Read};

/// By agency and system; an agency's own has an empty system.
pub type Baselines = HashMap<(String, String), Baseline>;

/// Weeks that are looked back at: half a year.
const WEEKS_MAX: i64 = 26;

/// Fewer weeks say nothing about what is usual.
const WEEKS_LEAST: u64 = 3;

/// Agencies and systems that are told.
const ROWS_MAX: u64 = 20_000;

const HOUR: i64 = 3_600;
const WEEK: i64 = 7 * 24 * HOUR;

/// The same hour in each week before: `(start, end)` in seconds, the newest first. Hours begin alike in UTC and in the nation's time.
fn hours(now: Time) -> impl Iterator<Item = (i64, i64)> {
    let start = now.seconds() - now.seconds().rem_euclid(HOUR);
    (1..=WEEKS_MAX).map(move |week| (start - week * WEEK, start - week * WEEK + HOUR))
}

#[derive(Row, Serialize, Deserialize)]
struct Usual {
    agency: String,
    of_system: String,
    median: f64,
    low: f64,
    high: f64,
    weeks: u64,
}

impl Store {
    /// Requests, dossiers and the other signs of use a minute, at this hour of the week.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn baselines(&self, now: Time) -> Result<Baselines, StoreError> {
        let read = if self.rolled_up().await? { Read::RollUps } else { Read::Rows };
        self.baselines_of(read, now).await
    }

    /// The same, read in one way.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn baselines_of(&self, read: Read, now: Time) -> Result<Baselines, StoreError> {
        let (table, time, events, scope) = match read {
            Read::RollUps => ("rollups", "bucket", "sum(events)", "span = 'hour' AND "),
            Read::Rows => ("events", "time", "count()", ""),
        };
        let ranges: Vec<String> = hours(now)
            .map(|(from, to)| {
                format!(
                    "({time} >= fromUnixTimestamp({from}) AND {time} < fromUnixTimestamp({to}))"
                )
            })
            .collect();
        // The last second of this hour, so that all of an hour lies in one week.
        let last = now.seconds() - now.seconds().rem_euclid(HOUR) + HOUR - 1;
        let text = format!(
            "SELECT agency, of_system, quantileExact(0.5)(rate) AS median, quantileExact(0.1)(rate) AS low, quantileExact(0.9)(rate) AS high, \
             count() AS weeks FROM (SELECT agency, arrayJoin(if(system = '', [''], ['', toString(system)])) AS of_system, \
             intDiv({last} - toUnixTimestamp({time}), {WEEK}) AS week, {events} / 60 AS rate FROM {table} \
             WHERE {scope}(class IN ('session', 'document', 'payment', 'rating', 'exchange', 'http_activity') OR (class = 'dossier' AND step IN ('received', 'started'))) \
             AND ({}) GROUP BY agency, of_system, week) GROUP BY agency, of_system HAVING weeks >= {WEEKS_LEAST} LIMIT {ROWS_MAX}",
            ranges.join(" OR ")
        );
        let rows: Vec<Usual> = self.client().query(&text).fetch_all().await?;
        Ok(rows.into_iter().map(told).collect())
    }
}

fn told(row: Usual) -> ((String, String), Baseline) {
    let weeks = u32::try_from(row.weeks).unwrap_or(u32::MAX);
    let baseline = Baseline { median: row.median, low: row.low, high: row.high, weeks };
    ((row.agency, row.of_system), baseline)
}

/// How often it is asked for: the hour changes less often, and its weeks hardly at all.
pub const ASK_INTERVAL: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_hour_of_the_week_is_looked_at_in_each_week() {
        let now: Time = "2026-11-24T02:41:07Z".parse().unwrap();
        let all: Vec<(i64, i64)> = hours(now).collect();
        let first: Time = "2026-11-17T02:00:00Z".parse().unwrap();
        assert_eq!(all[0], (first.seconds(), first.seconds() + HOUR));
        assert_eq!((all.len(), all[1].0), (26, all[0].0 - WEEK));
    }
}
