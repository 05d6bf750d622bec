//! The way to an object store: the same HTTP and TLS as everything else here, of which no wait is without an end.

use std::{io, sync::Arc, time::Duration};

use http_body_util::BodyExt as _;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector as Tcp},
    rt::TokioExecutor,
};
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
        HttpResponse, HttpResponseBody, HttpService,
    },
};
use rustls::ClientConfig;

use crate::roots::{RootsError, believed};

/// How long it may take until a connection stands.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// How long the other side may say nothing, or take nothing.
const SILENT_MAX: Duration = Duration::from_secs(30);

/// Connections of one file after the other are kept for so long.
const IDLE: Duration = Duration::from_secs(10);

type Poster = Client<TimeoutConnector<HttpsConnector<Tcp>>, HttpRequestBody>;

/// Makes clients that believe these authorities.
#[derive(Debug)]
pub(super) struct Connector {
    believed: Arc<ClientConfig>,
}

impl Connector {
    /// By authorities in PEM, else by those of this machine; in plain text by nobody.
    pub(super) fn new(authorities: Option<&[u8]>, is_plain: bool) -> Result<Self, RootsError> {
        let nobody: &[u8] = &[];
        Ok(Self { believed: believed(if is_plain { Some(nobody) } else { authorities })? })
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let mut tcp = Tcp::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config((*self.believed).clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let mut connector = TimeoutConnector::new(https);
        connector.set_connect_timeout(Some(CONNECT_WITHIN));
        connector.set_read_timeout(Some(SILENT_MAX));
        connector.set_write_timeout(Some(SILENT_MAX));
        // While a file is being sent, no answer is awaited.
        connector.set_reset_reader_on_write(true);
        let poster: Poster =
            Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector);
        Ok(HttpClient::new(Way(poster)))
    }
}

#[derive(Debug)]
struct Way(Poster);

#[async_trait::async_trait]
impl HttpService for Way {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = self.0.request(request).await.map_err(|error| {
            let kind = if error.is_connect() { HttpErrorKind::Connect } else { kind(&error) };
            HttpError::new(kind, error)
        })?;
        Ok(answer.map(|body| {
            HttpResponseBody::new(body.map_err(|error| HttpError::new(kind(&error), error)))
        }))
    }
}

/// What a failure means for whoever tries again.
fn kind(error: &(dyn std::error::Error + 'static)) -> HttpErrorKind {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if inner.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::TimedOut)
        {
            return HttpErrorKind::Timeout;
        }
        cause = inner.source();
    }
    HttpErrorKind::Interrupted
}
