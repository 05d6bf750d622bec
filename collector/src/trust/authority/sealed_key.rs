//! The root's key under a passphrase: PKCS#8 with PBES2, PBKDF2 over HMAC-SHA-256 and AES-256-CBC, which `openssl pkey` opens too.

use pkcs8::{
    EncryptedPrivateKeyInfo, LineEnding, PrivateKeyInfo, SecretDocument, pkcs5::pbes2::Parameters,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use vonggac_daemon::secret::Secret;

/// Rounds of the derivation, as OWASP's cheat sheet of 2023 has them for HMAC-SHA-256: a third of a second for who knows the passphrase.
pub(super) const ROUNDS: u32 = 600_000;

/// Characters of a passphrase at least: what was thought of at once is guessed at once.
pub const PASSPHRASE_CHARACTERS_MIN: usize = 12;

/// Why a key stays shut.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It would be guessed.
    #[error(
        "seal the root's key: the passphrase has fewer than {PASSPHRASE_CHARACTERS_MIN} characters"
    )]
    Short,
    /// Random numbers are not to be had.
    #[error("seal the root's key: the kernel gives no random numbers")]
    Random,
    /// The file, or its passphrase.
    #[error("open the root's key: {0}; is it the passphrase that `pki init` was given?")]
    Shut(String),
}

/// Encrypts a key's PKCS#8 form; PEM.
pub(super) fn seal(key: &[u8], passphrase: &Secret, rounds: u32) -> Result<String, SealError> {
    if passphrase.reveal().chars().count() < PASSPHRASE_CHARACTERS_MIN {
        return Err(SealError::Short);
    }
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    let random = SystemRandom::new();
    random.fill(&mut salt).and_then(|()| random.fill(&mut iv)).map_err(|_| SealError::Random)?;
    let shut = |error: &dyn std::fmt::Display| SealError::Shut(error.to_string());
    let parameters =
        Parameters::pbkdf2_sha256_aes256cbc(rounds, &salt, &iv).map_err(|error| shut(&error))?;
    let sealed = PrivateKeyInfo::try_from(key)
        .and_then(|key| key.encrypt_with_params(parameters, passphrase.reveal()))
        .map_err(|error| shut(&error))?;
    let pem =
        sealed.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).map_err(|error| shut(&error))?;
    Ok(pem.to_string())
}

/// The PKCS#8 form of a sealed key.
pub(super) fn open(pem: &str, passphrase: &Secret) -> Result<SecretDocument, SealError> {
    let shut = |error: &dyn std::fmt::Display| SealError::Shut(error.to_string());
    let (label, sealed) = SecretDocument::from_pem(pem).map_err(|error| shut(&error))?;
    if label != "ENCRYPTED PRIVATE KEY" {
        return Err(SealError::Shut(format!("it is a {label}, not an encrypted key")));
    }
    EncryptedPrivateKeyInfo::try_from(sealed.as_bytes())
        .and_then(|sealed| sealed.decrypt(passphrase.reveal()))
        .map_err(|error| shut(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_key_opens_with_its_passphrase_alone() {
        let key = rcgen::KeyPair::generate().unwrap();
        let right = Secret::new("correct horse battery".into());
        let pem = seal(key.serialized_der(), &right, 1_000).unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), "{pem}");
        assert_eq!(open(&pem, &right).unwrap().as_bytes(), key.serialized_der());
        for wrong in ["", "correct horse batterz", "correct horse battery "] {
            assert!(open(&pem, &Secret::new(wrong.into())).is_err(), "{wrong:?}");
        }
        assert!(open("", &right).is_err() && open(&key.serialize_pem(), &right).is_err());
        let short = Secret::new("elevenchars".into());
        assert!(matches!(seal(key.serialized_der(), &short, 1_000), Err(SealError::Short)));
    }
}
