//! The audit log: a row for each call, chained by BLAKE3, one chain a collector. Pure; [`log`] is its edge, [`ledger`] takes over what the authority did,
//! [`detection`] writes down what is detected by, and [`account`] says who calls a program.

use clickhouse::Row;
use serde::{Deserialize, Serialize};

pub mod account;
pub mod detection;
pub mod ledger;
pub mod log;
pub mod verify;

/// Characters of what somebody asked that are kept: a query with all its lines.
pub const WORDS_CHARACTERS_MAX: usize = 4_096;

/// Characters of the agencies that something was about: those of a platform's incident, by their codes.
pub const AGENCY_CHARACTERS_MAX: usize = 1_024;

/// What a chain begins with.
pub const BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What was done. Times are microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deed {
    /// When it began.
    pub time: i64,
    /// By whom.
    pub who: String,
    /// As what.
    pub role: String,
    /// From where.
    pub address: String,
    /// By which certificate.
    pub serial: String,
    /// The call, or the command of the centre's own program.
    pub call: String,
    /// With which words.
    pub words: String,
    /// About which agencies: codes with a space between them; empty: none that is known.
    pub agency: String,
    /// "ok", "begun", "left", or why it was refused.
    pub outcome: String,
    /// Rows that were answered.
    pub rows: u64,
    /// How long it took.
    pub microseconds: u64,
}

/// A row of the table `audit`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct AuditRow {
    /// Whose chain.
    pub chain: String,
    /// Its place there, from 1.
    pub number: u64,
    /// See [`Deed`].
    pub time: i64,
    /// See [`Deed`].
    pub who: String,
    /// See [`Deed`].
    pub role: String,
    /// See [`Deed`].
    pub address: String,
    /// See [`Deed`].
    pub serial: String,
    /// See [`Deed`].
    pub call: String,
    /// See [`Deed`].
    pub words: String,
    /// See [`Deed`].
    pub agency: String,
    /// See [`Deed`].
    pub outcome: String,
    /// See [`Deed`].
    pub rows: u64,
    /// See [`Deed`].
    pub microseconds: u64,
    /// The hash of the row before it.
    pub previous: String,
    /// Of all the above.
    pub hash: String,
}

/// Where a chain ends.
#[derive(Clone, Debug, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct Head {
    /// The last row's number; 0: there is none.
    pub number: u64,
    /// Its hash.
    pub hash: String,
}

impl Default for Head {
    fn default() -> Self {
        Self { number: 0, hash: BEGINNING.into() }
    }
}

impl AuditRow {
    /// The next row of a chain.
    #[must_use]
    pub fn after(chain: &str, head: &Head, deed: Deed) -> Self {
        let mut row = Self {
            chain: chain.to_owned(),
            number: head.number + 1,
            time: deed.time,
            who: deed.who,
            role: deed.role,
            address: deed.address,
            serial: deed.serial,
            call: deed.call,
            words: shortened(deed.words, WORDS_CHARACTERS_MAX),
            agency: shortened(deed.agency, AGENCY_CHARACTERS_MAX),
            outcome: deed.outcome,
            rows: deed.rows,
            microseconds: deed.microseconds,
            previous: head.hash.clone(),
            hash: String::new(),
        };
        row.hash = row.made_hash();
        row
    }

    /// Where a chain ends with this row.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { number: self.number, hash: self.hash.clone() }
    }

    /// The hash that belongs to what stands in the row.
    #[must_use]
    pub fn made_hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let texts = [
            &self.chain,
            &self.who,
            &self.role,
            &self.address,
            &self.serial,
            &self.call,
            &self.words,
            &self.outcome,
            &self.previous,
        ];
        // Each with its length, so that nothing can move from one to the next.
        for text in texts {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        for number in [self.number, self.rows, self.microseconds] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&self.time.to_le_bytes());
        // Rows of before the column have none, and the hash that they were given.
        if !self.agency.is_empty() {
            hasher.update(&(self.agency.len() as u64).to_le_bytes());
            hasher.update(self.agency.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// As much of a text as is kept.
fn shortened(text: String, characters_max: usize) -> String {
    match text.char_indices().nth(characters_max) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}
