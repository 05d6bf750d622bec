//! Measures the collector and its store on this machine: the whole chain against the engine alone, what each step costs, memory, delay,
//! catching up, several members, disk, and what consoles ask.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench tells what it measured")]

use std::{fs, thread};

use anyhow::{Context, bail};
use system_tests::machine::model;

mod build;
mod catch_up;
mod chain;
mod delay;
mod disk;
mod filled;
mod insert;
mod members;
mod questions;
mod site;
mod storage;

/// Rows that questions are asked of if nothing else is said, and at least and at most.
const ROWS: u64 = 10_000_000;
const ROWS_MIN: u64 = 100_000;
const ROWS_MAX: u64 = 200_000_000;

/// Percent of the whole load, at most.
const SCALE_MAX: u64 = 1_000;

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    Build,
    Chain,
    Delay,
    CatchUp,
    Members,
    Storage,
    Queries,
}

impl Measure {
    /// All of them, in the order in which they run.
    const ALL: [(&'static str, Self); 7] = [
        ("build", Self::Build),
        ("chain", Self::Chain),
        ("delay", Self::Delay),
        ("catch-up", Self::CatchUp),
        ("members", Self::Members),
        ("storage", Self::Storage),
        ("queries", Self::Queries),
    ];
}

/// What was asked for.
struct Options {
    rows: u64,
    /// Percent of the whole load.
    scale: u64,
    only: Vec<Measure>,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut options = Self { rows: ROWS, scale: 100, only: Vec::new() };
        while let Some(argument) = arguments.next() {
            let mut value =
                || arguments.next().with_context(|| format!("{argument} wants a value"));
            match argument.as_str() {
                "--rows" => options.rows = value()?.parse().context("--rows wants a number")?,
                "--scale" => options.scale = value()?.parse().context("--scale wants percents")?,
                "--only" => {
                    let name = value()?;
                    let known = Measure::ALL.iter().find(|(known, _)| *known == name);
                    let names = Measure::ALL.map(|(name, _)| name).join(", ");
                    options.only.push(
                        known.with_context(|| format!("--only {name}: wanted one of {names}"))?.1,
                    );
                }
                other => bail!("{other} is unknown; --rows N, --scale PERCENT, --only MEASURE"),
            }
        }
        options.rows = options.rows.clamp(ROWS_MIN, ROWS_MAX);
        options.scale = options.scale.clamp(1, SCALE_MAX);
        Ok(options)
    }

    /// So much of the whole load, at least one.
    fn of(&self, whole: u64) -> u64 {
        (whole * self.scale / 100).max(1)
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::read(std::env::args().skip(1))?;
    println!("machine: {} cores, {}", thread::available_parallelism()?, model());
    let runtime = tokio::runtime::Runtime::new()?;
    for (name, measure) in Measure::ALL {
        if !options.only.is_empty() && !options.only.contains(&measure) {
            continue;
        }
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').take(2).collect::<Vec<_>>().join(" and ");
        println!("\n## {name} (load of the machine before it: {load})\n");
        runtime.block_on(async {
            match measure {
                Measure::Build => build::measure(&options),
                Measure::Chain => chain::measure(&options).await,
                Measure::Delay => delay::measure(&options).await,
                Measure::CatchUp => catch_up::measure(&options).await,
                Measure::Members => members::measure(&options).await,
                Measure::Storage => storage::measure(&options).await,
                Measure::Queries => filled::measure(options.rows).await,
            }
        })?;
    }
    Ok(())
}
