//! An operator's keys.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use vonggac_console::app::{App, Effect};

/// Presses a text's characters as keys at one time: line ends, tabs, escapes and deletes are those keys.
pub(crate) fn press(app: &mut App, keys: &str, now: vonggac_wire::Time) -> Vec<Effect> {
    let mut effects = Vec::new();
    for character in keys.chars() {
        let code = match character {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\u{1b}' => KeyCode::Esc,
            '\u{7f}' => KeyCode::Backspace,
            other => KeyCode::Char(other),
        };
        effects.extend(app.key(KeyEvent::new(code, KeyModifiers::NONE), now));
    }
    effects
}
