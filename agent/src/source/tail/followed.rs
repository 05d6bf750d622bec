//! One path that is followed: the file that has the name, before it those that had it, and what is being gathered of them.

use std::{
    collections::VecDeque,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    file::{FileIdentity, Follow, Line, Seen},
    record::{Begins, Joining, Record, Records},
    rotated,
};
use crate::{
    intake::{CHUNK_BYTES_MAX, CHUNK_ENTRIES_MAX, Checkpoints, Position},
    occurrence::Standing,
    source::allowance::Allowance,
};

/// How often its standing is told.
const STANDING_INTERVAL: Duration = Duration::from_secs(2);

/// How often files that have ended are looked at again.
const LATE_INTERVAL: Duration = Duration::from_secs(1);

/// How long after its last line: a web server's old processes end with their longest download.
const LATE_MAX: Duration = Duration::from_secs(15 * 60);

/// Files that have ended and are looked at again: each holds an open file.
const LATE_FILES_MAX: usize = 2;

/// Files that are remembered as read, until the spool holds them and remembers them itself.
const READ_MAX: usize = 32;

/// A file that has ended, and when it last gave a line.
struct Late {
    file: Follow,
    since: Instant,
}

/// One path.
pub(super) struct Followed {
    /// The oldest first.
    files: VecDeque<Follow>,
    /// Those that have ended, for what slow writers add to them.
    late: VecDeque<Late>,
    late_looked: Instant,
    /// Those that have ended.
    read: VecDeque<FileIdentity>,
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
            late: VecDeque::new(),
            late_looked: Instant::now(),
            read: VecDeque::new(),
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
        Some(Standing { offset, lag_bytes, lines: self.lines, waited: 0, lost_bytes: 0 })
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
        self.look_late(lines_max, block, checkpoints, now, &mut looked);
        // The oldest first: a rotated file is read to its end before its successor.
        while let Some(first) = self.files.front_mut() {
            let (lines, seen) = first.read((lines_max, CHUNK_BYTES_MAX), block, checkpoints);
            if let Some(copy) = first.take_copy() {
                self.files.push_front(copy);
                looked.more = true;
                return looked;
            }
            looked.begins = looked.begins.or(first.begins());
            let (full, read) = (!lines.is_empty(), lines.len() as u64);
            looked.lines += read;
            for line in lines {
                let begins = |line: &Line| begins(first, line, checkpoints);
                self.records.push(line, now, begins, &mut looked.records);
            }
            self.count(read, now);
            match seen {
                Seen::More => {
                    // A file that has used up its allowance waits for the next look.
                    looked.slowed = lines_max < CHUNK_ENTRIES_MAX;
                    looked.more |= !looked.slowed;
                    return looked;
                }
                Seen::Waiting => {
                    self.records.rest(now, &mut looked.records);
                    looked.more |= full;
                    return looked;
                }
                Seen::Gone => {
                    self.records.finish(now, &mut looked.records);
                    if self.next_file(path, checkpoints, now) {
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

    /// What was read was allowed before.
    fn count(&mut self, lines: u64, now: Instant) {
        self.lines += lines;
        if let (Some(allowance), Some(most)) = (&mut self.allowance, self.lines_per_second_max) {
            let _taken = allowance.take(lines, most, now);
        }
    }

    /// Reads what was added to files that have ended.
    fn look_late(
        &mut self,
        lines_max: usize,
        block: &mut [u8],
        checkpoints: &dyn Checkpoints,
        now: Instant,
        looked: &mut Looked,
    ) {
        if self.late.is_empty() || now.saturating_duration_since(self.late_looked) < LATE_INTERVAL {
            return;
        }
        self.late_looked = now;
        for mut late in std::mem::take(&mut self.late) {
            let (lines, seen) = late.file.read((lines_max, CHUNK_BYTES_MAX), block, checkpoints);
            if !lines.is_empty() {
                late.since = now;
                tracing::debug!(lines = lines.len(), "a rotated log was written to");
                looked.lines += lines.len() as u64;
                self.count(lines.len() as u64, now);
                for line in lines {
                    let begins = |line: &Line| begins(&mut late.file, line, checkpoints);
                    self.records.push(line, now, begins, &mut looked.records);
                }
                self.records.finish(now, &mut looked.records);
            }
            looked.more |= seen == Seen::More;
            let young = now.saturating_duration_since(late.since) < LATE_MAX;
            if let (true, Some(file)) = (young && seen != Seen::Gone, late.file.late()) {
                self.late.push_back(Late { file, since: late.since });
            }
        }
    }

    /// Goes on to the file behind the one that has ended; tells whether there is one.
    fn next_file(&mut self, path: &Path, checkpoints: &dyn Checkpoints, now: Instant) -> bool {
        let Some(old) = self.files.pop_front() else { return false };
        let own = (old.device, old.inode);
        if self.files.is_empty() {
            self.files.extend(rotated::between(path, &old, &self.read, checkpoints));
            self.files.extend(old.successor(path, checkpoints));
        }
        let goes_on = self.files.iter().any(|file| (file.device, file.inode) == own);
        if !goes_on {
            if let Some(identity) = old.identity() {
                remember(&mut self.read, identity, READ_MAX);
            }
            if let Some(file) = old.late() {
                remember(&mut self.late, Late { file, since: now }, LATE_FILES_MAX);
            }
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

/// What is known of a stream before a line of it is the first.
fn begins(file: &mut Follow, line: &Line, checkpoints: &dyn Checkpoints) -> Begins {
    Begins { ends: checkpoints.held(&line.stream), columns: file.columns_before(line.start) }
}

/// Adds to what is remembered, and forgets the oldest.
fn remember<T>(all: &mut VecDeque<T>, one: T, most: usize) {
    while all.len() >= most {
        all.pop_front();
    }
    all.push_back(one);
}
