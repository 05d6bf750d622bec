//! A centre of which each part can fail by itself: Kafka and the engine of a machine, and a collector that speaks to the engine through a
//! pass. An agent feeds it numbered lines.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{
    agent::Agent,
    between::Between,
    digest, lines,
    machine::{Machine, program},
};

/// Rows of the lines that were written.
pub const OF_IT: &str = "FROM events WHERE class = 'authentication' AND agency = 'H49'";

/// What would be doubled comes a little later.
const LATER: Duration = Duration::from_secs(3);

/// The centre. All of it ends with its owner.
pub struct Centre {
    collector: Option<Child>,
    feeder: Option<Child>,
    /// Where the collector goes to the engine.
    pub between: Between,
    /// Who feeds it.
    pub agent: Agent,
    /// Kafka and the engine.
    pub machine: Machine,
    runtime: Runtime,
    written: usize,
}

impl Centre {
    /// Starts it; `more` stands at the end of the collector's configuration, `before` makes what the data folder needs. `None`: the programs
    /// are missing.
    ///
    /// # Errors
    /// If a part does not get ready.
    pub fn up(
        more: &str,
        before: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<Self>> {
        let Some(machine) = Machine::only("kafka,engine", before)? else { return Ok(None) };
        let between = Between::to(machine.address("engine")?.parse()?)?;
        let kafka = machine.address("kafka")?;
        let agent = Agent::new(&kafka, "")?;
        let runtime = Runtime::new()?;
        let mut centre =
            Self { collector: None, feeder: None, between, agent, machine, runtime, written: 0 };
        centre.configure(more)?;
        centre.start_collector()?;
        centre.feeder = Some(centre.agent.start()?);
        Ok(Some(centre))
    }

    /// Gives the collector another configuration, which holds from its next start on.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn configure(&self, more: &str) -> anyhow::Result<()> {
        let text = format!(
            "plain_text = true\n[kafka]\nbrokers = [\"{}\"]\n[grpc]\nlisten = \"{}\"\n[metrics]\nlisten = \"{}\"\n\
             [canary]\ninterval = \"2s\"\n[engine]\nurl = \"{}\"\n{more}",
            self.machine.address("kafka")?,
            self.machine.address("collector")?,
            self.machine.address("collector_metrics")?,
            self.between.url(),
        );
        Ok(fs::write(self.machine.data().join("etc/centre.toml"), text)?)
    }

    /// Runs a command of the collector with the same configuration.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn command(&self, arguments: &[&str]) -> anyhow::Result<std::process::Output> {
        Ok(Command::new(program("vonggac-collector"))
            .args(arguments)
            .arg("--config")
            .arg(self.machine.data().join("etc/centre.toml"))
            .output()?)
    }

    /// Starts the collector, without waiting for it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_collector(&mut self) -> anyhow::Result<()> {
        let log = self.machine.data().join("log/collector.log");
        let log = fs::OpenOptions::new().create(true).append(true).open(log)?;
        let child = Command::new(program("vonggac-collector"))
            .args(["serve", "--config"])
            .arg(self.machine.data().join("etc/centre.toml"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.collector = Some(child);
        Ok(())
    }

    /// Kills the collector.
    pub fn kill_collector(&mut self) {
        end(&mut self.collector);
    }

    /// Its process; an error if it ended by itself.
    ///
    /// # Errors
    /// If it does not run.
    pub fn collector(&mut self) -> anyhow::Result<u32> {
        let child = self.collector.as_mut().context("the collector was not started")?;
        let ended = child.try_wait()?;
        ensure!(ended.is_none(), "the collector ended: {ended:?}\n{}", self.machine.logs());
        Ok(child.id())
    }

    /// Appends so many numbered lines to the agent's log.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&mut self, count: usize) -> anyhow::Result<()> {
        let text: String = (self.written..self.written + count)
            .map(|n| lines::refused(n, &format!("198.51.100.{}", n % 9)))
            .collect();
        let mut log = fs::OpenOptions::new().append(true).open(&self.agent.log)?;
        log.write_all(text.as_bytes())?;
        self.written += count;
        Ok(())
    }

    /// Asks the engine itself, past the pass.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn engine(&self, statement: &str) -> anyhow::Result<()> {
        Ok(self.runtime.block_on(self.client()?.query(statement).execute())?)
    }

    /// Rows and distinct lines that the engine has, asked past the pass.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn stored(&self) -> anyhow::Result<(u64, u64)> {
        let question = format!("SELECT count(), uniqExact(raw) {OF_IT}");
        Ok(self.runtime.block_on(self.client()?.query(&question).fetch_one())?)
    }

    fn client(&self) -> anyhow::Result<clickhouse::Client> {
        let url = format!("http://{}", self.machine.address("engine")?);
        Ok(clickhouse::Client::default().with_url(url).with_database("vonggac"))
    }

    /// Waits until all lines are stored.
    ///
    /// # Errors
    /// If they are not within the time.
    pub fn settled(&self, within: Duration) -> anyhow::Result<()> {
        let written = self.written as u64;
        self.machine
            .until("all lines", within, |_| self.stored(), |(rows, _)| *rows >= written)
            .map(|_| ())
    }

    /// Waits until all lines are stored, each once, and none is missing; the roll-ups say the same.
    ///
    /// # Errors
    /// If they are not within the time, or one is there twice.
    pub fn each_once(&self, within: Duration) -> anyhow::Result<()> {
        self.settled(within)?;
        std::thread::sleep(LATER);
        let written = self.written as u64;
        let stored = self.stored()?;
        ensure!(stored == (written, written), "rows and lines are {stored:?} of {written}");
        let gaps = self.machine.rows(&["sql", "SELECT * FROM gaps WHERE agency = 'H49'"])?;
        ensure!(gaps.is_empty(), "{gaps:?}");
        let rolled = digest::alike(&self.machine, "class = 'authentication' AND agency = 'H49'")?;
        ensure!(rolled == written, "{rolled} of {written} are rolled up");
        Ok(())
    }

    /// What `vonggac flow` tells, if it is answered.
    ///
    /// # Errors
    /// If it is not.
    pub fn flow(&self) -> anyhow::Result<Value> {
        self.machine.rows(&["flow"])?.into_iter().next().context("no flow")
    }

    /// Names and sentences of what the doctor finds, and its exit code.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn doctor(&self) -> anyhow::Result<(Vec<String>, String, Option<i32>)> {
        let told = self.command(&["doctor", "--format", "json"])?;
        let rows: Vec<Value> = serde_json::from_slice(&told.stdout)?;
        let names = rows.iter().filter_map(|row| Some(row["name"].as_str()?.to_owned()));
        // How full the disk of a test's machine is says nothing of the centre.
        let names = names.filter(|name| name != "disk-full").collect();
        let words = self.command(&["doctor", "--lang", "en"])?;
        Ok((names, String::from_utf8_lossy(&words.stdout).into_owned(), told.status.code()))
    }

    /// A figure of the collector's metrics: the line that begins so.
    ///
    /// # Errors
    /// If it is not there.
    pub fn metric(&self, begins: &str) -> anyhow::Result<f64> {
        let mut stream = TcpStream::connect(self.machine.address("collector_metrics")?)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let line = text.lines().find(|line| line.starts_with(begins)).context("no such metric")?;
        Ok(line.rsplit(' ').next().unwrap_or_default().parse()?)
    }

    /// The collector's log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.machine.data().join("log/collector.log")).unwrap_or_default()
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        end(&mut self.feeder);
        end(&mut self.collector);
    }
}

fn end(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _gone = child.kill();
        let _waited = child.wait();
    }
}
