//! What an operator sees on one machine, from the first line to a restart. One system serves the whole story: a start costs seconds.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a story stops where its ground is missing"
)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};
use serde_json::Value;
use system_tests::{
    lines,
    machine::{Machine, Part},
};

const SOON: Duration = Duration::from_secs(30);

/// A web server that answers while it is told to.
fn server(up: &Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let up = Arc::clone(up);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut request = [0; 512];
            let _read = stream.read(&mut request);
            let status = if up.load(Ordering::SeqCst) { "200 OK" } else { "503 Down" };
            let _written = stream.write_all(
                format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    .as_bytes(),
            );
        }
    });
    url
}

fn of_rule<'a>(rows: &'a [Value], rule: &str) -> Vec<&'a Value> {
    rows.iter().filter(|row| row["rule"] == rule).collect()
}

#[test]
fn a_day_of_one_machine() {
    let up = Arc::new(AtomicBool::new(true));
    let url = server(&up);
    let Some(machine) = Machine::up(std::slice::from_ref(&url), false).expect("the machine starts")
    else {
        return;
    };
    log_ins_become_one_incident_for_each_address(&machine);
    a_service_goes_down_and_comes_back(&machine, &up);
    a_frozen_agent_is_silent_and_catches_up(&machine);
    a_killed_agent_is_back_by_itself(&machine);
    usage_keeps_numerator_denominator_and_age(&machine);
    foreign_records_are_set_aside_and_the_stream_goes_on(&machine);
    hostile_lines_are_kept_and_shown_harmlessly(&machine);
    an_operators_work_is_there_after_a_restart(&machine);
    every_metric_of_the_dashboards_exists(&machine);
}

fn log_ins_become_one_incident_for_each_address(machine: &Machine) {
    let text: String =
        (0..1_000).map(|n| lines::refused(n, &format!("203.0.113.{}", 1 + n % 4))).collect();
    machine.append(&text).expect("appended");
    let query = "SELECT count() FROM events WHERE class = 'authentication'";
    machine
        .until("a thousand log-ins", SOON, |m| m.count(query), |count| *count == 1_000)
        .expect("stored");
    let output = machine
        .ask(&["events", "--class", "authentication", "--format", "jsonl", "--limit", "0"])
        .expect("asked");
    let rows: Vec<Value> = output
        .stdout
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| serde_json::from_str(&line).ok())
        .collect();
    assert_eq!(rows.len(), 1_000);
    for name in ["time", "user", "src_ip", "status", "raw"] {
        assert!(
            rows.iter().all(|row| row[name].as_str().is_some_and(|text| !text.is_empty())),
            "{name}"
        );
    }
    // Rows are stored before they are counted.
    let counted = |rows: &[Value]| -> (usize, u64) {
        let found = of_rule(rows, "ssh-brute-force");
        (found.len(), found.iter().filter_map(|row| row["count"].as_u64()).sum())
    };
    machine
        .until(
            "four incidents that count all log-ins",
            SOON,
            |m| m.rows(&["incidents"]),
            |rows| counted(rows) == (4, 1_000),
        )
        .expect("incidents");
}

fn a_service_goes_down_and_comes_back(machine: &Machine, up: &AtomicBool) {
    up.store(false, Ordering::SeqCst);
    let down = |rows: &Vec<Value>, state: &str| {
        of_rule(rows, "service-down").iter().any(|row| row["state"] == state)
    };
    machine
        .until("the service is down", SOON, |m| m.rows(&["incidents"]), |rows| down(rows, "new"))
        .expect("found");
    let board = machine.rows(&["agencies", "--agency", "local"]).expect("asked");
    assert_eq!(board[0]["service"], "down");
    up.store(true, Ordering::SeqCst);
    let rows = machine
        .until(
            "the service is back",
            SOON,
            |m| m.rows(&["incidents"]),
            |rows| down(rows, "resolved"),
        )
        .expect("resolved");
    assert!(
        of_rule(&rows, "service-down")[0]["duration_seconds"]
            .as_f64()
            .is_some_and(|seconds| seconds > 0.0)
    );
}

fn state_of_agent(machine: &Machine) -> anyhow::Result<String> {
    let rows = machine.rows(&["agents"])?;
    Ok(rows[0]["state"].as_str().unwrap_or_default().to_owned())
}

fn a_frozen_agent_is_silent_and_catches_up(machine: &Machine) {
    machine.signal(Part::Agent, "STOP").expect("frozen");
    let limit = Duration::from_secs(60);
    machine
        .until("the agent is silent", limit, state_of_agent, |state| state == "silent")
        .expect("silent");
    let board = machine.rows(&["agencies", "--agency", "local"]).expect("asked");
    assert_eq!(board[0]["state"], "silent");
    machine
        .until(
            "an incident",
            limit,
            |m| m.rows(&["incidents"]),
            |rows| !of_rule(rows, "agent-silent").is_empty(),
        )
        .expect("opened");
    machine.append(&(0..100).map(lines::request).collect::<String>()).expect("appended");
    machine.signal(Part::Agent, "CONT").expect("thawed");
    machine
        .until("the agent is heard", SOON, state_of_agent, |state| state == "ok")
        .expect("heard");
    let query = "SELECT count() FROM events WHERE class = 'http_activity'";
    machine.until("its lines", SOON, |m| m.count(query), |count| *count >= 100).expect("caught up");
}

fn a_killed_agent_is_back_by_itself(machine: &Machine) {
    let query = "SELECT count() FROM events WHERE class = 'http_activity'";
    let before = machine.count(query).expect("counted");
    machine.signal(Part::Agent, "KILL").expect("killed");
    machine.append(&(0..50).map(lines::request).collect::<String>()).expect("appended");
    machine
        .until("its lines", SOON, |m| m.count(query), |count| *count == before + 50)
        .expect("back");
}

fn usage_keeps_numerator_denominator_and_age(machine: &Machine) {
    let mut socket =
        UnixStream::connect(machine.data().join("run/usage.sock")).expect("the socket");
    for number in 0..10 {
        let online = number < 6;
        writeln!(socket, r#"{{"kind":"dossier","step":"received","service":"s","dossier":"d{number}","online":{online}}}"#).expect("written");
    }
    for number in 0..4 {
        writeln!(socket, r#"{{"kind":"dossier","step":"closed","service":"s","dossier":"d{number}","on_time":{}}}"#, number < 3).expect("written");
    }
    writeln!(socket, r#"{{"kind":"dossier","step":"received","onlin":true}}"#).expect("written");
    let answers: Vec<String> =
        BufReader::new(&socket).lines().take(15).map_while(Result::ok).collect();
    assert!(answers[..14].iter().all(|answer| answer.contains("\"ok\":true")), "{answers:?}");
    assert!(answers[14].contains("`onlin` is unknown"), "{}", answers[14]);
    let rows = machine
        .until(
            "usage",
            SOON,
            |m| m.rows(&["usage"]),
            |rows| rows.iter().any(|r| r["indicator"] == "on-time-rate" && r["denominator"] == 4.0),
        )
        .expect("usage");
    let find =
        |id: &str| rows.iter().find(|row| row["indicator"] == id).expect("the indicator").clone();
    assert_eq!((&find("dossiers-received")["numerator"]), &Value::from(10.0));
    let online = find("online-filing-rate");
    assert_eq!(
        (&online["numerator"], &online["denominator"], &online["percent"]),
        (&6.0.into(), &10.0.into(), &60.0.into())
    );
    assert!(online["age_seconds"].as_f64().is_some_and(|age| age >= 0.0));
    assert_eq!(find("on-time-rate")["numerator"], Value::from(3.0));
}

fn foreign_records_are_set_aside_and_the_stream_goes_on(machine: &Machine) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", machine.address("kafka").expect("an address"))
        .set("message.max.bytes", "4194304")
        .create()
        .expect("a producer");
    let big = vec![7_u8; 3 << 20];
    for value in [&b"not ours"[..], &[0x0a, 0xff, 0x01], &big] {
        producer
            .send(BaseRecord::to("vonggac.security.v1").key("local").payload(value))
            .map_err(|(error, _)| error)
            .expect("sent");
    }
    producer.flush(Duration::from_secs(10)).expect("delivered");
    let rows = machine
        .until("dead letters", SOON, |m| m.rows(&["dead"]), |rows| rows.len() == 3)
        .expect("set aside");
    assert!(rows.iter().all(|row| row["reason"].is_string()
        && row["offset"].is_number()
        && row["topic"] == "vonggac.security.v1"));
    let before = machine
        .count("SELECT count() FROM events WHERE src_ip = '203.0.113.200'")
        .expect("counted");
    machine.append(&lines::refused(1, "203.0.113.200")).expect("appended");
    let query = "SELECT count() FROM events WHERE src_ip = '203.0.113.200'";
    machine
        .until("the stream goes on", SOON, |m| m.count(query), |count| *count == before + 1)
        .expect("goes on");
}

fn hostile_lines_are_kept_and_shown_harmlessly(machine: &Machine) {
    machine
        .append(&format!("hostile \u{1b}[2J\u{7} \u{202e}line\n{}\n", "x".repeat(200_000)))
        .expect("appended");
    let query = "SELECT count() FROM events WHERE format = 'unparsed'";
    machine.until("both lines", SOON, |m| m.count(query), |count| *count == 2).expect("kept");
    let output = machine.ask(&["events", "--text", "hostile", "--format", "csv"]).expect("asked");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("\\x1b[2J") && !text.contains('\u{1b}') && !text.contains('\u{202e}'),
        "{text}"
    );
    let cut = machine.count("SELECT max(raw_cut_bytes) FROM events").expect("counted");
    assert_eq!(cut, 200_000 - 65_536);
}

fn an_operators_work_is_there_after_a_restart(machine: &Machine) {
    let id = machine.rows(&["incidents", "--rule", "ssh-brute-force"]).expect("asked")[0]["id"]
        .to_string();
    let act =
        |arguments: &[&str]| machine.ask(&[&["incidents"], arguments].concat()).expect("asked");
    assert!(act(&["ack", &id, "--operator", "Lan"]).status.success());
    assert!(act(&["assign", &id, "Minh", "--task", "block", "--operator", "Lan"]).status.success());
    assert!(act(&["note", &id, "called the agency", "--operator", "Minh"]).status.success());
    assert!(act(&["resolve", &id, "blocked", "--operator", "Minh"]).status.success());
    let refused = act(&["close", &id, "--operator", "Minh"]);
    assert!(
        !refused.status.success()
            && String::from_utf8_lossy(&refused.stderr).contains("verdict is missing")
    );
    assert!(
        act(&["close", &id, "--verdict", "true_positive", "--operator", "Minh"]).status.success()
    );
    let events = machine
        .count("SELECT count() FROM events WHERE class = 'authentication'")
        .expect("counted");
    machine.stop().expect("stopped");
    machine.start(&[]).expect("started");
    let shown = machine.rows(&["incidents", "show", &id]).expect("asked");
    let row = &shown[0];
    assert_eq!(
        (&row["state"], &row["owner"], &row["verdict"]),
        (&"closed".into(), &"Minh".into(), &"true_positive".into())
    );
    let actions: Vec<&str> = row["timeline"]
        .as_array()
        .expect("a timeline")
        .iter()
        .filter_map(|step| step["action"].as_str())
        .collect();
    // Graver by its count: at once, or a moment later, as the lines were cut into batches.
    let mut expected = vec!["opened", "acknowledged", "assigned", "noted", "resolved", "closed"];
    if actions.get(1) == Some(&"raised") {
        expected.insert(1, "raised");
    }
    assert_eq!(actions, expected);
    assert_eq!(row["severity"], "high", "graver than the rule's own");
    let query = "SELECT count() FROM events WHERE class = 'authentication'";
    machine
        .until("the old events", SOON, |m| m.count(query), |count| *count == events)
        .expect("there");
}

/// Every metric that a dashboard or rule names is on one of the /metrics pages.
fn every_metric_of_the_dashboards_exists(machine: &Machine) {
    let mut served = String::new();
    for name in ["collector_metrics", "agent_metrics", "single_metrics"] {
        let address = machine.address(name).expect("an address");
        let mut stream = std::net::TcpStream::connect(&address).expect("connected");
        stream
            .write_all(
                format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")
                    .as_bytes(),
            )
            .expect("asked");
        stream.read_to_string(&mut served).expect("answered");
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards");
    let mut named = std::collections::BTreeSet::new();
    let mut stack = vec![root];
    while let Some(path) = stack.pop() {
        if path.is_dir() {
            stack.extend(
                std::fs::read_dir(&path)
                    .expect("a folder")
                    .map(|entry| entry.expect("an entry").path()),
            );
        } else {
            let text = std::fs::read_to_string(&path).expect("a file");
            for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
                if ["vonggac_agent_", "vonggac_collector_", "vonggac_single_"]
                    .iter()
                    .any(|start| word.starts_with(start))
                {
                    named.insert(word.to_owned());
                }
            }
        }
    }
    assert!(named.len() >= 15, "{named:?}");
    // Figures of channels are there where channels are: the story of notifications looks for them.
    let missing: Vec<&String> = named
        .iter()
        .filter(|name| !name.starts_with("vonggac_collector_notifications_"))
        .filter(|name| !served.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
