//! A message as people read it: subject and lines, in the channel's language and for its medium. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use vonggac_answer::words::{Lang, Words};
use vonggac_wire::Time;

use super::{
    escape::{Medium, escape},
    hours,
    note::{Event, Note, Summary},
    queue::Message,
    tlp::Tlp,
};
use crate::words;

/// Incidents that a text names; the rest is a number. A person on duty reads a dozen, and then opens the list.
const LINES_MAX: usize = 10;

/// Incidents that a JSON body has.
const INCIDENTS_MAX: usize = 100;

/// Characters of a title in a text.
const TITLE_CHARACTERS_MAX: usize = 200;

/// Characters of a name in a text.
const NAME_CHARACTERS_MAX: usize = 60;

/// Characters of a subject: mail programs show some seventy.
const SUBJECT_CHARACTERS_MAX: usize = 150;

/// Characters of a text for chats; Telegram takes 4,096.
pub const CHAT_CHARACTERS_MAX: usize = 4_000;

/// An incident with all that is told of it in one message.
#[derive(Clone, Debug)]
pub struct Told<'a> {
    /// What is told last.
    pub note: &'a Note,
    /// When that was.
    pub time: Time,
    /// Each reason once, in their order.
    pub events: Vec<Event>,
}

/// A message for its channel.
pub struct Text<'a> {
    words: Words,
    /// Its name.
    pub id: &'a str,
    /// The highest marking of its notes.
    pub tlp: Tlp,
    /// Incidents, the worst first.
    pub incidents: Vec<Told<'a>>,
    others: Vec<&'a Note>,
}

impl<'a> Text<'a> {
    /// Of a message.
    #[must_use]
    pub fn of(message: &'a Message, lang: Lang) -> Self {
        let mut by_number: BTreeMap<u64, Told<'a>> = BTreeMap::new();
        let mut others = Vec::new();
        let mut notes: Vec<_> = message.notes.iter().collect();
        notes.sort_by_key(|one| (one.time, one.note.version, one.note.event));
        for one in notes {
            let note = &one.note;
            if note.incident == 0 {
                others.push(note);
                continue;
            }
            let told = by_number.entry(note.incident).or_insert_with(|| Told {
                note,
                time: one.time,
                events: Vec::new(),
            });
            (told.note, told.time) = (note, one.time);
            if !told.events.contains(&note.event) {
                told.events.push(note.event);
            }
        }
        let mut incidents: Vec<Told<'a>> = by_number.into_values().collect();
        incidents.sort_by_key(|told| (told.note.severity, told.time, told.note.incident));
        let marked = message.notes.iter().filter_map(|one| one.tlp.parse().ok()).max();
        Self {
            words: words::of(lang),
            id: &message.id,
            tlp: marked.unwrap_or(Tlp::Clear),
            incidents,
            others,
        }
    }

    /// The subject, on one line.
    #[must_use]
    pub fn subject(&self) -> String {
        let medium = Medium::Plain;
        let text = match (self.incidents.as_slice(), self.others.as_slice()) {
            ([one], _) => self.words.with(
                "notify-subject-one",
                &[
                    ("level", &level(one.note)),
                    ("number", &one.note.incident.to_string()),
                    ("event", &self.events(one)),
                    ("title", &self.title(medium, one.note)),
                ],
            ),
            ([], [only, ..]) => {
                let open: u64 = only.digest.iter().flat_map(|digest| digest.open).sum();
                let time = hours::shown(Time(only.opened));
                self.words.with(
                    &format!("notify-subject-{}", only.event.name()),
                    &[("time", &time), ("open", &open.to_string())],
                )
            }
            ([first, ..], _) => self.words.with(
                "notify-subject-many",
                &[("count", &self.incidents.len().to_string()), ("level", &level(first.note))],
            ),
            ([], []) => String::new(),
        };
        let marked = self.incidents.iter().any(|told| told.note.simulated);
        let simulated = if marked { self.words.get("notify-simulated") } else { String::new() };
        escape(medium, format!("{simulated} {text}").trim(), SUBJECT_CHARACTERS_MAX)
    }

    /// The text for a medium, of at most so many characters.
    #[must_use]
    pub fn body(&self, medium: Medium, characters_max: usize) -> String {
        // Fewer incidents are named until it fits.
        let mut text = String::new();
        for lines_max in (0..=LINES_MAX).rev() {
            text = self.lines(medium, lines_max).join("\n");
            if text.chars().count() <= characters_max {
                break;
            }
        }
        text
    }

    fn lines(&self, medium: Medium, lines_max: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for note in &self.others {
            match &note.digest {
                Some(summary) => self.digest(medium, summary, lines_max, &mut lines),
                None => lines.push(self.words.get("notify-test")),
            }
        }
        for told in self.incidents.iter().take(lines_max) {
            lines.extend(self.incident(medium, told));
        }
        let more = self.incidents.len().saturating_sub(lines_max);
        if more > 0 {
            lines.push(self.words.with("notify-more", &[("count", &more.to_string())]));
        }
        if !self.incidents.is_empty() {
            lines.push(self.words.get("notify-foot"));
        }
        lines.push(self.tlp.label().to_owned());
        lines
    }

    /// An incident: what happened, and on a line of its own who has it, by when, and what was said.
    fn incident(&self, medium: Medium, told: &Told<'_>) -> Vec<String> {
        let note = told.note;
        let head = self.line(medium, note, &self.events(told));
        let mut parts = Vec::new();
        parts.push(if note.owner.is_empty() {
            self.words.get("notify-no-owner")
        } else {
            let owner = escape(medium, &note.owner, NAME_CHARACTERS_MAX);
            self.words.with("notify-owner", &[("owner", &owner)])
        });
        if note.deadline != 0 && !told.events.contains(&Event::Resolved) {
            let time = hours::shown(Time(note.deadline));
            parts.push(self.words.with("notify-deadline", &[("time", &time)]));
        }
        if note.count > 1 {
            parts.push(self.words.with("notify-count", &[("count", &note.count.to_string())]));
        }
        if !note.said.is_empty() {
            let said = escape(medium, &note.said, TITLE_CHARACTERS_MAX);
            parts.push(self.words.with("notify-said", &[("said", &said)]));
        }
        vec![head, format!("  {}", parts.join("; "))]
    }

    fn line(&self, medium: Medium, note: &Note, events: &str) -> String {
        let agency = self.words.pick(&note.agency_vi, &note.agency_en);
        let agency = escape(medium, agency, NAME_CHARACTERS_MAX);
        let agency = if note.agencies > 1 {
            let others = (note.agencies - 1).to_string();
            self.words.with("notify-agencies", &[("agency", &agency), ("others", &others)])
        } else {
            agency
        };
        let line = self.words.with(
            "notify-line",
            &[
                ("level", &level(note)),
                ("number", &note.incident.to_string()),
                ("event", events),
                ("agency", &agency),
                ("title", &self.title(medium, note)),
            ],
        );
        if note.simulated { format!("{} {line}", self.words.get("notify-simulated")) } else { line }
    }

    fn digest(&self, medium: Medium, summary: &Summary, lines_max: usize, lines: &mut Vec<String>) {
        let counts = summary.open.map(|count| count.to_string());
        let [m1, m2, m3, m4] = &counts;
        lines.push(self.words.with(
            "notify-digest-open",
            &[
                ("m1", m1),
                ("m2", m2),
                ("m3", m3),
                ("m4", m4),
                ("unowned", &summary.unowned.to_string()),
                ("overdue", &summary.overdue.to_string()),
            ],
        ));
        lines.push(self.words.with(
            "notify-digest-since",
            &[("opened", &summary.opened.to_string()), ("resolved", &summary.resolved.to_string())],
        ));
        if summary.withheld > 0 {
            let count = summary.withheld.to_string();
            lines.push(self.words.with("notify-digest-withheld", &[("count", &count)]));
        }
        for note in summary.first.iter().take(lines_max) {
            let state = self.words.get(&format!("notify-state-{}", note.state.replace('_', "-")));
            lines.push(self.line(medium, note, &state));
        }
    }

    fn events(&self, told: &Told<'_>) -> String {
        let names = told.events.iter().map(|event| format!("notify-event-{}", event.name()));
        names.map(|name| self.words.get(&name)).collect::<Vec<_>>().join(", ")
    }

    fn title(&self, medium: Medium, note: &Note) -> String {
        let title = self.words.pick(&note.title_vi, &note.title_en);
        escape(medium, title, TITLE_CHARACTERS_MAX)
    }

    /// Everything as JSON, for programs. Texts are those of logs: who shows them makes them harmless.
    #[must_use]
    pub fn json(&self) -> Value {
        let time =
            |nanos: i64| if nanos == 0 { Value::Null } else { Time(nanos).to_string().into() };
        let incidents = self.incidents.iter().take(INCIDENTS_MAX).map(|told| {
            let note = told.note;
            json!({
                "number": note.incident,
                "version": note.version,
                "events": told.events.iter().map(|event| event.name()).collect::<Vec<_>>(),
                "time": time(told.time.0),
                "severity": note.level().name(),
                "level": level(note),
                "state": note.state,
                "rule": note.rule,
                "title_vi": note.title_vi,
                "title_en": note.title_en,
                "agency": note.agency,
                "agencies": note.agencies,
                "owner": note.owner,
                "said": note.said,
                "count": note.count,
                "opened": time(note.opened),
                "deadline": time(note.deadline),
                "simulated": note.simulated,
            })
        });
        let digests = self.others.iter().filter_map(|note| {
            let summary = note.digest.as_ref()?;
            Some(json!({
                "time": time(note.opened),
                "open": summary.open,
                "unowned": summary.unowned,
                "overdue": summary.overdue,
                "opened": summary.opened,
                "resolved": summary.resolved,
                "withheld": summary.withheld,
            }))
        });
        json!({
            "id": self.id,
            "tlp": self.tlp.label(),
            "test": self.others.iter().any(|note| note.event == Event::Test),
            "subject": self.subject(),
            "text": self.body(Medium::Plain, CHAT_CHARACTERS_MAX),
            "incidents": incidents.collect::<Vec<_>>(),
            "incidents_more": self.incidents.len().saturating_sub(INCIDENTS_MAX),
            "digests": digests.collect::<Vec<_>>(),
        })
    }

    /// What may stand in the braces of somebody's template.
    #[must_use]
    pub fn values(&self) -> BTreeMap<&'static str, String> {
        let worst = self.incidents.first().map(|told| told.note);
        let chat = CHAT_CHARACTERS_MAX;
        BTreeMap::from([
            ("id", self.id.to_owned()),
            ("tlp", self.tlp.label().to_owned()),
            ("subject", self.subject()),
            ("text", self.body(Medium::Plain, chat)),
            ("text_html", self.body(Medium::Html, chat)),
            ("text_mrkdwn", self.body(Medium::Mrkdwn, chat)),
            ("level", worst.map(level).unwrap_or_default()),
            ("severity", worst.map_or("", |note| note.level().name()).to_owned()),
            ("number", worst.map_or(0, |note| note.incident).to_string()),
            ("agency", worst.map(|note| note.agency.clone()).unwrap_or_default()),
            ("incidents", self.incidents.len().to_string()),
        ])
    }
}

/// "M1" to "M4".
fn level(note: &Note) -> String {
    format!("M{}", note.severity)
}

/// A template with the names in the braces of its texts filled. The document is parsed before, so that no value can change its shape.
#[must_use]
pub fn fill(template: &Value, values: &BTreeMap<&'static str, String>) -> Value {
    match template {
        Value::String(text) => Value::String(filled(text, values)),
        Value::Array(items) => items.iter().map(|item| fill(item, values)).collect(),
        Value::Object(object) => {
            let object: Map<String, Value> =
                object.iter().map(|(key, value)| (key.clone(), fill(value, values))).collect();
            Value::Object(object)
        }
        other => other.clone(),
    }
}

/// What is no name that is known stands as it is: a value is never looked at again.
fn filled(text: &str, values: &BTreeMap<&'static str, String>) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find('{') {
        let (before, from) = rest.split_at(begin);
        whole.push_str(before);
        let name = from.find('}').map(|end| &from[1..end]);
        match name.and_then(|name| Some((name, values.get(name)?))) {
            Some((name, value)) => {
                whole.push_str(value);
                rest = &from[name.len() + 2..];
            }
            None => {
                whole.push('{');
                rest = &from[1..];
            }
        }
    }
    whole.push_str(rest);
    whole
}

#[cfg(test)]
mod tests;
