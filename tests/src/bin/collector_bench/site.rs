//! A Kafka, an engine and collectors of their own, and what is seen of them from outside.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use clickhouse::{Client, Compression};
use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
};
use rustix::process::{Pid, Signal, kill_process};
use system_tests::{
    engine::Engine,
    machine::{Machine, cpu_seconds, megabytes, program},
    running::free_port,
    traffic::{Load, Sealed},
};
use vonggac_collector::{
    config::Config,
    store::{Store, migrate},
    topics,
};
use vonggac_wire::limits::RECORD_BYTES_MAX;

pub(crate) const DATABASE: &str = "bench";

/// How often rows are counted and memory is looked at: seldom enough that the engine does not notice.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// How long nothing may come before a run is given up.
const STALLED_MAX: Duration = Duration::from_secs(120);

/// How long a producer's queue may take to empty.
const FLUSH_WITHIN: Duration = Duration::from_secs(120);

pub(crate) struct Site {
    pub(crate) engine: Engine,
    pub(crate) client: Client,
    pub(crate) store: Store,
    producer: ThreadedProducer<DefaultProducerContext>,
    broker: String,
    // Behind those that use them.
    _kafka: Machine,
    folder: tempfile::TempDir,
}

/// A collector's process; it ends with its owner.
pub(crate) struct Collector {
    child: Child,
    metrics: String,
}

/// How a backlog was taken.
pub(crate) struct Caught {
    /// From the start to the first row.
    pub(crate) first: Duration,
    /// From the first rows to the last.
    pub(crate) took: Duration,
    /// Rows of that time.
    pub(crate) rows: u64,
    /// CPU-seconds of that time: of the collectors, of the engine.
    pub(crate) cpu: (f64, f64),
    /// Megabytes of the first collector, look by look.
    pub(crate) memory: Vec<f64>,
}

impl Caught {
    pub(crate) fn rate(&self) -> f64 {
        self.rows as f64 / self.took.as_secs_f64()
    }
}

impl Site {
    /// Starts Kafka and the engine, with topics and schema. `None`: the programs are missing, told loudly.
    pub(crate) async fn up() -> anyhow::Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let Some(engine) = Engine::start(folder.path())? else { return Ok(None) };
        let kafka = Machine::broker()?;
        let broker = kafka.address("kafka")?;
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &broker)
            .set("enable.idempotence", "true")
            .set("compression.codec", "zstd")
            .set("compression.level", "1")
            .set("linger.ms", "5")
            .set("message.max.bytes", RECORD_BYTES_MAX.to_string())
            .set("queue.buffering.max.kbytes", "131072")
            .create()?;
        // As the collector speaks to it.
        let client = Client::default()
            .with_compression(Compression::None)
            .with_url(engine.url())
            .with_database(DATABASE);
        let config = configuration(&engine, &broker, DATABASE, 0, 0);
        let path = folder.path().join("collector.toml");
        fs::write(&path, config)?;
        let config = Config::read(&path)?;
        let store = Store::new(&config);
        migrate::run(&store).await?;
        topics::ensure(&config).await?;
        Ok(Some(Self { engine, client, store, producer, broker, _kafka: kafka, folder }))
    }

    /// A collector of the one group.
    pub(crate) fn collector(&self, name: &str) -> anyhow::Result<Collector> {
        let (grpc, metrics) = (free_port()?, free_port()?);
        let path = self.folder.path().join(format!("{name}.toml"));
        fs::write(&path, configuration(&self.engine, &self.broker, DATABASE, grpc, metrics))?;
        let log = fs::File::create(self.folder.path().join(format!("{name}.log")))?;
        let child = Command::new(program("vonggac-collector"))
            .args(["serve", "--config"])
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("start a collector")?;
        Ok(Collector { child, metrics: format!("127.0.0.1:{metrics}") })
    }

    /// A store of another database in the same engine, at the present schema.
    pub(crate) async fn other(&self, database: &str) -> anyhow::Result<Client> {
        let path = self.folder.path().join(format!("{database}.toml"));
        fs::write(&path, configuration(&self.engine, &self.broker, database, 0, 0))?;
        migrate::run(&Store::new(&Config::read(&path)?)).await?;
        Ok(self.client.clone().with_database(database))
    }

    /// Puts a batch on its topic, waiting for room in the queue.
    pub(crate) fn send(&self, batch: &Sealed) -> anyhow::Result<()> {
        loop {
            let record = BaseRecord::to(batch.topic).key(&batch.key).payload(&batch.value);
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    /// Waits until Kafka has all that was sent.
    pub(crate) fn flush(&self) -> anyhow::Result<()> {
        Ok(self.producer.flush(FLUSH_WITHIN)?)
    }

    /// Puts so many events on Kafka.
    pub(crate) fn prepare(&self, load: &mut Load, events: u64) -> anyhow::Result<()> {
        let begun = Instant::now();
        for number in 0..events {
            if let Some(batch) = load.push() {
                self.send(&batch)?;
            }
            if number % 1_000_000 == 999_999 {
                eprintln!("{} of {events} events prepared, {:?}", number + 1, begun.elapsed());
            }
        }
        for batch in load.flush() {
            self.send(&batch)?;
        }
        self.flush()
    }

    /// Sends a few events and waits until they are rows: every partition has been taken over, and what follows is steady.
    pub(crate) async fn steady(&self, load: &mut Load, events: u64) -> anyhow::Result<()> {
        self.prepare(load, events)?;
        let begun = Instant::now();
        while self.rows().await? < events {
            ensure!(begun.elapsed() < STALLED_MAX, "the first {events} events are no rows");
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    }

    /// Rows that are stored.
    pub(crate) async fn rows(&self) -> anyhow::Result<u64> {
        Ok(self.client.query("SELECT count() FROM events").fetch_one().await?)
    }

    /// Watches until so many rows are stored; `begun`: when the collectors were started.
    pub(crate) async fn caught_up(
        &self,
        collectors: &[Collector],
        events: u64,
        begun: Instant,
    ) -> anyhow::Result<Caught> {
        let engine = self.engine.pid().context("the engine has no process")?;
        let worked = || -> anyhow::Result<(f64, f64)> {
            let ours: f64 =
                collectors.iter().map(|one| cpu_seconds(one.pid()).unwrap_or(0.0)).sum();
            Ok((ours, cpu_seconds(engine)?))
        };
        let mut memory = Vec::new();
        let (mut last, mut moved) = (0, Instant::now());
        let mut first = None;
        loop {
            let rows = self.rows().await?;
            if rows > last {
                (last, moved) = (rows, Instant::now());
            }
            if rows > 0 && first.is_none() {
                first = Some((Instant::now(), rows, worked()?));
            }
            if let Some(collector) = collectors.first() {
                memory.push(megabytes(collector.pid(), "VmRSS:")?);
            }
            if rows >= events {
                break;
            }
            if moved.elapsed() > STALLED_MAX {
                let log =
                    fs::read_to_string(self.folder.path().join("one.log")).unwrap_or_default();
                bail!("{rows} of {events} rows, and no more come; the collector says {log}");
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        let (at, of_first, before) = first.context("no rows")?;
        let after = worked()?;
        Ok(Caught {
            first: at.duration_since(begun),
            took: at.elapsed(),
            rows: last - of_first,
            cpu: (after.0 - before.0, after.1 - before.1),
            memory,
        })
    }
}

impl Collector {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A figure of its metrics; 0 if it does not tell it.
    pub(crate) fn figure(&self, name: &str) -> anyhow::Result<f64> {
        let mut stream = TcpStream::connect(&self.metrics)?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.and_then(|value| value.trim().parse().ok()).unwrap_or(0.0))
    }

    /// Stops it as an operator does.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("no process")?;
        kill_process(pid, Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _waited = self.child.wait();
    }
}

fn configuration(engine: &Engine, broker: &str, database: &str, grpc: u16, metrics: u16) -> String {
    format!(
        "plain_text = true\n[kafka]\nbrokers = [\"{broker}\"]\n[engine]\nurl = \"{}\"\ndatabase = \"{database}\"\n[grpc]\nlisten = \"127.0.0.1:{grpc}\"\n\
         [metrics]\nlisten = \"127.0.0.1:{metrics}\"\n",
        engine.url()
    )
}

/// Waits until the engine merges nothing, so that it does not measure itself.
pub(crate) async fn settle(client: &Client) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let merges: u64 = client.query("SELECT count() FROM system.merges").fetch_one().await?;
        if merges == 0 || begun.elapsed() > Duration::from_secs(600) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// The value below which this share of sorted values lies.
pub(crate) fn at(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// What a process held: when it had begun, halfway, at the end, at most.
pub(crate) fn told_memory(memory: &[f64]) -> String {
    let look = |part: usize| {
        memory.get(memory.len() * part / 10).or(memory.last()).copied().unwrap_or(f64::NAN)
    };
    let most = memory.iter().copied().fold(0.0, f64::max);
    format!("{:.0} / {:.0} / {:.0} / {most:.0}", look(1), look(5), look(10))
}
