//! The loopback endpoint: portals post usage events over HTTP and are answered once they are in the spool.
//!
//! Only this host is listened to, and no web page that runs in a browser of it: those name their origin, or cannot say JSON.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::{net::TcpListener, sync::Semaphore};
use vonggac_wire::{Event, Time};

use super::posted::{self, Envelope};
use crate::{
    config::UsageHttpConfig,
    source::{Running, Source, SourceContext, SourceError},
};

/// Bytes of one request.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Connections at once.
const CONNECTIONS_MAX: usize = 64;

/// How long a head may take to come, and an idle connection is kept.
const HEAD_MAX: Duration = Duration::from_secs(10);

/// How long a whole request may take.
const REQUEST_MAX: Duration = Duration::from_secs(60);

/// Rest after a failure of accepting.
const ACCEPT_REST: Duration = Duration::from_millis(200);

/// Mistakes that are told of one request; the rest are counted.
const MISTAKES_MAX: usize = 100;

pub(crate) struct UsageHttp {
    config: Arc<UsageHttpConfig>,
}

impl UsageHttp {
    pub(crate) fn new(config: UsageHttpConfig) -> Self {
        Self { config: Arc::new(config) }
    }
}

impl Source for UsageHttp {
    fn name(&self) -> String {
        format!("usage http {}", self.config.listen)
    }

    fn settings(&self) -> String {
        format!("usage http {:?}", self.config)
    }

    fn run(&self, context: SourceContext) -> Running {
        Box::pin(listen(Arc::clone(&self.config), context))
    }
}

async fn listen(config: Arc<UsageHttpConfig>, context: SourceContext) -> Result<(), SourceError> {
    let address: SocketAddr = config.listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| SourceError::Io { what: format!("listen on {address}"), source })?;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let stream = tokio::select! {
            () = context.shutdown.cancelled() => return Ok(()),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, %address, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_REST).await;
                    continue;
                }
            },
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (config, context) = (Arc::clone(&config), context.clone());
        tokio::spawn(async move {
            let shutdown = context.shutdown.clone();
            let service = service_fn(move |request| {
                let (config, context) = (Arc::clone(&config), context.clone());
                async move { Ok::<_, Infallible>(answer(request, &config, &context).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_MAX)
                .serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            tokio::select! {
                served = &mut connection => {
                    if let Err(error) = served {
                        tracing::debug!(%error, "a portal's connection ended");
                    }
                }
                () = shutdown.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    let _served = tokio::time::timeout(Duration::from_secs(1), connection).await;
                }
            }
            drop(place);
        });
    }
}

/// What a request comes to.
struct Outcome {
    status: StatusCode,
    text: serde_json::Value,
}

fn refuse(status: StatusCode, error: &str) -> Outcome {
    Outcome { status, text: json!({ "ok": false, "error": error }) }
}

async fn answer(
    request: Request<Incoming>,
    config: &UsageHttpConfig,
    context: &SourceContext,
) -> Response<Full<Bytes>> {
    let taken = tokio::time::timeout(REQUEST_MAX, take(request, config, context)).await;
    let Outcome { status, text } =
        taken.unwrap_or_else(|_| refuse(StatusCode::REQUEST_TIMEOUT, "the request took too long"));
    let mut response = Response::new(Full::new(Bytes::from(format!("{text}\n"))));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

async fn take(
    request: Request<Incoming>,
    config: &UsageHttpConfig,
    context: &SourceContext,
) -> Outcome {
    if let Err(outcome) = admit(request.method(), request.uri().path(), request.headers()) {
        return outcome;
    }
    let envelope = envelope(request.headers());
    let body = match Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            let error = format!("more than {BODY_BYTES_MAX} bytes; post less at a time");
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, &error);
        }
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let outcomes = posted::body(&body, &envelope, &config.system, Time::now());
    let all = outcomes.len();
    let (mut events, mut mistakes) = (Vec::new(), Vec::new());
    for (place, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(event) => events.push(event.with_source("http", 0)),
            Err(error) => mistakes.push(json!({ "line": place + 1, "error": error })),
        }
    }
    let accepted = events.len();
    if let Err(error) = spool(context, events).await {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, &error);
    }
    let rejected = all - accepted;
    mistakes.truncate(MISTAKES_MAX);
    let status = if rejected == 0 { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let text = json!({ "ok": rejected == 0, "accepted": accepted, "rejected": rejected, "errors": mistakes });
    Outcome { status, text }
}

/// Whether this may be a portal that posts.
fn admit(method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Outcome> {
    if !matches!(path, "/" | "/usage") {
        return Err(refuse(StatusCode::NOT_FOUND, "post to /usage"));
    }
    if method != Method::POST {
        return Err(refuse(StatusCode::METHOD_NOT_ALLOWED, "post JSON to /usage"));
    }
    if headers.contains_key(header::ORIGIN) {
        return Err(refuse(StatusCode::FORBIDDEN, "web pages may not post here"));
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let json = kind.ends_with("json") || kind.ends_with("jsonl") || kind.ends_with("json-lines");
    if !json {
        let error = format!(
            "the content-type is {kind:?}; wanted application/json, application/x-ndjson or application/cloudevents+json"
        );
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, &error));
    }
    Ok(())
}

/// A CloudEvent in binary mode has its attributes among the headers.
fn envelope(headers: &HeaderMap) -> Envelope {
    let text =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Envelope { event_type: text("ce-type"), time: text("ce-time") }
}

/// Hands events over and waits until they are in the spool.
async fn spool(context: &SourceContext, events: Vec<Event>) -> Result<(), String> {
    let stopping = || "the agent is stopping; post it again".to_owned();
    context.occurrences.lines_read(events.len() as u64, 0);
    context.intake.spool_events(events).await.map_err(|_| stopping())
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        sync::mpsc,
    };
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        intake::{self, Appended, Checkpoints},
        occurrence::Occurrences,
    };

    struct Nowhere;

    impl Checkpoints for Nowhere {
        fn resume(&self, _: &str) -> Option<u64> {
            None
        }
        fn known(&self, _: &str) -> Vec<(String, u64)> {
            Vec::new()
        }
    }

    async fn listening() -> (SocketAddr, mpsc::Receiver<Event>) {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (intake, mut chunks) = intake::queue();
        let context = SourceContext {
            intake,
            checkpoints: Arc::new(Nowhere),
            shutdown: CancellationToken::new(),
            occurrences: Occurrences::new().unwrap(),
        };
        let config = UsageHttpConfig { listen: address, system: "portal".into() };
        tokio::spawn(UsageHttp::new(config).run(context));
        let (sender, events) = mpsc::channel(100);
        tokio::spawn(async move {
            while let Some(chunk) = chunks.recv().await {
                for entry in chunk.entries {
                    sender.send(entry.event).await.unwrap();
                }
                let _told = chunk.appended.unwrap().send(Appended::default());
            }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        (address, events)
    }

    async fn post(address: SocketAddr, headers: &str, body: &str) -> (u16, serde_json::Value) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "POST /usage HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer[9..12].parse().unwrap();
        (status, serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap())
    }

    const JSON: &str = "content-type: application/json\r\n";

    #[tokio::test]
    async fn posted_events_are_answered_once_they_are_spooled() {
        let (address, mut events) = listening().await;
        let (status, text) = post(address, JSON, r#"{"kind":"rating","score":4}"#).await;
        assert_eq!((status, &text["accepted"]), (200, &json!(1)));
        assert_eq!(events.recv().await.unwrap().system(), "portal");
        let lines = "{\"kind\":\"rating\",\"score\":4}\n{\"kind\":\"rating\",\"score\":9}\n";
        let (status, text) = post(address, "content-type: application/x-ndjson\r\n", lines).await;
        assert_eq!(
            (status, &text["accepted"], &text["errors"][0]["line"]),
            (422, &json!(1), &json!(2))
        );
        let binary = "content-type: application/json\r\nce-specversion: 1.0\r\nce-id: 1\r\nce-source: /p\r\nce-type: vn.gov.dossier.received\r\nce-time: 2026-11-24T02:00:00Z\r\n";
        let (status, _) = post(address, binary, r#"{"service":"khai-sinh"}"#).await;
        events.recv().await.unwrap();
        let dossier = events.recv().await.unwrap();
        assert_eq!(
            (status, dossier.class_name(), dossier.time().to_string().as_str()),
            (200, "dossier", "2026-11-24T02:00:00Z")
        );
    }

    #[tokio::test]
    async fn web_pages_forms_and_floods_are_refused() {
        let (address, _events) = listening().await;
        let page = format!("{JSON}origin: http://evil.example\r\n");
        assert_eq!(post(address, &page, "{}").await.0, 403);
        assert_eq!(post(address, "content-type: text/plain\r\n", "{}").await.0, 415);
        assert_eq!(post(address, JSON, &"x".repeat(BODY_BYTES_MAX + 1)).await.0, 413);
        assert_eq!(post(address, JSON, "nothing").await.0, 422);
    }
}
