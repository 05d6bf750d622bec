//! Events read from protobuf bytes, each field to where it stays.
//!
//! What is taken and what is refused is as prost's own reading has it. That one reads into the generated message, whose room for a body is
//! large and is moved several times until an event is whole; and it makes texts anew that thousands of events share.

use std::{borrow::Cow, sync::Arc};

use prost::{
    DecodeError,
    encoding::{self, DecodeContext, WireType},
};

use super::{
    Activity, Body, Event, EventError, FIELD_BYTES_MAX, FORMAT_TAG, Head, SOURCE_TAG, SYSTEM_TAG,
    Text, own,
};

/// The field of [`Body::Activity`] in `wire/proto/event.proto`.
const ACTIVITY_TAG: u32 = 24;

/// Different texts that are known again: an agent reads few logs at once, in few formats.
const KEPT_MAX: usize = 8;

/// Texts that were read lately: whoever reads many events has each of them once.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    system: Few,
    source: Few,
    format: Few,
}

#[derive(Debug, Default)]
struct Few(Vec<Arc<str>>);

impl Few {
    fn text(&mut self, text: &str) -> Text {
        if text.is_empty() {
            return Text::default();
        }
        if text.len() > FIELD_BYTES_MAX {
            return own(text);
        }
        if let Some(known) = self.0.iter().find(|known| &***known == text) {
            return Text::Shared(Arc::clone(known));
        }
        let new: Arc<str> = text.into();
        if self.0.len() >= KEPT_MAX {
            self.0.remove(0);
        }
        self.0.push(Arc::clone(&new));
        Text::Shared(new)
    }
}

impl Event {
    /// Reads an event of any length. The outer error: its bytes are no message; the inner one: they are one, and no event.
    pub(crate) fn read(
        mut bytes: &[u8],
        recent: &mut Recent,
    ) -> Result<Result<Self, EventError>, DecodeError> {
        let mut head = Head::default();
        let (mut system, mut source, mut format) =
            (Text::default(), Text::default(), Text::default());
        let mut body = None;
        let buffer = &mut bytes;
        while !buffer.is_empty() {
            let (tag, wire_type) = encoding::decode_key(buffer)?;
            let context = DecodeContext::default();
            match tag {
                1 => encoding::sfixed64::merge(wire_type, &mut head.time, buffer, context)?,
                2 => encoding::sfixed64::merge(wire_type, &mut head.observed, buffer, context)?,
                3 => encoding::int32::merge(wire_type, &mut head.time_doubt, buffer, context)?,
                SYSTEM_TAG => system = recent.system.text(&text(wire_type, buffer, context)?),
                SOURCE_TAG => source = recent.source.text(&text(wire_type, buffer, context)?),
                6 => encoding::uint64::merge(wire_type, &mut head.source_offset, buffer, context)?,
                FORMAT_TAG => format = recent.format.text(&text(wire_type, buffer, context)?),
                8 => encoding::bytes::merge(wire_type, &mut head.raw, buffer, context)?,
                9 => encoding::uint64::merge(wire_type, &mut head.raw_cut_bytes, buffer, context)?,
                10 => encoding::string::merge(wire_type, &mut head.device, buffer, context)?,
                20..=30 => read_body(tag, wire_type, &mut body, buffer, context)?,
                _ => encoding::skip_field(wire_type, tag, buffer, context)?,
            }
        }
        Ok(Self::whole(head, [system, source, format], body))
    }
}

/// A body, or more of one: of several kinds the last is meant.
fn read_body(
    tag: u32,
    wire_type: WireType,
    body: &mut Option<Box<Body>>,
    buffer: &mut &[u8],
    context: DecodeContext,
) -> Result<(), DecodeError> {
    if tag == ACTIVITY_TAG {
        // Nearly all of them: read where it stays.
        if !matches!(body.as_deref(), Some(Body::Activity(_))) {
            *body = Some(Box::new(Body::Activity(Activity::default())));
        }
        if let Some(Body::Activity(activity)) = body.as_deref_mut() {
            return encoding::message::merge(wire_type, activity, buffer, context);
        }
    }
    let mut other = body.take().map(|body| *body);
    Body::merge(&mut other, tag, wire_type, buffer, context)?;
    *body = other.map(Box::new);
    Ok(())
}

/// A text where it stands.
fn text<'a>(
    wire_type: WireType,
    buffer: &mut &'a [u8],
    context: DecodeContext,
) -> Result<Cow<'a, str>, DecodeError> {
    if wire_type == WireType::LengthDelimited {
        let mut behind = *buffer;
        let length = encoding::decode_varint(&mut behind)?;
        let text = usize::try_from(length).ok().and_then(|length| behind.split_at_checked(length));
        if let Some((Ok(text), rest)) = text.map(|(text, rest)| (std::str::from_utf8(text), rest)) {
            *buffer = rest;
            return Ok(Cow::Borrowed(text));
        }
    }
    // What is wrong with it is prost's to say.
    let mut text = String::new();
    encoding::string::merge(wire_type, &mut text, buffer, context)?;
    Ok(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::{super::proto, *};

    fn as_prost_reads(bytes: &[u8]) -> Option<Result<Event, EventError>> {
        proto::Event::decode(bytes).ok().map(Event::try_from)
    }

    fn as_read(bytes: &[u8]) -> Option<Result<Event, EventError>> {
        Event::read(bytes, &mut Recent::default()).ok()
    }

    /// A field of any number and kind, mostly one that an event has, in its own or in another's notation.
    fn field() -> impl Strategy<Value = Vec<u8>> {
        let tags = prop_oneof![4 => 1..11_u32, 4 => 20..31_u32, 1 => 1..200_u32];
        let long = prop_oneof![8 => 0..20_usize, 1 => Just(FIELD_BYTES_MAX + 3)];
        let text = (long, "[a-z\u{1ea1}]").prop_map(|(length, letter)| letter.repeat(length));
        let inner = proptest::collection::vec(any::<u8>(), 0..12);
        prop_oneof![
            3 => (tags.clone(), text).prop_map(|(tag, text)| {
                let mut bytes = Vec::new();
                encoding::string::encode(tag, &text, &mut bytes);
                bytes
            }),
            2 => (tags.clone(), any::<i64>()).prop_map(|(tag, number)| {
                let mut bytes = Vec::new();
                encoding::sfixed64::encode(tag, &number, &mut bytes);
                bytes
            }),
            2 => (tags.clone(), any::<u64>()).prop_map(|(tag, number)| {
                let mut bytes = Vec::new();
                encoding::uint64::encode(tag, &number, &mut bytes);
                bytes
            }),
            2 => (tags, inner.clone()).prop_map(|(tag, inner)| {
                let mut bytes = Vec::new();
                encoding::bytes::encode(tag, &inner, &mut bytes);
                bytes
            }),
            3 => (1..4_u32, "[a-z]{0,4}").prop_map(|(number, user_name)| {
                let activity = Activity { class_uid: 3002 * (number & 1), user_name, ..Activity::default() };
                let mut bytes = Vec::new();
                encoding::message::encode(ACTIVITY_TAG, &activity, &mut bytes);
                bytes
            }),
            1 => inner,
        ]
    }

    proptest! {
        #[test]
        fn what_is_read_and_refused_is_what_prost_reads_and_refuses(
            fields in proptest::collection::vec(field(), 0..8), torn in 0..30_usize,
        ) {
            let all = fields.concat();
            prop_assert_eq!(as_read(&all), as_prost_reads(&all));
            let torn = &all[..all.len().saturating_sub(torn)];
            prop_assert_eq!(as_read(torn), as_prost_reads(torn));
        }
    }

    #[test]
    fn texts_that_many_events_share_are_there_once_and_few_are_kept() {
        let mut few = Few::default();
        let (Text::Shared(first), Text::Shared(second)) = (few.text("a"), few.text("a")) else {
            panic!("a short text is shared")
        };
        assert!(Arc::ptr_eq(&first, &second));
        for number in 0..100 {
            few.text(&number.to_string());
        }
        assert_eq!(few.0.len(), KEPT_MAX);
        assert_eq!(few.text(&"x".repeat(FIELD_BYTES_MAX + 1)).as_str().len(), FIELD_BYTES_MAX);
    }
}
