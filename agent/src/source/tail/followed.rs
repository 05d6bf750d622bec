//! One path that is followed: the file that has the name, before it those that had it, and what is being gathered of them.

use std::{
    collections::VecDeque,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    file::{Follow, Seen},
    record::{Joining, Record, Records},
};
use crate::{
    intake::{CHUNK_BYTES_MAX, CHUNK_ENTRIES_MAX, Checkpoints, Position},
    occurrence::Standing,
    source::allowance::Allowance,
};

/// How often its standing is told.
const STANDING_INTERVAL: Duration = Duration::from_secs(2);

/// One path.
pub(super) struct Followed {
    /// The oldest first.
    files: VecDeque<Follow>,
    records: Records,
    lines_per_second_max: Option<u64>,
    allowance: Option<Allowance>,
    lines: u64,
    told: Option<Instant>,
}

/// What a look found.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) records: Vec<Record>,
    pub(super) lines: u64,
    /// Reading began in the middle of the file.
    pub(super) begins: Option<Position>,
    /// There is more to read now.
    pub(super) more: bool,
    /// The file may not be read any faster.
    pub(super) slowed: bool,
    /// No file has the name any more.
    pub(super) gone: bool,
}

impl Followed {
    pub(super) fn new(
        files: Vec<Follow>,
        joining: Joining,
        lines_per_second_max: Option<u64>,
    ) -> Self {
        let allowance = lines_per_second_max.map(|most| Allowance::new(most, Instant::now()));
        Self {
            files: files.into(),
            records: Records::new(joining),
            lines_per_second_max,
            allowance,
            lines: 0,
            told: None,
        }
    }

    /// Whether this is the file that has the name.
    pub(super) fn is(&self, device: u64, inode: u64) -> bool {
        self.files.back().is_some_and(|file| (file.device, file.inode) == (device, inode))
    }

    /// How far reading has come, if it is time to tell.
    pub(super) fn standing(&mut self, now: Instant) -> Option<Standing> {
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < STANDING_INTERVAL) {
            return None;
        }
        self.told = Some(now);
        let (offset, lag_bytes) = self.files.front()?.standing();
        Some(Standing { offset, lag_bytes, lines: self.lines })
    }

    /// Reads what is new, up to a chunk.
    pub(super) fn look(
        &mut self,
        path: &Path,
        block: &mut [u8],
        checkpoints: &dyn Checkpoints,
        now: Instant,
    ) -> Looked {
        let mut looked = Looked::default();
        let Some(lines_max) = self.may_read(now) else {
            looked.slowed = true;
            return looked;
        };
        // The oldest first: a rotated file is read to its end before its successor.
        while let Some(first) = self.files.front_mut() {
            let (lines, seen) = first.read((lines_max, CHUNK_BYTES_MAX), block, checkpoints);
            looked.begins = looked.begins.or(first.begins());
            let full = !lines.is_empty();
            self.lines += lines.len() as u64;
            looked.lines += lines.len() as u64;
            if let (Some(allowance), Some(most)) = (&mut self.allowance, self.lines_per_second_max)
            {
                // What was read was allowed before.
                let _taken = allowance.take(lines.len() as u64, most, now);
            }
            for line in lines {
                self.records.push(
                    line,
                    now,
                    |stream| checkpoints.held(stream),
                    &mut looked.records,
                );
            }
            match seen {
                Seen::More => {
                    // A file that has used up its allowance waits for the next look.
                    looked.slowed = lines_max < CHUNK_ENTRIES_MAX;
                    looked.more = !looked.slowed;
                    return looked;
                }
                Seen::Waiting => {
                    self.records.rest(now, &mut looked.records);
                    looked.more = full;
                    return looked;
                }
                Seen::Gone => {
                    looked.records.extend(self.records.finish());
                    if self.next_file(path, checkpoints) {
                        // Its lines go into the next chunk, which keeps this one within its bounds.
                        looked.more = true;
                        return looked;
                    }
                }
            }
        }
        looked.gone = true;
        looked
    }

    /// Goes on to the file behind the one that has ended; tells whether there is one.
    fn next_file(&mut self, path: &Path, checkpoints: &dyn Checkpoints) -> bool {
        let Some(old) = self.files.pop_front() else { return false };
        if self.files.is_empty() {
            self.files.extend(old.successor(path, checkpoints));
        }
        !self.files.is_empty()
    }

    /// Lines that may be read now; `None`: the file has to wait.
    fn may_read(&mut self, now: Instant) -> Option<usize> {
        let (Some(allowance), Some(most)) = (&mut self.allowance, self.lines_per_second_max) else {
            return Some(CHUNK_ENTRIES_MAX);
        };
        let left = allowance.left(most, now);
        (left > 0)
            .then(|| usize::try_from(left).unwrap_or(CHUNK_ENTRIES_MAX).min(CHUNK_ENTRIES_MAX))
    }
}
