//! One pass over a text that finds what does not belong in a log.
//!
//! A table tells for each byte whether something may begin, end or turn there; all other bytes cost one look. What is found never
//! overlaps and comes in the order of the text. Escapes of URLs (`%40`, `%3D`) count as what they stand for.

use super::{mail, number, secret};

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A number of an identity card, or one that stands in its place.
    Identity,
    /// A telephone number.
    Telephone,
    /// A person's address of mail.
    Email,
    /// A bank card.
    Card,
    /// A password, token, key or cookie.
    Secret,
    /// The value of a field that the administrator named.
    Field,
    /// What the administrator's pattern matched.
    Pattern,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity number",
            Self::Telephone => "telephone",
            Self::Email => "e-mail",
            Self::Card => "bank card",
            Self::Secret => "secret",
            Self::Field => "configured field",
            Self::Pattern => "configured pattern",
        }
    }
}

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: Kind,
}

impl Finding {
    pub(super) const fn new(start: usize, end: usize, kind: Kind) -> Self {
        Self { start, end, kind }
    }
}

/// What a byte may be the sign of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Nothing,
    Digit,
    Assign,
    Colon,
    At,
    Escape,
    /// `J` of a token's `eyJ`.
    Token,
    /// `B` of `Bearer` and `-----BEGIN`.
    Begin,
}

const SIGNS: [Sign; 256] = signs();

const fn signs() -> [Sign; 256] {
    let mut signs = [Sign::Nothing; 256];
    let mut digit = b'0';
    while digit <= b'9' {
        signs[digit as usize] = Sign::Digit;
        digit += 1;
    }
    signs[b'=' as usize] = Sign::Assign;
    signs[b':' as usize] = Sign::Colon;
    signs[b'@' as usize] = Sign::At;
    signs[b'%' as usize] = Sign::Escape;
    signs[b'J' as usize] = Sign::Token;
    signs[b'B' as usize] = Sign::Begin;
    signs
}

/// Finds everything in `text`. `fields` are names whose values are taken too, as [`secret::squeeze`] writes them.
pub(super) fn scan(text: &[u8], fields: &[String]) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    let (mut at, mut floor) = (0, 0);
    while let Some(byte) = text.get(at) {
        let (finding, next) = match SIGNS[usize::from(*byte)] {
            Sign::Nothing => {
                at += 1;
                continue;
            }
            Sign::Digit => number::at(text, at),
            Sign::Assign => (secret::assigned(text, at, at + 1, floor, fields), at + 1),
            Sign::Colon => (secret::after_colon(text, at, floor, fields), at + 1),
            Sign::At => (mail::at(text, at, at + 1, floor), at + 1),
            Sign::Token => (secret::json_web_token(text, at, floor), at + 1),
            Sign::Begin => (secret::begins(text, at), at + 1),
            Sign::Escape => match escape(text, at) {
                Some(b'@') => (mail::at(text, at, at + 3, floor), at + 3),
                Some(b'=') => (secret::assigned(text, at, at + 3, floor, fields), at + 3),
                Some(_) => (None, at + 3),
                None => (None, at + 1),
            },
        };
        at = next;
        if let Some(finding) = finding.filter(|f| f.start >= floor && f.start < f.end) {
            at = at.max(finding.end);
            floor = finding.end;
            found.push(finding);
        }
    }
    found
}

/// The byte that `%XX` at this place stands for.
pub(super) fn escape(text: &[u8], at: usize) -> Option<u8> {
    let [b'%', high, low] = *text.get(at..at + 3)?.first_chunk::<3>()? else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// The byte before a place, with escapes of URLs read; `None` at the text's beginning.
pub(super) fn before(text: &[u8], at: usize) -> Option<u8> {
    if let Some(byte) = at.checked_sub(3).and_then(|start| escape(text, start)) {
        return Some(byte);
    }
    at.checked_sub(1).map(|last| text[last])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        scan(text.as_bytes(), &["hoten".into()])
            .into_iter()
            .map(|f| (f.kind, &text[f.start..f.end]))
            .collect()
    }

    #[test]
    fn each_kind_is_found_where_it_stands() {
        let text = r#"GET /tra-cuu?cccd=001099012345&sdt=%2B84912345678&email=an.nguyen%40gmail.com&access_token=abc HTTP/1.1" "Authorization: Bearer x.y.z""#;
        assert_eq!(
            kinds(text),
            [
                (Kind::Identity, "001099012345"),
                (Kind::Telephone, "84912345678"),
                (Kind::Email, "an.nguyen%40gmail.com"),
                (Kind::Secret, "abc"),
                (Kind::Secret, "Bearer x.y.z"),
            ]
        );
    }

    #[test]
    fn fields_that_the_administrator_named_are_taken_whole() {
        assert_eq!(
            kinds(r#"{"ho_ten":"Nguyen Van A","x":1} ho-ten=An&y=2"#),
            [(Kind::Field, "Nguyen Van A"), (Kind::Field, "An")]
        );
    }

    #[test]
    fn escapes_are_read_as_what_they_stand_for() {
        assert_eq!(escape(b"%40", 0), Some(b'@'));
        assert_eq!((escape(b"%4", 0), escape(b"%zz", 0)), (None, None));
        assert_eq!(
            (before(b"%20x", 3), before(b"ab", 1), before(b"ab", 0)),
            (Some(b' '), Some(b'a'), None)
        );
    }
}
