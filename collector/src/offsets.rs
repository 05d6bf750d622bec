//! Which events of a record are new: the heart of "nothing lost, nothing twice". Pure.
//!
//! For each partition the store holds one block of progress: the next offset, and the [numbers](Numbers) stored of each agent
//! on that partition. It is written after the rows and after the signals. So when a partition is taken over,
//!
//! * records below the next offset are wholly done; they only rebuild detection;
//! * of records at or above it some rows may be stored (the crash fell between rows and progress). They are asked of the store by
//!   offset and index and left out one by one. Everything else about these records is done again, and is harmless: signals carry
//!   their origin, and the book takes each origin once.
//!
//! An agent that crashed after Kafka took a batch sends it again, perhaps cut differently. Its numbers are among those held, so
//! they are known. The numbers of a partition change only with its records in order, so a replay makes the same decisions.
//!
//! # Ahead of the lane
//!
//! An agent that catches up with a backlog sends what is fresh ahead of it. So what is held of an agent is a mark, with everything up to it
//! held or given up, and ranges beyond it. Any part of a batch may be known: a restart cuts anew, and what was sent ahead lies in its midst.
//!
//! A batch in the lane's order says that nothing older comes: what is missing before it is a gap, told once, by the batch that passes it.
//! A batch ahead says nothing of the kind, so no gap is told of what is missing before it. It moves the mark only where nothing is
//! missing between them. Either kind may come again, in either form.
//!
//! Ranges are bounded by [`AHEAD_RANGES_MAX`]. A batch that would open one more is set aside with the dead letters and counts as never come:
//! its numbers are told as a gap when their turn is over, or stored when they come again in order. To take it without remembering it
//! would store it twice, and to forget another would lose that one. An agent of ours stays far below.

use std::collections::{HashMap, HashSet};

use vonggac_wire::{Batch, limits::AHEAD_RANGES_MAX};

use crate::record::Known;

mod numbers;

pub use numbers::Numbers;

/// What is known of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The next offset; `None`: never taken.
    pub next_offset: Option<i64>,
    /// The numbers stored of each agent.
    pub held: HashMap<String, Numbers>,
}

/// What to do with a record of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Done before: it rebuilds detection and nothing else.
    Replayed,
    /// To be stored.
    New,
}

/// What a batch's numbers say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Its events that were stored before.
    pub known: Known,
    /// Numbers before it that will never come: first and last of each run, ascending.
    pub holes: Vec<(u64, u64)>,
}

/// A batch would open more ranges ahead of its lane than are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the batch goes ahead of its lane at number {first_seq}, where {AHEAD_RANGES_MAX} ranges are open already; it is taken when its turn comes"
)]
pub struct TooFarAhead {
    /// Its first number.
    pub first_seq: u64,
}

/// The state of one partition that this collector holds.
#[derive(Debug, Default)]
pub struct PartitionState {
    progress: Progress,
    replayed: HashMap<String, Numbers>,
    rows: HashSet<(i64, u32)>,
    /// Behind the last record taken.
    pub position: i64,
}

impl PartitionState {
    /// Takes over a partition with what the store knows of it: its progress, and the rows at or above it as offset and index.
    #[must_use]
    pub fn new(progress: Progress, rows: HashSet<(i64, u32)>, position: i64) -> Self {
        Self { progress, rows, position, replayed: HashMap::new() }
    }

    /// Whether the record at this offset was done before.
    #[must_use]
    pub fn place(&self, offset: i64) -> Place {
        if self.progress.next_offset.is_some_and(|next| offset < next) {
            Place::Replayed
        } else {
            Place::New
        }
    }

    /// Judges a batch and takes its numbers for held.
    ///
    /// # Errors
    /// If it opens one range too many; then it changes nothing.
    pub fn judge(&mut self, offset: i64, batch: &Batch) -> Result<Judged, TooFarAhead> {
        let held = match self.place(offset) {
            Place::Replayed => &mut self.replayed,
            Place::New => &mut self.progress.held,
        };
        let (first, last) = (batch.first_seq, batch.last_seq());
        let mut numbers = held.get(batch.agent.as_str()).cloned().unwrap_or_default();
        let known = numbers.among(first, last);
        let holes = if batch.ahead {
            numbers.add(first, last);
            if numbers.ahead.len() > AHEAD_RANGES_MAX {
                return Err(TooFarAhead { first_seq: first });
            }
            Vec::new()
        } else {
            let holes = numbers.missing_before(first);
            numbers.pass(last);
            holes
        };
        held.insert(batch.agent.as_str().to_owned(), numbers);
        let index = |number: u64| usize::try_from(number - first).unwrap_or(usize::MAX);
        let known =
            known.into_iter().map(|(from, to)| index(from)..index(to).saturating_add(1)).collect();
        Ok(Judged { known, holes })
    }

    /// Whether what came before this batch is known, so that its numbers say whether it was seen.
    #[must_use]
    pub fn is_followed_by(&self, batch: &Batch) -> bool {
        let mark = self.replayed.get(batch.agent.as_str()).and_then(|numbers| numbers.mark);
        mark.is_some_and(|mark| batch.first_seq <= mark.saturating_add(1))
    }

    /// Whether this row is in the store already.
    #[must_use]
    pub fn holds(&self, offset: i64, index: u32) -> bool {
        !self.rows.is_empty() && self.rows.contains(&(offset, index))
    }

    /// The agent's numbers now, for the block of progress.
    #[must_use]
    pub fn numbers(&self, agent: &str) -> Option<&Numbers> {
        self.progress.held.get(agent)
    }

    /// The next offset that is new; `None`: it was never taken.
    #[must_use]
    pub const fn next(&self) -> Option<i64> {
        self.progress.next_offset
    }

    /// A block up to here is done.
    pub fn done(&mut self, next_offset: i64) {
        self.progress.next_offset = Some(next_offset);
        self.rows.retain(|(offset, _)| *offset >= next_offset);
    }
}

#[cfg(test)]
mod tests;
