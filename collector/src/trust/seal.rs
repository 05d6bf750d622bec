//! Whether a batch was sealed by whom it names, and was not sent before: forged, foreign, replayed and forked batches go to the dead letters with
//! a reason, and raise a signal.
//!
//! What an honest agent does after a crash or an error is never refused: it sends the same numbers again, cut otherwise and so under another
//! hash, and no two of its batches name the same one before them within one start. What came by hand, and what the centre itself sends
//! again, may come twice.

use vonggac_daemon::settings::Table;
pub use vonggac_evidence::certificate::Certificate;
use vonggac_evidence::certificate::NotTaken;
use vonggac_wire::{Identity, seal::Purpose};

use crate::{config::Config, record::Record};

pub mod chain;
pub mod known;

/// How long after its end a certificate's seal is taken, if the batch says that it was sealed before: as long as a stick may be on its way.
const CARRIED_MAX_SECONDS: i64 = 35 * 86_400;

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
    /// What is asked of batches: as it is said, and where it is not, that there is a seal wherever there are certificates.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let usual = if config.tls.is_some() { Self::Required } else { Self::Off };
        config.trust.signed.unwrap_or(usual)
    }

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

impl From<NotTaken> for Refusal {
    fn from(NotTaken { why }: NotTaken) -> Self {
        Self::Certificate { why }
    }
}

/// Whether a record without a seal is taken. Where seals are required, one case alone needs none: on a machine that plays a simulated nation, which
/// its configuration says, a batch that says it is simulated, of an agent whose name only players can have. Neither its mark nor its name opens
/// anything for an agency: without the setting it is refused, and no certificate is issued for such a name.
///
/// # Errors
/// If there has to be one.
pub fn missing(demand: Demand, simulated_unsealed: bool, record: &Record) -> Result<(), Refusal> {
    let batch = &record.batch;
    let played = simulated_unsealed && batch.simulated && batch.agent.is_simulated();
    if demand == Demand::Required && !played { Err(Refusal::Unsigned) } else { Ok(()) }
}

/// Holds a record's batch against the certificate of its seal.
///
/// # Errors
/// Why it is not this one's.
pub fn sealed(certificate: &Certificate, record: &Record) -> Result<(), Refusal> {
    let Some(seal) = &record.seal else { return Err(Refusal::Unsigned) };
    let batch = &record.batch;
    let (agency, agent) = (batch.agency.clone(), batch.agent.clone());
    let wanted = Identity::Agent { agency, agent };
    if certificate.named.identity != wanted {
        return Err(Refusal::Foreign {
            batch: wanted.to_string(),
            certificate: certificate.named.identity.to_string(),
        });
    }
    if !certificate.key.verifies(Purpose::Batch, &record.hash, &seal.signature) {
        return Err(Refusal::Forged);
    }
    // The broker's clock is believed. The agent's own counts only for what was long on its way.
    let (appended, sealed) = (record.appended.seconds(), batch.sealed.seconds());
    let valid = certificate.named.not_before..=certificate.named.not_after;
    let carried = valid.contains(&sealed)
        && appended >= certificate.named.not_before
        && appended <= certificate.named.not_after.saturating_add(CARRIED_MAX_SECONDS);
    if valid.contains(&appended) || carried {
        return Ok(());
    }
    Err(Refusal::Certificate { why: "it was not valid when the batch was sealed".into() })
}

#[cfg(test)]
mod tests;
