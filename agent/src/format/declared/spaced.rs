//! Pairs whose values hold spaces without quotes, as security appliances write them: CEF's and LEEF's extensions.

use super::shape::Values;

/// `src=203.0.113.7 msg=two words act=deny`: a value ends where the next key begins. `\` keeps what follows.
pub(super) fn pairs(text: &str) -> Values {
    let mut values = Values::default();
    let mut rest = text.trim_start();
    while let Some((key, after)) = key(rest) {
        let (value, next) = value(after);
        values.push(key, &value);
        rest = next;
    }
    values
}

/// A key at the beginning of a text, and what stands behind its equals sign.
fn key(text: &str) -> Option<(&str, &str)> {
    let (key, after) = text.split_once('=')?;
    let is_key = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'[' | b']'));
    is_key.then_some((key, after))
}

/// To the space behind which the next key stands.
fn value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => {
                value.push(if character == 'n' { '\n' } else { character });
                escaped = false;
            }
            '\\' => escaped = true,
            ' ' if key(text[at..].trim_start()).is_some() => {
                return (value.trim().to_owned(), text[at..].trim_start());
            }
            other => value.push(other),
        }
    }
    (value.trim().to_owned(), "")
}

/// `src=203.0.113.7^act=deny`: between pairs stands one character, which the line may name itself.
pub(super) fn separated(text: &str, named: Option<&str>, usual: char) -> Values {
    let separator = named.and_then(separator).unwrap_or(usual);
    let mut values = Values::default();
    for (key, value) in text.split(separator).filter_map(|pair| pair.split_once('=')) {
        values.push(key.trim(), value.trim());
    }
    values
}

/// `^`, `\t`, `0x5E`, `x5E`.
fn separator(name: &str) -> Option<char> {
    if name == "\\t" {
        return Some('\t');
    }
    if let Some((_, digits)) = name.split_once('x').filter(|(_, digits)| !digits.is_empty()) {
        return u8::from_str_radix(digits, 16).ok().map(char::from);
    }
    name.chars().next()
}
