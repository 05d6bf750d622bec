//! Marks on incidents, for acting on several at once, and the way to the next trouble.

use vonggac_wire::{Time, proto::command::Action as Wire};

use super::{App, Effect};
use crate::screen;

/// Incidents that may be marked at once: more than a shift acts on together.
const MARKS_MAX: usize = 500;

impl App {
    /// Marks or unmarks the incident under the cursor, and goes on to the next.
    pub(super) fn mark(&mut self) {
        let Some(id) = screen::incident(self) else {
            self.message = self.words.get("told-nothing");
            return;
        };
        if !self.marks.remove(&id) && self.marks.len() < MARKS_MAX {
            self.marks.insert(id);
        }
        let rows = screen::rows(self);
        if let Some(place) = self.places.last_mut() {
            place.cursor = (place.cursor + 1).min(rows.saturating_sub(1));
        }
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

    /// To the next or previous row that is in trouble.
    pub(super) fn seek_trouble(&mut self, forward: bool) {
        let troubles = screen::troubles(self);
        let cursor = self.place().cursor;
        let found = if forward {
            troubles.iter().enumerate().skip(cursor + 1).find(|(_, bad)| **bad)
        } else {
            troubles.iter().enumerate().take(cursor).rev().find(|(_, bad)| **bad)
        };
        match (found.map(|(at, _)| at), self.places.last_mut()) {
            (Some(at), Some(place)) => place.cursor = at,
            _ => self.message = self.words.get("told-no-trouble"),
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
