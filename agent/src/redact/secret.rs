//! Secrets by the name before them (`password=`, `"token":`, `Authorization:`) or by their own look (JSON web tokens, private keys).

use super::scan::{Finding, Kind, escape};

/// Bytes of a name.
const NAME_BYTES_MAX: usize = 48;

/// Bytes of the shortest name below.
const NAME_BYTES_MIN: usize = 3;

/// Bytes of a token that stands without a name, at least: shorter ones are words.
const TOKEN_BYTES_MIN: usize = 16;

/// Names that end so have a secret as their value. Written without separators, as [`squeeze`] does.
const ENDINGS: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "matkhau",
    "secret",
    "token",
    "apikey",
    "secretkey",
    "privatekey",
    "accesskey",
];

/// Names that are exactly so.
const NAMES: [&str; 16] = [
    "pwd",
    "pass",
    "pin",
    "otp",
    "otpcode",
    "maotp",
    "authorization",
    "proxyauthorization",
    "cookie",
    "setcookie",
    "jsessionid",
    "phpsessid",
    "sessionid",
    "samlresponse",
    "xamzsignature",
    "xamzcredential",
];

/// Parameters of URLs that are secrets if they are long: `?code=`, `&key=`, `&sig=`.
const PARAMETERS: [&str; 5] = ["code", "key", "sig", "signature", "assertion"];

/// The last letters of all these names.
const LAST_LETTERS: &[u8] = b"deglnpstuy";

/// Headers whose whole rest is a secret.
const HEADERS: [&str; 4] = ["authorization", "proxyauthorization", "cookie", "setcookie"];

/// Values that tell whether there was a secret, not which.
const PLAIN_VALUES: [&str; 13] = [
    "yes",
    "no",
    "true",
    "false",
    "null",
    "(null)",
    "none",
    "nil",
    "undefined",
    "0",
    "1",
    "***",
    "-",
];

/// Phrases of attacks. Such a value is evidence, and nobody's secret.
const ATTACKS: [&str; 12] = [
    "<script",
    "%3cscript",
    "union select",
    "union+select",
    "union%20select",
    "../",
    "..%2f",
    "/etc/passwd",
    "${jndi:",
    "sleep(",
    "' or ",
    "%27%20or%20",
];

/// Bytes behind a value in which the rest of such a phrase may stand.
const ATTACK_BYTES_MAX: usize = 16;

/// A name before a sign, as [`squeeze`] writes it: on the stack, because every line has some.
struct Name {
    bytes: [u8; NAME_BYTES_MAX],
    length: usize,
}

impl Name {
    /// Of letters, digits and what separates words; what goes beyond the most is not looked at.
    fn of(text: &[u8]) -> Self {
        let mut name = Self { bytes: [0; NAME_BYTES_MAX], length: 0 };
        let letters = text.iter().filter(|byte| byte.is_ascii_alphanumeric());
        for (place, byte) in name.bytes.iter_mut().zip(letters) {
            *place = byte.to_ascii_lowercase();
            name.length += 1;
        }
        name
    }

    fn is(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// A name in lower case, without what separates its words.
pub(super) fn squeeze(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether the value of this name is taken, and as what. `in_url`: it is a parameter.
pub(super) fn kind_of(name: &[u8], fields: &[String], in_url: bool) -> Option<Kind> {
    if fields.iter().any(|field| field.as_bytes() == name) {
        return Some(Kind::Field);
    }
    let is = |other: &&str| other.as_bytes() == name;
    let secret = ENDINGS.iter().any(|end| name.ends_with(end.as_bytes()))
        || NAMES.iter().any(is)
        || (in_url && PARAMETERS.iter().any(is));
    secret.then_some(Kind::Secret)
}

/// The value behind a `=` that takes the bytes from `at` to `behind`.
pub(super) fn assigned(
    text: &[u8],
    at: usize,
    behind: usize,
    floor: usize,
    fields: &[String],
) -> Option<Finding> {
    let (name, start) = name_before(text, at, floor, fields)?;
    let in_url = matches!(super::scan::before(text, start), Some(b'?' | b'&'));
    let kind = kind_of(name.as_bytes(), fields, in_url)?;
    let (from, to) = value(text, behind, in_url || behind > at + 1, kind == Kind::Field && !in_url);
    let long = to - from >= TOKEN_BYTES_MIN;
    if kind == Kind::Secret && PARAMETERS.iter().any(|other| name.is(other)) && !long {
        return None;
    }
    // `PWD=/root` is sudo's working folder.
    let folder = name.is("pwd") && text[from..].starts_with(b"/");
    (!folder && !is_plain(text, from, to, kind)).then_some(Finding::new(from, to, kind))
}

/// The value behind a `:`: of JSON, of a header, of an URL's user, or of a sentence that ends with it.
pub(super) fn after_colon(
    text: &[u8],
    at: usize,
    floor: usize,
    fields: &[String],
) -> Option<Finding> {
    if text[at + 1..].starts_with(b"//") {
        return user_of_url(text, at + 3);
    }
    let quoted = at.checked_sub(1).is_some_and(|last| matches!(text[last], b'"' | b'\''));
    let (name, _) = name_before(text, at, floor, fields)?;
    let kind = kind_of(name.as_bytes(), fields, false)?;
    if HEADERS.iter().any(|header| name.is(header)) {
        let (from, to) = rest_of_header(text, at + 1);
        return (!is_plain(text, from, to, kind)).then_some(Finding::new(from, to, kind));
    }
    let (from, to) = value(text, at + 1, false, false);
    // A sentence goes on behind a word: "bad password: it is too short".
    let whole = quoted
        || !matches!((text.get(to), text.get(to + 1)), (Some(b' '), Some(next)) if next.is_ascii_alphanumeric());
    (whole && !is_plain(text, from, to, kind)).then_some(Finding::new(from, to, kind))
}

/// The name that ends before `at`, squeezed, and where it begins. Only such as may be taken are looked at closely.
fn name_before(text: &[u8], at: usize, floor: usize, fields: &[String]) -> Option<(Name, usize)> {
    let mut end = at;
    if end > floor && text[end - 1] == b' ' {
        end -= 1;
    }
    if end > floor && matches!(text[end - 1], b'"' | b'\'') {
        end -= 1;
        if end > floor && text[end - 1] == b'\\' {
            end -= 1;
        }
    } else if end > floor && text[end - 1] == b']' {
        end -= 1;
    } else if end >= floor + 3 && escape(text, end - 3) == Some(b']') {
        end -= 3;
    }
    // Nearly all names are none of ours, and their last letter shows it.
    let last = text.get(end.checked_sub(1)?)?.to_ascii_lowercase();
    if fields.is_empty() && !LAST_LETTERS.contains(&last) {
        return None;
    }
    let mut start = end;
    while start > floor && end - start < NAME_BYTES_MAX {
        let byte = text[start - 1];
        let escaped = start >= 3 && escape(text, start - 3).is_some();
        if escaped || !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')) {
            break;
        }
        start -= 1;
    }
    let own = &text[start..end];
    let short = fields.is_empty() && own.len() < NAME_BYTES_MIN;
    (!own.is_empty() && !short).then(|| (Name::of(own), start))
}

/// From where to where a value goes. `to_line_end`: it may hold spaces.
fn value(text: &[u8], behind: usize, in_url: bool, spaces: bool) -> (usize, usize) {
    let mut from = behind;
    // `password= user=x` is an empty one, `password = x` is not.
    let loose = text[behind - 1] == b':' || behind >= 2 && text[behind - 2] == b' ';
    while !in_url && loose && text.get(from) == Some(&b' ') {
        from += 1;
    }
    let escaped = text.get(from) == Some(&b'\\') && text.get(from + 1) == Some(&b'"');
    from += usize::from(escaped);
    let quote = text.get(from).copied().filter(|b| matches!(b, b'"' | b'\'') && !in_url);
    from = (from + usize::from(quote.is_some())).min(text.len());
    let mut to = from;
    while let Some(byte) = text.get(to) {
        let ends = match quote {
            Some(quote) if escaped => *byte == b'\\' && text.get(to + 1) == Some(&quote),
            Some(quote) => *byte == quote,
            None => {
                matches!(byte, b'&' | b'"' | b'#' | b'\n' | b'\r' | b'\\')
                    || (byte.is_ascii_whitespace() && !spaces)
                    || (!in_url && matches!(byte, b';' | b',' | b'}' | b')' | b']' | b'|'))
                    || (in_url && *byte == b';')
                    || escape(text, to) == Some(b'&')
            }
        };
        if ends {
            break;
        }
        // A quote inside a quoted value is written with a backslash before it.
        to += if quote.is_some() && !escaped && *byte == b'\\' { 2 } else { 1 };
    }
    (from, to.min(text.len()))
}

/// All of a header's value.
fn rest_of_header(text: &[u8], behind: usize) -> (usize, usize) {
    let mut from = behind;
    while matches!(text.get(from), Some(b' ' | b'"' | b'\\' | b'\'')) {
        from += 1;
    }
    let rest = &text[from..];
    let length = rest
        .iter()
        .position(|b| matches!(b, b'"' | b'\'' | b'\r' | b'\n' | b'\\' | b'}' | b']'))
        .unwrap_or(rest.len());
    (from, from + length)
}

/// The password in `//user:password@host`.
fn user_of_url(text: &[u8], start: usize) -> Option<Finding> {
    let rest = &text[start..];
    let length = rest
        .iter()
        .position(|b| {
            matches!(b, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>') || b.is_ascii_whitespace()
        })
        .unwrap_or(rest.len());
    let authority = &rest[..length];
    let at = memchr::memrchr(b'@', authority)?;
    let colon = memchr::memchr(b':', &authority[..at])?;
    Some(Finding::new(start + colon + 1, start + at, Kind::Secret))
}

/// `eyJ...` with three parts.
pub(super) fn json_web_token(text: &[u8], at: usize, floor: usize) -> Option<Finding> {
    let start =
        at.checked_sub(2).filter(|start| *start >= floor && text[*start..].starts_with(b"eyJ"))?;
    if start > floor && is_token_byte(text[start - 1]) && text[start - 1] != b'=' {
        return None;
    }
    let rest = &text[start..];
    let length = rest.iter().position(|b| !is_token_byte(*b)).unwrap_or(rest.len());
    let token = &rest[..length];
    let dots = memchr::memchr_iter(b'.', token).count();
    (length >= TOKEN_BYTES_MIN && (1..=4).contains(&dots)).then_some(Finding::new(
        start,
        start + length,
        Kind::Secret,
    ))
}

/// `Bearer TOKEN` without a header's name, and private keys.
pub(super) fn begins(text: &[u8], at: usize) -> Option<Finding> {
    let rest = &text[at..];
    if let Some(token) = rest.strip_prefix(b"Bearer ") {
        let length = token.iter().position(|b| !is_token_byte(*b)).unwrap_or(token.len());
        let from = at + "Bearer ".len();
        return (length >= TOKEN_BYTES_MIN).then_some(Finding::new(
            from,
            from + length,
            Kind::Secret,
        ));
    }
    let head = &rest[..rest.len().min(48)];
    let key = memchr::memmem::find(head, b"PRIVATE KEY-----")?;
    (head.starts_with(b"BEGIN ")).then(|| {
        let from = at + key + "PRIVATE KEY-----".len();
        let end = memchr::memmem::find(&text[from..], b"-----END").map_or(text.len(), |n| from + n);
        Finding::new(from, end, Kind::Secret)
    })
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'+' | b'/' | b'=')
}

/// Nothing that has to be hidden: no value, a word about one, or an attack.
fn is_plain(text: &[u8], from: usize, to: usize, kind: Kind) -> bool {
    let value = String::from_utf8_lossy(&text[from..to]).to_ascii_lowercase();
    let said = value.trim();
    if said.is_empty() || PLAIN_VALUES.contains(&said) {
        return true;
    }
    // An attack may go on behind a space, where the value ends.
    let seen = &text[from..text.len().min(to + ATTACK_BYTES_MAX)];
    let seen = String::from_utf8_lossy(seen).to_ascii_lowercase();
    kind == Kind::Secret && ATTACKS.iter().any(|attack| seen.contains(attack))
}

#[cfg(test)]
mod tests {
    fn found(text: &str) -> Vec<&str> {
        super::super::scan::scan(text.as_bytes(), &[])
            .into_iter()
            .map(|f| &text[f.start..f.end])
            .collect()
    }

    #[test]
    fn secrets_are_found_by_their_names() {
        for (text, secret) in [
            ("GET /a?id=7&token=abc&x=1 HTTP/1.1", "abc"),
            ("GET /?Password=p%20q HTTP/1.1", "p%20q"),
            ("/back?to=%2Fa%3Faccess_token%3Dabc%26x%3D1", "abc"),
            ("password=hunter2 user=x", "hunter2"),
            (r#"password = "two words", x"#, "two words"),
            (r#"{"new_password": "a\"b", "x": 1}"#, r#"a\"b"#),
            (r#"{"log":"{\"client_secret\":\"abc\"}"}"#, "abc"),
            ("user[password]=abc&y=1", "abc"),
            ("user%5Bpassword%5D=abc&y=1", "abc"),
            ("mat_khau: abc123", "abc123"),
            ("Authorization: Basic dXNlcjpwYXNz", "Basic dXNlcjpwYXNz"),
            ("Cookie: a=1; JSESSIONID=AF12", "a=1; JSESSIONID=AF12"),
            ("X-Api-Key: 12345", "12345"),
            ("postgres://app:s3cret@db.gov.vn:5432/x", "s3cret"),
            (
                "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln ok",
                "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
            ),
            ("with Bearer 0123456789abcdef0123", "0123456789abcdef0123"),
            ("/cb?code=4/0AX4XfWh-abcdefgh&state=1", "4/0AX4XfWh-abcdefgh"),
            ("-----BEGIN RSA PRIVATE KEY-----MIIabc-----END RSA", "MIIabc"),
        ] {
            assert_eq!(found(text), [secret], "{text}");
        }
    }

    #[test]
    fn words_about_secrets_are_none() {
        for text in [
            "Failed password for root from 203.0.113.7 port 22 ssh2",
            "Access denied for user 'x'@'10.0.0.1' (using password: YES)",
            "BAD PASSWORD: it is based on a dictionary word",
            "token=; password= user=x",
            "HTTP code=200 key=5 status: 200",
            "password=null, token: none",
            "TTY=pts/0 ; PWD=/root ; USER=root ; COMMAND=/bin/ls",
            "/login?password=' OR 1=1 --",
            "/x?token=<script>alert(1)</script>",
        ] {
            assert_eq!(found(text), Vec::<&str>::new(), "{text}");
        }
    }
}
