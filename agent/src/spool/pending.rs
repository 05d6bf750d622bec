//! What the spool hands out: a run of a lane's events.

use vonggac_wire::Event;

/// Events of a lane, in order and without a hole, ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    /// Number of the first.
    pub first_seq: u64,
    /// The events.
    pub events: Vec<Event>,
}

/// Events of a lane as they stand on the disk, in order and without a hole: they are sealed without being read.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// Number of the first.
    pub first_seq: u64,
    /// One behind the other.
    pub(super) bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Encoded {
    pub(super) const fn starting(first_seq: u64) -> Self {
        Self { first_seq, bytes: Vec::new(), ends: Vec::new() }
    }

    pub(super) fn push(&mut self, event: &[u8]) {
        self.bytes.extend_from_slice(event);
        self.ends.push(self.bytes.len());
    }

    /// How many they are; at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Each event's bytes.
    pub fn events(&self) -> impl Iterator<Item = &[u8]> {
        self.ends.iter().scan(0, |start, end| {
            let event = &self.bytes[*start..*end];
            *start = *end;
            Some(event)
        })
    }
}
