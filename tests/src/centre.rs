//! The centre alone: Kafka, the engine and as many collectors of one group as a story wants, each of which it can kill and start at once.
//!
//! Kafka is looked after by the supervisor of one machine; engine and collectors are the story's own, because a supervisor waits longer
//! after each death.

use std::{
    fs,
    net::TcpStream,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clickhouse::{Client, RowOwned, RowRead};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;
use vonggac_wire::topic;

use crate::{
    collector::Collector,
    engine::Engine,
    group,
    machine::{Machine, Part, is_built},
};

/// The database of all collectors.
const DATABASE: &str = "vonggac";

/// The groups that the collectors' defaults name: of the chain, and of the incident book.
const GROUPS: [&str; 2] = ["vonggac-collector", "vonggac-collector-book"];

/// How long a question to the engine may take: it may be frozen.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// How often it is asked before it is taken for dead.
const ASKED_AGAIN: u32 = 5;

/// How long Kafka may take to come up again.
const KAFKA_WITHIN: Duration = Duration::from_secs(90);

/// How long a collector may take from its start to its first row.
pub const PROGRESS_WITHIN: Duration = Duration::from_secs(120);

/// How a centre differs from the usual one.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// How long a block is gathered, as the configuration says it; empty: the default.
    pub block_interval: String,
}

/// A centre.
pub struct Centre {
    // Collectors first: they are dropped before what they need.
    /// The collectors.
    pub collectors: Vec<Collector>,
    /// The engine.
    pub engine: Engine,
    kafka: Machine,
    folder: tempfile::TempDir,
    runtime: Runtime,
    client: Client,
    /// Collectors that ended without being told to, with their last words.
    pub ended: Vec<String>,
    broker: String,
}

impl Centre {
    /// Starts Kafka and the engine, and prepares so many collectors. They reach the engine where `way` says when it is given the
    /// engine's address; the story itself asks the engine directly. `None`: the programs are missing, told loudly.
    ///
    /// # Errors
    /// If something does not start.
    pub fn up(
        collectors: usize,
        settings: &Settings,
        way: impl FnOnce(&str) -> anyhow::Result<String>,
    ) -> anyhow::Result<Option<Self>> {
        if !is_built() {
            return Ok(None);
        }
        let kafka = Machine::broker()?;
        let broker = kafka.address("kafka")?;
        let folder = tempfile::tempdir()?;
        let port = |name: &str| -> anyhow::Result<u16> {
            Ok(kafka.address(name)?.rsplit_once(':').context("an address")?.1.parse()?)
        };
        // Ports that the machine keeps for its parts, of which only Kafka runs: below those that the kernel gives to whoever asks.
        let engine = Engine::start_at(folder.path(), port("engine")?, None)?;
        let seen_at = way(engine.url().trim_start_matches("http://"))?;
        let interval = if settings.block_interval.is_empty() {
            String::new()
        } else {
            format!("[block]\ninterval = \"{}\"\n", settings.block_interval)
        };
        let configuration = format!(
            "plain_text = true\n[kafka]\nbrokers = [\"{broker}\"]\n[engine]\nurl = \"http://{seen_at}\"\ndatabase = \"{DATABASE}\"\n{interval}"
        );
        let first = port("collector")?;
        let collectors = (0..collectors)
            .zip(first..)
            .map(|(number, port)| {
                let name = format!("collector-{}", number + 1);
                Collector::new(&folder.path().join("collectors"), &name, port, &configuration)
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let client = engine.client(DATABASE);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Some(Self {
            collectors,
            engine,
            kafka,
            folder,
            runtime,
            client,
            ended: Vec::new(),
            broker,
        }))
    }

    /// Kafka's address.
    #[must_use]
    pub fn kafka(&self) -> &str {
        &self.broker
    }

    /// Rows of a query, asked of the engine itself.
    ///
    /// # Errors
    /// If it does not answer in time, or refuses.
    pub fn ask<T: RowOwned + RowRead>(&self, query: &str) -> anyhow::Result<Vec<T>> {
        let asked = self.client.query(&query.replace('?', "??")).fetch_all::<T>();
        let answer = self
            .runtime
            .block_on(async { tokio::time::timeout(ANSWER_WITHIN, asked).await })
            .context("the engine does not answer")?;
        answer.with_context(|| query.to_owned())
    }

    /// One number of a query.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn number(&self, query: &str) -> anyhow::Result<u64> {
        self.ask::<u64>(query)?.first().copied().context("no row")
    }

    /// Records that are below the progress of their partitions.
    ///
    /// # Errors
    /// If the engine does not answer, also when it is asked again: an engine that was killed left its connections open.
    pub fn progress(&self) -> anyhow::Result<u64> {
        (1..ASKED_AGAIN)
            .find_map(|_| self.progress_now().ok())
            .map_or_else(|| self.progress_now(), Ok)
    }

    fn progress_now(&self) -> anyhow::Result<u64> {
        let topics = topic::EVENTS.map(|name| format!("'{name}'")).join(", ");
        self.number(&format!(
            "SELECT sum(value) FROM (SELECT max(value) AS value FROM progress WHERE agent = '' AND topic IN ({topics}) GROUP BY topic, partition)"
        ))
    }

    /// Records that Kafka has of events and that are not below the progress of their partitions.
    ///
    /// # Errors
    /// If Kafka or the engine do not answer.
    pub fn lag(&self) -> anyhow::Result<u64> {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &self.broker).create()?;
        let mut all = 0;
        for name in topic::EVENTS {
            let metadata = consumer.fetch_metadata(Some(name), ANSWER_WITHIN)?;
            let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            for partition in partitions {
                let (_, high) = consumer.fetch_watermarks(name, partition.id(), ANSWER_WITHIN)?;
                all += u64::try_from(high)?;
            }
        }
        Ok(all.saturating_sub(self.progress()?))
    }

    /// Waits until progress is above `before`; a collector that ended by itself is started again meanwhile.
    ///
    /// # Errors
    /// If there is none.
    pub fn wait_for_progress(&mut self, before: u64) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.progress().map_or(true, |now| now <= before) {
            self.look_after()?;
            ensure!(begun.elapsed() < PROGRESS_WITHIN, "no progress beyond {before} records");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// What a supervisor does: starts a collector again that ended by itself, and keeps its words.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn look_after(&mut self) -> anyhow::Result<()> {
        for collector in &mut self.collectors {
            if let Some(status) = collector.ended() {
                self.ended.push(format!("ended by itself: {status}\n{}", collector.words()));
                collector.start()?;
            }
        }
        Ok(())
    }

    /// Tells the groups that every member they know is gone; those that live join again. For the moment after all were killed or frozen.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub fn bury(&self) -> anyhow::Result<()> {
        let bury = |group: &str| -> anyhow::Result<()> {
            for member in group::members(&self.broker, group)? {
                group::leave(&self.broker, group, &member)?;
            }
            Ok(())
        };
        let begun = Instant::now();
        for group in GROUPS {
            // A broker that was killed is not back at once.
            while let Err(error) = bury(group) {
                ensure!(begun.elapsed() < PROGRESS_WITHIN, "the group {group}: {error:#}");
                thread::sleep(Duration::from_millis(200));
            }
        }
        Ok(())
    }

    /// Kills the engine and starts it again.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn kill_engine(&mut self) -> anyhow::Result<()> {
        self.engine.kill();
        self.engine.again()
    }

    /// Freezes the engine for a while, or lets it go on.
    ///
    /// # Errors
    /// If it does not run.
    pub fn signal_engine(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.engine.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        Ok(kill_process(pid.context("no engine")?, signal)?)
    }

    /// Freezes Kafka for a while.
    ///
    /// # Errors
    /// If it does not run.
    pub fn freeze_kafka(&self, time: Duration) -> anyhow::Result<()> {
        self.kafka.signal(Part::Kafka, "STOP")?;
        thread::sleep(time);
        self.kafka.signal(Part::Kafka, "CONT")
    }

    /// Kills Kafka, and waits until its supervisor has it up again.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn kill_kafka(&self) -> anyhow::Result<()> {
        let killed = self.kafka.pid(Part::Kafka)?;
        self.kafka.signal(Part::Kafka, "KILL")?;
        let begun = Instant::now();
        // A process that was killed may listen on for a while: the next one has another number.
        let is_next = || self.kafka.pid(Part::Kafka).is_ok_and(|pid| pid > 0 && pid != killed);
        while !is_next() || TcpStream::connect(&self.broker).is_err() {
            ensure!(begun.elapsed() < KAFKA_WITHIN, "Kafka does not come up again");
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The logs' last lines, for a failing story.
    #[must_use]
    pub fn words(&self) -> String {
        let mut text: String = self.collectors.iter().map(Collector::words).collect();
        self.ended.iter().for_each(|ended| text.push_str(ended));
        text
    }

    /// Keeps the collectors' logs, where `VONGGAC_KEEP` names a folder.
    pub fn keep(&self) {
        let Some(kept) = std::env::var_os("VONGGAC_KEEP") else { return };
        let (from, to) = (self.folder.path().join("collectors"), Path::new(&kept));
        let copied = fs::create_dir_all(to).and_then(|()| {
            for entry in fs::read_dir(&from)? {
                let entry = entry?;
                fs::copy(entry.path(), to.join(entry.file_name()))?;
            }
            Ok(())
        });
        eprintln!("logs are kept in {}: {copied:?}", to.display());
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        self.keep();
        if thread::panicking() {
            eprintln!("{}", self.words());
        }
    }
}
