//! What a single event says: Sigma rules by rsigma, on our own event without making JSON of it.
//!
//! Fields have our OCSF names and the names that public Sigma rules use for Linux and web servers. Of a request there are the views of
//! [`super::request`] too: `request`, and where something telling stands in it `payload`, `payload_sql`, `payload_shell` and
//! `payload_header`.

use std::{borrow::Cow, collections::HashMap};

use rsigma_eval::{Engine, EventValue, ResultBody};
use rsigma_parser::{Detection, LogSource, Modifier, SigmaRule, SigmaValue};
use serde_json::Value;
use vonggac_wire::{
    Event, Time,
    event::{Activity, Body, Class, HttpRequest, Status},
};

use super::{request::Views, source};
use crate::{
    rule::{Rule, RuleSet},
    threat::{ThreatList, reload::Threats},
};

/// Why a pack cannot be matched.
#[derive(Debug, thiserror::Error)]
#[error("compile the rule {rule}: {reason}")]
pub struct CompileError {
    /// Which.
    pub rule: String,
    /// Why.
    pub reason: String,
}

/// The rules, one engine for each source of logs, so that a web rule never sees a log-in.
pub struct Matcher {
    web: Room,
    host: Room,
    /// Rules of others, and the sources that they are about.
    foreign: HashMap<usize, LogSource>,
    threats: Threats,
}

/// An engine, and where its rules are in the set.
struct Room {
    engine: Engine,
    indices: Vec<usize>,
}

impl Room {
    /// Of the rules whose category is meant.
    fn of(rules: &RuleSet, meant: impl Fn(Option<&str>) -> bool) -> Result<Self, CompileError> {
        let (mut indices, mut named) = (Vec::new(), Vec::new());
        for (index, rule) in rules.rules().iter().enumerate() {
            let Some(sigma) = &rule.sigma else { continue };
            if meant(sigma.logsource.category.as_deref()) {
                named.push(bare(sigma, indices.len()));
                indices.push(index);
            }
        }
        let mut engine = Engine::new();
        // All at once: rules that are added one by one stay out of the engine's index, and every event is asked about them.
        if let Some((place, error)) = engine.add_rules(&named).first() {
            let rule = indices.get(*place).and_then(|index| rules.rules().get(*index));
            return Err(CompileError {
                rule: rule.map(|rule| rule.meta.rule.to_string()).unwrap_or_default(),
                reason: error.to_string(),
            });
        }
        Ok(Self { engine, indices })
    }
}

/// A rule with its place for a title, and without what the engine would copy into each answer: it answers with titles, and the place stands
/// in for ours.
fn bare(sigma: &SigmaRule, place: usize) -> SigmaRule {
    let mut bare = sigma.clone();
    bare.title = place.to_string();
    bare.id = None;
    bare.tags.clear();
    bare.custom_attributes.clear();
    for detection in bare.detection.named.values_mut() {
        compare_as_they_are(detection);
    }
    bare
}

/// Fields whose values are words of ours, all in small letters.
const VOCABULARY: [&str; 2] = ["class", "status"];

/// The engine makes a copy in small letters of each value that it compares; of what is always in small letters it need not.
fn compare_as_they_are(detection: &mut Detection) {
    let is_small = |value: &SigmaValue| matches!(value, SigmaValue::String(text) if text.is_plain() && !text.original.contains(|letter: char| !letter.is_ascii() || letter.is_ascii_uppercase()));
    match detection {
        Detection::AllOf(items) => {
            for item in items {
                let ours =
                    item.field.name.as_deref().is_some_and(|name| VOCABULARY.contains(&name));
                if ours && item.field.modifiers.is_empty() && item.values.iter().all(is_small) {
                    item.field.modifiers.push(Modifier::Cased);
                }
            }
        }
        Detection::AnyOf(parts) | Detection::And(parts) => {
            parts.iter_mut().for_each(compare_as_they_are);
        }
        _ => {}
    }
}

impl Matcher {
    /// Compiles the Sigma rules of a set.
    ///
    /// # Errors
    /// The first rule that rsigma does not take.
    pub fn new(rules: &RuleSet) -> Result<Self, CompileError> {
        let foreign = rules.rules().iter().enumerate().filter(|(_, rule)| rule.foreign);
        Ok(Self {
            // An application's words may stand in a web server's log too.
            web: Room::of(rules, |category| {
                matches!(category, Some("webserver" | "proxy" | "application"))
            })?,
            host: Room::of(rules, |category| !matches!(category, Some("webserver" | "proxy")))?,
            foreign: foreign
                .filter_map(|(index, rule)| Some((index, rule.sigma.as_ref()?.logsource.clone())))
                .collect(),
            threats: Threats::default(),
        })
    }

    /// The same with lists of what is known to be bad.
    #[must_use]
    pub fn with_threats(mut self, threats: Threats) -> Self {
        self.threats = threats;
        self
    }

    /// The lists in force: what replaces them is matched from then on.
    #[must_use]
    pub fn threats(&self) -> Threats {
        self.threats.clone()
    }

    /// Whether a rule is about the source that an event is of. Those of our own pack say it themselves.
    #[must_use]
    pub fn is_meant(&self, rule: usize, event: &Event, activity: &Activity) -> bool {
        self.foreign.get(&rule).is_none_or(|meant| source::agrees(meant, event, activity))
    }

    /// The rules that match.
    #[must_use]
    pub fn matches(&self, event: &Event, activity: &Activity) -> Vec<Match> {
        let room = if activity.class() == Class::Http { &self.web } else { &self.host };
        if room.indices.is_empty() {
            return Vec::new();
        }
        let mut view = View::new(event, activity);
        let threats = self.threats.now();
        view.threats = Some(&threats);
        room.engine
            .evaluate(&view)
            .into_iter()
            .filter_map(|result| {
                let rule: usize =
                    *room.indices.get(result.header.rule_title.parse::<usize>().ok()?)?;
                if !self.is_meant(rule, event, activity) {
                    return None;
                }
                let mut selections = match result.body {
                    ResultBody::Detection(body) => body.matched_selections,
                    ResultBody::Correlation(_) => Vec::new(),
                };
                // The engine's order is of a hash map, and a replay has to tell the same.
                selections.sort_unstable();
                Some(Match { rule, selections })
            })
            .collect()
    }
}

/// A rule that one event matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The rule's index.
    pub rule: usize,
    /// Names of its selections that were found.
    pub selections: Vec<String>,
}

impl Match {
    /// How many ordinary matches this one is worth: what its heaviest selection weighs.
    #[must_use]
    pub fn weight(&self, rule: &Rule) -> u64 {
        let weights = &rule.meta.weights;
        self.selections.iter().filter_map(|name| weights.get(name)).copied().max().unwrap_or(1)
    }
}

/// An event under Sigma's names.
pub(super) struct View<'a> {
    event: &'a Event,
    activity: &'a Activity,
    views: Option<Views>,
    threats: Option<&'a ThreatList>,
}

impl<'a> View<'a> {
    pub(super) fn new(event: &'a Event, activity: &'a Activity) -> Self {
        let views = match &activity.http {
            Some(http) => Some(Views::of(&http.url, &http.user_agent, &http.referrer)),
            // An error log tells the request as it came: `Invalid URI in request GET /a HTTP/1.1`.
            None if activity.class() == Class::Http => {
                request_in(&activity.message).map(|url| Views::of(url, "", ""))
            }
            None => None,
        };
        Self { event, activity, views, threats: None }
    }

    fn telling(&self) -> Option<&Views> {
        self.views.as_ref().filter(|views| views.telling)
    }

    fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        let activity = self.activity;
        let http = activity.http.as_ref();
        let text: &str = match name {
            "class" => self.event.class_name(),
            "status" => activity.status().name(),
            "status_detail" => &activity.status_detail,
            "user" | "User" | "user.name" | "c-username" | "TargetUserName" => &activity.user_name,
            "actor" | "actor.user.name" => &activity.actor_user_name,
            "service" | "service.name" => &activity.service_name,
            "auth_protocol" => &activity.auth_protocol,
            "process" | "Image" | "process.name" => &activity.process_name,
            "command" | "CommandLine" | "process.cmd_line" => &activity.process_cmd_line,
            "file" | "TargetFilename" | "file.path" => &activity.file_path,
            "group" | "group.name" => &activity.group_name,
            "terminal" => &activity.session_terminal,
            "format" => self.event.format(),
            "message" => &activity.message,
            "url" | "c-uri" | "cs-uri" => &http?.url,
            "cs-uri-query" => http?.url.split_once('?')?.1,
            "cs-uri-stem" => http?.url.split('?').next()?,
            "request" => &self.views.as_ref()?.request,
            "payload" => &self.telling()?.request,
            "payload_sql" => &self.telling()?.sql,
            "payload_shell" => &self.telling()?.shell,
            "payload_evaded" => &self.telling()?.evaded,
            "payload_header" => self.views.as_ref()?.header.as_deref()?,
            "method" | "cs-method" | "c-method" => &http?.http_method,
            "version" | "cs-version" => &http?.version,
            "hostname" | "cs-host" => &http?.hostname,
            "user_agent" | "c-useragent" | "cs-user-agent" => &http?.user_agent,
            "user_agent_lower" => return Some(Cow::Owned(http?.user_agent.to_ascii_lowercase())),
            "referrer" | "cs-referer" => &http?.referrer,
            "src_ip" | "SourceIp" | "c-ip" | "src_endpoint.ip" => {
                return activity.source_address().map(|address| Cow::Owned(address.to_string()));
            }
            "dst_ip" | "DestinationIp" | "dst_endpoint.ip" => {
                return activity.destination_address().map(|ip| Cow::Owned(ip.to_string()));
            }
            "DestinationHostname" => &activity.dst_hostname,
            "c-uri-query" => http?.url.split_once('?')?.1,
            "c-uri-stem" => http?.url.split('?').next()?,
            "c-uri-extension" => {
                let path = http?.url.split('?').next()?;
                path.rsplit('/').next()?.rsplit_once('.')?.1
            }
            "r-dns" => &http?.hostname,
            "host" | "Computer" => self.event.device(),
            "threat_source" => self.threats?.source(activity, self.event.time())?,
            "threat_contact" => self.threats?.contact(activity, self.event.time())?,
            "raw" => return Some(String::from_utf8_lossy(self.event.raw())),
            other => match activity.unmapped.get(other) {
                Some(value) => value,
                // One broken byte in a line hides nothing of it.
                None if self.event.format() == "auditd" => {
                    return match String::from_utf8_lossy(self.event.raw()) {
                        Cow::Borrowed(raw) => source::audit_field(raw, other).map(Cow::Borrowed),
                        Cow::Owned(raw) => {
                            source::audit_field(&raw, other).map(|value| Cow::Owned(value.into()))
                        }
                    };
                }
                None => return None,
            },
        };
        Some(Cow::Borrowed(text))
    }
}

/// What an event says of these fields, for whoever asks another evaluator than ours.
#[must_use]
pub fn flat<'a>(
    event: &Event,
    activity: &Activity,
    threats: &ThreatList,
    names: impl IntoIterator<Item = &'a str>,
) -> serde_json::Map<String, Value> {
    let mut view = View::new(event, activity);
    view.threats = Some(threats);
    let fields = names.into_iter().filter_map(|name| {
        let value = match rsigma_eval::Event::get_field(&view, name)? {
            EventValue::Int(number) => number.into(),
            EventValue::Str(text) => text.into_owned().into(),
            _ => return None,
        };
        Some((name.to_owned(), value))
    });
    fields.collect()
}

/// Whether a rule finds itself in events that have nothing in common: it would find itself in all.
///
/// # Errors
/// Why it does not compile.
pub fn matches_everything(sigma: &SigmaRule) -> Result<bool, String> {
    let mut engine = Engine::new();
    engine.add_rule(sigma).map_err(|error| error.to_string())?;
    let category = sigma.logsource.category.as_deref();
    let found = |activity: &Activity, format: &str| {
        let event = Event::new(Time(0), Time(0), Body::Activity(activity.clone()));
        let event = event.with_format(format).with_raw(activity.message.as_bytes(), 0);
        !engine.evaluate(&View::new(&event, activity)).is_empty()
    };
    let host = || strangers().iter().all(|activity| found(activity, "syslog"));
    let web = || visitors().iter().all(|activity| found(activity, "combined"));
    Ok(if matches!(category, Some("webserver" | "proxy")) { web() } else { host() })
}

/// Events of a host that have nothing in common.
fn strangers() -> [Activity; 4] {
    let mut login = Activity::of(Class::Authentication, 1, Status::Success);
    (login.user_name, login.service_name) = ("lan".into(), "sshd".into());
    login.message = "Accepted publickey for lan".into();
    let mut process = Activity::of(Class::Process, 1, Status::Success);
    (process.process_name, process.process_cmd_line) = ("/usr/bin/ls".into(), "ls -l".into());
    let mut file = Activity::of(Class::FileSystem, 4, Status::Success);
    file.file_path = "/srv/a/b.txt".into();
    [Activity::default(), login, process, file]
}

/// Requests that have nothing in common.
fn visitors() -> [Activity; 3] {
    let request = |url: &str, method: &str, status: u32, agent: &str| {
        let mut activity = Activity::of(Class::Http, 3, Status::Success);
        activity.http = Some(HttpRequest {
            url: url.into(),
            http_method: method.into(),
            status_code: status,
            user_agent: agent.into(),
            ..HttpRequest::default()
        });
        activity
    };
    [
        Activity::of(Class::Http, 99, Status::Failure),
        request("/index.html", "GET", 200, "Mozilla/5.0"),
        request("/api/a/1?b=c", "POST", 404, ""),
    ]
}

/// The path of a request that is told inside a message.
fn request_in(message: &str) -> Option<&str> {
    let end = message.find(" HTTP/")?;
    let (before, url) = message.get(..end)?.rsplit_once(' ')?;
    let method = before.rsplit(' ').next()?;
    (url.starts_with('/') && method.bytes().all(|byte| byte.is_ascii_uppercase())).then_some(url)
}

impl rsigma_eval::Event for View<'_> {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        match path {
            "activity_id" => return Some(EventValue::Int(self.activity.activity_id.into())),
            "class_uid" => return Some(EventValue::Int(self.activity.class_uid.into())),
            "sc-status" | "http_status" => {
                return Some(EventValue::Int(self.activity.http.as_ref()?.status_code.into()));
            }
            "dst_port" | "DestinationPort" => {
                return Some(EventValue::Int(self.activity.dst_port.into()));
            }
            "severity_id" => return Some(EventValue::Int(self.activity.severity_id.into())),
            "src_port" | "SourcePort" => {
                return Some(EventValue::Int(self.activity.src_port.into()));
            }
            _ => {}
        }
        self.text(path).map(EventValue::Str)
    }

    fn any_string_value(&self, predicate: &dyn Fn(&str) -> bool) -> bool {
        predicate(&String::from_utf8_lossy(self.event.raw()))
            || self.views.as_ref().is_some_and(|views| predicate(&views.request))
            || predicate(&self.activity.message)
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        vec![
            String::from_utf8_lossy(self.event.raw()),
            Cow::Borrowed(self.views.as_ref().map_or("", |views| &views.request)),
            Cow::Borrowed(&self.activity.message),
        ]
    }

    fn to_json(&self) -> Value {
        serde_json::json!({ "raw": String::from_utf8_lossy(self.event.raw()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_byte_in_a_line_hides_neither_a_word_nor_a_field() {
        let rule = |detection: &str| {
            let text = format!(
                "title: a\nlogsource: {{product: linux}}\ndetection: {{sel: {detection}, condition: sel}}\n"
            );
            let mut collection = rsigma_parser::parse_sigma_yaml(&text).unwrap();
            let mut engine = Engine::new();
            engine.add_rule(&collection.rules.pop().unwrap()).unwrap();
            engine
        };
        let activity = Activity::default();
        for line in [&b"type=EXECVE a0=\"nc\" evil"[..], b"\xff type=EXECVE a0=\"nc\" evil"] {
            let event = Event::new(Time(0), Time(0), Body::Activity(activity.clone()));
            let event = event.with_format("auditd").with_raw(line, 0);
            for detection in ["[evil]", "{a0: nc}"] {
                let found = rule(detection).evaluate(&View::new(&event, &activity));
                assert_eq!(found.len(), 1, "{detection} {line:?}");
            }
        }
    }

    #[test]
    fn our_words_are_in_small_letters() {
        let statuses = [Status::Unknown, Status::Success, Status::Failure, Status::Other];
        let words = Class::ALL.iter().map(|class| class.name()).chain(statuses.map(Status::name));
        for word in words {
            assert_eq!(word, word.to_ascii_lowercase());
        }
    }
}

#[cfg(test)]
mod mutants;
