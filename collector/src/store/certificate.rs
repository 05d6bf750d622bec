//! Certificates whose keys sealed batches, and what the chain of batches is judged by.

use std::collections::{BTreeMap, BTreeSet};

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::{Batch, BatchHash, Identity, proto::Origin};

use super::{Store, StoreError};
use crate::{
    tenure::Key,
    trust::seal::{
        Certificate, REASONS,
        chain::{Link, RECENT_MAX},
    },
};

/// Offsets below a partition's progress that are looked through for the last batches of its agents.
const RECENT_OFFSETS: i64 = 100_000;

/// Refused records that detection has to know of, of each partition.
const REFUSED_MAX: u64 = 100_000;

#[derive(Debug, Row, Serialize)]
struct CertificateRow<'a> {
    key_id: &'a str,
    agency: &'a str,
    agent: &'a str,
    serial: &'a str,
    not_before: i64,
    not_after: i64,
    #[serde(with = "serde_bytes")]
    chain: &'a [u8],
}

#[derive(Debug, Row, Deserialize)]
struct ChainRow {
    #[serde(with = "serde_bytes")]
    chain: Vec<u8>,
}

#[derive(Debug, Row, Deserialize)]
struct LinkRow {
    agency: String,
    agent: String,
    offset: i64,
    boot: [u8; 16],
    hash: [u8; 32],
    previous: [u8; 32],
}

impl Store {
    /// Keeps a certificate. The same again changes nothing.
    ///
    /// # Errors
    /// If the engine does not take it.
    pub(crate) async fn keep_certificate(&self, found: &Certificate) -> Result<(), StoreError> {
        let (agency, agent) = match &found.named.identity {
            Identity::Agent { agency, agent } => (agency.as_str(), agent.as_str()),
            _ => ("", ""),
        };
        let row = CertificateRow {
            key_id: &found.key_id,
            agency,
            agent,
            serial: &found.named.serial,
            not_before: found.named.not_before.saturating_mul(1_000_000),
            not_after: found.named.not_after.saturating_mul(1_000_000),
            chain: &found.chain,
        };
        let write = async {
            let mut insert = self.client().insert::<CertificateRow<'_>>("certificates").await?;
            insert.write(&row).await?;
            Ok(insert.end().await?)
        };
        self.writes("certificates", write).await
    }

    /// The chain of a certificate.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn certificate(&self, key_id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let query = "SELECT chain FROM certificates WHERE key_id = ? LIMIT 1";
        let row: Option<ChainRow> =
            self.client().query(query).bind(key_id).fetch_optional().await?;
        Ok(row.map(|row| row.chain))
    }

    /// The last batches of each agent of a partition below an offset, in order.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn recent_batches(
        &self,
        key: &Key,
        next: i64,
    ) -> Result<Vec<(String, String, Link)>, StoreError> {
        let text = format!(
            "SELECT agency, agent, offset, boot, hash, previous FROM batches FINAL WHERE topic = ? AND partition = ? AND key_id != '' \
             AND offset >= ? AND offset < ? ORDER BY offset DESC LIMIT {RECENT_MAX} BY agency, agent"
        );
        let query = self.client().query(&text).bind(&key.0).bind(key.1);
        let rows: Vec<LinkRow> =
            query.bind(next.saturating_sub(RECENT_OFFSETS)).bind(next).fetch_all().await?;
        let link = |row: LinkRow| {
            let previous = (row.previous != [0; 32]).then_some(BatchHash(row.previous));
            let (offset, boot, hash) = (row.offset, row.boot, BatchHash(row.hash));
            (row.agency, row.agent, Link { offset, boot, hash, previous })
        };
        Ok(rows.into_iter().rev().map(link).collect())
    }

    /// Where a batch stands beside this place.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn batch_elsewhere(
        &self,
        batch: &Batch,
        hash: BatchHash,
        origin: &Origin,
    ) -> Result<Option<String>, StoreError> {
        Ok(self
            .client()
            .query(
                "SELECT concat(toString(topic), '/', toString(partition), '/', toString(offset)) FROM batches \
                 WHERE agency = ? AND agent = ? AND hex(hash) = upper(?) AND NOT (topic = ? AND partition = ? AND offset >= ?) LIMIT 1",
            )
            .bind(batch.agency.as_str())
            .bind(batch.agent.as_str())
            .bind(hash.to_string())
            .bind(&origin.topic)
            .bind(origin.partition)
            .bind(origin.offset)
            .fetch_optional()
            .await?)
    }

    /// Records of partitions that were refused for their seals, among the last ones below their progress and above.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(crate) async fn refused_batches(
        &self,
        places: &BTreeMap<Key, i64>,
    ) -> Result<BTreeSet<(Key, i64)>, StoreError> {
        let mut all = BTreeSet::new();
        for (key, next) in places {
            let offsets: Vec<i64> = self
                .client()
                .query(
                    "SELECT DISTINCT kafka_offset FROM dead_letters WHERE kafka_topic = ? AND kafka_partition = ? AND kafka_offset >= ? \
                     AND has(?, toString(reason)) ORDER BY kafka_offset DESC LIMIT ?",
                )
                .bind(&key.0)
                .bind(key.1)
                .bind(next.saturating_sub(RECENT_OFFSETS))
                .bind(&REASONS[..])
                .bind(REFUSED_MAX)
                .fetch_all()
                .await?;
            all.extend(offsets.into_iter().map(|offset| (key.clone(), offset)));
        }
        Ok(all)
    }
}
