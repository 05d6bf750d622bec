//! A collector that does not lead the book: incidents from the compacted topic, answers to commands from the store.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use prost::Message as _;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{Consumer as _, StreamConsumer},
    error::KafkaError,
};
use tokio::sync::oneshot;
use vonggac_daemon::librdkafka::lifeline;
use vonggac_wire::{
    Time,
    proto::{Command, Incident},
    topic,
};

use super::{Answer, Parts};
use crate::{
    config::Config,
    incident::IncidentBook,
    kafka::{self, Lasting},
};

/// How long Kafka may take to say where the topic ends.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long who leads may take to carry a command out, and how often the store is asked.
const CARRIED_OUT_WITHIN: Duration = Duration::from_secs(15);
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Kilobytes of incidents that may wait here.
const WAITING_KBYTES_MAX: u32 = 8 * 1024;

const RETRY: Duration = Duration::from_millis(500);

/// The compacted topic from now on.
pub(super) struct Follower {
    inner: StreamConsumer<Lasting>,
    /// Where it goes on; negative: at the end, wherever that is.
    next: AtomicI64,
}

/// Nothing was read yet, and Kafka does not say where the topic ends.
const AT_THE_END: i64 = -1;

impl Follower {
    /// Follows from the topic's present end.
    pub(super) fn open(config: &Config) -> Result<Self, KafkaError> {
        let consumer = make(config)?;
        let end = tokio::task::block_in_place(|| {
            consumer.fetch_watermarks(topic::INCIDENTS, 0, ANSWER_WITHIN)
        });
        Self::at(consumer, end.map_or(AT_THE_END, |(_, high)| high))
    }

    /// Another client that goes on where this one stands, by the certificate as it is now.
    pub(super) fn another(&self, config: &Config) -> Result<Self, KafkaError> {
        Self::at(make(config)?, self.next.load(Ordering::Relaxed))
    }

    /// Its client has no broker left, and finds none again.
    pub(super) fn is_lost(&self) -> bool {
        self.inner.context().is_lost()
    }

    fn at(inner: StreamConsumer<Lasting>, next: i64) -> Result<Self, KafkaError> {
        let offset = if next < 0 { Offset::End } else { Offset::Offset(next) };
        let mut assigned = TopicPartitionList::new();
        assigned.add_partition_offset(topic::INCIDENTS, 0, offset)?;
        inner.assign(&assigned)?;
        Ok(Self { inner, next: AtomicI64::new(next) })
    }

    /// The next incident that changed.
    pub(super) async fn next(&self) -> Incident {
        loop {
            match self.inner.recv().await {
                Ok(message) => {
                    self.next.store(message.offset() + 1, Ordering::Relaxed);
                    if let Ok(incident) = Incident::decode(message.payload().unwrap_or_default()) {
                        return incident;
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "Kafka does not give incidents; waiting");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

fn make(config: &Config) -> Result<StreamConsumer<Lasting>, KafkaError> {
    let (name, every) = lifeline::setting();
    kafka::client(config)
        // Wanted by librdkafka; the group is never joined.
        .set("group.id", format!("{}-follow", config.group))
        .set("client.id", "vonggac-follow")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "latest")
        .set("queued.max.messages.kbytes", WAITING_KBYTES_MAX.to_string())
        .set(name, every)
        .create_with_context(Lasting::default())
}

/// Answers a command that another collector carries out: refused as that one would, by the same book, or with what the store has of it.
/// Without an answer the asker is told to try again.
pub(super) async fn answer(parts: Parts, command: Command, answer: oneshot::Sender<Answer>) {
    match parts.store.book_state().await {
        Ok(state) if !state.commands.contains(&command.id) => {
            let mut book = IncidentBook::new(
                parts.rules.rules(),
                parts.registry,
                state.incidents,
                state.origins,
                state.commands,
            );
            if let Err(refusal) = book.apply_command(&command, Time::now()) {
                let _gone = answer.send(Err(refusal));
                return;
            }
        }
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "the store does not say what a command would do"),
    }
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < CARRIED_OUT_WITHIN {
        match parts.store.carried_out(&command.id).await {
            Ok(Some(incident)) => {
                let _gone = answer.send(Ok(incident));
                return;
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the store does not say what a command did"),
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
