//! Text from outside never commands a terminal: control and bidirectional characters are shown as escapes.

use std::borrow::Cow;

/// Whether a character may not reach a terminal as it is.
fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        )
}

/// The text with hostile characters as `\x1b` or `\u{202e}`.
#[must_use]
pub fn sanitise(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if !is_hostile(character) {
            clean.push(character);
        } else if character == '\t' {
            clean.push(' ');
        } else if u32::from(character) < 0x100 {
            clean.push_str(&format!("\\x{:02x}", u32::from(character)));
        } else {
            clean.push_str(&format!("\\u{{{:x}}}", u32::from(character)));
        }
    }
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_newlines_and_bidi_marks_are_shown() {
        assert_eq!(sanitise("a\u{1b}[2J\nb\u{202e}c\td"), "a\\x1b[2J\\x0ab\\u{202e}c d");
        assert!(matches!(sanitise("Đà Nẵng"), Cow::Borrowed(_)));
    }
}
