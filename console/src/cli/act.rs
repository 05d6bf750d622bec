//! What is done on one incident.

use clap::Subcommand;
use serde_json::{Value, json};
use tonic::transport::Channel;
use vonggac_daemon::exit::Exit;
use vonggac_wire::{
    IncidentId, Time,
    proto::{
        Acknowledge, Assign, Close, Command, Hold, IncidentRequest, Judge, Note, Reopen, Resolve,
        Verdict, command::Action as Wire, console_client::ConsoleClient,
    },
};

use super::{
    complain, filter,
    format::{self, Format},
    print, row,
};
use crate::words::Words;

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
        /// Until when.
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
    /// Give a verdict.
    Judge {
        /// Its number.
        id: String,
        /// false_positive, true_positive, benign, test, insufficient_data or duplicate.
        verdict: String,
    },
}

impl Action {
    fn id(&self) -> &str {
        match self {
            Self::Show { id }
            | Self::Ack { id }
            | Self::Assign { id, .. }
            | Self::Note { id, .. }
            | Self::Hold { id, .. }
            | Self::Resolve { id, .. }
            | Self::Close { id, .. }
            | Self::Reopen { id, .. }
            | Self::Judge { id, .. } => id,
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
                deadline_unix_nano: deadline
                    .and_then(|text| filter::time(&text, now))
                    .map(|time| time.0),
            }),
            Self::Note { text, .. } => Wire::Note(Note { text }),
            Self::Hold { reason, .. } => Wire::Hold(Hold { reason }),
            Self::Resolve { result, .. } => Wire::Resolve(Resolve { result }),
            Self::Close { result, verdict: name, .. } => {
                Wire::Close(Close { result, verdict: name.as_deref().map_or(0, verdict) })
            }
            Self::Reopen { reason, .. } => Wire::Reopen(Reopen { reason }),
            Self::Judge { verdict: name, .. } => Wire::Judge(Judge { verdict: verdict(&name) }),
        })
    }
}

pub(super) async fn run(
    client: &mut ConsoleClient<Channel>,
    words: &Words,
    form: &Format,
    action: Action,
    operator: &str,
) -> Exit {
    let Ok(IncidentId(id)) = action.id().parse() else {
        return complain(&words.with("bad-id", &[("text", action.id())]), Exit::Usage);
    };
    let number = id.to_string();
    let Some(wire) = action.wire(Time::now()) else { return show(client, words, form, id).await };
    let command = Command {
        id: uuid::Uuid::new_v4().to_string(),
        incident: id,
        actor: operator.to_owned(),
        action: Some(wire),
        ..Command::default()
    };
    let reply = match client.act(command).await {
        Ok(reply) => reply.into_inner(),
        Err(status) => return complain(status.message(), Exit::Failure),
    };
    if !reply.refused.is_empty() {
        return complain(&refusal(words, &number, &reply.refused), Exit::Failure);
    }
    let incident = reply.incident.unwrap_or_default();
    if *form == Format::Table {
        let state = incident.current_state().name();
        print(&format!(
            "{}\n",
            words.with(
                "done-action",
                &[("id", &number), ("state", state), ("owner", &incident.owner)]
            )
        ));
    } else {
        print(&format::write(form, &[row::incident(&incident, words, Time::now())]));
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

async fn show(client: &mut ConsoleClient<Channel>, words: &Words, form: &Format, id: u64) -> Exit {
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
        for event in &detail.evidence {
            text.push_str(&format!("  {}\n", crate::sanitise::sanitise(&event.raw)));
        }
        print(&text);
        return Exit::Success;
    }
    row.insert("timeline".into(), Value::Array(timeline));
    let evidence: Vec<Value> =
        detail.evidence.iter().map(|event| Value::Object(row::event(event))).collect();
    row.insert("evidence".into(), Value::Array(evidence));
    print(&format::write(form, &[row]));
    Exit::Success
}
