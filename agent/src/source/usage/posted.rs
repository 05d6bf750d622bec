//! What is posted: our own objects, CloudEvents, X-Road's records; alone, in a list, or a line each.

use serde_json::{Map, Value};
use vonggac_wire::{Event, Time};

use super::xroad;
use crate::source::socket::post;

/// Kinds that a CloudEvent's type may name.
const KINDS: [&str; 6] = ["session", "dossier", "document", "payment", "rating", "exchange"];

/// Longest `id` and `source` of a CloudEvent: what is longer is no name.
const NAME_BYTES_MAX: usize = 2_048;

/// What was posted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Posted {
    /// As an event.
    pub(crate) event: Event,
    /// By which it is known again.
    pub(crate) identity: Option<Identity>,
}

/// One of several things that were posted together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    /// The line on which it begins, blank ones counted.
    pub(crate) line: u64,
    /// Its place among the others, from 1.
    pub(crate) record: u64,
    /// What it is, or what is wrong with it.
    pub(crate) outcome: Result<Posted, String>,
}

/// A CloudEvent's identity: who delivers the same `source` and `id` again delivers the same event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity(pub(crate) [u8; 16]);

impl Identity {
    fn of(source: &str, id: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(source.len() as u64).to_le_bytes());
        hasher.update(source.as_bytes());
        hasher.update(id.as_bytes());
        let mut identity = [0; 16];
        hasher.finalize_xof().fill(&mut identity);
        Self(identity)
    }
}

/// What the head of a CloudEvent says, in whichever mode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// `specversion`; without one it is no CloudEvent.
    pub(crate) version: Option<String>,
    /// `id`, which no other event of its source has.
    pub(crate) id: Option<String>,
    /// `source`: who made it.
    pub(crate) source: Option<String>,
    /// `type`, e.g. "vn.gov.hcm.dossier.received".
    pub(crate) event_type: Option<String>,
    /// `time`.
    pub(crate) time: Option<String>,
}

impl Envelope {
    fn of(object: &Map<String, Value>) -> Self {
        let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            version: text("specversion"),
            id: text("id"),
            source: text("source"),
            event_type: text("type"),
            time: text("time"),
        }
    }

    /// What every CloudEvent has to say; nothing, if it is none.
    fn identity(&self) -> Result<Option<Identity>, String> {
        let Some(version) = &self.version else { return Ok(None) };
        if version.split('.').next() != Some("1") {
            return Err(format!("`specversion` of the CloudEvent is {version:?}; wanted 1.0"));
        }
        let named = |name: &str, value: &Option<String>| match value.as_deref() {
            None | Some("") => Err(format!("`{name}` of the CloudEvent is missing")),
            Some(text) if text.len() > NAME_BYTES_MAX => {
                Err(format!("`{name}` of the CloudEvent is longer than {NAME_BYTES_MAX} bytes"))
            }
            Some(text) => Ok(text.to_owned()),
        };
        let (id, source) = (named("id", &self.id)?, named("source", &self.source)?);
        named("type", &self.event_type)?;
        Ok(Some(Identity::of(&source, &id)))
    }

    /// Adds what the data does not say itself: its kind and step by the type, its time by the envelope.
    fn complete(&self, data: &mut Map<String, Value>) {
        if let (Some(event_type), false) = (&self.event_type, data.contains_key("kind")) {
            let mut words =
                event_type.split(['.', '/', ':']).skip_while(|word| !KINDS.contains(word));
            if let Some(kind) = words.next() {
                data.insert("kind".into(), kind.into());
                // Versions stand at the end of types.
                let step = words.next().filter(|word| !is_version(word));
                if let (Some(step), false) = (step, data.contains_key("step")) {
                    data.insert("step".into(), step.into());
                }
            }
        }
        if let (Some(time), false) = (&self.time, data.contains_key("time")) {
            data.insert("time".into(), time.as_str().into());
        }
    }
}

fn is_version(word: &str) -> bool {
    word.strip_prefix('v').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()))
}

/// One line.
pub(crate) fn line(line: &[u8], system: &str, now: Time) -> Result<Posted, String> {
    match serde_json::from_slice(line) {
        Ok(Value::Object(object)) => one(object, line, &Envelope::default(), system, now),
        _ => {
            let event = post::event(line, system, now).map_err(|error| error.to_string())?;
            Ok(Posted { event, identity: None })
        }
    }
}

/// A body: one object, a list, a list of X-Road's (`{"records": [...]}`), or an object a line. An outcome for each.
pub(crate) fn body(body: &[u8], envelope: &Envelope, system: &str, now: Time) -> Vec<Told> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let each = |value: Value, text: &[u8]| match value {
        Value::Object(object) => one(object, text, envelope, system, now),
        _ => Err("it is no JSON object".to_owned()),
    };
    let outcomes: Vec<(u64, Result<Posted, String>)> = match serde_json::from_slice(body) {
        Ok(Value::Array(values)) => {
            let texts = elements(body);
            let found = values.into_iter().zip(texts);
            found.map(|(value, (line, text))| (line, each(value, text))).collect()
        }
        Ok(Value::Object(mut object)) => match object.get_mut("records").map(Value::take) {
            Some(Value::Array(records)) => records
                .into_iter()
                .map(|value| {
                    let text = value.to_string();
                    (first_line(body), each(value, text.as_bytes()))
                })
                .collect(),
            _ => vec![(first_line(body), one(object, body, envelope, system, now))],
        },
        _ => body
            .split(|byte| *byte == b'\n')
            .zip(1..)
            .filter(|(text, _)| !text.trim_ascii().is_empty())
            .map(|(text, number)| (number, line(text.trim_ascii(), system, now)))
            .collect(),
    };
    // Attributes among a request's headers speak of one event.
    let many = envelope.version.is_some() && outcomes.len() > 1;
    let told = |(place, (line, outcome)): (usize, _)| Told {
        line,
        record: place as u64 + 1,
        outcome: if many {
            Err("the headers speak of one CloudEvent, and the body holds several".into())
        } else {
            outcome
        },
    };
    outcomes.into_iter().enumerate().map(told).collect()
}

fn first_line(text: &[u8]) -> u64 {
    let blank = text.iter().take_while(|byte| byte.is_ascii_whitespace());
    1 + blank.filter(|byte| **byte == b'\n').count() as u64
}

/// The elements of a JSON list, as they stand in it, each with its line. The list has to be whole and valid.
fn elements(list: &[u8]) -> Vec<(u64, &[u8])> {
    let (mut found, mut depth, mut begin) = (Vec::new(), 0_usize, None);
    let (mut line, mut begin_line, mut quoted, mut at) = (1, 1, false, 0);
    while let Some(byte) = list.get(at).copied() {
        if byte == b'\n' {
            line += 1;
        }
        if depth > 0 && begin.is_none() && !byte.is_ascii_whitespace() && byte != b',' {
            (begin, begin_line) = (Some(at), line);
        }
        match byte {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        let ends = !quoted && (depth == 0 || (depth == 1 && byte == b','));
        if let Some(from) = begin.filter(|_| ends) {
            if from < at {
                found.push((begin_line, list[from..at].trim_ascii()));
            }
            begin = None;
        }
        at += 1;
    }
    found
}

fn one(
    object: Map<String, Value>,
    raw: &[u8],
    envelope: &Envelope,
    system: &str,
    now: Time,
) -> Result<Posted, String> {
    if object.contains_key("specversion") {
        return cloud_event(object, raw, system, now);
    }
    let identity = envelope.identity()?;
    let event = if xroad::is_record(&object) {
        post(&xroad::translate(&object), raw, system, now)?.with_format("x-road")
    } else {
        let mut object = object;
        envelope.complete(&mut object);
        post(&object, raw, system, now)?
    };
    Ok(Posted { event, identity })
}

/// A CloudEvent in structured mode.
fn cloud_event(
    mut object: Map<String, Value>,
    raw: &[u8],
    system: &str,
    now: Time,
) -> Result<Posted, String> {
    let none = || "`data` of the CloudEvent is no JSON object".to_owned();
    let mut envelope = Envelope::of(&object);
    // A version that is no text is one all the same.
    envelope.version.get_or_insert_default();
    let data = match (object.remove("data"), object.remove("data_base64")) {
        (Some(Value::Object(data)), _) => data,
        (Some(Value::String(text)), _) => serde_json::from_str(&text).map_err(|_| none())?,
        (None, Some(Value::String(text))) => {
            let bytes = data_encoding::BASE64.decode(text.as_bytes());
            serde_json::from_slice(&bytes.map_err(|_| none())?).map_err(|_| none())?
        }
        _ => return Err(none()),
    };
    if data.contains_key("specversion") {
        return Err("`data` of the CloudEvent is a CloudEvent".into());
    }
    let posted = one(data, raw, &envelope, system, now)?;
    Ok(Posted { event: posted.event.with_raw(raw, 0), ..posted })
}

fn post(object: &Map<String, Value>, raw: &[u8], system: &str, now: Time) -> Result<Event, String> {
    let text = serde_json::to_vec(object).map_err(|error| error.to_string())?;
    let event = post::event(&text, system, now).map_err(|error| error.to_string())?;
    Ok(event.with_raw(raw, 0))
}

#[cfg(test)]
mod tests {
    use vonggac_wire::event::Body;

    use super::*;

    const NOW: Time = Time::from_seconds(1_796_000_000);

    #[test]
    fn cloud_events_say_kind_step_and_time_by_their_envelope() {
        let text = br#"{"specversion":"1.0","id":"1","source":"/portal","type":"vn.gov.hcm.dossier.received.v1","time":"2026-11-24T09:00:00+07:00","data":{"service":"khai-sinh","online":true}}"#;
        let event = line(text, "portal", NOW).unwrap().event;
        let Body::Dossier(dossier) = event.body() else { panic!("a dossier") };
        assert_eq!((dossier.step.as_str(), dossier.service.as_str()), ("received", "khai-sinh"));
        assert_eq!(event.time().to_string(), "2026-11-24T02:00:00Z");
        assert_eq!(event.raw(), text);
        let envelope =
            Envelope { event_type: Some("vn.gov.payment".into()), ..Envelope::default() };
        let events = body(br#"{"service":"x","online":true,"amount_vnd":5}"#, &envelope, "", NOW);
        assert!(matches!(events[0].outcome.as_ref().unwrap().event.body(), Body::Payment(_)));
        let none = line(br#"{"specversion":"1.0","type":"a","data":7}"#, "", NOW).unwrap_err();
        assert!(none.contains("`data`"), "{none}");
    }

    #[test]
    fn records_of_the_exchange_axis_are_taken_as_its_daemon_writes_them() {
        let text = br#"{"records":[{"monitoringDataTs":1764000000,"securityServerInternalIp":"10.0.0.5","securityServerType":"Producer","requestInTs":1764000000123,"responseOutTs":1764000000456,"clientXRoadInstance":"VN","clientMemberCode":"H49","clientSubsystemCode":"portal","serviceXRoadInstance":"VN","serviceMemberCode":"G01","serviceSubsystemCode":"dancu","serviceCode":"xacNhan","messageId":"m-1","requestSize":1629,"responseSize":1519,"succeeded":false,"faultCode":"Server.ServerProxy.X"},{"requestInTs":1764000001000,"serviceCode":"y","succeeded":true}]}"#;
        let events = body(text, &Envelope::default(), "", NOW);
        assert_eq!(events.len(), 2);
        let event = &events[0].outcome.as_ref().unwrap().event;
        let Body::Exchange(exchange) = event.body() else { panic!("an exchange") };
        assert!(!exchange.succeeded && exchange.fault_code.starts_with("Server."));
        assert_eq!((exchange.service_member.as_str(), exchange.request_bytes), ("G01", 1629));
        assert_eq!(exchange.response_out_unix_nano - exchange.request_in_unix_nano, 333_000_000);
        assert_eq!(event.time(), Time(1_764_000_000_123_000_000));
    }

    #[test]
    fn lists_and_lines_have_an_outcome_for_each() {
        let good = r#"{"kind":"rating","score":4}"#;
        let told = |text: &str| -> Vec<(u64, u64, bool)> {
            let found = body(text.as_bytes(), &Envelope::default(), "", NOW);
            found.iter().map(|told| (told.line, told.record, told.outcome.is_ok())).collect()
        };
        assert_eq!(
            told(&format!("[{good}, 7, {{\"kind\":\"x\"}}]")),
            [(1, 1, true), (1, 2, false), (1, 3, false)]
        );
        assert_eq!(
            told(&format!("\u{feff}{good}\r\n\n \nnothing\n{good}\n")),
            [(1, 1, true), (4, 2, false), (5, 3, true)]
        );
        assert_eq!(
            told(&format!(
                "[\n{good},\n\n{{\"kind\":\"a,]\\\"\",\n\"x\":[1,\n2]}}, [1]\n ,{good}]\n"
            )),
            [(2, 1, true), (4, 2, false), (6, 3, false), (7, 4, true)]
        );
        assert_eq!((told("[]").len(), told("").len(), told(" \n\n7").len()), (0, 0, 1));
    }

    #[test]
    fn elements_of_a_list_are_kept_as_they_stand_in_it() {
        let list = br#" [ {"kind":"rating", "score": 4 } ,{"kind":"rating","score":5}]"#;
        let raws: Vec<Vec<u8>> = body(list, &Envelope::default(), "", NOW)
            .into_iter()
            .map(|told| told.outcome.unwrap().event.raw().to_vec())
            .collect();
        assert_eq!(
            raws,
            [&br#"{"kind":"rating", "score": 4 }"#[..], br#"{"kind":"rating","score":5}"#]
        );
    }

    #[test]
    fn a_cloud_event_says_what_the_specification_asks_for() {
        let event = |more: &str| {
            let text =
                format!(r#"{{"specversion":"1.0","type":"vn.rating",{more}"data":{{"score":4}}}}"#);
            line(text.as_bytes(), "", NOW)
        };
        let first = event(r#""id":"7","source":"/a","#).unwrap().identity.unwrap();
        assert_eq!(event(r#""source":"/a","id":"7","#).unwrap().identity, Some(first));
        assert_ne!(event(r#""id":"7","source":"/b","#).unwrap().identity, Some(first));
        assert_ne!(event(r#""id":"a7","source":"/","#).unwrap().identity, Some(first));
        assert!(
            event(r#""id":"7","#).unwrap_err().contains("`source` of the CloudEvent is missing")
        );
        assert!(event(r#""source":"7","id":"","#).unwrap_err().contains("`id`"));
        let old = br#"{"specversion":"0.3","type":"a","id":"1","source":"b","data":{"kind":"rating","score":4}}"#;
        assert!(line(old, "", NOW).unwrap_err().contains("wanted 1.0"));
        let packed = data_encoding::BASE64.encode(br#"{"score":4}"#);
        let packed = format!(
            r#"{{"specversion":"1.0","type":"rating","id":"1","source":"b","data_base64":"{packed}"}}"#
        );
        assert_eq!(line(packed.as_bytes(), "", NOW).unwrap().event.class_name(), "rating");
        assert_eq!(line(br#"{"kind":"rating","score":4}"#, "", NOW).unwrap().identity, None);
    }
}
