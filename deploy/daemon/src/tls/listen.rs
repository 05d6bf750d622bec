//! A port. Whoever calls is let in by its certificate, or told why not by an alert, and never waited for.

use std::{
    future::Future as _,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use prometheus::Registry;
use rustls::{
    CertificateError, Error,
    pki_types::{CertificateDer, UnixTime},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use super::{
    Callers, Current, Figures, Files, Loaded, Refused, TlsError, crowd::Crowd, identity_of,
};
use crate::peer::Peer;

/// Handshakes at once: more than a country's consoles or agents begin in a second after a restart; each holds some 20 KiB.
const HANDSHAKES_MAX: usize = 256;

/// Of these by one network: the consoles or agents of an agency behind one address, and a quarter of all, so that no single caller who stays
/// silent keeps the others out.
const HANDSHAKES_OF_ONE_MAX: usize = HANDSHAKES_MAX / 4;

/// A handshake takes two round trips; over the thinnest line to a province that is a second.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// Connections that wait to be served: they are taken at once.
const WAITING_MAX: usize = 16;

/// How often a connection's certificate is judged again although nothing changed: it may be over.
const JUDGED_EVERY: Duration = Duration::from_secs(30);

/// How long a refused caller may take its alert: closing at once would throw it away where bytes are still unread.
const ALERT_WITHIN: Duration = Duration::from_secs(1);

/// Bytes of a refused caller that are read and thrown away meanwhile.
const ALERT_BYTES_MAX: u64 = 64 << 10;

/// The rest after accepting failed: the process may have no more descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// The first byte of every connection of TLS: a handshake's record.
const HANDSHAKE_RECORD: u8 = 0x16;

/// Plain text or TLS.
#[derive(Clone)]
pub enum Security {
    /// Asked for by name.
    PlainText,
    /// With these files.
    Tls(Current),
}

impl Security {
    /// Where the certificates lie, if there are any.
    #[must_use]
    pub const fn files(&self) -> Option<&Files> {
        match self {
            Self::PlainText => None,
            Self::Tls(current) => Some(current.files()),
        }
    }
}

/// How all ports of one program speak.
#[derive(Clone)]
pub struct Doors {
    /// Plain text or TLS.
    pub security: Security,
    /// What is counted at them.
    pub figures: Figures,
}

impl Doors {
    /// Follows the files, if there are any; `prefix` is the program's in metrics, e.g. `vonggac_collector`.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn open(
        files: Option<Files>,
        registry: &Registry,
        prefix: &str,
        stop: &CancellationToken,
    ) -> Result<Self, TlsError> {
        let figures = Figures::new(registry, prefix)?;
        let security = match files {
            Some(files) => {
                let current = Current::follow(files, stop.clone())?;
                tokio::spawn(tell_end(current.changes(), figures.clone()));
                Security::Tls(current)
            }
            None => Security::PlainText,
        };
        Ok(Self { security, figures })
    }

    /// One of them.
    #[must_use]
    pub fn port(&self, name: &'static str, callers: Callers, connections_max: usize) -> Port {
        Port {
            name,
            security: self.security.clone(),
            callers,
            connections_max,
            figures: self.figures.clone(),
        }
    }
}

/// Sets the gauge at each renewal.
async fn tell_end(mut changes: watch::Receiver<Arc<Loaded>>, figures: Figures) {
    loop {
        figures.certificate_ends(changes.borrow_and_update().own.not_after);
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// What a port is like.
#[derive(Clone)]
pub struct Port {
    /// Its name in figures and log lines, e.g. `grpc`.
    pub name: &'static str,
    /// How it speaks.
    pub security: Security,
    /// Who may call.
    pub callers: Callers,
    /// Connections at once.
    pub connections_max: usize,
    /// What is counted.
    pub figures: Figures,
}

/// Connections that were let in, until the port's token is cancelled.
pub type Connections = ReceiverStream<io::Result<Connection>>;

/// Lets callers in until `stop`. Each is a task of its own until it is let in, so that one that is slow keeps nobody waiting.
#[must_use]
pub fn accept(listener: TcpListener, port: Port, stop: CancellationToken) -> Connections {
    let (taken, connections) = mpsc::channel(WAITING_MAX);
    tokio::spawn(accepting(listener, port, taken, stop));
    ReceiverStream::new(connections)
}

async fn accepting(
    listener: TcpListener,
    port: Port,
    taken: mpsc::Sender<io::Result<Connection>>,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(port.connections_max));
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    // A handshake takes a connection's place, too: half of a small port's are left to others.
    let crowd = Crowd::new(HANDSHAKES_OF_ONE_MAX.min(port.connections_max.div_ceil(2)));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            () = taken.closed() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, port = port.name, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        let Some(guest) = crowd.enter(address.ip()) else {
            port.figures.refused(port.name, Refused::Crowd);
            continue;
        };
        let place = Arc::clone(&places).try_acquire_owned();
        let handshake = Arc::clone(&handshakes).try_acquire_owned();
        let (Ok(place), Ok(handshake)) = (place, handshake) else {
            port.figures.refused(port.name, Refused::Full);
            continue;
        };
        let (port, taken, stop) = (port.clone(), taken.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                let_in = let_in(stream, address, &port, place) => match let_in {
                    Ok(connection) => {
                        drop((handshake, guest));
                        // Nobody takes it any more: the port is being closed.
                        let _closing = taken.send(Ok(connection)).await;
                    }
                    // Somebody looked whether the port is open.
                    Err(None) => {}
                    Err(Some(reason)) => {
                        port.figures.refused(port.name, reason);
                        tracing::debug!(%address, port = port.name, reason = reason.label(), "refused");
                    }
                },
            }
        });
    }
}

async fn let_in(
    stream: TcpStream,
    address: SocketAddr,
    port: &Port,
    place: OwnedSemaphorePermit,
) -> Result<Connection, Option<Refused>> {
    // Small answers are not held back; a socket that refuses this still works.
    let _slower = stream.set_nodelay(true);
    let Security::Tls(current) = &port.security else {
        let peer = Peer { address, identity: None, serial: String::new() };
        return Ok(Connection::new(Stream::Plain(stream), peer, place, CancellationToken::new()));
    };
    let mut changes = current.changes();
    let loaded = Arc::clone(&changes.borrow_and_update());
    let shaken = timeout(HANDSHAKE_WITHIN, shake(stream, &loaded, port.callers));
    let stream = shaken.await.map_err(|_| Some(Refused::Silent))??;
    let shown: Vec<CertificateDer<'static>> = stream
        .get_ref()
        .1
        .peer_certificates()
        .unwrap_or_default()
        .iter()
        .map(|certificate| certificate.clone().into_owned())
        .collect();
    let named = match shown.first() {
        Some(certificate) => {
            Some(identity_of(certificate).map_err(|_| Some(Refused::WrongIdentity))?)
        }
        None => None,
    };
    let (identity, serial) =
        named.map_or((None, String::new()), |named| (Some(named.identity), named.serial));
    let peer = Peer { address, identity, serial };
    let ended = CancellationToken::new();
    let connection = Connection::new(Stream::Tls(Box::new(stream)), peer, place, ended.clone());
    if !shown.is_empty() {
        let gone = connection.gone.clone();
        tokio::spawn(judge(shown, changes, port.clone(), ended, gone));
    }
    Ok(connection)
}

/// The handshake. Whoever fails it gets the alert that says why; `None`: not a byte came.
async fn shake(
    stream: TcpStream,
    loaded: &Loaded,
    callers: Callers,
) -> Result<TlsStream<TcpStream>, Option<Refused>> {
    let mut first = [0_u8];
    if stream.peek(&mut first).await.unwrap_or(0) == 0 {
        return Err(None);
    }
    let speaks_tls = first == [HANDSHAKE_RECORD];
    let accepted = TlsAcceptor::from(loaded.server(callers)).accept(stream).into_fallible().await;
    match accepted {
        Ok(stream) => Ok(stream),
        Err((error, stream)) => {
            let refused = if speaks_tls { reason(&error) } else { Refused::PlainText };
            // It may already be gone.
            let _taken = timeout(ALERT_WITHIN, let_read(stream)).await;
            Err(Some(refused))
        }
    }
}

/// Lets the other side read what it was sent before the connection is closed.
async fn let_read(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = stream.take(ALERT_BYTES_MAX);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    Ok(())
}

fn reason(error: &io::Error) -> Refused {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match cause {
        Some(Error::InvalidCertificate(certificate)) => judged(certificate),
        Some(Error::NoCertificatesPresented) => Refused::NoCertificate,
        Some(Error::PeerIncompatible(_)) => Refused::OldVersion,
        _ => Refused::Handshake,
    }
}

fn judged(error: &CertificateError) -> Refused {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Refused::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Refused::NotYetValid
        }
        CertificateError::Revoked => Refused::Revoked,
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            Refused::UnknownAuthority
        }
        CertificateError::ApplicationVerificationFailure
        | CertificateError::InvalidPurpose
        | CertificateError::InvalidPurposeContext { .. } => Refused::WrongIdentity,
        _ => Refused::Handshake,
    }
}

/// Ends the connection when its certificate is taken back or over.
async fn judge(
    shown: Vec<CertificateDer<'static>>,
    mut changes: watch::Receiver<Arc<Loaded>>,
    port: Port,
    ended: CancellationToken,
    gone: CancellationToken,
) {
    let Some((certificate, issuers)) = shown.split_first() else { return };
    loop {
        tokio::select! {
            () = gone.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(JUDGED_EVERY) => {}
        }
        let loaded = Arc::clone(&changes.borrow_and_update());
        let verdict = loaded.verifier().verify_client_cert(certificate, issuers, UnixTime::now());
        if let Err(error) = verdict {
            let reason = match &error {
                Error::InvalidCertificate(certificate) => judged(certificate),
                _ => Refused::Handshake,
            };
            port.figures.ended(port.name, reason);
            tracing::info!(port = port.name, reason = reason.label(), "a connection was ended");
            ended.cancel();
            return;
        }
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that was let in.
pub struct Connection {
    stream: Stream,
    peer: Peer,
    ended: CancellationToken,
    ending: Pin<Box<WaitForCancellationFutureOwned>>,
    gone: CancellationToken,
    _gone: DropGuard,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    fn new(
        stream: Stream,
        peer: Peer,
        place: OwnedSemaphorePermit,
        ended: CancellationToken,
    ) -> Self {
        let gone = CancellationToken::new();
        Self {
            stream,
            peer,
            ending: Box::pin(ended.clone().cancelled_owned()),
            ended,
            _gone: gone.clone().drop_guard(),
            gone,
            _place: place,
        }
    }

    /// Who is at the other end.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Whether it may go on; wakes the task when it may no longer.
    fn still(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.ended.is_cancelled() || self.ending.as_mut().poll(context).is_ready() {
            let text = "the caller's certificate was taken back or is over";
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, text));
        }
        Ok(())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.still(context)?;
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.still(context)?;
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.still(context)?;
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        };
        ready!(shut)?;
        Poll::Ready(Ok(()))
    }
}

#[cfg(feature = "grpc")]
impl tonic::transport::server::Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}
