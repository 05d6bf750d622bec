//! How the chain follows Kafka's group: what it has in hand is finished before anything is given back, and what is given is taken over from
//! the store.
//!
//! A taking says first that it is one, and asks then: see [`tenure`](crate::tenure). Storing begins at once; detection is rebuilt beside it,
//! unless the same comes back to whoever held it last.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use vonggac_wire::Time;

use super::{
    Block, Pipeline, PipelineError,
    claim::{claim, decide, keep_trying},
    course::Start,
    gaps::expired,
    storing::{Beginning, Doubt},
    unopened,
    watching::{self, Work},
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

/// How old a backlog may be for its own past to be looked up; Kafka keeps no more than days.
const BACKLOG_MAX: Duration = Duration::from_secs(14 * 86_400);

/// Halvings of that until a time is known to the minute.
const BACKLOG_STEPS: usize = 15;

/// What was held before the group took it.
pub(super) struct Resting {
    tenure: String,
    partitions: HashMap<Key, PartitionState>,
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

    /// Goes on with another client for a renewed certificate, or in place of one that lost all brokers. Whoever gets the partitions then
    /// takes them over as always: the group often gives the same again.
    pub(super) async fn follow_client(&mut self) -> Result<(), PipelineError> {
        let consumer = &self.consumer;
        let another = match self.parts.renewals.renew("consumer", || consumer.another()) {
            Some(another) => another,
            None if consumer.is_lost() => consumer.another()?,
            None => return Ok(()),
        };
        self.finish_all().await?;
        self.lay_down().await;
        Ok(self.consumer.go_on_with(another)?)
    }

    /// Gives all back. It is kept for a while, because the group often gives the same again.
    async fn rest(&mut self) -> Result<(), PipelineError> {
        self.lay_down().await;
        Ok(self.consumer.release()?)
    }

    /// Takes what is held anew: Kafka has not what it had.
    pub(super) async fn take_anew(&mut self) -> Result<(), PipelineError> {
        let keys = self.keys.clone();
        self.lay_down().await;
        self.take_over(keys).await
    }

    async fn lay_down(&mut self) {
        if let Some(tenure) = self.tenure.take() {
            let partitions = std::mem::take(&mut self.partitions);
            self.resting = Some(Resting { tenure, partitions });
        }
        self.keys.clear();
        self.storer.begin(None).await;
        self.watcher.tell(Work::Rest).await;
    }

    /// Forgets all that is held: another one took it over. The group says what is held now.
    pub(super) async fn abandon(&mut self) -> Result<(), PipelineError> {
        tracing::warn!("another collector took over what this one held; the group is asked anew");
        self.let_go().await;
        Ok(self.consumer.rejoin()?)
    }

    /// Begins anew with another client: the one that was to take over lost all brokers.
    async fn begin_anew(&mut self) -> Result<(), PipelineError> {
        let another = self.consumer.another()?;
        self.let_go().await;
        Ok(self.consumer.go_on_with(another)?)
    }

    /// Forgets all that is held, in every task.
    async fn let_go(&mut self) {
        self.forget();
        self.storer.begin(None).await;
        self.watcher.tell(Work::Forget).await;
    }

    fn forget(&mut self) {
        self.block = Block::default();
        self.tenure = None;
        self.resting = None;
        self.keys.clear();
        self.partitions.clear();
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
        let Some(places) = self.places(&tenure, &progress).await? else {
            return self.begin_anew().await;
        };
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
        let holder = |key: &Key| {
            let earlier = before.iter().filter(|t| t.key == *key && t.valid == Some(true));
            let last = earlier.filter(|t| t.epoch < tenure.epoch).max_by_key(|t| t.epoch);
            last.map(|taking| taking.name.clone())
        };
        let kept = resting.map(|resting| {
            let untouched = |key: &Key, state: &PartitionState| {
                holder(key).as_ref() == Some(&resting.tenure)
                    && state.next() == places.get(key).map(|(place, _)| place.next)
                    && places.get(key).is_some_and(|(place, _)| !place.renewed)
            };
            kept_of(&tenure.keys, resting.partitions, untouched)
        });
        self.partitions = kept.unwrap_or_default();
        let kept: BTreeSet<i32> = self.partitions.keys().map(|key| key.1).collect();
        let starts = self.starts(progress, &places, &doubts).await?;
        let agents = keep_trying(&figures, "agents", || store.agents()).await?;
        let fresh = tenure.keys.iter().map(|key| key.1).filter(|number| !kept.contains(number));
        let detectors = fresh.map(|number| (number, self.detector(number, &agents))).collect();
        let offsets: Vec<(Key, i64)> =
            self.partitions.iter().map(|(key, state)| (key.clone(), state.position)).collect();
        let next = places.iter().map(|(key, (place, _))| (key.clone(), place.next)).collect();
        let refused = self.seals.begin(&store, &figures, &next).await?;
        let bases: HashMap<Key, i64> =
            places.into_iter().map(|(key, (place, _))| (key, place.base)).collect();
        self.keys = tenure.keys.clone();
        self.tenure = Some(tenure.name.clone());
        let beginning = watching::Beginning {
            tenure: tenure.clone(),
            kept,
            starts,
            detectors,
            bases: bases.clone(),
            refused,
        };
        self.watcher.tell(Work::Begin(Box::new(beginning))).await;
        self.storer.begin(Some(Beginning { tenure, doubts })).await;
        Ok(self.consumer.assign(&offsets, bases)?)
    }

    /// Begins the partitions that are not kept, and says where their detection begins.
    async fn starts(
        &mut self,
        progress: HashMap<Key, Progress>,
        places: &HashMap<Key, (Place, i64)>,
        doubts: &BTreeMap<Key, Doubt>,
    ) -> Result<Vec<(Key, Start)>, PipelineError> {
        let (store, figures) = (self.parts.store.clone(), self.parts.figures.clone());
        let keys: Vec<Key> = progress.keys().cloned().collect();
        let mut signalled =
            keep_trying(&figures, "how far signals are given", || store.signalled(&keys)).await?;
        // A store that never wrote it down gave all signals of what it stored. That is written down before anything more is: whoever takes over
        // from a collector that died in its first second could not tell its rows from those.
        let unwritten = keys.iter().filter(|key| !signalled.contains_key(*key));
        let first: Vec<(Key, i64)> =
            unwritten.filter_map(|key| Some((key.clone(), places.get(key)?.0.next))).collect();
        if !first.is_empty() {
            let save = || store.save_signalled(&first);
            keep_trying(&figures, "how far signals are given", save).await?;
            signalled.extend(first);
        }
        let mut starts = Vec::new();
        for (key, progress) in progress {
            let Some((place, end)) = places.get(&key).copied() else { continue };
            if self.partitions.contains_key(&key) {
                continue;
            }
            let signalled = signalled.get(&key).copied().unwrap_or(place.next);
            let signalled = signalled.clamp(place.low.min(place.next), place.next);
            let from = self.reread_from(&key, place, signalled, end);
            let held = doubts.get(&key).map(|doubt| doubt.held.clone()).unwrap_or_default();
            tracing::info!(
                topic = key.0,
                partition = key.1,
                next = place.next,
                signalled,
                reread_from = from,
                held = held.len(),
                "a partition was taken over"
            );
            let progress = Progress { next_offset: Some(place.next), ..progress };
            let start = Start { from, signalled, progress: progress.clone() };
            starts.push((key.clone(), start));
            self.partitions.insert(key, PartitionState::new(progress, held, place.next));
        }
        Ok(starts)
    }

    /// What Kafka has of a partition: who takes it over has to know. `None`: it cannot be asked any more.
    async fn extent(&self, key: &Key) -> Option<Extent> {
        loop {
            if let Some(extent) = self.consumer.extent(key) {
                return Some(extent);
            }
            if self.consumer.is_lost() {
                return None;
            }
            self.consumer.wait(ASK_AGAIN).await;
        }
    }

    /// Where the partitions go on, and where they end; `None`: Kafka cannot be asked any more. What Kafka no longer has of them is told, and the store learns of topics that were
    /// made anew.
    async fn places(
        &mut self,
        tenure: &Tenure,
        progress: &HashMap<Key, Progress>,
    ) -> Result<Option<HashMap<Key, (Place, i64)>>, PipelineError> {
        let (store, figures) = (self.parts.store.clone(), self.parts.figures.clone());
        let bases = keep_trying(&figures, "bases", || store.bases()).await?;
        let mut places = HashMap::new();
        let now = Time::now();
        for key in &tenure.keys {
            let Some(mut extent) = self.extent(key).await else { return Ok(None) };
            let unopened = self.unopened.remove(key);
            extent.low = extent.low.max(unopened.unwrap_or(0));
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
                let (reason, why) = match unopened {
                    Some(_) => ("unopened", "records that cannot be opened were passed over"),
                    None => ("expired", "Kafka's retention took records before they were stored"),
                };
                tracing::error!(topic = key.0, partition = key.1, from, to = place.next, "{why}");
                self.block.gaps.push(expired(key, from..=place.next - 1, reason, now));
                if unopened.is_some() {
                    let (registry, rules) = (&self.parts.registry, &self.parts.rules);
                    let told = unopened::signal(key, (from, place.next), registry, rules, now);
                    self.block.signals.extend(told);
                }
                self.block.ends.entry(key.clone()).or_default().0 = place.next;
            }
            places.insert(key.clone(), (place, end));
        }
        Ok(Some(places))
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

    /// Where detection is rebuilt from: so long before what it has to speak of as windows last.
    fn reread_from(&self, key: &Key, place: Place, signalled: i64, end: i64) -> i64 {
        if place.renewed {
            return place.next;
        }
        let at = |time: Time| Some(self.consumer.offset_at(key, time)? + place.base);
        let (now, replay) = (Time::now(), self.parts.config.replay);
        let recent = at(now.minus(replay)).unwrap_or(place.next).min(place.next).max(place.low);
        if recent <= signalled || signalled >= end {
            return recent;
        }
        // A backlog: what is to be spoken of is older than that, and so is what led to it.
        let (mut early, mut late) = (now.minus(BACKLOG_MAX), now);
        for _ in 0..BACKLOG_STEPS {
            let middle = Time(early.0.midpoint(late.0));
            match at(middle) {
                Some(offset) if offset <= signalled => early = middle,
                _ => late = middle,
            }
        }
        at(early.minus(replay)).unwrap_or(signalled).clamp(place.low.min(signalled), signalled)
    }

    /// Detection of a partition, with the agents that were heard on it before: silence is seen even where nothing comes.
    fn detector(&self, partition: i32, agents: &[KnownAgent]) -> Detector {
        let parts = &self.parts;
        let ruling = parts.ruling.detects(Time::now());
        let mut detector = Detector::new(ruling.rules, Arc::clone(&parts.registry), ruling.matcher);
        for agent in agents.iter().filter(|agent| agent.partition == partition) {
            let heard = Time(agent.heard.saturating_mul(1000));
            let place = (agent.host.as_str(), agent.system.as_str());
            detector.know_agent((&agent.agency, &agent.agent), place, agent.simulated, heard);
        }
        detector
    }
}

/// What of the partitions that rested goes on as it was: a detector sees all topics of its partition's number, so these go on together or
/// not at all.
fn kept_of(
    keys: &[Key],
    mut partitions: HashMap<Key, PartitionState>,
    untouched: impl Fn(&Key, &PartitionState) -> bool,
) -> HashMap<Key, PartitionState> {
    let mut broken: BTreeSet<i32> = BTreeSet::new();
    for key in keys {
        if !partitions.get(key).is_some_and(|state| untouched(key, state)) {
            broken.insert(key.1);
        }
    }
    let wanted: BTreeSet<&Key> = keys.iter().collect();
    broken.extend(partitions.keys().filter(|key| !wanted.contains(key)).map(|key| key.1));
    partitions.retain(|key, _| !broken.contains(&key.1));
    partitions
}
