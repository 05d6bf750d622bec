//! What opening a spool found on the disk.

use std::path::Path;

use vonggac_wire::Lane;

use super::scan::Scan;

/// Damaged places that are named one by one; the rest is counted.
const SPOTS_NAMED_MAX: usize = 100;

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Records that are left.
    pub records: u64,
    /// Bytes that could not be read.
    pub damaged_bytes: u64,
    /// Bytes of torn tails that were cut off.
    pub torn_bytes: u64,
    /// Where, at most a hundred of them.
    pub damages: Vec<Damage>,
}

/// Bytes of a segment that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Damage {
    /// The segment: lane and file.
    pub segment: String,
    /// The first byte.
    pub place: u64,
    /// How many.
    pub bytes: u64,
    /// An append that was cut short at the file's end; its source gives it again.
    pub torn: bool,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = if self.torn { "torn tail" } else { "damage" };
        write!(formatter, "{what} in {} at byte {}, {} bytes", self.segment, self.place, self.bytes)
    }
}

impl Recovery {
    pub(super) fn note(&mut self, lane: Lane, path: &Path, scan: &Scan) {
        self.records += scan.records;
        self.damaged_bytes += scan.damaged_bytes();
        self.torn_bytes += scan.torn_bytes();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        for spot in scan.spots.iter().take(SPOTS_NAMED_MAX.saturating_sub(self.damages.len())) {
            self.damages.push(Damage {
                segment: format!("{}/{file}", lane.name()),
                place: spot.place,
                bytes: spot.bytes,
                torn: spot.torn,
            });
        }
    }
}
