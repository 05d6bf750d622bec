//! Which events of a record are new: the heart of "nothing lost, nothing twice". Pure.
//!
//! For each partition the store holds one block of progress: the next offset, and the highest sequence number stored of each agent
//! on that partition. It is written after the rows and after the signals. So when a partition is taken over,
//!
//! * records below the next offset are wholly done; they only rebuild detection;
//! * of records at or above it some rows may be stored (the crash fell between rows and progress). They are asked of the store by
//!   offset and index and left out one by one. Everything else about these records is done again, and is harmless: signals carry
//!   their origin, and the book takes each origin once.
//!
//! An agent that crashed after Kafka took a batch sends it again, perhaps cut differently. Its numbers are at or below the mark, so
//! they are known. The marks of a partition change only with its records in order, so a replay makes the same decisions.

use std::collections::{HashMap, HashSet};

use vonggac_wire::Batch;

/// What is known of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The next offset; `None`: never taken.
    pub next_offset: Option<i64>,
    /// The highest number stored of each agent.
    pub marks: HashMap<String, u64>,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Events at its front that were stored before.
    pub known: usize,
    /// Numbers that are missing before it.
    pub hole: Option<(u64, u64)>,
}

/// The state of one partition that this collector holds.
#[derive(Debug, Default)]
pub struct PartitionState {
    progress: Progress,
    replay_marks: HashMap<String, u64>,
    held: HashSet<(i64, u32)>,
    /// Behind the last record taken.
    pub position: i64,
}

impl PartitionState {
    /// Takes over a partition with what the store knows of it.
    #[must_use]
    pub fn new(progress: Progress, held: HashSet<(i64, u32)>, position: i64) -> Self {
        Self { progress, held, position, replay_marks: HashMap::new() }
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

    /// Judges a batch and moves the agent's mark.
    pub fn judge(&mut self, offset: i64, batch: &Batch) -> Judged {
        let marks = match self.place(offset) {
            Place::Replayed => &mut self.replay_marks,
            Place::New => &mut self.progress.marks,
        };
        let mark = marks.get(batch.agent.as_str()).copied();
        let last = batch.last_seq();
        let judged = match mark {
            // The first batch of an agent on this partition may begin anywhere: its spool may be older than this store.
            None => Judged::default(),
            Some(mark) if batch.first_seq > mark + 1 => {
                Judged { known: 0, hole: Some((mark + 1, batch.first_seq - 1)) }
            }
            Some(mark) => {
                let known = (mark + 1).saturating_sub(batch.first_seq);
                Judged {
                    known: usize::try_from(known).unwrap_or(usize::MAX).min(batch.events.len()),
                    hole: None,
                }
            }
        };
        if mark.is_none_or(|mark| last > mark) {
            marks.insert(batch.agent.as_str().to_owned(), last);
        }
        judged
    }

    /// Whether this row is in the store already.
    #[must_use]
    pub fn holds(&self, offset: i64, index: u32) -> bool {
        !self.held.is_empty() && self.held.contains(&(offset, index))
    }

    /// The agent's mark now, for the block of progress.
    #[must_use]
    pub fn mark(&self, agent: &str) -> Option<u64> {
        self.progress.marks.get(agent).copied()
    }

    /// A block up to here is done.
    pub fn done(&mut self, next_offset: i64) {
        self.progress.next_offset = Some(next_offset);
        self.held.retain(|(offset, _)| *offset >= next_offset);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vonggac_wire::{
        AgencyId, AgentId, Event, Lane, Time,
        event::{Activity, Body, Class, Status},
    };

    use super::*;

    fn batch(first_seq: u64, count: u64) -> Batch {
        let time = Time::from_seconds(1);
        let event = Event::new(
            time,
            time,
            Body::Activity(Activity::of(Class::Process, 1, Status::Success)),
        );
        Batch {
            agent: AgentId::new("a").unwrap(),
            agency: AgencyId::new("H49").unwrap(),
            host: "h".into(),
            boot: [0; 16],
            lane: Lane::Security,
            first_seq,
            previous: None,
            events: (0..count).map(|_| event.clone()).collect(),
            simulated: false,
            sealed: time,
        }
    }

    #[test]
    fn a_batch_sent_again_with_other_cuts_gives_only_what_is_new() {
        let mut state = PartitionState::new(Progress::default(), HashSet::new(), 0);
        assert_eq!(state.judge(0, &batch(1, 5)), Judged::default());
        assert_eq!(state.judge(1, &batch(3, 5)).known, 3);
        assert_eq!(state.judge(2, &batch(1, 7)).known, 7);
        assert_eq!(state.judge(3, &batch(10, 1)).hole, Some((8, 9)));
    }

    /// A simulation of the store: rows by (agent's number), progress as one block.
    #[derive(Default, Clone)]
    struct Store {
        rows: Vec<u64>,
        places: HashSet<(i64, u32)>,
        progress: Progress,
    }

    proptest! {
        /// A log of batches with repetitions; crashes after any part of the rows or before the progress; each number is stored once.
        #[test]
        fn every_number_is_stored_once_whatever_is_cut(
            cuts in proptest::collection::vec((1_u64..6, 0_u64..4), 1..20),
            crashes in proptest::collection::vec((0_usize..6, 0_usize..40), 0..12),
        ) {
            let mut log = Vec::new();
            let mut next = 1;
            for (count, back) in cuts {
                let first = (next - back.min(next - 1)).max(1);
                log.push(batch(first, count + (next - first)));
                next += count;
            }
            let mut store = Store::default();
            let mut crashes = crashes.into_iter();
            loop {
                let start = store.progress.next_offset.unwrap_or(0);
                let held = store.places.iter().filter(|(o, _)| *o >= start).copied().collect();
                let mut state = PartitionState::new(store.progress.clone(), held, start);
                let crash = crashes.next();
                let mut budget = crash.map(|(_, rows)| rows);
                let mut done = true;
                for (offset, batch) in log.iter().enumerate().skip(usize::try_from(start).unwrap()) {
                    let offset = i64::try_from(offset).unwrap();
                    let judged = state.judge(offset, batch);
                    for index in judged.known..batch.events.len() {
                        let place = (offset, u32::try_from(index).unwrap());
                        if state.holds(place.0, place.1) { continue; }
                        if budget == Some(0) { done = false; break; }
                        budget = budget.map(|b| b - 1);
                        store.rows.push(batch.first_seq + index as u64);
                        store.places.insert(place);
                    }
                    if !done { break; }
                    if crash.is_none_or(|(every, _)| every == 0 || (offset as usize).is_multiple_of(every)) {
                        store.progress.next_offset = Some(offset + 1);
                        store.progress.marks.insert("a".into(), state.mark("a").unwrap());
                        state.done(offset + 1);
                    }
                }
                if crash.is_none() { break; }
            }
            store.rows.sort_unstable();
            let all: Vec<u64> = (1..next).collect();
            prop_assert_eq!(store.rows, all);
        }
    }
}
