//! Lines of a program inside what a container runtime or the journal puts around them: the inner line is read by its own format.

use serde_json::Value;
use vonggac_wire::{
    Time,
    event::{Activity, Body, Class, Status, TimeDoubt},
};

use super::{Context, Parsed, clock, program};

/// A line of a container as the kubelet's runtimes write it: `TIME stdout F LINE`.
pub(super) struct Cri<'a> {
    /// Time and stream, as they stand there.
    pub(super) head: &'a str,
    /// Whether more of the same line follows.
    pub(super) partial: bool,
    pub(super) line: &'a str,
}

impl<'a> Cri<'a> {
    pub(super) fn of(text: &'a str) -> Option<Self> {
        // `2026-11-24T16:00:00.123456789+07:00`
        let (stamp, rest) = text.split_once(' ')?;
        if stamp.len() < 20 || stamp.as_bytes().get(10) != Some(&b'T') {
            return None;
        }
        let (stream, rest) = rest.split_once(' ')?;
        if !matches!(stream, "stdout" | "stderr") {
            return None;
        }
        let (tags, line) = rest.split_once(' ').unwrap_or((rest, ""));
        let partial = match tags.split(':').next()? {
            "P" => true,
            "F" => false,
            _ => return None,
        };
        Some(Self { head: &text[..stamp.len() + 1 + stream.len()], partial, line })
    }
}

pub(super) fn cri(text: &str, context: &Context) -> Option<Parsed> {
    let found = Cri::of(text)?;
    let (stamp, stream) = found.head.split_once(' ')?;
    let (time, _) = clock::iso(stamp, context)?;
    Some(of_container(found.line, Some(time), stream, "cri", context))
}

/// Docker's `json-file` driver, the journal's JSON, and what shippers of logs put around a line.
pub(super) fn json(text: &str, context: &Context) -> Option<Parsed> {
    let docker = text.contains("\"log\":") && text.contains("\"stream\":");
    let journal = text.contains("\"__REALTIME_TIMESTAMP\"") || text.contains("\"_BOOT_ID\"");
    let shipper = text.contains("\"message\":") && SHIPPERS.iter().any(|mark| text.contains(mark));
    if !docker && !journal && !shipper {
        return None;
    }
    let object: Value = serde_json::from_str(text).ok()?;
    let word = |key: &str| object.get(key).and_then(Value::as_str);
    if let (true, Some(line), Some(stream)) = (docker, word("log"), word("stream")) {
        let line = line.trim_end_matches(['\n', '\r']);
        let time = clock::iso(word("time").unwrap_or_default(), context).map(|(time, _)| time);
        return Some(of_container(line, time, stream, "docker", context));
    }
    if journal { of_journal(&object, context) } else { of_shipper(&object, context) }
}

/// What tells a shipper's object from a program's own.
const SHIPPERS: [&str; 5] = [
    "\"agent\":{\"",
    "\"log\":{\"file\":",
    "\"log\":{\"offset\":",
    "\"source_type\":",
    "\"kubernetes\":{",
];

/// A line that Filebeat, Fluent Bit or Vector has read from a file, if a format knows it.
fn of_shipper(object: &Value, context: &Context) -> Option<Parsed> {
    let mut parsed = super::bare(object.get("message")?.as_str()?, context)?;
    if matches!(&*parsed.format, "generic" | "json" | "syslog") {
        return None;
    }
    let word = |path: &str| object.pointer(path).and_then(Value::as_str);
    if !matches!(parsed.time, Some((_, TimeDoubt::None))) {
        let stamp = word("/@timestamp").or_else(|| word("/timestamp")).unwrap_or_default();
        parsed.time = parsed.time.or_else(|| clock::iso(stamp, context).map(|(time, _)| time));
    }
    if parsed.device.is_empty() {
        let host = ["/host/name", "/host/hostname", "/agent/hostname", "/host", "/hostname"];
        parsed.device = host.iter().find_map(|path| word(path)).unwrap_or_default().to_owned();
    }
    Some(parsed)
}

/// A line without the colours that a program writes for a terminal.
pub(super) fn without_colours(text: &str) -> Option<String> {
    let first = memchr::memchr(0x1b, text.as_bytes())?;
    let (mut plain, mut rest) = (text[..first].to_owned(), &text[first + 1..]);
    loop {
        // `ESC [ ... letter`
        if let Some(sequence) = rest.strip_prefix('[') {
            let end = sequence
                .find(|c: char| c.is_ascii_alphabetic())
                .map_or(sequence.len(), |at| at + 1);
            rest = &sequence[end..];
        }
        match rest.split_once('\u{1b}') {
            Some((head, after)) => {
                plain.push_str(head);
                rest = after;
            }
            None => {
                plain.push_str(rest);
                return Some(plain);
            }
        }
    }
}

/// A line without the name of its container before it: `web-1  | LINE` of compose, `[pod/web/nginx] LINE` of kubectl,
/// `16:00:00 1|app  | LINE` of pm2.
pub(super) fn without_container(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix("[pod/") {
        return rest.split_once("] ").map(|(_, line)| line);
    }
    let (name, line) = text.split_once(" | ")?;
    let name = name.trim_end();
    let name = name.rsplit_once('|').map_or(name, |(_, name)| name);
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let named = !name.is_empty() && name.len() <= 64 && name.bytes().all(is_name);
    (named && name.bytes().any(|b| b.is_ascii_alphabetic())).then_some(line)
}

fn of_container(
    line: &str,
    time: Option<(Time, TimeDoubt)>,
    stream: &str,
    format: &'static str,
    context: &Context,
) -> Parsed {
    // The runtime's time has its zone: what a line says in a zone of its own choosing gives way to it.
    let mut parsed = super::bare(line, context).unwrap_or_else(|| plain(format, line));
    // Of two that tell the same second the finer one is kept.
    let finer = match (parsed.time, time) {
        (Some((own, _)), Some((outer, _))) => {
            own.0 % 1_000_000_000 == 0 && own.seconds() == outer.seconds()
        }
        _ => false,
    };
    if finer || !matches!(parsed.time, Some((_, TimeDoubt::None))) {
        parsed.time = time.or(parsed.time);
    }
    if let Body::Activity(activity) = &mut *parsed.body {
        activity.unmapped.entry("stream".into()).or_insert_with(|| stream.to_owned());
    }
    parsed
}

fn plain(format: &'static str, message: &str) -> Parsed {
    let mut activity = Activity::of(Class::Base, 0, Status::Unknown);
    activity.severity_id = 1;
    activity.message = message.to_owned();
    Parsed::activity(format, activity)
}

/// One entry of `journalctl -o json`.
fn of_journal(object: &Value, context: &Context) -> Option<Parsed> {
    let text = |key: &str| match object.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        // What is no UTF-8 stands as a list of bytes.
        Some(Value::Array(bytes)) => {
            let bytes: Vec<u8> =
                bytes.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok()).collect();
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let message = text("MESSAGE")?;
    let name = text("SYSLOG_IDENTIFIER").or_else(|| text("_COMM")).unwrap_or_default();
    let pid = text("_PID").or_else(|| text("SYSLOG_PID")).and_then(|pid| pid.parse().ok());
    let pid = pid.unwrap_or(0);
    let mut parsed = program::parse(&name, pid, &message)
        .or_else(|| context.declared.message(&name, pid, &message, context))
        .or_else(|| super::embedded(&message, context))
        .or_else(|| super::generic::told(&message, context))
        .unwrap_or_else(|| plain("journal", &message));
    let stamp = text("_SOURCE_REALTIME_TIMESTAMP").or_else(|| text("__REALTIME_TIMESTAMP"));
    let micros = stamp.and_then(|stamp| stamp.parse::<i64>().ok());
    if let Some(time) = micros.and_then(|micros| micros.checked_mul(1_000)) {
        parsed.time = Some((Time(time), TimeDoubt::None));
    }
    if let Some(host) = text("_HOSTNAME").filter(|_| parsed.device.is_empty()) {
        parsed.device = host;
    }
    if let Body::Activity(activity) = &mut *parsed.body {
        if activity.process_name.is_empty() {
            activity.process_name = name;
        }
        if activity.process_pid == 0 {
            activity.process_pid = pid;
        }
        for key in ["_SYSTEMD_UNIT", "CONTAINER_NAME"] {
            if let Some(value) = text(key) {
                activity.unmapped.insert(key.trim_start_matches('_').to_ascii_lowercase(), value);
            }
        }
    }
    Some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_names_of_containers_are_taken_off() {
        assert_eq!(without_colours("\u{1b}[2K\u{1b}[31mred\u{1b}[0m x").as_deref(), Some("red x"));
        assert_eq!(without_colours("a\u{1b}").as_deref(), Some("a"));
        assert_eq!(without_colours("plain"), None);
        assert_eq!(without_container("web-1  | x | y"), Some("x | y"));
        assert_eq!(without_container("16:00:00 1|app  | x"), Some("x"));
        assert_eq!(without_container("[pod/a/b] x"), Some("x"));
        assert_eq!(without_container("10.0.0.1 | x"), None);
        assert_eq!(without_container("two words | x"), None);
    }

    #[test]
    fn the_line_inside_is_read_by_its_own_format_whatever_is_around_it() {
        let context = Context::at("2026-11-24T16:30:00Z".parse().unwrap(), jiff::tz::TimeZone::UTC);
        for text in [
            r#"{"log":"Nov 24 16:00:00 w sshd[1]: Failed password for a from 203.0.113.7 port 5 ssh2\n","stream":"stderr","time":"2026-11-24T09:00:00Z"}"#,
            r#"{"@timestamp":"2026-11-24T09:00:00Z","stream":"stdout","log":{"file":{"path":"/a"}},"message":"Nov 24 16:00:00 w sshd[1]: Failed password for a from 203.0.113.7 port 5 ssh2"}"#,
            r#"{"__REALTIME_TIMESTAMP":"1795510800000000","SYSLOG_IDENTIFIER":"sshd","_PID":"1","MESSAGE":"Failed password for a from 203.0.113.7 port 5 ssh2"}"#,
        ] {
            let parsed = json(text, &context).unwrap();
            assert_eq!(parsed.format, "sshd", "{text}");
            let Body::Activity(activity) = *parsed.body else { panic!() };
            assert_eq!(activity.source_address().unwrap().to_string(), "203.0.113.7", "{text}");
        }
        assert!(json(r#"{"log":{"a":1},"stream":"x"}"#, &context).is_none());
    }
}
