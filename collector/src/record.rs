//! A Kafka record that was taken: what flows through the pipeline, into detection and into the national picture.

use std::ops::Range;

use vonggac_wire::{Batch, BatchHash, EventId, Seal, Time, proto::Origin};

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
    /// Who sealed it, as it says.
    pub seal: Option<Seal>,
    /// Bytes of the record's value.
    pub bytes: usize,
    /// Events whose numbers were stored before: sent twice by the agent, to be left out everywhere.
    pub known: Known,
}

/// Which events of a batch were stored before: any of them, since a batch may be cut anew across what was sent ahead of its lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known(Vec<Range<usize>>);

impl Known {
    /// Whether the event at this place was.
    #[must_use]
    pub fn holds(&self, index: usize) -> bool {
        self.0.iter().any(|range| range.contains(&index))
    }

    /// How many were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.iter().map(Range::len).sum()
    }
}

impl FromIterator<Range<usize>> for Known {
    /// Of disjoint ranges.
    fn from_iter<I: IntoIterator<Item = Range<usize>>>(ranges: I) -> Self {
        Self(ranges.into_iter().collect())
    }
}

impl Record {
    /// The events that are new, with their number in the batch.
    pub fn fresh(&self) -> impl Iterator<Item = (usize, &vonggac_wire::Event)> {
        self.batch.events.iter().enumerate().filter(|(index, _)| !self.known.holds(*index))
    }

    /// The number of the event at this place of the batch. An agent's numbers grow with the order in which it read, whatever its clock did
    /// and whichever was sent first.
    #[must_use]
    pub fn seq(&self, index: usize) -> u64 {
        self.batch.first_seq + index as u64
    }

    /// The identity of the event at this place of the batch.
    #[must_use]
    pub fn event_id(&self, index: usize) -> EventId {
        EventId { agent: self.batch.agent.clone(), lane: self.batch.lane, seq: self.seq(index) }
    }
}
