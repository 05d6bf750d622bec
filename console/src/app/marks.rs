//! Marks on incidents, for acting on several at once, and the way to the next trouble.

use vonggac_wire::{Time, proto::command::Action as Wire};

use super::{App, Effect};
use crate::screen::{self, Item};

/// Incidents that may be marked at once: more than a shift acts on together.
const MARKS_MAX: usize = 500;

impl App {
    /// Marks or unmarks the incident under the cursor, and goes on to the next.
    pub(super) fn mark(&mut self) {
        let Some(Item::Incident(id)) = screen::item(self) else {
            self.message = self.words.get("told-nothing");
            return;
        };
        if !self.marks.remove(&id) && self.marks.len() < MARKS_MAX {
            self.marks.insert(id);
        }
        let rows = screen::rows(self);
        self.set_cursor((self.place().cursor + 1).min(rows.saturating_sub(1)));
        self.tell_marks();
    }

    /// Marks all that are shown; if they are, none.
    pub(super) fn mark_all(&mut self) {
        let shown = screen::incident_ids(self);
        if shown.is_empty() {
            self.message = self.words.get("told-nothing");
            return;
        }
        if shown.iter().all(|id| self.marks.contains(id)) {
            self.marks.clear();
        } else {
            self.marks.extend(shown.into_iter().take(MARKS_MAX));
        }
        self.tell_marks();
    }

    fn tell_marks(&mut self) {
        let count = self.marks.len().to_string();
        self.message = self.words.with("told-marked", &[("count", &count)]);
    }

    /// To the next or previous row of a kind.
    pub(super) fn seek(&mut self, forward: bool, wanted: fn(&Self, &Item) -> bool) {
        let items = screen::sections(self).concat();
        let cursor = self.place().cursor;
        let found = if forward {
            (cursor + 1..items.len()).find(|at| wanted(self, &items[*at]))
        } else {
            (0..cursor.min(items.len())).rev().find(|at| wanted(self, &items[*at]))
        };
        match found {
            Some(at) => self.set_cursor(at),
            None => self.message = self.words.get("told-no-trouble"),
        }
    }

    /// One command for each incident; several are told as their number, and are marked no more.
    pub(super) fn send_all(&mut self, ids: &[u64], action: &Wire, now: Time) -> Vec<Effect> {
        let effects: Vec<Effect> =
            ids.iter().flat_map(|id| self.send(*id, action.clone(), now)).collect();
        if ids.len() > 1 && !effects.is_empty() {
            let count = effects.len().to_string();
            self.message = self.words.with("told-sent-many", &[("count", &count)]);
            self.marks.clear();
        }
        effects
    }
}
