//! One thing that happened on a watched host, valid by construction.
//!
//! Made by an agent's source ([`Event::new`] and the `with_` steps) or read from bytes ([`Event::decode`]). What an [`Event`] holds is
//! within the limits of [`crate::limits`]: text is cut at a character, never refused, because a hostile line is still evidence.

use std::{net::IpAddr, sync::Arc};

use text::Text;

use crate::{
    id::Lane,
    limits::{EVENT_BYTES_MAX, FIELD_BYTES_MAX, RAW_BYTES_MAX, UNMAPPED_FIELDS_MAX},
    proto,
    time::Time,
};

mod activity;
mod decode;
mod encode;
mod known;
mod text;

pub use activity::{Class, Status};
pub(crate) use decode::Recent;
pub use proto::{
    Activity, Check, CheckKind, CheckOutcome, Document, Dossier, Exchange, FilesystemFigures, Gap,
    GapReason, Heartbeat, HostFigures, HttpRequest, LaneFigures, NetworkFigures, Outcome, Payment,
    Rating, Session, SlowedFigures, TimeDoubt, event::Body,
};

/// Why bytes are no event.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EventError {
    /// Not protobuf, or torn.
    #[error("the event does not decode")]
    Malformed(#[source] prost::DecodeError),
    /// Nothing in it, or a kind from a newer version.
    #[error("the event has no body that this version knows")]
    NoBody,
    /// Larger than the limit.
    #[error("the event has {found} bytes, at most {EVENT_BYTES_MAX} are allowed")]
    TooLarge {
        /// Bytes found.
        found: usize,
    },
    /// On another lane than its kind's.
    #[error("a {kind} event is on the lane {lane}", lane = .lane.name())]
    WrongLane {
        /// The event's kind.
        kind: &'static str,
        /// The lane it was found on.
        lane: Lane,
    },
    /// An address of neither four nor sixteen bytes.
    #[error("an address has {found} bytes, wanted 4 or 16")]
    Address {
        /// Bytes found.
        found: usize,
    },
}

/// Fields in `wire/proto/event.proto`.
const SYSTEM_TAG: u32 = 4;
const SOURCE_TAG: u32 = 5;
const FORMAT_TAG: u32 = 7;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// In one place of its own: an event is handed on many times between a line and the disk.
    parts: Box<Parts>,
}

#[derive(Clone, Debug, PartialEq)]
struct Parts {
    head: Head,
    system: Text,
    source: Text,
    format: Text,
    /// It is large, and is not moved from where it was made.
    body: Box<Body>,
}

/// What is an event's alone beside its body. The generated message would keep the room of a second body.
#[derive(Clone, Debug, Default, PartialEq)]
struct Head {
    time: i64,
    observed: i64,
    time_doubt: i32,
    source_offset: u64,
    raw: Vec<u8>,
    raw_cut_bytes: u64,
    device: String,
}

impl Head {
    /// Holds the line to its limit, and counts what is cut away.
    fn limit_raw(&mut self) {
        let more = self.raw.len().saturating_sub(RAW_BYTES_MAX);
        self.raw.truncate(RAW_BYTES_MAX);
        self.raw_cut_bytes = self.raw_cut_bytes.saturating_add(more as u64);
    }
}

impl Event {
    /// Bytes that an event takes beside its texts.
    pub const BYTES_BESIDE_TEXTS: usize =
        size_of::<Self>() + size_of::<Parts>() + size_of::<Body>();

    /// Starts an event; `time` is the source's, `observed` the reading clock's.
    #[must_use]
    pub fn new(time: Time, observed: Time, body: Body) -> Self {
        Self::of(time, observed, Box::new(body))
    }

    /// The same of a body that has its place.
    #[must_use]
    pub fn of(time: Time, observed: Time, body: Box<Body>) -> Self {
        let head = Head { time: time.0, observed: observed.0, ..Head::default() };
        let (system, source, format) = Default::default();
        let mut event = Self { parts: Box::new(Parts { head, system, source, format, body }) };
        event.limit_body();
        event
    }

    /// Says how sure its time is.
    #[must_use]
    pub fn with_time_doubt(mut self, doubt: TimeDoubt) -> Self {
        self.parts.head.time_doubt = doubt.into();
        self
    }

    /// Binds it to a system of the registry; empty: none.
    #[must_use]
    pub fn with_system(mut self, system: &str) -> Self {
        self.parts.system = own(system);
        self
    }

    /// Says where it was read: file, unit, probe, and the byte offset in a file.
    #[must_use]
    pub fn with_source(mut self, source: &str, offset: u64) -> Self {
        self.parts.source = own(source);
        self.parts.head.source_offset = offset;
        self
    }

    /// Says both with texts that many events share.
    #[must_use]
    pub fn with_origin(mut self, system: &Arc<str>, source: &Arc<str>, offset: u64) -> Self {
        (self.parts.system, self.parts.source) = (shared(system), shared(source));
        self.parts.head.source_offset = offset;
        self
    }

    /// Names the format that understood it.
    #[must_use]
    pub fn with_format(mut self, format: &str) -> Self {
        self.parts.format = own(format);
        self
    }

    /// The same of a name that this program has.
    #[must_use]
    pub fn with_format_named(mut self, format: &'static str) -> Self {
        self.parts.format = Text::Fixed(format);
        self
    }

    /// Keeps the line as it was read. What exceeds [`RAW_BYTES_MAX`] is cut away and counted, on top of `cut_bytes` that the reader cut.
    #[must_use]
    pub fn with_raw(self, raw: &[u8], cut_bytes: u64) -> Self {
        let kept = raw.len().min(RAW_BYTES_MAX);
        self.with_raw_line(
            raw[..kept].to_vec(),
            cut_bytes.saturating_add((raw.len() - kept) as u64),
        )
    }

    /// The same of a line that is given away, and not copied.
    #[must_use]
    pub fn with_raw_line(mut self, raw: Vec<u8>, cut_bytes: u64) -> Self {
        self.parts.head.raw = raw;
        self.parts.head.raw_cut_bytes = cut_bytes;
        self.parts.head.limit_raw();
        self
    }

    /// Names the host that a relayed line speaks of.
    #[must_use]
    pub fn with_device(mut self, hostname: &str) -> Self {
        self.parts.head.device = cut(hostname.to_owned());
        self
    }

    /// Changes the raw line and the body in place, e.g. to redact them, and holds the result to the limits again.
    #[must_use]
    pub fn with_edits(mut self, edit: impl FnOnce(&mut Vec<u8>, &mut Body)) -> Self {
        let Parts { head, body, .. } = &mut *self.parts;
        edit(&mut head.raw, body);
        head.limit_raw();
        self.limit_body();
        self
    }

    /// When it happened, by the source's clock.
    #[must_use]
    pub const fn time(&self) -> Time {
        Time(self.parts.head.time)
    }

    /// When the agent read it.
    #[must_use]
    pub const fn observed(&self) -> Time {
        Time(self.parts.head.observed)
    }

    /// How sure the time is; an unknown number counts as the greatest doubt.
    #[must_use]
    pub fn time_doubt(&self) -> TimeDoubt {
        TimeDoubt::try_from(self.parts.head.time_doubt).unwrap_or(TimeDoubt::Observed)
    }

    /// The system it is bound to, or "".
    #[must_use]
    pub fn system(&self) -> &str {
        self.parts.system.as_str()
    }

    /// Where it was read.
    #[must_use]
    pub fn source(&self) -> &str {
        self.parts.source.as_str()
    }

    /// Byte offset in the source.
    #[must_use]
    pub const fn source_offset(&self) -> u64 {
        self.parts.head.source_offset
    }

    /// The format that understood it, or "".
    #[must_use]
    pub fn format(&self) -> &str {
        self.parts.format.as_str()
    }

    /// The line as read; may be any bytes.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.parts.head.raw
    }

    /// Bytes of the line that were cut away.
    #[must_use]
    pub const fn raw_cut_bytes(&self) -> u64 {
        self.parts.head.raw_cut_bytes
    }

    /// The host named in a relayed line, or "".
    #[must_use]
    pub fn device(&self) -> &str {
        &self.parts.head.device
    }

    /// What happened.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.parts.body
    }

    /// The security activity, if it is one.
    #[must_use]
    pub fn activity(&self) -> Option<&Activity> {
        match &*self.parts.body {
            Body::Activity(activity) => Some(activity),
            _ => None,
        }
    }

    /// Its kind or OCSF class in snake case, as screens and the store name it: "heartbeat", "check", "authentication", "dossier".
    #[must_use]
    pub fn class_name(&self) -> &'static str {
        match &*self.parts.body {
            Body::Heartbeat(_) => "heartbeat",
            Body::HostFigures(_) => "host_figures",
            Body::Check(_) => "check",
            Body::Gap(_) => "gap",
            Body::Activity(activity) => activity.class().name(),
            Body::Session(_) => "session",
            Body::Dossier(_) => "dossier",
            Body::Document(_) => "document",
            Body::Payment(_) => "payment",
            Body::Rating(_) => "rating",
            Body::Exchange(_) => "exchange",
        }
    }

    /// The lane it travels on. Requests are usage, though an attack may stand in them: they are the bulk, and detection reads all lanes.
    #[must_use]
    pub fn lane(&self) -> Lane {
        match &*self.parts.body {
            Body::Heartbeat(_) | Body::HostFigures(_) | Body::Check(_) | Body::Gap(_) => {
                Lane::Uptime
            }
            Body::Activity(activity) if activity.class() == Class::Http => Lane::Usage,
            Body::Activity(_) => Lane::Security,
            Body::Session(_)
            | Body::Dossier(_)
            | Body::Document(_)
            | Body::Payment(_)
            | Body::Rating(_)
            | Body::Exchange(_) => Lane::Usage,
        }
    }

    /// Its protobuf bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_len());
        self.encode_to(&mut bytes);
        bytes
    }

    /// How many bytes [`Self::encode_to`] appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        encode::head_len(&self.parts.head)
            + self.parts.system.encoded_len(SYSTEM_TAG)
            + self.parts.source.encoded_len(SOURCE_TAG)
            + self.parts.format.encoded_len(FORMAT_TAG)
            + self.parts.body.encoded_len()
    }

    /// Appends its protobuf bytes: those of a message's fields in any order are the message.
    pub fn encode_to(&self, bytes: &mut Vec<u8>) {
        encode::head(&self.parts.head, bytes);
        self.parts.system.encode(SYSTEM_TAG, bytes);
        self.parts.source.encode(SOURCE_TAG, bytes);
        self.parts.format.encode(FORMAT_TAG, bytes);
        encode::body(&self.parts.body, bytes);
    }

    /// Reads an event from its protobuf bytes.
    ///
    /// # Errors
    /// If they are too many, torn, of no known kind, or hold a malformed address.
    pub fn decode(bytes: &[u8]) -> Result<Self, EventError> {
        if bytes.len() > EVENT_BYTES_MAX {
            return Err(EventError::TooLarge { found: bytes.len() });
        }
        Self::read(bytes, &mut Recent::default()).map_err(EventError::Malformed)?
    }

    /// The generated message.
    #[must_use]
    pub fn into_proto(self) -> proto::Event {
        let Parts { head, system, source, format, body } = *self.parts;
        proto::Event {
            time_unix_nano: head.time,
            observed_time_unix_nano: head.observed,
            time_doubt: head.time_doubt,
            system: system.into_string(),
            source: source.into_string(),
            source_offset: head.source_offset,
            format: format.into_string(),
            raw: head.raw,
            raw_cut_bytes: head.raw_cut_bytes,
            device_hostname: head.device,
            body: Some(*body),
        }
    }

    /// The event of what was read, held to the limits.
    fn whole(
        mut head: Head,
        [system, source, format]: [Text; 3],
        body: Option<Box<Body>>,
    ) -> Result<Self, EventError> {
        let body = body.ok_or(EventError::NoBody)?;
        if let Body::Activity(activity) = &*body {
            for address in [&activity.src_ip, &activity.dst_ip] {
                if !matches!(address.len(), 0 | 4 | 16) {
                    return Err(EventError::Address { found: address.len() });
                }
            }
        }
        head.device = cut(head.device);
        head.limit_raw();
        let mut event = Self { parts: Box::new(Parts { head, system, source, format, body }) };
        event.limit_body();
        Ok(event)
    }

    /// Cuts the body's texts to their limits.
    fn limit_body(&mut self) {
        if let Body::Activity(activity) = &mut *self.parts.body {
            activity.limit();
        }
    }

    /// Refuses what is not of this lane.
    ///
    /// # Errors
    /// If the event belongs to another lane.
    pub fn require_lane(&self, lane: Lane) -> Result<(), EventError> {
        if self.lane() == lane {
            Ok(())
        } else {
            Err(EventError::WrongLane { kind: self.class_name(), lane })
        }
    }
}

impl TryFrom<proto::Event> for Event {
    type Error = EventError;

    fn try_from(event: proto::Event) -> Result<Self, EventError> {
        let head = Head {
            time: event.time_unix_nano,
            observed: event.observed_time_unix_nano,
            time_doubt: event.time_doubt,
            source_offset: event.source_offset,
            raw: event.raw,
            raw_cut_bytes: event.raw_cut_bytes,
            device: event.device_hostname,
        };
        let [system, source, format] =
            [event.system, event.source, event.format].map(|text| Text::Own(cut(text)));
        Self::whole(head, [system, source, format], event.body.map(Box::new))
    }
}

impl serde::Serialize for Event {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.clone().into_proto().serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Event {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        proto::Event::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

fn own(text: &str) -> Text {
    Text::Own(cut(text.to_owned()))
}

fn shared(text: &Arc<str>) -> Text {
    if text.len() > FIELD_BYTES_MAX { own(text) } else { Text::Shared(Arc::clone(text)) }
}

/// Cuts a text at a character so that it has at most [`FIELD_BYTES_MAX`] bytes.
fn cut(mut text: String) -> String {
    if text.len() > FIELD_BYTES_MAX {
        let mut end = FIELD_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

/// The bytes of an address: four or sixteen. An IPv4 address in IPv6's clothes is undressed.
#[must_use]
pub fn address_to_bytes(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The address of four or sixteen bytes.
#[must_use]
pub fn address_from_bytes(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(four));
    }
    <[u8; 16]>::try_from(bytes).ok().map(|sixteen| IpAddr::from(sixteen).to_canonical())
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn now() -> Time {
        Time::from_seconds(1_764_000_000)
    }

    #[test]
    fn a_line_of_ten_megabytes_is_cut_and_the_cut_is_counted() {
        let line = vec![b'x'; 10_000_000];
        let event =
            Event::new(now(), now(), Body::Activity(Activity::default())).with_raw(&line, 5);
        assert_eq!(event.raw().len(), RAW_BYTES_MAX);
        assert_eq!(event.raw_cut_bytes(), (10_000_000 - RAW_BYTES_MAX) as u64 + 5);
    }

    #[test]
    fn long_fields_are_cut_at_a_character() {
        let activity = Activity { user_name: "Đ".repeat(FIELD_BYTES_MAX), ..Activity::default() };
        let event = Event::new(now(), now(), Body::Activity(activity));
        let name = &event.activity().unwrap().user_name;
        assert!(name.len() <= FIELD_BYTES_MAX && name.chars().all(|c| c == 'Đ'));
    }

    #[test]
    fn an_address_of_five_bytes_is_refused() {
        let activity = Activity { src_ip: vec![1; 5], ..Activity::default() };
        let bytes = proto::Event { body: Some(Body::Activity(activity)), ..Default::default() }
            .encode_to_vec();
        assert_eq!(Event::decode(&bytes), Err(EventError::Address { found: 5 }));
    }

    #[test]
    fn an_empty_message_is_no_event() {
        assert_eq!(Event::decode(&[]), Err(EventError::NoBody));
    }

    #[test]
    fn mapped_addresses_are_written_as_ipv4() {
        let mapped: IpAddr = "::ffff:203.0.113.7".parse().unwrap();
        assert_eq!(address_to_bytes(mapped), [203, 0, 113, 7]);
    }
}
