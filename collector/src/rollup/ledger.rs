//! What of each partition is stored and what is rolled up. Pure.

use std::collections::BTreeMap;

use crate::store::{
    month::Times,
    rollup::{Extent, Share},
};

/// A topic and a partition.
pub type Key = (String, i32);

/// Rows that one step of catching up rolls up, at most: what the engine bears in one block.
pub const STEP_ROWS_MAX: u64 = 500_000;

/// Offsets that are a step without asking how many rows they have: a record has at most a thousand events.
const STEP_OFFSETS_LEAST: i64 = 500;

/// Offsets of the widest step, which is tried first.
const STEP_OFFSETS_MAX: i64 = 1 << 24;

/// Rows that wait, beyond which a partition is caught up in steps.
const LIVE_ROWS_MAX: usize = 500_000;

/// One partition.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// Below this all is rolled up.
    rolled: i64,
    /// Below this all is stored.
    stored: i64,
    /// All of `rolled` is known to be in, and nothing above it: it can be rolled up with others.
    live: bool,
    /// It has its mark.
    marked: bool,
    /// The roll-ups hold nothing above `rolled`.
    asked: bool,
    /// Offsets of the next step.
    width: i64,
}

/// All partitions that are held.
#[derive(Debug, Default)]
pub struct Ledger {
    parts: BTreeMap<Key, Part>,
    /// Behind the last row that may be stored and was not seen here, so that its time is not known.
    blind: BTreeMap<Key, i64>,
    extent: Option<Extent>,
    rows: usize,
}

impl Ledger {
    /// Partitions were given or taken: others may have stored or rolled up some of them, so all are begun anew.
    pub fn forget(&mut self) {
        self.parts.clear();
    }

    /// Whether a partition was begun.
    #[must_use]
    pub fn knows(&self, key: &Key) -> bool {
        self.parts.contains_key(key)
    }

    /// Begins a partition as the store knows it. `marked`: figures are read from its roll-ups already.
    pub fn begin(&mut self, key: Key, rolled: i64, stored: i64, marked: bool) {
        let part = Part {
            rolled,
            stored: stored.max(rolled),
            live: false,
            marked,
            asked: false,
            width: STEP_OFFSETS_MAX,
        };
        self.parts.insert(key, part);
    }

    /// A partition was taken over: it is begun anew. Rows up to `held` were stored above its progress, and were not seen here.
    pub fn taken_over(&mut self, key: Key, held: Option<i64>) {
        self.parts.remove(&key);
        match held {
            Some(last) => self.blind.insert(key, last.saturating_add(1)),
            None => self.blind.remove(&key),
        };
    }

    /// More such rows were found.
    pub fn unseen(&mut self, key: Key, last: i64) {
        blind(&mut self.blind, key, last.saturating_add(1));
    }

    /// Rows of a block.
    pub fn rows(&mut self, rows: impl Iterator<Item = Times>) {
        for row in rows {
            self.seen(row, 1);
        }
    }

    /// Rows of one time.
    pub(super) fn seen(&mut self, row: Times, rows: usize) {
        self.rows += rows;
        let clamped = row.clamped();
        let extent = self
            .extent
            .get_or_insert(Extent { time: (row.time, row.time), clamped: (clamped, clamped) });
        extent.time = (extent.time.0.min(row.time), extent.time.1.max(row.time));
        extent.clamped = (extent.clamped.0.min(clamped), extent.clamped.1.max(clamped));
    }

    /// Progress was written. What is not begun yet is read from the store when it is.
    pub fn stored(&mut self, key: &Key, next: i64) {
        if let Some(part) = self.parts.get_mut(key) {
            part.stored = part.stored.max(next);
        }
    }

    /// What can be rolled up with one insert.
    pub fn live(&mut self) -> Vec<Share> {
        if self.rows > LIVE_ROWS_MAX {
            for (key, part) in &mut self.parts {
                part.live &= part.rolled == part.stored;
                blind(&mut self.blind, key.clone(), part.stored);
            }
            (self.rows, self.extent) = (0, None);
        }
        for part in self.parts.values_mut() {
            // Nothing is ever rolled up above the progress. A partition without rows gets its mark with its first ones.
            part.live |= part.rolled == part.stored && (part.marked || part.stored == 0);
        }
        self.parts
            .iter()
            .filter(|(_, part)| part.live && part.rolled < part.stored)
            .map(|(key, part)| share(key, part.rolled, part.stored))
            .collect()
    }

    /// A step of a partition that needs care.
    #[must_use]
    pub fn step(&self) -> Option<Share> {
        let (key, part) = self.parts.iter().find(|(_, part)| !part.live)?;
        Some(share(key, part.rolled, part.stored.min(part.rolled.saturating_add(part.width))))
    }

    /// Where the rows of these shares lie, if all of them were seen; what comes later is gathered anew.
    pub fn take_extent(&mut self, shares: &[Share]) -> Option<Extent> {
        self.rows = 0;
        let extent = self.extent.take();
        let seen = shares
            .iter()
            .all(|share| self.blind.get(&key(share)).is_none_or(|behind| share.from >= *behind));
        extent.filter(|_| seen)
    }

    /// The step if its rows are few enough. Else the next one is tried with half the offsets.
    pub fn fits(&mut self, share: Share, rows: u64) -> Option<Share> {
        let part = self.parts.get_mut(&key(&share))?;
        if rows > STEP_ROWS_MAX && part.width > STEP_OFFSETS_LEAST {
            part.width = (share.to - share.from).min(part.width) / 2;
            part.width = part.width.max(STEP_OFFSETS_LEAST);
            return None;
        }
        if rows < STEP_ROWS_MAX / 4 {
            part.width = (part.width * 2).min(STEP_OFFSETS_MAX);
        }
        Some(share)
    }

    /// Whether the roll-ups are known to hold nothing of this step.
    #[must_use]
    pub fn is_asked(&self, share: &Share) -> bool {
        self.parts.get(&key(share)).is_some_and(|part| part.asked)
    }

    /// The roll-ups hold nothing at or above this step.
    pub fn asked(&mut self, share: &Share) {
        if let Some(part) = self.parts.get_mut(&key(share)) {
            part.asked = true;
        }
    }

    /// Whether behind this step all that is stored is rolled up, or its partition has its mark already.
    #[must_use]
    pub fn ends(&self, share: &Share) -> bool {
        self.parts.get(&key(share)).is_some_and(|part| part.marked || share.to >= part.stored)
    }

    /// These were written with their mark.
    pub fn done(&mut self, shares: &[Share]) {
        for share in shares {
            let Some(part) = self.parts.get_mut(&key(share)) else { continue };
            part.rolled = part.rolled.max(share.to);
            part.marked |= part.rolled >= part.stored;
            part.live |= part.rolled >= part.stored;
        }
    }
}

fn blind(all: &mut BTreeMap<Key, i64>, key: Key, behind: i64) {
    let known = all.entry(key).or_default();
    *known = (*known).max(behind);
}

fn key(share: &Share) -> Key {
    (share.topic.clone(), share.partition)
}

fn share(key: &Key, from: i64, to: i64) -> Share {
    Share { topic: key.0.clone(), partition: key.1, from, to }
}
