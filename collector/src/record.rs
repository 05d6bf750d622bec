//! A Kafka record that was taken: what flows through the pipeline, into detection and into the national picture.

use vonggac_wire::{Batch, BatchHash, EventId, Time, proto::Origin};

/// One batch with the place where it stands in Kafka.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Topic, partition and offset.
    pub origin: Origin,
    /// When the broker appended it, by the broker's clock.
    pub appended: Time,
    /// What was sent.
    pub batch: Batch,
    /// Its hash, for the chain.
    pub hash: BatchHash,
    /// Bytes of the record's value.
    pub bytes: usize,
    /// Events at the front of the batch whose numbers were stored before: sent twice by the agent, to be left out everywhere.
    pub known_events: usize,
}

impl Record {
    /// The events that are new, with their number in the batch.
    pub fn fresh(&self) -> impl Iterator<Item = (usize, &vonggac_wire::Event)> {
        self.batch.events.iter().enumerate().skip(self.known_events)
    }

    /// The identity of the event at this place of the batch.
    #[must_use]
    pub fn event_id(&self, index: usize) -> EventId {
        EventId {
            agent: self.batch.agent.clone(),
            lane: self.batch.lane,
            seq: self.batch.first_seq + index as u64,
        }
    }
}
