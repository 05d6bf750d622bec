//! Whether the agent's memory stays flat: a log is written in pieces and rotated after each, so that the disk holds two of them.

use std::{
    fs,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use system_tests::{
    machine::megabytes,
    shipper::{Place, Shipper},
};

use crate::{REST, delivered, tally, topics, write_lines_from};

/// Lines of a piece: 210 MB.
const PIECE_LINES: usize = 1_000_000;

/// How long a piece may take.
const PIECE_WITHIN: Duration = Duration::from_secs(120);

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Has the agent bring so many lines to Kafka and prints what it holds after each piece.
pub(crate) fn run(place: &Place, count: usize) -> anyhow::Result<()> {
    topics(&place.broker)?;
    println!("| lines | lines/s | resident MB | of it anonymous | most so far |");
    println!("|---|---|---|---|---|");
    fs::write(&place.log, "")?;
    let mut child = Shipper::Agent.start(place)?;
    let outcome = pieces(place, &child, count);
    let _ended_by_itself = child.kill();
    child.wait()?;
    outcome?;
    let (missing, double) = tally(Shipper::Agent, &place.broker, count)?;
    println!("\nmissing {missing}, double {double}");
    Ok(())
}

fn pieces(place: &Place, child: &Child, count: usize) -> anyhow::Result<()> {
    let mut written = 0;
    while written < count {
        let piece = PIECE_LINES.min(count - written);
        let begun = Instant::now();
        if written > 0 {
            // As logrotate does it; the piece before goes when the next is there.
            fs::rename(&place.log, place.log.with_extension("log.1"))?;
        }
        write_lines_from(&place.log, written, piece)?;
        written += piece;
        while delivered(Shipper::Agent, place)? < written as u64 {
            ensure!(begun.elapsed() < PIECE_WITHIN, "{written} lines did not come in time");
            thread::sleep(LOOK);
        }
        let rate = piece as f64 / begun.elapsed().as_secs_f64();
        row(child, &written.to_string(), &format!("{rate:.0}"))?;
    }
    thread::sleep(REST);
    row(child, "at rest", "-")
}

fn row(child: &Child, lines: &str, rate: &str) -> anyhow::Result<()> {
    let of = |name: &str| megabytes(child.id(), name);
    let (resident, own, most) = (of("VmRSS:")?, of("RssAnon:")?, of("VmHWM:")?);
    println!("| {lines} | {rate} | {resident:.1} | {own:.1} | {most:.1} |");
    Ok(())
}
