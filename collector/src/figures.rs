//! The collector's metrics, and the recent figures that consoles show.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use vonggac_wire::{Time, proto::DeadLetter};

use crate::{
    detect::Lost,
    doctor::EngineSeen,
    lag::{LOOK_DUE, Lag, Oldest, Usual},
    record::Record,
    store::{StoreError, refusal::Refusal},
};

pub mod keeping;
pub mod notify;
mod own;
mod process;

pub use own::{AGENCIES_MAX, OTHERS, Own, Part};

/// Delays and insert times that are kept for a percentile.
const SAMPLES_MAX: usize = 2_048;

/// Seconds of event rates that are kept for a sparkline.
const RATES_MAX: usize = 60;

/// Dead letters that are shown at once.
const DEAD_MAX: usize = 50;

/// Words of [`crate::decode::Rejection::reason`].
const DEAD_REASONS: [&str; 11] = [
    "too-large",
    "undecodable",
    "version",
    "wrong-topic",
    "identity",
    "sequence",
    "chain",
    "event",
    "unknown-agency",
    "ahead",
    "refused",
];

/// Recent figures.
#[derive(Debug, Default)]
pub struct Recent {
    /// From an event to its row, seconds.
    pub delays: VecDeque<f64>,
    /// Of one block, seconds.
    pub inserts: VecDeque<f64>,
    /// Events in each second, oldest first.
    pub rates: VecDeque<u64>,
    rate_second: i64,
    /// The newest dead letters, newest first.
    pub dead: VecDeque<DeadLetter>,
    /// The time of the newest event stored, by the centre's clock at storing.
    pub newest_stored: Option<Time>,
    /// The engine or Kafka did not answer when last asked: since when.
    pub store_down_since: Option<Time>,
    /// Kafka did not take the last canary: since when.
    pub kafka_down_since: Option<Time>,
    /// Offsets in Kafka that are not stored.
    pub lag: u64,
    /// Partitions held.
    pub partitions: u32,
    /// Events left out because they were stored before.
    pub duplicates: u64,
    /// Signals that were folded into incidents.
    pub signals: u64,
    /// Keys that detection holds.
    pub detection_keys: u64,
    /// When detection last looked at the clock.
    pub detection_ticked: Option<Time>,
    /// When detection last had to forget somebody it followed.
    pub detection_evicted: Option<Time>,
    /// Partitions that there are, held by this collector or another.
    pub partitions_all: u32,
    /// Rules that are loaded.
    pub rules: u32,
    /// From events to their incidents, seconds.
    pub incident_delays: VecDeque<f64>,
    /// How far the store is behind Kafka, when last looked at.
    pub behind: Option<Behind>,
    /// The oldest event of each agency that Kafka has and the store has not, as far as it is known.
    oldest_in_kafka: BTreeMap<String, f64>,
}

/// How far the store is behind Kafka as a whole. `None`: not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Behind {
    /// When it was looked at.
    pub at: Time,
    /// Age of the oldest record that is not stored.
    pub seconds: Option<f64>,
    /// Bytes that are not stored, in part estimated.
    pub bytes: Option<f64>,
    /// The oldest event that was seen there.
    pub oldest: Option<Oldest>,
}

/// The metrics. Cloning shares them.
#[derive(Clone)]
pub struct Figures {
    registry: Registry,
    recent: Arc<Mutex<Recent>>,
    records: IntCounterVec,
    rows: IntCounter,
    duplicates: IntCounter,
    dead: IntCounterVec,
    signals: IntCounter,
    store_failures: IntCounterVec,
    store_ailing: IntGauge,
    delay: Histogram,
    insert: Histogram,
    lag: IntGauge,
    partitions: IntGauge,
    incidents_open: IntGauge,
    transitions: IntCounter,
    detection_keys: IntGauge,
    detection_rebuilding: IntGauge,
    detection_evicted: IntCounter,
    detection_late: IntCounter,
    rss: IntGauge,
    watchers: IntGauge,
    canary_age: IntGauge,
    heartbeats: IntCounter,
    own: Own,
}

impl Figures {
    /// Makes and registers the metrics.
    ///
    /// # Errors
    /// If a name is used twice, which a test would show.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| {
            let made = IntCounter::new(format!("vonggac_collector_{name}"), help)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let counters = |name: &str, help: &str, label: &str| {
            let made =
                IntCounterVec::new(Opts::new(format!("vonggac_collector_{name}"), help), &[label])?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let gauge = |name: &str, help: &str| {
            let made = IntGauge::new(format!("vonggac_collector_{name}"), help)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let options = HistogramOpts::new(format!("vonggac_collector_{name}"), help)
                .buckets(buckets.to_vec());
            let made = Histogram::with_opts(options)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let dead = counters("dead_letters_total", "Records that could not be taken", "reason")?;
        // A reason that has not been met is a measured zero.
        for reason in DEAD_REASONS {
            dead.with_label_values(&[reason]);
        }
        let store_failures = counters(
            "store_failures_total",
            "Times that the engine did not do something",
            "reason",
        )?;
        for refusal in Refusal::ALL {
            store_failures.with_label_values(&[refusal.name()]);
        }
        let seconds = [0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 600.0, 3600.0];
        Ok(Self {
            records: counters("records_total", "Kafka records taken", "topic")?,
            rows: counter("rows_stored_total", "Events stored")?,
            duplicates: counter(
                "duplicates_total",
                "Events that came a second time and were left out",
            )?,
            dead,
            signals: counter("signals_total", "Signals that detection gave")?,
            store_failures,
            store_ailing: gauge(
                "store_ailing_seconds",
                "For how long the store has refused, or not answered, what is to be written",
            )?,
            delay: histogram("event_to_row_seconds", "From reading an event to its row", &seconds)?,
            insert: histogram("insert_seconds", "Of one block", &seconds)?,
            lag: gauge("consumer_lag_records", "Kafka records that are not stored")?,
            partitions: gauge("partitions_held", "Partitions that this collector holds")?,
            incidents_open: gauge("incidents_open", "Incidents that are not resolved")?,
            transitions: counter("transitions_total", "Steps of incidents")?,
            detection_keys: gauge("detection_keys", "Keys that detection holds")?,
            detection_rebuilding: gauge(
                "detection_rebuilding_records",
                "Stored records that detection still reads again after a taking-over; it says nothing of their partitions meanwhile",
            )?,
            detection_evicted: counter(
                "detection_keys_evicted_total",
                "Keys that detection forgot before their time, because there were too many",
            )?,
            detection_late: counter(
                "correlation_events_late_total",
                "Events that came too late for the window of a correlation",
            )?,
            rss: gauge("resident_memory_bytes", "Memory of this process")?,
            canary_age: gauge(
                "canary_age_seconds",
                "Age of the oldest test event that was the last to come through its partition",
            )?,
            heartbeats: counter("heartbeats_total", "Signs of life given to the outside")?,
            watchers: gauge("consoles_watching", "Consoles that are connected")?,
            recent: Arc::default(),
            own: Own::new(&registry)?,
            registry,
        })
    }

    /// For `/metrics`.
    #[must_use]
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// The recent figures, for a moment.
    pub fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record was taken.
    pub fn record(&self, topic: &str) {
        self.records.with_label_values(&[topic]).inc();
    }

    /// Events came a second time.
    pub fn duplicates(&self, count: u64) {
        self.duplicates.inc_by(count);
        self.recent().duplicates += count;
    }

    /// A record is dead.
    pub fn dead(&self, letter: DeadLetter) {
        self.dead.with_label_values(&[&letter.reason]).inc();
        tracing::warn!(reason = letter.reason, topic = letter.topic, partition = letter.partition, offset = letter.offset, detail = %vonggac_daemon::log::Harmless(&letter.detail), "a record was set aside");
        let mut recent = self.recent();
        recent.dead.push_front(letter);
        recent.dead.truncate(DEAD_MAX);
    }

    /// A block is stored: its rows, how long it took, and samples of the delay from event to row.
    pub fn stored(&self, rows: u64, took: Duration, delays: &[f64], now: Time) {
        self.rows.inc_by(rows);
        self.insert.observe(took.as_secs_f64());
        self.own.block(rows);
        let mut recent = self.recent();
        keep(&mut recent.inserts, took.as_secs_f64());
        for delay in delays {
            self.delay.observe(*delay);
            keep(&mut recent.delays, *delay);
        }
        recent.newest_stored = Some(now);
        recent.store_down_since = None;
        recent.roll(now);
        if let Some(current) = recent.rates.back_mut() {
            *current += rows;
        }
    }

    /// The engine did not take something, or did not answer.
    pub fn store_failed(&self, what: &str, error: &StoreError, now: Time) {
        let reason = Refusal::of(error).unwrap_or(Refusal::Other).name();
        self.store_failures.with_label_values(&[reason]).inc();
        let error = vonggac_daemon::log::Harmless(&error.to_string()).to_string();
        tracing::warn!(what, reason, error, "the engine did not take it; it is tried again");
        self.recent().store_down_since.get_or_insert(now);
    }

    /// Kafka took the canary, or did not.
    pub fn kafka(&self, takes: bool, now: Time) {
        let mut recent = self.recent();
        if takes {
            recent.kafka_down_since = None;
        } else {
            recent.kafka_down_since.get_or_insert(now);
        }
    }

    /// For how long the store has been ailing; zero: it is well.
    pub fn ailing(&self, span: Duration) {
        self.store_ailing.set(i64::try_from(span.as_secs()).unwrap_or(i64::MAX));
    }

    /// What this collector works with.
    pub fn started(&self, partitions_all: u32, rules: u32) {
        let mut recent = self.recent();
        (recent.partitions_all, recent.rules) = (partitions_all, rules);
    }

    /// So many rules are in force.
    pub fn rules(&self, rules: u32) {
        self.recent().rules = rules;
    }

    /// Detection gave signals and holds keys.
    pub fn detected(&self, signals: u64, keys: u64, now: Time) {
        self.signals.inc_by(signals);
        self.detection_keys.set(i64::try_from(keys).unwrap_or(i64::MAX));
        let mut recent = self.recent();
        recent.signals += signals;
        recent.detection_keys = keys;
        recent.detection_ticked = Some(now);
    }

    /// So many stored records are still to be read again.
    pub fn rebuilding(&self, records: u64) {
        self.detection_rebuilding.set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// What detection gave up since the start; told in the log when it grows.
    pub fn detection_lost(&self, lost: Lost, now: Time) {
        let grown = |counter: &IntCounter, now: u64| {
            let more = now.saturating_sub(counter.get());
            counter.inc_by(more);
            more
        };
        let evicted = grown(&self.detection_evicted, lost.evicted);
        if evicted > 0 {
            self.recent().detection_evicted = Some(now);
            tracing::warn!(
                evicted,
                "detection follows too many addresses and users at once; the quietest were forgotten"
            );
        }
        grown(&self.detection_late, lost.late);
    }

    /// How far behind, and how many partitions.
    pub fn position(&self, lag: u64, partitions: u32) {
        self.lag.set(i64::try_from(lag).unwrap_or(i64::MAX));
        self.partitions.set(partitions.into());
        let mut recent = self.recent();
        (recent.lag, recent.partitions) = (lag, partitions);
    }

    /// What stored records are like, for a moment.
    pub fn usual(&self) -> MutexGuard<'_, Usual> {
        self.own.usual()
    }

    /// A record is stored, as the picture is given it.
    pub fn kept(&self, record: &Record) {
        self.usual().stored(record);
    }

    /// How far the store is behind Kafka.
    pub fn behind(&self, lag: Lag, now: Time) {
        self.own.behind(&lag);
        let (seconds, bytes, oldest) = (lag.seconds(), lag.bytes(), lag.oldest());
        let mut recent = self.recent();
        recent.behind = Some(Behind { at: now, seconds, bytes, oldest });
        recent.oldest_in_kafka = lag.agencies;
    }

    /// By agency, the age of the oldest event that its agents have and Kafka has not; with it, what Kafka has and the store has not is told.
    /// Who looked there last too long ago knows nothing any more.
    pub fn waiting(&self, on_agents: &BTreeMap<String, f64>, now: Time) {
        let mut recent = self.recent();
        if recent.behind.as_ref().is_some_and(|told| now.since(told.at) >= LOOK_DUE) {
            recent.behind = None;
            recent.oldest_in_kafka.clear();
            self.own.overdue();
        }
        let in_kafka = recent.oldest_in_kafka.clone();
        drop(recent);
        self.own.oldest(&in_kafka, on_agents);
    }

    /// So many entries of threat lists are in force, and so much was refused.
    pub fn threats(&self, entries: usize, refused: usize) {
        self.own.threats(entries, refused);
    }

    /// For so many entries of threat lists stored events are not searched yet; `None`: that is another collector's work.
    pub fn threats_unsearched(&self, entries: Option<usize>) {
        self.own.threats_unsearched(entries);
    }

    /// So many things are held in memory by a part.
    pub fn holds(&self, part: Part, items: usize) {
        self.own.holds(part, items);
    }

    /// What the engine says of itself, its open dead letters by reason, and how many events are missing without an explanation; `None`: it
    /// says nothing.
    pub fn engine(&self, told: Option<(&EngineSeen, &BTreeMap<String, u64>, u64)>) {
        self.own.engine(told);
    }

    /// Incidents were opened and stored so long after the event that made their rule fire.
    pub fn incident_opened(&self, seconds: f64) {
        self.own.incident(seconds);
        keep(&mut self.recent().incident_delays, seconds.max(0.0));
    }

    /// Looks what this process holds open.
    pub fn look_at_process(&self) {
        self.own.open(process::open());
    }

    /// The book made steps.
    pub fn transitions(&self, count: u64, open: u64) {
        self.transitions.inc_by(count);
        self.incidents_open.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    /// This process' memory.
    pub fn rss(&self, bytes: u64) {
        self.rss.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// The worst place's last canary was sent so long ago.
    pub fn canary(&self, seconds: u64) {
        self.canary_age.set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }

    /// A sign of life was given.
    pub fn heartbeat(&self) {
        self.heartbeats.inc();
    }

    /// A console came (+1) or left (-1).
    pub fn watcher(&self, change: i64) {
        self.watchers.add(change);
    }
}

impl Recent {
    /// Brings the rates up to this second.
    pub fn roll(&mut self, now: Time) {
        let second = now.seconds();
        if self.rates.is_empty()
            || second - self.rate_second > RATES_MAX as i64
            || second < self.rate_second
        {
            self.rates.clear();
            self.rates.push_back(0);
        } else {
            for _ in self.rate_second..second {
                self.rates.push_back(0);
            }
        }
        while self.rates.len() > RATES_MAX {
            self.rates.pop_front();
        }
        self.rate_second = second;
    }

    /// Events a second over the last ten whole seconds.
    #[must_use]
    pub fn events_per_second(&self) -> f64 {
        let whole = self.rates.iter().rev().skip(1).take(10);
        let (sum, seconds) = whole.fold((0, 0), |(sum, seconds), rate| (sum + rate, seconds + 1));
        #[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
        let rate = sum as f64 / f64::from(seconds.max(1));
        rate
    }
}

fn keep(samples: &mut VecDeque<f64>, sample: f64) {
    if samples.len() >= SAMPLES_MAX {
        samples.pop_front();
    }
    samples.push_back(sample);
}

/// The value below which this share of the samples lies; `None` without samples.
#[must_use]
pub fn percentile(samples: &VecDeque<f64>, share: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = samples.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let at = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
    sorted.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_samples() {
        let samples: VecDeque<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&samples, 0.99), Some(99.0));
        assert_eq!(percentile(&samples, 0.5), Some(50.0));
        assert_eq!(percentile(&VecDeque::new(), 0.5), None);
    }

    #[test]
    fn rates_fall_to_zero_when_nothing_comes() {
        let mut recent = Recent::default();
        recent.roll(Time::from_seconds(100));
        recent.rates[0] = 50;
        recent.roll(Time::from_seconds(103));
        assert_eq!(recent.rates, [50, 0, 0, 0]);
        assert!((recent.events_per_second() - 50.0 / 3.0).abs() < 1e-9);
    }
}
