//! How every client of the collector reaches Kafka, and how those that last come back to it.

use std::sync::Arc;

use rdkafka::{
    ClientConfig, ClientContext, Statistics,
    consumer::ConsumerContext,
    error::KafkaError,
    producer::{FutureProducer, Producer as _},
};
use tokio_util::sync::CancellationToken;
use vonggac_daemon::librdkafka::{
    self,
    lifeline::{self, Lifeline},
};
use vonggac_wire::limits::RECORD_BYTES_MAX;

use crate::config::Config;

/// How long a client goes without hearing of any broker before it begins anew with the addresses that it was told. librdkafka's own five minutes are
/// for clusters of which one broker always speaks; a single one that was frozen is forgotten by its clients.
const BEGIN_ANEW_AFTER_MILLIS: &str = "5000";

/// How often brokers are asked for: a broker that was fenced for a moment is left out of an answer, and known again by the next one.
const BROKERS_ASKED_EVERY_MILLIS: &str = "10000";

/// The settings that all clients share; what each of them is for, it adds itself.
#[must_use]
pub fn client(config: &Config) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", config.brokers.join(","))
        .set("metadata.recovery.rebootstrap.trigger.ms", BEGIN_ANEW_AFTER_MILLIS)
        .set("topic.metadata.refresh.interval.ms", BROKERS_ASKED_EVERY_MILLIS);
    for (key, value) in librdkafka::settings(config.tls.as_ref()) {
        client.set(key, value);
    }
    client
}

/// For signals, dead letters and what is sent again.
pub type Producer = FutureProducer<Lasting>;

/// The context of a client that lasts.
#[derive(Clone, Debug)]
pub struct Lasting(Arc<Lifeline>);

impl Lasting {
    /// Of a client of this collector.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self(Arc::new(Lifeline::new(&config.brokers)))
    }
}

impl ClientContext for Lasting {
    fn stats(&self, statistics: Statistics) {
        self.0.see(&statistics);
    }
}

impl ConsumerContext for Lasting {}

/// A context that knows whether its client lost all brokers.
pub trait Lasts {
    /// What knows it.
    fn lifeline(&self) -> &Lifeline;
}

impl Lasts for Lasting {
    fn lifeline(&self) -> &Lifeline {
        &self.0
    }
}

/// The producer, which is kept alive until `stop`.
///
/// # Errors
/// If librdkafka refuses the settings.
pub fn producer(config: &Config, stop: &CancellationToken) -> Result<Producer, KafkaError> {
    let (name, every) = lifeline::setting();
    let context = Lasting::new(config);
    let producer: Producer = client(config)
        .set("client.id", "vonggac-collector")
        .set("enable.idempotence", "true")
        .set("compression.codec", "zstd")
        .set("linger.ms", "2")
        .set("message.timeout.ms", "0")
        .set("message.max.bytes", RECORD_BYTES_MAX.to_string())
        .set(name, every)
        .create_with_context(context.clone())?;
    tokio::spawn(keep(producer.clone(), context, stop.clone()));
    Ok(producer)
}

async fn keep(producer: Producer, context: Lasting, stop: CancellationToken) {
    let mut looks = tokio::time::interval(lifeline::STATISTICS_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => context.0.hold(producer.client()),
        }
    }
}
