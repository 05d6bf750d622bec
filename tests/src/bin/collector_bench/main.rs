//! Measures the store on this machine: what consoles ask, each with and without the roll-up or index that is made for it; how fast rows go in
//! and are rolled up; what they take on disk.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench tells what it measured")]

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clickhouse::{Client, Compression};
use system_tests::{
    engine::Engine,
    machine::{megabytes, model},
    made::{Made, PARTITIONS},
};
use vonggac_collector::{
    config::Config,
    rollup::RollUps,
    store::{ProgressPart, Store, migrate},
    tenure::Tenure,
};
use vonggac_wire::topic;

mod disk;
mod insert;
mod questions;

/// Rows if nothing else is said, and at most.
const ROWS: u64 = 10_000_000;
const ROWS_MAX: u64 = 200_000_000;

/// Rows of one statement that makes them.
const MADE_AT_ONCE: u64 = 1_000_000;

/// Thirty days of events, whatever their number: 2026-11-01 in UTC.
const START: i64 = 1_793_491_200;
const DAYS: i64 = 30;

const DATABASE: &str = "bench";

/// The store under measurement.
struct Rig {
    engine: Engine,
    store: Store,
    client: Client,
    rows: u64,
}

impl Rig {
    /// The second behind the last event.
    const fn end() -> i64 {
        START + DAYS * 86_400
    }

    /// Numbers that the engine counted so far: rows and bytes read.
    async fn read(&self) -> anyhow::Result<(u64, u64)> {
        Ok(self
            .client
            .query("SELECT sumIf(value, event = 'SelectedRows'), sumIf(value, event = 'SelectedBytes') FROM system.events")
            .fetch_one()
            .await?)
    }
}

fn rows() -> anyhow::Result<u64> {
    let mut arguments = std::env::args().skip(1);
    let mut rows = ROWS;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rows" => {
                rows = arguments
                    .next()
                    .context("how many rows?")?
                    .parse()
                    .context("a number of rows")?;
            }
            other => bail!("{other} is unknown; --rows N"),
        }
    }
    Ok(rows.clamp(100_000, ROWS_MAX))
}

fn main() -> anyhow::Result<()> {
    let rows = rows()?;
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    let path = folder.path().join("collector.toml");
    fs::write(&path, engine.configuration(DATABASE))?;
    let store = Store::new(&Config::read(&path)?);
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(migrate::run(&store))?;
    // What a question found is not kept for its next time.
    let store = store.with_setting("use_query_condition_cache", "0");
    // As the collector speaks to it.
    let client = Client::default()
        .with_compression(Compression::None)
        .with_url(engine.url())
        .with_database(DATABASE);
    let rig = Rig { engine, store, client, rows };
    runtime.block_on(measure(&rig))
}

async fn measure(rig: &Rig) -> anyhow::Result<()> {
    println!(
        "machine: {} cores, {}; {} rows of thirty days\n",
        thread::available_parallelism()?,
        model(),
        rig.rows
    );
    let made = fill(rig).await?;
    roll_up(rig, made).await?;
    settle(rig).await?;
    questions::measure(rig).await?;
    disk::measure(rig).await?;
    insert::measure(rig).await?;
    if let Some(pid) = rig.engine.pid() {
        println!(
            "\nthe engine holds {:.0} MB, at most {:.0} MB",
            megabytes(pid, "VmRSS:")?,
            megabytes(pid, "VmHWM:")?
        );
    }
    Ok(())
}

async fn fill(rig: &Rig) -> anyhow::Result<Made> {
    let micros = u64::try_from(DAYS * 86_400)? * 1_000_000;
    let all = Made {
        first: 0,
        count: rig.rows,
        start: START,
        apart_micros: micros / rig.rows,
        record: 500,
    };
    let begun = Instant::now();
    for first in (0..rig.rows).step_by(usize::try_from(MADE_AT_ONCE)?) {
        let count = MADE_AT_ONCE.min(rig.rows - first);
        rig.client.query(&Made { first, count, ..all }.statement()).execute().await?;
        eprintln!("{} of {} rows made, {:?}", first + count, rig.rows, begun.elapsed());
    }
    Ok(all)
}

/// The roll-ups of a store of before, as the collector makes them.
async fn roll_up(rig: &Rig, made: Made) -> anyhow::Result<()> {
    let held: Vec<(String, i32)> = topic::EVENTS
        .iter()
        .flat_map(|topic| (0..PARTITIONS).map(|partition| ((*topic).to_owned(), partition)))
        .collect();
    let parts: Vec<ProgressPart> = held
        .iter()
        .map(|(topic, partition)| ProgressPart {
            topic: topic.clone(),
            partition: *partition,
            next_offset: made.next_offset().cast_signed(),
            held: Vec::new(),
        })
        .collect();
    rig.store.save_progress(&parts, None).await?;
    let begun = Instant::now();
    let mut rollups = RollUps::new(rig.store.clone());
    let mut tenure = Tenure::new("bench".into(), 1, held);
    while rollups.pass(&mut tenure).await? {}
    let took = begun.elapsed().as_secs_f64();
    println!(
        "roll-ups of all rows, made at once: {took:.1} s, {:.0} rows/s\n",
        rig.rows as f64 / took
    );
    Ok(())
}

/// Waits until the engine merges nothing, so that it does not measure itself.
async fn settle(rig: &Rig) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let merges: u64 = rig.client.query("SELECT count() FROM system.merges").fetch_one().await?;
        if merges == 0 || begun.elapsed() > Duration::from_secs(600) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
