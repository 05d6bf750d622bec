//! What a policy would do today.

use std::collections::HashMap;

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::{Time, proto::Incident};

use super::{Below, ROLLUPS, RetentionError};
use crate::{
    retention::{
        Asked, Keeping, Policy, day_of,
        hold::{self, EVENT_HOST, InForce},
    },
    store::{Store, StoreError, cold::ColdFile},
};

/// Incidents that one run looks at; the next run goes on.
pub(super) const INCIDENTS_MAX: usize = 20_000;

/// Cold files that one run looks at; the next run goes on.
pub(super) const FILES_MAX: usize = 50_000;

/// What a line of the plan is about.
pub mod what {
    /// Rows of `events`.
    pub const EVENTS: &str = "events";
    /// Files of the cold tier.
    pub const COLD: &str = "cold files";
    /// Incidents with their steps.
    pub const INCIDENTS: &str = "incidents";
    /// Gaps.
    pub const GAPS: &str = "gaps";
    /// Dead letters.
    pub const DEAD_LETTERS: &str = "dead_letters";
}

/// What a line does.
pub mod action {
    /// Gone for ever.
    pub const DELETE: &str = "delete";
    /// To the cold tier.
    pub const COOL: &str = "cool";
}

/// A line of the plan: of a month's rows of one agency under one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanLine {
    /// See [`what`].
    pub what: String,
    /// The rule.
    pub rule: String,
    /// The agency; empty: of none, or of several.
    pub agency: String,
    /// Year and month, 202611.
    pub month: u32,
    /// See [`action`].
    pub action: String,
    /// Rows that go.
    pub rows: u64,
    /// Their bytes on the disk, about.
    pub bytes: u64,
    /// Rows that each hold keeps from going.
    pub held: Vec<(String, u64)>,
    /// Rows that are past their time and are not closed yet: the next run takes them.
    pub waiting: u64,
}

/// What a run goes by.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The day.
    pub today: u16,
    /// The policy on that day.
    pub asked: Asked,
    /// What is closed.
    pub below: Below,
    /// What is held.
    pub holds: Vec<InForce>,
}

impl Picture {
    /// A row of `events` that goes for ever.
    pub(super) fn goes(&self) -> String {
        format!(
            "{} AND {} AND NOT {}",
            self.asked.over,
            self.below.sql(),
            hold::any(&self.holds, "time", Some(EVENT_HOST))
        )
    }

    /// A row of `events` that goes to the cold tier. A hold does not keep it: it is not deleted.
    pub(super) fn cools(&self) -> String {
        format!("{} AND {}", self.asked.cold, self.below.sql())
    }

    /// Rows of a small table that are past their days, held or not. Roll-ups at or above their mark stay: after a crash they are asked for,
    /// and summed again where they are not found.
    pub(super) fn past(&self, table: &str, time: &str, days: u32) -> String {
        let old = format!("{time} < {}", self.cutoff(days));
        if ROLLUPS.iter().any(|(name, _)| *name == table) {
            format!("{old} AND {}", self.below.rollups())
        } else {
            old
        }
    }

    pub(super) fn counted(&self, condition: &str, time: &str, host: Option<&str>) -> String {
        let counts: Vec<String> = self
            .holds
            .iter()
            .map(|hold| format!("countIf({condition} AND {})", hold.condition(time, host)))
            .collect();
        if counts.is_empty() {
            "emptyArrayUInt64()".into()
        } else {
            format!("[{}]", counts.join(", "))
        }
    }

    pub(super) fn names(&self, counts: &[u64]) -> Vec<(String, u64)> {
        self.holds
            .iter()
            .zip(counts)
            .filter(|(_, count)| **count > 0)
            .map(|(hold, count)| (hold.name().to_owned(), *count))
            .collect()
    }

    /// The first moment that is not past `days`, as SQL.
    pub(super) fn cutoff(&self, days: u32) -> String {
        let day = u32::from(self.today).saturating_sub(days);
        format!("toDateTime64(toDate({day}), 6, 'UTC')")
    }
}

#[derive(Row, Serialize, Deserialize)]
struct Counted {
    agency: String,
    month: u32,
    rule: u8,
    is_over: u8,
    rows: u64,
    go: u64,
    waiting: u64,
    held: Vec<u64>,
}

#[derive(Row, Serialize, Deserialize)]
struct Small {
    agency: String,
    month: u32,
    go: u64,
    held: Vec<u64>,
}

/// An incident that is past its time and closed.
pub(super) struct OldIncident {
    pub id: u64,
    pub month: u32,
    pub steps: u64,
    pub incident: Incident,
}

impl Store {
    /// What a run of this moment goes by.
    ///
    /// # Errors
    /// If the engine does not answer, or a hold's incident is gone.
    pub async fn picture(&self, policy: &Policy, now: Time) -> Result<Picture, RetentionError> {
        let today = day_of(now);
        // Progress before holds: a hold that is placed meanwhile is in force.
        let below = self.below().await?;
        Ok(Picture {
            today,
            asked: policy.asked(today),
            below,
            holds: self.holds_in_force().await?,
        })
    }

    /// What would go today.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn plan(
        &self,
        keeping: &Keeping,
        now: Time,
    ) -> Result<Vec<PlanLine>, RetentionError> {
        let policy = &keeping.policy;
        let picture = self.picture(policy, now).await?;
        let mut lines = self.plan_events(policy, &picture).await?;
        for (file, held) in self.old_files(policy, &picture).await? {
            let gone = held.is_empty();
            lines.push(PlanLine {
                what: what::COLD.into(),
                rule: file.rule.clone(),
                agency: file.agency.clone(),
                month: month_of(file.day),
                action: action::DELETE.into(),
                rows: if gone { file.rows } else { 0 },
                bytes: if gone { file.bytes } else { 0 },
                held,
                waiting: 0,
            });
        }
        for old in self.old_incidents(policy.incidents_days, &picture).await? {
            let held: Vec<(String, u64)> = picture
                .holds
                .iter()
                .filter(|hold| hold.keeps(&old.incident))
                .map(|hold| (hold.name().to_owned(), 1))
                .collect();
            lines.push(PlanLine {
                what: what::INCIDENTS.into(),
                rule: what::INCIDENTS.into(),
                agency: old.incident.agency.clone(),
                month: old.month,
                action: action::DELETE.into(),
                rows: u64::from(held.is_empty()),
                bytes: 0,
                held,
                waiting: 0,
            });
        }
        for (table, time, days) in small_tables(policy) {
            lines.extend(self.plan_small(table, time, days, &picture).await?);
        }
        Ok(folded(lines))
    }

    async fn plan_events(
        &self,
        policy: &Policy,
        picture: &Picture,
    ) -> Result<Vec<PlanLine>, RetentionError> {
        let asked = &picture.asked;
        let held = hold::any(&picture.holds, "time", Some(EVENT_HOST));
        let text = format!(
            "SELECT agency, toYYYYMM(day) AS month, toUInt8({}) AS rule, toUInt8({}) AS is_over, count() AS rows, \
             countIf({} AND NOT (is_over AND {held})) AS go, countIf(NOT {}) AS waiting, {} AS held \
             FROM events WHERE day < toDate({}) AND ({} OR {}) GROUP BY agency, month, rule, is_over ORDER BY month, agency, rule, is_over",
            asked.rule,
            asked.over,
            picture.below.sql(),
            picture.below.sql(),
            picture.counted(&asked.over, "time", Some(EVENT_HOST)),
            asked.before_day,
            asked.over,
            asked.cold,
        );
        let rows: Vec<Counted> = self.client().query_raw(&text).fetch_all().await?;
        let weights = self.row_bytes().await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let rule = policy.rules.get(usize::from(row.rule));
                let each = weights.get(&row.month).copied().unwrap_or(0.0);
                PlanLine {
                    what: what::EVENTS.into(),
                    rule: rule.map(|rule| rule.name.clone()).unwrap_or_default(),
                    agency: row.agency,
                    month: row.month,
                    action: if row.is_over == 1 { action::DELETE } else { action::COOL }.into(),
                    rows: row.go,
                    bytes: about(row.go, each),
                    held: picture.names(&row.held),
                    waiting: row.waiting,
                }
            })
            .collect())
    }

    async fn plan_small(
        &self,
        table: &str,
        time: &str,
        days: u32,
        picture: &Picture,
    ) -> Result<Vec<PlanLine>, RetentionError> {
        let past = picture.past(table, time, days);
        let held = hold::any(&picture.holds, time, None);
        let text = format!(
            "SELECT agency, toYYYYMM({time}) AS month, countIf(NOT {held}) AS go, {} AS held FROM {table} FINAL WHERE {past} \
             GROUP BY agency, month ORDER BY month, agency",
            picture.counted("1", time, None)
        );
        let rows: Vec<Small> = self.client().query_raw(&text).fetch_all().await?;
        Ok(rows
            .into_iter()
            .map(|Small { agency, month, go, held }| PlanLine {
                what: table.into(),
                rule: table.into(),
                agency,
                month,
                action: action::DELETE.into(),
                rows: go,
                bytes: 0,
                held: picture.names(&held),
                waiting: 0,
            })
            .collect())
    }

    /// Bytes on the disk of a row of each month, about: a part does not say which of its rows they are of.
    pub(super) async fn row_bytes(&self) -> Result<HashMap<u32, f64>, StoreError> {
        let rows: Vec<(u32, f64)> = self
            .client()
            .query(&format!(
                "SELECT toUInt32OrZero(partition), sum(bytes_on_disk) / greatest(sum(rows), 1) FROM {} WHERE active AND database = ? AND table = ? GROUP BY partition",
                self.layout.system_once("parts")
            ))
            .bind(self.database.as_str())
            .bind(self.layout.local("events"))
            .fetch_all()
            .await?;
        Ok(rows.into_iter().collect())
    }

    /// Closed incidents whose last step is past `days`.
    pub(super) async fn old_incidents(
        &self,
        days: u32,
        picture: &Picture,
    ) -> Result<Vec<OldIncident>, StoreError> {
        let text = format!(
            "SELECT incident, toYYYYMM(max(time)), count(), argMax(after, version) FROM transitions WHERE incident > 0 GROUP BY incident HAVING max(time) < {} ORDER BY incident LIMIT {INCIDENTS_MAX}",
            picture.cutoff(days)
        );
        let rows: Vec<(u64, u32, u64, String)> = self.client().query_raw(&text).fetch_all().await?;
        let mut old = Vec::new();
        for (id, month, steps, after) in rows {
            let Some(incident) = serde_json::from_str::<Option<Incident>>(&after)? else {
                continue;
            };
            if !incident.current_state().is_open() {
                old.push(OldIncident { id, month, steps, incident });
            }
        }
        Ok(old)
    }

    /// Cold files past their time, each with the rows that holds keep in it.
    pub(super) async fn old_files(
        &self,
        policy: &Policy,
        picture: &Picture,
    ) -> Result<Vec<(ColdFile, Vec<(String, u64)>)>, RetentionError> {
        let files = self.cold_files("state IN ('moving', 'settled')", FILES_MAX).await?;
        let Some(shelf) = &self.shelf else {
            return match files.len() {
                0 => Ok(Vec::new()),
                files => Err(RetentionError::NoShelf { files: files as u64 }),
            };
        };
        let columns = self.columns("events").await?;
        let mut old = Vec::new();
        for file in files {
            let days = policy.cold_days(&file.set, &file.agency);
            if u32::from(file.day).saturating_add(days) >= u32::from(picture.today) {
                continue;
            }
            let source = shelf.source(std::slice::from_ref(&file.path), &columns.structure);
            let came = format!("SELECT toUInt16(toDate(max(stored))) FROM {source}");
            match self.reader().query_raw(&came).fetch_one::<u16>().await {
                Ok(came) if u32::from(came).saturating_add(days) >= u32::from(picture.today) => {
                    continue;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(path = file.path, %error, "a cold file cannot be read; it is kept");
                    continue;
                }
            }
            let mut held = Vec::new();
            if !picture.holds.is_empty() {
                let text = format!(
                    "SELECT {} FROM {source}",
                    picture.counted("1", "time", Some(EVENT_HOST)),
                );
                let counts: Vec<u64> = self.reader().query_raw(&text).fetch_one().await?;
                held = picture.names(&counts);
            }
            old.push((file, held));
        }
        Ok(old)
    }
}

/// Tables with their column of time and their days.
pub(super) fn small_tables(policy: &Policy) -> Vec<(&'static str, &'static str, u32)> {
    let mut all = vec![
        (what::GAPS, "time", policy.gaps_days),
        (what::DEAD_LETTERS, "time", policy.dead_letters_days),
    ];
    all.extend(ROLLUPS.iter().map(|(table, time)| (*table, *time, policy.rollups_days)));
    all
}

/// 202611 of a day.
pub(super) fn month_of(day: u16) -> u32 {
    let text = crate::retention::day_text(day);
    text.get(..7)
        .map(|month| month.replace('-', ""))
        .and_then(|month| month.parse().ok())
        .unwrap_or(0)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bytes of a plan are about"
)]
pub(super) fn about(rows: u64, each: f64) -> u64 {
    (rows as f64 * each) as u64
}

/// Lines of the same thing as one.
fn folded(lines: Vec<PlanLine>) -> Vec<PlanLine> {
    let mut all: Vec<PlanLine> = Vec::new();
    let mut places: HashMap<(String, String, String, u32, String), usize> = HashMap::new();
    for line in lines {
        let key = (
            line.what.clone(),
            line.rule.clone(),
            line.agency.clone(),
            line.month,
            line.action.clone(),
        );
        let Some(known) = places.get(&key).and_then(|at| all.get_mut(*at)) else {
            places.insert(key, all.len());
            all.push(line);
            continue;
        };
        known.rows += line.rows;
        known.bytes += line.bytes;
        known.waiting += line.waiting;
        for (hold, rows) in line.held {
            match known.held.iter_mut().find(|(name, _)| *name == hold) {
                Some((_, sum)) => *sum += rows,
                None => known.held.push((hold, rows)),
            }
        }
    }
    all.retain(|line| line.rows > 0 || line.waiting > 0 || !line.held.is_empty());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_of_its_month() {
        assert_eq!((month_of(20_783), month_of(0)), (202_611, 197_001));
    }

    #[test]
    fn lines_of_the_same_month_are_one_and_empty_ones_none() {
        let line = |rows, held: &[(&str, u64)]| PlanLine {
            what: what::INCIDENTS.into(),
            rule: "incidents".into(),
            agency: "H49".into(),
            month: 202_601,
            action: action::DELETE.into(),
            rows,
            bytes: rows * 10,
            held: held.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect(),
            waiting: 0,
        };
        let told = folded(vec![line(1, &[]), line(0, &[("a", 1)]), line(2, &[("a", 1)])]);
        assert_eq!(told, [line(3, &[("a", 2)])]);
        assert_eq!(folded(vec![line(0, &[])]), []);
    }
}
