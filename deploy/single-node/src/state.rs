//! What `status` reads: each part, replaced as a whole.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::{Deserialize, Serialize};

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Not started yet: it waits for another.
    Waiting,
    /// Started, not ready.
    Starting,
    /// Ready.
    Ready,
    /// It ended and is started again after a while.
    Broken,
    /// Asked to stop.
    Stopping,
    /// Stopped.
    Stopped,
}

impl Condition {
    /// In snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Broken => "broken",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// One part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartState {
    /// How it is.
    pub state: Condition,
    /// Its process; 0: none.
    pub pid: u32,
    /// Since when, RFC 3339.
    pub since: String,
    /// Times that it was started again.
    pub restarts: u32,
    /// Where it listens.
    pub address: String,
    /// Why it ended last.
    pub last_error: String,
}

/// All parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The supervisor's process.
    pub supervisor: u32,
    /// The supervisor's own port base.
    pub port_base: u16,
    /// The parts by name.
    pub parts: BTreeMap<String, PartState>,
}

impl State {
    /// Reads the file; `None`: there is none.
    #[must_use]
    pub fn read(root: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(root.join("run/state.json")).ok()?).ok()
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write(&self, root: &Path) -> io::Result<()> {
        let fresh = root.join("run/state.json.new");
        fs::write(&fresh, serde_json::to_vec_pretty(self)?)?;
        fs::rename(fresh, root.join("run/state.json"))
    }

    /// Every part is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.parts.is_empty() && self.parts.values().all(|part| part.state == Condition::Ready)
    }
}

/// Resident bytes and CPU seconds of a process, from /proc; `None`: it is gone.
#[must_use]
pub fn usage(pid: u32) -> Option<(u64, f64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let rss = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    })?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some((rss * 1024, ticks / 100.0))
}
