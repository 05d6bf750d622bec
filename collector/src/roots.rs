//! Who vouches for the servers that the collector speaks to besides its own: mail, hooks, an object store.

use std::{error::Error, fmt::Write as _, sync::Arc};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

/// Who vouches for others cannot be known.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The certificates of this machine.
    #[error("read this machine's certificates; install ca-certificates, or name authorities")]
    Machine(#[source] std::io::Error),
    /// Those of the configuration.
    #[error("understand the named authorities; wanted certificates in PEM")]
    Named(#[source] rustls_pki_types::pem::Error),
    /// One of them.
    #[error("use one of the named authorities")]
    Refused(#[from] rustls::Error),
}

/// An error with what caused it, on one line.
#[must_use]
pub fn said(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        // Some errors say their cause themselves.
        if !text.contains(&more) {
            // Writing to a string does not fail.
            let _written = write!(text, ": {more}");
        }
        cause = inner.source();
    }
    text
}

/// How a server is believed: by the authorities that are named, else by those of this machine.
///
/// # Errors
/// If there are none, or one cannot be used.
pub fn believed(authorities: Option<&[u8]>) -> Result<Arc<ClientConfig>, RootsError> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots.add(certificate.map_err(RootsError::Named)?)?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            if found.certs.is_empty() {
                let why = found.errors.first().map(ToString::to_string).unwrap_or_default();
                return Err(RootsError::Machine(std::io::Error::other(why)));
            }
            // A machine may have some that no program reads.
            let _counts = roots.add_parsable_certificates(found.certs);
        }
    }
    let settings = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(settings))
}
