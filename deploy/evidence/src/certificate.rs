//! Certificates whose keys sealed something.

use rustls::{
    pki_types::{CertificateDer, UnixTime},
    server::danger::ClientCertVerifier,
};
use vonggac_daemon::tls::{Named, identity_of};
use vonggac_wire::{
    Identity, Time,
    seal::{Algorithm, PublicKey},
};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Certificates of a chain: the agent's, and those up to below the root.
const CHAIN_MAX: usize = 4;

/// Why a certificate is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate of the seal is not taken: {why}")]
pub struct NotTaken {
    /// Why.
    pub why: String,
}

fn not_taken(why: impl ToString) -> NotTaken {
    NotTaken { why: why.to_string() }
}

/// A certificate that sealed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Its SHA-256.
    pub key_id: String,
    /// Whom it names, and for how long.
    pub named: Named,
    /// What it verifies with.
    pub key: PublicKey,
    /// Itself and those that issued it, in DER, one behind the other.
    pub chain: Vec<u8>,
}

impl Certificate {
    /// Reads a chain. Whether it may be believed is for [`Self::is_believed`] to say.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(chain: &[u8]) -> Result<Self, NotTaken> {
        let leaf = split(chain).and_then(|parts| parts.first().copied());
        let leaf = leaf.ok_or_else(|| not_taken("it is no chain of certificates"))?;
        let named = identity_of(&CertificateDer::from(leaf)).map_err(not_taken)?;
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(not_taken)?;
        let spki = parsed.public_key();
        let algorithm = match spki.algorithm.algorithm.to_id_string().as_str() {
            "1.3.101.112" => Algorithm::Ed25519,
            "1.2.840.10045.2.1" => Algorithm::P256,
            other => return Err(not_taken(format!("its key is of the kind {other}"))),
        };
        Ok(Self {
            key_id: vonggac_wire::seal::key_id(leaf),
            named,
            key: PublicKey { algorithm, point: spki.subject_public_key.data.to_vec() },
            chain: chain.to_vec(),
        })
    }

    /// Whether it names this agent.
    #[must_use]
    pub fn is_of(&self, agency: &str, agent: &str) -> bool {
        matches!(&self.named.identity, Identity::Agent { agency: a, agent: b } if a.as_str() == agency && b.as_str() == agent)
    }

    /// Whether the authorities vouch for it, at a time within its validity.
    ///
    /// # Errors
    /// Why they do not.
    pub fn is_believed(&self, verifier: &dyn ClientCertVerifier, at: Time) -> Result<(), NotTaken> {
        let parts = split(&self.chain).unwrap_or_default();
        let Some((leaf, issuers)) = parts.split_first() else {
            return Err(not_taken("there is none"));
        };
        let issuers: Vec<CertificateDer<'_>> =
            issuers.iter().map(|bytes| CertificateDer::from(*bytes)).collect();
        let at = at.seconds().clamp(self.named.not_before, self.named.not_after);
        let at = std::time::Duration::from_secs(u64::try_from(at).unwrap_or(0));
        verifier
            .verify_client_cert(
                &CertificateDer::from(*leaf),
                &issuers,
                UnixTime::since_unix_epoch(at),
            )
            .map(|_| ())
            .map_err(not_taken)
    }
}

/// The certificates that stand behind one another.
fn split(mut chain: &[u8]) -> Option<Vec<&[u8]>> {
    let mut parts = Vec::new();
    while !chain.is_empty() {
        let (rest, _) = X509Certificate::from_der(chain).ok()?;
        let length = chain.len().checked_sub(rest.len())?;
        parts.push(chain.get(..length)?);
        chain = rest;
        if parts.len() > CHAIN_MAX {
            return None;
        }
    }
    Some(parts)
}
