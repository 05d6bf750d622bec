//! A connection to a port of the centre, and what a person has to be told when there is none.
//!
//! A caller's handshake is over before the other side has judged its certificate (version 1.3), so the alert comes with the first
//! answer, where HTTP/2 keeps no more of it than "broken". So the connection itself writes down what it met.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustls::{AlertDescription, CertificateError, Error, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::watch,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::listen::Security;

/// Connecting and shaking hands: two round trips more than a person waits for.
const CONNECTED_WITHIN: Duration = Duration::from_secs(10);

/// The first byte that a port of TLS sends to who speaks plain text: an alert's record.
const ALERT_RECORD: u8 = 0x15;

/// What is wrong, by what the person has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The port speaks TLS, we do not.
    WantsTls,
    /// We speak TLS, the port does not.
    WantsPlainText,
    /// The centre's certificate is over.
    Expired,
    /// The centre's certificate has not begun, or our clock is wrong.
    NotYetValid,
    /// The centre's certificate was taken back.
    Revoked,
    /// The centre's certificate was issued by nobody we trust.
    UnknownAuthority,
    /// The centre's certificate is for another name.
    WrongName,
    /// The certificate there is not a collector's.
    WrongIdentity,
    /// It wants a certificate and got none.
    CertificateRequired,
    /// Our certificate is over, or has not begun.
    OwnExpired,
    /// Our certificate was taken back.
    OwnRevoked,
    /// Our certificate was issued by nobody that it trusts.
    OwnUnknownAuthority,
    /// Our certificate names nobody who has something to do there.
    OwnRefused,
    /// No version of TLS that both speak.
    Version,
    /// It accepted the connection and said nothing.
    Silent,
    /// Everything else that a handshake can break by.
    Handshake,
}

/// Calls a port.
#[derive(Clone)]
pub struct Dial {
    security: Security,
    met: Arc<watch::Sender<Met>>,
}

/// What is known of the newest connection.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    /// The other side said something, or is gone.
    heard: bool,
    trouble: Option<Trouble>,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::WantsTls,
        Self::WantsPlainText,
        Self::Expired,
        Self::NotYetValid,
        Self::Revoked,
        Self::UnknownAuthority,
        Self::WrongName,
        Self::WrongIdentity,
        Self::CertificateRequired,
        Self::OwnExpired,
        Self::OwnRevoked,
        Self::OwnUnknownAuthority,
        Self::OwnRefused,
        Self::Version,
        Self::Silent,
        Self::Handshake,
    ];

    /// As messages are named.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WantsTls => "wants-tls",
            Self::WantsPlainText => "wants-plain-text",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::Revoked => "revoked",
            Self::UnknownAuthority => "unknown-authority",
            Self::WrongName => "wrong-name",
            Self::WrongIdentity => "wrong-identity",
            Self::CertificateRequired => "certificate-required",
            Self::OwnExpired => "own-expired",
            Self::OwnRevoked => "own-revoked",
            Self::OwnUnknownAuthority => "own-unknown-authority",
            Self::OwnRefused => "own-refused",
            Self::Version => "version",
            Self::Silent => "silent",
            Self::Handshake => "handshake",
        }
    }
}

impl Dial {
    /// In plain text, or with these certificates.
    #[must_use]
    pub fn new(security: Security) -> Self {
        Self { security, met: Arc::new(watch::channel(Met::default()).0) }
    }

    /// What the newest connection met, if that has a name.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.met.borrow().trouble
    }

    /// Waits until the other side has said something, or is gone; then tells the trouble, if there is one. Only then is it known whether our
    /// certificate was taken.
    pub async fn heard(&self) -> Option<Trouble> {
        let mut met = self.met.subscribe();
        let heard = timeout(CONNECTED_WITHIN, met.wait_for(|met| met.heard)).await;
        match heard {
            Ok(Ok(met)) => met.trouble,
            Ok(Err(_)) => None,
            Err(_) => Some(Trouble::Silent),
        }
    }

    fn meet(&self, met: Met) {
        self.met.send_replace(met);
    }

    fn fail(&self, trouble: Option<Trouble>) {
        self.meet(Met { heard: true, trouble });
    }

    /// Connects to a host (a name or an address, IPv6 with or without brackets).
    ///
    /// # Errors
    /// If there is no connection; [`Self::trouble`] says more where it can.
    pub async fn connect(&self, host: &str, port: u16) -> io::Result<Dialled> {
        self.meet(Met::default());
        let connected = timeout(CONNECTED_WITHIN, self.connecting(host, port)).await;
        connected.unwrap_or_else(|_| {
            self.fail(Some(Trouble::Silent));
            Err(io::ErrorKind::TimedOut.into())
        })
    }

    async fn connecting(&self, host: &str, port: u16) -> io::Result<Dialled> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let stream = match &self.security {
            Security::PlainText => Stream::Plain(stream),
            Security::Tls(current) => {
                let name = ServerName::try_from(host.to_owned())
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
                let connector = TlsConnector::from(current.loaded().client());
                let shaken = connector.connect(name, stream).await;
                Stream::Tls(Box::new(shaken.inspect_err(|error| self.fail(trouble_of(error)))?))
            }
        };
        Ok(Dialled { stream, dial: self.clone(), heard: false })
    }
}

/// The name of what broke a connection; `None`: nothing of TLS.
pub(super) fn trouble_of(error: &io::Error) -> Option<Trouble> {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    Some(match cause {
        Some(Error::InvalidCertificate(certificate)) => match certificate {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Trouble::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Trouble::NotYetValid
            }
            CertificateError::Revoked => Trouble::Revoked,
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Trouble::UnknownAuthority
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Trouble::WrongName
            }
            CertificateError::ApplicationVerificationFailure
            | CertificateError::InvalidPurpose
            | CertificateError::InvalidPurposeContext { .. } => Trouble::WrongIdentity,
            _ => Trouble::Handshake,
        },
        Some(Error::AlertReceived(alert)) => match alert {
            AlertDescription::CertificateRequired => Trouble::CertificateRequired,
            AlertDescription::CertificateExpired => Trouble::OwnExpired,
            AlertDescription::CertificateRevoked => Trouble::OwnRevoked,
            AlertDescription::UnknownCA => Trouble::OwnUnknownAuthority,
            AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateUnknown => Trouble::OwnRefused,
            AlertDescription::ProtocolVersion => Trouble::Version,
            _ => Trouble::Handshake,
        },
        Some(Error::PeerIncompatible(_)) => Trouble::Version,
        Some(Error::InvalidMessage(_)) => Trouble::WantsPlainText,
        Some(_) => Trouble::Handshake,
        None => return None,
    })
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection to the centre.
pub struct Dialled {
    stream: Stream,
    dial: Dial,
    heard: bool,
}

impl AsyncRead for Dialled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = match &mut self.stream {
            Stream::Plain(stream) => ready!(Pin::new(stream).poll_read(context, buffer)),
            Stream::Tls(stream) => ready!(Pin::new(stream.as_mut()).poll_read(context, buffer)),
        };
        match &read {
            // A later error of a connection that was good has no such name.
            Err(error) => {
                let trouble = trouble_of(error);
                if trouble.is_some() || !self.heard {
                    self.dial.fail(trouble);
                }
            }
            Ok(()) if !self.heard => {
                self.heard = true;
                let first = buffer.filled().get(before).copied();
                let plain = matches!(self.stream, Stream::Plain(_));
                let alert = plain && first == Some(ALERT_RECORD);
                self.dial.fail(alert.then_some(Trouble::WantsTls));
            }
            Ok(()) => {}
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Dialled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}
