//! Batches that came by hand in a sealed file: sent as they are, with the numbers and hashes of the agent that made them.

use std::{collections::VecDeque, path::Path};

use rdkafka::message::Header;
use vonggac_wire::topic::{self, header};

use super::{Delivery, Producer, ShipError, headers};
use crate::spool::sealed::{self, Contents, SealedError};

/// Batches on their way at once; with it memory is bounded.
const BATCHES_IN_FLIGHT_MAX: usize = 8;

/// Why a sealed file was not brought in.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// The file.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// Kafka refused a batch.
    #[error("deliver a batch of the sealed file: {0}; import it again, nothing is doubled by that")]
    Refused(#[source] rdkafka::error::KafkaError),
    /// The producer.
    #[error(transparent)]
    Ship(#[from] ShipError),
}

/// Sends all batches of a file that was [verified](sealed::verify), in order. It may be done again: the centre leaves out numbers that it
/// knows.
///
/// # Errors
/// If the file is not what it was, or Kafka refuses a batch for good. A Kafka that is away is waited for.
pub async fn bring(producer: &Producer, file: &Path) -> Result<Contents, CarryError> {
    let (hand, mut given) = tokio::sync::mpsc::channel(2);
    let path = file.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let input = std::fs::File::open(path).map_err(SealedError::from)?;
        sealed::read::<CarryError>(std::io::BufReader::new(input), |lane, batch, value| {
            // Nobody takes it: sending failed, and says so itself.
            let _ended = hand.blocking_send((lane, batch, value));
            Ok(())
        })
    });
    let mut on_the_way: VecDeque<Delivery> = VecDeque::new();
    while let Some((lane, batch, value)) = given.recv().await {
        if on_the_way.len() >= BATCHES_IN_FLIGHT_MAX {
            arrived(on_the_way.pop_front()).await?;
        }
        let headers = headers(&batch, batch.events.len())
            .insert(Header { key: header::CARRIED, value: Some("1") });
        let sent = producer.send(topic::of_lane(lane), batch.agency.as_str(), &value, headers);
        on_the_way.push_back(sent.map_err(CarryError::Refused)?);
    }
    while !on_the_way.is_empty() {
        arrived(on_the_way.pop_front()).await?;
    }
    reading.await.map_err(|error| SealedError::from(std::io::Error::other(error)))?
}

async fn arrived(delivery: Option<Delivery>) -> Result<(), CarryError> {
    let Some(delivery) = delivery else { return Ok(()) };
    match delivery.await {
        Ok(report) => report.map_err(CarryError::Refused),
        Err(_) => Err(CarryError::Refused(rdkafka::error::KafkaError::Canceled)),
    }
}
