//! A certificate with what belongs to it.

use std::path::Path;

use vonggac_daemon::secret::Secret;
use vonggac_wire::Time;

use super::{
    AUTHORITIES, FileError, REVOKED, Readers, folder,
    issuers::{CERTIFICATE, KEY},
};

/// What was issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Its serial number in hexadecimal digits.
    pub serial: String,
    /// Until when it is valid.
    pub not_after: Time,
    /// It and its issuer, in PEM.
    pub certificate: String,
    /// Its key in PEM, where the authority made it.
    pub key: Option<Secret>,
    /// What it is trusted by, in PEM.
    pub authorities: String,
    /// All revocation lists, in PEM.
    pub revoked: String,
}

impl Issued {
    /// Writes the set into a folder, the key first: a certificate without its key would be taken for a whole set.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), FileError> {
        folder::make(dir)?;
        if let Some(key) = &self.key {
            folder::replace(&dir.join(KEY), key.reveal().as_bytes(), Readers::Owner)?;
        }
        let files = [
            (AUTHORITIES, &self.authorities),
            (REVOKED, &self.revoked),
            (CERTIFICATE, &self.certificate),
        ];
        for (name, text) in files {
            folder::replace(&dir.join(name), text.as_bytes(), Readers::All)?;
        }
        Ok(())
    }
}
