//! Events as protobuf bytes, written once from front to back: what every line becomes.
//!
//! The bytes are those that prost writes. It measures a message before it writes it, and those within once more for each that they
//! stand in; here a message's length is filled in behind it. Kinds of which there are few are left to prost.

use prost::encoding::{encoded_len_varint, key_len};

use super::{Activity, Body, Head, HttpRequest};

/// Wire types (see the encoding of protocol buffers).
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;

/// The field of [`Body::Activity`] in `wire/proto/event.proto`.
const ACTIVITY_TAG: u32 = 24;

/// Bytes that are kept for a message's length: nearly all have 128 to 16,383 bytes.
const LENGTH_BYTES: usize = 2;

/// What an event is without its shared texts and its body.
pub(super) fn head(head: &Head, bytes: &mut Vec<u8>) {
    let Head { time, observed, time_doubt, source_offset, raw, raw_cut_bytes, device } = head;
    eight(1, time.to_le_bytes(), bytes);
    eight(2, observed.to_le_bytes(), bytes);
    // Negative numbers are written as if they had 64 bits.
    number(3, i64::from(*time_doubt).cast_unsigned(), bytes);
    number(6, *source_offset, bytes);
    field(8, raw, bytes);
    number(9, *raw_cut_bytes, bytes);
    field(10, device.as_bytes(), bytes);
}

/// How many bytes [`head`] appends.
pub(super) fn head_len(head: &Head) -> usize {
    let Head { time, observed, time_doubt, source_offset, raw, raw_cut_bytes, device } = head;
    let eight = |value: i64| if value == 0 { 0 } else { 1 + size_of::<i64>() };
    eight(*time)
        + eight(*observed)
        + number_len(3, i64::from(*time_doubt).cast_unsigned())
        + number_len(6, *source_offset)
        + field_len(8, raw)
        + number_len(9, *raw_cut_bytes)
        + field_len(10, device.as_bytes())
}

/// What happened.
pub(super) fn body(body: &Body, bytes: &mut Vec<u8>) {
    match body {
        Body::Activity(activity) => {
            message(ACTIVITY_TAG, bytes, |bytes| write_activity(activity, bytes));
        }
        other => other.encode(bytes),
    }
}

fn write_activity(activity: &Activity, bytes: &mut Vec<u8>) {
    let Activity {
        class_uid,
        activity_id,
        severity_id,
        status_id,
        status_detail,
        message: text,
        user_name,
        actor_user_name,
        src_ip,
        src_port,
        dst_ip,
        dst_port,
        dst_hostname,
        service_name,
        auth_protocol,
        process_name,
        process_pid,
        process_cmd_line,
        file_path,
        http,
        session_terminal,
        group_name,
        unmapped,
    } = activity;
    number(1, u64::from(*class_uid), bytes);
    number(2, u64::from(*activity_id), bytes);
    number(3, u64::from(*severity_id), bytes);
    number(4, u64::from(*status_id), bytes);
    field(5, status_detail.as_bytes(), bytes);
    field(6, text.as_bytes(), bytes);
    field(7, user_name.as_bytes(), bytes);
    field(8, actor_user_name.as_bytes(), bytes);
    field(9, src_ip, bytes);
    number(10, u64::from(*src_port), bytes);
    field(11, dst_ip, bytes);
    number(12, u64::from(*dst_port), bytes);
    field(13, dst_hostname.as_bytes(), bytes);
    field(14, service_name.as_bytes(), bytes);
    field(15, auth_protocol.as_bytes(), bytes);
    field(16, process_name.as_bytes(), bytes);
    number(17, u64::from(*process_pid), bytes);
    field(18, process_cmd_line.as_bytes(), bytes);
    field(19, file_path.as_bytes(), bytes);
    if let Some(http) = http {
        message(20, bytes, |bytes| write_http(http, bytes));
    }
    field(21, session_terminal.as_bytes(), bytes);
    field(22, group_name.as_bytes(), bytes);
    for (name, value) in unmapped {
        message(30, bytes, |bytes| {
            field(1, name.as_bytes(), bytes);
            field(2, value.as_bytes(), bytes);
        });
    }
}

fn write_http(http: &HttpRequest, bytes: &mut Vec<u8>) {
    let HttpRequest {
        http_method,
        url,
        version,
        hostname,
        user_agent,
        referrer,
        status_code,
        response_bytes,
        duration_seconds,
    } = http;
    field(1, http_method.as_bytes(), bytes);
    field(2, url.as_bytes(), bytes);
    field(3, version.as_bytes(), bytes);
    field(4, hostname.as_bytes(), bytes);
    field(5, user_agent.as_bytes(), bytes);
    field(6, referrer.as_bytes(), bytes);
    number(7, u64::from(*status_code), bytes);
    number(8, *response_bytes, bytes);
    if let Some(seconds) = duration_seconds {
        varint(u64::from(9 << 3 | FIXED64), bytes);
        bytes.extend_from_slice(&seconds.to_le_bytes());
    }
}

/// A field of bytes or of text; nothing if it is empty.
pub(super) fn field(tag: u32, value: &[u8], bytes: &mut Vec<u8>) {
    if !value.is_empty() {
        varint(u64::from(tag << 3 | LENGTH), bytes);
        varint(value.len() as u64, bytes);
        bytes.extend_from_slice(value);
    }
}

/// How many bytes [`field`] appends.
pub(super) fn field_len(tag: u32, value: &[u8]) -> usize {
    if value.is_empty() {
        return 0;
    }
    key_len(tag) + encoded_len_varint(value.len() as u64) + value.len()
}

fn number_len(tag: u32, value: u64) -> usize {
    if value == 0 { 0 } else { key_len(tag) + encoded_len_varint(value) }
}

fn number(tag: u32, value: u64, bytes: &mut Vec<u8>) {
    if value != 0 {
        varint(u64::from(tag << 3 | VARINT), bytes);
        varint(value, bytes);
    }
}

fn eight(tag: u32, value: [u8; 8], bytes: &mut Vec<u8>) {
    if value != [0; 8] {
        varint(u64::from(tag << 3 | FIXED64), bytes);
        bytes.extend_from_slice(&value);
    }
}

/// A message within another, empty or not.
fn message(tag: u32, bytes: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    varint(u64::from(tag << 3 | LENGTH), bytes);
    let start = bytes.len();
    bytes.extend_from_slice(&[0; LENGTH_BYTES]);
    write(bytes);
    let length = bytes.len() - start - LENGTH_BYTES;
    if (0x80..0x4000).contains(&length) {
        bytes[start] = low_byte(length) | 0x80;
        bytes[start + 1] = low_byte(length >> 7);
    } else {
        let mut head = Vec::with_capacity(5);
        varint(length as u64, &mut head);
        bytes.splice(start..start + LENGTH_BYTES, head);
    }
}

/// Seven bits of a length.
const fn low_byte(length: usize) -> u8 {
    (length & 0x7f) as u8
}

fn varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::{super::proto, *};

    /// Texts around every length at which a length grows by a byte.
    fn text() -> impl Strategy<Value = String> {
        let long = prop_oneof![Just(0_usize), 0..4_usize, 120..135_usize, 16_370..16_390_usize];
        (prop_oneof![8 => 0..40_usize, 1 => long], "[a-z\u{1ea1}]")
            .prop_map(|(length, letter)| letter.repeat(length))
    }

    fn numbers() -> impl Strategy<Value = u32> {
        prop_oneof![Just(0), 0..300_u32, any::<u32>()]
    }

    fn http() -> impl Strategy<Value = HttpRequest> {
        let texts = proptest::array::uniform6(text());
        (texts, numbers(), any::<u64>(), proptest::option::of(any::<f64>())).prop_map(
            |(
                [http_method, url, version, hostname, user_agent, referrer],
                status,
                bytes,
                seconds,
            )| {
                HttpRequest {
                    http_method,
                    url,
                    version,
                    hostname,
                    user_agent,
                    referrer,
                    status_code: status,
                    response_bytes: bytes,
                    duration_seconds: seconds,
                }
            },
        )
    }

    fn activity() -> impl Strategy<Value = Activity> {
        let texts = proptest::collection::vec(text(), 12);
        let unmapped = proptest::collection::btree_map(text(), text(), 0..4);
        let address = || proptest::collection::vec(any::<u8>(), 0..17);
        let (numbers, http) = (proptest::array::uniform7(numbers()), proptest::option::of(http()));
        (texts, numbers, (address(), address()), http, unmapped).prop_map(
            |(texts, numbers, (src_ip, dst_ip), http, unmapped)| {
                let mut texts = texts.into_iter();
                let mut text = || texts.next().unwrap_or_default();
                Activity {
                    class_uid: numbers[0],
                    activity_id: numbers[1],
                    severity_id: numbers[2],
                    status_id: numbers[3],
                    status_detail: text(),
                    message: text(),
                    user_name: text(),
                    actor_user_name: text(),
                    src_ip,
                    src_port: numbers[4],
                    dst_ip,
                    dst_port: numbers[5],
                    dst_hostname: text(),
                    service_name: text(),
                    auth_protocol: text(),
                    process_name: text(),
                    process_pid: numbers[6],
                    process_cmd_line: text(),
                    file_path: text(),
                    http,
                    session_terminal: text(),
                    group_name: text(),
                    unmapped,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn an_activity_s_bytes_are_those_that_prost_writes(activity in activity()) {
            let activity = Body::Activity(activity);
            let (mut own, mut wanted) = (vec![7], vec![7]);
            body(&activity, &mut own);
            activity.encode(&mut wanted);
            prop_assert_eq!(own, wanted);
        }

        #[test]
        fn an_event_s_bytes_are_those_that_prost_writes(
            (time, observed, doubt) in any::<(i64, i64, i32)>(),
            (offset, cut, none) in any::<(u64, u64, bool)>(),
            (raw, device) in (text(), text()),
        ) {
            let parts = Head {
                time: if none { 0 } else { time },
                observed,
                time_doubt: doubt,
                source_offset: if none { 0 } else { offset },
                raw: raw.into_bytes(),
                raw_cut_bytes: cut,
                device,
            };
            let event = proto::Event {
                time_unix_nano: parts.time,
                observed_time_unix_nano: parts.observed,
                time_doubt: parts.time_doubt,
                source_offset: parts.source_offset,
                raw: parts.raw.clone(),
                raw_cut_bytes: parts.raw_cut_bytes,
                device_hostname: parts.device.clone(),
                ..proto::Event::default()
            };
            let mut own = Vec::new();
            head(&parts, &mut own);
            prop_assert_eq!(own.len(), head_len(&parts));
            prop_assert_eq!(own, event.encode_to_vec());
        }
    }
}
