//! Attacks on one running system that speaks by certificates: each is named by a sentence, and each is held against the same four questions.
//! It does not get through; who attacks is answered; it is counted, or written down; and where it is an attack, an incident opens.
//!
//! The cases are tables, a file for each surface. All of them are tried against one system, started once.
#![expect(clippy::print_stdout, reason = "how many cases held is printed")]

mod asked;
mod batches;
mod bomb;
mod books;
mod ciphers;
mod commands;
mod damaged;
mod enrolment;
mod ground;
mod kafka;
mod ports;
mod questions;
mod raw;
mod shown;
mod tally;
mod told;

use ground::Ground;
use tally::Tally;

/// Cases at least: fewer were not all tried.
const CASES_MIN: usize = 100;

/// A surface: its name, and what tries its cases.
type Surface = (&'static str, fn(&Ground, &mut Tally) -> anyhow::Result<()>);

/// In this order: what is written down by the first is asked about by those behind.
const SURFACES: [Surface; 11] = [
    ("ports", ports::try_all),
    ("ciphers", ciphers::try_all),
    ("kafka", kafka::try_all),
    ("batches", batches::try_all),
    ("damaged records", damaged::try_all),
    ("questions", questions::try_all),
    ("commands", commands::try_all),
    ("what is shown", shown::try_all),
    ("what is told", told::try_all),
    ("enrolment", enrolment::try_all),
    ("the store's books", books::try_all),
];

#[test]
fn no_attack_gets_through_and_each_is_answered_and_counted() -> anyhow::Result<()> {
    let Some(ground) = Ground::up()? else { return Ok(()) };
    let mut tally = Tally::default();
    for (name, try_all) in SURFACES {
        let (before, begun) = (tally.tried(), std::time::Instant::now());
        if let Err(error) = try_all(&ground, &mut tally) {
            tally.note(&format!("the surface {name} can be tried to its end"), Err(error));
        }
        let seconds = begun.elapsed().as_secs_f64();
        println!("{name}: {} cases, {seconds:.1} s", tally.tried() - before);
    }
    println!("{} of {} cases held", tally.held(), tally.tried());
    let failed = tally.failed();
    assert!(failed.is_empty(), "{} cases did not hold:\n{}", failed.len(), failed.join("\n"));
    assert!(tally.tried() >= CASES_MIN, "only {} cases were tried", tally.tried());
    Ok(())
}
