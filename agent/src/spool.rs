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
//! numbers become a [`Gap`] with the reason "damage", once: the ledger remembers what was told. If the damage is at a segment's end,
//! as many numbers are skipped as records could have stood there, so that none is used twice. Files that vanished are told the same
//! way. A ledger that cannot be read is made anew from the records; if a lane has none, nobody knows its numbers any more, and the
//! agent takes a new name, because the centre leaves numbers out that it knows.
//!
//! # Ahead of the lane
//!
//! See [`ahead`]: while a backlog is caught up with, what was appended lately goes before it.
//!
//! # When it is full
//!
//! Each lane has a [share](Shares) of the bytes. The oldest segment of the lowest lane that holds more than its share goes first
//! (usage, then uptime, then security); what is on its way to Kafka stays. It is counted, and becomes a gap event with the reason
//! "overflow", its numbers, its times and its count. The ledger knows of it before the file goes: after a crash between the two it
//! is neither counted twice nor forgotten. Gap events that go with a segment are told again. So for each lane what was appended is
//! what was delivered, what waits, and what was dropped.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

#[cfg(doc)]
use vonggac_wire::event::Gap;
use vonggac_wire::{AgentId, Event, Lane, Time, event::EventError};

use crate::{
    config::Fsync,
    intake::{Appended, Entry, Packed, Position},
};

mod ahead;
mod append;
mod gaps;
mod identity;
pub mod inspect;
mod lane;
mod ledger;
mod pending;
mod ranges;
pub(crate) mod record;
mod recovery;
mod room;
mod scan;
pub mod sealed;

use gaps::Loss;
pub use identity::{Identity, IdentityError};
pub use lane::LaneFigures;
use lane::LaneStore;
use ledger::Ledger;
pub use pending::{Encoded, Pending};
pub use record::RECORD_HEAD_BYTES;
pub use recovery::{Damage, Recovery};
pub use room::Shares;

/// Bytes of a segment: small enough that dropping one costs little, large enough that a full spool has few files.
pub const SEGMENT_BYTES_MAX: u64 = 4 << 20;

/// Bytes of a segment of the smallest spool.
const SEGMENT_BYTES_MIN: u64 = 64 << 10;

/// A spool has at least as many segments as this, so that what is dropped at once is little of it.
const SEGMENTS_MIN: u64 = 16;

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
    /// A record whose check sum fits holds something else than an event.
    #[error("an event on the disk is not readable by this version: {0}")]
    Event(#[from] EventError),
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
            || matches!(self, Self::Identity(IdentityError::Io { source, .. })
            if matches!(source.kind(), E::StorageFull | E::QuotaExceeded | E::ReadOnlyFilesystem))
    }

    /// A file or the folder is not there any more.
    fn is_vanished(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }
}

/// How often the ledger is written. It may lag behind the records, which speak for themselves after a crash: what it does not know yet is
/// read again and left out, or sent again under the same numbers.
const LEDGER_INTERVAL: Duration = Duration::from_secs(1);

/// The spool of one agent. Its owner calls it from one thread at a time.
pub struct Spool {
    dir: PathBuf,
    identity: Identity,
    lanes: [LaneStore; 3],
    ledger: Ledger,
    ledger_dirty: bool,
    bytes_max: u64,
    shares: Shares,
    fsync: Fsync,
    /// When the records were synced, and when the ledger was written.
    synced: Time,
    saved: Time,
    recovery: Recovery,
}

impl Spool {
    /// Opens or makes the spool in `dir` and repairs what a power cut left. A full disk is no reason not to open what is there.
    ///
    /// # Errors
    /// If the folder is in use, or cannot be read.
    pub fn open(
        dir: &Path,
        host: &str,
        bytes_max: u64,
        fsync: Fsync,
        now: Time,
    ) -> Result<Self, SpoolError> {
        fs::create_dir_all(dir).map_err(SpoolError::io("make", dir))?;
        for lane in Lane::ALL {
            let path = dir.join(lane.name());
            fs::create_dir_all(&path).map_err(SpoolError::io("make", &path))?;
        }
        let mut identity = Identity::open(dir, host)?;
        let (mut ledger, found) = Ledger::read(dir)?;
        let mut recovery = Recovery::default();
        let segment_bytes = (bytes_max / SEGMENTS_MIN).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        let mut losses = Vec::new();
        let mut open_lane = |lane: Lane, ledger: &mut Ledger| {
            let entry = ledger.lane(lane).clone();
            let mut saw = |stream: &[u8], offset| {
                ledger.saw(lane, &String::from_utf8_lossy(stream), offset);
            };
            let path = dir.join(lane.name());
            let opened =
                LaneStore::open(&path, lane, &entry, segment_bytes, &mut saw, &mut recovery)?;
            losses.extend(opened.1);
            Ok::<_, SpoolError>(opened.0)
        };
        let lanes = [
            open_lane(Lane::Security, &mut ledger)?,
            open_lane(Lane::Uptime, &mut ledger)?,
            open_lane(Lane::Usage, &mut ledger)?,
        ];
        // Numbers that nobody knows any more may not be given again under the old name.
        if found != ledger::Found::Whole && !identity.fresh && lanes.iter().any(LaneStore::is_empty)
        {
            let old = identity.agent.clone();
            identity.rename(dir, host)?;
            tracing::error!(%old, new = %identity.agent, "the spool's numbers are lost; the agent goes on under a new name");
        }
        let mut spool = Self {
            dir: dir.to_owned(),
            identity,
            lanes,
            ledger,
            ledger_dirty: true,
            bytes_max,
            shares: Shares::default(),
            fsync,
            synced: now,
            saved: now,
            recovery,
        };
        spool.note_losses(losses);
        match spool.tell_gaps(now).and_then(|()| spool.save()) {
            Err(error) if error.is_full() => {
                tracing::error!(%error, "the disk is full; the spool is kept as it is");
            }
            outcome => outcome?,
        }
        Ok(spool)
    }

    /// Gives each lane its share of the bytes.
    #[must_use]
    pub const fn with_shares(mut self, shares: Shares) -> Self {
        self.shares = shares;
        self
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
        self.append_packed(&Packed::of(&entries, passed), now)
    }

    /// The same of a chunk that the caller keeps, to try again.
    ///
    /// # Errors
    /// As of [`Self::append`].
    pub fn append_packed(&mut self, chunk: &Packed, now: Time) -> Result<Appended, SpoolError> {
        let outcome = self.try_append(chunk, now);
        if outcome.as_ref().is_err_and(SpoolError::is_vanished) {
            // So that the next try finds files to write to and to drop.
            self.mend()?;
        }
        outcome
    }

    /// The next events of a lane that were not handed out yet: up to `events_max` and about `bytes_max`.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub fn next_encoded(
        &mut self,
        lane: Lane,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Option<Encoded>, SpoolError> {
        match self.lanes[lane.index()].next(events_max, bytes_max) {
            Err(error) if error.is_vanished() => {
                self.mend()?;
                self.lanes[lane.index()].next(events_max, bytes_max)
            }
            outcome => outcome,
        }
    }

    /// The same, read.
    ///
    /// # Errors
    /// If the disk cannot be read, or what is on it is no event although its check sum fits.
    pub fn next(
        &mut self,
        lane: Lane,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Option<Pending>, SpoolError> {
        let Some(encoded) = self.next_encoded(lane, events_max, bytes_max)? else {
            return Ok(None);
        };
        let events = encoded.events().map(Event::decode).collect::<Result<_, _>>()?;
        Ok(Some(Pending { first_seq: encoded.first_seq, events }))
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
        self.let_go(lane)
    }

    /// Removes what is wholly on Kafka, after the ledger knows.
    fn let_go(&mut self, lane: Lane) -> Result<(), SpoolError> {
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
        match self.do_due(now) {
            Err(error) if error.is_vanished() => self.mend(),
            outcome => outcome,
        }
    }

    fn do_due(&mut self, now: Time) -> Result<(), SpoolError> {
        // A clock that was set back is no reason to wait for it.
        let is_due = |last: Time, interval: Duration| now.since(last) >= interval || now < last;
        if let Fsync::Interval(interval) = self.fsync {
            if is_due(self.synced, interval) {
                self.synced = now;
                self.sync()?;
            }
        }
        if is_due(self.saved, LEDGER_INTERVAL) {
            self.saved = now;
            self.make_room(self.bytes(), now)?;
            self.save()?;
        }
        Ok(())
    }

    /// Files or the whole folder vanished: makes them anew as far as they are known, and tells what is gone.
    fn mend(&mut self) -> Result<(), SpoolError> {
        tracing::error!(spool = %self.dir.display(), "files of the spool vanished; it is made anew");
        fs::create_dir_all(&self.dir).map_err(SpoolError::io("make", &self.dir))?;
        self.identity.restore(&self.dir)?;
        for lane in Lane::ALL {
            let losses = self.lanes[lane.index()].mend()?;
            self.note_losses(losses);
        }
        self.ledger_dirty = true;
        self.tell_gaps(self.saved)?;
        self.save()
    }

    /// Makes everything that was appended safe from a power cut, unless that was not asked for.
    fn sync(&mut self) -> Result<(), SpoolError> {
        if self.fsync == Fsync::Never {
            return Ok(());
        }
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
                *self.ledger.lane_mut(lane) = self.lanes[lane.index()].entry().clone();
            }
            self.ledger.write(&self.dir, self.fsync != Fsync::Never)?;
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
        self.lanes[lane.index()].figures(now)
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

#[cfg(test)]
mod catching_up;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod tests;
