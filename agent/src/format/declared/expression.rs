//! A regular expression with named groups, compiled when it is first needed, and only for texts that hold its literals.

use std::sync::OnceLock;

use memchr::memmem::Finder;
use regex::{Regex, RegexBuilder};

use super::{
    field::{Draft, Field},
    literal,
};
use crate::format::Context;

/// Bytes that one compiled expression may take: a file with a huge repetition is refused instead of eating a host's memory.
const COMPILED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes that the search with one expression may keep for speed; there are hundreds of expressions.
const SEARCH_BYTES_MAX: usize = 128 * 1024;

/// Named groups of a match.
pub(super) type Groups<'t> = Vec<(&'static str, &'t str)>;

/// An expression.
#[derive(Debug)]
pub(crate) struct Expression {
    source: String,
    /// Texts that must all be there; looked for before the expression is compiled.
    needs: Vec<Finder<'static>>,
    compiled: OnceLock<Option<Compiled>>,
}

#[derive(Debug)]
struct Compiled {
    regex: Regex,
    /// The groups' numbers and names. Names live as long as the program, as formats do.
    groups: Vec<(usize, &'static str)>,
}

impl Expression {
    /// Keeps an expression, checked if that is wanted; it is compiled (again) when needed.
    pub(super) fn new(source: String, mut needs: Vec<String>, check: bool) -> Result<Self, String> {
        if let Some(own) = literal::longest(&source) {
            if !needs.iter().any(|need| need.contains(&own)) {
                needs.push(own);
            }
        }
        let needs = needs.iter().map(|need| Finder::new(need.as_bytes()).into_owned()).collect();
        if !check {
            return Ok(Self { source, needs, compiled: OnceLock::new() });
        }
        let compiled = compile(&source).map_err(|error| error.to_string())?;
        for name in compiled.capture_names().flatten() {
            if Field::from_name(plain(name)).is_none() && !name.starts_with('_') {
                return Err(format!(
                    "the group {name:?} is no field; known: {}, x_NAME, _NAME for a case",
                    Field::NAMES.join(", ")
                ));
            }
        }
        Ok(Self { source, needs, compiled: OnceLock::new() })
    }

    /// In the place of a wrong one, until the mistakes are told.
    pub(super) fn nothing() -> Self {
        Self { source: String::new(), needs: Vec::new(), compiled: OnceLock::new() }
    }

    /// What a text must hold, all of it.
    pub(super) fn needs(&self) -> impl Iterator<Item = &[u8]> {
        self.needs.iter().map(Finder::needle)
    }

    fn compiled(&self, text: &str) -> Option<&Compiled> {
        if !self.needs.iter().all(|need| need.find(text.as_bytes()).is_some()) {
            return None;
        }
        self.compiled
            .get_or_init(|| {
                let regex = compile(&self.source).ok()?;
                let groups = regex
                    .capture_names()
                    .enumerate()
                    .filter_map(|(at, name)| Some((at, intern(name?))))
                    .collect();
                Some(Compiled { regex, groups })
            })
            .as_ref()
    }

    /// Whether it is found in the text.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.compiled(text).is_some_and(|compiled| compiled.regex.is_match(text))
    }

    /// The groups that took part in the first match.
    pub(super) fn captures<'t>(&self, text: &'t str) -> Option<Groups<'t>> {
        let compiled = self.compiled(text)?;
        let captures = compiled.regex.captures(text)?;
        Some(
            compiled
                .groups
                .iter()
                .filter_map(|(at, name)| Some((*name, captures.get(*at)?.as_str())))
                .collect(),
        )
    }

    /// Whether it is found twice with different words in its groups.
    pub(super) fn differs(&self, text: &str) -> bool {
        let Some(compiled) = self.compiled(text) else { return false };
        let mut found = compiled.regex.captures_iter(text).map(|captures| {
            let words = captures.iter().skip(1).flatten();
            words.map(|word| word.as_str().to_owned()).collect::<Vec<_>>()
        });
        let first = found.next();
        found.any(|other| Some(&other) != first.as_ref())
    }

    /// The groups of a match at the beginning, and what follows it.
    pub(super) fn begins<'t>(&self, text: &'t str) -> Option<(Groups<'t>, &'t str)> {
        let compiled = self.compiled(text)?;
        let captures = compiled.regex.captures(text)?;
        let whole = captures.get(0).filter(|whole| whole.start() == 0)?;
        let groups = compiled
            .groups
            .iter()
            .filter_map(|(at, name)| Some((*name, captures.get(*at)?.as_str())))
            .collect();
        Some((groups, &text[whole.end()..]))
    }
}

fn compile(source: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&ascii(source))
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(SEARCH_BYTES_MAX)
        .build()
}

/// `\d`, `\w` and `\b` as logs mean them: of ASCII. Their tables for all scripts would take a hundred times the memory.
fn ascii(source: &str) -> String {
    let mut text = String::with_capacity(source.len() + 64);
    let mut characters = source.chars();
    let mut in_class = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' => match (characters.next(), in_class) {
                (Some('d'), false) => text.push_str("[0-9]"),
                (Some('d'), true) => text.push_str("0-9"),
                (Some('w'), false) => text.push_str("[0-9A-Za-z_]"),
                (Some('w'), true) => text.push_str("0-9A-Za-z_"),
                (Some('b'), false) => text.push_str("(?-u:\\b)"),
                (Some(other), _) => text.extend(['\\', other]),
                (None, _) => text.push('\\'),
            },
            '[' if !in_class => {
                in_class = true;
                text.push('[');
                // A `]` that stands first is one of the class.
                let rest = characters.as_str();
                for first in ["^]", "]"] {
                    if let Some(rest) = rest.strip_prefix(first) {
                        text.push_str(first);
                        characters = rest.chars();
                        break;
                    }
                }
            }
            ']' => {
                in_class = false;
                text.push(']');
            }
            other => text.push(other),
        }
    }
    text
}

/// `src2` and `src` are one field: an expression may name alternatives.
pub(super) fn plain(name: &str) -> &str {
    if name.starts_with("x_") || name.starts_with('_') {
        name
    } else {
        name.trim_end_matches(|c: char| c.is_ascii_digit())
    }
}

/// Puts a group's text into its field.
pub(super) fn put(draft: &mut Draft, name: &str, value: &str, context: &Context) {
    if let Some(field) = Field::from_name(plain(name)) {
        draft.put(&field, value, context);
    }
}

/// Names of groups are few and are those of files: each is kept once.
fn intern(name: &str) -> &'static str {
    use std::{collections::BTreeSet, sync::Mutex};
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return known;
    }
    let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(kept);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_of_ascii_and_mean_what_they_did() {
        for (source, text, is) in [
            (r"^[\w.-]+\d$", "a.b-7", true),
            (r"^\w+$", "trần", false),
            (r"^[]\d]+$", "]7", true),
            (r"^[^]\d]+$", "ab", true),
            (r"\bok\b", "it is ok.", true),
            (r"^.*\\d$", "x\\d", true),
        ] {
            assert_eq!(compile(source).unwrap().is_match(text), is, "{source}");
        }
    }
}
