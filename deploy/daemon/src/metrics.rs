//! `/metrics` in Prometheus' text form and `/healthz`: on loopback as they are, elsewhere to who shows a certificate.

use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use vonggac_wire::Identity;

use crate::{
    peer::Peer,
    settings::Table,
    tls::{
        Callers, Files, Refused,
        listen::{self, Doors, Security},
    },
};

/// Scrapers at once: a few of them and a curious administrator.
const CONNECTIONS_MAX: usize = 16;

/// A client that sends its headers more slowly than this is cut.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);

/// Where metrics are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The address.
    pub address: SocketAddr,
    /// Whether who asks has to show a certificate.
    pub tls: bool,
}

impl At {
    /// In plain text: on loopback.
    #[must_use]
    pub const fn plain(address: SocketAddr) -> Self {
        Self { address, tls: false }
    }

    /// Reads `[metrics] listen` and `tls`. With certificates everything but loopback is spoken to by them; loopback if `tls = true`.
    pub fn take(root: &mut Table<'_>, example: &str, files: Option<&Files>) -> Option<Self> {
        root.table("metrics", |metrics| {
            let listen = metrics.parsed("listen", &format!("an address like \"{example}\""));
            let asked = metrics.bool("tls");
            if asked == Some(true) && files.is_none() {
                metrics.wrong("tls", "wants certificates; add [tls], or leave it out");
            }
            let address: SocketAddr = listen?;
            let tls = files.is_some() && asked.unwrap_or(!address.ip().is_loopback());
            if asked == Some(false) && files.is_some() && !address.ip().is_loopback() {
                metrics.wrong("tls", "can only be false where `listen` is on loopback");
            }
            Some(Self { address, tls })
        })
    }
}

/// Listens and answers until `shutdown`; gives the address that was bound.
///
/// # Errors
/// If the address cannot be bound.
pub async fn serve(
    at: At,
    doors: &Doors,
    registry: Registry,
    shutdown: CancellationToken,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(at.address).await?;
    let bound = listener.local_addr()?;
    let mut port = doors.port("metrics", Callers::MustShow, CONNECTIONS_MAX);
    if !at.tls {
        port.security = Security::PlainText;
    }
    let figures = port.figures.clone();
    let mut connections = listen::accept(listener, port, shutdown);
    tokio::spawn(async move {
        while let Some(accepted) = connections.next().await {
            let Ok(connection) = accepted else { continue };
            if !may_read(connection.peer()) {
                figures.refused("metrics", Refused::WrongIdentity);
                continue;
            }
            let registry = registry.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(request, registry.clone()));
                let served = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADERS_WITHIN)
                    .serve_connection(TokioIo::new(connection), service)
                    .await;
                if let Err(error) = served {
                    tracing::debug!(%error, "a metrics connection broke");
                }
            });
        }
    });
    Ok(bound)
}

/// Figures are for people, for what scrapes in a person's name, and for collectors.
const fn may_read(peer: &Peer) -> bool {
    matches!(peer.identity, None | Some(Identity::Person(_) | Identity::Collector(_)))
}

async fn answer(
    request: Request<Incoming>,
    registry: Registry,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match request.uri().path() {
        "/metrics" => {
            let mut text = Vec::new();
            match TextEncoder::new().encode(&registry.gather(), &mut text) {
                Ok(()) => (StatusCode::OK, Bytes::from(text)),
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, Bytes::from(error.to_string())),
            }
        }
        "/healthz" => (StatusCode::OK, Bytes::from_static(b"ok\n")),
        _ => (StatusCode::NOT_FOUND, Bytes::from_static(b"try /metrics\n")),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    Ok(response)
}

#[cfg(test)]
mod tests;
