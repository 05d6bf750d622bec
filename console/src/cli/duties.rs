//! What laws want: all of it, or of one incident with its deadlines and what has been reported.

use serde_json::json;
use vonggac_answer::rows::{self, Row};
use vonggac_wire::{
    IncidentId, Time,
    proto::{IncidentRequest, LegalClock},
};

use super::{
    row::{text_of, time},
    show::{said, whole},
};
use crate::{client::Client, screen::duty, words::Words};

/// A row for each duty.
pub(super) async fn rows(
    client: &mut Client,
    words: &Words,
    incident: Option<&str>,
) -> Result<Vec<Row>, String> {
    let duties = match incident {
        None => whole(client, words).await?.duties,
        Some(text) => {
            let IncidentId(id) =
                text.parse().map_err(|_| words.with("bad-id", &[("text", text)]))?;
            let asked = client.get_incident(IncidentRequest { id }).await;
            asked.map_err(said(words))?.into_inner().clocks
        }
    };
    Ok(duties.iter().map(|duty| row(duty, words)).collect())
}

/// A duty in one line, as the screen has it.
pub(super) fn line(clock: &LegalClock, words: &Words, now: Time) -> String {
    duty::line(words, clock, now)
}

pub(super) fn row(clock: &LegalClock, words: &Words) -> Row {
    let reports: Vec<_> = clock
        .reports
        .iter()
        .map(|report| {
            json!({
                "sent": text_of(report.sent_unix_nano),
                "actor": report.actor,
                "to": report.to,
                "reference": report.reference,
                "told": text_of(report.told_unix_nano),
            })
        })
        .collect();
    rows::row(json!({
        "duty": clock.id,
        "name": words.pick(&clock.name_vi, &clock.name_en),
        "state": clock.state,
        "due": time(clock.due_unix_nano),
        "law": words.pick(&clock.law_vi, &clock.law_en),
        "article": clock.article,
        "confidence": clock.confidence,
        "kind": clock.kind,
        "starts_on": clock.starts_on,
        "started": time(clock.started_unix_nano),
        "limit": clock.limit,
        "reporter": clock.reporter_role,
        "recipients": clock.recipient_roles,
        "applies_from": clock.applies_from,
        "applies_to": clock.applies_to,
        "note": clock.note,
        "reports": reports,
    }))
}
