//! From a Kafka message to a record, or the reason why not.

use vonggac_wire::{Batch, Seal, Time, batch::BatchError, proto::Origin, topic};

use crate::{
    canary::Canary, offsets::TooFarAhead, record::Record, registry::Registry, trust::seal::Refusal,
};

/// A message as it was taken from Kafka.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Where it stood.
    pub origin: Origin,
    /// When the broker appended it.
    pub appended: Time,
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// Where it was rejected before, if it is a dead letter that was sent again.
    pub replay_of: Option<i64>,
    /// What it says if it is a collector's test event, and no batch.
    pub canary: Option<Canary>,
    /// The certificate that its seal names, with those that issued it, where the record carries them.
    pub certificates: Vec<u8>,
    /// It came by hand in a sealed file, and may come so again.
    pub carried: bool,
}

/// Why a message is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// It is no batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// Key and batch name different agencies.
    #[error("the record's key is {key:?}, the batch is of {agency}")]
    Key {
        /// The key.
        key: String,
        /// The batch's agency.
        agency: String,
    },
    /// Nobody knows the agency.
    #[error("the registry has no agency {0}")]
    Agency(String),
    /// It would leave more behind than is remembered.
    #[error(transparent)]
    Ahead(#[from] TooFarAhead),
    /// The store refuses events of it for what they say.
    #[error("the engine refuses {events} of its {of} events: {words}")]
    Refused {
        /// So many.
        events: usize,
        /// Of so many.
        of: usize,
        /// The engine's own words.
        words: String,
    },
    /// Its seal, or its place in the chain of its agent's batches.
    #[error(transparent)]
    Seal(#[from] Refusal),
    /// The topic holds no events.
    #[error("{0} is no topic of events")]
    Topic(String),
}

impl Rejection {
    /// A short word for the dead-letter topic.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Batch(error) => error.reason(),
            Self::Key { .. } => "identity",
            Self::Agency(_) => "unknown-agency",
            Self::Ahead(_) => "ahead",
            Self::Refused { .. } => "refused",
            Self::Seal(refusal) => refusal.reason(),
            Self::Topic(_) => "wrong-topic",
        }
    }
}

/// Decodes and checks a message.
///
/// # Errors
/// The reason why it goes to the dead letters.
pub fn decode(taken: &Taken, registry: &Registry) -> Result<Record, Rejection> {
    let lane = topic::lane_of(&taken.origin.topic)
        .ok_or_else(|| Rejection::Topic(taken.origin.topic.clone()))?;
    let (batch, hash) = Batch::open(&taken.value, lane)?;
    if taken.key != batch.agency.as_str().as_bytes() {
        let key = String::from_utf8_lossy(&taken.key).chars().take(64).collect();
        return Err(Rejection::Key { key, agency: batch.agency.to_string() });
    }
    if registry.agency(batch.agency.as_str()).is_none() {
        return Err(Rejection::Agency(batch.agency.to_string()));
    }
    Ok(Record {
        origin: taken.origin.clone(),
        appended: taken.appended,
        bytes: taken.value.len(),
        known: Default::default(),
        seal: Seal::of(&taken.value).map_err(BatchError::Envelope)?,
        batch,
        hash,
    })
}
