//! The centre's enrolment over HTTPS: known by a fingerprint before the first certificate, and by its authority from then on.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, StatusCode, Uri, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use ring::digest::{SHA256, digest};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring::default_provider, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use vonggac_wire::enrol::{GRANTED_BYTES_MAX, Refused};

/// How long a question may take: over a bad line, with a nation's revocation lists in the answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

/// How long a connection may take.
const CONNECTED_WITHIN: Duration = Duration::from_secs(15);

/// Enrolment's port, where the address has none.
const PORT: u16 = 443;

/// Characters of a refusal that are shown: a sentence and an identity.
const REFUSAL_CHARACTERS_MAX: usize = 600;

/// Why the centre did not answer, or not well.
#[derive(Debug, thiserror::Error)]
pub enum CentreError {
    /// The address.
    #[error("use the address {0:?}: wanted is one like https://centre.example:7444")]
    Address(String),
    /// No connection, or not to the centre.
    #[error("reach the centre at {address}: {reason}")]
    Unreached {
        /// Where.
        address: String,
        /// Why not.
        reason: String,
    },
    /// Certificates or keys.
    #[error("make ready for TLS: {0}")]
    Tls(String),
    /// It said no.
    #[error("get what was asked for: the centre says \"{}\"", .0.error)]
    Refused(Refused),
    /// What it says means nothing.
    #[error("read the centre's answer: {0}")]
    Answer(String),
}

/// A centre, and how it is known.
pub struct Centre {
    address: Uri,
    client: Arc<ClientConfig>,
}

fn tls(error: impl std::fmt::Display) -> CentreError {
    CentreError::Tls(error.to_string())
}

fn chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, CentreError> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>().map_err(tls)
}

/// A client that trusts `authorities` and shows a certificate; that they fit together is looked at here.
pub(crate) fn certified(
    certificate: &str,
    key: &str,
    authorities: &str,
) -> Result<ClientConfig, CentreError> {
    let mut roots = RootCertStore::empty();
    for root in chain(authorities)? {
        roots.add(root).map_err(tls)?;
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(tls)?;
    builder()?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain(certificate)?, key)
        .map_err(tls)
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, CentreError> {
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(tls)
}

impl Centre {
    fn new(address: &str, client: ClientConfig) -> Result<Self, CentreError> {
        let shown = || CentreError::Address(address.chars().take(200).collect());
        let address: Uri = address.parse().map_err(|_| shown())?;
        if address.scheme_str() != Some("https") || address.host().is_none() {
            return Err(shown());
        }
        Ok(Self { address, client: Arc::new(client) })
    }

    /// The centre whose root has this fingerprint.
    ///
    /// # Errors
    /// If the address is none.
    pub fn known_by(address: &str, fingerprint: &str) -> Result<Self, CentreError> {
        let provider = Arc::new(default_provider());
        let pinned = Pinned { fingerprint: fingerprint.to_owned(), provider };
        let client = builder()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(pinned))
            .with_no_client_auth();
        Self::new(address, client)
    }

    /// The centre of these authorities; a certificate is shown to it, if there is one.
    ///
    /// # Errors
    /// If the address or a certificate is none.
    pub fn trusted_by(
        address: &str,
        authorities: &str,
        shown: Option<(&str, &str)>,
    ) -> Result<Self, CentreError> {
        if let Some((certificate, key)) = shown {
            return Self::new(address, certified(certificate, key, authorities)?);
        }
        let mut roots = RootCertStore::empty();
        for root in chain(authorities)? {
            roots.add(root).map_err(tls)?;
        }
        Self::new(address, builder()?.with_root_certificates(roots).with_no_client_auth())
    }

    /// Asks with a body.
    ///
    /// # Errors
    /// If there is no answer, or a refusal.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        asked: &impl Serialize,
    ) -> Result<T, CentreError> {
        let body =
            serde_json::to_vec(asked).map_err(|error| CentreError::Answer(error.to_string()))?;
        self.ask(Method::POST, path, body).await
    }

    /// Asks without one.
    ///
    /// # Errors
    /// If there is no answer, or a refusal.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CentreError> {
        self.ask(Method::GET, path, Vec::new()).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<T, CentreError> {
        let asking = self.asking(method, path, body);
        let answered = timeout(ANSWER_WITHIN, asking).await;
        let (status, text) =
            answered.map_err(|_| self.unreached(&"it does not answer in time"))??;
        if status == StatusCode::OK {
            return serde_json::from_slice(&text)
                .map_err(|error| CentreError::Answer(error.to_string()));
        }
        match serde_json::from_slice::<Refused>(&text) {
            Ok(mut refused) => {
                // It is shown on a terminal.
                refused.error.retain(|character| !character.is_control());
                refused.error = refused.error.chars().take(REFUSAL_CHARACTERS_MAX).collect();
                Err(CentreError::Refused(refused))
            }
            Err(_) => {
                Err(CentreError::Answer(format!("it says {status}; is it the enrolment's port?")))
            }
        }
    }

    fn unreached(&self, reason: &dyn std::fmt::Display) -> CentreError {
        CentreError::Unreached { address: self.address.to_string(), reason: reason.to_string() }
    }

    async fn asking(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), CentreError> {
        let host = self.address.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let port = self.address.port_u16().unwrap_or(PORT);
        let name = ServerName::try_from(bare.to_owned()).map_err(|error| self.unreached(&error))?;
        let connected = async {
            let stream = TcpStream::connect((bare, port)).await?;
            TlsConnector::from(Arc::clone(&self.client)).connect(name, stream).await
        };
        let stream = timeout(CONNECTED_WITHIN, connected)
            .await
            .map_err(|_| self.unreached(&"no connection in time"))?
            .map_err(|error| self.unreached(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.unreached(&error))?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| self.unreached(&error))?;
        let response =
            sender.send_request(request).await.map_err(|error| self.unreached(&Whole(&error)))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), GRANTED_BYTES_MAX);
        let body = body.collect().await.map_err(|error| self.unreached(&error))?;
        connection.abort();
        Ok((status, body.to_bytes()))
    }
}

/// An error with its causes: hyper's own text does not name them.
struct Whole<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Whole<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(source) = next {
            write!(formatter, ": {source}")?;
            next = source.source();
        }
        Ok(())
    }
}

/// Takes a server whose chain holds a root with this fingerprint, and is good by that root: name, time, usage and signatures.
#[derive(Debug)]
struct Pinned {
    fingerprint: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let root = intermediates
            .iter()
            .find(|shown| super::hexadecimal(digest(&SHA256, shown).as_ref()) == self.fingerprint);
        let Some(root) = root else {
            return Err(Error::General(
                "it is not the centre that the token names: its root has another fingerprint"
                    .into(),
            ));
        };
        let mut roots = RootCertStore::empty();
        roots.add(root.clone().into_owned())?;
        let provider = Arc::clone(&self.provider);
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| Error::General(error.to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // TLS 1.2 is not offered.
        Err(Error::InvalidCertificate(CertificateError::BadSignature))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
