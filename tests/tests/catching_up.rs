//! After an outage an agent catches up over a thin link, and what happens now does not wait behind it.
#![expect(clippy::expect_used, reason = "a story stops where its ground is missing")]

use std::{
    fs,
    io::Write,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use system_tests::{
    agent::Agent,
    lines,
    machine::{Machine, Part},
};

/// Lines that pile up while Kafka is away, and lines of afterwards.
const OLD: usize = 6_000;
const FRESH: usize = 20;

/// Who tries afterwards.
const NOW: &str = "203.0.113.250";

const THIN: &str = "[ship]\nbytes_per_second_max = \"4KiB\"\nfresh_after = \"2s\"\n";

fn append(agent: &Agent, text: &str) {
    let mut log = fs::OpenOptions::new().append(true).open(&agent.log).expect("the log");
    log.write_all(text.as_bytes()).expect("appended");
}

fn reload(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(pid, Signal::HUP).expect("told");
}

#[test]
fn what_happens_after_an_outage_is_seen_long_before_its_backlog_is_through() {
    let Some(machine) = Machine::up(&[], false).expect("the machine starts") else { return };
    let kafka = machine.address("kafka").expect("Kafka's address");
    let agent = Agent::new(&kafka, THIN).expect("an agent");
    let of_it = "FROM events WHERE class = 'authentication' AND agency = 'H49'";
    append(&agent, &lines::refused(0, "198.51.100.1"));
    let mut child = agent.start().expect("the agent starts");
    let first = machine.until(
        "a first line",
        Duration::from_secs(60),
        |m| m.count(&format!("SELECT count() {of_it}")),
        |count| *count == 1,
    );
    first.unwrap_or_else(|error| panic!("{error:#}\n{}", agent.words()));
    machine.signal(Part::Kafka, "STOP").expect("Kafka is frozen");
    let old: String =
        (1..OLD).map(|n| lines::refused(n, &format!("198.51.100.{}", n % 9))).collect();
    append(&agent, &old);
    thread::sleep(Duration::from_secs(4));
    machine.signal(Part::Kafka, "CONT").expect("Kafka is back");
    let back = Instant::now();
    for n in OLD..OLD + FRESH {
        append(&agent, &lines::refused(n, NOW));
        thread::sleep(Duration::from_millis(100));
    }
    let fresh = machine.until(
        "what is fresh",
        Duration::from_secs(60),
        |m| m.count(&format!("SELECT count() {of_it} AND src_ip = '{NOW}'")),
        |count| *count == FRESH as u64,
    );
    let (after, all) = (back.elapsed(), (OLD + FRESH) as u64);
    let stored = machine.count(&format!("SELECT count() {of_it}"));
    // An incident comes behind its rows.
    let told = machine.until(
        "the attack of now",
        Duration::from_secs(30),
        |m| m.rows(&["incidents"]),
        |rows| rows.iter().any(|row| row["entity"].to_string().contains(NOW)),
    );
    let behind = machine.count(&format!("SELECT count() {of_it}"));
    // The link is wide again: the rest comes.
    agent.configure("").expect("configured");
    reload(&child);
    let whole = machine.until(
        "all lines",
        Duration::from_secs(120),
        |m| m.count(&format!("SELECT count() {of_it}")),
        |count| *count >= all,
    );
    thread::sleep(Duration::from_secs(3));
    let distinct = machine.count(&format!("SELECT uniqExact(seq) {of_it}"));
    let rows = machine.count(&format!("SELECT count() {of_it}"));
    let gaps = machine.rows(&["sql", "SELECT * FROM gaps WHERE agency = 'H49'"]);
    child.kill().expect("killed");
    child.wait().expect("waited for");
    let told_words = |error| panic!("{error:#}\n{}", agent.words());
    for found in [fresh.map(drop), told.map(drop), whole.map(drop)] {
        found.unwrap_or_else(told_words);
    }
    let stored = stored.expect("counted");
    eprintln!("what is fresh after {after:?}, with {stored} of {all} lines stored");
    assert!(stored < all / 2, "the backlog was through before: {stored} of {all}");
    assert!(behind.expect("counted") < all, "the attack was told when all had come");
    assert_eq!((rows.expect("counted"), distinct.expect("counted")), (all, all), "each once");
    assert_eq!(gaps.expect("asked"), Vec::<Value>::new(), "nothing is missing");
}
