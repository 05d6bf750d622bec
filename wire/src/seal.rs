//! Seals: who sent a batch, and that nobody changed it.
//!
//! A seal is a signature over the BLAKE3 hash of the batch's exact bytes, behind a word that says what is signed: a signature for one purpose
//! is none for another. The hash is what the chain of batches is made of anyway, and whoever keeps hash, signature and certificate can
//! prove later who sent what, without the bytes.
//!
//! The agent signs with the key of its own certificate, so that there is one key to make, to renew and to revoke; Ed25519 or ECDSA P-256,
//! as the key is. `key_id` is the SHA-256 of the certificate's bytes, in hexadecimal digits: renewed certificates are told apart.

use std::fmt::Write as _;

use prost::{
    DecodeError, Message,
    encoding::{self, WireType},
};
use ring::{
    digest,
    rand::SystemRandom,
    signature::{
        self, ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair as _, UnparsedPublicKey,
    },
};

use crate::{batch::BatchHash, proto};

/// Bytes of a signature: the longest of the two algorithms, with room.
pub const SIGNATURE_BYTES_MAX: usize = 80;

/// Bytes of a certificate with those that issued it, as a record carries them.
pub const CERTIFICATES_BYTES_MAX: usize = 16 * 1024;

/// The field of an envelope's batch.
pub(crate) const BATCH_TAG: u32 = 1;

/// The field of its signature.
const SIGNATURE_TAG: u32 = 2;

/// The field of its key's name.
const KEY_ID_TAG: u32 = 3;

/// What a signature is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An agent's batch.
    Batch,
    /// A centre's receipt.
    Receipt,
    /// A bundle of evidence: its manifest.
    Bundle,
    /// A collector's word that a key is its centre's.
    Voucher,
}

impl Purpose {
    /// What is signed: a word for the purpose, and the hash.
    fn message(self, hash: &BatchHash) -> Vec<u8> {
        let word: &[u8] = match self {
            Self::Batch => b"vonggac batch seal v1\0",
            Self::Receipt => b"vonggac receipt v1\0",
            Self::Bundle => b"vonggac bundle v1\0",
            Self::Voucher => b"vonggac voucher v1\0",
        };
        [word, &hash.0].concat()
    }
}

/// Why there is no seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not a private key that can sign.
    #[error(
        "the key is neither an Ed25519 nor an ECDSA P-256 key in PKCS#8; make it anew by enrolling"
    )]
    Key,
    /// The key is another one than the certificate's.
    #[error("the certificate is missing or too long; give the leaf first, then who issued it")]
    Certificate,
    /// No random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// A signature, and whose it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seal {
    /// Over [`Purpose::Batch`] and the batch's hash.
    pub signature: Vec<u8>,
    /// The certificate's SHA-256, in hexadecimal digits.
    pub key_id: String,
}

impl Seal {
    /// The seal of a record's value; `None`: it has none.
    ///
    /// # Errors
    /// If it is no envelope.
    pub fn of(value: &[u8]) -> Result<Option<Self>, DecodeError> {
        let seal = match Parts::of(value) {
            Some(Parts { signature, key_id, .. }) => {
                Self { signature: signature.to_vec(), key_id: key_id.to_owned() }
            }
            None => {
                let envelope = proto::Envelope::decode(value)?;
                Self { signature: envelope.signature, key_id: envelope.key_id }
            }
        };
        Ok((!seal.signature.is_empty()).then_some(seal))
    }

    /// The fields of an envelope that stand behind its batch.
    #[must_use]
    pub fn encoded(&self) -> Vec<u8> {
        let mut fields = Vec::with_capacity(self.signature.len() + self.key_id.len() + 8);
        for (tag, bytes) in
            [(SIGNATURE_TAG, &*self.signature), (KEY_ID_TAG, self.key_id.as_bytes())]
        {
            if !bytes.is_empty() {
                encoding::encode_key(tag, WireType::LengthDelimited, &mut fields);
                encoding::encode_varint(bytes.len() as u64, &mut fields);
                fields.extend_from_slice(bytes);
            }
        }
        fields
    }
}

/// An envelope as ours are written: the batch first, then each other field once.
pub(crate) struct Parts<'a> {
    pub(crate) batch: &'a [u8],
    signature: &'a [u8],
    key_id: &'a str,
}

impl<'a> Parts<'a> {
    /// `None`: it is written otherwise, or is none.
    pub(crate) fn of(value: &'a [u8]) -> Option<Self> {
        let mut rest = value;
        let batch = field(&mut rest, BATCH_TAG)?;
        let mut parts = Self { batch, signature: &[], key_id: "" };
        if !rest.is_empty() {
            parts.signature = field(&mut rest, SIGNATURE_TAG)?;
            parts.key_id = std::str::from_utf8(field(&mut rest, KEY_ID_TAG)?).ok()?;
        }
        rest.is_empty().then_some(parts)
    }
}

/// The bytes of a field that is next.
fn field<'a>(rest: &mut &'a [u8], wanted: u32) -> Option<&'a [u8]> {
    let (tag, wire_type) = encoding::decode_key(rest).ok()?;
    if (tag, wire_type) != (wanted, WireType::LengthDelimited) {
        return None;
    }
    let length = usize::try_from(encoding::decode_varint(rest).ok()?).ok()?;
    let (bytes, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(bytes)
}

/// The name of a certificate: SHA-256 of its bytes, in hexadecimal digits.
#[must_use]
pub fn key_id(certificate: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in digest::digest(&digest::SHA256, certificate).as_ref() {
        // Writing to a string does not fail.
        let _written = write!(text, "{byte:02x}");
    }
    text
}

enum Private {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair, SystemRandom),
}

/// A key that signs, with the certificate that says whose it is.
pub struct Signer {
    key: Private,
    key_id: String,
    certificates: Vec<u8>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Signer").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl Signer {
    /// Of a private key in PKCS#8 and its certificates in DER, the leaf first.
    ///
    /// # Errors
    /// If the key cannot sign, or there is no certificate.
    pub fn new(pkcs8: &[u8], certificates: &[&[u8]]) -> Result<Self, SealError> {
        let leaf = certificates.first().ok_or(SealError::Certificate)?;
        let key_id = key_id(leaf);
        let certificates = certificates.concat();
        if certificates.len() > CERTIFICATES_BYTES_MAX {
            return Err(SealError::Certificate);
        }
        Ok(Self { key: Self::key(pkcs8)?, key_id, certificates })
    }

    /// Of a private key in PKCS#8 alone; it is called by the SHA-256 of its public key.
    ///
    /// # Errors
    /// If the key cannot sign.
    pub fn without_certificate(pkcs8: &[u8]) -> Result<Self, SealError> {
        let mut signer =
            Self { key: Self::key(pkcs8)?, key_id: String::new(), certificates: Vec::new() };
        signer.key_id = key_id(&signer.public_key().point);
        Ok(signer)
    }

    fn key(pkcs8: &[u8]) -> Result<Private, SealError> {
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8) {
            return Ok(Private::Ed25519(pair));
        }
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8, &random);
        Ok(Private::P256(pair.map_err(|_| SealError::Key)?, random))
    }

    /// Signs.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn sign(&self, purpose: Purpose, hash: &BatchHash) -> Result<Seal, SealError> {
        let message = purpose.message(hash);
        let signature = match &self.key {
            Private::Ed25519(pair) => pair.sign(&message).as_ref().to_vec(),
            Private::P256(pair, random) => {
                pair.sign(random, &message).map_err(|_| SealError::Random)?.as_ref().to_vec()
            }
        };
        Ok(Seal { signature, key_id: self.key_id.clone() })
    }

    /// What is to be verified with.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        let (algorithm, point) = match &self.key {
            Private::Ed25519(pair) => (Algorithm::Ed25519, pair.public_key().as_ref()),
            Private::P256(pair, _) => (Algorithm::P256, pair.public_key().as_ref()),
        };
        PublicKey { algorithm, point: point.to_vec() }
    }

    /// Its certificates in DER, one behind the other, the leaf first.
    #[must_use]
    pub fn certificates(&self) -> &[u8] {
        &self.certificates
    }

    /// How its signatures name it.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }
}

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// EdDSA on Curve25519.
    Ed25519,
    /// ECDSA on P-256 with SHA-256.
    P256,
}

/// A key that signatures are held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// How it signs.
    pub algorithm: Algorithm,
    /// The bytes of a certificate's subjectPublicKey.
    pub point: Vec<u8>,
}

impl PublicKey {
    /// Whether this is the key's signature.
    #[must_use]
    pub fn verifies(&self, purpose: Purpose, hash: &BatchHash, signature: &[u8]) -> bool {
        let algorithm: &dyn signature::VerificationAlgorithm = match self.algorithm {
            Algorithm::Ed25519 => &ED25519,
            Algorithm::P256 => &ECDSA_P256_SHA256_ASN1,
        };
        signature.len() <= SIGNATURE_BYTES_MAX
            && UnparsedPublicKey::new(algorithm, &self.point)
                .verify(&purpose.message(hash), signature)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{batch::Batch, id::Lane};

    fn signers() -> [Signer; 2] {
        let random = SystemRandom::new();
        let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        [ed.as_ref(), p256.as_ref()].map(|key| Signer::new(key, &[b"leaf", b"issuer"]).unwrap())
    }

    #[test]
    fn a_seal_is_of_one_key_one_purpose_and_one_batch() {
        let [ed, p256] = signers();
        let (hash, other) = (BatchHash([1; 32]), BatchHash([2; 32]));
        for (signer, stranger) in [(&ed, &p256), (&p256, &ed)] {
            let seal = signer.sign(Purpose::Batch, &hash).unwrap();
            let key = signer.public_key();
            assert!(key.verifies(Purpose::Batch, &hash, &seal.signature));
            assert!(!key.verifies(Purpose::Batch, &other, &seal.signature));
            assert!(!key.verifies(Purpose::Receipt, &hash, &seal.signature));
            assert!(!stranger.public_key().verifies(Purpose::Batch, &hash, &seal.signature));
            assert_eq!(seal.key_id, key_id(b"leaf"));
        }
    }

    #[test]
    fn what_is_no_key_is_refused_in_words() {
        assert_eq!(Signer::new(b"no key", &[b"leaf"]).unwrap_err(), SealError::Key);
        assert_eq!(Signer::new(b"", &[]).unwrap_err(), SealError::Certificate);
    }

    #[test]
    fn a_sealed_record_is_the_batch_of_before_with_its_seal_behind() {
        let batch = crate::batch::tests::sample(3);
        let mut frames = batch.clone().seal();
        let hash = frames.hash;
        assert_eq!(Seal::of(&frames.value), Ok(None));
        let seal = signers()[1].sign(Purpose::Batch, &hash).unwrap();
        frames.add(&seal);
        assert_eq!(Seal::of(&frames.value), Ok(Some(seal)));
        assert_eq!(Batch::open(&frames.value, Lane::Security), Ok((batch, hash)));
        let envelope = proto::Envelope::decode(frames.value.as_slice()).unwrap();
        assert_eq!(envelope.encode_to_vec(), frames.value);
    }

    proptest! {
        #[test]
        fn any_bytes_have_the_seal_that_prost_sees(mut value in proptest::collection::vec(any::<u8>(), 0..40), cut in 0_usize..120) {
            let mut sealed = crate::batch::tests::sample(1).seal();
            sealed.add(&Seal { signature: vec![7; 9], key_id: "k".into() });
            sealed.value.truncate(sealed.value.len().saturating_sub(cut));
            sealed.value.append(&mut value);
            let prost = proto::Envelope::decode(sealed.value.as_slice());
            match (Seal::of(&sealed.value), prost) {
                (Ok(Some(seal)), Ok(envelope)) => prop_assert_eq!((seal.signature, seal.key_id), (envelope.signature, envelope.key_id)),
                (Ok(None), Ok(envelope)) => prop_assert!(envelope.signature.is_empty()),
                (ours, prost) => prop_assert_eq!(ours.is_err(), prost.is_err()),
            }
        }
    }
}
