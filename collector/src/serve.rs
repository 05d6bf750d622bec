//! gRPC for consoles: a snapshot, then deltas; searches; commands.

use std::{net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use futures::Stream;
use tokio::{net::TcpListener, sync::broadcast};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, service::interceptor::InterceptedService};
use vonggac_daemon::{
    peer::Peer,
    tls::{
        Callers, Refused,
        listen::{self, Doors},
    },
};
use vonggac_wire::{
    Identity, Signer, Time,
    limits::GRPC_MESSAGE_BYTES_MAX,
    proto::{
        ActReply, ChangeSavedSearchReply, ChangeSavedSearchRequest, Command, DeadLettersReply,
        DeadLettersRequest, EvidenceRequest, IncidentDetail, IncidentRequest, ReceiptsReply,
        SavedSearchesReply, SavedSearchesRequest, SearchReply, SearchRequest, SpreadReply,
        SpreadRequest, SqlReply, SqlRequest, TailReply, TailRequest, UsageReply, UsageRequest,
        VerifyReply, WatchReply, WatchRequest,
        console_server::{Console, ConsoleServer},
    },
};

use crate::{
    allowance::Allowances,
    book_runner::BookHandle,
    figures::Figures,
    health::Picture,
    registry::Registry,
    rule::RuleSet,
    saved,
    store::{Store, StoreError, query::Reach},
    tail::filter::Filter,
    trust::{
        audit::log::AuditLog,
        door::{Door, Guest},
        scope::{Call, Scope, view},
    },
};

mod acting;
mod asking;
mod evidence;
mod showing;
mod tailing;
mod visit;

use asking::{Places, Question};

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
    /// Who may come in.
    pub door: Door,
    /// Where it is written down what they do.
    pub audit: AuditLog,
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
    let counted = doors.figures.clone();
    let may_look = move |request| {
        may_look(request).inspect_err(|_| counted.refused("grpc", Refused::WrongIdentity))
    };
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
    paces: visit::Paces,
    /// Changes of saved searches, one after the other.
    saving: tokio::sync::Mutex<()>,
}

impl Service {
    fn new(parts: Parts) -> Self {
        let places = Places::new(parts.allowances);
        Self { parts, places, paces: visit::Paces::default(), saving: tokio::sync::Mutex::new(()) }
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
        let visit = self.enter(&request, Call::Watch, |asked| asked.agencies.join(" "))?;
        visit.goes_on(&self.parts.audit)?;
        let (guest, wanted) = (visit.guest.clone(), request.into_inner().agencies);
        let (first, deltas) = self.parts.nation.follow();
        let watching = Watching::new(self.parts.figures.clone());
        let viewer = Viewer { guest, wanted, parts: self.parts.watched(), _counted: watching };
        let begun = viewer.seen(&first);
        let following =
            futures::stream::unfold((deltas, Some(viewer)), |(mut deltas, viewer)| async move {
                // A refusal is the last that is told.
                let viewer = viewer?;
                match deltas.recv().await {
                    Ok(delta) => match viewer.parts.door.still(&viewer.guest, Call::Watch) {
                        Ok(()) => Some((Ok(viewer.seen(&delta)), (deltas, Some(viewer)))),
                        Err(changed) => Some((Err(changed), (deltas, None))),
                    },
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        let slow = Status::resource_exhausted(format!(
                            "{missed} deltas were missed; watch anew"
                        ));
                        Some((Err(slow), (deltas, Some(viewer))))
                    }
                    Err(broadcast::error::RecvError::Closed) => None,
                }
            });
        let first = futures::stream::once(async move { Ok(begun) });
        let answers: Self::WatchStream = Box::pin(futures::StreamExt::chain(first, following));
        Ok(visit.followed(answers, |_| (0, 0)))
    }

    async fn search_events(
        &self,
        request: Request<SearchRequest>,
    ) -> Result<Response<Self::SearchEventsStream>, Status> {
        let visit = self.enter(&request, Call::SearchEvents, |asked| visit::terms(&asked.terms))?;
        let scope = visit.guest.scope.clone();
        let question = match Question::begin(&self.parts.store, &self.places, &visit.guest).await {
            Ok(question) => question,
            Err(refused) => return visit.ended(Err(refused), |_| 0),
        };
        let answers = asking::search(&self.parts, question, scope, request.into_inner());
        Ok(visit.followed(answers, |reply| (reply.rows.len(), reply.bytes_read)))
    }

    async fn get_incident(
        &self,
        request: Request<IncidentRequest>,
    ) -> Result<Response<IncidentDetail>, Status> {
        let visit = self.enter(&request, Call::GetIncident, |asked| format!("#{}", asked.id))?;
        let id = request.into_inner().id;
        let detail = showing::incident(&self.parts, &visit.guest, id).await;
        visit.ended(detail, |detail| detail.evidence.len())
    }

    async fn act(&self, request: Request<Command>) -> Result<Response<ActReply>, Status> {
        let visit = self.enter(&request, Call::Act, visit::command)?;
        let done = acting::act(&self.parts, &visit.guest, request.into_inner()).await;
        visit.ended(done, |reply| usize::from(reply.refused.is_empty()))
    }

    async fn usage(&self, request: Request<UsageRequest>) -> Result<Response<UsageReply>, Status> {
        let visit = self.enter(&request, Call::Usage, |asked| asked.agency.clone())?;
        let figures = showing::usage(&self.parts, &visit.guest, request.into_inner()).await;
        visit.ended(figures, |reply| reply.indicators.len())
    }

    async fn sql(&self, request: Request<SqlRequest>) -> Result<Response<Self::SqlStream>, Status> {
        let visit = self.enter(&request, Call::Sql, |asked| asked.query.clone())?;
        let question = match Question::begin(&self.parts.store, &self.places, &visit.guest).await {
            Ok(question) => question,
            Err(refused) => return visit.ended(Err(refused), |_| 0),
        };
        let answers = asking::sql(question, &visit.guest, request.into_inner());
        Ok(visit.followed(answers, |reply| (reply.rows_json.len(), reply.bytes_read)))
    }

    async fn dead_letters(
        &self,
        request: Request<DeadLettersRequest>,
    ) -> Result<Response<DeadLettersReply>, Status> {
        let visit = self.enter(&request, Call::DeadLetters, |asked| asked.limit.to_string())?;
        let (limit, reach) = (request.into_inner().limit, Reach::of(&visit.guest.scope, &[]));
        let letters = self.parts.store.dead_letters(limit, &reach).await.map_err(status);
        let reply = letters.map(|letters| DeadLettersReply { letters });
        visit.ended(reply, |reply| reply.letters.len())
    }

    async fn spread(
        &self,
        request: Request<SpreadRequest>,
    ) -> Result<Response<SpreadReply>, Status> {
        let words = |asked: &SpreadRequest| format!("{}={}", asked.field, asked.value);
        let visit = self.enter(&request, Call::Spread, words)?;
        let request = request.into_inner();
        let now = Time::now();
        let since = if request.since_unix_nano == 0 {
            now.minus(Duration::from_secs(86_400))
        } else {
            Time(request.since_unix_nano)
        };
        let until = if request.until_unix_nano == 0 { now } else { Time(request.until_unix_nano) };
        // When the caller leaves, this is dropped, and the engine is told to stop.
        let question = match Question::begin(&self.parts.store, &self.places, &visit.guest).await {
            Ok(question) => question,
            Err(refused) => return visit.ended(Err(refused), |_| 0),
        };
        let asked = question.running.store();
        let reach = Reach::of(&visit.guest.scope, &[]);
        let rows = asked.spread(&request.field, &request.value, (since, until), &reach).await;
        question.running.over();
        let reply = rows.map(|rows| SpreadReply { rows }).map_err(status);
        visit.ended(reply, |reply| reply.rows.len())
    }

    async fn tail(
        &self,
        request: Request<TailRequest>,
    ) -> Result<Response<Self::TailStream>, Status> {
        let visit = self.enter(&request, Call::Tail, |asked| visit::terms(&asked.terms))?;
        let filter = Filter::new(&request.into_inner().terms)
            .map_err(|error| Status::invalid_argument(error.to_string()));
        let place = self.places.tail(visit.guest.role.allowance());
        let (filter, place) = match (filter, place) {
            (Ok(filter), Ok(place)) => (filter, place),
            (Err(refused), _) | (_, Err(refused)) => return visit.ended(Err(refused), |_| 0),
        };
        visit.goes_on(&self.parts.audit)?;
        let guest = visit.guest.clone();
        let viewer = tailing::Viewer { guest, door: self.parts.door.clone(), filter };
        let answers = tailing::follow(self.parts.nation.tail().view(), viewer, place);
        Ok(visit.followed(answers, |reply| (reply.rows.len(), 0)))
    }

    async fn receipts(
        &self,
        request: Request<EvidenceRequest>,
    ) -> Result<Response<Self::ReceiptsStream>, Status> {
        let visit = self.enter(&request, Call::Evidence, evidence::words)?;
        let begun = evidence::begin(&self.parts, &self.places, &visit.guest, request.into_inner());
        match begun.await {
            Ok((question, span)) => {
                let answers = evidence::receipts(question, span);
                Ok(visit.followed(answers, |reply| (reply.lanes.len(), 0)))
            }
            Err(refused) => visit.ended(Err(refused), |_| 0),
        }
    }

    async fn verify(
        &self,
        request: Request<EvidenceRequest>,
    ) -> Result<Response<Self::VerifyStream>, Status> {
        let visit = self.enter(&request, Call::Evidence, evidence::words)?;
        let begun = evidence::begin(&self.parts, &self.places, &visit.guest, request.into_inner());
        match begun.await {
            Ok((question, span)) => {
                let answers = evidence::verify(question, span, self.parts.receipts.clone());
                Ok(visit.followed(answers, |reply| (reply.faults.len(), 0)))
            }
            Err(refused) => visit.ended(Err(refused), |_| 0),
        }
    }

    async fn saved_searches(
        &self,
        request: Request<SavedSearchesRequest>,
    ) -> Result<Response<SavedSearchesReply>, Status> {
        let visit = self.enter(&request, Call::SavedSearches, |asked| asked.agency.clone())?;
        let listed = self.listed(&visit.guest, &request.into_inner().agency).await;
        visit.ended(listed, |reply| reply.searches.len())
    }

    async fn change_saved_search(
        &self,
        request: Request<ChangeSavedSearchRequest>,
    ) -> Result<Response<ChangeSavedSearchReply>, Status> {
        let words = |asked: &ChangeSavedSearchRequest| format!("{:?}", asked.change);
        let visit = self.enter(&request, Call::ChangeSavedSearch, words)?;
        let changed = self.changed(&visit.guest, request.into_inner()).await;
        visit.ended(changed, |reply| usize::from(reply.refused.is_empty()))
    }
}

impl Service {
    async fn listed(&self, guest: &Guest, agency: &str) -> Result<SavedSearchesReply, Status> {
        let mut searches = self.parts.store.saved_searches().await.map_err(status)?;
        searches.retain(|search| is_shown(guest, &search.owner, &search.agency));
        searches.retain(|search| {
            agency.is_empty() || search.agency.is_empty() || search.agency == agency
        });
        Ok(SavedSearchesReply { searches })
    }

    async fn changed(
        &self,
        guest: &Guest,
        request: ChangeSavedSearchRequest,
    ) -> Result<ChangeSavedSearchReply, Status> {
        let caller = saved::Caller { name: guest.name.clone(), role: guest.role.allowance() };
        let change = request
            .change
            .ok_or_else(|| Status::invalid_argument("the request names no change"))?;
        let _one = self.saving.lock().await;
        let mut all = self.parts.store.saved_searches().await.map_err(status)?;
        // What somebody does not see cannot be meant, nor told of by a refusal.
        all.retain(|search| is_shown(guest, &search.owner, &search.agency));
        let is_agency =
            |code: &str| self.parts.registry.agency(code).is_some() && guest.scope.has_agency(code);
        let id = uuid::Uuid::new_v4().to_string();
        Ok(match saved::apply(&all, change, &caller, is_agency, id, Time::now().0) {
            Ok(written) => {
                self.parts.store.write_saved_search(&written).await.map_err(status)?;
                ChangeSavedSearchReply { refused: String::new(), search: Some(written.search) }
            }
            Err(refusal) => ChangeSavedSearchReply { refused: refusal.to_string(), search: None },
        })
    }
}

/// Whether a saved search is in somebody's list: whoever reaches the nation has all, others their own and those of their agencies.
fn is_shown(guest: &Guest, owner: &str, agency: &str) -> bool {
    guest.scope.is_nation() || owner == guest.name || guest.scope.has_agency(agency)
}

/// What a console that watches is told by.
struct Watched {
    door: Door,
    nation: Picture,
}

impl Parts {
    fn watched(&self) -> Watched {
        Watched { door: self.door.clone(), nation: self.nation.clone() }
    }
}

/// Who watches what.
struct Viewer {
    guest: Guest,
    wanted: Vec<String>,
    parts: Watched,
    _counted: Watching,
}

impl Viewer {
    fn seen(&self, reply: &WatchReply) -> WatchReply {
        let scope = &self.guest.scope;
        if matches!(scope, Scope::Nation) {
            return limited(reply.clone(), &self.wanted);
        }
        limited(view::seen(scope, reply, &self.parts.nation.now()), &self.wanted)
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
fn limited(mut reply: WatchReply, wanted: &[String]) -> WatchReply {
    if !wanted.is_empty() {
        reply.agencies.retain(|row| wanted.contains(&row.code));
        reply.systems.retain(|row| wanted.contains(&row.agency));
        reply.agents.retain(|row| wanted.contains(&row.agency));
        reply.checks.retain(|row| wanted.contains(&row.agency));
        reply.incidents.retain(|row| row.agencies.iter().any(|agency| wanted.contains(agency)));
    }
    reply
}
