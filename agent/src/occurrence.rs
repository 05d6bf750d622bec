//! What happens in an agent: each kind has one place that counts it and says it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use prometheus::{Counter, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use vonggac_wire::Lane;

use crate::{
    governor::Reading,
    vigil::{Part, Vigil},
};

mod slowing;

use slowing::Slowing;

/// Why something was not taken, or not at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// A datagram beyond what its sender may send.
    SyslogSender,
    /// A datagram that the kernel had no room for.
    SyslogKernel,
    /// A connection beyond the places there are.
    SyslogConnection,
}

impl Dropped {
    /// All of them.
    const ALL: [Self; 3] = [Self::SyslogSender, Self::SyslogKernel, Self::SyslogConnection];

    /// As metrics and the status name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SyslogSender => "syslog-sender",
            Self::SyslogKernel => "syslog-kernel",
            Self::SyslogConnection => "syslog-connection",
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::SyslogSender => {
                "a sender of syslog sends more than it may; datagrams of it were dropped"
            }
            Self::SyslogKernel => {
                "the kernel dropped datagrams of syslog; raise receive_buffer, or let senders use tcp"
            }
            Self::SyslogConnection => "connections of syslog beyond the limit were sent away",
        }
    }
}

/// How far the reading of something has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The place in it.
    pub offset: u64,
    /// Bytes that are not read yet, where they can be counted.
    pub lag_bytes: Option<u64>,
    /// Lines read since the agent began with it.
    pub lines: u64,
    /// Times that it had to wait: it gives more than it may, or the agent keeps within its ceilings.
    pub waited: u64,
    /// Bytes of it that were gone before they could be read.
    pub lost_bytes: u64,
}

/// How often the log says that something of one kind was not taken: a flood of datagrams is none of the log.
const DROPS_TOLD_INTERVAL: Duration = Duration::from_secs(10);

/// How often the log says that the disk refuses: it may be the disk that the log is on.
const REFUSALS_TOLD_INTERVAL: Duration = Duration::from_secs(60);

/// When drops of a kind were told last, and how many came since.
type DropsTold = BTreeMap<&'static str, (Option<Instant>, u64)>;

/// Things whose standing is remembered: what a status shows without end is not read by anybody.
const STANDINGS_MAX: usize = 4_096;

/// The agent's metrics. Cloning shares them.
#[derive(Clone)]
pub struct Occurrences {
    registry: Registry,
    lines_read: IntCounter,
    lines_unparsed: IntCounter,
    events_spooled: IntCounterVec,
    events_known: IntCounter,
    batches_delivered: IntCounterVec,
    events_delivered: IntCounterVec,
    delivery_failures: IntCounter,
    source_failures: IntCounter,
    spool_bytes: IntGaugeVec,
    spool_waiting: IntGaugeVec,
    spool_dropped: IntGaugeVec,
    spool_refusals: IntCounter,
    drops: IntCounterVec,
    drops_told: Arc<Mutex<DropsTold>>,
    refusal_told: Arc<Mutex<Option<Instant>>>,
    tails_slowed: IntCounter,
    log_bytes_lost: IntCounter,
    reading: Reading,
    slowing: Slowing,
    /// By the source and the thing.
    standings: Arc<Mutex<BTreeMap<(String, String), Standing>>>,
    last_delivery: IntGauge,
    resident_bytes: IntGauge,
    cpu_seconds: Counter,
    vigil: Vigil,
}

impl Occurrences {
    /// Makes and registers the metrics.
    ///
    /// # Errors
    /// If a name is used twice, which a test would show.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(format!("vonggac_agent_{name}"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let counters = |name: &str, help: &str| {
            let counters =
                IntCounterVec::new(Opts::new(format!("vonggac_agent_{name}"), help), &["lane"])?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let gauges = |name: &str, help: &str| {
            let gauges =
                IntGaugeVec::new(Opts::new(format!("vonggac_agent_{name}"), help), &["lane"])?;
            registry.register(Box::new(gauges.clone()))?;
            Ok::<_, prometheus::Error>(gauges)
        };
        let last_delivery = IntGauge::new(
            "vonggac_agent_last_delivery_timestamp_seconds",
            "When Kafka last took a batch",
        )?;
        registry.register(Box::new(last_delivery.clone()))?;
        // Named as every exporter names them.
        let resident_bytes =
            IntGauge::new("process_resident_memory_bytes", "Resident memory in bytes")?;
        registry.register(Box::new(resident_bytes.clone()))?;
        let cpu_seconds = Counter::new(
            "process_cpu_seconds_total",
            "CPU time in user and system mode in seconds",
        )?;
        registry.register(Box::new(cpu_seconds.clone()))?;
        let drops = IntCounterVec::new(
            Opts::new("vonggac_agent_drops_total", "What was not taken, by the reason"),
            &["reason"],
        )?;
        registry.register(Box::new(drops.clone()))?;
        let occurrences = Self {
            drops,
            drops_told: Arc::default(),
            refusal_told: Arc::default(),
            tails_slowed: counter(
                "tail_slowed_total",
                "Times that a file had to wait because it gives more lines than it may",
            )?,
            log_bytes_lost: counter(
                "log_lost_bytes_total",
                "Bytes of logs that were gone before they could be read",
            )?,
            reading: Reading::default(),
            slowing: Slowing::new(&registry)?,
            standings: Arc::default(),
            lines_read: counter("lines_read_total", "Lines that sources read")?,
            lines_unparsed: counter(
                "lines_unparsed_total",
                "Lines that no format knew; kept all the same",
            )?,
            events_spooled: counters("events_spooled_total", "Events that are in the spool")?,
            events_known: counter(
                "events_known_total",
                "Lines read a second time after a crash and left out",
            )?,
            batches_delivered: counters("batches_delivered_total", "Batches that Kafka took")?,
            events_delivered: counters("events_delivered_total", "Events that Kafka took")?,
            delivery_failures: counter("delivery_failures_total", "Batches that Kafka refused")?,
            source_failures: counter(
                "source_failures_total",
                "Times that a source had to be started again",
            )?,
            spool_bytes: gauges("spool_bytes", "Bytes in the spool")?,
            spool_waiting: gauges("spool_waiting_events", "Events that are not on Kafka yet")?,
            spool_dropped: gauges(
                "spool_dropped_events",
                "Events dropped since the spool was made",
            )?,
            spool_refusals: counter("spool_refusals_total", "Times that the disk refused a chunk")?,
            last_delivery,
            resident_bytes,
            cpu_seconds,
            vigil: Vigil::default(),
            registry,
        };
        occurrences.begin_at_zero();
        Ok(occurrences)
    }

    /// What never happened yet is zero, not absent: a rate over it is right from the first time on.
    fn begin_at_zero(&self) {
        for lane in Lane::ALL {
            let lane = lane.name();
            for counters in [&self.events_spooled, &self.batches_delivered, &self.events_delivered]
            {
                counters.with_label_values(&[lane]).inc_by(0);
            }
        }
        for reason in Dropped::ALL {
            self.drops.with_label_values(&[reason.name()]).inc_by(0);
        }
    }

    /// What the agent itself takes of its host.
    pub fn costs(&self, resident_bytes: u64, cpu_seconds: f64, open_files: u64) {
        self.resident_bytes.set(i64::try_from(resident_bytes).unwrap_or(i64::MAX));
        self.cpu_seconds.inc_by((cpu_seconds - self.cpu_seconds.get()).max(0.0));
        self.slowing.show(&self.reading.figures(), open_files);
    }

    /// A part of the agent moves, and does so again within that time.
    pub fn moves(&self, part: Part, within: Duration) {
        self.vigil.moves(part, within, Instant::now());
    }

    /// The part that should have moved and did not.
    #[must_use]
    pub fn overdue(&self) -> Option<Part> {
        self.vigil.overdue(Instant::now())
    }

    /// For `/metrics`.
    #[must_use]
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// A source read lines, some of which no format knew.
    pub fn lines_read(&self, lines: u64, unparsed: u64) {
        self.lines_read.inc_by(lines);
        self.lines_unparsed.inc_by(unparsed);
    }

    /// Lines read and lines unparsed since the start.
    #[must_use]
    pub fn lines(&self) -> (u64, u64) {
        (self.lines_read.get(), self.lines_unparsed.get())
    }

    /// Something was not taken.
    pub fn dropped(&self, reason: Dropped, count: u64) {
        if count > 0 {
            self.drops.with_label_values(&[reason.name()]).inc_by(count);
            let mut told = self.drops_told.lock().unwrap_or_else(PoisonError::into_inner);
            let (at, waiting) = told.entry(reason.name()).or_default();
            *waiting += count;
            if at.is_none_or(|at| at.elapsed() >= DROPS_TOLD_INTERVAL) {
                *at = Some(Instant::now());
                let count = std::mem::take(waiting);
                tracing::warn!(count, reason = reason.name(), "{}", reason.sentence());
            }
        }
    }

    /// A file gives more lines than it may, and waits.
    pub fn tail_slowed(&self, path: &dyn std::fmt::Display) {
        self.tails_slowed.inc();
        tracing::debug!(%path, "a file gives more lines than it may; it is read more slowly");
    }

    /// What a log lost before it could be read; told as a gap besides.
    pub fn log_lost(&self, path: &dyn std::fmt::Display, bytes: u64) {
        self.log_bytes_lost.inc_by(bytes);
        tracing::error!(%path, bytes, "a log was cut or removed before it could be read to its end; let rotations keep more files");
    }

    /// Bytes of logs that were lost since the start.
    #[must_use]
    pub fn log_bytes_lost(&self) -> u64 {
        self.log_bytes_lost.get()
    }

    /// How fast may be read, and how many files may be open.
    #[must_use]
    pub const fn reading(&self) -> &Reading {
        &self.reading
    }

    /// How often files had to wait.
    #[must_use]
    pub fn times_slowed(&self) -> u64 {
        self.tails_slowed.get()
    }

    /// How far a source has come with one of its things.
    pub fn stands(&self, source: &str, thing: &str, standing: Standing) {
        let mut standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (source.to_owned(), thing.to_owned());
        if standings.len() < STANDINGS_MAX || standings.contains_key(&key) {
            standings.insert(key, standing);
        }
    }

    /// A source ends.
    pub fn forget_standings(&self, source: &str) {
        let mut standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        standings.retain(|(of, _), _| of != source);
    }

    /// How far everything is read: the source, the thing, its standing.
    #[must_use]
    pub fn standings(&self) -> Vec<(String, String, Standing)> {
        let standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        standings
            .iter()
            .map(|((source, thing), standing)| (source.clone(), thing.clone(), *standing))
            .collect()
    }

    /// What was not taken since the start, by the reason.
    #[must_use]
    pub fn drops(&self) -> Vec<(&'static str, u64)> {
        Dropped::ALL
            .iter()
            .map(|reason| (reason.name(), self.drops.with_label_values(&[reason.name()]).get()))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// Events are in the spool.
    pub fn events_spooled(&self, lane: Lane, count: u64) {
        self.events_spooled.with_label_values(&[lane.name()]).inc_by(count);
    }

    /// Events of a lane spooled since the start.
    #[must_use]
    pub fn spooled(&self, lane: Lane) -> u64 {
        self.events_spooled.with_label_values(&[lane.name()]).get()
    }

    /// Events of a lane that Kafka took since the start.
    #[must_use]
    pub fn delivered(&self, lane: Lane) -> u64 {
        self.events_delivered.with_label_values(&[lane.name()]).get()
    }

    /// When Kafka last took a batch, in seconds; `None`: not since the start.
    #[must_use]
    pub fn last_delivery(&self) -> Option<i64> {
        Some(self.last_delivery.get()).filter(|at| *at > 0)
    }

    /// Lines came a second time.
    pub fn events_known(&self, count: u64) {
        if count > 0 {
            self.events_known.inc_by(count);
            tracing::info!(count, "lines read a second time were left out");
        }
    }

    /// Kafka took a batch.
    pub fn batch_delivered(&self, lane: Lane, events: u64, now_seconds: i64) {
        self.batches_delivered.with_label_values(&[lane.name()]).inc();
        self.events_delivered.with_label_values(&[lane.name()]).inc_by(events);
        self.last_delivery.set(now_seconds);
    }

    /// Kafka refused a batch, which is sent again.
    pub fn delivery_failed(&self, lane: Lane, error: &dyn std::fmt::Display) {
        self.delivery_failures.inc();
        tracing::warn!(lane = lane.name(), %error, "a batch was not delivered; it is sent again");
    }

    /// A source ended with an error and is started again.
    pub fn source_failed(&self, name: &str, error: &dyn std::fmt::Display) {
        self.source_failures.inc();
        tracing::warn!(source = name, %error, "a source failed; it is started again");
    }

    /// The disk refused a chunk; sources wait.
    pub fn spool_refused(&self, error: &dyn std::fmt::Display) {
        self.spool_refusals.inc();
        let mut told = self.refusal_told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|at| at.elapsed() >= REFUSALS_TOLD_INTERVAL) {
            *told = Some(Instant::now());
            tracing::error!(%error, "the spool cannot be written; sources wait until it can: make room, or make its folder writable");
        }
    }

    /// What the spool holds.
    pub fn spool(&self, lane: Lane, bytes: u64, waiting: u64, dropped: u64) {
        let to = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.spool_bytes.with_label_values(&[lane.name()]).set(to(bytes));
        self.spool_waiting.with_label_values(&[lane.name()]).set(to(waiting));
        self.spool_dropped.with_label_values(&[lane.name()]).set(to(dropped));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    use prometheus::{Encoder, TextEncoder};

    use super::*;

    #[test]
    fn metrics_begin_at_zero_and_please_promtool() {
        let occurrences = Occurrences::new().unwrap();
        occurrences.spool(Lane::Usage, 1, 2, 3);
        occurrences.costs(1 << 20, 1.5, 9);
        occurrences.costs(1 << 20, 1.25, 9);
        let mut text = Vec::new();
        TextEncoder::new().encode(&occurrences.registry().gather(), &mut text).unwrap();
        let shown = String::from_utf8(text.clone()).unwrap();
        for line in [
            "vonggac_agent_events_delivered_total{lane=\"uptime\"} 0",
            "vonggac_agent_drops_total{reason=\"syslog-kernel\"} 0",
            "process_cpu_seconds_total 1.5",
            "process_open_fds 9",
            "vonggac_agent_slowed_seconds_total{ceiling=\"memory\"} 0",
            "vonggac_agent_reading_share{rank=\"security\"} 1",
        ] {
            assert!(shown.contains(line), "{line} is not in\n{shown}");
        }
        let promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut promtool) = promtool else {
            eprintln!("SKIPPED: promtool is missing; install the package prometheus");
            return;
        };
        promtool.stdin.take().unwrap().write_all(&text).unwrap();
        let said = promtool.wait_with_output().unwrap();
        let words = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.status.success() && words.is_empty(), "{words}");
    }
}
