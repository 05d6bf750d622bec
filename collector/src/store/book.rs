//! Incidents as the store keeps them: every step of each, and what the book and the picture read of that.

use std::collections::HashMap;

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::{
    Time,
    proto::{Incident, Transition},
};

use super::{Store, StoreError};
use crate::{
    incident::withheld::{HELD_MAX, Held, LET_GO, WITHHELD},
    quiet::SUPPRESSION_DAYS_MAX,
};

#[derive(Debug, Row, Serialize, Deserialize)]
struct TransitionRow {
    incident: u64,
    version: u64,
    time: i64,
    actor: String,
    action: String,
    from_state: String,
    to_state: String,
    text: String,
    rule: String,
    origin_key: String,
    origin_offset: i64,
    command: String,
    after: String,
}

/// A step of an incident with what the book needs to know it again.
#[derive(Clone, Debug)]
pub struct StoredTransition {
    /// The step.
    pub transition: Transition,
    /// The signal's key and offset, for "each origin once".
    pub origin_key: String,
    /// The signal's offset in its own topic.
    pub origin_offset: i64,
    /// The command's id.
    pub command: String,
}

/// What the book starts from.
#[derive(Debug, Default)]
pub struct BookState {
    /// The newest form of each incident.
    pub incidents: Vec<Incident>,
    /// The highest origin taken of each key.
    pub origins: HashMap<String, i64>,
    /// Ids of commands that were carried out.
    pub commands: Vec<String>,
    /// States that quiet periods hold back.
    pub held: Held,
}

/// Incidents that are loaded at a start; older closed ones are found by query.
const INCIDENTS_LOADED_MAX: u64 = 20_000;

/// A state is held no longer than a suppression lasts, which begins at any time of its day.
const HELD_DAYS: u64 = SUPPRESSION_DAYS_MAX + 1;

/// States that are read, with those that are over: each of a nation's services, hosts and disks once.
const HELD_READ_MAX: usize = 100 * HELD_MAX;

/// Incidents of one page: each may hold two hundred names and their shares.
const PAGE_INCIDENTS: u64 = 500;

impl Store {
    /// Keeps the steps of incidents, as one block. The same token a second time is harmless.
    ///
    /// # Errors
    /// If the engine does not take them.
    pub async fn insert_transitions(
        &self,
        steps: &[StoredTransition],
        token: &str,
    ) -> Result<(), StoreError> {
        self.writes("incidents", self.write_transitions(steps, token)).await
    }

    async fn write_transitions(
        &self,
        steps: &[StoredTransition],
        token: &str,
    ) -> Result<(), StoreError> {
        if steps.is_empty() {
            return Ok(());
        }
        let mut insert = self
            .client()
            .insert::<TransitionRow>("transitions")
            .await?
            .with_setting("insert_deduplication_token", token);
        for step in steps {
            let transition = &step.transition;
            let row = TransitionRow {
                incident: transition.incident,
                version: transition.version,
                time: Time(transition.time_unix_nano).micros(),
                actor: transition.actor.clone(),
                action: transition.action.clone(),
                from_state: transition.from_state().name().into(),
                to_state: transition.to_state().name().into(),
                text: transition.text.clone(),
                rule: transition.after.as_ref().map(|after| after.rule.clone()).unwrap_or_default(),
                origin_key: step.origin_key.clone(),
                origin_offset: step.origin_offset,
                command: step.command.clone(),
                after: serde_json::to_string(&transition.after)?,
            };
            insert.write(&row).await?;
        }
        Ok(insert.end().await?)
    }

    /// What the book starts from.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn book_state(&self) -> Result<BookState, StoreError> {
        self.settle("transitions").await?;
        let client = self.client();
        let incidents: Vec<String> = client
            .query("SELECT argMax(after, version) FROM transitions GROUP BY incident ORDER BY incident DESC LIMIT ?")
            .bind(INCIDENTS_LOADED_MAX)
            .fetch_all()
            .await?;
        let origins: Vec<(String, i64)> = client
            .query("SELECT origin_key, max(origin_offset) FROM transitions WHERE origin_key != '' AND time > now() - INTERVAL 7 DAY GROUP BY origin_key")
            .fetch_all()
            .await?;
        let commands: Vec<String> = client
            .query("SELECT command FROM transitions WHERE command != '' ORDER BY time DESC LIMIT 10000")
            .fetch_all()
            .await?;
        Ok(BookState {
            incidents: parse(&incidents)?,
            origins: origins.into_iter().collect(),
            commands,
            held: self.held_states().await?,
        })
    }

    /// The states of which the last step is that they were withheld.
    async fn held_states(&self) -> Result<Held, StoreError> {
        let text = format!(
            "SELECT argMax(toString(action), version) AS last, argMax(text, version), max(version) AS newest FROM transitions \
             WHERE incident = 0 AND action IN ('{WITHHELD}', '{LET_GO}') AND time > now() - INTERVAL {HELD_DAYS} DAY AND JSONExtractBool(text, 'state') \
             GROUP BY JSONExtractString(text, 'signal', 'rule'), JSONExtractString(text, 'signal', 'entity', 'value'), JSONExtractString(text, 'signal', 'agency') \
             ORDER BY newest DESC LIMIT {HELD_READ_MAX}"
        );
        let rows: Vec<(String, String, u64)> = self.client().query(&text).fetch_all().await?;
        let last = "SELECT max(version) FROM transitions WHERE incident = 0";
        let version = self.client().query(last).fetch_one().await?;
        let held = rows.iter().filter(|(last, ..)| last == WITHHELD);
        Ok(Held { signals: held.filter_map(|(_, text, _)| Held::signal(text)).collect(), version })
    }

    /// The incident behind a command, once that was carried out.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn carried_out(&self, command: &str) -> Result<Option<Incident>, StoreError> {
        let text: Option<String> = self
            .client()
            .query("SELECT after FROM transitions WHERE command = ? ORDER BY version DESC LIMIT 1")
            .bind(command)
            .fetch_optional()
            .await?;
        Ok(text.map(|text| serde_json::from_str::<Option<Incident>>(&text)).transpose()?.flatten())
    }

    /// The newest version of each incident of which a step was written since then.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn incident_versions(&self, since: Time) -> Result<Vec<(u64, u64)>, StoreError> {
        Ok(self
            .client()
            .query("SELECT incident, max(version) FROM transitions WHERE incident > 0 AND time >= fromUnixTimestamp64Micro(?) GROUP BY incident ORDER BY incident DESC LIMIT ?")
            .bind(since.micros())
            .bind(INCIDENTS_LOADED_MAX)
            .fetch_all()
            .await?)
    }

    /// A page of the incidents that were opened in a span, as they are now, in the order of their numbers from behind `after` on.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn incidents_opened(
        &self,
        (since, until): (Time, Time),
        after: u64,
    ) -> Result<Vec<Incident>, StoreError> {
        let texts: Vec<String> = self
            .client()
            .query("SELECT argMax(after, version) FROM transitions WHERE incident IN (SELECT incident FROM transitions WHERE version = 1 AND incident > ? AND time >= fromUnixTimestamp64Micro(?) AND time < fromUnixTimestamp64Micro(?) ORDER BY incident LIMIT ?) GROUP BY incident ORDER BY incident")
            .bind(after)
            .bind(since.micros())
            .bind(until.micros())
            .bind(PAGE_INCIDENTS)
            .fetch_all()
            .await?;
        parse(&texts)
    }

    /// These incidents as they are now.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn incidents(&self, ids: &[u64]) -> Result<Vec<Incident>, StoreError> {
        let texts: Vec<String> = self
            .client()
            .query("SELECT argMax(after, version) FROM transitions WHERE incident IN ? GROUP BY incident")
            .bind(ids)
            .fetch_all()
            .await?;
        parse(&texts)
    }
}

/// A fence among the steps is nobody's incident.
fn parse(texts: &[String]) -> Result<Vec<Incident>, StoreError> {
    let parsed: Result<Vec<Incident>, serde_json::Error> = texts
        .iter()
        .filter_map(|text| serde_json::from_str::<Option<Incident>>(text).transpose())
        .collect();
    Ok(parsed?)
}
