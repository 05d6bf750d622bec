//! What is taken out of events before they are spooled.

use std::path::PathBuf;

use regex::bytes::Regex;
use vonggac_daemon::settings::Table;

use crate::redact::{KeyError, Mode, Redactor, Rules};

/// Patterns of an administrator: each is a pass over every line.
const PATTERNS_MAX: usize = 32;

/// Redaction.
#[derive(Clone, Debug)]
pub struct RedactConfig {
    /// What is taken.
    pub rules: Rules,
    /// Where the key of pseudonyms is kept; `None`: in the spool's folder.
    pub key_file: Option<PathBuf>,
}

/// The key's file in the spool's folder.
const KEY_FILE: &str = "pseudonym.key";

impl RedactConfig {
    pub(super) fn take(table: &mut Table<'_>) -> Self {
        let usual = Rules::default();
        let mut mode = |name, usual| {
            table.parsed(name, "\"keep\", \"mask\" or \"pseudonym\"").unwrap_or(usual)
        };
        let mut rules = Rules {
            identity_numbers: mode("identity_numbers", usual.identity_numbers),
            telephones: mode("telephones", usual.telephones),
            emails: mode("emails", usual.emails),
            cards: mode("cards", usual.cards),
            secrets: mode("secrets", usual.secrets),
            user_names: mode("user_names", usual.user_names),
            source_addresses: mode("source_addresses", usual.source_addresses),
            fields: Vec::new(),
            patterns: Vec::new(),
        };
        if rules.secrets == Mode::Pseudonym {
            table.wrong(
                "secrets",
                "is \"pseudonym\"; wanted \"mask\" or \"keep\": a secret is no person",
            );
        }
        rules.fields = table.texts("fields").unwrap_or_default();
        let patterns = table.texts("patterns").unwrap_or_default();
        if patterns.len() > PATTERNS_MAX {
            table.wrong(
                "patterns",
                format!("are {}; wanted at most {PATTERNS_MAX}", patterns.len()),
            );
        }
        for pattern in patterns.iter().take(PATTERNS_MAX) {
            match Regex::new(pattern) {
                Ok(pattern) => rules.patterns.push(pattern),
                Err(error) => {
                    table.wrong("patterns", format!("{pattern:?} is no pattern: {error}"));
                }
            }
        }
        Self { rules, key_file: table.path("key_file") }
    }

    /// The redactor, with its key from the file.
    ///
    /// # Errors
    /// If the key file cannot be used.
    pub fn redactor(&self, spool_dir: &std::path::Path) -> Result<Redactor, KeyError> {
        let path = self.key_file.clone().unwrap_or_else(|| spool_dir.join(KEY_FILE));
        Redactor::with_key_file(self.rules.clone(), &path)
    }
}
