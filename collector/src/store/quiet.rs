//! Quiet periods: their steps as rows, and what each of them withheld.

use std::collections::BTreeMap;

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::Time;

use super::{Store, StoreError};
use crate::quiet::{Event, Kind, Period, Step, Terms, scope::Scope};

/// Periods of one answer.
const PERIODS_MAX: usize = 5_000;

/// Times are microseconds. What only an adding says is empty in an end.
#[derive(Debug, Default, Row, Serialize, Deserialize)]
struct StepRow {
    id: String,
    time: i64,
    who: String,
    step: String,
    kind: String,
    owner: String,
    reason: String,
    rule: String,
    agency: String,
    host: String,
    user: String,
    address: String,
    entity: String,
    system: String,
    gravest: u8,
    begins: i64,
    ends: i64,
}

/// What a period withheld.
#[derive(Clone, Debug, Default, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct Withheld {
    /// Which period.
    pub period: String,
    /// Signals, each once.
    pub signals: u64,
    /// Events that they spoke of.
    pub events: u64,
    /// When the last one came, in microseconds.
    pub last: i64,
    /// Of which rule it was.
    pub rule: String,
    /// About what.
    pub entity: String,
    /// At which agency.
    pub agency: String,
}

impl Store {
    /// The periods that end behind a time, whoever ended them, by their ids.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn quiet_periods(&self, since: Time) -> Result<BTreeMap<String, Period>, StoreError> {
        self.settle("quiet_periods").await?;
        let text = format!(
            "SELECT ?fields FROM quiet_periods WHERE id IN (SELECT id FROM quiet_periods WHERE step = 'added' AND ends > fromUnixTimestamp64Micro(?) ORDER BY time DESC LIMIT {PERIODS_MAX}) ORDER BY time, id"
        );
        let rows: Vec<StepRow> =
            self.client().query(&text).bind(since.micros()).fetch_all().await?;
        Ok(Period::all(&rows.into_iter().filter_map(event).collect::<Vec<_>>()))
    }

    /// Writes a step. The same a second time is harmless.
    ///
    /// # Errors
    /// If the engine does not take it.
    pub async fn insert_quiet(&self, event: &Event) -> Result<(), StoreError> {
        let row = row(event);
        let token = format!("quiet-{}-{}-{}", row.id, row.step, row.time);
        let mut insert = self
            .client()
            .insert::<StepRow>("quiet_periods")
            .await?
            .with_setting("insert_deduplication_token", token);
        insert.write(&row).await?;
        Ok(insert.end().await?)
    }

    /// What each period withheld since a time, by its id.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn withheld(&self, since: Time) -> Result<BTreeMap<String, Withheld>, StoreError> {
        self.settle("transitions").await?;
        let of = |path: &str| format!("argMax(JSONExtractString(text, 'signal', {path}), version)");
        let text = format!(
            "SELECT arrayJoin(JSONExtract(text, 'by', 'Array(String)')) AS period, count() AS signals, sum(JSONExtractUInt(text, 'signal', 'count')) AS events, \
             max(toUnixTimestamp64Micro(time)) AS last, {} AS rule, {} AS entity, {} AS agency FROM transitions \
             WHERE incident = 0 AND action = 'withheld' AND time >= fromUnixTimestamp64Micro(?) GROUP BY period LIMIT {PERIODS_MAX}",
            of("'rule'"),
            of("'entity', 'value'"),
            of("'agency'"),
        );
        let rows: Vec<Withheld> =
            self.client().query(&text).bind(since.micros()).fetch_all().await?;
        Ok(rows.into_iter().map(|row| (row.period.clone(), row)).collect())
    }
}

fn row(event: &Event) -> StepRow {
    let row = StepRow {
        id: event.id.clone(),
        time: event.time.micros(),
        who: event.who.clone(),
        ..StepRow::default()
    };
    match &event.step {
        Step::Ended { reason } => StepRow { step: "ended".into(), reason: reason.clone(), ..row },
        Step::Added(terms) => {
            let Terms { kind, owner, reason, scope, gravest, begins, ends } = (**terms).clone();
            StepRow {
                step: "added".into(),
                kind: kind.name().into(),
                owner,
                reason,
                rule: scope.rule,
                agency: scope.agency,
                host: scope.host,
                user: scope.user,
                address: scope.address.map(|network| network.to_string()).unwrap_or_default(),
                entity: scope.entity,
                system: scope.system,
                gravest: u8::try_from(gravest).unwrap_or(u8::MAX),
                begins: begins.micros(),
                ends: ends.micros(),
                ..row
            }
        }
    }
}

/// A row's step; `None`: it is of a later version, and withholds nothing here.
fn event(row: StepRow) -> Option<Event> {
    let time = |micros: i64| Time(micros.saturating_mul(1_000));
    let step = match row.step.as_str() {
        "ended" => Step::Ended { reason: row.reason },
        "added" => {
            let address = match row.address.as_str() {
                "" => None,
                text => Some(text.parse().ok()?),
            };
            let scope = Scope {
                rule: row.rule,
                agency: row.agency,
                host: row.host,
                user: row.user,
                address,
                entity: row.entity,
                system: row.system,
            };
            Step::Added(Box::new(Terms {
                kind: Kind::from_name(&row.kind)?,
                owner: row.owner,
                reason: row.reason,
                scope,
                gravest: row.gravest.into(),
                begins: time(row.begins),
                ends: time(row.ends),
            }))
        }
        _ => return None,
    };
    Some(Event { id: row.id, time: time(row.time), who: row.who, step })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_back_from_its_row_and_one_of_later_withholds_nothing() {
        let scope = Scope {
            rule: "web-attack".into(),
            agency: "H49".into(),
            host: "web-1".into(),
            address: Some("10.1.0.0/16".parse().unwrap()),
            ..Scope::default()
        };
        let terms = Terms {
            kind: Kind::Suppression,
            owner: "lan".into(),
            reason: "a scanner of ours".into(),
            scope,
            gravest: 2,
            begins: Time(1_000),
            ends: Time(9_000),
        };
        for step in [Step::Added(Box::new(terms)), Step::Ended { reason: "over".into() }] {
            let told = Event { id: "a".into(), time: Time(5_000), who: "minh".into(), step };
            assert_eq!(event(row(&told)), Some(told.clone()));
            assert_eq!(event(StepRow { step: "doubled".into(), ..row(&told) }), None);
        }
    }
}
