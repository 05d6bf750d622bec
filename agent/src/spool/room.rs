//! What goes when the spool is full.

use vonggac_wire::{Event, Lane, Time, event::Body};

use super::{Loss, SEGMENT_BYTES_MAX, Spool, SpoolError, gaps};

/// Bytes that are dropped at once beyond what came in: some segments, which take a fraction of a second also on a slow disk.
pub(super) const ROOM_BYTES_MAX: u64 = 8 * SEGMENT_BYTES_MAX;

/// How many percent of the spool's bytes each lane can count on. What a lane leaves free, the others may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Of the security lane.
    pub security: u8,
    /// Of the uptime lane.
    pub uptime: u8,
    /// Of the usage lane.
    pub usage: u8,
}

/// Security is what cannot be seen a second time elsewhere; uptime is small; usage is the bulk and is counted, not hunted.
impl Default for Shares {
    fn default() -> Self {
        Self { security: 60, uptime: 15, usage: 25 }
    }
}

impl Shares {
    /// Bytes of a lane in a spool of this size.
    #[must_use]
    pub fn bytes(self, lane: Lane, bytes_max: u64) -> u64 {
        let percent = match lane {
            Lane::Security => self.security,
            Lane::Uptime => self.uptime,
            Lane::Usage => self.usage,
        };
        bytes_max / 100 * u64::from(percent)
    }
}

impl Spool {
    /// Drops the oldest of the lowest lane beyond its share until the spool is within its bytes, or [`ROOM_BYTES_MAX`] below what it
    /// held `before` this call: whoever waits for the spool does not wait for gigabytes to be read and removed. What is left goes
    /// with the calls that follow.
    pub(super) fn make_room(&mut self, before: u64, now: Time) -> Result<(), SpoolError> {
        let bound = before.saturating_sub(ROOM_BYTES_MAX).max(self.bytes_max);
        let mut dropped = [0_u64; 3];
        while self.bytes() > bound {
            let Some((lane, any)) = self.to_drop() else { break };
            let Some((losses, told)) = self.lanes[lane.index()].drop_oldest(any)? else { break };
            dropped[lane.index()] += losses.iter().map(|loss| loss.events).sum::<u64>();
            self.note_losses(losses.into_iter().filter(|loss| loss.events > 0).collect());
            for gap in told {
                gaps::note(&mut self.ledger, gap);
            }
            // The ledger knows before the file goes.
            self.ledger_dirty = true;
            self.save()?;
            self.lanes[lane.index()].collect_garbage()?;
        }
        for lane in Lane::ALL.into_iter().filter(|lane| dropped[lane.index()] > 0) {
            let count = dropped[lane.index()];
            tracing::warn!(lane = lane.name(), count, "the spool is full; the oldest were dropped");
        }
        self.tell_gaps(now)
    }

    /// The lane that has to give; whether even of what is on its way, because there is nothing else.
    fn to_drop(&self) -> Option<(Lane, bool)> {
        let store = |lane: Lane| &self.lanes[lane.index()];
        let beyond = |lane: &Lane| {
            store(*lane).bytes() > self.shares.bytes(*lane, self.bytes_max)
                && store(*lane).can_drop(false)
        };
        let lowest = || Lane::ALL.into_iter().rev();
        lowest()
            .find(beyond)
            .map(|lane| (lane, false))
            .or_else(|| lowest().find(|lane| store(*lane).can_drop(false)).map(|l| (l, false)))
            .or_else(|| lowest().find(|lane| store(*lane).can_drop(true)).map(|l| (l, true)))
    }

    pub(super) fn note_losses(&mut self, losses: Vec<Loss>) {
        for loss in losses {
            tracing::warn!(
                lane = loss.lane.name(),
                first = loss.first,
                last = loss.last,
                reason = loss.reason.as_str_name(),
                "events will never come"
            );
            gaps::note(&mut self.ledger, loss.into());
            self.ledger_dirty = true;
        }
    }

    /// Spools what is missing as events of its own. What cannot be written now stays in the ledger.
    pub(super) fn tell_gaps(&mut self, now: Time) -> Result<(), SpoolError> {
        while let Some(untold) = self.ledger.untold.front() {
            if !self.ledger.holds(Lane::Uptime, gaps::STREAM, untold.number) {
                let event = Event::new(now, now, Body::Gap(untold.gap)).with_source("spool", 0);
                let store = &mut self.lanes[Lane::Uptime.index()];
                store.append(&event.encode(), Some((gaps::STREAM, untold.number)), now)?;
                store.flush()?;
                self.ledger.saw(Lane::Uptime, gaps::STREAM, untold.number);
            }
            self.ledger.untold.pop_front();
            self.ledger_dirty = true;
        }
        Ok(())
    }
}
