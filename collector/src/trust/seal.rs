//! Whether a batch was sealed by whom it names, and was not sent before: forged, foreign, replayed and forked batches go to the dead letters with
//! a reason, and raise a signal.
//!
//! What an honest agent does after a crash or an error is never refused: it sends the same numbers again, cut otherwise and so under another
//! hash, and no two of its batches name the same one before them within one start. What came by hand, and what the centre itself sends
//! again, may come twice.

use rustls::pki_types::{CertificateDer, UnixTime};
use vonggac_daemon::{
    settings::Table,
    tls::{Loaded, Named, identity_of},
};
use vonggac_wire::{
    Identity, Time,
    seal::{Algorithm, PublicKey, Purpose},
};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::record::Record;

pub mod chain;
pub mod known;

/// How long after its end a certificate's seal is taken, if the batch says that it was sealed before: as long as a stick may be on its way.
const CARRIED_MAX_SECONDS: i64 = 35 * 86_400;

/// Certificates of a chain: the agent's, and those up to below the root.
const CHAIN_MAX: usize = 4;

/// The rule that raises the signal.
pub const RULE: &str = "batch-refused";

/// What is asked of batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Demand {
    /// Nothing is looked at.
    #[default]
    Off,
    /// A seal has to be right where there is one.
    Checked,
    /// There has to be one.
    Required,
}

impl std::str::FromStr for Demand {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "checked" => Ok(Self::Checked),
            "required" => Ok(Self::Required),
            _ => Err("is none of them".into()),
        }
    }
}

impl Demand {
    /// Takes `signed` out of `[trust]`; `None`: it does not say.
    pub fn take(trust: &mut Table<'_>) -> Option<Self> {
        trust.parsed("signed", "\"required\", \"checked\" or \"off\"")
    }
}

/// Why a batch is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It has no seal.
    #[error("the batch is not sealed, and [trust] signed is \"required\"; enrol the agent")]
    Unsigned,
    /// Nobody knows the certificate yet.
    #[error(
        "the seal names the certificate {key_id}, which no batch brought yet; send the letter again when one has"
    )]
    Unknown {
        /// Its SHA-256.
        key_id: String,
    },
    /// The certificate is not to be believed.
    #[error("the certificate of the seal is not taken: {why}")]
    Certificate {
        /// Why.
        why: String,
    },
    /// The certificate is of somebody else.
    #[error("the batch names {batch}, its seal is of {certificate}")]
    Foreign {
        /// Whom the batch names.
        batch: String,
        /// Whom the certificate names.
        certificate: String,
    },
    /// The signature is not the key's.
    #[error("the seal is not of the batch's bytes")]
    Forged,
    /// It was there before.
    #[error("the same batch stands at {place} already")]
    Replayed {
        /// Where.
        place: String,
    },
    /// Two batches in one place of the chain.
    #[error("the batch names the same one before it as the batch at offset {offset}")]
    Forked {
        /// Where the other stands.
        offset: i64,
    },
}

/// All words of [`Refusal::reason`].
pub const REASONS: [&str; 7] = [
    "unsigned",
    "certificate-unknown",
    "certificate-refused",
    "foreign",
    "forged",
    "replayed",
    "forked",
];

impl Refusal {
    /// A short word for the dead-letter topic.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Unknown { .. } => "certificate-unknown",
            Self::Certificate { .. } => "certificate-refused",
            Self::Foreign { .. } => "foreign",
            Self::Forged => "forged",
            Self::Replayed { .. } => "replayed",
            Self::Forked { .. } => "forked",
        }
    }

    /// Somebody has to look: it does not come of what an honest agent does.
    #[must_use]
    pub const fn is_signal(&self) -> bool {
        !matches!(self, Self::Unknown { .. })
    }
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
    pub fn read(chain: &[u8]) -> Result<Self, Refusal> {
        let refused = |why: String| Refusal::Certificate { why };
        let leaf = split(chain).and_then(|parts| parts.first().copied());
        let leaf = leaf.ok_or_else(|| refused("it is no chain of certificates".into()))?;
        let named = identity_of(&CertificateDer::from(leaf)).map_err(|e| refused(e.to_string()))?;
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|e| refused(e.to_string()))?;
        let spki = parsed.public_key();
        let algorithm = match spki.algorithm.algorithm.to_id_string().as_str() {
            "1.3.101.112" => Algorithm::Ed25519,
            "1.2.840.10045.2.1" => Algorithm::P256,
            other => return Err(refused(format!("its key is of the kind {other}"))),
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
    pub fn is_believed(&self, loaded: &Loaded, at: Time) -> Result<(), Refusal> {
        let refused = |why: String| Refusal::Certificate { why };
        let parts = split(&self.chain).unwrap_or_default();
        let Some((leaf, issuers)) = parts.split_first() else {
            return Err(refused("there is none".into()));
        };
        let issuers: Vec<CertificateDer<'_>> =
            issuers.iter().map(|bytes| CertificateDer::from(*bytes)).collect();
        let at = at.seconds().clamp(self.named.not_before, self.named.not_after);
        let at = std::time::Duration::from_secs(u64::try_from(at).unwrap_or(0));
        loaded
            .verifier()
            .verify_client_cert(
                &CertificateDer::from(*leaf),
                &issuers,
                UnixTime::since_unix_epoch(at),
            )
            .map(|_| ())
            .map_err(|error| refused(error.to_string()))
    }

    /// Holds a record's batch against it.
    ///
    /// # Errors
    /// Why it is not this one's.
    pub fn sealed(&self, record: &Record) -> Result<(), Refusal> {
        let Some(seal) = &record.seal else { return Err(Refusal::Unsigned) };
        let batch = &record.batch;
        let (agency, agent) = (batch.agency.clone(), batch.agent.clone());
        let wanted = Identity::Agent { agency, agent };
        if self.named.identity != wanted {
            return Err(Refusal::Foreign {
                batch: wanted.to_string(),
                certificate: self.named.identity.to_string(),
            });
        }
        if !self.key.verifies(Purpose::Batch, &record.hash, &seal.signature) {
            return Err(Refusal::Forged);
        }
        // The broker's clock is believed. The agent's own counts only for what was long on its way.
        let (appended, sealed) = (record.appended.seconds(), batch.sealed.seconds());
        let valid = self.named.not_before..=self.named.not_after;
        let carried = valid.contains(&sealed)
            && appended >= self.named.not_before
            && appended <= self.named.not_after.saturating_add(CARRIED_MAX_SECONDS);
        if valid.contains(&appended) || carried {
            return Ok(());
        }
        Err(Refusal::Certificate { why: "it was not valid when the batch was sealed".into() })
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

#[cfg(test)]
mod tests;
