//! Batches as the collector takes them from Kafka, without one.

use vonggac_collector::decode::Taken;
use vonggac_wire::{Time, proto::Origin};

use super::Sealed;

/// Records at these offsets and behind, appended at that time.
#[must_use]
pub fn taken(batches: Vec<Sealed>, first: i64, appended: Time) -> Vec<Taken> {
    batches
        .into_iter()
        .zip(first..)
        .map(|(batch, offset)| Taken {
            origin: Origin { topic: batch.topic.into(), partition: 0, offset },
            appended,
            key: batch.key.into_bytes(),
            value: batch.value,
            replay_of: None,
            canary: None,
            certificates: Vec::new(),
            carried: false,
        })
        .collect()
}
