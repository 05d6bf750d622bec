//! Measures detection by itself on this machine, without Kafka, store and clock: rules of others and our own on the events of a nation, beside
//! rsigma in one plain engine; ten times the rules; what a million entities take; the incident book.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench tells what it measured, and what it had not at hand"
)]

use std::thread;

use anyhow::{Context, bail};
use system_tests::machine::model;

mod book;
mod mix;
mod packs;
mod state;
mod tenfold;

/// Percent of the whole load, at most.
const SCALE_MAX: u64 = 1_000;

/// One of the measures.
type Measure = fn(&Options) -> anyhow::Result<()>;

/// All of them, in the order in which they run.
const MEASURES: [(&str, Measure); 4] = [
    ("mix", mix::measure),
    ("tenfold", tenfold::measure),
    ("state", state::measure),
    ("book", book::measure),
];

/// What was asked for.
struct Options {
    /// Percent of the whole load.
    scale: u64,
    /// These alone; none: all.
    only: Vec<String>,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut options = Self { scale: 100, only: Vec::new() };
        while let Some(argument) = arguments.next() {
            let mut value =
                || arguments.next().with_context(|| format!("{argument} wants a value"));
            match argument.as_str() {
                "--scale" => options.scale = value()?.parse().context("--scale wants percents")?,
                "--only" => {
                    let name = value()?;
                    let names = MEASURES.map(|(name, _)| name);
                    if !names.contains(&name.as_str()) {
                        bail!("--only {name}: wanted one of {}", names.join(", "));
                    }
                    options.only.push(name);
                }
                other => bail!("{other} is unknown; --scale PERCENT, --only MEASURE"),
            }
        }
        options.scale = options.scale.clamp(1, SCALE_MAX);
        Ok(options)
    }

    /// So much of the whole load, at least one.
    fn of(&self, whole: u64) -> u64 {
        (whole * self.scale / 100).max(1)
    }
}

/// The middle one of several measurements.
fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

fn main() -> anyhow::Result<()> {
    let options = Options::read(std::env::args().skip(1))?;
    let built = if cfg!(debug_assertions) { ", NOT OPTIMISED" } else { "" };
    println!("machine: {} cores, {}{built}", thread::available_parallelism()?, model());
    for (name, measure) in MEASURES {
        if options.only.is_empty() || options.only.iter().any(|only| only == name) {
            measure(&options)?;
        }
    }
    Ok(())
}
