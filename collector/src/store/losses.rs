//! What is missing: gaps in agents' numbers.

use vonggac_wire::{Time, proto};

use super::{Store, StoreError};

impl Store {
    /// The newest gaps since a time, and how many events all of them lack.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn gaps_since(
        &self,
        since: Time,
        limit: usize,
    ) -> Result<(Vec<proto::GapRow>, u64), StoreError> {
        let rows: Vec<super::GapRow> = self
            .client()
            .query("SELECT ?fields FROM gaps FINAL WHERE time >= fromUnixTimestamp64Micro(?, 'UTC') ORDER BY time DESC LIMIT ?")
            .bind(since.micros())
            .bind(u64::try_from(limit).unwrap_or(u64::MAX))
            .fetch_all()
            .await?;
        let lost = self
            .client()
            .query("SELECT sum(events) FROM gaps FINAL WHERE time >= fromUnixTimestamp64Micro(?, 'UTC')")
            .bind(since.micros())
            .fetch_one()
            .await?;
        let shown = rows
            .into_iter()
            .map(|row| proto::GapRow {
                agency: row.agency,
                host: row.host,
                lane: row.lane,
                first_seq: row.first_seq,
                last_seq: row.last_seq,
                reason: row.reason,
                time_unix_nano: row.time.saturating_mul(1000),
                first_observed_unix_nano: row.first_observed.saturating_mul(1000),
                last_observed_unix_nano: row.last_observed.saturating_mul(1000),
                events: row.events,
                bytes: row.bytes,
                source: row.source,
            })
            .collect();
        Ok((shown, lost))
    }
}
