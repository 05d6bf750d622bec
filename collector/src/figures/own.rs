//! What the collector tells of its own health: how far the store is behind, how late incidents are, how the engine's tables are, what this
//! process holds open. What is not known is absent, or NaN where it has no labels: Prometheus compares neither with anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus::{Gauge, GaugeVec, Histogram, HistogramOpts, Opts, Registry};

use super::{DEAD_REASONS, process::Open};
use crate::{
    doctor::EngineSeen,
    lag::{Lag, Usual},
};

/// Agencies with a figure of their own: 34 territories, 17 ministries, and some besides. Those with the oldest events keep their names.
pub const AGENCIES_MAX: usize = 64;

/// What the others are called, as the age of the oldest of them.
pub const OTHERS: &str = "other";

/// From an event to its incident: windows of rules are minutes, a backlog is days.
const INCIDENT_SECONDS: [f64; 14] =
    [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0];

/// An event that is older when its incident opens counts as so old: one clock that is wrong by years would be all that the mean says.
const INCIDENT_SECONDS_MAX: f64 = 30.0 * 86_400.0;

/// Rows of a block; the engine wants few large ones.
const BLOCK_ROWS: [f64; 10] =
    [1.0, 10.0, 100.0, 500.0, 1_000.0, 5_000.0, 10_000.0, 25_000.0, 50_000.0, 100_000.0];

/// What grows in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Agents of the national picture.
    PictureAgents,
    /// Checks of the national picture.
    PictureChecks,
    /// Incidents of the national picture.
    PictureIncidents,
    /// Records that wait for the national picture.
    PictureRecords,
    /// Deltas that the slowest console has not taken.
    PictureDeltas,
    /// Incidents of the book, while this collector leads it.
    BookIncidents,
    /// Signals that wait in the book for their platform's.
    BookSignals,
    /// Commands of operators that wait for their answer.
    BookCommands,
    /// Records that were read at the heads of partitions.
    LagHeads,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::PictureAgents => "picture-agents",
            Self::PictureChecks => "picture-checks",
            Self::PictureIncidents => "picture-incidents",
            Self::PictureRecords => "picture-records",
            Self::PictureDeltas => "picture-deltas",
            Self::BookIncidents => "book-incidents",
            Self::BookSignals => "book-signals",
            Self::BookCommands => "book-commands",
            Self::LagHeads => "lag-heads",
        }
    }
}

/// Gauges that come and go with what is known. A scrape never sees them empty between two tellings.
#[derive(Clone)]
struct Known {
    gauges: GaugeVec,
    told: Arc<Mutex<BTreeSet<Vec<String>>>>,
}

impl Known {
    fn tell(&self, figures: &BTreeMap<Vec<String>, f64>) {
        for (labels, figure) in figures {
            self.gauges.with_label_values(labels).set(*figure);
        }
        let mut told = lock(&self.told);
        for gone in told.iter().filter(|labels| !figures.contains_key(*labels)) {
            // It was there.
            let _removed = self.gauges.remove_label_values(gone);
        }
        *told = figures.keys().cloned().collect();
    }
}

/// The metrics. Cloning shares them.
#[derive(Clone)]
pub struct Own {
    usual: Arc<Mutex<Usual>>,
    lag_seconds: Known,
    lag_events: Known,
    lag_bytes: Known,
    lag_unknown: Gauge,
    oldest: Known,
    incident: Histogram,
    block_rows: Histogram,
    parts: Gauge,
    mutation: Gauge,
    disk_free: Gauge,
    disk: Gauge,
    dead_open: Known,
    unexplained: Gauge,
    sockets: Gauge,
    files: Gauge,
    files_max: Gauge,
    held: GaugeVec,
    threats: Gauge,
    threats_refused: Gauge,
    threats_unsearched: Gauge,
}

impl Own {
    /// Makes and registers them.
    ///
    /// # Errors
    /// If a name is used twice, which a test would show.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let named = |name: &str| format!("vonggac_collector_{name}");
        let gauge = |name: &str, help: &str| {
            let made = Gauge::new(named(name), help)?;
            made.set(f64::NAN);
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let known = |name: &str, help: &str, labels: &[&str]| {
            let gauges = GaugeVec::new(Opts::new(named(name), help), labels)?;
            registry.register(Box::new(gauges.clone()))?;
            Ok::<_, prometheus::Error>(Known { gauges, told: Arc::default() })
        };
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let options = HistogramOpts::new(named(name), help).buckets(buckets.to_vec());
            let made = Histogram::with_opts(options)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let held = GaugeVec::new(
            Opts::new(named("held_items"), "Things that a part holds in memory"),
            &["part"],
        )?;
        registry.register(Box::new(held.clone()))?;
        let place = ["topic", "partition"];
        Ok(Self {
            usual: Arc::default(),
            lag_seconds: known(
                "lag_seconds",
                "Age of the oldest Kafka record that is not stored; 0 while all came within the last 5 seconds; absent: not known",
                &place,
            )?,
            lag_events: known(
                "lag_events",
                "Events in Kafka that are not stored; of records that were not read, estimated by the mean of those stored last; absent: not known",
                &place,
            )?,
            lag_bytes: known(
                "lag_bytes",
                "Bytes of Kafka records that are not stored; of records that were not read, estimated by the mean of those stored last; absent: not known",
                &place,
            )?,
            lag_unknown: gauge(
                "lag_unknown_partitions",
                "Partitions of which it is not known how far the store is behind; NaN: nobody looked yet",
            )?,
            oldest: known(
                "oldest_unstored_event_seconds",
                "At least so old is the oldest event of an agency that is not stored: among the first records that wait in Kafka, or by its agents' heartbeats on their own disks; absent: not known",
                &["agency", "place"],
            )?,
            incident: histogram(
                "event_to_incident_seconds",
                "From the event that made a rule fire, by its own time, to its incident, stored",
                &INCIDENT_SECONDS,
            )?,
            block_rows: histogram("insert_rows", "Of one block", &BLOCK_ROWS)?,
            parts: gauge(
                "store_parts_max",
                "Active parts of the table partition that has most; NaN: the engine did not say",
            )?,
            mutation: gauge(
                "store_mutation_seconds",
                "For how long the oldest change of a table has not ended; NaN: the engine did not say",
            )?,
            disk_free: gauge(
                "store_disk_free_bytes",
                "Free on the engine's fullest disk; NaN: the engine did not say",
            )?,
            disk: gauge(
                "store_disk_bytes",
                "Size of the engine's smallest disk; NaN: the engine did not say",
            )?,
            dead_open: known(
                "dead_letters_open",
                "Records set aside about which nobody decided; absent: the engine did not say",
                &["reason"],
            )?,
            unexplained: gauge(
                "events_unexplained",
                "Events of the last day that are missing although no agent said why; NaN: the engine did not say",
            )?,
            sockets: gauge("open_sockets", "Sockets of this process; NaN: not known")?,
            files: gauge("open_files", "Files and sockets of this process; NaN: not known")?,
            files_max: gauge("open_files_max", "How many it may have; NaN: not known")?,
            held,
            threats: gauge(
                "threat_entries",
                "Entries of threat lists in force; NaN: there is no folder of lists",
            )?,
            threats_refused: gauge(
                "threat_entries_refused",
                "Threat lists, or entries of them, that were refused when they were read last; NaN: there is no folder of lists",
            )?,
            threats_unsearched: gauge(
                "threat_entries_unsearched",
                "Entries of threat lists for which stored events are not searched yet; NaN: another collector searches, or there is no folder of lists",
            )?,
        })
    }

    /// What stored records are like, for a moment.
    pub fn usual(&self) -> MutexGuard<'_, Usual> {
        lock(&self.usual)
    }

    pub(super) fn behind(&self, lag: &Lag) {
        let of = |figure: fn(&crate::lag::Behind) -> Option<f64>| {
            let told = lag.partitions.iter().filter_map(|((topic, partition), behind)| {
                Some((vec![topic.clone(), partition.to_string()], figure(behind)?))
            });
            told.collect::<BTreeMap<_, _>>()
        };
        self.lag_seconds.tell(&of(|behind| behind.seconds));
        self.lag_events.tell(&of(|behind| behind.events));
        self.lag_bytes.tell(&of(|behind| behind.bytes));
        #[expect(clippy::cast_precision_loss, reason = "at most some thousands")]
        self.lag_unknown.set(lag.unknown() as f64);
    }

    /// Nobody has looked for long.
    pub(super) fn overdue(&self) {
        for known in [&self.lag_seconds, &self.lag_events, &self.lag_bytes] {
            known.tell(&BTreeMap::new());
        }
        self.lag_unknown.set(f64::NAN);
    }

    #[expect(clippy::cast_precision_loss, reason = "a count for a graph")]
    pub(super) fn holds(&self, part: Part, items: usize) {
        self.held.with_label_values(&[part.name()]).set(items as f64);
    }

    #[expect(clippy::cast_precision_loss, reason = "a count for a graph")]
    pub(super) fn threats(&self, entries: usize, refused: usize) {
        self.threats.set(entries as f64);
        self.threats_refused.set(refused as f64);
    }

    #[expect(clippy::cast_precision_loss, reason = "a count for a graph")]
    pub(super) fn threats_unsearched(&self, entries: Option<usize>) {
        self.threats_unsearched.set(entries.map_or(f64::NAN, |entries| entries as f64));
    }

    pub(super) fn oldest(
        &self,
        in_kafka: &BTreeMap<String, f64>,
        on_agents: &BTreeMap<String, f64>,
    ) {
        let mut told = BTreeMap::new();
        for (place, ages) in [("kafka", in_kafka), ("agent", on_agents)] {
            let limited = limited(ages).into_iter();
            told.extend(limited.map(|(agency, age)| (vec![agency, place.to_owned()], age)));
        }
        self.oldest.tell(&told);
    }

    pub(super) fn incident(&self, seconds: f64) {
        self.incident.observe(seconds.clamp(0.0, INCIDENT_SECONDS_MAX));
    }

    #[expect(clippy::cast_precision_loss, reason = "a histogram of rows")]
    pub(super) fn block(&self, rows: u64) {
        self.block_rows.observe(rows as f64);
    }

    /// `None`: the engine did not say.
    #[expect(clippy::cast_precision_loss, reason = "bytes for a graph")]
    pub(super) fn engine(&self, told: Option<(&EngineSeen, &BTreeMap<String, u64>, u64)>) {
        let of = |figure: fn(&EngineSeen) -> f64| told.map_or(f64::NAN, |told| figure(told.0));
        self.parts.set(of(|engine| engine.parts.1 as f64));
        self.mutation
            .set(of(|engine| engine.mutation.as_ref().map_or(0.0, |(_, span)| span.as_secs_f64())));
        self.disk_free.set(of(|engine| engine.disk.0 as f64));
        self.disk.set(of(|engine| engine.disk.1 as f64));
        self.unexplained.set(told.map_or(f64::NAN, |(_, _, unexplained)| unexplained as f64));
        let mut open = BTreeMap::new();
        if let Some((_, dead, _)) = told {
            // A reason of which none is open is a measured zero.
            open.extend(DEAD_REASONS.map(|reason| (vec![reason.to_owned()], 0.0)));
            open.extend(dead.iter().map(|(reason, count)| (vec![reason.clone()], *count as f64)));
        }
        self.dead_open.tell(&open);
    }

    pub(super) fn open(&self, open: Option<Open>) {
        #[expect(clippy::cast_precision_loss, reason = "a few thousands")]
        let figure = |of: Option<u64>| of.map_or(f64::NAN, |number| number as f64);
        self.sockets.set(figure(open.map(|open| open.sockets)));
        self.files.set(figure(open.map(|open| open.files)));
        self.files_max.set(figure(open.and_then(|open| open.files_max)));
    }
}

/// At most [`AGENCIES_MAX`] names; the oldest of all others is theirs.
fn limited(ages: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    if ages.len() <= AGENCIES_MAX {
        return ages.clone();
    }
    let mut by_age: Vec<(&String, f64)> = ages.iter().map(|(name, age)| (name, *age)).collect();
    by_age.sort_by(|a, b| b.1.total_cmp(&a.1));
    let (named, others) = by_age.split_at(AGENCIES_MAX);
    let mut limited: BTreeMap<String, f64> =
        named.iter().map(|(name, age)| ((*name).clone(), *age)).collect();
    if let Some((_, oldest)) = others.first() {
        limited.insert(OTHERS.into(), *oldest);
    }
    limited
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use prometheus::{Encoder as _, TextEncoder};

    use super::*;
    use crate::lag::Behind;

    fn text(registry: &Registry) -> String {
        let mut bytes = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn lag(of: &[(i32, Option<f64>)]) -> Lag {
        let behind = |seconds| Behind { records: Some(7), seconds, events: None, bytes: Some(9.0) };
        let partitions =
            of.iter().map(|(number, seconds)| (("t".to_owned(), *number), behind(*seconds)));
        Lag { partitions: partitions.collect(), ..Lag::default() }
    }

    #[test]
    fn what_is_not_known_is_absent_and_counted_and_what_was_known_does_not_stay() {
        let registry = Registry::new();
        let own = Own::new(&registry).unwrap();
        let told = text(&registry);
        assert!(told.contains("lag_unknown_partitions NaN"), "{told}");
        assert!(!told.contains("lag_seconds{"), "{told}");
        own.behind(&lag(&[(0, Some(12.0)), (1, None)]));
        let told = text(&registry);
        assert!(told.contains("lag_seconds{partition=\"0\",topic=\"t\"} 12"), "{told}");
        assert!(!told.contains("lag_seconds{partition=\"1\""), "{told}");
        assert!(told.contains("lag_bytes{partition=\"1\",topic=\"t\"} 9"), "{told}");
        assert!(!told.contains("lag_events{"), "{told}");
        assert!(told.contains("lag_unknown_partitions 1"), "{told}");
        own.behind(&lag(&[(0, None), (1, None)]));
        let told = text(&registry);
        assert!(!told.contains("lag_seconds{"), "{told}");
        assert!(told.contains("lag_unknown_partitions 2"), "{told}");
    }

    #[test]
    fn an_engine_that_says_nothing_is_not_one_without_parts_or_dead_letters() {
        let registry = Registry::new();
        let own = Own::new(&registry).unwrap();
        let engine =
            EngineSeen { parts: ("events 1".into(), 4), disk: (5, 6), ..Default::default() };
        let dead = BTreeMap::from([("identity".to_owned(), 3)]);
        own.engine(Some((&engine, &dead, 0)));
        let told = text(&registry);
        for line in [
            "store_parts_max 4",
            "store_disk_free_bytes 5",
            "store_disk_bytes 6",
            "store_mutation_seconds 0",
            "events_unexplained 0",
            "dead_letters_open{reason=\"identity\"} 3",
            "dead_letters_open{reason=\"version\"} 0",
        ] {
            assert!(told.contains(line), "{line} is not in {told}");
        }
        own.engine(None);
        let told = text(&registry);
        for name in ["store_parts_max", "store_disk_free_bytes", "events_unexplained"] {
            assert!(told.contains(&format!("{name} NaN")), "{name}: {told}");
        }
        assert!(!told.contains("dead_letters_open{"), "{told}");
    }

    #[test]
    fn agencies_are_bounded_and_the_oldest_keep_their_names() {
        let ages: BTreeMap<String, f64> =
            (0..AGENCIES_MAX + 10).map(|n| (format!("A{n:03}"), n as f64)).collect();
        let limited = limited(&ages);
        assert_eq!(limited.len(), AGENCIES_MAX + 1);
        assert_eq!(limited[OTHERS], 9.0);
        assert_eq!(limited["A073"], 73.0);
        assert!(!limited.contains_key("A009"));
    }

    #[test]
    fn an_event_of_a_wrong_clock_counts_and_does_not_drown_the_others() {
        let registry = Registry::new();
        let own = Own::new(&registry).unwrap();
        for seconds in [-50.0, 2.0, 1e12] {
            own.incident(seconds);
        }
        let told = text(&registry);
        assert!(told.contains("event_to_incident_seconds_count 3"), "{told}");
        assert!(told.contains("event_to_incident_seconds_sum 2592002"), "{told}");
    }
}
