//! What signs: one method, so that a hardware token can take the place of a file.

use rcgen::{KeyPair, PublicKeyData, SignatureAlgorithm, SigningKey, SubjectPublicKeyInfo};

/// Holds a private key and gives signatures alone.
pub trait Signer: Send + Sync {
    /// Signs `message` with the algorithm that the certificate of its key names.
    ///
    /// # Errors
    /// What the holder of the key says.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error>;
}

impl Signer for KeyPair {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        SigningKey::sign(self, message)
    }
}

/// A signer beside the public key that its certificate names.
pub(super) struct Certified {
    public: SubjectPublicKeyInfo,
    signer: Box<dyn Signer>,
}

impl Certified {
    /// `public` as DER.
    pub(super) fn new(public: &[u8], signer: Box<dyn Signer>) -> Result<Self, rcgen::Error> {
        Ok(Self { public: SubjectPublicKeyInfo::from_der(public)?, signer })
    }
}

impl PublicKeyData for Certified {
    fn der_bytes(&self) -> &[u8] {
        self.public.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.public.algorithm()
    }
}

impl SigningKey for Certified {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.signer.sign(message)
    }
}
