//! What the store will hold: what it has by age, what came on the last days, and the policy.

use std::{collections::HashMap, path::Path};

use vonggac_wire::Time;

use super::RetentionError;
use crate::{
    retention::{
        Policy, day_of,
        forecast::{self, Flow, Forecast},
    },
    store::Store,
};

impl Store {
    /// The forecast from the last `days` whole days; with it the bytes that are free.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn forecast(
        &self,
        policy: &Policy,
        days: u16,
        now: Time,
    ) -> Result<(Forecast, u64), RetentionError> {
        let today = day_of(now);
        let asked = policy.asked(today);
        let weights = self.row_bytes().await?;
        let bytes = |rows: u64, month: u32| {
            super::plan::about(rows, weights.get(&month).copied().unwrap_or(0.0))
        };
        let client = self.client();
        let mut flows: Vec<Flow> = policy
            .rules
            .iter()
            .map(|rule| Flow {
                name: rule.name.clone(),
                hot_days: rule.hot_days.unwrap_or(rule.keep_days),
                keep_days: rule.keep_days,
                ..Flow::default()
            })
            .collect();
        let text = format!(
            "SELECT toUInt8({}) AS rule, toUInt32(greatest(toInt32({today}) - toInt32(toUInt16(day)), 0)) AS age, toYYYYMM(day) AS month, count() \
             FROM events GROUP BY rule, age, month ORDER BY rule, age",
            asked.rule
        );
        let ages: Vec<(u8, u32, u32, u64)> = client.query_raw(&text).fetch_all().await?;
        for (rule, age, month, rows) in ages {
            if let Some(flow) = flows.get_mut(usize::from(rule)) {
                flow.by_age.push((age, bytes(rows, month)));
            }
        }
        let from = today.saturating_sub(days);
        let text = format!(
            "SELECT toUInt8({}) AS rule, toUInt16(toDate(stored)) AS came, toYYYYMM(day) AS month, count() FROM events \
             WHERE stored >= toDate({from}) AND stored < toDate({today}) GROUP BY rule, came, month",
            asked.rule
        );
        let came: Vec<(u8, u16, u32, u64)> = client.query_raw(&text).fetch_all().await?;
        // Days before the first row that was ever stored are no days without rows.
        let first = came.iter().map(|(_, day, ..)| *day).min().unwrap_or(today);
        let mut by_day: HashMap<(u8, u16), u64> = HashMap::new();
        for (rule, day, month, rows) in came {
            *by_day.entry((rule, day)).or_default() += bytes(rows, month);
        }
        for (rule, flow) in (0_u8..).zip(&mut flows) {
            flow.daily =
                (first..today).map(|day| by_day.get(&(rule, day)).copied().unwrap_or(0)).collect();
        }
        for file in
            self.cold_files("state IN ('moving', 'settled')", super::plan::FILES_MAX).await?
        {
            if let Some(flow) = flows.iter_mut().find(|flow| flow.name == file.rule) {
                flow.cold_by_age.push((u32::from(today.saturating_sub(file.day)), file.bytes));
            }
        }
        // Of a cluster one machine of each shard: what is there twice was counted once.
        let (free, path): (u64, String) = client
            .query(&format!(
                "SELECT sum(free_space), any(path) FROM {} GROUP BY name ORDER BY name = 'default' DESC LIMIT 1",
                self.layout.system_once("disks")
            ))
            .fetch_one()
            .await?;
        let beside = self.shelf.as_ref().is_some_and(|shelf| shelf.is_beside(Path::new(&path)));
        Ok((forecast::forecast(&flows, free, beside), free))
    }
}
