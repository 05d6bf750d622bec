//! A search's terms on a row in memory, with the same outcome as in the store.

use regex::bytes::{Regex, RegexBuilder};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use vonggac_wire::proto::Term;

use crate::store::{query::class, row::EventRow};

/// Bytes of a compiled expression: a viewer's pattern takes no memory from the watch.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Why a tail cannot be had with these terms.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// What incidents name is known only after events were stored.
    #[error(
        "{0:?} cannot be followed live; known: agency, host, agent, system, class, user, src_ip, status, url, text, regex, lane, format, seq"
    )]
    Field(String),
    /// No expression.
    #[error("the pattern {pattern:?} cannot be understood: {source}")]
    Pattern {
        /// As given.
        pattern: String,
        /// Why.
        source: regex::Error,
    },
}

#[derive(Debug)]
enum Test {
    Is(fn(&EventRow) -> &str, String),
    User(String),
    Url(String),
    Seq(u64),
    /// Words beside one another, and whether they are whole.
    Words(String, bool),
    Pattern(Regex),
}

/// All terms of one viewer.
#[derive(Debug)]
pub struct Filter {
    tests: Vec<(Test, bool)>,
    folds: bool,
}

impl Filter {
    /// Of a search's terms.
    ///
    /// # Errors
    /// If a term means nothing for what is just being stored.
    pub fn new(terms: &[Term]) -> Result<Self, FilterError> {
        let tests = terms
            .iter()
            .map(|term| Ok((test(term)?, term.negated)))
            .collect::<Result<Vec<_>, FilterError>>()?;
        let folds = tests.iter().any(|(test, _)| matches!(test, Test::Words(..)));
        Ok(Self { tests, folds })
    }

    /// Whether a row passes all terms.
    #[must_use]
    pub fn passes(&self, row: &EventRow) -> bool {
        let text = if self.folds { folded_row(row) } else { String::new() };
        self.tests.iter().all(|(test, negated)| holds(test, row, &text) != *negated)
    }
}

fn test(term: &Term) -> Result<Test, FilterError> {
    let value = || term.value.clone();
    Ok(match term.field.as_str() {
        "agency" => Test::Is(|row| &row.agency, value()),
        "host" => Test::Is(|row| &row.host, value()),
        "agent" => Test::Is(|row| &row.agent, value()),
        "system" => Test::Is(|row| &row.system, value()),
        "lane" => Test::Is(|row| &row.lane, value()),
        "format" => Test::Is(|row| &row.format, value()),
        "status" => Test::Is(|row| &row.status, value()),
        "src_ip" => Test::Is(|row| &row.src_ip, value()),
        "class" | "kind" => Test::Is(|row| &row.class, class(&term.value)),
        "user" => Test::User(value()),
        "url" => Test::Url(term.value.to_lowercase()),
        "seq" => Test::Seq(term.value.parse().unwrap_or(0)),
        "text" => {
            let sought = term.value.trim_matches('*');
            Test::Words(folded(sought), sought.len() == term.value.len())
        }
        // As RE2 in the store: a dot means any byte, line ends too.
        "regex" => RegexBuilder::new(&term.value)
            .dot_matches_new_line(true)
            .size_limit(REGEX_BYTES_MAX)
            .build()
            .map(Test::Pattern)
            .map_err(|source| FilterError::Pattern { pattern: value(), source })?,
        other => return Err(FilterError::Field(other.to_owned())),
    })
}

fn holds(test: &Test, row: &EventRow, text: &str) -> bool {
    match test {
        Test::Is(field, value) => field(row) == value,
        Test::User(value) => row.user == *value || row.actor_user == *value,
        Test::Url(value) => row.url.to_lowercase().contains(value.as_str()),
        Test::Seq(value) => row.seq == *value,
        Test::Words(sought, false) => text.contains(sought.as_str()),
        Test::Words(sought, true) => {
            text.contains(sought.as_str())
                && tokens(sought).all(|wanted| tokens(text).any(|token| token == wanted))
        }
        Test::Pattern(pattern) => pattern.is_match(&row.raw),
    }
}

/// As the engine's `tokens`: what stands between ASCII characters that are neither letter nor digit.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric())
        .filter(|token| !token.is_empty())
}

/// What the store's column `folded` holds.
fn folded_row(row: &EventRow) -> String {
    let mut text = String::from_utf8_lossy(&row.raw).into_owned();
    text.push('\n');
    text.push_str(&row.message);
    folded(&text)
}

/// In small letters, without marks.
fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
        .map(|c| if c == 'đ' { 'd' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(raw: &str) -> EventRow {
        EventRow {
            agency: "H49".into(),
            class: "authentication".into(),
            class_uid: 3002,
            actor_user: "lan".into(),
            url: "/Dich-Vu?ma=1".into(),
            raw: raw.as_bytes().to_vec(),
            seq: 7,
            ..EventRow::default()
        }
    }

    fn passes(terms: &[(&str, &str)], raw: &str) -> bool {
        let terms: Vec<Term> = terms
            .iter()
            .map(|(field, value)| {
                let (negated, field) =
                    field.strip_prefix('-').map_or((false, *field), |field| (true, field));
                Term { field: field.into(), value: (*value).into(), negated }
            })
            .collect();
        Filter::new(&terms).unwrap().passes(&row(raw))
    }

    #[test]
    fn every_term_has_to_hold_and_a_turned_one_must_not() {
        let line = "Mật KHẨU không đúng cho tài khoản Đặng";
        let cases: [(&[(&str, &str)], bool); 15] = [
            (&[], true),
            (&[("agency", "H49"), ("class", "3002"), ("kind", "authentication")], true),
            (&[("agency", "H49"), ("-class", "3002")], false),
            (&[("user", "lan"), ("url", "dich-vu"), ("seq", "7")], true),
            (&[("user", "an")], false),
            (&[("text", "mat khau")], true),
            (&[("text", "mật khẩu KHÔNG")], true),
            (&[("text", "dang")], true),
            (&[("text", "khau mat")], false),
            (&[("text", "at khau")], false),
            (&[("text", "*at khau")], true),
            (&[("-text", "mat khau")], false),
            (&[("regex", "KH.+cho")], true),
            (&[("regex", "^khong$")], false),
            (&[("status", "")], true),
        ];
        for (terms, outcome) in cases {
            assert_eq!(passes(terms, line), outcome, "{terms:?}");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_told() {
        for (field, value, said) in
            [("rule", "x", "rule"), ("mac", "x", "mac"), ("regex", "(", "understood")]
        {
            let term = Term { field: field.into(), value: value.into(), negated: false };
            let error = Filter::new(&[term]).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let vast = Term { field: "regex".into(), value: "a{1000}{1000}".into(), negated: false };
        assert!(Filter::new(&[vast]).is_err());
    }
}
