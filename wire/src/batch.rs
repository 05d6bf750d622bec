//! What one Kafka record of an event topic holds: a run of consecutive events of one lane of one agent.
//!
//! The record's value is an [`Envelope`](crate::proto::Envelope) with the encoded batch as bytes, so that hash and signature speak of
//! exactly what was sent. `previous_hash` chains the batches of a lane within one start of the agent in the order in which they were sent: a
//! removed or exchanged batch is seen. A batch that is sent again after a crash may be cut at other places; its sequence numbers are
//! the same.
//!
//! A batch goes in its lane's order, or *ahead* of it: while a backlog is caught up with, what is fresh does not wait behind it. What is
//! missing before a batch in order will never come; what is missing before one ahead will. The chain is of both together: it says what
//! was sent, not what was read.

use std::{fmt, ops::Range};

use prost::{Message, encoding};
use read::{Read, batch_in};
use serde::{Deserialize, Serialize};

use crate::{
    event::{Event, EventError},
    id::{AgencyId, AgentId, IdError, Lane, UnknownLane},
    limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX, NAME_CHARACTERS_MAX, RECORD_BYTES_MAX},
    proto,
    seal::{BATCH_TAG, Seal},
    time::Time,
    version,
};

mod read;

/// BLAKE3 of an encoded batch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BatchHash(pub [u8; 32]);

impl BatchHash {
    /// The hash of these bytes.
    #[must_use]
    pub fn of(batch: &[u8]) -> Self {
        Self(*blake3::hash(batch).as_bytes())
    }
}

impl fmt::Debug for BatchHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Display for BatchHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// Why a record's value is no batch. [`BatchError::reason`] is the word that the dead-letter topic carries.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BatchError {
    /// More bytes than any batch may have.
    #[error("the record has {found} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Not an envelope, or torn.
    #[error("the envelope does not decode")]
    Envelope(#[source] prost::DecodeError),
    /// Not a batch, or torn.
    #[error("the batch does not decode")]
    Malformed(#[source] prost::DecodeError),
    /// Written by a version that this one cannot read.
    #[error("the batch has schema version {found}, this program reads up to {newest}; update the collector", newest = version::CURRENT)]
    Version {
        /// The version found.
        found: u32,
    },
    /// A lane that does not exist.
    #[error("the batch names no lane")]
    Lane(#[source] UnknownLane),
    /// A lane other than the topic's.
    #[error("a batch of lane {found} is on the topic of lane {wanted}", found = .found.name(), wanted = .wanted.name())]
    WrongTopic {
        /// In the batch.
        found: Lane,
        /// Of the topic.
        wanted: Lane,
    },
    /// An agent's or agency's name is malformed.
    #[error("the batch names no agent or agency")]
    Id(#[source] IdError),
    /// A host's name is empty, too long or has control characters.
    #[error("the batch has no usable host name")]
    Host,
    /// No events, or more than allowed.
    #[error("the batch has {found} events, 1 to {BATCH_EVENTS_MAX} are allowed")]
    Count {
        /// Events found.
        found: usize,
    },
    /// Sequence numbers start at 1 and do not overflow.
    #[error("the batch starts at sequence number {first}, which cannot be")]
    Sequence {
        /// The first number.
        first: u64,
    },
    /// A hash of neither 0 nor 32 bytes.
    #[error("the hash of the batch before has {found} bytes, wanted 0 or 32")]
    PreviousHash {
        /// Bytes found.
        found: usize,
    },
    /// One of its events is malformed.
    #[error("event {index} of the batch is malformed")]
    Event {
        /// Its place in the batch.
        index: usize,
        /// What is wrong with it.
        #[source]
        source: EventError,
    },
}

impl BatchError {
    /// A short word for the dead-letter topic, metrics and screens.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::Envelope(_) | Self::Malformed(_) => "undecodable",
            Self::Version { .. } => "version",
            Self::Lane(_) | Self::WrongTopic { .. } => "wrong-topic",
            Self::Id(_) | Self::Host => "identity",
            Self::Count { .. } | Self::Sequence { .. } => "sequence",
            Self::PreviousHash { .. } => "chain",
            Self::Event { .. } => "event",
        }
    }
}

/// A run of consecutive events of one lane of one agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Who sends it.
    pub agent: AgentId,
    /// For which agency.
    pub agency: AgencyId,
    /// The host's name.
    pub host: String,
    /// The start of the agent that sealed it.
    pub boot: [u8; 16],
    /// Which lane.
    pub lane: Lane,
    /// Number of `events[0]`; the rest follow without a hole.
    pub first_seq: u64,
    /// Hash of the batch before it on this lane; `None` for the first after a start.
    pub previous: Option<BatchHash>,
    /// The events: 1 to [`BATCH_EVENTS_MAX`].
    pub events: Vec<Event>,
    /// Made by a scenario player.
    pub simulated: bool,
    /// When it was sealed.
    pub sealed: Time,
    /// It goes ahead of its lane: older events come after it.
    pub ahead: bool,
}

/// An encoded batch, ready to send.
#[derive(Clone, Debug, PartialEq)]
pub struct SealedBatch {
    /// The Kafka record's value.
    pub value: Vec<u8>,
    /// What the next batch of the lane carries as `previous`.
    pub hash: BatchHash,
}

/// The field of a batch's events in `wire/proto/batch.proto`.
const EVENTS_TAG: u32 = 9;

/// Bytes of that field's key and length.
const ENVELOPE_HEAD_BYTES_MAX: usize = 11;

/// Bytes that are kept free before the events for the batch's own fields: names of usual lengths, hashes and numbers. A longer head is
/// written all the same.
const HEAD_BYTES: usize = 512;

/// Encoded events as a batch holds them, with room before them: the fields of a message may come in any order, and those that repeat
/// come in theirs.
#[derive(Clone, Debug, PartialEq)]
pub struct Framed {
    bytes: Vec<u8>,
}

impl Framed {
    /// With room for about so many bytes.
    #[must_use]
    pub fn with_room(bytes: usize) -> Self {
        let mut framed = Vec::with_capacity(HEAD_BYTES + bytes);
        framed.resize(HEAD_BYTES, 0);
        Self { bytes: framed }
    }

    /// Appends an event, encoded by [`Event::encode`]; tells where its bytes stand, for [`Self::at`].
    pub fn push(&mut self, event: &[u8]) -> Range<usize> {
        encoding::encode_key(EVENTS_TAG, encoding::WireType::LengthDelimited, &mut self.bytes);
        encoding::encode_varint(event.len() as u64, &mut self.bytes);
        self.bytes.extend_from_slice(event);
        self.bytes.len() - event.len()..self.bytes.len()
    }

    /// The event that was pushed there.
    #[must_use]
    pub fn at(&self, place: Range<usize>) -> &[u8] {
        &self.bytes[place]
    }

    /// Bytes of all of them.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes.len() - HEAD_BYTES
    }
}

impl SealedBatch {
    /// Puts a seal behind the batch.
    pub fn add(&mut self, seal: &Seal) {
        self.value.extend_from_slice(&seal.encoded());
    }
}

/// An encoded batch, ready to send, in the bytes of its events.
#[derive(Clone, Debug, PartialEq)]
pub struct SealedFrames {
    bytes: Vec<u8>,
    start: usize,
    /// What the next batch of the lane carries as `previous`.
    pub hash: BatchHash,
}

impl SealedFrames {
    /// The Kafka record's value.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Puts a seal behind the batch.
    pub fn add(&mut self, seal: &Seal) {
        self.bytes.extend_from_slice(&seal.encoded());
    }
}

impl Batch {
    /// Number of the last event.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.first_seq + (self.events.len() as u64).saturating_sub(1)
    }

    /// `ce_id`: agent, lane and sequence range of `count` events, which may be encoded already.
    #[must_use]
    pub fn record_id(&self, count: usize) -> String {
        let last = self.first_seq + (count as u64).saturating_sub(1);
        format!("{}/{}/{}-{last}", self.agent, self.lane.name(), self.first_seq)
    }

    /// Encodes it and computes its hash.
    #[must_use]
    pub fn seal(mut self) -> SealedBatch {
        let events = std::mem::take(&mut self.events);
        self.seal_encoded(events.iter().map(Event::encode))
    }

    /// Encodes it with events that are encoded already, in their order behind its own, and computes its hash. What they hold is not
    /// looked at: it was encoded by [`Event::encode`], and was kept under a check sum.
    #[must_use]
    pub fn seal_encoded<B: AsRef<[u8]>>(self, events: impl IntoIterator<Item = B>) -> SealedBatch {
        let mut framed = Framed::with_room(0);
        for event in events {
            framed.push(event.as_ref());
        }
        let sealed = self.seal_framed(framed);
        SealedBatch { value: sealed.value().to_vec(), hash: sealed.hash }
    }

    /// The same of events that are framed already: the rest is written before them, and nothing is copied.
    #[must_use]
    pub fn seal_framed(self, framed: Framed) -> SealedFrames {
        let head = proto::Batch {
            schema_version: version::of(self.ahead),
            agent: self.agent.into(),
            agency: self.agency.into(),
            host: self.host,
            boot: self.boot.to_vec(),
            lane: self.lane.into(),
            first_seq: self.first_seq,
            previous_hash: self.previous.map(|hash| hash.0.to_vec()).unwrap_or_default(),
            events: self.events.into_iter().map(Event::into_proto).collect(),
            simulated: self.simulated,
            sealed_time_unix_nano: self.sealed.0,
            ahead: self.ahead,
        }
        .encode_to_vec();
        let mut bytes = framed.bytes;
        let length = head.len() + bytes.len() - HEAD_BYTES;
        // An envelope without a signature is its batch.
        let mut before = Vec::with_capacity(ENVELOPE_HEAD_BYTES_MAX + head.len());
        encoding::encode_key(BATCH_TAG, encoding::WireType::LengthDelimited, &mut before);
        encoding::encode_varint(length as u64, &mut before);
        before.extend_from_slice(&head);
        if before.len() > HEAD_BYTES {
            bytes.splice(..0, std::iter::repeat_n(0, before.len() - HEAD_BYTES));
        }
        let events = HEAD_BYTES.max(before.len());
        let start = events - before.len();
        bytes[start..events].copy_from_slice(&before);
        let hash = BatchHash::of(&bytes[events - head.len()..]);
        SealedFrames { bytes, start, hash }
    }

    /// Reads the value of a record found on the topic of `lane`, and the batch's hash.
    ///
    /// # Errors
    /// All the ways in which a record can fail to be a batch.
    pub fn open(value: &[u8], lane: Lane) -> Result<(Self, BatchHash), BatchError> {
        if value.len() > RECORD_BYTES_MAX {
            return Err(BatchError::TooLarge { found: value.len(), limit: RECORD_BYTES_MAX });
        }
        let bytes = batch_in(value).map_err(BatchError::Envelope)?;
        if bytes.len() > BATCH_BYTES_MAX {
            return Err(BatchError::TooLarge { found: bytes.len(), limit: BATCH_BYTES_MAX });
        }
        let read = Read::of(&bytes, lane).map_err(BatchError::Malformed)?;
        Ok((Self::check(read, lane)?, BatchHash::of(&bytes)))
    }

    fn check(read: Read, wanted: Lane) -> Result<Self, BatchError> {
        let Read { head: batch, events, wrong, count } = read;
        if !version::is_readable(batch.schema_version) {
            return Err(BatchError::Version { found: batch.schema_version });
        }
        let lane = Lane::try_from(batch.lane).map_err(BatchError::Lane)?;
        if lane != wanted {
            return Err(BatchError::WrongTopic { found: lane, wanted });
        }
        if count == 0 || count > BATCH_EVENTS_MAX {
            return Err(BatchError::Count { found: count });
        }
        if batch.first_seq == 0 || batch.first_seq.checked_add(count as u64).is_none() {
            return Err(BatchError::Sequence { first: batch.first_seq });
        }
        let host = batch.host;
        if host.is_empty()
            || host.chars().count() > NAME_CHARACTERS_MAX
            || host.chars().any(char::is_control)
        {
            return Err(BatchError::Host);
        }
        let previous = match <[u8; 32]>::try_from(batch.previous_hash.as_slice()) {
            Ok(hash) => Some(BatchHash(hash)),
            Err(_) if batch.previous_hash.is_empty() => None,
            Err(_) => {
                return Err(BatchError::PreviousHash { found: batch.previous_hash.len() });
            }
        };
        if let Some((index, source)) = wrong {
            return Err(BatchError::Event { index, source });
        }
        Ok(Self {
            agent: AgentId::new(&batch.agent).map_err(BatchError::Id)?,
            agency: AgencyId::new(&batch.agency).map_err(BatchError::Id)?,
            host,
            boot: <[u8; 16]>::try_from(batch.boot.as_slice()).unwrap_or_default(),
            lane,
            first_seq: batch.first_seq,
            previous,
            events,
            simulated: batch.simulated,
            sealed: Time(batch.sealed_time_unix_nano),
            ahead: batch.ahead,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Activity, Body, Class, Heartbeat, Status};

    pub(crate) fn sample(count: usize) -> Batch {
        let time = Time::from_seconds(1_764_000_000);
        let activity = Activity::of(Class::Authentication, 1, Status::Failure);
        Batch {
            agent: AgentId::new("web-2").unwrap(),
            agency: AgencyId::new("H49").unwrap(),
            host: "web-2".into(),
            boot: [7; 16],
            lane: Lane::Security,
            first_seq: 41,
            previous: Some(BatchHash([9; 32])),
            events: (0..count)
                .map(|n| {
                    Event::new(time, time, Body::Activity(activity.clone()))
                        .with_raw(format!("line {n}").as_bytes(), 0)
                })
                .collect(),
            simulated: false,
            sealed: time,
            ahead: false,
        }
    }

    #[test]
    fn a_sealed_batch_opens_as_it_was() {
        let batch = sample(3);
        let sealed = batch.clone().seal();
        let (opened, hash) = Batch::open(&sealed.value, Lane::Security).unwrap();
        assert_eq!(opened, batch);
        assert_eq!(hash, sealed.hash);
        assert_eq!(opened.last_seq(), 43);
        assert_eq!(opened.record_id(3), "web-2/security/41-43");
    }

    #[test]
    fn only_what_goes_ahead_is_refused_by_a_program_that_does_not_know_it() {
        for (ahead, version) in [(false, version::V1), (true, version::V2)] {
            let batch = Batch { ahead, ..sample(1) };
            let sealed = batch.clone().seal();
            let envelope = proto::Envelope::decode(sealed.value.as_slice()).unwrap();
            let inner = proto::Batch::decode(envelope.batch.as_slice()).unwrap();
            assert_eq!((inner.schema_version, inner.ahead), (version, ahead));
            assert_eq!(Batch::open(&sealed.value, Lane::Security).unwrap().0, batch);
        }
    }

    #[test]
    fn events_that_were_encoded_before_are_sealed_behind_the_others() {
        let batch = sample(5);
        let encoded: Vec<Vec<u8>> = batch.events[2..].iter().map(Event::encode).collect();
        let head = Batch { events: batch.events[..2].to_vec(), ..batch.clone() };
        let sealed = head.seal_encoded(&encoded);
        assert_eq!(Batch::open(&sealed.value, Lane::Security).unwrap().0, batch);
        assert_eq!(encoded[0].len(), batch.events[2].encoded_len());
    }

    #[test]
    fn a_head_longer_than_the_room_before_the_events_is_written_all_the_same() {
        for host in ["h".to_owned(), "\u{1f5fc}".repeat(NAME_CHARACTERS_MAX)] {
            let batch = Batch { host, ..sample(3) };
            let sealed = batch.clone().seal();
            assert_eq!(Batch::open(&sealed.value, Lane::Security).unwrap(), (batch, sealed.hash));
            let envelope = proto::Envelope::decode(sealed.value.as_slice()).unwrap();
            assert_eq!(envelope.encode_to_vec(), sealed.value);
        }
    }

    #[test]
    fn a_batch_on_a_foreign_topic_is_refused() {
        let error = Batch::open(&sample(1).seal().value, Lane::Usage).unwrap_err();
        assert_eq!(error.reason(), "wrong-topic");
    }

    #[test]
    fn an_event_of_another_lane_is_refused_with_its_place() {
        let mut batch = sample(2);
        let time = Time::from_seconds(1);
        batch.events.push(Event::new(time, time, Body::Heartbeat(Heartbeat::default())));
        let error = Batch::open(&batch.seal().value, Lane::Security).unwrap_err();
        assert!(matches!(error, BatchError::Event { index: 2, .. }), "{error}");
    }

    #[test]
    fn too_many_events_none_and_number_zero_are_refused() {
        for batch in [sample(0), sample(1_001), Batch { first_seq: 0, ..sample(1) }] {
            let error = Batch::open(&batch.seal().value, Lane::Security).unwrap_err();
            assert_eq!(error.reason(), "sequence");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_opened_or_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _refused_or_not = Batch::open(&bytes, Lane::Security);
        }

        #[test]
        fn a_flipped_bit_never_passes_as_the_same_batch(place in 0_usize..400, bit in 0_u8..8) {
            let sealed = sample(3).seal();
            let mut value = sealed.value.clone();
            let place = place % value.len();
            value[place] ^= 1 << bit;
            if let Ok((opened, hash)) = Batch::open(&value, Lane::Security) {
                prop_assert!(hash != sealed.hash || opened == sample(3));
            }
        }
    }
}
