//! A yes before something is destroyed.

use std::io::{IsTerminal as _, Write as _};

/// What a person said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// "yes", written out.
    Given,
    /// Anything else.
    Refused,
    /// Nobody is at a terminal to be asked.
    NobodyThere,
}

/// Asks at the terminal, beside the answer and not in it.
#[must_use]
#[expect(clippy::print_stderr, reason = "a question stands beside the answer, not in it")]
pub fn ask(question: &str) -> Consent {
    if !std::io::stdin().is_terminal() {
        return Consent::NobodyThere;
    }
    eprint!("{question} [yes/no] ");
    let _flushed = std::io::stderr().flush();
    let mut answer = String::new();
    match std::io::stdin().read_line(&mut answer) {
        Ok(_) if answer.trim() == "yes" => Consent::Given,
        _ => Consent::Refused,
    }
}
