//! Events made of the words of rules.

use rsigma_parser::{Detection, Modifier, SigmaRule, SigmaValue};
use serde_json::{Map, Value};
use vonggac_collector::rule::Rule;
use vonggac_wire::{
    Event, Time,
    event::{Activity, Body, Class, HttpRequest, Status},
};

/// Names under which a field of ours is asked.
const ALIASES: &[&[&str]] = &[
    &["User", "user", "user.name", "c-username", "TargetUserName"],
    &["Image", "process", "process.name"],
    &["CommandLine", "command", "process.cmd_line"],
    &["TargetFilename", "file", "file.path"],
    &["DestinationHostname"],
    &["cs-method", "method", "c-method"],
    &["cs-user-agent", "c-useragent", "user_agent"],
    &["cs-referer", "referrer"],
    &["cs-host", "r-dns", "hostname"],
];

/// Numbers that look like chance and are the same in every run.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self, below: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % below.max(1)
    }

    fn one_in(&mut self, parts: usize) -> bool {
        self.next(parts) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.next(all.len()))
    }
}

/// Fields and values that may make a rule match.
fn wanted(detection: &Detection, chance: &mut Chance, fields: &mut Vec<(String, String)>) {
    match detection {
        Detection::AllOf(items) => {
            for item in items {
                let Some(name) = &item.field.name else { continue };
                let all = item.field.has_modifier(Modifier::All);
                let values: Vec<String> =
                    item.values.iter().map(|value| text(value, chance)).collect();
                let value = if all {
                    values.join(" ")
                } else {
                    chance.pick(&values).cloned().unwrap_or_default()
                };
                let value = match chance.next(4) {
                    0 if item.field.has_modifier(Modifier::EndsWith) => format!("/opt{value}"),
                    0 if item.field.has_modifier(Modifier::StartsWith) => format!("{value} x"),
                    1 if item.field.has_modifier(Modifier::Contains) => format!("a {value} b"),
                    _ => value,
                };
                fields.push((name.clone(), value));
            }
        }
        Detection::AnyOf(parts) => {
            if let Some(part) = chance.pick(parts) {
                wanted(part, chance, fields);
            }
        }
        Detection::Keywords(values) => {
            if let Some(value) = chance.pick(values) {
                fields.push(("message".into(), text(value, chance)));
            }
        }
        _ => {}
    }
}

fn text(value: &SigmaValue, chance: &mut Chance) -> String {
    let text = match value {
        SigmaValue::String(text) => text.original.replace(['*', '?'], "x"),
        SigmaValue::Integer(number) => number.to_string(),
        _ => "x".into(),
    };
    match chance.next(12) {
        0 => text.to_uppercase(),
        1 => text.chars().skip(1).collect(),
        2 => String::new(),
        _ => text,
    }
}

/// The same things as an event of ours and as JSON, whose names are not asked of ours.
pub(crate) fn event(rules: &[Rule], chance: &mut Chance) -> (Event, Activity, Value) {
    let sigma = chance.pick(rules).and_then(|rule| rule.sigma.as_ref()).expect("a rule of Sigma");
    let mut fields = Vec::new();
    for name in names(sigma) {
        // What a filter names is left out more often than not.
        if !name.starts_with("filter") || chance.one_in(4) {
            wanted(&sigma.detection.named[name], chance, &mut fields);
        }
    }
    let classes =
        [Class::Process, Class::FileSystem, Class::Network, Class::Authentication, Class::Base];
    let class = match sigma.logsource.category.as_deref() {
        Some("webserver" | "proxy") => Class::Http,
        Some("process_creation") => Class::Process,
        Some("file_event") => Class::FileSystem,
        Some("network_connection" | "firewall") => Class::Network,
        _ => *chance.pick(&classes).expect("a class"),
    };
    let class = if chance.one_in(12) { *chance.pick(&classes).expect("a class") } else { class };
    let mut activity = Activity::of(class, 1, Status::Success);
    activity.service_name = sigma
        .logsource
        .service
        .clone()
        .or_else(|| sigma.logsource.product.clone().filter(|product| product != "linux"))
        .unwrap_or_default();
    let http = (class == Class::Http).then(HttpRequest::default);
    activity.http = http;
    let mut json = Map::new();
    for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
        set(&mut activity, &mut json, &name, &value);
    }
    let now = Time::from_seconds(1_764_000_000);
    // A line holds all that was understood of it.
    let texts: Vec<&str> = json.values().filter_map(Value::as_str).collect();
    let line = texts.join("\n");
    let event = Event::new(now, now, Body::Activity(activity.clone()))
        .with_format("syslog")
        .with_raw(line.as_bytes(), 0);
    complete(&activity, &mut json);
    (event, activity, Value::Object(json))
}

fn set(activity: &mut Activity, json: &mut Map<String, Value>, name: &str, value: &str) {
    let names = ALIASES.iter().find(|names| names.contains(&name)).copied();
    let main = names.and_then(|names| names.first()).copied().unwrap_or(name);
    let number = value.parse::<u32>().ok();
    let place = match main {
        "User" => &mut activity.user_name,
        "Image" => &mut activity.process_name,
        "CommandLine" => &mut activity.process_cmd_line,
        "TargetFilename" => &mut activity.file_path,
        "DestinationHostname" => &mut activity.dst_hostname,
        "message" => &mut activity.message,
        "DestinationPort" | "sc-status" | "SourcePort" | "c-uri" | "cs-uri" | "cs-uri-query"
        | "cs-uri-stem" | "c-uri-query" | "c-uri-stem" | "c-uri-extension" | "c-ip"
        | "SourceIp" | "DestinationIp" | "type" | "status" | "service" | "class" | "format"
        | "host" | "Computer" | "raw" | "url" | "request" | "group" | "actor" | "terminal" => {
            return special(activity, json, main, value, number);
        }
        "cs-method" | "cs-user-agent" | "cs-referer" | "cs-host" => {
            let Some(http) = &mut activity.http else { return };
            match main {
                "cs-method" => &mut http.http_method,
                "cs-user-agent" => &mut http.user_agent,
                "cs-referer" => &mut http.referrer,
                _ => &mut http.hostname,
            }
        }
        other => activity.unmapped.entry(other.into()).or_default(),
    };
    value.clone_into(place);
    for name in names.unwrap_or(&[name]) {
        json.insert((*name).into(), value.into());
    }
}

/// Fields that are parts of another, or numbers.
fn special(
    activity: &mut Activity,
    json: &mut Map<String, Value>,
    name: &str,
    value: &str,
    number: Option<u32>,
) {
    match (name, number) {
        ("DestinationPort", Some(number)) => {
            activity.dst_port = number;
            json.insert("DestinationPort".into(), number.into());
        }
        ("sc-status", Some(number)) => {
            if let Some(http) = &mut activity.http {
                http.status_code = number;
                json.insert("sc-status".into(), number.into());
            }
        }
        ("c-uri" | "cs-uri" | "cs-uri-query" | "cs-uri-stem" | "c-uri-query" | "c-uri-stem", _) => {
            let Some(http) = &mut activity.http else { return };
            let url = if name.ends_with("query") && !value.contains('?') {
                format!("/a?{value}")
            } else {
                value.to_owned()
            };
            let stem = url.split('?').next().unwrap_or_default().to_owned();
            for name in ["c-uri", "cs-uri", "url"] {
                json.insert(name.into(), url.clone().into());
            }
            for name in ["cs-uri-stem", "c-uri-stem"] {
                json.insert(name.into(), stem.clone().into());
            }
            for name in ["cs-uri-query", "c-uri-query"] {
                match url.split_once('?') {
                    Some((_, query)) => json.insert(name.into(), query.into()),
                    None => json.remove(name),
                };
            }
            let end = stem.rsplit('/').next().and_then(|last| Some(last.rsplit_once('.')?.1));
            match end {
                Some(end) => json.insert("c-uri-extension".into(), end.into()),
                None => json.remove("c-uri-extension"),
            };
            http.url = url;
        }
        _ => {}
    }
}

/// Fields that an event has whether they were wanted or not.
fn complete(activity: &Activity, json: &mut Map<String, Value>) {
    if let Some(http) = &activity.http {
        let texts: [(&[&str], &str); 5] = [
            (&["cs-method", "method", "c-method"], &http.http_method),
            (&["cs-user-agent", "c-useragent", "user_agent"], &http.user_agent),
            (&["cs-referer", "referrer"], &http.referrer),
            (&["cs-host", "r-dns", "hostname"], &http.hostname),
            (&["c-uri", "cs-uri", "url", "cs-uri-stem", "c-uri-stem"], &http.url),
        ];
        for (names, text) in texts {
            for name in names {
                json.entry(*name).or_insert_with(|| text.into());
            }
        }
        json.entry("sc-status").or_insert_with(|| http.status_code.into());
    }
    json.entry("DestinationPort").or_insert_with(|| activity.dst_port.into());
    json.entry("SourcePort").or_insert_with(|| activity.src_port.into());
}

/// An event of another kind with what a rule looks for in it.
pub(crate) fn planted(
    event: &Event,
    rule: &Rule,
    chance: &mut Chance,
) -> Option<(Event, Activity)> {
    let sigma = rule.sigma.as_ref()?;
    let mut activity = event.activity()?.clone();
    let mut fields = Vec::new();
    for name in names(sigma) {
        if !name.starts_with("filter") {
            wanted(&sigma.detection.named[name], chance, &mut fields);
        }
    }
    let mut line = String::from_utf8_lossy(event.raw()).into_owned();
    for (name, value) in fields {
        set(&mut activity, &mut Map::new(), &name, &value);
        line.push(' ');
        line.push_str(&value);
    }
    let event = Event::new(event.time(), event.observed(), Body::Activity(activity.clone()))
        .with_format(event.format())
        .with_raw(line.as_bytes(), 0);
    Some((event, activity))
}

/// Selections by name: a hash map's order is chance.
fn names(sigma: &SigmaRule) -> Vec<&String> {
    let mut names: Vec<&String> = sigma.detection.named.keys().collect();
    names.sort();
    names
}
