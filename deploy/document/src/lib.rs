//! A report as [`markdown`], OpenDocument text ([`odt`]) or [`pdf`]. What stands in it comes from logs and is hostile: each form makes it
//! harmless in its own way, and none needs an office program.
//!
//! A [`Document`] is blocks of lines, a [`Line`] is pieces; what is not known is a piece of its own, so that no form can hide it.

use unicode_normalization::UnicodeNormalization as _;
use vonggac_answer::sanitise::sanitise;

pub mod markdown;
pub mod odt;
pub mod pdf;

/// A report.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Document {
    /// For the file's own title; the blocks have it again where it is to be read.
    pub title: String,
    /// "vi" or "en".
    pub lang: String,
    /// From top to bottom.
    pub blocks: Vec<Block>,
}

/// A part of a report.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// In the middle, in large letters.
    Title(String),
    /// In the middle.
    Centred(Line),
    /// Above what belongs together.
    Heading(String),
    /// A paragraph.
    Text(Line),
    /// A name and what is known under it.
    Field(String, Line),
    /// One of several.
    Item(Line),
    /// Columns with their shares of the width, and rows.
    Table {
        /// Names of the columns, each with its share.
        columns: Vec<(String, u16)>,
        /// A line a cell.
        rows: Vec<Vec<Line>>,
    },
}

/// What stands in one line, or goes on in the next.
pub type Line = Vec<Piece>;

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// As it is.
    Plain(String),
    /// In strong letters.
    Strong(String),
    /// What is not known, with the words that say so.
    Missing(String),
}

/// Why a form cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The font that is built in does not read.
    #[error("read the font for the report: {0}; this build is broken, install it again")]
    Font(String),
    /// It would be longer than anybody reads.
    #[error("lay the report out: it has more than {0} pages; ask for a shorter span")]
    TooLong(usize),
    /// The package does not close.
    #[error("pack the report: {0}; try another form of it")]
    Package(#[from] zip::result::ZipError),
    /// A part of it is not taken.
    #[error("write the report: {0}; try another form of it")]
    Write(#[from] std::io::Error),
}

/// A plain piece alone.
#[must_use]
pub fn plain(text: impl Into<String>) -> Line {
    vec![Piece::Plain(text.into())]
}

impl Piece {
    /// Its text, and whether it is in strong letters.
    fn parts(&self) -> (&str, bool) {
        match self {
            Self::Plain(text) => (text, false),
            Self::Strong(text) | Self::Missing(text) => (text, true),
        }
    }
}

/// Composed letters, and what commands a reader shown as an escape.
fn clean(text: &str) -> String {
    let composed: String = text.nfc().collect();
    sanitise(&composed).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report with hostile text in every place.
    pub(crate) fn hostile(text: &str) -> Document {
        let line = || vec![Piece::Plain(text.into()), Piece::Strong(text.into())];
        Document {
            title: text.into(),
            lang: "vi".into(),
            blocks: vec![
                Block::Title(text.into()),
                Block::Centred(line()),
                Block::Heading(text.into()),
                Block::Text(line()),
                Block::Field(text.into(), line()),
                Block::Item(line()),
                Block::Table {
                    columns: vec![(text.into(), 1), ("b".into(), 2)],
                    rows: vec![vec![line(), line()]],
                },
                Block::Text(vec![Piece::Missing(format!("[CHƯA CÓ: {text}]"))]),
            ],
        }
    }

    #[test]
    fn letters_are_composed_and_commands_are_shown() {
        assert_eq!(clean("A\u{300}"), "À");
        assert_eq!(clean("a\u{1b}[2J\u{202e}"), "a\\x1b[2J\\u{202e}");
    }
}
