//! What it means when the engine does not do what it is asked. Pure: one word for each cause that an operator mends in another way.

use std::{error::Error as _, io};

use super::StoreError;

/// The cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// Nobody answers there, or the connection broke.
    Away,
    /// It takes questions and gives no answers.
    Hangs,
    /// It answers, but late: something has been waiting for some time.
    Slow,
    /// It reads, and does not write.
    ReadOnly,
    /// Its disk is full.
    DiskFull,
    /// A table has more parts than it merges.
    PartsMany,
    /// It has no memory for it.
    Memory,
    /// It does not know us, or does not allow it.
    Denied,
    /// A table or column is not there: the schema was changed by other hands.
    Schema,
    /// It has too much to do.
    Busy,
    /// Its disk fails, or what lies on it is damaged.
    Damaged,
    /// It refuses rows for what they say.
    Rows,
    /// Something else; its own words say what.
    Other,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Away,
        Self::Hangs,
        Self::Slow,
        Self::ReadOnly,
        Self::DiskFull,
        Self::PartsMany,
        Self::Memory,
        Self::Denied,
        Self::Schema,
        Self::Busy,
        Self::Damaged,
        Self::Rows,
        Self::Other,
    ];

    /// The word in metrics, answers and the names of messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Hangs => "hangs",
            Self::Slow => "slow",
            Self::ReadOnly => "read-only",
            Self::DiskFull => "disk-full",
            Self::PartsMany => "parts-many",
            Self::Memory => "memory",
            Self::Denied => "denied",
            Self::Schema => "schema",
            Self::Busy => "busy",
            Self::Damaged => "damaged",
            Self::Rows => "rows",
            Self::Other => "other",
        }
    }

    /// The engine speaks of the rows, not of itself.
    #[must_use]
    pub fn is_of_rows(self) -> bool {
        self == Self::Rows
    }

    /// The one with this word.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.name() == name)
    }

    /// Why the store did not do it; `None`: it is not the engine that refused.
    #[must_use]
    pub fn of(error: &StoreError) -> Option<Self> {
        let StoreError::Engine(error) = error else { return None };
        Some(match error {
            clickhouse::error::Error::TimedOut => Self::Hangs,
            clickhouse::error::Error::BadResponse(text) => Self::told(text),
            clickhouse::error::Error::Network(_) => {
                if is_timeout(error) {
                    Self::Hangs
                } else {
                    Self::Away
                }
            }
            // The rows of a table are not what this program knows.
            clickhouse::error::Error::SchemaMismatch(_) => Self::Schema,
            _ => Self::Other,
        })
    }

    /// Of the engine's own text: its code first, then what the system said, which stands behind many codes.
    fn told(text: &str) -> Self {
        let by_system = [
            ("No space left on device", Self::DiskFull),
            ("Disk quota exceeded", Self::DiskFull),
            ("Read-only file system", Self::ReadOnly),
            ("Input/output error", Self::Damaged),
        ];
        let said = by_system.into_iter().find(|(words, _)| text.contains(words));
        if let Some((_, refusal)) = said {
            return refusal;
        }
        match code(text) {
            // READONLY, TABLE_IS_READ_ONLY, QUERY_IS_PROHIBITED
            Some(164 | 242 | 392) => Self::ReadOnly,
            // NOT_ENOUGH_SPACE
            Some(243) => Self::DiskFull,
            // TOO_MANY_PARTS
            Some(252) => Self::PartsMany,
            // CANNOT_ALLOCATE_MEMORY, MEMORY_LIMIT_EXCEEDED
            Some(173 | 241) => Self::Memory,
            // UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, IP_ADDRESS_NOT_ALLOWED, DATABASE_ACCESS_DENIED, ACCESS_DENIED,
            // AUTHENTICATION_FAILED
            Some(192..=195 | 291 | 497 | 516) => Self::Denied,
            // NO_SUCH_COLUMN_IN_TABLE, THERE_IS_NO_COLUMN, UNKNOWN_IDENTIFIER, TYPE_MISMATCH, UNKNOWN_TABLE, UNKNOWN_DATABASE, TABLE_IS_DROPPED
            Some(8 | 16 | 47 | 53 | 60 | 81 | 218) => Self::Schema,
            // TIMEOUT_EXCEEDED, TOO_MANY_SIMULTANEOUS_QUERIES, QUOTA_EXCEEDED, DEADLOCK_AVOIDED, and "the server is shutting down"
            Some(159 | 201 | 202 | 473 | 745) => Self::Busy,
            // CHECKSUM_DOESNT_MATCH, CANNOT_READ_ALL_DATA, CORRUPTED_DATA, CANNOT_OPEN_FILE, CANNOT_WRITE_TO_FILE_DESCRIPTOR, CANNOT_FSYNC,
            // BROKEN_CHUNK... and a folder that the engine may not write
            Some(33 | 40 | 74 | 75 | 76 | 87 | 246 | 481 | 1000 | 1001) => Self::Damaged,
            // CANNOT_PARSE_TEXT, CANNOT_PARSE_INPUT_ASSERTION_FAILED, ARGUMENT_OUT_OF_BOUND, CANNOT_CONVERT_TYPE, CANNOT_PARSE_NUMBER,
            // INCORRECT_DATA, TOO_LARGE_ARRAY_SIZE, TOO_LARGE_STRING_SIZE, SIZES_OF_ARRAYS_DONT_MATCH, VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE,
            // VIOLATED_CONSTRAINT, UNKNOWN_ELEMENT_OF_ENUM
            Some(6 | 27 | 69 | 70 | 72 | 117 | 128 | 131 | 190 | 321 | 469 | 691) => Self::Rows,
            _ => Self::Other,
        }
    }
}

/// The number in "Code: 252. DB::Exception: ...".
fn code(text: &str) -> Option<u32> {
    let rest = text.split_once("Code: ")?.1;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

fn is_timeout(error: &clickhouse::error::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::TimedOut)
        {
            return true;
        }
        source = cause.source();
    }
    false
}

/// An error with all that is behind it: hyper's own words say only which call failed.
pub(super) fn whole(error: &clickhouse::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Option<Refusal> {
        Refusal::of(&StoreError::Engine(clickhouse::error::Error::BadResponse(text.into())))
    }

    #[test]
    fn the_engines_words_have_one_cause() {
        for (text, refusal) in [
            (
                "Code: 164. DB::Exception: Cannot execute query in readonly mode. (READONLY)",
                Refusal::ReadOnly,
            ),
            (
                "Code: 242. DB::Exception: Table is in readonly mode (TABLE_IS_READ_ONLY)",
                Refusal::ReadOnly,
            ),
            (
                "Code: 1001. DB::Exception: std::exception. filesystem error: in create_directories: Read-only file system [\"/d\"]",
                Refusal::ReadOnly,
            ),
            (
                "Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)",
                Refusal::DiskFull,
            ),
            (
                "Code: 75. DB::ErrnoException: Cannot write to file /d: , errno: 28, strerror: No space left on device",
                Refusal::DiskFull,
            ),
            (
                "Code: 74. DB::ErrnoException: Cannot read from file: , errno: 5, strerror: Input/output error",
                Refusal::Damaged,
            ),
            (
                "Code: 40. DB::Exception: Checksum doesn't match: corrupted data. (CHECKSUM_DOESNT_MATCH)",
                Refusal::Damaged,
            ),
            (
                "Code: 252. DB::Exception: Too many parts (3000). Merges are processing significantly slower than inserts",
                Refusal::PartsMany,
            ),
            ("Code: 241. DB::Exception: Memory limit (total) exceeded", Refusal::Memory),
            (
                "Code: 516. DB::Exception: vonggac: Authentication failed: password is incorrect",
                Refusal::Denied,
            ),
            ("Code: 497. DB::Exception: vonggac: Not enough privileges", Refusal::Denied),
            (
                "Code: 60. DB::Exception: Table vonggac.events does not exist. (UNKNOWN_TABLE)",
                Refusal::Schema,
            ),
            (
                "Code: 81. DB::Exception: Database vonggac does not exist. (UNKNOWN_DATABASE)",
                Refusal::Schema,
            ),
            (
                "Code: 202. DB::Exception: Too many simultaneous queries. Maximum: 100",
                Refusal::Busy,
            ),
            ("Code: 159. DB::Exception: Timeout exceeded: elapsed 30.5 seconds", Refusal::Busy),
            ("Code: 27. DB::Exception: Cannot parse input", Refusal::Rows),
            ("502 Bad Gateway", Refusal::Other),
            ("", Refusal::Other),
            ("Code: 99999999999999999999. ", Refusal::Other),
        ] {
            assert_eq!(said(text), Some(refusal), "{text}");
        }
    }

    #[test]
    fn silence_is_told_from_absence_through_whatever_wraps_it() {
        #[derive(Debug, thiserror::Error)]
        #[error("client error (SendRequest)")]
        struct Wrapped(#[source] io::Error);
        let of = |kind: io::ErrorKind| {
            let error = clickhouse::error::Error::Network(Box::new(Wrapped(kind.into())));
            Refusal::of(&StoreError::Engine(error))
        };
        assert_eq!(of(io::ErrorKind::TimedOut), Some(Refusal::Hangs));
        assert_eq!(of(io::ErrorKind::ConnectionRefused), Some(Refusal::Away));
        assert_eq!(Refusal::of(&StoreError::Newer { found: 2, known: 1 }), None);
        let error =
            clickhouse::error::Error::Network(Box::new(Wrapped(io::Error::other("it is gone"))));
        assert_eq!(
            StoreError::Engine(error).to_string(),
            "ask the engine: network error: client error (SendRequest): it is gone"
        );
    }

    #[test]
    fn each_cause_is_found_by_its_word() {
        for refusal in Refusal::ALL {
            assert_eq!(Refusal::named(refusal.name()), Some(refusal));
        }
        assert_eq!(Refusal::named("none"), None);
    }
}
