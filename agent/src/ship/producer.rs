//! The producer as every agent uses it, and the thread that takes its reports.
//!
//! The thread is our own: the one of rdkafka's future producer looks every tenth of a second, and spins through the last millisecond
//! of each look, which is as much of a core as two thousand lines a second take.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, Statistics,
    client::Client,
    error::KafkaError,
    message::{DeliveryResult, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, PurgeConfig},
};
use tokio::sync::oneshot;
use vonggac_daemon::{
    librdkafka::{
        self,
        lifeline::{self, Lifeline},
    },
    tls::Files,
};
use vonggac_wire::limits::RECORD_BYTES_MAX;

use super::ShipError;

/// How long the thread waits for reports at a time. They wake it; only its end waits for this.
const REPORTS_WAIT: Duration = Duration::from_secs(5);

/// What became of a record: the report that ends [`Delivery`].
type Report = Result<(), KafkaError>;

/// Comes to its end when Kafka has the record, or never will.
pub type Delivery = oneshot::Receiver<Report>;

/// Hands each report to whoever waits for it, and hears whether all brokers were lost.
pub struct Reports(Arc<Lifeline>);

impl ClientContext for Reports {
    fn stats(&self, statistics: Statistics) {
        self.0.see(&statistics);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<oneshot::Sender<Report>>;

    fn delivery(&self, result: &DeliveryResult<'_>, told: Self::DeliveryOpaque) {
        let report = result.as_ref().map_or_else(|(error, _)| Err(error.clone()), |_| Ok(()));
        // Whoever waited may be gone: then the lane is handed out again.
        let _nobody = told.send(report);
    }
}

/// Sends records. Cloning shares it.
#[derive(Clone)]
pub struct Producer(Arc<Inner>);

struct Inner {
    producer: Arc<BaseProducer<Reports>>,
    lifeline: Arc<Lifeline>,
    stop: Arc<AtomicBool>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Nothing is sent any more, although the thread ends a little later.
        self.producer.purge(PurgeConfig::default().queue().inflight());
    }
}

/// Makes a producer: idempotent, all replicas, zstd; by these certificates, as they are now, or in plain text.
///
/// # Errors
/// If librdkafka refuses the settings, or no thread can be made.
pub fn producer(
    brokers: &[String],
    client: &str,
    tls: Option<&Files>,
) -> Result<Producer, ShipError> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers.join(","))
        .set("client.id", client)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.codec", "zstd")
        // As small as what higher levels make of such batches, in two thirds of the time and a quarter of the memory.
        .set("compression.level", "1")
        .set("linger.ms", "5")
        .set("message.timeout.ms", "0")
        .set("message.max.bytes", RECORD_BYTES_MAX.to_string())
        .set("queue.buffering.max.kbytes", "65536")
        .set("queue.buffering.max.messages", "10000")
        .set("reconnect.backoff.ms", "200")
        .set("reconnect.backoff.max.ms", "5000")
        .set("socket.keepalive.enable", "true")
        // A request may take its time over a thin link; one that is given up is sent again, and the link carries it twice.
        .set("request.timeout.ms", "60000")
        .set("api.version.request.timeout.ms", "30000")
        .set("topic.metadata.refresh.interval.ms", "60000")
        .set("log_level", "3");
    let (name, every) = lifeline::setting();
    config.set(name, every);
    for (key, value) in librdkafka::settings(tls) {
        config.set(key, value);
    }
    let lifeline = Arc::new(Lifeline::default());
    let reports = Reports(Arc::clone(&lifeline));
    let producer: BaseProducer<Reports> =
        config.create_with_context(reports).map_err(ShipError::Producer)?;
    let (producer, stop) = (Arc::new(producer), Arc::new(AtomicBool::new(false)));
    let (polled, stopped) = (Arc::clone(&producer), Arc::clone(&stop));
    let lost = Arc::clone(&lifeline);
    thread::Builder::new()
        .name("kafka reports".into())
        .spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                polled.poll(REPORTS_WAIT);
                // Nothing of it will ever be delivered: whoever waits learns that now.
                if lost.is_lost() {
                    polled.purge(PurgeConfig::default().queue().inflight());
                }
            }
        })
        .map_err(ShipError::Thread)?;
    Ok(Producer(Arc::new(Inner { producer, lifeline, stop })))
}

impl Producer {
    /// Puts a record into the producer's queue.
    ///
    /// # Errors
    /// If the queue is full, or the producer is broken.
    pub fn send(
        &self,
        topic: &str,
        key: &str,
        value: &[u8],
        headers: OwnedHeaders,
    ) -> Result<Delivery, KafkaError> {
        let (told, delivery) = oneshot::channel();
        let record = BaseRecord::with_opaque_to(topic, Box::new(told))
            .key(key)
            .payload(value)
            .headers(headers);
        self.0.producer.send(record).map_err(|(error, _)| error)?;
        Ok(delivery)
    }

    /// It has no broker left, and finds none again: another one has to take its place.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.0.lifeline.is_lost()
    }

    /// librdkafka's client, to ask it.
    #[must_use]
    pub fn client(&self) -> &Client<Reports> {
        self.0.producer.client()
    }
}
