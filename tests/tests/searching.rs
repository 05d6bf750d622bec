//! Searches in the real engine: stopped when nobody waits for them, bounded by what their caller may read, told with what they cost; the same
//! terms live; and what is saved.
#![expect(clippy::expect_used, reason = "a story stops where its ground is missing")]

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use system_tests::{
    engine::Engine,
    lines,
    machine::{Machine, program},
};
use vonggac_collector::{
    allowance,
    config::Config,
    saved::Written,
    store::{
        Store, migrate,
        query::{Named, Reach, Running},
        row::EventRow,
    },
    tail::filter::Filter,
};
use vonggac_wire::{
    Time,
    proto::{Entity, EventRef, Incident, SavedSearch, SearchRequest, Term},
};

const NOON: i64 = 1_793_534_400;

const SOON: Duration = Duration::from_secs(30);

/// What takes longer than a test, and reads no more than its caller may.
const LONG: &str = "SELECT sum(sipHash64(toString(number))) FROM numbers(15000000000)";
const LONG_OF_OBSERVERS: &str = "SELECT sum(sipHash64(toString(number))) FROM numbers(900000000)";

/// What no machine counts to the end of.
const ENDLESS: &str = "SELECT sum(cityHash64(number)) FROM numbers(1000000000000000)";

fn store(engine: &Engine, folder: &std::path::Path, database: &str) -> anyhow::Result<Store> {
    let path = folder.join("collector.toml");
    fs::write(&path, engine.configuration(database))?;
    Ok(Store::new(&Config::read(&path)?))
}

fn rows(count: u64) -> Vec<EventRow> {
    let lines = [
        "Mật KHẨU không đúng cho tài khoản lê.văn.an",
        "Failed password for root from 203.0.113.7 port 22 ssh2",
        "GET /dich-vu/ho-so?ma=9f3a2bc4 HTTP/1.1",
        "100% done _ and [x] 'quoted' settings \\ back",
        "Đăng nhập thành công, ĐƠN số 4711\nhai dòng",
        "",
    ];
    (0..count)
        .map(|seq| {
            let at = usize::try_from(seq).unwrap_or(0);
            EventRow {
                agency: if seq % 2 == 0 { "H49".into() } else { "tk-48".into() },
                class: if seq % 3 == 0 { "authentication".into() } else { "http_activity".into() },
                host: format!("web-{}", seq % 4),
                agent: format!("agent-{}", seq % 4),
                lane: "security".into(),
                status: if seq % 5 == 0 { "failure".into() } else { "success".into() },
                user: if seq % 6 == 1 { "root".into() } else { String::new() },
                actor_user: if seq % 7 == 2 { "root".into() } else { "lan".into() },
                src_ip: format!("203.0.113.{}", seq % 9),
                url: if seq % 3 == 1 { "/Dich-Vu/ho-so".into() } else { String::new() },
                message: if seq % 8 == 5 {
                    "Phiên đã hết hạn".into()
                } else {
                    String::new()
                },
                time: NOON * 1_000_000 + i64::try_from(seq).unwrap_or(0),
                stored: NOON * 1_000_000,
                seq,
                raw: lines[at % lines.len()].as_bytes().to_vec(),
                ..EventRow::default()
            }
        })
        .collect()
}

fn request(terms: &[(&str, &str)]) -> SearchRequest {
    SearchRequest {
        since_unix_nano: Time::from_seconds(NOON - 60).nanos(),
        until_unix_nano: Time::from_seconds(NOON + 60).nanos(),
        terms: terms
            .iter()
            .map(|(field, value)| {
                let (negated, field) =
                    field.strip_prefix('-').map_or((false, *field), |field| (true, field));
                Term { field: field.into(), value: (*value).into(), negated }
            })
            .collect(),
        oldest_first: true,
        histogram_columns: 10,
        limit: 10_000,
        ..SearchRequest::default()
    }
}

/// Statements that carry a question's mark.
async fn running(store: &clickhouse::Client) -> anyhow::Result<u64> {
    let text = "SELECT count() FROM system.processes WHERE startsWith(Settings['log_comment'], 'question-') AND NOT is_cancelled";
    Ok(store.query(text).fetch_one().await?)
}

async fn until_none_runs(client: &clickhouse::Client) -> anyhow::Result<()> {
    let begun = Instant::now();
    while running(client).await? > 0 {
        anyhow::ensure!(begun.elapsed() < SOON, "the engine still works for nobody");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

#[test]
fn a_question_that_nobody_waits_for_is_stopped_in_the_engine() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    let store = store(&engine, folder.path(), "left")?;
    tokio::runtime::Runtime::new()?.block_on(async {
        migrate::run(&store).await?;
        let client = engine.client("left");
        let question = Running::new(store.clone());
        let asked = question.store();
        let asking = tokio::spawn(async move { asked.sql(ENDLESS, 10).await });
        let begun = Instant::now();
        let (first, second) = loop {
            anyhow::ensure!(begun.elapsed() < SOON, "nobody tells how far it is");
            tokio::time::sleep(Duration::from_millis(200)).await;
            let Some(first) = question.read().await? else { continue };
            tokio::time::sleep(Duration::from_millis(300)).await;
            let Some(second) = question.read().await? else { continue };
            if first.rows > 0 {
                break (first, second);
            }
        };
        assert!(second.rows > first.rows && second.bytes > first.bytes, "{first:?} {second:?}");
        assert!(second.rows_in_all > second.rows, "it says how much there is: {second:?}");
        assert_eq!(running(&client).await?, 1);
        // The operator leaves: what waited for the answer is given up, and the question with it.
        asking.abort();
        drop(question);
        until_none_runs(&client).await?;

        // As many at once as there are connections and more: those that still wait are stopped as they begin.
        let crowd: Vec<_> = (0..8)
            .map(|_| {
                let question = Running::new(store.clone());
                let asked = question.store();
                tokio::spawn(async move {
                    let _question = question;
                    asked.sql(ENDLESS, 10).await
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        for asking in &crowd {
            asking.abort();
        }
        until_none_runs(&client).await?;
        // Nothing of what was stopped stands before a later answer, whichever connection gives it.
        for _ in 0..20 {
            let kept = Running::new(store.clone());
            let answer = kept.store().sql("SELECT count() FROM numbers(10)", 10).await?;
            kept.over();
            assert_eq!(answer.columns, ["count()"]);
            assert_eq!((answer.rows, answer.read.rows), (vec!["[10]".to_owned()], 10));
        }
        anyhow::Ok(())
    })
}

#[test]
fn a_search_says_what_it_cost_and_is_cut_by_its_callers_limits() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    let store = store(&engine, folder.path(), "cost")?;
    let now = Time::from_seconds(NOON);
    tokio::runtime::Runtime::new()?.block_on(async {
        migrate::run(&store).await?;
        for (part, rows) in rows(160_000).chunks(40_000).enumerate() {
            store.insert_rows(rows, &format!("part-{part}")).await?;
        }
        let whole = store.search(&request(&[("class", "authentication")]), now).await?;
        assert_eq!((whole.total, whole.cut), (Some(53_334), false));
        let read = (whole.rows_read, whole.bytes_read);
        assert!(read.0 >= 2 * 53_334 && read.1 > read.0, "{read:?}");
        assert!(!whole.next_cursor.is_empty());

        let few = allowance::Allowance { rows_read_max: 1_000, ..allowance::OBSERVER };
        let least = store.clone().within(&few);
        let cut = least.search(&request(&[("text", "*khong*")]), now).await?;
        assert!(cut.cut && cut.next_cursor.is_empty(), "{} {}", cut.cut, cut.next_cursor);
        assert!(cut.total < Some(26_667), "{:?}", cut.total);
        let small = allowance::Allowance { bytes_read_max: 10_000, ..allowance::OBSERVER };
        let small =
            store.clone().within(&small).search(&request(&[("text", "*khong*")]), now).await?;
        assert!(small.cut);

        // A part of a sum is no answer.
        let refused = least.sql("SELECT count() FROM events WHERE raw LIKE '%a%'", 10).await;
        assert!(refused.is_err_and(|error| error.to_string().contains("TOO_MANY_ROWS")));
        let patient = allowance::Allowance { time_max: Duration::from_secs(1), ..few };
        let patient = store.clone().within(&patient).with_setting("max_rows_to_read", "0");
        let begun = Instant::now();
        let late = patient.sql(ENDLESS, 10).await;
        assert!(late.is_err_and(|error| error.to_string().contains("TIMEOUT")));
        assert!(begun.elapsed() < SOON, "it ended by its limit");
        anyhow::Ok(())
    })
}

#[test]
fn the_same_terms_find_the_same_events_in_the_store_and_live() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    let store = store(&engine, folder.path(), "live")?;
    let now = Time::from_seconds(NOON);
    let rows = rows(1_000);
    tokio::runtime::Runtime::new()?.block_on(async {
        migrate::run(&store).await?;
        store.insert_rows(&rows, "rows").await?;
        let cases: [&[(&str, &str)]; 24] = [
            &[],
            &[("agency", "H49")],
            &[("-agency", "H49")],
            &[("host", "web-1"), ("status", "failure")],
            &[("class", "3002")],
            &[("kind", "http_activity"), ("-src_ip", "203.0.113.4")],
            &[("user", "root")],
            &[("-user", "root"), ("agent", "agent-2")],
            &[("url", "dich-vu")],
            &[("lane", "security"), ("seq", "17")],
            &[("text", "mat khau")],
            &[("text", "MẬT KHẨU KHÔNG")],
            &[("text", "at khau")],
            &[("text", "*at khau*")],
            &[("text", "dang nhap")],
            &[("text", "phien da het han")],
            &[("text", "don so 4711")],
            &[("text", "203.0.113.7")],
            &[("text", "'quoted' settings \\")],
            &[("text", "100%")],
            &[("-text", "password")],
            &[("regex", "Failed.*port \\d+")],
            &[("regex", "4711.hai")],
            &[("regex", "^$")],
        ];
        for terms in cases {
            let request = request(terms);
            let found: Vec<u64> =
                store.search(&request, now).await?.rows.iter().map(|row| row.seq).collect();
            let filter = Filter::new(&request.terms)?;
            let live: Vec<u64> =
                rows.iter().filter(|row| filter.passes(row)).map(|row| row.seq).collect();
            assert_eq!(live, found, "{terms:?}");
        }
        anyhow::Ok(())
    })
}

#[test]
fn a_rule_and_an_incident_are_searched_for_by_what_they_are_about() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    let store = store(&engine, folder.path(), "about")?;
    let now = Time::from_seconds(NOON);
    let at = |seq: i64| Time(Time::from_seconds(NOON).nanos() + seq * 1_000);
    let incident = Incident {
        id: 7,
        rule: "ssh-brute-force".into(),
        entity: Some(Entity { kind: "src_ip".into(), value: "203.0.113.7".into() }),
        agencies: vec!["tk-48".into()],
        first_time_unix_nano: at(20).nanos(),
        last_time_unix_nano: at(60).nanos(),
        evidence: vec![EventRef {
            agent: "agent-2".into(),
            lane: vonggac_wire::Lane::Security.into(),
            seq: 2,
            time_unix_nano: at(2).nanos(),
        }],
        ..Incident::default()
    };
    tokio::runtime::Runtime::new()?.block_on(async {
        migrate::run(&store).await?;
        store.insert_rows(&rows(100), "rows").await?;
        for terms in [[("rule", "ssh-brute-force")], [("incident", "#7")]] {
            let request = request(&terms);
            let named = Named::of(&request.terms, std::slice::from_ref(&incident));
            let found = store.search_named(&request, &named, &Reach::Nation, now).await?;
            let found: Vec<u64> = found.rows.iter().map(|row| row.seq).collect();
            // Every ninth is of the address, every second of the agency; the first is evidence.
            assert_eq!(found, [2, 25, 43], "{terms:?}");
        }
        let none = store.search(&request(&[("rule", "no-such-rule")]), now).await?;
        assert_eq!(none.rows.len(), 0);
        anyhow::Ok(())
    })
}

#[test]
fn saved_searches_are_there_after_a_restart_and_the_latest_change_holds() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(mut engine) = Engine::start(folder.path())? else { return Ok(()) };
    let store = store(&engine, folder.path(), "saved")?;
    let search = |name: &str, changed: i64| SavedSearch {
        id: "one".into(),
        name: name.into(),
        owner: "lan".into(),
        agency: "tk-48".into(),
        line: "text:\"mật khẩu\" -1h".into(),
        created_unix_nano: 1_000_000,
        changed_unix_nano: changed,
    };
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        migrate::run(&store).await?;
        for (name, changed) in [("dò", 1_000_000), ("dò mật khẩu", 2_000_000)] {
            let written = Written { search: search(name, changed), deleted: false };
            store.write_saved_search(&written).await?;
        }
        anyhow::Ok(())
    })?;
    engine.kill();
    engine.again()?;
    runtime.block_on(async {
        let found = store.saved_searches().await?;
        assert_eq!(found, [search("dò mật khẩu", 2_000_000)]);
        let gone = Written { search: search("dò mật khẩu", 3_000_000), deleted: true };
        store.write_saved_search(&gone).await?;
        assert!(store.saved_searches().await?.is_empty());
        anyhow::Ok(())
    })
}

/// A command that goes on; it ends with the test.
struct Called(Child);

impl Drop for Called {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _waited = self.0.wait();
    }
}

fn call(machine: &Machine, arguments: &[&str]) -> Called {
    let child = Command::new(program("vonggac"))
        .args(["--data", &machine.data().display().to_string(), "--operator", "lan"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    Called(child.expect("it starts"))
}

/// Lines as they come.
fn lines_of(called: &mut Called) -> mpsc::Receiver<String> {
    let (tell, told) = mpsc::channel();
    let out = called.0.stdout.take().expect("an output");
    thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    told
}

#[test]
fn an_operator_follows_saves_and_leaves() {
    let Some(machine) = Machine::up(&[], false).expect("the machine starts") else { return };
    let mut follow = call(
        &machine,
        &[
            "events",
            "--follow",
            "--format",
            "jsonl",
            "--class",
            "authentication",
            "--src-ip",
            "198.51.100.9",
        ],
    );
    let told = lines_of(&mut follow);
    // It follows from when it is there: lines are written until one of them is told.
    let begun = Instant::now();
    let mut number = 0;
    let first: Value = loop {
        assert!(begun.elapsed() < SOON, "nothing is told live: {}", machine.logs());
        machine.append(&lines::refused(number, "203.0.113.8")).expect("appended");
        machine.append(&lines::refused(number + 1, "198.51.100.9")).expect("appended");
        number += 2;
        if let Ok(line) = told.recv_timeout(Duration::from_secs(1)) {
            break serde_json::from_str(&line).expect("JSON");
        }
    };
    assert_eq!(
        (&first["src_ip"], &first["class"]),
        (&"198.51.100.9".into(), &"authentication".into())
    );
    while let Ok(line) = told.recv_timeout(Duration::from_secs(2)) {
        let row: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(row["src_ip"], "198.51.100.9", "{row}");
    }
    drop(follow);
    let refused = machine.ask(&["events", "--follow", "--rule", "x"]).expect("asked");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("rule"));

    left_questions_are_stopped(&machine);
    searches_are_saved(&machine);
}

fn left_questions_are_stopped(machine: &Machine) {
    let engine = machine.address("engine").expect("an address");
    let client = clickhouse::Client::default().with_url(format!("http://{engine}"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let asked = call(machine, &["sql", LONG]);
    let begun = Instant::now();
    while runtime.block_on(running(&client)).expect("counted") == 0 {
        assert!(begun.elapsed() < SOON, "it does not run");
        thread::sleep(Duration::from_millis(50));
    }
    // As Ctrl-C does: the call ends, and its stream with it.
    drop(asked);
    let begun = Instant::now();
    runtime.block_on(until_none_runs(&client)).expect("stopped");
    // The query's own limit, ten seconds, is not what ended it.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());

    let one = [(); 2].map(|()| call(machine, &["--observer", "sql", LONG_OF_OBSERVERS]));
    thread::sleep(Duration::from_millis(4_500));
    assert!(
        one.into_iter().any(|mut called| called.0.try_wait().expect("asked").is_some()),
        "observers have one place"
    );
    runtime.block_on(until_none_runs(&client)).expect("stopped");
}

fn searches_are_saved(machine: &Machine) {
    let line = "src_ip:198.51.100.9 class:authentication";
    let run = |arguments: &[&str]| {
        let mut whole = vec!["--operator", "lan"];
        whole.extend(arguments);
        machine.ask(&whole).expect("asked")
    };
    let said = |arguments: &[&str]| {
        let output = run(arguments);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    assert_eq!(said(&["saved", "save", "dò mật khẩu", line]).0, Some(0));
    let listed = machine.rows(&["saved"]).expect("listed");
    assert_eq!((listed.len(), &listed[0]["name"]), (1, &"dò mật khẩu".into()));
    assert_eq!((&listed[0]["owner"], &listed[0]["line"]), (&"lan".into(), &line.into()));
    let found = machine.rows(&["saved", "run", "dò mật khẩu"]).expect("run");
    assert!(!found.is_empty() && found.iter().all(|row| row["src_ip"] == "198.51.100.9"));

    let observer = said(&["--observer", "saved", "save", "a", "b"]);
    assert!(observer.0 == Some(1), "{observer:?}");
    let other = machine.ask(&["--operator", "minh", "saved", "delete", "dò mật khẩu", "--yes"]);
    let other = other.expect("asked");
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stderr).contains("lan's"), "{other:?}");
    assert_eq!(said(&["saved", "rename", "dò mật khẩu", "ssh"]).0, Some(0));
    assert_eq!(said(&["saved", "delete", "ssh"]).0, Some(2), "--yes is missing");
    assert_eq!(machine.rows(&["saved"]).expect("listed").len(), 1);
    assert_eq!(said(&["saved", "delete", "ssh", "--yes"]).0, Some(0));
    assert_eq!(machine.rows(&["saved"]).expect("listed").len(), 0);
}
