//! What one call of `append` gave so far: the same line twice in one chunk is spooled once.

use std::sync::Arc;

use crate::intake::Position;

/// What one call gave a lane.
#[derive(Default)]
pub(super) struct Given<'a> {
    /// The numbers with their positions.
    pub(super) all: Vec<(u64, &'a Position)>,
    /// The furthest of each stream.
    ends: Vec<Position>,
}

impl<'a> Given<'a> {
    /// Offsets mostly grow: only what lies before a stream's end is looked for.
    pub(super) fn holds(&self, position: &Position) -> bool {
        let is_behind = |end: &Position| end.offset < position.offset;
        let end = self.ends.iter().find(|end| is_same_stream(end, position));
        end.is_some_and(|end| !is_behind(end))
            && self.all.iter().any(|(_, p)| p.offset == position.offset && *p == position)
    }

    pub(super) fn push(&mut self, seq: u64, position: &'a Position) {
        self.all.push((seq, position));
        note_end(&mut self.ends, position);
    }
}

/// A source gives the same name again and again, not a copy of it.
fn is_same_stream(a: &Position, b: &Position) -> bool {
    Arc::ptr_eq(&a.stream, &b.stream) || a.stream == b.stream
}

/// Keeps the furthest position of each stream.
pub(super) fn note_end(ends: &mut Vec<Position>, position: &Position) {
    match ends.iter_mut().find(|end| is_same_stream(end, position)) {
        Some(end) => end.offset = end.offset.max(position.offset),
        None => ends.push(position.clone()),
    }
}
