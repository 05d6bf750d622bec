//! Texts in columns.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::sanitise::within;

/// Harmless, cut at a grapheme with `…`, or padded with blanks: exactly this many columns.
#[must_use]
pub fn fit(text: &str, columns: usize) -> String {
    let text = within(text, columns);
    let width = text.width();
    if width <= columns {
        return format!("{text}{}", " ".repeat(columns - width));
    }
    let mut cut = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        let wide = grapheme.width();
        if used + wide + 1 > columns {
            break;
        }
        used += wide;
        cut.push_str(grapheme);
    }
    if columns > 0 {
        cut.push('…');
        used += 1;
    }
    format!("{cut}{}", " ".repeat(columns.saturating_sub(used)))
}
