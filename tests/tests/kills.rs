//! An agent is killed again and again while its log grows and Kafka goes away now and then; each line is stored once.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use system_tests::{
    digest, lines,
    machine::{Machine, Part, program},
};

/// Rounds: few in the ordinary run, as many as `VONGGAC_KILLS` says otherwise.
fn rounds() -> usize {
    std::env::var("VONGGAC_KILLS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(12)
}

/// How long an agent lives: from before its spool is open to well into its work.
const LIFE_MILLIS: std::ops::Range<u64> = 15..700;

/// Lines that are appended at once, and the longest rest between.
const BURST_LINES: usize = 40;
const REST_MILLIS: std::ops::Range<u64> = 1..40;

/// An agent of its own beside the machine's.
struct Agent {
    folder: tempfile::TempDir,
    log: PathBuf,
}

impl Agent {
    fn new(kafka: &str) -> std::io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("killed.log");
        fs::write(&log, "")?;
        let text = format!(
            "agency = \"H49\"\nhost = \"killed-1\"\nplain_text = true\n[kafka]\nbrokers = [\"{kafka}\"]\n\
             [heartbeat]\ninterval = \"1s\"\n[host_figures]\nenabled = false\n[journal]\nenabled = false\n\
             [spool]\ndir = \"{}\"\n[[tail]]\npath = \"{}\"\nformat = \"auto\"\nfrom = \"start\"\n",
            folder.path().join("spool").display(),
            log.display()
        );
        fs::write(folder.path().join("agent.toml"), text)?;
        Ok(Self { folder, log })
    }

    fn start(&self) -> std::io::Result<Child> {
        let told = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("agent.out"))?;
        Command::new(program("vonggac-agent"))
            .args(["run", "--config"])
            .arg(self.folder.path().join("agent.toml"))
            .stdout(Stdio::null())
            .stderr(told)
            .spawn()
    }

    /// Its last words, for a failing story.
    fn words(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("agent.out")).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(30).collect();
        last.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// Appends numbered lines in bursts until it is told to stop; gives back how many.
fn write_lines(log: &Path, stop: &AtomicBool, seed: u64) -> std::io::Result<usize> {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut file = fs::OpenOptions::new().append(true).open(log)?;
    let mut written = 0;
    while !stop.load(Ordering::SeqCst) {
        let count = chance.random_range(1..=BURST_LINES);
        let text: String = (written..written + count)
            .map(|n| lines::refused(n, &format!("198.51.100.{}", n % 9)))
            .collect();
        // Cut anywhere: a line may be half there while the agent looks.
        let cut = chance.random_range(0..text.len());
        file.write_all(&text.as_bytes()[..cut])?;
        thread::sleep(Duration::from_millis(chance.random_range(REST_MILLIS)));
        file.write_all(&text.as_bytes()[cut..])?;
        written += count;
    }
    Ok(written)
}

/// Kafka goes away in some rounds: it freezes for a while, or it dies and is started again.
fn trouble(machine: &Machine, round: usize, chance: &mut StdRng) {
    // Both happen in the ordinary dozen too.
    if round % 50 == 9 {
        let _being_started = machine.signal(Part::Kafka, "KILL");
    } else if round % 12 == 6 {
        let _being_started = machine.signal(Part::Kafka, "STOP");
        thread::sleep(Duration::from_millis(chance.random_range(50..1_500)));
        let _being_started = machine.signal(Part::Kafka, "CONT");
    }
}

#[test]
fn an_agent_killed_again_and_again_loses_no_line_and_doubles_none() {
    let Some(machine) = Machine::up(&[], false).expect("the machine starts") else { return };
    let agent = Agent::new(&machine.address("kafka").expect("Kafka's address")).expect("an agent");
    let seed =
        std::env::var("VONGGAC_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(2026);
    let mut chance = StdRng::seed_from_u64(seed);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (log, stop) = (agent.log.clone(), Arc::clone(&stop));
        thread::spawn(move || write_lines(&log, &stop, seed))
    };
    let (rounds, begun) = (rounds(), Instant::now());
    for round in 0..rounds {
        let mut child = agent.start().expect("the agent starts");
        trouble(&machine, round, &mut chance);
        thread::sleep(Duration::from_millis(chance.random_range(LIFE_MILLIS)));
        let early = child.try_wait().expect("a child");
        assert!(early.is_none(), "round {round}: the agent ended: {early:?}\n{}", agent.words());
        child.kill().expect("killed");
        child.wait().expect("waited for");
        if round % 100 == 99 {
            eprintln!("{} rounds in {:?}", round + 1, begun.elapsed());
        }
    }
    stop.store(true, Ordering::SeqCst);
    let written = writer.join().expect("the writer").expect("lines written") as u64;
    let mut last = agent.start().expect("the agent starts");
    let of_it = "FROM events WHERE class = 'authentication' AND agency = 'H49'";
    let stored = machine.until(
        "all lines",
        Duration::from_secs(240),
        |m| m.count(&format!("SELECT count() {of_it}")),
        |count| *count >= written,
    );
    // What would be doubled comes a little later.
    thread::sleep(Duration::from_secs(5));
    let rows = machine.count(&format!("SELECT count() {of_it}"));
    let lines = machine.count(&format!("SELECT uniqExact(raw) {of_it}"));
    let gaps = machine.rows(&["sql", "SELECT * FROM gaps WHERE agency = 'H49'"]);
    let rolled = digest::alike(&machine, "class = 'authentication' AND agency = 'H49'");
    last.kill().expect("killed");
    last.wait().expect("waited for");
    stored.unwrap_or_else(|error| panic!("{error:#}\n{}", agent.words()));
    eprintln!("{rounds} rounds, {written} lines, {:?}", begun.elapsed());
    assert_eq!(rows.expect("counted"), written, "rows");
    assert_eq!(lines.expect("counted"), written, "distinct lines");
    assert_eq!(rolled.expect("roll-ups"), written, "rolled up");
    assert_eq!(gaps.expect("asked"), Vec::<serde_json::Value>::new(), "nothing is missing");
}
