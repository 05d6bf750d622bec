//! Looks at a spool without changing it, also while an agent writes to it.

use std::path::Path;

use serde::Serialize;
use vonggac_wire::Lane;

use super::{
    Damage, Recovery, SpoolError, lane,
    ledger::{Found, LaneEntry, Ledger},
    scan::scan,
};

/// What a spool holds.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The agent's name; empty: none.
    pub agent: String,
    /// The ledger can be read.
    pub ledger_whole: bool,
    /// The lanes, the highest first.
    pub lanes: Vec<LaneInspection>,
    /// Gaps that have no event yet.
    pub gaps_untold: usize,
    /// Damaged places, at most a hundred of them.
    pub damages: Vec<Damage>,
    /// Bytes that cannot be read.
    pub damaged_bytes: u64,
    /// Bytes of torn tails.
    pub torn_bytes: u64,
}

/// What a lane holds.
#[derive(Clone, Debug, Serialize)]
pub struct LaneInspection {
    /// "security", "uptime" or "usage".
    pub lane: &'static str,
    /// The number that the next event gets, at least.
    pub next_seq: u64,
    /// Everything up to here is on Kafka.
    pub acknowledged_seq: u64,
    /// Records in its files.
    pub records: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Its files.
    pub segments: usize,
    /// Events dropped since the spool was made.
    pub dropped_events: u64,
    /// Numbers beyond the acknowledged that will never come, as the ledger knows: first and last.
    pub gone: Vec<(u64, u64)>,
    /// Numbers beyond the acknowledged that are on Kafka all the same, because they went ahead of a backlog.
    pub ahead: Vec<(u64, u64)>,
    /// Numbers that are missing and that nobody knows of yet.
    pub missing: Vec<(u64, u64)>,
}

impl Inspection {
    /// Nothing has to be repaired or told.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.ledger_whole
            && self.damages.is_empty()
            && self.lanes.iter().all(|lane| lane.missing.is_empty())
    }
}

/// Reads all of a spool.
///
/// # Errors
/// If a file cannot be read.
pub fn inspect(dir: &Path) -> Result<Inspection, SpoolError> {
    let (ledger, found) = Ledger::read(dir)?;
    let mut recovery = Recovery::default();
    let mut lanes = Vec::new();
    for lane in Lane::ALL {
        lanes.push(inspect_lane(&dir.join(lane.name()), lane, ledger.lane(lane), &mut recovery)?);
    }
    Ok(Inspection {
        agent: std::fs::read_to_string(dir.join("identity")).unwrap_or_default().trim().to_owned(),
        ledger_whole: found == Found::Whole,
        lanes,
        gaps_untold: ledger.untold.len(),
        damages: recovery.damages,
        damaged_bytes: recovery.damaged_bytes,
        torn_bytes: recovery.torn_bytes,
    })
}

fn inspect_lane(
    dir: &Path,
    which: Lane,
    entry: &LaneEntry,
    recovery: &mut Recovery,
) -> Result<LaneInspection, SpoolError> {
    let mut lane = LaneInspection {
        lane: which.name(),
        next_seq: entry.next_seq,
        acknowledged_seq: entry.acknowledged,
        records: 0,
        bytes: 0,
        segments: 0,
        dropped_events: entry.dropped,
        gone: entry.gone.clone(),
        ahead: entry.ahead.clone(),
        missing: Vec::new(),
    };
    let found = if dir.exists() { lane::segments(dir)? } else { Vec::new() };
    let mut expected = (entry.next_seq > 1).then_some(entry.acknowledged + 1);
    for (first_seq, path) in found {
        let scan = match scan(&path, first_seq, &mut |_, _| {}) {
            // A running agent may have sent and removed it since.
            Err(error) if error.is_vanished() => continue,
            outcome => outcome?,
        };
        recovery.note(which, &path, &scan);
        lane.segments += 1;
        lane.bytes += scan.bytes + scan.torn_bytes();
        lane.records += scan.records;
        let after = scan.after(first_seq);
        let front = expected.filter(|expected| *expected < first_seq);
        let holes = front.map(|front| (front, first_seq - 1)).into_iter().chain(scan.holes);
        for (first, last) in holes {
            lane.missing.extend(entry.unexplained(first, last));
        }
        if scan.skipped > 0 {
            lane.missing.extend(entry.unexplained(after - scan.skipped, after - 1));
        }
        expected = Some(after.max(expected.unwrap_or(0)));
        lane.next_seq = lane.next_seq.max(after);
    }
    if let Some(expected) = expected.filter(|expected| *expected < entry.next_seq) {
        lane.missing.extend(entry.unexplained(expected, entry.next_seq - 1));
    }
    Ok(lane)
}
