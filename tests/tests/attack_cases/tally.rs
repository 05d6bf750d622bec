//! What came of the cases.

use anyhow::ensure;

/// Cases that were tried.
#[derive(Default)]
pub(crate) struct Tally {
    held: usize,
    failed: Vec<String>,
}

impl Tally {
    /// Notes a case. What is wrong with it is told with its sentence.
    pub(crate) fn note(&mut self, sentence: &str, outcome: anyhow::Result<()>) {
        match outcome {
            Ok(()) => self.held += 1,
            Err(error) => {
                println!("FAILED {sentence}: {error:#}");
                self.failed.push(sentence.to_owned());
            }
        }
    }

    /// How many held.
    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    /// How many were tried.
    pub(crate) const fn tried(&self) -> usize {
        self.held + self.failed.len()
    }

    /// Those that did not hold.
    pub(crate) fn failed(&self) -> &[String] {
        &self.failed
    }
}

/// Whether a text has all of these words, in whatever case.
pub(crate) fn says(text: &str, words: &[&str]) -> anyhow::Result<()> {
    let lower = text.to_lowercase();
    for word in words {
        ensure!(lower.contains(&word.to_lowercase()), "{word:?} is not in the answer: {text:.600}");
    }
    Ok(())
}
