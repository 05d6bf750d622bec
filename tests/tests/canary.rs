//! The centre's own way is broken: an incident tells it, and the sign of life that leaves the system stops; when it is mended, both come back.
#![expect(clippy::expect_used, reason = "a story stops where its ground is missing")]

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use system_tests::machine::{Machine, Part, program};

const SOON: Duration = Duration::from_secs(60);

/// A second collector that looks at its way each second; it ends with the test.
struct Collector(Child);

impl Drop for Collector {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _waited = self.0.wait();
    }
}

fn collector(machine: &Machine, alive: &Path) -> Collector {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let (kafka, engine) = (machine.address("kafka"), machine.address("engine"));
    let text = format!(
        "plain_text = true\n[kafka]\nbrokers = [\"{}\"]\ngroup = \"second\"\n[engine]\nurl = \"http://{}\"\ndatabase = \"second\"\n\
         [grpc]\nlisten = \"{}\"\n[canary]\ninterval = \"1s\"\n[heartbeat]\ninterval = \"1s\"\nfile = {:?}\n",
        kafka.expect("an address"),
        engine.expect("an address"),
        port.expect("a port"),
        alive.display().to_string(),
    );
    let file = machine.data().join("etc/second.toml");
    fs::write(&file, text).expect("written");
    let log = fs::File::create(machine.data().join("log/second.log")).expect("a log");
    let child = Command::new(program("vonggac-collector"))
        .args(["serve", "--config"])
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    Collector(child.expect("it starts"))
}

fn age(alive: &Path) -> anyhow::Result<Duration> {
    Ok(fs::metadata(alive)?.modified()?.elapsed().unwrap_or_default())
}

fn incidents(machine: &Machine) -> anyhow::Result<Vec<Value>> {
    machine.rows(&["incidents", "--rule", "canary-missing"])
}

#[test]
fn a_broken_way_is_an_incident_and_stops_the_sign_of_life() {
    let Some(machine) = Machine::up(&[], false).expect("the machine starts") else { return };
    let alive = machine.data().join("alive.json");
    let fresh = |age: &Duration| *age < Duration::from_secs(4);
    let _second = collector(&machine, &alive);
    machine.until("a sign of life", SOON, |_| age(&alive), fresh).expect("given");
    assert_eq!(incidents(&machine).expect("asked").len(), 0);

    machine.signal(Part::Engine, "STOP").expect("frozen");
    let old = |age: &Duration| *age > Duration::from_secs(15);
    machine.until("silence", SOON, |_| age(&alive), old).expect("the sign of life stopped");
    machine.signal(Part::Engine, "CONT").expect("thawed");

    let told = machine
        .until("an incident", SOON, incidents, |rows| rows.len() == 1)
        .expect("the broken way is told");
    let first = told.first().expect("a row");
    assert_eq!(
        (&first["agency"], &first["severity"]),
        (&"G22".into(), &"critical".into()),
        "{first}"
    );
    machine.until("a sign of life", SOON, |_| age(&alive), fresh).expect("given again");
    machine
        .until("over", SOON, incidents, |rows| {
            rows.iter().all(|row| row["state"] != "new" && row["state"] != "in-progress")
        })
        .expect("the incident is resolved by itself");
    let engine = machine.address("engine").expect("an address");
    let store = clickhouse::Client::default().with_url(format!("http://{engine}"));
    let through: u64 = tokio::runtime::Runtime::new()
        .expect("a runtime")
        .block_on(
            store
                .query("SELECT uniqExact(kafka_topic, kafka_partition) FROM second.canaries")
                .fetch_one(),
        )
        .expect("counted");
    assert_eq!(through, 12, "through each partition of the three topics");
}
