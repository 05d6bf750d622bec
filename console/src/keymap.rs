//! Keys as configuration. A key means the same on every screen.

use std::{collections::HashMap, path::Path};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use toml_span::value::ValueInner;

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// What a key does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[$doc])* $variant,)*
        }

        impl Action {
            /// All of them with their names in the file.
            pub const ALL: &'static [(Self, &'static str)] = &[$((Self::$variant, $name),)*];
        }
    };
}

actions! {
    /// One row up.
    Up = "up";
    /// One row down.
    Down = "down";
    /// Left.
    Left = "left";
    /// Right.
    Right = "right";
    /// A page up.
    PageUp = "page_up";
    /// A page down.
    PageDown = "page_down";
    /// To the first row.
    First = "first";
    /// To the last row.
    Last = "last";
    /// One level in.
    Enter = "enter";
    /// One level out.
    Back = "back";
    /// The screen before.
    LastScreen = "last_screen";
    /// Back in the history of screens.
    HistoryBack = "history_back";
    /// Forward in it.
    HistoryForward = "history_forward";
    /// To the next pane.
    NextPane = "next_pane";
    /// To the pane before.
    PreviousPane = "previous_pane";
    /// One pane on the whole screen.
    Full = "full";
    /// Help.
    Help = "help";
    /// Filter or search.
    Filter = "filter";
    /// To the next match.
    NextMatch = "next_match";
    /// To the match before.
    PreviousMatch = "previous_match";
    /// A command.
    Command = "command";
    /// What is valid here.
    Menu = "menu";
    /// To the next row in trouble.
    NextTrouble = "next_trouble";
    /// To the one before.
    PreviousTrouble = "previous_trouble";
    /// To the next row with a warning.
    NextWarning = "next_warning";
    /// To the one before.
    PreviousWarning = "previous_warning";
    /// An hour on.
    HourOn = "hour_on";
    /// An hour back.
    HourBack = "hour_back";
    /// A day on.
    DayOn = "day_on";
    /// A day back.
    DayBack = "day_back";
    /// To midnight.
    Midnight = "midnight";
    /// Freeze the picture, or let it go on.
    Freeze = "freeze";
    /// A smaller window of time.
    ZoomIn = "zoom_in";
    /// A larger one.
    ZoomOut = "zoom_out";
    /// The next order.
    Sort = "sort";
    /// Turn the order round.
    Reverse = "reverse";
    /// Mark this incident, for acting on several.
    Mark = "mark";
    /// Mark all that are shown, or none.
    MarkAll = "mark_all";
    /// The other form.
    OtherForm = "other_form";
    /// Show or hide details.
    Detail = "detail";
    /// Day or month.
    Period = "period";
    /// Elsewhere too?
    Elsewhere = "elsewhere";
    /// Whom to tell.
    Tell = "tell";
    /// The whole runbook.
    Runbook = "runbook";
    /// Usage figures.
    Usage = "usage";
    /// What is new.
    News = "news";
    /// Try again now.
    Retry = "retry";
    /// Copy.
    Copy = "copy";
    /// Export.
    Export = "export";
    /// Draw everything again.
    Redraw = "redraw";
    /// Acknowledge.
    Acknowledge = "acknowledge";
    /// Assign.
    Assign = "assign";
    /// Note.
    Note = "note";
    /// Hold.
    Hold = "hold";
    /// Resolve.
    Resolve = "resolve";
    /// Close.
    Close = "close";
    /// Re-open.
    Reopen = "reopen";
    /// Hand over.
    HandOver = "hand_over";
    /// Say what it was.
    Verdict = "verdict";
    /// Merge.
    Merge = "merge";
    /// Split.
    Split = "split";
    /// Hide for a time.
    Hide = "hide";
    /// A report by law was sent.
    Report = "report";
    /// The board.
    Screen1 = "screen_1";
    /// Incidents.
    Screen2 = "screen_2";
    /// Agencies.
    Screen3 = "screen_3";
    /// Systems.
    Screen4 = "screen_4";
    /// Events.
    Screen5 = "screen_5";
    /// Usage and indicators.
    Screen6 = "screen_6";
    /// Spread.
    Screen7 = "screen_7";
    /// Data flow.
    Screen8 = "screen_8";
    /// Shift book.
    Screen9 = "screen_9";
    /// Leave.
    Quit = "quit";
}

/// Keys and what they do.
#[derive(Clone, Debug)]
pub struct Keymap {
    keys: HashMap<String, Action>,
    shown: Vec<(Action, Vec<String>)>,
}

impl Keymap {
    /// The keys of this build, with the lines of a user's file over them.
    #[must_use]
    pub fn load(user: Option<&Path>) -> Self {
        let mut lines: Vec<(Action, Vec<String>)> = parse(include_str!("../keymap.toml"));
        if let Some(text) = user.and_then(|path| std::fs::read_to_string(path).ok()) {
            for (action, keys) in parse(&text) {
                match lines.iter_mut().find(|(known, _)| *known == action) {
                    Some((_, known)) => *known = keys,
                    None => lines.push((action, keys)),
                }
            }
        }
        let keys = lines
            .iter()
            .flat_map(|(action, keys)| keys.iter().map(|key| (key.clone(), *action)))
            .collect();
        Self { keys, shown: lines }
    }

    /// What a key does. On Shift-Tab a terminal may tell the shift, a capital is told by its letter.
    #[must_use]
    pub fn action(&self, key: KeyEvent) -> Option<Action> {
        self.keys.get(&name(key)?).copied()
    }

    /// The first key of an action as it is written on the screen; empty if it has none.
    #[must_use]
    pub fn label(&self, action: Action) -> String {
        self.shown
            .iter()
            .find(|(known, _)| *known == action)
            .and_then(|(_, keys)| keys.first())
            .map(|key| label(key))
            .unwrap_or_default()
    }

    /// Actions with their keys, for help.
    #[must_use]
    pub fn shown(&self) -> &[(Action, Vec<String>)] {
        &self.shown
    }
}

fn parse(text: &str) -> Vec<(Action, Vec<String>)> {
    let Ok(mut root) = toml_span::parse(text) else { return Vec::new() };
    let ValueInner::Table(table) = root.take() else { return Vec::new() };
    let mut lines = Vec::new();
    for (key, mut value) in table {
        let Some((action, _)) = Action::ALL.iter().find(|(_, name)| *name == key.name) else {
            continue;
        };
        if let ValueInner::Array(items) = value.take() {
            let keys = items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect();
            lines.push((*action, keys));
        }
    }
    lines.sort_by_key(|(action, _)| Action::ALL.iter().position(|(known, _)| known == action));
    lines
}

/// A key's name as it is written on the screen.
#[must_use]
pub fn label(key: &str) -> String {
    match key {
        " " => "Space".into(),
        "up" => "↑".into(),
        "down" => "↓".into(),
        "left" => "←".into(),
        "right" => "→".into(),
        "pageup" => "PgUp".into(),
        "pagedown" => "PgDn".into(),
        "backtab" => "S-Tab".into(),
        other if other.chars().count() == 1 => other.to_owned(),
        other => {
            let mut letters = other.chars();
            letters
                .next()
                .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        }
    }
}

/// The letters that an input method makes of the second `e`, `o` or `d` count as these.
const TELEX: [(char, char); 6] =
    [('ê', 'e'), ('ô', 'o'), ('đ', 'd'), ('Ê', 'E'), ('Ô', 'O'), ('Đ', 'D')];

fn name(key: KeyEvent) -> Option<String> {
    let base = match key.code {
        KeyCode::Char(character) => TELEX
            .iter()
            .find(|(accented, _)| *accented == character)
            .map_or(character, |(_, plain)| *plain)
            .to_string(),
        KeyCode::Enter => "enter".into(),
        KeyCode::Esc => "esc".into(),
        KeyCode::Tab => "tab".into(),
        KeyCode::BackTab => "backtab".into(),
        KeyCode::Up => "up".into(),
        KeyCode::Down => "down".into(),
        KeyCode::Left => "left".into(),
        KeyCode::Right => "right".into(),
        KeyCode::PageUp => "pageup".into(),
        KeyCode::PageDown => "pagedown".into(),
        KeyCode::Home => "home".into(),
        KeyCode::End => "end".into(),
        KeyCode::F(number) => format!("f{number}"),
        _ => return None,
    };
    Some(if key.modifiers.contains(KeyModifiers::CONTROL) { format!("ctrl-{base}") } else { base })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_a_key_and_no_key_has_two_actions() {
        let keymap = Keymap::load(None);
        assert_eq!(keymap.shown.len(), Action::ALL.len());
        let all: usize = keymap.shown.iter().map(|(_, keys)| keys.len()).sum();
        assert_eq!(keymap.keys.len(), all);
    }

    #[test]
    fn letters_of_an_input_method_count_as_what_was_typed_and_others_fire_nothing() {
        let keymap = Keymap::load(None);
        let press =
            |character| keymap.action(KeyEvent::new(KeyCode::Char(character), KeyModifiers::NONE));
        assert_eq!(press('ê'), Some(Action::NextTrouble));
        assert_eq!(press('Đ'), Some(Action::DayBack));
        assert_eq!(press('ô'), Some(Action::HourOn));
        assert_eq!(press('ả'), None);
    }
}
