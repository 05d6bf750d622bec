//! Log lines to standard error. Fields of events may hold text from outside, so they are written by `Debug` or pass through
//! [`Harmless`], which shows control characters as escapes.

use std::fmt;

use tracing_subscriber::EnvFilter;

/// The environment variable that sets the level, e.g. `info,vonggac_agent=debug`.
pub const LEVEL_VARIABLE: &str = "VONGGAC_LOG";

/// Starts logging at `info` or at what [`LEVEL_VARIABLE`] says. A second call does nothing.
pub fn start() {
    let filter = EnvFilter::try_from_env(LEVEL_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(true)
        .try_init();
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
}

/// Shows text from outside without control or bidirectional characters.
pub struct Harmless<'a>(pub &'a str);

impl fmt::Display for Harmless<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for character in self.0.chars() {
            match character {
                '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    write!(formatter, "\\u{{{:x}}}", u32::from(character))?;
                }
                c if c.is_control() => write!(formatter, "\\x{:02x}", u32::from(c))?,
                c => formatter.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_bidi_marks_are_shown_not_obeyed() {
        assert_eq!(Harmless("a\u{1b}[2Jb\u{202e}c").to_string(), "a\\x1b[2Jb\\u{202e}c");
    }
}
