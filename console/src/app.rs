//! The screen's life: a pure [`App`] in the middle, terminal and feed around it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use vonggac_wire::{
    Time,
    proto::{SearchRequest, WatchReply},
};

use crate::{
    client::{self, Way},
    feed::{Ask, Progress, Told},
    keymap::Keymap,
    model::Model,
    screen::{self, Screen},
    theme::Theme,
    words::{Lang, Words},
};

mod act;
mod awaited;
mod copy;
mod form;
mod fresh;
mod go;
mod input;
mod live;
mod marks;
mod over;
mod palette;
mod saved;
mod turn;
mod window;

pub use awaited::{Answer, Awaited, Questions};
pub use form::{Form, FormField};
pub(crate) use form::{VERDICTS, later};
pub use fresh::{Fresh, Heard};
pub use go::Place;
pub use live::Live;
#[cfg(test)]
pub(crate) use palette::COMMANDS;
pub use palette::{Palette, Suggestion};
pub(crate) use saved::{line_of as line_of_saved, refusal as refusal_of_saved};
pub use turn::run;

/// Data older than this is late, and then stale.
pub const LATE: Duration = Duration::from_secs(10);
/// See [`LATE`].
pub const STALE: Duration = Duration::from_secs(60);

/// No record for so long, though the centre answers: three heartbeats of any agent have not come.
pub const QUIET: Duration = Duration::from_secs(30);

/// Lists keep their order for so long after a key.
const SETTLE: Duration = Duration::from_secs(5);

/// Incidents in ten minutes above which a flood begins, and below which it ends (ISA-18.2).
const FLOOD: (usize, usize) = (10, 5);

/// How a console is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The collector.
    pub way: Way,
    /// The language.
    pub lang: Lang,
    /// Who acts.
    pub operator: String,
    /// Symbols in ASCII.
    pub ascii: bool,
    /// A slow link.
    pub slow: bool,
    /// A wall.
    pub wall: bool,
    /// Looks and does nothing.
    pub observer: bool,
}

/// What a line that is typed in is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A filter of this list.
    Filter,
    /// A row to go to.
    Find,
    /// An event search.
    Search,
}

/// A text field over the message line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// What for.
    pub field: Field,
    /// What was typed, NFC.
    pub text: String,
}

/// What lies over the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overlay {
    /// A page of help.
    Help(usize),
    /// What is valid here, with the row chosen.
    Menu(usize),
    /// An action's fields.
    Form(Form),
    /// Commands.
    Palette(Palette),
    /// What changed since one looked.
    News,
    /// Something to read.
    Sheet {
        /// Its title.
        title: String,
        /// Its lines.
        lines: Vec<String>,
        /// The row that it is read from.
        from: usize,
    },
}

/// The state of the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not yet.
    Connecting,
    /// Up.
    Up,
    /// Lost.
    Lost {
        /// Why.
        error: String,
        /// Seconds to the next try.
        wait: u64,
        /// Which try.
        attempt: u32,
    },
}

/// What the edge does for the core.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask the feed.
    Ask(Ask),
    /// Draw from nothing.
    Redraw,
    /// Put a text into the terminal's clipboard.
    Copy(String),
    /// Write a file of this name.
    Write(String, String),
    /// Remember when one looked, and the searches that were saved.
    Remember,
    /// Leave.
    Quit,
}

/// The core: keys and messages in, effects out; drawn by [`screen::draw`].
pub struct App {
    /// How it was started.
    pub options: Options,
    /// Words.
    pub words: Words,
    /// Symbols and colours.
    pub theme: Theme,
    /// What is known.
    pub model: Model,
    /// Where one is, with the way back.
    pub places: Vec<Place>,
    /// The field that is open.
    pub input: Option<Input>,
    /// What lies over the screen.
    pub overlay: Option<Overlay>,
    /// The last result.
    pub message: String,
    /// The link.
    pub link: Link,
    /// When it was lost.
    pub lost_at: Option<Time>,
    /// When the centre was heard last, and how its clock runs beside this machine's.
    pub heard: Heard,
    /// What was asked for.
    pub questions: Questions,
    /// Frozen since.
    pub frozen: Option<Time>,
    /// The window of time that searches look at, where one was chosen.
    pub window: Option<(Time, Time)>,
    /// A search is under way since.
    pub searching: Option<Time>,
    /// How far it is, where the centre told.
    pub progress: Option<Progress>,
    /// Events are followed as they are stored.
    pub live: Option<Live>,
    /// What the search shown asked for.
    pub asked: Option<SearchRequest>,
    /// Incidents that are marked, for acting on several at once.
    pub marks: BTreeSet<u64>,
    /// What changed after this is new.
    pub seen: Time,
    /// More incidents open than people can read.
    pub flood: bool,
    /// Searches that were saved: name and line.
    pub saved: Vec<(String, String)>,
    /// What was last looked for on a screen that is no list.
    pub find: String,
    /// Columns and rows of the terminal: arrows walk as the form drawn there looks.
    pub size: (u16, u16),
    /// Severity and state of open incidents when one looked last.
    pub looked: BTreeMap<u64, (u32, i32)>,
    /// The incident that one acted on last: its change is no colleague's.
    acted: Option<u64>,
    order: Vec<u64>,
    last_key: Time,
    keymap: Keymap,
    quitting: bool,
    history: Vec<Place>,
    history_at: usize,
    commands: Vec<String>,
    held: Vec<WatchReply>,
    /// The things of the screen while it is drawn.
    pub(crate) drawing: RefCell<Option<screen::Panes>>,
}

/// Open incidents whose severity is remembered from one look to the next.
const LOOKED_MAX: usize = 2_000;

/// Deltas that are kept while the picture is frozen; then it goes on by itself.
const HELD_MAX: usize = 3_600;

impl App {
    /// A console that knows nothing yet.
    #[must_use]
    pub fn new(options: Options, theme: Theme, keymap: Keymap) -> Self {
        Self {
            words: crate::words::of(options.lang),
            theme,
            model: Model::default(),
            places: vec![Place::new(Screen::Board)],
            input: None,
            overlay: None,
            message: String::new(),
            link: Link::Connecting,
            lost_at: None,
            heard: Heard::default(),
            questions: Questions::default(),
            frozen: None,
            window: None,
            searching: None,
            progress: None,
            live: None,
            asked: None,
            marks: BTreeSet::new(),
            seen: Time::default(),
            flood: false,
            saved: Vec::new(),
            find: String::new(),
            size: screen::LEAST,
            looked: BTreeMap::new(),
            acted: None,
            order: Vec::new(),
            last_key: Time::default(),
            keymap,
            quitting: false,
            history: Vec::new(),
            history_at: 0,
            commands: Vec::new(),
            held: Vec::new(),
            drawing: RefCell::new(None),
            options,
        }
    }

    /// Where one is.
    #[must_use]
    pub fn place(&self) -> &Place {
        // There is always the board at the bottom.
        self.places.last().unwrap_or(&go::BOARD)
    }

    /// The keys, for help.
    #[must_use]
    pub const fn keymap(&self) -> &Keymap {
        &self.keymap
    }

    /// The order that incidents keep while keys are pressed; empty: by urgency.
    #[must_use]
    pub fn order(&self) -> &[u64] {
        &self.order
    }

    /// New incidents among the pictures that were held back while frozen.
    #[must_use]
    pub fn held_new(&self) -> usize {
        let fresh = self.held.iter().flat_map(|reply| &reply.incidents);
        fresh
            .filter(|incident| !self.model.incidents.contains_key(&incident.id))
            .map(|incident| incident.id)
            .collect::<BTreeSet<_>>()
            .len()
    }

    /// A message of the feed, at a time of this machine's clock.
    pub fn told(&mut self, told: Told, local: Time) -> Vec<Effect> {
        match told {
            Told::Picture(reply) => {
                let again = matches!(self.link, Link::Lost { .. });
                (self.link, self.lost_at) = (Link::Up, None);
                self.heard.reply(&reply, local);
                if self.frozen.is_some() && self.held.len() < HELD_MAX {
                    self.held.push(*reply);
                } else {
                    self.fold(*reply);
                }
                if again {
                    return self.ask_what_was_lost(self.heard.centre(local));
                }
            }
            Told::Lost { error, wait, attempt } => {
                self.lost_at = self.lost_at.or(self.heard.at);
                self.unanswered(None, &self.words.get("link-lost"));
                let error = client::in_words(&self.words, &error);
                self.link = Link::Lost { error, wait, attempt };
            }
            Told::Detail(detail) => self.detailed(*detail),
            Told::Search(..)
            | Told::Sql(..)
            | Told::Spread(..)
            | Told::Usage(..)
            | Told::Saved(..)
            | Told::Quiet(..)
            | Told::Dead(..) => self.answered(told),
            Told::Progress(number, progress) if number == self.questions.search.number => {
                self.progress = self.searching.map(|_| progress);
            }
            // Of a question that nobody waits for any more.
            Told::Progress(..) => {}
            Told::Tail(number, reply) => self.followed(number, *reply),
            Told::TailEnded(number, why) => {
                self.follow_ended(number, &client::in_words(&self.words, &why));
            }
            Told::SavedChanged(asked, reply) => return self.saved_changed(&asked, *reply),
            Told::Refused(number, error) => {
                let error = client::in_words(&self.words, &error);
                self.unanswered(Some(number), &error);
                self.message = error;
            }
            Told::Acted(id, reply) => return self.acted_on(id, *reply),
        }
        Vec::new()
    }

    fn detailed(&mut self, detail: vonggac_wire::proto::IncidentDetail) {
        let here = detail.incident.as_ref().map(|incident| Screen::Incident(incident.id));
        // A late answer about another incident never takes the place of what is open.
        let open =
            self.places.iter().rev().find(|place| matches!(place.screen, Screen::Incident(_)));
        if open.is_some_and(|open| here.as_ref() != Some(&open.screen)) {
            return;
        }
        self.model.detail = Some(detail);
        if here.as_ref() != Some(&self.place().screen) || self.place().settled {
            return;
        }
        // Evidence has the focus, where there is some.
        let sections = screen::sections(self);
        let before = sections.first().map_or(0, Vec::len);
        if sections.get(1).is_some_and(|evidence| !evidence.is_empty()) {
            self.set_cursor(before);
        }
        if let Some(place) = self.places.last_mut() {
            place.settled = true;
        }
    }

    fn fold(&mut self, reply: WatchReply) {
        self.tell_others(&reply);
        self.steady(|app| app.model.fold(reply));
        if self.seen == Time::default() {
            let now = self.model.time.unwrap_or_default();
            self.look(now);
        }
        let rate = self.model.opened_lately();
        self.flood = rate > FLOOD.0 || (self.flood && rate >= FLOOD.1);
    }

    /// All that is there now has been seen.
    fn look(&mut self, now: Time) {
        self.seen = self.model.time.unwrap_or(now);
        let open = self.model.incidents.values().filter(|row| row.current_state().is_open());
        self.looked =
            open.take(LOOKED_MAX).map(|row| (row.id, (row.severity, row.state))).collect();
    }

    /// What a colleague did stands in the message line too, where nothing of one's own does.
    fn tell_others(&mut self, reply: &WatchReply) {
        if reply.snapshot || self.input.is_some() {
            return;
        }
        for incident in &reply.incidents {
            let Some(known) = self.model.incidents.get(&incident.id) else { continue };
            let moved = known.owner != incident.owner || known.state != incident.state;
            let mine = self.acted.take_if(|id| *id == incident.id).is_some();
            if moved && !mine && incident.owner != self.options.operator {
                self.message = act::told_by(&self.words, incident);
            }
        }
    }

    /// Changes something while the cursor stays on its thing, not on its row.
    fn steady(&mut self, change: impl FnOnce(&mut Self)) {
        let before = screen::item(self);
        change(self);
        let Some(before) = before else { return };
        let items: Vec<screen::Item> = screen::sections(self).concat();
        match items.iter().position(|item| *item == before) {
            Some(at) => self.set_cursor(at),
            None => self.set_cursor(self.place().cursor.min(items.len().saturating_sub(1))),
        }
    }

    fn set_cursor(&mut self, at: usize) {
        if let Some(place) = self.places.last_mut() {
            place.cursor = at;
        }
    }

    /// The clock: what keys held still moves on.
    pub fn tick(&mut self, now: Time) {
        if !self.order.is_empty() && now.since(self.last_key) >= SETTLE {
            self.steady(|app| app.order.clear());
        }
    }

    /// One key; all keys of one read are given in order before anything is drawn.
    pub fn key(&mut self, key: KeyEvent, now: Time) -> Vec<Effect> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let leave = control && key.code == KeyCode::Char('c');
        if self.options.wall {
            return if leave { vec![Effect::Quit] } else { Vec::new() };
        }
        self.last_key = now;
        if self.size.0 < screen::LEAST.0 || self.size.1 < screen::LEAST.1 {
            // Nobody acts on what nobody sees; what is open stays as it is.
            return if leave { vec![Effect::Quit] } else { Vec::new() };
        }
        let effects = self.pressed(key, now);
        self.sendable(effects)
    }

    fn pressed(&mut self, key: KeyEvent, now: Time) -> Vec<Effect> {
        if self.input.is_some() {
            return self.typed(key, now);
        }
        match &self.overlay {
            Some(Overlay::Form(_)) => return self.form_key(key, now),
            Some(Overlay::Palette(_)) => return self.palette_key(key, now),
            _ => {}
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let Some(action) = self.keymap.action(key) else {
            match key.code {
                // Input methods erase what they replace: outside a field that means nothing.
                KeyCode::Backspace => {}
                KeyCode::Char(character) if !character.is_ascii() && character.is_alphabetic() => {
                    self.message = self.words.get("told-accent");
                }
                KeyCode::Char('h') if control => {}
                _ => self.nothing(),
            }
            return Vec::new();
        };
        if self.overlay.is_some() {
            return self.overlay_key(action, now);
        }
        let effects = self.act(action, now);
        if self.order.is_empty() {
            self.order = screen::incident_ids(self);
        }
        effects
    }

    /// This key means nothing here.
    fn nothing(&mut self) {
        self.message = self.words.get("told-nothing");
    }
}
