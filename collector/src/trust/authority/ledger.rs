//! What the authority did, one JSON object a line, on the disk before a certificate leaves the house.
//!
//! ```text
//! {"time":"2026-11-26T09:00:00Z","event":"issued","serial":"5f..","issuer":"1a..","identity":"spiffe://..","names":[],"usage":"tls",..}
//! ```
//!
//! A crash may tear the last line: it was not acknowledged, and is cut off before the next is written.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use vonggac_wire::{Identity, Time};

use super::folder::{FileError, failed};

/// Bytes of a line: an identity, sixteen names of a host each, and room.
const LINE_BYTES_MAX: u64 = 16 << 10;

/// Certificates that are held in memory: those that are valid or were lately. A nation's servers ten times over.
pub const CERTIFICATES_MAX: usize = 500_000;

/// How long a certificate is remembered behind its end: an expired agent that was revoked must not come back within its grace time.
pub const REMEMBERED: Duration = Duration::from_secs(120 * 86_400);

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line of it.
    #[error("read line {line} of {}: {reason}; restore the file from a copy", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// There are too many.
    #[error(
        "hold more than {CERTIFICATES_MAX} certificates; let them be valid for longer, so that fewer are issued"
    )]
    Full,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Usage {
    /// Connections.
    #[default]
    Tls,
    /// Signatures under what is sent.
    Signing,
}

/// Why a certificate is no longer good, by the words of RFC 5280.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// No reason was given.
    Unspecified,
    /// Somebody else may have the key.
    KeyCompromise,
    /// Whom it names has changed its agency.
    AffiliationChanged,
    /// Another took its place.
    Superseded,
    /// Whom it names is no longer at work.
    CessationOfOperation,
    /// Whom it names may no longer.
    PrivilegeWithdrawn,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    #[serde(with = "stamp")]
    pub time: Time,
    /// By whom: an account of the machine, or `enrolment`.
    pub by: String,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The authority was made.
    Founded {
        /// The root's fingerprint.
        fingerprint: String,
        /// The first issuer's serial number.
        issuer: String,
    },
    /// A new issuer took the place of one.
    Rotated {
        /// The new one's serial number.
        issuer: String,
        /// The former one's.
        before: String,
    },
    /// A certificate was issued.
    Issued(Certificate),
    /// One was revoked.
    Revoked {
        /// Its serial number.
        serial: String,
        /// Why.
        reason: Reason,
    },
    /// A token was made.
    TokenMade {
        /// What it is called in lists.
        token: String,
        /// Whom it lets in.
        purpose: String,
        /// How often.
        uses: u32,
        /// Until when.
        #[serde(with = "stamp")]
        until: Time,
        /// Whose agents it lets in; empty: it lets in others.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        agency: String,
    },
    /// One was revoked.
    TokenRevoked {
        /// What it is called in lists.
        token: String,
    },
    /// Somebody whose certificate ran out may come back once.
    Admitted {
        /// Who.
        #[serde(with = "text")]
        identity: Identity,
        /// Until when.
        #[serde(with = "stamp")]
        until: Time,
    },
}

/// A certificate as the ledger knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its serial number in hexadecimal digits.
    pub serial: String,
    /// Its issuer's.
    pub issuer: String,
    /// Whom it names.
    #[serde(with = "text")]
    pub identity: Identity,
    /// The names and addresses of its host.
    #[serde(default)]
    pub names: Vec<String>,
    /// What it is for.
    #[serde(default)]
    pub usage: Usage,
    /// Until when.
    #[serde(with = "stamp")]
    pub not_after: Time,
}

/// A certificate's end before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// When.
    pub time: Time,
    /// Why.
    pub reason: Reason,
    /// Who revoked it.
    pub by: String,
}

/// What the ledger comes to: certificates that are valid, or were lately, by serial number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Register {
    /// Those issued.
    pub issued: BTreeMap<String, Certificate>,
    /// Those revoked; an issuer is revoked, but not issued here.
    pub revoked: BTreeMap<String, Revocation>,
}

impl Register {
    /// Takes a line in.
    fn apply(&mut self, entry: Entry, now: Time) -> Result<(), LedgerError> {
        match entry.event {
            Event::Founded { .. }
            | Event::Rotated { .. }
            | Event::TokenMade { .. }
            | Event::TokenRevoked { .. }
            | Event::Admitted { .. } => {}
            Event::Issued(certificate) => {
                if certificate.not_after.plus(REMEMBERED) < now {
                    return Ok(());
                }
                if self.issued.len() >= CERTIFICATES_MAX {
                    return Err(LedgerError::Full);
                }
                self.issued.insert(certificate.serial.clone(), certificate);
            }
            Event::Revoked { serial, reason } => {
                // Whose certificate is forgotten needs no revocation; an issuer's is kept, of which there are few.
                if self.revoked.len() >= CERTIFICATES_MAX {
                    return Err(LedgerError::Full);
                }
                let revocation = Revocation { time: entry.time, reason, by: entry.by };
                self.revoked.entry(serial).or_insert(revocation);
            }
        }
        Ok(())
    }

    /// Certificates for connections of `identity` that are good at `now`.
    pub fn good<'a>(
        &'a self,
        identity: &'a Identity,
        now: Time,
    ) -> impl Iterator<Item = &'a Certificate> {
        self.issued.values().filter(move |certificate| {
            certificate.identity == *identity
                && certificate.not_after >= now
                && !self.revoked.contains_key(&certificate.serial)
        })
    }
}

/// Reads the whole ledger.
pub(super) fn read(path: &Path, now: Time) -> Result<Register, LedgerError> {
    let mut register = Register::default();
    let mut lines = Lines::open(path)?;
    while let Some(line) = lines.next()? {
        register.apply(lines.entry(&line)?, now)?;
    }
    register.revoked.retain(|serial, revocation| {
        // As long as the longest certificate could still be remembered.
        register.issued.contains_key(serial) || revocation.time.plus(REMEMBERED) >= now
    });
    Ok(register)
}

/// Entries behind the line of this number, at most so many, and how many lines there are up to the last of them: fewer than `behind` if the file
/// has become shorter.
pub(super) fn behind(
    path: &Path,
    behind: u64,
    entries_max: usize,
) -> Result<(Vec<Entry>, u64), LedgerError> {
    let (mut lines, mut entries) = (Lines::open(path)?, Vec::new());
    while entries.len() < entries_max {
        let Some(line) = lines.next()? else { break };
        if lines.number as u64 > behind {
            entries.push(lines.entry(&line)?);
        }
    }
    Ok((entries, lines.number as u64))
}

/// The whole lines of a ledger.
struct Lines<'a> {
    path: &'a Path,
    file: BufReader<File>,
    /// That of the line that was read last, from 1.
    number: usize,
}

impl<'a> Lines<'a> {
    fn open(path: &'a Path) -> Result<Self, LedgerError> {
        let file = BufReader::new(File::open(path).map_err(failed("read", path))?);
        Ok(Self { path, file, number: 0 })
    }

    fn wrong(&self, line: usize, reason: String) -> LedgerError {
        LedgerError::Line { path: self.path.to_owned(), line, reason }
    }

    /// The next one; a torn one ends them.
    fn next(&mut self) -> Result<Option<Vec<u8>>, LedgerError> {
        let mut line = Vec::new();
        let limited = &mut self.file.by_ref().take(LINE_BYTES_MAX);
        limited.read_until(b'\n', &mut line).map_err(failed("read", self.path))?;
        if line.last() != Some(&b'\n') {
            if line.len() as u64 == LINE_BYTES_MAX {
                let reason = format!("it has more than {LINE_BYTES_MAX} bytes");
                return Err(self.wrong(self.number + 1, reason));
            }
            return Ok(None);
        }
        self.number += 1;
        Ok(Some(line))
    }

    /// What the line that was read last says.
    fn entry(&self, line: &[u8]) -> Result<Entry, LedgerError> {
        serde_json::from_slice(line).map_err(|error| self.wrong(self.number, error.to_string()))
    }
}

/// Adds a line. When this returns, it is on the disk. The caller holds the folder.
pub(super) fn append(path: &Path, entry: &Entry) -> Result<(), LedgerError> {
    let mut line = serde_json::to_vec(entry).map_err(|error| LedgerError::Line {
        path: path.to_owned(),
        line: 0,
        reason: error.to_string(),
    })?;
    line.push(b'\n');
    let add = || {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let end = whole_lines(&mut file)?;
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        file.write_all(&line)?;
        file.sync_all()
    };
    add().map_err(failed("write", path)).map_err(LedgerError::from)
}

/// Where the last whole line ends.
fn whole_lines(file: &mut File) -> std::io::Result<u64> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(LINE_BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(LINE_BYTES_MAX).read_to_end(&mut tail)?;
    let kept = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
    Ok(from + kept as u64)
}

/// Times as people read them.
mod stamp {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use vonggac_wire::Time;

    pub(super) fn serialize<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(de: D) -> Result<Time, D::Error> {
        String::deserialize(de)?.parse().map_err(D::Error::custom)
    }
}

/// Identities as certificates have them.
mod text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use vonggac_wire::Identity;

    pub(super) fn serialize<S: Serializer>(
        id: &Identity,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(de: D) -> Result<Identity, D::Error> {
        String::deserialize(de)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issued(serial: &str, not_after: i64) -> Entry {
        Entry {
            time: Time::from_seconds(1_000),
            by: "lan".into(),
            event: Event::Issued(Certificate {
                serial: serial.into(),
                issuer: "0a".into(),
                identity: "spiffe://vonggac/collector/c".parse().unwrap(),
                names: vec!["c.example".into()],
                usage: Usage::Tls,
                not_after: Time::from_seconds(not_after),
            }),
        }
    }

    fn revoked(serial: &str) -> Entry {
        let event = Event::Revoked { serial: serial.into(), reason: Reason::Superseded };
        Entry { time: Time::from_seconds(1_001), by: "lan".into(), event }
    }

    #[test]
    fn what_is_written_is_read_and_a_torn_line_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.jsonl");
        let now = Time::from_seconds(1_002);
        append(&path, &issued("01", 2_000)).unwrap();
        append(&path, &revoked("01")).unwrap();
        let whole = read(&path, now).unwrap();
        assert_eq!((whole.issued.len(), whole.revoked.len()), (1, 1));
        let mut torn = std::fs::read(&path).unwrap();
        torn.extend_from_slice(b"{\"time\":\"20");
        std::fs::write(&path, &torn).unwrap();
        assert_eq!(read(&path, now).unwrap(), whole);
        append(&path, &issued("02", 2_000)).unwrap();
        let register = read(&path, now).unwrap();
        assert_eq!(register.issued.len(), 2);
        let identity = &register.issued["02"].identity;
        assert_eq!(register.good(identity, now).count(), 1);
        assert_eq!(register.good(identity, Time::from_seconds(2_001)).count(), 0);
    }

    #[test]
    fn a_line_that_was_changed_is_told_with_its_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.jsonl");
        let now = Time::from_seconds(1_002);
        append(&path, &issued("01", 2_000)).unwrap();
        append(&path, &issued("02", 2_000)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replacen("collector/c", "collector/", 1)).unwrap();
        assert!(read(&path, now).unwrap_err().to_string().contains("line 1 "));
        std::fs::write(&path, "x".repeat(40_000)).unwrap();
        assert!(read(&path, now).unwrap_err().to_string().contains("16384 bytes"));
    }

    #[test]
    fn what_expired_long_ago_is_forgotten_with_its_revocation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.jsonl");
        append(&path, &issued("01", 2_000)).unwrap();
        append(&path, &revoked("01")).unwrap();
        let soon = read(&path, Time::from_seconds(2_001)).unwrap();
        assert_eq!((soon.issued.len(), soon.revoked.len()), (1, 1));
        let late = read(&path, Time::from_seconds(2_001).plus(REMEMBERED)).unwrap();
        assert_eq!(late, Register::default());
    }
}
