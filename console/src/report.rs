//! Reports that laws ask for, as documents. Pure: what is known is written, and what is not is marked and told again at the end.
//!
//! Words are those of `messages/report.*.ftl`. Nothing is made up: a place that the incident book cannot fill says what is lacking there.

use vonggac_document::{Block, Document, Line, Piece, plain};
use vonggac_wire::{
    Time,
    proto::{Agency, System},
};

use crate::words::{Words, named};

mod draft;
mod half;
mod summary;

pub use draft::{Facts, Kind, draft};
pub use half::Half;
pub use summary::{Told, summary};

/// Rows of a table: what is beyond them is in the incident book, and the table says how much.
const ROWS_MAX: usize = 200;

/// A report that is being written.
struct Paper<'a> {
    words: &'a Words,
    blocks: Vec<Block>,
    gaps: Vec<String>,
}

impl<'a> Paper<'a> {
    /// With the head that every report has.
    fn new(words: &'a Words, title: &str, simulated: bool, now: Time) -> Self {
        let mut paper = Self { words, blocks: Vec::new(), gaps: Vec::new() };
        let strong = |text: String| Block::Centred(vec![Piece::Strong(text)]);
        paper.blocks.push(strong(words.get("report-state")));
        paper.blocks.push(strong(words.get("report-motto")));
        paper.unknown("report-number", "missing-number");
        paper.unknown("report-date", "missing-date");
        paper.blocks.push(Block::Title(title.to_owned()));
        let time = crate::wording::full(now);
        paper.text(plain(words.with("report-draft", &[("time", &time)])));
        if simulated {
            paper.text(vec![Piece::Strong(words.get("report-simulated"))]);
        }
        paper
    }

    fn heading(&mut self, id: &str) {
        self.blocks.push(Block::Heading(self.words.get(id)));
    }

    fn text(&mut self, line: Line) {
        self.blocks.push(Block::Text(line));
    }

    /// A place that says what is lacking in it.
    fn missing(&mut self, what: &str) -> Piece {
        let what = self.words.get(what);
        self.missing_words(what)
    }

    fn missing_words(&mut self, what: String) -> Piece {
        let piece = Piece::Missing(self.words.with("report-missing", &[("what", &what)]));
        if !self.gaps.contains(&what) {
            self.gaps.push(what);
        }
        piece
    }

    /// A value, or what is lacking where it is empty.
    fn field(&mut self, name: &str, value: &str, what: &str) {
        let line = if value.trim().is_empty() { vec![self.missing(what)] } else { plain(value) };
        self.blocks.push(Block::Field(self.words.get(name), line));
    }

    fn known(&mut self, name: &str, value: impl Into<String>) {
        self.blocks.push(Block::Field(self.words.get(name), plain(value)));
    }

    /// What no incident book knows.
    fn unknown(&mut self, name: &str, what: &str) {
        let line = vec![self.missing(what)];
        self.blocks.push(Block::Field(self.words.get(name), line));
    }

    /// A table, or what is lacking where it has no rows.
    fn table(&mut self, columns: &[(&str, u16)], mut rows: Vec<Vec<Line>>, what: &str) {
        if rows.is_empty() {
            let line = vec![self.missing(what)];
            self.text(line);
            return;
        }
        let more = rows.len().saturating_sub(ROWS_MAX);
        rows.truncate(ROWS_MAX);
        let columns = columns.iter().map(|(id, share)| (self.words.get(id), *share)).collect();
        self.blocks.push(Block::Table { columns, rows });
        if more > 0 {
            let more = more.to_string();
            self.text(plain(self.words.with("report-more", &[("count", &more)])));
        }
    }

    /// Who made it, who signs it, and all that is lacking.
    fn end(mut self, title: String, author: &str) -> Document {
        self.field("report-author", author, "missing-author");
        self.unknown("report-signer", "missing-signer");
        self.heading("report-gaps");
        if self.gaps.is_empty() {
            self.text(plain(self.words.get("report-no-gaps")));
        }
        let gaps = std::mem::take(&mut self.gaps);
        self.blocks.extend(gaps.into_iter().map(|gap| Block::Item(plain(gap))));
        Document { title, lang: self.words.lang().code().to_owned(), blocks: self.blocks }
    }
}

/// How many things a report lacks.
#[must_use]
pub fn gaps(document: &Document) -> usize {
    let after = document.blocks.iter().rposition(|block| matches!(block, Block::Heading(_)));
    let last = document.blocks.iter().skip(after.unwrap_or(0));
    last.filter(|block| matches!(block, Block::Item(_))).count()
}

/// Names of agencies and systems.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// As the picture has them.
    pub agencies: &'a [Agency],
    /// As the picture has them.
    pub systems: &'a [System],
}

impl Names<'_> {
    /// `Thành phố Đà Nẵng (tk-48)`; a code that nobody knows stands alone.
    fn agency(&self, words: &Words, code: &str) -> String {
        let known = self.agencies.iter().find(|agency| agency.code == code);
        known.map_or_else(
            || code.to_owned(),
            |agency| format!("{} ({code})", words.pick(&agency.name_vi, &agency.name_en)),
        )
    }

    fn agencies(&self, words: &Words, codes: &[String]) -> String {
        codes.iter().map(|code| self.agency(words, code)).collect::<Vec<_>>().join("; ")
    }

    fn systems(&self, words: &Words, ids: &[String]) -> String {
        let name = |id: &String| {
            let Some(system) = self.systems.iter().find(|system| system.id == *id) else {
                return id.clone();
            };
            let name = words.pick(&system.name_vi, &system.name_en);
            let grade = system.grade.to_string();
            words.with("report-system", &[("name", name), ("grade", &grade)])
        };
        ids.iter().map(name).collect::<Vec<_>>().join("; ")
    }
}

/// A law with its article and how sure we are.
fn law(words: &Words, clock: &vonggac_wire::proto::LegalClock) -> String {
    let law = words.pick(&clock.law_vi, &clock.law_en);
    // Of a collector of before.
    let law = if law.is_empty() { &clock.citation } else { law };
    let confidence = named(words, "confidence", &clock.confidence);
    let article = clock.article.replace(';', ", ");
    if article.is_empty() {
        let values = [("law", law), ("confidence", confidence.as_str())];
        return words.with("report-law-line-no-article", &values);
    }
    let values = [("law", law), ("article", article.as_str()), ("confidence", confidence.as_str())];
    words.with("report-law-line", &values)
}

#[cfg(test)]
mod tests;
