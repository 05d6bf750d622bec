//! Steps of break-glasses as rows, and the records that they make.

use std::{collections::BTreeMap, time::Duration};

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::Time;

use super::{Store, StoreError};
use crate::trust::break_glass::{Event, RECORDS_MAX, Record, Step, What};

/// Times are microseconds. What only a request says is empty in all other steps.
#[derive(Debug, Default, Row, Serialize, Deserialize)]
struct StepRow {
    id: String,
    time: i64,
    who: String,
    step: String,
    agency: String,
    what: String,
    reason: String,
    valid_seconds: u64,
    answer_seconds: u64,
}

impl Store {
    /// The newest records, by their ids.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn break_glass(&self) -> Result<BTreeMap<String, Record>, StoreError> {
        self.settle("break_glass").await?;
        let text = format!(
            "SELECT ?fields FROM break_glass WHERE id IN (SELECT id FROM break_glass WHERE step = 'asked' ORDER BY time DESC LIMIT {RECORDS_MAX}) ORDER BY time, id"
        );
        let rows: Vec<StepRow> = self.client().query(&text).fetch_all().await?;
        Ok(Record::all(&rows.into_iter().filter_map(event).collect::<Vec<_>>()))
    }

    /// Writes a step. The same a second time is harmless.
    ///
    /// # Errors
    /// If the engine does not take it.
    pub async fn insert_break_glass(&self, event: &Event) -> Result<(), StoreError> {
        let mut row = StepRow {
            id: event.id.clone(),
            time: event.time.micros(),
            who: event.who.clone(),
            step: event.step.name().into(),
            ..StepRow::default()
        };
        if let Step::Asked { agency, what, reason, valid, answer_within } = &event.step {
            row.agency.clone_from(agency);
            row.what = what.name().into();
            row.reason.clone_from(reason);
            (row.valid_seconds, row.answer_seconds) = (valid.as_secs(), answer_within.as_secs());
        }
        let token = format!("break-glass-{}-{}-{}", row.id, row.step, row.time);
        let mut insert = self
            .client()
            .insert::<StepRow>("break_glass")
            .await?
            .with_setting("insert_deduplication_token", token);
        insert.write(&row).await?;
        Ok(insert.end().await?)
    }
}

/// A row's step; `None`: it is of a later version, and opens nothing here.
fn event(row: StepRow) -> Option<Event> {
    let step = match row.step.as_str() {
        "asked" => Step::Asked {
            agency: row.agency,
            what: What::from_name(&row.what)?,
            reason: row.reason,
            valid: Duration::from_secs(row.valid_seconds),
            answer_within: Duration::from_secs(row.answer_seconds),
        },
        "confirmed" => Step::Confirmed,
        "refused" => Step::Refused,
        "ended" => Step::Ended,
        "told-opened" => Step::ToldOpened,
        "told-over" => Step::ToldOver,
        _ => return None,
    };
    Some(Event { id: row.id, time: Time(row.time.saturating_mul(1_000)), who: row.who, step })
}
