//! From files to rustls' settings.

use std::{fs::File, io::Read as _, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    client::WebPkiServerVerifier,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use super::{
    Files, Named, TlsError, identity,
    verify::{Called, Caller},
};

/// No chain of certificates is larger than this.
const CERTIFICATES_BYTES_MAX: u64 = 1 << 20;

/// A list with a hundred thousand revoked certificates has some four million bytes.
const REVOKED_BYTES_MAX: u64 = 16 << 20;

/// The only version: 1.2 has ciphers that one would have to choose from.
static VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// HTTP/2 for gRPC, HTTP/1.1 for metrics.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Who may speak to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// Whoever shows a certificate.
    MustShow,
    /// Also whoever has none yet: for enrolment, and for nothing else.
    MayShow,
}

/// What the files hold, ready for use.
#[derive(Debug)]
pub struct Loaded {
    /// Whom our own certificate names.
    pub own: Named,
    must_show: Arc<ServerConfig>,
    may_show: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Loaded {
    /// Settings of a port.
    #[must_use]
    pub fn server(&self, callers: Callers) -> Arc<ServerConfig> {
        Arc::clone(match callers {
            Callers::MustShow => &self.must_show,
            Callers::MayShow => &self.may_show,
        })
    }

    /// Settings for calling a collector.
    #[must_use]
    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }

    /// What judges callers; also those that were let in under earlier files.
    #[must_use]
    pub fn verifier(&self) -> &dyn ClientCertVerifier {
        self.verifier.as_ref()
    }
}

/// The bytes of all files: what changes when something was renewed or revoked.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Vec<u8>,
    revoked: Vec<u8>,
}

impl Contents {
    /// Reads all files.
    pub(super) fn read(files: &Files) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: bytes(&files.certificate, CERTIFICATES_BYTES_MAX, Readers::Any)?,
            key: bytes(&files.key, CERTIFICATES_BYTES_MAX, Readers::Owner)?,
            authorities: bytes(&files.authorities, CERTIFICATES_BYTES_MAX, Readers::Any)?,
            revoked: match &files.revoked {
                Some(file) => bytes(file, REVOKED_BYTES_MAX, Readers::Any)?,
                None => Vec::new(),
            },
        })
    }
}

/// Who may be able to read a file.
#[derive(PartialEq, Eq)]
enum Readers {
    Any,
    Owner,
}

fn bytes(path: &Path, bytes_max: u64, readers: Readers) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { file: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
    if readers == Readers::Owner && mode & 0o077 != 0 {
        return Err(TlsError::KeyOpen { file: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > bytes_max {
        return Err(TlsError::TooLarge { file: path.to_owned(), bytes_max });
    }
    Ok(bytes)
}

/// All things of one kind in a PEM file; at least `least` of them.
fn items<T: PemObject>(
    pem: &[u8],
    file: &Path,
    wanted: &'static str,
    least: usize,
) -> Result<Vec<T>, TlsError> {
    let not_pem = |why| TlsError::NotPem { file: file.to_owned(), wanted, why };
    let items: Vec<T> = T::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| not_pem(format!("{error:?}")))?;
    if items.len() < least {
        return Err(not_pem("there is none in it".into()));
    }
    Ok(items)
}

/// Makes settings of the bytes.
pub(super) fn load(files: &Files, contents: &Contents) -> Result<Loaded, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain: Vec<CertificateDer<'static>> =
        items(&contents.certificate, &files.certificate, "a certificate", 1)?;
    let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|error| TlsError::NotPem {
        file: files.key.clone(),
        wanted: "a private key (PKCS#8)",
        why: format!("{error:?}"),
    })?;
    let own = chain.first().map(identity::of).unwrap_or(Err(super::NamesNobody::Uris(0)));
    let own =
        own.map_err(|source| TlsError::Identity { file: files.certificate.clone(), source })?;
    let mut roots = RootCertStore::empty();
    for authority in items::<CertificateDer<'static>>(
        &contents.authorities,
        &files.authorities,
        "the authorities' certificates",
        1,
    )? {
        roots.add(authority).map_err(|error| TlsError::NotPem {
            file: files.authorities.clone(),
            wanted: "the authorities' certificates",
            why: error.to_string(),
        })?;
    }
    let roots = Arc::new(roots);
    let crls: Vec<CertificateRevocationListDer<'static>> = match &files.revoked {
        Some(file) => items(&contents.revoked, file, "lists of revoked certificates", 0)?,
        None => Vec::new(),
    };
    let authorities = |source| TlsError::Authorities { file: files.authorities.clone(), source };
    let callers = |optional: bool| {
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .with_crls(crls.clone())
                .allow_unknown_revocation_status();
        let builder = if optional { builder.allow_unauthenticated() } else { builder };
        let verifier = builder.build().map_err(authorities)?;
        Ok::<Arc<dyn ClientCertVerifier>, TlsError>(Arc::new(Caller(verifier)))
    };
    let called =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .with_crls(crls.clone())
            .allow_unknown_revocation_status()
            .build()
            .map_err(authorities)?;
    let pair = |source| TlsError::Pair { file: files.certificate.clone(), source };
    let server = |verifier: Arc<dyn ClientCertVerifier>| {
        server(&provider, verifier, chain.clone(), key.clone_key()).map_err(pair)
    };
    let verifier = callers(false)?;
    let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(VERSIONS)
        .map_err(pair)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Called(called)))
        .with_client_auth_cert(chain.clone(), key.clone_key())
        .map_err(pair)?;
    client.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Loaded {
        own,
        must_show: server(Arc::clone(&verifier))?,
        may_show: server(callers(true)?)?,
        client: Arc::new(client),
        verifier,
    })
}

fn server(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ClientCertVerifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut server = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(VERSIONS)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    server.alpn_protocols = PROTOCOLS.iter().map(|protocol| protocol.to_vec()).collect();
    // A resumed session would not ask again whether its certificate was taken back.
    server.send_tls13_tickets = 0;
    Ok(Arc::new(server))
}
