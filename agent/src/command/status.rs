//! `vonggac-agent status`: how a running agent is, from the file that it writes.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use vonggac_daemon::exit::Exit;
use vonggac_wire::Time;

use super::{complain, say};
use crate::config::Config;

mod table;

/// How an agent is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub agent: String,
    /// When this was written, RFC 3339.
    pub time: String,
    /// Its process.
    pub pid: u32,
    /// Lines read since its start.
    pub lines_read: u64,
    /// Of these, lines that no format knew.
    pub lines_unparsed: u64,
    /// Resident bytes.
    pub rss_bytes: u64,
    /// CPU seconds since its start.
    pub cpu_seconds: f64,
    /// Lines read a second, over the last seconds.
    #[serde(default)]
    pub lines_per_second: f64,
    /// When Kafka last took a batch, RFC 3339; `None`: not since its start.
    #[serde(default)]
    pub last_delivery: Option<String>,
    /// Its lanes.
    pub lanes: Vec<LaneStatus>,
    /// What it reads.
    #[serde(default)]
    pub sources: Vec<SourceStatus>,
    /// What it did not take, by the reason.
    #[serde(default)]
    pub drops: Vec<DropStatus>,
    /// How often a file had to wait because it gives more lines than it may.
    #[serde(default)]
    pub times_slowed: u64,
    /// Percent of a core taken, over the last seconds.
    #[serde(default)]
    pub cpu_percent: f64,
    /// Bytes of logs that were gone before they could be read, since its start.
    #[serde(default)]
    pub log_bytes_lost: u64,
    /// What it holds open.
    #[serde(default)]
    pub files: FilesStatus,
    /// What it slowed its reading for, since its start.
    #[serde(default)]
    pub slowed: Vec<SlowedStatus>,
    /// How fast it may read now, in the order in which it slows.
    #[serde(default)]
    pub reading: Vec<ReadingStatus>,
}

/// What is held open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesStatus {
    /// All, sockets with them.
    pub open: u64,
    /// Of these, logs.
    pub logs: u64,
    /// Logs that may be.
    pub logs_max: u64,
    /// Times that a log was closed for another; it is opened when it changes.
    pub logs_closed: u64,
}

/// What reading was slowed for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlowedStatus {
    /// "cpu", "memory" or "open-files".
    pub ceiling: String,
    /// For how long.
    pub seconds: f64,
    /// How often that began.
    pub episodes: u64,
    /// It is so now, or was a moment ago.
    pub lasts: bool,
}

/// How fast logs of a rank may be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadingStatus {
    /// "later" (access logs, back-fill, floods), "usual" or "security".
    pub rank: String,
    /// The part of a core that each thread may take for it; 1: it is not slowed.
    pub share: f64,
    /// For how long it was slowed, since the agent's start.
    pub slowed_seconds: f64,
}

/// How a source is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// Its name.
    pub name: String,
    /// What it reads, where that has places.
    pub things: Vec<ThingStatus>,
}

/// How far the reading of one thing is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThingStatus {
    /// A path.
    pub name: String,
    /// Everything before was read.
    pub offset: u64,
    /// Bytes that were not.
    pub lag_bytes: Option<u64>,
    /// Lines read since reading of it began.
    pub lines: u64,
    /// Times that it had to wait: it gives more than it may, or the agent keeps within its ceilings.
    #[serde(default)]
    pub waited: u64,
    /// Bytes that were gone before they could be read.
    #[serde(default)]
    pub lost_bytes: u64,
}

/// What was not taken for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DropStatus {
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// How a lane is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneStatus {
    /// "security", "uptime" or "usage".
    pub lane: String,
    /// The number that the next event gets.
    pub next_seq: u64,
    /// Everything up to here is on Kafka.
    pub acknowledged_seq: u64,
    /// Events that are not.
    pub waiting_events: u64,
    /// Bytes in the spool.
    pub bytes: u64,
    /// Events dropped since the spool was made.
    pub dropped_events: u64,
    /// Age of the oldest event that is not on Kafka.
    pub oldest_seconds: f64,
    /// Events spooled a second, over the last seconds.
    #[serde(default)]
    pub spooled_per_second: f64,
    /// Events delivered a second, over the last seconds.
    #[serde(default)]
    pub delivered_per_second: f64,
}

impl Status {
    /// Replaces the file as a whole.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let fresh = path.with_extension("json.new");
        fs::write(&fresh, serde_json::to_vec_pretty(self)?)?;
        fs::rename(fresh, path)
    }
}

/// Which agent, in which form.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The agent's spool folder; by default the configuration's.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The configuration that names the spool's folder.
    #[arg(long, default_value = "/etc/vonggac/agent.toml")]
    config: PathBuf,
    /// "table" for people, "json" for programs.
    #[arg(long, default_value = "table", value_parser = ["table", "human", "json"])]
    format: String,
}

/// Where the packages put the spool.
const SPOOL_DIR: &str = "/var/lib/vonggac-agent/spool";

/// A status that is older was not renewed by an agent that runs.
const AGE_MAX_SECONDS: f64 = 15.0;

/// What an agent with this configuration wrote last; `None`: nothing that can be read.
pub(super) fn of(config: &Config) -> Option<Status> {
    let text = fs::read_to_string(config.spool_dir.join("status.json")).ok()?;
    serde_json::from_str(&text).ok()
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let configured = || Config::read(&arguments.config).map(|config| config.spool_dir);
    let dir =
        arguments.dir.clone().or_else(|| configured().ok()).unwrap_or_else(|| SPOOL_DIR.into());
    let path = dir.join("status.json");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            return complain(
                &format!(
                    "failed to read {}: {error}; does an agent run with this spool?",
                    path.display()
                ),
                Exit::Failure,
            );
        }
    };
    let status: Status = match serde_json::from_str(&text) {
        Ok(status) => status,
        Err(error) => {
            return complain(
                &format!("failed to understand {}: {error}", path.display()),
                Exit::Failure,
            );
        }
    };
    let now = Time::now();
    let age = status.time.parse::<Time>().map_or(f64::INFINITY, |time| now.seconds_since(time));
    if arguments.format == "json" {
        say(text.trim_end());
    } else {
        say(table::table(&status, now).trim_end());
    }
    if age > AGE_MAX_SECONDS {
        return complain(
            &format!(
                "this is {age:.0} s old: the agent does not run, or stands still; see systemctl status vonggac-agent"
            ),
            Exit::Failure,
        );
    }
    Exit::Success
}
