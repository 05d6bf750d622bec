//! The front against the real engine and the ordinary `clickhouse` client.
#![expect(clippy::print_stderr, reason = "a test tells loudly that it is skipped")]

use std::{path::PathBuf, time::Duration};

use clickhouse::{Client, Compression, Row};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use vonggac_single::engine::{http, pool::Pool};

#[derive(Row, Serialize, Deserialize, Debug, PartialEq)]
struct Line {
    seq: u64,
    text: String,
}

/// Where deploy/up keeps the engine; the tests are told loudly when it is missing.
fn library() -> Option<PathBuf> {
    let cache = std::env::var_os("VONGGAC_CACHE").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".cache/vonggac"))
    })?;
    let path = cache.join("engine/libchdb.so");
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: no engine at {}; deploy/up --install-only brings it", path.display());
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ordinary_client_writes_reads_binds_and_gets_errors() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let pool = tokio::task::spawn_blocking(move || Pool::open(&library, &store, None))
        .await
        .expect("a thread")
        .expect("the engine opens");
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    tokio::spawn(http::serve(port, pool, None, CancellationToken::new()));
    tokio::time::sleep(Duration::from_millis(200)).await;

    let plain = Client::default().with_url(format!("http://{port}"));
    plain.query("CREATE DATABASE IF NOT EXISTS vg").execute().await.expect("a database");
    for compression in [Compression::None, Compression::Lz4] {
        let client = plain.clone().with_database("vg").with_compression(compression);
        client.query("DROP TABLE IF EXISTS t").execute().await.expect("dropped");
        client
            .query("CREATE TABLE t (seq UInt64, text String) ENGINE = MergeTree ORDER BY seq SETTINGS non_replicated_deduplication_window = 100")
            .execute()
            .await
            .expect("a table");
        for _ in 0..2 {
            let mut insert = client
                .insert::<Line>("t")
                .await
                .expect("an insert")
                .with_setting("insert_deduplication_token", "vg.t/0/1-2");
            for seq in 1..=2 {
                insert.write(&Line { seq, text: format!("dòng {seq}") }).await.expect("a row");
            }
            insert.end().await.expect("the block is stored");
        }
        let rows = client
            .query("SELECT ?fields FROM t WHERE text != ? ORDER BY seq")
            .bind("x'")
            .fetch_all::<Line>()
            .await
            .expect("rows");
        assert_eq!(rows.len(), 2, "the same token is stored once");
        assert_eq!(rows[1], Line { seq: 2, text: "dòng 2".into() });
        let named: u64 = client
            .query("SELECT seq FROM t WHERE text = {wanted:String}")
            .param("wanted", "dòng 2")
            .fetch_one()
            .await
            .expect("a row");
        assert_eq!(named, 2);
    }
    let error = plain.query("SELECT * FROM nowhere.nothing").execute().await.expect_err("refused");
    assert!(error.to_string().contains("nowhere"), "{error}");
}
