//! TLS: the handshake, the certificates' end, and whether they are trusted. The end is read even where they are not.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::WebPkiServerVerifier,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use vonggac_wire::event::Check;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Facts, ProbeError};
use crate::config::{ProbeConfig, Trust};

/// Shakes hands, and notes phase, certificates' end and trust.
pub(super) async fn handshake(
    stream: TcpStream,
    host: &str,
    config: &ProbeConfig,
    check: &mut Check,
    facts: &mut Facts,
) -> Result<TlsStream<TcpStream>, ProbeError> {
    let tls = |error: rustls::Error| ProbeError::Tls(std::io::Error::other(error));
    let name =
        ServerName::try_from(host.to_owned()).map_err(|_| ProbeError::Target(host.to_owned()))?;
    let provider = Arc::new(ring::default_provider());
    // The watch wants the certificates whatever they are worth; what they are worth is judged by the caller.
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Witness { provider: Arc::clone(&provider) }))
        .with_no_client_auth();
    let begun = Instant::now();
    let stream = TlsConnector::from(Arc::new(client))
        .connect(name.clone(), stream)
        .await
        .map_err(ProbeError::Tls)?;
    check.tls_seconds = Some(begun.elapsed().as_secs_f64());
    let (_, session) = stream.get_ref();
    let chain = session.peer_certificates().unwrap_or_default();
    // A chain ends with the first of its certificates.
    check.certificate_not_after_unix_nano = chain.iter().filter_map(end).min();
    let verifier = match config.certificate_trust {
        Trust::Ignore => None,
        Trust::Warn => verifier(config, provider)?,
        Trust::Require => Some(verifier(config, provider)?.ok_or_else(|| {
            let missing = "this host has no certificate authorities; install ca-certificates, or name certificate_authority";
            ProbeError::Unable(missing.into())
        })?),
    };
    if let (Some((first, others)), Some(verifier)) = (chain.split_first(), verifier) {
        let verified = verifier.verify_server_cert(first, others, &name, &[], UnixTime::now());
        facts.untrusted =
            verified.err().map(|error| format!("the certificate is not trusted: {error}"));
    }
    Ok(stream)
}

fn end(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp().saturating_mul(1_000_000_000))
}

/// Who trusts the host's authorities, and the probe's own; `None` where there are neither.
fn verifier(
    config: &ProbeConfig,
    provider: Arc<CryptoProvider>,
) -> Result<Option<Arc<WebPkiServerVerifier>>, ProbeError> {
    let mut roots = (**host_roots()).clone();
    if let Some(path) = &config.certificate_authority {
        let wrong = |error: &dyn std::fmt::Display| {
            ProbeError::Unable(format!("failed to use {}: {error}", path.display()))
        };
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
            let certificate = certificate.map_err(|error| wrong(&error))?;
            roots.add(certificate).map_err(|error| wrong(&error))?;
        }
    }
    if roots.is_empty() {
        return Ok(None);
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map(Some)
        .map_err(|error| ProbeError::Unable(format!("certificates cannot be verified: {error}")))
}

/// Read once: they change with an upgrade of the host, after which agents are started anew.
fn host_roots() -> &'static Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in found.errors {
            tracing::info!(%error, "some of the host's certificate authorities cannot be read");
        }
        let (_taken, _refused) = roots.add_parsable_certificates(found.certs);
        Arc::new(roots)
    })
}

/// Takes every certificate, but still checks that the server holds its key.
#[derive(Debug)]
struct Witness {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
