//! How far detection is with each partition. Pure.
//!
//! Detection follows a partition by what was just stored of it; or it is behind, because it has to be rebuilt, and reads it again from
//! Kafka until it has come up with what is stored meanwhile. It never goes ahead of that: it speaks of nothing that is not stored. All topics
//! of one number share a detector, and it follows all of them or none, so that none of them runs ahead of the others.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use vonggac_wire::Batch;

use crate::{
    decode::Taken,
    offsets::{Judged, PartitionState, Place, Progress, TooFarAhead},
    tenure::Key,
};

/// Where detection of a partition begins.
#[derive(Debug)]
pub(super) struct Start {
    /// Where it is rebuilt from.
    pub(super) from: i64,
    /// Below this its signals were given before.
    pub(super) signalled: i64,
    /// What was stored when it was taken over.
    pub(super) progress: Progress,
}

/// Whose turn a record that is read again is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It was seen.
    Passed,
    /// It is the next.
    Due,
    /// It is not stored yet.
    Early,
}

/// What the numbers of a batch that is read again say of it.
#[derive(Debug)]
pub(super) struct Again {
    /// Which of its events were seen before.
    pub(super) judged: Judged,
    /// The store has to be asked, because what came before it was not read again.
    pub(super) doubtful: bool,
    /// Its signals were given before.
    pub(super) told: bool,
}

#[derive(Debug)]
struct Course {
    /// The next that detection wants.
    position: i64,
    /// Behind what is stored.
    stored: i64,
    /// Below this all signals are given.
    signalled: i64,
    /// The same, as it was written down.
    written: i64,
    behind: Option<Behind>,
}

/// What reading again needs.
#[derive(Debug)]
struct Behind {
    state: PartitionState,
    /// One that came before it was stored. No more are read until it is.
    early: Option<Taken>,
    /// Agents of whom a batch was found elsewhere that had no forerunner.
    doubtful: HashSet<String>,
}

/// How far detection is with all that is held.
#[derive(Debug, Default)]
pub(super) struct Courses(BTreeMap<Key, Course>);

impl Courses {
    /// Keeps what has one of these numbers.
    pub(super) fn keep(&mut self, numbers: &BTreeSet<i32>) {
        self.0.retain(|key, _| numbers.contains(&key.1));
    }

    /// Detection of a partition begins.
    pub(super) fn begin(&mut self, key: Key, start: Start) {
        let Start { from, signalled, progress } = start;
        let stored = progress.next_offset.unwrap_or(from);
        let behind = Some(Behind {
            state: PartitionState::new(progress, HashSet::new(), from),
            early: None,
            doubtful: HashSet::new(),
        });
        let (position, written) = (from.min(stored), signalled);
        self.0.insert(key, Course { position, stored, signalled, written, behind });
    }

    /// So much of it is stored.
    pub(super) fn stored(&mut self, key: &Key, next: i64) {
        if let Some(course) = self.0.get_mut(key) {
            course.stored = course.stored.max(next);
        }
    }

    /// What is stored of it is shown to detection as it comes.
    pub(super) fn follows(&self, key: &Key) -> bool {
        self.0.get(key).is_some_and(|course| course.behind.is_none())
    }

    /// What came of those that are followed was shown.
    pub(super) fn shown(&mut self) {
        for course in self.0.values_mut().filter(|course| course.behind.is_none()) {
            course.position = course.position.max(course.stored);
        }
    }

    /// Whose turn this is.
    pub(super) fn turn(&self, key: &Key, offset: i64) -> Turn {
        match self.0.get(key) {
            Some(course) if course.behind.is_none() || offset < course.position => Turn::Passed,
            Some(course) if offset < course.stored => Turn::Due,
            Some(_) => Turn::Early,
            None => Turn::Passed,
        }
    }

    /// Keeps what came too early.
    pub(super) fn hold(&mut self, key: &Key, taken: Taken) {
        let Some(course) = self.0.get_mut(key) else { return };
        // Nothing is missing before it: Kafka gives what it has in order.
        course.position = course.stored;
        if let Some(behind) = &mut course.behind {
            behind.early = Some(taken);
        }
    }

    /// One that came too early and is stored now.
    pub(super) fn ripe(&mut self) -> Option<(Key, Taken)> {
        self.0.iter_mut().find_map(|(key, course)| {
            let early = &mut course.behind.as_mut()?.early;
            let ripe = early.as_ref().is_some_and(|taken| taken.origin.offset < course.stored);
            Some((key.clone(), early.take_if(|_| ripe)?))
        })
    }

    /// What a batch's numbers say; `None`: it is not read again.
    ///
    /// # Errors
    /// If it was refused when it came.
    pub(super) fn judge(
        &mut self,
        key: &Key,
        offset: i64,
        batch: &Batch,
    ) -> Result<Option<Again>, TooFarAhead> {
        let Some(course) = self.0.get_mut(key) else { return Ok(None) };
        let Some(behind) = &mut course.behind else { return Ok(None) };
        let told = offset < course.signalled;
        let agent = batch.agent.as_str();
        let unsure = !told
            && behind.state.place(offset) == Place::Replayed
            && (behind.doubtful.contains(agent) || !behind.state.is_followed_by(batch));
        let judged = behind.state.judge(offset, batch)?;
        Ok(Some(Again { judged, doubtful: unsure, told }))
    }

    /// Whether the store had events of an agent's batch from elsewhere: then its next one is doubtful, too.
    pub(super) fn answered(&mut self, key: &Key, agent: &str, elsewhere: bool) {
        let behind = self.0.get_mut(key).and_then(|course| course.behind.as_mut());
        if let Some(behind) = behind {
            if elsewhere {
                behind.doubtful.insert(agent.to_owned());
            } else {
                behind.doubtful.remove(agent);
            }
        }
    }

    /// A record that was read again was seen.
    pub(super) fn passed(&mut self, key: &Key, offset: i64) {
        if let Some(course) = self.0.get_mut(key) {
            course.position = course.position.max(offset + 1);
        }
    }

    /// Kafka has nothing of a partition below `low`, and nothing from `high` on: what is gone cannot be read again.
    pub(super) fn bounded(&mut self, key: &Key, low: i64, high: i64) {
        let Some(course) = self.0.get_mut(key).filter(|course| course.behind.is_some()) else {
            return;
        };
        if course.position < low {
            course.position = low.min(course.stored);
        } else if course.position > high {
            course.position = course.stored;
        }
    }

    /// Numbers of which all has come up with what is stored: they are followed from now on.
    pub(super) fn join(&mut self) -> BTreeSet<i32> {
        let mut joined: BTreeSet<i32> = self.behind().map(|(key, _)| key.1).collect();
        for (key, course) in &self.0 {
            if course.position < course.stored {
                joined.remove(&key.1);
            }
        }
        for (_, course) in self.0.iter_mut().filter(|(key, _)| joined.contains(&key.1)) {
            course.behind = None;
        }
        joined
    }

    /// What is read again, and from where on.
    pub(super) fn behind(&self) -> impl Iterator<Item = (&Key, i64)> {
        let behind = self.0.iter().filter(|(_, course)| course.behind.is_some());
        behind.map(|(key, course)| {
            let early = course.behind.as_ref().and_then(|behind| behind.early.as_ref());
            (key, early.map_or(course.position, |taken| taken.origin.offset + 1))
        })
    }

    /// Those of which one waits to be stored.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Key> {
        let waits = |course: &Course| course.behind.as_ref().is_some_and(|b| b.early.is_some());
        self.0.iter().filter(move |(_, course)| waits(course)).map(|(key, _)| key)
    }

    /// Whether detection with this number is being rebuilt.
    pub(super) fn is_behind(&self, number: i32) -> bool {
        self.0.iter().any(|(key, course)| key.1 == number && course.behind.is_some())
    }

    /// Records that are still to be read again.
    pub(super) fn owed(&self) -> u64 {
        let behind = self.0.values().filter(|course| course.behind.is_some());
        behind.map(|course| u64::try_from(course.stored - course.position).unwrap_or(0)).sum()
    }

    /// All signals of what was seen are given.
    pub(super) fn signalled(&mut self) {
        for course in self.0.values_mut() {
            course.signalled = course.signalled.max(course.position);
        }
    }

    /// How far signals are given, where that is not written down yet.
    pub(super) fn unwritten(&self) -> Vec<(Key, i64)> {
        let unwritten = self.0.iter().filter(|(_, course)| course.signalled > course.written);
        unwritten.map(|(key, course)| (key.clone(), course.signalled)).collect()
    }

    /// This is written down.
    pub(super) fn written(&mut self, places: &[(Key, i64)]) {
        for (key, next) in places {
            if let Some(course) = self.0.get_mut(key) {
                course.written = course.written.max(*next);
            }
        }
    }
}

#[cfg(test)]
mod tests;
