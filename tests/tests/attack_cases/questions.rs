//! What somebody who reaches one agency alone asks about others, and what somebody says of themselves that their certificate does not.

use std::{fmt::Debug, future::Future, time::Duration};

use anyhow::{Context as _, ensure};
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
    batches::FOREIGN_EVENTS,
    ground::{FOREIGN, Ground, OWN, SECRET},
    raw::{Hand, Sent, batch},
    tally::Tally,
};

/// How long a stream is listened to that would go on for ever.
const LISTENED: Duration = Duration::from_secs(2);

/// A question.
enum Asks {
    Search(&'static [(&'static str, &'static str, bool)]),
    Sql(&'static str),
    Spread(&'static str, &'static str),
    Usage(&'static str),
    DeadLetters,
    Receipts(&'static str),
    Verify(&'static str),
    Watch(&'static str),
    Tail(&'static [(&'static str, &'static str, bool)]),
    SavedSearches,
    /// A search that is limited to an agency.
    Save(&'static str),
    /// The incident of the other agency.
    Incident,
    Acknowledge,
}

use Asks::{
    DeadLetters, Incident, Receipts, Save, SavedSearches, Search, Spread, Sql, Tail, Usage, Verify,
    Watch,
};

struct Case {
    sentence: &'static str,
    who: &'static str,
    asks: Asks,
    /// By which code it is refused; `Ok`: answered without anything of others; `Unknown`: either.
    answered: Code,
}

const fn case(sentence: &'static str, who: &'static str, asks: Asks, answered: Code) -> Case {
    Case { sentence, who, asks, answered }
}

const NO: Code = Code::PermissionDenied;
const INVALID: Code = Code::InvalidArgument;

const CASES: [Case; 66] = [
    case(
        "a search for another agency finds nothing",
        "lan",
        Search(&[("agency", FOREIGN, false)]),
        Code::Ok,
    ),
    case(
        "a search for all but one's own finds nothing",
        "lan",
        Search(&[("agency", OWN, true)]),
        Code::Ok,
    ),
    case(
        "a search for another's words finds nothing",
        "lan",
        Search(&[("text", SECRET, false)]),
        Code::Ok,
    ),
    case(
        "a search for parts of another's words finds nothing",
        "lan",
        Search(&[("text", "*ebr*", false)]),
        Code::Ok,
    ),
    case(
        "a search by an expression finds nothing of others",
        "lan",
        Search(&[("regex", "z.bra", false)]),
        Code::Ok,
    ),
    case(
        "a search for another's host finds nothing",
        "lan",
        Search(&[("host", "host-of-zebra", false)]),
        Code::Ok,
    ),
    case(
        "a search for another's user finds nothing",
        "lan",
        Search(&[("user", "user-of-zebra", false)]),
        Code::Ok,
    ),
    case(
        "a search for another's agent finds nothing",
        "lan",
        Search(&[("agent", "db-1", false)]),
        Code::Ok,
    ),
    case(
        "a search for a rule's events finds none of others",
        "lan",
        Search(&[("rule", "batch-refused", false)]),
        Code::Ok,
    ),
    case(
        "a search whose value ends the query finds nothing",
        "lan",
        Search(&[("host", "x' OR 1=1 --", false)]),
        Code::Ok,
    ),
    case(
        "a search whose field is a query is refused",
        "lan",
        Search(&[("1=1) OR (agency", FOREIGN, false)]),
        INVALID,
    ),
    case(
        "an observer of one agency finds nothing of others",
        "xem",
        Search(&[("text", SECRET, false)]),
        Code::Ok,
    ),
    case(
        "a responder finds nothing that is not in their cases",
        "ung",
        Search(&[("text", SECRET, false)]),
        Code::Ok,
    ),
    case("an auditor searches no lines", "kiem", Search(&[]), NO),
    case("who has no role searches nothing", "nobody", Search(&[]), NO),
    case("SQL of the whole table gives own rows", "lan", Sql("SELECT * FROM events"), Code::Ok),
    case("SQL that counts all counts own rows", "lan", Sql("SELECT count() FROM events"), Code::Ok),
    case(
        "SQL that counts every agency counts one's own",
        "lan",
        Sql("SELECT agency, count() FROM events GROUP BY agency"),
        Code::Ok,
    ),
    case(
        "SQL with OR 1 = 1 gives own rows",
        "lan",
        Sql("SELECT raw FROM events WHERE agency = 'x' OR 1 = 1"),
        Code::Ok,
    ),
    case(
        "SQL with a bracket that closes is refused",
        "lan",
        Sql("SELECT raw FROM events WHERE 1) OR (1"),
        INVALID,
    ),
    case(
        "SQL by a join with itself gives own rows",
        "lan",
        Sql("SELECT a.raw FROM events AS a INNER JOIN events AS b USING (class)"),
        Code::Unknown,
    ),
    case(
        "SQL by a subquery gives own rows",
        "lan",
        Sql("SELECT * FROM (SELECT raw, host FROM events)"),
        Code::Unknown,
    ),
    case(
        "SQL by a subquery behind IN gives own rows",
        "lan",
        Sql("SELECT raw FROM events WHERE host IN (SELECT host FROM events)"),
        Code::Unknown,
    ),
    case(
        "SQL by UNION gives own rows",
        "lan",
        Sql("SELECT raw FROM events UNION ALL SELECT raw FROM events"),
        Code::Unknown,
    ),
    case(
        "SQL by UNION with a book is refused",
        "lan",
        Sql("SELECT raw FROM events UNION ALL SELECT after FROM transitions"),
        INVALID,
    ),
    case(
        "SQL by a named query gives own rows",
        "lan",
        Sql("WITH a AS (SELECT * FROM events) SELECT raw FROM a"),
        Code::Unknown,
    ),
    case(
        "SQL by a named query that is called like the table is bounded",
        "lan",
        Sql("WITH events AS (SELECT * FROM vonggac.events) SELECT raw FROM events"),
        Code::Unknown,
    ),
    case(
        "SQL by the table function url is refused",
        "lan",
        Sql("SELECT * FROM url('http://127.0.0.1:1/', CSV, 'a String')"),
        INVALID,
    ),
    case(
        "SQL by the table function file is refused",
        "lan",
        Sql("SELECT * FROM file('/etc/passwd', 'LineAsString')"),
        INVALID,
    ),
    case(
        "SQL by the table function remote is refused",
        "lan",
        Sql("SELECT * FROM remote('127.0.0.1', vonggac, events)"),
        INVALID,
    ),
    case(
        "SQL by the table function s3 is refused",
        "lan",
        Sql("SELECT * FROM s3('http://a/b', 'CSV')"),
        INVALID,
    ),
    case(
        "SQL by the table function cluster is refused",
        "lan",
        Sql("SELECT * FROM cluster('default', vonggac, events)"),
        INVALID,
    ),
    case(
        "SQL by the table function merge is refused",
        "lan",
        Sql("SELECT * FROM merge('vonggac', '.*')"),
        INVALID,
    ),
    case(
        "SQL by the table function executable is refused",
        "lan",
        Sql("SELECT * FROM executable('id', TSV, 'a String')"),
        INVALID,
    ),
    case(
        "SQL by the table function loop is refused",
        "lan",
        Sql("SELECT * FROM loop(vonggac.events) LIMIT 9"),
        INVALID,
    ),
    case("SQL of a dictionary is refused", "lan", Sql("SELECT dictGet('a', 'b', 1)"), INVALID),
    case(
        "SQL of a dictionary as a table is refused",
        "lan",
        Sql("SELECT * FROM dictionary('a')"),
        INVALID,
    ),
    case(
        "SQL of a file as a function is refused",
        "lan",
        Sql("SELECT file('/etc/passwd')"),
        INVALID,
    ),
    case(
        "SQL with a setting is refused",
        "lan",
        Sql("SELECT raw FROM events SETTINGS additional_table_filters = {}"),
        INVALID,
    ),
    case("SQL that sets something is refused", "lan", Sql("SET readonly = 0"), INVALID),
    case(
        "SQL of the engine's tables is refused",
        "lan",
        Sql("SELECT * FROM system.tables"),
        INVALID,
    ),
    case(
        "SQL of what the engine runs is refused",
        "lan",
        Sql("SELECT query FROM system.processes"),
        INVALID,
    ),
    case(
        "SQL of the information schema is refused",
        "lan",
        Sql("SELECT * FROM information_schema.columns"),
        INVALID,
    ),
    case(
        "SQL of the audit log is refused to an operator",
        "lan",
        Sql("SELECT words FROM audit"),
        INVALID,
    ),
    case(
        "SQL of the audit log is refused to an observer",
        "xem",
        Sql("SELECT words FROM audit"),
        INVALID,
    ),
    case(
        "SQL of the certificates that sealed gives none of others",
        "lan",
        Sql("SELECT * FROM certificates"),
        Code::Unknown,
    ),
    case(
        "SQL of dead letters gives none of others",
        "lan",
        Sql("SELECT agency, detail FROM dead_letters WHERE agency != ''"),
        Code::Unknown,
    ),
    case(
        "SQL of gaps gives none of others",
        "lan",
        Sql("SELECT agency, host FROM gaps"),
        Code::Unknown,
    ),
    case("SQL that writes is refused", "lan", Sql("INSERT INTO gaps SELECT * FROM gaps"), INVALID),
    case(
        "SQL that drops a table is refused to an operator",
        "lan",
        Sql("DROP TABLE events"),
        INVALID,
    ),
    case(
        "SQL of two statements is refused",
        "lan",
        Sql("SELECT 1; SELECT raw FROM events"),
        INVALID,
    ),
    case(
        "SQL that writes a file is refused",
        "lan",
        Sql("SELECT raw FROM events INTO OUTFILE '/tmp/x'"),
        INVALID,
    ),
    case("SQL is not for responders", "ung", Sql("SELECT 1"), NO),
    case(
        "a value is not held against other agencies",
        "lan",
        Spread("user", "user-of-zebra"),
        Code::Unknown,
    ),
    case("another agency's figures are not told", "lan", Usage(FOREIGN), Code::Unknown),
    case("dead letters of others are not told", "lan", DeadLetters, Code::Ok),
    case("receipts of another agency are not told", "lan", Receipts(FOREIGN), Code::Unknown),
    case(
        "another agency's rows are not verified for its neighbours",
        "lan",
        Verify(FOREIGN),
        Code::Unknown,
    ),
    case("the picture has nothing of others", "lan", Watch(""), Code::Ok),
    case("the picture of another agency is empty", "lan", Watch(FOREIGN), Code::Ok),
    case("a responder's picture has nothing of others", "ung", Watch(FOREIGN), Code::Ok),
    case("a foreign incident is not there", "lan", Incident, Code::NotFound),
    case("an observer acts on nothing", "xem", Asks::Acknowledge, NO),
    case("an auditor acts on nothing", "kiem", Asks::Acknowledge, NO),
    case("who has no role watches nothing", "nobody", Watch(""), NO),
    case("saved searches of others are not listed", "lan", SavedSearches, Code::Ok),
];

/// What was answered: all of it as one text, or the refusal.
type Answered = Result<String, Status>;

async fn whole<T: Debug>(stream: Result<tonic::Response<Streaming<T>>, Status>) -> Answered {
    let mut stream = stream?.into_inner();
    let mut text = String::new();
    loop {
        match tokio::time::timeout(LISTENED, stream.message()).await {
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
                let watched =
                    client.watch(of(WatchRequest { agencies, ..WatchRequest::default() })).await;
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
    let told = answer
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse::<u64>().ok())
        .find(|number| (FOREIGN_EVENTS..FOREIGN_EVENTS + 100).contains(number));
    ensure!(told.is_none(), "a count of others' rows is told: {answer:.500}");
    Ok(())
}

fn try_one(ground: &Ground, case: &Case, foreign: u64) -> anyhow::Result<()> {
    let answered = ask(ground, case.who, &case.asks, foreign)?;
    let words = match &case.asks {
        Search(terms) | Tail(terms) => format!("{terms:?}"),
        other => written(other).1.to_owned(),
    };
    match (&answered, case.answered) {
        (Ok(_), Code::Ok | Code::Unknown) => {}
        (Err(status), wanted) if status.code() == wanted => {}
        (Err(status), Code::Unknown) if [NO, INVALID, Code::NotFound].contains(&status.code()) => {}
        (other, wanted) => ensure!(false, "wanted {wanted:?}, answered {other:.300?}"),
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
