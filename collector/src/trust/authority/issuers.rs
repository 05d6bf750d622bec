//! The root and the issuers as they lie in the folder.
//!
//! `issuers/SERIAL/` holds each issuer's certificate, key and revocation list; `present` points to the one that issues, and is changed at once.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use rcgen::{Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use vonggac_daemon::secret::Secret;
use vonggac_wire::Time;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{
    AuthorityError,
    folder::{self, failed},
    sealed_key,
    signer::{Certified, Signer},
};

/// Issuers at once: one more for each rotation within the life of one.
const ISSUERS_MAX: usize = 64;

pub(in crate::trust) const ROOT: &str = "root.pem";
pub(super) const ROOT_KEY: &str = "root.key.pem";
pub(super) const ROOT_LIST: &str = "root.crl.pem";
pub(super) const ISSUERS: &str = "issuers";
pub(super) const PRESENT: &str = "present";
pub(in crate::trust) const CERTIFICATE: &str = "certificate.pem";
pub(in crate::trust) const KEY: &str = "key.pem";
pub(super) const LIST: &str = "crl.pem";

/// A certificate of an authority, without its key.
#[derive(Clone, Debug)]
pub(super) struct Signing {
    pub(super) pem: String,
    pub(super) der: CertificateDer<'static>,
    pub(super) serial: String,
    pub(super) not_after: Time,
    public: Vec<u8>,
}

impl Signing {
    pub(super) fn read(path: &Path) -> Result<Self, AuthorityError> {
        let pem = folder::read(path)?;
        let wrong = |reason: String| AuthorityError::Certificate { path: path.to_owned(), reason };
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| wrong(error.to_string()))?;
        let (_, parsed) =
            X509Certificate::from_der(&der).map_err(|error| wrong(error.to_string()))?;
        let (serial, not_after) = (serial_of(&parsed), end_of(&parsed));
        let public = parsed.public_key().raw.to_vec();
        Ok(Self { pem, serial, not_after, public, der })
    }

    /// With what signs for it.
    pub(super) fn with(
        &self,
        signer: Box<dyn Signer>,
    ) -> Result<Issuer<'static, Certified>, AuthorityError> {
        let certified = Certified::new(&self.public, signer)?;
        Ok(Issuer::from_ca_cert_der(&self.der, certified)?)
    }
}

/// A certificate's serial number in hexadecimal digits.
pub(in crate::trust) fn serial_of(certificate: &X509Certificate<'_>) -> String {
    HEXLOWER.encode(&certificate.serial.to_bytes_be())
}

/// A certificate's end.
pub(in crate::trust) fn end_of(certificate: &X509Certificate<'_>) -> Time {
    Time::from_seconds(certificate.validity().not_after.timestamp())
}

/// The root's certificate.
pub(super) fn root(dir: &Path) -> Result<Signing, AuthorityError> {
    Signing::read(&dir.join(ROOT))
}

/// The root with its key.
pub(super) fn opened_root(
    dir: &Path,
    passphrase: &Secret,
) -> Result<(Signing, Issuer<'static, Certified>), AuthorityError> {
    let root = root(dir)?;
    let path = dir.join(ROOT_KEY);
    let key = sealed_key::open(&folder::read(&path)?, passphrase)?;
    let signer = with_key(&root, KeyPair::try_from(key.as_bytes()), &path)?;
    Ok((root, signer))
}

/// An issuer with its key.
pub(super) fn opened(dir: &Path) -> Result<(Signing, Issuer<'static, Certified>), AuthorityError> {
    let signing = Signing::read(&dir.join(CERTIFICATE))?;
    let path = dir.join(KEY);
    let signer = with_key(&signing, KeyPair::from_pem(&folder::read(&path)?), &path)?;
    Ok((signing, signer))
}

fn with_key(
    signing: &Signing,
    key: Result<KeyPair, rcgen::Error>,
    path: &Path,
) -> Result<Issuer<'static, Certified>, AuthorityError> {
    let wrong = |reason: String| AuthorityError::Certificate { path: path.to_owned(), reason };
    let key = key.map_err(|error| wrong(error.to_string()))?;
    if rcgen::PublicKeyData::subject_public_key_info(&key) != signing.public {
        return Err(wrong("it is not the key of the certificate beside it".into()));
    }
    signing.with(Box::new(key))
}

/// The folders of all issuers.
pub(super) fn all(dir: &Path) -> Result<Vec<PathBuf>, AuthorityError> {
    let issuers = dir.join(ISSUERS);
    let mut all = Vec::new();
    for entry in fs::read_dir(&issuers).map_err(failed("read", &issuers))? {
        let path = entry.map_err(failed("read", &issuers))?.path();
        // One that was not finished has no certificate yet.
        if path.join(CERTIFICATE).exists() {
            all.push(path);
        }
    }
    if all.len() > ISSUERS_MAX {
        return Err(AuthorityError::Issuers(all.len()));
    }
    all.sort();
    Ok(all)
}

/// Lets `serial` be the one that issues.
pub(super) fn make_present(dir: &Path, serial: &str) -> Result<(), AuthorityError> {
    let (fresh, present) = (dir.join("present.new"), dir.join(PRESENT));
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("replace", &fresh)(error).into());
        }
        _ => {}
    }
    symlink(Path::new(ISSUERS).join(serial), &fresh).map_err(failed("write", &fresh))?;
    fs::rename(&fresh, &present).map_err(failed("write", &present))?;
    folder::sync_folder(&present)?;
    Ok(())
}
