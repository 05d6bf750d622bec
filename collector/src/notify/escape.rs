//! Text of logs and of people, made harmless for what shows it. Pure.
//!
//! Everything that was not written in this project goes through one of these before it stands in a message: a line break would be a header
//! of a mail, a `<` a tag, a back-quote the end of a code span, an `@` somebody's telephone.

use vonggac_answer::sanitise::sanitise;

/// How a medium wants text from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// One line of plain text: a header or a line of a mail, a webhook's text.
    Plain,
    /// HTML as Telegram takes it.
    Html,
    /// Slack's mrkdwn, and Markdown of those that are like it.
    Mrkdwn,
}

/// At most so many characters, with a mark where there were more.
#[must_use]
pub fn cut(text: &str, characters_max: usize) -> String {
    match text.char_indices().nth(characters_max) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(characters_max.saturating_sub(1)).collect();
            format!("{kept}…")
        }
    }
}

/// A text of at most so many characters as a medium shows it: on one line, and as nothing but text.
#[must_use]
pub fn escape(medium: Medium, text: &str, characters_max: usize) -> String {
    // Control characters, marks of direction and what has no width become visible escapes first.
    let plain = cut(&sanitise(text), characters_max);
    match medium {
        Medium::Plain => plain,
        Medium::Html => entities(&plain),
        // In a code span neither marks of emphasis nor names that are called (@channel, <!here>) mean anything.
        Medium::Mrkdwn if plain.is_empty() => plain,
        Medium::Mrkdwn => format!("`{}`", entities(&plain.replace('`', "'"))),
    }
}

fn entities(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_commands_a_medium_is_text_in_it() {
        for (medium, hostile, harmless) in [
            (Medium::Plain, "a\r\nBcc: x@y", "a\\x0d\\x0aBcc: x@y"),
            (Medium::Plain, "a\u{202e}b", "a\\u{202e}b"),
            (Medium::Html, "<a href=\"x\">&", "&lt;a href=&quot;x&quot;&gt;&amp;"),
            (Medium::Mrkdwn, "`<!channel>` *b*", "`'&lt;!channel&gt;' *b*`"),
            (Medium::Mrkdwn, "", ""),
        ] {
            assert_eq!(escape(medium, hostile, 100), harmless);
        }
    }

    #[test]
    fn a_long_text_is_cut_where_a_mark_says_so_and_never_within_an_entity() {
        assert_eq!(escape(Medium::Plain, "đường", 5), "đường");
        assert_eq!(escape(Medium::Plain, "đường", 4), "đườ…");
        assert_eq!(escape(Medium::Html, "<<<<", 3), "&lt;&lt;…");
    }

    proptest! {
        #[test]
        fn whatever_a_log_says_it_stays_on_one_line_and_commands_nothing(text in any::<String>()) {
            let plain = escape(Medium::Plain, &text, 200);
            prop_assert!(!plain.chars().any(char::is_control), "{plain:?}");
            prop_assert!(plain.chars().count() <= 200);
            let html = escape(Medium::Html, &text, 200);
            prop_assert!(!html.contains(['<', '>', '"']) && !html.chars().any(char::is_control));
            for (at, _) in html.match_indices('&') {
                let rest = &html[at..];
                prop_assert!(["&amp;", "&lt;", "&gt;", "&quot;"].iter().any(|entity| rest.starts_with(entity)));
            }
            let mrkdwn = escape(Medium::Mrkdwn, &text, 200);
            let inner = mrkdwn.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
            prop_assert!(inner.is_none_or(|inner| !inner.contains(['`', '<', '>'])));
            prop_assert!(mrkdwn.is_empty() || inner.is_some());
        }
    }
}
