//! Keeps the roll-ups up with the rows: the edge beside [`ledger`], which decides what is due. See [`crate::store::rollup`] for why each
//! event is in them once.
//!
//! The task that stores calls [`RollUps::turn`] between blocks. A failure stops no event: the same insert is tried again at a later turn, and
//! figures wait. Inserts have the tokens of the [tenure](crate::tenure): the last one of those who held a partition before is made
//! sure of before anything new is rolled up, since the engine may still work on it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};

use vonggac_wire::Time;

use crate::{
    figures::Figures,
    store::{
        ProgressPart, Store, StoreError,
        month::Times,
        rollup::{Held, Insert, Share, Span},
    },
    tenure::{Doubted, Kind, Next, Tenure},
};

pub mod ledger;

use ledger::{Key, Ledger, STEP_ROWS_MAX};

/// How often partitions are rolled up. Longer makes fewer and fuller parts, and figures later.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long a failed insert waits.
const RETRY: Duration = Duration::from_secs(2);

/// How long one turn may go on catching up, so that events are not held back.
const TURN_MAX: Duration = Duration::from_millis(400);

/// Rows of a range that may hold the insert of another, at least: what one insert of it can have covered, twice over.
const DOUBT_ROWS_MIN: u64 = 2 * STEP_ROWS_MAX;

/// What is asked of the store; a model of it shows each place of a crash in the tests.
pub trait Side: Send + Sync {
    /// [`Store::roll_up`].
    fn roll_up(
        &self,
        insert: &Insert,
        token: &str,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// [`Store::rollups_held`].
    fn held(&self, shares: &[Share]) -> impl Future<Output = Result<Vec<Held>, StoreError>> + Send;
    /// [`Store::rows_between`].
    fn rows(&self, shares: &[Share]) -> impl Future<Output = Result<u64, StoreError>> + Send;
    /// [`Store::rollup_marks`].
    fn marks(&self) -> impl Future<Output = Result<HashMap<Key, (i64, bool)>, StoreError>> + Send;
    /// [`Store::save_rollup_marks`].
    fn mark(
        &self,
        shares: &[Share],
        whole: bool,
        next: &Next,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// The next offsets of partitions.
    fn progress(
        &self,
        keys: &[Key],
    ) -> impl Future<Output = Result<HashMap<Key, i64>, StoreError>> + Send;
    /// [`Store::sure_of`].
    fn sure_of(&self, tenure: &Tenure) -> impl Future<Output = Result<(), StoreError>> + Send;
}

impl Side for Store {
    async fn roll_up(&self, insert: &Insert, token: &str) -> Result<(), StoreError> {
        Self::roll_up(self, insert, token).await
    }

    async fn held(&self, shares: &[Share]) -> Result<Vec<Held>, StoreError> {
        self.rollups_held(shares).await
    }

    async fn rows(&self, shares: &[Share]) -> Result<u64, StoreError> {
        self.rows_between(shares).await
    }

    async fn marks(&self) -> Result<HashMap<Key, (i64, bool)>, StoreError> {
        self.rollup_marks().await
    }

    async fn mark(&self, shares: &[Share], whole: bool, next: &Next) -> Result<(), StoreError> {
        self.save_rollup_marks(shares, whole, next).await
    }

    async fn progress(&self, keys: &[Key]) -> Result<HashMap<Key, i64>, StoreError> {
        let all = Self::progress(self, keys).await?;
        Ok(all
            .into_iter()
            .map(|(key, progress)| (key, progress.next_offset.unwrap_or(0)))
            .collect())
    }

    async fn sure_of(&self, tenure: &Tenure) -> Result<(), StoreError> {
        Self::sure_of(self, tenure).await
    }
}

/// What is being written, until the engine has it.
#[derive(Debug)]
struct Job {
    inserts: Vec<Insert>,
    shares: Vec<Share>,
    whole: bool,
}

/// The roll-ups of the partitions that this collector holds.
pub struct RollUps<S> {
    store: S,
    ledger: Ledger,
    job: Option<Job>,
    /// Others' inserts that may still come, and below which offset, of partitions that are not begun yet.
    doubts: BTreeMap<Key, BTreeMap<Doubted, i64>>,
    next: Instant,
}

impl<S: Side> RollUps<S> {
    /// Knows of no partition yet.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self {
            store,
            ledger: Ledger::default(),
            job: None,
            doubts: BTreeMap::new(),
            next: Instant::now(),
        }
    }

    /// Partitions were given or taken: all are begun anew. What was being written is in doubt for whoever holds them now.
    pub fn begin_tenure(&mut self) {
        self.job = None;
        self.doubts.clear();
        self.ledger.forget();
        self.next = Instant::now();
    }

    /// A partition was taken over, and these rows above its progress are stored already: they will not come again with their times.
    /// `doubts`: inserts of others that may still come, and below which offset.
    pub fn taken_over(
        &mut self,
        key: &Key,
        held: &HashSet<(i64, u32)>,
        doubts: BTreeMap<Doubted, i64>,
    ) {
        let last = held.iter().map(|(offset, _)| *offset).max();
        self.ledger.taken_over(key.clone(), last);
        self.doubts.insert(key.clone(), doubts);
    }

    /// More such rows were found.
    pub fn unseen(&mut self, key: &Key, held: &HashSet<(i64, u32)>) {
        if let Some(last) = held.iter().map(|(offset, _)| *offset).max() {
            self.ledger.unseen(key.clone(), last);
        }
    }

    /// Rows that are about to be below the progress.
    pub fn rows(&mut self, rows: impl Iterator<Item = Times>) {
        self.ledger.rows(rows);
    }

    /// The progress that was written.
    pub fn stored(&mut self, parts: &[ProgressPart]) {
        for part in parts {
            self.ledger.stored(&(part.topic.clone(), part.partition), part.next_offset);
        }
    }

    /// Does what is due of the partitions that are held now, if it is time. What fails is tried again at a later turn.
    ///
    /// # Errors
    /// [`StoreError::Superseded`] alone.
    pub async fn turn(&mut self, tenure: &mut Tenure, figures: &Figures) -> Result<(), StoreError> {
        if Instant::now() < self.next {
            return Ok(());
        }
        self.next = match self.pass(tenure).await {
            Ok(true) => Instant::now(),
            Ok(false) => Instant::now() + INTERVAL,
            Err(error @ StoreError::Superseded) => return Err(error),
            Err(error) => {
                figures.store_failed("roll-ups", &error, Time::now());
                Instant::now() + RETRY
            }
        };
        Ok(())
    }

    /// Does what is due, whatever the time; `true`: more is to be done at once.
    ///
    /// # Errors
    /// If the engine does not do it. The same is tried again by the next pass.
    pub async fn pass(&mut self, tenure: &mut Tenure) -> Result<bool, StoreError> {
        let begun = Instant::now();
        if self.job.is_some() {
            self.write(tenure).await?;
        }
        if tenure.keys.iter().any(|key| !self.ledger.knows(key)) {
            self.begin(tenure).await?;
        }
        self.live(tenure).await?;
        while let Some(share) = self.ledger.step() {
            self.step(share, tenure).await?;
            if begun.elapsed() >= TURN_MAX {
                return Ok(self.ledger.step().is_some());
            }
        }
        Ok(false)
    }

    /// All partitions that need no care, with one insert.
    async fn live(&mut self, tenure: &mut Tenure) -> Result<(), StoreError> {
        let shares = self.ledger.live();
        if shares.is_empty() {
            return Ok(());
        }
        let insert = Insert {
            shares: shares.clone(),
            extent: self.ledger.take_extent(&shares),
            spans: Span::ALL.to_vec(),
            without: Vec::new(),
        };
        self.job = Some(Job { inserts: vec![insert], shares, whole: true });
        self.write(tenure).await
    }

    /// Reads where partitions that are new here stand, and makes sure of what others were writing.
    async fn begin(&mut self, tenure: &mut Tenure) -> Result<(), StoreError> {
        let marks = self.store.marks().await?;
        let new: Vec<Key> =
            tenure.keys.iter().filter(|key| !self.ledger.knows(key)).cloned().collect();
        let stored = self.store.progress(&new).await?;
        let mut tails = Vec::new();
        for (topic, partition) in &new {
            let key = (topic.clone(), *partition);
            let (rolled, _) = marks.get(&key).copied().unwrap_or((0, false));
            let stored = stored.get(&key).copied().unwrap_or(0);
            if rolled < stored {
                tails.push(Share { topic: key.0, partition: key.1, from: rolled, to: stored });
            }
        }
        self.settle(&tails, tenure).await?;
        for key in new {
            let (rolled, whole) = marks.get(&key).copied().unwrap_or((0, false));
            let stored = stored.get(&key).copied().unwrap_or(0);
            self.doubts.remove(&key);
            self.ledger.begin(key, rolled, stored, whole);
        }
        if tails.is_empty() {
            return Ok(());
        }
        tracing::info!(partitions = tails.len(), "roll-ups are caught up");
        if self.store.rows(&tails).await? <= STEP_ROWS_MAX {
            let found = self.store.held(&tails).await?;
            self.job = Some(Job { inserts: inserts(&tails, &found), shares: tails, whole: true });
            self.write(tenure).await?;
        }
        Ok(())
    }

    /// Rolls up what others may be rolling up, under their tokens: either theirs are in, or ours are and theirs will not be.
    async fn settle(&self, tails: &[Share], tenure: &Tenure) -> Result<(), StoreError> {
        let doubted: BTreeSet<&Doubted> = self.doubts.values().flat_map(BTreeMap::keys).collect();
        for doubted in doubted {
            let mut shares = Vec::new();
            for share in tails {
                let key = (share.topic.clone(), share.partition);
                let doubts = self.doubts.get(&key);
                let Some(below) = doubts.and_then(|doubts| doubts.get(doubted)) else { continue };
                let share = Share { to: share.to.min(*below), ..share.clone() };
                if share.from < share.to {
                    shares.push(self.within_doubt(share).await?);
                }
            }
            if shares.is_empty() {
                continue;
            }
            let found = self.store.held(&shares).await?;
            for insert in inserts(&shares, &found) {
                self.store.sure_of(tenure).await?;
                self.store.roll_up(&insert, &doubted.token).await?;
            }
        }
        Ok(())
    }

    /// The beginning of a range that one insert of another can have covered.
    async fn within_doubt(&self, mut share: Share) -> Result<Share, StoreError> {
        loop {
            let half = Share { to: share.from + (share.to - share.from) / 2, ..share.clone() };
            if half.to <= share.from
                || self.store.rows(std::slice::from_ref(&half)).await? < DOUBT_ROWS_MIN
            {
                return Ok(share);
            }
            share = half;
        }
    }

    /// One step of a partition of which the roll-ups may hold something already.
    async fn step(&mut self, share: Share, tenure: &mut Tenure) -> Result<(), StoreError> {
        let rows = self.store.rows(std::slice::from_ref(&share)).await?;
        let Some(share) = self.ledger.fits(share, rows) else { return Ok(()) };
        let held = if self.ledger.is_asked(&share) {
            Vec::new()
        } else {
            self.store.held(std::slice::from_ref(&share)).await?
        };
        // What a crash left is one insert, which may be wider than a step.
        if held.iter().all(|held| held.last < share.to) {
            self.ledger.asked(&share);
        }
        let shares = vec![share.clone()];
        let inserts = if rows == 0 { Vec::new() } else { inserts(&shares, &held) };
        let whole = self.ledger.ends(&share);
        self.job = Some(Job { inserts, shares, whole });
        self.write(tenure).await
    }

    /// Writes the job, its mark, and forgets it.
    async fn write(&mut self, tenure: &mut Tenure) -> Result<(), StoreError> {
        let Some(job) = &mut self.job else { return Ok(()) };
        let token = tenure.token(Kind::Sums);
        self.store.sure_of(tenure).await?;
        while let Some(insert) = job.inserts.first() {
            // The spans of a job lie apart in the table, so that they can share a token.
            self.store.roll_up(insert, &token).await?;
            job.inserts.remove(0);
        }
        self.store.sure_of(tenure).await?;
        self.store.mark(&job.shares, job.whole, &tenure.after(Kind::Sums)).await?;
        tenure.advance(Kind::Sums);
        self.ledger.done(&job.shares);
        self.job = None;
        Ok(())
    }
}

/// What brings these ranges in, without what is found to be in.
fn inserts(shares: &[Share], found: &[Held]) -> Vec<Insert> {
    let insert = |spans: Vec<Span>, without| Insert {
        shares: shares.to_vec(),
        extent: None,
        spans,
        without,
    };
    if found.is_empty() {
        return vec![insert(Span::ALL.to_vec(), Vec::new())];
    }
    let of = |span: Span| found.iter().filter(move |held| held.span == span.name()).cloned();
    Span::ALL.into_iter().map(|span| insert(vec![span], of(span).collect())).collect()
}

#[cfg(test)]
mod tests;
