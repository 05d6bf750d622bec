//! What is small: incidents with their steps, gaps, dead letters, roll-ups.

use std::collections::BTreeMap;

use super::{
    RetentionError,
    apply::{DeletionRow, Run},
    plan::{action, small_tables, what},
};
use crate::retention::hold;

/// What a quiet period withheld is counted as long as the longest of them lasts.
const NOBODYS_DAYS_LEAST: u32 = 91;

/// Incidents of one statement.
const INCIDENTS_EACH: usize = 1_000;

impl Run<'_> {
    /// Takes away what is past its time and not held.
    pub(super) async fn sweep(&mut self) -> Result<(), RetentionError> {
        self.sweep_incidents().await?;
        self.sweep_nobodys().await?;
        for (table, time, days) in small_tables(&self.keeping.policy) {
            if !self.goes_on().await? {
                return Ok(());
            }
            self.sweep_table(table, time, days).await?;
        }
        Ok(())
    }

    async fn sweep_incidents(&mut self) -> Result<(), RetentionError> {
        let days = self.keeping.policy.incidents_days;
        let mut old = self.store.old_incidents(days, &self.picture).await?;
        old.retain(|old| !self.picture.holds.iter().any(|hold| hold.keeps(&old.incident)));
        for chunk in old.chunks(INCIDENTS_EACH) {
            if !self.goes_on().await? {
                return Ok(());
            }
            let mut lines: BTreeMap<(u32, &str), DeletionRow> = BTreeMap::new();
            for one in chunk {
                let agency = one.incident.agency.as_str();
                let line = lines.entry((one.month, agency)).or_insert_with(|| DeletionRow {
                    kind: action::DELETE.into(),
                    what: what::INCIDENTS.into(),
                    agency: agency.into(),
                    month: one.month,
                    rule: what::INCIDENTS.into(),
                    why: format!("closed, and older than the {days} days of incidents"),
                    ..DeletionRow::default()
                });
                line.rows += one.steps;
            }
            let lines: Vec<DeletionRow> = lines.into_values().collect();
            let ids: Vec<String> = chunk.iter().map(|old| old.id.to_string()).collect();
            self.log("begun", &lines).await?;
            let condition = format!("incident IN ({})", ids.join(", "));
            let text = self.store.layout().delete("transitions", None, &condition);
            self.store.client().query_raw(&text).execute().await?;
            self.log("done", &lines).await?;
            self.report.incidents += chunk.len() as u64;
            self.tell(&format!("{} incidents deleted with their steps", chunk.len()));
        }
        Ok(())
    }

    /// Steps of nobody's incident, as what quiet periods withheld. While anything is on hold they stay: whose they are stands in their text.
    async fn sweep_nobodys(&mut self) -> Result<(), RetentionError> {
        if !self.picture.holds.is_empty() || !self.goes_on().await? {
            return Ok(());
        }
        let days = self.keeping.policy.incidents_days.max(NOBODYS_DAYS_LEAST);
        let condition = format!("incident = 0 AND time < {}", self.picture.cutoff(days));
        let text = format!(
            "SELECT toYYYYMM(time) AS month, count() FROM transitions WHERE {condition} GROUP BY month ORDER BY month"
        );
        let counts: Vec<(u32, u64)> = self.store.client().query_raw(&text).fetch_all().await?;
        if counts.is_empty() {
            return Ok(());
        }
        let line = |(month, rows): (u32, u64)| DeletionRow {
            kind: action::DELETE.into(),
            what: what::INCIDENTS.into(),
            month,
            rule: what::INCIDENTS.into(),
            rows,
            why: format!("of no incident, and older than the {days} days of incidents"),
            ..DeletionRow::default()
        };
        let lines: Vec<DeletionRow> = counts.into_iter().map(line).collect();
        let rows: u64 = lines.iter().map(|line| line.rows).sum();
        self.log("begun", &lines).await?;
        let text = self.store.layout().delete("transitions", None, &condition);
        self.store.client().query_raw(&text).execute().await?;
        self.log("done", &lines).await?;
        self.report.others += rows;
        self.tell(&format!("{rows} steps of no incident deleted"));
        Ok(())
    }

    async fn sweep_table(
        &mut self,
        table: &str,
        time: &str,
        days: u32,
    ) -> Result<(), RetentionError> {
        let condition = format!(
            "{} AND NOT {}",
            self.picture.past(table, time, days),
            hold::any(&self.picture.holds, time, None)
        );
        let text = format!(
            "SELECT toYYYYMM({time}) AS month, agency, count() FROM {table} WHERE {condition} GROUP BY month, agency ORDER BY month, agency"
        );
        let counts: Vec<(u32, String, u64)> =
            self.store.client().query_raw(&text).fetch_all().await?;
        if counts.is_empty() {
            return Ok(());
        }
        let lines: Vec<DeletionRow> = counts
            .into_iter()
            .map(|(month, agency, rows)| DeletionRow {
                kind: action::DELETE.into(),
                what: table.into(),
                agency,
                month,
                rule: table.into(),
                rows,
                why: format!("older than the {days} days of {table}"),
                ..DeletionRow::default()
            })
            .collect();
        let rows: u64 = lines.iter().map(|line| line.rows).sum();
        self.log("begun", &lines).await?;
        self.store
            .client()
            .query_raw(&self.store.layout().delete(table, None, &condition))
            .execute()
            .await?;
        self.log("done", &lines).await?;
        self.report.others += rows;
        self.tell(&format!("{table}: {rows} rows deleted"));
        Ok(())
    }
}
