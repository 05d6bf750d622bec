//! What trust costs: the same lines through two machines in one run, one that speaks by certificates, seals and verifies, and one in plain
//! text that does none of it. Prints lines per CPU-second of agent and collector; Kafka and the engine are named apart.
//!
//! `trust_bench [--lines N] [--rounds N]`: lines of a round, and rounds of each machine, in turn.
#![expect(clippy::print_stdout, reason = "a bench tells what it measured")]

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use system_tests::{
    lines,
    machine::{Machine, Part, cpu_seconds, model},
};

/// Lines of a round unless told otherwise.
const LINES: usize = 500_000;

/// Rounds of each machine unless told otherwise: what else the host does is in some of them.
const ROUNDS: usize = 5;

/// How long a round may take.
const ROUND_WITHIN: Duration = Duration::from_secs(600);

/// Between two questions how much is stored: each costs the machine that is measured.
const ASKED_EVERY: Duration = Duration::from_millis(500);

/// Before a round, so that the one before has ended its work.
const REST: Duration = Duration::from_secs(3);

/// CPU-seconds of a machine's parts, and the seconds that went by.
#[derive(Clone, Copy, Default)]
struct Spent {
    seconds: f64,
    agent: f64,
    collector: f64,
    kafka: f64,
    engine: f64,
}

/// A machine, and what each of its rounds took.
struct Side {
    name: &'static str,
    machine: Machine,
    lines: usize,
    rounds: Vec<Spent>,
}

impl Side {
    fn new(name: &'static str, machine: Option<Machine>) -> anyhow::Result<Self> {
        let machine = machine.context("build the programs first")?;
        Ok(Self { name, machine, lines: 0, rounds: Vec::new() })
    }

    fn spent(&self) -> anyhow::Result<Spent> {
        let of = |part| cpu_seconds(self.machine.pid(part)?);
        Ok(Spent {
            seconds: 0.0,
            agent: of(Part::Agent)?,
            collector: of(Part::Collector)?,
            kafka: of(Part::Kafka)?,
            engine: of(Part::Engine)?,
        })
    }

    fn stored(&self) -> anyhow::Result<u64> {
        self.machine.count("SELECT count() FROM events WHERE endsWith(source, 'watched.log')")
    }

    /// Writes lines and waits until all are stored.
    fn round(&mut self, count: usize) -> anyhow::Result<()> {
        thread::sleep(REST);
        let text: String = (self.lines..self.lines + count).map(lines::varied).collect();
        self.lines += count;
        let (before, begun) = (self.spent()?, Instant::now());
        self.machine.append(&text)?;
        while self.stored()? < self.lines as u64 {
            ensure!(
                begun.elapsed() < ROUND_WITHIN,
                "{} has not stored all within {ROUND_WITHIN:?}",
                self.name
            );
            thread::sleep(ASKED_EVERY);
        }
        let now = self.spent()?;
        self.rounds.push(Spent {
            seconds: begun.elapsed().as_secs_f64(),
            agent: now.agent - before.agent,
            collector: now.collector - before.collector,
            kafka: now.kafka - before.kafka,
            engine: now.engine - before.engine,
        });
        Ok(())
    }

    /// The median of the rounds.
    fn median(&self, of: impl Fn(&Spent) -> f64) -> f64 {
        let mut all: Vec<f64> = self.rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or_default()
    }
}

fn arguments() -> anyhow::Result<(usize, usize)> {
    let (mut count, mut rounds) = (LINES, ROUNDS);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || -> anyhow::Result<usize> {
            Ok(words.next().with_context(|| format!("{word} wants a number"))?.parse()?)
        };
        match word.as_str() {
            "--lines" => count = number()?,
            "--rounds" => rounds = number()?,
            other => bail!("{other} is unknown; --lines N and --rounds N are known"),
        }
    }
    ensure!(count > 0 && rounds > 0, "nothing is to be measured");
    Ok((count, rounds))
}

fn main() -> anyhow::Result<()> {
    let (count, rounds) = arguments()?;
    let mut plain = Side::new("plain text, nothing sealed", Machine::up(&[], false)?)?;
    let mut trusted = Side::new("mutual TLS, sealed, verified", Machine::trusted()?)?;
    // Once each, so that no first allocation is measured.
    for side in [&mut plain, &mut trusted] {
        side.round(count.div_ceil(10))?;
        side.rounds.clear();
    }
    for round in 0..rounds {
        // Each goes first as often as the other.
        let mut both = [&mut plain, &mut trusted];
        both.rotate_left(round % 2);
        for side in both {
            side.round(count)?;
        }
    }
    // A bench that measured something else would say so here.
    let sealed = "SELECT countIf(signature != '') FROM batches";
    let (with, without) = (trusted.machine.count(sealed)?, plain.machine.count(sealed)?);
    ensure!(with > 0 && without == 0, "{with} batches were sealed with trust, {without} without");
    table(&plain, &trusted, count, rounds);
    Ok(())
}

/// Which of what was spent.
type Of = fn(&Spent) -> f64;

fn table(plain: &Side, trusted: &Side, count: usize, rounds: usize) {
    let cores = thread::available_parallelism().map_or(0, std::num::NonZero::get);
    println!("{} ({cores} threads), {rounds} rounds of {count} lines each, medians", model());
    println!("| lines per CPU-second of | {} | {} | fewer |", plain.name, trusted.name);
    println!("| --- | --- | --- | --- |");
    let rows: [(&str, Of); 5] = [
        ("the agent", |spent| spent.agent),
        ("the collector", |spent| spent.collector),
        ("both", |spent| spent.agent + spent.collector),
        ("Kafka", |spent| spent.kafka),
        ("the engine", |spent| spent.engine),
    ];
    for (name, of) in rows {
        let rate = |side: &Side| count as f64 / side.median(of).max(f64::MIN_POSITIVE);
        let (without, with) = (rate(plain), rate(trusted));
        println!("| {name} | {without:.0} | {with:.0} | {:.1} % |", 100.0 * (1.0 - with / without));
    }
    let speed = |side: &Side| count as f64 / side.median(|spent| spent.seconds);
    println!("| lines a second, by the clock | {:.0} | {:.0} | |", speed(plain), speed(trusted));
}
