//! What is kept quiet on one machine: an attack that is known, and a portal that is meant to be down, through a restart to the end of both.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a story stops where its ground is missing"
)]

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value;
use system_tests::{lines, machine::Machine};

const SOON: Duration = Duration::from_secs(60);

/// A web server that answers while it is told to.
fn server(up: &Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let up = Arc::clone(up);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _read = stream.read(&mut [0; 512]);
            let status = if up.load(Ordering::SeqCst) { "200 OK" } else { "503 Down" };
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _written = stream.write_all(answer.as_bytes());
        }
    });
    url
}

fn of_rule(machine: &Machine, rule: &str) -> anyhow::Result<usize> {
    Ok(machine.rows(&["incidents"])?.iter().filter(|row| row["rule"] == rule).count())
}

/// The one period of a list.
fn period(machine: &Machine, list: &[&str]) -> anyhow::Result<Value> {
    let rows = machine.rows(list)?;
    anyhow::ensure!(rows.len() == 1, "{list:?}: {rows:?}");
    Ok(rows[0].clone())
}

fn added(machine: &Machine, call: &[&str]) -> String {
    let rows = machine.rows(call).expect("added");
    assert_eq!(rows[0]["state"], "running", "{rows:?}");
    rows[0]["id"].as_str().expect("an id").to_owned()
}

fn attack(machine: &Machine, address: &str) {
    let text: String = (0..40).map(|number| lines::refused(number, address)).collect();
    machine.append(&text).expect("appended");
}

const SUPPRESSED: [&str; 2] = ["suppress", "list"];
const MAINTAINED: [&str; 2] = ["maintenance", "list"];

#[test]
fn what_is_known_is_quiet_and_counted_until_its_end_and_through_a_restart() {
    let up = Arc::new(AtomicBool::new(true));
    let url = server(&up);
    let Some(machine) = Machine::up(std::slice::from_ref(&url), false).expect("the machine starts")
    else {
        return;
    };
    what_would_keep_everything_quiet_is_refused(&machine);
    let known = an_attack_that_is_known_opens_nothing(&machine);
    let planned = a_portal_that_is_maintained_is_neither_up_nor_down(&machine, &up);
    machine.stop().expect("stopped");
    machine.start(&[]).expect("started");
    nothing_is_counted_twice_and_nothing_opened(&machine);
    why_it_is_quiet_is_told(&machine, &known, &planned);
    the_next_attack_behind_the_end_is_told(&machine, &known);
    what_is_still_down_behind_the_end_is_told_at_once(&machine, &planned);
    who_did_what_is_in_the_books(&machine, &[&known, &planned]);
}

fn what_would_keep_everything_quiet_is_refused(machine: &Machine) {
    for (call, word) in [
        (["suppress", "add", "--agency", "local", "--reason", "r", "--for", "1h"], "everything"),
        (["suppress", "add", "--rule", "break-glass", "--reason", "r", "--for", "1h"], "nobody"),
        (["suppress", "add", "--rule", "web-flood", "--reason", "r", "--for", "1h"], "web-attack"),
        (["suppress", "add", "--host", "web-1", "--reason", "r", "--for", "91d"], "90 days"),
    ] {
        let output = machine.ask(&call).expect("asked");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(word), "{call:?}: {told}");
    }
    assert!(machine.rows(&SUPPRESSED).expect("asked").is_empty());
}

fn an_attack_that_is_known_opens_nothing(machine: &Machine) -> String {
    let id = added(
        machine,
        &[
            "suppress",
            "add",
            "--rule",
            "ssh-brute-force",
            "--agency",
            "local",
            "--src-ip",
            "203.0.112.0/22",
            "--reason",
            "our own test of passwords",
            "--for",
            "1h",
        ],
    );
    attack(machine, "203.0.113.7");
    let shown = machine
        .until(
            "all of it is counted",
            SOON,
            |m| period(m, &SUPPRESSED),
            |row| row["withheld_events"] == 40,
        )
        .expect("counted");
    assert_eq!(
        (&shown["last_rule"], &shown["last_entity"]),
        (&"ssh-brute-force".into(), &"203.0.113.7".into())
    );
    assert_eq!(of_rule(machine, "ssh-brute-force").expect("asked"), 0);
    let found = machine.rows(&["events", "--src-ip", "203.0.113.7", "--limit", "0"]);
    assert_eq!(found.expect("asked").len(), 40, "rows stay where they are");
    attack(machine, "198.51.100.9");
    machine
        .until("another address", SOON, |m| of_rule(m, "ssh-brute-force"), |count| *count == 1)
        .expect("told");
    id
}

fn a_portal_that_is_maintained_is_neither_up_nor_down(
    machine: &Machine,
    up: &AtomicBool,
) -> String {
    let lamp = |m: &Machine| Ok(m.rows(&["agencies", "--agency", "local"])?[0]["service"].clone());
    let id = added(
        machine,
        &["maintenance", "add", "--agency", "local", "--reason", "a new version", "--for", "1h"],
    );
    up.store(false, Ordering::SeqCst);
    machine
        .until(
            "it is down",
            SOON,
            |m| period(m, &MAINTAINED),
            |row| row["last_rule"] == "service-down",
        )
        .expect("withheld");
    machine
        .until("its lamp", SOON, lamp, |state| state == "maintenance")
        .expect("neither green nor red");
    let checks = machine.rows(&["checks"]).expect("asked");
    assert!(checks.iter().all(|row| row["state"] == "maintenance"), "{checks:?}");
    assert_eq!(of_rule(machine, "service-down").expect("asked"), 0);
    id
}

fn nothing_is_counted_twice_and_nothing_opened(machine: &Machine) {
    // Detection has read again what it needs, and the portal was asked anew.
    let heard = |m: &Machine| m.rows(&["checks"]);
    machine
        .until("a check", SOON, heard, |rows| {
            !rows.is_empty() && rows.iter().all(|row| row["state"] == "maintenance")
        })
        .expect("asked anew");
    thread::sleep(Duration::from_secs(15));
    let shown = period(machine, &SUPPRESSED).expect("one");
    assert_eq!(shown["withheld_events"], 40, "{shown}");
    assert_eq!(of_rule(machine, "ssh-brute-force").expect("asked"), 1);
    assert_eq!(of_rule(machine, "service-down").expect("asked"), 0);
}

fn why_it_is_quiet_is_told(machine: &Machine, known: &str, planned: &str) {
    let few: String = (0..3).map(|number| lines::refused(number, "192.0.2.44")).collect();
    machine.append(&few).expect("appended");
    let why = |rule: &str, pleases: &dyn Fn(&Value) -> bool| {
        let call = ["why", "--agency", "local", "--since", "2h", "--rule", rule];
        let found = machine.until(rule, SOON, |m| m.rows(&call), |rows| rows.iter().any(pleases));
        found.expect("told");
    };
    why("ssh-brute-force", &|row| {
        row["reason"] == "suppression" && row["period"] == known && row["count"].is_u64()
    });
    why("ssh-brute-force", &|row| {
        let few = row["entity"] == "192.0.2.44" && row["count"] == 3 && row["wanted"] == 5;
        row["reason"] == "threshold" && few
    });
    why("ssh-brute-force", &|row| row["reason"] == "open" && row["entity"] == "198.51.100.9");
    why("service-down", &|row| row["reason"] == "maintenance" && row["period"] == planned);
    why("port-scan", &|row| row["reason"] == "no-source");
    why("no-such-rule", &|row| row["reason"] == "not-loaded");
}

fn the_next_attack_behind_the_end_is_told(machine: &Machine, id: &str) {
    let end = ["suppress", "end", &id[..8], "--reason", "the test is over"];
    assert_eq!(machine.rows(&end).expect("ended")[0]["state"], "ended");
    attack(machine, "203.0.113.9");
    let told = |m: &Machine| m.rows(&["incidents", "--rule", "ssh-brute-force"]);
    machine
        .until("the next one", SOON, told, |rows| {
            rows.iter().any(|row| row["entity"] == "203.0.113.9" && row["count"] == 40)
        })
        .expect("told");
    let shown = period(machine, &["suppress", "list", "--all"]).expect("one");
    assert_eq!(
        (&shown["withheld_events"], &shown["end_reason"]),
        (&40.into(), &"the test is over".into())
    );
}

fn what_is_still_down_behind_the_end_is_told_at_once(machine: &Machine, id: &str) {
    let end = ["maintenance", "end", id, "--reason", "done"];
    assert!(machine.ask(&end).expect("asked").status.success());
    machine
        .until("it is told", SOON, |m| of_rule(m, "service-down"), |count| *count == 1)
        .expect("told");
    let board = machine.rows(&["agencies", "--agency", "local"]).expect("asked");
    assert_eq!(board[0]["service"], "down");
}

fn who_did_what_is_in_the_books(machine: &Machine, ids: &[&str]) {
    let rows = machine.rows(&["audit", "--call", "change-quiet", "--limit", "0"]).expect("asked");
    for id in ids {
        let of = |row: &&Value| row["words"].as_str().is_some_and(|words| words.contains(id));
        assert_eq!(rows.iter().filter(of).count(), 2, "{id}: {rows:?}");
    }
    let steps = machine.count("SELECT count() FROM quiet_periods").expect("counted");
    assert_eq!(steps, 4, "an end is a step of its own");
}
