//! The collector's words: its message files.

pub use vonggac_answer::words::{Lang, Words};

/// The message file of each language.
pub const TEXTS: [(Lang, &str); 2] = [
    (Lang::Vi, include_str!("../messages/vi.ftl")),
    (Lang::En, include_str!("../messages/en.ftl")),
];

/// The words of a language.
#[must_use]
pub fn of(lang: Lang) -> Words {
    let texts: Vec<&str> =
        TEXTS.iter().filter(|(of, _)| *of == lang).map(|(_, text)| *text).collect();
    Words::new(lang, &texts)
}
