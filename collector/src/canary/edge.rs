//! Sends canaries and looks for them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::FutureRecord,
    util::Timeout,
};
use tokio_util::sync::CancellationToken;
use vonggac_wire::{Time, topic::header};

use super::{Canary, Change, Watch, signal};
use crate::{
    figures::Figures, kafka::Producer, pipeline::send_signals, registry::Registry, rule::RuleSet,
    store::Store,
};

/// How often the store is looked at, at most: a broken way should be told soon, and each look costs a query.
const LOOK: Duration = Duration::from_secs(10);

/// How long a record may wait for Kafka before the next one is tried.
const SENT_WITHIN: Duration = Duration::from_secs(5);

/// How long the store may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What the canary needs.
pub struct Parts {
    /// Of each topic.
    pub partitions: i32,
    /// How often one is sent.
    pub interval: Duration,
    /// Where they should come to.
    pub store: Store,
    /// For the agency of the centre.
    pub registry: Arc<Registry>,
    /// For the rule.
    pub rules: Arc<RuleSet>,
    /// Metrics.
    pub figures: Figures,
    /// For canaries and signals.
    pub producer: Producer,
}

/// How long ago the worst place's last canary was sent, for the heartbeat; cloning shares it.
#[derive(Clone, Debug)]
pub struct Age(Arc<AtomicU64>);

impl Default for Age {
    /// Nothing was seen yet.
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }
}

impl Age {
    /// Seconds; `u64::MAX` while something is missing or was not seen yet.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

/// How soon Kafka is tried again that took no canary.
const AGAIN: Duration = Duration::from_secs(5);

/// Sends and looks until it is told to stop.
pub async fn run(parts: Parts, age: Age, shutdown: CancellationToken) {
    let sender = format!("collector-{}", uuid::Uuid::new_v4());
    let mut watch = Watch::new(parts.partitions, parts.interval, &parts.rules, Time::now());
    let mut sends = tokio::time::interval(parts.interval);
    let mut looks = tokio::time::interval(LOOK.min(parts.interval));
    for ticks in [&mut sends, &mut looks] {
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = sends.tick() => {
                let takes = send(&parts.producer, &sender, &watch).await;
                parts.figures.kafka(takes, Time::now());
                if !takes {
                    // Nobody should wait a minute to learn that it is back.
                    sends.reset_after(AGAIN.min(parts.interval));
                }
            }
            _ = looks.tick() => look(&parts, &sender, &mut watch, &age).await,
        }
    }
}

/// One canary into each partition, and whether Kafka takes them. What it does not take will be missing, which tells more than the error.
async fn send(producer: &Producer, sender: &str, watch: &Watch) -> bool {
    let canary = Canary { sender: sender.to_owned(), sent: Time::now() };
    let value = canary.header();
    let sent = watch.places().map(|(topic, partition)| {
        let headers =
            OwnedHeaders::new().insert(Header { key: header::CANARY, value: Some(&value) });
        let record =
            FutureRecord::<str, str>::to(topic).partition(*partition).payload("").headers(headers);
        producer.send(record, Timeout::After(SENT_WITHIN))
    });
    let all = futures::future::join_all(sent);
    match tokio::time::timeout(SENT_WITHIN, all).await {
        Err(_) => {
            tracing::debug!("Kafka does not take canaries");
            false
        }
        Ok(outcomes) => {
            let refused: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
            for (error, _) in &refused {
                tracing::debug!(%error, "a canary was not sent");
            }
            refused.is_empty()
        }
    }
}

async fn look(parts: &Parts, sender: &str, watch: &mut Watch, age: &Age) {
    let now = Time::now();
    let within = parts.interval * 10;
    let asked = parts.store.canaries(sender, within, now);
    let stored = match tokio::time::timeout(ANSWER_WITHIN, asked).await {
        Ok(Ok(stored)) => stored,
        Ok(Err(error)) => {
            tracing::debug!(%error, "canaries could not be looked for");
            BTreeMap::new()
        }
        Err(_) => BTreeMap::new(),
    };
    let change = watch.apply(&stored, now);
    let seconds = watch.age(now).as_secs();
    parts.figures.canary(seconds);
    age.set(if watch.is_well() { seconds } else { u64::MAX });
    let Some(change) = change else { return };
    match &change {
        Change::Missing(places, silent) => {
            tracing::error!(?places, ?silent, "canaries do not come back: the way is broken");
        }
        Change::Back => tracing::info!("all canaries come back"),
    }
    let minute = watch.minute(now);
    let told = signal(&change, &parts.registry, &parts.rules, minute, now);
    // While Kafka itself is away the signal waits with everything else; nobody waits for it.
    let producer = parts.producer.clone();
    tokio::spawn(async move { send_signals(&producer, &[told]).await });
}
