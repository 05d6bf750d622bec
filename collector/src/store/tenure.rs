//! The table `tenures`, and the numbers of tenures' inserts in `progress`. See [`crate::tenure`].

use std::collections::HashMap;

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::Time;

use super::{ProgressPart, Store, StoreError};
use crate::tenure::{Key, Kind, TAKINGS_READ_MAX, Taking, Tenure};

#[derive(Debug, Row, Serialize, Deserialize)]
struct TakingRow {
    topic: String,
    partition: i32,
    epoch: u64,
    name: String,
    high: i64,
    collector: String,
    time: i64,
}

impl Store {
    /// The last takings of these partitions, and the ends behind them.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn takings(&self, keys: &[Key]) -> Result<Vec<Taking>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let text = format!(
            "SELECT topic, partition, epoch, name, high FROM tenures WHERE {} ORDER BY epoch DESC LIMIT {} BY topic, partition",
            places(keys),
            2 * TAKINGS_READ_MAX,
        );
        let query = keys.iter().fold(self.client().query(&text), |query, (topic, partition)| {
            query.bind(topic.as_str()).bind(*partition)
        });
        let rows: Vec<(String, i32, u64, String, i64)> = query.fetch_all().await?;
        let taking = |(topic, partition, epoch, name, high)| Taking {
            key: (topic, partition),
            epoch,
            name,
            high: (high >= 0).then_some(high),
        };
        Ok(rows.into_iter().map(taking).collect())
    }

    /// Says that a tenure begins. The same a second time is harmless.
    ///
    /// # Errors
    /// If the engine does not take it.
    pub async fn begin_tenure(&self, tenure: &Tenure, now: Time) -> Result<(), StoreError> {
        let taken: Vec<(Key, i64)> = tenure.keys.iter().map(|key| (key.clone(), -1)).collect();
        self.insert_takings(tenure, &taken, now).await
    }

    /// Writes where partitions ended behind the taking: nobody before it can have gathered more.
    ///
    /// # Errors
    /// If the engine does not take it.
    pub async fn end_before(
        &self,
        tenure: &Tenure,
        ends: &[(Key, i64)],
        now: Time,
    ) -> Result<(), StoreError> {
        self.insert_takings(tenure, ends, now).await
    }

    async fn insert_takings(
        &self,
        tenure: &Tenure,
        rows: &[(Key, i64)],
        now: Time,
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut insert = self.client().insert::<TakingRow>("tenures").await?;
        for ((topic, partition), high) in rows {
            let row = TakingRow {
                topic: topic.clone(),
                partition: *partition,
                epoch: tenure.epoch,
                name: tenure.name.clone(),
                high: *high,
                collector: format!("{}/{}", host(), std::process::id()),
                time: now.micros(),
            };
            insert.write(&row).await?;
        }
        Ok(insert.end().await?)
    }

    /// Fails with [`StoreError::Superseded`] if another one took over any partition of a tenure.
    ///
    /// # Errors
    /// That, or if the engine does not answer.
    pub async fn sure_of(&self, tenure: &Tenure) -> Result<(), StoreError> {
        if tenure.keys.is_empty() {
            return Ok(());
        }
        let text = format!(
            "SELECT count() FROM tenures WHERE epoch >= ? AND high < 0 AND name != ? AND ({})",
            places(&tenure.keys)
        );
        let query = self.client().query(&text).bind(tenure.epoch).bind(tenure.name.as_str());
        let query = tenure
            .keys
            .iter()
            .fold(query, |query, (topic, partition)| query.bind(topic.as_str()).bind(*partition));
        let others: u64 = query.fetch_one().await?;
        if others > 0 { Err(StoreError::Superseded) } else { Ok(()) }
    }

    /// What is added to Kafka's offsets of partitions whose topic was made anew.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn bases(&self) -> Result<HashMap<Key, i64>, StoreError> {
        let rows: Vec<(String, i32, u64)> = self
            .client()
            .query("SELECT toString(topic), partition, max(value) FROM progress WHERE agent = '' AND startsWith(topic, 'base/') GROUP BY topic, partition")
            .fetch_all()
            .await?;
        let base = |(name, partition, value): (String, i32, u64)| {
            let topic = name.strip_prefix("base/")?.to_owned();
            Some(((topic, partition), i64::try_from(value).ok()?))
        };
        Ok(rows.into_iter().filter_map(base).collect())
    }

    /// Keeps such a base; it only grows.
    ///
    /// # Errors
    /// If the engine does not take it.
    pub async fn save_base(&self, key: &Key, base: i64) -> Result<(), StoreError> {
        let part = ProgressPart {
            topic: format!("base/{}", key.0),
            partition: key.1,
            next_offset: base,
            held: Vec::new(),
        };
        self.save_progress(&[part], None).await
    }

    /// The numbers of inserts of tenures that may be in doubt; where there is none it is the first, 0.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn insert_numbers(
        &self,
        names: &[String],
    ) -> Result<HashMap<(Kind, String), u64>, StoreError> {
        if names.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<(String, String, u64)> = self
            .client()
            .query(&format!(
                "SELECT topic, agent, max(value) FROM progress WHERE topic IN ('{}', '{}') AND partition = 0 AND agent IN ? GROUP BY topic, agent",
                Kind::Blocks.mark(),
                Kind::Sums.mark(),
            ))
            .bind(names)
            .fetch_all()
            .await?;
        let number = |(mark, name, number): (String, String, u64)| {
            Kind::from_mark(&mark).map(|kind| ((kind, name), number))
        };
        Ok(rows.into_iter().filter_map(number).collect())
    }
}

/// For people who read the table.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn places(keys: &[Key]) -> String {
    vec!["(topic = ? AND partition = ?)"; keys.len()].join(" OR ")
}
