//! Whether encoded bytes are an event, without reading it.

use super::Event;

/// The fields of `body` in `wire/proto/event.proto`.
const BODY_TAGS: std::ops::RangeInclusive<u32> = 20..=30;

impl Event {
    /// Whether whole bytes hold a body that this version knows, without reading it.
    #[must_use]
    pub fn is_known(mut bytes: &[u8]) -> bool {
        let context = prost::encoding::DecodeContext::default();
        loop {
            while let Some(rest) = behind_plain_field(bytes) {
                bytes = rest;
            }
            if bytes.is_empty() {
                return false;
            }
            let Ok((tag, wire_type)) = prost::encoding::decode_key(&mut bytes) else {
                return false;
            };
            if BODY_TAGS.contains(&tag) {
                return true;
            }
            if prost::encoding::skip_field(wire_type, tag, &mut bytes, context.clone()).is_err() {
                return false;
            }
        }
    }
}

/// What stands behind a whole field as nearly all are: of a number below 16, which is none of a body. `None`: it has to be looked at
/// with more care.
fn behind_plain_field(bytes: &[u8]) -> Option<&[u8]> {
    let (key, rest) = bytes.split_first().filter(|(key, _)| (8..0x80).contains(*key))?;
    match key & 7 {
        0 => rest.get(rest.iter().take(9).position(|byte| *byte < 0x80)? + 1..),
        1 => rest.get(8..),
        2 => match *rest {
            [length @ 0..0x80, ref rest @ ..] => rest.get(usize::from(length)..),
            [low, high @ 0..0x80, ref rest @ ..] => {
                rest.get(usize::from(low & 0x7f) | usize::from(high) << 7..)
            }
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::encoding::{self, DecodeContext};

    use super::*;

    /// The same field by field, all of them with care.
    fn is_known_with_care(mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let Ok((tag, wire_type)) = encoding::decode_key(&mut bytes) else { return false };
            if BODY_TAGS.contains(&tag) {
                return true;
            }
            let skipped =
                encoding::skip_field(wire_type, tag, &mut bytes, DecodeContext::default());
            if skipped.is_err() {
                return false;
            }
        }
        false
    }

    fn field() -> impl Strategy<Value = Vec<u8>> {
        let text = prop_oneof![4 => 0..40_usize, 1 => 120..300_usize, 1 => 16_380..16_390_usize];
        prop_oneof![
            (1..33_u32, text).prop_map(|(tag, length)| {
                let mut bytes = Vec::new();
                encoding::bytes::encode(tag, &vec![b'x'; length], &mut bytes);
                bytes
            }),
            (1..20_u32, any::<u64>(), any::<bool>()).prop_map(|(tag, value, fixed)| {
                let mut bytes = Vec::new();
                if fixed {
                    encoding::fixed64::encode(tag, &value, &mut bytes);
                } else {
                    encoding::uint64::encode(tag, &value, &mut bytes);
                }
                bytes
            }),
            proptest::collection::vec(any::<u8>(), 0..12),
        ]
    }

    proptest! {
        #[test]
        fn plain_fields_are_passed_as_with_care(
            fields in proptest::collection::vec(field(), 0..8), torn in 0..40_usize,
        ) {
            let all = fields.concat();
            prop_assert_eq!(Event::is_known(&all), is_known_with_care(&all));
            let torn = &all[..all.len().saturating_sub(torn)];
            prop_assert_eq!(Event::is_known(torn), is_known_with_care(torn));
        }
    }
}
