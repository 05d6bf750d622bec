//! Text fields: only Enter, Esc, Tab, arrows and Ctrl keys command; what input methods send is applied in order.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;
use vonggac_wire::Time;

use super::{App, Effect, Field, Overlay};
use crate::{
    screen,
    wording::{self, folded},
};

/// Characters of a text field.
const FIELD_CHARACTERS_MAX: usize = 500;

/// Characters of a pasted text that are looked at.
const PASTE_CHARACTERS_MAX: usize = 4 * FIELD_CHARACTERS_MAX;

/// Types into a field; `false` where the key is no typing.
pub(super) fn edit(text: &mut String, key: KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        // 0x7f and 0x08 each delete one letter with all its marks.
        KeyCode::Backspace => erase(text),
        KeyCode::Char('h') if control => erase(text),
        KeyCode::Char('u') if control => text.clear(),
        KeyCode::Char('w') if control => {
            let kept = text.trim_end().rfind(' ').map_or(0, |at| at + 1);
            text.truncate(kept);
        }
        KeyCode::Char(_) if control => return false,
        KeyCode::Char(character) => {
            if !character.is_control() && text.chars().count() < FIELD_CHARACTERS_MAX {
                text.push(character);
                *text = text.nfc().collect();
            }
        }
        _ => return false,
    }
    true
}

/// Adds a text at the end, as far as the field has room: NFC, without what has no place in a line.
fn insert(field: &mut String, text: &str) {
    let mut whole: String = field
        .chars()
        .chain(text.chars().filter(|character| !character.is_control()))
        .nfc()
        .collect();
    if let Some((end, _)) = whole.char_indices().nth(FIELD_CHARACTERS_MAX) {
        whole.truncate(end);
    }
    *field = whole;
}

fn erase(text: &mut String) {
    let kept = text.grapheme_indices(true).next_back().map_or(0, |(at, _)| at);
    text.truncate(kept);
}

impl App {
    /// A text that was pasted: into the field that is open, as one line; nowhere is it taken for keys.
    pub fn paste(&mut self, text: &str, now: Time) -> Vec<Effect> {
        if self.options.wall || self.size.0 < screen::LEAST.0 || self.size.1 < screen::LEAST.1 {
            return Vec::new();
        }
        // Line ends and tabs of what was copied are blanks.
        let text: String = text
            .chars()
            .take(PASTE_CHARACTERS_MAX)
            .map(|character| if character.is_whitespace() { ' ' } else { character })
            .collect();
        let taken = match (&mut self.input, &mut self.overlay) {
            (Some(input), _) => Some(&mut input.text),
            (None, Some(Overlay::Palette(palette))) => {
                palette.at = None;
                Some(&mut palette.text)
            }
            (None, Some(Overlay::Form(form))) => {
                form.fields.get_mut(form.at).map(|field| &mut field.text)
            }
            _ => None,
        };
        match taken {
            Some(field) => insert(field, text.trim()),
            None => self.message = self.words.get("told-pasted"),
        }
        self.last_key = now;
        Vec::new()
    }

    /// A key in the line over the message.
    pub(super) fn typed(&mut self, key: KeyEvent, now: Time) -> Vec<Effect> {
        let Some(input) = &mut self.input else { return Vec::new() };
        if edit(&mut input.text, key) {
            return Vec::new();
        }
        match key.code {
            KeyCode::Esc => self.input = None,
            KeyCode::Char('c') => self.input = None,
            KeyCode::Enter => {
                if let Some(input) = self.input.take() {
                    return self.submit(input.field, input.text.trim(), now);
                }
            }
            _ => {}
        }
        Vec::new()
    }

    fn submit(&mut self, field: Field, text: &str, now: Time) -> Vec<Effect> {
        match field {
            Field::Find => {
                text.clone_into(&mut self.find);
                self.match_next(true);
                Vec::new()
            }
            Field::Filter => {
                text.trim_start_matches('!').clone_into(&mut self.find);
                self.order.clear();
                if let Some(place) = self.places.last_mut() {
                    text.clone_into(&mut place.filter);
                    place.cursor = 0;
                }
                Vec::new()
            }
            Field::Search => {
                // What was typed counts, not the window that keys had chosen before.
                self.window = None;
                if let Some(place) = self.places.last_mut() {
                    text.clone_into(&mut place.filter);
                    place.cursor = 0;
                }
                text.clone_into(&mut self.find);
                self.search(text, now)
            }
        }
    }

    /// To the next or previous row that holds what was looked for, round the end.
    pub(super) fn match_next(&mut self, forward: bool) {
        if self.find.is_empty() {
            self.message = self.words.get("told-no-find");
            return;
        }
        let find = folded(&self.find);
        let items = screen::sections(self).concat();
        let rows = items.len();
        // A long text is made into lines once, not for each of them.
        let lines = screen::event_lines(self);
        let text = |at: usize| match &lines {
            Some(lines) => lines.get(at).cloned().unwrap_or_default(),
            None => screen::text_of(self, &items[at]),
        };
        let cursor = self.place().cursor;
        let hit = (1..=rows)
            .map(
                |step| if forward { (cursor + step) % rows } else { (cursor + rows - step) % rows },
            )
            .find(|at| wording::folded(&text(*at)).contains(&find));
        match hit {
            Some(at) => self.set_cursor(at),
            None => {
                self.message = self.words.with("told-no-match", &[("text", &self.find)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &str) -> String {
        let mut text = String::new();
        for character in bytes.chars() {
            let code = match character {
                '\u{7f}' => KeyCode::Backspace,
                other => KeyCode::Char(other),
            };
            edit(&mut text, KeyEvent::new(code, KeyModifiers::NONE));
        }
        text
    }

    // As unikey and ibus send them: what was there is erased, then written anew, in one read.
    #[test]
    fn recorded_telex_and_vni_streams_give_the_right_text() {
        // Telex "dda nawngx": d, dd -> đ, a, blank, n, a, w -> ă, n, g, x -> ẵ.
        let telex = "d\u{7f}đa na\u{7f}ăng\u{7f}\u{7f}\u{7f}ẵng";
        // VNI "d9a2" and "na8ng4".
        let vni = "d\u{7f}đà n\u{7f}na\u{7f}ăng\u{7f}\u{7f}\u{7f}ẵng";
        assert_eq!(read(telex), "đa nẵng");
        assert_eq!(read(vni), "đà nẵng");
    }

    #[test]
    fn letters_with_combining_marks_become_one_and_are_erased_as_one() {
        assert_eq!(read("Đa\u{300}"), "Đà");
        assert_eq!(read("Đa\u{300}\u{7f}"), "Đ");
        assert_eq!(
            read("q\u{300}\u{7f}"),
            "",
            "a letter without a composed form is one letter too"
        );
    }
}
