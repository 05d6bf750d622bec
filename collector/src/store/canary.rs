//! Canaries that came through.

use std::{collections::BTreeMap, time::Duration};

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::{Time, proto::Origin};

use super::{Store, StoreError};
use crate::canary::{Canary, Place};

/// A canary in the store.
#[derive(Clone, Debug, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct CanaryRow {
    sender: String,
    kafka_topic: String,
    kafka_partition: i32,
    sent: i64,
    stored: i64,
}

impl CanaryRow {
    /// A canary that was found in this place.
    #[must_use]
    pub fn new(canary: &Canary, origin: &Origin, now: Time) -> Self {
        Self {
            sender: canary.sender.clone(),
            kafka_topic: origin.topic.clone(),
            kafka_partition: origin.partition,
            sent: canary.sent.micros(),
            stored: now.micros(),
        }
    }
}

impl Store {
    /// Keeps canaries. The same again changes nothing.
    ///
    /// # Errors
    /// If the engine does not take them.
    pub async fn insert_canaries(&self, rows: &[CanaryRow]) -> Result<(), StoreError> {
        self.writes("canaries", self.write_canaries(rows)).await
    }

    async fn write_canaries(&self, rows: &[CanaryRow]) -> Result<(), StoreError> {
        let mut insert = self.client().insert::<CanaryRow>("canaries").await?;
        for row in rows {
            insert.write(row).await?;
        }
        Ok(insert.end().await?)
    }

    /// When the newest canary of a sender was sent that came through each place, of those sent since a time. What was sent ahead of `now`,
    /// before the clock was set back, says nothing of the way.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn canaries(
        &self,
        sender: &str,
        within: Duration,
        now: Time,
    ) -> Result<BTreeMap<Place, Time>, StoreError> {
        let rows: Vec<(String, i32, i64)> = self
            .client()
            .query(
                "SELECT kafka_topic, kafka_partition, toUnixTimestamp64Micro(max(sent)) FROM canaries \
                 WHERE sender = ? AND sent >= fromUnixTimestamp64Micro(?, 'UTC') \
                 AND sent <= fromUnixTimestamp64Micro(?, 'UTC') GROUP BY kafka_topic, kafka_partition",
            )
            .bind(sender)
            .bind(now.minus(within).micros())
            .bind(now.micros())
            .fetch_all()
            .await?;
        let place = |(topic, partition, sent): (String, i32, i64)| {
            ((topic, partition), Time(sent.saturating_mul(1000)))
        };
        Ok(rows.into_iter().map(place).collect())
    }
}
