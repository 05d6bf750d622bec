//! What is missing: gaps in agents' numbers.

use vonggac_wire::{Time, proto};

use super::{GapRow, Store, StoreError};
use crate::{pipeline::Filled, record::Record};

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

    /// The numbers of a record's events that another record brought.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn stored_elsewhere(&self, record: &Record) -> Result<Vec<u64>, StoreError> {
        let (batch, origin) = (&record.batch, &record.origin);
        Ok(self
            .client()
            .query(
                "SELECT DISTINCT seq FROM events WHERE agent = ? AND agency = ? AND lane = ? AND seq BETWEEN ? AND ? \
                 AND NOT (kafka_topic = ? AND kafka_partition = ? AND kafka_offset = ?) ORDER BY seq",
            )
            .bind(batch.agent.as_str())
            .bind(batch.agency.as_str())
            .bind(batch.lane.name())
            .bind(batch.first_seq)
            .bind(batch.last_seq())
            .bind(&origin.topic)
            .bind(origin.partition)
            .bind(origin.offset)
            .fetch_all()
            .await?)
    }

    /// Counts anew what the unexplained gaps lack that these numbers lie in. The same again changes nothing.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn recount_gaps(&self, filled: &Filled) -> Result<(), StoreError> {
        let lane = filled.lane.name();
        let gaps: Vec<GapRow> = self
            .client()
            .query(
                "SELECT ?fields FROM gaps FINAL WHERE agency = ? AND agent = ? AND lane = ? AND reason IN ('unexplained', 'replayed') \
                 AND first_seq > 0 AND first_seq <= ? AND last_seq >= ?",
            )
            .bind(&filled.agency)
            .bind(&filled.agent)
            .bind(lane)
            .bind(filled.last_seq)
            .bind(filled.first_seq)
            .fetch_all()
            .await?;
        let mut counted = Vec::with_capacity(gaps.len());
        for gap in gaps {
            let stored: u64 = self
                .client()
                .query(
                    "SELECT uniqExact(seq) FROM events WHERE agent = ? AND agency = ? AND lane = ? AND seq BETWEEN ? AND ?",
                )
                .bind(&filled.agent)
                .bind(&filled.agency)
                .bind(lane)
                .bind(gap.first_seq)
                .bind(gap.last_seq)
                .fetch_one()
                .await?;
            let events = (gap.last_seq - gap.first_seq + 1).saturating_sub(stored);
            let reason = if events == 0 { "replayed" } else { "unexplained" };
            counted.push(GapRow { events, reason: reason.into(), ..gap });
        }
        self.insert_gaps(&counted).await
    }
}
