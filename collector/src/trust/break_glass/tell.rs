//! An agency is told what was opened of it, and that it is over: by an incident of its own that lasts as long as the glass is broken. What was
//! told is a step of the record, written when Kafka has the signal: whoever dies between both tells it again, and the book takes it once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use vonggac_wire::{
    Time,
    proto::{Entity, Origin, Signal, SignalKind},
};

use super::{Event, Record, Step};
use crate::{
    kafka::Producer,
    pipeline::send_signals,
    registry::Registry,
    rule::RuleSet,
    store::Store,
    words::{self, Lang},
};

/// The rule's name.
pub const RULE: &str = "break-glass";

/// How often it is looked for what is to be told.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Who writes that it was told.
const TELLER: &str = "centre";

/// What is to be told of a record now.
#[must_use]
pub fn untold(record: &Record, now: Time) -> Option<Step> {
    if record.confirmed.is_some() && !record.told_opened {
        return Some(Step::ToldOpened);
    }
    record.over(now).filter(|_| !record.told_over).map(|_| Step::ToldOver)
}

/// The signal of it.
#[must_use]
pub fn signal(
    record: &Record,
    step: &Step,
    registry: &Registry,
    rules: &RuleSet,
    now: Time,
) -> Option<Signal> {
    let (confirmer, opened) = record.confirmed.as_ref()?;
    let (kind, time) = match step {
        Step::ToldOpened => (SignalKind::Raised, *opened),
        _ => (SignalKind::Cleared, record.over(now)?),
    };
    let (short_vi, short_en) = registry.short_name(&record.agency);
    let until = record.until().unwrap_or(*opened);
    let what = format!("break-glass-{}", record.what.name());
    let said = |lang| words::of(lang).get(&what);
    let values = [
        ("agency_vi", short_vi),
        ("agency_en", short_en),
        ("what_vi", said(Lang::Vi)),
        ("what_en", said(Lang::En)),
        ("requester", record.asked.0.clone()),
        ("confirmer", confirmer.clone()),
        ("reason", record.reason.clone()),
        ("until", Time::from_seconds(until.seconds()).to_string()),
        ("id", record.id.clone()),
    ];
    Some(Signal {
        rule: RULE.into(),
        kind: kind.into(),
        severity: rules.machine(RULE).map_or(4, |meta| meta.severity),
        entity: Some(Entity { kind: "break-glass".into(), value: record.id.clone() }),
        group: record.id.clone(),
        agency: record.agency.clone(),
        system: String::new(),
        host: String::new(),
        count: 1,
        first_time_unix_nano: opened.0,
        last_time_unix_nano: time.0,
        // One origin for each record and step: told a second time it is none.
        origin: Some(Origin {
            topic: format!("{RULE}-{}", record.id),
            partition: 0,
            offset: time.micros(),
        }),
        evidence: Vec::new(),
        values: values
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<BTreeMap<_, _>>(),
        simulated: false,
        found_time_unix_nano: now.0,
    })
}

/// What the teller needs.
pub struct Parts {
    /// Records.
    pub store: Store,
    /// Names of agencies.
    pub registry: Arc<Registry>,
    /// The rule.
    pub rules: Arc<RuleSet>,
    /// For signals.
    pub producer: Producer,
}

/// Tells until it is stopped.
pub async fn run(parts: Parts, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let now = Time::now();
        let records = match parts.store.break_glass().await {
            Ok(records) => records,
            Err(error) => {
                tracing::debug!(%error, "it could not be looked whether a break-glass is to be told");
                continue;
            }
        };
        for record in records.values() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tell(&parts, record, now) => {}
            }
        }
    }
}

async fn tell(parts: &Parts, record: &Record, now: Time) {
    let Some(step) = untold(record, now) else { return };
    let Some(told) = signal(record, &step, &parts.registry, &parts.rules, now) else { return };
    // Kafka has it when this returns.
    send_signals(&parts.producer, &[told]).await;
    let (id, agency) = (record.id.clone(), &record.agency);
    tracing::warn!(%id, %agency, step = step.name(), "a break-glass was told to its agency");
    let event = Event { id, time: Time::now(), who: TELLER.into(), step };
    if let Err(error) = parts.store.insert_break_glass(&event).await {
        tracing::warn!(%error, "that it was told is not written down; it is told again");
    }
}
