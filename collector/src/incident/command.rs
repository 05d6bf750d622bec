//! What an operator's command does to an incident, or why it may not. Pure.

use std::time::Duration;

use vonggac_wire::{
    Time,
    incident::{Refusal, action_name, next_state},
    limits::{NAME_CHARACTERS_MAX, NOTE_CHARACTERS_MAX, REPORTS_MAX},
    proto::{Command, Hide, Incident, IncidentState, Report, Reported, Verdict, command::Action},
};

/// An incident is hidden for a month at most: what has to be hidden for longer is a rule to be changed.
const HIDDEN_MAX: Duration = Duration::from_secs(31 * 86_400);

/// The incident after the command, the step's word and its text.
pub(super) fn apply(
    incident: &Incident,
    command: &Command,
    now: Time,
) -> Result<(Incident, &'static str, String), Refusal> {
    let Some(action) = &command.action else { return Err(Refusal::Malformed) };
    if command.actor.is_empty()
        || command.actor.chars().count() > NAME_CHARACTERS_MAX
        || command.id.is_empty()
    {
        return Err(Refusal::Malformed);
    }
    if command.expected_version != 0 && command.expected_version != incident.version {
        return Err(Refusal::MovedOn { actor: incident.owner.clone(), version: incident.version });
    }
    let state = next_state(incident.current_state(), action)?;
    let mut after = incident.clone();
    after.state = state.into();
    let text = match action {
        Action::Acknowledge(_) => {
            after.owner.clone_from(&command.actor);
            after.acknowledged_unix_nano.get_or_insert(now.0);
            String::new()
        }
        Action::Assign(assign) => {
            let owner = required(&assign.owner)?;
            after.owner.clone_from(&owner);
            after.acknowledged_unix_nano.get_or_insert(now.0);
            if !assign.responsible_agency.is_empty() {
                after.responsible_agency = limited(&assign.responsible_agency)?;
            }
            if !assign.task.is_empty() {
                after.task = limited(&assign.task)?;
            }
            if assign.deadline_unix_nano.is_some() {
                after.deadline_unix_nano = assign.deadline_unix_nano;
                after.deadline_given = true;
            }
            if assign.task.is_empty() { owner } else { format!("{owner}: {}", assign.task) }
        }
        Action::Note(note) => {
            after.last_note = required(&note.text)?;
            after.last_note.clone()
        }
        Action::Hold(hold) => required(&hold.reason)?,
        Action::Resolve(resolve) => {
            after.result = required(&resolve.result)?;
            after.resolved_unix_nano = Some(now.0);
            after.result.clone()
        }
        Action::Close(close) => closed(&mut after, &close.result, close.verdict, now)?,
        Action::Reopen(reopen) => {
            // It stands for itself again, whatever it had been merged into.
            after.merged_into = 0;
            after.resolved_unix_nano = None;
            after.closed_unix_nano = None;
            after.reopened += 1;
            required(&reopen.reason)?
        }
        Action::Judge(judge) => {
            after.verdict = verdict(judge.verdict).ok_or(Refusal::VerdictMissing)?.into();
            after.judged_unix_nano = Some(now.0);
            verdict(judge.verdict).map(Verdict::name).unwrap_or_default().to_owned()
        }
        Action::HandOver(over) => {
            after.owner = required(&over.owner)?;
            after.acknowledged_unix_nano.get_or_insert(now.0);
            after.last_note = required(&over.note)?;
            format!("{}: {}", after.owner, after.last_note)
        }
        // The other side of a merge or split is the book's: it knows the other incident.
        Action::Merge(merge) => {
            after.merged_into = merge.into;
            after.verdict = Verdict::Duplicate.into();
            after.result = format!("#{}", merge.into);
            after.resolved_unix_nano.get_or_insert(now.0);
            after.closed_unix_nano = Some(now.0);
            after.result.clone()
        }
        Action::Split(split) => {
            let reason = required(&split.reason)?;
            after.agencies.retain(|agency| !split.agencies.contains(agency));
            let moved = incident.agencies.len() - after.agencies.len();
            if moved == 0 || after.agencies.is_empty() {
                return Err(Refusal::SplitNamesNoneOrAll);
            }
            if !after.agencies.contains(&after.agency) {
                after.agency.clone_from(&after.agencies[0]);
            }
            format!("{}: {reason}", split.agencies.join(" "))
        }
        Action::Hide(hide) => {
            let (word, text) = hidden(&mut after, hide, &command.actor, now)?;
            return Ok((after, word, text));
        }
        Action::Report(report) => reported(&mut after, report, &command.actor, now)?,
    };
    Ok((after, action_name(action), text))
}

/// Closing needs a result and a verdict, given now or before.
fn closed(after: &mut Incident, result: &str, judged: i32, now: Time) -> Result<String, Refusal> {
    if !result.is_empty() {
        after.result = limited(result)?;
    }
    if let Some(verdict) = verdict(judged) {
        after.verdict = verdict.into();
        after.judged_unix_nano = Some(now.0);
    }
    if after.result.is_empty() {
        return Err(Refusal::ResultMissing);
    }
    if after.current_verdict().is_none() {
        return Err(Refusal::VerdictMissing);
    }
    after.state = IncidentState::Closed.into();
    after.resolved_unix_nano.get_or_insert(now.0);
    after.closed_unix_nano = Some(now.0);
    Ok(after.result.clone())
}

/// Hidden until an end, or shown again: the step's word and its text.
fn hidden(
    after: &mut Incident,
    hide: &Hide,
    actor: &str,
    now: Time,
) -> Result<(&'static str, String), Refusal> {
    let reason = required(&hide.reason)?;
    let until = Time(hide.until_unix_nano);
    // No end is the end of hiding, if it was hidden.
    if hide.until_unix_nano == 0 && after.hidden_until_unix_nano.is_some() {
        after.hidden_until_unix_nano = None;
        after.hidden_by.clear();
        after.hidden_reason.clear();
        return Ok(("shown", reason));
    }
    let left = until.since(now);
    if left.is_zero() || left > HIDDEN_MAX {
        return Err(Refusal::HideEnd);
    }
    after.hidden_until_unix_nano = Some(until.0);
    actor.clone_into(&mut after.hidden_by);
    after.hidden_reason.clone_from(&reason);
    Ok(("hidden", format!("{until}: {reason}")))
}

/// A report that a law wants was sent: when, to whom, and under which number.
fn reported(
    after: &mut Incident,
    report: &Report,
    actor: &str,
    now: Time,
) -> Result<String, Refusal> {
    if after.reports.len() >= REPORTS_MAX {
        return Err(Refusal::TooManyReports);
    }
    let reference = required(&report.reference)?;
    let sent = if report.sent_unix_nano == 0 { now.0 } else { report.sent_unix_nano };
    if sent > now.0 || sent < after.first_time_unix_nano.min(after.opened_unix_nano) {
        return Err(Refusal::ReportTime);
    }
    after.reports.push(Reported {
        duty: report.duty.clone(),
        actor: actor.to_owned(),
        to: limited(&report.to)?,
        reference: reference.clone(),
        sent_unix_nano: sent,
        told_unix_nano: now.0,
    });
    Ok(format!("{} {}: {reference}", report.duty, Time(sent)))
}

fn verdict(number: i32) -> Option<Verdict> {
    Verdict::try_from(number).ok().filter(|verdict| *verdict != Verdict::Unspecified)
}

fn limited(text: &str) -> Result<String, Refusal> {
    if text.chars().count() > NOTE_CHARACTERS_MAX {
        Err(Refusal::TextTooLong)
    } else {
        Ok(text.to_owned())
    }
}

fn required(text: &str) -> Result<String, Refusal> {
    if text.trim().is_empty() { Err(Refusal::TextMissing) } else { limited(text) }
}
