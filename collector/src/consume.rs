//! Kafka's side of the chain: one consumer in the group, offsets kept in the store.
//!
//! What the group gives or takes is a [`Change`], and stays undone until the chain has finished what it had in hand: only then the group
//! goes on. A collector that does not come back from that within [`ANSWER_THE_GROUP_WITHIN`] is left behind by the group; see
//! [`tenure`](crate::tenure) for why that harms nothing.
//!
//! Offsets are the store's. A topic that was deleted and made anew counts from 0 again; its records stand in the store behind those of
//! before, by a [base](Consumer::assign) that is added to Kafka's offsets here and nowhere else.

use std::{collections::HashMap, time::Duration};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _, ConsumerContext, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers as _},
};
use vonggac_wire::{
    Time, limits::RECORD_BYTES_MAX, proto::Origin, seal::CERTIFICATES_BYTES_MAX, topic::header,
};

use crate::{
    canary::Canary, config::Config, decode::Taken, kafka, store::ProgressPart, tenure::Key,
};

pub mod group;
pub mod place;
pub mod reread;
pub mod unopened;

use group::{Change, Group};

/// Kilobytes that librdkafka may fetch ahead: the bound on memory while the engine is slow.
const FETCHED_AHEAD_KBYTES_MAX: usize = 16 * 1024;

/// Bytes of one answer of Kafka, all partitions together: they are expanded at once, whatever is queued already, and zstd makes ten times as
/// much of them. librdkafka's own bound is 50 MB. A single larger batch still comes.
const FETCH_BYTES_MAX: usize = RECORD_BYTES_MAX;

/// Bytes of them that are one partition's, so that a backlog of one does not hold the others up.
const FETCH_PARTITION_BYTES_MAX: usize = 1024 * 1024;

/// How long Kafka may take to answer a question.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long the group waits for a collector that has something in hand, before it gives its partitions to others.
const ANSWER_THE_GROUP_WITHIN: Duration = Duration::from_secs(300);

/// How often librdkafka tells where partitions end.
const ENDS_EVERY: Duration = Duration::from_secs(2);

/// What came.
#[derive(Debug)]
pub enum Received {
    /// A record.
    Record(Taken),
    /// A partition does not have the offset that was asked for: retention has passed it, or the topic was made anew.
    OutOfRange,
    /// A partition has a record that cannot be [opened](unopened).
    Unopened,
}

/// The first offset that a partition has, and the one behind its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first.
    pub low: i64,
    /// Behind the last.
    pub high: i64,
}

/// A client that has not joined its group yet.
pub struct Unjoined(StreamConsumer<Group>);

/// Messages of some topics, as a member of a group.
pub struct Consumer {
    inner: StreamConsumer<Group>,
    settings: ClientConfig,
    topics: Vec<String>,
    /// What is added to Kafka's offsets, where that is not 0.
    bases: HashMap<Key, i64>,
}

impl Consumer {
    /// Joins the group.
    ///
    /// # Errors
    /// If librdkafka refuses the settings.
    pub fn new(
        config: &Config,
        group: &str,
        client: &str,
        topics: &[&str],
    ) -> Result<Self, KafkaError> {
        let mut settings = settings(config, group);
        settings
            .set("client.id", client)
            .set("partition.assignment.strategy", "range")
            .set("queued.max.messages.kbytes", FETCHED_AHEAD_KBYTES_MAX.to_string())
            .set("fetch.max.bytes", FETCH_BYTES_MAX.to_string())
            .set("fetch.message.max.bytes", FETCH_PARTITION_BYTES_MAX.to_string())
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "200")
            .set("statistics.interval.ms", ENDS_EVERY.as_millis().to_string());
        let inner: StreamConsumer<Group> = settings.create_with_context(Group::default())?;
        inner.subscribe(topics)?;
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        Ok(Self { inner, settings, topics, bases: HashMap::new() })
    }

    /// Its client has no broker left, and finds none again: [another](Self::another) has to go on.
    pub fn is_lost(&self) -> bool {
        self.inner.context().is_lost()
    }

    /// Another client of the same settings, by the certificate as it is now.
    ///
    /// # Errors
    /// If librdkafka refuses: the certificate cannot be used.
    pub fn another(&self) -> Result<Unjoined, KafkaError> {
        Ok(Unjoined(self.settings.create_with_context(Group::default())?))
    }

    /// Leaves the group, and joins it anew with another client. Who calls it has finished what it held: from here on nothing is held until
    /// the group gives it.
    ///
    /// # Errors
    /// If librdkafka refuses.
    pub fn go_on_with(&mut self, another: Unjoined) -> Result<(), KafkaError> {
        let former = std::mem::replace(&mut self.inner, another.0);
        self.bases.clear();
        leave(&former);
        // To close a client can take as long as a broker likes, and nobody waits for it.
        std::thread::spawn(move || drop(former));
        self.inner.subscribe(&self.topics.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// What comes next. Errors that pass by themselves are waited out.
    ///
    /// # Errors
    /// Those that do not pass.
    pub async fn recv(&self) -> Result<Received, KafkaError> {
        next(&self.inner, &self.bases).await
    }

    /// Waits until the group gives or takes partitions.
    pub async fn changed(&self) {
        self.inner.context().changed().await;
    }

    /// What the group wants, if it wants anything.
    pub fn change(&self) -> Option<Change> {
        self.inner.context().change()
    }

    /// Takes what the group gave, from these offsets on. `bases`: what is added to Kafka's own offsets.
    ///
    /// # Errors
    /// If librdkafka refuses.
    pub fn assign(
        &mut self,
        offsets: &[(Key, i64)],
        bases: HashMap<Key, i64>,
    ) -> Result<(), KafkaError> {
        self.bases = bases;
        self.inner.assign(&list(offsets, &self.bases)?)
    }

    /// Gives all back: the group goes on.
    ///
    /// # Errors
    /// If librdkafka refuses.
    pub fn release(&mut self) -> Result<(), KafkaError> {
        self.inner.unassign()
    }

    /// Leaves the group and joins it anew: who was superseded does not know what it holds.
    ///
    /// # Errors
    /// If librdkafka refuses.
    pub fn rejoin(&mut self) -> Result<(), KafkaError> {
        // What was given and not taken yet is answered first, by taking nothing: librdkafka waits for that before it does anything else, for
        // ever. To give back is no answer to a giving.
        self.inner.assign(&TopicPartitionList::new())?;
        self.inner.unsubscribe();
        self.inner.subscribe(&self.topics.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Waits while nothing is held, and hears meanwhile what librdkafka has to say: who has lost all brokers learns it in no other way.
    pub async fn wait(&self, time: Duration) {
        let hears = tokio::time::timeout(time, self.recv());
        let (_late, ()) = tokio::join!(hears, tokio::time::sleep(time));
    }

    /// What a partition has, by Kafka's own offsets; `None`: Kafka does not say.
    pub fn extent(&self, key: &Key) -> Option<Extent> {
        extent(&self.inner, key)
    }

    /// Kafka's own first offset that was appended at or after a time; `None` if there is none, or Kafka does not say.
    pub fn offset_at(&self, key: &Key, time: Time) -> Option<i64> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(&key.0, key.1, Offset::Offset(time.0 / 1_000_000)).ok()?;
        let answered =
            tokio::task::block_in_place(|| self.inner.offsets_for_times(asked, ANSWER_WITHIN))
                .ok()?;
        match answered.find_partition(&key.0, key.1)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }

    /// Records of a partition behind `position`, as far as the last fetch told.
    pub fn lag(&self, key: &Key, position: i64) -> u64 {
        let base = self.bases.get(key).copied().unwrap_or(0);
        let end = self.inner.context().end(key);
        end.map_or(0, |end| u64::try_from(end + base - position).unwrap_or(0))
    }

    /// Of these places those behind which something waits, by Kafka's own offsets.
    pub fn waiting<'a>(&self, places: impl Iterator<Item = (&'a Key, i64)>) -> Vec<(Key, i64)> {
        let own = |(key, position): (&Key, i64)| {
            let own = position - self.bases.get(key).copied().unwrap_or(0);
            let waits = self.inner.context().end(key).is_none_or(|end| end > own);
            waits.then(|| (key.clone(), own))
        };
        places.filter_map(own).collect()
    }

    /// Tells Kafka, for its own tools.
    pub fn commit(&self, parts: &[ProgressPart]) {
        let offsets: Vec<(Key, i64)> = parts
            .iter()
            .map(|part| ((part.topic.clone(), part.partition), part.next_offset))
            .collect();
        let told = list(&offsets, &self.bases)
            .and_then(|list| self.inner.commit(&list, CommitMode::Async));
        if let Err(error) = told {
            tracing::debug!(%error, "Kafka did not take the offsets; the store has them");
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        leave(&self.inner);
    }
}

/// Nobody is left to finish anything: the group may go on at once. What it waits for an answer to is answered, whichever it is.
fn leave(client: &StreamConsumer<Group>) {
    client.context().close();
    let answered = client.unassign().and_then(|()| client.assign(&TopicPartitionList::new()));
    if let Err(error) = answered {
        tracing::debug!(%error, "Kafka did not take the partitions back");
    }
}

/// What every member of a group is told.
fn settings(config: &Config, group: &str) -> ClientConfig {
    let mut client = kafka::client(config);
    client
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "2000")
        .set("max.poll.interval.ms", ANSWER_THE_GROUP_WITHIN.as_millis().to_string())
        .set("reconnect.backoff.max.ms", "2000");
    client
}

/// What comes next.
async fn next<C: ConsumerContext + 'static>(
    consumer: &StreamConsumer<C>,
    bases: &HashMap<Key, i64>,
) -> Result<Received, KafkaError> {
    loop {
        match consumer.recv().await {
            Ok(message) => return Ok(Received::Record(taken(&message, bases))),
            Err(error @ KafkaError::MessageConsumptionFatal(_)) => return Err(error),
            Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
            )) => return Ok(Received::OutOfRange),
            Err(KafkaError::MessageConsumption(code)) if unopened::refuses(code) => {
                tracing::warn!(%code, "Kafka has a record that cannot be opened");
                return Ok(Received::Unopened);
            }
            Err(error) => {
                tracing::warn!(%error, "Kafka does not give records; waiting");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

/// What a partition has, by Kafka's own offsets; `None`: Kafka does not say.
fn extent<C: ConsumerContext>(consumer: &StreamConsumer<C>, key: &Key) -> Option<Extent> {
    let asked = || {
        consumer.fetch_watermarks(&key.0, key.1, ANSWER_WITHIN).inspect_err(|error| {
            tracing::warn!(topic = key.0, partition = key.1, %error, "Kafka does not say what a partition has");
        })
    };
    let (low, high) = tokio::task::block_in_place(asked).ok()?;
    Some(Extent { low, high })
}

/// A message, at its place in the store. `bases`: what is added to Kafka's own offsets.
pub(crate) fn taken(message: &BorrowedMessage<'_>, bases: &HashMap<Key, i64>) -> Taken {
    let mut origin = Origin {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
    };
    let mut base = 0;
    if !bases.is_empty() {
        let key = (origin.topic, origin.partition);
        base = bases.get(&key).copied().unwrap_or(0);
        origin.topic = key.0;
    }
    origin.offset += base;
    let replay_of: Option<i64> =
        text(message, header::REPLAY_OF).and_then(|offset| offset.parse().ok());
    Taken {
        origin,
        appended: message
            .timestamp()
            .to_millis()
            .map_or_else(Time::now, |ms| Time(ms.saturating_mul(1_000_000))),
        key: message.key().unwrap_or_default().to_vec(),
        value: message.payload().unwrap_or_default().to_vec(),
        replay_of,
        canary: text(message, header::CANARY).and_then(Canary::from_header),
        certificates: bytes(message, header::CERTIFICATE)
            .filter(|bytes| bytes.len() <= CERTIFICATES_BYTES_MAX)
            .unwrap_or_default()
            .to_vec(),
        carried: bytes(message, header::CARRIED).is_some(),
    }
}

/// These places, by Kafka's own offsets.
fn list(
    places: &[(Key, i64)],
    bases: &HashMap<Key, i64>,
) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for (key, offset) in places {
        let base = bases.get(key).copied().unwrap_or(0);
        list.add_partition_offset(&key.0, key.1, Offset::Offset((offset - base).max(0)))?;
    }
    Ok(list)
}

/// A header's text.
fn text<'a>(message: &'a impl Message, name: &str) -> Option<&'a str> {
    std::str::from_utf8(bytes(message, name)?).ok()
}

/// A header's bytes.
fn bytes<'a>(message: &'a impl Message, name: &str) -> Option<&'a [u8]> {
    message.headers()?.iter().find(|found| found.key == name)?.value
}
