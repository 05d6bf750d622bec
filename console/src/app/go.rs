//! From screen to screen: in, out, by number, and through the history.

use vonggac_wire::Time;

use super::{App, Effect};
use crate::{
    feed::Ask,
    screen::{self, Item, Screen},
};

/// Screens that are remembered for going back.
const HISTORY_MAX: usize = 50;

/// Where one is: a screen with its cursor and filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The screen.
    pub screen: Screen,
    /// The row, counted over all panes.
    pub cursor: usize,
    /// The filter or query.
    pub filter: String,
    /// Which order, of those the screen has.
    pub sort: usize,
    /// The order is turned round.
    pub reverse: bool,
    /// The other form.
    pub other: bool,
    /// Details are hidden.
    pub bare: bool,
    /// One pane has the whole screen.
    pub full: bool,
    /// How often the chart's window was halved.
    pub zoom: usize,
    /// The month rather than the day.
    pub month: bool,
    /// The cursor has been put where one begins to read.
    pub settled: bool,
}

impl Place {
    /// A screen as one comes to it.
    #[must_use]
    pub const fn new(screen: Screen) -> Self {
        Self {
            screen,
            cursor: 0,
            filter: String::new(),
            sort: 0,
            reverse: false,
            other: false,
            bare: false,
            full: false,
            zoom: 0,
            month: false,
            settled: false,
        }
    }

    /// With a filter or query.
    #[must_use]
    pub fn with(screen: Screen, filter: String) -> Self {
        Self { filter, ..Self::new(screen) }
    }
}

pub(super) static BOARD: Place = Place::new(Screen::Board);

impl App {
    /// Puts a place on top, and into the history.
    pub(super) fn enter_place(&mut self, place: Place) {
        self.order.clear();
        if matches!(place.screen, Screen::Event(_)) {
            // A row of the list below it: that list is what one comes back to.
            self.places.push(place);
            return;
        }
        self.history.truncate(self.history_at + 1);
        if self.history.is_empty() {
            self.history.push(self.place().clone());
        }
        if self.history.len() >= HISTORY_MAX {
            self.history.remove(0);
        }
        self.history.push(place.clone());
        self.history_at = self.history.len() - 1;
        self.places.push(place);
    }

    /// `[` and `]`.
    pub(super) fn history(&mut self, forward: bool, now: Time) -> Vec<Effect> {
        if !forward && matches!(self.place().screen, Screen::Event(_)) {
            return self.back(false, now);
        }
        let at = if forward { self.history_at + 1 } else { self.history_at.wrapping_sub(1) };
        let Some(place) = self.history.get(at).cloned() else {
            self.message = self.words.get("told-no-history");
            return Vec::new();
        };
        self.history_at = at;
        self.arrive(place, now)
    }

    /// `-`: the screen before, and back again.
    pub(super) fn last_screen(&mut self, now: Time) -> Vec<Effect> {
        if matches!(self.place().screen, Screen::Event(_)) {
            return self.back(false, now);
        }
        let Some(at) = self.history_at.checked_sub(1) else {
            self.message = self.words.get("told-no-history");
            return Vec::new();
        };
        let place = self.history[at].clone();
        self.history.swap(at, self.history_at);
        self.arrive(place, now)
    }

    /// At a place of the history: what it shows is asked for again.
    fn arrive(&mut self, place: Place, now: Time) -> Vec<Effect> {
        self.order.clear();
        self.places.truncate(1);
        if place.screen != Screen::Board {
            self.places.push(place);
        }
        self.ask_for_place(true, now)
    }

    pub(super) fn detail(&mut self, id: u64) -> Vec<Effect> {
        let known = self.model.detail.as_ref().and_then(|detail| detail.incident.as_ref());
        if known.is_none_or(|incident| incident.id != id) {
            self.model.detail = None;
        }
        vec![Effect::Ask(Ask::Detail(id))]
    }

    /// From anywhere to a numbered screen. Events of an agency, system or host are those of that place.
    pub(super) fn go(&mut self, screen: Screen, now: Time) -> Vec<Effect> {
        let item = screen::item(self);
        let filter = match (&screen, &self.place().screen, &item) {
            (Screen::Events, Screen::System(..), Some(Item::Host(agency, agent))) => {
                self.host_query(agency, agent)
            }
            (Screen::Events, Screen::Host(agency, agent), _) => self.host_query(agency, agent),
            (Screen::Events, Screen::System(agency, system), _)
            | (Screen::Events, _, Some(Item::System(agency, system))) => {
                format!("agency:{agency} system:{system} -24h")
            }
            (Screen::Events, Screen::Agency(code), _)
            | (Screen::Events, Screen::Agencies, Some(Item::Agency(code))) => {
                format!("agency:{code} -24h")
            }
            _ => String::new(),
        };
        self.go_with(screen, filter, now)
    }

    fn host_query(&self, agency: &str, agent: &str) -> String {
        let key = (agency.to_owned(), agent.to_owned());
        let host = self.model.agents.get(&key).map_or(agent, |row| row.host.as_str());
        format!("agency:{agency} host:{host} -24h")
    }

    pub(super) fn go_with(&mut self, screen: Screen, filter: String, now: Time) -> Vec<Effect> {
        self.places.truncate(1);
        self.order.clear();
        if screen == Screen::Board {
            return Vec::new();
        }
        self.enter_place(Place::with(screen, filter));
        self.ask_for_place(true, now)
    }

    /// One level in.
    pub(super) fn enter(&mut self, now: Time) -> Vec<Effect> {
        if let Some(Item::Dead(at)) = screen::item(self) {
            let letter = screen::dead_letter(self, at);
            self.overlay =
                letter.map(|(title, lines)| super::Overlay::Sheet { title, lines, from: 0 });
            return Vec::new();
        }
        if let Some(Item::Saved(at)) = screen::item(self) {
            return self.run_saved(at, now);
        }
        let Some(target) = screen::target(self) else {
            self.nothing();
            return Vec::new();
        };
        match target {
            Screen::Incident(id) => {
                let asked = self.detail(id);
                self.enter_place(Place::new(Screen::Incident(id)));
                asked
            }
            Screen::Events => self.go(Screen::Events, now),
            Screen::ByAgency(id) => {
                let month = self.place().month;
                self.enter_place(Place { month, ..Place::new(Screen::ByAgency(id)) });
                self.ask_for_place(true, now)
            }
            other => {
                self.enter_place(Place::new(other));
                Vec::new()
            }
        }
    }

    /// One level out: a filter first, then the screen.
    pub(super) fn back(&mut self, quitting: bool, now: Time) -> Vec<Effect> {
        if self.searching.take().is_some() {
            self.message = self.words.get("told-cancelled");
            return vec![Effect::Ask(Ask::Cancel)];
        }
        if self.place().screen == Screen::Events && self.live.is_some() {
            return self.follow(now);
        }
        let Some(place) = self.places.last_mut() else { return Vec::new() };
        let filtered = !place.filter.is_empty() && place.screen.is_list();
        if place.full {
            place.full = false;
        } else if filtered {
            self.steady(|app| {
                if let Some(place) = app.places.last_mut() {
                    place.filter.clear();
                }
            });
        } else if self.places.len() > 1 {
            self.places.pop();
            self.order.clear();
            let top = self.place().clone();
            if let Some(at) = self.history.iter().rposition(|place| place.screen == top.screen) {
                self.history_at = at;
            }
            return self.ask_for_place(false, now);
        } else if quitting {
            return vec![Effect::Quit];
        } else {
            self.quitting = true;
            self.message = self.words.get("told-quit");
        }
        Vec::new()
    }

    /// Where else is this address?
    pub(super) fn elsewhere(&mut self, now: Time) -> Vec<Effect> {
        let Some((field, value)) = screen::value(self) else {
            // A platform's incident is elsewhere at the agencies that it pulls along.
            let agencies = screen::incident(self)
                .and_then(|id| self.model.incidents.get(&id))
                .map(|incident| incident.agencies.clone())
                .unwrap_or_default();
            if agencies.is_empty() {
                self.nothing();
                return Vec::new();
            }
            self.enter_place(Place::with(Screen::Agencies, agencies.join("|")));
            return Vec::new();
        };
        self.spread(&field, &value, now)
    }

    pub(super) fn spread(&mut self, field: &str, value: &str, now: Time) -> Vec<Effect> {
        self.enter_place(Place::with(Screen::Spread, format!("{field}={value}")));
        self.ask_for_place(true, now)
    }
}
