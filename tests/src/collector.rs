//! A collector that a story starts by itself, beside others of its group: stopped in order, killed, frozen, and started again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::machine::program;

/// How long it may take to stop in order; as long as the supervisor of one machine gives it.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// Lines of its log that a failing story tells.
const LAST_LINES: usize = 60;

/// One collector of a group. It dies with its owner.
#[derive(Debug)]
pub struct Collector {
    /// What the story calls it.
    pub name: String,
    folder: PathBuf,
    grpc: String,
    child: Option<Child>,
    frozen: bool,
}

impl Collector {
    /// One that is not started yet: its configuration without the address where consoles connect, which is a port of this machine.
    ///
    /// # Errors
    /// If its folder cannot be made.
    pub fn new(folder: &Path, name: &str, port: u16, configuration: &str) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let grpc = format!("127.0.0.1:{port}");
        let text = format!("{configuration}\n[grpc]\nlisten = \"{grpc}\"\n");
        fs::write(folder.join(format!("{name}.toml")), text)?;
        Ok(Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            grpc,
            child: None,
            frozen: false,
        })
    }

    fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    /// Starts it; it is not ready yet.
    ///
    /// # Errors
    /// If it runs already, or the program is not there.
    pub fn start(&mut self) -> anyhow::Result<()> {
        ensure!(!self.is_running(), "{} runs already", self.name);
        let told = fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let child = Command::new(program("vonggac-single"))
            .args(["child", "--"])
            .arg(program("vonggac-collector"))
            .args(["serve", "--config"])
            .arg(self.folder.join(format!("{}.toml", self.name)))
            .stdin(Stdio::null())
            .stdout(told.try_clone()?)
            .stderr(told)
            .spawn()?;
        (self.child, self.frozen) = (Some(child), false);
        Ok(())
    }

    /// Whether its process is there, frozen or not.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Whether it was started, not stopped or killed since, and is not frozen.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.child.is_some() && !self.frozen
    }

    /// How it ended, if it did so by itself.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(status.to_string())
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.child.as_ref().with_context(|| format!("{} does not run", self.name))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no process")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Kills it, as a power cut would.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::KILL)?;
        if let Some(mut child) = self.child.take() {
            child.wait()?;
        }
        Ok(())
    }

    /// Stops it in order. `false`: it was still not done when its time was over, and was killed, as the supervisor does.
    ///
    /// # Errors
    /// If it does not run, or stops with an error.
    pub fn stop(&mut self) -> anyhow::Result<bool> {
        self.signal(Signal::TERM)?;
        let begun = Instant::now();
        let child = self.child.as_mut().context("no child")?;
        loop {
            if let Some(status) = child.try_wait()? {
                self.child = None;
                ensure!(status.success(), "{} stopped with {status}", self.name);
                return Ok(true);
            }
            if begun.elapsed() >= STOP_WITHIN {
                self.kill()?;
                return Ok(false);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Freezes it, as a host does that swaps or is moved.
    ///
    /// # Errors
    /// If it does not run.
    pub fn freeze(&mut self) -> anyhow::Result<()> {
        self.frozen = true;
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// If it does not run.
    pub fn thaw(&mut self) -> anyhow::Result<()> {
        self.frozen = false;
        self.signal(Signal::CONT)
    }

    /// Rows of an answer of its own, in JSON.
    ///
    /// # Errors
    /// If it does not answer, or with something else.
    pub fn rows(&self, arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
        let output = Command::new(program("vonggac"))
            .args(arguments)
            .args(["--collector", &self.grpc, "--lang", "en", "--format", "json"])
            .output()?;
        ensure!(
            output.status.success(),
            "{arguments:?} of {}: {}",
            self.name,
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).context("the answer is no JSON")
    }

    /// The last lines of its log, for a failing story.
    #[must_use]
    pub fn words(&self) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(LAST_LINES).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        format!("== {}\n{}\n", self.name, last.join("\n"))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _gone = child.kill();
            let _waited = child.wait();
        }
    }
}
