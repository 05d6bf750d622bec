//! What a shorter policy would reach of what is held.

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::Time;

use super::{Reached, RetentionError, plan::what};
use crate::{
    retention::{Policy, day_of, hold::EVENT_HOST},
    store::Store,
};

#[derive(Row, Serialize, Deserialize)]
struct ByRule {
    rule: u8,
    held: Vec<u64>,
}

impl Store {
    /// What a new policy reaches of what is held, and the one applied before did not. A hold keeps its rows in any case; this is asked so that
    /// who shortens a time hears of it.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn reached(
        &self,
        policy: &Policy,
        now: Time,
    ) -> Result<Vec<Reached>, RetentionError> {
        let before: Option<String> = self
            .client()
            .query("SELECT policy FROM retention_policies ORDER BY time DESC LIMIT 1")
            .fetch_optional()
            .await?;
        let before: Policy = match before {
            Some(text) => serde_json::from_str(&text)?,
            None => Policy::default(),
        };
        let picture = self.picture(policy, now).await?;
        if before == *policy || picture.holds.is_empty() {
            return Ok(Vec::new());
        }
        let old = before.asked(picture.today);
        let text = format!(
            "SELECT toUInt8({}) AS rule, {} AS held FROM events WHERE day < toDate({}) AND {} AND NOT ({}) GROUP BY rule ORDER BY rule",
            picture.asked.rule,
            picture.counted("1", "time", Some(EVENT_HOST)),
            picture.asked.before_day,
            picture.asked.over,
            old.over
        );
        let rows: Vec<ByRule> = self.client().query_raw(&text).fetch_all().await?;
        let mut reached = Vec::new();
        let mut note = |rule: &str, counts: Vec<(String, u64)>| {
            for (hold, rows) in counts {
                let why = picture.holds.iter().find(|one| one.name() == hold);
                let why = why.map(|one| one.placed.why.clone()).unwrap_or_default();
                reached.push(Reached { hold, why, rule: rule.to_owned(), rows });
            }
        };
        for ByRule { rule, held } in rows {
            let name = policy.rules.get(usize::from(rule)).map_or("", |rule| rule.name.as_str());
            note(name, picture.names(&held));
        }
        for (file, held) in self.old_files(policy, &picture).await? {
            let was = before.cold_days(&file.set, &file.agency);
            if u32::from(file.day).saturating_add(was) >= u32::from(picture.today) {
                note(&file.rule, held);
            }
        }
        if policy.incidents_days < before.incidents_days {
            let kept = u32::from(picture.today).saturating_sub(before.incidents_days);
            for old in self.old_incidents(policy.incidents_days, &picture).await? {
                let last = day_of(Time(old.incident.updated_unix_nano));
                let by: Vec<(String, u64)> = picture
                    .holds
                    .iter()
                    .filter(|hold| u32::from(last) >= kept && hold.keeps(&old.incident))
                    .map(|hold| (hold.name().to_owned(), 1))
                    .collect();
                note(what::INCIDENTS, by);
            }
        }
        Ok(merged(reached))
    }
}

fn merged(reached: Vec<Reached>) -> Vec<Reached> {
    let mut all: Vec<Reached> = Vec::new();
    for one in reached {
        match all.iter_mut().find(|known| known.hold == one.hold && known.rule == one.rule) {
            Some(known) => known.rows += one.rows,
            None => all.push(one),
        }
    }
    all
}
