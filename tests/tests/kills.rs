//! An agent is killed again and again while its log grows and Kafka goes away now and then; each line is stored once.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a story stops where its ground is missing, and tells how it went"
)]

use std::{
    fs,
    io::Write,
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use system_tests::{
    agent::Agent,
    digest, lines,
    machine::{Machine, Part},
};

/// Rounds: few in the ordinary run, as many as `VONGGAC_KILLS` says otherwise.
fn rounds() -> usize {
    std::env::var("VONGGAC_KILLS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(12)
}

/// How long an agent lives: from before its spool is open to well into its work.
const LIFE_MILLIS: Range<u64> = 15..700;

/// The same where it has to come to its first reports, and the ledger to a second.
const LONGER_LIFE_MILLIS: Range<u64> = 100..3_500;

/// Lines that are appended at once, and the longest rest between.
const BURST_LINES: usize = 40;
const REST_MILLIS: Range<u64> = 1..40;

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
    kill_again_and_again(&machine, "", LIFE_MILLIS);
}

/// Its link is so thin that there always is a backlog, and everything new goes ahead of it at once.
#[test]
fn an_agent_killed_while_it_sends_ahead_loses_no_line_and_doubles_none() {
    let Some(machine) = Machine::up(&[], false).expect("the machine starts") else { return };
    let thin =
        "[ship]\nbytes_per_second_max = \"8KiB\"\nfresh_after = \"0s\"\nfresh_percent = 50\n";
    let ahead = kill_again_and_again(&machine, thin, LONGER_LIFE_MILLIS);
    eprintln!("in {ahead} rounds something was ahead of its lane");
    assert!(ahead > 0, "nothing went ahead: the story tells nothing");
}

/// Whether the ledger of a killed agent knows of something ahead of its lane.
fn is_ahead(agent: &Agent) -> bool {
    let Ok(stats) = agent.stats() else { return false };
    let lanes = stats["lanes"].as_array().into_iter().flatten();
    lanes.filter_map(|lane| lane["ahead"].as_array()).any(|ahead| !ahead.is_empty())
}

/// Gives back in how many rounds something was ahead of its lane.
fn kill_again_and_again(machine: &Machine, more: &str, life: Range<u64>) -> usize {
    let kafka = machine.address("kafka").expect("Kafka's address");
    let agent = Agent::new(&kafka, more).expect("an agent");
    let seed =
        std::env::var("VONGGAC_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(2026);
    let mut chance = StdRng::seed_from_u64(seed);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (log, stop) = (agent.log.clone(), Arc::clone(&stop));
        thread::spawn(move || write_lines(&log, &stop, seed))
    };
    let (rounds, begun, mut ahead) = (rounds(), Instant::now(), 0);
    for round in 0..rounds {
        let mut child = agent.start().expect("the agent starts");
        trouble(machine, round, &mut chance);
        thread::sleep(Duration::from_millis(chance.random_range(life.clone())));
        let early = child.try_wait().expect("a child");
        assert!(early.is_none(), "round {round}: the agent ended: {early:?}\n{}", agent.words());
        child.kill().expect("killed");
        child.wait().expect("waited for");
        ahead += usize::from(is_ahead(&agent));
        if round % 100 == 99 {
            eprintln!("{} rounds in {:?}", round + 1, begun.elapsed());
        }
    }
    stop.store(true, Ordering::SeqCst);
    let written = writer.join().expect("the writer").expect("lines written") as u64;
    agent.configure("").expect("configured");
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
    let rolled = digest::alike(machine, "class = 'authentication' AND agency = 'H49'");
    last.kill().expect("killed");
    last.wait().expect("waited for");
    stored.unwrap_or_else(|error| panic!("{error:#}\n{}", agent.words()));
    eprintln!("{rounds} rounds, {written} lines, {:?}", begun.elapsed());
    assert_eq!(rows.expect("counted"), written, "rows");
    assert_eq!(lines.expect("counted"), written, "distinct lines");
    assert_eq!(rolled.expect("roll-ups"), written, "rolled up");
    assert_eq!(gaps.expect("asked"), Vec::<serde_json::Value>::new(), "nothing is missing");
    ahead
}
