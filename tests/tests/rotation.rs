//! The issuer is rotated and all agents' certificates renewed while lines come: no line is lost or doubled, and nothing is started again.
#![expect(clippy::expect_used, reason = "a story stops where its ground is missing")]

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use system_tests::{
    machine::{Machine, Part, program},
    running::{Running, free_port, text},
};
use vonggac_collector::{
    config::Config,
    store::Store,
    trust::receipt::{key, maker},
};
use vonggac_wire::Time;

const AGENTS: usize = 5;

/// As short as a life may be: each agent renews its certificate within the story, more than once.
const AGENT_VALID: &str = "60s";

/// Between two lines of one agent.
const LINES_EVERY: Duration = Duration::from_millis(20);

const WITHIN: Duration = Duration::from_secs(150);

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let answer = is_so();
        if matches!(answer, Ok(true)) {
            return Ok(());
        }
        ensure!(begun.elapsed() < WITHIN, "{what}: not within {WITHIN:?}; last: {answer:?}");
        thread::sleep(Duration::from_millis(500));
    }
}

fn has(file: &Path, text: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|content| content.contains(text.trim()))
}

/// Enrolment for the machine's authority: a collector that has nothing else to do.
struct Office {
    folder: tempfile::TempDir,
    authority: PathBuf,
    passphrase: PathBuf,
    running: Running,
}

impl Office {
    fn open(machine: &Machine) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (port, grpc) = (free_port()?, free_port()?);
        let trust = machine.data().join("trust");
        let authority = trust.join("authority");
        let centre = fs::read_to_string(machine.data().join("etc/collector.toml"))?;
        let engine = centre.split("\n[").find(|table| table.starts_with("engine]"));
        let engine = engine.context("the centre's engine")?;
        let receipts = receipt_key(machine);
        fs::write(
            folder.path().join("office.toml"),
            format!(
                "plain_text = true\n[kafka]\nbrokers = [\"127.0.0.1:9\"]\n[{engine}\n[grpc]\nlisten = \"127.0.0.1:{grpc}\"\n[trust]\nreceipt_key = \"{}\"\n[trust.pki]\ndir = \"{}\"\nagent_valid = \"{AGENT_VALID}\"\n[trust.enrol]\nlisten = \"127.0.0.1:{port}\"\nnames = [\"localhost\"]\n",
                receipts.display(),
                authority.display()
            ),
        )?;
        let child = Command::new(program("vonggac-collector"))
            .args(["serve", "--config"])
            .arg(folder.path().join("office.toml"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("office.log"))?)
            .spawn()?;
        let passphrase = trust.join("root.passphrase");
        let office = Self { folder, authority, passphrase, running: Running(child) };
        until("enrolment", || Ok(TcpStream::connect(("127.0.0.1", port)).is_ok()))?;
        Ok(office)
    }

    fn ask(&self, words: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(program("vonggac-collector"))
            .args(words)
            .arg("--config")
            .arg(self.folder.path().join("office.toml"))
            .output()?;
        ensure!(output.status.success(), "{words:?}: {}", text(&output));
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn with_root(&self, words: &[&str]) -> anyhow::Result<String> {
        let passphrase = self.passphrase.display().to_string();
        self.ask(&[words, &["--yes", "--passphrase-file", &passphrase]].concat())
    }

    /// The issuer that issues now: its serial number and its certificate.
    fn issuer(&self) -> anyhow::Result<(String, String)> {
        let folder = fs::canonicalize(self.authority.join("present"))?;
        let serial = folder.file_name().context("a name")?.to_string_lossy().into_owned();
        Ok((serial, fs::read_to_string(folder.join("certificate.pem"))?))
    }
}

/// An agent that was enrolled, with a log into which numbered lines are written.
struct Agent {
    name: String,
    folder: tempfile::TempDir,
    running: Running,
}

impl Agent {
    fn start(machine: &Machine, office: &Office, number: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let name = format!("web-{number}");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("watched.log"), "")?;
        let set = at("spool/tls");
        fs::write(
            at("agent.toml"),
            format!(
                "agency = \"H49\"\nhost = \"{name}\"\n[tls]\ncertificate = \"{0}/certificate.pem\"\nkey = \"{0}/key.pem\"\nauthorities = \"{0}/authorities.pem\"\nrevoked = \"{0}/revoked.pem\"\n[kafka]\nbrokers = [\"{1}\"]\n[heartbeat]\ninterval = \"2s\"\n[host_figures]\nenabled = false\n[journal]\nenabled = false\n[spool]\ndir = \"{2}\"\n[[tail]]\npath = \"{3}\"\nformat = \"auto\"\nfrom = \"start\"\n",
                set.display(),
                machine.address("kafka")?,
                at("spool").display(),
                at("watched.log").display(),
            ),
        )?;
        let token = office.ask(&["token", "create", "--agency", "H49"])?;
        let agent = program("vonggac-agent");
        let enrolled = Command::new(&agent)
            .args(["enrol", "--config"])
            .arg(at("agent.toml"))
            .env("VONGGAC_TOKEN", token)
            .output()?;
        ensure!(enrolled.status.success(), "{}", text(&enrolled));
        let running = Self::run(folder.path())?;
        Ok(Self { name, folder, running })
    }

    fn run(folder: &Path) -> anyhow::Result<Running> {
        let child = Command::new(program("vonggac-agent"))
            .args(["run", "--config"])
            .arg(folder.join("agent.toml"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("agent.log"))?)
            .spawn()?;
        Ok(Running(child))
    }

    /// What it says of the centre's receipts.
    fn receipts(&self) -> anyhow::Result<Vec<Value>> {
        let output = Command::new(program("vonggac-agent"))
            .args(["receipts", "--format", "json", "--config"])
            .arg(self.folder.path().join("agent.toml"))
            .output()?;
        ensure!(output.status.success(), "{}", text(&output));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("agent.log")
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("spool/tls/certificate.pem")
    }

    fn runs(&mut self) -> bool {
        matches!(self.running.0.try_wait(), Ok(None))
    }
}

/// Writes a line with a number of its own into each log, again and again; gives how many each has.
struct Writer(Arc<AtomicBool>, thread::JoinHandle<anyhow::Result<u64>>);

impl Writer {
    fn start(agents: &[Agent]) -> Self {
        let logs: Vec<(String, PathBuf)> = agents
            .iter()
            .map(|agent| (agent.name.clone(), agent.folder.path().join("watched.log")))
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let writing = thread::spawn(move || {
            let mut number = 0;
            while !stopped.load(Ordering::Relaxed) {
                number += 1;
                for (name, log) in &logs {
                    let mut log = OpenOptions::new().append(true).open(log)?;
                    writeln!(
                        log,
                        "Nov 24 09:00:00 {name} sshd[7]: Accepted password for n{number} from 203.0.113.7 port 4711 ssh2"
                    )?;
                }
                thread::sleep(LINES_EVERY);
            }
            Ok(number)
        });
        Self(stop, writing)
    }

    fn stop(self) -> anyhow::Result<u64> {
        self.0.store(true, Ordering::Relaxed);
        self.1.join().expect("the writer")
    }
}

/// What a port shows to whoever connects.
fn shown(address: &str) -> anyhow::Result<String> {
    let output = Command::new("openssl")
        .args(["s_client", "-showcerts", "-connect", address])
        .stdin(Stdio::null())
        .output()?;
    Ok(text(&output))
}

/// What the collector says to the holder of a set.
fn answer(machine: &Machine, set: &Path) -> anyhow::Result<String> {
    let path = |name: &str| set.join(name).display().to_string();
    let output = Command::new(program("vonggac"))
        .args(["health", "--lang", "en", "--collector"])
        .arg(format!("https://{}", machine.address("collector")?))
        .args(["--certificate", &path("certificate.pem"), "--key", &path("key.pem")])
        .args(["--authorities", &path("authorities.pem")])
        .output()?;
    assert!(!output.status.success(), "an agent is no person");
    Ok(text(&output))
}

#[test]
fn an_issuer_is_rotated_and_all_agents_renewed_while_lines_come_and_each_line_is_there_once()
-> anyhow::Result<()> {
    let Some(machine) = Machine::trusted()? else { return Ok(()) };
    let mut office = Office::open(&machine)?;
    let agents: anyhow::Result<Vec<Agent>> =
        (1..=AGENTS).map(|number| Agent::start(&machine, &office, number)).collect();
    let mut agents = agents?;
    let writer = Writer::start(&agents);
    let count = |what: &str| machine.count(what);
    let lines = "SELECT count() FROM events WHERE agency = 'H49' AND startsWith(user, 'n')";
    until("lines are events", || Ok(count(lines)? > 0))?;
    let pids = || -> anyhow::Result<Vec<u32>> {
        Part::ALL.iter().map(|part| machine.pid(*part)).collect()
    };
    let before = pids()?;
    let (former, former_issuer) = office.issuer()?;
    assert!(agents.iter().all(|agent| has(&agent.certificate(), &former_issuer)));
    // One that stays with the former issuer's word.
    let late = office.folder.path().join("late");
    let out = late.display().to_string();
    office.ask(&[
        "pki", "issue", "--agent", "late-1", "--agency", "H49", "--valid", "1h", "--out", &out,
    ])?;

    office.with_root(&["pki", "rotate"])?;
    let (serial, issuer) = office.issuer()?;
    assert_ne!(serial, former);
    let collector = machine.data().join("log/collector.log");
    let trust = machine.data().join("trust");
    for part in ["kafka", "collector", "agent", "person"] {
        let file = trust.join(part).join("certificate.pem");
        until(part, || Ok(has(&file, &issuer)))?;
    }
    until("Kafka shows its new certificate", || {
        Ok(shown(&machine.address("kafka")?)?.contains(issuer.trim()))
    })?;
    assert!(shown(&machine.address("collector")?)?.contains(issuer.trim()));
    until("the collector's clients of Kafka", || {
        let log = fs::read_to_string(&collector)?;
        let renewed: Vec<&str> =
            log.lines().filter(|line| line.contains("by a renewed certificate")).collect();
        let all = ["producer", "consumer", "book", "probe"];
        Ok(all.iter().all(|what| renewed.iter().any(|line| line.contains(what))))
    })?;
    until("all agents have new certificates", || {
        Ok(agents.iter().all(|agent| {
            has(&agent.certificate(), &issuer) && has(&agent.log(), "spoken to by the new ones")
        }))
    })?;
    let said = answer(&machine, &late)?;
    assert!(
        said.contains("not a person's"),
        "a former issuer's word is good until its end: {said}"
    );

    // Nobody needs the former one any more.
    office.with_root(&["pki", "revoke", &former, "--issuer", "--reason", "superseded"])?;
    until("the former issuer's word is nothing", || {
        Ok(!answer(&machine, &late)?.contains("not a person's"))
    })?;
    let stored = count(lines)?;
    until("lines go on", || Ok(count(lines)? > stored + 500))?;

    let sent = writer.stop()? * AGENTS as u64;
    until("all lines are events", || Ok(count(lines)? >= sent))?;
    let once = "SELECT count() FROM (SELECT host, user FROM events WHERE agency = 'H49' AND startsWith(user, 'n') GROUP BY host, user)";
    assert_eq!((count(lines)?, count(once)?), (sent, sent));
    assert_eq!(count("SELECT count() FROM gaps")?, 0);
    assert_eq!(count("SELECT count() FROM dead_letters")?, 0);
    assert_eq!(pids()?, before, "something was started again");
    assert!(agents.iter_mut().all(Agent::runs));
    assert!(matches!(office.running.0.try_wait(), Ok(None)));
    let receipts = machine.rows(&["receipts", "--agency", "H49", "--since", "1h"])?;
    assert_eq!(receipts.iter().filter(|row| row["lane"] == "security").count(), AGENTS);
    assert!(receipts.iter().all(|row| row["missing"] == 0), "{receipts:?}");
    let verified = machine.ask(&["verify", "--agency", "H49", "--since", "1h"])?;
    assert!(verified.status.success(), "{}", text(&verified));
    proved_elsewhere(&machine, &office, sent)?;
    come_home(&machine, &mut agents[0], sent / AGENTS as u64)
}

/// What both issuers' certificates sealed goes into one file, which is checked without the machine.
fn proved_elsewhere(machine: &Machine, office: &Office, lines: u64) -> anyhow::Result<()> {
    let file = office.folder.path().join("H49.evidence");
    let made = Command::new(program("vonggac-collector"))
        .args(["evidence", "bundle", "--agency", "H49", "--since", "2026-01-01", "--to"])
        .arg(&file)
        .arg("--config")
        .arg(machine.data().join("etc/collector.toml"))
        .output()?;
    ensure!(made.status.success(), "{}", text(&made));
    let token = office.ask(&["token", "create", "--agency", "H49"])?;
    let root = token.split('.').nth(2).context("the root's fingerprint")?;
    let check = |file: &Path, root: &str| {
        let mut command = Command::new(program("vonggac"));
        command.arg("verify").arg(file).args(["--root", root, "--lang", "en"]).output()
    };
    let checked = check(&file, root)?;
    ensure!(checked.status.success(), "{}", text(&checked));
    let said = text(&checked);
    assert!(said.contains("vouches for the key") && said.contains("as they were taken"), "{said}");
    let rows = made.stdout.split(|byte| *byte == b' ').next().unwrap_or_default();
    let rows: u64 = String::from_utf8_lossy(rows).parse()?;
    assert!(rows >= lines, "{rows} of {lines}");

    let other = check(&file, &"0".repeat(64))?;
    assert!(!other.status.success() && text(&other).contains("root"), "{}", text(&other));
    let whole = fs::read(&file)?;
    fs::write(&file, &whole[..whole.len() - 1])?;
    let cut = check(&file, root)?;
    assert!(!cut.status.success() && text(&cut).contains("nothing is proved"), "{}", text(&cut));
    Ok(())
}

fn receipt_key(machine: &Machine) -> PathBuf {
    machine.data().join("etc/receipts.key.pem")
}

/// What the centre signs for of an agent is kept on the agent's host. The hour is signed before it is over: nobody waits for it here.
fn come_home(machine: &Machine, agent: &mut Agent, lines: u64) -> anyhow::Result<()> {
    let store = Store::new(&Config::read(&machine.data().join("etc/collector.toml"))?);
    let signer = key::open(&receipt_key(machine))?;
    let soon = Time::now().plus(Duration::from_secs(2 * 3_600));
    let made =
        tokio::runtime::Runtime::new()?.block_on(maker::make_until(&store, &signer, soon))?;
    ensure!(made >= AGENTS, "{made} receipts");
    // Who starts asks for them.
    drop(agent.running.0.kill());
    agent.running.0.wait()?;
    agent.running = Agent::run(agent.folder.path())?;
    let held = || -> anyhow::Result<u64> {
        let rows = agent.receipts()?;
        ensure!(rows.iter().all(|row| row["missing"] == 0 && row["too_high"] == false), "{rows:?}");
        let security = rows.iter().filter(|row| row["lane"] == "security");
        Ok(security.filter_map(|row| row["events"].as_u64()).sum())
    };
    until("the agent has its receipts", || Ok(held()? >= lines))
}
