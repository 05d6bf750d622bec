//! The third part of the chain, in a task of its own: what is stored is shown to detection, signals are produced, the national picture is
//! told. Storing never waits for detection to be rebuilt: that is read again from Kafka beside it, see [`course`](super::course).
//!
//! Signals are given at least once: how far they were is written down behind them, a second later at most, and whoever takes a partition
//! over gives those of what lies above that. The book knows a signal by its origin.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::error::KafkaError;
use tokio::{sync::mpsc, task::JoinHandle};
use vonggac_daemon::tls::renewals::Renewals;
use vonggac_wire::{Time, proto::Signal};

use super::{
    claim::keep_trying,
    course::{Courses, Start, Turn},
    questions::{Held, QUESTIONS_MAX, Question},
    replay::elsewhere,
    signals::send_signals,
};
use crate::{
    config::Config,
    consume::{Received, reread::Rereader, unopened},
    decode::{self, Taken},
    detect::{Detector, Lost},
    figures::Figures,
    kafka::Producer,
    record::Record,
    registry::Registry,
    rule::reload::Ruling,
    store::{Store, StoreError},
    tenure::{Key, Tenure},
};

/// How often detection looks at the clock, and what it did is written down.
const TICK: Duration = Duration::from_secs(1);

/// Stored blocks that wait for detection. One: the next is being stored meanwhile, and blocks are large.
const BLOCKS_WAITING_MAX: usize = 1;

/// How long reading again may give nothing, before its consumer is made anew: one that lost all brokers says nothing.
const GIVES_NOTHING_MAX: Duration = Duration::from_secs(30);

/// Signals that are gathered while detection is rebuilt, before they are given.
const SIGNALS_WAITING_MAX: usize = 1_000;

/// Refused records that are remembered while detection is rebuilt.
const REFUSED_MAX: usize = 1_000_000;
/// What the task needs.
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) store: Store,
    pub(super) registry: Arc<Registry>,
    pub(super) figures: Figures,
    pub(super) producer: Producer,
    pub(super) renewals: Renewals,
    pub(super) picture: mpsc::Sender<Arc<Record>>,
    pub(super) ruling: Ruling,
}

/// What was stored.
#[derive(Debug)]
pub(super) struct Stored {
    /// Next offset of each partition.
    pub(super) ends: Vec<(Key, i64)>,
    /// In the order of each partition.
    pub(super) records: Vec<Arc<Record>>,
    /// What was refused for its seal: it decodes as if it were well.
    pub(super) refused: Vec<(Key, i64)>,
}

/// A tenure, as detection sees it.
pub(super) struct Beginning {
    pub(super) tenure: Tenure,
    /// Numbers whose detection goes on as it was.
    pub(super) kept: BTreeSet<i32>,
    /// The other partitions.
    pub(super) starts: Vec<(Key, Start)>,
    /// Their detectors.
    pub(super) detectors: BTreeMap<i32, Detector>,
    /// What is added to Kafka's own offsets.
    pub(super) bases: HashMap<Key, i64>,
    /// What was refused for its seal.
    pub(super) refused: BTreeSet<(Key, i64)>,
}

/// What the task is told.
pub(super) enum Work {
    Stored(Stored),
    Begin(Box<Beginning>),
    /// The group took all; it may give the same back.
    Rest,
    /// Another collector took over what was held.
    Forget,
}

/// The name of the tenure that another collector took over.
type Superseded = Arc<Mutex<Option<String>>>;

/// The task, as the others see it.
pub(super) struct Watcher {
    work: mpsc::Sender<Work>,
    questions: mpsc::Sender<Question>,
    superseded: Superseded,
    task: JoinHandle<()>,
}

impl Watcher {
    pub(super) fn spawn(parts: Parts) -> Self {
        let (work, taken) = mpsc::channel(BLOCKS_WAITING_MAX);
        let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
        let superseded = Superseded::default();
        let task = Task {
            parts,
            courses: Courses::default(),
            detectors: BTreeMap::new(),
            tenure: None,
            bases: HashMap::new(),
            refused: BTreeSet::new(),
            rereader: None,
            reads: false,
            came: Instant::now(),
            signals: Vec::new(),
            told: 0,
            superseded: Arc::clone(&superseded),
        };
        let task = tokio::spawn(task.run(taken, asked));
        Self { work, questions, superseded, task }
    }

    /// Where stored blocks go.
    pub(super) fn work(&self) -> mpsc::Sender<Work> {
        self.work.clone()
    }

    /// Where it is asked what it holds.
    pub(super) fn questions(&self) -> mpsc::Sender<Question> {
        self.questions.clone()
    }

    /// Another collector took over what this tenure holds.
    pub(super) fn is_lost(&self, tenure: &str) -> bool {
        let superseded = self.superseded.lock().unwrap_or_else(PoisonError::into_inner);
        superseded.as_deref() == Some(tenure)
    }

    /// Tells it what it has to do after all that it was given.
    pub(super) async fn tell(&self, work: Work) {
        // The task ends only with its handles.
        let _ended = self.work.send(work).await;
    }

    /// Finishes what it was given; all other handles are gone.
    pub(super) async fn end(self) {
        drop(self.work);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "detection ended early");
        }
    }
}

struct Task {
    parts: Parts,
    courses: Courses,
    detectors: BTreeMap<i32, Detector>,
    tenure: Option<Tenure>,
    bases: HashMap<Key, i64>,
    refused: BTreeSet<(Key, i64)>,
    rereader: Option<Rereader>,
    /// Something is read again.
    reads: bool,
    /// When something was asked for or came last.
    came: Instant,
    /// Not given yet.
    signals: Vec<Signal>,
    /// Signals since the clock was last looked at.
    told: u64,
    superseded: Superseded,
}

impl Task {
    async fn run(mut self, mut work: mpsc::Receiver<Work>, mut asked: mpsc::Receiver<Question>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // What is stored never waits for what is read again.
                biased;
                taken = work.recv() => match taken {
                    Some(work) => self.work(work).await,
                    None => break,
                },
                Some(question) = asked.recv() => self.tell_held(question),
                _ = ticks.tick() => self.tick().await,
                received = again(self.rereader.as_ref().filter(|_| self.reads)) => self.read_again(received).await,
            }
        }
        self.give().await;
        self.write_down().await;
        self.close();
    }

    /// Whoever asked may have left.
    fn tell_held(&self, question: Question) {
        let near = self.detectors.values().flat_map(|detector| detector.near(&question.about));
        let held = Held {
            near: near.collect(),
            partitions: u32::try_from(self.detectors.len()).unwrap_or(u32::MAX),
            rebuilding: self.courses.behind().next().is_some(),
        };
        let _left = question.answer.send(held);
    }

    /// Leaves the consumer to end by itself: to close one can take as long as a broker likes.
    fn close(&mut self) {
        let over = self.rereader.take();
        drop(tokio::task::spawn_blocking(move || drop(over)));
        self.reads = false;
    }

    async fn work(&mut self, work: Work) {
        match work {
            Work::Stored(stored) => self.stored(stored).await,
            Work::Begin(beginning) => self.begin(*beginning),
            Work::Rest => {
                self.give().await;
                self.write_down().await;
                self.tenure = None;
                self.open();
            }
            Work::Forget => self.forget(),
        }
    }

    fn begin(&mut self, beginning: Beginning) {
        let Beginning { tenure, kept, starts, detectors, bases, refused } = beginning;
        if kept.iter().any(|number| !self.detectors.contains_key(number)) {
            // It was given up here, since others seemed to take it over. What is held is taken over anew, with all that belongs to it.
            self.supersede(&tenure.name);
            return self.forget();
        }
        self.signals.clear();
        self.courses.keep(&kept);
        self.detectors.retain(|number, _| kept.contains(number));
        self.detectors.extend(detectors);
        for (key, start) in starts {
            self.courses.begin(key, start);
        }
        (self.tenure, self.bases, self.refused) = (Some(tenure), bases, refused);
        self.join();
        self.open();
    }

    fn forget(&mut self) {
        self.courses = Courses::default();
        self.detectors.clear();
        self.signals.clear();
        self.tenure = None;
        self.open();
    }

    /// Whoever asks for this tenure learns that it is over.
    fn supersede(&self, tenure: &str) {
        let mut superseded = self.superseded.lock().unwrap_or_else(PoisonError::into_inner);
        *superseded = Some(tenure.to_owned());
    }

    /// Reads again what is behind, from where it stands; nothing, if nothing is.
    fn open(&mut self) {
        let places: Vec<(Key, i64)> = match &self.tenure {
            Some(_) => self.courses.behind().map(|(key, from)| (key.clone(), from)).collect(),
            None => Vec::new(),
        };
        self.reads = false;
        if self.rereader.is_some() {
            let config = &self.parts.config;
            let renewed = self.parts.renewals.renew("rereader", || Rereader::new(config));
            self.rereader = renewed.or_else(|| self.rereader.take());
        }
        let opened = match (&mut self.rereader, places.is_empty()) {
            (None, true) => return,
            (None, false) => match Rereader::new(&self.parts.config) {
                Ok(made) => self.rereader.insert(made).read(&places, self.bases.clone()),
                Err(error) => Err(error),
            },
            (Some(rereader), _) => rereader.read(&places, self.bases.clone()),
        };
        match opened {
            Ok(()) => {
                self.reads = !places.is_empty();
                self.came = Instant::now();
                for key in self.courses.waiting() {
                    if let Some(rereader) = &self.rereader {
                        rereader.pause(key);
                    }
                }
            }
            // It is tried again at the next look at the clock.
            Err(error) => tracing::error!(%error, "failed to read again what detection needs"),
        }
    }

    async fn stored(&mut self, stored: Stored) {
        for (key, next) in &stored.ends {
            self.courses.stored(key, *next);
        }
        if self.courses.behind().next().is_some() && self.refused.len() < REFUSED_MAX {
            self.refused.extend(stored.refused);
        }
        let now = Time::now();
        for record in stored.records {
            let key = (record.origin.topic.clone(), record.origin.partition);
            if self.courses.follows(&key) {
                self.show(key.1, record, true, now).await;
            }
        }
        self.courses.shown();
        self.give().await;
        while let Some((key, taken)) = self.courses.ripe() {
            self.see_again(&key, taken).await;
            let resumed = self.rereader.as_ref().map(|rereader| rereader.resume(&key));
            if let Some(Err(error)) = resumed {
                tracing::warn!(%error, "what detection needs is asked for anew");
                self.reads = false;
            }
        }
        self.join();
    }

    /// Shows a record to detection and to the picture. `tells`: its signals were not given yet.
    async fn show(&mut self, number: i32, record: Arc<Record>, tells: bool, now: Time) {
        if let Some(detector) = self.detectors.get_mut(&number) {
            let signals = detector.apply(&record, now);
            if tells {
                self.signals.extend(signals);
            }
        }
        // The picture holds back the chain rather than miss a record. Without one, the collector is ending.
        let _ended = self.parts.picture.send(record).await;
    }

    async fn read_again(&mut self, received: Result<Received, KafkaError>) {
        self.came = Instant::now();
        match received {
            Ok(Received::Record(taken)) => {
                let key = (taken.origin.topic.clone(), taken.origin.partition);
                match self.courses.turn(&key, taken.origin.offset) {
                    Turn::Passed => {}
                    Turn::Due => self.see_again(&key, taken).await,
                    Turn::Early => {
                        self.courses.hold(&key, taken);
                        if let Some(rereader) = &self.rereader {
                            rereader.pause(&key);
                        }
                    }
                }
                if self.signals.len() >= SIGNALS_WAITING_MAX {
                    self.give().await;
                }
                self.join();
            }
            Ok(Received::OutOfRange) => {
                self.bound();
                self.join();
                self.open();
            }
            Ok(Received::Unopened) => {
                self.pass_unopened().await;
                self.join();
                self.open();
            }
            Err(error) => {
                tracing::error!(%error, "failed to read again what detection needs; trying anew");
                self.close();
            }
        }
    }

    /// What Kafka gave up meanwhile, detection does without.
    fn bound(&mut self) {
        let Some(rereader) = &self.rereader else { return };
        let keys: Vec<Key> = self.courses.behind().map(|(key, _)| key.clone()).collect();
        for key in keys {
            if let Some(extent) = rereader.extent(&key) {
                self.courses.bounded(&key, extent.low, extent.high);
            }
        }
        tracing::warn!(
            "Kafka no longer has all that detection is rebuilt from; it goes on without"
        );
    }

    /// What cannot be opened was passed over when it was stored, and is again.
    async fn pass_unopened(&mut self) {
        let own = |(key, from): (&Key, i64)| {
            (key.clone(), from - self.bases.get(key).copied().unwrap_or(0))
        };
        let places: Vec<(Key, i64)> = self.courses.behind().map(own).collect();
        let config = self.parts.config.clone();
        let finding = tokio::task::spawn_blocking(move || unopened::find(&config, &places));
        let Ok(Ok(found)) = finding.await else { return };
        for (key, on) in found {
            let on = on + self.bases.get(&key).copied().unwrap_or(0);
            self.courses.bounded(&key, on, i64::MAX);
        }
    }

    async fn see_again(&mut self, key: &Key, taken: Taken) {
        let offset = taken.origin.offset;
        if taken.canary.is_none()
            && !self.refused.contains(&(key.clone(), offset))
            && let Ok(record) = decode::decode(&taken, &self.parts.registry)
            && let Ok(Some(again)) = self.courses.judge(key, offset, &record.batch)
        {
            let record = self.known(key, taken.replay_of.is_some(), record, &again).await;
            self.show(key.1, Arc::new(record), !again.told, Time::now()).await;
        }
        self.courses.passed(key, offset);
    }

    /// Which of its events were seen in another record.
    async fn known(
        &mut self,
        key: &Key,
        replayed: bool,
        mut record: Record,
        again: &super::course::Again,
    ) -> Record {
        record.known = again.judged.known.clone();
        if replayed || again.doubtful {
            let found = elsewhere(&self.parts.store, &self.parts.figures, &record).await;
            match found {
                Ok(known) => {
                    self.courses.answered(key, record.batch.agent.as_str(), known.count() > 0);
                    record.known = known;
                }
                // What can never be asked is told where blocks are stored.
                Err(error) => tracing::error!(%error, "failed to ask for what is stored"),
            }
        }
        record
    }

    /// Follows what has come up.
    fn join(&mut self) {
        let joined = self.courses.join();
        if joined.is_empty() {
            return;
        }
        tracing::info!(partitions = ?joined, "detection is rebuilt");
        if self.courses.behind().next().is_none() {
            self.open();
        }
    }

    async fn tick(&mut self) {
        let now = Time::now();
        let (mut keys, mut lost) = (0, Lost::default());
        let ruling = self.parts.ruling.detects(now);
        for (number, detector) in &mut self.detectors {
            detector.renew(&ruling.rules, &ruling.matcher);
            // Whoever was not read again yet would seem to be silent.
            if self.tenure.is_some() && !self.courses.is_behind(*number) {
                self.signals.extend(detector.tick(now));
            }
            keys += detector.keys() as u64;
            lost = lost.and(detector.lost());
        }
        self.give().await;
        self.write_down().await;
        let asked = self.courses.behind().count() > self.courses.waiting().count();
        if self.reads && asked && self.came.elapsed() > GIVES_NOTHING_MAX {
            self.close();
        }
        if !self.reads && self.courses.behind().next().is_some() {
            self.open();
        }
        self.parts.figures.detection_lost(lost, now);
        self.parts.figures.detected(std::mem::take(&mut self.told), keys, now);
        self.parts.figures.rebuilding(self.courses.owed());
    }

    /// Gives the signals, if what is held is still ours.
    async fn give(&mut self) {
        if !self.signals.is_empty() {
            let Some(tenure) = &self.tenure else { return self.signals.clear() };
            let (store, figures) = (&self.parts.store, &self.parts.figures);
            if let Err(error) = keep_trying(figures, "the tenure", || store.sure_of(tenure)).await {
                if !matches!(error, StoreError::Superseded) {
                    tracing::error!(%error, "failed to ask whether signals may be given");
                }
                self.supersede(&tenure.name);
                return self.forget();
            }
            let signals = std::mem::take(&mut self.signals);
            self.told += signals.len() as u64;
            send_signals(&self.parts.producer, &signals).await;
        }
        self.courses.signalled();
    }

    async fn write_down(&mut self) {
        let places = self.courses.unwritten();
        if places.is_empty() {
            return;
        }
        let store = &self.parts.store;
        let save = || store.save_signalled(&places);
        match keep_trying(&self.parts.figures, "how far signals are given", save).await {
            Ok(()) => self.courses.written(&places),
            Err(error) => tracing::error!(%error, "failed to write how far signals are given"),
        }
    }
}

/// The next that is read again; never, if nothing is.
async fn again(rereader: Option<&Rereader>) -> Result<Received, KafkaError> {
    match rereader {
        Some(rereader) => rereader.recv().await,
        None => std::future::pending().await,
    }
}
