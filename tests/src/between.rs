//! A pass between a collector and the engine's HTTP interface that can be told to misbehave as engines and networks do.

use std::{
    convert::Infallible,
    fmt,
    future::pending,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, StatusCode, Uri, body::Incoming, client, header, http::request,
    server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    sync::watch,
};

/// What the pass does with requests that it applies to.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Fault {
    /// It passes them on, and the answers back.
    #[default]
    None,
    /// It passes each on that much later.
    Slow(Duration),
    /// It holds them until another fault is set, and passes them on then, whether or not their client still waits: as a frozen engine does.
    Hang,
    /// It closes connections.
    Refuse,
    /// The engine's refusal: a status and the engine's text ("Code: 243. DB::Exception: ...").
    Answer(u16, String),
    /// It passes on, and cuts the connection instead of the answer each n-th time.
    LoseAnswers {
        /// How often an answer is lost.
        every: u64,
    },
    /// It passes on so many requests, then it is gone for good: before the next one is carried out, or behind it.
    GoneAfter {
        /// How many are answered.
        requests: u64,
        /// Whether the next one is still carried out.
        carried_out: bool,
    },
    /// A bug put in on purpose: the engine does not know inserts again, as without their tokens, and one answer of n is lost, so that what is
    /// tried again is stored twice. Which one is scattered: a row of inserts that is always tried again as a whole would else never end.
    WithoutToken {
        /// How often an answer is lost.
        every: u64,
    },
    /// A bug put in on purpose: it answers inserts as done and passes them on that much later; what was not passed on when the pass or the
    /// engine dies is lost.
    AnswerBeforeStoring(Duration),
}

/// Which requests a fault applies to.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Reach {
    /// All.
    #[default]
    All,
    /// Inserts.
    Inserts,
    /// Inserts into one table.
    Into(String),
    /// Whatever speaks of a text: a statement, or a table.
    Speaking(String),
}

/// How often the pass did what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counts {
    /// Requests that came.
    pub requests: u64,
    /// Requests that a fault applied to.
    pub touched: u64,
    /// Answers that were lost.
    pub lost: u64,
}

#[derive(Default)]
struct Counters {
    requests: AtomicU64,
    touched: AtomicU64,
    /// Of the present fault.
    met: AtomicU64,
    lost: AtomicU64,
}

/// The pass. It ends with its owner, and what it holds then is lost.
pub struct Between {
    address: SocketAddr,
    pass: Arc<Pass>,
    runtime: Option<Runtime>,
}

struct Pass {
    engine: SocketAddr,
    fault: watch::Sender<(Reach, Fault)>,
    counters: Counters,
}

impl fmt::Debug for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Between").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Between {
    /// A pass to an engine that does nothing wrong yet.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn to(engine: SocketAddr) -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (fault, _) = watch::channel((Reach::All, Fault::None));
        let pass = Arc::new(Pass { engine, fault, counters: Counters::default() });
        runtime.spawn(listen(listener, Arc::clone(&pass)));
        Ok(Self { address, pass, runtime: Some(runtime) })
    }

    /// Where it is spoken to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The engine's address for a collector that speaks to the pass.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it does from now on. The faults of answers reach inserts, the one that answers before storing inserts into `events`, the others all.
    pub fn set(&self, fault: Fault) {
        let reach = match fault {
            Fault::LoseAnswers { .. } | Fault::WithoutToken { .. } => Reach::Inserts,
            Fault::AnswerBeforeStoring(_) => Reach::Into("events".into()),
            _ => Reach::All,
        };
        self.set_for(reach, fault);
    }

    /// What it does from now on with some of the requests.
    pub fn set_for(&self, reach: Reach, fault: Fault) {
        self.pass.counters.met.store(0, Ordering::SeqCst);
        self.pass.fault.send_replace((reach, fault));
    }

    /// How often it did what so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        let counters = &self.pass.counters;
        Counts {
            requests: read(&counters.requests),
            touched: read(&counters.touched),
            lost: read(&counters.lost),
        }
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn listen(listener: std::net::TcpListener, pass: Arc<Pass>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let (reach, fault) = pass.fault.borrow().clone();
        if (reach, fault) == (Reach::All, Fault::Refuse) {
            continue;
        }
        let _delayed_at_worst = stream.set_nodelay(true);
        let pass = Arc::clone(&pass);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&pass)));
            // A connection that the pass cuts ends with an error: that is what it is for.
            let _ended =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// The connection is cut instead of an answer.
#[derive(Debug)]
struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is cut")
    }
}

impl std::error::Error for Cut {}

type Answer = Response<Full<Bytes>>;

async fn answer(request: Request<Incoming>, pass: Arc<Pass>) -> Result<Answer, Cut> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    pass.counters.requests.fetch_add(1, Ordering::SeqCst);
    // What was taken is carried out even if its client goes: engines do that.
    tokio::spawn(carry_out(head, body, pass)).await.map_err(|_| Cut)?
}

async fn carry_out(mut head: request::Parts, body: Bytes, pass: Arc<Pass>) -> Result<Answer, Cut> {
    let (reach, fault) = pass.fault.borrow().clone();
    let text = statement(&head.uri, &body);
    if fault == Fault::None || !reach.holds(&text) {
        return pass_on(head, body, &pass).await;
    }
    let touched = pass.counters.touched.fetch_add(1, Ordering::SeqCst) + 1;
    let met = pass.counters.met.fetch_add(1, Ordering::SeqCst) + 1;
    let is_lost = match &fault {
        Fault::LoseAnswers { every } => met.is_multiple_of(*every),
        Fault::WithoutToken { every } => scattered(met).is_multiple_of(*every),
        _ => false,
    };
    match fault {
        Fault::None | Fault::LoseAnswers { .. } => {}
        Fault::Slow(delay) => tokio::time::sleep(delay).await,
        Fault::Hang => {
            let mut changes = pass.fault.subscribe();
            if changes.wait_for(|(_, fault)| *fault != Fault::Hang).await.is_err() {
                pending::<Infallible>().await;
            }
        }
        Fault::Refuse => return Err(Cut),
        Fault::GoneAfter { requests, .. } if met <= requests => {}
        Fault::GoneAfter { requests, carried_out } => {
            if carried_out && met == requests + 1 {
                let _answer_is_lost = pass_on(head, body, &pass).await;
            }
            return Err(Cut);
        }
        Fault::Answer(status, text) => return Ok(refusal(status, &text)),
        Fault::WithoutToken { .. } => head.uri = with_token(&head.uri, touched),
        Fault::AnswerBeforeStoring(delay) => {
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let _lost_if_the_engine_is_away = pass_on(head, body, &pass).await;
            });
            return Ok(Response::new(Full::default()));
        }
    }
    let answered = pass_on(head, body, &pass).await;
    if is_lost {
        pass.counters.lost.fetch_add(1, Ordering::SeqCst);
        return Err(Cut);
    }
    answered
}

/// The engine's own answer, over a connection of its own: nothing is ever tried again behind the story's back.
async fn pass_on(head: request::Parts, body: Bytes, pass: &Pass) -> Result<Answer, Cut> {
    let asked = async {
        let stream = TcpStream::connect(pass.engine).await.context("connect")?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driven = tokio::spawn(connection);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = head.method;
        *request.uri_mut() = head.uri;
        *request.headers_mut() = head.headers;
        // The body is whole here, and the connection ends with it.
        for name in [header::TRANSFER_ENCODING, header::CONTENT_LENGTH, header::CONNECTION] {
            request.headers_mut().remove(name);
        }
        let (mut head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        driven.abort();
        for name in [header::TRANSFER_ENCODING, header::CONTENT_LENGTH, header::CONNECTION] {
            head.headers.remove(name);
        }
        anyhow::Ok(Response::from_parts(head, Full::new(body)))
    };
    asked.await.map_err(|_| Cut)
}

fn refusal(status: u16, text: &str) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(format!("{text}\n"))));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let code = text.strip_prefix("Code: ").and_then(|rest| rest.split('.').next()?.parse().ok());
    if let Some(code) = code {
        let code: u32 = code;
        response.headers_mut().insert("X-ClickHouse-Exception-Code", code.into());
    }
    response
}

impl Reach {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::All => true,
            Self::Inserts => inserts_into(text).is_some(),
            Self::Into(table) => inserts_into(text).as_deref() == Some(table),
            Self::Speaking(words) => text.contains(words.as_str()),
        }
    }
}

/// The statement of a request: it stands in the address where data are in the body, else in the body.
fn statement(uri: &Uri, body: &[u8]) -> String {
    let query = uri.query().unwrap_or_default();
    let asked = query.split('&').find_map(|pair| pair.strip_prefix("query="));
    asked.map_or_else(|| String::from_utf8_lossy(body).into_owned(), decoded)
}

/// The table that an insert writes to.
fn inserts_into(text: &str) -> Option<String> {
    let rest = text.trim_start().strip_prefix("INSERT INTO ")?.trim_start();
    let name: String = rest
        .trim_start_matches('`')
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    Some(name)
}

/// A number without the order of its neighbours, the same at each run.
fn scattered(number: u64) -> u64 {
    StdRng::seed_from_u64(number).random()
}

/// The same address with a token that no other insert has: without any the engine would know a block again by its rows.
fn with_token(uri: &Uri, number: u64) -> Uri {
    let (path, query) = (uri.path(), uri.query().unwrap_or_default());
    let mut kept: Vec<&str> =
        query.split('&').filter(|pair| !pair.starts_with("insert_deduplication_token=")).collect();
    let own = format!("insert_deduplication_token=without-{number}");
    kept.push(&own);
    format!("{path}?{}", kept.join("&")).parse().unwrap_or_else(|_| uri.clone())
}

/// Undoes percent-encoding and `+`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let hex = behind.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let escaped = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let (byte, left) = match (first, escaped) {
            (b'%', Some(byte)) => (byte, &behind[2..]),
            (b'+', _) => (b' ', behind),
            (other, _) => (*other, behind),
        };
        bytes.push(byte);
        rest = left;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
