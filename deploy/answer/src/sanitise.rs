//! Text from outside never commands a terminal: what has no width of its own, turns the line round, or is drawn differently by different
//! terminals is shown as an escape. What is read must take as many columns as is counted.

use std::borrow::Cow;

use unicode_normalization::char::is_combining_mark;
use unicode_width::UnicodeWidthChar;

/// Marks that a letter keeps: Vietnamese has two, others three. More is no writing.
const MARKS_MAX: usize = 3;

/// Whether a character is never shown as it is, whatever stands before it.
fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Shaping and direction without a width: joiners, bidirectional controls, fillers, variation selectors, tags.
            '\u{ad}' | '\u{34f}' | '\u{1100}'..='\u{11ff}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
                | '\u{d7b0}'..='\u{d7ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
            // Letters from right to left: some terminals turn the whole line round for one of them.
                | '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}'
                | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}'
            // Parts of flags and colours of skin: one picture here, two there.
                | '\u{1f1e6}'..='\u{1f1ff}' | '\u{1f3fb}'..='\u{1f3ff}'
            // Signs that tie letters into one of any width: viramas, and what is put before a letter.
                | '\u{94d}' | '\u{9cd}' | '\u{a4d}' | '\u{acd}' | '\u{b4d}' | '\u{bcd}' | '\u{c4d}' | '\u{ccd}' | '\u{d3b}'
                | '\u{d3c}' | '\u{d4d}' | '\u{d4e}' | '\u{dca}' | '\u{1039}' | '\u{17d2}' | '\u{1a60}' | '\u{1b44}'
                | '\u{e33}' | '\u{eb3}' | '\u{ff9e}' | '\u{ff9f}' | '\u{1bab}' | '\u{a9c0}' | '\u{aaf6}' | '\u{11000}'..='\u{11fff}'
            // Letters of which tables of widths know more than one thing.
                | '\u{b53}' | '\u{b54}' | '\u{17d8}' | '\u{1ad0}'..='\u{1aff}' | '\u{a960}'..='\u{a97f}' | '\u{16d00}'..='\u{16dff}'
                | '\u{1d100}'..='\u{1d2ff}'
            // Private use, and what is no character: nobody knows how wide.
                | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}'
        )
        || u32::from(character) & 0xfffe == 0xfffe
}

/// How far a text has been read.
#[derive(Default)]
struct Reader {
    letter: bool,
    marks: usize,
}

impl Reader {
    /// Whether a character may be shown here.
    fn shows(&mut self, character: char) -> bool {
        if character.is_ascii() {
            (self.letter, self.marks) = (character.is_ascii_alphabetic(), 0);
            return !character.is_ascii_control();
        }
        if is_combining_mark(character) {
            self.marks += 1;
            // Marks that take a column of their own make a letter of any width.
            let narrow = character.width() == Some(0);
            self.letter &= self.marks <= MARKS_MAX && narrow && !is_hostile(character);
            return self.letter;
        }
        let shown = !is_hostile(character) && character.width().is_some_and(|columns| columns > 0);
        // An escape ends in no letter that could take marks.
        (self.letter, self.marks) = (shown && character.is_alphabetic(), 0);
        shown
    }
}

fn escape(character: char, clean: &mut String) {
    use std::fmt::Write;
    let code = u32::from(character);
    let _always = match character {
        '\t' => write!(clean, " "),
        _ if code < 0x100 => write!(clean, "\\x{code:02x}"),
        _ => write!(clean, "\\u{{{code:x}}}"),
    };
}

/// The text with hostile characters as `\x1b` or `\u{202e}`.
#[must_use]
pub fn sanitise(text: &str) -> Cow<'_, str> {
    within(text, usize::MAX)
}

/// As [`sanitise`], but of a long text only what fills more than so many columns: a line of a megabyte costs no more than what is seen of it.
#[must_use]
pub fn within(text: &str, columns: usize) -> Cow<'_, str> {
    let mut reader = Reader::default();
    let mut used = 0_usize;
    let mut characters = text.char_indices();
    let hostile = loop {
        let Some((at, character)) = characters.next() else { return Cow::Borrowed(text) };
        if used > columns && !is_combining_mark(character) {
            return Cow::Borrowed(&text[..at]);
        }
        if !reader.shows(character) {
            break at;
        }
        used += character.width().unwrap_or(0);
    };
    let mut clean = String::with_capacity(hostile + 64);
    clean.push_str(&text[..hostile]);
    let mut reader = Reader::default();
    for character in text[..hostile].chars() {
        reader.shows(character);
    }
    for character in text[hostile..].chars() {
        if used > columns && !is_combining_mark(character) {
            break;
        }
        if reader.shows(character) {
            clean.push(character);
            used += character.width().unwrap_or(0);
        } else {
            let before = clean.len();
            escape(character, &mut clean);
            used += clean.len() - before;
        }
    }
    Cow::Owned(clean)
}

/// The text of a JSON document with hostile characters as `\u202e`: the same document, harmless where it is printed.
#[must_use]
pub fn sanitise_json(text: &str) -> Cow<'_, str> {
    // Line ends stand between a document's parts; within its texts they are escaped already.
    let hostile = |character: char| {
        character != '\n'
            && !character.is_ascii_graphic()
            && character != ' '
            && (is_hostile(character)
                || is_combining_mark(character)
                || character.width().is_none_or(|columns| columns == 0))
    };
    if !text.contains(hostile) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 64);
    let mut reader = Reader::default();
    for character in text.chars() {
        if character == '\n' || reader.shows(character) {
            clean.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                clean.push_str(&format!("\\u{unit:04x}"));
            }
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
        assert!(matches!(sanitise("Đa\u{300} Na\u{306}\u{303}ng"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_terminals_draw_differently_is_shown_as_its_code() {
        let cases = [
            ("a\u{301}\u{301}\u{301}\u{301}", "a\u{301}\u{301}\u{301}\\u{301}"),
            ("\u{301}x", "\\u{301}x"),
            ("1\u{20e3}", "1\\u{20e3}"),
            ("\u{1f468}\u{200d}\u{1f469}", "\u{1f468}\\u{200d}\u{1f469}"),
            ("\u{1f1fb}\u{1f1f3}", "\\u{1f1fb}\\u{1f1f3}"),
            ("\u{1f44d}\u{1f3fd}", "\u{1f44d}\\u{1f3fd}"),
            ("\u{2764}\u{fe0f}", "\u{2764}\\u{fe0f}"),
            ("\u{5d0}", "\\u{5d0}"),
            ("\u{9b}2J", "\\x9b2J"),
            ("\u{e0041}\u{f8ff}", "\\u{e0041}\\u{f8ff}"),
            ("soft\u{ad}", "soft\\xad"),
        ];
        for (text, shown) in cases {
            assert_eq!(sanitise(text), shown);
        }
    }

    // Every character, behind letters of every kind: no cell is wider than two columns, and none is another width letter by letter.
    #[test]
    fn no_character_makes_a_cell_of_another_width() {
        use unicode_segmentation::UnicodeSegmentation;
        use unicode_width::UnicodeWidthStr;
        let fits = |cell: &str| {
            let each: usize = cell.chars().filter_map(UnicodeWidthChar::width).sum();
            cell.width() == each && (1..=2).contains(&each)
        };
        // Above are ideographs alone, and what is never shown.
        let wrong: Vec<String> = (0..=0x2_0fff)
            .filter_map(char::from_u32)
            .filter(|c| {
                let text =
                    format!("a{c}{c}\u{4e00}{c}\u{e01}{c}\u{1f44d}{c}\u{ac00}{c}\u{915}{c}a");
                !sanitise(&text).graphemes(true).all(fits)
            })
            .map(|character| format!("{:x}", u32::from(character)))
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn of_a_long_line_only_what_is_seen_is_read() {
        let long = "a".repeat(1_000_000);
        assert_eq!(within(&long, 10).len(), 11);
        assert!(within(&"\u{1b}".repeat(1_000_000), 10).len() < 16);
        assert_eq!(within("abc", 10), "abc");
        // A letter keeps its marks at the cut.
        assert_eq!(within("aaaa\u{301}b", 3), "aaaa\u{301}");
    }

    #[test]
    fn a_json_document_stays_the_same_document() {
        let value =
            serde_json::json!({ "a": "x\u{9b}\u{202e}\u{1f44d}\u{1f3fd}\u{301}\u{e0041}Đà" });
        let text = value.to_string();
        let clean = sanitise_json(&text);
        assert!(!clean.contains(['\u{9b}', '\u{202e}', '\u{1f3fd}', '\u{e0041}']), "{clean}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&clean).unwrap(), value);
    }
}
