//! What is counted at a port.

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It spoke plain text to a port of TLS.
    PlainText,
    /// It said nothing for too long.
    Silent,
    /// It showed no certificate.
    NoCertificate,
    /// Its certificate was issued by nobody we trust.
    UnknownAuthority,
    /// Its certificate is over.
    Expired,
    /// Its certificate has not begun.
    NotYetValid,
    /// Its certificate was taken back.
    Revoked,
    /// Its certificate names nobody, or somebody who has nothing to do here.
    WrongIdentity,
    /// Only an older version of TLS.
    OldVersion,
    /// Everything else that a handshake can break by.
    Handshake,
    /// There were too many connections.
    Full,
    /// One network had all the handshakes that it may have at once.
    Crowd,
}

impl Refused {
    /// As a label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::PlainText => "plain_text",
            Self::Silent => "silent",
            Self::NoCertificate => "no_certificate",
            Self::UnknownAuthority => "unknown_authority",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Revoked => "revoked",
            Self::WrongIdentity => "wrong_identity",
            Self::OldVersion => "old_version",
            Self::Handshake => "handshake",
            Self::Full => "full",
            Self::Crowd => "crowd",
        }
    }
}

/// Counts of one program's ports.
#[derive(Clone)]
pub struct Figures {
    refused: IntCounterVec,
    ended: IntCounterVec,
    ends: IntGauge,
}

impl Figures {
    /// Registers them; `prefix` is the program's, e.g. `vonggac_collector`.
    ///
    /// # Errors
    /// If they were registered before.
    pub fn new(registry: &Registry, prefix: &str) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            IntCounterVec::new(Opts::new(format!("{prefix}_{name}"), help), &["port", "reason"])
        };
        let refused = counter(
            "connections_refused_total",
            "Connections that were refused before anything was asked, by port and reason",
        )?;
        let ended = counter(
            "connections_ended_total",
            "Connections that were ended because their certificate was taken back or is over",
        )?;
        let ends = IntGauge::new(
            format!("{prefix}_certificate_ends_seconds"),
            "When the certificate of this program ends, in seconds since 1970",
        )?;
        registry.register(Box::new(refused.clone()))?;
        registry.register(Box::new(ended.clone()))?;
        registry.register(Box::new(ends.clone()))?;
        Ok(Self { refused, ended, ends })
    }

    /// Counts a refusal.
    pub fn refused(&self, port: &str, reason: Refused) {
        self.refused.with_label_values(&[port, reason.label()]).inc();
    }

    /// Counts a connection that was ended.
    pub fn ended(&self, port: &str, reason: Refused) {
        self.ended.with_label_values(&[port, reason.label()]).inc();
    }

    /// How many were refused.
    #[must_use]
    pub fn count(&self, port: &str, reason: Refused) -> u64 {
        self.refused.with_label_values(&[port, reason.label()]).get()
    }

    /// Tells when our certificate ends.
    pub fn certificate_ends(&self, seconds: i64) {
        self.ends.set(seconds);
    }
}
