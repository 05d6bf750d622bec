//! What a key's action does.

use vonggac_wire::{
    Time,
    proto::{Acknowledge, ActReply, Command, command::Action as Wire},
};

use super::{App, Effect, Field, Form, Input, Link, Overlay, Palette};
use crate::{
    feed::Ask,
    keymap::Action,
    screen::{self, Screen},
};

/// Rows of a page.
pub(super) const PAGE: usize = 10;

impl App {
    pub(super) fn act(&mut self, action: Action, now: Time) -> Vec<Effect> {
        let quitting = std::mem::take(&mut self.quitting);
        self.message.clear();
        if self.moved(action) {
            return self.page(now);
        }
        match action {
            Action::Enter => return self.enter(now),
            Action::Back => return self.back(quitting, now),
            Action::LastScreen => return self.last_screen(now),
            Action::HistoryBack => return self.history(false, now),
            Action::HistoryForward => return self.history(true, now),
            Action::Quit => return vec![Effect::Quit],
            Action::Redraw => return vec![Effect::Redraw],
            Action::Retry => return self.retry(now),
            Action::Freeze if self.place().screen == Screen::Events && self.frozen.is_none() => {
                return self.follow(now);
            }
            Action::Freeze => self.freeze(now),
            Action::Filter => self.begin_line(),
            Action::NextMatch => self.match_next(true),
            Action::PreviousMatch => self.match_next(false),
            Action::Command => self.overlay = Some(Overlay::Palette(Palette::default())),
            Action::Help => self.overlay = Some(Overlay::Help(0)),
            Action::Menu => self.overlay = Some(Overlay::Menu(0)),
            Action::News => self.overlay = Some(Overlay::News),
            Action::Elsewhere => return self.elsewhere(now),
            Action::Copy => return self.copy(),
            Action::Export => self.begin_form(Form::export()),
            Action::Tell => self.recipients(),
            Action::Runbook => self.runbook(),
            Action::HourOn
            | Action::HourBack
            | Action::DayOn
            | Action::DayBack
            | Action::Midnight
            | Action::ZoomIn
            | Action::ZoomOut => return self.shift(action, now),
            Action::Sort
            | Action::Reverse
            | Action::OtherForm
            | Action::Detail
            | Action::Period
            | Action::Full => return self.form_of_place(action, now),
            Action::Mark => self.mark(),
            Action::MarkAll => self.mark_all(),
            Action::NextTrouble => self.seek(true, screen::is_trouble),
            Action::PreviousTrouble => self.seek(false, screen::is_trouble),
            Action::NextWarning => self.seek(true, screen::is_warning),
            Action::PreviousWarning => self.seek(false, screen::is_warning),
            Action::Usage => return self.usage(now),
            _ => return self.other(action, now),
        }
        Vec::new()
    }

    /// Screens by number, and actions on incidents.
    fn other(&mut self, action: Action, now: Time) -> Vec<Effect> {
        let screen = match action {
            Action::Screen1 => Screen::Board,
            Action::Screen2 => Screen::Incidents,
            Action::Screen3 => Screen::Agencies,
            Action::Screen4 => Screen::Systems,
            Action::Screen5 => Screen::Events,
            Action::Screen6 => Screen::Usage,
            Action::Screen7 => Screen::Spread,
            Action::Screen8 => Screen::Flow,
            Action::Screen9 => Screen::Shift,
            _ => return self.begin(action, now),
        };
        self.go(screen, now)
    }

    /// The cursor, where this is a movement.
    fn moved(&mut self, action: Action) -> bool {
        let sections = screen::sections(self);
        let all: usize = sections.iter().map(Vec::len).sum();
        let cursor = self.place().cursor.min(all.saturating_sub(1));
        // On the board the panes are beside each other: one does not walk out of one into the other.
        let (first, last) = if self.place().screen == Screen::Board {
            screen::bounds(&sections, cursor)
        } else {
            (0, all.saturating_sub(1))
        };
        let tiles = self.place().screen == Screen::Board && first > 0;
        let to = match action {
            Action::Up | Action::Down | Action::Left | Action::Right if tiles => {
                screen::tile_beside(self, cursor - first, action).map(|at| at + first)
            }
            Action::Up => Some(cursor.saturating_sub(1).max(first)),
            Action::Down => Some((cursor + 1).min(last)),
            Action::PageUp => Some(cursor.saturating_sub(PAGE).max(first)),
            Action::PageDown => Some((cursor + PAGE).min(last)),
            Action::First => Some(first),
            Action::Last => Some(last),
            Action::NextPane | Action::PreviousPane => {
                screen::pane_beside(self, &sections, cursor, action == Action::NextPane)
            }
            Action::Left | Action::Right => None,
            _ => return false,
        };
        match to {
            Some(to) => self.set_cursor(to),
            None => self.nothing(),
        }
        true
    }

    /// Sort, reverse, other form, details, period, one pane alone.
    fn form_of_place(&mut self, action: Action, now: Time) -> Vec<Effect> {
        if !screen::means(self, action) {
            self.nothing();
            return Vec::new();
        }
        let sorts = self.place().screen.sorts().len().max(1);
        self.steady(|app| {
            app.order.clear();
            let Some(place) = app.places.last_mut() else { return };
            match action {
                Action::Sort => place.sort = (place.sort + 1) % sorts,
                Action::Reverse => place.reverse = !place.reverse,
                Action::OtherForm => place.other = !place.other,
                Action::Detail => place.bare = !place.bare,
                Action::Period => place.month = !place.month,
                _ => place.full = !place.full,
            }
        });
        if action == Action::Period {
            return self.ask_for_place(true, now);
        }
        Vec::new()
    }

    fn retry(&mut self, now: Time) -> Vec<Effect> {
        // A link that brings nothing is made anew, whatever it says of itself.
        if self.link != Link::Up || self.heard.reply_age(now) >= super::LATE {
            self.message = self.words.get("told-retrying");
            return vec![Effect::Ask(Ask::Retry)];
        }
        match &self.place().screen {
            Screen::Events
            | Screen::Incident(_)
            | Screen::Spread
            | Screen::Usage
            | Screen::ByAgency(_)
            | Screen::Saved
            | Screen::Quiet
            | Screen::Flow => self.ask_for_place(true, now),
            _ => {
                self.nothing();
                Vec::new()
            }
        }
    }

    fn freeze(&mut self, now: Time) {
        if self.frozen.take().is_some() {
            for reply in std::mem::take(&mut self.held) {
                self.fold(reply);
            }
        } else {
            self.frozen = Some(now);
            self.message = self.words.get("told-frozen");
        }
    }

    /// `/`: a search, a filter of a list, or a way to a row.
    fn begin_line(&mut self) {
        let place = self.place();
        let (field, text) = match &place.screen {
            Screen::Events => (Field::Search, place.filter.clone()),
            screen if screen.is_list() => (Field::Filter, place.filter.clone()),
            _ => (Field::Find, String::new()),
        };
        self.input = Some(Input { field, text });
    }

    /// To the usage of the agency that one is at.
    fn usage(&mut self, now: Time) -> Vec<Effect> {
        let code = match (&self.place().screen, screen::item(self)) {
            (Screen::Agency(code) | Screen::System(code, _), _) => code.clone(),
            (_, Some(screen::Item::Agency(code))) => code,
            _ => return self.go(Screen::Usage, now),
        };
        self.enter_place(super::Place::with(Screen::Usage, code));
        self.ask_for_place(true, now)
    }

    /// `a` acts at once; the others open a form that names what is required.
    fn begin(&mut self, action: Action, now: Time) -> Vec<Effect> {
        if self.options.observer {
            let word = self.words.get(&screen::do_word(action));
            self.message = self.words.with("told-observer", &[("action", &word)]);
            return Vec::new();
        }
        let ids = self.chosen();
        if ids.is_empty() {
            self.nothing();
            return Vec::new();
        }
        // Of several the count is named first, even where one key would act at once.
        if action == Action::Acknowledge && ids.len() == 1 {
            return self.send_all(&ids, &Wire::Acknowledge(Acknowledge {}), now);
        }
        let form = Form::new(action, ids, &self.model);
        self.begin_form(form);
        Vec::new()
    }

    fn begin_form(&mut self, form: Form) {
        self.overlay = Some(Overlay::Form(form));
    }

    /// The incidents that are marked, else the one that one is at.
    fn chosen(&self) -> Vec<u64> {
        let listed = matches!(self.place().screen, Screen::Incidents | Screen::Shift);
        if listed && !self.marks.is_empty() {
            self.marks.iter().copied().collect()
        } else {
            screen::incident(self).into_iter().collect()
        }
    }

    pub(super) fn send(&mut self, incident: u64, action: Wire, now: Time) -> Vec<Effect> {
        if self.link != Link::Up {
            self.message = self.words.get("told-not-sent");
            return Vec::new();
        }
        let command = Command {
            id: uuid::Uuid::new_v4().to_string(),
            incident,
            actor: self.options.operator.clone(),
            time_unix_nano: now.0,
            expected_version: 0,
            action: Some(action),
        };
        vec![Effect::Ask(Ask::Act(Box::new(command)))]
    }

    /// What became of a command: done, or refused and by whom one was forestalled.
    pub(super) fn acted_on(&mut self, id: u64, reply: ActReply) -> Vec<Effect> {
        self.acted = Some(id);
        let number = id.to_string();
        self.message = match &reply.incident {
            Some(incident) if reply.refused.is_empty() => {
                let state = self.words.get(&format!("istate-{}", incident.current_state().name()));
                let values =
                    [("id", number.as_str()), ("state", &state), ("owner", &incident.owner)];
                self.words.with("told-done", &values)
            }
            known => {
                let refused = crate::cli::refusal(&self.words, &number, &reply.refused);
                // Who was faster, and when.
                let known = known.as_ref().or_else(|| self.model.incidents.get(&id));
                match known.filter(|_| reply.refused.starts_with("wrong-state")) {
                    Some(known) => format!("{refused} {}", moved_on(&self.words, known)),
                    None => refused,
                }
            }
        };
        if let Some(incident) = reply.incident {
            self.model.incidents.insert(id, incident);
        }
        vec![Effect::Ask(Ask::Detail(id))]
    }
}

/// What a colleague did: `09:40:52 #3102: xử lý, chủ trì Minh.`
pub(super) fn told_by(
    words: &crate::words::Words,
    incident: &vonggac_wire::proto::Incident,
) -> String {
    let state = words.get(&format!("istate-{}", incident.current_state().name()));
    let owner =
        if incident.owner.is_empty() { words.get("no-data") } else { incident.owner.clone() };
    words.with(
        "told-by-other",
        &[
            ("time", &crate::wording::clock(Time(incident.updated_unix_nano))),
            ("id", &incident.id.to_string()),
            ("state", &state),
            ("owner", &owner),
        ],
    )
}

/// Who has an incident now, and since when: `Minh đã nhận lúc 09:40:52`.
pub(super) fn moved_on(
    words: &crate::words::Words,
    incident: &vonggac_wire::proto::Incident,
) -> String {
    let at = |nanos: i64| crate::wording::clock(Time(nanos));
    let state = words.get(&format!("istate-{}", incident.current_state().name()));
    let id = incident.id.to_string();
    match incident.acknowledged_unix_nano {
        Some(since)
            if incident.current_state() == vonggac_wire::proto::IncidentState::InProgress =>
        {
            words.with(
                "moved-taken",
                &[("owner", &incident.owner), ("time", &at(since)), ("id", &id)],
            )
        }
        _ => words.with(
            "moved-state",
            &[
                ("state", &state),
                ("owner", &incident.owner),
                ("time", &at(incident.updated_unix_nano)),
                ("id", &id),
            ],
        ),
    }
}
