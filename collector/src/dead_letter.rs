//! What cannot be taken is kept: its bytes on a topic of their own, with reason and origin.

use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::FutureRecord,
    util::Timeout,
};
use tokio_util::sync::CancellationToken;
use vonggac_wire::{
    Time,
    limits::RECORD_BYTES_MAX,
    proto::DeadLetter,
    topic::{self, header},
};

use crate::{
    decode::{Rejection, Taken},
    kafka::Producer,
    store::dead::DeadState,
};

pub mod judging;
pub mod shelf;

/// Bytes of a dead record that are kept; headers need the rest of the broker's limit.
const KEPT_BYTES_MAX: usize = RECORD_BYTES_MAX - 64 * 1024;

/// A rejection with all its causes.
#[must_use]
pub fn sentence(rejection: &Rejection) -> String {
    let mut sentence = rejection.to_string();
    let mut source = std::error::Error::source(rejection);
    while let Some(cause) = source {
        sentence = format!("{sentence}: {cause}");
        source = cause.source();
    }
    sentence
}

/// What is told of a rejected message.
#[must_use]
pub fn letter(taken: &Taken, rejection: &Rejection, now: Time) -> DeadLetter {
    let detail = sentence(rejection);
    let agency = match rejection {
        Rejection::Key { agency, .. } | Rejection::Agency(agency) => agency.clone(),
        _ => String::from_utf8_lossy(&taken.key)
            .chars()
            .filter(|c| !c.is_control())
            .take(35)
            .collect(),
    };
    DeadLetter {
        time_unix_nano: now.0,
        reason: rejection.reason().into(),
        topic: taken.origin.topic.clone(),
        partition: taken.origin.partition,
        offset: taken.origin.offset,
        bytes: taken.value.len() as u64,
        agency,
        detail,
        state: DeadState::Open.name().into(),
        settled_unix_nano: 0,
        actor: String::new(),
    }
}

/// Puts a message on the topic of dead letters, until Kafka has it; `false`: the program ends before that.
pub async fn send(
    producer: &Producer,
    taken: &Taken,
    letter: &DeadLetter,
    shutdown: &CancellationToken,
) -> bool {
    let (partition, offset, bytes) =
        (letter.partition.to_string(), letter.offset.to_string(), letter.bytes.to_string());
    while !shutdown.is_cancelled() {
        let headers = [
            (header::DEAD_REASON, letter.reason.as_str()),
            (header::DEAD_DETAIL, letter.detail.as_str()),
            (header::DEAD_TOPIC, letter.topic.as_str()),
            (header::DEAD_PARTITION, partition.as_str()),
            (header::DEAD_OFFSET, offset.as_str()),
            (header::DEAD_BYTES, bytes.as_str()),
        ]
        .into_iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        let value = &taken.value[..taken.value.len().min(KEPT_BYTES_MAX)];
        let record = FutureRecord::to(topic::DEAD).key(&taken.key).payload(value).headers(headers);
        match producer.send(record, Timeout::Never).await {
            Ok(_) => return true,
            Err((error, _)) => {
                tracing::warn!(%error, "a dead letter was not delivered; it is sent again");
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    false
}
