//! How the agent comes to its certificate: by a token once, by the certificate itself from then on.
//!
//! ```text
//! DIR/key.pem certificate.pem      for connections; the certificate with its issuers
//! DIR/signing.key.pem signing.pem  for signatures under what is sent
//! DIR/authorities.pem revoked.pem  what is trusted, and what is no longer
//! DIR/enrolment.json               where the next certificate comes from
//! DIR/receipts.jsonl               what the centre signed for of this agent
//! ```
//! Keys are made here and never leave the host. A renewal keeps them, so that each file is right at every moment; enrolling again replaces them.

use std::{
    io,
    path::{Path, PathBuf},
};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SanType};
use ring::digest::{SHA256, digest};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use vonggac_daemon::files::{self, FileError, Readers};
use vonggac_wire::{
    AgentId, Identity, Time,
    enrol::{Asked, ENROL_PATH, Granted, LISTS_PATH, Lists, RENEW_PATH, Renewal, Token},
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

pub mod centre;
pub mod receipts;
pub mod renewal;

use centre::{Centre, CentreError};

const KEY: &str = "key.pem";
const CERTIFICATE: &str = "certificate.pem";
const SIGNING_KEY: &str = "signing.key.pem";
const SIGNING: &str = "signing.pem";
const AUTHORITIES: &str = "authorities.pem";
const REVOKED: &str = "revoked.pem";
const ENROLMENT: &str = "enrolment.json";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The centre, or what stands in its place.
    #[error(transparent)]
    Centre(#[from] CentreError),
    /// A key or a request.
    #[error("make a key: {0}")]
    Key(#[from] rcgen::Error),
    /// What the centre granted is not what was asked.
    #[error("take the centre's answer: {0}")]
    Granted(String),
    /// What the centre says that it holds.
    #[error("take a receipt of the centre: {0}")]
    Receipt(#[from] receipts::NotTaken),
    /// There is nothing to renew.
    #[error("find a certificate in {}: {reason}; enrol with a token", .dir.display())]
    NotEnrolled {
        /// The folder.
        dir: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// Files for another account.
    #[error("give {} to the agent's account: {source}", .path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Where the next certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Enrolment {
    centre: String,
    identity: String,
}

/// From when to when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its begin.
    pub begin: Time,
    /// Its end.
    pub end: Time,
}

impl Span {
    fn of(pem: &str) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (_, parsed) = X509Certificate::from_der(&der).ok()?;
        let time = |time: i64| Time::from_seconds(time);
        let validity = parsed.validity();
        Some(Self {
            begin: time(validity.not_before.timestamp()),
            end: time(validity.not_after.timestamp()),
        })
    }

    /// When it is time for the next: at two thirds of its life.
    #[must_use]
    pub fn due(self) -> Time {
        self.begin.plus(self.end.since(self.begin) / 3 * 2)
    }
}

fn request(key: &KeyPair, identity: Option<&str>) -> Result<String, EnrolError> {
    let mut params = CertificateParams::default();
    if let Some(identity) = identity {
        params.subject_alt_names = vec![SanType::URI(identity.try_into()?)];
    }
    Ok(params.serialize_request(key)?.pem()?)
}

/// Turns a token into a certificate for the agent of this name, and writes the set into `dir`.
///
/// # Errors
/// If the centre is not the token's, refuses, or a file cannot be written. The files are as before then.
pub async fn enrol(token: &Token, name: &AgentId, dir: &Path) -> Result<Granted, EnrolError> {
    let (key, signing) =
        (KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?, KeyPair::generate_for(&PKCS_ED25519)?);
    let asked = Asked {
        token: token.secret().to_owned(),
        name: Some(name.to_string()),
        csr: request(&key, None)?,
        signing_csr: Some(request(&signing, None)?),
    };
    let centre = Centre::known_by(token.centre(), token.fingerprint())?;
    let granted: Granted = centre.post(ENROL_PATH, &asked).await?;
    let wrong = |what: &str| EnrolError::Granted(what.to_owned());
    match granted.identity.parse() {
        Ok(Identity::Agent { agent, .. }) if agent == *name => {}
        _ => return Err(wrong("it names another agent; is the token one for an agency?")),
    }
    if granted.until.parse::<Time>().is_err() {
        return Err(wrong("it has no end"));
    }
    let root = CertificateDer::from_pem_slice(granted.lists.authorities.as_bytes());
    let root = root.map_err(|_| wrong("its authorities cannot be read"))?;
    if hexadecimal(digest(&SHA256, &root).as_ref()) != token.fingerprint() {
        return Err(wrong("its authority is not the one that the token names"));
    }
    centre::certified(&granted.certificate, &key.serialize_pem(), &granted.lists.authorities)?;
    files::make(dir)?;
    let enrolment =
        Enrolment { centre: token.centre().to_owned(), identity: granted.identity.clone() };
    let enrolment = serde_json::to_string(&enrolment).unwrap_or_default();
    let put =
        |name: &str, text: &str| files::replace(&dir.join(name), text.as_bytes(), Readers::Owner);
    put(KEY, &key.serialize_pem())?;
    put(SIGNING_KEY, &signing.serialize_pem())?;
    put(ENROLMENT, &enrolment)?;
    take(&granted, dir)?;
    Ok(granted)
}

/// Puts certificates and lists in place.
fn take(granted: &Granted, dir: &Path) -> Result<(), FileError> {
    take_lists(&granted.lists, dir)?;
    if let Some(signing) = &granted.signing_certificate {
        files::replace(&dir.join(SIGNING), signing.as_bytes(), Readers::All)?;
    }
    files::replace(&dir.join(CERTIFICATE), granted.certificate.as_bytes(), Readers::All)
}

fn take_lists(lists: &Lists, dir: &Path) -> Result<(), FileError> {
    files::replace(&dir.join(AUTHORITIES), lists.authorities.as_bytes(), Readers::All)?;
    files::replace(&dir.join(REVOKED), lists.revoked.as_bytes(), Readers::All)
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// What the agent holds.
pub struct Holding {
    dir: PathBuf,
    enrolment: Enrolment,
    /// From when to when the certificate is valid.
    pub span: Span,
    certificate: String,
    authorities: String,
    key: String,
}

impl Holding {
    /// Whether an agent was enrolled into a folder.
    #[must_use]
    pub fn is_in(dir: &Path) -> bool {
        dir.join(ENROLMENT).exists()
    }

    /// Reads the set of a folder.
    ///
    /// # Errors
    /// If something of it is missing.
    pub fn read(dir: &Path) -> Result<Self, EnrolError> {
        let missing = |reason: &dyn std::fmt::Display| EnrolError::NotEnrolled {
            dir: dir.to_owned(),
            reason: reason.to_string(),
        };
        let text = |name: &str| files::read(&dir.join(name)).map_err(|error| missing(&error));
        let enrolment = serde_json::from_str(&text(ENROLMENT)?).map_err(|error| missing(&error))?;
        let certificate = text(CERTIFICATE)?;
        let span = Span::of(&certificate).ok_or_else(|| missing(&"the certificate is none"))?;
        let (authorities, key) = (text(AUTHORITIES)?, text(KEY)?);
        Ok(Self { dir: dir.to_owned(), enrolment, span, certificate, authorities, key })
    }

    /// Whom it names.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.enrolment.identity
    }

    fn centre(&self) -> Result<Centre, EnrolError> {
        let holding = (self.certificate.as_str(), self.key.as_str());
        Ok(Centre::trusted_by(&self.enrolment.centre, &self.authorities, Some(holding))?)
    }

    /// Has the next certificate made for the same keys, and puts it in place.
    ///
    /// # Errors
    /// If the centre refuses, or a file cannot be written. The files are as before then.
    pub async fn renew(&self) -> Result<Granted, EnrolError> {
        let key = KeyPair::from_pem(&self.key)?;
        let identity = self.identity();
        let signing = match files::read(&self.dir.join(SIGNING_KEY)) {
            Ok(pem) => Some(request(&KeyPair::from_pem(&pem)?, Some(identity))?),
            Err(_) => None,
        };
        let asked = Renewal { csr: request(&key, Some(identity))?, signing_csr: signing };
        let granted: Granted = self.centre()?.post(RENEW_PATH, &asked).await?;
        if granted.identity != identity {
            return Err(EnrolError::Granted("it names somebody else".into()));
        }
        centre::certified(&granted.certificate, &self.key, &granted.lists.authorities)?;
        take(&granted, &self.dir)?;
        Ok(granted)
    }

    /// Fetches what is trusted and what is revoked.
    ///
    /// # Errors
    /// If the centre does not answer, or a file cannot be written.
    pub async fn fetch_lists(&self) -> Result<(), EnrolError> {
        // Without the certificate, which may have run out.
        let centre = Centre::trusted_by(&self.enrolment.centre, &self.authorities, None)?;
        let lists: Lists = centre.get(LISTS_PATH).await?;
        Ok(take_lists(&lists, &self.dir)?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_next_certificate_is_due_at_two_thirds_of_the_life_of_this() {
        let span = Span { begin: Time::from_seconds(1_000), end: Time::from_seconds(1_900) };
        assert_eq!(span.due(), Time::from_seconds(1_600));
        let turned = Span { begin: span.end, end: span.begin };
        assert_eq!(turned.due(), span.begin.plus(Duration::from_secs(900)));
    }

    #[test]
    fn a_folder_without_a_set_says_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let missing = || Holding::read(dir.path()).err().unwrap().to_string();
        assert!(!Holding::is_in(dir.path()) && missing().contains("enrolment.json"));
        let text = "{\"centre\":\"https://c\",\"identity\":\"i\"}";
        std::fs::write(dir.path().join(ENROLMENT), text).unwrap();
        assert!(Holding::is_in(dir.path()) && missing().contains("certificate.pem"));
        std::fs::write(dir.path().join(CERTIFICATE), "nonsense").unwrap();
        assert!(missing().contains("is none"), "{}", missing());
    }
}
