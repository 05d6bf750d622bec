//! How the authority is.

use rustls_pki_types::{CertificateRevocationListDer, pem::PemObject as _};
use vonggac_wire::Time;
use x509_parser::{prelude::FromDer as _, revocation_list::CertificateRevocationList};

use super::{
    Authority, AuthorityError, fingerprint, folder,
    issuers::{self, CERTIFICATE, LIST, PRESENT, ROOT_LIST},
    ledger::Register,
};

/// How the authority is.
#[derive(Clone, Debug)]
pub struct Status {
    /// The root's fingerprint.
    pub fingerprint: String,
    /// Until when the root is valid.
    pub root_until: Time,
    /// When the root's revocation list has to be made anew.
    pub root_list_until: Option<Time>,
    /// Its issuers, the one in use first.
    pub issuers: Vec<IssuerStatus>,
    /// What was issued and revoked.
    pub register: Register,
}

/// How an issuer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerStatus {
    /// Its serial number.
    pub serial: String,
    /// It is the one that issues.
    pub present: bool,
    /// Until when it is valid.
    pub until: Time,
    /// When its revocation list has to be made anew.
    pub list_until: Option<Time>,
}

impl Authority {
    /// How it is.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn status(&self, now: Time) -> Result<Status, AuthorityError> {
        let root = issuers::root(&self.dir)?;
        let present = issuers::Signing::read(&self.dir.join(PRESENT).join(CERTIFICATE))?;
        let mut issuers = Vec::new();
        for path in issuers::all(&self.dir)? {
            let signing = issuers::Signing::read(&path.join(CERTIFICATE))?;
            issuers.push(IssuerStatus {
                present: signing.serial == present.serial,
                until: signing.not_after,
                list_until: folder::read(&path.join(LIST)).ok().and_then(|pem| next_update(&pem)),
                serial: signing.serial,
            });
        }
        issuers.sort_by_key(|issuer| (!issuer.present, -issuer.until.nanos()));
        Ok(Status {
            fingerprint: fingerprint(&root.der),
            root_until: root.not_after,
            root_list_until: folder::read(&self.dir.join(ROOT_LIST))
                .ok()
                .and_then(|pem| next_update(&pem)),
            issuers,
            register: self.register(now)?,
        })
    }
}

fn next_update(pem: &str) -> Option<Time> {
    let list = CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).ok()?;
    let (_, list) = CertificateRevocationList::from_der(&list).ok()?;
    list.next_update().map(|time| Time::from_seconds(time.timestamp()))
}
