//! All evidence of an agency and a span in one file: a tar under zstd, so that everybody can look into it, read once from its beginning to its
//! end.
//!
//! ```text
//! bundle.json                        what it is of: Head
//! certificates/KEY-ID.der            who sealed batches, with its issuers; each before the first that it sealed
//! HOUR/000001.batches.jsonl          what was written down of some records: Batch
//! HOUR/000001.rows                   their rows: of each its length in four bytes, and what is hashed of it (crate::row)
//! HOUR/receipts.jsonl                the hour's receipts: Receipt of this module; ends the hour
//! manifest.json                      each file's hash, and sums: Manifest
//! manifest.seal.json                 the centre's signature over the manifest: Seal of this module
//! ```
//!
//! Hours follow one another, and in each of them records in the order of topic, partition and offset, as a receipt goes through them. So whoever
//! [checks](check) it holds one hour's sums at a time.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use vonggac_wire::{BatchHash, Seal as Signature, Time};

use crate::receipt::Signed;

pub mod check;
pub mod read;
pub mod write;

/// The form of a bundle.
pub const VERSION: u32 = 1;

/// Bytes of one file in a bundle: what a checker holds at once.
pub const ENTRY_BYTES_MAX: usize = 64 << 20;

/// Bytes of rows after which a writer begins another file: one record more than that is far below [`ENTRY_BYTES_MAX`].
pub const ROWS_BYTES_ENOUGH: usize = 16 << 20;

/// Files in a bundle: a year of hours, each with some hundred thousand records.
pub const ENTRIES_MAX: usize = 500_000;

/// Certificates in a bundle: a year of an agency's agents.
pub const CERTIFICATES_MAX: usize = 50_000;

/// The file that says what a bundle is of.
pub const HEAD: &str = "bundle.json";

/// The file with every other one's hash.
pub const MANIFEST: &str = "manifest.json";

/// The signature over it.
pub const SEAL: &str = "manifest.seal.json";

/// What a bundle is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// [`VERSION`].
    pub version: u32,
    /// The agency.
    pub agency: String,
    /// From this time on, RFC 3339: a full hour.
    pub since: String,
    /// To this one.
    pub until: String,
    /// When it was made.
    pub made: String,
    /// Certificates of the authorities, in PEM; empty: the centre has none.
    pub authorities: String,
    /// The key that signs the manifest, Ed25519, in hexadecimal digits.
    pub key: String,
    /// The collector's word for that key; `None`: it has no certificate.
    pub voucher: Option<Voucher>,
    /// Months, like 202611, of which retention took rows: there rows may be missing.
    pub retired_months: Vec<u32>,
}

/// By which somebody who has a certificate says that a key is the centre's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voucher {
    /// Their certificate and those that issued it, in DER, one behind the other, in hexadecimal digits.
    pub chain: String,
    /// The signature over the key's bytes, in hexadecimal digits.
    pub signature: String,
}

/// A file and its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its BLAKE3, in hexadecimal digits.
    pub blake3: String,
}

/// What a bundle holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The files in their order.
    pub files: Vec<Entry>,
    /// Records.
    pub batches: u64,
    /// Rows.
    pub rows: u64,
    /// Receipts.
    pub receipts: u64,
}

/// A signature, in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The key's name.
    pub key_id: String,
    /// The signature over the manifest's BLAKE3.
    pub signature: String,
}

/// A receipt as it was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The agency.
    pub agency: String,
    /// The agent.
    pub agent: String,
    /// When its hour began, in seconds since 1970.
    pub hour: i64,
    /// The text's hash, in hexadecimal digits.
    pub hash: String,
    /// The key's name.
    pub key_id: String,
    /// The signature, in hexadecimal digits.
    pub signature: String,
    /// What was signed.
    pub text: String,
}

impl From<&Signed> for Receipt {
    fn from(signed: &Signed) -> Self {
        Self {
            agency: signed.agency.clone(),
            agent: signed.agent.clone(),
            hour: signed.hour.seconds(),
            hash: signed.hash.to_string(),
            key_id: signed.seal.key_id.clone(),
            signature: HEXLOWER.encode(&signed.seal.signature),
            text: signed.text.clone(),
        }
    }
}

impl Receipt {
    /// As it was stored; `None`: it cannot have been.
    #[must_use]
    pub fn into_signed(self) -> Option<Signed> {
        let hash = HEXLOWER.decode(self.hash.as_bytes()).ok()?.try_into().ok()?;
        let signature = HEXLOWER.decode(self.signature.as_bytes()).ok()?;
        Some(Signed {
            agency: self.agency,
            agent: self.agent,
            hour: Time(self.hour.checked_mul(1_000_000_000)?),
            hash: BatchHash(hash),
            seal: Signature { signature, key_id: self.key_id },
            text: self.text,
        })
    }
}

/// The name of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// [`HEAD`].
    Head,
    /// Of this key.
    Certificate(String),
    /// Of this hour, and its number there.
    Batches(i64, u32),
    /// The same.
    Rows(i64, u32),
    /// Of this hour.
    Receipts(i64),
    /// [`MANIFEST`].
    Manifest,
    /// [`SEAL`].
    Seal,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str(HEAD),
            Self::Certificate(key_id) => write!(f, "certificates/{key_id}.der"),
            Self::Batches(hour, number) => write!(f, "{hour}/{number:06}.batches.jsonl"),
            Self::Rows(hour, number) => write!(f, "{hour}/{number:06}.rows"),
            Self::Receipts(hour) => write!(f, "{hour}/receipts.jsonl"),
            Self::Manifest => f.write_str(MANIFEST),
            Self::Seal => f.write_str(SEAL),
        }
    }
}

impl Name {
    /// Reads a name; `None`: it is none of a bundle's.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let name = match text {
            HEAD => Self::Head,
            MANIFEST => Self::Manifest,
            SEAL => Self::Seal,
            _ => {
                let (folder, file) = text.split_once('/')?;
                if folder == "certificates" {
                    Self::Certificate(file.strip_suffix(".der")?.to_owned())
                } else {
                    let hour = folder.parse().ok()?;
                    match file.split_once('.')? {
                        ("receipts", "jsonl") => Self::Receipts(hour),
                        (number, "batches.jsonl") => Self::Batches(hour, number.parse().ok()?),
                        (number, "rows") => Self::Rows(hour, number.parse().ok()?),
                        _ => return None,
                    }
                }
            }
        };
        // There is one way to write each.
        (name.to_string() == text).then_some(name)
    }
}

#[cfg(test)]
mod tests;
