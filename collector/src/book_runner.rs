//! The incident book's edge: signals and commands from Kafka, transitions to the store, the compacted topic and the consoles.
//!
//! Of several collectors one leads the book: Kafka's group gives it the one partition of signals and commands, and a
//! [tenure](crate::tenure) sees to it that nobody else writes. The others [follow] the compacted topic, and put commands on theirs.

use std::{collections::HashMap, sync::Arc, time::Duration};

use prost::Message as _;
use rdkafka::{error::KafkaError, producer::FutureRecord, util::Timeout};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use vonggac_daemon::tls::renewals::Renewals;
use vonggac_wire::{
    Time,
    incident::Refusal,
    proto::{Command, Incident},
    topic,
};

use crate::{
    config::Config,
    consume::{Consumer, Received, group::Change},
    decode::Taken,
    figures::{Figures, Part},
    incident::{IncidentBook, Step},
    kafka::Producer,
    quiet::known::Known,
    registry::Registry,
    rule::reload::Ruling,
    store::{Store, StoreError},
    tenure::Tenure,
};

mod follow;
mod lead;

use follow::Follower;
use lead::Lead;

/// Messages that are applied before their steps are stored together.
const CHUNK_MAX: usize = 512;

/// Changed incidents that a slow console may be behind.
const CHANGES_MAX: usize = 4_096;

/// Commands that may wait for an answer.
const WAITING_MAX: usize = 256;

/// How often the clock is looked at.
const TICK: Duration = Duration::from_secs(1);

/// The answer to a command.
pub type Answer = Result<Incident, Refusal>;

/// The book as consoles reach it.
#[derive(Clone)]
pub struct BookHandle {
    asks: mpsc::Sender<(Command, oneshot::Sender<Answer>)>,
    changes: broadcast::Sender<Arc<Incident>>,
}

impl BookHandle {
    /// Carries out a command; the answer comes when it is stored. `None`: the book is stopping.
    pub async fn act(&self, command: Command) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        self.asks.send((command, answer)).await.ok()?;
        answered.await.ok()
    }

    /// Every incident that changes from now on.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Arc<Incident>> {
        self.changes.subscribe()
    }
}

/// What the runner needs.
#[derive(Clone)]
pub struct Parts {
    /// Settings.
    pub config: Config,
    /// Where steps go.
    pub store: Store,
    /// Agencies and systems.
    pub registry: Arc<Registry>,
    /// Rules.
    pub rules: Ruling,
    /// Metrics.
    pub figures: Figures,
    /// For the compacted topic.
    pub producer: Producer,
    /// When our own certificate is another one.
    pub renewals: Renewals,
    /// What is kept from the book.
    pub quiet: Known,
}

/// Why the book cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// Kafka refuses.
    #[error("run the incident book: {0}")]
    Kafka(#[from] KafkaError),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The book with its edges.
pub struct BookRunner {
    parts: Parts,
    consumer: Consumer,
    /// While this collector leads.
    lead: Option<Lead>,
    follower: Follower,
    incidents: Vec<Arc<Incident>>,
    asks: mpsc::Receiver<(Command, oneshot::Sender<Answer>)>,
    changes: broadcast::Sender<Arc<Incident>>,
    waiting: HashMap<String, oneshot::Sender<Answer>>,
    leads: watch::Sender<Option<Tenure>>,
}

impl BookRunner {
    /// Reads the incidents from the store, and joins those who may lead.
    ///
    /// # Errors
    /// If the store does not answer, or Kafka refuses the settings.
    pub async fn open(parts: Parts) -> Result<(Self, BookHandle), BookError> {
        // First: what changes while the store is read comes from the topic.
        let follower = Follower::open(&parts.config)?;
        let state = parts.store.book_state().await?;
        let group = format!("{}-book", parts.config.group);
        let topics = [topic::SIGNALS, topic::COMMANDS];
        let consumer = Consumer::new(&parts.config, &group, "vonggac-book", &topics)?;
        let (asks, asked) = mpsc::channel(WAITING_MAX);
        let (changes, _) = broadcast::channel(CHANGES_MAX);
        let handle = BookHandle { asks, changes: changes.clone() };
        let incidents = state.incidents.into_iter().map(Arc::new).collect();
        let runner = Self {
            parts,
            consumer,
            lead: None,
            follower,
            incidents,
            asks: asked,
            changes,
            waiting: HashMap::new(),
            leads: watch::channel(None).0,
        };
        Ok((runner, handle))
    }

    /// All incidents as they were when the book was opened, for the first picture.
    #[must_use]
    pub fn incidents(&self) -> &[Arc<Incident>] {
        &self.incidents
    }

    /// The tenure by which this collector leads the book; `None` while another one does. Who does something by it asks the store again
    /// whether it still holds.
    #[must_use]
    pub fn leads(&self) -> watch::Receiver<Option<Tenure>> {
        self.leads.subscribe()
    }

    /// Runs until `shutdown`.
    ///
    /// # Errors
    /// If the store refuses for good.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), BookError> {
        self.incidents = Vec::new();
        let mut ticks = tokio::time::interval(TICK);
        while !shutdown.is_cancelled() {
            let turned = self.turn(&mut ticks, &shutdown).await;
            match turned {
                Err(BookError::Store(StoreError::Superseded)) => {
                    tracing::warn!("another collector leads the incident book now");
                    self.lead = None;
                    self.consumer.rejoin()?;
                }
                turned => turned?,
            }
            self.tell_lead();
        }
        Ok(())
    }

    /// One thing that happens.
    async fn turn(
        &mut self,
        ticks: &mut tokio::time::Interval,
        shutdown: &CancellationToken,
    ) -> Result<(), BookError> {
        while let Some(change) = self.consumer.change() {
            self.follow_group(change).await?;
        }
        self.follow_clients()?;
        let mut taken = Vec::new();
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = self.consumer.changed() => return Ok(()),
            _ = ticks.tick() => {}
            asked = self.asks.recv() => {
                if let Some((command, answer)) = asked {
                    self.ask(command, answer).await;
                }
                return Ok(());
            }
            incident = self.follower.next() => {
                if self.lead.is_none() {
                    let _nobody_watches = self.changes.send(Arc::new(incident));
                }
                return Ok(());
            }
            received = self.consumer.recv() => match received? {
                Received::Record(record) => taken.push(record),
                Received::OutOfRange => return self.take_over().await,
                // Only collectors write what the book reads.
                Received::Unopened => {}
            },
        }
        // Whatever is there already is stored together.
        while !taken.is_empty() && taken.len() < CHUNK_MAX {
            match futures::FutureExt::now_or_never(self.consumer.recv()) {
                Some(Ok(Received::Record(record))) => taken.push(record),
                _ => break,
            }
        }
        self.apply(&taken).await
    }

    /// What the group gives or takes.
    async fn follow_group(&mut self, change: Change) -> Result<(), BookError> {
        match change {
            Change::Taken => {
                self.lead = None;
                Ok(self.consumer.release()?)
            }
            Change::Given(keys) if keys.is_empty() => {
                self.lead = None;
                Ok(self.consumer.assign(&[], HashMap::new())?)
            }
            Change::Given(_) => self.take_over().await,
        }
    }

    /// Goes on with other clients for a renewed certificate, or in place of those that lost all brokers; who leads is for the group to say
    /// anew.
    fn follow_clients(&mut self) -> Result<(), BookError> {
        let (config, consumer, follower) = (&self.parts.config, &self.consumer, &self.follower);
        let make = || Ok::<_, KafkaError>((consumer.another()?, follower.another(config)?));
        let mut others = self.parts.renewals.renew("book", make);
        if others.is_none() && (consumer.is_lost() || follower.is_lost()) {
            others = Some((consumer.another()?, follower.another(config)?));
        }
        if let Some((another, follower)) = others {
            self.lead = None;
            self.follower = follower;
            self.consumer.go_on_with(another)?;
        }
        Ok(())
    }

    /// Leads from now on.
    async fn take_over(&mut self) -> Result<(), BookError> {
        self.lead = None;
        match Lead::take_over(&self.parts, &mut self.consumer).await? {
            Some(lead) => self.lead = Some(lead),
            None => self.consumer.rejoin()?,
        }
        Ok(())
    }

    /// Puts a command on its topic: that is its place in history.
    async fn ask(&mut self, command: Command, answer: oneshot::Sender<Answer>) {
        let (key, value) = (command.incident.to_string(), command.encode_to_vec());
        let leads = self.lead.is_some();
        let mut answer = Some(answer);
        if leads {
            self.waiting.extend(answer.take().map(|answer| (command.id.clone(), answer)));
        }
        let record = FutureRecord::to(topic::COMMANDS).key(&key).payload(&value);
        if let Err((error, _)) =
            self.parts.producer.send(record, Timeout::After(Duration::from_secs(5))).await
        {
            tracing::warn!(%error, "a command was not delivered");
            self.waiting.remove(&command.id);
        } else if let Some(answer) = answer {
            tokio::spawn(follow::answer(self.parts.clone(), command, answer));
        }
    }

    /// Applies what came and the clock, stores the steps, and tells them.
    async fn apply(&mut self, taken: &[Taken]) -> Result<(), BookError> {
        self.tell_held();
        let Some(lead) = &mut self.lead else { return Ok(()) };
        lead.book.renew(self.parts.rules.rules());
        let now = Time::now();
        lead.book.follow_quiet(self.parts.quiet.now());
        let (mut steps, mut answers) = (Vec::new(), Vec::new());
        if taken.is_empty() {
            steps = lead.book.tick(now);
        }
        for record in taken {
            let answered = lead.apply(record, now, &mut steps);
            if let Some((command, answer)) = answered {
                answers.extend(self.waiting.remove(&command).map(|asked| (asked, answer)));
            }
        }
        let parts = lead.store(&self.parts, &steps, !taken.is_empty()).await?;
        self.consumer.commit(&parts);
        self.tell(&steps, answers).await;
        Ok(())
    }

    /// Tells whoever acts for the book when this collector begins or ends to lead it.
    fn tell_lead(&self) {
        let tenure = self.lead.as_ref().map(|lead| &lead.tenure);
        self.leads.send_if_modified(|told| {
            let is_same = told.as_ref().map(|told| &told.name) == tenure.map(|tenure| &tenure.name);
            if !is_same {
                *told = tenure.cloned();
            }
            !is_same
        });
    }

    /// Who does not lead holds no book.
    fn tell_held(&self) {
        let book = self.lead.as_ref().map(|lead| &lead.book);
        let figures = &self.parts.figures;
        figures.holds(Part::BookIncidents, book.map_or(0, |book| book.incidents().count()));
        figures.holds(Part::BookSignals, book.map_or(0, IncidentBook::pending));
        figures.holds(Part::BookCommands, self.waiting.len());
    }

    /// The compacted topic, the consoles, and who waits for an answer.
    async fn tell(&self, steps: &[Step], answers: Vec<(oneshot::Sender<Answer>, Answer)>) {
        let now = Time::now();
        for step in steps.iter().filter(|step| step.transition.action == "opened") {
            if let Some(after) = &step.transition.after {
                let seconds = now.seconds_since(Time(after.last_time_unix_nano));
                self.parts.figures.incident_opened(seconds);
            }
        }
        let mut newest: HashMap<u64, &Incident> = HashMap::new();
        for after in steps.iter().filter_map(|step| step.transition.after.as_ref()) {
            newest.insert(after.id, after);
        }
        for incident in newest.values() {
            let (key, value) = (incident.id.to_string(), incident.encode_to_vec());
            let record = FutureRecord::to(topic::INCIDENTS).key(&key).payload(&value);
            // The store has it; the topic is for others and catches up with the next change.
            if let Err((error, _)) =
                self.parts.producer.send(record, Timeout::After(Duration::from_secs(1))).await
            {
                tracing::warn!(%error, "an incident was not published");
            }
            let _nobody_watches = self.changes.send(Arc::new((*incident).clone()));
        }
        for (asked, answer) in answers {
            let _left = asked.send(answer);
        }
        if let Some(lead) = &self.lead {
            let open = lead.book.incidents().filter(|one| one.current_state().is_open()).count();
            self.parts.figures.transitions(steps.len() as u64, open as u64);
        }
    }
}
