//! What is posted: our own objects, CloudEvents, X-Road's records; alone, in a list, or a line each.

use serde_json::{Map, Value};
use vonggac_wire::{Event, Time};

use super::xroad;
use crate::source::socket::post;

/// Kinds that a CloudEvent's type may name.
const KINDS: [&str; 6] = ["session", "dossier", "document", "payment", "rating", "exchange"];

/// What the head of a CloudEvent says, in whichever mode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// `type`, e.g. "vn.gov.hcm.dossier.received".
    pub(crate) event_type: Option<String>,
    /// `time`.
    pub(crate) time: Option<String>,
}

impl Envelope {
    fn of(object: &Map<String, Value>) -> Self {
        let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
        Self { event_type: text("type"), time: text("time") }
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
pub(crate) fn line(line: &[u8], system: &str, now: Time) -> Result<Event, String> {
    match serde_json::from_slice(line) {
        Ok(Value::Object(object)) => one(object, line, &Envelope::default(), system, now),
        _ => post::event(line, system, now).map_err(|error| error.to_string()),
    }
}

/// A body: one object, a list, a list of X-Road's (`{"records": [...]}`), or an object a line. An outcome for each.
pub(crate) fn body(
    body: &[u8],
    envelope: &Envelope,
    system: &str,
    now: Time,
) -> Vec<Result<Event, String>> {
    let each = |value: Value| {
        let text = value.to_string();
        match value {
            Value::Object(object) => one(object, text.as_bytes(), envelope, system, now),
            _ => Err("it is no JSON object".to_owned()),
        }
    };
    match serde_json::from_slice(body) {
        Ok(Value::Array(values)) => values.into_iter().map(each).collect(),
        Ok(Value::Object(mut object)) => match object.get_mut("records").map(Value::take) {
            Some(Value::Array(records)) => records.into_iter().map(each).collect(),
            _ => vec![one(object, body, envelope, system, now)],
        },
        _ => body
            .split(|byte| *byte == b'\n')
            .filter(|text| !text.iter().all(u8::is_ascii_whitespace))
            .map(|text| line(text, system, now))
            .collect(),
    }
}

fn one(
    object: Map<String, Value>,
    raw: &[u8],
    envelope: &Envelope,
    system: &str,
    now: Time,
) -> Result<Event, String> {
    if object.contains_key("specversion") {
        return cloud_event(object, raw, system, now);
    }
    if xroad::is_record(&object) {
        let event = post(&xroad::translate(&object), raw, system, now)?;
        return Ok(event.with_format("x-road"));
    }
    let mut object = object;
    envelope.complete(&mut object);
    post(&object, raw, system, now)
}

/// A CloudEvent in structured mode.
fn cloud_event(
    mut object: Map<String, Value>,
    raw: &[u8],
    system: &str,
    now: Time,
) -> Result<Event, String> {
    let envelope = Envelope::of(&object);
    let data = match object.remove("data") {
        Some(Value::Object(data)) => data,
        Some(Value::String(text)) => serde_json::from_str(&text)
            .map_err(|_| "`data` of the CloudEvent is no JSON object".to_owned())?,
        _ => return Err("`data` of the CloudEvent is no JSON object".to_owned()),
    };
    let event = one(data, raw, &envelope, system, now)?;
    Ok(event.with_raw(raw, 0))
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
        let event = line(text, "portal", NOW).unwrap();
        let Body::Dossier(dossier) = event.body() else { panic!("a dossier") };
        assert_eq!((dossier.step.as_str(), dossier.service.as_str()), ("received", "khai-sinh"));
        assert_eq!(event.time().to_string(), "2026-11-24T02:00:00Z");
        assert_eq!(event.raw(), text);
        let envelope = Envelope { event_type: Some("vn.gov.payment".into()), time: None };
        let events = body(br#"{"service":"x","online":true,"amount_vnd":5}"#, &envelope, "", NOW);
        assert!(matches!(events[0].as_ref().unwrap().body(), Body::Payment(_)));
        let none = line(br#"{"specversion":"1.0","type":"a","data":7}"#, "", NOW).unwrap_err();
        assert!(none.contains("`data`"), "{none}");
    }

    #[test]
    fn records_of_the_exchange_axis_are_taken_as_its_daemon_writes_them() {
        let text = br#"{"records":[{"monitoringDataTs":1764000000,"securityServerInternalIp":"10.0.0.5","securityServerType":"Producer","requestInTs":1764000000123,"responseOutTs":1764000000456,"clientXRoadInstance":"VN","clientMemberCode":"H49","clientSubsystemCode":"portal","serviceXRoadInstance":"VN","serviceMemberCode":"G01","serviceSubsystemCode":"dancu","serviceCode":"xacNhan","messageId":"m-1","requestSize":1629,"responseSize":1519,"succeeded":false,"faultCode":"Server.ServerProxy.X"},{"requestInTs":1764000001000,"serviceCode":"y","succeeded":true}]}"#;
        let events = body(text, &Envelope::default(), "", NOW);
        assert_eq!(events.len(), 2);
        let event = events[0].as_ref().unwrap();
        let Body::Exchange(exchange) = event.body() else { panic!("an exchange") };
        assert!(!exchange.succeeded && exchange.fault_code.starts_with("Server."));
        assert_eq!((exchange.service_member.as_str(), exchange.request_bytes), ("G01", 1629));
        assert_eq!(exchange.response_out_unix_nano - exchange.request_in_unix_nano, 333_000_000);
        assert_eq!(event.time(), Time(1_764_000_000_123_000_000));
    }

    #[test]
    fn lists_and_lines_have_an_outcome_for_each() {
        let good = r#"{"kind":"rating","score":4}"#;
        let list = format!("[{good}, 7, {{\"kind\":\"x\"}}]");
        let outcomes = body(list.as_bytes(), &Envelope::default(), "", NOW);
        assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false]);
        let lines = format!("{good}\n\nnothing\n{good}\n");
        let outcomes = body(lines.as_bytes(), &Envelope::default(), "", NOW);
        assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    }
}
