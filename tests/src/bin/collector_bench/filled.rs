//! A store that is filled with rows the engine makes itself, for what consoles ask.

use std::{
    fs,
    time::{Duration, Instant},
};

use clickhouse::{Client, Compression};
use system_tests::{
    engine::Engine,
    machine::megabytes,
    made::{Made, PARTITIONS},
};
use vonggac_collector::{
    config::Config,
    rollup::RollUps,
    store::{ProgressPart, Store, migrate},
    tenure::Tenure,
};
use vonggac_wire::topic;

use crate::{disk, insert, questions, site::settle};

/// Rows of one statement that makes them.
const MADE_AT_ONCE: u64 = 1_000_000;

/// Thirty days of events, whatever their number: 2026-11-01 in UTC.
pub(crate) const START: i64 = 1_793_491_200;
pub(crate) const DAYS: i64 = 30;

const DATABASE: &str = "bench";

/// The store under measurement.
pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) store: Store,
    pub(crate) client: Client,
    pub(crate) rows: u64,
}

impl Rig {
    /// The second behind the last event.
    pub(crate) const fn end() -> i64 {
        START + DAYS * 86_400
    }

    /// Numbers that the engine counted so far: rows and bytes read.
    pub(crate) async fn read(&self) -> anyhow::Result<(u64, u64)> {
        Ok(self
            .client
            .query("SELECT sumIf(value, event = 'SelectedRows'), sumIf(value, event = 'SelectedBytes') FROM system.events")
            .fetch_one()
            .await?)
    }
}

/// Fills a store and asks it everything.
pub(crate) async fn measure(rows: u64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    let path = folder.path().join("collector.toml");
    fs::write(&path, engine.configuration(DATABASE))?;
    let store = Store::new(&Config::read(&path)?);
    migrate::run(&store).await?;
    // What a question found is not kept for its next time.
    let store = store.with_setting("use_query_condition_cache", "0");
    // As the collector speaks to it.
    let client = Client::default()
        .with_compression(Compression::None)
        .with_url(engine.url())
        .with_database(DATABASE);
    let rig = Rig { engine, store, client, rows };
    println!("{rows} rows of thirty days\n");
    let made = fill(&rig).await?;
    roll_up(&rig, made).await?;
    settle(&rig.client).await?;
    questions::measure(&rig).await?;
    disk::measure(&rig.client).await?;
    insert::measure(&rig).await?;
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
    let took: Duration = begun.elapsed();
    println!(
        "roll-ups of all rows, made at once: {:.1} s, {:.0} rows/s\n",
        took.as_secs_f64(),
        rig.rows as f64 / took.as_secs_f64()
    );
    Ok(())
}
