//! An authority for tests, with files as an issued set has them.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use tempfile::TempDir;

use crate::tls::Files;

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// What a certificate says.
pub(crate) struct Says<'a> {
    pub(crate) uris: &'a [&'a str],
    pub(crate) name: &'a str,
    pub(crate) serial: u64,
    /// From when, seen from now, and for how long, in hours.
    pub(crate) begins: i64,
    pub(crate) hours: i64,
}

impl Default for Says<'_> {
    fn default() -> Self {
        Self {
            uris: &["spiffe://vonggac/person/an"],
            name: "localhost",
            serial: 7,
            begins: -1,
            hours: 2,
        }
    }
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate and its key.
    pub(crate) fn issue(&self, says: &Says<'_>) -> (String, String) {
        let mut params = CertificateParams::new(vec![says.name.to_owned()]).unwrap();
        for uri in says.uris {
            params.subject_alt_names.push(SanType::URI((*uri).try_into().unwrap()));
        }
        params.serial_number = Some(SerialNumber::from(says.serial));
        let now = std::time::SystemTime::now();
        let hours = |hours: i64| Duration::from_secs(3600 * hours.unsigned_abs());
        let at = |offset: i64| {
            if offset < 0 { now - hours(offset) } else { now + hours(offset) }
        };
        params.not_before = at(says.begins).into();
        params.not_after = at(says.begins + says.hours).into();
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    pub(crate) fn list(&self, serials: &[u64]) -> String {
        let now = std::time::SystemTime::now();
        let revoked_certs = serials
            .iter()
            .map(|serial| RevokedCertParams {
                serial_number: SerialNumber::from(*serial),
                revocation_time: now.into(),
                reason_code: None,
                invalidity_date: None,
            })
            .collect();
        let params = CertificateRevocationListParams {
            this_update: now.into(),
            next_update: (now + Duration::from_secs(3600)).into(),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// Writes a set of files; `revoked` stays writable for later.
pub(crate) fn write(folder: &Path, pair: &(String, String), trusts: &str, revoked: &str) -> Files {
    let files = Files::of_set(folder);
    fs::write(&files.certificate, &pair.0).unwrap();
    fs::write(&files.key, &pair.1).unwrap();
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&files.authorities, trusts).unwrap();
    fs::write(files.revoked.as_ref().unwrap(), revoked).unwrap();
    files
}

/// A set of its own folder.
pub(crate) fn set(pair: &(String, String), trusts: &str, revoked: &str) -> (TempDir, Files) {
    let folder = tempfile::tempdir().unwrap();
    let files = write(folder.path(), pair, trusts, revoked);
    (folder, files)
}
