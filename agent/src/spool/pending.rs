//! What the spool hands out: a run of a lane's events.

use std::ops::Range;

use vonggac_wire::{Event, batch::Framed};

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
    framed: Framed,
    /// Where each stands.
    places: Vec<Range<usize>>,
}

impl Encoded {
    /// With room for about so many bytes.
    pub(super) fn starting(first_seq: u64, bytes: usize) -> Self {
        Self { first_seq, framed: Framed::with_room(bytes), places: Vec::new() }
    }

    pub(super) fn push(&mut self, event: &[u8]) {
        self.places.push(self.framed.push(event));
    }

    /// How many they are; at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// How many bytes they are.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.framed.bytes()
    }

    /// For [`vonggac_wire::Batch::seal_framed`].
    #[must_use]
    pub fn into_framed(self) -> Framed {
        self.framed
    }

    /// Each event's bytes.
    pub fn events(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|place| self.framed.at(place.clone()))
    }
}
