//! gRPC for consoles: a snapshot, then deltas; searches; commands.

use std::{net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use futures::Stream;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use vonggac_daemon::tls::{
    Callers,
    listen::{self, Doors},
};
use vonggac_wire::{
    Signer, Time,
    limits::GRPC_MESSAGE_BYTES_MAX,
    proto::{
        ActReply, AuditReply, AuditRequest, BreakGlassReply, BreakGlassRequest,
        ChangeBreakGlassReply, ChangeBreakGlassRequest, ChangeQuietReply, ChangeQuietRequest,
        ChangeSavedSearchReply, ChangeSavedSearchRequest, Command, DeadLettersReply,
        DeadLettersRequest, EvidenceRequest, ExportRequest, IncidentDetail, IncidentRequest,
        IncidentsReply, IncidentsRequest, NotificationsReply, NotificationsRequest, QuietReply,
        QuietRequest, ReceiptsReply, SavedSearchesReply, SavedSearchesRequest, SearchReply,
        SearchRequest, SpreadReply, SpreadRequest, SqlReply, SqlRequest, TailReply, TailRequest,
        UsageReply, UsageRequest, VerifyReply, WatchReply, WatchRequest, WhyReply, WhyRequest,
        console_server::{Console, ConsoleServer},
    },
};

use crate::{
    allowance::Allowances,
    book_runner::BookHandle,
    figures::Figures,
    health::Picture,
    pipeline::questions::Question as Held,
    quiet::known::Known,
    registry::Registry,
    rule::reload::Ruling,
    store::{Store, StoreError, query::Reach},
    tail::filter::Filter,
    trust::{
        audit::log::AuditLog,
        break_glass,
        denial::Denials,
        door::Door,
        scope::{Call, Scope},
    },
};

mod acting;
mod asking;
mod auditing;
mod evidence;
mod glass;
mod opened;
mod quieting;
mod saving;
mod showing;
mod tailing;
mod visit;
mod watching;
mod why;

use asking::{Places, Question};
use visit::Asked;

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
    pub rules: Ruling,
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
    /// What is counted of refusals.
    pub denials: Denials,
    /// What wants two persons.
    pub break_glass: break_glass::Settings,
    /// What is kept from the book.
    pub quiet: Known,
    /// Where detection is asked what it holds.
    pub detection: mpsc::Sender<Held>,
    /// Partitions of each topic of events.
    pub partitions: i32,
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

struct Service {
    parts: Parts,
    places: Places,
    paces: visit::Paces,
    /// Changes of saved searches, one after the other.
    saving: tokio::sync::Mutex<()>,
    /// Steps of break-glasses, the same.
    breaking: tokio::sync::Mutex<()>,
    /// Steps of quiet periods, the same.
    quieting: tokio::sync::Mutex<()>,
}

impl Service {
    fn new(parts: Parts) -> Self {
        let places = Places::new(parts.allowances);
        let (saving, breaking, quieting) = Default::default();
        Self { parts, places, paces: visit::Paces::default(), saving, breaking, quieting }
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
    type AuditStream = Answers<AuditReply>;
    type ExportStream = Answers<SearchReply>;
    type IncidentsStream = Answers<IncidentsReply>;

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let visit = self.enter(&request, Call::Watch, |asked| {
            let agencies = asked.agencies.join(" ");
            Asked::about(&agencies, agencies.clone())
        })?;
        visit.goes_on(&self.parts.audit)?;
        let viewer = self.parts.viewer(visit.guest.clone(), request.into_inner().agencies);
        let answers = watching::follow(&self.parts.nation, viewer);
        Ok(visit.followed(answers, |_| (0, 0)))
    }

    async fn search_events(
        &self,
        request: Request<SearchRequest>,
    ) -> Result<Response<Self::SearchEventsStream>, Status> {
        let visit = self.enter(&request, Call::SearchEvents, |asked| visit::asked(&asked.terms))?;
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
        let mut visit =
            self.enter(&request, Call::GetIncident, |asked| format!("#{}", asked.id))?;
        let id = request.into_inner().id;
        visit.about(&acting::agencies(&self.parts, id));
        let detail = showing::incident(&self.parts, &visit.guest, id).await;
        visit.ended(detail, |detail| detail.evidence.len())
    }

    async fn incidents(
        &self,
        request: Request<IncidentsRequest>,
    ) -> Result<Response<Self::IncidentsStream>, Status> {
        let visit = self.enter(&request, Call::Incidents, opened::words)?;
        let scope = visit.guest.scope.clone();
        let question = match Question::begin(&self.parts.store, &self.places, &visit.guest).await {
            Ok(question) => question,
            Err(refused) => return visit.ended(Err(refused), |_| 0),
        };
        let answers = opened::answer(question, scope, request.into_inner());
        Ok(visit.followed(answers, |reply| (reply.incidents.len(), 0)))
    }

    async fn act(&self, request: Request<Command>) -> Result<Response<ActReply>, Status> {
        let mut visit = self.enter(&request, Call::Act, visit::command)?;
        visit.about(&acting::agencies(&self.parts, request.get_ref().incident));
        let done = acting::act(&self.parts, &visit.guest, request.into_inner()).await;
        visit.ended(done, |reply| usize::from(reply.refused.is_empty()))
    }

    async fn usage(&self, request: Request<UsageRequest>) -> Result<Response<UsageReply>, Status> {
        let visit = self.enter(&request, Call::Usage, |asked| Asked::of(&asked.agency))?;
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

    async fn notifications(
        &self,
        request: Request<NotificationsRequest>,
    ) -> Result<Response<NotificationsReply>, Status> {
        let words = |asked: &NotificationsRequest| {
            Asked::about(&asked.agency, format!("#{} {}", asked.incident, asked.state))
        };
        let visit = self.enter(&request, Call::Notifications, words)?;
        let reach = Reach::of(&visit.guest.scope, &[]);
        let told = showing::notifications(&self.parts.store, &reach, request.into_inner()).await;
        visit.ended(told, |reply| reply.notifications.len())
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
        let visit = self.enter(&request, Call::Tail, |asked| visit::asked(&asked.terms))?;
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
        let visit = self.enter(&request, Call::SavedSearches, |asked| Asked::of(&asked.agency))?;
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
    async fn audit(
        &self,
        request: Request<AuditRequest>,
    ) -> Result<Response<Self::AuditStream>, Status> {
        let visit = self.enter(&request, Call::Audit, auditing::words)?;
        let question = match Question::begin(&self.parts.store, &self.places, &visit.guest).await {
            Ok(question) => question,
            Err(refused) => return visit.ended(Err(refused), |_| 0),
        };
        let answers = auditing::answer(question, request.into_inner());
        Ok(visit.followed(answers, |reply| (reply.records.len(), 0)))
    }

    async fn export(
        &self,
        request: Request<ExportRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let mut visit = self.enter(&request, Call::Export, glass::exported)?;
        let (agency, search) = match self.may_export(&mut visit, request.into_inner()).await {
            Ok(found) => found,
            Err(refused) => return visit.ended(Err(refused), |_| 0),
        };
        let question = match Question::begin(&self.parts.store, &self.places, &visit.guest).await {
            Ok(question) => question,
            Err(refused) => return visit.ended(Err(refused), |_| 0),
        };
        let scope = Scope::Agencies(vec![agency]);
        let answers = asking::search(&self.parts, question, scope, search);
        Ok(visit.followed(answers, |reply| (reply.rows.len(), reply.bytes_read)))
    }

    async fn break_glass(
        &self,
        request: Request<BreakGlassRequest>,
    ) -> Result<Response<BreakGlassReply>, Status> {
        let visit = self.enter(&request, Call::BreakGlass, |asked| Asked::of(&asked.agency))?;
        let listed = self.glasses(&visit.guest, &request.into_inner().agency).await;
        visit.ended(listed, |reply| reply.records.len())
    }

    async fn change_break_glass(
        &self,
        request: Request<ChangeBreakGlassRequest>,
    ) -> Result<Response<ChangeBreakGlassReply>, Status> {
        let mut visit = self.enter(&request, Call::ChangeBreakGlass, glass::changed)?;
        let changed = self.change_glass(&mut visit, request.into_inner()).await;
        visit.ended(changed, |reply| usize::from(reply.refused.is_empty()))
    }

    async fn quiet(&self, request: Request<QuietRequest>) -> Result<Response<QuietReply>, Status> {
        let visit = self.enter(&request, Call::Quiet, |asked| Asked::of(&asked.agency))?;
        let periods = self.quiet_periods(&visit.guest, &request.into_inner()).await;
        visit.ended(periods, |reply| reply.periods.len())
    }

    async fn why(&self, request: Request<WhyRequest>) -> Result<Response<WhyReply>, Status> {
        let visit = self.enter(&request, Call::Why, why::words)?;
        let question = match Question::begin(&self.parts.store, &self.places, &visit.guest).await {
            Ok(question) => question,
            Err(refused) => return visit.ended(Err(refused), |_| 0),
        };
        let answer = why::answer(&self.parts, &question, &visit.guest, request.into_inner()).await;
        question.running.over();
        visit.ended(answer, |reply| reply.rows.len())
    }

    async fn change_quiet(
        &self,
        request: Request<ChangeQuietRequest>,
    ) -> Result<Response<ChangeQuietReply>, Status> {
        let mut visit = self.enter(&request, Call::ChangeQuiet, quieting::changed)?;
        let changed = self.change_quiet_period(&mut visit, request.into_inner()).await;
        visit.ended(changed, |reply| usize::from(reply.refused.is_empty()))
    }
}
