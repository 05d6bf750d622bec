//! What somebody who reaches one agency alone asks about others, and what somebody says of themselves that their certificate does not.

use std::{fmt::Debug, future::Future, time::Duration};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tonic::{
    Code, Request, Status, Streaming,
    metadata::{AsciiMetadataValue, BinaryMetadataValue},
};
use vonggac_wire::{
    caller,
    proto::{
        Acknowledge, ChangeSavedSearchRequest, Command, DeadLettersRequest, EvidenceRequest,
        IncidentRequest, SaveSearch, SavedSearchesRequest, SearchRequest, SpreadRequest,
        SqlRequest, TailRequest, Term, UsageRequest, WatchRequest,
        change_saved_search_request::Change, command::Action,
    },
};

use super::{
    asked::{
        Asks::{
            self, DeadLetters, Incident, Receipts, Save, SavedSearches, Search, Spread, Sql, Tail,
            Usage, Verify, Watch,
        },
        CASES, Case, INVALID, NO,
    },
    batches::FOREIGN_EVENTS,
    ground::{FOREIGN, Ground, SECRET},
    raw::{Hand, Sent, batch},
    tally::Tally,
};

/// How long a stream is listened to that would go on for ever.
const LISTENED: Duration = Duration::from_secs(4);

/// What was answered: all of it as one text, or the refusal.
type Answered = Result<String, Status>;

async fn whole<T: Debug>(stream: Result<tonic::Response<Streaming<T>>, Status>) -> Answered {
    let mut stream = stream?.into_inner();
    let mut text = String::new();
    let until = tokio::time::Instant::now() + LISTENED;
    loop {
        match tokio::time::timeout_at(until, stream.message()).await {
            Ok(Ok(Some(reply))) => text.push_str(&format!("{reply:?}\n")),
            Ok(Ok(None)) | Err(_) => return Ok(text),
            Ok(Err(status)) => return Err(status),
        }
        // A picture is told for ever.
        if text.len() > 4 << 20 {
            return Ok(text);
        }
    }
}

async fn once<T: Debug>(
    reply: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Answered {
    reply.await.map(|reply| format!("{:?}", reply.into_inner()))
}

fn terms(terms: &[(&str, &str, bool)]) -> Vec<Term> {
    let term = |(field, value, negated): &(&str, &str, bool)| Term {
        field: (*field).to_owned(),
        value: (*value).to_owned(),
        negated: *negated,
    };
    terms.iter().map(term).collect()
}

fn evidence(agency: &str) -> EvidenceRequest {
    EvidenceRequest { agency: agency.into(), ..EvidenceRequest::default() }
}

/// Asks as somebody, and says besides who they would like to be.
fn ask(ground: &Ground, who: &str, asks: &Asks, foreign: u64) -> anyhow::Result<Answered> {
    let mut client = ground.client(who)?;
    fn of<T>(message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert(caller::ROLE, AsciiMetadataValue::from_static("operator"));
        metadata.insert_bin(caller::NAME, BinaryMetadataValue::from_bytes(b"administrator"));
        request
    }
    Ok(ground.runtime.block_on(async {
        match asks {
            Search(asked) => {
                let asked =
                    SearchRequest { terms: terms(asked), limit: 2_000, ..SearchRequest::default() };
                whole(client.search_events(of(asked)).await).await
            }
            Sql(query) => {
                let asked =
                    SqlRequest { query: (*query).into(), rows_max: 2_000, seconds_max: 10.0 };
                whole(client.sql(of(asked)).await).await
            }
            Spread(field, value) => {
                let asked = SpreadRequest {
                    field: (*field).into(),
                    value: (*value).into(),
                    ..SpreadRequest::default()
                };
                once(client.spread(of(asked))).await
            }
            Usage(agency) => {
                let asked = UsageRequest { agency: (*agency).into(), ..UsageRequest::default() };
                once(client.usage(of(asked))).await
            }
            DeadLetters => once(client.dead_letters(of(DeadLettersRequest { limit: 500 }))).await,
            Receipts(agency) => whole(client.receipts(of(evidence(agency))).await).await,
            Verify(agency) => whole(client.verify(of(evidence(agency))).await).await,
            Watch(agency) => {
                let agencies =
                    if agency.is_empty() { Vec::new() } else { vec![(*agency).to_owned()] };
                let watched = client.watch(of(WatchRequest { agencies })).await;
                let mut stream = watched?.into_inner();
                stream.message().await.map(|first| format!("{first:?}"))
            }
            Tail(asked) => {
                let asked = TailRequest { terms: terms(asked) };
                whole(client.tail(of(asked)).await).await
            }
            SavedSearches => once(client.saved_searches(of(SavedSearchesRequest::default()))).await,
            Save(agency) => {
                let save = SaveSearch {
                    name: "mine".into(),
                    agency: (*agency).into(),
                    line: "class:authentication".into(),
                };
                let change = ChangeSavedSearchRequest { change: Some(Change::Save(save)) };
                once(client.change_saved_search(of(change))).await
            }
            Incident => once(client.get_incident(of(IncidentRequest { id: foreign }))).await,
            Asks::Acknowledge => {
                let action = Some(Action::Acknowledge(Acknowledge {}));
                once(client.act(of(Command { incident: foreign, action, ..Command::default() })))
                    .await
            }
        }
    }))
}

/// The call and, where it is one, the words by which the audit log has it.
fn written(asks: &Asks) -> (&'static str, &'static str) {
    match asks {
        Search(_) => ("search-events", ""),
        Sql(query) => ("sql", query),
        Spread(_, value) => ("spread", value),
        Usage(agency) => ("usage", agency),
        DeadLetters => ("dead-letters", ""),
        Receipts(agency) | Verify(agency) => ("evidence", agency),
        Watch(agency) => ("watch", agency),
        Tail(_) => ("tail", ""),
        SavedSearches => ("saved-searches", ""),
        Save(_) => ("change-saved-search", ""),
        Incident => ("get-incident", ""),
        Asks::Acknowledge => ("act", ""),
    }
}

/// Whether an answer tells of others.
pub(crate) fn is_silent_about_others(asks: &str, answer: &str) -> anyhow::Result<()> {
    for word in [SECRET, FOREIGN, "db-1"] {
        // What somebody wrote into their own question is no answer.
        ensure!(asks.contains(word) || !answer.contains(word), "{word} is told: {answer:.500}");
    }
    ensure!(!answer.contains(SECRET), "{SECRET} is told: {answer:.500}");
    Ok(())
}

fn no_count_of_others(answer: &str) -> anyhow::Result<()> {
    // The rows alone: how much was read for them is told, too.
    let told = answer
        .split("rows_json: ")
        .skip(1)
        .filter_map(|reply| reply.split(", done:").next())
        .flat_map(|rows| rows.split(|c: char| !c.is_ascii_digit()))
        .filter_map(|digits| digits.parse::<u64>().ok())
        .find(|number| (FOREIGN_EVENTS..FOREIGN_EVENTS + 100).contains(number));
    ensure!(told.is_none(), "a count of others' rows is told: {answer:.500}");
    Ok(())
}

fn try_one(ground: &Ground, case: &Case, foreign: u64) -> anyhow::Result<()> {
    let answered = ask(ground, case.who, &case.asks, foreign)?;
    let words = match &case.asks {
        Search(terms) | Tail(terms) => format!("{terms:?}"),
        // What one's own agents put into their records' keys is told with one's own letters.
        DeadLetters | Watch("") => format!("{FOREIGN} db-1"),
        Sql(query) if query.contains("dead_letters") => format!("{FOREIGN} db-1"),
        other => written(other).1.to_owned(),
    };
    match (&answered, case.answered) {
        (Ok(_), Code::Ok | Code::Unknown) => {}
        (Err(status), wanted) if status.code() == wanted => {}
        (Err(status), Code::Unknown) if [NO, INVALID, Code::NotFound].contains(&status.code()) => {}
        (other, wanted) => bail!("wanted {wanted:?}, answered {other:.300?}"),
    }
    match &answered {
        Ok(text) => {
            is_silent_about_others(&words, text)?;
            if let Sql(query) = &case.asks
                && query.contains("count()")
            {
                no_count_of_others(text)?;
            }
        }
        Err(status) => {
            ensure!(!status.message().is_empty(), "nothing says why");
            is_silent_about_others(&words, status.message())?;
        }
    }
    Ok(())
}

/// Each call stands in the audit log, by the certificate's name and role and by nothing that was said.
fn is_written_down(rows: &[Value], case: &Case) -> anyhow::Result<()> {
    let (call, words) = written(&case.asks);
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let mut of = rows.iter().filter(|row| {
        text(row, "who") == case.who
            && text(row, "call") == call
            && text(row, "words").contains(words)
    });
    let row = of.next().with_context(|| format!("the audit log has no {call} of {}", case.who))?;
    let role = match case.who {
        "lan" => "agency-operator",
        "xem" => "observer",
        "kiem" => "auditor",
        "ung" => "responder",
        _ => "",
    };
    // Who may not come in has no role there.
    let found = text(row, "role");
    ensure!(found == role || (case.answered == NO && found.is_empty()), "as {found:?}");
    ensure!(case.answered != NO || text(row, "outcome") == "permission-denied", "as {row}");
    Ok(())
}

/// A message that is larger than any may be.
fn oversize(ground: &Ground) -> anyhow::Result<()> {
    let mut client = ground.client("lan")?;
    let asked = SqlRequest { query: "x".repeat(20 << 20), rows_max: 1, seconds_max: 1.0 };
    let answered = ground.runtime.block_on(client.sql(asked)).map(|_| ());
    let code = answered.as_ref().map_err(Status::code).err();
    ensure!(
        matches!(
            code,
            Some(Code::OutOfRange | Code::ResourceExhausted | Code::Internal | Code::Unknown)
        ),
        "answered {answered:?}"
    );
    let again = ask(ground, "lan", &Sql("SELECT count() FROM events"), 0)?;
    ensure!(again.is_ok(), "the next question: {again:?}");
    Ok(())
}

/// While somebody looks at events as they come, others' come, too.
fn tailed(ground: &Ground) -> anyhow::Result<()> {
    let hand = Hand::of(ground, "db-1")?;
    let bytes =
        prost::Message::encode_to_vec(&batch(FOREIGN, "db-1", SECRET, FOREIGN_EVENTS + 1, 50));
    let record = Sent::of(FOREIGN, &hand.seal(&bytes)?, Some(&hand));
    let sending = std::thread::scope(|scope| {
        let looking = scope.spawn(|| ask(ground, "lan", &Tail(&[]), 0));
        std::thread::sleep(Duration::from_millis(800));
        let sent = ground.send(&record);
        (sent, looking.join())
    });
    let (sent, looked) = sending;
    sent?;
    let answer = looked.ok().context("a panic")??;
    is_silent_about_others("", &answer.map_err(|status| anyhow::anyhow!("{status:?}"))?)
}

/// The number of the other agency's incident.
pub(crate) fn incident_of(ground: &Ground, agent: &str) -> anyhow::Result<u64> {
    let rows = ground.machine.rows(&["incidents", "--rule", "batch-refused"])?;
    let row = rows.iter().find(|row| row.to_string().contains(agent)).context("no incident")?;
    let id = row.get("id").or_else(|| row.get("incident")).context("no number")?;
    id.as_u64().or_else(|| id.as_str()?.parse().ok()).context("no number")
}

/// Tries all.
pub(crate) fn try_all(ground: &Ground, tally: &mut Tally) -> anyhow::Result<()> {
    let foreign = incident_of(ground, "db-1")?;
    let mut asked = Vec::new();
    for case in &CASES {
        asked.push((case, try_one(ground, case, foreign)));
    }
    let rows =
        || ground.sql("SELECT who, role, call, words, outcome FROM audit ORDER BY number DESC");
    ground.wait("the last call in the audit log", || {
        Ok(rows()?.iter().any(|row| row["who"] == "lan" && row["call"] == "saved-searches"))
    })?;
    let rows = rows()?;
    for (case, outcome) in asked {
        tally.note(case.sentence, outcome.and_then(|()| is_written_down(&rows, case)));
    }
    let save = ask(ground, "lan", &Save(FOREIGN), 0).and_then(|answered| {
        let text = answered.map_err(|status| anyhow::anyhow!("{status:?}"))?;
        ensure!(text.contains("agency-unknown"), "answered {text}");
        Ok(())
    });
    tally.note("a search is not saved for another agency", save);
    tally.note("a question of twenty megabytes is refused", oversize(ground));
    tally.note("a look at events as they come shows none of others", tailed(ground));
    Ok(())
}
