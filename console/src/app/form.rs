//! Forms: an action's fields, what is required of them, and the command that they make.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use vonggac_daemon::settings::parse_duration;
use vonggac_wire::{
    Time,
    proto::{
        Acknowledge, Assign, Close, HandOver, Hide, Hold, Judge, Merge, Note, Reopen, Report,
        Resolve, Split, Verdict, command::Action as Wire,
    },
};

use super::{App, Effect, Overlay, input::edit};
use crate::{keymap::Action, model::Model, query, screen::duty, wording::folded, words::Words};

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormField {
    /// Its name in the messages, after `field-`.
    pub id: &'static str,
    /// It may not be empty.
    pub required: bool,
    /// What was typed, NFC.
    pub text: String,
}

/// A form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// What it does.
    pub action: Action,
    /// On which incidents.
    pub ids: Vec<u64>,
    /// Its fields.
    pub fields: Vec<FormField>,
    /// The field that is typed in.
    pub at: usize,
    /// What is wrong with it: a message.
    pub wrong: String,
    /// Who did what on the incident since the form was opened: a message. Enter again sends it all the same.
    pub moved: String,
    /// State and owner of each incident as the form was opened.
    pub known: Vec<(i32, String)>,
}

/// Letters of verdicts, as the field shows them.
pub(crate) const VERDICTS: [(&str, Verdict); 6] = [
    ("f", Verdict::FalsePositive),
    ("t", Verdict::TruePositive),
    ("b", Verdict::Benign),
    ("d", Verdict::Test),
    ("i", Verdict::InsufficientData),
    ("u", Verdict::Duplicate),
];

impl Form {
    /// The form of an action on incidents; what one of them has already stands in it.
    #[must_use]
    pub fn new(action: Action, ids: Vec<u64>, model: &Model) -> Self {
        let one = match ids.as_slice() {
            [id] => model.incidents.get(id),
            _ => None,
        };
        let field = |id, required| FormField { id, required, text: String::new() };
        let mut fields = match action {
            Action::Assign => {
                vec![
                    field("owner", true),
                    field("unit", false),
                    field("task", false),
                    field("deadline", false),
                ]
            }
            Action::Note => vec![field("note", true)],
            Action::Hold | Action::Reopen => vec![field("reason", true)],
            Action::Resolve => vec![field("result", true)],
            Action::Close => vec![field("verdict", true), field("result", true)],
            Action::HandOver => vec![field("owner", true), field("note", true)],
            Action::Verdict => vec![field("verdict", true)],
            Action::Merge => vec![field("into", true)],
            Action::Split => vec![field("agencies", true), field("reason", true)],
            Action::Hide => vec![field("reason", true), field("until", true)],
            Action::Report => {
                vec![
                    field("duty", true),
                    field("reference", true),
                    field("recipient", false),
                    field("sent", false),
                ]
            }
            _ => Vec::new(),
        };
        if let (Some(incident), Action::Close) = (one, action) {
            for field in &mut fields {
                let known = VERDICTS.iter().find(|(_, v)| Some(*v) == incident.current_verdict());
                match field.id {
                    "verdict" => known.map_or("", |(letter, _)| letter).clone_into(&mut field.text),
                    _ => field.text.clone_from(&incident.result),
                }
            }
        }
        if let (Some(incident), Action::Report) = (one, action) {
            // The one that is owed next stands there already.
            let detail = model.detail.as_ref().filter(|detail| {
                detail.incident.as_ref().is_some_and(|known| known.id == incident.id)
            });
            let owed = detail.map(|detail| duty::shown(&detail.clocks)).unwrap_or_default();
            if let (Some(field), Some(next)) = (fields.first_mut(), owed.first()) {
                field.text.clone_from(&next.id);
            }
        }
        let at = fields.iter().position(|f| f.required && f.text.is_empty()).unwrap_or(0);
        let known = known(&ids, model);
        Self { action, ids, fields, at, wrong: String::new(), moved: String::new(), known }
    }

    /// The form that asks for an export's format.
    #[must_use]
    pub fn export() -> Self {
        let format = FormField { id: "format", required: true, text: "csv".into() };
        Self {
            action: Action::Export,
            ids: Vec::new(),
            fields: vec![format],
            at: 0,
            wrong: String::new(),
            moved: String::new(),
            known: Vec::new(),
        }
    }

    fn text(&self, id: &str) -> String {
        let field = self.fields.iter().find(|field| field.id == id);
        field.map(|field| field.text.trim().to_owned()).unwrap_or_default()
    }

    /// The command, or which field is wrong and why.
    fn wire(&self, words: &Words, now: Time) -> Result<Wire, (&'static str, &'static str)> {
        let verdict = || {
            verdict(words, &self.text("verdict")).map(i32::from).ok_or(("verdict", "told-verdict"))
        };
        Ok(match self.action {
            Action::Assign => Wire::Assign(Assign {
                owner: self.text("owner"),
                responsible_agency: self.text("unit"),
                task: self.text("task"),
                deadline_unix_nano: match self.text("deadline").as_str() {
                    "" => None,
                    text => Some(later(text, now).ok_or(("deadline", "told-time"))?.0),
                },
            }),
            Action::Note => Wire::Note(Note { text: self.text("note") }),
            Action::Hold => Wire::Hold(Hold { reason: self.text("reason") }),
            Action::Resolve => Wire::Resolve(Resolve { result: self.text("result") }),
            Action::Close => {
                Wire::Close(Close { result: self.text("result"), verdict: verdict()? })
            }
            Action::HandOver => {
                Wire::HandOver(HandOver { owner: self.text("owner"), note: self.text("note") })
            }
            Action::Verdict => Wire::Judge(Judge { verdict: verdict()? }),
            Action::Merge => {
                let number = self.text("into");
                let into =
                    number.trim_start_matches('#').parse().map_err(|_| ("into", "told-number"))?;
                Wire::Merge(Merge { into })
            }
            Action::Split => {
                let agencies = self.text("agencies").replace(',', " ");
                let agencies = agencies.split_whitespace().map(str::to_owned).collect();
                Wire::Split(Split { agencies, reason: self.text("reason") })
            }
            Action::Hide => {
                // `0` ends it: the incident is shown again.
                let until = match self.text("until").as_str() {
                    "0" => 0,
                    text => later(text, now).ok_or(("until", "told-time"))?.0,
                };
                Wire::Hide(Hide { reason: self.text("reason"), until_unix_nano: until })
            }
            Action::Report => Wire::Report(Report {
                duty: self.text("duty"),
                to: self.text("recipient"),
                reference: self.text("reference"),
                sent_unix_nano: match self.text("sent").as_str() {
                    "" => 0,
                    text => before(text, now).ok_or(("sent", "told-time"))?.0,
                },
            }),
            Action::Reopen => Wire::Reopen(Reopen { reason: self.text("reason") }),
            _ => Wire::Acknowledge(Acknowledge {}),
        })
    }
}

/// State and owner of incidents.
fn known(ids: &[u64], model: &Model) -> Vec<(i32, String)> {
    let find =
        |id| model.incidents.get(id).map_or((0, String::new()), |i| (i.state, i.owner.clone()));
    ids.iter().map(find).collect()
}

/// A time to come: `2h`, `45m`, `09:48` (tomorrow's, if it has been).
pub(crate) fn later(text: &str, now: Time) -> Option<Time> {
    if let Some(span) = parse_duration(text) {
        return Some(now.plus(span));
    }
    let clock = query::clock(text, now)?;
    Some(if clock <= now { clock.plus(Duration::from_secs(86_400)) } else { clock })
}

/// A time that was: `2h` ago, `09:48` (yesterday's, if it is to come).
fn before(text: &str, now: Time) -> Option<Time> {
    if let Some(span) = parse_duration(text) {
        return Some(now.minus(span));
    }
    let clock = query::clock(text, now)?;
    Some(if clock > now { clock.minus(Duration::from_secs(86_400)) } else { clock })
}

/// By its letter, or by the beginning of its name, accents optional.
fn verdict(words: &Words, text: &str) -> Option<Verdict> {
    let asked = folded(text);
    if let Some((_, verdict)) = VERDICTS.iter().find(|(letter, _)| *letter == asked) {
        return Some(*verdict);
    }
    let named = |verdict: &Verdict| folded(&words.get(&format!("judged-{}", verdict.name())));
    let all = VERDICTS.map(|(_, verdict)| verdict);
    all.into_iter().find(|verdict| asked.len() > 1 && named(verdict).starts_with(&asked))
}

impl App {
    /// A key in a form.
    pub(super) fn form_key(&mut self, key: KeyEvent, now: Time) -> Vec<Effect> {
        let Some(Overlay::Form(form)) = &mut self.overlay else { return Vec::new() };
        let fields = form.fields.len().max(1);
        if let Some(field) = form.fields.get_mut(form.at) {
            if edit(&mut field.text, key) {
                form.wrong.clear();
                return Vec::new();
            }
        }
        match key.code {
            KeyCode::Esc => self.overlay = None,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                self.overlay = None;
            }
            KeyCode::Tab | KeyCode::Down => form.at = (form.at + 1) % fields,
            KeyCode::BackTab | KeyCode::Up => form.at = (form.at + fields - 1) % fields,
            KeyCode::Enter => return self.submit_form(now),
            _ => {}
        }
        Vec::new()
    }

    /// Sends the form, or goes to the field that is missing or wrong.
    fn submit_form(&mut self, now: Time) -> Vec<Effect> {
        let Some(Overlay::Form(form)) = &mut self.overlay else { return Vec::new() };
        let missing =
            form.fields.iter().position(|field| field.required && field.text.trim().is_empty());
        if let Some(at) = missing {
            let name = self.words.get(&format!("field-{}", form.fields[at].id));
            form.at = at;
            form.wrong = self.words.with("told-missing", &[("field", &name)]);
            return Vec::new();
        }
        if form.action == Action::Export {
            let asked = form.text("format");
            if !["csv", "json", "md"].contains(&asked.as_str()) {
                form.wrong = self.words.get("told-format");
                return Vec::new();
            }
            self.overlay = None;
            return self.export(&asked, now);
        }
        let ids = form.ids.clone();
        // A colleague was faster: that is told before anything is sent, and Enter again sends it.
        let now_known = known(&ids, &self.model);
        if now_known != form.known {
            let at = form.known.iter().zip(&now_known).position(|(one, two)| one != two);
            let moved = at.and_then(|at| self.model.incidents.get(&ids[at]));
            form.known = now_known;
            form.moved = moved.map_or_else(String::new, |incident| {
                let told = super::act::moved_on(&self.words, incident);
                self.words.with("form-moved", &[("told", &told)])
            });
            return Vec::new();
        }
        match form.wire(&self.words, now) {
            Ok(wire) => {
                self.overlay = None;
                self.send_all(&ids, &wire, now)
            }
            Err((field, message)) => {
                form.at = form.fields.iter().position(|f| f.id == field).unwrap_or(form.at);
                form.wrong = self.words.get(message);
                Vec::new()
            }
        }
    }
}
