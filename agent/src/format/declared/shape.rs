//! Lines whose values carry their names: pairs, JSON objects, columns.

use serde_json::Value;

use super::{expression::Expression, spaced};

/// Values of one line: more than a hostile one should have.
const VALUES_MAX: usize = 512;

/// Levels of JSON that are followed.
const DEPTH_MAX: usize = 8;

/// Items of a list that are kept.
const LIST_MAX: usize = 16;

/// How values are found.
#[derive(Debug)]
pub(crate) enum Shape {
    /// `key=value key="value with spaces"` behind what `lead` matches, if it is given.
    Pairs {
        /// What must be in the text.
        lead: Expression,
        /// What ends a value.
        end: End,
    },
    /// A JSON object that has all of these keys (dotted).
    Json {
        /// The keys.
        has: Vec<String>,
        /// What a key's value must hold.
        like: Vec<(String, Expression)>,
    },
    /// Columns with a separator, quoted where needed, in texts where `lead` is found.
    Columns {
        /// What must be in the text.
        lead: Expression,
        /// Between columns.
        separator: char,
        /// Their names; `_`: of no interest.
        names: Vec<String>,
    },
}

/// What ends the value of a pair.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// White space, if it is not in quotes.
    Space,
    /// The next key: values hold spaces, and `\` keeps an equals sign (CEF).
    Key,
    /// This character, if the line names no other (LEEF).
    Separator(char),
}

/// The part of a dotted key that stands in the text.
fn innermost(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// A text that may be a JSON object, read when first asked for and then kept.
#[derive(Debug)]
pub(crate) struct Object<'t> {
    text: &'t str,
    values: std::cell::OnceCell<Option<Values>>,
}

impl<'t> Object<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, values: std::cell::OnceCell::new() }
    }

    pub(crate) fn values(&self) -> Option<&Values> {
        let read = || {
            if !self.text.starts_with('{') {
                return None;
            }
            let object: Value = serde_json::from_str(self.text).ok()?;
            Some(Values::of(&object))
        };
        self.values.get_or_init(read).as_ref()
    }
}

/// Names and values of a line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    all: Vec<(String, String)>,
}

impl Values {
    /// The values of a JSON object, nested ones with dots.
    pub(crate) fn of(object: &Value) -> Self {
        let mut values = Self::default();
        flatten(&mut values, "", object, 0);
        values
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.all.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn pairs(&self) -> Vec<(&str, &str)> {
        self.all.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    pub(super) fn push(&mut self, key: &str, value: &str) {
        if self.all.len() < VALUES_MAX && !key.is_empty() {
            self.all.push((key.to_owned(), value.to_owned()));
        }
    }
}

impl Shape {
    /// What a text must hold, all of it.
    pub(super) fn needs(&self) -> Vec<&[u8]> {
        match self {
            Self::Pairs { lead, .. } | Self::Columns { lead, .. } => lead.needs().collect(),
            Self::Json { has, .. } => has.iter().map(|key| innermost(key).as_bytes()).collect(),
        }
    }

    /// The values of a text. `object`: the text as JSON, for it is read only once.
    pub(super) fn read(&self, text: &str, object: &Object<'_>) -> Option<Values> {
        match self {
            Self::Pairs { lead, end } => {
                let groups = lead.captures(text)?;
                let group = |name| groups.iter().find(|(known, _)| *known == name).map(|(_, v)| *v);
                let body = group("_pairs").unwrap_or(text);
                let mut values = match end {
                    End::Space => pairs(body),
                    End::Key => spaced::pairs(body),
                    End::Separator(usual) => spaced::separated(body, group("_separator"), *usual),
                };
                for (name, value) in groups.iter().filter(|(name, _)| !name.starts_with('_')) {
                    // A bar within CEF's own columns is kept by a stroke.
                    match matches!(end, End::Key) && value.contains('\\') {
                        true => values.push(name, &value.replace("\\|", "|").replace("\\\\", "\\")),
                        false => values.push(name, value),
                    }
                }
                Some(values)
            }
            Self::Json { has, like } => {
                // Cheap before dear: the innermost part of each key must be in the text.
                if !has.iter().all(|key| text.contains(innermost(key))) {
                    return None;
                }
                let values = object.values()?;
                let has_all = has.iter().all(|key| {
                    values.all.iter().any(|(name, _)| {
                        name == key
                            || name
                                .strip_prefix(key.as_str())
                                .is_some_and(|rest| rest.starts_with('.'))
                    })
                });
                let alike = like.iter().all(|(key, expression)| {
                    values.get(key).is_some_and(|value| expression.is_in(value))
                });
                (has_all && alike).then(|| values.clone())
            }
            Self::Columns { lead, separator, names } => {
                let groups = lead.captures(text)?;
                let start = groups.iter().find(|(name, _)| *name == "_columns");
                let body = start.map_or(text, |(_, body)| *body);
                let mut values = Values::default();
                for (name, value) in names.iter().zip(columns(body, *separator)) {
                    if name != "_" {
                        values.push(name, &value);
                    }
                }
                for (name, value) in groups {
                    if name != "_columns" {
                        values.push(name, value);
                    }
                }
                Some(values)
            }
        }
    }
}

/// `a=1 b="two words" c='x'`; a value without quotes ends at white space, or at the next ` key=` when it holds spaces.
pub(crate) fn pairs(text: &str) -> Values {
    let mut values = Values::default();
    let mut rest = text;
    while let Some(at) = rest.find('=') {
        let key_start = rest[..at]
            .rfind(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|' | '(' | '{' | '['))
            .map_or(0, |place| place + rest[place..].chars().next().map_or(1, char::len_utf8));
        let key = rest[key_start..at].trim_matches(['"', '\'']);
        let after = &rest[at + 1..];
        let (value, next) = match after.chars().next() {
            Some(quote @ ('"' | '\'')) => quoted(&after[1..], quote),
            _ => {
                let end = after.find([' ', '\t', ';', '|']).unwrap_or(after.len());
                (after[..end].trim_end_matches([',', ')', '}', ']']).to_owned(), &after[end..])
            }
        };
        let is_key = !key.is_empty()
            && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '/'));
        if is_key {
            values.push(key, &value);
        }
        rest = next;
    }
    values
}

/// To the closing quote; `\` keeps the next character.
fn quoted(text: &str, quote: char) -> (String, &str) {
    let mut value = String::new();
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        if escaped {
            value.push(character);
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            return (value, &text[at + character.len_utf8()..]);
        } else {
            value.push(character);
        }
    }
    (value, "")
}

/// Columns with doubled quotes inside quotes, as CSV has them.
pub(crate) fn columns(text: &str, separator: char) -> Vec<String> {
    let mut all = Vec::new();
    let mut value = String::new();
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                value.push('"');
                characters.next();
            }
            '"' => quoted = !quoted,
            other if other == separator && !quoted => {
                all.push(std::mem::take(&mut value));
                if all.len() >= VALUES_MAX {
                    return all;
                }
            }
            other => value.push(other),
        }
    }
    all.push(value);
    all
}

/// Nested objects become dotted keys; of a list the first values stand under the key and its number.
fn flatten(values: &mut Values, prefix: &str, value: &Value, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    let name = |key: &str| {
        if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
    };
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                flatten(values, &name(key), value, depth + 1);
            }
        }
        Value::Array(items) => {
            // A list of words is also one value: of addresses the last one counts.
            let words: Option<Vec<&str>> = items.iter().take(LIST_MAX).map(Value::as_str).collect();
            if let Some(words) = words.filter(|words| !words.is_empty() && depth > 0) {
                values.push(prefix, &words.join(","));
            }
            for (at, item) in items.iter().enumerate().take(LIST_MAX) {
                flatten(values, &name(&at.to_string()), item, depth + 1);
            }
        }
        Value::String(text) => values.push(prefix, text),
        Value::Null => values.push(prefix, ""),
        other => values.push(prefix, &other.to_string()),
    }
}
