//! Small steps over text that several formats take.

use std::net::IpAddr;

/// An address, bare, in brackets, with a zone, or with a trailing port after `]`.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches(['[', ']', '(', ')', ',']);
    let text = text.split('%').next().unwrap_or(text);
    text.parse().ok()
}

/// The first word and the rest.
pub(super) fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_once(' ').unwrap_or((text, ""))
}

/// `key=value` of PAM and others; a value ends at white space.
pub(super) fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut from = 0;
    while let Some(found) = text[from..].find(key) {
        let at = from + found;
        let starts = at == 0
            || text.as_bytes()[at - 1].is_ascii_whitespace()
            || text.as_bytes()[at - 1] == b';';
        let rest = &text[at + key.len()..];
        if starts && rest.starts_with('=') {
            return Some(rest[1..].split([' ', ';', ',']).next().unwrap_or(""));
        }
        from = at + key.len();
    }
    None
}
