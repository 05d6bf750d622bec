//! What consoles ask: search, evidence, sums. Every value is bound, never spliced into the text.

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::{
    Time,
    proto::{self, EventRef, SpreadRow, Term, Transition},
};

use super::{Store, StoreError, row::EventRow, sql::Rights};

mod ceiling;
mod condition;
mod reach;
mod running;
mod search;

pub use ceiling::Ceiling;
pub(super) use condition::FOLDED_OF_ROW;
pub use condition::Named;
pub(super) use condition::bind;
pub(crate) use condition::class;
use condition::condition;
pub use reach::Reach;
pub use running::{Read, Running};

/// Columns of [`EventRow`], which a search reads.
const COLUMNS: &str = "?fields";

impl Store {
    /// The events that an incident names, as far as they are reached.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn evidence(
        &self,
        references: &[EventRef],
        reach: &Reach,
    ) -> Result<Vec<proto::EventRow>, StoreError> {
        let mut rows = Vec::new();
        let reached = reach.and();
        for reference in references {
            let lane =
                vonggac_wire::Lane::try_from(reference.lane).map_or("", vonggac_wire::Lane::name);
            let time = Time(reference.time_unix_nano);
            let source = self.events_of(time, time, &[]).await?;
            let text = format!(
                "SELECT {COLUMNS} FROM {source} WHERE agent = ? AND lane = ? AND seq = ? AND time = fromUnixTimestamp64Micro(?, 'UTC'){} LIMIT 1",
                reached.text
            );
            let query = self
                .reader()
                .query(&text)
                .bind(reference.agent.as_str())
                .bind(lane)
                .bind(reference.seq)
                .bind(Time(reference.time_unix_nano).micros());
            let found: Option<EventRow> = bind(query, &reached.values).fetch_optional().await?;
            rows.extend(found.map(EventRow::into_proto));
        }
        Ok(rows)
    }

    /// The steps of an incident, oldest first, without the incident after each.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn timeline(&self, incident: u64) -> Result<Vec<Transition>, StoreError> {
        #[derive(Row, Serialize, Deserialize)]
        struct Step {
            version: u64,
            time: i64,
            actor: String,
            action: String,
            to_state: String,
            text: String,
        }
        let steps: Vec<Step> = self
            .client()
            .query("SELECT ?fields FROM transitions WHERE incident = ? ORDER BY version LIMIT 1000")
            .bind(incident)
            .fetch_all()
            .await?;
        Ok(steps
            .into_iter()
            .map(|step| Transition {
                incident,
                version: step.version,
                time_unix_nano: step.time.saturating_mul(1000),
                actor: step.actor,
                action: step.action,
                to_state: proto::IncidentState::from_name(&step.to_state)
                    .unwrap_or(proto::IncidentState::Unspecified)
                    .into(),
                text: step.text,
                ..Transition::default()
            })
            .collect())
    }

    /// A value against the agencies that are reached.
    ///
    /// # Errors
    /// If the field is unknown, or the engine does not answer.
    pub async fn spread(
        &self,
        field: &str,
        value: &str,
        (since, until): (Time, Time),
        reach: &Reach,
    ) -> Result<Vec<SpreadRow>, StoreError> {
        let term = Term { field: field.into(), value: value.into(), negated: false };
        let condition = condition(&term, &Named::default())?;
        let reached = reach.and();
        let source = self.events_of(since, until, &[]).await?;
        let text = format!(
            "SELECT agency, count(), uniqExact(host), countIf(status = 'success'), toUnixTimestamp64Micro(min(time)), toUnixTimestamp64Micro(max(time)) \
             FROM {source} WHERE time >= fromUnixTimestamp64Micro(?, 'UTC') AND time <= fromUnixTimestamp64Micro(?, 'UTC') AND {}{} \
             GROUP BY agency ORDER BY count() DESC LIMIT 200",
            condition.text, reached.text
        );
        let query = self.reader().query(&text).bind(since.micros()).bind(until.micros());
        let query = bind(bind(query, &condition.values), &reached.values);
        let rows: Vec<(String, u64, u64, u64, i64, i64)> = query.fetch_all().await?;
        Ok(rows
            .into_iter()
            .map(|(agency, count, hosts, successes, first, last)| SpreadRow {
                agency,
                count,
                hosts,
                successes,
                first_unix_nano: first.saturating_mul(1000),
                last_unix_nano: last.saturating_mul(1000),
            })
            .collect())
    }

    /// Agents that were heard in the last thirty days, with their last heartbeat's record.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn agents(&self) -> Result<Vec<KnownAgent>, StoreError> {
        Ok(self
            .client()
            .query(
                "SELECT agency, agent, argMax(host, observed) AS host, argMax(system, observed) AS system, max(toUnixTimestamp64Micro(stored)) AS heard, \
                 argMax(kafka_partition, observed) AS partition, max(simulated) AS simulated \
                 FROM events WHERE class = 'heartbeat' AND time > now() - INTERVAL 30 DAY GROUP BY agency, agent LIMIT 100000",
            )
            .fetch_all::<KnownAgent>()
            .await?)
    }

    /// Bytes that the store takes.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn bytes(&self) -> Result<u64, StoreError> {
        Ok(self
            .client()
            .query(&format!(
                "SELECT sum(bytes_on_disk) FROM {} WHERE active",
                self.layout.system("parts")
            ))
            .fetch_one()
            .await?)
    }

    /// Runs a checked query; each row comes as a JSON array.
    ///
    /// # Errors
    /// If it is forbidden, or the engine refuses.
    pub async fn sql(&self, query: &str, rows_max: u32) -> Result<SqlRows, StoreError> {
        self.sql_within(query, rows_max, &Rights::all()).await
    }

    /// The same within its caller's rights.
    ///
    /// # Errors
    /// If it is forbidden, or the engine refuses.
    pub async fn sql_within(
        &self,
        query: &str,
        rows_max: u32,
        rights: &Rights,
    ) -> Result<SqlRows, StoreError> {
        let checked = super::sql::confined(query, rights, &self.database)?;
        // A question mark of the operator's is no place for a value.
        let text = checked.replace('?', "??");
        let client = match &self.shelf {
            Some(shelf) => shelf.bounded(self.client()),
            None => self.client(),
        };
        let mut cursor = client
            .query(&text)
            .with_setting("readonly", "1")
            .with_setting("max_result_rows", rows_max.to_string())
            .with_setting("result_overflow_mode", "break")
            .fetch_bytes("JSONCompactEachRowWithNames")?;
        let bytes = cursor.collect().await?;
        let read = cursor.summary().map(Read::of).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines();
        let columns =
            lines.next().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        let rows = lines.take(rows_max as usize).map(str::to_owned).collect();
        Ok(SqlRows { columns, rows, read })
    }
}

/// What a query of an operator's gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SqlRows {
    /// The columns' names.
    pub columns: Vec<String>,
    /// Each row a JSON array.
    pub rows: Vec<String>,
    /// What was read for it.
    pub read: Read,
}

/// An agent that was heard before.
#[derive(Clone, Debug, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct KnownAgent {
    /// Its agency.
    pub agency: String,
    /// Its name.
    pub agent: String,
    /// Its host.
    pub host: String,
    /// The host's system.
    pub system: String,
    /// When it was last stored, microseconds.
    pub heard: i64,
    /// The partition that its agency is on.
    pub partition: i32,
    /// Made by a scenario player.
    pub simulated: bool,
}
