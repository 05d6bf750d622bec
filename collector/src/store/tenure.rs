//! The table `tenures`, and the numbers of tenures' inserts in `progress`. See [`crate::tenure`].

use std::collections::{BTreeMap, HashMap};

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use serde_repr::{Deserialize_repr, Serialize_repr};
use vonggac_wire::Time;

use super::{ProgressPart, Store, StoreError};
use crate::tenure::{self, Doubted, End, Key, Kind, TAKINGS_READ_MAX, Taking, Tenure};

/// A tenure's step, as in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_repr, Deserialize_repr)]
#[repr(i8)]
enum Step {
    Claimed = 1,
    Ended = 2,
    Valid = 3,
    Void = 4,
}

/// Before a topic's name in `progress`: below which offset all signals of a partition were given.
const SIGNALLED: &str = "signalled/";

/// A token: its tenure's epoch, the token with its number behind the last slash.
type TokenPair = (u64, String);

#[derive(Debug, Row, Serialize, Deserialize)]
struct TakingRow {
    topic: String,
    partition: i32,
    epoch: u64,
    name: String,
    step: Step,
    high: i64,
    blocks: Vec<TokenPair>,
    sums: Vec<TokenPair>,
    collector: String,
    time: i64,
}

impl TakingRow {
    fn new(tenure: &Tenure, key: &Key, step: Step, now: Time) -> Self {
        Self {
            topic: key.0.clone(),
            partition: key.1,
            epoch: tenure.epoch,
            name: tenure.name.clone(),
            step,
            high: -1,
            blocks: Vec::new(),
            sums: Vec::new(),
            collector: format!("{}/{}", host(), std::process::id()),
            time: now.micros(),
        }
    }
}

fn pairs(doubts: &[Doubted]) -> Vec<TokenPair> {
    doubts.iter().map(|doubted| (doubted.epoch, doubted.token.clone())).collect()
}

fn doubts(pairs: Vec<TokenPair>) -> Vec<Doubted> {
    let number = |token: &str| token.rsplit('/').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let doubted = |(epoch, token): TokenPair| Doubted { epoch, number: number(&token), token };
    pairs.into_iter().map(doubted).collect()
}

impl Store {
    /// The last takings of these partitions.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn takings(&self, keys: &[Key]) -> Result<Vec<Taking>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.settle("tenures").await?;
        let text = format!(
            "SELECT ?fields FROM tenures WHERE {} ORDER BY epoch DESC LIMIT {} BY topic, partition",
            places(keys),
            2 * TAKINGS_READ_MAX,
        );
        let query = keys.iter().fold(self.client().query(&text), |query, (topic, partition)| {
            query.bind(topic.as_str()).bind(*partition)
        });
        let rows: Vec<TakingRow> = query.fetch_all().await?;
        let lowest = rows.iter().map(|row| row.epoch).min().unwrap_or(0);
        let decided: HashMap<String, bool> = self
            .client()
            .query("SELECT name, step = 'valid' FROM tenures WHERE topic = '' AND partition = 0 AND epoch >= ?")
            .bind(lowest)
            .fetch_all::<(String, bool)>()
            .await?
            .into_iter()
            .collect();
        let mut takings: BTreeMap<(Key, u64, String), Option<End>> = BTreeMap::new();
        for row in rows {
            let place = ((row.topic, row.partition), row.epoch, row.name);
            let end = takings.entry(place).or_default();
            if row.step == Step::Ended {
                let (blocks, sums) = (doubts(row.blocks), doubts(row.sums));
                *end = Some(End { high: row.high, blocks, sums });
            }
        }
        let taking = |((key, epoch, name), end): ((Key, u64, String), Option<End>)| {
            let valid = decided.get(&name).copied();
            Taking { key, epoch, name, end, valid }
        };
        Ok(takings.into_iter().map(taking).collect())
    }

    /// Says that a tenure begins. The same a second time is harmless.
    ///
    /// # Errors
    /// If the engine does not take it.
    pub async fn begin_tenure(&self, tenure: &Tenure, now: Time) -> Result<(), StoreError> {
        let claimed = tenure.keys.iter().map(|key| TakingRow::new(tenure, key, Step::Claimed, now));
        self.insert_takings(claimed.collect(), None).await
    }

    /// Writes where partitions ended behind the taking, and which tokens are taken away.
    ///
    /// # Errors
    /// If the engine does not take it.
    pub async fn tell_ends(
        &self,
        tenure: &Tenure,
        ends: &[(Key, End)],
        now: Time,
    ) -> Result<(), StoreError> {
        let ended = ends.iter().map(|(key, end)| TakingRow {
            high: end.high,
            blocks: pairs(&end.blocks),
            sums: pairs(&end.sums),
            ..TakingRow::new(tenure, key, Step::Ended, now)
        });
        self.insert_takings(ended.collect(), None).await
    }

    /// Makes a tenure of another void, unless it is valid already.
    ///
    /// # Errors
    /// If the engine does not take it.
    pub async fn make_void(&self, epoch: u64, name: &str, now: Time) -> Result<(), StoreError> {
        self.decide(&Tenure::new(name.to_owned(), epoch, Vec::new()), Step::Void, now).await
    }

    /// Makes a tenure valid.
    ///
    /// # Errors
    /// [`StoreError::Superseded`] if a later one made it void, or if the engine does not answer.
    pub async fn make_valid(&self, tenure: &Tenure, now: Time) -> Result<(), StoreError> {
        self.decide(tenure, Step::Valid, now).await?;
        self.settle("tenures").await?;
        let valid: u64 = self
            .client()
            .query("SELECT count() FROM tenures WHERE topic = '' AND partition = 0 AND epoch = ? AND name = ? AND step = 'valid'")
            .bind(tenure.epoch)
            .bind(tenure.name.as_str())
            .fetch_one()
            .await?;
        if valid > 0 { Ok(()) } else { Err(StoreError::Superseded) }
    }

    async fn decide(&self, tenure: &Tenure, step: Step, now: Time) -> Result<(), StoreError> {
        let row = TakingRow::new(tenure, &(String::new(), 0), step, now);
        self.insert_takings(vec![row], Some(tenure::decision(&tenure.name))).await
    }

    async fn insert_takings(
        &self,
        rows: Vec<TakingRow>,
        token: Option<String>,
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut insert = self.client().insert::<TakingRow>("tenures").await?;
        if let Some(token) = token {
            insert = insert.with_setting("insert_deduplication_token", token);
        }
        for row in rows {
            insert.write(&row).await?;
        }
        Ok(insert.end().await?)
    }

    /// Fails with [`StoreError::Superseded`] if another one took over any partition of a tenure.
    ///
    /// # Errors
    /// That, or if the engine does not answer.
    pub async fn sure_of(&self, tenure: &Tenure) -> Result<(), StoreError> {
        // Each block begins with it: where an engine hangs, it hangs here.
        self.writes("tenures", self.look(tenure)).await
    }

    async fn look(&self, tenure: &Tenure) -> Result<(), StoreError> {
        if tenure.keys.is_empty() {
            return Ok(());
        }
        self.settle("tenures").await?;
        let text = format!(
            "SELECT count() FROM tenures WHERE epoch >= ? AND step = 'claimed' AND name != ? AND ({})",
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

    /// Below which offset all signals of partitions were given; nothing, where nobody wrote it down yet.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn signalled(&self, keys: &[Key]) -> Result<HashMap<Key, i64>, StoreError> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        self.settle("progress").await?;
        let text = format!(
            "SELECT toString(topic), partition, max(value) FROM progress WHERE agent = '' AND ({}) GROUP BY topic, partition",
            places(keys)
        );
        let query = keys.iter().fold(self.client().query(&text), |query, (topic, partition)| {
            query.bind(format!("{SIGNALLED}{topic}")).bind(*partition)
        });
        let place = |(name, partition, value): (String, i32, u64)| {
            let topic = name.strip_prefix(SIGNALLED)?.to_owned();
            Some(((topic, partition), i64::try_from(value).ok()?))
        };
        let rows: Vec<(String, i32, u64)> = query.fetch_all().await?;
        Ok(rows.into_iter().filter_map(place).collect())
    }

    /// Writes that down; it only grows.
    ///
    /// # Errors
    /// If the engine does not take it.
    pub async fn save_signalled(&self, places: &[(Key, i64)]) -> Result<(), StoreError> {
        let part = |((topic, partition), next): &(Key, i64)| ProgressPart {
            topic: format!("{SIGNALLED}{topic}"),
            partition: *partition,
            next_offset: *next,
            held: Vec::new(),
        };
        self.save_progress(&places.iter().map(part).collect::<Vec<_>>(), None).await
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
        self.settle("progress").await?;
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
pub(crate) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn places(keys: &[Key]) -> String {
    vec!["(topic = ? AND partition = ?)"; keys.len()].join(" OR ")
}
