//! The segments of one lane: appended at one end, handed out and removed at the other.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use vonggac_wire::{
    Lane, Time,
    event::{Gap, GapReason},
};

use super::{
    Recovery, SpoolError,
    gaps::Loss,
    ledger::LaneEntry,
    ranges, record,
    scan::{contents, cut, scan},
};

mod ahead;
mod read;

use read::Cursor;

/// Bytes that are gathered before a write: what a core's own cache holds beside the chunk they are of.
const BUFFER_BYTES: usize = 64 * 1024;

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
    /// Events beyond it that are on Kafka too, because they went ahead.
    pub ahead: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Events dropped since the spool was made.
    pub dropped: u64,
    /// Seconds since the oldest event that is not on Kafka was appended.
    pub oldest_seconds: f64,
}

/// What went with a segment: runs of numbers, and gaps that were told in it.
type Dropped = (Vec<Loss>, Vec<Gap>);

/// The segments of one lane.
pub(super) struct LaneStore {
    dir: PathBuf,
    lane: Lane,
    segments: VecDeque<Segment>,
    /// Bytes at which a segment is full.
    segment_bytes: u64,
    writer: Option<File>,
    buffer: Vec<u8>,
    /// Something was written since the last sync.
    unsynced: bool,
    /// Numbers as the ledger keeps them.
    entry: LaneEntry,
    /// The next number to hand out in order.
    cursor: Cursor,
    /// The next to hand out ahead of it, while there is a backlog.
    fresh: Option<Cursor>,
    /// What was handed out ahead and has no report yet: first and last.
    on_way: Vec<(u64, u64)>,
    /// What was read of a segment, while there is more to hand out.
    read: Vec<u8>,
    /// When numbers were appended, thinned out; of those before this start, when their segment was written last.
    marks: VecDeque<(u64, Time)>,
    /// The first number of this start.
    begun_seq: u64,
}

impl LaneStore {
    pub(super) fn open(
        dir: &Path,
        lane: Lane,
        entry: &LaneEntry,
        segment_bytes: u64,
        saw: &mut dyn FnMut(&[u8], u64),
        recovery: &mut Recovery,
    ) -> Result<(Self, Vec<Loss>), SpoolError> {
        let found = segments(dir)?;
        let mut store = Self {
            dir: dir.to_owned(),
            lane,
            segments: VecDeque::new(),
            segment_bytes,
            writer: None,
            buffer: Vec::new(),
            unsynced: false,
            entry: entry.clone(),
            cursor: Cursor { seq: entry.acknowledged + 1, place: None },
            fresh: None,
            on_way: Vec::new(),
            read: Vec::new(),
            marks: VecDeque::new(),
            begun_seq: 1,
        };
        let known = entry.next_seq;
        store.entry.next_seq = known.max(1);
        // A ledger that knows nothing cannot miss anything in front.
        let mut expected = (known > 1).then_some(entry.acknowledged + 1);
        let mut losses = Vec::new();
        for (first_seq, path) in found {
            // When it was written last, its oldest event was there already.
            let written = fs::metadata(&path).and_then(|about| about.modified()).map(Time::from);
            if let Ok(written) = written {
                store.mark(first_seq, written);
            }
            let scan = scan(&path, first_seq, saw)?;
            cut(&path, &scan)?;
            recovery.note(lane, &path, &scan);
            let mut holes = scan.holes.clone();
            if let Some(expected) = expected.filter(|expected| *expected < first_seq) {
                holes.insert(0, (expected, first_seq - 1));
            }
            let after = scan.after(first_seq);
            if scan.skipped > 0 {
                holes.push((after - scan.skipped, after - 1));
            }
            for (first, last) in holes {
                losses.extend(store.lose(first, last, GapReason::Damage));
            }
            store.entry.next_seq = store.entry.next_seq.max(after);
            expected = Some(after.max(expected.unwrap_or(0)));
            store.segments.push_back(Segment {
                path,
                first_seq,
                last_seq: scan.last_seq.unwrap_or(first_seq - 1),
                bytes: scan.bytes,
            });
        }
        // Numbers that the ledger knows and no file holds.
        if let Some(expected) = expected.filter(|expected| *expected < known) {
            losses.extend(store.lose(expected, known - 1, GapReason::Damage));
        }
        store.begun_seq = store.entry.next_seq;
        store.collect_garbage()?;
        store.rewind();
        Ok((store, losses))
    }

    /// Takes these numbers for lost; tells those that were not known to be.
    pub(super) fn lose(&mut self, first: u64, last: u64, reason: GapReason) -> Vec<Loss> {
        let left = self.entry.unexplained(first, last);
        for (first, last) in &left {
            self.entry.lose(*first, *last);
        }
        self.acknowledge(0);
        let lane = self.lane;
        left.into_iter()
            .map(|(first, last)| Loss { lane, first, last, reason, ..Loss::default() })
            .collect()
    }

    pub(super) fn append(
        &mut self,
        event: &[u8],
        position: Option<(&str, u64)>,
        now: Time,
    ) -> Result<(), SpoolError> {
        if self
            .segments
            .back()
            .is_none_or(|last| last.bytes + self.buffer.len() as u64 >= self.segment_bytes)
            || self.writer.is_none()
        {
            self.roll()?;
        }
        let seq = self.entry.next_seq;
        record::write(&mut self.buffer, seq, position, event);
        self.entry.next_seq += 1;
        let later = |(_, time): &(u64, Time)| now.since(*time).as_millis() >= 100 || now < *time;
        if self.marks.back().is_none_or(later) {
            self.mark(seq, now);
        }
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Remembers when a number was appended.
    fn mark(&mut self, seq: u64, time: Time) {
        if self.marks.len() >= MARKS_MAX {
            // Every second mark suffices for an age.
            let mut keep = false;
            self.marks.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.marks.push_back((seq, time));
    }

    /// Begins a new segment. A start of the agent always does: a repaired file is never appended to.
    fn roll(&mut self) -> Result<(), SpoolError> {
        self.flush()?;
        self.sync()?;
        let path = self.dir.join(format!("{:020}.seg", self.entry.next_seq));
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(SpoolError::io("make", &path))?;
        self.writer = Some(file);
        if self.segments.back().is_none_or(|last| last.first_seq != self.entry.next_seq) {
            let (first_seq, last_seq) = (self.entry.next_seq, self.entry.next_seq - 1);
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
            self.entry.next_seq = segment.last_seq + 1;
            if cut.is_err() {
                self.writer = None;
            }
            return Err(SpoolError::io("write", &segment.path)(source));
        }
        segment.bytes += self.buffer.len() as u64;
        segment.last_seq = self.entry.next_seq - 1;
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

    fn appended_at(&self, seq: u64) -> Option<Time> {
        let after = self.marks.partition_point(|(mark, _)| *mark <= seq);
        after.checked_sub(1).map(|at| self.marks[at].1)
    }

    pub(super) fn waiting(&self) -> (u64, Option<Time>) {
        let bounds = self.bounds();
        let from = bounds.pass(self.cursor.seq);
        let written = self.segments.back().map_or(from, |last| last.last_seq + 1);
        let end = written.min(bounds.until);
        let left = ranges::without(from, end.saturating_sub(1), bounds.done);
        (ranges::count(left), self.appended_at(from))
    }

    pub(super) fn acknowledge(&mut self, seq: u64) {
        self.entry.acknowledge(seq);
        self.cursor.seq = self.cursor.seq.max(self.entry.acknowledged + 1);
        while self.marks.len() > 1 && self.marks[1].0 <= self.entry.acknowledged {
            self.marks.pop_front();
        }
    }

    pub(super) fn rewind(&mut self) {
        self.cursor = Cursor { seq: self.entry.acknowledged + 1, place: None };
        self.rewind_ahead();
    }

    /// A segment can go when all of it is on Kafka or gone, and it is not being written.
    fn is_garbage(&self, place: usize) -> bool {
        let segment = &self.segments[place];
        let written = place + 1 == self.segments.len() && self.writer.is_some();
        let (first, last) = (segment.first_seq, segment.last_seq);
        // Of an empty one nobody knows what its damage was, until what is behind it is done.
        let done = last <= self.entry.acknowledged
            || (first <= last
                && !(self.entry.gone.is_empty() && self.entry.ahead.is_empty())
                && self.entry.unexplained(first, last).is_empty());
        done && !written
    }

    pub(super) fn has_garbage(&self) -> bool {
        (0..self.segments.len()).any(|place| self.is_garbage(place))
    }

    pub(super) fn collect_garbage(&mut self) -> Result<(), SpoolError> {
        while let Some(place) = (0..self.segments.len()).find(|place| self.is_garbage(*place)) {
            self.remove(place)?;
        }
        Ok(())
    }

    fn remove(&mut self, place: usize) -> Result<(), SpoolError> {
        let Some(segment) = self.segments.get(place) else { return Ok(()) };
        match fs::remove_file(&segment.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(SpoolError::io("remove", &segment.path)(error));
            }
            _ => self.segments.remove(place),
        };
        Ok(())
    }

    /// The oldest segment of which nothing was handed out; with `any`, the oldest.
    fn droppable(&self, any: bool) -> Option<usize> {
        let handed = |segment: &Segment| {
            segment.first_seq < self.cursor.seq
                || self
                    .on_way
                    .iter()
                    .any(|(first, last)| *first <= segment.last_seq && segment.first_seq <= *last)
        };
        self.segments.iter().position(|segment| any || !handed(segment))
    }

    /// Whether something can go; see [`Self::drop_oldest`].
    pub(super) fn can_drop(&self, any: bool) -> bool {
        self.droppable(any).is_some()
    }

    /// Takes the oldest segment of which nothing was handed out (with `any`: the oldest) for lost, and tells what is in it, with the gaps that
    /// were told there. Its file goes with the next [`Self::collect_garbage`], after the ledger knows.
    pub(super) fn drop_oldest(&mut self, any: bool) -> Result<Option<Dropped>, SpoolError> {
        self.flush()?;
        let Some(place) = self.droppable(any) else { return Ok(None) };
        if place + 1 == self.segments.len() {
            self.writer = None;
        }
        let segment = &self.segments[place];
        let (first, last) = (segment.first_seq, segment.last_seq);
        let waiting = first.max(self.entry.acknowledged + 1);
        // What went ahead is not lost with it.
        let runs = ranges::without(waiting, last, self.entry.ahead.iter().copied());
        let (mut losses, mut gaps) = (Vec::new(), Vec::new());
        for (first, last) in runs {
            let contents = contents(&segment.path, first, last)?;
            gaps.extend(contents.gaps);
            losses.push(Loss {
                lane: self.lane,
                first,
                last,
                reason: GapReason::Overflow,
                // What a run has of the segment: its whole size is told once.
                bytes: if losses.is_empty() { segment.bytes } else { 0 },
                events: contents.events,
                observed: contents.observed,
            });
        }
        for loss in &losses {
            self.entry.dropped += loss.events;
            self.entry.lose(loss.first, loss.last);
        }
        self.acknowledge(0);
        if self.segments.iter().take(place).all(|before| before.last_seq < self.cursor.seq) {
            self.cursor.seq = self.cursor.seq.max(last + 1);
        }
        self.leave(first, last);
        Ok(Some((losses, gaps)))
    }

    /// Files that vanished are told, and nothing is written to what nobody can find any more.
    pub(super) fn mend(&mut self) -> Result<Vec<Loss>, SpoolError> {
        fs::create_dir_all(&self.dir).map_err(SpoolError::io("make", &self.dir))?;
        let vanished: Vec<(u64, u64)> = self
            .segments
            .iter()
            .filter(|segment| !segment.path.exists())
            .map(|segment| (segment.first_seq, segment.last_seq))
            .collect();
        if vanished.is_empty() {
            return Ok(Vec::new());
        }
        self.segments.retain(|segment| segment.path.exists());
        self.writer = None;
        self.cursor.place = None;
        let mut losses = Vec::new();
        for (first, last) in vanished {
            self.leave(first, last);
            // What was handed out is on its way from memory, and is acknowledged when it has arrived.
            let first = first.max(self.cursor.seq);
            if first <= last {
                for (first, last) in ranges::without(first, last, self.on_way.clone()) {
                    losses.extend(self.lose(first, last, GapReason::Damage));
                }
                // Never over a file that is still there and was not handed out, or over what is on its way ahead.
                let waiting = |s: &Segment| s.last_seq >= self.cursor.seq && s.first_seq < first;
                let ahead = |(from, to): &(u64, u64)| *to >= self.cursor.seq && *from <= last;
                if !self.segments.iter().any(waiting) && !self.on_way.iter().any(ahead) {
                    self.cursor.seq = self.cursor.seq.max(last + 1);
                }
            }
        }
        Ok(losses)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// The highest number that reached a file.
    pub(super) fn written_seq(&self) -> u64 {
        self.segments.back().map_or(self.entry.next_seq - 1, |last| last.last_seq)
    }

    /// Numbers as the ledger keeps them.
    pub(super) const fn entry(&self) -> &LaneEntry {
        &self.entry
    }

    /// No file of the lane is left.
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    pub(super) fn figures(&self, now: Time) -> LaneFigures {
        let waits = self.entry.next_seq > self.entry.acknowledged + 1;
        let oldest = self.appended_at(self.entry.acknowledged + 1).filter(|_| waits);
        LaneFigures {
            next_seq: self.entry.next_seq,
            acknowledged: self.entry.acknowledged,
            bytes: self.bytes(),
            dropped: self.entry.dropped,
            ahead: ranges::count(self.entry.ahead.iter().copied()),
            oldest_seconds: oldest.map_or(0.0, |time| now.seconds_since(time).max(0.0)),
        }
    }
}

/// The segments in a lane's folder, by their first numbers.
pub(super) fn segments(dir: &Path) -> Result<Vec<(u64, PathBuf)>, SpoolError> {
    let mut paths: Vec<_> = fs::read_dir(dir)
        .map_err(SpoolError::io("list", dir))?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let first: u64 = path.file_name()?.to_str()?.strip_suffix(".seg")?.parse().ok()?;
            // Number 0 is never given; such a file is not ours.
            (first > 0).then_some((first, path))
        })
        .collect();
    paths.sort();
    Ok(paths)
}
