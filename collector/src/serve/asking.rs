//! Questions to the store: within their caller's limits, with word of how far they are, and stopped in the engine when nobody waits for them
//! any more.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::MissedTickBehavior,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use vonggac_wire::{
    Time,
    proto::{SearchReply, SearchRequest, SqlReply, SqlRequest},
};

use super::{Answers, Parts, status};
use crate::{
    allowance::{Allowance, Allowances, Role},
    store::{
        Store, StoreError,
        query::{Named, Reach, Read, Running},
        sql::Rights,
    },
    trust::{door::Guest, scope::Scope},
};

/// How often it is told how far a question is.
const TOLD_INTERVAL: Duration = Duration::from_millis(500);

/// Replies that may wait for a caller.
pub(super) const REPLIES_WAITING_MAX: usize = 4;

/// How long a question waits for a place: the one before it, of the same console, has just been given up.
const PLACE_WITHIN: Duration = Duration::from_secs(3);

/// Rows of one message of a long answer.
const ROWS_EACH: usize = 1_000;

/// Rows of a SQL answer.
const SQL_ROWS_MAX: u32 = 100_000;

/// Rows of a SQL answer whose caller does not say.
const SQL_ROWS: u32 = 1_000;

/// Seconds of a SQL query whose caller does not say.
const SQL_SECONDS: f64 = 10.0;

/// How many questions and tails of each role there may be at once.
pub(super) struct Places {
    allowances: Allowances,
    questions: [Arc<Semaphore>; 2],
    tails: [Arc<Semaphore>; 2],
}

impl Places {
    pub(super) fn new(allowances: Allowances) -> Self {
        let of = |count: fn(&Allowance) -> usize| {
            [&allowances.operator, &allowances.observer]
                .map(|allowance| Arc::new(Semaphore::new(count(allowance))))
        };
        Self {
            allowances,
            questions: of(|allowance| allowance.at_once_max),
            tails: of(|allowance| allowance.tails_max),
        }
    }

    pub(super) const fn allowance(&self, role: Role) -> &Allowance {
        self.allowances.of(role)
    }

    /// A place for a question.
    pub(super) async fn question(&self, role: Role) -> Result<OwnedSemaphorePermit, Status> {
        let place = Arc::clone(&self.questions[at(role)]).acquire_owned();
        match tokio::time::timeout(PLACE_WITHIN, place).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(Status::resource_exhausted(format!(
                "{} questions of {}s are being answered; try again",
                self.allowance(role).at_once_max,
                role.name()
            ))),
        }
    }

    /// A place for a tail.
    pub(super) fn tail(&self, role: Role) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.tails[at(role)]).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!(
                "{} {}s follow live already; end one of them first",
                self.allowance(role).tails_max,
                role.name()
            ))
        })
    }
}

const fn at(role: Role) -> usize {
    match role {
        Role::Operator => 0,
        Role::Observer => 1,
    }
}

/// A question's way to the engine.
pub(super) struct Question {
    pub(super) allowance: Allowance,
    pub(super) place: OwnedSemaphorePermit,
    pub(super) running: Running,
}

impl Question {
    /// Once it has a place.
    pub(super) async fn begin(
        store: &Store,
        places: &Places,
        guest: &Guest,
    ) -> Result<Self, Status> {
        let role = guest.role.allowance();
        let allowance = *places.allowance(role);
        let place = places.question(role).await?;
        Ok(Self { allowance, place, running: Running::new(store.clone().within(&allowance)) })
    }
}

/// Runs a question beside its caller's stream. When the caller leaves, it is dropped, and the engine is told to stop.
fn told<R: Send + 'static, T: Send + 'static>(
    question: Question,
    ask: impl Future<Output = Result<R, Status>> + Send + 'static,
    progress: impl Fn(Read, f64) -> T + Send + Sync + 'static,
    answer: impl FnOnce(R) -> Vec<T> + Send + 'static,
) -> Answers<T> {
    let (tell, replies) = mpsc::channel(REPLIES_WAITING_MAX);
    tokio::spawn(async move {
        let Question { place, running, .. } = question;
        let outcome = tokio::select! {
            () = tell.closed() => return,
            outcome = with_word(ask, &running, &tell, progress) => outcome,
        };
        running.over();
        drop(place);
        match outcome {
            Ok(found) => {
                for reply in answer(found) {
                    if tell.send(Ok(reply)).await.is_err() {
                        return;
                    }
                }
            }
            Err(refused) => {
                let _left = tell.send(Err(refused)).await;
            }
        }
    });
    Box::pin(ReceiverStream::new(replies))
}

/// The answer; until it comes, how far it is.
async fn with_word<R, T>(
    ask: impl Future<Output = Result<R, Status>>,
    running: &Running,
    tell: &mpsc::Sender<Result<T, Status>>,
    progress: impl Fn(Read, f64) -> T,
) -> Result<R, Status> {
    let begun = Instant::now();
    let mut ticks =
        tokio::time::interval_at(tokio::time::Instant::now() + TOLD_INTERVAL, TOLD_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let word = async {
        loop {
            ticks.tick().await;
            let read = match running.read().await {
                Ok(read) => read.unwrap_or_default(),
                Err(error) => {
                    tracing::debug!(%error, "nobody knows how far a question is");
                    Read::default()
                }
            };
            // A caller that takes nothing is not waited for here.
            let _full = tell.try_send(Ok(progress(read, begun.elapsed().as_secs_f64())));
        }
    };
    tokio::select! {
        biased;
        outcome = ask => outcome,
        () = word => Err(Status::internal("the question ended without an answer")),
    }
}

/// An event search.
pub(super) fn search(
    parts: &Parts,
    question: Question,
    scope: Scope,
    mut request: SearchRequest,
) -> Answers<SearchReply> {
    let most = question.allowance.time_max.as_secs_f64();
    request.seconds_max =
        if request.seconds_max > 0.0 { request.seconds_max.min(most) } else { most };
    let nation = parts.nation.clone();
    let store = question.running.store();
    let ask = async move {
        let picture = nation.now();
        let own: Vec<_> =
            picture.incidents.iter().filter(|known| scope.has_incident(known)).cloned().collect();
        let named = Named::of(&request.terms, &own);
        let reach = Reach::of(&scope, &own);
        let asked = store.search_named(&request, &named, &reach, Time::now()).await;
        let mut reply = asked.map_err(status)?;
        let agencies = || picture.agencies.iter().filter(|agency| scope.has_agency(&agency.code));
        let heard = agencies().filter(|agency| agency.hosts_heard > 0).count();
        let all = agencies().filter(|agency| agency.hosts_enrolled > 0).count();
        reply.agencies_answering = u32::try_from(heard).unwrap_or(0);
        reply.agencies_all = u32::try_from(all).unwrap_or(0);
        Ok(reply)
    };
    let progress = |read: Read, elapsed_seconds| SearchReply {
        rows_read: read.rows,
        bytes_read: read.bytes,
        rows_to_read: read.rows_in_all,
        elapsed_seconds,
        ..SearchReply::default()
    };
    told(question, ask, progress, split)
}

/// A long answer in messages of a bearable size; the last one is done and carries the figures.
fn split(mut reply: SearchReply) -> Vec<SearchReply> {
    let rows = std::mem::take(&mut reply.rows);
    let mut replies: Vec<SearchReply> = rows
        .chunks(ROWS_EACH)
        .map(|rows| SearchReply { rows: rows.to_vec(), ..SearchReply::default() })
        .collect();
    replies.push(reply);
    replies
}

/// A query of the caller's own.
pub(super) fn sql(question: Question, guest: &Guest, request: SqlRequest) -> Answers<SqlReply> {
    let rows_max =
        if request.rows_max == 0 { SQL_ROWS } else { request.rows_max.min(SQL_ROWS_MAX) };
    let seconds = if request.seconds_max > 0.0 { request.seconds_max } else { SQL_SECONDS };
    let seconds = seconds.clamp(1.0, question.allowance.time_max.as_secs_f64().max(1.0));
    let store =
        question.running.store().with_setting("max_execution_time", &format!("{seconds:.0}"));
    let begun = Instant::now();
    let rights = Rights::of(guest.role, &guest.scope);
    let ask = async move {
        store.sql_within(&request.query, rows_max, &rights).await.map_err(|error| match error {
            // A part of a sum would be a wrong sum: what goes beyond a limit has no answer.
            StoreError::Engine(error) => Status::invalid_argument(error.to_string()),
            other => status(other),
        })
    };
    let progress = |read: Read, elapsed_seconds| SqlReply {
        rows_read: read.rows,
        bytes_read: read.bytes,
        rows_to_read: read.rows_in_all,
        elapsed_seconds,
        ..SqlReply::default()
    };
    let answer = move |found: crate::store::query::SqlRows| {
        let cut = found.rows.len() >= rows_max as usize;
        let mut replies: Vec<SqlReply> = found
            .rows
            .chunks(ROWS_EACH)
            .map(|rows| SqlReply {
                columns: found.columns.clone(),
                rows_json: rows.to_vec(),
                ..SqlReply::default()
            })
            .collect();
        replies.push(SqlReply {
            columns: found.columns,
            done: true,
            cut,
            rows_read: found.read.rows,
            bytes_read: found.read.bytes,
            elapsed_seconds: begun.elapsed().as_secs_f64(),
            ..SqlReply::default()
        });
        replies
    };
    told(question, ask, progress, answer)
}
