//! The topic of dead letters, read: the bytes of a letter by the place where the record once stood.

use std::{collections::HashSet, time::Duration};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::{Header, Headers as _, OwnedHeaders},
    producer::FutureRecord,
    util::Timeout,
};
use vonggac_wire::{
    Time,
    limits::RECORD_BYTES_MAX,
    topic::{self, header},
};

use crate::{
    config::Config,
    kafka::{self, Producer},
    store::dead::Dead,
};

/// How long Kafka may take to answer a question.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Clocks of collector and broker differ by less than this where both are kept by NTP; a letter is looked for from so long before it.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(300);

/// Why letters could not be read or sent.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// Kafka does not answer or refuses.
    #[error("read the topic of dead letters: {0}; is Kafka up at kafka.brokers?")]
    Read(#[source] KafkaError),
    /// Kafka stopped giving records before the end of the topic.
    #[error("read the topic of dead letters to its end: nothing came for {} s; try again", ANSWER_WITHIN.as_secs())]
    Stalled,
    /// Kafka did not take a letter again.
    #[error("send a letter again: {0}; those before it were sent")]
    Send(#[source] KafkaError),
}

/// The place where a record stood before it was rejected: topic, partition, offset.
pub type Origin = (String, i32, i64);

/// A letter's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Where it stood.
    pub origin: Origin,
    /// The record's key.
    pub key: Vec<u8>,
    /// The record's value, maybe cut.
    pub value: Vec<u8>,
    /// The whole value's length.
    pub bytes: u64,
}

impl Content {
    /// Whether all bytes were kept.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.value.len() as u64 == self.bytes
    }
}

/// Reads the contents of these letters in the order of the topic, and gives each to `each`, so that only one is held. What Kafka no longer
/// has is not given.
///
/// # Errors
/// If Kafka does not answer, and what `each` refuses.
pub fn read<E: From<ShelfError>>(
    config: &Config,
    letters: &[Dead],
    mut each: impl FnMut(&Content) -> Result<(), E>,
) -> Result<(), E> {
    let mut wanted: HashSet<Origin> = letters.iter().map(origin).collect();
    let Some(oldest) = letters.iter().map(|letter| letter.time).min() else { return Ok(()) };
    let from = Time(oldest.saturating_mul(1000)).minus(CLOCKS_APART_MAX);
    let (consumer, partitions) = open(config, from)?;
    let mut ended = HashSet::new();
    while !wanted.is_empty() && ended.len() < partitions {
        let message = match consumer.poll(ANSWER_WITHIN) {
            None => return Err(ShelfError::Stalled.into()),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                ended.insert(partition);
                continue;
            }
            Some(Err(error)) => return Err(ShelfError::Read(error).into()),
            Some(Ok(message)) => message,
        };
        let Some((origin, bytes)) = told(&message) else { continue };
        if wanted.remove(&origin) {
            each(&Content {
                origin,
                key: message.key().unwrap_or_default().to_vec(),
                value: message.payload().unwrap_or_default().to_vec(),
                bytes,
            })?;
        }
    }
    Ok(())
}

/// A consumer at what was appended since a time, and the number of its partitions.
fn open(config: &Config, from: Time) -> Result<(BaseConsumer, usize), ShelfError> {
    let consumer: BaseConsumer = kafka::client(config)
        .set("client.id", "vonggac-collector-dead")
        .set("group.id", "vonggac-collector-dead")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("fetch.message.max.bytes", RECORD_BYTES_MAX.to_string())
        .create()
        .map_err(ShelfError::Read)?;
    let metadata =
        consumer.fetch_metadata(Some(topic::DEAD), ANSWER_WITHIN).map_err(ShelfError::Read)?;
    let partitions = metadata.topics().first().map(|topic| topic.partitions()).unwrap_or_default();
    let mut asked = TopicPartitionList::new();
    for partition in partitions {
        let since = Offset::Offset((from.0 / 1_000_000).max(0));
        asked.add_partition_offset(topic::DEAD, partition.id(), since).map_err(ShelfError::Read)?;
    }
    let starts = consumer.offsets_for_times(asked, ANSWER_WITHIN).map_err(ShelfError::Read)?;
    consumer.assign(&starts).map_err(ShelfError::Read)?;
    Ok((consumer, partitions.len()))
}

/// Sends a letter's record to the place where it was rejected.
///
/// # Errors
/// If Kafka does not take it.
pub async fn send_again(producer: &Producer, content: &Content) -> Result<(), ShelfError> {
    let (topic, partition, offset) = &content.origin;
    let offset = offset.to_string();
    let headers =
        OwnedHeaders::new().insert(Header { key: header::REPLAY_OF, value: Some(&offset) });
    let record = FutureRecord::to(topic)
        .partition(*partition)
        .key(&content.key)
        .payload(&content.value)
        .headers(headers);
    let sent = producer.send(record, Timeout::After(ANSWER_WITHIN)).await;
    sent.map(|_| ()).map_err(|(error, _)| ShelfError::Send(error))
}

/// Where a letter's record stood.
#[must_use]
pub fn origin(letter: &Dead) -> Origin {
    (letter.kafka_topic.clone(), letter.kafka_partition, letter.kafka_offset)
}

/// What the headers say of the record's origin and whole length.
fn told(message: &impl Message) -> Option<(Origin, u64)> {
    let headers = message.headers()?;
    let text = |name: &str| {
        let found = headers.iter().find(|header| header.key == name)?;
        std::str::from_utf8(found.value?).ok()
    };
    let origin = (
        text(header::DEAD_TOPIC)?.to_owned(),
        text(header::DEAD_PARTITION)?.parse().ok()?,
        text(header::DEAD_OFFSET)?.parse().ok()?,
    );
    Some((origin, text(header::DEAD_BYTES)?.parse().ok()?))
}
