//! One machine: started in a folder of its own, asked through the command line, stopped at the end.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

/// Ports that one machine takes.
const PORTS: u16 = 8;

/// A part that can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Apache Kafka.
    Kafka,
    /// The ClickHouse engine.
    Engine,
    /// The collector.
    Collector,
    /// The agent.
    Agent,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Kafka, Self::Engine, Self::Collector, Self::Agent];

    const fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Engine => "engine",
            Self::Collector => "collector",
            Self::Agent => "agent",
        }
    }
}

/// A running system.
pub struct Machine {
    folder: tempfile::TempDir,
    /// The log that the agent watches.
    pub log: PathBuf,
}

impl Machine {
    /// Starts a system that watches a fresh log and, if given, probes a URL. `None`: the programs or the engine are missing, told loudly.
    ///
    /// # Errors
    /// If it does not get ready.
    pub fn up(probes: &[String], nation: bool) -> anyhow::Result<Option<Self>> {
        Self::speaking("--plain-text", probes, nation)
    }

    /// The same, speaking by certificates.
    ///
    /// # Errors
    /// If it does not get ready.
    pub fn trusted() -> anyhow::Result<Option<Self>> {
        Self::speaking("--tls", &[], false)
    }

    fn speaking(security: &str, probes: &[String], nation: bool) -> anyhow::Result<Option<Self>> {
        if !is_built() {
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("watched.log");
        fs::write(&log, "")?;
        let machine = Self { folder, log };
        let base = free_ports()?;
        let mut options = vec![
            security.to_owned(),
            "--port-base".to_owned(),
            base.to_string(),
            "--watch".into(),
            machine.log.display().to_string(),
        ];
        for probe in probes {
            options.extend(["--probe".to_owned(), probe.clone()]);
        }
        if nation {
            options.push("--nation".into());
        }
        machine.start(&options)?;
        Ok(Some(machine))
    }

    /// Starts Kafka alone, for programs that are measured or tested against it by themselves.
    ///
    /// # Errors
    /// If it does not get ready.
    pub fn broker() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let machine = Self { log: folder.path().join("watched.log"), folder };
        let base = free_ports()?.to_string();
        let options = ["--plain-text", "--only", "kafka", "--port-base", &base];
        machine.start(&options.map(str::to_owned))?;
        Ok(machine)
    }

    /// Starts some of the parts; what the data folder needs before is made in it. `None`: the programs are missing, told loudly.
    ///
    /// # Errors
    /// If it does not get ready.
    pub fn only(
        parts: &str,
        before: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<Self>> {
        if !is_built() {
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        let machine = Self { log: folder.path().join("watched.log"), folder };
        fs::create_dir_all(machine.data())?;
        before(&machine.data())?;
        let base = free_ports()?.to_string();
        let options = ["--plain-text", "--only", parts, "--port-base", &base];
        machine.start(&options.map(str::to_owned))?;
        Ok(Some(machine))
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts it, again if it was stopped.
    ///
    /// # Errors
    /// If it does not get ready.
    pub fn start(&self, options: &[String]) -> anyhow::Result<()> {
        let output = Command::new(program("vonggac-single"))
            .args(["run", "--detach", "--data"])
            .arg(self.data())
            .args(options)
            .output()?;
        ensure!(output.status.success(), "not ready: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Stops it.
    ///
    /// # Errors
    /// If something is left.
    pub fn stop(&self) -> anyhow::Result<()> {
        let output = Command::new(program("vonggac-single"))
            .args(["down", "--data"])
            .arg(self.data())
            .output()?;
        ensure!(
            output.status.success(),
            "not stopped: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let left = self.processes();
        ensure!(left.is_empty(), "processes are left: {left:?}");
        Ok(())
    }

    /// Processes that speak of this machine's folder.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        let needle = self.data().display().to_string();
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
            .filter(|pid| *pid != std::process::id())
            .filter(|pid| {
                fs::read(format!("/proc/{pid}/cmdline"))
                    .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&needle))
            })
            .collect()
    }

    /// Appends lines to the watched log.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append(&self, lines: &str) -> anyhow::Result<()> {
        Ok(OpenOptions::new().append(true).open(&self.log)?.write_all(lines.as_bytes())?)
    }

    /// Asks through the command line.
    ///
    /// # Errors
    /// If the command cannot be run.
    pub fn ask(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        Ok(Command::new(program("vonggac"))
            .args(arguments)
            .arg("--data")
            .arg(self.data())
            .args(["--lang", "en"])
            .output()?)
    }

    /// Rows of an answer in JSON.
    ///
    /// # Errors
    /// If the command fails, or its answer is no JSON.
    pub fn rows(&self, arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
        let output = self.ask(&[arguments, &["--format", "json"]].concat())?;
        ensure!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).context("the answer is no JSON")
    }

    /// One number of a query.
    ///
    /// # Errors
    /// If the query fails.
    pub fn count(&self, query: &str) -> anyhow::Result<u64> {
        let rows = self.rows(&["sql", query])?;
        let value = rows
            .first()
            .and_then(|row| row.as_object()?.values().next().cloned())
            .unwrap_or_default();
        value
            .as_u64()
            .or_else(|| value.as_str()?.parse().ok())
            .with_context(|| format!("{query}: {value} is no number"))
    }

    /// Asks until the answer pleases.
    ///
    /// # Errors
    /// If it does not within the time; the last answer is told.
    pub fn until<T: std::fmt::Debug>(
        &self,
        what: &str,
        within: Duration,
        mut ask: impl FnMut(&Self) -> anyhow::Result<T>,
        pleases: impl Fn(&T) -> bool,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        loop {
            let answer = ask(self);
            match &answer {
                Ok(found) if pleases(found) => return answer,
                _ if begun.elapsed() >= within => {
                    bail!("{what}: not within {within:?}; last: {answer:?}")
                }
                _ => thread::sleep(Duration::from_millis(300)),
            }
        }
    }

    /// The process of a part; 0: it has none now.
    ///
    /// # Errors
    /// If the machine does not say.
    pub fn pid(&self, part: Part) -> anyhow::Result<u32> {
        let text = fs::read(self.data().join("run/state.json"))?;
        let state: Value = serde_json::from_slice(&text)?;
        let pid = state["parts"][part.name()]["pid"].as_u64().context("the part has no process")?;
        Ok(u32::try_from(pid)?)
    }

    /// Sends a signal to a part: "KILL", "STOP", "CONT".
    ///
    /// # Errors
    /// If the part has no process.
    pub fn signal(&self, part: Part, signal: &str) -> anyhow::Result<()> {
        use rustix::process::{Pid, Signal, kill_process};
        let signal = match signal {
            "STOP" => Signal::STOP,
            "CONT" => Signal::CONT,
            _ => Signal::KILL,
        };
        let pid =
            i32::try_from(self.pid(part)?).ok().and_then(Pid::from_raw).context("no process")?;
        Ok(kill_process(pid, signal)?)
    }

    /// The address of one of the machine's parts, by its name in run/addresses.toml.
    ///
    /// # Errors
    /// If it is not there.
    pub fn address(&self, name: &str) -> anyhow::Result<String> {
        let text = fs::read_to_string(self.data().join("run/addresses.toml"))?;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} = ")));
        Ok(line.context("no such address")?.trim_matches('"').to_owned())
    }

    /// The logs' last lines, for a failing story.
    #[must_use]
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for name in ["single", "kafka", "engine", "collector", "agent", "nation"] {
            if let Ok(log) = fs::read_to_string(self.data().join(format!("log/{name}.log"))) {
                let last: Vec<&str> = log.lines().rev().take(15).collect();
                text.push_str(&format!("== {name}\n"));
                last.iter().rev().for_each(|line| text.push_str(&format!("{line}\n")));
            }
        }
        text
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.logs());
        }
        if let Err(error) = self.stop() {
            eprintln!("{error:#}");
        }
    }
}

/// Whether the programs are there; if not, that is told loudly.
#[must_use]
pub fn is_built() -> bool {
    let supervisor = program("vonggac-single");
    if !supervisor.exists() {
        eprintln!("SKIPPED: no {}; build the programs first", supervisor.display());
    }
    supervisor.exists()
}

/// Where a program was built: beside this test.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let folder = own.parent().and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
    folder.join(name)
}

/// A base whose ports are free.
fn free_ports() -> anyhow::Result<u16> {
    // Tests of other processes look at the same time: each begins elsewhere. From 32,768 on the kernel gives ports to whoever connects.
    let bases: Vec<u16> = (23_000..32_700).step_by(usize::from(PORTS) * 4 + 3).collect();
    let first = usize::try_from(std::process::id()).unwrap_or(0) % bases.len();
    for base in bases.iter().cycle().skip(first).take(bases.len()).copied() {
        if (0..PORTS).all(|offset| TcpListener::bind(("127.0.0.1", base + offset)).is_ok()) {
            return Ok(base);
        }
    }
    bail!("no free ports")
}

/// The processor's name, for tables of what was measured.
#[must_use]
pub fn model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines()
        .find_map(|line| {
            line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name.to_owned())
        })
        .unwrap_or_default()
}

/// CPU-seconds of this thread so far.
#[must_use]
pub fn worked() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// CPU-seconds that a process has taken so far.
///
/// # Errors
/// If it is gone.
pub fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| {
        fields.get(at).context("a figure is missing")?.parse::<u32>().context("no number")
    };
    Ok(f64::from(ticks(11)? + ticks(12)?) / rustix::param::clock_ticks_per_second() as f64)
}

/// A line of a process's memory in megabytes: `VmRSS:` now, `VmHWM:` at most.
///
/// # Errors
/// If it is gone.
pub fn megabytes(pid: u32, key: &str) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)).context("no such figure")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
}
