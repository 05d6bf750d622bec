//! The audit log as its readers see it.

use std::process::Command;

use serde_json::Value;
use system_tests::machine::{Machine, program};
use vonggac_console::client::Client;
use vonggac_wire::{
    Time,
    proto::{AuditRecord, AuditRequest},
};

use super::people::People;

pub(super) fn refusals_are_told_in_the_persons_language_and_are_in_the_log(
    machine: &Machine,
    people: &People,
) {
    for (lang, told) in
        [("en", "not for the role agency operator"), ("vi", "không dành cho vai trò")]
    {
        let output = people.ask_in(lang, "own", &["audit"]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(told), "{text}");
        let output = people.ask_in(lang, "stranger", &["health"]);
        assert!(!output.status.success());
    }
    let agent = |lang: &str| {
        let set = machine.data().join("trust/agent");
        let output = Command::new(program("vonggac"))
            .args(["health", "--lang", lang, "--certificate"])
            .arg(set.join("certificate.pem"))
            .arg("--key")
            .arg(set.join("key.pem"))
            .arg("--authorities")
            .arg(set.join("authorities.pem"))
            .arg("--collector")
            .arg(format!("https://{}", machine.address("collector").expect("an address")))
            .output()
            .expect("the program runs");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(agent("en").contains("not a person's"), "{}", agent("en"));
    assert!(agent("vi").contains("không phải của một người"), "{}", agent("vi"));
    for (who, call) in [("own", "audit"), ("stranger", "watch")] {
        let refused = ["audit", "--who", who, "--call", call, "--outcome", "permission-denied"];
        let rows = people.until("auditor", &refused, |rows| rows.len() >= 2);
        assert!(rows.iter().all(|row| row["who"] == who && row["call"] == call), "{rows:?}");
    }
    let is_agents = |row: &Value| row["who"].as_str().is_some_and(|who| who.contains("agent/"));
    people.until("auditor", &["audit", "--outcome", "permission-denied"], |rows| {
        rows.iter().filter(|row| is_agents(row)).count() >= 2
    });
}

pub(super) fn its_readers_find_what_was_done_and_whether_it_holds(people: &People) {
    let all = people.rows("auditor", &["audit", "--limit", "0"]);
    // Newest first, no row twice, and the asking itself is among them.
    let places: Vec<(String, u64)> = all
        .iter()
        .map(|row| (row["chain"].to_string(), row["number"].as_u64().expect("a number")))
        .collect();
    let mut once = places.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), places.len());
    let times: Vec<&str> = all.iter().filter_map(|row| row["time"].as_str()).collect();
    assert!(times.len() == all.len() && all.len() > 100, "{}", all.len());
    people.until("auditor", &["audit", "--who", "auditor", "--call", "audit"], |rows| {
        !rows.is_empty()
    });
    let one = people.rows("auditor", &["audit", "--limit", "1"]);
    assert_eq!(one.len(), 1);
    let of_agency = people.rows("auditor", &["audit", "--call", "export", "--agency", "tk-48"]);
    let names = |row: &Value| row["words"].as_str().is_some_and(|words| words.contains("tk-48"));
    assert!(of_agency.len() == 1 && of_agency.iter().all(names), "{of_agency:?}");
    let early = people.rows(
        "auditor",
        &["audit", "--until", "2020-01-01T00:00:00Z", "--since", "2019-01-01T00:00:00Z"],
    );
    assert!(early.is_empty());
    for form in ["csv", "md", "table"] {
        let text = people.ask("admin", &["audit", "--call", "export", "--format", form]);
        assert!(text.is_ok_and(|text| text.contains("permission-denied")), "{form}");
    }
    let output = people.ask_in("en", "auditor", &["audit", "--verify"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && told.contains("as they were written"), "{told}");
}

/// Pages of seven, one behind the other, are the whole: no record twice, none left out.
pub(super) async fn its_pages_are_the_whole(people: &People) {
    let mut client = people.client("auditor").await;
    let until_unix_nano = Time::now().0;
    let whole = page(&mut client, until_unix_nano, 1_000, String::new()).await.0;
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let (records, next) = page(&mut client, until_unix_nano, 7, cursor).await;
        assert!(records.len() <= 7);
        all.extend(records);
        if next.is_empty() {
            break;
        }
        cursor = next;
    }
    assert!(whole.len() > 50, "{}", whole.len());
    // What was under way when the first page was asked for is written down behind it.
    let known: Vec<_> = all.iter().filter(|record| whole.contains(record)).cloned().collect();
    assert_eq!(known, whole);
    assert!(all.is_sorted_by(|a, b| a.time_unix_nano >= b.time_unix_nano));
}

async fn page(
    client: &mut Client,
    until_unix_nano: i64,
    limit: u32,
    cursor: String,
) -> (Vec<AuditRecord>, String) {
    let request = AuditRequest { until_unix_nano, limit, cursor, ..AuditRequest::default() };
    let mut stream = client.audit(request).await.expect("asked").into_inner();
    let (mut records, mut next) = (Vec::new(), String::new());
    while let Some(reply) = stream.message().await.expect("answered") {
        records.extend(reply.records);
        next = reply.next_cursor;
    }
    (records, next)
}
