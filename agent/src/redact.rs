//! What is taken out of a line before it is spooled.

use std::borrow::Cow;

/// Parameters whose value is a secret by its name.
const SECRET_PARAMETERS: [&str; 10] = [
    "password",
    "passwd",
    "pwd",
    "token",
    "access_token",
    "refresh_token",
    "id_token",
    "secret",
    "api_key",
    "apikey",
];

/// What stands in a value's place.
const MASK: &str = "***";

/// Masks the values of secret parameters of URLs (`?token=abc&`), wherever they stand in the text.
#[must_use]
pub fn url_secrets(text: &str) -> Cow<'_, str> {
    if !text.contains('=') {
        return Cow::Borrowed(text);
    }
    let mut masked = String::new();
    let mut taken = 0;
    for (place, _) in text.match_indices('=') {
        if place < taken {
            continue;
        }
        let name_start = text[..place]
            .char_indices()
            .rev()
            .find(|(_, c)| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')))
            .map_or(0, |(at, c)| at + c.len_utf8());
        let before = text[..name_start].chars().next_back();
        let name = &text[name_start..place];
        if !matches!(before, Some('?' | '&' | ';'))
            || !SECRET_PARAMETERS.iter().any(|secret| name.eq_ignore_ascii_case(secret))
        {
            continue;
        }
        let value = &text[place + 1..];
        let length = value
            .find(|c: char| c == '&' || c == ';' || c == '"' || c == '#' || c.is_whitespace())
            .unwrap_or(value.len());
        if length > 0 {
            masked.push_str(&text[taken..=place]);
            masked.push_str(MASK);
            taken = place + 1 + length;
        }
    }
    if taken == 0 {
        return Cow::Borrowed(text);
    }
    masked.push_str(&text[taken..]);
    Cow::Owned(masked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_in_urls_are_masked_and_nothing_else() {
        assert_eq!(
            url_secrets("GET /a?id=7&token=abc&x=1 HTTP/1.1"),
            "GET /a?id=7&token=***&x=1 HTTP/1.1"
        );
        assert_eq!(url_secrets("GET /?Password=p%20q"), "GET /?Password=***");
        assert_eq!(url_secrets("TTY=pts/0 ; token=abc"), "TTY=pts/0 ; token=abc");
        assert_eq!(url_secrets("a=b=c"), "a=b=c");
    }
}
