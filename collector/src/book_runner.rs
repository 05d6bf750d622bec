//! The incident book's edge: signals and commands from Kafka, transitions to the store, the compacted topic and the consoles.

use std::{collections::HashMap, sync::Arc, time::Duration};

use prost::Message as _;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{Consumer as _, StreamConsumer},
    error::KafkaError,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use vonggac_wire::{
    Time,
    incident::Refusal,
    proto::{Command, Incident, Signal},
    topic,
};

use crate::{
    config::Config,
    figures::Figures,
    incident::{IncidentBook, Step},
    registry::Registry,
    rule::RuleSet,
    store::{ProgressPart, Store, StoreError, StoredTransition},
};

/// Messages that are applied before their steps are stored together.
const CHUNK_MAX: usize = 512;

/// Changed incidents that a slow console may be behind.
const CHANGES_MAX: usize = 4_096;

/// Commands that may wait for an answer.
const WAITING_MAX: usize = 256;

/// How often the clock is looked at.
const TICK: Duration = Duration::from_secs(1);

const RETRY: Duration = Duration::from_millis(500);

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
pub struct Parts {
    /// Settings.
    pub config: Config,
    /// Where steps go.
    pub store: Store,
    /// Agencies and systems.
    pub registry: Arc<Registry>,
    /// Rules.
    pub rules: Arc<RuleSet>,
    /// Metrics.
    pub figures: Figures,
    /// For the compacted topic.
    pub producer: FutureProducer,
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
    book: IncidentBook,
    consumer: StreamConsumer,
    asks: mpsc::Receiver<(Command, oneshot::Sender<Answer>)>,
    changes: broadcast::Sender<Arc<Incident>>,
    waiting: HashMap<String, oneshot::Sender<Answer>>,
    /// Next offset of each topic, and the lowest of signals that wait in the book.
    next: HashMap<&'static str, i64>,
}

impl BookRunner {
    /// Restores the book from the store.
    ///
    /// # Errors
    /// If the store does not answer, or Kafka refuses the settings.
    pub async fn open(parts: Parts) -> Result<(Self, BookHandle), BookError> {
        let state = parts.store.book_state().await?;
        let book = IncidentBook::new(
            Arc::clone(&parts.rules),
            Arc::clone(&parts.registry),
            state.incidents,
            state.origins,
            state.commands,
        );
        let consumer: StreamConsumer = ClientConfig::new()
            .set("bootstrap.servers", parts.config.brokers.join(","))
            .set("group.id", format!("{}-book", parts.config.group))
            .set("client.id", "vonggac-book")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "50")
            .create()?;
        let mut assigned = TopicPartitionList::new();
        let mut next = HashMap::new();
        for name in [topic::SIGNALS, topic::COMMANDS] {
            let offset = parts.store.progress(name, 0).await?.next_offset.unwrap_or(0);
            assigned.add_partition_offset(name, 0, Offset::Offset(offset))?;
            next.insert(name, offset);
        }
        consumer.assign(&assigned)?;
        let (asks, asked) = mpsc::channel(WAITING_MAX);
        let (changes, _) = broadcast::channel(CHANGES_MAX);
        let handle = BookHandle { asks, changes: changes.clone() };
        Ok((
            Self { parts, book, consumer, asks: asked, changes, waiting: HashMap::new(), next },
            handle,
        ))
    }

    /// All incidents, for the first picture.
    #[must_use]
    pub fn incidents(&self) -> Vec<Arc<Incident>> {
        self.book.incidents().cloned().map(Arc::new).collect()
    }

    /// Runs until `shutdown`.
    ///
    /// # Errors
    /// If the store refuses for good.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), BookError> {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            let mut steps = Vec::new();
            let mut answers = Vec::new();
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = ticks.tick() => steps.extend(self.book.tick(Time::now())),
                asked = self.asks.recv() => match asked {
                    Some((command, answer)) => self.ask(command, answer).await,
                    None => return Ok(()),
                },
                taken = next_message(&self.consumer) => {
                    self.apply(taken, &mut steps, &mut answers);
                    // Whatever is there already is stored together.
                    for _ in 1..CHUNK_MAX {
                        match futures::FutureExt::now_or_never(next_message(&self.consumer)) {
                            Some(taken) => self.apply(taken, &mut steps, &mut answers),
                            None => break,
                        }
                    }
                    self.store(&steps).await?;
                    self.save_progress().await?;
                    self.tell(&steps, answers).await;
                    continue;
                }
            }
            self.store(&steps).await?;
            self.tell(&steps, answers).await;
        }
    }

    /// Puts a command on its topic: that is its place in history.
    async fn ask(&mut self, command: Command, answer: oneshot::Sender<Answer>) {
        let (key, value) = (command.incident.to_string(), command.encode_to_vec());
        self.waiting.insert(command.id.clone(), answer);
        let record = FutureRecord::to(topic::COMMANDS).key(&key).payload(&value);
        if let Err((error, _)) =
            self.parts.producer.send(record, Timeout::After(Duration::from_secs(5))).await
        {
            tracing::warn!(%error, "a command was not delivered");
            self.waiting.remove(&command.id);
        }
    }

    fn apply(
        &mut self,
        taken: Taken,
        steps: &mut Vec<Step>,
        answers: &mut Vec<(oneshot::Sender<Answer>, Answer)>,
    ) {
        let now = Time::now();
        self.next.insert(taken.topic, taken.offset + 1);
        if taken.topic == topic::SIGNALS {
            match Signal::decode(taken.value.as_slice()) {
                Ok(signal) => steps.extend(self.book.apply_signal(&signal, now)),
                Err(error) => {
                    tracing::warn!(%error, offset = taken.offset, "a signal does not decode; it is left out");
                }
            }
            return;
        }
        let command = match Command::decode(taken.value.as_slice()) {
            Ok(command) => command,
            Err(error) => {
                tracing::warn!(%error, offset = taken.offset, "a command does not decode; it is left out");
                return;
            }
        };
        let outcome = self.book.apply_command(&command, now);
        let answer = match outcome {
            Ok(more) => {
                steps.extend(more);
                self.book.incident(command.incident).cloned().ok_or(Refusal::NotFound)
            }
            Err(refusal) => Err(refusal),
        };
        if let Some(asked) = self.waiting.remove(&command.id) {
            answers.push((asked, answer));
        }
    }

    async fn store(&self, steps: &[Step]) -> Result<(), BookError> {
        if steps.is_empty() {
            return Ok(());
        }
        let stored: Vec<StoredTransition> = steps
            .iter()
            .map(|step| StoredTransition {
                transition: step.transition.clone(),
                origin_key: step.origin_key.clone(),
                origin_offset: step.origin_offset,
                command: step.command.clone(),
            })
            .collect();
        while let Err(error) = self.parts.store.insert_transitions(&stored).await {
            if error.is_final() {
                return Err(error.into());
            }
            self.parts.figures.store_failed("transitions", &error, Time::now());
            tokio::time::sleep(RETRY).await;
        }
        Ok(())
    }

    /// Signals that wait in the book are read again after a crash: while there are any, progress stands still.
    async fn save_progress(&self) -> Result<(), BookError> {
        let parts: Vec<ProgressPart> = self
            .next
            .iter()
            .filter(|(name, _)| **name != topic::SIGNALS || self.book.pending() == 0)
            .map(|(name, offset)| ProgressPart {
                topic: (*name).to_owned(),
                partition: 0,
                next_offset: *offset,
                held: Vec::new(),
            })
            .collect();
        while let Err(error) = self.parts.store.save_progress(&parts).await {
            if error.is_final() {
                return Err(error.into());
            }
            self.parts.figures.store_failed("the book's progress", &error, Time::now());
            tokio::time::sleep(RETRY).await;
        }
        Ok(())
    }

    /// The compacted topic, the consoles, and who waits for an answer.
    async fn tell(&self, steps: &[Step], answers: Vec<(oneshot::Sender<Answer>, Answer)>) {
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
        let open =
            self.book.incidents().filter(|incident| incident.current_state().is_open()).count();
        self.parts.figures.transitions(steps.len() as u64, open as u64);
    }
}

struct Taken {
    topic: &'static str,
    offset: i64,
    value: Vec<u8>,
}

/// The next message; errors that pass are waited out.
async fn next_message(consumer: &StreamConsumer) -> Taken {
    loop {
        match consumer.recv().await {
            Ok(message) => {
                let name = if message.topic() == topic::SIGNALS {
                    topic::SIGNALS
                } else {
                    topic::COMMANDS
                };
                return Taken {
                    topic: name,
                    offset: message.offset(),
                    value: message.payload().unwrap_or_default().to_vec(),
                };
            }
            Err(error) => {
                tracing::warn!(%error, "Kafka does not give signals; waiting");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
