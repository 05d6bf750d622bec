//! One pass over a text that finds what does not belong in a log.
//!
//! Bytes at which something may begin, end or turn are marked for a whole block in a few wide steps; only those are looked at. What is
//! found never overlaps and comes in the order of the text. Escapes of URLs (`%40`, `%3D`) count as what they stand for.

use super::{
    mail,
    marks::{BLOCK_BYTES, Marks},
    number, secret,
};

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

/// Finds everything in `text`. `fields` are names whose values are taken too, as [`secret::squeeze`] writes them.
pub(super) fn scan(text: &[u8], fields: &[String]) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    let (mut at, mut floor) = (0, 0);
    // A name that ends with a digit is only one of the administrator's.
    let clocks = !fields.is_empty();
    let mut blocks = text.chunks(BLOCK_BYTES);
    let mut marked = || blocks.next().map(Marks::of).unwrap_or_default();
    let (mut before, mut this, mut behind) = (Marks::default(), marked(), marked());
    for base in (0..text.len()).step_by(BLOCK_BYTES) {
        let mut signs = this.signs(before, behind, clocks);
        loop {
            // What was passed by is not looked at again.
            signs &= u64::MAX.checked_shl(passed(at, base)).unwrap_or(0);
            if signs == 0 {
                break;
            }
            let place = base + signs.trailing_zeros() as usize;
            let (finding, next) = judge(text, place, floor, fields);
            at = next;
            if let Some(finding) = finding.filter(|f| f.start >= floor && f.start < f.end) {
                at = at.max(finding.end);
                floor = finding.end;
                found.push(finding);
            }
        }
        (before, this, behind) = (this, behind, marked());
    }
    found
}

/// Places of a block that are behind.
fn passed(at: usize, base: usize) -> u32 {
    u32::try_from(at.saturating_sub(base)).unwrap_or(u32::MAX)
}

/// What the byte at a place is the sign of, and where to go on.
fn judge(text: &[u8], at: usize, floor: usize, fields: &[String]) -> (Option<Finding>, usize) {
    match text[at] {
        b'0'..=b'9' => number::at(text, at),
        b'=' => (secret::assigned(text, at, at + 1, floor, fields), at + 1),
        b':' => (secret::after_colon(text, at, floor, fields), at + 1),
        b'@' => (mail::at(text, at, at + 1, floor), at + 1),
        b'J' => (secret::json_web_token(text, at, floor), at + 1),
        b'B' => (secret::begins(text, at), at + 1),
        b'%' => match escape(text, at) {
            Some(b'@') => (mail::at(text, at, at + 3, floor), at + 3),
            Some(b'=') => (secret::assigned(text, at, at + 3, floor, fields), at + 3),
            Some(_) => (None, at + 3),
            None => (None, at + 1),
        },
        _ => (None, at + 1),
    }
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

    proptest::proptest! {
        /// Marks save looks; they must not save findings.
        #[test]
        fn what_is_found_by_marks_is_what_is_found_byte_by_byte(
            pieces in proptest::collection::vec(0_usize..20, 0..60),
            pad in 0_usize..130,
            named in proptest::bool::ANY,
        ) {
            const PIECES: [&str; 20] = [
                "7", "001099012345", "0912 345 678", "%40", "an.b@gmail.com", "&token=", "password: x",
                "eyJhbGciOi.J9x.abcdefgh", "Bearer abcdefghijklmnopq", " ", "a", "-", "%3D", ".",
                "09:41:12", "f2:77", "%2", "cmnd 123456789", "4111-1111-1111-1111", "+84 91",
            ];
            let fields = if named { vec!["f2".to_owned()] } else { Vec::new() };
            let mut text = "x".repeat(pad);
            text.extend(pieces.iter().map(|piece| PIECES[*piece]));
            let text = text.as_bytes();
            let (mut wanted, mut at, mut floor) = (Vec::new(), 0, 0);
            while at < text.len() {
                let (finding, next) = judge(text, at, floor, &fields);
                at = next;
                if let Some(finding) = finding.filter(|f| f.start >= floor && f.start < f.end) {
                    at = at.max(finding.end);
                    floor = finding.end;
                    wanted.push(finding);
                }
            }
            proptest::prop_assert_eq!(scan(text, &fields), wanted);
        }
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
