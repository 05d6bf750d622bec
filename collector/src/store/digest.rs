//! Batches without the marks of their rows, as receipts are made of them; and the receipts.

use clickhouse::{Row, query::RowCursor};
use serde::{Deserialize, Serialize};
use vonggac_wire::{BatchHash, Seal, Time};

use super::{GapRow, Store, StoreError, batch::Span};
use crate::trust::{
    merkle::Hash,
    receipt::{HOUR_NANOS, Signed},
};

/// What is written down of a batch but for its rows' marks. Times are microseconds.
#[derive(Clone, Debug, Default, PartialEq, Row, Deserialize)]
#[expect(missing_docs, reason = "the columns are those of the migration, in its words")]
pub struct Digest {
    pub agency: String,
    pub agent: String,
    pub host: String,
    pub lane: String,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub boot: [u8; 16],
    pub first_seq: u64,
    pub last_seq: u64,
    pub rows: u32,
    pub absent: Vec<(u32, u32)>,
    pub ahead: bool,
    pub simulated: bool,
    pub hash: Hash,
    pub previous: Hash,
    pub sealed: i64,
    pub appended: i64,
    pub key_id: String,
    #[serde(with = "serde_bytes")]
    pub signature: Vec<u8>,
    pub root: Hash,
}

#[derive(Debug, Row, Deserialize)]
struct LastRow {
    name: String,
    last: Hash,
}

#[derive(Clone, Debug, Row, Serialize, Deserialize)]
struct ReceiptRow {
    agency: String,
    agent: String,
    hour: i64,
    hash: Hash,
    key_id: String,
    #[serde(with = "serde_bytes")]
    signature: Vec<u8>,
    text: String,
}

impl From<ReceiptRow> for Signed {
    fn from(row: ReceiptRow) -> Self {
        Self {
            agency: row.agency,
            agent: row.agent,
            hour: Time(row.hour.saturating_mul(1000)),
            hash: BatchHash(row.hash),
            seal: Seal { signature: row.signature, key_id: row.key_id },
            text: row.text,
        }
    }
}

fn end(hour: Time) -> Time {
    Time(hour.0.saturating_add(HOUR_NANOS))
}

impl Store {
    /// Until when every partition was certainly stored: the broker's time of what came through the one that is behind most. `None`: of some
    /// partition nothing is known yet.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn stored_until(&self, partitions: u64) -> Result<Option<Time>, StoreError> {
        let (places, sent): (u64, i64) = self
            .client()
            .query(
                "SELECT count(), toUnixTimestamp64Micro(min(newest)) FROM \
                 (SELECT max(sent) AS newest FROM canaries GROUP BY kafka_topic, kafka_partition)",
            )
            .fetch_one()
            .await?;
        Ok((places >= partitions).then(|| Time(sent.saturating_mul(1000))))
    }

    /// The last hour that has a receipt.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn last_receipt(&self) -> Result<Option<Time>, StoreError> {
        let (count, last): (u64, i64) = self
            .client()
            .query("SELECT count(), toUnixTimestamp64Micro(max(hour)) FROM receipts")
            .fetch_one()
            .await?;
        Ok((count > 0).then(|| Time(last.saturating_mul(1000))))
    }

    /// Hours with batches, the first of them.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn hours_with_batches(
        &self,
        since: Time,
        until: Time,
        limit: u64,
    ) -> Result<Vec<Time>, StoreError> {
        let hours: Vec<i64> = self
            .client()
            .query(
                "SELECT DISTINCT toInt64(toUnixTimestamp(toStartOfHour(appended))) AS hour FROM batches \
                 WHERE appended >= fromUnixTimestamp64Micro(?, 'UTC') AND appended < fromUnixTimestamp64Micro(?, 'UTC') ORDER BY hour LIMIT ?",
            )
            .bind(since.micros())
            .bind(until.micros())
            .bind(limit)
            .fetch_all()
            .await?;
        Ok(hours.into_iter().map(Time::from_seconds).collect())
    }

    /// Agencies with batches in an hour, and without receipts of it.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn agencies_without_receipt(
        &self,
        hour: Time,
    ) -> Result<Vec<String>, StoreError> {
        Ok(self
            .client()
            .query(
                "SELECT DISTINCT toString(agency) FROM batches WHERE appended >= fromUnixTimestamp64Micro(?, 'UTC') \
                 AND appended < fromUnixTimestamp64Micro(?, 'UTC') \
                 AND agency NOT IN (SELECT agency FROM receipts WHERE hour = fromUnixTimestamp64Micro(?, 'UTC')) ORDER BY agency",
            )
            .bind(hour.micros())
            .bind(end(hour).micros())
            .bind(hour.micros())
            .fetch_all()
            .await?)
    }

    /// The batches of an agency in an hour, of one host or of all, in the order in which a receipt goes through them.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) fn digests(
        &self,
        agency: &str,
        host: &str,
        hour: Time,
    ) -> Result<RowCursor<Digest>, StoreError> {
        Ok(self
            .client()
            .query(
                "SELECT ?fields FROM batches FINAL WHERE agency = ? AND (? = '' OR host = ?) \
                 AND appended >= fromUnixTimestamp64Micro(?, 'UTC') AND appended < fromUnixTimestamp64Micro(?, 'UTC') \
                 ORDER BY agent, topic, partition, offset",
            )
            .bind(agency)
            .bind(host)
            .bind(host)
            .bind(hour.micros())
            .bind(end(hour).micros())
            .fetch()?)
    }

    /// Agents of a span's host, or of all.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn agents_of(&self, span: &Span) -> Result<Vec<String>, StoreError> {
        Ok(self
            .client()
            .query("SELECT DISTINCT toString(agent) FROM batches WHERE agency = ? AND (? = '' OR host = ?)")
            .bind(&span.agency)
            .bind(&span.host)
            .bind(&span.host)
            .fetch_all()
            .await?)
    }

    /// Gaps of an agency that were found in an hour.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn gaps_within(
        &self,
        agency: &str,
        hour: Time,
        limit: u64,
    ) -> Result<Vec<GapRow>, StoreError> {
        Ok(self
            .client()
            .query(
                "SELECT ?fields FROM gaps FINAL WHERE agency = ? AND time >= fromUnixTimestamp64Micro(?, 'UTC') \
                 AND time < fromUnixTimestamp64Micro(?, 'UTC') ORDER BY agent, lane, first_seq, told_seq LIMIT ?",
            )
            .bind(agency)
            .bind(hour.micros())
            .bind(end(hour).micros())
            .bind(limit)
            .fetch_all()
            .await?)
    }

    /// Receipts of an agency from a time until another, in order.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn receipts(
        &self,
        agency: &str,
        since: Time,
        until: Time,
    ) -> Result<Vec<Signed>, StoreError> {
        let rows: Vec<ReceiptRow> = self
            .client()
            .query(
                "SELECT ?fields FROM receipts FINAL WHERE agency = ? AND hour >= fromUnixTimestamp64Micro(?, 'UTC') \
                 AND hour < fromUnixTimestamp64Micro(?, 'UTC') ORDER BY agent, hour",
            )
            .bind(agency)
            .bind(since.micros())
            .bind(until.micros())
            .fetch_all()
            .await?;
        Ok(rows.into_iter().map(Signed::from).collect())
    }

    /// An agent's receipts from an hour on, the oldest first.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn receipts_of_agent(
        &self,
        agency: &str,
        agent: &str,
        since: Time,
        limit: usize,
    ) -> Result<Vec<Signed>, StoreError> {
        let rows: Vec<ReceiptRow> = self
            .client()
            .query(
                "SELECT ?fields FROM receipts FINAL WHERE agency = ? AND agent = ? AND hour >= fromUnixTimestamp64Micro(?, 'UTC') \
                 ORDER BY hour LIMIT ?",
            )
            .bind(agency)
            .bind(agent)
            .bind(since.micros())
            .bind(limit)
            .fetch_all()
            .await?;
        Ok(rows.into_iter().map(Signed::from).collect())
    }

    /// The hash of each agent's last receipt before an hour.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn receipts_before(
        &self,
        agency: &str,
        hour: Time,
    ) -> Result<Vec<(String, Hash)>, StoreError> {
        let rows: Vec<LastRow> = self
            .client()
            .query(
                "SELECT toString(agent) AS name, argMax(hash, hour) AS last FROM receipts WHERE agency = ? AND hour < fromUnixTimestamp64Micro(?, 'UTC') GROUP BY agent",
            )
            .bind(agency)
            .bind(hour.micros())
            .fetch_all()
            .await?;
        Ok(rows.into_iter().map(|row| (row.name, row.last)).collect())
    }

    /// Keeps an agency's receipts of an hour, as one block. Of several the engine takes the first.
    ///
    /// # Errors
    /// If the engine does not take them.
    pub(crate) async fn insert_receipts(
        &self,
        receipts: &[Signed],
        token: &str,
    ) -> Result<(), StoreError> {
        let write = async {
            let mut insert = self
                .client()
                .insert::<ReceiptRow>("receipts")
                .await?
                .with_setting("insert_deduplication_token", token);
            for receipt in receipts {
                let row = ReceiptRow {
                    agency: receipt.agency.clone(),
                    agent: receipt.agent.clone(),
                    hour: receipt.hour.micros(),
                    hash: receipt.hash.0,
                    key_id: receipt.seal.key_id.clone(),
                    signature: receipt.seal.signature.clone(),
                    text: receipt.text.clone(),
                };
                insert.write(&row).await?;
            }
            Ok(insert.end().await?)
        };
        self.writes("receipts", write).await
    }
}
