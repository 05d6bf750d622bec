//! Dead letters: what could not be taken, and what was done about it.

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::{Time, proto::DeadLetter};

use super::{
    Store, StoreError,
    query::{Reach, bind},
};

/// Letters of one answer: what a person looks through, and what a repair takes in one go.
pub const LETTERS_MAX: u32 = 100_000;

/// What was done about a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DeadState {
    /// Nothing yet.
    Open,
    /// Its bytes were sent again.
    Replayed,
    /// Somebody decided that nothing is lost by it.
    Dropped,
}

impl DeadState {
    /// The word in the store and on screens.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Replayed => "replayed",
            Self::Dropped => "dropped",
        }
    }
}

/// Which letters are asked for; what is `None` does not limit.
#[derive(Clone, Debug, Default)]
pub struct DeadFilter {
    /// Rejected at or after this time.
    pub since: Option<Time>,
    /// "undecodable", "identity", ...
    pub reason: Option<String>,
    /// The agency that the record named.
    pub agency: Option<String>,
    /// What was done about them.
    pub state: Option<DeadState>,
    /// One record: topic, partition, offset.
    pub origin: Option<(String, i32, i64)>,
}

/// A letter with what was done last.
#[derive(Clone, Debug, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct Dead {
    /// When it was rejected, microseconds.
    pub time: i64,
    /// Why, as a word.
    pub reason: String,
    /// Why, as a sentence.
    pub detail: String,
    /// The agency that it named.
    pub agency: String,
    /// The record's topic.
    pub kafka_topic: String,
    /// The record's partition.
    pub kafka_partition: i32,
    /// The record's offset.
    pub kafka_offset: i64,
    /// The record's whole length.
    pub bytes: u64,
    /// A [`DeadState`]'s name.
    pub state: String,
    /// When that was, microseconds; 0: never.
    pub settled: i64,
    /// Who did it.
    pub actor: String,
    /// What for.
    pub why: String,
}

#[derive(Debug, Row, Serialize, Deserialize)]
struct DeadRow {
    time: i64,
    reason: String,
    detail: String,
    agency: String,
    kafka_topic: String,
    kafka_partition: i32,
    kafka_offset: i64,
    bytes: u64,
}

#[derive(Debug, Row, Serialize)]
struct SettledRow<'a> {
    time: i64,
    kafka_topic: &'a str,
    kafka_partition: i32,
    kafka_offset: i64,
    state: &'a str,
    actor: &'a str,
    why: &'a str,
}

impl Store {
    /// Keeps dead letters.
    ///
    /// # Errors
    /// If the engine does not take them.
    pub async fn insert_dead(&self, letters: &[DeadLetter]) -> Result<(), StoreError> {
        self.writes("dead letters", self.write_dead(letters)).await
    }

    async fn write_dead(&self, letters: &[DeadLetter]) -> Result<(), StoreError> {
        let mut insert = self.client().insert::<DeadRow>("dead_letters").await?;
        for letter in letters {
            let row = DeadRow {
                time: Time(letter.time_unix_nano).micros(),
                reason: letter.reason.clone(),
                detail: letter.detail.clone(),
                agency: letter.agency.clone(),
                kafka_topic: letter.topic.clone(),
                kafka_partition: letter.partition,
                kafka_offset: letter.offset,
                bytes: letter.bytes,
            };
            insert.write(&row).await?;
        }
        Ok(insert.end().await?)
    }

    /// Dead letters, newest first.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn dead(&self, filter: &DeadFilter, limit: u32) -> Result<Vec<Dead>, StoreError> {
        self.dead_within(filter, limit, &Reach::Nation).await
    }

    async fn dead_within(
        &self,
        filter: &DeadFilter,
        limit: u32,
        reach: &Reach,
    ) -> Result<Vec<Dead>, StoreError> {
        let reached = reach.and();
        let mut sql = String::from(
            "SELECT time, reason, detail, agency, kafka_topic, kafka_partition, kafka_offset, bytes, \
             if(last.state = '', 'open', last.state) AS state, last.settled AS settled, last.actor AS actor, last.why AS why \
             FROM dead_letters FINAL LEFT JOIN (\
             SELECT kafka_topic, kafka_partition, kafka_offset, argMax(state, time) AS state, toUnixTimestamp64Micro(max(time)) AS settled, \
             argMax(actor, time) AS actor, argMax(why, time) AS why FROM dead_settled \
             GROUP BY kafka_topic, kafka_partition, kafka_offset) AS last USING (kafka_topic, kafka_partition, kafka_offset) WHERE 1",
        );
        if filter.since.is_some() {
            sql.push_str(" AND time >= fromUnixTimestamp64Micro(?, 'UTC')");
        }
        for (set, condition) in [
            (filter.reason.is_some(), " AND reason = ?"),
            (filter.agency.is_some(), " AND agency = ?"),
            (filter.state.is_some(), " AND if(last.state = '', 'open', last.state) = ?"),
            (
                filter.origin.is_some(),
                " AND kafka_topic = ? AND kafka_partition = ? AND kafka_offset = ?",
            ),
        ] {
            if set {
                sql.push_str(condition);
            }
        }
        sql.push_str(&reached.text);
        sql.push_str(" ORDER BY time DESC, kafka_topic, kafka_partition, kafka_offset LIMIT ?");
        let mut query = self.client().query(&sql);
        if let Some(since) = filter.since {
            query = query.bind(since.micros());
        }
        for text in
            [filter.reason.as_deref(), filter.agency.as_deref(), filter.state.map(DeadState::name)]
                .into_iter()
                .flatten()
        {
            query = query.bind(text);
        }
        if let Some((topic, partition, offset)) = &filter.origin {
            query = query.bind(topic).bind(partition).bind(offset);
        }
        let query = bind(query, &reached.values);
        Ok(query.bind(limit.clamp(1, LETTERS_MAX)).fetch_all().await?)
    }

    /// The newest dead letters that are reached, as consoles are told of them.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn dead_letters(
        &self,
        limit: u32,
        reach: &Reach,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let limit = limit.clamp(1, 1_000);
        let letters = self.dead_within(&DeadFilter::default(), limit, reach).await?;
        Ok(letters.into_iter().map(DeadLetter::from).collect())
    }

    /// Dead letters since a time.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn dead_count(&self, since: Time) -> Result<u64, StoreError> {
        Ok(self
            .client()
            .query("SELECT count() FROM dead_letters FINAL WHERE time >= fromUnixTimestamp64Micro(?, 'UTC')")
            .bind(since.micros())
            .fetch_one()
            .await?)
    }

    /// Writes down what was done about letters.
    ///
    /// # Errors
    /// If the engine does not take it.
    pub async fn settle_dead(
        &self,
        letters: &[Dead],
        state: DeadState,
        (actor, why): (&str, &str),
        now: Time,
    ) -> Result<(), StoreError> {
        let mut insert = self.client().insert::<SettledRow<'_>>("dead_settled").await?;
        for letter in letters {
            insert
                .write(&SettledRow {
                    time: now.micros(),
                    kafka_topic: &letter.kafka_topic,
                    kafka_partition: letter.kafka_partition,
                    kafka_offset: letter.kafka_offset,
                    state: state.name(),
                    actor,
                    why,
                })
                .await?;
        }
        Ok(insert.end().await?)
    }
}

impl From<Dead> for DeadLetter {
    fn from(letter: Dead) -> Self {
        Self {
            time_unix_nano: letter.time.saturating_mul(1000),
            reason: letter.reason,
            topic: letter.kafka_topic,
            partition: letter.kafka_partition,
            offset: letter.kafka_offset,
            bytes: letter.bytes,
            agency: letter.agency,
            detail: letter.detail,
            state: letter.state,
            settled_unix_nano: letter.settled.saturating_mul(1000),
            actor: letter.actor,
        }
    }
}
