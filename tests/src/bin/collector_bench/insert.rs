//! How fast rows go in: the collector's insert of its rows against the same blocks as bytes, one after the other, in turns.

use std::time::{Duration, Instant};

use vonggac_collector::store::row::EventRow;

use crate::filled::Rig;

/// Rows of a block: the collector's own.
const BLOCK: u64 = 50_000;

/// Blocks of each way.
const BLOCKS: u32 = 8;

pub(crate) async fn measure(rig: &Rig) -> anyhow::Result<()> {
    let place = "FROM events ORDER BY kafka_offset, kafka_index LIMIT ?";
    let rows: Vec<EventRow> =
        rig.client.query(&format!("SELECT ?fields {place}")).bind(BLOCK).fetch_all().await?;
    let columns = <EventRow as clickhouse::Row>::COLUMN_NAMES.join(", ");
    let bytes = rig
        .client
        .query(&format!("SELECT {columns} {place}"))
        .bind(BLOCK)
        .fetch_bytes("RowBinary")?
        .collect()
        .await?;
    let (mut ours, mut plain) = (Duration::ZERO, Duration::ZERO);
    for block in 0..BLOCKS {
        let begun = Instant::now();
        rig.store.insert_rows(&rows, &format!("ours-{block}")).await?;
        ours += begun.elapsed();
        let begun = Instant::now();
        let mut insert = rig
            .client
            .insert_formatted_with(format!("INSERT INTO events ({columns}) FORMAT RowBinary"))
            .with_setting("insert_deduplication_token", format!("plain-{block}"));
        insert.send(bytes.clone()).await?;
        insert.end().await?;
        plain += begun.elapsed();
    }
    let rate = |took: Duration| BLOCK as f64 * f64::from(BLOCKS) / took.as_secs_f64();
    println!(
        "\n| insert of blocks of {BLOCK} rows | rows/s |\n|---|---|\n| the collector's, from its rows | {:.0} |\n| the same blocks as bytes | {:.0} |\n| ratio | {:.0} % |",
        rate(ours),
        rate(plain),
        rate(ours) / rate(plain) * 100.0
    );
    Ok(())
}
