//! What somebody who was enrolled holds, and how the next certificate comes to it.

use std::path::{Path, PathBuf};

use rcgen::KeyPair;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use vonggac_daemon::files;
use vonggac_wire::{
    Identity, Time,
    enrol::{Granted, LISTS_PATH, Lists, RENEW_PATH, Renewal},
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{
    AUTHORITIES, CERTIFICATE, ENROLMENT, EnrolError, KEY, REVOKED, SIGNING_KEY,
    centre::{self, Centre},
    request, take, take_lists,
};

/// Where the next certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Enrolment {
    pub(super) centre: String,
    pub(super) identity: String,
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

/// What is held.
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
    /// Whether somebody was enrolled into a folder.
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

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whom it names.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.enrolment.identity
    }

    /// When the lists of what is revoked were fetched; `None`: it is not known.
    #[must_use]
    pub fn lists_of(&self) -> Option<Time> {
        let meta = std::fs::metadata(self.dir.join(REVOKED)).ok()?;
        meta.modified().ok().map(Time::from)
    }

    /// The centre, which is shown the certificate.
    ///
    /// # Errors
    /// If address or certificate is none.
    pub fn centre(&self) -> Result<Centre, EnrolError> {
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
        let is_agent = matches!(identity.parse(), Ok(Identity::Agent { .. }));
        let signing = match files::read(&self.dir.join(SIGNING_KEY)) {
            Ok(pem) if is_agent => Some(request(&KeyPair::from_pem(&pem)?, Some(identity))?),
            _ => None,
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
