//! What a single event says: Sigma rules by rsigma, on our own event without making JSON of it.
//!
//! Fields have our OCSF names and the names that public Sigma rules use for Linux and web servers. A request's URL is matched as it
//! was sent and decoded (twice, so that double encoding hides nothing).

use std::borrow::Cow;

use rsigma_eval::{Engine, EventValue};
use serde_json::Value;
use vonggac_wire::{
    Event,
    event::{Activity, Class},
};

use crate::rule::RuleSet;

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
    web: (Engine, Vec<usize>),
    host: (Engine, Vec<usize>),
}

impl Matcher {
    /// Compiles the Sigma rules of a set.
    ///
    /// # Errors
    /// The first rule that rsigma does not take.
    pub fn new(rules: &RuleSet) -> Result<Self, CompileError> {
        let mut matcher =
            Self { web: (Engine::new(), Vec::new()), host: (Engine::new(), Vec::new()) };
        for (index, rule) in rules.rules().iter().enumerate() {
            let Some(sigma) = &rule.sigma else { continue };
            let web = sigma
                .logsource
                .category
                .as_deref()
                .is_some_and(|c| matches!(c, "webserver" | "proxy"));
            let (engine, indices) = if web { &mut matcher.web } else { &mut matcher.host };
            // The engine answers with titles; the index stands in for ours.
            let mut named = sigma.clone();
            named.title = indices.len().to_string();
            engine.add_rule(&named).map_err(|error| CompileError {
                rule: rule.meta.rule.to_string(),
                reason: error.to_string(),
            })?;
            indices.push(index);
        }
        Ok(matcher)
    }

    /// Indices of the rules that match.
    #[must_use]
    pub fn matches(&self, event: &Event, activity: &Activity) -> Vec<usize> {
        let (engine, indices) =
            if activity.class() == Class::Http { &self.web } else { &self.host };
        if indices.is_empty() || activity.class() == Class::Base {
            return Vec::new();
        }
        let view = View::new(event, activity);
        engine
            .evaluate(&view)
            .into_iter()
            .filter_map(|result| {
                indices.get(result.header.rule_title.parse::<usize>().ok()?).copied()
            })
            .collect()
    }
}

/// An event under Sigma's names.
struct View<'a> {
    event: &'a Event,
    activity: &'a Activity,
    url: String,
}

impl<'a> View<'a> {
    fn new(event: &'a Event, activity: &'a Activity) -> Self {
        let url = activity.http.as_ref().map(|http| decoded(&http.url)).unwrap_or_default();
        Self { event, activity, url }
    }

    fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        let activity = self.activity;
        let http = activity.http.as_ref();
        let text: &str = match name {
            "class" => self.event.class_name(),
            "status" => activity.status().name(),
            "status_detail" => &activity.status_detail,
            "user" | "User" | "user.name" | "c-username" => &activity.user_name,
            "actor" | "actor.user.name" => &activity.actor_user_name,
            "service" | "service.name" => &activity.service_name,
            "auth_protocol" => &activity.auth_protocol,
            "process" | "Image" | "process.name" => &activity.process_name,
            "command" | "CommandLine" | "process.cmd_line" => &activity.process_cmd_line,
            "file" | "TargetFilename" | "file.path" => &activity.file_path,
            "message" => &activity.message,
            "url" | "c-uri" | "cs-uri" | "cs-uri-query" => &self.url,
            "method" | "cs-method" => &http?.http_method,
            "user_agent" | "c-useragent" | "cs-user-agent" => &http?.user_agent,
            "referrer" | "cs-referer" => &http?.referrer,
            "src_ip" | "SourceIp" | "c-ip" | "src_endpoint.ip" => {
                return activity.source_address().map(|address| Cow::Owned(address.to_string()));
            }
            other => activity.unmapped.get(other)?,
        };
        Some(Cow::Borrowed(text))
    }
}

impl rsigma_eval::Event for View<'_> {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        match path {
            "activity_id" => return Some(EventValue::Int(self.activity.activity_id.into())),
            "class_uid" => return Some(EventValue::Int(self.activity.class_uid.into())),
            "sc-status" | "http_status" => {
                return Some(EventValue::Int(self.activity.http.as_ref()?.status_code.into()));
            }
            "src_port" => return Some(EventValue::Int(self.activity.src_port.into())),
            _ => {}
        }
        self.text(path).map(EventValue::Str)
    }

    fn any_string_value(&self, predicate: &dyn Fn(&str) -> bool) -> bool {
        std::str::from_utf8(self.event.raw()).is_ok_and(predicate)
            || predicate(&self.url)
            || predicate(&self.activity.message)
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        vec![
            String::from_utf8_lossy(self.event.raw()),
            Cow::Borrowed(&self.url),
            Cow::Borrowed(&self.activity.message),
        ]
    }

    fn to_json(&self) -> Value {
        serde_json::json!({ "raw": String::from_utf8_lossy(self.event.raw()) })
    }
}

/// The URL as sent, and behind it what its percent-encoding says, decoded twice, with white space and `+` as blanks.
fn decoded(url: &str) -> String {
    if !url.contains(['%', '+', '\\']) {
        return url.to_owned();
    }
    let once = percent(url);
    let twice = percent(&once);
    let plain: String =
        twice.chars().map(|c| if c == '+' || c.is_control() { ' ' } else { c }).collect();
    plain
}

fn percent(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                plain.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                at += 3;
            }
            (byte, ..) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn double_encoding_hides_nothing() {
        assert_eq!(decoded("/a?f=..%252f..%252fetc%252fpasswd"), "/a?f=../../etc/passwd");
        assert_eq!(decoded("/a?q=1%27+OR+1=1"), "/a?q=1' OR 1=1");
        assert_eq!(decoded("/100%"), "/100%");
    }
}
