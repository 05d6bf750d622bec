//! Streams, in the clear and under TLS. A sender that is too fast is not read from until it may go on: nothing is dropped.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    os::fd::AsFd,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::{Gathered, framing::Framing, here};
use crate::{
    config::{Listen, SyslogConfig, TlsFiles, Transport},
    occurrence::Dropped,
    source::{SourceContext, SourceError, allowance::Allowance},
};

/// Connections of one listener: each costs a buffer and at most one message that grows.
const CONNECTIONS_MAX: usize = 512;

/// Connections of one sender, so that none takes all places.
const CONNECTIONS_OF_SENDER_MAX: usize = 32;

/// Bytes read at once.
const BLOCK_BYTES: usize = 16 * 1024;

/// How long shaking hands may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Rest after a failure of accepting, e.g. for want of open files.
const ACCEPT_REST: Duration = Duration::from_millis(200);

/// Who is connected how often.
#[derive(Clone, Default)]
struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// Given back when it is dropped.
struct Place {
    places: Places,
    sender: IpAddr,
}

impl Places {
    fn take(&self, sender: IpAddr) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        let own = taken.get(&sender).copied().unwrap_or(0);
        if all >= CONNECTIONS_MAX || own >= CONNECTIONS_OF_SENDER_MAX {
            return None;
        }
        taken.insert(sender, own + 1);
        Some(Place { places: self.clone(), sender })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.sender) {
            Some(own) if *own > 1 => *own -= 1,
            _ => {
                taken.remove(&self.sender);
            }
        }
    }
}

pub(super) async fn run(
    listen: Listen,
    config: Arc<SyslogConfig>,
    context: SourceContext,
) -> Result<(), SourceError> {
    let failed = |what: &str| {
        let what = format!("{what} {listen}");
        move |source| SourceError::Io { what, source }
    };
    let acceptor = match (&config.tls, listen.transport) {
        (Some(files), Transport::Tls) => Some(acceptor(files)?),
        _ => None,
    };
    let listener = TcpListener::bind(listen.address).await.map_err(failed("listen on"))?;
    let places = Places::default();
    loop {
        let accepted = tokio::select! {
            () = context.shutdown.cancelled() => return Ok(()),
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
        let Some(place) = places.take(sender) else {
            context.occurrences.dropped(Dropped::SyslogConnection, 1);
            continue;
        };
        let _kept = rustix::net::sockopt::set_socket_keepalive(stream.as_fd(), true);
        let (config, context, acceptor) = (Arc::clone(&config), context.clone(), acceptor.clone());
        tokio::spawn(async move {
            if let Err(error) = talk(stream, sender, acceptor, &config, &context).await {
                tracing::debug!(%error, %sender, "a sender of syslog left");
            }
            drop(place);
        });
    }
}

async fn talk(
    stream: TcpStream,
    sender: IpAddr,
    acceptor: Option<TlsAcceptor>,
    config: &SyslogConfig,
    context: &SourceContext,
) -> Result<(), SourceError> {
    let Some(acceptor) = acceptor else {
        return read(stream, sender, "tcp", config, context).await;
    };
    let shaken = tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await;
    let failed = |source| SourceError::Io { what: format!("shake hands with {sender}"), source };
    let stream = shaken.map_err(|_| failed(io::ErrorKind::TimedOut.into()))?.map_err(failed)?;
    read(stream, sender, "tls", config, context).await
}

async fn read(
    mut stream: impl AsyncRead + Unpin,
    sender: IpAddr,
    transport: &str,
    config: &SyslogConfig,
    context: &SourceContext,
) -> Result<(), SourceError> {
    let (mut framing, mut gathered) = (Framing::default(), Gathered::new());
    let mut allowance = Allowance::new(config.messages_per_second_max, Instant::now());
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let read = tokio::select! {
            () = context.shutdown.cancelled() => return Ok(()),
            read = stream.read(&mut block) => read,
        };
        // What came before a torn connection counts all the same.
        let length = *read.as_ref().unwrap_or(&0);
        let mut frames = Vec::new();
        framing.push(&block[..length], &mut frames);
        if length == 0 {
            frames.extend(std::mem::take(&mut framing).finish());
        }
        while let Err(wait) =
            allowance.take(frames.len() as u64, config.messages_per_second_max, Instant::now())
        {
            // An agent that stops takes what it has read, and waits for nothing.
            tokio::select! {
                () = context.shutdown.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        let formats = here();
        for frame in frames {
            gathered.add(frame, sender, transport, config, &formats);
            if gathered.is_full() {
                gathered.send(context).await?;
            }
        }
        gathered.send(context).await?;
        match read {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(source) => {
                return Err(SourceError::Io { what: format!("read from {sender}"), source });
            }
        }
    }
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
