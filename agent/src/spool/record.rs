//! One record: see the module's format.

/// `VGS1`.
pub(crate) const MAGIC: [u8; 4] = *b"VGS1";

/// Bytes before the payload.
pub const RECORD_HEAD_BYTES: usize = 20;

/// A longer payload is damage: an event with its stream's name and position.
pub(crate) const PAYLOAD_BYTES_MAX: usize = vonggac_wire::limits::EVENT_BYTES_MAX + 70_000;

/// A record as it stands in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) seq: u64,
    /// The stream's name (empty: none) and the position behind the event.
    pub(crate) stream: &'a [u8],
    pub(crate) offset: u64,
    pub(crate) event: &'a [u8],
    /// Bytes of the whole record.
    pub(crate) bytes: usize,
}

/// What stands at a place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A whole record.
    Record(Record<'a>),
    /// The beginning of one; the rest is not there.
    Torn,
    /// Something else.
    Damage,
}

/// Appends a record of an event's bytes to `buffer`, with the stream's name and the position behind the event.
pub(crate) fn write(buffer: &mut Vec<u8>, seq: u64, position: Option<(&str, u64)>, event: &[u8]) {
    let (stream, offset) = position.map_or((&b""[..], 0), |(name, at)| (name.as_bytes(), at));
    // A name beyond the field is left out: its lines may come twice after a crash, never get lost.
    let stream_length = u16::try_from(stream.len()).unwrap_or(0);
    let stream = &stream[..usize::from(stream_length)];
    let head = buffer.len();
    buffer.reserve(RECORD_HEAD_BYTES + 2 + stream.len() + 8 + event.len());
    let payload_start = head + RECORD_HEAD_BYTES;
    buffer.extend_from_slice(&MAGIC);
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&seq.to_le_bytes());
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&stream_length.to_le_bytes());
    buffer.extend_from_slice(stream);
    buffer.extend_from_slice(&offset.to_le_bytes());
    buffer.extend_from_slice(event);
    let length = u32::try_from(buffer.len() - payload_start).unwrap_or(u32::MAX);
    buffer[head + 4..head + 8].copy_from_slice(&length.to_le_bytes());
    let sum = checksum(&buffer[head + 4..head + 16], &buffer[payload_start..]);
    buffer[head + 16..head + 20].copy_from_slice(&sum.to_le_bytes());
}

fn checksum(numbers: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(numbers), payload)
}

/// What stands at the beginning of `bytes`.
pub(crate) fn read(bytes: &[u8]) -> Found<'_> {
    let Some(head) = bytes.first_chunk::<RECORD_HEAD_BYTES>() else {
        let start = bytes.len().min(4);
        return if bytes[..start] == MAGIC[..start] { Found::Torn } else { Found::Damage };
    };
    if head[..4] != MAGIC {
        return Found::Damage;
    }
    let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
    if !(10..=PAYLOAD_BYTES_MAX).contains(&length) {
        return Found::Damage;
    }
    let Some(payload) = bytes.get(RECORD_HEAD_BYTES..RECORD_HEAD_BYTES + length) else {
        return Found::Torn;
    };
    let sum = u32::from_le_bytes([head[16], head[17], head[18], head[19]]);
    if checksum(&head[4..16], payload) != sum {
        return Found::Damage;
    }
    let stream_length = usize::from(u16::from_le_bytes([payload[0], payload[1]]));
    let Some((stream, rest)) = payload[2..].split_at_checked(stream_length) else {
        return Found::Damage;
    };
    let Some((offset, event)) = rest.split_first_chunk::<8>() else { return Found::Damage };
    let seq = head[8..16].try_into().map(u64::from_le_bytes).unwrap_or_default();
    Found::Record(Record {
        seq,
        stream,
        offset: u64::from_le_bytes(*offset),
        event,
        bytes: RECORD_HEAD_BYTES + length,
    })
}

/// The next place after `from` where a whole record stands.
pub(crate) fn resync(bytes: &[u8], from: usize) -> Option<usize> {
    let mut place = from;
    while let Some(found) = memchr::memmem::find(bytes.get(place..)?, &MAGIC) {
        place += found;
        if matches!(read(&bytes[place..]), Found::Record(_)) {
            return Some(place);
        }
        place += 1;
    }
    None
}
