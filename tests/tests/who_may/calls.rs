//! Every call by every role, about what is their agency's and what is another's.

use std::{collections::BTreeSet, time::Duration};

use vonggac_console::client::Client;
use vonggac_wire::{
    Time,
    proto::{
        AddQuiet, AskBreakGlass, AuditRequest, BreakGlassRequest, ChangeBreakGlassRequest,
        ChangeQuietRequest, ChangeSavedSearchRequest, Command, DeadLettersRequest, EvidenceRequest,
        ExportRequest, IncidentRequest, IncidentsRequest, Note, NotificationsRequest, QuietPeriod,
        QuietRequest, QuietScope, SaveSearch, SavedSearchesRequest, SearchRequest, SpreadRequest,
        SqlRequest, TailRequest, Term, UsageRequest, WatchRequest, WhyRequest,
        change_break_glass_request::Change as Glass, change_quiet_request::Change as Quieter,
        change_saved_search_request::Change, command::Action,
    },
};

use super::people::People;

/// The columns: whoever asks. `far`, `idle` and `far-observer` ask for what is another's.
const WHO: [&str; 9] =
    ["admin", "national", "own", "far", "responder", "idle", "observer", "far-observer", "auditor"];

/// What comes of it: `y` it is done, or the agency's own things are seen; `-` it is answered, and nothing of the agency is seen; `a` it is
/// answered, with or without anything to see; `n` it is refused because of whose it is, `r` because of the role.
const TABLE: [(&str, &str); 22] = [
    ("Watch", "yyy-y-y-y"),
    ("SearchEvents", "yyy-y-y-r"),
    ("GetIncident", "yyynynyny"),
    ("Incidents", "yyy-y-y-y"),
    ("Act", "yyynynrrr"),
    ("Usage", "aaaarraaa"),
    ("Sql", "yyy-rry-y"),
    ("DeadLetters", "aaaarraaa"),
    ("Notifications", "aaaarraaa"),
    ("Spread", "yyy-rry-r"),
    ("Tail", "aaaarraar"),
    ("SavedSearches", "yyy---y-y"),
    ("ChangeSavedSearch", "yyynnnnnn"),
    ("Receipts", "yyynrryny"),
    ("Verify", "yyynrryny"),
    ("Audit", "yrrrrrrry"),
    ("Export", "nnynrrrrr"),
    ("BreakGlass", "yyy-rry-y"),
    ("ChangeBreakGlass", "yyynrrrrr"),
    ("Quiet", "yyy-rry-y"),
    ("ChangeQuiet", "yyynrrrrr"),
    ("Why", "aaanrranr"),
];

/// The service as the contract has it.
const CONTRACT: &str = include_str!("../../../wire/proto/console.proto");

const AGENCY: &str = "local";

/// What came of a call: whether anything of the agency was seen, or the refusal.
type Outcome = Result<bool, tonic::Status>;

fn cell(outcome: &Outcome) -> char {
    match outcome {
        Ok(true) => 'y',
        Ok(false) => '-',
        Err(refused) => {
            let word = refused.metadata().get(vonggac_wire::caller::REFUSED);
            match word.and_then(|word| word.to_str().ok()) {
                Some(word) if word.starts_with("not-for-role ") => 'r',
                Some(_) => 'n',
                None if refused.code() == tonic::Code::NotFound => 'n',
                None => '?',
            }
        }
    }
}

pub(super) async fn each_role_by_each_call_as_the_table_says(people: &People) {
    let named: BTreeSet<&str> = CONTRACT
        .lines()
        .filter_map(|line| line.trim().strip_prefix("rpc ")?.split('(').next())
        .collect();
    let known: BTreeSet<&str> = TABLE.iter().map(|(call, _)| *call).collect();
    assert_eq!(named, known, "the table has every call of the contract and no other");

    let mut asker = people.client("asker").await;
    let case = case(&mut people.client("admin").await).await;
    // What the lists show of break-glasses.
    asked(&mut asker).await;
    done(&quiet(&mut asker).await.expect("kept quiet")).expect("kept quiet");
    let mut wrong = Vec::new();
    for (at, who) in WHO.into_iter().enumerate() {
        let mut client = people.client(who).await;
        for (call, row) in TABLE {
            let expected = row.chars().nth(at).expect("a cell for each column");
            let glass = match call {
                "ChangeBreakGlass" => asked(&mut asker).await,
                _ => String::new(),
            };
            let outcome = tried(&mut client, call, case, glass).await;
            let found = cell(&outcome);
            let is_answered = expected == 'a' && (found == 'y' || found == '-');
            if found != expected && !is_answered {
                wrong.push(format!("{who} {call}: {found} instead of {expected}: {outcome:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The incident of the agency.
async fn case(client: &mut Client) -> u64 {
    let mut stream = client.watch(WatchRequest::default()).await.expect("watched").into_inner();
    let picture = stream.message().await.expect("a picture").expect("a picture");
    let case = picture.incidents.iter().find(|incident| incident.rule == "ssh-brute-force");
    case.expect("a case").id
}

/// A fresh request for a break-glass.
async fn asked(client: &mut Client) -> String {
    let ask = AskBreakGlass {
        agency: AGENCY.into(),
        what: "export".into(),
        reason: "a table of who may".into(),
        valid_seconds: 60,
    };
    let request = ChangeBreakGlassRequest { change: Some(Glass::Ask(ask)) };
    let reply = client.change_break_glass(request).await.expect("asked").into_inner();
    assert_eq!(reply.refused, "");
    reply.record.expect("a record").id
}

/// Keeps a host of the agency quiet that is not there; what was refused.
async fn quiet(client: &mut Client) -> Result<String, tonic::Status> {
    let host = "nowhere".to_owned();
    let scope = Some(QuietScope { agency: AGENCY.into(), host, ..QuietScope::default() });
    let add = AddQuiet {
        kind: "suppression".into(),
        scope,
        reason: "a table of who may".into(),
        until_unix_nano: Time::now().plus(Duration::from_secs(3_600)).0,
        ..AddQuiet::default()
    };
    let request = ChangeQuietRequest { change: Some(Quieter::Add(add)) };
    Ok(client.change_quiet(request).await?.into_inner().refused)
}

/// What is refused by a word of the reply.
fn done(refused: &str) -> Outcome {
    if refused.is_empty() { Ok(true) } else { Err(tonic::Status::not_found(refused)) }
}

async fn tried(client: &mut Client, call: &str, case: u64, glass: String) -> Outcome {
    match call {
        "Watch" => {
            let mut stream = client.watch(WatchRequest::default()).await?.into_inner();
            let picture = stream.message().await?.unwrap_or_default();
            Ok(picture.incidents.iter().any(|incident| incident.id == case)
                || picture.agents.iter().any(|agent| agent.agency == AGENCY))
        }
        "SearchEvents" => {
            let search = search("agency", AGENCY);
            let mut stream = client.search_events(search).await?.into_inner();
            let mut seen = false;
            while let Some(reply) = stream.message().await? {
                seen |= reply.rows.iter().any(|row| row.agency == AGENCY);
            }
            Ok(seen)
        }
        "Export" => {
            let search = Some(search("user", "root"));
            let request = ExportRequest { agency: AGENCY.into(), search };
            let mut stream = client.export(request).await?.into_inner();
            let mut seen = false;
            while let Some(reply) = stream.message().await? {
                seen |= reply.rows.iter().any(|row| row.agency == AGENCY);
            }
            Ok(seen)
        }
        "GetIncident" => {
            let detail = client.get_incident(IncidentRequest { id: case }).await?.into_inner();
            Ok(detail.incident.is_some_and(|incident| incident.id == case))
        }
        "Incidents" => {
            let request = IncidentsRequest::default();
            let mut stream = client.incidents(request).await?.into_inner();
            let mut seen = false;
            while let Some(reply) = stream.message().await? {
                seen |= reply.incidents.iter().any(|incident| incident.id == case);
            }
            Ok(seen)
        }
        "Act" => {
            let action = Some(Action::Note(Note { text: "seen".into() }));
            let command = Command { incident: case, action, ..Command::default() };
            done(&client.act(command).await?.into_inner().refused)
        }
        "Usage" => {
            let request =
                UsageRequest { agency: AGENCY.into(), by_agency: true, ..UsageRequest::default() };
            Ok(!client.usage(request).await?.into_inner().indicators.is_empty())
        }
        "Sql" => {
            let query = format!("SELECT agency FROM batches WHERE agency = '{AGENCY}' LIMIT 1");
            let request = SqlRequest { query, ..SqlRequest::default() };
            let mut stream = client.sql(request).await?.into_inner();
            let mut seen = false;
            while let Some(reply) = stream.message().await? {
                seen |= !reply.rows_json.is_empty();
            }
            Ok(seen)
        }
        "DeadLetters" => {
            let reply = client.dead_letters(DeadLettersRequest { limit: 10 }).await?.into_inner();
            Ok(!reply.letters.is_empty())
        }
        "Notifications" => {
            let request = NotificationsRequest::default();
            let reply = client.notifications(request).await?.into_inner();
            Ok(!reply.notifications.is_empty())
        }
        "Spread" => {
            let request = SpreadRequest {
                field: "user".into(),
                value: "root".into(),
                ..SpreadRequest::default()
            };
            let reply = client.spread(request).await?.into_inner();
            Ok(reply.rows.iter().any(|row| row.agency == AGENCY))
        }
        "Tail" => {
            let mut stream = client.tail(TailRequest::default()).await?.into_inner();
            Ok(stream.message().await?.is_some_and(|reply| !reply.rows.is_empty()))
        }
        other => of_books(client, other, glass).await,
    }
}

async fn of_books(client: &mut Client, call: &str, glass: String) -> Outcome {
    let evidence = || EvidenceRequest { agency: AGENCY.into(), ..EvidenceRequest::default() };
    match call {
        "SavedSearches" => {
            let reply = client.saved_searches(SavedSearchesRequest::default()).await?.into_inner();
            Ok(reply.searches.iter().any(|search| search.name == "case"))
        }
        "ChangeSavedSearch" => {
            let save =
                SaveSearch { name: "mine".into(), agency: AGENCY.into(), line: "user:root".into() };
            let request = ChangeSavedSearchRequest { change: Some(Change::Save(save)) };
            done(&client.change_saved_search(request).await?.into_inner().refused)
        }
        "Receipts" => {
            let mut stream = client.receipts(evidence()).await?.into_inner();
            let mut seen = false;
            while let Some(reply) = stream.message().await? {
                seen |= !reply.lanes.is_empty();
            }
            Ok(seen)
        }
        "Verify" => {
            let mut stream = client.verify(evidence()).await?.into_inner();
            let mut seen = false;
            while let Some(reply) = stream.message().await? {
                seen |= reply.done && reply.rows > 0;
            }
            Ok(seen)
        }
        "Audit" => {
            let mut stream = client.audit(AuditRequest::default()).await?.into_inner();
            let mut seen = false;
            while let Some(reply) = stream.message().await? {
                seen |= !reply.records.is_empty();
            }
            Ok(seen)
        }
        "BreakGlass" => {
            let reply = client.break_glass(BreakGlassRequest::default()).await?.into_inner();
            Ok(reply.records.iter().any(|record| record.agency == AGENCY))
        }
        "ChangeBreakGlass" => {
            let request = ChangeBreakGlassRequest { change: Some(Glass::Refuse(glass)) };
            done(&client.change_break_glass(request).await?.into_inner().refused)
        }
        "Quiet" => {
            let reply = client.quiet(QuietRequest::default()).await?.into_inner();
            let of = |period: &QuietPeriod| period.scope.as_ref().map(|scope| scope.agency.clone());
            Ok(reply.periods.iter().any(|period| of(period).as_deref() == Some(AGENCY)))
        }
        "Why" => {
            let request = WhyRequest { agency: AGENCY.into(), ..WhyRequest::default() };
            Ok(!client.why(request).await?.into_inner().rows.is_empty())
        }
        "ChangeQuiet" => done(&quiet(client).await?),
        other => panic!("nobody tries {other}"),
    }
}

fn search(field: &str, value: &str) -> SearchRequest {
    let term = Term { field: field.into(), value: value.into(), negated: false };
    SearchRequest { terms: vec![term], limit: 10, ..SearchRequest::default() }
}
