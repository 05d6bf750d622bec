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
    /// To the next pane.
    NextPane = "next_pane";
    /// Help.
    Help = "help";
    /// Filter or search.
    Filter = "filter";
    /// A command.
    Command = "command";
    /// Freeze the picture, or let it go on.
    Freeze = "freeze";
    /// Sort.
    Sort = "sort";
    /// The other form.
    OtherForm = "other_form";
    /// Elsewhere too?
    Elsewhere = "elsewhere";
    /// Try again now.
    Retry = "retry";
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
    /// Say what it was.
    Verdict = "verdict";
    /// Mark this incident, for acting on several.
    Mark = "mark";
    /// Mark all that are shown, or none.
    MarkAll = "mark_all";
    /// To the next row that is in trouble.
    NextTrouble = "next_trouble";
    /// To the one before.
    PreviousTrouble = "previous_trouble";
    /// Usage figures.
    Usage = "usage";
    /// What can be done here.
    Menu = "menu";
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
    /// Usage.
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

    /// What a key does.
    #[must_use]
    pub fn action(&self, key: KeyEvent) -> Option<Action> {
        self.keys.get(&name(key)?).copied()
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

fn name(key: KeyEvent) -> Option<String> {
    let base = match key.code {
        KeyCode::Char(character) => character.to_string(),
        KeyCode::Enter => "enter".into(),
        KeyCode::Esc => "esc".into(),
        KeyCode::Tab => "tab".into(),
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
}
