//! gRPC for consoles: a snapshot, then deltas; searches; commands.

use std::{net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use futures::Stream;
use tokio::{net::TcpListener, sync::broadcast};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, service::interceptor::InterceptedService};
use vonggac_daemon::{
    peer::Peer,
    tls::{
        Callers,
        listen::{self, Doors},
    },
};
use vonggac_wire::{
    Identity, Signer, Time,
    limits::{EVIDENCE_EVENTS_MAX, GRPC_MESSAGE_BYTES_MAX},
    proto::{
        ActReply, ChangeSavedSearchReply, ChangeSavedSearchRequest, Command, DeadLettersReply,
        DeadLettersRequest, EvidenceRequest, IncidentDetail, IncidentRequest, LegalClock,
        ReceiptsReply, SavedSearchesReply, SavedSearchesRequest, SearchReply, SearchRequest,
        SpreadReply, SpreadRequest, SqlReply, SqlRequest, TailReply, TailRequest, UsageReply,
        UsageRequest, VerifyReply, WatchReply, WatchRequest,
        console_server::{Console, ConsoleServer},
    },
};

use crate::{
    allowance::Allowances,
    book_runner::BookHandle,
    figures::Figures,
    health::Picture,
    indicator,
    registry::Registry,
    rule::RuleSet,
    saved,
    store::{Store, StoreError},
    tail::filter::Filter,
};

mod asking;
mod evidence;
mod tailing;

use asking::{Places, Question, caller};

/// Calls of one connection at once.
const CALLS_MAX: usize = 64;

/// Consoles at once: each ministry's and province's operators, several times over.
const CONNECTIONS_MAX: usize = 1_024;

/// What the service needs.
pub struct Parts {
    /// For searches.
    pub store: Store,
    /// Agencies and clocks.
    pub registry: Arc<Registry>,
    /// Runbooks.
    pub rules: Arc<RuleSet>,
    /// Metrics.
    pub figures: Figures,
    /// For commands.
    pub book: BookHandle,
    /// For watching.
    pub nation: Picture,
    /// What callers may use.
    pub allowances: Allowances,
    /// What receipts are held against; `None`: none are made here.
    pub receipts: Option<Arc<Signer>>,
}

/// Listens and serves until `stop`; gives the address that was bound.
///
/// # Errors
/// If the address cannot be bound.
pub async fn spawn(
    address: SocketAddr,
    doors: &Doors,
    parts: Parts,
    stop: CancellationToken,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let service = ConsoleServer::new(Service::new(parts))
        .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(GRPC_MESSAGE_BYTES_MAX);
    let service = InterceptedService::new(service, may_look);
    let port = doors.port("grpc", Callers::MustShow, CONNECTIONS_MAX);
    let connections = listen::accept(listener, port, stop.clone());
    tokio::spawn(async move {
        let served = tonic::transport::Server::builder()
            .concurrency_limit_per_connection(CALLS_MAX)
            .http2_keepalive_interval(Some(Duration::from_secs(10)))
            .http2_keepalive_timeout(Some(Duration::from_secs(20)))
            .add_service(service)
            .serve_with_incoming_shutdown(connections, stop.cancelled())
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "consoles are not served any more");
        }
    });
    Ok(bound)
}

/// The console's service is for people and collectors; an agent's certificate opens nothing here. In plain text nobody shows one.
fn may_look(request: Request<()>) -> Result<Request<()>, Status> {
    match request.extensions().get::<Peer>() {
        Some(Peer {
            identity: None | Some(Identity::Person(_) | Identity::Collector(_)), ..
        }) => Ok(request),
        _ => Err(Status::permission_denied("this certificate is not a person's")),
    }
}

struct Service {
    parts: Parts,
    places: Places,
    /// Changes of saved searches, one after the other.
    saving: tokio::sync::Mutex<()>,
}

impl Service {
    fn new(parts: Parts) -> Self {
        let places = Places::new(parts.allowances);
        Self { parts, places, saving: tokio::sync::Mutex::new(()) }
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn status(error: StoreError) -> Status {
    match error {
        StoreError::Forbidden(text) => Status::invalid_argument(text),
        other => Status::unavailable(other.to_string()),
    }
}

#[tonic::async_trait]
impl Console for Service {
    type WatchStream = Answers<WatchReply>;
    type SearchEventsStream = Answers<SearchReply>;
    type SqlStream = Answers<SqlReply>;
    type TailStream = Answers<TailReply>;
    type ReceiptsStream = Answers<ReceiptsReply>;
    type VerifyStream = Answers<VerifyReply>;

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let wanted = request.into_inner().agencies;
        let (first, deltas) = self.parts.nation.follow();
        let watching = Watching::new(self.parts.figures.clone());
        let begun = limited(&first, &wanted);
        let following = futures::stream::unfold(
            (deltas, wanted, watching),
            |(mut deltas, wanted, watching)| async move {
                match deltas.recv().await {
                    Ok(delta) => Some((Ok(limited(&delta, &wanted)), (deltas, wanted, watching))),
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        let slow = Status::resource_exhausted(format!(
                            "{missed} deltas were missed; watch anew"
                        ));
                        Some((Err(slow), (deltas, wanted, watching)))
                    }
                    Err(broadcast::error::RecvError::Closed) => None,
                }
            },
        );
        let first = futures::stream::once(async move { Ok(begun) });
        Ok(Response::new(Box::pin(futures::StreamExt::chain(first, following))))
    }

    async fn search_events(
        &self,
        request: Request<SearchRequest>,
    ) -> Result<Response<Self::SearchEventsStream>, Status> {
        let role = caller(&request).role;
        let question = Question::begin(&self.parts.store, &self.places, role).await?;
        Ok(Response::new(asking::search(&self.parts, question, request.into_inner())))
    }

    async fn get_incident(
        &self,
        request: Request<IncidentRequest>,
    ) -> Result<Response<IncidentDetail>, Status> {
        let id = request.into_inner().id;
        let picture = self.parts.nation.now();
        let incident = picture.incidents.iter().find(|incident| incident.id == id).cloned();
        let incident = incident.ok_or_else(|| Status::not_found(format!("no incident #{id}")))?;
        let timeline = self.parts.store.timeline(id).await.map_err(status)?;
        let references = &incident.evidence[..incident.evidence.len().min(EVIDENCE_EVENTS_MAX)];
        let evidence = self.parts.store.evidence(references).await.map_err(status)?;
        let meta = self.parts.rules.meta(&incident.rule);
        let clocks: Vec<LegalClock> = self
            .parts
            .registry
            .clocks()
            .iter()
            .filter(|clock| clock.kind == "deadline" && clock.starts_on == "detection")
            .map(|clock| LegalClock {
                id: clock.id.clone(),
                name_vi: clock.name_vi.clone(),
                name_en: clock.name_en.clone(),
                due_unix_nano: days(&clock.limit)
                    .map(|days| Time(incident.opened_unix_nano).plus(days).0),
                citation: format!("{}, art. {}", clock.citation, clock.article),
                confidence: clock.confidence.clone(),
            })
            .collect();
        let recipients = self
            .parts
            .registry
            .clocks()
            .iter()
            .flat_map(|clock| clock.recipient_roles.split(';'))
            .filter(|role| !role.is_empty());
        let mut recipients: Vec<String> = recipients.map(str::to_owned).collect();
        recipients.sort();
        recipients.dedup();
        Ok(Response::new(IncidentDetail {
            timeline,
            evidence,
            runbook_vi: meta.map(|meta| meta.steps_vi.clone()).unwrap_or_default(),
            runbook_en: meta.map(|meta| meta.steps_en.clone()).unwrap_or_default(),
            clocks,
            recipients,
            incident: Some(incident),
        }))
    }

    async fn act(&self, request: Request<Command>) -> Result<Response<ActReply>, Status> {
        let mut command = request.into_inner();
        command.time_unix_nano = Time::now().0;
        let id = command.incident;
        if command.id.is_empty() {
            command.id = uuid::Uuid::new_v4().to_string();
        }
        match self.parts.book.act(command).await {
            Some(Ok(incident)) => {
                Ok(Response::new(ActReply { refused: String::new(), incident: Some(incident) }))
            }
            // With the incident as it is, so that the later of two operators reads who was faster.
            Some(Err(refusal)) => {
                let picture = self.parts.nation.now();
                let incident = picture.incidents.iter().find(|known| known.id == id).cloned();
                Ok(Response::new(ActReply { refused: refusal.to_string(), incident }))
            }
            None => {
                Err(Status::unavailable("the incident book did not take the command; try again"))
            }
        }
    }

    async fn usage(&self, request: Request<UsageRequest>) -> Result<Response<UsageReply>, Status> {
        let request = request.into_inner();
        let now = Time::now();
        let since = if request.since_unix_nano == 0 {
            now.minus(Duration::from_secs(86_400))
        } else {
            Time(request.since_unix_nano)
        };
        let until = if request.until_unix_nano == 0 {
            now.plus(Duration::from_secs(600))
        } else {
            Time(request.until_unix_nano)
        };
        let sums = self.parts.store.usage(since, until, &request.agency).await.map_err(status)?;
        let mut indicators = if request.by_agency || !request.agency.is_empty() {
            indicator::by_agency(&sums)
        } else {
            indicator::national(&sums)
        };
        let picture = self.parts.nation.now();
        let connected = picture.agencies.iter().filter(|agency| agency.hosts_enrolled > 0).count();
        for indicator in &mut indicators {
            let missing = connected.saturating_sub(indicator.agencies_counted as usize);
            indicator.agencies_missing = u32::try_from(missing).unwrap_or(0);
        }
        Ok(Response::new(UsageReply { indicators }))
    }

    async fn sql(&self, request: Request<SqlRequest>) -> Result<Response<Self::SqlStream>, Status> {
        let role = caller(&request).role;
        let question = Question::begin(&self.parts.store, &self.places, role).await?;
        Ok(Response::new(asking::sql(question, request.into_inner())))
    }

    async fn dead_letters(
        &self,
        request: Request<DeadLettersRequest>,
    ) -> Result<Response<DeadLettersReply>, Status> {
        let letters =
            self.parts.store.dead_letters(request.into_inner().limit).await.map_err(status)?;
        Ok(Response::new(DeadLettersReply { letters }))
    }

    async fn spread(
        &self,
        request: Request<SpreadRequest>,
    ) -> Result<Response<SpreadReply>, Status> {
        let role = caller(&request).role;
        let request = request.into_inner();
        let now = Time::now();
        let since = if request.since_unix_nano == 0 {
            now.minus(Duration::from_secs(86_400))
        } else {
            Time(request.since_unix_nano)
        };
        let until = if request.until_unix_nano == 0 { now } else { Time(request.until_unix_nano) };
        // When the caller leaves, this is dropped, and the engine is told to stop.
        let question = Question::begin(&self.parts.store, &self.places, role).await?;
        let asked = question.running.store();
        let rows = asked.spread(&request.field, &request.value, since, until).await;
        question.running.over();
        Ok(Response::new(SpreadReply { rows: rows.map_err(status)? }))
    }

    async fn tail(
        &self,
        request: Request<TailRequest>,
    ) -> Result<Response<Self::TailStream>, Status> {
        let place = self.places.tail(caller(&request).role)?;
        let filter = Filter::new(&request.into_inner().terms)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(Response::new(tailing::follow(self.parts.nation.tail().view(), filter, place)))
    }

    async fn saved_searches(
        &self,
        request: Request<SavedSearchesRequest>,
    ) -> Result<Response<SavedSearchesReply>, Status> {
        let agency = request.into_inner().agency;
        let mut searches = self.parts.store.saved_searches().await.map_err(status)?;
        searches.retain(|search| {
            agency.is_empty() || search.agency.is_empty() || search.agency == agency
        });
        Ok(Response::new(SavedSearchesReply { searches }))
    }

    async fn change_saved_search(
        &self,
        request: Request<ChangeSavedSearchRequest>,
    ) -> Result<Response<ChangeSavedSearchReply>, Status> {
        let caller = caller(&request);
        let change = request
            .into_inner()
            .change
            .ok_or_else(|| Status::invalid_argument("the request names no change"))?;
        let _one = self.saving.lock().await;
        let all = self.parts.store.saved_searches().await.map_err(status)?;
        let is_agency = |code: &str| self.parts.registry.agency(code).is_some();
        let id = uuid::Uuid::new_v4().to_string();
        let reply = match saved::apply(&all, change, &caller, is_agency, id, Time::now().0) {
            Ok(written) => {
                self.parts.store.write_saved_search(&written).await.map_err(status)?;
                ChangeSavedSearchReply { refused: String::new(), search: Some(written.search) }
            }
            Err(refusal) => ChangeSavedSearchReply { refused: refusal.to_string(), search: None },
        };
        Ok(Response::new(reply))
    }

    async fn receipts(
        &self,
        request: Request<EvidenceRequest>,
    ) -> Result<Response<Self::ReceiptsStream>, Status> {
        let role = caller(&request).role;
        let span = evidence::span(request.into_inner(), Time::now())?;
        let question = Question::begin(&self.parts.store, &self.places, role).await?;
        Ok(Response::new(evidence::receipts(question, span)))
    }

    async fn verify(
        &self,
        request: Request<EvidenceRequest>,
    ) -> Result<Response<Self::VerifyStream>, Status> {
        let role = caller(&request).role;
        let span = evidence::span(request.into_inner(), Time::now())?;
        let question = Question::begin(&self.parts.store, &self.places, role).await?;
        Ok(Response::new(evidence::verify(question, span, self.parts.receipts.clone())))
    }
}

/// Counts a console while it watches.
struct Watching(Figures);

impl Watching {
    fn new(figures: Figures) -> Self {
        figures.watcher(1);
        Self(figures)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.watcher(-1);
    }
}

/// A reply with the rows of these agencies alone; none named: all.
fn limited(reply: &WatchReply, wanted: &[String]) -> WatchReply {
    let mut reply = reply.clone();
    if !wanted.is_empty() {
        reply.agencies.retain(|row| wanted.contains(&row.code));
        reply.systems.retain(|row| wanted.contains(&row.agency));
        reply.agents.retain(|row| wanted.contains(&row.agency));
        reply.checks.retain(|row| wanted.contains(&row.agency));
        reply.incidents.retain(|row| row.agencies.iter().any(|agency| wanted.contains(agency)));
    }
    reply
}

/// "P5D" as a duration; at once is none.
fn days(limit: &str) -> Option<Duration> {
    let days: u64 = limit.strip_prefix('P')?.strip_suffix('D')?.parse().ok()?;
    Some(Duration::from_secs(days * 86_400))
}
