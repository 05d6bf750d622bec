//! Entries as they wait for the spool and stand on the disk: redacted and encoded, one behind the other in one run of bytes.
//!
//! A line is an event only while its source has it in hand. What crosses to the spool is a fifth of that, in one piece: it takes
//! little memory while it waits, and costs one release instead of a dozen for each line.

use std::sync::Arc;

use tokio::sync::oneshot;
use vonggac_wire::{Event, Lane, event::EventError};

use super::{Appended, Entry, Position};

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Placed {
    /// Behind its last byte.
    end: usize,
    lane: Lane,
    /// Its stream's place among the streams, and where that stands after it.
    position: Option<(usize, u64)>,
}

/// An entry as the spool keeps it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedEntry<'a> {
    pub(crate) lane: Lane,
    /// The place of its stream in [`Packed::streams`], and where that stands after it.
    pub(crate) position: Option<(usize, u64)>,
    /// The event's bytes.
    pub(crate) event: &'a [u8],
}

/// A chunk on its way into the spool.
#[derive(Debug, Default)]
pub struct Packed {
    bytes: Vec<u8>,
    entries: Vec<Placed>,
    streams: Vec<Arc<str>>,
    /// Positions that are passed with it; see [`super::Chunk::passed`].
    pub(crate) passed: Vec<Position>,
    /// Told once it is in the spool; see [`super::Chunk::appended`].
    pub(crate) appended: Option<oneshot::Sender<Appended>>,
}

impl Packed {
    /// With room for so many entries, and bytes of their events.
    pub(crate) fn with_room(entries: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            entries: Vec::with_capacity(entries),
            ..Self::default()
        }
    }

    /// Of entries as they are.
    pub(crate) fn of(entries: &[Entry], passed: &[Position]) -> Self {
        let bytes = entries.iter().map(|entry| entry.event.encoded_len()).sum();
        let mut packed = Self::with_room(entries.len(), bytes);
        for Entry { event, position } in entries {
            packed.push(event, position.as_ref());
        }
        packed.passed.extend_from_slice(passed);
        packed
    }

    /// Adds an event.
    pub(crate) fn push(&mut self, event: &Event, position: Option<&Position>) {
        event.encode_to(&mut self.bytes);
        let position = position.map(|position| (self.stream(&position.stream), position.offset));
        self.entries.push(Placed { end: self.bytes.len(), lane: event.lane(), position });
    }

    /// The place of a stream. A source gives the same name again and again, not a copy of it.
    fn stream(&mut self, name: &Arc<str>) -> usize {
        let known =
            self.streams.iter().rposition(|known| Arc::ptr_eq(known, name) || known == name);
        known.unwrap_or_else(|| {
            self.streams.push(Arc::clone(name));
            self.streams.len() - 1
        })
    }

    /// The streams that its entries are of.
    pub(crate) fn streams(&self) -> &[Arc<str>] {
        &self.streams
    }

    /// Its entries, in order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = PackedEntry<'_>> {
        self.entries.iter().scan(0, |start, entry| {
            let event = &self.bytes[*start..entry.end];
            *start = entry.end;
            Some(PackedEntry { lane: entry.lane, position: entry.position, event })
        })
    }

    /// Its events, read again.
    ///
    /// # Errors
    /// Never for what a source gave; the bytes are what the spool keeps.
    pub fn events(&self) -> impl Iterator<Item = Result<Event, EventError>> + '_ {
        self.entries().map(|entry| Event::decode(entry.event))
    }

    /// How many they are.
    pub(crate) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many events of each lane it holds.
    pub(crate) fn lanes(&self) -> [u64; 3] {
        let mut lanes = [0; 3];
        for entry in &self.entries {
            lanes[entry.lane.index()] += 1;
        }
        lanes
    }

    /// The chunk that it was packed of, for those who look at what passes.
    #[cfg(test)]
    pub(crate) fn unpacked(self) -> super::Chunk {
        let entries = self
            .entries()
            .map(|entry| Entry {
                event: Event::decode(entry.event).unwrap(),
                position: entry.position.map(|(stream, offset)| Position {
                    stream: Arc::clone(&self.streams[stream]),
                    offset,
                }),
            })
            .collect();
        super::Chunk { entries, passed: self.passed, appended: self.appended }
    }
}
