//! The longest text that an expression cannot do without, read off its source: whoever lacks it need not be tried.

/// Shorter ones tell too little.
const LITERAL_BYTES_MIN: usize = 3;

/// The longest literal of an expression's top level. `None`: it has none that is sure.
pub(super) fn longest(source: &str) -> Option<String> {
    if source.contains("(?i") || source.contains("(?x") || has_alternatives(source) {
        return None;
    }
    let mut runs = Runs::default();
    let mut characters = source.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped) if escaped.is_ascii_punctuation() => runs.push(escaped),
                _ => runs.end(),
            },
            '[' => {
                skip_class(&mut characters);
                runs.end();
            }
            '(' => {
                skip_group(&mut characters);
                runs.end();
            }
            // The character before may be left out.
            '?' | '*' | '{' => {
                runs.take_back();
                if character == '{' {
                    let _ = characters.by_ref().find(|c| *c == '}');
                }
            }
            '.' | '^' | '$' | '+' | ')' => runs.end(),
            plain => runs.push(plain),
        }
    }
    runs.end();
    (runs.best.len() >= LITERAL_BYTES_MIN).then_some(runs.best)
}

#[derive(Default)]
struct Runs {
    now: String,
    best: String,
}

impl Runs {
    fn push(&mut self, character: char) {
        self.now.push(character);
    }

    fn take_back(&mut self) {
        self.now.pop();
        self.end();
    }

    fn end(&mut self) {
        if self.now.len() > self.best.len() {
            self.best.clone_from(&self.now);
        }
        self.now.clear();
    }
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Behind `[`, to the `]` that closes it.
fn skip_class(characters: &mut Characters<'_>) {
    if characters.peek() == Some(&'^') {
        characters.next();
    }
    // A `]` that stands first is one of the class.
    let mut first = true;
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                characters.next();
            }
            '[' => skip_class(characters),
            ']' if !first => return,
            _ => {}
        }
        first = false;
    }
}

/// Behind `(`, to the `)` that closes it.
fn skip_group(characters: &mut Characters<'_>) {
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                characters.next();
            }
            '[' => skip_class(characters),
            '(' => skip_group(characters),
            ')' => return,
            _ => {}
        }
    }
}

/// Whether `|` stands outside of groups.
fn has_alternatives(source: &str) -> bool {
    let mut characters = source.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                characters.next();
            }
            '[' => skip_class(&mut characters),
            '(' => skip_group(&mut characters),
            '|' => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_every_match_must_hold_is_a_literal() {
        for (source, wanted) in [
            (r"^user (?<user>.*): password mismatch", Some(": password mismatch")),
            (r"^\[client (?<src>\S+)\] ", Some("[client ")),
            (r"abcd?efg", Some("abc")),
            (r"ab{0,2}cdef", Some("cdef")),
            (r"abc|def", None),
            (r"(?:abc|defg)hi", None),
            (r"[]|abc]xyz+", Some("xyz")),
            (r"(?i)access denied", None),
            (r"^\d+\.\d+", None),
        ] {
            assert_eq!(longest(source).as_deref(), wanted, "{source}");
        }
    }
}
