//! What the spool hands out: a run of a lane's events.

use std::ops::Range;

use vonggac_wire::{Event, batch};

/// Events of a lane, in order and without a hole, ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    /// Number of the first.
    pub first_seq: u64,
    /// The events.
    pub events: Vec<Event>,
}

/// Events of a lane as a batch holds them, in order and without a hole: they are sealed without being read.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// Number of the first.
    pub first_seq: u64,
    /// One behind the other, each framed.
    framed: Vec<u8>,
    /// Where each stands, without its frame.
    places: Vec<Range<usize>>,
}

impl Encoded {
    /// With room for about so many bytes.
    pub(super) fn starting(first_seq: u64, bytes: usize) -> Self {
        Self { first_seq, framed: Vec::with_capacity(bytes), places: Vec::new() }
    }

    pub(super) fn push(&mut self, event: &[u8]) {
        batch::frame(event, &mut self.framed);
        self.places.push(self.framed.len() - event.len()..self.framed.len());
    }

    /// How many they are; at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// For [`vonggac_wire::Batch::seal_framed`].
    #[must_use]
    pub fn framed(&self) -> &[u8] {
        &self.framed
    }

    /// Each event's bytes.
    pub fn events(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|place| &self.framed[place.clone()])
    }
}
