//! An agent of its own beside the machine's, for stories that kill it or thin its link.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::machine::program;

/// An agent that reads one log for the agency H49. Its folder goes with it.
#[derive(Debug)]
pub struct Agent {
    folder: tempfile::TempDir,
    /// The log that it reads from the start.
    pub log: PathBuf,
    kafka: String,
}

impl Agent {
    /// One that sends to this Kafka, with more of a configuration.
    ///
    /// # Errors
    /// If its folder cannot be made.
    pub fn new(kafka: &str, more: &str) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("watched.log");
        fs::write(&log, "")?;
        let agent = Self { folder, log, kafka: kafka.to_owned() };
        agent.configure(more)?;
        Ok(agent)
    }

    /// Gives it another configuration, which holds from its next start or reload on.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn configure(&self, more: &str) -> io::Result<()> {
        let text = format!(
            "agency = \"H49\"\nhost = \"killed-1\"\nplain_text = true\n[kafka]\nbrokers = [\"{}\"]\n\
             [heartbeat]\ninterval = \"1s\"\n[host_figures]\nenabled = false\n[journal]\nenabled = false\n\
             [spool]\ndir = \"{}\"\n[[tail]]\npath = \"{}\"\nformat = \"auto\"\nfrom = \"start\"\n{more}",
            self.kafka,
            self.spool().display(),
            self.log.display()
        );
        fs::write(self.folder.path().join("agent.toml"), text)
    }

    /// Its spool's folder.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    /// Starts it.
    ///
    /// # Errors
    /// If the program is not there.
    pub fn start(&self) -> io::Result<Child> {
        let told = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("agent.out"))?;
        Command::new(program("vonggac-agent"))
            .args(["run", "--config"])
            .arg(self.folder.path().join("agent.toml"))
            .stdout(Stdio::null())
            .stderr(told)
            .spawn()
    }

    /// What its spool holds, as `spool stats` tells it.
    ///
    /// # Errors
    /// If the answer is none.
    pub fn stats(&self) -> anyhow::Result<serde_json::Value> {
        let output = Command::new(program("vonggac-agent"))
            .args(["spool", "stats", "--format", "json", "--dir"])
            .arg(Path::new(&self.spool()))
            .output()?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Its last words, for a failing story.
    #[must_use]
    pub fn words(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("agent.out")).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(30).collect();
        last.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}
