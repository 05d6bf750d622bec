//! One entry of the journal, as `journalctl` writes it in JSON.

use std::sync::Arc;

use serde_json::{Map, Value};
use vonggac_wire::{Event, Time, limits::RAW_BYTES_MAX};

use crate::{
    format::{self, Context},
    intake::{Entry, Position},
};

/// The fields that are asked for; cursor and time come always.
pub(super) const FIELDS: &str = "MESSAGE,SYSLOG_IDENTIFIER,_COMM,_PID,SYSLOG_PID,_HOSTNAME,_SYSTEMD_UNIT,_TRANSPORT,_AUDIT_TYPE_NAME,_AUDIT_ID,_SOURCE_REALTIME_TIMESTAMP";

/// An entry as an event: its fields are put into a line of its program, so that every format is found. What cannot be read is kept as
/// it is, without a place.
pub(super) fn entry(json: &[u8], cut: u64, context: &Context) -> (Entry, bool) {
    read(json, context).unwrap_or_else(|| {
        let kept = &json[..json.len().min(RAW_BYTES_MAX)];
        let cut = cut + (json.len() - kept.len()) as u64;
        let (event, known) = format::event("auto", kept, cut, context);
        (Entry { event: event.with_source("journal:", 0), position: None }, known)
    })
}

/// Where an entry stands.
pub(super) fn position(json: &[u8]) -> Option<Position> {
    let Value::Object(fields) = serde_json::from_slice(json).ok()? else { return None };
    place(&fields)
}

fn place(fields: &Map<String, Value>) -> Option<Position> {
    // "s=SEQUENCE;i=NUMBER;..."
    let cursor = text(fields, "__CURSOR");
    let part = |name: &str| cursor.split(';').find_map(|part| part.strip_prefix(name));
    let stream: Arc<str> = format!("journal:{}", part("s=")?).into();
    Some(Position { stream, offset: u64::from_str_radix(part("i=")?, 16).ok()? })
}

fn read(json: &[u8], context: &Context) -> Option<(Entry, bool)> {
    let Value::Object(fields) = serde_json::from_slice(json).ok()? else { return None };
    let position = place(&fields)?;
    let micros: i64 = text(&fields, "__REALTIME_TIMESTAMP").parse().ok()?;
    let time = Time(micros.saturating_mul(1_000));
    let message = text(&fields, "MESSAGE");
    let (event, known) = match audit(&fields, time, &message) {
        Some(record) => {
            let (event, known) = line("auditd", &record, context);
            (event.with_device(&text(&fields, "_HOSTNAME")), known)
        }
        None => line("syslog", &syslog(&fields, time, &message), context),
    };
    let source = format!("journal:{}", text(&fields, "_SYSTEMD_UNIT"));
    let event = event.with_source(&source, position.offset);
    Some((Entry { event, position: Some(position) }, known))
}

fn line(format: &str, line: &str, context: &Context) -> (Event, bool) {
    let kept = &line.as_bytes()[..line.len().min(RAW_BYTES_MAX)];
    format::event(format, kept, (line.len() - kept.len()) as u64, context)
}

fn syslog(fields: &Map<String, Value>, time: Time, message: &str) -> String {
    let first = |names: [&str; 2]| {
        names
            .iter()
            .map(|name| text(fields, name))
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    };
    let program = first(["SYSLOG_IDENTIFIER", "_COMM"]).replace([' ', ':'], "_");
    let pid = first(["_PID", "SYSLOG_PID"]);
    let host = text(fields, "_HOSTNAME");
    if pid.is_empty() {
        return format!("{time} {host} {program}: {message}");
    }
    format!("{time} {host} {program}[{pid}]: {message}")
}

/// A record of the kernel's audit, as its daemon writes it.
fn audit(fields: &Map<String, Value>, time: Time, message: &str) -> Option<String> {
    if text(fields, "_TRANSPORT") != "audit" {
        return None;
    }
    let (kind, number) = (text(fields, "_AUDIT_TYPE_NAME"), text(fields, "_AUDIT_ID"));
    if kind.is_empty() || number.is_empty() {
        return None;
    }
    let source = text(fields, "_SOURCE_REALTIME_TIMESTAMP").parse().ok();
    let time = source.map_or(time, |micros: i64| Time(micros.saturating_mul(1_000)));
    let (seconds, millis) =
        (time.0.div_euclid(1_000_000_000), time.0.rem_euclid(1_000_000_000) / 1_000_000);
    let rest = message.strip_prefix(&kind).unwrap_or(message).trim_start();
    Some(format!("type={kind} msg=audit({seconds}.{millis:03}:{number}): {rest}"))
}

/// A field as text; binary ones come as lists of numbers.
fn text(fields: &Map<String, Value>, name: &str) -> String {
    match fields.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) => match values.first() {
            // A field that was given several times.
            Some(Value::String(first)) => first.clone(),
            _ => {
                let byte = |value: &Value| u8::try_from(value.as_u64()?).ok();
                let bytes: Vec<u8> = values.iter().filter_map(byte).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
        },
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> (Entry, bool) {
        entry(json.as_bytes(), 0, &Context::here(Time::from_seconds(1_796_000_000)))
    }

    #[test]
    fn an_entry_of_sshd_becomes_a_log_in() {
        let (entry, known) = of(
            r#"{"__CURSOR":"s=ab12;i=1f;b=x;m=1;t=2;x=3","__REALTIME_TIMESTAMP":"1764000000000000","_HOSTNAME":"web-1","SYSLOG_IDENTIFIER":"sshd","_PID":"7","_SYSTEMD_UNIT":"ssh.service","MESSAGE":"Failed password for root from 203.0.113.7 port 5 ssh2"}"#,
        );
        let position = entry.position.unwrap();
        assert_eq!((position.stream.as_ref(), position.offset), ("journal:ab12", 31));
        assert_eq!((entry.event.class_name(), known), ("authentication", true));
        assert_eq!(entry.event.time(), Time::from_seconds(1_764_000_000));
    }

    #[test]
    fn a_record_of_the_audit_is_read_as_its_daemon_would_write_it() {
        let (entry, _) = of(
            r#"{"__CURSOR":"s=ab12;i=2","__REALTIME_TIMESTAMP":"1764000000500000","_SOURCE_REALTIME_TIMESTAMP":"1764000000123000","_HOSTNAME":"web-1","_TRANSPORT":"audit","_AUDIT_TYPE_NAME":"USER_LOGIN","_AUDIT_ID":"77","MESSAGE":"USER_LOGIN pid=9 uid=0 auid=1000 ses=3 msg='op=login id=1000 exe=\"/usr/sbin/sshd\" hostname=? addr=203.0.113.7 terminal=ssh res=success'"}"#,
        );
        assert_eq!((entry.event.format(), entry.event.device()), ("auditd", "web-1"));
        assert_eq!(entry.event.time(), Time(1_764_000_000_123_000_000));
    }

    #[test]
    fn binary_messages_and_those_without_a_place_are_kept() {
        let (entry, _) = of(
            r#"{"__CURSOR":"s=ab12;i=2","__REALTIME_TIMESTAMP":"1764000000500000","SYSLOG_IDENTIFIER":"x","MESSAGE":[99,97,102,233]}"#,
        );
        assert!(String::from_utf8_lossy(entry.event.raw()).ends_with("x: caf\u{fffd}"));
        let (entry, known) = of(r#"{"MESSAGE":"torn"#);
        assert!(entry.position.is_none() && !known && entry.event.raw() == br#"{"MESSAGE":"torn"#);
    }
}
