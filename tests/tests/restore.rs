//! A store is destroyed and comes back from a copy and from what Kafka still has: the same rows by checksum, none missing, none twice.
#![expect(clippy::expect_used, reason = "a story stops where its ground is missing")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value;
use system_tests::{
    lines,
    machine::{Machine, program},
};

const SOON: Duration = Duration::from_secs(60);

/// Lines before the copy, and behind it.
const LINES: usize = 2_000;

fn collector(machine: &Machine, arguments: &[&str]) -> Output {
    Command::new(program("vonggac-collector"))
        .args(arguments)
        .arg("--config")
        .arg(machine.data().join("etc/collector.toml"))
        .output()
        .expect("the collector's program runs")
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asks the engine itself, for when no collector runs.
fn ask<T: clickhouse::RowOwned + clickhouse::RowRead>(machine: &Machine, query: &str) -> T {
    let url = format!("http://{}", machine.address("engine").expect("the engine's address"));
    let client = clickhouse::Client::default().with_url(url).with_database("vonggac");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(client.query_raw(query).fetch_one()).expect(query)
}

/// Has the engine do something.
fn have(machine: &Machine, statement: &str) {
    let url = format!("http://{}", machine.address("engine").expect("the engine's address"));
    let client = clickhouse::Client::default().with_url(url).with_database("vonggac");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(client.query_raw(statement).execute()).expect(statement);
}

/// A day of two years ago, whose rows retention took long since: its sums are all that is left of it.
const GONE: &str = "INSERT INTO rollups (span, bucket, month, agency, class, lane, kafka_topic, kafka_partition, events, count, seconds, users, newest, last_offset) \
    SELECT of_span, toStartOfDay(now() - INTERVAL 700 DAY), toYYYYMM(now() - INTERVAL 700 DAY), 'H49', 'check', 'uptime', 'vonggac.uptime.v1', 0, \
    1440, 1440, 12.5, uniqCombinedIfState('lan', 1), now64(6) - INTERVAL 700 DAY, 0 FROM (SELECT arrayJoin(['hour', 'day']) AS of_span) GROUP BY of_span";

/// Minutes of its month, more than are copied as one piece.
const GONE_MINUTES: &str = "INSERT INTO rollups (span, bucket, month, agency, class, lane, kafka_topic, kafka_partition, events, count, newest, last_offset) \
    SELECT 'minute', toDateTime(toStartOfMonth(now() - INTERVAL 700 DAY), 'UTC') + toIntervalMinute(number % 40000) AS at, toYYYYMM(at), concat('X', toString(intDiv(number, 40000))), \
    'check', 'uptime', 'vonggac.uptime.v1', 0, 1, 2, at, 0 FROM numbers(310000)";

/// What is left of both, by events, their counts, seconds and users.
const OF_GONE: (u64, u64, f64, u64) = (312_880, 622_880, 25.0, 1);

/// What is left of it.
fn of_gone(machine: &Machine) -> (u64, u64, f64, u64) {
    ask(
        machine,
        "SELECT sum(events), sum(count), sum(seconds), uniqCombinedIfMerge(users) FROM rollups WHERE bucket < now() - INTERVAL 600 DAY",
    )
}

/// Events of late that are in the sums by day: they come there some seconds after their rows.
fn recently_summed(machine: &Machine) -> anyhow::Result<u64> {
    machine.count(
        "SELECT sum(events) FROM rollups WHERE span = 'day' AND bucket > now() - INTERVAL 600 DAY",
    )
}

/// Spans of partitions with sums, those of them that are not what their rows come to, and all events in the sums by day.
fn sums_and_wrong_ones(machine: &Machine) -> (u64, u64, u64) {
    ask(
        machine,
        "SELECT count(), countIf(summed != held), sumIf(summed, of_span = 'day') FROM (SELECT s.of_span AS of_span, any(s.summed) AS summed, \
         countIf(e.kafka_offset <= s.last) AS held FROM (SELECT toString(span) AS of_span, kafka_topic AS topic, kafka_partition AS partition, sum(events) AS summed, \
         max(last_offset) AS last FROM rollups WHERE bucket > now() - INTERVAL 600 DAY GROUP BY of_span, topic, partition) AS s \
         INNER JOIN events AS e ON e.kafka_topic = s.topic AND e.kafka_partition = s.partition GROUP BY s.of_span, s.topic, s.partition)",
    )
}

/// Everything of a row but when it was stored.
const ROW: &str = "cityHash64(agency, class, time, observed, host, system, agent, lane, seq, class_uid, activity_id, status, status_detail, severity_id, \
    user, actor_user, src_ip, src_port, service, process, pid, command, http_method, url, http_status, user_agent, response_bytes, check_name, \
    check_target, total_seconds, usage_service, step, toString((online, full_process, digitised, on_time, electronic)), count, score, message, raw, \
    raw_cut_bytes, source, source_offset, format, time_doubt, simulated, fields, kafka_topic, kafka_partition, kafka_offset, kafka_index)";

/// Rows and their sum below offsets of `(topic, partition)`.
fn sum(machine: &Machine, below: &str) -> (u64, u64) {
    ask(machine, &format!("SELECT count(), sum({ROW}) FROM events WHERE {below}"))
}

fn below(machine: &Machine) -> String {
    let text: String = ask(
        machine,
        "SELECT arrayStringConcat(groupArray(concat('(kafka_topic = \\'', topic, '\\' AND kafka_partition = ', toString(partition), ' AND kafka_offset < ', \
         toString(next), ')')), ' OR ') FROM (SELECT topic, partition, argMax(value, version) AS next FROM progress WHERE agent = '' GROUP BY topic, partition)",
    );
    format!("({text})")
}

fn only_the_store(machine: &Machine) {
    machine.stop().expect("stopped");
    machine.start(&["--only", "kafka,engine"].map(str::to_owned)).expect("started");
}

fn incidents(machine: &Machine) -> Vec<(String, u64, String)> {
    let rows = machine.rows(&["incidents", "--rule", "ssh-brute-force"]).expect("asked");
    let mut all: Vec<(String, u64, String)> = rows
        .iter()
        .map(|row| {
            (
                row["entity"].to_string(),
                row["count"].as_u64().unwrap_or(0),
                row["state"].to_string(),
            )
        })
        .collect();
    all.sort();
    all
}

fn attack(machine: &Machine, address: &str) {
    let text: String = (0..40).map(|number| lines::refused(number, address)).collect();
    machine.append(&text).expect("appended");
}

fn stored(machine: &Machine, lines: u64) {
    let query = "SELECT count() FROM events WHERE class IN ('http_activity', 'authentication')";
    machine.until("the lines", SOON, |m| m.count(query), |count| *count >= lines).expect("stored");
}

/// Lines, a copy under load, more lines.
fn a_life_with_a_copy_in_it(machine: &Machine, copy: &Path) -> Vec<(String, u64, String)> {
    let text: String = (0..LINES).map(lines::request).collect();
    machine.append(&text).expect("appended");
    attack(machine, "203.0.113.10");
    stored(machine, LINES as u64 + 40);
    have(machine, GONE);
    have(machine, GONE_MINUTES);
    machine.until("sums", SOON, recently_summed, |count| *count >= LINES as u64).expect("summed");
    let log = machine.log.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let stop = Arc::clone(&stop);
        thread::spawn(move || {
            let mut written = 0;
            while !stop.load(Ordering::SeqCst) {
                let text: String =
                    (0..20).map(|number| lines::request(LINES + written + number)).collect();
                let mut file = fs::OpenOptions::new().append(true).open(&log).expect("the log");
                std::io::Write::write_all(&mut file, text.as_bytes()).expect("appended");
                written += 20;
                thread::sleep(Duration::from_millis(20));
            }
            written
        })
    };
    let told = succeeded(&collector(
        machine,
        &["backup", "--to", &copy.display().to_string(), "--by", "Lan"],
    ));
    assert!(told.contains(" events, "), "{told}");
    stop.store(true, Ordering::SeqCst);
    let written = writer.join().expect("the writer");
    assert!(written > 0);
    attack(machine, "203.0.113.10");
    attack(machine, "203.0.113.11");
    stored(machine, (LINES + written + 120) as u64);
    machine
        .until(
            "two incidents",
            SOON,
            |m| Ok(incidents(m)),
            |all| all.iter().map(|(_, count, _)| count).sum::<u64>() == 120,
        )
        .expect("incidents");
    let id = machine.rows(&["incidents", "--rule", "ssh-brute-force"]).expect("asked")[0]["id"]
        .to_string();
    let acted = machine.ask(&["incidents", "ack", &id, "--operator", "Lan"]).expect("asked");
    assert!(acted.status.success());
    // The picture learns of it a moment after the command is answered.
    let new =
        |all: &Vec<(String, u64, String)>| all.iter().filter(|one| one.2.contains("new")).count();
    machine.until("one taken", SOON, |m| Ok(incidents(m)), |all| new(all) == 1).expect("taken")
}

#[test]
fn a_destroyed_store_comes_back_from_its_copy_and_kafka() {
    let Some(machine) = Machine::up(&[], false).expect("the machine starts") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy");
    let from = copy.display().to_string();
    let before = a_life_with_a_copy_in_it(&machine, &copy);
    only_the_store(&machine);
    let closed = below(&machine);
    let whole = sum(&machine, &closed);
    let refused = collector(&machine, &["restore", "--from", &from, "--yes"]);
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("say --replace"),
        "a store with rows is not written over"
    );

    machine.stop().expect("stopped");
    fs::remove_dir_all(machine.data().join("engine/store")).expect("destroyed");
    machine.start(&["--only", "kafka,engine"].map(str::to_owned)).expect("started");
    a_damaged_copy_is_refused(&machine, &copy);
    let told =
        succeeded(&collector(&machine, &["restore", "--from", &from, "--yes", "--by", "Minh"]));
    assert!(told.contains("restored: ") && !told.contains("missing: "), "{told}");
    let manifest: Value =
        serde_json::from_slice(&fs::read(copy.join("manifest.json")).expect("a manifest"))
            .expect("JSON");
    let copied = manifest["tables"][0]["rows"].as_u64().expect("rows");
    let held: u64 = ask(&machine, "SELECT count() FROM events");
    assert_eq!(held, copied);
    assert_eq!(of_gone(&machine), OF_GONE, "sums whose rows are gone");
    let (spans, wrong, _) = sums_and_wrong_ones(&machine);
    assert!(spans >= 3 && wrong == 0, "{wrong} of {spans} differ from the restored rows");
    assert!(
        copied >= LINES as u64 && copied < whole.0,
        "the copy has a part of the story: {copied} of {}",
        whole.0
    );

    machine.stop().expect("stopped");
    machine.start(&["--only", "kafka,engine,collector,agent"].map(str::to_owned)).expect("started");
    machine
        .until(
            "what came since the copy",
            SOON,
            |m| m.count(&format!("SELECT count() FROM events WHERE {closed}")),
            |count| *count >= whole.0,
        )
        .expect("stored again");
    machine
        .until("sums of what came since", SOON, recently_summed, |count| *count >= whole.0)
        .expect("summed again");
    // What would be doubled comes a little later.
    thread::sleep(Duration::from_secs(5));
    machine
        .until("the incidents of before", SOON, |m| Ok(incidents(m)), |all| *all == before)
        .expect("the same incidents, counted once");
    only_the_store(&machine);
    assert_eq!(sum(&machine, &closed), whole, "rows and checksum");
    let (rows, places): (u64, u64) = ask(
        &machine,
        "SELECT count(), uniqExact(kafka_topic, kafka_partition, kafka_offset, kafka_index) FROM events",
    );
    assert_eq!(rows, places, "no row twice");
    let (lines, numbers): (u64, u64) =
        ask(&machine, "SELECT count(), uniqExact(agent, lane, seq) FROM events");
    assert_eq!(lines, numbers, "no event twice");
    let (spans, wrong, events) = sums_and_wrong_ones(&machine);
    assert!(spans >= 3 && wrong == 0, "{wrong} of {spans} count an event twice or never");
    assert!(events >= whole.0, "{events} of {}", whole.0);
    assert_eq!(of_gone(&machine), OF_GONE, "neither lost nor doubled");
    let gaps: u64 = ask(&machine, "SELECT count() FROM gaps");
    assert_eq!(gaps, 0, "nothing is missing");
}

fn a_damaged_copy_is_refused(machine: &Machine, copy: &Path) {
    let manifest: Value =
        serde_json::from_slice(&fs::read(copy.join("manifest.json")).expect("a manifest"))
            .expect("JSON");
    let file = copy.join(manifest["tables"][0]["files"][0]["path"].as_str().expect("a file"));
    let whole = fs::read(&file).expect("read");
    let mut torn = whole.clone();
    torn.truncate(whole.len() - 1);
    fs::write(&file, &torn).expect("torn");
    let from = copy.display().to_string();
    for arguments in [&["restore", "--from", &from, "--yes"][..], &["backup", "--check", &from]] {
        let refused = collector(machine, arguments);
        assert!(
            !refused.status.success()
                && String::from_utf8_lossy(&refused.stderr).contains("BLAKE3"),
            "{refused:?}"
        );
    }
    fs::write(&file, &whole).expect("whole");
    let told = succeeded(&collector(machine, &["backup", "--check", &from]));
    assert!(told.starts_with("whole: "), "{told}");
}
