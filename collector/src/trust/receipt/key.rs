//! The key that signs receipts.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use vonggac_wire::{Signer, seal::SealError};

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be used.
    #[error("use the key of receipts {file}: {source}", file = .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read it.
    #[error("trust the key of receipts {file}: others can read it; `chmod 600 {file}`", file = .file.display())]
    Open {
        /// The file.
        file: PathBuf,
    },
    /// It holds something else.
    #[error("understand the key of receipts {file}: it holds no private key in PEM", file = .file.display())]
    Pem {
        /// The file.
        file: PathBuf,
    },
    /// It cannot sign.
    #[error("sign with the key of receipts: {0}")]
    Seal(#[from] SealError),
    /// None could be made.
    #[error("make a key of receipts: {0}")]
    Make(#[from] rcgen::Error),
}

/// Reads the key; where there is no file yet, one is made. Several collectors of one centre have the same.
///
/// # Errors
/// If it cannot be used.
pub fn open(path: &Path) -> Result<Arc<Signer>, KeyError> {
    let file = |source| KeyError::File { file: path.to_owned(), source };
    if !path.exists() {
        let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)?.serialize_pem();
        let mut options = fs::OpenOptions::new();
        let mut made = options.write(true).create_new(true).mode(0o600).open(path).map_err(file)?;
        made.write_all(pem.as_bytes()).and_then(|()| made.sync_all()).map_err(file)?;
        tracing::warn!(
            file = %path.display(),
            "a key of receipts was made; keep a copy, and give it to all collectors of this centre"
        );
    }
    let mode = fs::metadata(path).map_err(file)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(KeyError::Open { file: path.to_owned() });
    }
    let pem = fs::read(path).map_err(file)?;
    let key =
        PrivateKeyDer::from_pem_slice(&pem).map_err(|_| KeyError::Pem { file: path.to_owned() })?;
    Ok(Arc::new(Signer::without_certificate(key.secret_der())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_by_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("receipts.key.pem");
        let made = open(&path).unwrap();
        assert_eq!(open(&path).unwrap().public_key(), made.public_key());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(open(&path), Err(KeyError::Open { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "nonsense").unwrap();
        assert!(matches!(open(&path), Err(KeyError::Pem { .. })));
        assert!(matches!(open(&dir.path().join("no/key.pem")), Err(KeyError::File { .. })));
    }
}
