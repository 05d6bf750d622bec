//! What of the store is past its time, and taking it away.
//!
//! **Exactly once is never touched.** A plan begins with a picture of `progress`, and only rows below it are ever moved or deleted. Those
//! are never asked for again (`held` asks at or above), and the set of them is closed: an offset is below the progress only when all its
//! rows are stored, so no row comes to the set between counting, copying, comparing and deleting it. Late rows of an old day have offsets
//! above, and wait for the next run. `progress` itself is never deleted.
//!
//! Rows leave by whole parts where all of a part goes (a part is immutable, and is named: what was merged meanwhile is counted again),
//! else by a lightweight DELETE within one month's partition.
//!
//! * [`lease`]: one run at a time, over all collectors and commands;
//! * [`plan`]: what would go; [`apply`]: it goes; [`sweep`]: incidents, gaps, dead letters, roll-ups;
//! * [`outlook`]: what the store will hold.

use serde::Serialize;
use vonggac_wire::{Time, proto::Incident};

use super::{Store, StoreError, cold::ColdError, rollup};
use crate::retention::{
    hold::{self, Hold, HoldError, HoldEvent, InForce},
    quoted,
};

pub mod apply;
mod cooling;
pub mod lease;
pub mod outlook;
pub mod plan;
mod reached;
mod sweep;

/// A table that sums what `events` had, and its column of time (a `Date` or `DateTime`).
pub const ROLLUPS: &[(&str, &str)] = &[(rollup::TABLES[0].name, rollup::TABLES[0].time)];

/// Before a topic's name in `progress`: how far its rows are summed into the roll-ups. Rows above that are not taken away yet.
const ROLLUP_MARK: &str = "rollup/";

/// Progress of the events' topics, held back by their roll-ups' marks. With roll-ups, a partition without a mark is not summed at all.
fn summed(rows: &[(String, i32, u64)], rolled_up: bool) -> Vec<(String, i32, u64)> {
    let mark = |topic: &str, partition: i32| {
        rows.iter()
            .find(|(name, number, _)| {
                name.strip_prefix(ROLLUP_MARK) == Some(topic) && *number == partition
            })
            .map(|(.., mark)| *mark)
    };
    rows.iter()
        .filter(|(topic, ..)| !topic.starts_with(ROLLUP_MARK))
        .filter_map(|(topic, partition, next)| match mark(topic, *partition) {
            Some(mark) => Some((topic.clone(), *partition, mark.min(*next))),
            None if rolled_up => None,
            None => Some((topic.clone(), *partition, *next)),
        })
        .collect()
}

/// Why nothing was planned or taken away.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The engine.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The cold tier.
    #[error(transparent)]
    Cold(#[from] ColdError),
    /// A hold's event.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// Another works on the store.
    #[error(
        "begin: {owner} works on the store since {since}; wait for its end, or ten minutes after it died"
    )]
    Busy {
        /// Who.
        owner: String,
        /// Its last sign.
        since: Time,
    },
    /// The lease went to another while this one slept.
    #[error(
        "go on: another took over the work on the store; nothing is half done that the next run does not finish"
    )]
    Lost,
    /// The configuration reaches what a hold keeps.
    #[error(
        "use this retention: {}; lengthen what is named, or lift the hold with `vonggac-collector hold lift`",
        .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    Held(Vec<Reached>),
    /// A hold's incident is not there.
    #[error(
        "know what the hold {hold:?} keeps: its incident {incident} is not in the store; lift the hold, or restore the incident"
    )]
    NoIncident {
        /// The hold.
        hold: String,
        /// The incident.
        incident: u64,
    },
    /// Rows that should be gone are there.
    #[error("take {rows} rows out of {table}: the engine still has them; run it again")]
    Stayed {
        /// The table.
        table: String,
        /// How many.
        rows: u64,
    },
    /// The cold tier is not configured, and files of it are known.
    #[error(
        "use this retention: the store knows {files} files of the cold tier, and the configuration names none; set [cold] dir or [cold.s3]"
    )]
    NoShelf {
        /// How many.
        files: u64,
    },
    /// The policy is no JSON.
    #[error("write the policy down: {0}")]
    Policy(#[from] serde_json::Error),
}

impl From<clickhouse::error::Error> for RetentionError {
    fn from(error: clickhouse::error::Error) -> Self {
        Self::Store(error.into())
    }
}

impl RetentionError {
    /// The configuration has to be changed.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        matches!(self, Self::Held(_) | Self::NoShelf { .. })
    }
}

/// Rows of a hold that a new policy would delete, and the one before would not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// The hold.
    pub hold: String,
    /// Its reason.
    pub why: String,
    /// The rule, or "incidents".
    pub rule: String,
    /// How many rows, or incidents.
    pub rows: u64,
}

impl std::fmt::Display for Reached {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} would delete {} rows that the hold {:?} keeps ({})",
            self.rule,
            self.rows,
            self.hold,
            self.why.escape_debug()
        )
    }
}

/// Where each partition of the events' topics stood: rows below are closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Below {
    events: String,
    rollups: String,
}

impl Below {
    /// Of `(topic, partition, next offset)`.
    #[must_use]
    pub fn new(progress: &[(String, i32, u64)]) -> Self {
        let under = |column: &str| {
            let parts: Vec<String> = progress
                .iter()
                .map(|(topic, partition, next)| {
                    format!("(kafka_topic = {} AND kafka_partition = {partition} AND {column} < {next})", quoted(topic))
                })
                .collect();
            if parts.is_empty() { "0".into() } else { format!("({})", parts.join(" OR ")) }
        };
        Self { events: under("kafka_offset"), rollups: under("last_offset") }
    }

    /// The condition on rows of events.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.events
    }

    /// The condition on rows of roll-ups. What is at or above a mark is asked for after a crash, and summed again where it is not found.
    #[must_use]
    pub fn rollups(&self) -> &str {
        &self.rollups
    }
}

impl Store {
    /// The picture of progress that a run begins with: what is stored as a whole, and summed into the roll-ups where there are any.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn below(&self) -> Result<Below, StoreError> {
        let topics: Vec<String> = vonggac_wire::topic::EVENTS
            .iter()
            .flat_map(|topic| [quoted(topic), quoted(&format!("{ROLLUP_MARK}{topic}"))])
            .collect();
        let text = format!(
            "SELECT topic, partition, argMax(value, version) FROM progress WHERE agent = '' AND topic IN ({}) GROUP BY topic, partition ORDER BY topic, partition",
            topics.join(", ")
        );
        let rows: Vec<(String, i32, u64)> = self.client().query_raw(&text).fetch_all().await?;
        Ok(Below::new(&summed(&rows, !ROLLUPS.is_empty())))
    }

    /// All holds.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn holds(&self) -> Result<Vec<Hold>, StoreError> {
        self.settle("hold_events").await?;
        let events: Vec<HoldEvent> = self
            .client()
            .query("SELECT ?fields FROM hold_events ORDER BY time")
            .fetch_all()
            .await?;
        Ok(hold::holds(&events))
    }

    /// Places or lifts a hold.
    ///
    /// # Errors
    /// If it may not be told, its incident is not there, or the engine does not take it.
    pub async fn tell_hold(&self, event: &HoldEvent) -> Result<(), RetentionError> {
        hold::check(&self.holds().await?, event)?;
        if event.action == "placed"
            && event.incident != 0
            && self.incident(event.incident).await?.is_none()
        {
            return Err(RetentionError::NoIncident {
                hold: event.hold.clone(),
                incident: event.incident,
            });
        }
        let mut insert = self.client().insert::<HoldEvent>("hold_events").await?;
        insert.write(event).await?;
        Ok(insert.end().await?)
    }

    /// The newest form of an incident.
    async fn incident(&self, id: u64) -> Result<Option<Incident>, StoreError> {
        let text: Option<String> = self
            .client()
            .query("SELECT argMax(after, version) FROM transitions WHERE incident = ? GROUP BY incident")
            .bind(id)
            .fetch_optional()
            .await?;
        Ok(text.map(|text| serde_json::from_str::<Option<Incident>>(&text)).transpose()?.flatten())
    }

    /// Holds that are not lifted, with their incidents.
    ///
    /// # Errors
    /// If an incident is gone, or the engine does not answer.
    pub async fn holds_in_force(&self) -> Result<Vec<InForce>, RetentionError> {
        let mut all = Vec::new();
        for hold in self.holds().await?.into_iter().filter(|hold| hold.lifted.is_none()) {
            let placed = hold.placed;
            let incident = match placed.incident {
                0 => None,
                id => Some(self.incident(id).await?.ok_or_else(|| RetentionError::NoIncident {
                    hold: placed.hold.clone(),
                    incident: id,
                })?),
            };
            all.push(InForce { placed, incident });
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_summed_yet_is_not_taken_away() {
        let row = |topic: &str, next| (topic.to_owned(), 0, next);
        let rows = [row("a", 10), row("b", 5), row("rollup/a", 7), row("rollup/c", 9)];
        assert_eq!(summed(&rows, false), [row("a", 7), row("b", 5)]);
        assert_eq!(summed(&rows, true), [row("a", 7)]);
        assert_eq!(summed(&[row("a", 3), row("rollup/a", 8)], true), [row("a", 3)]);
    }

    #[test]
    fn nothing_is_below_a_progress_that_is_not_there() {
        assert_eq!(Below::new(&[]).sql(), "0");
        let below = Below::new(&[("a'b".into(), 3, 7), ("c".into(), 0, 0)]);
        assert_eq!(
            below.sql(),
            "((kafka_topic = 'a\\'b' AND kafka_partition = 3 AND kafka_offset < 7) OR (kafka_topic = 'c' AND kafka_partition = 0 AND kafka_offset < 0))"
        );
    }
}
