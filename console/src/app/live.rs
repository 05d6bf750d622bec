//! Events as they are stored: begun and ended by `f` on the events screen. What went by unseen is told, never hidden.

use std::collections::HashSet;

use vonggac_wire::{
    Time,
    proto::{EventRow, SearchReply, TailReply, TailRequest},
};

use super::{App, Effect, window::ROWS_MAX};
use crate::{feed::Ask, query, screen::Screen};

/// What is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// From when on.
    pub since: Time,
    /// Events that the centre looked at.
    pub seen: u64,
    /// Events that went by without being looked at.
    pub missed: u64,
    /// Events that matched.
    pub matched: u64,
}

impl App {
    /// Begins to follow what the search line asks for, or ends it. What was found before stays below.
    pub(super) fn follow(&mut self, now: Time) -> Vec<Effect> {
        if self.live.take().is_some() {
            self.message = self.words.get("told-live-ended");
            return vec![Effect::Ask(Ask::Cancel)];
        }
        let line = self.place().filter.clone();
        if line.trim_start().starts_with(';') {
            self.message = self.words.get("told-live-sql");
            return Vec::new();
        }
        self.searching = None;
        self.questions.live = self.questions.new_question(line.clone());
        self.live = Some(Live { since: now, seen: 0, missed: 0, matched: 0 });
        let request = TailRequest { terms: query::parse(&line, now).terms };
        vec![Effect::Ask(Ask::Tail(self.questions.live.number, request))]
    }

    /// New events stand above those that are there; the cursor stays on its event, unless it is on the first row.
    pub(super) fn followed(&mut self, number: u64, reply: TailReply) {
        if number != self.questions.live.number {
            return;
        }
        let Some(live) = &mut self.live else { return };
        live.seen += reply.events_seen;
        live.missed += reply.events_missed;
        live.matched += reply.rows.len() as u64;
        if reply.rows.is_empty() {
            return;
        }
        self.put_first(reply.rows);
    }

    /// Everything that is there goes down by what is put above; what is open, and a cursor that is not on the first row, go with it.
    fn put_first(&mut self, rows: Vec<EventRow>) {
        let events = self.places.iter().position(|place| place.screen == Screen::Events);
        let chosen = events.filter(|at| self.places[*at].cursor > 0).map(|at| {
            let (cursor, other) = (self.places[at].cursor, self.places[at].other);
            let folded = self.model.folds.get(cursor).map_or(0, |fold| fold.at);
            (at, if other { cursor } else { folded })
        });
        let known = self.model.search.get_or_insert_with(SearchReply::default);
        // What was stored while the search before was answered is in both.
        let name = |row: &EventRow| (row.agent.clone(), row.lane.clone(), row.seq);
        let there: HashSet<_> = known.rows.iter().map(name).collect();
        let mut all: Vec<EventRow> =
            rows.into_iter().rev().filter(|row| !there.contains(&name(row))).collect();
        let down = all.len();
        all.append(&mut known.rows);
        all.truncate(ROWS_MAX);
        let last = all.len().saturating_sub(1);
        known.rows = all;
        // The page that would come next does not follow what is kept.
        known.next_cursor.clear();
        // Nor does what was counted before.
        known.total = None;
        known.histogram.clear();
        self.model.rows_before = 0;
        self.model.refold();
        if let Some((place, at)) = chosen {
            let at = (at + down).min(last);
            self.places[place].cursor = if self.places[place].other {
                at
            } else {
                self.model.folds.iter().rposition(|fold| fold.at <= at).unwrap_or(0)
            };
        }
        for place in &mut self.places {
            if let Screen::Event(at) = &mut place.screen {
                *at = (*at + down).min(last);
            }
        }
    }

    /// The centre ended it.
    pub(super) fn follow_ended(&mut self, number: u64, why: &str) {
        if number == self.questions.live.number && self.live.take().is_some() {
            self.message = self.words.with("told-live-broken", &[("error", why)]);
        }
    }
}
