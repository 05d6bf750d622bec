//! What a number of hosts needs: events, bytes, disks for the law's year, partitions, machines. Pure arithmetic over [`FIGURES`], of which each
//! says whether it was measured or is an estimate. `deploy/SIZING.md` has the same figures and a table; a test compares them.

use crate::profile::Profile;

/// Where a figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Measured on the machine that the page names.
    Measured,
    /// What we think; a pilot tells better.
    Estimate,
    /// Set by a configuration's default, or by law.
    Set,
}

impl From {
    /// As the page calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Estimate => "estimate",
            Self::Set => "set",
        }
    }
}

/// A number that the arithmetic stands on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// What it is, with its unit.
    pub what: &'static str,
    /// How much.
    pub value: f64,
    /// Where it comes from.
    pub from: From,
    /// How it was measured, or why it is thought.
    pub why: &'static str,
}

macro_rules! figures {
    ($($name:ident = $value:expr, $from:ident, $what:literal, $why:literal;)*) => {
        $(#[doc = $what] pub const $name: Figure = Figure { what: $what, value: $value, from: From::$from, why: $why };)*
        /// All of them, in the order of the page.
        pub const FIGURES: &[Figure] = &[$($name),*];
    };
}

figures! {
    OWN_EVENTS = 0.12, Set, "events a second of each agent itself", "a heartbeat each 10 s, host figures each minute";
    LINES = 1.0, Estimate, "log lines a second of each host", "86,400 a day, an ordinary server; a busy portal has twenty times as many, so name --events-per-second";
    SECURITY_SHARE = 0.3, Estimate, "share of the lines that are security events", "the others are requests and dossiers";
    PEAK = 4.0, Estimate, "events of the busiest hour against the mean", "two thirds of a day come in eight hours, and a morning has its peak";
    RAW_SECURITY = 102.0, Measured, "bytes of raw line of a security event", "`tests/bench collector --rows 3000000`, authentication";
    RAW_USAGE = 220.0, Measured, "bytes of raw line of a usage event", "the same, http_activity";
    STORED_SECURITY = 70.4, Measured, "bytes on disk of a security event", "the same, authentication, all columns and indexes; the events are made, and logs repeat themselves more";
    STORED_USAGE = 92.7, Measured, "bytes on disk of a usage event", "the same, http_activity, the largest class";
    STORED_UPTIME = 32.2, Measured, "bytes on disk of an uptime event", "the same, check; a heartbeat has 30.6";
    ROLLUPS_SHARE = 0.37, Measured, "bytes of roll-ups against those of events", "the same, 94.0 MB of 251.5 MB at 1.2 events a second; it falls as more events share a minute, so this is the most";
    COLD_SHARE = 1.0, Estimate, "bytes of a cold file against those in the engine", "Parquet with zstd, about the same";
    HEADROOM = 1.5, Estimate, "disk against what is stored", "a merge needs room for its parts, and a disk is not filled beyond two thirds";
    KAFKA_BYTES = 100.0, Estimate, "bytes of an event on Kafka", "batches with zstd level 1";
    KAFKA_DAYS = 7.0, Set, "days that Kafka keeps", "its default; at least three, for agents that were cut off for 72 hours";
    SECURITY_DAYS = 366.0, Set, "days of security events", "the law's twelve months, with a leap day";
    USAGE_DAYS = 366.0, Set, "days of usage events", "the default of the retention";
    UPTIME_DAYS = 92.0, Set, "days of uptime events", "the default of the retention";
    HOT_DAYS = 92.0, Set, "days in the engine where there is a cold tier", "a quarter, by `hot` of each set";
    COLLECTOR_EVENTS = 30_000.0, Measured, "events a second of one collector", "`tests/bench`: 70,175 lines for each second of its CPU on a machine that others loaded; 112,994 on a free one, where 37,740 a second came through the whole way on two cores with agent, Kafka and engine";
    CATCH_UP = 3.0, Set, "times the busiest hour that the centre bears", "an hour's outage is made good in half an hour";
    SHARD_EVENTS = 100_000.0, Estimate, "events a second of one shard", "eight cores; `tests/bench` has 65,000 to 111,000 lines for each second of the engine's CPU, the rest is for merges, copies and questions";
    SHARD_BYTES = 2e13, Estimate, "bytes of disk of one replica of a shard", "what a new replica copies in a day over 2 Gbit/s";
}

/// Where a profile has too few partitions, they come in fours.
const PARTITIONS_STEP: u64 = 4;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    /// Servers with an agent.
    pub hosts: u64,
    /// Events a second on average, of all of them together; `None`: by their number.
    pub events_per_second: Option<f64>,
}

/// What it needs. Bytes are of all copies, where nothing else is said.
#[derive(Clone, Debug, PartialEq)]
pub struct Sizing {
    /// Servers.
    pub hosts: u64,
    /// Events a second on average.
    pub events_per_second: f64,
    /// Events a second of the busiest hour.
    pub busiest: f64,
    /// Bytes of raw lines a day.
    pub raw_a_day: f64,
    /// Bytes on disk of a day's events, of one copy.
    pub stored_a_day: f64,
    /// Disk of the engines with all in them.
    pub disk_hot: f64,
    /// Disk of the engines with a cold tier behind them.
    pub disk_with_cold: f64,
    /// Bytes of the cold tier.
    pub cold: f64,
    /// Disk of the brokers.
    pub kafka: f64,
    /// The profile.
    pub profile: Profile,
    /// Partitions of each topic of events.
    pub partitions: u64,
    /// Collectors.
    pub collectors: u64,
    /// Shards.
    pub shards: u64,
    /// Replicas of each.
    pub replicas: u64,
}

/// A count of things that are whole.
fn whole(number: f64) -> u64 {
    let up = number.ceil().clamp(1.0, 1e15);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole, and between 1 and 1e15"
    )]
    let count = up as u64;
    count
}

#[expect(clippy::cast_precision_loss, reason = "hosts and machines are few")]
const fn number(count: u64) -> f64 {
    count as f64
}

/// What so much needs.
#[must_use]
pub fn sizing(asked: Asked) -> Sizing {
    const DAY: f64 = 86_400.0;
    let own = number(asked.hosts) * OWN_EVENTS.value;
    let all = asked.events_per_second.unwrap_or(own + number(asked.hosts) * LINES.value).max(0.0);
    let uptime = own.min(all);
    let security = (all - uptime) * SECURITY_SHARE.value;
    let usage = all - uptime - security;
    let busiest = all * PEAK.value;
    let profile = Profile::for_events(busiest);
    let replicas = profile.replication;
    let days = |limit: f64| {
        let of = |events: f64, bytes: f64, days: f64| events * DAY * bytes * days.min(limit);
        of(security, STORED_SECURITY.value, SECURITY_DAYS.value)
            + of(usage, STORED_USAGE.value, USAGE_DAYS.value)
            + of(uptime, STORED_UPTIME.value, UPTIME_DAYS.value)
    };
    let (year, hot) = (days(f64::MAX), days(HOT_DAYS.value));
    let disk =
        |stored: f64| (stored + year * ROLLUPS_SHARE.value) * HEADROOM.value * number(replicas);
    let collectors = whole(busiest * CATCH_UP.value / COLLECTOR_EVENTS.value);
    // A cluster has no cold tier yet: all of it lies on the shards.
    let (disk_hot, disk_with_cold) = (disk(year), disk(hot));
    let lies = if replicas > 1 { disk_hot } else { disk_with_cold };
    let shards = whole(
        (busiest * CATCH_UP.value / SHARD_EVENTS.value)
            .max(lies / number(replicas) / SHARD_BYTES.value),
    );
    Sizing {
        hosts: asked.hosts,
        events_per_second: all,
        busiest,
        raw_a_day: DAY * (security * RAW_SECURITY.value + usage * RAW_USAGE.value),
        stored_a_day: days(1.0),
        disk_hot,
        disk_with_cold,
        cold: (year - hot) * COLD_SHARE.value,
        kafka: all
            * DAY
            * KAFKA_DAYS.value
            * KAFKA_BYTES.value
            * HEADROOM.value
            * number(profile.replication),
        profile,
        // Twice as many as collectors, so that one that falls out is shared by all others.
        partitions: profile.partitions.max((2 * collectors).next_multiple_of(PARTITIONS_STEP)),
        collectors,
        shards,
        replicas,
    }
}

/// Bytes as a page has them: three digits, decimal units.
#[must_use]
pub fn bytes(value: f64) -> String {
    let (mut value, mut unit) = (value / 1e6, "MB");
    for next in ["GB", "TB", "PB"] {
        if value < 999.5 {
            break;
        }
        (value, unit) = (value / 1e3, next);
    }
    let digits = if value < 9.95 { 1 } else { 0 };
    format!("{value:.digits$} {unit}")
}

/// A number with its thousands apart.
#[must_use]
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Columns of the page's table.
pub const COLUMNS: [&str; 13] = [
    "hosts",
    "events/s",
    "busiest hour",
    "raw a day",
    "stored a day",
    "disk, all hot",
    "disk, 92 days hot",
    "cold tier",
    "Kafka",
    "profile",
    "partitions",
    "collectors",
    "engines",
];

impl Sizing {
    /// Its cells.
    #[must_use]
    pub fn cells(&self) -> [String; 13] {
        [
            thousands(number(self.hosts)),
            thousands(self.events_per_second),
            thousands(self.busiest),
            bytes(self.raw_a_day),
            bytes(self.stored_a_day),
            bytes(self.disk_hot),
            bytes(self.disk_with_cold),
            bytes(self.cold),
            bytes(self.kafka),
            self.profile.name.to_owned(),
            thousands(number(self.partitions)),
            thousands(number(self.collectors)),
            if self.replicas == 1 && self.shards == 1 {
                "1".to_owned()
            } else {
                format!("{} × {}", self.shards, self.replicas)
            },
        ]
    }
}

#[cfg(test)]
mod tests;
