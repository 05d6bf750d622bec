//! One JSON object a line, with the keys that programs usually choose.

use serde_json::{Map, Value};
use vonggac_wire::{
    Time,
    event::{Activity, Class, HttpRequest, Status, TimeDoubt},
};

use super::{Context, Parsed, clock, text};

const TIMES: [&str; 7] =
    ["time", "timestamp", "@timestamp", "ts", "datetime", "date", "time_iso8601"];
const MESSAGES: [&str; 5] = ["message", "msg", "log", "event", "text"];
const USERS: [&str; 6] = ["user", "username", "user_name", "user.name", "login", "remote_user"];
const ADDRESSES: [&str; 9] = [
    "src_ip",
    "remote_addr",
    "client_ip",
    "clientip",
    "remote_ip",
    "ip",
    "source_ip",
    "src_endpoint.ip",
    "ClientHost",
];
const METHODS: [&str; 4] = ["method", "request_method", "http_method", "RequestMethod"];
const URLS: [&str; 6] = ["url", "uri", "request_uri", "path", "RequestPath", "http_url"];
const CODES: [&str; 5] = ["status", "status_code", "http_status", "code", "DownstreamStatus"];
const AGENTS: [&str; 3] = ["user_agent", "http_user_agent", "userAgent"];

pub(super) fn parse(line: &str, context: &Context) -> Option<Parsed> {
    let Value::Object(object) = serde_json::from_str(line).ok()? else { return None };
    let method = first(&object, &METHODS);
    let url = first(&object, &URLS);
    let code = number(&object, &CODES).filter(|code| (100.0..600.0).contains(code));
    let http = method.is_some() && url.is_some();
    let outcome = outcome(&object, code);
    let class =
        object.get("class_uid").and_then(Value::as_u64).and_then(|uid| u32::try_from(uid).ok());
    let class = class.map_or(if http { Class::Http } else { Class::Base }, Class::from_uid);
    let mut activity =
        Activity::of(class, if class == Class::Authentication { 1 } else { 99 }, outcome);
    activity.severity_id = severity(&object);
    activity.message = first(&object, &MESSAGES).unwrap_or_default();
    activity.user_name = first(&object, &USERS).unwrap_or_default();
    activity.service_name =
        first(&object, &["service", "program", "logger", "app"]).unwrap_or_default();
    if let Some(address) = first(&object, &ADDRESSES).and_then(|text| text::address(&text)) {
        activity.set_source_address(address);
    }
    if class == Class::Http {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 100 and 600"
        )]
        let status_code = code.unwrap_or(0.0) as u32;
        activity.http = Some(HttpRequest {
            http_method: method.unwrap_or_default(),
            url: crate::redact::url_secrets(&url.unwrap_or_default()).into_owned(),
            user_agent: first(&object, &AGENTS).unwrap_or_default(),
            status_code,
            ..HttpRequest::default()
        });
    }
    for (key, value) in &object {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        activity.unmapped.insert(key.clone(), text);
    }
    let mut parsed = Parsed::activity("json", activity);
    parsed.time = time(&object, context);
    parsed.device = first(&object, &["host", "hostname"]).unwrap_or_default();
    Some(parsed)
}

/// A key as it stands, or with dots as nesting; the value as text.
fn first(object: &Map<String, Value>, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| match lookup(object, key)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

fn lookup<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    object.get(key).or_else(|| {
        let (outer, inner) = key.split_once('.')?;
        lookup(object.get(outer)?.as_object()?, inner)
    })
}

fn number(object: &Map<String, Value>, keys: &[&str]) -> Option<f64> {
    keys.iter().find_map(|key| match lookup(object, key)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    })
}

fn time(object: &Map<String, Value>, context: &Context) -> Option<(Time, TimeDoubt)> {
    TIMES.iter().find_map(|key| match object.get(*key)? {
        Value::Number(number) => Some((clock::epoch(number.as_f64()?)?, TimeDoubt::None)),
        Value::String(text) => clock::iso(text, context)
            .map(|(time, _)| time)
            .or_else(|| clock::access(text, context))
            .or_else(|| Some((clock::epoch(text.parse().ok()?)?, TimeDoubt::None))),
        _ => None,
    })
}

fn outcome(object: &Map<String, Value>, code: Option<f64>) -> Status {
    if let Some(code) = code {
        return if code < 400.0 { Status::Success } else { Status::Failure };
    }
    match first(object, &["outcome", "result", "status"])
        .unwrap_or_default()
        .to_ascii_lowercase()
        .as_str()
    {
        "success" | "ok" | "allowed" | "accepted" => Status::Success,
        "failure" | "failed" | "error" | "denied" | "refused" => Status::Failure,
        _ => Status::Unknown,
    }
}

fn severity(object: &Map<String, Value>) -> u32 {
    match first(object, &["level", "severity", "lvl", "log.level"])
        .unwrap_or_default()
        .to_ascii_lowercase()
        .as_str()
    {
        "warn" | "warning" => 2,
        "err" | "error" => 3,
        "crit" | "critical" | "fatal" | "alert" | "emerg" | "panic" => 5,
        _ => 1,
    }
}
