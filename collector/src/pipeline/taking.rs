//! How the chain follows Kafka's group: what it has in hand is finished before anything is given back, and what is given is taken over from
//! the store.
//!
//! A taking says first that it is one, and asks then: see [`tenure`](crate::tenure). Detection is rebuilt by replaying what lies below the
//! progress, unless the same comes back to whoever held it last.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use vonggac_wire::Time;

use super::{
    Block, Pipeline, PipelineError,
    claim::{claim, decide, keep_trying},
    gaps::expired,
    storing::{Beginning, Doubt},
};
use crate::{
    consume::{
        Extent,
        group::Change,
        place::{Place, place},
    },
    detect::Detector,
    offsets::{PartitionState, Progress},
    store::{StoreError, query::KnownAgent},
    tenure::{self, Doubted, End, Key, Kind, Taking, Tenure},
};

/// How long Kafka is waited for that does not say what it has.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What was held before the group took it.
pub(super) struct Resting {
    tenure: String,
    partitions: HashMap<Key, PartitionState>,
    detectors: BTreeMap<i32, Detector>,
}

impl Pipeline {
    /// Does what the group wants.
    pub(super) async fn follow_group(&mut self) -> Result<(), PipelineError> {
        while let Some(change) = self.consumer.change() {
            self.finish_all().await?;
            match change {
                Change::Taken => self.rest().await?,
                Change::Given(keys) => self.take_over(keys).await?,
            }
        }
        Ok(())
    }

    /// Gives all back. It is kept for a while, because the group often gives the same again.
    async fn rest(&mut self) -> Result<(), PipelineError> {
        if let Some(tenure) = self.tenure.take() {
            self.resting = Some(Resting {
                tenure,
                partitions: std::mem::take(&mut self.partitions),
                detectors: std::mem::take(&mut self.detectors),
            });
        }
        self.keys.clear();
        self.storer.begin(None).await;
        Ok(self.consumer.release()?)
    }

    /// Forgets all that is held: another one took it over. The group says what is held now.
    pub(super) async fn abandon(&mut self) -> Result<(), PipelineError> {
        tracing::warn!("another collector took over what this one held; the group is asked anew");
        self.forget();
        self.storer.begin(None).await;
        Ok(self.consumer.rejoin()?)
    }

    fn forget(&mut self) {
        self.block = Block::default();
        self.tenure = None;
        self.resting = None;
        self.keys.clear();
        self.partitions.clear();
        self.detectors.clear();
    }

    /// Takes partitions over.
    pub(super) async fn take_over(&mut self, keys: Vec<Key>) -> Result<(), PipelineError> {
        let resting = if self.keys.is_empty() { self.resting.take() } else { None };
        self.forget();
        let Some(tenure) = claim(&self.parts.store, &self.parts.figures, &keys).await? else {
            return self.abandon().await;
        };
        let (store, figures) = (self.parts.store.clone(), self.parts.figures.clone());
        let progress = keep_trying(&figures, "progress", || store.progress(&tenure.keys)).await?;
        let places = self.places(&tenure, &progress).await?;
        let takings = || store.takings(&tenure.keys);
        let before = keep_trying(&figures, "takings", takings).await?;
        decide(&store, &figures, &before, &tenure).await?;
        let before = keep_trying(&figures, "takings", takings).await?;
        let doubts = self.doubts(&tenure, &before, &progress, &places).await?;
        // Whoever comes from here on reads what is made sure of now.
        match keep_trying(&figures, "the tenure", || store.make_valid(&tenure, Time::now())).await {
            Err(StoreError::Superseded) => return self.abandon().await,
            valid => valid?,
        }
        let mut kept = resting.map(|resting| {
            let holder = |key: &Key| {
                let earlier = before.iter().filter(|t| t.key == *key && t.valid == Some(true));
                let last = earlier.filter(|t| t.epoch < tenure.epoch).max_by_key(|t| t.epoch);
                last.map(|taking| taking.name.clone())
            };
            let untouched = |key: &Key, state: &PartitionState| {
                holder(key).as_ref() == Some(&resting.tenure)
                    && state.next() == places.get(key).map(|(place, _)| place.next)
                    && places.get(key).is_some_and(|(place, _)| !place.renewed)
            };
            kept_of(&tenure.keys, resting.partitions, resting.detectors, untouched)
        });
        let agents = keep_trying(&figures, "agents", || store.agents()).await?;
        let mut offsets = Vec::new();
        for (key, progress) in progress {
            let Some((place, _)) = places.get(&key).copied() else { continue };
            let found = kept.as_mut().and_then(|kept| kept.0.remove(&key));
            let held = doubts.get(&key).map(|doubt| doubt.held.clone()).unwrap_or_default();
            let state = match found {
                Some(state) => state,
                None => {
                    let start = self.replay_from(&key, place);
                    tracing::info!(
                        topic = key.0,
                        partition = key.1,
                        next = place.next,
                        replay_from = start,
                        held = held.len(),
                        "a partition was taken over"
                    );
                    let progress = Progress { next_offset: Some(place.next), ..progress };
                    PartitionState::new(progress, held, start)
                }
            };
            offsets.push((key.clone(), state.position));
            self.partitions.insert(key, state);
        }
        for (_, partition) in &tenure.keys {
            let found = kept.as_mut().and_then(|kept| kept.1.remove(partition));
            let detector = found.unwrap_or_else(|| self.detector(*partition, &agents));
            self.detectors.entry(*partition).or_insert(detector);
        }
        self.keys = tenure.keys.clone();
        self.tenure = Some(tenure.name.clone());
        self.storer.begin(Some(Beginning { tenure, doubts })).await;
        let bases = places.into_iter().map(|(key, (place, _))| (key, place.base)).collect();
        Ok(self.consumer.assign(&offsets, bases)?)
    }

    /// What Kafka has of a partition: who takes it over has to know.
    async fn extent(&self, key: &Key) -> Extent {
        loop {
            if let Some(extent) = self.consumer.extent(key) {
                return extent;
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Where the partitions go on, and where they end. What Kafka no longer has of them is told, and the store learns of topics that were
    /// made anew.
    async fn places(
        &mut self,
        tenure: &Tenure,
        progress: &HashMap<Key, Progress>,
    ) -> Result<HashMap<Key, (Place, i64)>, PipelineError> {
        let (store, figures) = (self.parts.store.clone(), self.parts.figures.clone());
        let bases = keep_trying(&figures, "bases", || store.bases()).await?;
        let mut places = HashMap::new();
        let now = Time::now();
        for key in &tenure.keys {
            let extent = self.extent(key).await;
            let next = progress.get(key).and_then(|progress| progress.next_offset);
            let base = bases.get(key).copied().unwrap_or(0);
            let place = place(next, base, Some(extent));
            let end = (extent.high + place.base).max(place.next);
            if place.renewed {
                tracing::error!(
                    topic = key.0,
                    partition = key.1,
                    next = place.next,
                    "the topic was made anew or cut; what it has is taken from its beginning"
                );
                self.block.gaps.push(expired(key, place.next..=place.next, "topic-renewed", now));
                keep_trying(&figures, "a base", || store.save_base(key, place.base)).await?;
            } else if next.unwrap_or(0).max(base) < place.next {
                let from = next.unwrap_or(0).max(base);
                tracing::error!(
                    topic = key.0,
                    partition = key.1,
                    from,
                    to = place.next,
                    "Kafka's retention took records before they were stored"
                );
                self.block.gaps.push(expired(key, from..=place.next - 1, "expired", now));
                self.block.ends.entry(key.clone()).or_default().0 = place.next;
            }
            places.insert(key.clone(), (place, end));
        }
        Ok(places)
    }

    /// What others may still write, and what they wrote above the progress. It is written down before anything is done about it.
    async fn doubts(
        &self,
        tenure: &Tenure,
        takings: &[Taking],
        progress: &HashMap<Key, Progress>,
        places: &HashMap<Key, (Place, i64)>,
    ) -> Result<BTreeMap<Key, Doubt>, PipelineError> {
        let (store, figures) = (&self.parts.store, &self.parts.figures);
        let marks = keep_trying(figures, "marks", || store.rollup_marks()).await?;
        let next = progress
            .iter()
            .map(|(key, progress)| (key.clone(), progress.next_offset.unwrap_or(0)))
            .collect();
        let rolled = marks.into_iter().map(|(key, (rolled, _))| (key, rolled)).collect();
        let before = takings.iter().filter(|taking| taking.epoch < tenure.epoch);
        let names: BTreeSet<String> = before.map(|taking| taking.name.clone()).collect();
        let names: Vec<String> = names.into_iter().collect();
        let numbers = keep_trying(figures, "numbers", || store.insert_numbers(&names)).await?;
        let of = |kind, passed| tenure::doubted(takings, passed, tenure.epoch, kind, &numbers);
        let (mut blocks, mut sums) = (of(Kind::Blocks, &next), of(Kind::Sums, &rolled));
        let from = places.iter().map(|(key, (place, _))| (key.clone(), place.next)).collect();
        let mut doubts = BTreeMap::new();
        let mut ends = Vec::new();
        let mut held = keep_trying(figures, "held rows", || store.held(&from)).await?;
        for (key, next) in from {
            let until = places.get(&key).map_or(0, |(_, end)| *end);
            let bounded = |doubts: Option<BTreeMap<Doubted, i64>>| -> BTreeMap<Doubted, i64> {
                let doubts = doubts.into_iter().flatten();
                doubts.map(|(doubted, below)| (doubted, below.min(until))).collect()
            };
            let doubt = Doubt {
                blocks: bounded(blocks.remove(&key)),
                sums: bounded(sums.remove(&key)),
                until,
                next,
                held: held.remove(&key).unwrap_or_default(),
            };
            let end = End {
                high: until,
                blocks: doubt.blocks.keys().cloned().collect(),
                sums: doubt.sums.keys().cloned().collect(),
            };
            ends.push((key.clone(), end));
            doubts.insert(key, doubt);
        }
        let tell = || store.tell_ends(tenure, &ends, Time::now());
        keep_trying(figures, "the ends of partitions", tell).await?;
        Ok(doubts)
    }

    /// Where detection begins.
    fn replay_from(&self, key: &Key, place: Place) -> i64 {
        if place.renewed {
            return place.next;
        }
        let since = Time::now().minus(self.parts.config.replay);
        let back = self.consumer.offset_at(key, since).map(|offset| offset + place.base);
        back.map_or(place.next, |back| back.min(place.next)).max(place.low)
    }

    /// Detection of a partition, with the agents that were heard on it before: silence is seen even where nothing comes.
    fn detector(&self, partition: i32, agents: &[KnownAgent]) -> Detector {
        let parts = &self.parts;
        let mut detector = Detector::new(
            Arc::clone(&parts.rules),
            Arc::clone(&parts.registry),
            Arc::clone(&parts.matcher),
        );
        for agent in agents.iter().filter(|agent| agent.partition == partition) {
            let heard = Time(agent.heard.saturating_mul(1000));
            detector.know_agent(&agent.agency, &agent.agent, &agent.host, agent.simulated, heard);
        }
        detector
    }
}

/// What of the partitions that rested goes on as it was: a detector sees all topics of its partition's number, so these go on together or
/// not at all.
fn kept_of(
    keys: &[Key],
    mut partitions: HashMap<Key, PartitionState>,
    mut detectors: BTreeMap<i32, Detector>,
    untouched: impl Fn(&Key, &PartitionState) -> bool,
) -> (HashMap<Key, PartitionState>, BTreeMap<i32, Detector>) {
    let mut broken: BTreeSet<i32> = BTreeSet::new();
    for key in keys {
        if !partitions.get(key).is_some_and(|state| untouched(key, state)) {
            broken.insert(key.1);
        }
    }
    let wanted: BTreeSet<&Key> = keys.iter().collect();
    broken.extend(partitions.keys().filter(|key| !wanted.contains(key)).map(|key| key.1));
    partitions.retain(|key, _| !broken.contains(&key.1));
    detectors.retain(|number, _| !broken.contains(number));
    (partitions, detectors)
}
