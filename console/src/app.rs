//! The screen's life: a pure [`App`] in the middle, terminal and feed around it.

use std::{collections::BTreeSet, time::Duration};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_normalization::UnicodeNormalization;
use vonggac_wire::{
    Time,
    proto::{
        Acknowledge, Assign, Close, Command, Hold, Judge, Note, Reopen, Resolve, SpreadRequest,
        Verdict, command::Action as Wire,
    },
};

use crate::{
    feed::{Ask, Told},
    keymap::{Action, Keymap},
    model::Model,
    query,
    screen::{self, Screen},
    theme::Theme,
    wording,
    words::{Lang, Words},
};

mod marks;
mod turn;

pub use turn::run;

/// Data older than this is late, and then stale.
pub const LATE: Duration = Duration::from_secs(10);
/// See [`LATE`].
pub const STALE: Duration = Duration::from_secs(60);

/// Characters of a text field.
const FIELD_CHARACTERS_MAX: usize = 500;

/// How a console is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The collector's address.
    pub address: String,
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
}

/// What a field is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// A filter of this list.
    Filter,
    /// An event search.
    Search,
    /// A command.
    Command,
    /// An action on one incident, or on all that are marked.
    Act(Action, Vec<u64>),
}

/// A text field over the message line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// What for.
    pub field: Field,
    /// What was typed, NFC.
    pub text: String,
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

/// Where one is: a screen with its cursor and filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The screen.
    pub screen: Screen,
    /// The row.
    pub cursor: usize,
    /// The filter or query.
    pub filter: String,
    /// The pane, where there are several.
    pub pane: usize,
}

impl Place {
    fn new(screen: Screen) -> Self {
        Self { screen, cursor: 0, filter: String::new(), pane: 0 }
    }
}

/// What the edge does for the core.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask the feed.
    Ask(Ask),
    /// Draw from nothing.
    Redraw,
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
    /// The last result.
    pub message: String,
    /// The link.
    pub link: Link,
    /// Frozen since.
    pub frozen: Option<Time>,
    /// The board has its other form: tables for tiles, or tiles for tables.
    pub other_form: bool,
    /// Closed incidents are listed too.
    pub all_incidents: bool,
    /// Help is open.
    pub help: bool,
    /// A search is under way.
    pub searching: bool,
    /// Incidents that are marked, for acting on several at once.
    pub marks: BTreeSet<u64>,
    keymap: Keymap,
    quitting: bool,
    held: Vec<vonggac_wire::proto::WatchReply>,
}

/// Deltas that are kept while the picture is frozen; then it goes on by itself.
const HELD_MAX: usize = 3_600;

impl App {
    /// A console that knows nothing yet.
    #[must_use]
    pub fn new(options: Options, theme: Theme, keymap: Keymap) -> Self {
        Self {
            words: Words::new(options.lang),
            theme,
            model: Model::default(),
            places: vec![Place::new(Screen::Board)],
            input: None,
            message: String::new(),
            link: Link::Connecting,
            frozen: None,
            other_form: false,
            all_incidents: false,
            help: false,
            searching: false,
            marks: BTreeSet::new(),
            keymap,
            quitting: false,
            held: Vec::new(),
            options,
        }
    }

    /// Where one is.
    #[must_use]
    pub fn place(&self) -> &Place {
        // There is always the board at the bottom.
        self.places.last().unwrap_or(&BOARD)
    }

    /// The keys, for help.
    #[must_use]
    pub const fn keymap(&self) -> &Keymap {
        &self.keymap
    }

    /// A message of the feed.
    pub fn told(&mut self, told: Told) -> Vec<Effect> {
        match told {
            Told::Picture(reply) => {
                self.link = Link::Up;
                if self.frozen.is_some() && self.held.len() < HELD_MAX {
                    self.held.push(*reply);
                } else {
                    self.model.fold(*reply);
                }
            }
            Told::Lost { error, wait, attempt } => self.link = Link::Lost { error, wait, attempt },
            Told::Detail(detail) => self.model.detail = Some(*detail),
            Told::Search(reply) => {
                self.searching = false;
                self.model.search = Some(*reply);
            }
            Told::Spread(reply) => self.model.spread = reply.rows,
            Told::Refused(error) => {
                self.searching = false;
                self.message = error;
            }
            Told::Acted(id, reply) => {
                let number = id.to_string();
                self.message = match &reply.incident {
                    Some(incident) if reply.refused.is_empty() => {
                        let state =
                            self.words.get(&format!("istate-{}", incident.current_state().name()));
                        self.words.with(
                            "told-done",
                            &[("id", &number), ("state", &state), ("owner", &incident.owner)],
                        )
                    }
                    _ => crate::cli::refusal(&self.words, &number, &reply.refused),
                };
                return vec![Effect::Ask(Ask::Detail(id))];
            }
        }
        Vec::new()
    }

    /// All keys of one read, in order.
    pub fn key(&mut self, key: KeyEvent, now: Time) -> Vec<Effect> {
        if self.options.wall
            && !(key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL))
        {
            return Vec::new();
        }
        if self.input.is_some() {
            return self.typed(key, now);
        }
        let Some(action) = self.keymap.action(key) else {
            if let KeyCode::Char(character) = key.code {
                let accented = !character.is_ascii() && character.is_alphabetic();
                self.message =
                    self.words.get(if accented { "told-accent" } else { "told-nothing" });
            }
            return Vec::new();
        };
        self.act(action, now)
    }

    fn act(&mut self, action: Action, now: Time) -> Vec<Effect> {
        if self.help {
            self.help = false;
            return Vec::new();
        }
        let quitting = std::mem::take(&mut self.quitting);
        self.message.clear();
        let rows = screen::rows(self);
        let Some(place) = self.places.last_mut() else { return Vec::new() };
        match action {
            Action::Up => place.cursor = place.cursor.saturating_sub(1),
            Action::Down => place.cursor = (place.cursor + 1).min(rows.saturating_sub(1)),
            Action::PageUp => place.cursor = place.cursor.saturating_sub(10),
            Action::PageDown => place.cursor = (place.cursor + 10).min(rows.saturating_sub(1)),
            Action::First => place.cursor = 0,
            Action::Last => place.cursor = rows.saturating_sub(1),
            Action::NextPane => (place.pane, place.cursor) = (1 - place.pane, 0),
            Action::Enter => return self.enter(now),
            Action::Back => {
                if !place.filter.is_empty() && place.screen != Screen::Events {
                    place.filter.clear();
                } else if self.places.len() > 1 {
                    self.places.pop();
                } else if quitting {
                    return vec![Effect::Quit];
                } else {
                    self.quitting = true;
                    self.message = self.words.get("told-quit");
                }
            }
            Action::Quit => return vec![Effect::Quit],
            Action::Help => self.help = true,
            Action::Redraw => return vec![Effect::Redraw],
            Action::Retry => return vec![Effect::Ask(Ask::Retry)],
            Action::Freeze => self.freeze(now),
            Action::OtherForm if place.screen == Screen::Board => {
                self.other_form = !self.other_form;
            }
            Action::Sort | Action::OtherForm => self.all_incidents = !self.all_incidents,
            Action::Filter => {
                let events = place.screen == Screen::Events;
                let text = place.filter.clone();
                self.input =
                    Some(Input { field: if events { Field::Search } else { Field::Filter }, text });
            }
            Action::Command => {
                self.input = Some(Input { field: Field::Command, text: String::new() });
            }
            Action::Elsewhere => return self.elsewhere(now),
            Action::Acknowledge
            | Action::Assign
            | Action::Note
            | Action::Hold
            | Action::Resolve
            | Action::Close
            | Action::Reopen
            | Action::Verdict => return self.begin(action, now),
            Action::Mark => self.mark(),
            Action::MarkAll => self.mark_all(),
            Action::NextTrouble => self.seek_trouble(true),
            Action::PreviousTrouble => self.seek_trouble(false),
            Action::Usage => return self.go(Screen::Usage, now),
            Action::Menu => self.message = self.words.get(screen::menu(self)),
            Action::Screen1 => return self.go(Screen::Board, now),
            Action::Screen2 => return self.go(Screen::Incidents, now),
            Action::Screen3 => return self.go(Screen::Agencies, now),
            Action::Screen4 => return self.go(Screen::Systems, now),
            Action::Screen5 => return self.go(Screen::Events, now),
            Action::Screen6 => return self.go(Screen::Usage, now),
            Action::Screen7 => return self.go(Screen::Spread, now),
            Action::Screen8 => return self.go(Screen::Flow, now),
            Action::Screen9 => return self.go(Screen::Shift, now),
        }
        Vec::new()
    }

    /// From the board to a numbered screen. Events of an agency or system are those of that place.
    fn go(&mut self, screen: Screen, now: Time) -> Vec<Effect> {
        let filter = match (&screen, &self.place().screen) {
            (Screen::Events, Screen::Agency(code)) => format!("agency:{code} -24h"),
            (Screen::Events, Screen::System(agency, system)) => {
                format!("agency:{agency} system:{system} -24h")
            }
            _ => String::new(),
        };
        self.places.truncate(1);
        if screen == Screen::Board {
            return Vec::new();
        }
        let search = screen == Screen::Events;
        self.places.push(Place { filter: filter.clone(), ..Place::new(screen) });
        if search { self.search(&filter, now) } else { Vec::new() }
    }

    fn search(&mut self, line: &str, now: Time) -> Vec<Effect> {
        self.searching = true;
        vec![Effect::Ask(Ask::Search(Box::new(query::parse(line, now))))]
    }

    fn freeze(&mut self, now: Time) {
        if self.frozen.take().is_some() {
            for reply in std::mem::take(&mut self.held) {
                self.model.fold(reply);
            }
        } else {
            self.frozen = Some(now);
            self.message = self.words.get("told-frozen");
        }
    }

    fn enter(&mut self, now: Time) -> Vec<Effect> {
        let Some(target) = screen::target(self) else { return Vec::new() };
        let ask = match &target {
            Screen::Incident(id) => vec![Effect::Ask(Ask::Detail(*id))],
            _ => Vec::new(),
        };
        if let Screen::Incident(id) = &target {
            if self
                .model
                .detail
                .as_ref()
                .and_then(|detail| detail.incident.as_ref())
                .is_none_or(|incident| incident.id != *id)
            {
                self.model.detail = None;
            }
        }
        if target == Screen::Events {
            return self.go(Screen::Events, now);
        }
        self.places.push(Place::new(target));
        ask
    }

    /// Where else is this address?
    fn elsewhere(&mut self, now: Time) -> Vec<Effect> {
        let Some((field, value)) = screen::value(self) else {
            self.message = self.words.get("told-nothing");
            return Vec::new();
        };
        self.places
            .push(Place { filter: format!("{field}={value}"), ..Place::new(Screen::Spread) });
        self.model.spread.clear();
        let since_unix_nano = now.minus(Duration::from_secs(86_400)).0;
        vec![Effect::Ask(Ask::Spread(SpreadRequest {
            field,
            value,
            since_unix_nano,
            until_unix_nano: 0,
        }))]
    }

    /// `a` acts at once; the others open a field that names what is required.
    fn begin(&mut self, action: Action, now: Time) -> Vec<Effect> {
        let listed = matches!(self.place().screen, Screen::Incidents | Screen::Shift);
        let ids: Vec<u64> = if listed && !self.marks.is_empty() {
            self.marks.iter().copied().collect()
        } else {
            screen::incident(self).into_iter().collect()
        };
        if ids.is_empty() {
            self.message = self.words.get("told-nothing");
            return Vec::new();
        }
        // Of several the count is named first, even where one key would act at once.
        if action == Action::Acknowledge && ids.len() == 1 {
            return self.send_all(&ids, &Wire::Acknowledge(Acknowledge {}), now);
        }
        self.input = Some(Input { field: Field::Act(action, ids), text: String::new() });
        Vec::new()
    }

    fn send(&mut self, incident: u64, action: Wire, now: Time) -> Vec<Effect> {
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

    /// A key in a text field: only Enter, Esc and erasing command.
    fn typed(&mut self, key: KeyEvent, now: Time) -> Vec<Effect> {
        let Some(input) = &mut self.input else { return Vec::new() };
        match key.code {
            KeyCode::Esc => self.input = None,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                self.input = None;
            }
            KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                input.text.clear();
            }
            // 0x7f and 0x08 each delete one letter.
            KeyCode::Backspace => {
                input.text.pop();
            }
            KeyCode::Char('h') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                input.text.pop();
            }
            KeyCode::Enter => {
                if let Some(input) = self.input.take() {
                    return self.submit(input, now);
                }
            }
            KeyCode::Char(character)
                if !character.is_control() && input.text.chars().count() < FIELD_CHARACTERS_MAX =>
            {
                input.text.push(character);
                input.text = input.text.nfc().collect();
            }
            _ => {}
        }
        Vec::new()
    }

    fn submit(&mut self, input: Input, now: Time) -> Vec<Effect> {
        let text = input.text.trim().to_owned();
        match input.field {
            Field::Filter => {
                if let Some(place) = self.places.last_mut() {
                    (place.filter, place.cursor) = (text, 0);
                }
                Vec::new()
            }
            Field::Search => {
                if let Some(place) = self.places.last_mut() {
                    (place.filter, place.cursor) = (text.clone(), 0);
                }
                self.search(&text, now)
            }
            Field::Command => self.command(&text, now),
            Field::Act(action, ids) => {
                let wire = match action {
                    Action::Assign => Wire::Assign(Assign { owner: text, ..Assign::default() }),
                    Action::Note => Wire::Note(Note { text }),
                    Action::Hold => Wire::Hold(Hold { reason: text }),
                    Action::Resolve => Wire::Resolve(Resolve { result: text }),
                    Action::Close => close(&text),
                    Action::Acknowledge => Wire::Acknowledge(Acknowledge {}),
                    Action::Verdict => {
                        let verdict = verdict(&text);
                        if verdict == Verdict::Unspecified {
                            self.message = self.words.get("told-verdict");
                            return Vec::new();
                        }
                        Wire::Judge(Judge { verdict: verdict.into() })
                    }
                    _ => Wire::Reopen(Reopen { reason: text }),
                };
                self.send_all(&ids, &wire, now)
            }
        }
    }

    /// `:coquan da nang`, `:agency tk-48`, ...; accents are optional.
    fn command(&mut self, text: &str, now: Time) -> Vec<Effect> {
        let folded = wording::folded(text.trim_start_matches(':'));
        let (name, rest) = folded.split_once(' ').unwrap_or((&folded, ""));
        let rest = rest.trim().to_owned();
        match name {
            "q" | "quit" => return vec![Effect::Quit],
            "bang" | "board" => return self.go(Screen::Board, now),
            "suco" | "inc" => return self.go(Screen::Incidents, now),
            "hethong" | "sys" => return self.go(Screen::Systems, now),
            "chiso" | "kpi" => return self.go(Screen::Usage, now),
            "luong" | "flow" => return self.go(Screen::Flow, now),
            "soca" | "shift" => return self.go(Screen::Shift, now),
            "tieng" | "lang" => {
                self.options.lang = if self.options.lang == Lang::Vi { Lang::En } else { Lang::Vi };
                self.words = Words::new(self.options.lang);
            }
            "sukien" | "events" => {
                let _screen = self.go(Screen::Events, now);
                if let Some(place) = self.places.last_mut() {
                    place.filter.clone_from(&rest);
                }
                return self.search(&rest, now);
            }
            "coquan" | "agency" => {
                let found = self.model.agencies.iter().find(|a| {
                    !rest.is_empty()
                        && (a.code.eq_ignore_ascii_case(&rest)
                            || wording::folded(&format!("{} {}", a.name_vi, a.name_en))
                                .contains(&rest))
                });
                let target =
                    found.map_or(Screen::Agencies, |agency| Screen::Agency(agency.code.clone()));
                self.places.truncate(1);
                self.places.push(Place::new(target));
            }
            _ => self.message = self.words.with("told-unknown", &[("text", text)]),
        }
        Vec::new()
    }
}

fn verdict(letter: &str) -> Verdict {
    match letter {
        "f" => Verdict::FalsePositive,
        "t" => Verdict::TruePositive,
        "b" => Verdict::Benign,
        "d" => Verdict::Test,
        "i" => Verdict::InsufficientData,
        "u" => Verdict::Duplicate,
        _ => Verdict::Unspecified,
    }
}

/// A letter is the verdict, the rest the result: `t đã chặn`.
fn close(text: &str) -> Wire {
    let (letter, result) = text.split_once(' ').unwrap_or((text, ""));
    let verdict = verdict(letter);
    let result = if verdict == Verdict::Unspecified { text } else { result };
    Wire::Close(Close { verdict: verdict.into(), result: result.to_owned() })
}

static BOARD: Place = Place { screen: Screen::Board, cursor: 0, filter: String::new(), pane: 0 };
