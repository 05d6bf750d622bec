//! The pass between a collector and the engine does what it says, so that stories can trust it.
#![expect(clippy::expect_used, reason = "a story stops where its ground is missing")]

use std::time::{Duration, Instant};

use clickhouse::{Client, Row};
use serde::Serialize;
use system_tests::{
    between::{Between, Fault, Reach},
    engine::Engine,
};

const TOUCH: Duration = Duration::from_millis(300);

#[derive(Row, Serialize)]
struct Number {
    n: u64,
}

async fn insert(client: &Client, table: &str, n: u64) -> clickhouse::error::Result<()> {
    let mut insert = client
        .insert::<Number>(table)
        .await?
        .with_setting("insert_deduplication_token", format!("token {n}"));
    insert.write(&Number { n }).await?;
    insert.end().await
}

async fn count(client: &Client, table: &str) -> u64 {
    client.query(&format!("SELECT count() FROM {table}")).fetch_one().await.expect("counted")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_of_the_pass_is_met_by_its_client() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(engine) = Engine::start(folder.path()).expect("an engine") else { return };
    let direct = engine.client("default");
    for table in ["events", "others"] {
        let made = format!(
            "CREATE TABLE {table} (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100"
        );
        direct.query(&made).execute().await.expect("made");
    }
    let between = Between::to(engine.address()).expect("a pass");
    let client = Client::default().with_url(between.url()).with_database("default");
    let refused = |answered: clickhouse::error::Result<()>| {
        answered.expect_err("it cannot be done").to_string()
    };

    insert(&client, "events", 1).await.expect("passed on");
    insert(&client, "events", 1).await.expect("passed on");
    assert_eq!(count(&client, "events").await, 1, "the engine knows a token again");

    between.set(Fault::Slow(TOUCH));
    let begun = Instant::now();
    insert(&client, "events", 2).await.expect("passed on");
    assert!(begun.elapsed() >= TOUCH);

    between.set(Fault::Refuse);
    refused(insert(&client, "events", 3).await);
    refused(client.query("SELECT 1").execute().await);

    between.set_for(
        Reach::Inserts,
        Fault::Answer(500, "Code: 243. DB::Exception: Cannot reserve 1.00 MiB".into()),
    );
    assert!(refused(insert(&client, "events", 3).await).contains("Cannot reserve"));
    assert_eq!(count(&client, "events").await, 2, "questions are answered");

    // What hangs is carried out when the engine is back, although nobody waits for it any longer.
    between.set_for(Reach::Into("others".into()), Fault::Hang);
    let waited = tokio::time::timeout(TOUCH, insert(&client, "others", 4)).await;
    assert!(waited.is_err() && count(&client, "others").await == 0);
    between.set(Fault::None);
    let begun = Instant::now();
    while count(&client, "others").await == 0 && begun.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(count(&client, "others").await, 1);

    between.set(Fault::LoseAnswers { every: 1 });
    refused(insert(&client, "events", 5).await);
    refused(insert(&client, "events", 5).await);
    between.set(Fault::WithoutToken { every: 2 });
    let mut lost = 0;
    for _ in 0..8 {
        lost += u64::from(insert(&client, "events", 6).await.is_err());
    }
    between.set(Fault::None);
    assert_eq!(count(&client, "events").await, 2 + 1 + 8, "whatever is tried again is double");
    assert!((1..8).contains(&lost), "{lost} of 8 answers were lost");
    assert_eq!(between.counts().lost, 2 + lost);

    between.set(Fault::AnswerBeforeStoring(TOUCH));
    insert(&client, "events", 7).await.expect("it says so");
    assert_eq!(count(&client, "events").await, 11);
    tokio::time::sleep(TOUCH * 3).await;
    assert_eq!(count(&client, "events").await, 12);
    insert(&client, "events", 8).await.expect("it says so");
    drop(between);
    tokio::time::sleep(TOUCH * 3).await;
    assert_eq!(count(&direct, "events").await, 12, "lost with the pass");
}
