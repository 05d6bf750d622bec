//! What is wrong with a centre, and what to do: [`look`] asks its parts, [`diagnose`] judges what they said. Pure but for the asking.
//!
//! Each trouble has a name; its sentence and its remedy are the messages `doctor-NAME` and `doctor-NAME-do` of each language.

use std::{collections::BTreeMap, time::Duration};

use vonggac_wire::Time;

use crate::{
    lag::Head,
    store::{notify::ChannelSeen, refusal::Refusal},
};

pub mod look;

/// Below this share of the disk an operator should act within days...
const DISK_FREE_LOW: f64 = 0.10;

/// ... if it is less than this besides: the largest parts are merged into new ones before the old ones go.
const DISK_FREE_LOW_BYTES: u64 = 200 << 30;

/// Below this many bytes the engine may stop taking rows within hours.
const DISK_FREE_OUT_BYTES: u64 = 5 << 30;

/// Active parts of one table partition above which merges do not keep up. The engine slows inserts at 1,000 and refuses at 3,000.
const PARTS_MANY: u64 = 600;

/// A mutation that runs longer than this does not end by itself.
const MUTATION_MAX: Duration = Duration::from_secs(3_600);

/// Clocks of engine and collector that differ by more make ages and windows wrong.
const CLOCK_APART_MAX: f64 = 5.0;

/// Rows that were stored so far ahead of now were stored before the clock was set back.
const CLOCK_BACK: Duration = Duration::from_secs(60);

/// Agents that were cut off for three days still bring what they kept; topics must hold at least as long.
const RETENTION_LEAST: Duration = Duration::from_secs(72 * 3_600);

/// Heartbeats come every few seconds: a store that took nothing for so long is not being fed.
const NOTHING_STORED: Duration = Duration::from_secs(120);

/// Records that wait are worth a word above this number...
const LAG_MANY: u64 = 1_000;

/// ... or if the oldest of them has waited for so long: storing takes a second or two.
const LAG_LONG: Duration = Duration::from_secs(60);

/// A notification that failed and waits for so long is told; shorter troubles end by themselves.
const NOTIFY_WAITS: Duration = Duration::from_secs(600);

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Worth knowing.
    Note,
    /// Will be bad.
    Warning,
    /// Something does not work, or is lost.
    Broken,
}

impl Level {
    /// The word in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Broken => "broken",
        }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// How bad.
    pub level: Level,
    /// Its name, of which its messages are named.
    pub name: &'static str,
    /// What stands in its messages.
    pub values: Vec<(&'static str, String)>,
}

/// A topic as Kafka tells it.
#[derive(Clone, Debug, Default)]
pub struct TopicSeen {
    /// First and next offset of each partition.
    pub partitions: BTreeMap<i32, (i64, i64)>,
    /// Of partitions with records that are not stored, the first of them, as far as it could be read.
    pub oldest: BTreeMap<i32, Head>,
    /// Partitions with fewer copies in step than they should have, or without a leader.
    pub short_of_copies: usize,
    /// How long records are kept; `None`: for ever, or not told.
    pub retention: Option<Duration>,
}

/// What Kafka told.
#[derive(Clone, Debug, Default)]
pub struct KafkaSeen {
    /// Topics by name.
    pub topics: BTreeMap<String, TopicSeen>,
}

/// What the engine told.
#[derive(Clone, Debug, Default)]
pub struct EngineSeen {
    /// The schema's version; 0: there is none.
    pub schema: u32,
    /// Its clock less ours, seconds.
    pub clock_ahead_seconds: f64,
    /// Free bytes and all bytes of its disk.
    pub disk: (u64, u64),
    /// It was told to refuse rows.
    pub read_only: bool,
    /// The table partition with most active parts.
    pub parts: (String, u64),
    /// The longest mutation that has not ended.
    pub mutation: Option<(String, Duration)>,
    /// Next offset of each topic's partition, by Kafka's own numbers.
    pub progress: BTreeMap<(String, i32), i64>,
    /// Open dead letters by reason.
    pub dead: BTreeMap<String, u64>,
    /// Events that are missing without an explanation, of the last day.
    pub unexplained: u64,
    /// When the newest row was stored.
    pub newest: Option<Time>,
    /// Agents known, and those of them not heard for [`NOTHING_STORED`].
    pub agents: (u64, u64),
    /// Channels of notifications with something open, or given up in the last day.
    pub notify: Vec<ChannelSeen>,
}

/// The engine did not do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The cause.
    pub refusal: Refusal,
    /// Its own words; empty where it says none.
    pub said: String,
    /// For how long.
    pub span: Duration,
}

/// All that was seen. `Err`: what the part said instead.
#[derive(Debug)]
pub struct Seen {
    /// When.
    pub now: Time,
    /// Kafka.
    pub kafka: Result<KafkaSeen, String>,
    /// The engine.
    pub engine: Result<EngineSeen, Refused>,
    /// What the collector says of its writes, where one answers at the place that consoles connect to; `None`: all are taken.
    pub serves: Result<Option<Refused>, String>,
    /// The cold tier; `Err`: what its place said instead.
    pub cold: Result<(), String>,
    /// Files of rules that were refused.
    pub rules_refused: Vec<String>,
    /// Threat lists, or entries of them, that were refused.
    pub threats_refused: Vec<String>,
}

/// What should be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Topics of events, and their partitions.
    pub events: Vec<&'static str>,
    /// Partitions of each.
    pub partitions: usize,
    /// Topics besides.
    pub others: Vec<&'static str>,
    /// The schema that this program knows.
    pub schema: u32,
    /// Channels of notifications that are configured.
    pub channels: Vec<String>,
}

/// What is wrong, the worst first.
#[must_use]
pub fn diagnose(seen: &Seen, wanted: &Wanted) -> Vec<Trouble> {
    let mut found = Vec::new();
    match &seen.kafka {
        Err(said) => found.push(trouble(Level::Broken, "kafka-away", [("said", said.clone())])),
        Ok(kafka) => topics(kafka, wanted, &mut found),
    }
    match &seen.engine {
        Err(refused) => found.push(refusal(refused)),
        Ok(engine) => {
            schema(engine, wanted, &mut found);
            disk_and_parts(engine, &mut found);
            contents(engine, seen.now, &mut found);
            notifications(engine, wanted, seen.now, &mut found);
        }
    }
    if let (Ok(kafka), Ok(engine)) = (&seen.kafka, &seen.engine) {
        positions(kafka, engine, wanted, seen.now, &mut found);
    }
    match &seen.serves {
        Err(said) => found.push(trouble(Level::Broken, "not-serving", [("said", said.clone())])),
        Ok(Some(refused)) => {
            // What was seen here and what the collector met is one trouble.
            let told = refusal(refused);
            if found.iter().all(|trouble| trouble.name != told.name) {
                found.push(told);
            }
        }
        Ok(None) => {}
    }
    if let Err(said) = &seen.cold {
        found.push(trouble(Level::Broken, "cold-away", [("said", said.clone())]));
    }
    for file in &seen.rules_refused {
        found.push(trouble(Level::Warning, "rule-refused", [("file", file.clone())]));
    }
    for file in &seen.threats_refused {
        found.push(trouble(Level::Warning, "threats-refused", [("file", file.clone())]));
    }
    found.sort_by_key(|trouble| std::cmp::Reverse(trouble.level));
    found
}

fn trouble<const N: usize>(
    level: Level,
    name: &'static str,
    values: [(&'static str, String); N],
) -> Trouble {
    Trouble { level, name, values: values.into() }
}

/// The trouble that the engine's refusal is.
fn refusal(refused: &Refused) -> Trouble {
    let said = || vec![("said", refused.said.clone())];
    let waited = || vec![("seconds", refused.span.as_secs().to_string())];
    let (level, name, values) = match refused.refusal {
        Refusal::Away => (Level::Broken, "engine-away", said()),
        Refusal::Hangs => (Level::Broken, "engine-hangs", waited()),
        Refusal::Slow => (Level::Warning, "engine-slow", waited()),
        Refusal::ReadOnly => (Level::Broken, "engine-read-only", said()),
        Refusal::DiskFull => (Level::Broken, "engine-disk-full", said()),
        Refusal::PartsMany => (Level::Broken, "engine-parts-many", said()),
        Refusal::Memory => (Level::Broken, "engine-memory", said()),
        Refusal::Denied => (Level::Broken, "engine-denied", said()),
        Refusal::Schema => (Level::Broken, "engine-schema", said()),
        Refusal::Busy => (Level::Broken, "engine-busy", said()),
        Refusal::Damaged => (Level::Broken, "engine-damaged", said()),
        Refusal::Rows => (Level::Broken, "engine-rows", said()),
        Refusal::Other => (Level::Broken, "engine-refuses", said()),
    };
    Trouble { level, name, values }
}

fn topics(kafka: &KafkaSeen, wanted: &Wanted, found: &mut Vec<Trouble>) {
    for name in wanted.events.iter().chain(&wanted.others) {
        let topic = ("topic", (*name).to_owned());
        let Some(seen) = kafka.topics.get(*name) else {
            found.push(trouble(Level::Broken, "topic-missing", [topic]));
            continue;
        };
        let of_events = wanted.events.contains(name);
        if of_events && seen.partitions.len() != wanted.partitions {
            found.push(trouble(
                Level::Broken,
                "topic-partitions",
                [
                    topic.clone(),
                    ("found", seen.partitions.len().to_string()),
                    ("wanted", wanted.partitions.to_string()),
                ],
            ));
        }
        if seen.short_of_copies > 0 {
            let short = ("short", seen.short_of_copies.to_string());
            found.push(trouble(Level::Warning, "topic-copies", [topic.clone(), short]));
        }
        if let Some(kept) = seen.retention.filter(|kept| of_events && *kept < RETENTION_LEAST) {
            let hours = |span: Duration| (span.as_secs() / 3_600).to_string();
            found.push(trouble(
                Level::Warning,
                "topic-retention",
                [topic, ("hours", hours(kept)), ("least", hours(RETENTION_LEAST))],
            ));
        }
    }
}

fn schema(engine: &EngineSeen, wanted: &Wanted, found: &mut Vec<Trouble>) {
    let versions = [("found", engine.schema.to_string()), ("wanted", wanted.schema.to_string())];
    if engine.schema == 0 {
        found.push(trouble(Level::Broken, "schema-none", []));
    } else if engine.schema < wanted.schema {
        found.push(trouble(Level::Warning, "schema-old", versions));
    } else if engine.schema > wanted.schema {
        found.push(trouble(Level::Broken, "schema-newer", versions));
    }
}

fn disk_and_parts(engine: &EngineSeen, found: &mut Vec<Trouble>) {
    let (free, all) = engine.disk;
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = free as f64 / all.max(1) as f64;
    let out = free < DISK_FREE_OUT_BYTES;
    if all > 0 && (out || (share < DISK_FREE_LOW && free < DISK_FREE_LOW_BYTES)) {
        let level = if out { Level::Broken } else { Level::Warning };
        let gib = |bytes: u64| (bytes >> 30).to_string();
        found.push(trouble(level, "disk-full", [("free", gib(free)), ("all", gib(all))]));
    }
    if engine.read_only {
        let said = ("said", "readonly is set for its user".to_owned());
        found.push(trouble(Level::Broken, "engine-read-only", [said]));
    }
    if engine.parts.1 > PARTS_MANY {
        found.push(trouble(
            Level::Warning,
            "parts-many",
            [("table", engine.parts.0.clone()), ("parts", engine.parts.1.to_string())],
        ));
    }
    if let Some((table, span)) = engine.mutation.as_ref().filter(|(_, span)| *span > MUTATION_MAX) {
        let hours = ("hours", (span.as_secs() / 3_600).to_string());
        found.push(trouble(Level::Warning, "mutation-stuck", [("table", table.clone()), hours]));
    }
    if engine.clock_ahead_seconds.abs() > CLOCK_APART_MAX {
        let seconds = format!("{:.0}", engine.clock_ahead_seconds);
        found.push(trouble(Level::Warning, "clock-apart", [("seconds", seconds)]));
    }
}

fn contents(engine: &EngineSeen, now: Time, found: &mut Vec<Trouble>) {
    for (reason, count) in &engine.dead {
        let values = [("reason", reason.clone()), ("count", count.to_string())];
        found.push(trouble(Level::Warning, "dead-open", values));
    }
    if engine.unexplained > 0 {
        let count = ("count", engine.unexplained.to_string());
        found.push(trouble(Level::Broken, "gaps-unexplained", [count]));
    }
    let (known, silent) = engine.agents;
    match engine.newest {
        // Of a clock that is wrong nothing else can be said: what is silent seems fresh.
        Some(newest) if newest.since(now) > CLOCK_BACK => {
            let minutes = ("minutes", (newest.since(now).as_secs() / 60).to_string());
            found.push(trouble(Level::Broken, "clock-back", [minutes]));
        }
        Some(newest) if now.since(newest) > NOTHING_STORED => {
            let minutes = ("minutes", (now.since(newest).as_secs() / 60).to_string());
            found.push(trouble(Level::Broken, "nothing-stored", [minutes]));
        }
        None if engine.schema > 0 => found.push(trouble(Level::Note, "store-empty", [])),
        _ if silent > 0 => {
            let values = [("silent", silent.to_string()), ("known", known.to_string())];
            found.push(trouble(Level::Warning, "agents-silent", values));
        }
        _ => {}
    }
}

/// Whom nobody could tell of incidents.
fn notifications(engine: &EngineSeen, wanted: &Wanted, now: Time, found: &mut Vec<Trouble>) {
    for seen in &engine.notify {
        let channel = ("channel", seen.channel.clone());
        let values = |count: u64| [channel.clone(), ("count", count.to_string())];
        if seen.given_up > 0 {
            let mut told = trouble(Level::Broken, "notify-given-up", values(seen.given_up));
            told.values.push(("said", seen.given_up_said.clone()));
            found.push(told);
        }
        let waited = now.since(Time(seen.oldest.saturating_mul(1_000)));
        if seen.waiting == 0 {
            continue;
        }
        if !wanted.channels.contains(&seen.channel) {
            found.push(trouble(Level::Warning, "notify-unknown-channel", values(seen.waiting)));
        } else if waited > NOTIFY_WAITS && !seen.said.is_empty() {
            let mut told = trouble(Level::Warning, "notify-failing", values(seen.waiting));
            told.values.push(("minutes", (waited.as_secs() / 60).to_string()));
            told.values.push(("said", seen.said.clone()));
            found.push(told);
        }
    }
}

/// Where the store stands in Kafka: what it lost, what it waits for, and what cannot be.
fn positions(
    kafka: &KafkaSeen,
    engine: &EngineSeen,
    wanted: &Wanted,
    now: Time,
    found: &mut Vec<Trouble>,
) {
    let mut waiting = 0;
    let mut oldest: Option<(String, &Head)> = None;
    let mut unread = Vec::new();
    for name in &wanted.events {
        let Some(topic) = kafka.topics.get(*name) else { continue };
        for (partition, (first, next)) in &topic.partitions {
            let place = engine.progress.get(&((*name).to_owned(), *partition)).copied();
            let named = format!("{name}/{partition}");
            let values = |from: i64, to: i64| {
                [("place", named.clone()), ("first", from.to_string()), ("last", to.to_string())]
            };
            let at = place.unwrap_or(0);
            if at < *first {
                found.push(trouble(Level::Broken, "records-passed", values(at, first - 1)));
            }
            if at > *next {
                found.push(trouble(Level::Broken, "progress-beyond", values(*next, at)));
            }
            let here = u64::try_from(next - at.clamp(*first, *next)).unwrap_or(0);
            waiting += here;
            match topic.oldest.get(partition) {
                Some(head) if oldest.as_ref().is_none_or(|(_, of)| head.appended < of.appended) => {
                    oldest = Some((named, head));
                }
                // What was passed is told already.
                None if here > 0 && at >= *first => unread.push(named),
                _ => {}
            }
        }
    }
    let count = ("count", waiting.to_string());
    let long = oldest.filter(|(_, head)| now.since(head.appended) > LAG_LONG);
    if let Some((place, head)) = long {
        let minutes = ("minutes", (now.since(head.appended).as_secs() / 60).to_string());
        let agency = if head.agency.is_empty() { "–" } else { &head.agency };
        let values = [count, minutes, ("place", place), ("agency", agency.to_owned())];
        found.push(trouble(Level::Warning, "records-late", values));
    } else if waiting > LAG_MANY {
        found.push(trouble(Level::Warning, "records-waiting", [count]));
    } else if !unread.is_empty() {
        // Few records may wait for long.
        found.push(trouble(Level::Warning, "records-unread", [("places", unread.join(", "))]));
    }
}

#[cfg(test)]
mod tests;
