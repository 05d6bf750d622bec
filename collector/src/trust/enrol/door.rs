//! The listener: TLS 1.3 with a certificate of the authority, small questions, few at once, each within its time.

use std::{
    convert::Infallible,
    fs, io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use vonggac_daemon::tls::{Named, crowd::Crowd, identity_of};
use vonggac_wire::{
    AgentId, Identity, Time,
    enrol::{ASKED_BYTES_MAX, ENROL_PATH, LISTS_PATH, RECEIPTS_PATH, RENEW_PATH, Refused},
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{
    EnrolError, Figures,
    desk::{Caller, Desk, Refusal},
    guard::Guard,
    guessing::Guessing,
    late::Late,
    receipts,
};
use crate::store::Store;
use crate::trust::authority::{
    self, Authority, AuthorityError, FileError, Issued,
    folder::{self, failed},
    issuers::{CERTIFICATE, KEY, ROOT, end_of, serial_of},
};

/// Connections at once: an agency's servers that are installed together; others wait in the kernel.
const CONNECTIONS_MAX: usize = 64;

/// Of these from one network, so that a single caller who is slow does not keep the others out.
const CONNECTIONS_OF_ONE_MAX: usize = CONNECTIONS_MAX / 2;

/// How long a handshake may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// How long a whole connection may last: one question and its answer over a bad line.
const CONNECTION_WITHIN: Duration = Duration::from_secs(60);

/// How long the headers, and then the question, may take.
const ASKED_WITHIN: Duration = Duration::from_secs(10);

/// The folder of the listener's own certificate, within the authority's.
const OWN: &str = "enrolment";

/// What the listener is.
pub(super) struct Own {
    pub(super) authority: Authority,
    pub(super) name: AgentId,
    pub(super) names: Vec<String>,
    pub(super) grace: Duration,
}

/// When the lists and the listener's certificate were written.
type Stamps = (SystemTime, SystemTime);

/// The listener's TLS as it is now.
pub(super) struct Present {
    own: Own,
    /// With what it was made of.
    now: Mutex<(Stamps, Arc<ServerConfig>)>,
}

impl Present {
    pub(super) fn new(own: Own) -> Result<Self, EnrolError> {
        keep_certificate(&own)?;
        let made = Arc::new(made(&own)?);
        Ok(Self { now: Mutex::new((stamps(&own)?, made)), own })
    }

    fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.now.lock().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// Takes over what changed.
    pub(super) fn refresh(&self) -> Result<(), EnrolError> {
        keep_certificate(&self.own)?;
        let stamps = stamps(&self.own)?;
        if self.now.lock().unwrap_or_else(PoisonError::into_inner).0 == stamps {
            return Ok(());
        }
        let made = Arc::new(made(&self.own)?);
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = (stamps, made);
        Ok(())
    }
}

fn stamps(own: &Own) -> Result<Stamps, EnrolError> {
    let dir = own.authority.dir();
    let written = |path: std::path::PathBuf| -> Result<SystemTime, AuthorityError> {
        let written = fs::metadata(&path).and_then(|meta| meta.modified());
        Ok(written.map_err(failed("read", &path))?)
    };
    let own = written(dir.join(OWN).join(CERTIFICATE))?;
    Ok((written(dir.join(authority::REVOKED))?, own))
}

/// Has a certificate for the listener: the one there is, or a new one in the last third of its life.
fn keep_certificate(own: &Own) -> Result<(), EnrolError> {
    let (dir, now) = (own.authority.dir().join(OWN), Time::now());
    let identity = Identity::Collector(own.name.clone());
    let register = own.authority.register(now)?;
    let good = folder::read(&dir.join(CERTIFICATE)).ok().and_then(|pem| {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (_, parsed) = X509Certificate::from_der(&der).ok()?;
        let begin = Time::from_seconds(parsed.validity().not_before.timestamp());
        let third = end_of(&parsed).since(begin) / 3;
        let serial = serial_of(&parsed);
        let known = register.good(&identity, now).find(|known| known.serial == serial)?;
        let revoked = register.revoked.contains_key(&known.issuer);
        (!revoked && known.names == own.names && now.plus(third) < known.not_after).then_some(())
    });
    if good.is_some() {
        return Ok(());
    }
    let request = authority::Request::fresh(identity, own.names.clone(), "enrolment");
    let issued: Issued = own.authority.issue(&request, now)?;
    issued.write(&dir).map_err(AuthorityError::from)?;
    Ok(())
}

/// TLS of what is in the folder. The root goes along: who has nothing but its fingerprint finds it there.
fn made(own: &Own) -> Result<ServerConfig, EnrolError> {
    let wrong = |error: &dyn std::fmt::Display| EnrolError::Tls(error.to_string());
    let dir = own.authority.dir();
    let text = |path: std::path::PathBuf| -> Result<String, EnrolError> {
        folder::read(&path).map_err(|error: FileError| EnrolError::Authority(error.into()))
    };
    let certificates = |pem: &str| {
        CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| wrong(&error))
    };
    let root = certificates(&text(dir.join(ROOT))?)?;
    let mut roots = RootCertStore::empty();
    for root in certificates(&own.authority.authorities()?)? {
        roots.add(root).map_err(|error| wrong(&error))?;
    }
    let lists = own.authority.revoked()?;
    let lists = CertificateRevocationListDer::pem_slice_iter(lists.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(&error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let strict =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .with_crls(lists)
            .allow_unauthenticated()
            .build()
            .map_err(|error| wrong(&error))?;
    let mut chain = certificates(&text(dir.join(OWN).join(CERTIFICATE))?)?;
    chain.extend(root);
    let key = text(dir.join(OWN).join(KEY))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| wrong(&error))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| wrong(&error))?
        .with_client_cert_verifier(Arc::new(Late::new(strict, own.grace)))
        .with_single_cert(chain, key)
        .map_err(|error| wrong(&error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A session that is taken up again would not be asked for its certificate, which may be revoked by then.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// What every connection needs.
struct Room {
    desk: Desk,
    guard: Mutex<Guard>,
    figures: Figures,
    guessing: Guessing,
    receipts: Option<Store>,
}

/// Listens until `stop`; gives the address that was bound.
pub(super) async fn open(
    address: SocketAddr,
    present: Arc<Present>,
    desk: Desk,
    (figures, guessing, receipts): (Figures, Guessing, Option<Store>),
    stop: CancellationToken,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let (places, crowd) =
        (Arc::new(Semaphore::new(CONNECTIONS_MAX)), Crowd::new(CONNECTIONS_OF_ONE_MAX));
    let guard = Mutex::new(Guard::default());
    let room = Arc::new(Room { desk, guard, figures, guessing, receipts });
    tokio::spawn(async move {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of files, most likely: others end.
                    tracing::warn!(%error, "a caller of the enrolment could not be taken");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Some(guest) = crowd.enter(from.ip()) else {
                room.figures.count("crowd");
                continue;
            };
            let (acceptor, room) = (TlsAcceptor::from(present.config()), Arc::clone(&room));
            tokio::spawn(async move {
                let served = serve(stream, from, acceptor, room);
                if timeout(CONNECTION_WITHIN, served).await.is_err() {
                    tracing::debug!(%from, "a caller of the enrolment was too slow");
                }
                drop((place, guest));
            });
        }
    });
    Ok(bound)
}

async fn serve(stream: TcpStream, from: SocketAddr, acceptor: TlsAcceptor, room: Arc<Room>) {
    let stream = match timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            room.figures.count("handshake");
            tracing::info!(%from, %error, "a caller of the enrolment was refused");
            return;
        }
        Err(_) => return room.figures.count("handshake"),
    };
    let caller = stream.get_ref().1.peer_certificates().and_then(|chain| caller(chain.first()?));
    let service = service_fn(move |request| {
        let (room, caller) = (Arc::clone(&room), caller.clone());
        async move { Ok::<_, Infallible>(answer(request, from, caller, &room).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ASKED_WITHIN)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%from, %error, "a connection of the enrolment broke");
    }
}

/// Whom a certificate names that the handshake has taken.
fn caller(certificate: &CertificateDer<'_>) -> Option<Caller> {
    let Named { identity, serial, not_after, .. } = identity_of(certificate).ok()?;
    Some(Caller { identity, serial, not_after: Time::from_seconds(not_after) })
}

async fn answer(
    request: Request<Incoming>,
    from: SocketAddr,
    caller: Option<Caller>,
    room: &Room,
) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::POST, ENROL_PATH) => enrol(request, from, room).await,
        (&Method::POST, RENEW_PATH) => {
            let asked = match asked(request).await {
                Ok(asked) => asked,
                Err(refused) => return room.not_asked(refused),
            };
            let (desk, by) = (room.desk.clone(), caller.clone());
            let renewed = waiting(move || desk.renew(by.as_ref(), &asked, Time::now())).await;
            let who = caller.map(|caller| caller.identity.to_string()).unwrap_or_default();
            room.tell(from, "renewed", &who, renewed.as_ref().err());
            told(renewed)
        }
        (&Method::POST, RECEIPTS_PATH) => {
            let (word, answer) =
                receipts::answer(request, caller.as_ref(), room.receipts.as_ref()).await;
            room.figures.count(word);
            answer
        }
        (&Method::GET, LISTS_PATH) => {
            let desk = room.desk.clone();
            told(waiting(move || desk.lists()).await)
        }
        _ => room.not_asked(refused(StatusCode::NOT_FOUND, "request", "there is nothing here")),
    }
}

async fn enrol(request: Request<Incoming>, from: SocketAddr, room: &Room) -> Response<Full<Bytes>> {
    let listens = {
        let guard = room.guard.lock().unwrap_or_else(PoisonError::into_inner);
        guard.listens(from.ip(), Time::now())
    };
    if !listens {
        room.figures.count("busy");
        let text = "too many wrong tokens came from this address; wait a minute";
        return refused(StatusCode::TOO_MANY_REQUESTS, "busy", text);
    }
    let asked: vonggac_wire::enrol::Asked = match asked(request).await {
        Ok(asked) => asked,
        Err(refused) => return room.not_asked(refused),
    };
    let desk = room.desk.clone();
    let granted = waiting(move || desk.enrol(&asked, Time::now())).await;
    if let Err(Refusal::Token(_)) = &granted {
        let now = Time::now();
        let shut = room.guard.lock().unwrap_or_else(PoisonError::into_inner).wrong(from.ip(), now);
        if shut {
            tracing::warn!(%from, "wrong tokens come from an address; it is not listened to for a minute");
            room.guessing.tell(from.ip(), now);
        }
    }
    let who = granted.as_ref().map(|granted| granted.identity.clone()).unwrap_or_default();
    room.tell(from, "enrolled", &who, granted.as_ref().err());
    told(granted)
}

impl Room {
    /// What was no question is counted, too.
    fn not_asked(&self, refused: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
        self.figures.count("request");
        refused
    }

    fn tell(&self, from: SocketAddr, done: &str, who: &str, refusal: Option<&Refusal>) {
        self.figures.count(refusal.map_or(done, |refusal| refusal.word()));
        match refusal {
            None => tracing::info!(%from, who, "{done}"),
            Some(error @ (Refusal::Authority(_) | Refusal::Register(_))) => {
                tracing::error!(%from, who, %error, "enrolment failed");
            }
            Some(error) => tracing::warn!(%from, who, %error, "enrolment refused a caller"),
        }
    }
}

/// What reads and writes files, on a thread that may wait.
async fn waiting<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Refusal::Asked("the question ended in a panic".into())))
}

/// The question, if it is small, quick, and one.
pub(super) async fn asked<T: DeserializeOwned>(
    request: Request<Incoming>,
) -> Result<T, Response<Full<Bytes>>> {
    let body = Limited::new(request.into_body(), ASKED_BYTES_MAX);
    let bytes = match timeout(ASKED_WITHIN, body.collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => {
            return Err(refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                "request",
                "the question is too long, or broke off",
            ));
        }
        Err(_) => {
            return Err(refused(
                StatusCode::REQUEST_TIMEOUT,
                "request",
                "the question came slowly",
            ));
        }
    };
    serde_json::from_slice(&bytes).map_err(|error| {
        refused(StatusCode::BAD_REQUEST, "request", &format!("the question is wrong: {error}"))
    })
}

fn told<T: Serialize>(answer: Result<T, Refusal>) -> Response<Full<Bytes>> {
    let error = match answer {
        Ok(answer) => return json(StatusCode::OK, &answer),
        Err(error) => error,
    };
    let status = match error {
        Refusal::Asked(_) => StatusCode::BAD_REQUEST,
        Refusal::Taken(_) => StatusCode::CONFLICT,
        Refusal::Authority(_) | Refusal::Register(_) => {
            // The centre's own files are nobody else's business.
            return refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                error.word(),
                "the centre cannot do it now; its log says why",
            );
        }
        _ => StatusCode::FORBIDDEN,
    };
    refused(status, error.word(), &error.to_string())
}

pub(super) fn refused(status: StatusCode, reason: &str, error: &str) -> Response<Full<Bytes>> {
    json(status, &Refused { reason: reason.to_owned(), error: error.to_owned() })
}

pub(super) fn json(status: StatusCode, answer: &impl Serialize) -> Response<Full<Bytes>> {
    let (status, text) = match serde_json::to_vec(answer) {
        Ok(text) => (status, text),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Vec::new()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
