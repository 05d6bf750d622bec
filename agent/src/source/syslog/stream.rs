//! Listeners for streams, in the clear and under TLS.

use std::{
    io,
    net::IpAddr,
    os::fd::AsFd,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use rustix::net::sockopt;
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinError, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use super::{
    connection::Connection,
    kept::{self, Kept},
    places::{Place, Places},
};
use crate::{
    config::{Listen, SyslogConfig, TlsFiles, Transport},
    occurrence::Dropped,
    source::{SourceContext, SourceError},
};

/// How long shaking hands may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Rest after a failure of accepting, e.g. for want of open files.
const ACCEPT_REST: Duration = Duration::from_millis(200);

/// A sender that is silent is asked whether it is there, and is gone after two minutes without an answer: it gives its place back.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;

/// What becomes of a connection: it is still there when the listener stops.
type Talked = Option<Connection>;

pub(super) async fn run(
    listen: Listen,
    config: Arc<SyslogConfig>,
    context: SourceContext,
) -> Result<(), SourceError> {
    let mut door = match (&config.tls, listen.transport) {
        (Some(files), Transport::Tls) => Some(Door::open(files)?),
        _ => None,
    };
    let (listener, connections) = match kept::take(listen) {
        Some(Kept::Streams(listener, connections)) => (listener, connections),
        _ => {
            let what = format!("listen on {listen}");
            let bound = TcpListener::bind(listen.address).await;
            (bound.map_err(|source| SourceError::Io { what, source })?, Vec::new())
        }
    };
    let (places, mut talks) = (Places::default(), JoinSet::new());
    for connection in connections {
        // They had places before.
        if let Some(place) = places.take(connection.sender, Instant::now()) {
            talks.spawn(serve(connection, place, Arc::clone(&config), context.clone()));
        }
    }
    loop {
        let accepted = tokio::select! {
            () = context.shutdown.cancelled() => break,
            Some(_) = talks.join_next(), if !talks.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, sender) = match accepted {
            Ok((stream, sender)) => (stream, sender.ip().to_canonical()),
            Err(error) => {
                tracing::warn!(%error, %listen, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        let Some(place) = places.take(sender, Instant::now()) else {
            context.occurrences.dropped(Dropped::SyslogConnection, 1);
            continue;
        };
        keep_alive(&stream);
        let acceptor = door.as_mut().map(Door::acceptor);
        talks.spawn(talk(stream, sender, acceptor, place, Arc::clone(&config), context.clone()));
    }
    let mut open = Vec::new();
    while let Some(talked) = talks.join_next().await {
        open.extend(talked.unwrap_or_else(|error: JoinError| {
            tracing::error!(%error, %listen, "a connection of syslog ended");
            None
        }));
    }
    kept::keep(listen, Kept::Streams(listener, open));
    Ok(())
}

fn keep_alive(stream: &TcpStream) {
    let socket = stream.as_fd();
    let set = sockopt::set_socket_keepalive(socket, true)
        .and_then(|()| sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE))
        .and_then(|()| sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL))
        .and_then(|()| sockopt::set_tcp_keepcnt(socket, KEEPALIVE_PROBES));
    if let Err(error) = set {
        tracing::debug!(%error, "the kernel does not look after a silent sender");
    }
}

async fn talk(
    stream: TcpStream,
    sender: IpAddr,
    acceptor: Option<TlsAcceptor>,
    place: Place,
    config: Arc<SyslogConfig>,
    context: SourceContext,
) -> Talked {
    let Some(acceptor) = acceptor else {
        return serve(Connection::new(stream, sender, "tcp"), place, config, context).await;
    };
    let shaken = tokio::select! {
        () = context.shutdown.cancelled() => return None,
        shaken = tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)) => shaken,
    };
    match shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(stream) => serve(Connection::new(stream, sender, "tls"), place, config, context).await,
        Err(error) => {
            tracing::info!(%error, %sender, "a sender of syslog did not shake hands; does it trust this certificate, and is it TLS that it speaks?");
            None
        }
    }
}

async fn serve(
    connection: Connection,
    place: Place,
    config: Arc<SyslogConfig>,
    context: SourceContext,
) -> Talked {
    let sender = connection.sender;
    match connection.serve(&place, &config, &context).await {
        Ok(talked) => talked,
        Err(error) => {
            tracing::debug!(%error, %sender, "a sender of syslog left");
            None
        }
    }
}

/// Shakes hands with the certificate that lies there now: it is renewed while the agent runs.
struct Door {
    files: TlsFiles,
    changed: [Option<SystemTime>; 3],
    acceptor: TlsAcceptor,
}

impl Door {
    fn open(files: &TlsFiles) -> Result<Self, SourceError> {
        let (changed, acceptor) = (changes(files), acceptor(files)?);
        Ok(Self { files: files.clone(), changed, acceptor })
    }

    fn acceptor(&mut self) -> TlsAcceptor {
        let changed = changes(&self.files);
        if changed != self.changed {
            self.changed = changed;
            match acceptor(&self.files) {
                Ok(fresh) => self.acceptor = fresh,
                // Half of the pair may be written: the other half is a change too.
                Err(error) => {
                    tracing::warn!(%error, "the new certificate is not taken; the old one goes on");
                }
            }
        }
        self.acceptor.clone()
    }
}

/// When the files were changed.
fn changes(files: &TlsFiles) -> [Option<SystemTime>; 3] {
    [Some(&files.certificate), Some(&files.key), files.client_authority.as_ref()]
        .map(|path| std::fs::metadata(path?).and_then(|data| data.modified()).ok())
}

/// TLS as the files say.
fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, SourceError> {
    let failed = |what: &str, path: &Path, error: &dyn std::fmt::Display| {
        SourceError::Missing(format!("failed to use the {what} {}: {error}", path.display()))
    };
    let chain = certificates(&files.certificate)
        .map_err(|error| failed("certificate", &files.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| failed("key", &files.key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("certificate", &files.certificate, &error))?;
    let builder = match &files.client_authority {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let wrong = |error: &dyn std::fmt::Display| failed("client_authority", path, error);
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path).map_err(|error| wrong(&error))? {
                roots.add(certificate).map_err(|error| wrong(&error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| wrong(&error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder
        .with_single_cert(chain, key)
        .map_err(|error| failed("certificate", &files.certificate, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, rustls_pki_types::pem::Error> {
    CertificateDer::pem_file_iter(path)?.collect()
}
