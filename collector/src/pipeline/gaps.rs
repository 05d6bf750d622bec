//! Rows of gaps: numbers that never came, and what agents tell to be missing.

use std::ops::RangeInclusive;

use vonggac_wire::{
    Event, Time,
    event::{Gap, GapReason},
    topic,
};

use crate::{record::Record, store::GapRow, tenure::Key};

/// Numbers that never came.
pub(super) fn gap(
    record: &Record,
    first_seq: u64,
    last_seq: u64,
    reason: &str,
    now: Time,
) -> GapRow {
    GapRow {
        time: now.micros(),
        agency: record.batch.agency.to_string(),
        host: record.batch.host.clone(),
        agent: record.batch.agent.to_string(),
        lane: record.batch.lane.name().into(),
        first_seq,
        last_seq,
        reason: reason.into(),
        first_observed: 0,
        last_observed: 0,
        events: last_seq.saturating_sub(first_seq).saturating_add(1),
        bytes: 0,
        source: String::new(),
        told_seq: 0,
    }
}

/// Records that Kafka gave up before they were stored. Whose they were, nobody knows: the place stands where agents stand, and offsets where
/// numbers stand. How many events they held is not known.
pub(super) fn expired(key: &Key, offsets: RangeInclusive<i64>, reason: &str, now: Time) -> GapRow {
    let number = |offset: i64| u64::try_from(offset).unwrap_or(0);
    GapRow {
        time: now.micros(),
        agency: String::new(),
        host: String::new(),
        agent: format!("{}/{}", key.0, key.1),
        lane: topic::lane_of(&key.0).map_or_else(String::new, |lane| lane.name().into()),
        first_seq: number(*offsets.start()),
        last_seq: number(*offsets.end()),
        reason: reason.into(),
        first_observed: 0,
        last_observed: 0,
        events: 0,
        bytes: 0,
        source: key.0.clone(),
        told_seq: 0,
    }
}

/// A gap that the agent explains replaces the unexplained one with the same first number. One without numbers is known by the event
/// that tells it, so that two logs that were cut are two gaps.
pub(super) fn told_gap(
    record: &Record,
    index: usize,
    event: &Event,
    told: &Gap,
    now: Time,
) -> GapRow {
    let reason = match told.reason() {
        GapReason::Overflow => "overflow",
        GapReason::Damage => "damage",
        GapReason::Truncation => "truncation",
        GapReason::Removed => "removed",
        GapReason::Unspecified => "unexplained",
    };
    let lane = vonggac_wire::Lane::try_from(told.lane).map_or("unknown", vonggac_wire::Lane::name);
    let numbered = told.first_seq > 0;
    let range = gap(record, told.first_seq, told.last_seq, reason, now);
    GapRow {
        lane: lane.into(),
        first_observed: Time(told.first_observed_unix_nano).micros(),
        last_observed: Time(told.last_observed_unix_nano).micros(),
        events: if told.events > 0 || !numbered { told.events } else { range.events },
        bytes: told.bytes,
        source: event.source().to_owned(),
        told_seq: if numbered { 0 } else { record.seq(index) },
        ..range
    }
}
