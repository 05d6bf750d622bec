//! Numbers and positions, in one small file that is replaced as a whole.

use std::{
    collections::{HashMap, VecDeque},
    fs,
    io::Write,
    path::Path,
};

use serde::{Deserialize, Serialize};
use vonggac_wire::{Lane, event::Gap};

use super::{SpoolError, ranges};

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
    /// Numbers beyond `acknowledged` that will never come and were told: first, last. Few, because neighbours are one.
    pub(super) gone: Vec<(u64, u64)>,
    /// Numbers beyond `acknowledged` that are on Kafka all the same: first, last. They went ahead; see [`super::ahead`].
    pub(super) ahead: Vec<(u64, u64)>,
    /// Where the newest range of those began, or will; 0: nothing goes ahead.
    pub(super) fresh_from: u64,
}

impl Default for LaneEntry {
    fn default() -> Self {
        Self {
            next_seq: 1,
            acknowledged: 0,
            dropped: 0,
            gone: Vec::new(),
            ahead: Vec::new(),
            fresh_from: 0,
        }
    }
}

impl LaneEntry {
    /// These numbers will never come.
    pub(super) fn lose(&mut self, first: u64, last: u64) {
        ranges::join(&mut self.gone, first, last);
    }

    /// What is gone or went ahead, by the first number.
    fn settled(&self) -> Vec<(u64, u64)> {
        let mut settled: Vec<(u64, u64)> = self.gone.iter().chain(&self.ahead).copied().collect();
        settled.sort_unstable();
        settled
    }

    /// What of these numbers is neither acknowledged nor ahead on Kafka nor known to be gone.
    pub(super) fn unexplained(&self, first: u64, last: u64) -> Vec<(u64, u64)> {
        ranges::without(first.max(self.acknowledged + 1), last, self.settled())
    }

    /// Everything up to here is done, and what is gone or went ahead behind it as well.
    pub(super) fn acknowledge(&mut self, seq: u64) {
        self.acknowledged = self.acknowledged.max(seq);
        for (first, last) in self.settled() {
            if first <= self.acknowledged + 1 {
                self.acknowledged = self.acknowledged.max(last);
            }
        }
        let acknowledged = self.acknowledged;
        self.gone.retain(|(_, last)| *last > acknowledged);
        self.ahead.retain(|(_, last)| *last > acknowledged);
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
    /// Gaps that have no event yet.
    pub(super) untold: VecDeque<Untold>,
    /// The number that the next gap gets.
    pub(super) next_gap: u64,
}

/// A gap that has no event yet. It keeps its number over crashes, so that it is told once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Untold {
    pub(super) number: u64,
    pub(super) gap: Gap,
}

/// How the ledger was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Whole.
    Whole,
    /// Not there.
    Missing,
    /// There, and not to be read.
    Damaged,
}

impl Ledger {
    pub(super) fn read(dir: &Path) -> Result<(Self, Found), SpoolError> {
        let path = dir.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok((Self::default(), Found::Missing));
            }
            Err(error) => return Err(SpoolError::io("read", &path)(error)),
        };
        Ok(match serde_json::from_slice(&text) {
            Ok(ledger) => (ledger, Found::Whole),
            // Replaced as a whole, so only a failing disk damages it: the records' own numbers and positions stand in.
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "the spool's ledger is damaged; records speak for it");
                (Self::default(), Found::Damaged)
            }
        })
    }

    /// Replaces the file. Without `sync` a power cut may bring the one before back.
    pub(super) fn write(&self, dir: &Path, sync: bool) -> Result<(), SpoolError> {
        let path = dir.join(FILE);
        let fresh = dir.join("ledger.json.new");
        let text = serde_json::to_vec(self)
            .map_err(|error| SpoolError::io("encode", &path)(error.into()))?;
        let written = fs::File::create(&fresh).and_then(|mut file| {
            file.write_all(&text)?;
            if sync { file.sync_data() } else { Ok(()) }
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

    fn touch(&mut self, stream: &str, change: impl FnOnce(&mut StreamEntry)) {
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
        if let Some(entry) = self.streams.get_mut(stream) {
            entry.touched = self.touches;
            change(entry);
        }
    }

    /// The lane holds this entry already.
    pub(super) fn holds(&self, lane: Lane, stream: &str, offset: u64) -> bool {
        self.streams.get(stream).is_some_and(|entry| offset <= entry.lanes[lane.index()])
    }

    /// The lane holds the stream up to here.
    pub(super) fn saw(&mut self, lane: Lane, stream: &str, offset: u64) {
        self.touch(stream, |entry| {
            let held = &mut entry.lanes[lane.index()];
            *held = offset.max(*held);
        });
    }

    /// All lanes hold the stream up to here.
    pub(super) fn pass(&mut self, stream: &str, offset: u64) {
        self.touch(stream, |entry| entry.resume = offset.max(entry.resume));
    }

    pub(super) fn resume(&self, stream: &str) -> Option<u64> {
        self.streams.get(stream).map(|entry| entry.resume)
    }

    pub(super) fn known(&self, prefix: &str) -> Vec<(String, u64)> {
        let of_prefix = self.streams.iter().filter(|(name, _)| name.starts_with(prefix));
        of_prefix.map(|(name, entry)| (name.clone(), entry.resume)).collect()
    }

    pub(super) fn held(&self, stream: &str) -> Vec<u64> {
        self.lanes_of(stream).map_or_else(Vec::new, Vec::from)
    }

    /// What each lane holds of a stream; `None`: nothing is known of it.
    pub(super) fn lanes_of(&self, stream: &str) -> Option<[u64; 3]> {
        self.streams.get(stream).map(|entry| entry.lanes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gone_numbers_are_joined_explained_and_passed_over() {
        let mut entry = LaneEntry { acknowledged: 10, ..LaneEntry::default() };
        entry.lose(31, 40);
        entry.lose(21, 30);
        entry.lose(51, 60);
        assert_eq!(entry.gone, [(21, 40), (51, 60)]);
        assert_eq!(entry.unexplained(1, 70), [(11, 20), (41, 50), (61, 70)]);
        assert_eq!(entry.unexplained(22, 39), []);
        entry.acknowledge(20);
        assert_eq!((entry.acknowledged, entry.gone.as_slice()), (40, &[(51, 60)][..]));
        entry.acknowledge(55);
        assert_eq!((entry.acknowledged, entry.gone.len()), (60, 0));
    }

    #[test]
    fn what_went_ahead_is_neither_missing_nor_waited_for() {
        let mut entry =
            LaneEntry { acknowledged: 10, ahead: vec![(21, 30), (41, 50)], ..LaneEntry::default() };
        assert_eq!(entry.unexplained(1, 60), [(11, 20), (31, 40), (51, 60)]);
        entry.lose(11, 40);
        assert_eq!(entry.unexplained(1, 60), [(51, 60)]);
        entry.acknowledge(0);
        assert_eq!((entry.acknowledged, entry.ahead.len(), entry.gone.len()), (50, 0, 0));
    }
}
