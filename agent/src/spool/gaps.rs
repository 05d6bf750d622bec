//! What will never come, until it is told as an event of its own.

use std::collections::VecDeque;

use vonggac_wire::{
    Lane, Time,
    event::{Gap, GapReason},
};

use super::ledger::{Ledger, Untold};

/// Gaps that wait to be told; beyond it neighbours of a lane are merged.
const GAPS_WAITING_MAX: usize = 64;

/// The stream of gap events: each has its number, and is told once although the ledger is written later.
pub(super) const STREAM: &str = "spool:gaps";

/// Numbers of a lane that will never come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Loss {
    pub(super) lane: Lane,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) reason: GapReason,
    pub(super) bytes: u64,
    /// Events that were counted; 0: all numbers.
    pub(super) events: u64,
    pub(super) observed: Option<(Time, Time)>,
}

impl Default for Loss {
    fn default() -> Self {
        Self {
            lane: Lane::Usage,
            first: 0,
            last: 0,
            reason: GapReason::Damage,
            bytes: 0,
            events: 0,
            observed: None,
        }
    }
}

impl From<Loss> for Gap {
    fn from(loss: Loss) -> Self {
        let (first_observed, last_observed) = loss.observed.unwrap_or_default();
        Self {
            lane: loss.lane.into(),
            first_seq: loss.first,
            last_seq: loss.last,
            reason: loss.reason.into(),
            bytes: loss.bytes,
            first_observed_unix_nano: first_observed.0,
            last_observed_unix_nano: last_observed.0,
            events: loss.events,
        }
    }
}

/// How many events a gap stands for.
pub(super) fn events(gap: &Gap) -> u64 {
    if gap.events > 0 { gap.events } else { (gap.last_seq + 1).saturating_sub(gap.first_seq) }
}

/// Puts a gap among those that wait.
pub(super) fn note(ledger: &mut Ledger, gap: Gap) {
    let full = ledger.untold.len() >= GAPS_WAITING_MAX;
    if let Some(neighbour) = neighbour(&mut ledger.untold, &gap, full) {
        let both = (events(neighbour), events(&gap));
        neighbour.first_seq = neighbour.first_seq.min(gap.first_seq);
        neighbour.last_seq = neighbour.last_seq.max(gap.last_seq);
        neighbour.bytes += gap.bytes;
        neighbour.events = both.0 + both.1;
        neighbour.last_observed_unix_nano =
            neighbour.last_observed_unix_nano.max(gap.last_observed_unix_nano);
        return;
    }
    ledger.next_gap = ledger.next_gap.max(1);
    ledger.untold.push_back(Untold { number: ledger.next_gap, gap });
    ledger.next_gap += 1;
}

fn neighbour<'a>(untold: &'a mut VecDeque<Untold>, gap: &Gap, full: bool) -> Option<&'a mut Gap> {
    let joins = |before: &Gap| {
        before.lane == gap.lane
            && (full || (before.reason == gap.reason && before.last_seq + 1 == gap.first_seq))
    };
    untold.iter_mut().rev().map(|untold| &mut untold.gap).find(|before| joins(before))
}
