//! Keeps the roll-ups up with the rows: the edge beside [`ledger`], which decides what is due. See [`crate::store::rollup`] for why each
//! event is in them once.
//!
//! The chain's own task calls [`RollUps::turn`] between blocks, so that nothing is rolled up while a partition is taken over or given away.
//! A failure stops no event: the same insert is tried again at a later turn, and figures wait.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use vonggac_wire::Time;

use crate::{
    figures::Figures,
    store::{
        ProgressPart, Store, StoreError,
        rollup::{Held, Insert, Share, Span},
        row::EventRow,
    },
};

pub mod ledger;

use ledger::{Key, Ledger, STEP_ROWS_MAX};

/// How often partitions are rolled up. Longer makes fewer and fuller parts, and figures later.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long a failed insert waits.
const RETRY: Duration = Duration::from_secs(2);

/// How long one turn may go on catching up, so that events are not held back.
const TURN_MAX: Duration = Duration::from_millis(400);

/// What is asked of the store; a model of it shows each place of a crash in the tests.
pub trait Side: Send + Sync {
    /// [`Store::roll_up`].
    fn roll_up(&self, insert: &Insert) -> impl Future<Output = Result<(), StoreError>> + Send;
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
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// The next offset of a partition.
    fn progress(&self, key: &Key) -> impl Future<Output = Result<i64, StoreError>> + Send;
}

impl Side for Store {
    async fn roll_up(&self, insert: &Insert) -> Result<(), StoreError> {
        Self::roll_up(self, insert).await
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

    async fn mark(&self, shares: &[Share], whole: bool) -> Result<(), StoreError> {
        self.save_rollup_marks(shares, whole).await
    }

    async fn progress(&self, key: &Key) -> Result<i64, StoreError> {
        Ok(Self::progress(self, &key.0, key.1).await?.next_offset.unwrap_or(0))
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
    rebalances: u64,
    next: Instant,
}

impl<S: Side> RollUps<S> {
    /// Knows of no partition yet.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self { store, ledger: Ledger::default(), job: None, rebalances: 0, next: Instant::now() }
    }

    /// A partition was taken over, and these rows above its progress are stored already: they will not come again with their times.
    pub fn taken_over(&mut self, topic: &str, partition: i32, held: &HashSet<(i64, u32)>) {
        let last = held.iter().map(|(offset, _)| *offset).max();
        self.ledger.taken_over((topic.to_owned(), partition), last);
    }

    /// Rows that are about to be below the progress.
    pub fn rows(&mut self, rows: &[EventRow]) {
        self.ledger.rows(rows);
    }

    /// The progress that was written.
    pub fn stored(&mut self, parts: &[ProgressPart]) {
        for part in parts {
            self.ledger.stored(&(part.topic.clone(), part.partition), part.next_offset);
        }
    }

    /// Does what is due of the partitions that are held now, if it is time. `rebalances`: how often partitions were given or taken so far.
    pub async fn turn(&mut self, held: &[Key], rebalances: u64, figures: &Figures) {
        if Instant::now() < self.next && rebalances == self.rebalances {
            return;
        }
        self.next = match self.pass(held, rebalances).await {
            Ok(true) => Instant::now(),
            Ok(false) => Instant::now() + INTERVAL,
            Err(error) => {
                figures.store_failed("roll-ups", &error, Time::now());
                Instant::now() + RETRY
            }
        };
    }

    /// Does what is due, whatever the time; `true`: more is to be done at once.
    ///
    /// # Errors
    /// If the engine does not do it. The same is tried again by the next pass.
    pub async fn pass(&mut self, held: &[Key], rebalances: u64) -> Result<bool, StoreError> {
        let begun = Instant::now();
        if rebalances != self.rebalances {
            // What was being written may be of a partition that another one rolls up now. Whoever holds it asks what is in.
            (self.rebalances, self.job) = (rebalances, None);
            self.ledger.forget();
        }
        if self.job.is_some() {
            self.write().await?;
        }
        if held.iter().any(|key| !self.ledger.knows(key)) {
            self.begin(held).await?;
        }
        self.live().await?;
        while let Some(share) = self.ledger.step() {
            self.step(share).await?;
            if begun.elapsed() >= TURN_MAX {
                return Ok(self.ledger.step().is_some());
            }
        }
        Ok(false)
    }

    /// All partitions that need no care, with one insert.
    async fn live(&mut self) -> Result<(), StoreError> {
        let shares = self.ledger.live();
        if shares.is_empty() || self.others(&shares).await? {
            // What others rolled up is looked at by the next pass.
            return Ok(());
        }
        let insert = Insert {
            shares: shares.clone(),
            extent: self.ledger.take_extent(&shares),
            spans: Span::ALL.to_vec(),
            without: Vec::new(),
        };
        self.job = Some(Job { inserts: vec![insert], shares, whole: true });
        self.write().await
    }

    /// Reads where partitions that are new here stand.
    async fn begin(&mut self, held: &[Key]) -> Result<(), StoreError> {
        let marks = self.store.marks().await?;
        let mut tails = Vec::new();
        let new: Vec<Key> = held.iter().filter(|key| !self.ledger.knows(key)).cloned().collect();
        for key in new {
            let stored = self.store.progress(&key).await?;
            let (rolled, whole) = marks.get(&key).copied().unwrap_or((0, false));
            if rolled < stored {
                let (topic, partition) = key.clone();
                tails.push(Share { topic, partition, from: rolled, to: stored });
            }
            self.ledger.begin(key, rolled, stored, whole);
        }
        if tails.is_empty() {
            return Ok(());
        }
        tracing::info!(partitions = tails.len(), "roll-ups are caught up");
        if self.store.rows(&tails).await? <= STEP_ROWS_MAX {
            let found = self.store.held(&tails).await?;
            self.job = Some(Job { inserts: inserts(&tails, &found), shares: tails, whole: true });
            self.write().await?;
        }
        Ok(())
    }

    /// Whether another collector rolled up any of these since; such partitions are begun anew.
    async fn others(&mut self, shares: &[Share]) -> Result<bool, StoreError> {
        let marks: HashMap<Key, (i64, bool)> = self.store.marks().await?;
        let mut found = false;
        for share in shares {
            let key = (share.topic.clone(), share.partition);
            let (rolled, _) = marks.get(&key).copied().unwrap_or((0, false));
            if rolled > share.from {
                self.ledger.begin(key, rolled, share.to, true);
                found = true;
            }
        }
        Ok(found)
    }

    /// One step of a partition of which the roll-ups may hold something already.
    async fn step(&mut self, share: Share) -> Result<(), StoreError> {
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
        self.write().await
    }

    /// Writes the job, its mark, and forgets it.
    async fn write(&mut self) -> Result<(), StoreError> {
        let Some(job) = &mut self.job else { return Ok(()) };
        while let Some(insert) = job.inserts.first() {
            self.store.roll_up(insert).await?;
            job.inserts.remove(0);
        }
        self.store.mark(&job.shares, job.whole).await?;
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
