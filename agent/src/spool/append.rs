//! Appending a chunk: what is there already is left out, and what reached a file is remembered.

use vonggac_wire::{Lane, Time};

use super::{LaneStore, Spool, SpoolError};
use crate::{
    config::Fsync,
    intake::{Appended, Packed},
};

/// One stream in a chunk.
#[derive(Clone, Copy, Default)]
struct Stream {
    /// What each lane held of it before, if it is known.
    held: Option<[u64; 3]>,
    /// The furthest that this call gave each lane.
    given: [u64; 3],
    /// The furthest place of it.
    end: u64,
}

/// What one call gave a lane.
#[derive(Clone, Copy)]
struct Given {
    lane: Lane,
    seq: u64,
    stream: usize,
    offset: u64,
}

impl Spool {
    pub(super) fn try_append(&mut self, chunk: &Packed, now: Time) -> Result<Appended, SpoolError> {
        let before = self.bytes();
        let mut appended = Appended::default();
        let of = |name| Stream { held: self.ledger.lanes_of(name), ..Stream::default() };
        let mut streams: Vec<Stream> = chunk.streams().iter().map(|name| of(name)).collect();
        let mut all: Vec<Given> = Vec::with_capacity(chunk.len());
        let mut outcome = Ok(());
        for entry in chunk.entries() {
            let lane = entry.lane;
            if let Some((stream, offset)) = entry.position {
                let state = &mut streams[stream];
                state.end = state.end.max(offset);
                if state.held.is_some_and(|held| offset <= held[lane.index()])
                    || state.is_given(lane, offset, || is_among(&all, lane, stream, offset))
                {
                    appended.known += 1;
                    continue;
                }
            }
            let store = &mut self.lanes[lane.index()];
            let seq = store.entry().next_seq;
            let named = |(stream, offset): (usize, u64)| (&*chunk.streams()[stream], offset);
            outcome = store.append(entry.event, entry.position.map(named), now);
            if outcome.is_err() {
                break;
            }
            if let Some((stream, offset)) = entry.position {
                let given = &mut streams[stream].given[lane.index()];
                *given = offset.max(*given);
                all.push(Given { lane, seq, stream, offset });
            }
            appended.written += 1;
        }
        for store in &mut self.lanes {
            outcome = outcome.and(store.flush());
        }
        self.saw(chunk, &all);
        self.ledger_dirty = true;
        outcome?;
        for (name, stream) in chunk.streams().iter().zip(&streams) {
            self.ledger.pass(name, stream.end);
        }
        for position in &chunk.passed {
            self.ledger.pass(&position.stream, position.offset);
        }
        self.make_room(before, now)?;
        if self.fsync == Fsync::EachChunk {
            self.sync()?;
        }
        Ok(appended)
    }

    /// Only what reached a file counts: the rest is read and given again.
    fn saw(&mut self, chunk: &Packed, all: &[Given]) {
        let written = [&self.lanes[0], &self.lanes[1], &self.lanes[2]].map(LaneStore::written_seq);
        let mut ends = vec![[0; 3]; chunk.streams().len()];
        for given in all.iter().filter(|given| given.seq <= written[given.lane.index()]) {
            let end: &mut u64 = &mut ends[given.stream][given.lane.index()];
            *end = given.offset.max(*end);
        }
        for (name, ends) in chunk.streams().iter().zip(ends) {
            for lane in Lane::ALL.into_iter().filter(|lane| ends[lane.index()] > 0) {
                self.ledger.saw(lane, name, ends[lane.index()]);
            }
        }
    }
}

impl Stream {
    /// Offsets mostly grow: only what lies before the stream's end is looked for.
    fn is_given(&self, lane: Lane, offset: u64, look: impl FnOnce() -> bool) -> bool {
        offset <= self.given[lane.index()] && look()
    }
}

/// The same line twice in one chunk is spooled once.
fn is_among(all: &[Given], lane: Lane, stream: usize, offset: u64) -> bool {
    all.iter().any(|g| (g.lane, g.stream, g.offset) == (lane, stream, offset))
}
