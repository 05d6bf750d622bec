//! Kafka's side of the chain: one consumer in the group, offsets kept in the store.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    consumer::{
        BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance, StreamConsumer,
    },
    error::KafkaError,
};
use vonggac_wire::{Time, limits::RECORD_BYTES_MAX, proto::Origin, topic};

use crate::{config::Config, decode::Taken, store::ProgressPart};

/// Kilobytes that librdkafka may fetch ahead: the bound on memory while the engine is slow.
const FETCHED_AHEAD_KBYTES_MAX: usize = 64 * 1024;

/// How long Kafka may take to answer a question.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Messages of the three topics.
pub struct Consumer {
    inner: StreamConsumer<Rebalances>,
    rebalances: Arc<AtomicU64>,
}

/// Counts how often the group gave or took partitions.
struct Rebalances(Arc<AtomicU64>);

impl ClientContext for Rebalances {}

impl ConsumerContext for Rebalances {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Consumer {
    /// Joins the group.
    ///
    /// # Errors
    /// If librdkafka refuses the settings.
    pub fn new(config: &Config) -> Result<Self, KafkaError> {
        let rebalances = Arc::new(AtomicU64::new(0));
        let inner: StreamConsumer<Rebalances> = ClientConfig::new()
            .set("bootstrap.servers", config.brokers.join(","))
            .set("group.id", &config.group)
            .set("client.id", "vonggac-collector")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "range")
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "2000")
            .set("max.poll.interval.ms", "86400000")
            .set("queued.max.messages.kbytes", FETCHED_AHEAD_KBYTES_MAX.to_string())
            .set("fetch.message.max.bytes", RECORD_BYTES_MAX.to_string())
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "200")
            .set("statistics.interval.ms", "0")
            .set("reconnect.backoff.max.ms", "2000")
            .create_with_context(Rebalances(Arc::clone(&rebalances)))?;
        inner.subscribe(&topic::EVENTS)?;
        Ok(Self { inner, rebalances })
    }

    /// The next message. Errors that pass by themselves are waited out.
    ///
    /// # Errors
    /// Those that do not pass.
    pub async fn recv(&self) -> Result<Taken, KafkaError> {
        loop {
            match self.inner.recv().await {
                Ok(message) => {
                    return Ok(Taken {
                        origin: Origin {
                            topic: message.topic().to_owned(),
                            partition: message.partition(),
                            offset: message.offset(),
                        },
                        appended: message
                            .timestamp()
                            .to_millis()
                            .map_or_else(Time::now, |ms| Time(ms.saturating_mul(1_000_000))),
                        key: message.key().unwrap_or_default().to_vec(),
                        value: message.payload().unwrap_or_default().to_vec(),
                    });
                }
                Err(error @ KafkaError::MessageConsumptionFatal(_)) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "Kafka does not give records; waiting");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }

    /// Numbers of the partitions that the group gave to this collector.
    pub fn held(&self) -> Vec<i32> {
        let Ok(assigned) = self.inner.assignment() else { return Vec::new() };
        let mut numbers: Vec<i32> =
            assigned.elements().iter().map(|element| element.partition()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// The partitions that the group gave to this collector, with their topics.
    pub fn assigned(&self) -> Vec<(String, i32)> {
        let Ok(assigned) = self.inner.assignment() else { return Vec::new() };
        assigned
            .elements()
            .iter()
            .map(|element| (element.topic().to_owned(), element.partition()))
            .collect()
    }

    /// How often the group gave or took partitions: what was known of any of them may be over since.
    pub fn rebalances(&self) -> u64 {
        self.rebalances.load(Ordering::SeqCst)
    }

    /// Goes on at an offset.
    ///
    /// # Errors
    /// If the partition is not held.
    pub fn seek(&self, topic: &str, partition: i32, offset: i64) -> Result<(), KafkaError> {
        self.inner.seek(topic, partition, Offset::Offset(offset), ANSWER_WITHIN)
    }

    /// The first offset that was appended at or after a time; `None` if there is none, or Kafka does not say.
    pub async fn offset_at(&self, topic: &str, partition: i32, time: Time) -> Option<i64> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(topic, partition, Offset::Offset(time.0 / 1_000_000)).ok()?;
        let answered =
            tokio::task::block_in_place(|| self.inner.offsets_for_times(asked, ANSWER_WITHIN))
                .ok()?;
        match answered.find_partition(topic, partition)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }

    /// Records of a partition behind `position`, as far as the last fetch told.
    pub fn lag(&self, topic: &str, partition: i32, position: i64) -> u64 {
        let marks = self.inner.fetch_watermarks(topic, partition, Duration::from_millis(1));
        marks.map_or(0, |(_, high)| u64::try_from(high - position).unwrap_or(0))
    }

    /// Tells Kafka, for its own tools.
    pub fn commit(&self, parts: &[ProgressPart]) {
        let mut offsets = TopicPartitionList::new();
        for part in parts {
            if offsets
                .add_partition_offset(&part.topic, part.partition, Offset::Offset(part.next_offset))
                .is_err()
            {
                return;
            }
        }
        if let Err(error) = self.inner.commit(&offsets, CommitMode::Async) {
            tracing::debug!(%error, "Kafka did not take the offsets; the store has them");
        }
    }

    /// The last word to Kafka.
    pub fn commit_now(&self) {
        if let Err(error) = self.inner.commit_consumer_state(CommitMode::Async) {
            tracing::debug!(%error, "Kafka did not take the offsets; the store has them");
        }
    }
}
