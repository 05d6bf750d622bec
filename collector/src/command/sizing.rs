//! `sizing`: what a number of hosts needs.

use super::sheet::{Cell, Format, Sheet};
use crate::sizing::{Asked, COLUMNS, FIGURES, From, sizing};

/// Hosts that are asked for at most: more than a nation has.
const HOSTS_MAX: u64 = 10_000_000;

/// What is to be sized.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Servers with an agent.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=HOSTS_MAX))]
    hosts: u64,
    /// Events a second on average, of all of them together, where that is known: by the number of hosts it is an estimate.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    events_per_second: Option<u32>,
    /// How it is written.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// The answer.
pub(super) fn run(arguments: &Arguments) -> String {
    let Arguments { hosts, events_per_second, format } = arguments;
    let sized =
        sizing(Asked { hosts: *hosts, events_per_second: events_per_second.map(f64::from) });
    let mut sheet = Sheet::new(&["what", "needed"]);
    for (what, needed) in COLUMNS.iter().zip(sized.cells()) {
        sheet.push(vec![Cell::text(*what), Cell::Text(needed)]);
    }
    let mut text = sheet.write(*format);
    if matches!(format, Format::Table | Format::Md) {
        let guessed = FIGURES.iter().filter(|figure| figure.from == From::Estimate).count();
        text = format!(
            "{text}\n\n{guessed} of the {} figures behind it are estimates; deploy/SIZING.md says which, and how the others were measured",
            FIGURES.len()
        );
    }
    text
}
