//! Signals on their way to the book's topic.

use std::{collections::HashMap, time::Duration};

use prost::Message as _;
use rdkafka::{producer::FutureRecord, util::Timeout};
use vonggac_wire::{proto::Signal, topic};

use crate::kafka::Producer;

/// How long a signal waits that was not delivered.
const RETRY: Duration = Duration::from_millis(200);

/// Produces signals and waits until Kafka has them all. Those of one rule, entity and partition go one after the other: one that had to be sent
/// again behind a later one would be taken for told, since the book knows them by growing offsets.
pub(crate) async fn send_signals(producer: &Producer, signals: &[Signal]) {
    let mut ways: HashMap<_, Vec<&Signal>> = HashMap::new();
    for signal in signals {
        let place = signal.origin.as_ref().map(|origin| (&origin.topic, origin.partition));
        let entity = signal.entity.as_ref().map(|entity| &entity.value);
        ways.entry((&signal.rule, entity, &signal.agency, place)).or_default().push(signal);
    }
    let deliveries = ways.into_values().map(|signals| async move {
        for signal in signals {
            deliver(producer, signal).await;
        }
    });
    futures::future::join_all(deliveries).await;
}

async fn deliver(producer: &Producer, signal: &Signal) {
    let value = signal.encode_to_vec();
    loop {
        let record = FutureRecord::to(topic::SIGNALS).key(&signal.group).payload(&value);
        match producer.send(record, Timeout::Never).await {
            Ok(_) => return,
            Err((error, _)) => {
                tracing::warn!(%error, "a signal was not delivered; it is sent again");
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}
