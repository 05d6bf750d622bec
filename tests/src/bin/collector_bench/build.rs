//! What each step of the chain costs by itself, on one core, in CPU-seconds of the thread: without Kafka, store and clock.

use std::{hint::black_box, sync::Arc};

use system_tests::{
    machine::worked,
    traffic::{Load, Sealed, taken::taken},
};
use vonggac_collector::{
    decode,
    detect::{Detector, sigma::Matcher},
    offsets::{PartitionState, Progress},
    record::Record,
    registry::Registry,
    rule::RuleSet,
    store::row::NewRow,
};
use vonggac_wire::Time;

use crate::Options;

/// Events that go through each step.
const EVENTS: u64 = 500_000;

/// Events of a block: what is held at once.
const BLOCK_EVENTS: u64 = 50_000;

const START: Time = Time::from_seconds(1_795_000_000);

/// CPU-seconds of each step.
#[derive(Default)]
struct Spent {
    decode: f64,
    judge: f64,
    detect: f64,
    build: f64,
}

pub(crate) fn measure(options: &Options) -> anyhow::Result<()> {
    let registry = Arc::new(Registry::builtin()?);
    let rules = Arc::new(RuleSet::builtin()?);
    let matcher = Arc::new(Matcher::new(&rules)?);
    let mut detector = Detector::new(rules, Arc::clone(&registry), matcher);
    let mut state = PartitionState::new(Progress::default(), Default::default(), 0);
    let mut load = Load::new(START, 5_000)?;
    let (mut spent, mut events, mut offset) = (Spent::default(), 0, 0);
    while events < options.of(EVENTS) {
        let mut batches: Vec<Sealed> = (0..BLOCK_EVENTS).filter_map(|_| load.push()).collect();
        batches.extend(load.flush());
        let block = taken(batches, offset, START);
        offset += i64::try_from(block.len())?;
        let begun = worked();
        let records: Vec<Arc<Record>> = block
            .iter()
            .map(|taken| decode::decode(taken, &registry).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let decoded = worked();
        for record in &records {
            black_box(state.judge(record.origin.offset, &record.batch)?);
        }
        let judged = worked();
        for record in &records {
            black_box(detector.apply(record, record.appended));
        }
        let detected = worked();
        let rows: Vec<NewRow> = records.iter().flat_map(rows).collect();
        events += rows.len() as u64;
        for row in &rows {
            black_box(row.columns());
        }
        drop(rows);
        let built = worked();
        drop(records);
        // What was decoded is given back, too.
        spent.decode += decoded - begun + worked() - built;
        spent.judge += judged - decoded;
        spent.detect += detected - judged;
        spent.build += built - detected;
    }
    tell(&spent, events);
    Ok(())
}

fn rows(record: &Arc<Record>) -> impl Iterator<Item = NewRow> {
    record.fresh().map(|(index, event)| NewRow::new(record, index, event, START))
}

fn tell(spent: &Spent, events: u64) {
    let millions = events as f64 / 1e6;
    println!(
        "| step, {events} events | CPU-seconds per million | events per second and core |\n|---|---|---|"
    );
    let without = spent.decode + spent.judge + spent.build;
    for (name, seconds) in [
        ("decode", spent.decode),
        ("judge", spent.judge),
        ("detect", spent.detect),
        ("build rows", spent.build),
        ("decode, judge, build", without),
        ("the same with detection", without + spent.detect),
    ] {
        println!(
            "| {name} | {:.2} | {:.0} |",
            seconds / millions,
            millions * 1e6 / seconds.max(1e-9)
        );
    }
}
