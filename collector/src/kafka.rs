//! How every client of the collector reaches Kafka.

use std::sync::Arc;

use rdkafka::{ClientConfig, ClientContext, Statistics, consumer::ConsumerContext};
use vonggac_daemon::librdkafka::{self, lifeline::Lifeline};

use crate::config::Config;

mod producer;

pub use producer::Producer;

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

/// The context of a client that lasts: it knows whether the client lost all brokers.
#[derive(Clone, Debug, Default)]
pub struct Lasting(Arc<Lifeline>);

impl Lasting {
    /// The client has no broker left, and finds none again.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.0.is_lost()
    }
}

impl ClientContext for Lasting {
    fn stats(&self, statistics: Statistics) {
        self.0.see(&statistics);
    }
}

impl ConsumerContext for Lasting {}
