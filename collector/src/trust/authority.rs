//! The certificate authority of the centre.
//!
//! A root, whose key is encrypted and may lie elsewhere, signs issuers; the issuer in use signs certificates of agents, collectors, brokers and
//! people. Everything is files of one folder, and every call takes what it needs from there, so that commands work beside a running collector:
//!
//! ```text
//! root.pem  root.key.pem (encrypted)  root.crl.pem
//! issuers/SERIAL/{certificate,key,crl}.pem        each issuer; `present` points to the one in use
//! issuer.pem  issuer.key.pem                      that one's files
//! authorities.pem                                 what others trust
//! revoked.pem                                     all revocation lists
//! ledger.jsonl                                    what was issued and revoked
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use data_encoding::HEXLOWER;
use rcgen::KeyPair;
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom as _, SystemRandom},
};
use vonggac_daemon::secret::Secret;
use vonggac_wire::{Identity, Time};

mod certify;
mod csr;
pub(in crate::trust) mod folder;
mod found;
mod issued;
pub(in crate::trust) mod issuers;
pub mod ledger;
mod lifetimes;
mod lists;
mod sealed_key;
pub mod signer;
mod status;

pub use certify::{NAMES_MAX, NameError};
pub use csr::{CSR_BYTES_MAX, CsrError};
pub use folder::FileError;
pub use issued::Issued;
pub use lifetimes::Lifetimes;
pub use sealed_key::{PASSPHRASE_CHARACTERS_MIN, SealError};
pub use status::{IssuerStatus, Status};

use certify::Span;
use folder::Readers;
use ledger::{Certificate, Entry, Event, LedgerError, Reason, Register, Usage};

pub(in crate::trust) const AUTHORITIES: &str = "authorities.pem";
pub(in crate::trust) const REVOKED: &str = "revoked.pem";
const LEDGER: &str = "ledger.jsonl";
const LOCK: &str = "lock";

/// A certificate is valid from a little earlier, for clocks that are behind.
const BEHIND: Duration = Duration::from_secs(3_600);

/// Bytes of a serial number: nobody guesses the next one, and no two are the same.
const SERIAL_BYTES: usize = 16;

/// Why the authority did not do it.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The root's key.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// There is one already.
    #[error("make an authority in {}: there is something already; name another folder", .0.display())]
    There(PathBuf),
    /// There is none.
    #[error("find an authority in {}: make one with `pki init`, or name its folder in [trust.pki] dir", .0.display())]
    Missing(PathBuf),
    /// A certificate or key of its own.
    #[error("use {}: {reason}; restore the folder from a copy", .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Too many issuers.
    #[error("hold {0} issuers: take those that expired out of the folder issuers")]
    Issuers(usize),
    /// Signing.
    #[error("sign: {0}")]
    Sign(#[from] rcgen::Error),
    /// Random numbers are not to be had.
    #[error("make a serial number: the kernel gives no random numbers")]
    Random,
    /// A name.
    #[error("issue it: {0}")]
    Name(#[from] NameError),
    /// A request.
    #[error("issue it: {0}")]
    Csr(#[from] CsrError),
    /// Nothing can be issued any more.
    #[error("issue it: the issuer ended at {0}; make a new one with `pki rotate`")]
    Ended(Time),
    /// A serial number that is none, or is of no certificate.
    #[error("find a certificate with the serial number {0:?}; see `pki status --all`")]
    Unknown(String),
    /// It was revoked before.
    #[error("revoke {0}: it was revoked before")]
    Revoked(String),
}

/// Whose key a certificate is for.
#[derive(Clone, Debug)]
pub enum SubjectKey {
    /// Theirs, by their signing request in PEM.
    Request(String),
    /// A new one that is handed out with the certificate.
    Fresh,
}

/// What is to be issued.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whom it names.
    pub identity: Identity,
    /// Names and addresses of its host, where others connect to it.
    pub names: Vec<String>,
    /// Whose key.
    pub key: SubjectKey,
    /// What for.
    pub usage: Usage,
    /// For how long; `None`: as configured.
    pub valid: Option<Duration>,
    /// Who asks, for the ledger.
    pub by: String,
}

impl Request {
    /// A certificate for connections, with a key of its own.
    #[must_use]
    pub fn fresh(identity: Identity, names: Vec<String>, by: &str) -> Self {
        Self {
            identity,
            names,
            key: SubjectKey::Fresh,
            usage: Usage::Tls,
            valid: None,
            by: by.to_owned(),
        }
    }
}

/// The authority.
#[derive(Clone, Debug)]
pub struct Authority {
    dir: PathBuf,
    lifetimes: Lifetimes,
}

impl Authority {
    /// The authority of a folder.
    ///
    /// # Errors
    /// If there is none.
    pub fn open(dir: &Path) -> Result<Self, AuthorityError> {
        if !dir.join(issuers::ROOT).exists() || !dir.join(issuers::PRESENT).exists() {
            return Err(AuthorityError::Missing(dir.to_owned()));
        }
        Ok(Self { dir: dir.to_owned(), lifetimes: Lifetimes::default() })
    }

    /// With lifetimes that were configured.
    #[must_use]
    pub const fn with_lifetimes(mut self, lifetimes: Lifetimes) -> Self {
        self.lifetimes = lifetimes;
        self
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// SHA-256 of the root's certificate in hexadecimal digits: what whoever enrols holds the centre against.
    ///
    /// # Errors
    /// If the root cannot be read.
    pub fn fingerprint(&self) -> Result<String, AuthorityError> {
        Ok(fingerprint(&issuers::root(&self.dir)?.der))
    }

    /// What others trust, in PEM.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn authorities(&self) -> Result<String, AuthorityError> {
        Ok(folder::read(&self.dir.join(AUTHORITIES))?)
    }

    /// The certificate of the issuer that issues now, in PEM.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn issuer(&self) -> Result<String, AuthorityError> {
        Ok(folder::read(&self.dir.join(issuers::PRESENT).join(issuers::CERTIFICATE))?)
    }

    /// All revocation lists, in PEM.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn revoked(&self) -> Result<String, AuthorityError> {
        Ok(folder::read(&self.dir.join(REVOKED))?)
    }

    /// What was issued and revoked.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn register(&self, now: Time) -> Result<Register, AuthorityError> {
        Ok(ledger::read(&self.dir.join(LEDGER), now)?)
    }

    /// Entries of the ledger behind this many lines, at most so many; and how many lines were read: fewer than `lines` where the ledger has
    /// become shorter.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn ledger_behind(
        &self,
        lines: u64,
        entries_max: usize,
    ) -> Result<(Vec<Entry>, u64), AuthorityError> {
        Ok(ledger::behind(&self.dir.join(LEDGER), lines, entries_max)?)
    }

    /// How long the ledger is; `None`: it cannot be looked at.
    #[must_use]
    pub fn ledger_bytes(&self) -> Option<u64> {
        fs::metadata(self.dir.join(LEDGER)).ok().map(|meta| meta.len())
    }

    /// Writes down what was done beside certificates, by tokens and admissions.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn note(&self, by: &str, event: Event, now: Time) -> Result<(), AuthorityError> {
        let _held = folder::hold(&self.dir, LOCK)?;
        self.write_down(by, event, now)
    }

    fn write_down(&self, by: &str, event: Event, now: Time) -> Result<(), AuthorityError> {
        let entry = Entry { time: now, by: by.to_owned(), event };
        Ok(ledger::append(&self.dir.join(LEDGER), &entry)?)
    }

    /// Issues a certificate. It is in the ledger before it is handed out.
    ///
    /// # Errors
    /// If the request is refused, or the ledger cannot be written.
    pub fn issue(&self, request: &Request, now: Time) -> Result<Issued, AuthorityError> {
        let _held = folder::hold(&self.dir, LOCK)?;
        let (issuer, signer) = issuers::opened(&self.dir.join(issuers::PRESENT))?;
        if issuer.not_after <= now {
            return Err(AuthorityError::Ended(issuer.not_after));
        }
        let wanted = request.valid.unwrap_or_else(|| self.lifetimes.of(&request.identity));
        let span = span(now, wanted, issuer.not_after)?;
        let params = certify::leaf(&span, &request.identity, &request.names, request.usage)?;
        let (certificate, key) = match &request.key {
            SubjectKey::Request(pem) => {
                let key = csr::public_key(pem, &request.identity, request.usage)?;
                (params.signed_by(&key, &signer)?, None)
            }
            SubjectKey::Fresh => {
                let key = KeyPair::generate_for(match request.usage {
                    Usage::Tls => &rcgen::PKCS_ECDSA_P256_SHA256,
                    Usage::Signing => &rcgen::PKCS_ED25519,
                })?;
                (params.signed_by(&key, &signer)?, Some(Secret::new(key.serialize_pem())))
            }
        };
        let known = Certificate {
            serial: HEXLOWER.encode(&span.serial),
            issuer: issuer.serial.clone(),
            identity: request.identity.clone(),
            names: request.names.clone(),
            usage: request.usage,
            not_after: span.not_after,
        };
        self.write_down(&request.by, Event::Issued(known.clone()), now)?;
        Ok(Issued {
            serial: known.serial,
            not_after: known.not_after,
            certificate: certificate.pem() + &issuer.pem,
            key,
            authorities: self.authorities()?,
            revoked: self.revoked()?,
        })
    }

    /// Revokes a certificate, and tells so in the lists.
    ///
    /// # Errors
    /// If it is unknown or was revoked, or the lists cannot be written.
    pub fn revoke(
        &self,
        serial: &str,
        reason: Reason,
        by: &str,
        now: Time,
    ) -> Result<Certificate, AuthorityError> {
        let _held = folder::hold(&self.dir, LOCK)?;
        let register = self.register(now)?;
        let Some(known) = register.issued.get(serial) else {
            return Err(AuthorityError::Unknown(serial.chars().take(64).collect()));
        };
        if register.revoked.contains_key(serial) {
            return Err(AuthorityError::Revoked(serial.to_owned()));
        }
        self.write_down(by, Event::Revoked { serial: serial.to_owned(), reason }, now)?;
        lists::renew(&self.dir, &self.register(now)?, now, self.lifetimes.crl)?;
        Ok(known.clone())
    }

    /// Makes the issuers' revocation lists anew.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn renew_lists(&self, now: Time) -> Result<(), AuthorityError> {
        let _held = folder::hold(&self.dir, LOCK)?;
        lists::renew(&self.dir, &self.register(now)?, now, self.lifetimes.crl)
    }

    /// Makes the issuers' revocation lists anew once half of their life has passed; whether it did.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn renew_lists_in_time(&self, now: Time) -> Result<bool, AuthorityError> {
        let path = self.dir.join(REVOKED);
        let made = fs::metadata(&path).and_then(|meta| meta.modified());
        let made = made.map_err(folder::failed("read", &path))?;
        if now.since(Time::from(made)) < self.lifetimes.crl / 2 {
            return Ok(false);
        }
        self.renew_lists(now).map(|()| true)
    }
}

/// A time of validity, at most to the end of who signs.
fn span(now: Time, valid: Duration, end: Time) -> Result<Span, AuthorityError> {
    let mut serial = vec![0; SERIAL_BYTES];
    SystemRandom::new().fill(&mut serial).map_err(|_| AuthorityError::Random)?;
    if let Some(first) = serial.first_mut() {
        // Positive, and as long in every form: no sign, no zeros in front.
        *first = (*first & 0x7f) | 0x40;
    }
    let not_after = Time::from_seconds(now.plus(valid).min(end).seconds());
    // Of a short life a short part: who renews at two thirds of it counts from here.
    let not_before = now.minus(BEHIND.min(valid / 24));
    Ok(Span { serial, not_before, not_after })
}

fn fingerprint(der: &[u8]) -> String {
    HEXLOWER.encode(digest(&SHA256, der).as_ref())
}

fn bytes_of(serial: &str) -> Result<Vec<u8>, AuthorityError> {
    HEXLOWER.decode(serial.as_bytes()).map_err(|_| AuthorityError::Unknown(serial.to_owned()))
}

#[cfg(test)]
mod tests;
