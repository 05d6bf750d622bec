//! The report of one incident: its first, the following ones, and the last.

use vonggac_document::{Block, Document, Line, Piece, plain};
use vonggac_wire::{
    Time,
    proto::{ClockState, Incident, IncidentDetail, LegalClock, ServiceClock, Transition},
};

use super::{Names, Paper, law};
use crate::{
    wording,
    words::{Words, named},
};

/// Lines of evidence that stand in a report.
const EVIDENCE_MAX: usize = 20;

/// Which report it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// What is known as it begins.
    Initial,
    /// How it goes.
    Progress,
    /// How it ended.
    Final,
}

impl Kind {
    const fn title(self) -> &'static str {
        match self {
            Self::Initial => "report-title-initial",
            Self::Progress => "report-title-progress",
            Self::Final => "report-title-final",
        }
    }
}

/// What a report is made of.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The incident with its history.
    pub detail: &'a IncidentDetail,
    /// Who and what is named in it.
    pub names: Names<'a>,
    /// Who makes the report.
    pub author: &'a str,
    /// The centre's time.
    pub now: Time,
}

/// The report of an incident; `None`: the detail has no incident.
#[must_use]
pub fn draft(words: &Words, kind: Kind, facts: &Facts<'_>) -> Option<Document> {
    let incident = facts.detail.incident.as_ref()?;
    let title = words.get(kind.title());
    let mut paper = Paper::new(words, &title, incident.simulated, facts.now);
    recipients(&mut paper, &facts.detail.clocks);
    whose(&mut paper, incident, facts);
    what(&mut paper, kind, incident, facts.now);
    paper.heading("report-3");
    timeline(&mut paper, &facts.detail.timeline);
    paper.heading("report-4");
    measures(&mut paper, &facts.detail.timeline);
    result(&mut paper, kind, incident);
    paper.heading("report-6");
    deadlines(&mut paper, incident, &facts.detail.clocks);
    paper.heading("report-7");
    evidence(&mut paper, facts.detail);
    Some(paper.end(format!("{title} #{}", incident.id), facts.author))
}

fn recipients(paper: &mut Paper<'_>, clocks: &[LegalClock]) {
    let mut roles: Vec<String> = clocks
        .iter()
        .flat_map(|clock| &clock.recipient_roles)
        .map(|role| named(paper.words, "role", role))
        .collect();
    roles.sort();
    roles.dedup();
    paper.field("report-to", &roles.join("; "), "missing-recipients");
    paper.unknown("report-to", "missing-to");
}

fn whose(paper: &mut Paper<'_>, incident: &Incident, facts: &Facts<'_>) {
    let words = paper.words;
    paper.heading("report-1");
    let responsible = &incident.responsible_agency;
    let agency =
        if responsible.is_empty() { String::new() } else { facts.names.agency(words, responsible) };
    paper.field("report-agency", &agency, "missing-agency");
    let affected = facts.names.agencies(words, &incident.agencies);
    paper.field("report-affected", &affected, "missing-affected");
    let systems = facts.names.systems(words, &incident.systems);
    paper.field("report-systems", &systems, "missing-systems");
    paper.unknown("report-level", "missing-level");
    paper.field("report-hosts", &incident.hosts.join(", "), "missing-hosts");
    let owner = if incident.owner.is_empty() {
        paper.missing("missing-owner")
    } else {
        Piece::Plain(incident.owner.clone())
    };
    let line = vec![owner, Piece::Plain("; ".into()), paper.missing("missing-phone")];
    paper.blocks.push(Block::Field(words.get("report-contact"), line));
}

fn what(paper: &mut Paper<'_>, kind: Kind, incident: &Incident, now: Time) {
    let words = paper.words;
    paper.heading("report-2");
    paper.known("report-id", format!("#{}", incident.id));
    let title = words.pick(&incident.title_vi, &incident.title_en);
    paper.field("report-what", title, "missing-title");
    let severity = incident.level().level();
    paper.known("report-severity", words.get(&format!("report-severity-{severity}")));
    paper.known("report-found-by", incident.rule.clone());
    let entity = incident.entity.as_ref().map(|entity| entity.value.as_str()).unwrap_or_default();
    paper.field("report-entity", entity, "missing-entity");
    paper.known("report-count", wording::number(words.lang(), incident.count));
    paper.known("report-first", wording::full(Time(incident.first_time_unix_nano)));
    paper.known("report-opened", wording::full(Time(incident.opened_unix_nano)));
    let time = |nanos: Option<i64>| nanos.map_or_else(String::new, |at| wording::full(Time(at)));
    paper.field("report-taken", &time(incident.acknowledged_unix_nano), "missing-taken");
    if kind == Kind::Final || incident.resolved_unix_nano.is_some() {
        paper.field("report-resolved", &time(incident.resolved_unix_nano), "missing-resolved");
    }
    if incident.closed_unix_nano.is_some() {
        paper.known("report-closed", time(incident.closed_unix_nano));
    }
    paper.known("report-lasted", wording::duration(words.lang(), incident.duration(now)));
    let impact = incident.unserved.as_ref().map(|estimate| {
        let number = |value| wording::decimal(words.lang(), value, 0);
        words.with(
            "report-impact-value",
            &[
                ("value", &number(estimate.value)),
                ("low", &number(estimate.low)),
                ("high", &number(estimate.high)),
            ],
        )
    });
    paper.field("report-impact", &impact.unwrap_or_default(), "missing-impact");
    // The book has results and notes, and no field for a cause: a person has to say it.
    paper.unknown("report-cause", "missing-cause");
    let verdict = incident.current_verdict();
    let verdict = verdict.map(|verdict| words.get(&format!("judged-{}", verdict.name())));
    if kind == Kind::Final || verdict.is_some() {
        paper.field("report-verdict", &verdict.unwrap_or_default(), "missing-verdict");
    }
}

/// Counting alone is no news.
fn told(timeline: &[Transition]) -> impl Iterator<Item = &Transition> {
    timeline.iter().filter(|step| step.action != "counted")
}

fn timeline(paper: &mut Paper<'_>, steps: &[Transition]) {
    let words = paper.words;
    let row = |step: &Transition| -> Vec<Line> {
        let actor =
            if step.actor == "system" { words.get("system-actor") } else { step.actor.clone() };
        vec![
            plain(wording::full(Time(step.time_unix_nano)).trim_end_matches(" +07:00")),
            plain(actor),
            plain(named(words, "action", &step.action)),
            plain(crate::screen::told(words, step)),
        ]
    };
    let rows: Vec<Vec<Line>> = told(steps).map(row).collect();
    let columns =
        [("report-time", 4), ("report-actor", 3), ("report-action", 3), ("report-text", 8)];
    paper.table(&columns, rows, "missing-timeline");
}

/// What people wrote that they did.
fn measures(paper: &mut Paper<'_>, steps: &[Transition]) {
    const WRITTEN: [&str; 5] = ["noted", "held", "resolved", "handed_over", "closed"];
    let written: Vec<String> = told(steps)
        .filter(|step| step.actor != "system" && WRITTEN.contains(&step.action.as_str()))
        .filter(|step| !step.text.trim().is_empty())
        .map(|step| format!("{}: {}", wording::full(Time(step.time_unix_nano)), step.text))
        .collect();
    if written.is_empty() {
        let line = vec![paper.missing("missing-measures")];
        paper.text(line);
    }
    paper.blocks.extend(written.into_iter().map(|text| Block::Item(plain(text))));
}

fn result(paper: &mut Paper<'_>, kind: Kind, incident: &Incident) {
    paper.heading("report-5");
    if kind == Kind::Final {
        paper.field("report-result", &incident.result, "missing-result");
        paper.unknown("report-lessons", "missing-lessons");
        return;
    }
    paper.field("report-task", &incident.task, "missing-task");
    let deadline = incident.deadline_unix_nano.map(|at| wording::full(Time(at)));
    paper.field("report-deadline", &deadline.unwrap_or_default(), "missing-deadline");
    paper.unknown("report-requests", "missing-requests");
}

fn deadlines(paper: &mut Paper<'_>, incident: &Incident, clocks: &[LegalClock]) {
    let words = paper.words;
    let mut rows = Vec::new();
    for clock in clocks {
        let name = words.pick(&clock.name_vi, &clock.name_en);
        let due = match clock.due_unix_nano {
            Some(due) => Piece::Plain(wording::full(Time(due))),
            None if clock.kind == "form" => Piece::Plain(words.get("duty-standing")),
            None => paper.missing_words(words.with("missing-due", &[("name", name)])),
        };
        let sent: Vec<String> = clock
            .reports
            .iter()
            .map(|report| {
                let time = wording::full(Time(report.sent_unix_nano));
                let values = [("time", time.as_str()), ("reference", report.reference.as_str())];
                words.with("report-sent", &values)
            })
            .collect();
        let done = if sent.is_empty() { words.get("no-data") } else { sent.join("; ") };
        rows.push(vec![plain(name), plain(law(words, clock)), vec![due], plain(done)]);
    }
    let service: Vec<Vec<Line>> =
        incident.clocks.iter().map(|clock| service(words, clock)).collect();
    let columns = [("report-duty", 4), ("report-law", 6), ("report-due", 4), ("report-done", 4)];
    if rows.is_empty() {
        let line = vec![paper.missing("missing-duties")];
        paper.text(line);
    }
    rows.extend(service);
    if !rows.is_empty() {
        paper.table(&columns, rows, "missing-duties");
    }
}

fn service(words: &Words, clock: &ServiceClock) -> Vec<Line> {
    let time = |nanos: Option<i64>| {
        nanos.map_or_else(|| words.get("no-data"), |at| wording::full(Time(at)))
    };
    let name = format!("report-service-{}", clock.kind);
    let ended = match clock.state() {
        ClockState::Met | ClockState::Breached => time(clock.ended_unix_nano),
        _ => words.get("no-data"),
    };
    vec![
        plain(words.get(&name)),
        plain(words.get("report-service-law")),
        plain(time(clock.due_unix_nano)),
        plain(ended),
    ]
}

fn evidence(paper: &mut Paper<'_>, detail: &IncidentDetail) {
    let words = paper.words;
    let lines: Vec<Line> = detail
        .evidence
        .iter()
        .take(EVIDENCE_MAX)
        .map(|event| {
            let time = wording::full(Time(event.time_unix_nano));
            let values = [
                ("time", time.as_str()),
                ("agency", event.agency.as_str()),
                ("host", event.host.as_str()),
            ];
            let raw = if event.raw.is_empty() { &event.message } else { &event.raw };
            vec![
                Piece::Plain(format!(
                    "{} ",
                    words.with("report-evidence-line", &values).trim_end()
                )),
                Piece::Plain(raw.clone()),
            ]
        })
        .collect();
    if lines.is_empty() {
        let line = vec![paper.missing("missing-evidence")];
        paper.text(line);
    }
    paper.blocks.extend(lines.into_iter().map(Block::Item));
}
