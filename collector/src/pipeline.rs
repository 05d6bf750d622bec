//! The one chain: consume . decode . judge . detect . batch . store . signal . progress . commit; what is rejected goes to the dead letters.
//!
//! One task owns it, so the order of things is the order of the code:
//!
//! 1. messages are gathered for [`block_interval`](crate::config::BLOCK_INTERVAL) or until a block is full; librdkafka's own bounded queue is the back-pressure;
//! 2. each is decoded, judged against its partition's [`offsets`](crate::offsets), shown to detection, and made into rows;
//! 3. the rows are inserted as one block, tried again with the same token until the engine has them;
//! 4. the signals are produced and their delivery awaited;
//! 5. the progress of all partitions is inserted as one block; then Kafka is told, for tools that show lag.
//!
//! Between blocks the [`roll-ups`](crate::rollup) follow what lies below the progress.
//!
//! A crash after 3 is found at the next start by asking which rows at or above the progress are stored; a crash after 4 gives signals a
//! second time, which the book knows by their origin.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use prost::Message as _;
use rdkafka::{
    error::KafkaError,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use vonggac_wire::{
    Event, Time,
    event::{Body, Gap, GapReason},
    proto::{DeadLetter, Signal},
    topic,
};

use crate::{
    config::Config,
    consume::Consumer,
    dead_letter,
    decode::{self, Taken},
    detect::{Detector, Lost, sigma::Matcher},
    figures::Figures,
    offsets::{PartitionState, Place},
    record::Record,
    registry::Registry,
    rollup::RollUps,
    rule::RuleSet,
    store::{GapRow, ProgressPart, Store, StoreError, row::EventRow},
};

/// How long a refused insert waits before it is tried again; doubles up to the second.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// How often detection looks at the clock.
const TICK: Duration = Duration::from_secs(1);

/// Rows whose delay is taken as a sample, of each block.
const DELAY_SAMPLES: usize = 64;

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
    /// Rules.
    pub rules: Arc<RuleSet>,
    /// Rules, compiled.
    pub matcher: Arc<Matcher>,
    /// Metrics.
    pub figures: Figures,
    /// For signals and dead letters.
    pub producer: FutureProducer,
    /// Where stored records are shown to the national picture.
    pub picture: mpsc::Sender<Arc<Record>>,
}

/// The chain's state.
pub struct Pipeline {
    parts: Parts,
    consumer: Consumer,
    partitions: HashMap<(String, i32), PartitionState>,
    detectors: BTreeMap<i32, Detector>,
    rollups: RollUps<Store>,
    block: Block,
}

/// What is gathered.
#[derive(Default)]
struct Block {
    rows: Vec<EventRow>,
    bytes: usize,
    signals: Vec<Signal>,
    gaps: Vec<GapRow>,
    dead: Vec<(Taken, DeadLetter)>,
    records: Vec<Arc<Record>>,
    /// Next offset of each partition, with the marks that moved.
    ends: BTreeMap<(String, i32), (i64, BTreeMap<String, u64>)>,
    /// Offsets of Kafka that were only replayed.
    replayed: bool,
}

impl Pipeline {
    /// A chain that holds nothing yet.
    ///
    /// # Errors
    /// If the consumer cannot be made.
    pub fn new(parts: Parts) -> Result<Self, PipelineError> {
        let consumer = Consumer::new(&parts.config)?;
        let rollups = RollUps::new(parts.store.clone());
        Ok(Self {
            parts,
            consumer,
            partitions: HashMap::new(),
            detectors: BTreeMap::new(),
            rollups,
            block: Block::default(),
        })
    }

    /// Runs until `shutdown`; what is gathered then is finished.
    ///
    /// # Errors
    /// If Kafka or the store refuse for good.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), PipelineError> {
        let mut ticked = Instant::now();
        while !shutdown.is_cancelled() {
            self.gather(&shutdown).await?;
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                for partition in self.consumer.held() {
                    self.ensure_detector(partition).await?;
                }
                self.tick();
            }
            self.finish(&shutdown).await?;
            let (held, rebalances) = (self.consumer.assigned(), self.consumer.rebalances());
            self.rollups.turn(&held, rebalances, &self.parts.figures).await;
        }
        self.consumer.commit_now();
        Ok(())
    }

    /// Takes messages until the block is full or its time is over.
    async fn gather(&mut self, shutdown: &CancellationToken) -> Result<(), PipelineError> {
        let end = tokio::time::Instant::now() + self.parts.config.block_interval;
        while self.block.rows.len() < self.parts.config.block_rows_max
            && self.block.bytes < self.parts.config.block_bytes_max
        {
            let taken = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep_until(end) => return Ok(()),
                taken = self.consumer.recv() => taken?,
            };
            let key = (taken.origin.topic.clone(), taken.origin.partition);
            if !self.partitions.contains_key(&key) && !self.take_over(&taken).await? {
                continue;
            }
            self.take(taken, Time::now());
        }
        Ok(())
    }

    /// A partition's first message: asks the store where it stands, and goes back for detection. `false`: the message comes again.
    async fn take_over(&mut self, first: &Taken) -> Result<bool, PipelineError> {
        let (topic, partition) = (first.origin.topic.as_str(), first.origin.partition);
        let store = self.parts.store.clone();
        let progress =
            keep_trying(&self.parts.figures, "progress", || store.progress(topic, partition))
                .await?;
        let start = match progress.next_offset {
            Some(next) => {
                let back = self
                    .consumer
                    .offset_at(topic, partition, Time::now().minus(self.parts.config.replay))
                    .await;
                back.map_or(next, |back| back.min(next))
            }
            None => 0,
        };
        let from = progress.next_offset.unwrap_or(0);
        let held =
            keep_trying(&self.parts.figures, "held rows", || store.held(topic, partition, from))
                .await?;
        tracing::info!(
            topic,
            partition,
            next = from,
            replay_from = start,
            held = held.len(),
            "a partition was taken over"
        );
        self.ensure_detector(partition).await?;
        self.rollups.taken_over(topic, partition, &held);
        self.partitions
            .insert((topic.to_owned(), partition), PartitionState::new(progress, held, start));
        if start == first.origin.offset {
            return Ok(true);
        }
        self.consumer.seek(topic, partition, start)?;
        Ok(false)
    }

    /// Detection of a partition, with the agents that were heard on it before: silence is seen even where nothing comes.
    async fn ensure_detector(&mut self, partition: i32) -> Result<(), PipelineError> {
        if self.detectors.contains_key(&partition) {
            return Ok(());
        }
        let parts = &self.parts;
        let mut detector = Detector::new(
            Arc::clone(&parts.rules),
            Arc::clone(&parts.registry),
            Arc::clone(&parts.matcher),
        );
        for agent in keep_trying(&parts.figures, "agents", || parts.store.agents()).await? {
            if agent.partition == partition {
                let heard = Time(agent.heard.saturating_mul(1000));
                detector.know_agent(
                    &agent.agency,
                    &agent.agent,
                    &agent.host,
                    agent.simulated,
                    heard,
                );
            }
        }
        self.detectors.insert(partition, detector);
        Ok(())
    }

    /// One message through decode, judge and detect into the block.
    fn take(&mut self, taken: Taken, now: Time) {
        let key = (taken.origin.topic.clone(), taken.origin.partition);
        let Some(state) = self.partitions.get_mut(&key) else { return };
        let offset = taken.origin.offset;
        if offset < state.position {
            return;
        }
        state.position = offset + 1;
        let place = state.place(offset);
        if place == Place::New {
            self.block.ends.entry(key.clone()).or_default().0 = offset + 1;
            self.parts.figures.record(&key.0);
        }
        let mut record = match decode::decode(&taken, &self.parts.registry) {
            Ok(record) => record,
            Err(rejection) if place == Place::New => {
                let letter = dead_letter::letter(&taken, &rejection, now);
                self.block.bytes += taken.value.len();
                self.block.dead.push((taken, letter));
                return;
            }
            Err(_) => return,
        };
        let judged = state.judge(offset, &record.batch);
        record.known_events = judged.known;
        let record = Arc::new(record);
        let signals = match self.detectors.get_mut(&key.1) {
            Some(detector) => detector.apply(&record, now),
            None => Vec::new(),
        };
        if place == Place::Replayed {
            self.block.replayed = true;
            self.block.records.push(record);
            return;
        }
        if judged.known > 0 {
            self.parts.figures.duplicates(judged.known as u64);
        }
        if let Some((first_seq, last_seq)) = judged.hole {
            self.block.gaps.push(gap(&record, first_seq, last_seq, "unexplained", now));
        }
        let agent = record.batch.agent.as_str();
        if let (Some(mark), Some(end)) = (state.mark(agent), self.block.ends.get_mut(&key)) {
            end.1.insert(agent.to_owned(), mark);
        }
        for (index, event) in record.fresh() {
            if let Body::Gap(told) = event.body() {
                self.block.gaps.push(told_gap(&record, index, event, told, now));
            }
            if !state.holds(offset, u32::try_from(index).unwrap_or(u32::MAX)) {
                self.block.rows.push(EventRow::new(&record, index, event, now));
            }
        }
        self.block.bytes += record.bytes;
        self.block.signals.extend(signals);
        self.block.records.push(record);
    }

    fn tick(&mut self) {
        let now = Time::now();
        let (mut keys, mut lost) = (0, Lost::default());
        for detector in self.detectors.values_mut() {
            self.block.signals.extend(detector.tick(now));
            keys += detector.keys() as u64;
            lost = lost.and(detector.lost());
        }
        self.parts.figures.detection_lost(lost);
        self.parts.figures.detected(self.block.signals.len() as u64, keys);
        let lag = self
            .partitions
            .iter()
            .map(|((topic, partition), state)| self.consumer.lag(topic, *partition, state.position))
            .sum();
        self.parts.figures.position(lag, u32::try_from(self.partitions.len()).unwrap_or(u32::MAX));
    }

    /// Store, signal, progress, commit: in this order, each until it is done.
    async fn finish(&mut self, shutdown: &CancellationToken) -> Result<(), PipelineError> {
        let block = std::mem::take(&mut self.block);
        if block.ends.is_empty() && block.signals.is_empty() && !block.replayed {
            return Ok(());
        }
        let (store, figures) = (self.parts.store.clone(), self.parts.figures.clone());
        if !block.rows.is_empty() {
            let begun = Instant::now();
            let token = token(&block);
            keep_trying(&figures, "a block of events", || store.insert_events(&block.rows, &token))
                .await?;
            let now = Time::now();
            let step = (block.rows.len() / DELAY_SAMPLES).max(1);
            let delays: Vec<f64> = block
                .rows
                .iter()
                .step_by(step)
                .map(|row| now.seconds_since(Time(row.observed.saturating_mul(1000))))
                .collect();
            figures.stored(block.rows.len() as u64, begun.elapsed(), &delays, now);
        }
        for (taken, letter) in &block.dead {
            dead_letter::send(&self.parts.producer, taken, letter, shutdown).await;
            figures.dead(letter.clone());
        }
        if !block.dead.is_empty() {
            let letters: Vec<DeadLetter> =
                block.dead.iter().map(|(_, letter)| letter.clone()).collect();
            keep_trying(&figures, "dead letters", || store.insert_dead(&letters)).await?;
        }
        if !block.gaps.is_empty() {
            keep_trying(&figures, "gaps", || store.insert_gaps(&block.gaps)).await?;
        }
        send_signals(&self.parts.producer, &block.signals).await;
        for record in block.records {
            // The picture holds back the chain rather than miss a record.
            if self.parts.picture.send(record).await.is_err() {
                break;
            }
        }
        if block.ends.is_empty() {
            return Ok(());
        }
        let parts: Vec<ProgressPart> = block
            .ends
            .into_iter()
            .map(|((topic, partition), (next_offset, marks))| ProgressPart {
                topic,
                partition,
                next_offset,
                marks: marks.into_iter().collect(),
            })
            .collect();
        keep_trying(&figures, "progress", || store.save_progress(&parts)).await?;
        self.rollups.rows(&block.rows);
        self.rollups.stored(&parts);
        for part in &parts {
            if let Some(state) = self.partitions.get_mut(&(part.topic.clone(), part.partition)) {
                state.done(part.next_offset);
            }
        }
        self.consumer.commit(&parts);
        Ok(())
    }
}

/// The block's name for the engine: the same records give the same.
fn token(block: &Block) -> String {
    let mut hash = blake3::Hasher::new();
    for row in [block.rows.first(), block.rows.last()].into_iter().flatten() {
        hash.update(
            format!(
                "{}/{}/{}/{};",
                row.kafka_topic, row.kafka_partition, row.kafka_offset, row.kafka_index
            )
            .as_bytes(),
        );
    }
    for ((topic, partition), (next, _)) in &block.ends {
        hash.update(format!("{topic}/{partition}/{next};").as_bytes());
    }
    format!("{}-{}", block.rows.len(), hash.finalize().to_hex())
}

/// Tries until the engine does it; only what can never work ends it.
async fn keep_trying<T, F>(
    figures: &Figures,
    what: &str,
    mut attempt: impl FnMut() -> F,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut wait = RETRY.0;
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if error.is_final() => return Err(error),
            Err(error) => figures.store_failed(what, &error, Time::now()),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY.1);
    }
}

/// Produces signals and waits until Kafka has them all.
async fn send_signals(producer: &FutureProducer, signals: &[Signal]) {
    let deliveries = signals.iter().map(|signal| async move {
        let value = signal.encode_to_vec();
        loop {
            let record = FutureRecord::to(topic::SIGNALS).key(&signal.group).payload(&value);
            match producer.send(record, Timeout::Never).await {
                Ok(_) => return,
                Err((error, _)) => {
                    tracing::warn!(%error, "a signal was not delivered; it is sent again");
                }
            }
            tokio::time::sleep(RETRY.0).await;
        }
    });
    futures::future::join_all(deliveries).await;
}

fn gap(record: &Record, first_seq: u64, last_seq: u64, reason: &str, now: Time) -> GapRow {
    GapRow {
        time: now.micros(),
        agency: record.batch.agency.to_string(),
        host: record.batch.host.clone(),
        agent: record.batch.agent.to_string(),
        lane: record.batch.lane.name().into(),
        first_seq,
        last_seq,
        reason: reason.into(),
        first_observed: 0,
        last_observed: 0,
        events: last_seq.saturating_sub(first_seq).saturating_add(1),
        bytes: 0,
        source: String::new(),
        told_seq: 0,
    }
}

/// A gap that the agent explains replaces the unexplained one with the same first number. One without numbers is known by the event
/// that tells it, so that two logs that were cut are two gaps.
fn told_gap(record: &Record, index: usize, event: &Event, told: &Gap, now: Time) -> GapRow {
    let reason = match told.reason() {
        GapReason::Overflow => "overflow",
        GapReason::Damage => "damage",
        GapReason::Truncation => "truncation",
        GapReason::Removed => "removed",
        GapReason::Unspecified => "unexplained",
    };
    let lane = vonggac_wire::Lane::try_from(told.lane).map_or("unknown", vonggac_wire::Lane::name);
    let numbered = told.first_seq > 0;
    let range = gap(record, told.first_seq, told.last_seq, reason, now);
    GapRow {
        lane: lane.into(),
        first_observed: Time(told.first_observed_unix_nano).micros(),
        last_observed: Time(told.last_observed_unix_nano).micros(),
        events: if told.events > 0 || !numbered { told.events } else { range.events },
        bytes: told.bytes,
        source: event.source().to_owned(),
        told_seq: if numbered { 0 } else { record.batch.first_seq + index as u64 },
        ..range
    }
}
