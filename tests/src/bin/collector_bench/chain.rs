//! The whole way of a backlog, from Kafka to rows, against the engine's own insert of the same rows in the same blocks as bytes.

use std::time::{Duration, Instant};

use anyhow::Context;
use clickhouse::Client;
use system_tests::{machine::cpu_seconds, traffic::Load};
use vonggac_collector::{config::BLOCK_ROWS_MAX, store::row::EventRow};
use vonggac_wire::Time;

use crate::{
    Options,
    site::{Site, settle, told_memory},
};

/// Events of the whole backlog.
const EVENTS: u64 = 3_000_000;

/// Events a second of their own time.
const PER_SECOND: u32 = 5_000;

/// What the engine alone did.
struct Plain {
    rows: u64,
    took: Duration,
    cpu: f64,
    blocks: usize,
}

pub(crate) async fn measure(options: &Options) -> anyhow::Result<()> {
    let Some(site) = Site::up().await? else { return Ok(()) };
    let events = options.of(EVENTS);
    let start = Time::now().minus(Duration::from_secs(events / u64::from(PER_SECOND)));
    site.prepare(&mut Load::new(start, PER_SECOND)?, events)?;
    let begun = Instant::now();
    let collector = site.collector("one")?;
    let collectors = [collector];
    let caught = site.caught_up(&collectors, events, begun).await?;
    drop(collectors);
    settle(&site.client).await?;
    let plain = plain(&site).await?;
    let rate = plain.rows as f64 / plain.took.as_secs_f64();
    let million = |cpu: f64, rows: u64| cpu / (rows as f64 / 1e6);
    println!(
        "| {events} events | rows | rows/s | CPU-seconds of the collector per million | of the engine |\n|---|---|---|---|---|\n\
         | the whole chain, from Kafka | {} | {:.0} | {:.1} | {:.1} |\n| the same rows in {} blocks as bytes | {} | {rate:.0} | - | {:.1} |\n\
         | ratio | | {:.0} % | | |\n",
        caught.rows,
        caught.rate(),
        million(caught.cpu.0, caught.rows),
        million(caught.cpu.1, caught.rows),
        plain.blocks,
        plain.rows,
        million(plain.cpu, plain.rows),
        caught.rate() / rate * 100.0
    );
    println!(
        "first row {:.1} s behind the collector's start; its memory at the beginning / halfway / at the end / at most: {} MB",
        caught.first.as_secs_f64(),
        told_memory(&caught.memory)
    );
    Ok(())
}

/// The same rows into a table of the same schema. Rows of a record have the time at which it was taken, so ranges of that time are blocks.
async fn plain(site: &Site) -> anyhow::Result<Plain> {
    let records: Vec<(i64, u64)> = site
        .client
        .query("SELECT toUnixTimestamp64Micro(stored) AS taken, count() FROM events GROUP BY taken ORDER BY taken")
        .fetch_all()
        .await?;
    let mut blocks: Vec<(i64, i64, u64)> = Vec::new();
    let mut open: Option<(i64, i64, u64)> = None;
    for (taken, rows) in records {
        let (first, _, before) = open.unwrap_or((taken, taken, 0));
        let block = (first, taken, before + rows);
        open = if block.2 < BLOCK_ROWS_MAX { Some(block) } else { None };
        if open.is_none() {
            blocks.push(block);
        }
    }
    blocks.extend(open);
    let other = site.other("plain").await?;
    let engine = site.engine.pid().context("the engine has no process")?;
    let mut plain = Plain { rows: 0, took: Duration::ZERO, cpu: 0.0, blocks: blocks.len() };
    for (number, (first, last, rows)) in blocks.into_iter().enumerate() {
        let bytes = block(&site.client, first, last).await?;
        let (begun, worked) = (Instant::now(), cpu_seconds(engine)?);
        insert(&other, bytes, number).await?;
        plain.took += begun.elapsed();
        plain.cpu += cpu_seconds(engine)? - worked;
        plain.rows += rows;
    }
    Ok(plain)
}

fn columns() -> String {
    <EventRow as clickhouse::Row>::COLUMN_NAMES.join(", ")
}

async fn block(client: &Client, first: i64, last: i64) -> anyhow::Result<bytes::Bytes> {
    let text = format!(
        "SELECT {} FROM events WHERE stored >= fromUnixTimestamp64Micro(?, 'UTC') AND stored <= fromUnixTimestamp64Micro(?, 'UTC') \
         ORDER BY stored, kafka_topic, kafka_partition, kafka_offset, kafka_index",
        columns()
    );
    let mut cursor = client.query(&text).bind(first).bind(last).fetch_bytes("RowBinary")?;
    Ok(cursor.collect().await?)
}

async fn insert(client: &Client, bytes: bytes::Bytes, number: usize) -> anyhow::Result<()> {
    let mut insert = client
        .insert_formatted_with(format!("INSERT INTO events ({}) FORMAT RowBinary", columns()))
        .with_setting("insert_deduplication_token", format!("plain-{number}"));
    insert.send(bytes).await?;
    Ok(insert.end().await?)
}
