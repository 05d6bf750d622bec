//! A batch out of a record's bytes. What is read and what is refused is as prost's own reading has it, which makes a list of the generated
//! messages first.

use std::borrow::Cow;

use prost::{
    DecodeError, Message,
    encoding::{self, DecodeContext, WireType},
};

use super::EVENTS_TAG;
use crate::{
    event::{Event, EventError, Recent},
    id::Lane,
    limits::BATCH_EVENTS_MAX,
    proto,
    seal::Parts,
};

/// The batch of an envelope, where it stands.
pub(super) fn batch_in(value: &[u8]) -> Result<Cow<'_, [u8]>, DecodeError> {
    match Parts::of(value) {
        Some(parts) => Ok(Cow::Borrowed(parts.batch)),
        None => Ok(Cow::Owned(proto::Envelope::decode(value)?.batch)),
    }
}

/// A batch as it stands in its bytes, unchecked.
pub(super) struct Read {
    /// Without its events.
    pub(super) head: proto::Batch,
    /// Up to [`BATCH_EVENTS_MAX`], as long as all are well-formed and of the lane.
    pub(super) events: Vec<Event>,
    /// The place of the first that is not, and why.
    pub(super) wrong: Option<(usize, EventError)>,
    /// How many there are.
    pub(super) count: usize,
}

impl Read {
    /// Reads the events one by one, each to its own place.
    pub(super) fn of(mut bytes: &[u8], lane: Lane) -> Result<Self, DecodeError> {
        let head = proto::Batch::default();
        let mut read = Self { head, events: Vec::new(), wrong: None, count: 0 };
        let mut recent = Recent::default();
        let buffer = &mut bytes;
        while !buffer.is_empty() {
            let (tag, wire_type) = encoding::decode_key(buffer)?;
            let context = DecodeContext::default();
            if (tag, wire_type) != (EVENTS_TAG, WireType::LengthDelimited) {
                read.head.merge_field(tag, wire_type, buffer, context)?;
                continue;
            }
            let mut event = *buffer;
            encoding::skip_field(wire_type, tag, buffer, context)?;
            event = &event[..event.len() - buffer.len()];
            encoding::decode_varint(&mut event)?;
            let event = Event::read(event, &mut recent)?
                .and_then(|event| event.require_lane(lane).map(|()| event));
            match event {
                Ok(event) if read.wrong.is_none() && read.count < BATCH_EVENTS_MAX => {
                    read.events.push(event);
                }
                Ok(_) => {}
                Err(error) => {
                    read.wrong.get_or_insert((read.count, error));
                }
            }
            read.count += 1;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{Batch, BatchError, tests::sample},
        *,
    };
    use crate::{
        event::{Body, Heartbeat},
        time::Time,
    };

    /// What is well-formed, read by prost into the generated message and then checked.
    fn read_by_prost(value: &[u8], lane: Lane) -> Result<Batch, BatchError> {
        let envelope = proto::Envelope::decode(value).map_err(BatchError::Envelope)?;
        let mut head =
            proto::Batch::decode(envelope.batch.as_slice()).map_err(BatchError::Malformed)?;
        let events = std::mem::take(&mut head.events);
        let mut read = Read { head, events: Vec::new(), wrong: None, count: events.len() };
        for (index, event) in events.into_iter().enumerate() {
            match Event::try_from(event) {
                Ok(event) => {
                    if let Err(error) = event.require_lane(lane) {
                        read.wrong.get_or_insert((index, error));
                    }
                    read.events.push(event);
                }
                Err(error) => {
                    read.wrong.get_or_insert((index, error));
                }
            }
        }
        Batch::check(read, lane)
    }

    /// Sentences of what is malformed may name other places.
    fn told(batch: Result<Batch, BatchError>) -> Result<Batch, String> {
        batch.map_err(|error| match error {
            BatchError::Envelope(_) | BatchError::Malformed(_) => error.reason().to_owned(),
            other => format!("{other:?}"),
        })
    }

    proptest! {
        #[test]
        fn a_batch_that_was_damaged_is_opened_and_refused_as_prost_does(
            lanes in proptest::collection::vec(0_u8..12, 0..5),
            damage in proptest::collection::vec((any::<usize>(), any::<u8>(), 0_u8..3), 0..4),
        ) {
            let mut batch = sample(lanes.len());
            let time = Time::from_seconds(1);
            for (place, lane) in lanes.iter().enumerate() {
                if *lane == 0 {
                    batch.events[place] = Event::new(time, time, Body::Heartbeat(Heartbeat::default()));
                }
            }
            let mut value = batch.seal().value;
            for (place, byte, how) in damage {
                let place = place % value.len();
                match how {
                    0 => value[place] = byte,
                    1 => value.truncate(place.max(1)),
                    _ => value.insert(place, byte),
                }
            }
            let ours = Batch::open(&value, Lane::Security).map(|(batch, _)| batch);
            prop_assert_eq!(told(ours), told(read_by_prost(&value, Lane::Security)));
        }
    }
}
