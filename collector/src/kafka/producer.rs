//! The producer that all parts of the collector share. It is another one when the certificate is, or when it lost all brokers.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rdkafka::{
    error::KafkaError,
    message::ToBytes,
    producer::{
        FutureProducer, FutureRecord, Producer as _, PurgeConfig,
        future_producer::OwnedDeliveryResult,
    },
    util::Timeout,
};
use tokio_util::sync::CancellationToken;
use vonggac_daemon::{librdkafka::lifeline, tls::renewals::Renewals};
use vonggac_wire::limits::RECORD_BYTES_MAX;

use super::{Lasting, client};
use crate::config::Config;

/// How long what a former producer has in hand may take. Then it is given up, and whoever waits for it sends it again.
const FORMER_KEPT: Duration = Duration::from_secs(60);

/// How often it is looked whether a former one has anything in hand.
const FORMER_LOOKED_AT_EVERY: Duration = Duration::from_millis(100);

type Sender = FutureProducer<Lasting>;

/// A producer, and what it knows of itself.
struct Client {
    sender: Sender,
    context: Lasting,
}

/// For signals, dead letters, incidents, commands and canaries. Cloning shares it.
#[derive(Clone)]
pub struct Producer(Arc<RwLock<Arc<Client>>>);

impl Producer {
    /// Makes it.
    ///
    /// # Errors
    /// If librdkafka refuses the settings.
    pub fn new(config: &Config) -> Result<Self, KafkaError> {
        Ok(Self(Arc::new(RwLock::new(Arc::new(make(config)?)))))
    }

    /// The present one; who sends holds it until Kafka has answered.
    fn present(&self) -> Arc<Client> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends a record, and waits for Kafka's word on it. Records of which one must not come before another are sent one after the other.
    ///
    /// # Errors
    /// If Kafka refuses it.
    pub async fn send<K: ToBytes + ?Sized, P: ToBytes + ?Sized>(
        &self,
        record: FutureRecord<'_, K, P>,
        queued_within: Timeout,
    ) -> OwnedDeliveryResult {
        let present = self.present();
        present.sender.send(record, queued_within).await
    }

    /// Speaks by renewed certificates as they come, and to brokers that were lost, until `stop`.
    pub fn keep_renewed(&self, config: Config, mut renewals: Renewals, stop: CancellationToken) {
        let producer = self.clone();
        tokio::spawn(async move {
            let mut looks = tokio::time::interval(lifeline::STATISTICS_EVERY);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = renewals.come() => {}
                    _ = looks.tick() => {
                        producer.find_again(&config).await;
                        continue;
                    }
                }
                match renewals.renew("producer", || make(&config)) {
                    Some(fresh) => leave(producer.replace(fresh)).await,
                    None => tokio::time::sleep(FORMER_LOOKED_AT_EVERY).await,
                }
            }
        });
    }

    /// Another one, if this one lost all brokers. Whoever waits for Kafka's word sends again.
    async fn find_again(&self, config: &Config) {
        if !self.present().context.is_lost() {
            return;
        }
        match make(config) {
            Ok(fresh) => {
                let lost = self.replace(fresh);
                lost.sender.purge(PurgeConfig::default().queue().inflight());
                leave(lost).await;
            }
            Err(error) => tracing::error!(%error, "failed to make a Kafka producer; trying again"),
        }
    }

    fn replace(&self, fresh: Client) -> Arc<Client> {
        let mut present = self.0.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut present, Arc::new(fresh))
    }
}

/// Lets a former producer finish what it has in hand: dropped before, it would throw that away.
async fn leave(former: Arc<Client>) {
    let begun = tokio::time::Instant::now();
    while Arc::strong_count(&former) > 1 && begun.elapsed() < FORMER_KEPT {
        tokio::time::sleep(FORMER_LOOKED_AT_EVERY).await;
    }
    // Its thread is waited for.
    let _gone = tokio::task::spawn_blocking(move || drop(former)).await;
}

fn make(config: &Config) -> Result<Client, KafkaError> {
    let context = Lasting::default();
    let (name, every) = lifeline::setting();
    let sender = client(config)
        .set("client.id", "vonggac-collector")
        .set("enable.idempotence", "true")
        .set("compression.codec", "zstd")
        .set("linger.ms", "2")
        .set("message.timeout.ms", "0")
        .set("message.max.bytes", RECORD_BYTES_MAX.to_string())
        .set(name, every)
        .create_with_context(context.clone())?;
    Ok(Client { sender, context })
}
