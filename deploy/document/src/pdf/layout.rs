//! Where each word of a report stands: lines that fit, pages that are full, tables whose cells stand beside each other. Pure.

use super::face::Faces;
use crate::{Block, Document, DocumentError, Line, Piece, clean};

/// A4 in points.
pub(super) const WIDTH: f32 = 595.28;
pub(super) const HEIGHT: f32 = 841.89;

/// 3 cm at the left, 2 cm elsewhere.
const LEFT: f32 = 85.04;
const EDGE: f32 = 56.69;

const SIZE: f32 = 12.0;
const LARGE: f32 = 14.0;
/// From one line to the next, in sizes.
const LEADING: f32 = 1.3;
/// Behind a paragraph.
const GAP: f32 = 4.0;
const INDENT: f32 = 18.0;
/// Between a table's columns.
const GUTTER: f32 = 8.0;

/// Half a year of incidents, a line each, is some hundred pages.
const PAGES_MAX: usize = 1_000;

/// What is drawn.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mark {
    Text { x: f32, y: f32, size: f32, strong: bool, text: String },
    Rule { x: f32, y: f32, width: f32 },
}

pub(super) type Page = Vec<Mark>;

/// A word in a line, at its distance from the line's beginning.
struct Word {
    x: f32,
    width: f32,
    strong: bool,
    text: String,
}

/// All pages of a report, with their numbers.
pub(super) fn pages(document: &Document, faces: &Faces) -> Result<Vec<Page>, DocumentError> {
    let mut sheet = Sheet { faces, pages: vec![Page::new()], y: HEIGHT - EDGE };
    for block in &document.blocks {
        sheet.add(block)?;
    }
    let mut pages = sheet.pages;
    let all = pages.len();
    for (at, page) in pages.iter_mut().enumerate().filter(|_| all > 1) {
        let text = format!("{}/{all}", at + 1);
        let x = (WIDTH - faces.width(&text, false, SIZE)) / 2.0;
        page.push(Mark::Text { x, y: EDGE / 2.0, size: SIZE, strong: false, text });
    }
    Ok(pages)
}

struct Sheet<'a> {
    faces: &'a Faces,
    pages: Vec<Page>,
    /// The upper end of what is free.
    y: f32,
}

impl Sheet<'_> {
    fn add(&mut self, block: &Block) -> Result<(), DocumentError> {
        let strong = |text: &str| vec![Piece::Strong(text.to_owned())];
        let whole = WIDTH - LEFT - EDGE;
        match block {
            Block::Title(title) => {
                self.y -= 2.0 * GAP;
                self.centred(&strong(title), LARGE)?;
                self.y -= 2.0 * GAP;
            }
            Block::Centred(pieces) => self.centred(pieces, SIZE)?,
            Block::Heading(title) => {
                self.y -= GAP;
                // Two more lines, so that it does not stand alone at a page's end.
                self.room(3.0 * SIZE * LEADING)?;
                self.lines(&strong(title), LEFT, whole)?;
            }
            Block::Text(pieces) => self.lines(pieces, LEFT, whole)?,
            Block::Field(name, pieces) => {
                let named = [vec![Piece::Plain(format!("– {name}: "))], pieces.clone()].concat();
                self.lines(&named, LEFT + INDENT, whole - INDENT)?;
            }
            Block::Item(pieces) => {
                let listed = [vec![Piece::Plain("– ".into())], pieces.clone()].concat();
                self.lines(&listed, LEFT + INDENT, whole - INDENT)?;
            }
            Block::Table { columns, rows } => self.table(columns, rows)?,
        }
        self.y -= GAP;
        Ok(())
    }

    /// So much is free, on a fresh page if need be.
    fn room(&mut self, height: f32) -> Result<(), DocumentError> {
        if self.y - height >= EDGE {
            return Ok(());
        }
        if self.pages.len() >= PAGES_MAX {
            return Err(DocumentError::TooLong(PAGES_MAX));
        }
        self.pages.push(Page::new());
        self.y = HEIGHT - EDGE;
        Ok(())
    }

    fn mark(&mut self, mark: Mark) {
        if let Some(page) = self.pages.last_mut() {
            page.push(mark);
        }
    }

    fn centred(&mut self, pieces: &Line, size: f32) -> Result<(), DocumentError> {
        for line in self.broken(pieces, WIDTH - LEFT - EDGE, size) {
            let width = line.last().map_or(0.0, |word| word.x + word.width);
            let x = LEFT + (WIDTH - LEFT - EDGE - width) / 2.0;
            self.line(line, x, size)?;
        }
        Ok(())
    }

    fn lines(&mut self, pieces: &Line, x: f32, width: f32) -> Result<(), DocumentError> {
        for line in self.broken(pieces, width, SIZE) {
            self.line(line, x, SIZE)?;
        }
        Ok(())
    }

    fn line(&mut self, words: Vec<Word>, x: f32, size: f32) -> Result<(), DocumentError> {
        self.room(size * LEADING)?;
        self.y -= size * LEADING;
        self.words(words, x, size);
        Ok(())
    }

    fn words(&mut self, words: Vec<Word>, x: f32, size: f32) {
        let y = self.y + size * (LEADING - 1.0);
        for word in words {
            let (x, strong, text) = (x + word.x, word.strong, word.text);
            self.mark(Mark::Text { x, y, size, strong, text });
        }
    }

    fn table(
        &mut self,
        columns: &[(String, u16)],
        rows: &[Vec<Line>],
    ) -> Result<(), DocumentError> {
        let shares: f32 = columns.iter().map(|(_, share)| f32::from(*share)).sum::<f32>().max(1.0);
        let room = WIDTH - LEFT - EDGE;
        let mut x = LEFT;
        let mut places = Vec::new();
        for (_, share) in columns {
            let width = room * f32::from(*share) / shares;
            places.push((x, width - GUTTER));
            x += width;
        }
        let names: Vec<Line> =
            columns.iter().map(|(name, _)| vec![Piece::Strong(name.clone())]).collect();
        for row in std::iter::once(&names).chain(rows) {
            let mut cells: Vec<_> = row
                .iter()
                .zip(&places)
                .map(|(pieces, (x, width))| (*x, self.broken(pieces, *width, SIZE).into_iter()))
                .collect();
            let height = cells.iter().map(|(_, lines)| lines.len()).max().unwrap_or(0);
            for _ in 0..height {
                self.room(SIZE * LEADING)?;
                self.y -= SIZE * LEADING;
                for (x, lines) in &mut cells {
                    if let Some(words) = lines.next() {
                        self.words(words, *x, SIZE);
                    }
                }
            }
            self.y -= GAP / 2.0;
            self.mark(Mark::Rule { x: LEFT, y: self.y, width: room });
        }
        Ok(())
    }

    /// A line as lines of at most a width, broken between words, and within one that is wider.
    fn broken(&self, pieces: &Line, width: f32, size: f32) -> Vec<Vec<Word>> {
        let (mut lines, mut line, mut x) = (Vec::new(), Vec::<Word>::new(), 0.0);
        let mut blank = 0.0;
        for piece in pieces {
            let (text, strong) = piece.parts();
            let text = self.faces.known(&clean(text));
            for (at, word) in text.split(' ').enumerate() {
                if at > 0 {
                    blank = self.faces.width(" ", strong, size);
                }
                for part in self.parts(word, strong, width, size) {
                    let wide = self.faces.width(&part, strong, size);
                    if !line.is_empty() && x + blank + wide > width {
                        lines.push(std::mem::take(&mut line));
                        (x, blank) = (0.0, 0.0);
                    }
                    let begin = if line.is_empty() { 0.0 } else { x + blank };
                    // The blank goes along, so that what is copied has it.
                    if let Some(before) = line.last_mut().filter(|_| blank > 0.0) {
                        before.text.push(' ');
                    }
                    let text = part;
                    line.push(Word { x: begin, width: wide, strong, text });
                    (x, blank) = (begin + wide, 0.0);
                }
            }
        }
        if !line.is_empty() {
            lines.push(line);
        }
        lines
    }

    /// A word in parts of at most a width.
    fn parts(&self, word: &str, strong: bool, width: f32, size: f32) -> Vec<String> {
        let mut parts = Vec::new();
        let (mut part, mut wide) = (String::new(), 0.0);
        for character in word.chars() {
            let more = self.faces.width(character.encode_utf8(&mut [0; 4]), strong, size);
            if !part.is_empty() && wide + more > width {
                parts.push(std::mem::take(&mut part));
                wide = 0.0;
            }
            part.push(character);
            wide += more;
        }
        if !part.is_empty() {
            parts.push(part);
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::hostile;

    fn inside(pages: &[Page], faces: &Faces) {
        for mark in pages.iter().flatten() {
            let Mark::Text { x, y, size, strong, text } = mark else { continue };
            let end = x + faces.width(text.trim_end(), *strong, *size);
            assert!(*x >= LEFT - 0.5, "{text}");
            assert!(end <= WIDTH - EDGE + 0.5 && *y >= EDGE / 2.0 && *y <= HEIGHT, "{text} {end}");
        }
    }

    #[test]
    fn a_long_report_has_numbered_pages_and_nothing_beyond_their_edges() {
        let faces = Faces::new().unwrap();
        let text = "Sự cố kéo dài ở nhiều cơ quan ".repeat(40) + &"x".repeat(400);
        let document =
            Document { blocks: vec![Block::Text(crate::plain(text)); 30], ..Document::default() };
        let pages = pages(&document, &faces).unwrap();
        assert!(pages.len() > 2);
        inside(&pages, &faces);
        let last = pages.last().and_then(|page| page.last()).unwrap();
        assert!(
            matches!(last, Mark::Text { text, .. } if *text == format!("{0}/{0}", pages.len()))
        );
    }

    #[test]
    fn a_report_without_end_is_refused() {
        let faces = Faces::new().unwrap();
        let blocks = vec![Block::Heading("x".into()); 60_000];
        let refused = pages(&Document { blocks, ..Document::default() }, &faces);
        assert!(matches!(refused, Err(DocumentError::TooLong(PAGES_MAX))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_stands_in_it_stays_on_the_page(text in any::<String>()) {
            let faces = Faces::new().unwrap();
            inside(&pages(&hostile(&text), &faces).unwrap(), &faces);
        }
    }
}
