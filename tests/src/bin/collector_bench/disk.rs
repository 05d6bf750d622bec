//! What rows take on disk, by class and by column. Raw bytes are those of the lines with their ends.

use clickhouse::Client;

/// Rows of a class that are looked at.
const SAMPLE: u64 = 1_000_000;

/// Columns that are told.
const COLUMNS: u64 = 24;

/// Bytes of the lines that rows are of.
const RAW: &str = "sum(length(raw) + (raw != ''))";

pub(crate) async fn measure(client: &Client) -> anyhow::Result<()> {
    println!(
        "\n| table | rows | MB of raw lines | MB stored | of it indexes MB | ratio |\n|---|---|---|---|---|---|"
    );
    let tables: Vec<(String, u64, u64, u64)> = client
        .query(
            "SELECT table, sum(rows), sum(bytes_on_disk), sum(secondary_indices_compressed_bytes) FROM system.parts WHERE active AND database = currentDatabase() \
             AND table IN ('events', 'rollups') GROUP BY table ORDER BY table",
        )
        .fetch_all()
        .await?;
    let raw: u64 = client.query(&format!("SELECT {RAW} FROM events")).fetch_one().await?;
    for (table, rows, bytes, indexes) in tables {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        println!(
            "| {table} | {rows} | {:.1} | {:.1} | {:.1} | {} |",
            megabytes(raw),
            megabytes(bytes),
            megabytes(indexes),
            ratio(bytes, raw)
        );
    }
    classes(client).await?;
    println!("\n| column of events | MB stored | MB plain |\n|---|---|---|");
    let columns: Vec<(String, u64, u64)> = client
        .query(
            "SELECT name, data_compressed_bytes, data_uncompressed_bytes FROM system.columns WHERE database = currentDatabase() AND table = 'events' \
             ORDER BY data_compressed_bytes DESC LIMIT ?",
        )
        .bind(COLUMNS)
        .fetch_all()
        .await?;
    for (name, stored, plain) in columns {
        println!("| {name} | {:.2} | {:.1} |", stored as f64 / 1e6, plain as f64 / 1e6);
    }
    println!("\n| index of events | MB stored |\n|---|---|");
    let indexes: Vec<(String, u64)> = client
        .query("SELECT name, data_compressed_bytes FROM system.data_skipping_indices WHERE database = currentDatabase() AND table = 'events' ORDER BY data_compressed_bytes DESC")
        .fetch_all()
        .await?;
    for (name, stored) in indexes {
        println!("| {name} | {:.2} |", stored as f64 / 1e6);
    }
    Ok(())
}

fn ratio(stored: u64, raw: u64) -> String {
    match raw {
        0 => "-".to_owned(),
        raw => format!("{:.1} %", stored as f64 / raw as f64 * 100.0),
    }
}

async fn classes(client: &Client) -> anyhow::Result<()> {
    println!(
        "\n| class | rows | bytes of raw lines a row | stored bytes a row | ratio |\n|---|---|---|---|---|"
    );
    let classes: Vec<String> =
        client.query("SELECT DISTINCT class FROM events ORDER BY class").fetch_all().await?;
    for class in classes {
        client.query("CREATE TABLE of_class AS events").execute().await?;
        client
            .query("INSERT INTO of_class SELECT * FROM events WHERE class = ? LIMIT ?")
            .bind(&class)
            .bind(SAMPLE)
            .execute()
            .await?;
        client.query("OPTIMIZE TABLE of_class FINAL").execute().await?;
        let (rows, raw): (u64, u64) =
            client.query(&format!("SELECT count(), {RAW} FROM of_class")).fetch_one().await?;
        let stored: u64 = client
            .query("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() AND table = 'of_class'")
            .fetch_one()
            .await?;
        let each = |bytes: u64| bytes as f64 / rows.max(1) as f64;
        println!(
            "| {class} | {rows} | {:.0} | {:.1} | {} |",
            each(raw),
            each(stored),
            ratio(stored, raw)
        );
        client.query("DROP TABLE of_class SYNC").execute().await?;
    }
    Ok(())
}
