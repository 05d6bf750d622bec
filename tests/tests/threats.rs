//! A threat list names what came by before it was known: stored events are searched, what is found is an incident of the live rule with the
//! events' own times, once, and what comes afterwards is counted in the same one.
#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a story stops where its ground is missing, and tells why"
)]

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use clickhouse::Client;
use system_tests::{
    lines,
    machine::{Machine, program},
};
use tokio::runtime::Runtime;
use vonggac_wire::proto::Incident;

const SOON: Duration = Duration::from_secs(180);

/// A second collector with a folder of threat lists; it ends with the test.
struct Collector {
    file: PathBuf,
    log: PathBuf,
    child: Child,
}

impl Collector {
    fn new(machine: &Machine, threats: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let (kafka, engine) = (machine.address("kafka"), machine.address("engine"));
        let text = format!(
            "plain_text = true\n[kafka]\nbrokers = [\"{}\"]\ngroup = \"second\"\n[engine]\nurl = \"http://{}\"\ndatabase = \"second\"\n\
             [grpc]\nlisten = \"{}\"\n[threats]\ndir = {:?}\n",
            kafka.expect("an address"),
            engine.expect("an address"),
            port.expect("a port"),
            threats.display().to_string(),
        );
        let file = machine.data().join("etc/second.toml");
        fs::write(&file, text).expect("written");
        let log = machine.data().join("log/second.log");
        Self { child: started(&file, &log), file, log }
    }

    fn kill(&mut self) {
        let _gone = self.child.kill();
        let _waited = self.child.wait();
    }

    fn again(&mut self) {
        self.kill();
        self.child = started(&self.file, &self.log);
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

fn started(file: &Path, log: &Path) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
    let child = Command::new(program("vonggac-collector"))
        .args(["serve", "--config"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    child.expect("it starts")
}

/// The second collector's store.
struct Store {
    client: Client,
    runtime: Runtime,
}

impl Store {
    fn number(&self, query: &str) -> anyhow::Result<u64> {
        Ok(self.runtime.block_on(self.client.query(query).fetch_one())?)
    }

    /// The incidents of a rule as they are now.
    fn incidents(&self, rule: &str) -> anyhow::Result<Vec<Incident>> {
        let text = "SELECT argMax(after, version) FROM transitions WHERE rule = ? GROUP BY incident ORDER BY incident";
        let asked = self.client.query(text).bind(rule).fetch_all::<String>();
        let rows = self.runtime.block_on(asked)?;
        rows.iter().map(|row| Ok(serde_json::from_str(row)?)).collect()
    }

    /// What each incident is about, and how many events it counts.
    fn counts(&self, rule: &str) -> anyhow::Result<Vec<(String, u64)>> {
        let all = self.incidents(rule)?;
        let about = |incident: &Incident| incident.entity.clone().unwrap_or_default().value;
        let mut counts: Vec<_> =
            all.iter().map(|incident| (about(incident), incident.count)).collect();
        counts.sort();
        Ok(counts)
    }

    fn searched(&self) -> anyhow::Result<u64> {
        self.number("SELECT count() FROM threat_entries FINAL WHERE state = 'searched'")
    }
}

const LIST: &str = "type,value,expires,name\n\
                    ip,203.0.113.50,,scanner\n\
                    network,198.51.100.64/26,,botnet\n\
                    ip,203.0.113.60,2020-01-01T00:00:00Z,long over\n\
                    domain,bad.example.org,,control\n\
                    url,http://worse.example.org/load,,loader\n\
                    hash,aabbccddeeff00112233445566778899,,tool\n";

fn proxied(number: usize, url: &str) -> String {
    lines::request(number).replace(&format!("/ho-so/{number}"), url)
}

#[test]
fn what_came_before_it_was_listed_is_told_once_with_its_own_time() {
    let Some(machine) = Machine::up(&[], false).expect("the machine starts") else { return };
    let threats = machine.data().join("threats");
    fs::create_dir_all(&threats).expect("a folder");
    let engine = machine.address("engine").expect("an address");
    let client = Client::default().with_url(format!("http://{engine}")).with_database("second");
    let store = Store { client, runtime: Runtime::new().expect("a runtime") };
    let mut second = Collector::new(&machine, &threats);

    // Two refusals are no attack yet, and a success is none at all.
    let mut text: String = (0..2).map(|n| lines::refused(n, "203.0.113.50")).collect();
    text.push_str(&lines::refused(3, "203.0.113.60"));
    // Of these addresses the last two are of the network.
    text.extend((60..65).map(lines::request));
    text.push_str(&proxied(5, "http://www.bad.example.org/a"));
    text.push_str(&proxied(6, "http://worse.example.org/load"));
    text.push_str(&proxied(7, "http://worse.example.org/other"));
    machine.append(&text).expect("appended");
    let stored = |store: &Store| {
        store
            .number("SELECT count() FROM events WHERE class IN ('authentication', 'http_activity')")
    };
    machine.until("the events", SOON, |_| stored(&store), |count| *count == 11).expect("stored");
    assert!(store.counts("listed-source").expect("asked").is_empty());

    fs::write(threats.join("list.csv"), LIST).expect("written");
    machine.until("a search", SOON, |_| store.searched(), |count| *count == 6).expect("done");
    let sources = [("198.51.100.64", 1), ("198.51.100.65", 1), ("203.0.113.50", 2)];
    let sources = sources.map(|(address, count)| (address.to_owned(), count)).to_vec();
    let told = |store: &Store| store.counts("listed-source");
    let said = |told: &Vec<(String, u64)>| *told == sources;
    machine.until("the sources", SOON, |_| told(&store), said).expect("told");
    // A domain and a URL on one host.
    let contacts = |store: &Store| -> anyhow::Result<Vec<u64>> {
        Ok(store.counts("listed-contact")?.into_iter().map(|(_, count)| count).collect())
    };
    let both = |counts: &Vec<u64>| counts == &[2];
    machine.until("the contacts", SOON, |_| contacts(&store), both).expect("told");
    let scanner = store.incidents("listed-source").expect("asked");
    let scanner = scanner.iter().find(|incident| incident.count == 2).expect("the scanner's");
    let first = store.number(
        "SELECT toUInt64(toUnixTimestamp64Micro(min(time))) FROM events WHERE src_ip = '203.0.113.50'",
    );
    let first = i64::try_from(first.expect("asked")).expect("a time") * 1_000;
    assert_eq!(scanner.first_time_unix_nano, first, "the event's own time");
    assert_eq!(scanner.evidence.len(), 2);

    // Dead after it told and before it wrote that down: the same is found again, and is known.
    second.kill();
    let steps = store.number("SELECT count() FROM transitions WHERE rule LIKE 'listed-%'");
    let again = "INSERT INTO threat_entries SELECT entry, since, until, 'listed', toUInt64(toUnixTimestamp64Micro(now64(6))) FROM threat_entries FINAL";
    store.runtime.block_on(store.client.query(again).execute()).expect("written");
    assert_eq!(store.searched().expect("asked"), 0);
    second.again();
    machine.until("a search", SOON, |_| store.searched(), |count| *count == 6).expect("done");

    // What comes now is the live rule's, and goes to the same incident.
    machine.append(&lines::refused(9, "203.0.113.50")).expect("appended");
    let counted = |told: &Vec<(String, u64)>| told.contains(&("203.0.113.50".to_owned(), 3));
    let now = machine.until("the live rule", SOON, |_| told(&store), counted).expect("counted");
    assert_eq!(now.len(), 3);
    let later = store.number("SELECT count() FROM transitions WHERE rule LIKE 'listed-%'");
    assert_eq!(later.expect("asked"), steps.expect("asked") + 1, "nothing was told twice");
}
