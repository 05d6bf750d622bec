//! The segments of one lane: appended at one end, handed out and removed at the other.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use vonggac_wire::{
    Event, Lane, Time,
    event::{Gap, GapReason},
};

use super::{
    Pending, Recovery, SEGMENT_BYTES_MAX, SpoolError, gap,
    ledger::LaneEntry,
    record::{self, Found, RECORD_HEAD_BYTES},
};
use crate::intake::Position;

/// Bytes that are gathered before a write: one chunk of ordinary lines.
const BUFFER_BYTES: usize = 256 * 1024;

/// Bytes that are read at once when handing out.
const READ_BYTES: usize = 512 * 1024;

/// Times of appending that are remembered, to tell the age of the oldest event.
const MARKS_MAX: usize = 1_024;

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    first_seq: u64,
    /// The highest number in it; below `first_seq` while it is empty.
    last_seq: u64,
    bytes: u64,
}

/// What a lane holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LaneFigures {
    /// The number that the next event gets.
    pub next_seq: u64,
    /// Everything up to here is on Kafka.
    pub acknowledged: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Events dropped since the spool was made.
    pub dropped: u64,
    /// Seconds since the oldest event that is not on Kafka was appended.
    pub oldest_seconds: f64,
}

/// The segments of one lane.
pub(super) struct LaneStore {
    dir: PathBuf,
    lane: Lane,
    segments: VecDeque<Segment>,
    writer: Option<File>,
    buffer: Vec<u8>,
    /// First and last number of what stands in `buffer`.
    unsynced: bool,
    next_seq: u64,
    acknowledged: u64,
    /// The next number to hand out, and where it stands: segment by first number, byte.
    cursor_seq: u64,
    cursor: Option<(u64, u64)>,
    /// When numbers were appended, thinned out.
    marks: VecDeque<(u64, Time)>,
}

impl LaneStore {
    pub(super) fn open(
        dir: &Path,
        lane: Lane,
        entry: &LaneEntry,
        saw: &mut dyn FnMut(&str, u64),
        recovery: &mut Recovery,
        gaps: &mut VecDeque<Gap>,
    ) -> Result<Self, SpoolError> {
        fs::create_dir_all(dir).map_err(SpoolError::io("make", dir))?;
        let mut paths: Vec<_> = fs::read_dir(dir)
            .map_err(SpoolError::io("list", dir))?
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let first: u64 = path.file_name()?.to_str()?.strip_suffix(".seg")?.parse().ok()?;
                Some((first, path))
            })
            .collect();
        paths.sort();
        let mut store = Self {
            dir: dir.to_owned(),
            lane,
            segments: VecDeque::new(),
            writer: None,
            buffer: Vec::new(),
            unsynced: false,
            next_seq: entry.next_seq.max(1),
            acknowledged: entry.acknowledged,
            cursor_seq: entry.acknowledged + 1,
            cursor: None,
            marks: VecDeque::new(),
        };
        let mut expected = None;
        for (first_seq, path) in paths {
            let scan = scan(&path, first_seq, saw)?;
            recovery.records += scan.records;
            recovery.damaged_bytes += scan.damaged_bytes;
            recovery.torn_bytes += scan.torn_bytes;
            let after = scan.last_seq.map_or(first_seq, |last| last + 1) + scan.skipped;
            let mut holes = scan.holes;
            if let Some(expected) = expected.filter(|expected| *expected < first_seq) {
                holes.insert(0, (expected, first_seq - 1, 0));
            }
            if scan.skipped > 0 {
                holes.push((after - scan.skipped, after - 1, scan.damaged_bytes));
            }
            for (first, last, bytes) in holes {
                if last > store.acknowledged {
                    let first = first.max(store.acknowledged + 1);
                    gaps.push_back(gap(lane, first, last, GapReason::Damage, bytes));
                }
            }
            store.next_seq = store.next_seq.max(after);
            expected = Some(after);
            store.segments.push_back(Segment {
                path,
                first_seq,
                last_seq: scan.last_seq.unwrap_or(first_seq - 1),
                bytes: scan.bytes,
            });
        }
        store.collect_garbage()?;
        Ok(store)
    }

    pub(super) fn append(
        &mut self,
        event: Event,
        position: Option<&Position>,
        now: Time,
    ) -> Result<(), SpoolError> {
        if self
            .segments
            .back()
            .is_none_or(|last| last.bytes + self.buffer.len() as u64 >= SEGMENT_BYTES_MAX)
            || self.writer.is_none()
        {
            self.roll()?;
        }
        let seq = self.next_seq;
        record::write(&mut self.buffer, seq, position, &event.encode());
        self.next_seq += 1;
        if self.marks.back().is_none_or(|(_, time)| now.since(*time).as_millis() >= 100) {
            if self.marks.len() >= MARKS_MAX {
                // Every second mark suffices for an age.
                let mut keep = false;
                self.marks.retain(|_| {
                    keep = !keep;
                    keep
                });
            }
            self.marks.push_back((seq, now));
        }
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Begins a new segment. A start of the agent always does: a repaired file is never appended to.
    fn roll(&mut self) -> Result<(), SpoolError> {
        self.flush()?;
        self.sync()?;
        let path = self.dir.join(format!("{:020}.seg", self.next_seq));
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(SpoolError::io("make", &path))?;
        self.writer = Some(file);
        if self.segments.back().is_none_or(|last| last.first_seq != self.next_seq) {
            let (first_seq, last_seq) = (self.next_seq, self.next_seq - 1);
            self.segments.push_back(Segment { path, first_seq, last_seq, bytes: 0 });
        }
        Ok(())
    }

    /// Hands what was gathered to the kernel. If that fails half-way the segment is cut back and the numbers are given again.
    pub(super) fn flush(&mut self) -> Result<(), SpoolError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let (Some(file), Some(segment)) = (&mut self.writer, self.segments.back_mut()) else {
            return Ok(());
        };
        if let Err(source) = file.write_all(&self.buffer) {
            let cut = file.set_len(segment.bytes);
            self.buffer.clear();
            self.next_seq = segment.last_seq + 1;
            if cut.is_err() {
                self.writer = None;
            }
            return Err(SpoolError::io("write", &segment.path)(source));
        }
        segment.bytes += self.buffer.len() as u64;
        segment.last_seq = self.next_seq - 1;
        self.buffer.clear();
        self.unsynced = true;
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<(), SpoolError> {
        if let (true, Some(file), Some(segment)) =
            (self.unsynced, &self.writer, self.segments.back())
        {
            file.sync_data().map_err(SpoolError::io("sync", &segment.path))?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// See [`super::Spool::next`]. Damaged records are passed over; a hole in the numbers ends a batch.
    pub(super) fn next(
        &mut self,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Option<Pending>, SpoolError> {
        let mut pending: Option<Pending> = None;
        let mut taken = 0;
        while let Some(place) =
            self.segments.iter().position(|s| s.last_seq >= self.cursor_seq && s.bytes > 0)
        {
            let segment = &self.segments[place];
            let start = match self.cursor {
                Some((first, byte)) if first == segment.first_seq => byte,
                _ => 0,
            };
            if start >= segment.bytes {
                self.cursor_seq = segment.last_seq + 1;
                continue;
            }
            let bytes = read_at(&segment.path, start, segment.bytes)?;
            let whole = start + bytes.len() as u64 >= segment.bytes;
            let (mut at, first_seq) = (0, segment.first_seq);
            loop {
                match record::read(&bytes[at..]) {
                    Found::Record(found) => {
                        if found.seq >= self.cursor_seq {
                            let hole = pending
                                .as_ref()
                                .is_some_and(|p| p.first_seq + p.events.len() as u64 != found.seq);
                            let full = pending.as_ref().is_some_and(|p| {
                                p.events.len() >= events_max || taken >= bytes_max
                            });
                            if hole || full {
                                self.cursor = Some((first_seq, start + at as u64));
                                return Ok(pending);
                            }
                            if let Ok(event) = Event::decode(found.event) {
                                taken += found.event.len();
                                pending
                                    .get_or_insert_with(|| Pending {
                                        first_seq: found.seq,
                                        events: Vec::new(),
                                        oldest: None,
                                    })
                                    .events
                                    .push(event);
                            }
                            self.cursor_seq = found.seq + 1;
                        }
                        at += found.bytes;
                    }
                    Found::Torn if !whole => break,
                    Found::Torn | Found::Damage => match record::resync(&bytes, at + 1) {
                        Some(next) => at = next,
                        None => {
                            at = if whole {
                                bytes.len()
                            } else {
                                bytes.len().saturating_sub(RECORD_HEAD_BYTES).max(at + 1)
                            };
                            break;
                        }
                    },
                }
                if at >= bytes.len() {
                    break;
                }
            }
            self.cursor = Some((first_seq, start + at as u64));
            if pending.as_ref().is_some_and(|p| p.events.len() >= events_max || taken >= bytes_max)
            {
                break;
            }
        }
        if let Some(pending) = &mut pending {
            pending.oldest = self.appended_at(pending.first_seq);
        }
        Ok(pending)
    }

    fn appended_at(&self, seq: u64) -> Option<Time> {
        let after = self.marks.partition_point(|(mark, _)| *mark <= seq);
        after.checked_sub(1).map(|at| self.marks[at].1)
    }

    pub(super) fn waiting(&self) -> (u64, Option<Time>) {
        let written = self.segments.back().map_or(self.cursor_seq, |last| last.last_seq + 1);
        (written.saturating_sub(self.cursor_seq), self.appended_at(self.cursor_seq))
    }

    pub(super) fn acknowledge(&mut self, seq: u64) {
        self.acknowledged = self.acknowledged.max(seq);
        while self.marks.len() > 1 && self.marks[1].0 <= self.acknowledged {
            self.marks.pop_front();
        }
    }

    pub(super) fn rewind(&mut self) {
        self.cursor_seq = self.acknowledged + 1;
        self.cursor = None;
    }

    /// A segment can go when all of it is on Kafka and it is not being written.
    fn is_garbage(&self, place: usize) -> bool {
        let segment = &self.segments[place];
        let written = place + 1 == self.segments.len() && self.writer.is_some();
        segment.last_seq <= self.acknowledged && !written
    }

    pub(super) fn has_garbage(&self) -> bool {
        !self.segments.is_empty() && self.is_garbage(0)
    }

    pub(super) fn collect_garbage(&mut self) -> Result<(), SpoolError> {
        while self.has_garbage() {
            self.remove_first()?;
        }
        Ok(())
    }

    fn remove_first(&mut self) -> Result<Option<Segment>, SpoolError> {
        let Some(first) = self.segments.front() else { return Ok(None) };
        fs::remove_file(&first.path).map_err(SpoolError::io("remove", &first.path))?;
        Ok(self.segments.pop_front())
    }

    /// Drops the oldest segment because the spool is full; tells what is gone.
    pub(super) fn drop_oldest(&mut self) -> Result<Option<Gap>, SpoolError> {
        if self.segments.len() == 1 {
            self.writer = None;
        }
        let Some(segment) = self.remove_first()? else { return Ok(None) };
        let first = segment.first_seq.max(self.acknowledged + 1);
        self.acknowledged = self.acknowledged.max(segment.last_seq);
        self.cursor_seq = self.cursor_seq.max(segment.last_seq + 1);
        Ok((first <= segment.last_seq)
            .then(|| gap(self.lane, first, segment.last_seq, GapReason::Overflow, segment.bytes)))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// The highest number that reached a file.
    pub(super) fn written_seq(&self) -> u64 {
        self.segments.back().map_or(self.next_seq - 1, |last| last.last_seq)
    }

    pub(super) const fn next_seq(&self) -> u64 {
        self.next_seq
    }

    pub(super) const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    pub(super) fn figures(&self, now: Time) -> LaneFigures {
        let waits = self.next_seq > self.acknowledged + 1;
        let oldest = self.appended_at(self.acknowledged + 1).filter(|_| waits);
        LaneFigures {
            next_seq: self.next_seq,
            acknowledged: self.acknowledged,
            bytes: self.bytes(),
            dropped: 0,
            oldest_seconds: oldest.map_or(0.0, |time| now.seconds_since(time).max(0.0)),
        }
    }
}

/// Reads a part of a segment: at least one whole record where there is one.
fn read_at(path: &Path, start: u64, end: u64) -> Result<Vec<u8>, SpoolError> {
    let file = File::open(path).map_err(SpoolError::io("open", path))?;
    let wanted = usize::try_from(end - start).unwrap_or(usize::MAX).min(READ_BYTES);
    let mut bytes = vec![0; wanted];
    let mut filled = 0;
    while filled < wanted {
        let read = file
            .read_at(&mut bytes[filled..], start + filled as u64)
            .map_err(SpoolError::io("read", path))?;
        if read == 0 {
            break;
        }
        filled += read;
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// What stands in a segment.
struct Scan {
    records: u64,
    last_seq: Option<u64>,
    bytes: u64,
    damaged_bytes: u64,
    torn_bytes: u64,
    /// Numbers that the damaged end may have used.
    skipped: u64,
    /// Missing numbers between records: first, last, bytes.
    holes: Vec<(u64, u64, u64)>,
}

/// Reads every record of a segment, cuts a torn tail off, and tells what is missing.
fn scan(path: &Path, first_seq: u64, saw: &mut dyn FnMut(&str, u64)) -> Result<Scan, SpoolError> {
    let bytes = fs::read(path).map_err(SpoolError::io("read", path))?;
    let mut scan = Scan {
        records: 0,
        last_seq: None,
        bytes: bytes.len() as u64,
        damaged_bytes: 0,
        torn_bytes: 0,
        skipped: 0,
        holes: Vec::new(),
    };
    let mut at = 0;
    let mut expected = first_seq;
    while at < bytes.len() {
        match record::read(&bytes[at..]) {
            Found::Record(found) => {
                if found.seq > expected {
                    scan.holes.push((expected, found.seq - 1, 0));
                }
                if !found.stream.is_empty() {
                    saw(&String::from_utf8_lossy(found.stream), found.offset);
                }
                scan.records += 1;
                scan.last_seq = Some(found.seq);
                expected = found.seq + 1;
                at += found.bytes;
            }
            torn_or_damaged => match record::resync(&bytes, at + 1) {
                Some(next) => {
                    scan.damaged_bytes += (next - at) as u64;
                    at = next;
                }
                None if torn_or_damaged == Found::Torn => {
                    scan.torn_bytes = (bytes.len() - at) as u64;
                    let file = OpenOptions::new().write(true).open(path);
                    file.and_then(|file| file.set_len(at as u64))
                        .map_err(SpoolError::io("repair", path))?;
                    scan.bytes = at as u64;
                    break;
                }
                None => {
                    let rest = (bytes.len() - at) as u64;
                    scan.damaged_bytes += rest;
                    scan.skipped = rest.div_ceil(RECORD_HEAD_BYTES as u64);
                    break;
                }
            },
        }
    }
    Ok(scan)
}
