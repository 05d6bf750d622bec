//! One path that is followed: the file that has the name, before it those that had it, and what is being gathered of them.

use std::{
    collections::VecDeque,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    content::Identity,
    file::{FileIdentity, Follow, Line, Seen},
    record::{Begins, Joining, Record, Records},
    rotated,
};
use crate::{
    governor::Rank,
    intake::{CHUNK_BYTES_MAX, CHUNK_ENTRIES_MAX, Checkpoints, Position},
    occurrence::Standing,
    source::allowance::Allowance,
};

mod hold;

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

/// Bytes that are not read yet from which on a file is behind: back-fill, or a flood.
const BEHIND_BYTES: u64 = 4 << 20;

/// Chunks after one that told of security for which a file still counts as a security log.
const SECURITY_CHUNKS: u8 = 16;

/// A file that has ended, and when it last gave a line. Its records are its own: the current file's may be open.
struct Late {
    file: Follow,
    since: Instant,
    records: Records,
}

/// What the lines of a file tell of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    Requests,
    #[default]
    Other,
    /// For so many chunks more.
    Security(u8),
}

/// How many events of a chunk are of which kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Gave {
    pub(super) all: usize,
    /// Requests, and what they mean.
    pub(super) usage: usize,
    /// Of a security class.
    pub(super) security: usize,
}

/// One path.
pub(super) struct Followed {
    /// The oldest first.
    files: VecDeque<Follow>,
    /// Those that have ended, for what slow writers add to them.
    late: VecDeque<Late>,
    late_looked: Instant,
    held_looked: Instant,
    /// Those that could not be held, and how long they were.
    unheld: Vec<(Identity, u64)>,
    /// Bytes of those that are gone, until they are told.
    unheld_lost: u64,
    /// Those that have ended.
    read: VecDeque<FileIdentity>,
    joining: Joining,
    records: Records,
    kind: Kind,
    /// When it gave lines last.
    changed: Instant,
    looked: Instant,
    waited: u64,
    lost_bytes: u64,
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
    /// Bytes that were gone before they could be read.
    pub(super) lost_bytes: u64,
}

impl Followed {
    pub(super) fn new(
        files: Vec<Follow>,
        joining: Joining,
        lines_per_second_max: Option<u64>,
    ) -> Self {
        let now = Instant::now();
        let allowance = lines_per_second_max.map(|most| Allowance::new(most, now));
        Self {
            files: files.into(),
            late: VecDeque::new(),
            late_looked: now,
            held_looked: now,
            unheld: Vec::new(),
            unheld_lost: 0,
            read: VecDeque::new(),
            records: Records::new(joining.clone()),
            joining,
            kind: Kind::default(),
            changed: now,
            looked: now,
            waited: 0,
            lost_bytes: 0,
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
        let (lines, waited, lost_bytes) = (self.lines, self.waited, self.lost_bytes);
        Some(Standing { offset, lag_bytes, lines, waited, lost_bytes })
    }

    /// When it is slowed.
    pub(super) fn rank(&self) -> Rank {
        let front = self.files.front();
        let behind =
            front.is_some_and(|file| file.behind().is_none_or(|behind| behind > BEHIND_BYTES));
        match (self.kind, behind) {
            (Kind::Security(_), false) => Rank::Security,
            (Kind::Security(_), true) | (Kind::Other, false) => Rank::Usual,
            (Kind::Other, true) | (Kind::Requests, _) => Rank::Later,
        }
    }

    /// Its lines became these events.
    pub(super) fn gave(&mut self, gave: Gave) {
        if gave.all == 0 {
            return;
        }
        self.kind = match self.kind {
            _ if gave.usage * 2 > gave.all => Kind::Requests,
            _ if gave.security * 8 >= gave.all => Kind::Security(SECURITY_CHUNKS),
            Kind::Security(left @ 1..) => Kind::Security(left - 1),
            _ => Kind::Other,
        };
    }

    /// When it gave lines last, and when it was looked at.
    pub(super) const fn times(&self) -> (Instant, Instant) {
        (self.changed, self.looked)
    }

    /// Files that are held open for it.
    pub(super) fn open_files(&self) -> u64 {
        let files = self.files.iter().chain(self.late.iter().map(|late| &late.file));
        files.filter(|file| file.is_open()).count() as u64
    }

    /// Closes what it holds open; tells how many files that are.
    pub(super) fn close(&mut self) -> u64 {
        let late = self.late.iter_mut().map(|late| &mut late.file);
        self.files.iter_mut().chain(late).map(|file| u64::from(file.close())).sum()
    }

    /// It may not be read now. What has its name by now is held all the same.
    pub(super) fn waits(&mut self, path: &Path, checkpoints: &dyn Checkpoints, now: Instant) {
        self.waited += u64::from(self.files.front().is_some_and(|file| file.behind() != Some(0)));
        self.hold(path, checkpoints, now);
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
        self.looked = now;
        let Some(lines_max) = self.may_read(now) else {
            self.waits(path, checkpoints, now);
            looked.slowed = true;
            return looked;
        };
        self.look_late(lines_max, block, checkpoints, now, &mut looked);
        self.look_current(path, lines_max, block, checkpoints, now, &mut looked);
        if looked.lines > 0 {
            self.changed = now;
        }
        if looked.gone {
            for late in &mut self.late {
                late.records.finish(now, &mut looked.records);
            }
        }
        self.waited += u64::from(looked.slowed);
        looked.lost_bytes += std::mem::take(&mut self.unheld_lost);
        self.lost_bytes += looked.lost_bytes;
        looked
    }

    /// Reads what is new in the file that has the name, and before it what is left of those that had it.
    fn look_current(
        &mut self,
        path: &Path,
        lines_max: usize,
        block: &mut [u8],
        checkpoints: &dyn Checkpoints,
        now: Instant,
        looked: &mut Looked,
    ) {
        // The oldest first: a rotated file is read to its end before its successor.
        while let Some(first) = self.files.front_mut() {
            let (lines, seen) = first.read((lines_max, CHUNK_BYTES_MAX), block, checkpoints, now);
            looked.lost_bytes += first.take_lost();
            if let Some(copy) = first.take_copy() {
                self.files.push_front(copy);
                looked.more = true;
                return;
            }
            looked.begins = looked.begins.take().or(first.begins());
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
                    self.hold(path, checkpoints, now);
                    return;
                }
                Seen::Waiting => {
                    self.records.rest(now, &mut looked.records);
                    looked.more |= full;
                    if self.files.front().is_some_and(Follow::is_leaving) {
                        self.hold(path, checkpoints, now);
                    }
                    return;
                }
                Seen::Gone => {
                    self.records.finish(now, &mut looked.records);
                    if self.next_file(path, checkpoints, now, looked) {
                        // Its lines go into the next chunk, which keeps this one within its bounds.
                        looked.more = true;
                        return;
                    }
                }
            }
        }
        looked.gone = true;
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
            let (lines, seen) =
                late.file.read((lines_max, CHUNK_BYTES_MAX), block, checkpoints, now);
            looked.lost_bytes += late.file.take_lost();
            if !lines.is_empty() {
                late.since = now;
                tracing::debug!(lines = lines.len(), "a rotated log was written to");
                looked.lines += lines.len() as u64;
                self.count(lines.len() as u64, now);
                for line in lines {
                    let begins = |line: &Line| begins(&mut late.file, line, checkpoints);
                    late.records.push(line, now, begins, &mut looked.records);
                }
            }
            looked.more |= seen == Seen::More;
            let young = now.saturating_duration_since(late.since) < LATE_MAX;
            match late.file.late().filter(|_| young && seen != Seen::Gone) {
                Some(file) => {
                    late.records.rest(now, &mut looked.records);
                    self.late.push_back(Late { file, ..late });
                }
                None => late.records.finish(now, &mut looked.records),
            }
        }
    }

    /// Goes on to the file behind the one that has ended; tells whether there is one.
    fn next_file(
        &mut self,
        path: &Path,
        checkpoints: &dyn Checkpoints,
        now: Instant,
        looked: &mut Looked,
    ) -> bool {
        let Some(old) = self.files.pop_front() else { return false };
        let own = (old.device, old.inode);
        if self.files.is_empty() {
            self.files.extend(rotated::between(path, &old, &self.read, checkpoints));
            self.files.extend(old.successor(path, checkpoints));
            self.settle();
        }
        let goes_on = self.files.iter().any(|file| (file.device, file.inode) == own);
        if !goes_on {
            if let Some(identity) = old.identity() {
                drop(remember(&mut self.read, identity, READ_MAX));
            }
            if let Some(file) = old.late() {
                let records = Records::new(self.joining.clone());
                let late = Late { file, since: now, records };
                for mut forgotten in remember(&mut self.late, late, LATE_FILES_MAX) {
                    forgotten.records.finish(now, &mut looked.records);
                }
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

/// Adds to what is remembered; gives the oldest, which are forgotten.
fn remember<T>(all: &mut VecDeque<T>, one: T, most: usize) -> Vec<T> {
    let too_many = (all.len() + 1).saturating_sub(most);
    let forgotten = all.drain(..too_many).collect();
    all.push_back(one);
    forgotten
}
