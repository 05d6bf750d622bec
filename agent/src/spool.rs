//! The spool: what was read is on the disk before anything else happens to it.
//!
//! # Format
//!
//! ```text
//! DIR/identity             the agent's name, made once
//! DIR/lock                 held while an agent runs
//! DIR/ledger.json          numbers and positions, replaced as a whole
//! DIR/security/00000000000000000001.seg
//! DIR/uptime/...
//! DIR/usage/...            a segment is named by the number of its first record
//! ```
//!
//! A segment is a run of records, little-endian:
//!
//! | bytes | field |
//! |---|---|
//! | 4 | magic `VGS1` |
//! | 4 | length of the payload |
//! | 8 | sequence number |
//! | 4 | CRC-32C over length, sequence number and payload |
//! | 2 | length of the stream's name, 0 for events that cannot be read again |
//! | n | the stream's name |
//! | 8 | the position behind the event |
//! | rest | the event as protobuf |
//!
//! # Numbers
//!
//! Each lane counts from 1; a number is never used twice, not even when every record was acknowledged and deleted: the ledger keeps
//! the next one, and is written before a segment goes. The record with the highest number wins over an older ledger.
//!
//! # Exactly one record for each line
//!
//! A record carries its stream and the position behind its line. After a crash a source reads again from the ledger's position, which
//! lies at the end of a chunk that was appended wholly. Lines of the cut chunk come a second time; [`Spool::append`] leaves out
//! those whose position is not beyond what the lane already holds of the stream.
//!
//! # Recovery
//!
//! Opening scans every record that is left. A torn tail (a header whose payload ends behind the file) was never told to be appended
//! and is cut off. Any other damage costs the damaged records alone: the scan goes on at the next magic whose checksum holds. Missing
//! numbers become a [`Gap`] with the reason "damage". If the damage is at a segment's end, as many numbers
//! are skipped as records could have stood there, so that none is used twice.
//!
//! # When it is full
//!
//! The oldest segment of the lowest lane goes first (usage, then uptime, then security), is counted, and becomes a gap event with the
//! reason "overflow".

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
};

use vonggac_wire::{
    AgentId, Event, Lane, Time,
    event::{Body, Gap, GapReason},
};

use crate::{
    config::Fsync,
    intake::{Appended, Entry, Position},
};

mod identity;
mod lane;
mod ledger;
pub(crate) mod record;

pub use identity::{Identity, IdentityError};
pub use lane::LaneFigures;
use lane::LaneStore;
use ledger::Ledger;
pub use record::RECORD_HEAD_BYTES;

/// Bytes of a segment: small enough that dropping one costs little, large enough that a full spool has few files.
pub const SEGMENT_BYTES_MAX: u64 = 4 << 20;

/// Why the spool cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// A file cannot be read or written.
    #[error("{what} {path}: {source}", path = .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Two agents on one folder, or a name that is malformed.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl SpoolError {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    /// The disk is full or the folder cannot be written: waiting may help.
    #[must_use]
    pub fn is_full(&self) -> bool {
        use std::io::ErrorKind as E;
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), E::StorageFull | E::QuotaExceeded | E::ReadOnlyFilesystem))
    }
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Records that are left.
    pub records: u64,
    /// Bytes that could not be read.
    pub damaged_bytes: u64,
    /// Bytes of torn tails that were cut off.
    pub torn_bytes: u64,
}

/// Events of a lane, in order and without a hole, ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    /// Number of the first.
    pub first_seq: u64,
    /// The events.
    pub events: Vec<Event>,
    /// When the first of them was appended, as far as this start of the agent knows.
    pub oldest: Option<Time>,
}

/// The spool of one agent. Its owner calls it from one thread at a time.
pub struct Spool {
    dir: PathBuf,
    identity: Identity,
    lanes: [LaneStore; 3],
    ledger: Ledger,
    ledger_dirty: bool,
    bytes_max: u64,
    fsync: Fsync,
    synced: Time,
    gaps: VecDeque<Gap>,
    recovery: Recovery,
}

/// Gaps that wait to be told; beyond it neighbours are merged into the last.
const GAPS_WAITING_MAX: usize = 64;

impl Spool {
    /// Opens or makes the spool in `dir` and repairs what a power cut left.
    ///
    /// # Errors
    /// If the folder is in use, or cannot be read and written.
    pub fn open(
        dir: &Path,
        host: &str,
        bytes_max: u64,
        fsync: Fsync,
        now: Time,
    ) -> Result<Self, SpoolError> {
        fs::create_dir_all(dir).map_err(SpoolError::io("make", dir))?;
        let identity = Identity::open(dir, host)?;
        let mut ledger = Ledger::read(dir)?;
        let mut recovery = Recovery::default();
        let mut gaps = VecDeque::new();
        let mut open_lane = |lane: Lane, ledger: &mut Ledger| {
            let path = dir.join(lane.name());
            let start = ledger.lane(lane).clone();
            LaneStore::open(
                &path,
                lane,
                &start,
                &mut |stream, offset| ledger.saw(lane, stream, offset),
                &mut recovery,
                &mut gaps,
            )
        };
        let lanes = [
            open_lane(Lane::Security, &mut ledger)?,
            open_lane(Lane::Uptime, &mut ledger)?,
            open_lane(Lane::Usage, &mut ledger)?,
        ];
        let mut spool = Self {
            dir: dir.to_owned(),
            identity,
            lanes,
            ledger,
            ledger_dirty: true,
            bytes_max,
            fsync,
            synced: now,
            gaps,
            recovery,
        };
        spool.tell_gaps(now)?;
        spool.save()?;
        Ok(spool)
    }

    /// The agent's name.
    #[must_use]
    pub fn agent(&self) -> &AgentId {
        &self.identity.agent
    }

    /// What opening found.
    #[must_use]
    pub const fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Appends entries in order, each to its kind's lane. Those that are already there are left out.
    ///
    /// # Errors
    /// If the disk refuses; what was appended before stays, and a second try leaves it out.
    pub fn append(
        &mut self,
        entries: Vec<Entry>,
        passed: &[Position],
        now: Time,
    ) -> Result<Appended, SpoolError> {
        let mut appended = Appended::default();
        let mut ends: Vec<Position> = Vec::new();
        let mut given: [Vec<(u64, Position)>; 3] = Default::default();
        let mut outcome = Ok(());
        for Entry { event, position } in entries {
            let lane = event.lane();
            if let Some(position) = &position {
                note_end(&mut ends, position);
                let given = given[lane.index()].iter().any(|(_, p)| p == position);
                if given || self.ledger.holds(lane, &position.stream, position.offset) {
                    appended.known += 1;
                    continue;
                }
            }
            let store = &mut self.lanes[lane.index()];
            let seq = store.next_seq();
            outcome = store.append(event, position.as_ref(), now);
            if outcome.is_err() {
                break;
            }
            if let Some(position) = position {
                given[lane.index()].push((seq, position));
            }
            appended.written += 1;
        }
        for lane in Lane::ALL {
            let store = &mut self.lanes[lane.index()];
            let flushed = store.flush();
            outcome = outcome.and(flushed);
            // Only what reached the file counts: the rest is read and given again.
            let written = store.written_seq();
            for (_, position) in given[lane.index()].iter().filter(|(seq, _)| *seq <= written) {
                self.ledger.saw(lane, &position.stream, position.offset);
            }
        }
        self.ledger_dirty = true;
        outcome?;
        for position in ends.iter().chain(passed) {
            self.ledger.pass(&position.stream, position.offset);
        }
        self.make_room(now)?;
        if self.fsync == Fsync::EachChunk {
            self.sync()?;
        }
        Ok(appended)
    }

    /// Drops the oldest of the lowest lane until the spool is within its bytes.
    fn make_room(&mut self, now: Time) -> Result<(), SpoolError> {
        while self.bytes() > self.bytes_max {
            let Some(lane) =
                Lane::ALL.into_iter().rev().find(|lane| self.lanes[lane.index()].bytes() > 0)
            else {
                break;
            };
            self.save()?;
            let Some(gap) = self.lanes[lane.index()].drop_oldest()? else { break };
            let count = gap.last_seq.saturating_sub(gap.first_seq) + 1;
            self.ledger.lane_mut(lane).dropped += count;
            tracing::warn!(
                lane = lane.name(),
                count,
                "the spool is full; the oldest events were dropped"
            );
            self.note_gap(gap);
        }
        self.tell_gaps(now)
    }

    fn note_gap(&mut self, gap: Gap) {
        let full = self.gaps.len() >= GAPS_WAITING_MAX;
        match self.gaps.back_mut() {
            Some(last)
                if last.lane == gap.lane
                    && (full
                        || (last.reason == gap.reason && last.last_seq + 1 >= gap.first_seq)) =>
            {
                last.last_seq = last.last_seq.max(gap.last_seq);
                last.bytes += gap.bytes;
            }
            _ => self.gaps.push_back(gap),
        }
    }

    /// Spools what is missing as events of its own. Not while the spool is still too full.
    fn tell_gaps(&mut self, now: Time) -> Result<(), SpoolError> {
        while let Some(gap) = self.gaps.pop_front() {
            let event = Event::new(now, now, Body::Gap(gap)).with_source("spool", 0);
            self.lanes[Lane::Uptime.index()].append(event, None, now)?;
        }
        self.lanes[Lane::Uptime.index()].flush()
    }

    /// The next events of a lane that were not handed out yet: up to `events_max` and about `bytes_max`.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub fn next(
        &mut self,
        lane: Lane,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Option<Pending>, SpoolError> {
        self.lanes[lane.index()].next(events_max, bytes_max)
    }

    /// How many events of a lane wait to be handed out, and since when.
    #[must_use]
    pub fn waiting(&self, lane: Lane) -> (u64, Option<Time>) {
        self.lanes[lane.index()].waiting()
    }

    /// Everything of a lane up to this number is on Kafka.
    ///
    /// # Errors
    /// If the ledger or a segment cannot be written or removed.
    pub fn acknowledge(&mut self, lane: Lane, seq: u64) -> Result<(), SpoolError> {
        self.lanes[lane.index()].acknowledge(seq);
        self.ledger_dirty = true;
        if self.lanes[lane.index()].has_garbage() {
            self.save()?;
            self.lanes[lane.index()].collect_garbage()?;
        }
        Ok(())
    }

    /// Hands out again what was not acknowledged.
    pub fn rewind(&mut self, lane: Lane) {
        self.lanes[lane.index()].rewind();
    }

    /// Does what is due: fsync by policy, the ledger. Called some times a second.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn tick(&mut self, now: Time) -> Result<(), SpoolError> {
        let Fsync::Interval(interval) = self.fsync else { return self.save() };
        if now.since(self.synced) >= interval || now < self.synced {
            self.synced = now;
            self.save()?;
        }
        Ok(())
    }

    /// Makes everything that was appended safe from a power cut.
    fn sync(&mut self) -> Result<(), SpoolError> {
        for lane in &mut self.lanes {
            lane.sync()?;
        }
        Ok(())
    }

    /// Writes the ledger, after the records it speaks of.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn save(&mut self) -> Result<(), SpoolError> {
        if self.ledger_dirty {
            self.sync()?;
            for lane in Lane::ALL {
                let store = &self.lanes[lane.index()];
                let (next_seq, acknowledged) = (store.next_seq(), store.acknowledged());
                let entry = self.ledger.lane_mut(lane);
                entry.next_seq = next_seq;
                entry.acknowledged = acknowledged;
            }
            self.ledger.write(&self.dir)?;
            self.ledger_dirty = false;
        }
        Ok(())
    }

    /// Bytes on the disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.lanes.iter().map(LaneStore::bytes).sum()
    }

    /// What a lane holds, for heartbeats and metrics.
    #[must_use]
    pub fn figures(&self, lane: Lane, now: Time) -> LaneFigures {
        let mut figures = self.lanes[lane.index()].figures(now);
        figures.dropped = self.ledger.lane(lane).dropped;
        figures
    }

    /// The offset from which a stream has to be read again.
    #[must_use]
    pub fn resume(&self, stream: &str) -> Option<u64> {
        self.ledger.resume(stream)
    }

    /// All streams that begin with this prefix, with their offsets.
    #[must_use]
    pub fn known(&self, prefix: &str) -> Vec<(String, u64)> {
        self.ledger.known(prefix)
    }

    /// Up to where each lane holds a stream.
    #[must_use]
    pub fn held(&self, stream: &str) -> Vec<u64> {
        self.ledger.held(stream)
    }
}

fn note_end(ends: &mut Vec<Position>, position: &Position) {
    match ends.iter_mut().find(|end| end.stream == position.stream) {
        Some(end) => end.offset = end.offset.max(position.offset),
        None => ends.push(position.clone()),
    }
}

/// A gap of a lane.
pub(crate) fn gap(lane: Lane, first_seq: u64, last_seq: u64, reason: GapReason, bytes: u64) -> Gap {
    Gap { lane: lane.into(), first_seq, last_seq, reason: reason.into(), bytes }
}

#[cfg(test)]
mod tests;
