//! What is fresh does not wait behind the backlog of an outage.
//!
//! A lane is handed out in its order, and that order is what the centre counts by. After an outage it would be hours until the newest event
//! comes to its turn. So while the oldest event that waits is older than a bound, and more than some batches wait, a second place is
//! kept in the lane, at what was appended lately: batches from there go *ahead* and say so ([`vonggac_wire::Batch::ahead`]). If that
//! place falls behind itself, it leaves what it did not reach to the lane's order, and begins a new range at what is fresh then. The more
//! ranges there are, the further it may fall behind before: where a link never carries even what is new, they last for most of a day.
//!
//! # What is remembered
//!
//! The ledger has, for each lane, the ranges ahead that are on Kafka, and where the present one began. A range's beginning is written before
//! anything of it is sent. So after a crash the same range goes on: at most its last second is sent again, under the same numbers, and
//! the centre never remembers more ranges than the ledger. There are at most [`RANGES_MAX`], half of what the centre holds, so that
//! even a ledger that was lost some times leaves room; at that many the last one goes on however old it becomes.
//!
//! # How both meet
//!
//! The lane's order passes over a range that is on Kafka. It waits before one that is on its way, because what it sends says that
//! nothing older comes. While it waits nothing more goes ahead, so that it waits for one round trip. Where it reaches the second place there is no
//! backlog any more, and everything is in order again.
//!
//! Numbers that are on Kafka ahead are neither lost nor dropped, whatever happens to their segment; a segment of which all is there goes
//! from the disk at once, so that in a full spool it takes no room from what is not. A gap of overflow is cut where something went ahead, as the
//! centre sees it.

use std::time::Duration;

use vonggac_wire::{Lane, Time, limits::AHEAD_RANGES_MAX};

use super::{Encoded, Spool, SpoolError};

/// Ranges that a lane has ahead of its order at once.
pub(super) const RANGES_MAX: usize = AHEAD_RANGES_MAX / 2;

/// Ranges after which what is ahead may fall behind twice as far before another begins.
pub(super) const RANGES_DOUBLE: usize = 4;

/// What is fresh was appended within this part of the time after which something is behind; so a new range lasts for a while.
pub(super) const LATELY_PART: u32 = 4;

/// But within this at least: longer than a batch waits to be filled.
pub(super) const LATELY_LEAST: Duration = Duration::from_secs(1);

/// Batches that may wait without anything going ahead: they are sent within some round trips.
pub(super) const BATCHES_WAITING_MAX: u64 = 2;

impl Spool {
    /// Looks whether a lane is `after` behind, when batches are of about so many bytes, and where events go ahead from; to be called before
    /// [`Self::next_ahead`].
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn look_ahead(
        &mut self,
        lane: Lane,
        after: Duration,
        batch_bytes: usize,
        now: Time,
    ) -> Result<(), SpoolError> {
        if self.lanes[lane.index()].look_ahead(after, batch_bytes as u64, now) {
            self.ledger_dirty = true;
            self.save()?;
        }
        Ok(())
    }

    /// How many events of a lane wait to go ahead of it, and since when.
    #[must_use]
    pub fn waiting_ahead(&self, lane: Lane) -> (u64, Option<Time>) {
        self.lanes[lane.index()].waiting_ahead()
    }

    /// The next events that go ahead of a lane: up to `events_max` and about `bytes_max`.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub fn next_ahead(
        &mut self,
        lane: Lane,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Option<Encoded>, SpoolError> {
        match self.lanes[lane.index()].next_ahead(events_max, bytes_max) {
            Err(error) if error.is_vanished() => {
                self.mend()?;
                self.lanes[lane.index()].next_ahead(events_max, bytes_max)
            }
            outcome => outcome,
        }
    }

    /// These events went ahead of their lane and are on Kafka.
    ///
    /// # Errors
    /// If the ledger or a segment cannot be written or removed.
    pub fn acknowledge_ahead(
        &mut self,
        lane: Lane,
        first: u64,
        last: u64,
    ) -> Result<(), SpoolError> {
        self.lanes[lane.index()].acknowledge_ahead(first, last);
        self.let_go(lane)
    }
}
