//! A server without a link: its spool is carried to the centre on a stick, twice, and then the link comes back.

#![expect(clippy::expect_used, reason = "a story stops where its ground is missing")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::Duration,
};

use system_tests::{
    lines,
    machine::{Machine, program},
};

const LINES: usize = 2_500;

/// A port on which nobody listens.
const NOWHERE: &str = "127.0.0.1:9";

struct Agent {
    folder: tempfile::TempDir,
}

impl Agent {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let text: String = (0..LINES).map(|n| lines::refused(n, "198.51.100.9")).collect();
        fs::write(folder.path().join("far.log"), text).expect("a log");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs it for a while with this Kafka.
    fn live(&self, kafka: &str, time: Duration) {
        let text = format!(
            "agency = \"H49\"\nhost = \"far-1\"\nplain_text = true\n[kafka]\nbrokers = [\"{kafka}\"]\n\
             [heartbeat]\ninterval = \"1s\"\n[host_figures]\nenabled = false\n[journal]\nenabled = false\n\
             [spool]\ndir = \"{}\"\n[[tail]]\npath = \"{}\"\nfrom = \"start\"\n",
            self.path("spool").display(),
            self.path("far.log").display()
        );
        fs::write(self.path("agent.toml"), text).expect("a configuration");
        let mut child = Command::new(program("vonggac-agent"))
            .args(["run", "--config"])
            .arg(self.path("agent.toml"))
            .spawn()
            .expect("the agent starts");
        thread::sleep(time);
        child.kill().expect("killed");
        child.wait().expect("waited for");
    }
}

fn spool(arguments: &[&str], paths: &[&Path]) -> Output {
    let (action, rest) = arguments.split_first().expect("an action");
    Command::new(program("vonggac-agent"))
        .args(["spool", action])
        .args(paths)
        .args(rest)
        .output()
        .expect("the command runs")
}

fn right(output: &Output) -> String {
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    out.into_owned()
}

#[test]
fn a_spool_carried_by_hand_twice_is_stored_once() {
    let Some(machine) = Machine::up(&[], false).expect("the machine starts") else { return };
    let kafka = machine.address("kafka").expect("Kafka's address");
    let agent = Agent::new();
    agent.live(NOWHERE, Duration::from_secs(4));
    let (config, stick) = (agent.path("agent.toml"), agent.path("stick.vgs"));
    let config = config.to_str().expect("a path");
    let told = right(&spool(&["export", "--config", config, "--format", "json"], &[&stick]));
    assert!(told.contains(&format!("\"last_seq\": {LINES}")), "{told}");

    // A stick that was damaged on its way brings nothing.
    let mut bytes = fs::read(&stick).expect("the file");
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    let bad = agent.path("bad.vgs");
    fs::write(&bad, bytes).expect("written");
    let refused = spool(&["import", "--brokers", &kafka], &[&bad]);
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && words.contains("altered at or behind byte"), "{words}");

    for _ in 0..2 {
        right(&spool(&["import", "--brokers", &kafka], &[&stick]));
    }
    let query = "SELECT count() FROM events WHERE agency = 'H49' AND class = 'authentication'";
    let wanted = LINES as u64;
    machine
        .until("the lines", Duration::from_secs(60), |m| m.count(query), |n| *n >= wanted)
        .expect("stored");
    // The link comes back before anybody settled: the agent sends all of it itself.
    agent.live(&kafka, Duration::from_secs(6));
    fs::write(
        agent.path("far.log"),
        fs::read_to_string(agent.path("far.log")).expect("the log")
            + &lines::refused(LINES, "198.51.100.9"),
    )
    .expect("one more line");
    agent.live(&kafka, Duration::from_secs(6));
    machine
        .until("one more", Duration::from_secs(60), |m| m.count(query), |n| *n > wanted)
        .expect("stored");
    thread::sleep(Duration::from_secs(3));
    assert_eq!(machine.count(query).expect("counted"), wanted + 1);
    let gaps = machine.rows(&["sql", "SELECT * FROM gaps WHERE agency = 'H49'"]);
    assert_eq!(gaps.expect("asked"), Vec::<serde_json::Value>::new());
}

#[test]
fn what_a_receipt_names_may_go_and_nothing_else() {
    let Some(machine) = Machine::up(&[], false).expect("the machine starts") else { return };
    let kafka = machine.address("kafka").expect("Kafka's address");
    let agent = Agent::new();
    agent.live(NOWHERE, Duration::from_secs(4));
    let (config, stick, dir) =
        (agent.path("agent.toml"), agent.path("stick.vgs"), agent.path("spool"));
    let (config, dir) = (config.to_str().expect("a path"), dir.to_str().expect("a path"));
    right(&spool(&["export", "--config", config, "--lane", "security"], &[&stick]));
    right(&spool(&["import", "--brokers", &kafka], &[&stick]));
    let receipt = agent.path("stick.vgs.receipt");
    let unsure = spool(&["settle", "--dir", dir], &[&receipt]);
    assert!(!unsure.status.success(), "it asks for --yes");
    right(&spool(&["settle", "--dir", dir, "--yes"], &[&receipt]));
    let stats = right(&spool(&["stats", "--dir", dir, "--format", "json"], &[]));
    let stats: serde_json::Value = serde_json::from_str(&stats).expect("JSON");
    assert_eq!(stats["lanes"][0]["acknowledged_seq"], LINES as u64);
    assert_eq!(stats["lanes"][1]["acknowledged_seq"], 0, "heartbeats were not exported");
    right(&spool(&["check", "--dir", dir], &[]));
    let again = spool(&["settle", "--dir", dir, "--yes"], &[&receipt]);
    assert!(again.status.success(), "a second time changes nothing");
}
