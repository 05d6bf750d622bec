//! Lets a certificate that ran out be shown within its grace time: whoever has its key may ask for the next, and is answered by an
//! operator's yes alone. Everything else of it is checked as of its last second.

use std::{sync::Arc, time::Duration};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// A verifier that is asked again as of a certificate's last second.
#[derive(Debug)]
pub struct Late {
    strict: Arc<dyn ClientCertVerifier>,
    grace: Duration,
}

impl Late {
    /// What `strict` takes, and what it took up to `grace` ago.
    #[must_use]
    pub fn new(strict: Arc<dyn ClientCertVerifier>, grace: Duration) -> Self {
        Self { strict, grace }
    }
}

impl ClientCertVerifier for Late {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.strict.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let expired = match self.strict.verify_client_cert(end_entity, intermediates, now) {
            Err(
                error @ Error::InvalidCertificate(
                    CertificateError::Expired | CertificateError::ExpiredContext { .. },
                ),
            ) => error,
            other => return other,
        };
        let Ok((_, parsed)) = X509Certificate::from_der(end_entity) else { return Err(expired) };
        let end = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
        if now.as_secs().saturating_sub(end) > self.grace.as_secs() {
            return Err(expired);
        }
        let last = UnixTime::since_unix_epoch(Duration::from_secs(end));
        self.strict.verify_client_cert(end_entity, intermediates, last)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.strict.client_auth_mandatory()
    }
}
