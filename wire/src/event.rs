//! One thing that happened on a watched host, valid by construction.
//!
//! Made by an agent's source ([`Event::new`] and the `with_` steps) or read from bytes ([`Event::decode`]). What an [`Event`] holds is
//! within the limits of [`crate::limits`]: text is cut at a character, never refused, because a hostile line is still evidence.

use std::{net::IpAddr, sync::Arc};

use prost::Message;
use text::Text;

use crate::{
    id::Lane,
    limits::{EVENT_BYTES_MAX, FIELD_BYTES_MAX, RAW_BYTES_MAX, UNMAPPED_FIELDS_MAX},
    proto,
    time::Time,
};

mod activity;
mod encode;
mod known;
mod text;

pub use activity::{Class, Status};
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
    /// Without its body and the texts below.
    inner: proto::Event,
    system: Text,
    source: Text,
    format: Text,
    /// Always there: what `inner.body` would hold. It is large, and is not moved from where it was made.
    body: Box<Body>,
}

impl Event {
    /// Starts an event; `time` is the source's, `observed` the reading clock's.
    #[must_use]
    pub fn new(time: Time, observed: Time, body: Body) -> Self {
        Self::of(time, observed, Box::new(body))
    }

    /// The same of a body that has its place.
    #[must_use]
    pub fn of(time: Time, observed: Time, body: Box<Body>) -> Self {
        let inner = proto::Event {
            time_unix_nano: time.0,
            observed_time_unix_nano: observed.0,
            ..proto::Event::default()
        };
        let (system, source, format) = Default::default();
        let mut event = Self { parts: Box::new(Parts { inner, system, source, format, body }) };
        event.limit_body();
        event
    }

    /// Says how sure its time is.
    #[must_use]
    pub fn with_time_doubt(mut self, doubt: TimeDoubt) -> Self {
        self.parts.inner.time_doubt = doubt.into();
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
        self.parts.inner.source_offset = offset;
        self
    }

    /// Says both with texts that many events share.
    #[must_use]
    pub fn with_origin(mut self, system: &Arc<str>, source: &Arc<str>, offset: u64) -> Self {
        (self.parts.system, self.parts.source) = (shared(system), shared(source));
        self.parts.inner.source_offset = offset;
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
    pub fn with_raw_line(mut self, mut raw: Vec<u8>, cut_bytes: u64) -> Self {
        let more = raw.len().saturating_sub(RAW_BYTES_MAX);
        raw.truncate(RAW_BYTES_MAX);
        self.parts.inner.raw = raw;
        self.parts.inner.raw_cut_bytes = cut_bytes.saturating_add(more as u64);
        self
    }

    /// Names the host that a relayed line speaks of.
    #[must_use]
    pub fn with_device(mut self, hostname: &str) -> Self {
        self.parts.inner.device_hostname = cut(hostname.to_owned());
        self
    }

    /// Changes the raw line and the body in place, e.g. to redact them, and holds the result to the limits again.
    #[must_use]
    pub fn with_edits(mut self, edit: impl FnOnce(&mut Vec<u8>, &mut Body)) -> Self {
        edit(&mut self.parts.inner.raw, &mut self.parts.body);
        let more = self.parts.inner.raw.len().saturating_sub(RAW_BYTES_MAX);
        self.parts.inner.raw.truncate(RAW_BYTES_MAX);
        self.parts.inner.raw_cut_bytes = self.parts.inner.raw_cut_bytes.saturating_add(more as u64);
        self.limit_body();
        self
    }

    /// When it happened, by the source's clock.
    #[must_use]
    pub const fn time(&self) -> Time {
        Time(self.parts.inner.time_unix_nano)
    }

    /// When the agent read it.
    #[must_use]
    pub const fn observed(&self) -> Time {
        Time(self.parts.inner.observed_time_unix_nano)
    }

    /// How sure the time is; an unknown number counts as the greatest doubt.
    #[must_use]
    pub fn time_doubt(&self) -> TimeDoubt {
        TimeDoubt::try_from(self.parts.inner.time_doubt).unwrap_or(TimeDoubt::Observed)
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
        self.parts.inner.source_offset
    }

    /// The format that understood it, or "".
    #[must_use]
    pub fn format(&self) -> &str {
        self.parts.format.as_str()
    }

    /// The line as read; may be any bytes.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.parts.inner.raw
    }

    /// Bytes of the line that were cut away.
    #[must_use]
    pub const fn raw_cut_bytes(&self) -> u64 {
        self.parts.inner.raw_cut_bytes
    }

    /// The host named in a relayed line, or "".
    #[must_use]
    pub fn device(&self) -> &str {
        &self.parts.inner.device_hostname
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
        self.parts.inner.encoded_len()
            + self.parts.system.encoded_len(SYSTEM_TAG)
            + self.parts.source.encoded_len(SOURCE_TAG)
            + self.parts.format.encoded_len(FORMAT_TAG)
            + self.parts.body.encoded_len()
    }

    /// Appends its protobuf bytes: those of a message's fields in any order are the message.
    pub fn encode_to(&self, bytes: &mut Vec<u8>) {
        encode::head(&self.parts.inner, bytes);
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
        proto::Event::decode(bytes).map_err(EventError::Malformed)?.try_into()
    }

    /// The generated message.
    #[must_use]
    pub fn into_proto(self) -> proto::Event {
        let Parts { inner, system, source, format, body } = *self.parts;
        proto::Event {
            system: system.into_string(),
            source: source.into_string(),
            format: format.into_string(),
            body: Some(*body),
            ..inner
        }
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

    fn try_from(mut inner: proto::Event) -> Result<Self, EventError> {
        let body = Box::new(inner.body.take().ok_or(EventError::NoBody)?);
        if let Body::Activity(activity) = &*body {
            for address in [&activity.src_ip, &activity.dst_ip] {
                if !matches!(address.len(), 0 | 4 | 16) {
                    return Err(EventError::Address { found: address.len() });
                }
            }
        }
        let mut text = |text: fn(&mut proto::Event) -> &mut String| {
            Text::Own(cut(std::mem::take(text(&mut inner))))
        };
        let system = text(|inner| &mut inner.system);
        let source = text(|inner| &mut inner.source);
        let format = text(|inner| &mut inner.format);
        inner.device_hostname = cut(std::mem::take(&mut inner.device_hostname));
        let mut event = Self { parts: Box::new(Parts { inner, system, source, format, body }) };
        event.limit_body();
        if event.parts.inner.raw.len() > RAW_BYTES_MAX {
            let more = (event.parts.inner.raw.len() - RAW_BYTES_MAX) as u64;
            event.parts.inner.raw.truncate(RAW_BYTES_MAX);
            event.parts.inner.raw_cut_bytes = event.parts.inner.raw_cut_bytes.saturating_add(more);
        }
        Ok(event)
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
