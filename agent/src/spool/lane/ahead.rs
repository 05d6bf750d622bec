//! The second place of a lane, from which events go ahead of its order. See [`crate::spool::ahead`].

use std::time::Duration;

use vonggac_wire::Time;

use super::{
    super::{
        Encoded, SpoolError,
        ahead::{BATCHES_WAITING_MAX, LATELY_LEAST, LATELY_PART, RANGES_DOUBLE, RANGES_MAX},
        ranges,
    },
    LaneStore, Segment,
    read::{Bounds, Cursor},
};

impl LaneStore {
    /// Sets, moves or gives up the place; whether the ledger has to know before anything is sent from there.
    pub(in crate::spool) fn look_ahead(
        &mut self,
        after: Duration,
        batch_bytes: u64,
        now: Time,
    ) -> bool {
        let reached = self.bounds().pass(self.cursor.seq);
        if self.on_way.is_empty() && self.fresh.is_some_and(|fresh| fresh.seq <= reached) {
            self.fresh = None;
            self.entry.fresh_from = 0;
            return true;
        }
        let place = self.fresh.unwrap_or(Cursor { seq: reached, ..self.cursor });
        let ranges = self.entry.ahead.len() + self.on_way.len();
        let doubled = u32::try_from(ranges / RANGES_DOUBLE).unwrap_or(u32::MAX);
        let bearable = match self.fresh {
            Some(_) => after.saturating_mul(2_u32.saturating_pow(doubled)),
            None => after,
        };
        if !self.is_behind(place, bearable, batch_bytes, now) || ranges >= RANGES_MAX {
            return false;
        }
        let recent = (after / LATELY_PART).max(LATELY_LEAST);
        let lately =
            |(seq, time): &&(u64, Time)| now.since(*time) < recent && *seq >= self.begun_seq;
        let first = self.marks.iter().rev().take_while(lately).last();
        let behind_all =
            self.entry.ahead.iter().chain(&self.on_way).map(|(_, last)| last + 1).max();
        let seq =
            first.map_or(self.written_seq() + 1, |(seq, _)| *seq).max(behind_all.unwrap_or(0));
        if seq <= place.seq {
            return false;
        }
        self.fresh = Some(Cursor { seq, place: None });
        self.entry.fresh_from = seq;
        true
    }

    /// What stands there is older than that, and it is more than some batches.
    fn is_behind(&self, cursor: Cursor, after: Duration, batch_bytes: u64, now: Time) -> bool {
        // Whatever has no time is old.
        let old = self.appended_at(cursor.seq).is_none_or(|time| now.since(time) >= after);
        old && self.written_seq() >= cursor.seq
            && self.bytes_behind(cursor) > batch_bytes.saturating_mul(BATCHES_WAITING_MAX)
    }

    /// About so many bytes stand from there on: of a segment, as many as its part of the numbers.
    fn bytes_behind(&self, cursor: Cursor) -> u64 {
        let of = |segment: &Segment| {
            let all = (segment.last_seq + 1).saturating_sub(segment.first_seq).max(1);
            let left = (segment.last_seq + 1).saturating_sub(cursor.seq).min(all);
            segment.bytes / all * left
        };
        self.segments.iter().map(of).sum()
    }

    /// See [`crate::spool::Spool::waiting_ahead`].
    pub(in crate::spool) fn waiting_ahead(&self) -> (u64, Option<Time>) {
        match self.fresh {
            Some(fresh) if !self.is_met() => {
                ((self.written_seq() + 1).saturating_sub(fresh.seq), self.appended_at(fresh.seq))
            }
            _ => (0, None),
        }
    }

    /// The lane's order waits for what is on its way ahead, or has come to the second place.
    fn is_met(&self) -> bool {
        let bounds = self.bounds();
        let reached = bounds.pass(self.cursor.seq);
        reached >= bounds.until || self.fresh.is_some_and(|fresh| fresh.seq <= reached)
    }

    /// See [`crate::spool::Spool::next_ahead`].
    pub(in crate::spool) fn next_ahead(
        &mut self,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Option<Encoded>, SpoolError> {
        let Some(mut cursor) = self.fresh.filter(|_| !self.is_met()) else { return Ok(None) };
        let pending = self.read_from(&mut cursor, &Bounds::default(), events_max, bytes_max)?;
        let Some(pending) = pending else {
            self.fresh = Some(cursor);
            return Ok(None);
        };
        let (first, last) = (pending.first_seq, pending.first_seq + pending.len() as u64 - 1);
        let mut all = self.entry.ahead.clone();
        for (first, last) in self.on_way.iter().copied().chain([(first, last)]) {
            ranges::join(&mut all, first, last);
        }
        if all.len() > RANGES_MAX {
            // Numbers are missing in the midst of what is fresh: the rest comes in order.
            self.fresh = None;
            self.entry.fresh_from = 0;
            return Ok(None);
        }
        ranges::join(&mut self.on_way, first, last);
        self.fresh = Some(cursor);
        Ok(Some(pending))
    }

    /// See [`crate::spool::Spool::acknowledge_ahead`].
    pub(in crate::spool) fn acknowledge_ahead(&mut self, first: u64, last: u64) {
        ranges::take_out(&mut self.on_way, first, last);
        ranges::join(&mut self.entry.ahead, first, last);
        self.acknowledge(0);
    }

    /// Nothing is on its way any more; the place is where the ledger has it.
    pub(super) fn rewind_ahead(&mut self) {
        self.on_way.clear();
        let from = self.entry.fresh_from;
        self.fresh = (from > 0).then(|| {
            let last = self.entry.ahead.last().map_or(0, |(_, last)| last + 1);
            Cursor { seq: from.max(last).max(self.entry.acknowledged + 1), place: None }
        });
    }

    /// Nothing stands in this segment any more.
    pub(super) fn leave(&mut self, first: u64, last: u64) {
        if let Some(fresh) = self.fresh.as_mut().filter(|fresh| (first..=last).contains(&fresh.seq))
        {
            *fresh = Cursor { seq: last + 1, place: None };
        }
    }

    /// What the lane's order passes over, and where it waits.
    pub(super) fn bounds(&self) -> Bounds {
        let waits = self.on_way.iter().find(|(_, last)| *last >= self.cursor.seq);
        let until = waits.map_or(u64::MAX, |(first, _)| self.cursor.seq.max(*first));
        Bounds { done: self.entry.ahead.clone(), until }
    }
}
