//! Rules tried on events that happened: what they would have told, by the same detection and the same book as live. Pure.
//!
//! Events are lines of JSON, in the order in which they were read: events as they are sent (`body` and its kind), or rows as the agent's
//! `parse` prints them. The clock is that of the events, so nothing is silent and nothing is late.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;
use vonggac_wire::{
    AgencyId, AgentId, Batch, BatchHash, Event, Lane, Time,
    event::{Activity, Body, HttpRequest},
    proto::{self, Origin},
};

use crate::{
    detect::{Detector, sigma::Matcher},
    incident::IncidentBook,
    record::Record,
    registry::Registry,
    rule::RuleSet,
};

/// Events of a record, as an agent sends them at most.
const EVENTS_MAX: usize = 1_000;

/// Entities that are named for a rule.
const ENTITIES_MAX: usize = 5;

/// Lines that are told to be none.
const UNREAD_MAX: usize = 10;

/// What one rule would have told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Incidents.
    pub incidents: u64,
    /// Events in them.
    pub events: u64,
    /// The first few entities.
    pub entities: Vec<String>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Events that were read.
    pub events: u64,
    /// Lines that hold no event.
    pub unread: u64,
    /// The first of them: line and why.
    pub unread_first: Vec<(u64, String)>,
    /// By rule; those that told nothing are left out.
    pub told: BTreeMap<String, Told>,
}

/// A rehearsal in progress.
pub struct Rehearsal {
    detector: Detector,
    book: IncidentBook,
    waiting: Vec<Event>,
    records: i64,
    lines: u64,
    now: Time,
    outcome: Outcome,
}

impl Rehearsal {
    /// Of these rules; `matcher` is made of them.
    #[must_use]
    pub fn new(rules: &Arc<RuleSet>, registry: &Arc<Registry>, matcher: Matcher) -> Self {
        let detector = Detector::new(Arc::clone(rules), Arc::clone(registry), Arc::new(matcher));
        let book = IncidentBook::new(
            Arc::clone(rules),
            Arc::clone(registry),
            Vec::new(),
            std::collections::HashMap::new(),
            Vec::new(),
        );
        Self {
            detector,
            book,
            waiting: Vec::with_capacity(EVENTS_MAX),
            records: 0,
            lines: 0,
            now: Time(0),
            outcome: Outcome::default(),
        }
    }

    /// Takes one line; an empty one is passed over.
    pub fn line(&mut self, line: &str) {
        self.lines += 1;
        if line.trim().is_empty() {
            return;
        }
        match event(line) {
            Ok(event) => self.waiting.push(event),
            Err(reason) => {
                self.outcome.unread += 1;
                if self.outcome.unread_first.len() < UNREAD_MAX {
                    self.outcome.unread_first.push((self.lines, reason));
                }
            }
        }
        if self.waiting.len() >= EVENTS_MAX {
            self.record();
        }
    }

    /// What came of all lines.
    #[must_use]
    pub fn finish(mut self) -> Outcome {
        self.record();
        for incident in self.book.incidents() {
            let told = self.outcome.told.entry(incident.rule.clone()).or_default();
            told.incidents += 1;
            told.events += incident.count;
            let entity = incident.entity.as_ref().map_or("", |entity| entity.value.as_str());
            if told.entities.len() < ENTITIES_MAX {
                told.entities.push(entity.to_owned());
            }
        }
        self.outcome
    }

    fn record(&mut self) {
        let events = std::mem::replace(&mut self.waiting, Vec::with_capacity(EVENTS_MAX));
        let (Some(last), Ok(agent), Ok(agency)) =
            (events.last(), AgentId::new("rehearsal"), AgencyId::new("local"))
        else {
            return;
        };
        self.now = self.now.max(last.time());
        self.outcome.events += events.len() as u64;
        let record = Record {
            origin: Origin { topic: "rehearsal".into(), partition: 0, offset: self.records },
            appended: self.now,
            bytes: 0,
            known: Default::default(),
            hash: BatchHash([0; 32]),
            seal: None,
            batch: Batch {
                agent,
                agency,
                host: "rehearsal".into(),
                boot: [0; 16],
                lane: Lane::Security,
                first_seq: self.outcome.events - events.len() as u64 + 1,
                previous: None,
                events,
                simulated: false,
                sealed: self.now,
                ahead: false,
            },
        };
        self.records += 1;
        self.book.tick(self.now);
        for signal in self.detector.apply(&record, self.now) {
            self.book.apply_signal(&signal, self.now);
        }
    }
}

/// The event of a line, or why there is none.
fn event(line: &str) -> Result<Event, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if value.get("body").is_some() {
        let sent: proto::Event =
            serde_json::from_value(value).map_err(|error| error.to_string())?;
        return Event::try_from(sent).map_err(|error| error.to_string());
    }
    parsed(&value).ok_or_else(|| "it has neither `body` nor `class_uid` and `time`".to_owned())
}

/// A row of the agent's `parse`.
fn parsed(row: &Value) -> Option<Event> {
    let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |name: &str| {
        let number = row.get(name).and_then(Value::as_u64).unwrap_or_default();
        u32::try_from(number).unwrap_or(u32::MAX)
    };
    row.get("class_uid")?;
    let time: Time = text("time").parse().ok()?;
    let mut activity = Activity {
        class_uid: number("class_uid"),
        activity_id: number("activity_id"),
        severity_id: number("severity_id"),
        status_id: number("status_id"),
        status_detail: text("status_detail"),
        user_name: text("user.name"),
        actor_user_name: text("actor.user.name"),
        src_port: number("src_endpoint.port"),
        dst_port: number("dst_endpoint.port"),
        dst_hostname: text("dst_endpoint.hostname"),
        service_name: text("service.name"),
        auth_protocol: text("auth_protocol"),
        process_name: text("process.name"),
        process_pid: number("process.pid"),
        process_cmd_line: text("process.cmd_line"),
        file_path: text("file.path"),
        session_terminal: text("session.terminal"),
        group_name: text("group.name"),
        message: text("message"),
        ..Activity::default()
    };
    if let Ok(address) = text("src_endpoint.ip").parse() {
        activity.set_source_address(address);
    }
    if let Ok(address) = text("dst_endpoint.ip").parse() {
        activity.set_destination_address(address);
    }
    if row.get("http_request.url.path").is_some() {
        activity.http = Some(HttpRequest {
            http_method: text("http_request.http_method"),
            url: text("http_request.url.path"),
            user_agent: text("http_request.user_agent"),
            referrer: text("http_request.referrer"),
            version: text("http_request.version"),
            hostname: text("http_request.url.hostname"),
            status_code: number("http_response.code"),
            response_bytes: row
                .get("http_response.length")
                .and_then(Value::as_u64)
                .unwrap_or_default(),
            ..HttpRequest::default()
        });
    }
    for (name, value) in row.as_object()? {
        if let (Some(name), Some(value)) = (name.strip_prefix("unmapped."), value.as_str()) {
            activity.unmapped.insert(name.to_owned(), value.to_owned());
        }
    }
    let event = Event::new(time, time, Body::Activity(activity))
        .with_format(&text("format"))
        .with_device(&text("device.hostname"))
        .with_raw(text("raw").as_bytes(), 0);
    Some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rehearsed(lines: &[String]) -> Outcome {
        let rules = Arc::new(RuleSet::builtin().unwrap());
        let matcher = Matcher::new(&rules).unwrap();
        let mut rehearsal =
            Rehearsal::new(&rules, &Arc::new(Registry::builtin().unwrap()), matcher);
        lines.iter().for_each(|line| rehearsal.line(line));
        rehearsal.finish()
    }

    #[test]
    fn events_as_sent_and_rows_as_parsed_tell_what_they_would_have_told_live() {
        let example = include_str!("../../wire/examples/authentication_failure.v1.json");
        let sent: Value = serde_json::from_str(example).unwrap();
        let row = serde_json::json!({
            "time": "2025-11-24T16:00:05Z", "format": "combined", "class_uid": 4002, "activity_id": 3,
            "status_id": 1, "src_endpoint.ip": "203.0.113.9", "http_request.http_method": "GET",
            "http_request.url.path": "/?id=1%27%20OR%201=1--%20-", "http_response.code": 200,
        });
        let mut lines: Vec<String> = (0..2_500).map(|_| sent.to_string()).collect();
        lines.extend([row.to_string(), String::new(), "{".into(), "{\"a\":1}".into()]);
        let outcome = rehearsed(&lines);
        assert_eq!((outcome.events, outcome.unread), (2_501, 2));
        assert_eq!(outcome.unread_first[0].0, 2_503);
        let brute = &outcome.told["ssh-brute-force"];
        assert_eq!((brute.incidents, brute.events), (1, 2_500));
        assert_eq!(brute.entities, ["203.0.113.77"]);
        assert_eq!(outcome.told["web-attack"].incidents, 1);
    }
}
