//! The second part of the chain, in a task of its own: store, then progress, each until it is done; roll-ups between blocks. What is stored goes
//! on to [detection](super::watching).
//!
//! At most one block is being stored while the next one is gathered.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use vonggac_wire::{Time, proto::DeadLetter};

use super::{
    Block,
    claim::keep_trying,
    poison::{self, Fate, Good, Refused, Storing},
    watching::{self, Work as Watch, send_signals},
};
use crate::{
    dead_letter,
    figures::Figures,
    kafka::Producer,
    record::Record,
    rollup::RollUps,
    store::{
        ProgressPart, Store, StoreError,
        batch::BatchRow,
        row::{Leaves, NewRow},
    },
    tenure::{Doubted, Key, Kind, Next, Tenure},
};

/// Rows whose delay is taken as a sample, of each block.
const DELAY_SAMPLES: usize = 64;

/// How often roll-ups are looked after while no block comes.
const IDLE: Duration = Duration::from_millis(500);

/// What the storer needs.
pub(super) struct Parts {
    pub(super) store: Store,
    pub(super) figures: Figures,
    pub(super) producer: Producer,
    /// Where stored blocks go.
    pub(super) watch: mpsc::Sender<Watch>,
}

/// What is known of a partition that was taken over.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// Blocks of others that may still come, and below which offset.
    pub(super) blocks: BTreeMap<Doubted, i64>,
    /// The same of roll-ups.
    pub(super) sums: BTreeMap<Doubted, i64>,
    /// Where the partition ended when it was taken over: behind all that such a block can have.
    pub(super) until: i64,
    /// Its progress.
    pub(super) next: i64,
    /// Rows at or above the progress that are stored.
    pub(super) held: HashSet<(i64, u32)>,
}

/// A tenure with what it has to make sure of.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) tenure: Tenure,
    pub(super) doubts: BTreeMap<Key, Doubt>,
}

enum Work {
    Begin(Option<Beginning>, oneshot::Sender<()>),
    Block(Box<Block>, oneshot::Sender<Stored>),
}

type Stored = Result<Vec<ProgressPart>, StoreError>;

/// The storing task, as the gathering one sees it.
pub(super) struct Storer {
    work: mpsc::Sender<Work>,
    busy: Option<oneshot::Receiver<Stored>>,
    lost: Arc<AtomicBool>,
}

impl Storer {
    pub(super) fn spawn(parts: Parts, shutdown: CancellationToken) -> Self {
        // One: the gathering task waits for each block's answer.
        let (work, taken) = mpsc::channel(1);
        let lost = Arc::new(AtomicBool::new(false));
        let task = Task {
            rollups: RollUps::new(parts.store.clone()),
            parts,
            tenure: None,
            doubts: BTreeMap::new(),
            settled: BTreeSet::new(),
            found: HashMap::new(),
            good: Good::default(),
            lost: Arc::clone(&lost),
            shutdown,
        };
        tokio::spawn(task.run(taken));
        Self { work, busy: None, lost }
    }

    /// A block is being stored.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.as_ref().is_some_and(oneshot::Receiver::is_empty)
    }

    /// Another collector took over what is held.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    /// Stores a block; the last one is done.
    pub(super) async fn give(&mut self, block: Block) {
        let (done, answer) = oneshot::channel();
        // The task ends only with this handle.
        if self.work.send(Work::Block(Box::new(block), done)).await.is_ok() {
            self.busy = Some(answer);
        }
    }

    /// Waits for the block that is being stored.
    ///
    /// # Errors
    /// What can never work, and [`StoreError::Superseded`].
    pub(super) async fn rest(&mut self) -> Stored {
        match self.busy.take() {
            // A task that ended without an answer stored nothing.
            Some(answer) => answer.await.unwrap_or(Err(StoreError::Superseded)),
            None => Ok(Vec::new()),
        }
    }

    /// A new tenure begins, or none; the one before does nothing more.
    pub(super) async fn begin(&mut self, beginning: Option<Beginning>) {
        let (begun, answer) = oneshot::channel();
        if self.work.send(Work::Begin(beginning, begun)).await.is_ok() {
            let _ended = answer.await;
        }
    }
}

struct Task {
    parts: Parts,
    rollups: RollUps<Store>,
    tenure: Option<Tenure>,
    doubts: BTreeMap<Key, Doubt>,
    /// What was made sure of: a token in a month.
    settled: BTreeSet<(Doubted, u32)>,
    /// Rows of others that were found when it was; beyond what the gathering task knows.
    found: HashMap<Key, HashSet<(i64, u32)>>,
    /// The last that the engine took.
    good: Good,
    lost: Arc<AtomicBool>,
    shutdown: CancellationToken,
}

impl Task {
    async fn run(mut self, mut work: mpsc::Receiver<Work>) {
        loop {
            match tokio::time::timeout(IDLE, work.recv()).await {
                Ok(Some(Work::Begin(beginning, begun))) => {
                    self.begin(beginning);
                    // What the tenure before was told last is over.
                    self.lost.store(false, Ordering::SeqCst);
                    let _gone = begun.send(());
                }
                Ok(Some(Work::Block(block, done))) => {
                    let stored = self.store(*block).await;
                    self.see(stored.as_ref().err());
                    let _gone = done.send(stored);
                }
                Ok(None) => return,
                Err(_) => {}
            }
            if let Some(tenure) = &mut self.tenure {
                let turned = self.rollups.turn(tenure, &self.parts.figures).await;
                self.see(turned.as_ref().err());
            }
        }
    }

    /// Who is superseded has nothing left.
    fn see(&mut self, error: Option<&StoreError>) {
        if matches!(error, Some(StoreError::Superseded)) {
            self.begin(None);
            self.lost.store(true, Ordering::SeqCst);
        }
    }

    fn begin(&mut self, beginning: Option<Beginning>) {
        self.settled.clear();
        self.found.clear();
        self.rollups.begin_tenure();
        // Its token is of the tenure before, and may be forgotten by now.
        self.good = Good::default();
        let (tenure, doubts) = match beginning {
            Some(Beginning { tenure, doubts }) => (Some(tenure), doubts),
            None => (None, BTreeMap::new()),
        };
        for (key, doubt) in &doubts {
            self.rollups.taken_over(key, &doubt.held, doubt.sums.clone());
        }
        (self.tenure, self.doubts) = (tenure, doubts);
        self.doubts.retain(|_, doubt| !doubt.blocks.is_empty());
    }

    async fn store(&mut self, mut block: Block) -> Stored {
        // Detection that cannot follow holds storing back here, where one block less is in memory. Without it, the collector is ending.
        let Ok(place) = self.parts.watch.clone().reserve_owned().await else {
            return Err(StoreError::Superseded);
        };
        self.settle(&mut block.rows).await?;
        let (next, refused) = self.store_rows(&mut block.rows).await?;
        let batches = batches(&block.records, &poison::places(&refused));
        block.dead.extend(poison::letters(refused, &block.records, Time::now()));
        let (store, figures) = (self.parts.store.clone(), self.parts.figures.clone());
        for (taken, letter) in &block.dead {
            if !dead_letter::send(&self.parts.producer, taken, letter, &self.shutdown).await {
                // It is taken again at the next start.
                return Ok(Vec::new());
            }
            figures.dead(letter.clone());
        }
        if !block.dead.is_empty() {
            let letters: Vec<DeadLetter> =
                block.dead.iter().map(|(_, letter)| letter.clone()).collect();
            keep_trying(&figures, "dead letters", || store.insert_dead(&letters)).await?;
        }
        // Behind the letters that they speak of, in the order of offsets.
        send_signals(&self.parts.producer, &block.signals).await;
        if !batches.is_empty() {
            keep_trying(&figures, "batches", || store.insert_batches(&batches)).await?;
        }
        if !block.gaps.is_empty() {
            keep_trying(&figures, "gaps", || store.insert_gaps(&block.gaps)).await?;
        }
        if !block.canaries.is_empty() {
            keep_trying(&figures, "canaries", || store.insert_canaries(&block.canaries)).await?;
        }
        for filled in &block.filled {
            keep_trying(&figures, "filled gaps", || store.recount_gaps(filled)).await?;
        }
        let parts: Vec<ProgressPart> = block
            .ends
            .into_iter()
            .map(|((topic, partition), (next_offset, held))| ProgressPart {
                topic,
                partition,
                next_offset,
                held: held.into_iter().collect(),
            })
            .collect();
        if parts.is_empty() && next.is_none() {
            return Ok(parts);
        }
        keep_trying(&figures, "progress", || store.save_progress(&parts, next.as_ref())).await?;
        if let (Some(tenure), Some(_)) = (&mut self.tenure, next) {
            tenure.advance(Kind::Blocks);
        }
        self.rollups.rows(block.rows.iter().map(NewRow::times));
        self.rollups.stored(&parts);
        self.passed(&parts);
        let end = |part: &ProgressPart| ((part.topic.clone(), part.partition), part.next_offset);
        let ends = parts.iter().map(end).collect();
        let (records, refused) = (block.records, block.refused);
        place.send(Watch::Stored(watching::Stored { ends, records, refused }));
        Ok(parts)
    }

    /// Inserts the rows, and is sure behind them that they count. Gives the number of the next insert, and what the engine refuses.
    async fn store_rows(
        &mut self,
        rows: &mut Vec<NewRow>,
    ) -> Result<(Option<Next>, Vec<Refused>), StoreError> {
        let Some(tenure) = &mut self.tenure else { return Err(StoreError::Superseded) };
        let (store, figures) = (&self.parts.store, &self.parts.figures);
        if rows.is_empty() {
            keep_trying(figures, "the tenure", || store.sure_of(tenure)).await?;
            return Ok((None, Vec::new()));
        }
        let begun = Instant::now();
        let token = tenure.token(Kind::Blocks);
        keep_trying(figures, "the tenure", || store.sure_of(tenure)).await?;
        let fate = poison::insert(store, figures, rows, &token, poison::TRIES).await?;
        let took = begun.elapsed();
        keep_trying(figures, "the tenure", || store.sure_of(tenure)).await?;
        let refused = if fate == Fate::Stored {
            self.good.took(rows, &token);
            Vec::new()
        } else {
            let good = &mut self.good;
            Storing { store, figures, tenure, good }.take_apart(rows).await?
        };
        let now = Time::now();
        let step = (rows.len() / DELAY_SAMPLES).max(1);
        let delays: Vec<f64> = rows
            .iter()
            .step_by(step)
            .filter_map(|row| Some(now.seconds_since(row.observed()?)))
            .collect();
        figures.stored(rows.len() as u64, took, &delays, now);
        Ok((Some(tenure.after(Kind::Blocks)), refused))
    }

    /// Takes the tokens of those before away, in each month in which this block has rows of theirs, and leaves out what they stored.
    async fn settle(&mut self, rows: &mut Vec<NewRow>) -> Result<(), StoreError> {
        let owed = if self.doubts.is_empty() { BTreeSet::new() } else { self.owed(rows) };
        for (doubted, month) in owed {
            // Any row of theirs will do that the engine takes. If all are stored, they were stored behind a block that is over; where it
            // refuses all, another block has to do it.
            let (store, figures) = (&self.parts.store, &self.parts.figures);
            let of_theirs = rows.iter().filter(|row| {
                row.times().month() == month
                    && self.is_in_doubt(row, &doubted)
                    && !self.is_found(row)
            });
            let mut fate = None;
            for row in of_theirs {
                let one = std::slice::from_ref(row);
                fate = Some(poison::insert(store, figures, one, &doubted.token, 1).await?);
                if fate == Some(Fate::Stored) {
                    break;
                }
            }
            match fate {
                Some(Fate::Stored) => self.find().await?,
                Some(Fate::Refused(_)) => continue,
                None => {}
            }
            self.settled.insert((doubted, month));
        }
        if !self.found.is_empty() {
            rows.retain(|row| !self.is_found(row));
        }
        Ok(())
    }

    /// Asks which rows of partitions in doubt are stored.
    async fn find(&mut self) -> Result<(), StoreError> {
        let (store, figures) = (&self.parts.store, &self.parts.figures);
        let from: BTreeMap<Key, i64> =
            self.doubts.iter().map(|(key, doubt)| (key.clone(), doubt.next)).collect();
        let found = keep_trying(figures, "held rows", || store.held(&from)).await?;
        for (key, held) in &found {
            self.rollups.unseen(key, held);
        }
        self.found = found;
        Ok(())
    }

    fn is_in_doubt(&self, row: &NewRow, doubted: &Doubted) -> bool {
        let doubt = self.doubts.get(&row.key());
        let below = doubt.and_then(|doubt| doubt.blocks.get(doubted));
        below.is_some_and(|below| row.place().0 < *below)
    }

    fn is_found(&self, row: &NewRow) -> bool {
        self.found.get(&row.key()).is_some_and(|held| held.contains(&row.place()))
    }

    /// What has to be made sure of, the oldest first.
    fn owed(&self, rows: &[NewRow]) -> BTreeSet<(Doubted, u32)> {
        let mut owed = BTreeSet::new();
        for row in rows {
            let Some(doubt) = self.doubts.get(&row.key()) else { continue };
            let (offset, _) = row.place();
            if offset >= doubt.until {
                continue;
            }
            let month = row.times().month();
            let of_row = doubt.blocks.iter().filter(|(_, below)| offset < **below);
            let places = of_row.map(|(doubted, _)| (doubted.clone(), month));
            owed.extend(places.filter(|place| !self.settled.contains(place)));
        }
        owed
    }

    /// What lies below the progress is in doubt no more.
    fn passed(&mut self, parts: &[ProgressPart]) {
        for part in parts {
            let key = (part.topic.clone(), part.partition);
            if let Some(doubt) = self.doubts.get_mut(&key) {
                doubt.next = doubt.next.max(part.next_offset);
                if part.next_offset >= doubt.until {
                    self.doubts.remove(&key);
                }
            }
            if let Some(found) = self.found.get_mut(&key) {
                found.retain(|(offset, _)| *offset >= part.next_offset);
                if found.is_empty() {
                    self.found.remove(&key);
                }
            }
        }
    }
}

/// What is written down of records: `refused` are places of rows that were given up.
fn batches(records: &[Arc<Record>], refused: &poison::Places) -> Vec<BatchRow> {
    let mut leaves = Leaves::default();
    let none = BTreeSet::new();
    let row = |record: &Arc<Record>| {
        let origin = &record.origin;
        let place = ((origin.topic.clone(), origin.partition), origin.offset);
        BatchRow::of(record, refused.get(&place).unwrap_or(&none), &mut leaves)
    };
    records.iter().map(row).collect()
}
