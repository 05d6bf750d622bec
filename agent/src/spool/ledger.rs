//! Numbers and positions, in one small file that is replaced as a whole.

use std::{collections::HashMap, fs, io::Write, path::Path};

use serde::{Deserialize, Serialize};
use vonggac_wire::Lane;

use super::SpoolError;

/// Streams that are remembered. Beyond it the one that was touched longest ago is forgotten: ten thousand rotated files ago.
const STREAMS_MAX: usize = 10_000;

const FILE: &str = "ledger.json";

/// What is known of a lane beside its records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct LaneEntry {
    pub(super) next_seq: u64,
    pub(super) acknowledged: u64,
    pub(super) dropped: u64,
}

impl Default for LaneEntry {
    fn default() -> Self {
        Self { next_seq: 1, acknowledged: 0, dropped: 0 }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct StreamEntry {
    /// Everything before is in the spool.
    resume: u64,
    /// What each lane holds of it.
    lanes: [u64; 3],
    /// Grows with each touch of any stream.
    touched: u64,
}

/// Numbers and positions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Ledger {
    lanes: [LaneEntry; 3],
    streams: HashMap<String, StreamEntry>,
    touches: u64,
}

impl Ledger {
    pub(super) fn read(dir: &Path) -> Result<Self, SpoolError> {
        let path = dir.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(SpoolError::io("read", &path)(error)),
        };
        Ok(serde_json::from_slice(&text).unwrap_or_else(|error| {
            // Replaced as a whole, so only a failing disk damages it: the records' own numbers and positions stand in.
            tracing::error!(%error, path = %path.display(), "the spool's ledger is damaged; records speak for it");
            Self::default()
        }))
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), SpoolError> {
        let path = dir.join(FILE);
        let fresh = dir.join("ledger.json.new");
        let text = serde_json::to_vec(self)
            .map_err(|error| SpoolError::io("encode", &path)(error.into()))?;
        let written = fs::File::create(&fresh).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_data()
        });
        written.map_err(SpoolError::io("write", &fresh))?;
        fs::rename(&fresh, &path).map_err(SpoolError::io("replace", &path))
    }

    pub(super) fn lane(&self, lane: Lane) -> &LaneEntry {
        &self.lanes[lane.index()]
    }

    pub(super) fn lane_mut(&mut self, lane: Lane) -> &mut LaneEntry {
        &mut self.lanes[lane.index()]
    }

    fn touch(&mut self, stream: &str) -> &mut StreamEntry {
        self.touches += 1;
        if !self.streams.contains_key(stream) {
            if self.streams.len() >= STREAMS_MAX {
                let oldest = self
                    .streams
                    .iter()
                    .min_by_key(|(_, entry)| entry.touched)
                    .map(|(name, _)| name.clone());
                if let Some(oldest) = oldest {
                    self.streams.remove(&oldest);
                }
            }
            self.streams.insert(stream.to_owned(), StreamEntry::default());
        }
        let entry = self.streams.entry(stream.to_owned()).or_default();
        entry.touched = self.touches;
        entry
    }

    /// The lane holds this entry already.
    pub(super) fn holds(&self, lane: Lane, stream: &str, offset: u64) -> bool {
        self.streams.get(stream).is_some_and(|entry| offset <= entry.lanes[lane.index()])
    }

    /// The lane holds the stream up to here.
    pub(super) fn saw(&mut self, lane: Lane, stream: &str, offset: u64) {
        let held = &mut self.touch(stream).lanes[lane.index()];
        *held = offset.max(*held);
    }

    /// All lanes hold the stream up to here.
    pub(super) fn pass(&mut self, stream: &str, offset: u64) {
        let entry = self.touch(stream);
        entry.resume = offset.max(entry.resume);
    }

    pub(super) fn resume(&self, stream: &str) -> Option<u64> {
        self.streams.get(stream).map(|entry| entry.resume)
    }

    pub(super) fn known(&self, prefix: &str) -> Vec<(String, u64)> {
        let of_prefix = self.streams.iter().filter(|(name, _)| name.starts_with(prefix));
        of_prefix.map(|(name, entry)| (name.clone(), entry.resume)).collect()
    }

    pub(super) fn held(&self, stream: &str) -> Vec<u64> {
        self.streams.get(stream).map_or_else(Vec::new, |entry| entry.lanes.to_vec())
    }
}
