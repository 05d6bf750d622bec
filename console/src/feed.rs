//! Where the picture comes from: one task that watches, reconnects, asks and acts.

use std::time::Duration;

use tokio::sync::mpsc;
use tonic::transport::Channel;
use vonggac_wire::proto::{
    ActReply, Command, IncidentDetail, IncidentRequest, SearchReply, SearchRequest, SpreadReply,
    SpreadRequest, SqlReply, SqlRequest, UsageReply, UsageRequest, WatchReply, WatchRequest,
    console_client::ConsoleClient,
};

use crate::client;

/// Messages that may wait for the screen.
pub const MESSAGES_MAX: usize = 256;

/// First and longest wait before the next try.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Rows of a SQL answer on the screen.
const SQL_ROWS_MAX: u32 = 1_000;

/// Seconds that a SQL query of the screen may take.
const SQL_SECONDS_MAX: f64 = 10.0;

/// What the feed tells.
#[derive(Debug)]
pub enum Told {
    /// A snapshot or a delta.
    Picture(Box<WatchReply>),
    /// The link is lost; the next try comes after so many seconds.
    Lost {
        /// Why.
        error: String,
        /// Seconds.
        wait: u64,
        /// Which try it was.
        attempt: u32,
    },
    /// One incident.
    Detail(Box<IncidentDetail>),
    /// Events.
    Search(Box<SearchReply>),
    /// A value against agencies.
    Spread(SpreadReply),
    /// Rows of a SQL query.
    Sql(Box<SqlReply>),
    /// Figures of each agency.
    Usage(UsageReply),
    /// A command's answer, with the incident's number.
    Acted(u64, Box<ActReply>),
    /// Something asked for was refused.
    Refused(String),
}

/// What the feed is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Try the link now.
    Retry,
    /// One incident.
    Detail(u64),
    /// Events.
    Search(Box<SearchRequest>),
    /// Nobody waits for the search any more.
    Cancel,
    /// A value against agencies.
    Spread(SpreadRequest),
    /// Rows of a SQL query.
    Sql(String),
    /// Figures of each agency.
    Usage(UsageRequest),
    /// A command.
    Act(Box<Command>),
}

/// Runs until nobody listens any more.
pub async fn run(address: String, mut asks: mpsc::Receiver<Ask>, tell: mpsc::Sender<Told>) {
    let mut attempt = 0;
    while !tell.is_closed() {
        let error = match client::connect(&address).await {
            Ok(client) => watch(client, &mut asks, &tell, &mut attempt).await,
            Err(error) => deepest(&error),
        };
        attempt += 1;
        let wait = BACK_OFF.0.saturating_mul(2_u32.saturating_pow(attempt - 1)).min(BACK_OFF.1);
        let lost = Told::Lost { error, wait: wait.as_secs(), attempt };
        if tell.send(lost).await.is_err() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            asked = asks.recv() => match asked {
                // While the link is lost nothing is queued.
                Some(_) => {}
                None => return,
            }
        }
    }
}

async fn watch(
    mut client: ConsoleClient<Channel>,
    asks: &mut mpsc::Receiver<Ask>,
    tell: &mpsc::Sender<Told>,
    attempt: &mut u32,
) -> String {
    let mut stream = match client.watch(WatchRequest::default()).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => return status.message().to_owned(),
    };
    let mut searching: Option<tokio::task::AbortHandle> = None;
    loop {
        tokio::select! {
            reply = stream.message() => match reply {
                Ok(Some(reply)) => {
                    *attempt = 0;
                    if tell.send(Told::Picture(Box::new(reply))).await.is_err() {
                        return String::new();
                    }
                }
                Ok(None) => return "the collector ended the watch".into(),
                Err(status) => return status.message().to_owned(),
            },
            asked = asks.recv() => match asked {
                Some(ask) => {
                    let search = matches!(ask, Ask::Search(_) | Ask::Sql(_) | Ask::Cancel);
                    // A newer search takes the place of the one before; its call ends at the collector too.
                    if let Some(before) = searching.take_if(|_| search) {
                        before.abort();
                    }
                    // Beside the watch: a slow search never holds the picture back.
                    let task = tokio::spawn(answer(client.clone(), ask, tell.clone()));
                    if search {
                        searching = Some(task.abort_handle());
                    }
                }
                None => return String::new(),
            }
        }
    }
}

async fn answer(mut client: ConsoleClient<Channel>, ask: Ask, tell: mpsc::Sender<Told>) {
    let told = match ask {
        Ask::Retry | Ask::Cancel => return,
        Ask::Sql(query) => sql(&mut client, query).await.map(|reply| Told::Sql(Box::new(reply))),
        Ask::Usage(request) => {
            client.usage(request).await.map(|reply| Told::Usage(reply.into_inner()))
        }
        Ask::Detail(id) => client
            .get_incident(IncidentRequest { id })
            .await
            .map(|reply| Told::Detail(Box::new(reply.into_inner()))),
        Ask::Search(request) => {
            search(&mut client, *request).await.map(|reply| Told::Search(Box::new(reply)))
        }
        Ask::Spread(request) => {
            client.spread(request).await.map(|reply| Told::Spread(reply.into_inner()))
        }
        Ask::Act(command) => {
            let id = command.incident;
            client.act(*command).await.map(|reply| Told::Acted(id, Box::new(reply.into_inner())))
        }
    };
    let told = told.unwrap_or_else(|status| Told::Refused(status.message().to_owned()));
    let _left = tell.send(told).await;
}

/// All messages of a search as one.
async fn search(
    client: &mut ConsoleClient<Channel>,
    request: SearchRequest,
) -> Result<SearchReply, tonic::Status> {
    let mut stream = client.search_events(request).await?.into_inner();
    let mut rows = Vec::new();
    while let Some(mut reply) = stream.message().await? {
        rows.append(&mut reply.rows);
        if reply.done {
            return Ok(SearchReply { rows, ..reply });
        }
    }
    Ok(SearchReply { rows, ..SearchReply::default() })
}

/// All messages of a SQL answer as one.
async fn sql(
    client: &mut ConsoleClient<Channel>,
    query: String,
) -> Result<SqlReply, tonic::Status> {
    let request = SqlRequest { query, rows_max: SQL_ROWS_MAX, seconds_max: SQL_SECONDS_MAX };
    let mut stream = client.sql(request).await?.into_inner();
    let mut rows_json = Vec::new();
    while let Some(mut reply) = stream.message().await? {
        rows_json.append(&mut reply.rows_json);
        if reply.done {
            return Ok(SqlReply { rows_json, ..reply });
        }
    }
    Ok(SqlReply { rows_json, ..SqlReply::default() })
}

fn deepest(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
