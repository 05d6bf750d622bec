//! Kafka's group is told where a restored store stands.
//!
//! The collector goes to the store's own progress when a partition's first record comes, and that is the first behind what the group has
//! committed. After a restore the group is ahead of the store, and a partition on which nothing new comes would give nothing: so the
//! group's offsets are set back to the store's progress, and to the beginning where the store has none.

use std::{collections::HashMap, time::Duration};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::KafkaError,
};
use vonggac_wire::topic;

use crate::{config::Config, kafka};

/// How long Kafka may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Why the group was not told.
#[derive(Debug, thiserror::Error)]
#[error(
    "set Kafka's group {group} back to the restored store: {source}; stop every collector of the group, see that Kafka is up, and try again"
)]
pub struct RewindError {
    /// The group.
    pub group: String,
    /// Why.
    pub source: KafkaError,
}

/// Records that Kafka no longer has, and the store does not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first offset that is missing.
    pub from: i64,
    /// The first that Kafka has.
    pub to: i64,
}

/// Sets the group's offsets; gives what lies between the store and Kafka's retention, where there is a hole. Blocks.
///
/// # Errors
/// If Kafka does not answer, or a collector of the group runs.
pub fn rewind(
    config: &Config,
    progress: &[(String, i32, u64)],
) -> Result<Vec<Missing>, RewindError> {
    let wrong = |source| RewindError { group: config.group.clone(), source };
    let consumer: BaseConsumer = kafka::client(config)
        .set("group.id", &config.group)
        .set("client.id", "vonggac-restore")
        .set("enable.auto.commit", "false")
        .create()
        .map_err(wrong)?;
    let next: HashMap<(&str, i32), u64> = progress
        .iter()
        .map(|(topic, partition, next)| ((topic.as_str(), *partition), *next))
        .collect();
    let mut offsets = TopicPartitionList::new();
    let mut missing = Vec::new();
    for name in topic::EVENTS {
        let metadata = consumer.fetch_metadata(Some(name), ANSWER_WITHIN).map_err(wrong)?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        for partition in partitions.map(|partition| partition.id()) {
            let (low, _) =
                consumer.fetch_watermarks(name, partition, ANSWER_WITHIN).map_err(wrong)?;
            let at = next
                .get(&(name, partition))
                .and_then(|next| i64::try_from(*next).ok())
                .unwrap_or(0);
            if at < low {
                missing.push(Missing { topic: name.to_owned(), partition, from: at, to: low });
            }
            offsets
                .add_partition_offset(name, partition, Offset::Offset(at.max(low)))
                .map_err(wrong)?;
        }
    }
    if offsets.count() > 0 {
        consumer.commit(&offsets, CommitMode::Sync).map_err(wrong)?;
    }
    Ok(missing)
}
