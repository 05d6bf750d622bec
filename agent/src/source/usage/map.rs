//! From requests of an access log to steps of a dossier: what the configuration says a path means.
//!
//! A request that matches becomes a usage event beside the request itself. The first rule that fits decides.

use std::sync::Arc;

use regex::Regex;
use serde_json::{Map, Value};
use vonggac_wire::{
    Event, Time,
    event::{Activity, HttpRequest},
};

use crate::{
    intake::{Entry, Position},
    source::socket::post,
};

/// What a rule's events are called.
const FORMAT: &str = "usage-map";

/// What one rule says.
#[derive(Clone, Debug, Default)]
pub struct Meaning {
    /// The path: `*` is anything, `{dossier}` the dossier's code, up to the next slash.
    pub path: String,
    /// GET, POST, ...; empty: any.
    pub method: String,
    /// The host that was asked; empty: any.
    pub host: String,
    /// "dossier", "session", "payment", "rating" or "document".
    pub kind: String,
    /// The step, of dossiers and sessions.
    pub step: String,
    /// The service.
    pub service: String,
    /// The system; empty: that of the request.
    pub system: String,
    /// More keys, as they would be posted.
    pub fields: Vec<(String, String)>,
}

/// A rule, ready to be used.
#[derive(Clone, Debug)]
struct Rule {
    meaning: Meaning,
    /// What the path begins with: nearly all requests are told by it alone.
    prefix: String,
    pattern: Regex,
    template: Map<String, Value>,
    /// A failed request is a failed session or payment, but no dossier.
    counts_failures: bool,
}

/// All rules.
#[derive(Clone, Debug, Default)]
pub struct UsageMap {
    rules: Vec<Rule>,
}

impl Rule {
    fn new(meaning: Meaning) -> Result<Self, String> {
        let mut template = Map::new();
        template.insert("kind".into(), meaning.kind.as_str().into());
        for (key, value) in [("step", &meaning.step), ("service", &meaning.service)] {
            if !value.is_empty() {
                template.insert(key.into(), value.as_str().into());
            }
        }
        if matches!(meaning.kind.as_str(), "dossier" | "payment") {
            template.insert("online".into(), true.into());
        }
        for (key, value) in &meaning.fields {
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.as_str().into());
            template.insert(key.clone(), value);
        }
        // What could not be posted cannot be meant either.
        let text = Value::Object(template.clone()).to_string();
        post::event(text.as_bytes(), "", Time::from_seconds(0))
            .map_err(|error| error.to_string())?;
        let mut pattern = String::from("^");
        let mut literal = String::new();
        let mut prefix = None;
        let mut rest = meaning.path.as_str();
        while let Some(c) = rest.chars().next() {
            let special = if rest.starts_with("{dossier}") {
                Some(("(?P<dossier>[^/?]+)", "{dossier}".len()))
            } else if c == '*' {
                Some((".*", 1))
            } else {
                None
            };
            match special {
                Some((with, length)) => {
                    prefix.get_or_insert_with(|| literal.clone());
                    pattern.push_str(with);
                    rest = &rest[length..];
                }
                None => {
                    literal.push(c);
                    pattern.push_str(&regex::escape(&c.to_string()));
                    rest = &rest[c.len_utf8()..];
                }
            }
        }
        pattern.push_str("/?$");
        let counts_failures = matches!(meaning.kind.as_str(), "session" | "payment");
        let pattern = Regex::new(&pattern).map_err(|error| error.to_string())?;
        Ok(Self { prefix: prefix.unwrap_or(literal), pattern, template, counts_failures, meaning })
    }

    fn matches<'a>(&self, http: &'a HttpRequest) -> Option<Option<&'a str>> {
        let path = http.url.split(['?', '#']).next().unwrap_or_default();
        let meant = path.starts_with(&self.prefix)
            && (self.meaning.method.is_empty()
                || self.meaning.method.eq_ignore_ascii_case(&http.http_method))
            && (self.meaning.host.is_empty()
                || self.meaning.host.eq_ignore_ascii_case(&http.hostname))
            && (self.counts_failures || http.status_code < 400);
        if !meant {
            return None;
        }
        let found = self.pattern.captures(path)?;
        Some(found.name("dossier").map(|code| code.as_str()))
    }

    fn event(
        &self,
        of: &Event,
        activity: &Activity,
        http: &HttpRequest,
        code: Option<&str>,
    ) -> Option<Event> {
        let mut object = self.template.clone();
        object.insert("time".into(), of.time().to_string().into());
        if self.counts_failures {
            let outcome = if http.status_code < 400 { "success" } else { "failure" };
            object.entry("outcome").or_insert_with(|| outcome.into());
        }
        if let (Some(code), "dossier") = (code, self.meaning.kind.as_str()) {
            object.insert("dossier".into(), code.into());
        }
        if self.meaning.kind == "session" && !activity.user_name.is_empty() {
            object.insert("user_pseudonym".into(), activity.user_name.as_str().into());
        }
        let system =
            if self.meaning.system.is_empty() { of.system() } else { &self.meaning.system };
        let text = Value::Object(object).to_string();
        let event = post::event(text.as_bytes(), system, of.observed()).ok()?;
        let event = event.with_source(of.source(), of.source_offset()).with_format(FORMAT);
        Some(event.with_device(of.device()).with_raw(b"", 0).with_time_doubt(of.time_doubt()))
    }
}

impl UsageMap {
    /// Makes rules of what the configuration says.
    ///
    /// # Errors
    /// The number of the first meaning that is wrong, from 0, and what is wrong with it.
    pub fn new(meanings: Vec<Meaning>) -> Result<Self, (usize, String)> {
        let rules = meanings
            .into_iter()
            .enumerate()
            .map(|(number, meaning)| Rule::new(meaning).map_err(|error| (number, error)))
            .collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    /// What a request means beside itself.
    #[must_use]
    pub fn of(&self, entry: &Entry) -> Option<Entry> {
        if self.rules.is_empty() {
            return None;
        }
        let activity = entry.event.activity()?;
        let http = activity.http.as_ref()?;
        let (rule, code) = self.rules.iter().find_map(|rule| Some((rule, rule.matches(http)?)))?;
        let event = rule.event(&entry.event, activity, http, code)?;
        // On a stream of its own: the request holds the place on its.
        let position = entry.position.as_ref().map(|position| Position {
            stream: Arc::from(format!("usage:{}", position.stream)),
            offset: position.offset,
        });
        Some(Entry { event, position })
    }
}

#[cfg(test)]
mod tests {
    use vonggac_wire::event::{Body, Outcome};

    use super::*;
    use crate::format::{self, Context};

    fn request(line: &str) -> Entry {
        let context = Context::here(Time::from_seconds(1_796_000_000));
        let (event, _) = format::event("combined", line.as_bytes(), 0, &context);
        let position = Some(Position { stream: "tail:a".into(), offset: 7 });
        Entry { event: event.with_source("/a", 3).with_system("portal"), position }
    }

    fn rules() -> UsageMap {
        let of = |path: &str, method: &str, kind: &str, step: &str| Meaning {
            path: path.into(),
            method: method.into(),
            kind: kind.into(),
            step: step.into(),
            service: "khai-sinh".into(),
            ..Meaning::default()
        };
        UsageMap::new(vec![
            of("/nop-ho-so/{dossier}/xong", "POST", "dossier", "received"),
            of("/nop-ho-so/*", "", "dossier", "started"),
            of("/dang-nhap", "POST", "session", "login-completed"),
        ])
        .unwrap()
    }

    fn line(request: &str, status: u16) -> Entry {
        super::tests::request(&format!(
            "203.0.113.7 - - [24/Nov/2026:09:41:12 +0700] \"{request} HTTP/1.1\" {status} 5 \"-\" \"M\""
        ))
    }

    #[test]
    fn paths_become_steps_of_a_dossier() {
        let rules = rules();
        let entry = rules.of(&line("POST /nop-ho-so/H49-241124-0001/xong?x=1", 200)).unwrap();
        let Body::Dossier(dossier) = entry.event.body() else { panic!("a dossier") };
        assert_eq!(
            (dossier.step.as_str(), dossier.dossier.as_str()),
            ("received", "H49-241124-0001")
        );
        assert_eq!((entry.event.system(), entry.event.source_offset()), ("portal", 3));
        assert_eq!(entry.event.time().to_string(), "2026-11-24T02:41:12Z");
        let position = entry.position.unwrap();
        assert_eq!((position.stream.as_ref(), position.offset), ("usage:tail:a", 7));
        let entry = rules.of(&line("GET /nop-ho-so/khai-sinh/buoc-1", 200)).unwrap();
        let Body::Dossier(dossier) = entry.event.body() else { panic!("a dossier") };
        assert_eq!(dossier.step, "started");
    }

    #[test]
    fn failures_are_failed_log_ins_but_no_dossiers() {
        let rules = rules();
        assert!(rules.of(&line("GET /nop-ho-so/x", 404)).is_none());
        assert!(rules.of(&line("GET /khac", 200)).is_none());
        assert!(rules.of(&line("GET /dang-nhap", 200)).is_none(), "the form is no log-in");
        let entry = rules.of(&line("POST /dang-nhap", 401)).unwrap();
        let Body::Session(session) = entry.event.body() else { panic!("a session") };
        assert_eq!(session.outcome(), Outcome::Failure);
    }

    #[test]
    fn a_rule_that_means_nothing_is_refused() {
        let wrong = Meaning {
            path: "/x".into(),
            kind: "dossier".into(),
            step: "eaten".into(),
            ..Meaning::default()
        };
        let (number, error) = UsageMap::new(vec![wrong]).unwrap_err();
        assert!(number == 0 && error.contains("`step`"), "{error}");
    }
}
