//! The one chain: consume . decode . judge . batch . store . progress . commit . detect . signal; what is rejected goes to the dead letters.
//!
//! Three tasks own it. One gathers, in the order of each partition:
//!
//! 1. messages are gathered for [`block_interval`](crate::config::BLOCK_INTERVAL) or until a block is full; librdkafka's own bounded queue is the back-pressure;
//! 2. each is decoded, judged against its partition's [`offsets`](crate::offsets), and made into rows;
//!
//! while it gathers the next block, another one [stores](storing) the last:
//!
//! 3. the rows are inserted as one block, tried again with the same token until the engine has them;
//! 4. the progress of all partitions is inserted as one block; then Kafka is told, for tools that show lag;
//!
//! and the third one [shows](watching) what is stored to detection:
//!
//! 5. signals are produced, and their delivery awaited; how far they are given is written down;
//! 6. the national picture sees the records.
//!
//! Behind 3 and before it, and before 5, the store is asked whether another collector took a partition over; see [`tenure`](crate::tenure).
//! A crash after 3 is found by whoever [takes the partition over](taking), who asks which rows at or above the progress are stored; a crash
//! after 4 makes its detection read again what was stored and not shown; a crash in 5 gives signals a second time, which the book knows by
//! their origin.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::error::KafkaError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use vonggac_daemon::tls::{Current, renewals::Renewals};
use vonggac_wire::{
    Time,
    event::Body,
    proto::{DeadLetter, Signal},
    topic,
};

use self::gaps::{gap, told_gap};
pub(crate) use self::{
    claim::{claim, decide, keep_trying},
    replay::Filled,
    signals::send_signals,
};
use crate::{
    config::Config,
    consume::{Consumer, Received},
    dead_letter,
    decode::{self, Taken},
    figures::Figures,
    kafka::Producer,
    offsets::{Numbers, PartitionState},
    record::{Known, Record},
    registry::Registry,
    rule::{RuleSet, reload::Ruling},
    store::{CanaryRow, GapRow, Store, StoreError, row::NewRow},
    tenure::Key,
};

mod claim;
mod course;
mod gaps;
mod poison;
pub mod questions;
mod replay;
mod sealing;
mod signals;
mod storing;
mod taking;
mod unopened;
mod watching;

use questions::Question;
use sealing::Seals;
use storing::Storer;
use taking::Resting;
use watching::Watcher;

/// How often it is told how far the chain is.
const TICK: Duration = Duration::from_secs(1);

/// What ends the pipeline.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// Kafka refuses for good.
    #[error("take records from Kafka: {0}")]
    Kafka(#[from] KafkaError),
    /// The store refuses for good.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the chain needs.
pub struct Parts {
    /// Settings.
    pub config: Config,
    /// Where rows go.
    pub store: Store,
    /// Agencies and systems.
    pub registry: Arc<Registry>,
    /// Rules that the program needs itself.
    pub rules: Arc<RuleSet>,
    /// Rules by which is detected.
    pub ruling: Ruling,
    /// Metrics.
    pub figures: Figures,
    /// For signals and dead letters.
    pub producer: Producer,
    /// Where stored records are shown to the national picture.
    pub picture: mpsc::Sender<Arc<Record>>,
    /// When our own certificate is another one.
    pub renewals: Renewals,
    /// Whose certificates are believed; `None`: plain text, and no seals.
    pub tls: Option<Current>,
}

/// The chain's state.
pub struct Pipeline {
    parts: Parts,
    consumer: Consumer,
    storer: Storer,
    watcher: Watcher,
    /// The name of the tenure.
    tenure: Option<String>,
    /// What is held now.
    keys: Vec<Key>,
    partitions: HashMap<Key, PartitionState>,
    seals: Seals,
    /// What was held before the group took it, in case it gives the same back.
    resting: Option<Resting>,
    /// Where partitions go on that stand in front of what cannot be opened, by Kafka's own offsets.
    unopened: BTreeMap<Key, i64>,
    block: Block,
}

/// What is gathered.
#[derive(Default)]
struct Block {
    rows: Vec<NewRow>,
    bytes: usize,
    gaps: Vec<GapRow>,
    filled: Vec<Filled>,
    canaries: Vec<CanaryRow>,
    dead: Vec<(Taken, DeadLetter)>,
    /// What refused seals raise.
    signals: Vec<Signal>,
    /// Records that were refused for their seals.
    refused: Vec<(Key, i64)>,
    records: Vec<Arc<Record>>,
    /// Next offset of each partition, with the numbers of agents that changed.
    ends: BTreeMap<Key, (i64, BTreeMap<String, Numbers>)>,
}

impl Block {
    fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.gaps.is_empty()
    }
}

impl Pipeline {
    /// A chain that holds nothing yet.
    ///
    /// # Errors
    /// If the consumer cannot be made.
    pub fn new(parts: Parts, shutdown: &CancellationToken) -> Result<Self, PipelineError> {
        let group = parts.config.group.clone();
        let consumer = Consumer::new(&parts.config, &group, "vonggac-collector", &topic::EVENTS)?;
        let watcher = Watcher::spawn(watching::Parts {
            config: parts.config.clone(),
            store: parts.store.clone(),
            registry: Arc::clone(&parts.registry),
            figures: parts.figures.clone(),
            producer: parts.producer.clone(),
            renewals: parts.renewals.clone(),
            picture: parts.picture.clone(),
            ruling: parts.ruling.clone(),
        });
        let storer = Storer::spawn(
            storing::Parts {
                store: parts.store.clone(),
                figures: parts.figures.clone(),
                producer: parts.producer.clone(),
                watch: watcher.work(),
            },
            shutdown.clone(),
        );
        Ok(Self {
            seals: Seals::new(&parts.config, parts.tls.clone()),
            parts,
            consumer,
            storer,
            watcher,
            tenure: None,
            keys: Vec::new(),
            partitions: HashMap::new(),
            resting: None,
            unopened: BTreeMap::new(),
            block: Block::default(),
        })
    }

    /// Where detection is asked what it holds.
    #[must_use]
    pub fn detection(&self) -> mpsc::Sender<Question> {
        self.watcher.questions()
    }

    /// Runs until `shutdown`; what is gathered then is finished.
    ///
    /// # Errors
    /// If Kafka or the store refuse for good.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), PipelineError> {
        let mut ticked = Instant::now();
        while !shutdown.is_cancelled() {
            self.gather(&shutdown).await?;
            let seen = self.tenure.as_ref().is_some_and(|tenure| self.watcher.is_lost(tenure));
            if seen || self.storer.is_lost() {
                self.abandon().await?;
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                self.tick();
            }
            // While the last block is being stored, the next one may grow.
            if self.is_full() || !self.storer.is_busy() {
                self.finish().await?;
            }
            self.follow_group().await?;
            self.follow_client().await?;
        }
        self.finish_all().await?;
        drop(self.storer);
        self.watcher.end().await;
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.block.rows.len() >= self.parts.config.block_rows_max
            || self.block.bytes >= self.parts.config.block_bytes_max
    }

    /// Takes messages until the block is full, its time is over, or the group wants something.
    async fn gather(&mut self, shutdown: &CancellationToken) -> Result<(), PipelineError> {
        let end = tokio::time::Instant::now() + self.parts.config.block_interval;
        while !self.is_full() {
            let received = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = self.consumer.changed() => return Ok(()),
                () = tokio::time::sleep_until(end) => return Ok(()),
                received = self.consumer.recv() => received?,
            };
            match received {
                Received::Record(taken) => {
                    let state =
                        self.partitions.get(&(taken.origin.topic.clone(), taken.origin.partition));
                    let (store, figures) = (&self.parts.store, &self.parts.figures);
                    self.seals.learn(store, figures, &taken, state).await?;
                    let known = self.known_elsewhere(&taken).await?;
                    self.take(taken, known, Time::now());
                }
                Received::OutOfRange => {
                    self.finish_all().await?;
                    return self.take_anew().await;
                }
                Received::Unopened => {
                    self.finish_all().await?;
                    return self.pass_unopened().await;
                }
            }
        }
        Ok(())
    }

    /// Gives the block to be stored, as soon as the last one is.
    async fn finish(&mut self) -> Result<(), PipelineError> {
        self.await_storing().await?;
        if !self.block.is_empty() {
            self.storer.give(std::mem::take(&mut self.block)).await;
        }
        Ok(())
    }

    /// Gives the block to be stored, and waits until it is.
    async fn finish_all(&mut self) -> Result<(), PipelineError> {
        self.finish().await?;
        self.await_storing().await
    }

    async fn await_storing(&mut self) -> Result<(), PipelineError> {
        match self.storer.rest().await {
            Ok(parts) => {
                for part in &parts {
                    let key = (part.topic.clone(), part.partition);
                    if let Some(state) = self.partitions.get_mut(&key) {
                        state.done(part.next_offset);
                    }
                }
                self.consumer.commit(&parts);
                Ok(())
            }
            Err(StoreError::Superseded) => self.abandon().await,
            Err(error) => Err(error.into()),
        }
    }

    /// One message through decode and judge into the block. `known`: what of it the store has, where its numbers cannot say.
    fn take(&mut self, taken: Taken, known: Option<Known>, now: Time) {
        let key = (taken.origin.topic.clone(), taken.origin.partition);
        // What is not held any more may still be on its way.
        let Some(state) = self.partitions.get_mut(&key) else { return };
        let offset = taken.origin.offset;
        if offset < state.position {
            return;
        }
        state.position = offset + 1;
        self.block.ends.entry(key.clone()).or_default().0 = offset + 1;
        self.parts.figures.record(&key.0);
        if let Some(canary) = taken.canary {
            self.block.canaries.push(CanaryRow::new(&canary, &taken.origin, now));
            return;
        }
        let judged = decode::decode(&taken, &self.parts.registry).and_then(|record| {
            if let Err(refusal) = self.seals.judge(&taken, &record) {
                let (rules, registry) = (&self.parts.rules, &self.parts.registry);
                let signal = sealing::signal(&record, &refusal, rules, registry, now);
                self.block.signals.extend(signal);
                self.block.refused.push((key.clone(), offset));
                return Err(refusal.into());
            }
            Ok((state.judge(offset, &record.batch)?, record))
        });
        let (judged, mut record) = match judged {
            Ok(judged) => judged,
            Err(rejection) => {
                let letter = dead_letter::letter(&taken, &rejection, now);
                self.block.bytes += taken.value.len();
                self.block.dead.push((taken, letter));
                return;
            }
        };
        let replayed = known.is_some();
        record.known = known.unwrap_or(judged.known);
        let record = Arc::new(record);
        let known = record.known.count();
        if known > 0 {
            self.parts.figures.duplicates(known as u64);
        }
        for (first_seq, last_seq) in judged.holes {
            self.block.gaps.push(gap(&record, first_seq, last_seq, "unexplained", now));
        }
        let agent = record.batch.agent.as_str();
        if let (Some(held), Some(end)) = (state.numbers(agent), self.block.ends.get_mut(&key)) {
            end.1.insert(agent.to_owned(), held.clone());
        }
        if replayed {
            self.block.filled.push(Filled {
                agency: record.batch.agency.to_string(),
                agent: agent.to_owned(),
                lane: record.batch.lane,
                first_seq: record.batch.first_seq,
                last_seq: record.batch.last_seq(),
            });
        }
        for (index, event) in record.fresh() {
            if let Body::Gap(told) = event.body() {
                self.block.gaps.push(told_gap(&record, index, event, told, now));
            }
            if !state.holds(offset, u32::try_from(index).unwrap_or(u32::MAX)) {
                self.block.rows.push(NewRow::new(&record, index, event, now));
            }
        }
        self.block.bytes += record.bytes;
        self.block.records.push(record);
    }

    fn tick(&self) {
        let lag =
            self.partitions.iter().map(|(key, state)| self.consumer.lag(key, state.position)).sum();
        self.parts.figures.position(lag, u32::try_from(self.partitions.len()).unwrap_or(u32::MAX));
    }
}
