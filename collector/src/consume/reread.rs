//! Reading again what was stored, beside the group and without a word to it: detection is rebuilt from it.

use std::collections::HashMap;

use rdkafka::{
    TopicPartitionList,
    consumer::{Consumer as _, DefaultConsumerContext, StreamConsumer},
    error::KafkaError,
};

use super::{
    Extent, FETCH_BYTES_MAX, FETCH_PARTITION_BYTES_MAX, Received, extent, list, next, settings,
};
use crate::{config::Config, tenure::Key};

/// Kilobytes that may be fetched ahead: reading again has no hurry that would be worth more memory.
const FETCHED_AHEAD_KBYTES_MAX: usize = 16 * 1024;

/// A consumer of some partitions, in no group.
pub struct Rereader {
    inner: StreamConsumer<DefaultConsumerContext>,
    bases: HashMap<Key, i64>,
}

impl Rereader {
    /// One that reads nothing yet. It is kept: to close a consumer can take as long as a broker likes.
    ///
    /// # Errors
    /// If librdkafka refuses.
    pub fn new(config: &Config) -> Result<Self, KafkaError> {
        // librdkafka wants a group's name, and joins none as long as nothing is subscribed to.
        let inner: StreamConsumer<DefaultConsumerContext> =
            settings(config, &format!("{}-reread", config.group))
                .set("client.id", "vonggac-collector-reread")
                .set("queued.max.messages.kbytes", FETCHED_AHEAD_KBYTES_MAX.to_string())
                .set("fetch.max.bytes", FETCH_BYTES_MAX.to_string())
                .set("fetch.message.max.bytes", FETCH_PARTITION_BYTES_MAX.to_string())
                .set("fetch.wait.max.ms", "100")
                .create()?;
        Ok(Self { inner, bases: HashMap::new() })
    }

    /// Reads these partitions from these places on, and no others. `bases`: what is added to Kafka's own offsets.
    ///
    /// # Errors
    /// If librdkafka refuses.
    pub fn read(
        &mut self,
        places: &[(Key, i64)],
        bases: HashMap<Key, i64>,
    ) -> Result<(), KafkaError> {
        self.bases = bases;
        if places.is_empty() {
            return self.inner.unassign();
        }
        self.inner.assign(&list(places, &self.bases)?)
    }

    /// What comes next.
    ///
    /// # Errors
    /// Those that do not pass.
    pub async fn recv(&self) -> Result<Received, KafkaError> {
        next(&self.inner, &self.bases).await
    }

    /// Reads no more of a partition for a while.
    pub fn pause(&self, key: &Key) {
        let told = self.inner.pause(&one(key));
        if let Err(error) = told {
            tracing::debug!(%error, "a partition is read on; what comes is left out");
        }
    }

    /// Reads on.
    ///
    /// # Errors
    /// If librdkafka refuses.
    pub fn resume(&self, key: &Key) -> Result<(), KafkaError> {
        self.inner.resume(&one(key))
    }

    /// What a partition has, by the store's offsets; `None`: Kafka does not say.
    pub fn extent(&self, key: &Key) -> Option<Extent> {
        let base = self.bases.get(key).copied().unwrap_or(0);
        extent(&self.inner, key)
            .map(|Extent { low, high }| Extent { low: low + base, high: high + base })
    }
}

fn one(key: &Key) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition(&key.0, key.1);
    list
}
