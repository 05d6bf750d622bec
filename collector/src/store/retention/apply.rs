//! Taking away what is past its time: bounded, logged before and behind, and finished by the next run where one ends early.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::Time;

use super::{
    RetentionError,
    lease::Lease,
    plan::{Picture, action, month_of, what},
};
use crate::{
    retention::{Keeping, Policy},
    store::{Store, StoreError},
};

/// The engine's code for a part that is not there: it was merged.
const NO_SUCH_PART: &str = "NO_SUCH_DATA_PART";

/// A row of `deletions`: before something is done, and behind it. Time is microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Row, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns are those of migration 9, in their words")]
pub struct DeletionRow {
    pub time: i64,
    pub run: String,
    pub state: String,
    pub kind: String,
    pub what: String,
    pub agency: String,
    pub month: u32,
    pub rule: String,
    pub rows: u64,
    pub bytes: u64,
    pub who: String,
    pub why: String,
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The run, as the deletion log calls it.
    pub run: String,
    /// Rows of `events` that went to the cold tier.
    pub cooled_rows: u64,
    /// Files that they went to.
    pub cold_files: u64,
    /// Bytes of these files.
    pub cold_bytes: u64,
    /// Rows of `events` that were deleted.
    pub deleted_rows: u64,
    /// Parts that went as a whole, in both.
    pub parts: u64,
    /// Cold files that were deleted.
    pub deleted_files: u64,
    /// Incidents that were deleted.
    pub incidents: u64,
    /// Gaps, dead letters and rows of roll-ups that were deleted.
    pub others: u64,
    /// The time was over before the work was: the next run goes on.
    pub unfinished: bool,
}

/// A run under way.
pub(super) struct Run<'a> {
    pub store: &'a Store,
    pub keeping: &'a Keeping,
    pub picture: Picture,
    pub lease: Lease,
    pub who: String,
    pub report: Report,
    until: Instant,
    tell: &'a (dyn Fn(&str) + Sync),
}

impl Store {
    /// Applies the policy. `seconds_max` bounds it between steps; `tell` hears of each.
    ///
    /// # Errors
    /// If another works on the store, the policy reaches what is newly held, or the engine or the cold tier refuse.
    pub async fn apply(
        &self,
        keeping: &Keeping,
        who: &str,
        lasts_max: Duration,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<Report, RetentionError> {
        let lease = Lease::take(self, "retention", who).await?;
        let now = Time::now();
        let reached = self.reached(&keeping.policy, now).await;
        let picture = self.picture(&keeping.policy, now).await;
        let (picture, reached) = match (picture, reached) {
            (Ok(picture), Ok(reached)) if reached.is_empty() => (picture, reached),
            (Err(error), _) | (_, Err(error)) => return ended(lease, Err(error)).await,
            (_, Ok(reached)) => return ended(lease, Err(RetentionError::Held(reached))).await,
        };
        drop(reached);
        let mut run = Run {
            store: self,
            keeping,
            picture,
            lease,
            who: who.to_owned(),
            report: Report { run: uuid::Uuid::new_v4().to_string(), ..Report::default() },
            until: Instant::now() + lasts_max,
            tell,
        };
        let outcome = run.all().await;
        let Run { lease, report, .. } = run;
        ended(lease, outcome.map(|()| report)).await
    }

    /// The newest lines of the deletion log.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn deletions(&self, limit: u32) -> Result<Vec<DeletionRow>, StoreError> {
        Ok(self
            .client()
            .query("SELECT ?fields FROM deletions ORDER BY time DESC, state LIMIT ?")
            .bind(limit)
            .fetch_all()
            .await?)
    }

    /// Writes down which policy is applied, if it is another than before.
    async fn save_policy(&self, policy: &Policy, who: &str) -> Result<(), RetentionError> {
        #[derive(Row, Serialize, Deserialize)]
        struct PolicyRow {
            time: i64,
            who: String,
            policy: String,
        }
        let text = serde_json::to_string(policy)?;
        let last: Option<String> = self
            .client()
            .query("SELECT policy FROM retention_policies ORDER BY time DESC LIMIT 1")
            .fetch_optional()
            .await?;
        if last.as_ref() == Some(&text) {
            return Ok(());
        }
        let mut insert = self.client().insert::<PolicyRow>("retention_policies").await?;
        insert
            .write(&PolicyRow { time: Time::now().micros(), who: who.to_owned(), policy: text })
            .await?;
        Ok(insert.end().await?)
    }

    /// Takes rows of `events` out of one month: parts that go as a whole by name, the rest by a lightweight DELETE. Gives rows and parts.
    pub(super) async fn remove(
        &self,
        month: u32,
        condition: &str,
    ) -> Result<(u64, u64), RetentionError> {
        let client = self.client();
        let (mut rows, dropped, rest) = if self.layout().is_cluster() {
            // Parts of the same name on two shards are not the same.
            let text = format!(
                "SELECT count() FROM events WHERE _partition_id = '{month}' AND {condition}"
            );
            (0, 0, client.query_raw(&text).fetch_one::<u64>().await?)
        } else {
            self.drop_parts(month, condition).await?
        };
        if rest > 0 {
            let delete = self.layout().delete("events", Some(&month.to_string()), condition);
            client.query_raw(&delete).execute().await?;
            rows += rest;
        }
        let left: u64 = client
            .query_raw(&format!(
                "SELECT count() FROM events WHERE _partition_id = '{month}' AND {condition}"
            ))
            .fetch_one()
            .await?;
        if left > 0 {
            return Err(RetentionError::Stayed { table: "events".into(), rows: left });
        }
        Ok((rows, dropped))
    }

    /// Drops the parts of a month that go as a whole; gives their rows, their number, and rows that are left to go.
    async fn drop_parts(
        &self,
        month: u32,
        condition: &str,
    ) -> Result<(u64, u64, u64), RetentionError> {
        let client = self.client();
        let text = format!(
            "SELECT _part, count(), countIf({condition}) AS go FROM events WHERE _partition_id = '{month}' GROUP BY _part HAVING go > 0"
        );
        let parts: Vec<(String, u64, u64)> = client.query_raw(&text).fetch_all().await?;
        let (mut rows, mut dropped, mut rest) = (0, 0, 0);
        for (part, whole, go) in parts {
            if whole != go {
                rest += go;
                continue;
            }
            let drop = format!("ALTER TABLE events DROP PART '{part}'");
            match client.query_raw(&drop).execute().await {
                Ok(()) => {
                    rows += go;
                    dropped += 1;
                }
                Err(error) if error.to_string().contains(NO_SUCH_PART) => rest += go,
                Err(error) => return Err(error.into()),
            }
        }
        Ok((rows, dropped, rest))
    }
}

/// Gives the lease back, whatever came of the work.
async fn ended<T>(lease: Lease, outcome: Result<T, RetentionError>) -> Result<T, RetentionError> {
    if let Err(error) = lease.end().await {
        tracing::warn!(%error, "the lease was not given back; it ends by itself in ten minutes");
    }
    outcome
}

impl Run<'_> {
    async fn all(&mut self) -> Result<(), RetentionError> {
        // Before anything is begun: the engine would wait for a place that hangs, and tell it in its own words.
        self.store.cold_answers().await?;
        self.store.save_policy(&self.keeping.policy, &self.who).await?;
        self.resume().await?;
        self.cool().await?;
        self.delete_events().await?;
        self.delete_files().await?;
        self.sweep().await
    }

    /// Whether there is time for one more step; says that this run lives.
    pub(super) async fn goes_on(&mut self) -> Result<bool, RetentionError> {
        self.lease.beat().await?;
        if Instant::now() >= self.until {
            self.report.unfinished = true;
        }
        Ok(!self.report.unfinished)
    }

    pub(super) fn tell(&self, text: &str) {
        (self.tell)(text);
    }

    /// Writes to the deletion log.
    pub(super) async fn log(&self, state: &str, rows: &[DeletionRow]) -> Result<(), StoreError> {
        let mut insert = self.store.client().insert::<DeletionRow>("deletions").await?;
        let time = Time::now().micros();
        for row in rows {
            let row = DeletionRow {
                time,
                run: self.report.run.clone(),
                state: state.into(),
                who: self.who.clone(),
                ..row.clone()
            };
            insert.write(&row).await?;
        }
        Ok(insert.end().await?)
    }

    /// Why rows of a rule are deleted, for the log.
    pub(super) fn why(&self, rule: &str) -> String {
        let rules = self.keeping.policy.rules.iter();
        let days = rules.filter(|one| one.name == rule).map(|one| one.keep_days).next();
        days.map_or_else(String::new, |days| format!("older than the {days} days of {rule}"))
    }

    async fn delete_events(&mut self) -> Result<(), RetentionError> {
        let goes = self.picture.goes();
        let text = format!(
            "SELECT toYYYYMM(day) AS month, agency, toUInt8({}) AS rule, count() FROM events WHERE day < toDate({}) AND {goes} \
             GROUP BY month, agency, rule ORDER BY month, agency, rule",
            self.picture.asked.rule, self.picture.asked.before_day
        );
        let counts: Vec<(u32, String, u8, u64)> =
            self.store.client().query_raw(&text).fetch_all().await?;
        let weights = self.store.row_bytes().await?;
        let mut months: BTreeMap<u32, Vec<DeletionRow>> = BTreeMap::new();
        for (month, agency, rule, rows) in counts {
            let rule = self.keeping.policy.rules.get(usize::from(rule));
            let rule = rule.map(|rule| rule.name.clone()).unwrap_or_default();
            let each = weights.get(&month).copied().unwrap_or(0.0);
            months.entry(month).or_default().push(DeletionRow {
                kind: action::DELETE.into(),
                what: what::EVENTS.into(),
                agency,
                month,
                why: self.why(&rule),
                rule,
                rows,
                bytes: super::plan::about(rows, each),
                ..DeletionRow::default()
            });
        }
        for (month, lines) in months {
            if !self.goes_on().await? {
                return Ok(());
            }
            self.log("begun", &lines).await?;
            let (rows, parts) = self.store.remove(month, &goes).await?;
            self.log("done", &lines).await?;
            self.report.deleted_rows += rows;
            self.report.parts += parts;
            self.tell(&format!("{month}: {rows} rows deleted, {parts} parts as a whole"));
        }
        Ok(())
    }

    /// Cold files past their time that no hold keeps.
    async fn delete_files(&mut self) -> Result<(), RetentionError> {
        let old = self.store.old_files(&self.keeping.policy, &self.picture).await?;
        let Some(shelf) = self.store.shelf.clone() else { return Ok(()) };
        let mut gone = 0;
        for (file, held) in old {
            if !held.is_empty() {
                continue;
            }
            if !self.goes_on().await? {
                break;
            }
            let days = self.keeping.policy.cold_days(&file.set, &file.agency);
            let line = DeletionRow {
                kind: action::DELETE.into(),
                what: what::COLD.into(),
                agency: file.agency.clone(),
                month: month_of(file.day),
                rule: file.rule.clone(),
                rows: file.rows,
                bytes: file.bytes,
                why: format!("{}: older than {days} days", file.path),
                ..DeletionRow::default()
            };
            self.log("begun", std::slice::from_ref(&line)).await?;
            // A search no longer asks for it before it is gone.
            self.store.save_cold(std::slice::from_ref(&file), "deleted").await?;
            shelf.remove(&file.path).await?;
            gone += 1;
            self.log("done", &[line]).await?;
            self.report.deleted_files += 1;
            self.report.deleted_rows += file.rows;
            self.tell(&format!("{}: {} rows deleted with their file", file.path, file.rows));
        }
        if gone > 0 {
            self.store.show_cold(&shelf).await?;
        }
        // A crash between manifest and folder left its file.
        for file in self.store.cold_files("state = 'deleted'", super::plan::FILES_MAX).await? {
            shelf.remove(&file.path).await?;
        }
        Ok(())
    }
}
