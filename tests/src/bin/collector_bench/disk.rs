//! What rows take on disk, by class and by column. The events are made, so their ratios say how classes compare and not what a nation's
//! logs will take.

use crate::Rig;

/// Rows of a class that are looked at.
const SAMPLE: u64 = 1_000_000;

/// Columns that are told.
const COLUMNS: u64 = 12;

pub(crate) async fn measure(rig: &Rig) -> anyhow::Result<()> {
    println!("\n| table | rows | MB stored | of it indexes MB |\n|---|---|---|---|");
    let tables: Vec<(String, u64, u64, u64)> = rig
        .client
        .query(
            "SELECT table, sum(rows), sum(bytes_on_disk), sum(secondary_indices_compressed_bytes) FROM system.parts WHERE active AND database = 'bench' \
             AND table IN ('events', 'rollups') GROUP BY table ORDER BY table",
        )
        .fetch_all()
        .await?;
    for (table, rows, bytes, indexes) in tables {
        println!("| {table} | {rows} | {:.1} | {:.1} |", bytes as f64 / 1e6, indexes as f64 / 1e6);
    }
    classes(rig).await?;
    println!("\n| column of events | MB stored | MB plain |\n|---|---|---|");
    let columns: Vec<(String, u64, u64)> = rig
        .client
        .query(
            "SELECT name, data_compressed_bytes, data_uncompressed_bytes FROM system.columns WHERE database = 'bench' AND table = 'events' \
             ORDER BY data_compressed_bytes DESC LIMIT ?",
        )
        .bind(COLUMNS)
        .fetch_all()
        .await?;
    for (name, stored, plain) in columns {
        println!("| {name} | {:.1} | {:.1} |", stored as f64 / 1e6, plain as f64 / 1e6);
    }
    Ok(())
}

async fn classes(rig: &Rig) -> anyhow::Result<()> {
    println!(
        "\n| class | rows | bytes of raw lines a row | stored bytes a row | ratio |\n|---|---|---|---|---|"
    );
    let classes: Vec<String> =
        rig.client.query("SELECT DISTINCT class FROM events ORDER BY class").fetch_all().await?;
    for class in classes {
        rig.client.query("CREATE TABLE of_class AS events").execute().await?;
        rig.client
            .query("INSERT INTO of_class SELECT * FROM events WHERE class = ? LIMIT ?")
            .bind(&class)
            .bind(SAMPLE)
            .execute()
            .await?;
        rig.client.query("OPTIMIZE TABLE of_class FINAL").execute().await?;
        let (rows, raw): (u64, u64) =
            rig.client.query("SELECT count(), sum(length(raw)) FROM of_class").fetch_one().await?;
        let stored: u64 = rig
            .client
            .query("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'bench' AND table = 'of_class'")
            .fetch_one()
            .await?;
        let each = |bytes: u64| bytes as f64 / rows.max(1) as f64;
        let ratio = if raw == 0 {
            "-".to_owned()
        } else {
            format!("{:.1} %", stored as f64 / raw as f64 * 100.0)
        };
        println!("| {class} | {rows} | {:.0} | {:.1} | {ratio} |", each(raw), each(stored));
        rig.client.query("DROP TABLE of_class SYNC").execute().await?;
    }
    Ok(())
}
