//! A request as a server may come to understand it: what a client sent, with the disguises taken off that servers, shells and
//! databases take off themselves. Rules look at these views, so that one expression finds what is written in a hundred ways.
//!
//! Pure and bounded: at most [`LOOKED_AT_BYTES_MAX`] bytes are looked at. A `&` or `?` that the client sent bare separates parameters
//! and becomes [`PARAMETER`] or [`QUERY`]; one that it encoded stays what it is, because it is then part of a value.

use std::sync::LazyLock;

use regex::Regex;

/// Bytes of a request that are looked at; longer ones are rare, and their beginning tells enough.
const LOOKED_AT_BYTES_MAX: usize = 8 * 1024;

/// Times that percent-encoding is taken off: twice hides from many filters, three times from most.
const DECODED_TIMES_MAX: usize = 3;

/// Bytes of a word that may be a hidden command or path.
const WORD_BYTES_MAX: usize = 256;

/// Between parameters.
const PARAMETER: char = '\u{1}';

/// Between path and parameters.
const QUERY: char = '\u{2}';

/// The views of one request. Those but the first are there only where something telling stands in it.
#[derive(Debug, Default)]
pub struct Views {
    /// Decoded, in small letters.
    pub request: String,
    /// `request` holds something telling.
    pub telling: bool,
    /// `request` as a database reads it: comments are blanks, blanks are one.
    pub sql: String,
    /// `request` as a shell reads it: without quotes, escapes and empty expansions inside words.
    pub shell: String,
    /// Words of `request` that are cut by quotes, escapes or empty expansions, put together again, one a blank.
    pub evaded: String,
    /// Agent and referrer, decoded, in small letters.
    pub header: Option<String>,
}

/// What few ordinary requests hold: signs of code, words of queries. What has none of it is not looked at for them.
static TELLING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"['"<>(){}\[\];|`$\\^*!@~#\n?]|proto|[a-z]:\d|\b(?:time|env|sudo|exec|command) |\.\.|//|--|__|&|/\.|/etc|/proc|/sys|/bin|/usr|/tmp|/dev|=/(?:var|root)/|: |:/|::|\.ssh|\b(?:select|union|order|group|having|sleep|exec|declare|insert|delete|update|drop|truncate|like|waitfor|shutdown|backup|print|case|except|between|rlike|null)\b|\b(?:or|and|xor|not|in|is|if)[ /]|[ ](?:-|/)|\b(?:cat|wget|curl|ping|bash|sh|cmd|powershell|nc|id|uname|whoami|perl|python|php)[ ]|(?:\.ini|\.config|\.asax|-inf|\.history)\b|\bro0ab|\brequire\b|\bfile\.|\bio\.|\bclass|[\s"'/]on[a-z]{3,45}\s*="#,
    )
    .ok()
});

/// The same of agents and referrers, whose brackets and semicolons are ordinary.
static HEADER_TELLING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?m)[${<>'"`|]|/(?:etc|proc|bin|dev|et[*?])\b|^;|^(?:set|env|cat|id) -|\(\)|\bon[a-z]{3,20}\s*=|\b(?:select|delete|insert)\b|!entity|::|url\(|\.\./"#).ok()
});

impl Views {
    /// The views of what an access log holds of a request.
    #[must_use]
    pub fn of(url: &str, agent: &str, referrer: &str) -> Self {
        let request = decoded(cut(url), true);
        let telling = TELLING.as_ref().is_none_or(|telling| telling.is_match(&request));
        let header = header(cut(agent), cut(referrer));
        let header = HEADER_TELLING
            .as_ref()
            .is_none_or(|telling| telling.is_match(&header))
            .then_some(header);
        let (sql, shell, evaded) = if telling {
            (as_sql(&request), as_shell(&request), cut_words(&request))
        } else {
            Default::default()
        };
        Self { request, telling, sql, shell, evaded, header }
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(text.len().min(LOOKED_AT_BYTES_MAX))]
}

/// Takes off percent-encoding, `%u0027`, overlong UTF-8, `\x27`, `\u0027` and HTML's entities; makes letters small. Line ends become
/// one `\n`, other control characters blanks, NUL nothing.
fn decoded(text: &str, separators: bool) -> String {
    let mut plain = String::with_capacity(text.len());
    if append_plain(text, separators, &mut plain) { plain } else { unveiled(text, separators) }
}

/// Agent and referrer, one below the other, decoded.
fn header(agent: &str, referrer: &str) -> String {
    let mut plain = String::with_capacity(agent.len() + 1 + referrer.len());
    if append_plain(agent, false, &mut plain) {
        plain.push('\n');
        if append_plain(referrer, false, &mut plain) {
            return plain;
        }
    }
    unveiled(&format!("{agent}\n{referrer}"), false)
}

/// Appends a text that hides nothing, as nearly all are: one of ASCII without escapes, entities and control characters. `false`: it is to
/// be looked at with more care, and what was appended is worth nothing.
fn append_plain(text: &str, separators: bool, plain: &mut String) -> bool {
    let mut query = false;
    for byte in text.bytes() {
        plain.push(match byte {
            b'?' if separators && !query => {
                query = true;
                QUERY
            }
            b'&' if query => PARAMETER,
            b'+' if query => ' ',
            b'%' | b'\\' | b'&' => return false,
            b' '..=b'~' => char::from(byte.to_ascii_lowercase()),
            _ => return false,
        });
    }
    true
}

/// The same of any text, step by step.
fn unveiled(text: &str, separators: bool) -> String {
    let mut text: String = if separators { separated(text) } else { text.to_owned() };
    for turn in 0..DECODED_TIMES_MAX {
        if !text.contains('%') {
            break;
        }
        // What was hidden once more was a form's value the time before.
        if turn > 0 && separators {
            text = text.replace('+', " ");
        }
        let next = percent(&text);
        if next == text {
            break;
        }
        text = next;
    }
    if text.contains('\\') {
        text = escapes(&text);
    }
    if text.contains('&') {
        text = entities(&text);
    }
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\r' | '\n' => {
                if !plain.ends_with('\n') {
                    plain.push('\n');
                }
            }
            '\0' => {}
            // Nearly all of them.
            ' '..='~' => plain.push(character.to_ascii_lowercase()),
            PARAMETER | QUERY => plain.push(character),
            '\u{3002}' | '\u{ff61}' => plain.push('.'),
            // Full-width forms are letters to many servers.
            '\u{ff01}'..='\u{ff5e}' => {
                let narrow = char::from_u32(u32::from(character) - 0xfee0).unwrap_or(character);
                plain.extend(narrow.to_lowercase());
            }
            other if other.is_control() || other.is_whitespace() => plain.push(' '),
            other => plain.extend(other.to_lowercase()),
        }
    }
    plain
}

/// Bare separators, before anything is decoded.
fn separated(url: &str) -> String {
    if !url.contains('?') {
        return url.to_owned();
    }
    let mut query = false;
    url.chars()
        .map(|character| match character {
            '?' if !query => {
                query = true;
                QUERY
            }
            '&' if query => PARAMETER,
            // In a path it is itself.
            '+' if query => ' ',
            other => other,
        })
        .collect()
}

fn percent(text: &str) -> String {
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut plain: Vec<u8> = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            // `%u0027` of IIS.
            if matches!(bytes.get(at + 1), Some(b'u' | b'U')) {
                if let (Some(a), Some(b), Some(c), Some(d)) =
                    (hex(at + 2), hex(at + 3), hex(at + 4), hex(at + 5))
                {
                    let code = a << 12 | b << 8 | c << 4 | d;
                    let mut buffer = [0; 4];
                    let character = char::from_u32(code).unwrap_or('?');
                    plain.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                    at += 6;
                    continue;
                }
            }
            if let (Some(high), Some(low)) = (hex(at + 1), hex(at + 2)) {
                plain.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                at += 3;
                continue;
            }
        }
        plain.push(bytes[at]);
        at += 1;
    }
    String::from_utf8_lossy(&short(plain)).into_owned()
}

/// Overlong UTF-8 (`C0 AF` for `/`) as the lenient read it.
fn short(bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.iter().any(|byte| matches!(byte, 0xc0 | 0xc1)) {
        return bytes;
    }
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (lead @ (0xc0 | 0xc1), Some(next)) => {
                plain.push((lead & 1) << 6 | (next & 0x3f));
                at += 2;
            }
            (byte, _) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    plain
}

/// `\x27`, `\u0027`, `\u{27}`.
fn escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let digits = |skip: usize, count: usize| {
            let hex = after.get(skip..skip + count)?;
            let code = u32::from_str_radix(hex, 16).ok()?;
            Some((char::from_u32(code)?, skip + count))
        };
        let found = match after.as_bytes().first() {
            Some(b'x' | b'X') => digits(1, 2),
            Some(b'u' | b'U') if after.as_bytes().get(1) == Some(&b'{') => {
                after.find('}').filter(|end| *end <= 10).and_then(|end| {
                    let code = u32::from_str_radix(&after[2..end], 16).ok()?;
                    Some((char::from_u32(code)?, end + 1))
                })
            }
            Some(b'u' | b'U') => digits(1, 4),
            _ => None,
        };
        match found {
            Some((character, length)) => {
                plain.push(character);
                rest = &after[length..];
            }
            None => {
                plain.push('\\');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// `&#39;`, `&#x27;`, `&lt;` and their like.
fn entities(text: &str) -> String {
    const NAMES: [(&str, char); 14] = [
        ("lt", '<'),
        ("gt", '>'),
        ("quot", '"'),
        ("apos", '\''),
        ("amp", '&'),
        ("colon", ':'),
        ("lpar", '('),
        ("rpar", ')'),
        ("tab", ' '),
        ("newline", '\n'),
        ("lbrace", '{'),
        ("rbrace", '}'),
        ("dollar", '$'),
        ("sol", '/'),
    ];
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let end =
            after.find(|c: char| !c.is_ascii_alphanumeric() && c != '#').unwrap_or(after.len());
        let name = &after[..end];
        let code =
            name.strip_prefix('#').and_then(|number| match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => number.parse().ok(),
            });
        let found = code.and_then(char::from_u32).or_else(|| {
            let whole = after[end..].starts_with(';');
            let known = NAMES.iter().find(|(known, _)| whole && name.eq_ignore_ascii_case(known));
            known.map(|(_, character)| *character)
        });
        match found {
            Some(character) => {
                plain.push(character);
                rest = after[end..].strip_prefix(';').unwrap_or(&after[end..]);
            }
            None => {
                plain.push('&');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// `un/**/ion` is no word, `/*!50000union*/` is one, blanks are one blank.
fn as_sql(payload: &str) -> String {
    let mut plain = String::with_capacity(payload.len());
    let mut rest = payload;
    while let Some(at) = rest.find("/*") {
        plain.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let end = inner.find("*/");
        if let Some(code) = inner.strip_prefix('!') {
            // MySQL runs what stands in such a comment.
            let code = &code[..end.map_or(code.len(), |end| end.saturating_sub(1))];
            plain.push(' ');
            plain.push_str(code.trim_start_matches(|c: char| c.is_ascii_digit()));
        }
        plain.push(' ');
        rest = end.map_or("", |end| &inner[end + 2..]);
    }
    plain.push_str(rest);
    folded(&plain)
}

fn folded(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        let character = if character == '\n' { ' ' } else { character };
        if character != ' ' || !plain.ends_with(' ') {
            plain.push(character);
        }
    }
    plain
}

/// `c''at`, `c\at`, `c$@at`, `pi``ng`, `c^at`, `/etc/pas[s]wd` are words to a shell.
fn as_shell(payload: &str) -> String {
    static EMPTY: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r#"''|""|``|\$\(\)|[<>]\(\)|\$[@*?!_$#-]|\$\{[@*?!_$#0-9-]\}|['"\\^]"#).ok()
    });
    static SINGLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\[[!^]?(\w)/*\]").ok());
    static IFS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\$\{?ifs[^}\w]?\}?").ok());
    let mut text = payload.to_owned();
    for (expression, with) in [(&IFS, " "), (&EMPTY, ""), (&SINGLE, "$1")] {
        if let Some(expression) = expression.as_ref() {
            text = expression.replace_all(&text, with).into_owned();
        }
    }
    text
}

/// Words of commands are hidden by quotes that a shell takes off: `w'h'oami`, `c\at`, `""p""ing`. Apostrophes of languages are no
/// such: one alone counts only where another mark of hiding is in the word.
fn cut_words(payload: &str) -> String {
    let ends = |letter: char| {
        letter.is_whitespace() || ";|&`(){}<>=,".contains(letter) || letter.is_control()
    };
    let hiding = |letter: &char| matches!(letter, '\'' | '"' | '\\' | '^');
    let mut words = String::new();
    for word in payload.split(ends).filter(|word| word.len() <= WORD_BYTES_MAX) {
        // Quotes around all of it hide nothing.
        let inner = word.trim_matches(['\'', '"']);
        let quotes = word.chars().filter(hiding).count();
        let inside = inner.contains(['\'', '"', '\\', '^']);
        if inside && (quotes >= 2 || inner.contains(['\\', '^'])) {
            words.extend(word.chars().filter(|letter| !hiding(letter)));
            words.push(' ');
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(url: &str) -> String {
        Views::of(url, "", "").request
    }

    #[test]
    fn encodings_hide_nothing() {
        assert_eq!(payload("/a?f=..%252f..%252fetc%252fpasswd"), "/a\u{2}f=../../etc/passwd");
        assert_eq!(payload("/a?q=1%27+OR+1=1"), "/a\u{2}q=1' or 1=1");
        assert_eq!(payload("/a?f=..%c0%af..%c0%afetc"), "/a\u{2}f=../../etc");
        assert_eq!(payload("/a?x=%u003cscript%u003e"), "/a\u{2}x=<script>");
        assert_eq!(payload("/a?x=&#x3c;svg&#62;"), "/a\u{2}x=\u{1}#x3c;svg\u{1}#62;");
        assert_eq!(payload("/a?x=%26%23x3c;svg%26lt;"), "/a\u{2}x=<svg<");
        assert_eq!(payload(r"/a?x=\x3cscript\u{3e}"), "/a\u{2}x=<script>");
    }

    #[test]
    fn a_separator_that_was_encoded_is_part_of_a_value() {
        assert_eq!(payload("/a?x=1&y=2%26id"), "/a\u{2}x=1\u{1}y=2&id");
    }

    #[test]
    fn databases_and_shells_read_through_comments_and_quotes() {
        let views = Views::of("/a?x=1/**/UNION/*!50000SELECT*/1", "", "");
        assert!(views.sql.contains("union select 1"), "{}", views.sql);
        let views = Views::of("/a?x=;c%27%27at%20/et%22%22c/pas[s]wd", "", "");
        assert!(views.shell.contains(";cat /etc/passwd"), "{}", views.shell);
        let views = Views::of("/a?x=;cat$IFS/etc/passwd", "", "");
        assert!(views.shell.contains(";cat"), "{}", views.shell);
    }

    #[test]
    fn ordinary_requests_are_passed_over() {
        for url in
            ["/", "/ho-so/tra-cuu?ten=Nguy%E1%BB%85n%20V%C4%83n%20A&trang=2", "/css/a.css?v=12"]
        {
            let views =
                Views::of(url, "Mozilla/5.0 (X11; Linux x86_64)", "https://dvc.example.vn/");
            assert!(!views.telling && views.header.is_none(), "{url}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_text_that_hides_nothing_is_read_as_with_more_care(
            text in r"[a-zA-Z0-9/?&+=. %\\\x7f\n;#\u{e9}]{0,24}", separators in proptest::prelude::any::<bool>(),
        ) {
            proptest::prop_assert_eq!(decoded(&text, separators), unveiled(&text, separators));
        }

        #[test]
        fn plain_headers_are_read_as_with_more_care(
            agent in r"[a-zA-Z/ %\n&\u{e9}]{0,12}", referrer in r"[a-zA-Z:/ %\n?&]{0,12}",
        ) {
            let with_care = unveiled(&format!("{agent}\n{referrer}"), false);
            proptest::prop_assert_eq!(header(&agent, &referrer), with_care);
        }

        #[test]
        fn no_request_makes_it_panic(url in ".*", agent in ".*") {
            let _views = Views::of(&url, &agent, "");
        }
    }
}
