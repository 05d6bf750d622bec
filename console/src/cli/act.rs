//! What is done on one incident.

use clap::Subcommand;
use serde_json::{Value, json};
use vonggac_answer::rows::{self, Format};
use vonggac_daemon::exit::Exit;
use vonggac_wire::{
    IncidentId, Time,
    proto::{
        Acknowledge, Assign, Close, Command, HandOver, Hide, Hold, IncidentRequest, Judge, Merge,
        Note, Reopen, Report, Resolve, Split, Verdict, command::Action as Wire,
    },
};

use super::{complain, duties, filter, print, row, show::said};
use crate::{app::later, client::Client, words::Words};

/// An action.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Show one incident with its history and evidence.
    Show {
        /// Its number.
        id: String,
    },
    /// Acknowledge: you own it.
    Ack {
        /// Its number.
        id: String,
    },
    /// Give it to a person, with a task and a deadline.
    Assign {
        /// Its number.
        id: String,
        /// To whom.
        owner: String,
        /// The responsible agency.
        #[arg(long)]
        unit: Option<String>,
        /// What is to be done.
        #[arg(long)]
        task: Option<String>,
        /// Until when: 2h, 45m, 14:30.
        #[arg(long)]
        deadline: Option<String>,
    },
    /// Write a note.
    Note {
        /// Its number.
        id: String,
        /// The note.
        text: String,
    },
    /// Put it on hold.
    Hold {
        /// Its number.
        id: String,
        /// Why.
        reason: String,
    },
    /// It is over.
    Resolve {
        /// Its number.
        id: String,
        /// The result.
        result: String,
    },
    /// Close it with result and verdict.
    Close {
        /// Its number.
        id: String,
        /// The result, if it was not given before.
        #[arg(long, default_value = "")]
        result: String,
        /// false_positive, true_positive, benign, test, insufficient_data or duplicate.
        #[arg(long)]
        verdict: Option<String>,
    },
    /// Open it again.
    Reopen {
        /// Its number.
        id: String,
        /// Why.
        reason: String,
    },
    /// Hand it over to the next shift.
    HandOver {
        /// Its number.
        id: String,
        /// To whom.
        owner: String,
        /// What he must know.
        note: String,
    },
    /// Merge it into another open incident.
    Merge {
        /// Its number.
        id: String,
        /// The incident that takes it in.
        into: String,
    },
    /// Make some of its agencies an incident of their own.
    Split {
        /// Its number.
        id: String,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Codes of the agencies.
        #[arg(required = true)]
        agencies: Vec<String>,
    },
    /// Leave it out of lists until an end.
    Hide {
        /// Its number.
        id: String,
        /// Why.
        reason: String,
        /// For how long: 2h, 3d, or until 14:30; 31 days at most.
        #[arg(long = "for", value_name = "TIME")]
        how_long: String,
    },
    /// Show it again before the end.
    Unhide {
        /// Its number.
        id: String,
        /// Why.
        reason: String,
    },
    /// Give a verdict.
    Judge {
        /// Its number.
        id: String,
        /// false_positive, true_positive, benign, test, insufficient_data or duplicate.
        verdict: String,
    },
    /// A report that a law wants has been sent.
    Reported {
        /// Its number.
        id: String,
        /// For which duty.
        #[arg(long)]
        duty: String,
        /// The document's number.
        #[arg(long)]
        reference: String,
        /// To whom; else as the law says.
        #[arg(long = "to", default_value = "")]
        recipient: String,
        /// When it was sent: 08:00, 2h, RFC 3339; else now.
        #[arg(long)]
        at: Option<String>,
    },
}

impl Action {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Show { id }
            | Self::Ack { id }
            | Self::Assign { id, .. }
            | Self::Note { id, .. }
            | Self::Hold { id, .. }
            | Self::Resolve { id, .. }
            | Self::Close { id, .. }
            | Self::Reopen { id, .. }
            | Self::HandOver { id, .. }
            | Self::Merge { id, .. }
            | Self::Split { id, .. }
            | Self::Hide { id, .. }
            | Self::Unhide { id, .. }
            | Self::Judge { id, .. }
            | Self::Reported { id, .. } => id,
        }
    }

    fn wire(self, now: Time) -> Option<Wire> {
        let verdict = |name: &str| Verdict::from_name(name).unwrap_or(Verdict::Unspecified).into();
        Some(match self {
            Self::Show { .. } => return None,
            Self::Ack { .. } => Wire::Acknowledge(Acknowledge {}),
            Self::Assign { owner, unit, task, deadline, .. } => Wire::Assign(Assign {
                owner,
                responsible_agency: unit.unwrap_or_default(),
                task: task.unwrap_or_default(),
                deadline_unix_nano: deadline.and_then(|text| later(&text, now)).map(|time| time.0),
            }),
            Self::Note { text, .. } => Wire::Note(Note { text }),
            Self::Hold { reason, .. } => Wire::Hold(Hold { reason }),
            Self::Resolve { result, .. } => Wire::Resolve(Resolve { result }),
            Self::Close { result, verdict: name, .. } => {
                Wire::Close(Close { result, verdict: name.as_deref().map_or(0, verdict) })
            }
            Self::Reopen { reason, .. } => Wire::Reopen(Reopen { reason }),
            Self::HandOver { owner, note, .. } => Wire::HandOver(HandOver { owner, note }),
            Self::Merge { into, .. } => {
                let into: Option<IncidentId> = into.trim_start_matches('#').parse().ok();
                Wire::Merge(Merge { into: into.map_or(0, |id| id.0) })
            }
            Self::Split { agencies, reason, .. } => Wire::Split(Split { agencies, reason }),
            Self::Hide { reason, how_long, .. } => {
                // What is no time was refused before; the book refuses an end that has passed.
                let until = later(&how_long, now).unwrap_or(now);
                Wire::Hide(Hide { reason, until_unix_nano: until.0 })
            }
            Self::Unhide { reason, .. } => Wire::Hide(Hide { reason, until_unix_nano: 0 }),
            Self::Judge { verdict: name, .. } => Wire::Judge(Judge { verdict: verdict(&name) }),
            Self::Reported { duty, reference, recipient, at, .. } => Wire::Report(Report {
                duty,
                reference,
                to: recipient,
                // What is no time was refused before.
                sent_unix_nano: at.and_then(|text| filter::time(&text, now)).map_or(0, |at| at.0),
            }),
        })
    }
}

pub(super) async fn run(
    client: &mut Client,
    words: &Words,
    form: &Format,
    action: Action,
    operator: &str,
) -> Exit {
    // Several numbers with commas between them: each is acted on, each is told.
    let mut ids = Vec::new();
    for text in action.id().split(',') {
        match text.trim().parse() {
            Ok(IncidentId(id)) => ids.push(id),
            Err(_) => return complain(&words.with("bad-id", &[("text", text)]), Exit::Usage),
        }
    }
    let mut worst = Exit::Success;
    match action.wire(Time::now()) {
        Some(wire) => {
            for id in ids {
                let exit = act(client, words, form, id, wire.clone(), operator).await;
                worst = if worst == Exit::Success { exit } else { worst };
            }
        }
        None => {
            for id in ids {
                let exit = show(client, words, form, id).await;
                worst = if worst == Exit::Success { exit } else { worst };
            }
        }
    }
    worst
}

async fn act(
    client: &mut Client,
    words: &Words,
    form: &Format,
    id: u64,
    wire: Wire,
    operator: &str,
) -> Exit {
    let number = id.to_string();
    let command = Command {
        id: uuid::Uuid::new_v4().to_string(),
        incident: id,
        actor: operator.to_owned(),
        action: Some(wire),
        ..Command::default()
    };
    let reply = match client.act(command).await {
        Ok(reply) => reply.into_inner(),
        Err(status) => return complain(&said(words)(status), Exit::Failure),
    };
    if !reply.refused.is_empty() {
        return complain(&refusal(words, &number, &reply.refused), Exit::Failure);
    }
    let incident = reply.incident.unwrap_or_default();
    if *form == Format::Table {
        let state = incident.current_state().name();
        let told = words
            .with("done-action", &[("id", &number), ("state", state), ("owner", &incident.owner)]);
        print(&format!("{}\n", crate::sanitise::sanitise(&told)));
    } else {
        print(&rows::write(form, &[row::incident(&incident, words, Time::now())]));
    }
    Exit::Success
}

/// A refusal as a sentence.
pub(crate) fn refusal(words: &Words, id: &str, refused: &str) -> String {
    let (word, detail) = refused.split_once(' ').unwrap_or((refused, ""));
    let state = format!("istate-{detail}");
    let known = words.get(&state);
    // A state in the language's own word.
    let detail = if word == "wrong-state" && known != state { known.as_str() } else { detail };
    words.with(&format!("refused-{word}"), &[("id", id), ("detail", detail)])
}

async fn show(client: &mut Client, words: &Words, form: &Format, id: u64) -> Exit {
    let detail = match client.get_incident(IncidentRequest { id }).await {
        Ok(detail) => detail.into_inner(),
        Err(_) => {
            return complain(
                &words.with("refused-not-found", &[("id", &id.to_string())]),
                Exit::Failure,
            );
        }
    };
    let mut row = row::incident(&detail.incident.unwrap_or_default(), words, Time::now());
    let timeline: Vec<Value> = detail
        .timeline
        .iter()
        .filter(|step| step.action != "counted")
        .map(|step| json!({ "time": Time(step.time_unix_nano).to_string(), "actor": step.actor, "action": step.action, "text": step.text }))
        .collect();
    let owed: Vec<rows::Row> = detail.clocks.iter().map(|duty| duties::row(duty, words)).collect();
    if *form == Format::Table {
        let mut text = String::new();
        for (name, value) in &row {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.push_str(&format!("{name:<20} {}\n", crate::sanitise::sanitise(&value)));
        }
        for step in &timeline {
            let field = |name: &str| {
                crate::sanitise::sanitise(step[name].as_str().unwrap_or("")).into_owned()
            };
            text.push_str(&format!(
                "{}  {:<10} {:<12} {}\n",
                field("time"),
                field("actor"),
                field("action"),
                field("text")
            ));
        }
        for duty in &detail.clocks {
            text.push_str(&format!(
                "{}\n",
                crate::sanitise::sanitise(&duties::line(duty, words, Time::now()))
            ));
        }
        for event in &detail.evidence {
            text.push_str(&format!("  {}\n", crate::sanitise::sanitise(&event.raw)));
        }
        print(&text);
        return Exit::Success;
    }
    row.insert("timeline".into(), Value::Array(timeline));
    row.insert("duties".into(), Value::Array(owed.into_iter().map(Value::Object).collect()));
    let evidence: Vec<Value> =
        detail.evidence.iter().map(|event| Value::Object(row::event(event))).collect();
    row.insert("evidence".into(), Value::Array(evidence));
    print(&rows::write(form, &[row]));
    Exit::Success
}
