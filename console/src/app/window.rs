//! The window of time: an hour or a day on and back, midnight, in and out; searches are asked again for it.

use std::time::Duration;

use vonggac_wire::{Time, proto::SearchReply};

use super::{App, Effect};
use crate::{feed::Ask, keymap::Action, query, screen::Screen};

/// The smallest and the largest window.
const SPAN: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(31 * 86_400));

/// Events that are kept of a search: three pages.
pub(super) const ROWS_MAX: usize = 3 * query::PAGE_ROWS as usize;

/// Times that a chart's hour can be halved.
const ZOOM_MAX: usize = 2;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

impl App {
    /// `o O d D 0 z Z`.
    pub(super) fn shift(&mut self, action: Action, now: Time) -> Vec<Effect> {
        let chart = matches!(self.place().screen, Screen::System(..));
        if let (true, Some(place)) = (chart, self.places.last_mut()) {
            match action {
                Action::ZoomIn => place.zoom = (place.zoom + 1).min(ZOOM_MAX),
                Action::ZoomOut => place.zoom = place.zoom.saturating_sub(1),
                _ => self.message = self.words.get("told-no-past"),
            }
            return Vec::new();
        }
        if self.place().screen != Screen::Events {
            self.message = self.words.get("told-no-past");
            return Vec::new();
        }
        let (since, until) = self.window(now);
        let span = until.since(since);
        let window = match action {
            Action::HourOn => (since.plus(HOUR), until.plus(HOUR)),
            Action::HourBack => (since.minus(HOUR), until.minus(HOUR)),
            Action::DayOn => (since.plus(DAY), until.plus(DAY)),
            Action::DayBack => (since.minus(DAY), until.minus(DAY)),
            Action::Midnight => {
                let start = query::midnight(now);
                (start, start.plus(span))
            }
            Action::ZoomIn => {
                let half = (span / 2).max(SPAN.0);
                let middle = self.event_time().unwrap_or_else(|| since.plus(span / 2));
                (middle.minus(half / 2), middle.plus(half / 2))
            }
            _ => {
                let double = (span * 2).min(SPAN.1);
                (since.minus((double - span) / 2), until.plus((double - span) / 2))
            }
        };
        self.window = Some(window);
        let line = self.place().filter.clone();
        self.search(&line, now)
    }

    /// The window that is looked at.
    fn window(&self, now: Time) -> (Time, Time) {
        self.window.unwrap_or_else(|| {
            self.asked.as_ref().map_or_else(
                || (now.minus(HOUR), now),
                |asked| (Time(asked.since_unix_nano), Time(asked.until_unix_nano).min(now)),
            )
        })
    }

    fn event_time(&self) -> Option<Time> {
        crate::screen::event(self).map(|event| Time(event.time_unix_nano))
    }

    /// Asks for events, or for SQL after a semicolon.
    pub(super) fn search(&mut self, line: &str, now: Time) -> Vec<Effect> {
        self.searching = Some(now);
        (self.progress, self.live) = (None, None);
        self.model.sql = None;
        let number = self.number_search(line, false);
        if let Some(sql) = line.trim().strip_prefix(';') {
            return vec![Effect::Ask(Ask::Sql(number, sql.trim().to_owned()))];
        }
        let mut request = query::parse(line, now);
        if let Some((since, until)) = self.window {
            (request.since_unix_nano, request.until_unix_nano) = (since.0, until.0);
        }
        self.asked = Some(request.clone());
        vec![Effect::Ask(Ask::Search(number, Box::new(request)))]
    }

    /// At the end of what is there, the next page is asked for.
    pub(super) fn page(&mut self, now: Time) -> Vec<Effect> {
        let at_end = self.place().cursor + 1 >= crate::screen::rows(self);
        let cursor = self.model.search.as_ref().map(|reply| reply.next_cursor.clone());
        let (Some(cursor), Some(asked)) = (cursor.filter(|c| !c.is_empty()), &self.asked) else {
            return Vec::new();
        };
        if !at_end
            || self.searching.is_some()
            || self.live.is_some()
            || self.place().screen != Screen::Events
        {
            return Vec::new();
        }
        let request =
            vonggac_wire::proto::SearchRequest { cursor, histogram_columns: 0, ..asked.clone() };
        (self.searching, self.progress) = (Some(now), None);
        let line = self.place().filter.clone();
        let number = self.number_search(&line, true);
        vec![Effect::Ask(Ask::Search(number, Box::new(request)))]
    }

    /// What was found: a first page, or one more of the same search.
    pub(super) fn found(&mut self, reply: SearchReply) {
        match &mut self.model.search {
            Some(known) if self.questions.more => {
                known.next_cursor = reply.next_cursor;
                known.cut |= reply.cut;
                known.rows.extend(reply.rows);
                let gone = known.rows.len().saturating_sub(ROWS_MAX);
                self.drop_rows(gone);
            }
            known => {
                *known = Some(reply);
                self.model.rows_before = 0;
                self.model.refold();
                // What was open was a row of the answer before.
                let events = self.places.iter().rposition(|place| place.screen == Screen::Events);
                if matches!(self.place().screen, Screen::Event(_))
                    && events == self.places.len().checked_sub(2)
                {
                    self.places.pop();
                }
                if self.place().screen == Screen::Events {
                    self.set_cursor(0);
                }
            }
        }
    }

    /// The first rows go; the list's cursor and the event that is open stay on their event.
    fn drop_rows(&mut self, gone: usize) {
        let events = self.places.iter().position(|place| place.screen == Screen::Events);
        let chosen = events.and_then(|at| {
            let (cursor, other) = (self.places[at].cursor, self.places[at].other);
            if other { Some(cursor) } else { self.model.folds.get(cursor).map(|fold| fold.at) }
        });
        if let Some(known) = &mut self.model.search {
            known.rows.drain(..gone.min(known.rows.len()));
        }
        self.model.rows_before += gone as u64;
        self.model.refold();
        if let (Some(at), Some(chosen)) = (events, chosen) {
            let chosen = chosen.saturating_sub(gone);
            self.places[at].cursor = if self.places[at].other {
                chosen
            } else {
                self.model.folds.iter().rposition(|fold| fold.at <= chosen).unwrap_or(0)
            };
        }
        for place in &mut self.places {
            if let Screen::Event(at) = &mut place.screen {
                *at = at.saturating_sub(gone);
            }
        }
    }
}
