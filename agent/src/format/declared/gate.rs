//! Which formats a line may be of at all: the literals of all formats, looked for in one pass over the line.

use std::sync::OnceLock;

use regex::bytes::{RegexSet, RegexSetBuilder};

use super::Format;

/// Bytes that the compiled literals may take.
const COMPILED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes that a search may keep for speed.
const SEARCH_BYTES_MAX: usize = 1024 * 1024;

/// Literals, and which of them open each format.
pub(super) struct Gate {
    /// Each literal once.
    literals: Vec<String>,
    set: OnceLock<Option<RegexSet>>,
    /// Of each format, of each of its ways to read a line: the literals that must all be there.
    formats: Vec<Vec<Vec<usize>>>,
}

impl Gate {
    pub(super) fn of(formats: &[Format]) -> Self {
        let mut literals: Vec<String> = Vec::new();
        let mut number = |need: &[u8]| {
            let literal = String::from_utf8_lossy(need).into_owned();
            literals.iter().position(|known| *known == literal).unwrap_or_else(|| {
                literals.push(literal);
                literals.len() - 1
            })
        };
        let ways = |format: &Format| -> Vec<Vec<usize>> {
            let shapes = format.shapes.iter().map(|shape| shape.needs());
            let heads = format.heads.iter().map(|head| head.needs().collect());
            let lines = format.patterns.iter().filter(|pattern| pattern.line);
            let lines = lines.map(|pattern| pattern.text.needs().collect());
            let all: Vec<Vec<&[u8]>> = shapes.chain(heads).chain(lines).collect();
            all.into_iter().map(|needs| needs.into_iter().map(&mut number).collect()).collect()
        };
        let formats = formats.iter().map(ways).collect();
        Self { literals, set: OnceLock::new(), formats }
    }

    /// For each format, whether the line may be one of it.
    pub(super) fn candidates(&self, line: &str) -> Vec<bool> {
        let set = self.set.get_or_init(|| {
            let sources = self.literals.iter().map(|literal| regex::escape(literal));
            RegexSetBuilder::new(sources)
                .unicode(false)
                .size_limit(COMPILED_BYTES_MAX)
                .dfa_size_limit(SEARCH_BYTES_MAX)
                .build()
                .ok()
        });
        let Some(set) = set else { return vec![true; self.formats.len()] };
        let there = set.matches(line.as_bytes());
        self.formats
            .iter()
            .map(|ways| ways.iter().any(|needs| needs.iter().all(|need| there.matched(*need))))
            .collect()
    }
}
