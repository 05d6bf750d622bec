//! What the store says of itself: its machine, where it stands in Kafka, what is missing in it.

use std::{collections::BTreeMap, time::Duration};

use vonggac_wire::Time;

use super::{Store, StoreError};
use crate::doctor::EngineSeen;

impl Store {
    /// Clock, disk, parts and mutations of the engine.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn machine(&self, now: Time) -> Result<EngineSeen, StoreError> {
        // Of the server, not of the database: this answers before there is a schema.
        let client = &self.client;
        let clock: i64 =
            client.query("SELECT toUnixTimestamp64Micro(now64(6))").fetch_one().await?;
        let ahead = Time(clock.saturating_mul(1000)).seconds_since(now);
        let disk: (u64, u64) = client
            .query(&format!(
                "SELECT toUInt64(min(free_space)), toUInt64(min(total_space)) FROM {} WHERE total_space > 0",
                self.layout.system("disks")
            ))
            .fetch_one()
            .await?;
        let read_only: String = client
            .query("SELECT value FROM system.settings WHERE name = 'readonly'")
            .fetch_optional()
            .await?
            .unwrap_or_default();
        let parts: Option<(String, u64)> = client
            .query(&format!(
                "SELECT concat(table, ' ', partition), count() FROM {} WHERE active AND database = ? GROUP BY hostName(), table, partition ORDER BY count() DESC LIMIT 1",
                self.layout.system("parts")
            ))
            .bind(&self.database)
            .fetch_optional()
            .await?;
        let mutation: Option<(String, i64)> = client
            .query(&format!(
                "SELECT table, toInt64(dateDiff('second', min(create_time), now())) FROM {} WHERE database = ? AND NOT is_done GROUP BY table ORDER BY 2 DESC LIMIT 1",
                self.layout.system("mutations")
            ))
            .bind(&self.database)
            .fetch_optional()
            .await?;
        Ok(EngineSeen {
            clock_ahead_seconds: ahead,
            disk,
            read_only: !matches!(read_only.as_str(), "" | "0"),
            parts: parts.unwrap_or_default(),
            mutation: mutation.map(|(table, seconds)| {
                (table, Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
            }),
            ..EngineSeen::default()
        })
    }

    /// The next offset of each partition that was ever taken.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn positions(&self) -> Result<BTreeMap<(String, i32), i64>, StoreError> {
        let rows: Vec<(String, i32, u64)> = self
            .client()
            .query("SELECT topic, partition, argMax(value, version) FROM progress WHERE agent = '' GROUP BY topic, partition")
            .fetch_all()
            .await?;
        let place =
            |(topic, partition, next)| ((topic, partition), i64::try_from(next).unwrap_or(0));
        Ok(rows.into_iter().map(place).collect())
    }

    /// Open dead letters by reason.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn dead_open(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let rows: Vec<(String, u64)> = self
            .client()
            .query("SELECT reason, count() FROM dead_letters FINAL WHERE (kafka_topic, kafka_partition, kafka_offset) NOT IN (SELECT kafka_topic, kafka_partition, kafka_offset FROM dead_settled) GROUP BY reason")
            .fetch_all()
            .await?;
        Ok(rows.into_iter().collect())
    }

    /// Events that are missing since a time without an explanation.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn unexplained(&self, since: Time) -> Result<u64, StoreError> {
        Ok(self
            .client()
            .query("SELECT sum(events) FROM gaps FINAL WHERE reason = 'unexplained' AND time >= fromUnixTimestamp64Micro(?, 'UTC')")
            .bind(since.micros())
            .fetch_one()
            .await?)
    }

    /// When the newest row was stored; `None`: there are none.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn newest_stored(&self) -> Result<Option<Time>, StoreError> {
        let newest: i64 = self
            .client()
            .query(
                "SELECT toUnixTimestamp64Micro(max(stored)) FROM events WHERE day >= today() - 2",
            )
            .fetch_one()
            .await?;
        if newest > 0 {
            return Ok(Some(Time(newest.saturating_mul(1000))));
        }
        // Only a store that was not fed for days is asked for all its rows.
        let newest: i64 = self
            .client()
            .query("SELECT toUnixTimestamp64Micro(max(stored)) FROM events")
            .fetch_one()
            .await?;
        Ok((newest > 0).then(|| Time(newest.saturating_mul(1000))))
    }
}
