//! ClickHouse: what is written and how it is asked.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use clickhouse::{Client, Compression, Row};
use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    offsets::{Numbers, Progress},
    tenure::{Key, Next},
};

pub mod ailing;
pub mod audit;
pub mod backup;
pub mod baseline;
pub mod batch;
mod book;
mod break_glass;
mod canary;
mod certificate;
pub mod cluster;
pub mod cold;
mod connection;
pub mod dead;
pub mod digest;
mod events;
pub mod export;
mod losses;
pub mod migrate;
pub mod month;
pub mod notify;
mod own;
pub mod query;
mod quiet;
pub mod refusal;
pub mod retention;
pub mod rollup;
pub mod row;
mod saved;
pub mod sql;
mod tenure;
pub mod threat;
pub mod usage;
mod why;

pub use book::{BookState, StoredTransition};
pub use canary::CanaryRow;
pub use quiet::Withheld;
pub(crate) use tenure::host;
pub use why::Source;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine is away or refuses; its own words.
    #[error("ask the engine: {}", refusal::whole(.0))]
    Engine(#[from] clickhouse::error::Error),
    /// The store was written by a newer program.
    #[error(
        "use this store: its schema is version {found}, this program knows up to {known}; update the collector"
    )]
    Newer {
        /// Found.
        found: u32,
        /// Known.
        known: u32,
    },
    /// A query that may not be run.
    #[error("run this query: {0}")]
    Forbidden(String),
    /// The tables lie otherwise than the configuration says.
    #[error(
        "use the database {database:?}: it is laid out for {found}, the configuration is for {wanted}; set [engine] cluster accordingly, or name another \
         [engine] database and fill it by `backup` and `restore`"
    )]
    LaidOut {
        /// The database.
        database: String,
        /// As it is.
        found: cluster::Layout,
        /// As it should be.
        wanted: cluster::Layout,
    },
    /// A migration that no cluster can be brought to.
    #[error(transparent)]
    Shape(#[from] cluster::ddl::ShapeError),
    /// Rows of before did not come to their new order.
    #[error(transparent)]
    Sorting(#[from] migrate::SortingError),
    /// What was stored does not read back.
    #[error("understand a stored incident: {0}")]
    Stored(#[from] serde_json::Error),
    /// Another collector took a partition over; the group is asked anew.
    #[error("go on with partitions that another collector took over; the group is asked anew")]
    Superseded,
}

impl StoreError {
    /// Trying again cannot help.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Newer { .. }
                | Self::Forbidden(_)
                | Self::LaidOut { .. }
                | Self::Shape(_)
                | Self::Sorting(migrate::SortingError::OnCluster(_))
                | Self::Superseded
        )
    }
}

/// A gap in an agent's numbers.
#[derive(Clone, Debug, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct GapRow {
    /// When it was found, microseconds.
    pub time: i64,
    /// The agency.
    pub agency: String,
    /// The host.
    pub host: String,
    /// The agent.
    pub agent: String,
    /// The lane.
    pub lane: String,
    /// First missing number.
    pub first_seq: u64,
    /// Last missing number.
    pub last_seq: u64,
    /// "overflow", "damage", "truncation", "removed", "unexplained", "replayed": a dead letter filled it; "expired": Kafka gave records up
    /// before they were stored; "topic-renewed": a topic was made anew or cut; "unopened": records that expand beyond all bounds were passed over. Of the last three, `agent` is a partition, and numbers are offsets.
    pub reason: String,
    /// When the first of them was read by the agent's clock, microseconds; 0: not known.
    pub first_observed: i64,
    /// When the last of them was.
    pub last_observed: i64,
    /// How many events are missing: what the agent counted, else all numbers of the range; 0: not known.
    pub events: u64,
    /// How many bytes, where they were known.
    pub bytes: u64,
    /// What could not be read, where the agent names it.
    pub source: String,
    /// The number of the event that told it, where the gap has no numbers of its own; else 0.
    pub told_seq: u64,
}

#[derive(Debug, Row, Serialize, Deserialize)]
struct ProgressRow {
    topic: String,
    partition: i32,
    agent: String,
    value: u64,
    ahead: Vec<(u64, u64)>,
    version: u64,
}

#[derive(Debug, Row, Deserialize)]
struct HeldRow {
    topic: String,
    partition: i32,
    agent: String,
    mark: u64,
    ranges: Vec<(u64, u64)>,
}

/// What a block's progress says of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressPart {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next offset.
    pub next_offset: i64,
    /// Agents' numbers that changed.
    pub held: Vec<(String, Numbers)>,
}

/// The store. Cloning shares its connections.
#[derive(Clone)]
pub struct Store {
    client: Client,
    patient: Client,
    database: String,
    shelf: Option<cold::Shelf>,
    watch: ailing::Watch,
    layout: cluster::Layout,
    /// The columns of the table are those that rows are written with.
    columns_known: Arc<AtomicBool>,
    ceiling: query::Ceiling,
}

/// How long one statement of retention, backup or export may take: they go through months of rows, within a night.
const PATIENCE: Duration = Duration::from_secs(4 * 3_600);

impl Store {
    /// A store at the configured address; nothing is asked yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let layout = cluster::Layout::of(config.cluster.as_deref());
        let client = |answer_within| {
            let mut client = connection::client(answer_within)
                .with_url(&config.engine_url)
                .with_compression(Compression::None);
            if layout.is_cluster() {
                for (name, value) in cluster::SETTINGS {
                    client = client.with_setting(name, value);
                }
            }
            match &config.engine_user {
                Some((user, password)) => client.with_user(user).with_password(password.reveal()),
                None => client,
            }
        };
        Self {
            client: client(config.engine_answer_within),
            patient: client(PATIENCE.max(config.engine_answer_within)),
            database: config.database.clone(),
            shelf: config.keeping.cold.clone().map(cold::Shelf::new),
            watch: ailing::Watch::default(),
            layout,
            columns_known: Arc::default(),
            ceiling: query::Ceiling::default(),
        }
    }

    /// The same store for work that goes through many rows: it waits for hours.
    #[must_use]
    pub fn patiently(mut self) -> Self {
        self.client = self.patient.clone();
        self
    }

    /// The same store with a setting of the engine for all that is asked.
    #[must_use]
    pub fn with_setting(mut self, name: &str, value: &str) -> Self {
        self.client = self.client.with_setting(name, value);
        self.patient = self.patient.with_setting(name, value);
        self
    }

    /// The client, within the database.
    pub(crate) fn client(&self) -> Client {
        self.client.clone().with_database(&self.database)
    }

    /// Whether the engine answers.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.client.query("SELECT 1").execute().await?)
    }

    /// Writes how far partitions were taken, with the number of the tenure's next insert, as one block.
    ///
    /// # Errors
    /// If the engine does not take it.
    pub async fn save_progress(
        &self,
        parts: &[ProgressPart],
        next: Option<&Next>,
    ) -> Result<(), StoreError> {
        self.writes("progress", self.write_progress(parts, next)).await
    }

    async fn write_progress(
        &self,
        parts: &[ProgressPart],
        next: Option<&Next>,
    ) -> Result<(), StoreError> {
        let mut insert = self.client().insert::<ProgressRow>("progress").await?;
        if let Some(Next { name, kind, number }) = next {
            let row = ProgressRow {
                topic: kind.mark().into(),
                partition: 0,
                agent: name.clone(),
                value: *number,
                ahead: Vec::new(),
                version: *number,
            };
            insert.write(&row).await?;
        }
        for part in parts {
            let offset = u64::try_from(part.next_offset).unwrap_or(0);
            let row = |agent: &str, value, ahead: &[(u64, u64)]| ProgressRow {
                topic: part.topic.clone(),
                partition: part.partition,
                agent: agent.to_owned(),
                value,
                ahead: ahead.to_vec(),
                version: offset,
            };
            insert.write(&row("", offset, &[])).await?;
            for (agent, held) in &part.held {
                insert.write(&row(agent, held.mark.unwrap_or(0), &held.ahead)).await?;
            }
        }
        Ok(insert.end().await?)
    }

    /// How far partitions were taken.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn progress(&self, keys: &[Key]) -> Result<HashMap<Key, Progress>, StoreError> {
        let mut all: HashMap<Key, Progress> =
            keys.iter().map(|key| (key.clone(), Progress::default())).collect();
        if keys.is_empty() {
            return Ok(all);
        }
        self.settle("progress").await?;
        let places = vec!["(topic = ? AND partition = ?)"; keys.len()].join(" OR ");
        let text = format!(
            "SELECT toString(topic) AS topic, partition, agent, argMax(value, version) AS mark, argMax(ahead, version) AS ranges FROM progress WHERE {places} GROUP BY topic, partition, agent"
        );
        let query = keys.iter().fold(self.client().query(&text), |query, (topic, partition)| {
            query.bind(topic.as_str()).bind(*partition)
        });
        for row in query.fetch_all::<HeldRow>().await? {
            let progress = all.entry((row.topic, row.partition)).or_default();
            if row.agent.is_empty() {
                progress.next_offset = i64::try_from(row.mark).ok();
            } else {
                progress.held.insert(row.agent, Numbers::stored(row.mark, row.ranges));
            }
        }
        Ok(all)
    }

    /// Rows of partitions that are stored at or above an offset.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn held(
        &self,
        from: &BTreeMap<Key, i64>,
    ) -> Result<HashMap<Key, HashSet<(i64, u32)>>, StoreError> {
        if from.is_empty() {
            return Ok(HashMap::new());
        }
        self.settle("events").await?;
        let place = "(kafka_topic = ? AND kafka_partition = ? AND kafka_offset >= ?)";
        let text = format!(
            "SELECT toString(kafka_topic), kafka_partition, kafka_offset, kafka_index FROM events WHERE {}",
            vec![place; from.len()].join(" OR ")
        );
        let query = from.iter().fold(self.client().query(&text), |query, (key, offset)| {
            query.bind(key.0.as_str()).bind(key.1).bind(*offset)
        });
        let mut held: HashMap<Key, HashSet<(i64, u32)>> = HashMap::new();
        for (topic, partition, offset, index) in
            query.fetch_all::<(String, i32, i64, u32)>().await?
        {
            held.entry((topic, partition)).or_default().insert((offset, index));
        }
        Ok(held)
    }

    /// Keeps gaps.
    ///
    /// # Errors
    /// If the engine does not take them.
    pub async fn insert_gaps(&self, gaps: &[GapRow]) -> Result<(), StoreError> {
        self.writes("gaps", self.write_gaps(gaps)).await
    }

    async fn write_gaps(&self, gaps: &[GapRow]) -> Result<(), StoreError> {
        if gaps.is_empty() {
            return Ok(());
        }
        let mut insert = self.client().insert::<GapRow>("gaps").await?;
        for gap in gaps {
            insert.write(gap).await?;
        }
        Ok(insert.end().await?)
    }
}
