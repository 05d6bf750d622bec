//! What ten times the rules cost.

use std::sync::Arc;

use vonggac_collector::detect::sigma::Matcher;

use crate::{Options, median, mix, packs};

/// Events of the mix.
const EVENTS: u64 = 200_000;

/// How many times the published rules.
const TIMES: usize = 10;

/// Both are measured so often, in turns; the middle one is told.
const ROUNDS: usize = 5;

pub(crate) fn measure(options: &Options) -> anyhow::Result<()> {
    let records = mix::records(options.of(EVENTS))?;
    let events = mix::count(&records);
    let mut sets = Vec::new();
    for times in [1, TIMES] {
        let (rules, sigma) = packs::rules(times)?;
        let matcher = Arc::new(Matcher::new(&rules)?);
        sets.push((rules, matcher, sigma, Vec::new()));
    }
    for _ in 0..ROUNDS {
        for (rules, matcher, _, seconds) in &mut sets {
            seconds.push(mix::detected(rules, matcher, &records)?);
        }
    }
    println!("\n## Ten times the published rules, on {events} events\n");
    println!(
        "| rules of Sigma | events per second and core | time against the first |\n|---|---|---|"
    );
    let mut first = None;
    for (_, _, sigma, seconds) in sets {
        let seconds = median(seconds);
        let first = *first.get_or_insert(seconds);
        println!("| {sigma} | {:.0} | {:.2} |", events as f64 / seconds, seconds / first);
    }
    Ok(())
}
