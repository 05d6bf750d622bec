//! Small steps over text that several formats take.

use std::net::IpAddr;

/// An address, bare, in brackets, with a zone, or with a trailing port after `]`.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    // Nearly all stand bare.
    if let Ok(address) = text.parse() {
        return Some(address);
    }
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

/// An address with or without a port: `1.2.3.4`, `1.2.3.4:51022`, `[::1]:51022`, `1.2.3.4#5353`, `name[1.2.3.4]:25`,
/// `name/1.2.3.4`, `/1.2.3.4:80`, `tcp:1.2.3.4:80`, `1.2.3.4 (name)`.
pub(super) fn endpoint(text: &str) -> Option<(IpAddr, Option<u32>)> {
    let text = text.trim().trim_matches(['"', '\'', '<', '>', ',', ';']);
    // Samba's `ipv6:2001:db8::7:51022`: the last part is always the port.
    if let Some((place, number)) = text.strip_prefix("ipv6:").and_then(|rest| rest.rsplit_once(':'))
    {
        if let (Some(found), Some(number)) = (address(place), port(number)) {
            return Some((found, Some(number)));
        }
    }
    if let Some(address) = address(text) {
        return Some((address, None));
    }
    // In round ones: `https(1.2.3.4)`.
    if let Some((_, inner)) = text.strip_suffix(')').and_then(|text| text.rsplit_once('(')) {
        if let Some(found) = address(inner) {
            return Some((found, None));
        }
    }
    // In brackets: `name[1.2.3.4]:25`, `[::1]:25`.
    if let Some((before, rest)) = text.rsplit_once('[') {
        if let Some((inner, after)) = rest.split_once(']') {
            if let Some(found) = address(inner) {
                return Some((found, port(after.trim_start_matches(':'))));
            }
        }
        return endpoint(before);
    }
    let text = text.rsplit('/').find(|part| part.contains(['.', ':'])).unwrap_or(text);
    let text = text.split([' ', '(']).next().unwrap_or(text);
    for separator in [':', '#', '.', '@'] {
        let Some((before, after)) = text.rsplit_once(separator) else { continue };
        if let (Some(found), Some(number)) = (address(before), port(after)) {
            return Some((found, Some(number)));
        }
    }
    let scheme = text.split_once(':').map(|(_, rest)| rest);
    let scheme = scheme.filter(|rest| rest.contains('.') && rest.len() < text.len());
    address(text).map(|found| (found, None)).or_else(|| endpoint(scheme?))
}

fn port(text: &str) -> Option<u32> {
    let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse::<u16>().ok().map(u32::from)
}
