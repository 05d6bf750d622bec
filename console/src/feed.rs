//! Where the picture comes from: one task that watches, reconnects, asks and acts.

use std::{io::ErrorKind, time::Duration};

use tokio::sync::mpsc;
use vonggac_wire::proto::{
    ActReply, ChangeSavedSearchReply, ChangeSavedSearchRequest, Command, DeadLettersReply,
    DeadLettersRequest, IncidentDetail, IncidentRequest, QuietPeriod, QuietRequest, SavedSearch,
    SavedSearchesRequest, SearchReply, SearchRequest, SpreadReply, SpreadRequest, SqlReply,
    SqlRequest, TailReply, TailRequest, UsageReply, UsageRequest, WatchReply, WatchRequest,
};

use crate::client::{self, Caller, Client, ClientError, Way};

/// Messages that may wait for the screen.
pub const MESSAGES_MAX: usize = 256;

/// First and longest wait before the next try.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Rows of a SQL answer on the screen.
const SQL_ROWS_MAX: u32 = 1_000;

/// Dead letters that are listed.
const DEAD_MAX: u32 = 200;

/// The collector sends a sign of life each second. One that is silent for so long holds a link that is good for nothing.
const SILENT: Duration = Duration::from_secs(20);

/// Seconds that a SQL query of the screen may take.
const SQL_SECONDS_MAX: f64 = 10.0;

/// What the feed tells.
#[derive(Debug)]
pub enum Told {
    /// A snapshot or a delta.
    Picture(Box<WatchReply>),
    /// The link is lost; the next try comes after so many seconds.
    Lost {
        /// Why: a message's name, or what the system says.
        error: String,
        /// Seconds.
        wait: u64,
        /// Which try it was.
        attempt: u32,
    },
    /// One incident.
    Detail(Box<IncidentDetail>),
    /// Events, with the question's number.
    Search(u64, Box<SearchReply>),
    /// How far a search or a SQL query is, with the question's number.
    Progress(u64, Progress),
    /// Events as they are stored, with the question's number.
    Tail(u64, Box<TailReply>),
    /// The tail of this number ended, and why.
    TailEnded(u64, String),
    /// Searches that are saved, with the question's number.
    Saved(u64, Vec<SavedSearch>),
    /// What is kept quiet, with the question's number.
    Quiet(u64, Vec<QuietPeriod>),
    /// What became of a change of saved searches.
    SavedChanged(Box<ChangeSavedSearchRequest>, Box<ChangeSavedSearchReply>),
    /// A value against agencies, with the question's number.
    Spread(u64, SpreadReply),
    /// Rows of a SQL query, with the question's number.
    Sql(u64, Box<SqlReply>),
    /// Figures over a time, with the question's number.
    Usage(u64, UsageReply),
    /// What was set aside, with the question's number.
    Dead(u64, DeadLettersReply),
    /// A command's answer, with the incident's number.
    Acted(u64, Box<ActReply>),
    /// What was asked under a number was refused; 0: a command, or an incident.
    Refused(u64, String),
}

/// How far a question is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Rows read so far.
    pub rows: u64,
    /// Bytes read so far.
    pub bytes: u64,
    /// Rows that are expected to be read; 0: nobody knows.
    pub rows_in_all: u64,
}

/// What the feed is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Try the link now.
    Retry,
    /// One incident.
    Detail(u64),
    /// Events. The number comes back with the answer, so that an older one is known.
    Search(u64, Box<SearchRequest>),
    /// Nobody waits for the search any more, or looks at the tail.
    Cancel,
    /// Events as they are stored.
    Tail(u64, TailRequest),
    /// Searches that are saved.
    Saved(u64),
    /// What is kept quiet.
    Quiet(u64),
    /// A change of saved searches.
    ChangeSaved(Box<ChangeSavedSearchRequest>),
    /// A value against agencies.
    Spread(u64, SpreadRequest),
    /// Rows of a SQL query.
    Sql(u64, String),
    /// Figures over a time.
    Usage(u64, UsageRequest),
    /// What was set aside.
    Dead(u64),
    /// A command.
    Act(Box<Command>),
}

/// Runs until nobody listens any more.
pub async fn run(
    way: Way,
    caller: Caller,
    mut asks: mpsc::Receiver<Ask>,
    tell: mpsc::Sender<Told>,
) {
    let mut attempt = 0;
    while !tell.is_closed() {
        let error = match client::connect(&way, caller.clone()).await {
            Ok(client) => watch(client, &mut asks, &tell, &mut attempt).await,
            Err(ClientError::Trouble { trouble, .. }) => format!("reason-{}", trouble.name()),
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
    mut client: Client,
    asks: &mut mpsc::Receiver<Ask>,
    tell: &mpsc::Sender<Told>,
    attempt: &mut u32,
) -> String {
    let mut stream = match client.watch(WatchRequest::default()).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => return client::failure(&status),
    };
    let mut searching: Option<tokio::task::AbortHandle> = None;
    loop {
        tokio::select! {
            reply = tokio::time::timeout(SILENT, stream.message()) => match reply {
                Err(_) => return "reason-silent".into(),
                Ok(Ok(Some(reply))) => {
                    *attempt = 0;
                    if tell.send(Told::Picture(Box::new(reply))).await.is_err() {
                        return String::new();
                    }
                }
                Ok(Ok(None)) => return "reason-ended".into(),
                Ok(Err(status)) => return client::failure(&status),
            },
            asked = asks.recv() => match asked {
                Some(Ask::Retry) => return "reason-asked".into(),
                Some(ask) => {
                    let search = matches!(
                        ask,
                        Ask::Search(..) | Ask::Sql(..) | Ask::Tail(..) | Ask::Cancel
                    );
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

async fn answer(mut client: Client, ask: Ask, tell: mpsc::Sender<Told>) {
    let number = match &ask {
        Ask::Search(number, _)
        | Ask::Spread(number, _)
        | Ask::Sql(number, _)
        | Ask::Usage(number, _)
        | Ask::Tail(number, _)
        | Ask::Saved(number)
        | Ask::Quiet(number)
        | Ask::Dead(number) => *number,
        Ask::Retry | Ask::Cancel | Ask::Detail(_) | Ask::Act(_) | Ask::ChangeSaved(_) => 0,
    };
    let told = match ask {
        Ask::Retry | Ask::Cancel => return,
        Ask::Sql(_, query) => sql(&mut client, number, query, &tell)
            .await
            .map(|reply| Told::Sql(number, Box::new(reply))),
        Ask::Tail(_, request) => Ok(tail(&mut client, number, request, &tell).await),
        Ask::Saved(_) => client
            .saved_searches(SavedSearchesRequest::default())
            .await
            .map(|reply| Told::Saved(number, reply.into_inner().searches)),
        Ask::Quiet(_) => client
            .quiet(QuietRequest::default())
            .await
            .map(|reply| Told::Quiet(number, reply.into_inner().periods)),
        Ask::ChangeSaved(request) => client
            .change_saved_search((*request).clone())
            .await
            .map(|reply| Told::SavedChanged(request, Box::new(reply.into_inner()))),
        Ask::Usage(_, request) => {
            client.usage(request).await.map(|reply| Told::Usage(number, reply.into_inner()))
        }
        Ask::Dead(_) => client
            .dead_letters(DeadLettersRequest { limit: DEAD_MAX })
            .await
            .map(|reply| Told::Dead(number, reply.into_inner())),
        Ask::Detail(id) => client
            .get_incident(IncidentRequest { id })
            .await
            .map(|reply| Told::Detail(Box::new(reply.into_inner()))),
        Ask::Search(_, request) => search(&mut client, number, *request, &tell)
            .await
            .map(|reply| Told::Search(number, Box::new(reply))),
        Ask::Spread(_, request) => {
            client.spread(request).await.map(|reply| Told::Spread(number, reply.into_inner()))
        }
        Ask::Act(command) => {
            let id = command.incident;
            client.act(*command).await.map(|reply| Told::Acted(id, Box::new(reply.into_inner())))
        }
    };
    let told = told.unwrap_or_else(|status| Told::Refused(number, client::failure(&status)));
    let _left = tell.send(told).await;
}

/// All messages of a search as one; on the way it is told how far it is.
async fn search(
    client: &mut Client,
    number: u64,
    request: SearchRequest,
    tell: &mpsc::Sender<Told>,
) -> Result<SearchReply, tonic::Status> {
    let mut stream = client.search_events(request).await?.into_inner();
    let mut rows = Vec::new();
    while let Some(mut reply) = stream.message().await? {
        if !reply.done && reply.rows.is_empty() {
            let (read, bytes, rows_in_all) =
                (reply.rows_read, reply.bytes_read, reply.rows_to_read);
            told_progress(tell, number, Progress { rows: read, bytes, rows_in_all });
        }
        rows.append(&mut reply.rows);
        if reply.done {
            return Ok(SearchReply { rows, ..reply });
        }
    }
    Ok(SearchReply { rows, ..SearchReply::default() })
}

/// A screen that is busy does without.
fn told_progress(tell: &mpsc::Sender<Told>, number: u64, progress: Progress) {
    let _busy = tell.try_send(Told::Progress(number, progress));
}

/// All messages of a SQL answer as one; on the way it is told how far it is.
async fn sql(
    client: &mut Client,
    number: u64,
    query: String,
    tell: &mpsc::Sender<Told>,
) -> Result<SqlReply, tonic::Status> {
    let request = SqlRequest { query, rows_max: SQL_ROWS_MAX, seconds_max: SQL_SECONDS_MAX };
    let mut stream = client.sql(request).await?.into_inner();
    let mut rows_json = Vec::new();
    while let Some(mut reply) = stream.message().await? {
        if !reply.done && reply.rows_json.is_empty() {
            let (rows, bytes, rows_in_all) =
                (reply.rows_read, reply.bytes_read, reply.rows_to_read);
            told_progress(tell, number, Progress { rows, bytes, rows_in_all });
        }
        rows_json.append(&mut reply.rows_json);
        if reply.done {
            return Ok(SqlReply { rows_json, ..reply });
        }
    }
    Ok(SqlReply { rows_json, ..SqlReply::default() })
}

/// Tells what is stored until it ends. A screen that is busy holds this stream up, and the collector tells then what went by.
async fn tail(
    client: &mut Client,
    number: u64,
    request: TailRequest,
    tell: &mpsc::Sender<Told>,
) -> Told {
    let ended = match client.tail(request).await {
        Ok(stream) => {
            let mut stream = stream.into_inner();
            loop {
                match stream.message().await {
                    Ok(Some(reply)) => {
                        if tell.send(Told::Tail(number, Box::new(reply))).await.is_err() {
                            break String::new();
                        }
                    }
                    Ok(None) => break String::new(),
                    Err(status) => break client::failure(&status),
                }
            }
        }
        Err(status) => client::failure(&status),
    };
    Told::TailEnded(number, ended)
}

/// The first cause: the name of a message where it is a common one, else what it says.
fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let kind = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    match kind {
        Some(ErrorKind::ConnectionRefused) => "reason-refused".into(),
        Some(ErrorKind::TimedOut) => "reason-timeout".into(),
        Some(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable) => {
            "reason-unreachable".into()
        }
        _ if cause.to_string().contains("deadline has elapsed") => "reason-timeout".into(),
        _ => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_where_nobody_listens_is_told_by_its_own_reason() {
        let error = client::connect(&Way::plain("127.0.0.1:1"), Caller::new("lan", false))
            .await
            .err()
            .map(|error| deepest(&error));
        assert_eq!(error.as_deref(), Some("reason-refused"));
    }
}
