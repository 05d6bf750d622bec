//! TLS: the handshake and the certificate's end. The end is read even where the chain is not trusted; then the check says so.

use std::{sync::Arc, time::Instant};

use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use vonggac_wire::event::Check;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::ProbeError;

/// Shakes hands, and notes phase and certificate.
pub(super) async fn handshake(
    stream: TcpStream,
    host: &str,
    check: &mut Check,
) -> Result<TlsStream<TcpStream>, ProbeError> {
    let tls = |error: rustls::Error| ProbeError::Tls(std::io::Error::other(error));
    let name =
        ServerName::try_from(host.to_owned()).map_err(|_| ProbeError::Target(host.to_owned()))?;
    let provider = Arc::new(ring::default_provider());
    // The watch wants the certificate whatever it is worth; a citizen's browser decides about trust. Expiry is judged by the caller.
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Witness { provider }))
        .with_no_client_auth();
    let begun = Instant::now();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(ProbeError::Tls)?;
    check.tls_seconds = Some(begun.elapsed().as_secs_f64());
    let (_, session) = stream.get_ref();
    if let Some(first) = session.peer_certificates().and_then(|chain| chain.first()) {
        if let Ok((_, certificate)) = X509Certificate::from_der(first) {
            let end = certificate.validity().not_after.timestamp();
            check.certificate_not_after_unix_nano = Some(end.saturating_mul(1_000_000_000));
        }
    }
    Ok(stream)
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
