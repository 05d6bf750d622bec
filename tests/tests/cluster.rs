//! The statements of a cluster in the real engine: read by its parser, carried out as far as an embedded engine can, and worked on by the
//! store's own code through the tables in front.
//!
//! The embedded engine has neither the thread that carries `ON CLUSTER` out, nor an address at which replicas fetch parts from one another,
//! nor a port for the protocol that shards speak. So here `ON CLUSTER` is left out, replicated tables are made over the engine's own Keeper
//! in memory and stay empty, and rows go through Distributed tables to plain ones.

use std::{fmt::Write, path::Path};

use anyhow::{Context, ensure};
use clickhouse::Client;
use regex::Regex;
use system_tests::{digest, engine::Engine, made::Made};
use vonggac_collector::{
    config::Config,
    rollup::RollUps,
    store::{
        ProgressPart, Store,
        cluster::{Layout, SETTINGS, SHARDED, SHARDING_KEY, ddl},
        migrate::{self, MIGRATIONS, VERSIONS},
        rollup::Span,
    },
    tenure::Tenure,
};
use vonggac_wire::topic;

/// Settings of an engine that is the only shard of `nation`, and the first of the two of `two`, of which the other is away.
const ENGINE: &str = "<clickhouse><tcp_port>9000</tcp_port><zookeeper><implementation>testkeeper</implementation></zookeeper>\
    <macros><shard>01</shard><replica>a</replica></macros><remote_servers>\
    <nation><shard><internal_replication>true</internal_replication><replica><host>127.0.0.1</host><port>9000</port></replica></shard></nation>\
    <two><shard><internal_replication>true</internal_replication><replica><host>127.0.0.1</host><port>9000</port></replica></shard>\
    <shard><internal_replication>true</internal_replication><replica><host>127.0.0.1</host><port>9</port></replica></shard></two>\
    </remote_servers></clickhouse>";

/// Partitions of each topic whose events are rolled up.
const PARTITIONS: i32 = 3;

/// The first second of the made events.
const START: i64 = 1_793_491_200;

/// All that a migration to this layout carries out, in order.
fn statements(layout: &Layout, database: &str) -> anyhow::Result<Vec<String>> {
    let mut all = vec![ddl::database(layout, database)];
    let files = MIGRATIONS.iter().map(|(version, _, file)| (*version, *file));
    for (version, file) in std::iter::once((0, VERSIONS)).chain(files) {
        all.extend(ddl::statements(layout, database, version, file)?);
    }
    Ok(all)
}

/// The statement as the embedded engine can carry it out.
fn alone(statement: &str, cluster: &str) -> String {
    statement.replace(&format!(" ON CLUSTER `{cluster}`"), "")
}

/// The same with plain tables behind those in front, so that rows can be inserted.
fn unreplicated(statement: &str) -> anyhow::Result<String> {
    let engine = Regex::new(r"ENGINE = Replicated(\w+)\('[^']*', '[^']*'(?:, )?([^)]*)\)")?;
    let plain = engine.replace(statement, "ENGINE = $1($2)");
    let seconds = Regex::new(", replicated_deduplication_window_seconds = [0-9]+")?;
    let plain = seconds.replace(&plain, "");
    Ok(plain
        .replace("SETTINGS replicated_", "SETTINGS non_replicated_")
        .replace(", replicated_", ", non_replicated_"))
}

async fn unreplicated_database(
    root: &Client,
    cluster: &str,
    database: &str,
) -> anyhow::Result<Client> {
    let client = root.clone().with_database(database);
    for (number, statement) in statements(&Layout::of(Some(cluster)), database)?.iter().enumerate()
    {
        let text = unreplicated(&alone(statement, cluster))?;
        let asked = if number == 0 { root } else { &client };
        asked.query_raw(&text).execute().await.with_context(|| text)?;
    }
    Ok(SETTINGS.iter().fold(client, |client, (name, value)| client.with_setting(*name, *value)))
}

async fn number(client: &Client, query: &str) -> anyhow::Result<u64> {
    client.query_raw(query).fetch_one().await.with_context(|| query.to_owned())
}

#[test]
fn every_statement_of_both_kinds_is_read_by_the_engines_parser() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    tokio::runtime::Runtime::new()?.block_on(async {
        let client = Client::default().with_url(engine.url());
        let parsed = async |statement: &str| {
            let quoted = statement.replace('\\', "\\\\").replace('\'', "\\'");
            let query = format!("SELECT formatQuery('{quoted}')");
            client.query_raw(&query).fetch_one::<String>().await
        };
        for layout in [Layout::One, Layout::of(Some("na-tion.1"))] {
            let mut all = statements(&layout, "von`g'gac")?;
            let migrations = all.len();
            for table in ["events", "rollups", "transitions", "gaps"] {
                all.push(layout.delete(table, None, "agency = 'a\\'b' AND incident IN (1, 2)"));
                all.push(layout.delete(table, Some("202611"), "day < toDate(20000)"));
                all.extend(layout.settle("von`g'gac", table));
            }
            all.push(layout.drop_database("von`g'gac"));
            all.push(format!("SELECT count() FROM {} WHERE active", layout.system("parts")));
            all.push(format!("SELECT count() FROM {}", layout.system_once("disks")));
            for (place, statement) in all.iter().enumerate() {
                let text = parsed(statement).await.with_context(|| statement.clone())?;
                // A name of a cluster, and only there; a table that is everywhere alters itself by its replicas.
                let sharded = |name: &str| statement.starts_with(&format!("ALTER TABLE {name}"));
                let everywhere = statement.starts_with("ALTER TABLE")
                    && !SHARDED.iter().any(|name| sharded(name));
                if place < migrations && !everywhere {
                    assert_eq!(text.contains("ON CLUSTER"), layout.is_cluster(), "{text}");
                }
            }
        }
        // The same question finds what is wrong.
        for wrong in [
            "CREATE TABLE a ON CLUSTER (b UInt8) ENGINE = Memory",
            "ALTER TABLE a ADD COLUMN",
            "DELETE FROM a WHERE",
        ] {
            assert!(parsed(wrong).await.is_err(), "{wrong}");
        }
        Ok(())
    })
}

#[test]
fn the_engine_makes_every_table_of_a_cluster_where_it_belongs() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start_with(folder.path(), Some(ENGINE))? else { return Ok(()) };
    tokio::runtime::Runtime::new()?.block_on(async {
        let root = Client::default().with_url(engine.url());
        let client = root.clone().with_database("vonggac");
        for statement in statements(&Layout::of(Some("nation")), "vonggac")? {
            let text = alone(&statement, "nation");
            let of_database = text.starts_with("CREATE DATABASE");
            // Replicas without an address for one another take no changes.
            if text.starts_with("ALTER TABLE") {
                continue;
            }
            let asked = if of_database { &root } else { &client };
            asked.query_raw(&text).execute().await.with_context(|| text)?;
        }
        let replicas: Vec<(String, String, String)> = client
            .query("SELECT table, zookeeper_path, replica_name FROM system.replicas ORDER BY table")
            .fetch_all()
            .await?;
        let tables =
            MIGRATIONS.iter().filter(|(.., file)| ddl::plain(file).starts_with("CREATE TABLE"));
        assert_eq!(replicas.len(), tables.count() + 1, "{replicas:?}");
        for (table, path, replica) in &replicas {
            match table.strip_suffix("_local") {
                Some(front) => {
                    ensure!(SHARDED.contains(&front), "{table}");
                    assert_eq!(
                        (path.as_str(), replica.as_str()),
                        (format!("/clickhouse/tables/01/vonggac/{table}").as_str(), "a")
                    );
                }
                None => assert_eq!(
                    (path.as_str(), replica.as_str()),
                    (format!("/clickhouse/everywhere/vonggac/{table}").as_str(), "01-a")
                ),
            }
        }
        let layout = Layout::of(Some("nation"));
        for front in SHARDED.iter().filter(|front| **front != "events_sorted") {
            let local = layout.local(front);
            let made: String = client
                .query(
                    "SELECT engine_full FROM system.tables WHERE database = 'vonggac' AND name = ?",
                )
                .bind(front)
                .fetch_one()
                .await?;
            assert_eq!(
                made,
                format!("Distributed('nation', 'vonggac', '{local}', {SHARDING_KEY})")
            );
        }
        // A collector that is told of one machine does not touch it, nor one of another cluster.
        for (cluster, why) in [
            ("", "the configuration is for one machine"),
            ("cluster = \"other\"\n", "the configuration is for the cluster \"other\""),
        ] {
            let error = migrate::run(&store(&engine, "vonggac", cluster)?).await;
            let error = error.err().context("refused")?.to_string();
            ensure!(
                error.contains("it is laid out for the cluster \"nation\"") && error.contains(why),
                "{error}"
            );
        }
        let plain = store(&engine, "plain", "")?;
        migrate::run(&plain).await?;
        let error = migrate::run(&store(&engine, "plain", "cluster = \"nation\"\n")?).await;
        let error = error.err().context("refused")?.to_string();
        ensure!(
            error.contains(
                "it is laid out for one machine, the configuration is for the cluster \"nation\""
            ),
            "{error}"
        );
        Ok(())
    })
}

fn store(engine: &Engine, database: &str, of_engine: &str) -> anyhow::Result<Store> {
    let path = engine.configuration_file(database, "")?;
    let text = std::fs::read_to_string(&path)?;
    std::fs::write(&path, text.replace("[engine]\n", &format!("[engine]\n{of_engine}")))?;
    Ok(Store::new(&Config::read(Path::new(&path))?))
}

#[test]
fn the_store_works_through_the_tables_in_front_as_on_plain_ones() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start_with(folder.path(), Some(ENGINE))? else { return Ok(()) };
    tokio::runtime::Runtime::new()?.block_on(async {
        let root = Client::default().with_url(engine.url());
        let client = unreplicated_database(&root, "nation", "fronts").await?;
        let made = Made { first: 0, count: 20_000, start: START, apart_micros: 400_000, record: 100 };
        for _ in 0..2 {
            // The same token a second time is harmless.
            let insert = client.query(&made.statement()).with_setting("insert_deduplication_token", "made");
            insert.execute().await?;
        }
        assert_eq!(number(&client, "SELECT count() FROM events_sorted_local").await?, made.count);
        let store = store(&engine, "fronts", "")?;
        let held: Vec<(String, i32)> = topic::EVENTS
            .iter()
            .flat_map(|topic| (0..PARTITIONS).map(|partition| ((*topic).to_owned(), partition)))
            .collect();
        let from = held.iter().map(|key| (key.clone(), 0)).collect();
        let rows: u64 = store.held(&from).await?.values().map(|rows| rows.len() as u64).sum();
        let below = format!("SELECT count() FROM events_sorted_local WHERE kafka_partition < {PARTITIONS}");
        assert_eq!(rows, number(&client, &below).await?, "what is stored at or above an offset");
        assert!(rows > 0);
        let progress = |(topic, partition): &(String, i32)| ProgressPart {
            topic: topic.clone(),
            partition: *partition,
            next_offset: made.next_offset().cast_signed(),
            held: Vec::new(),
        };
        store.save_progress(&held.iter().map(progress).collect::<Vec<_>>(), None).await?;
        let mut rollups = RollUps::new(store.clone());
        let mut tenure = Tenure::new("tenure-1".into(), 1, held);
        while rollups.pass(&mut tenure).await? {}
        for span in Span::ALL {
            let (of_rows, of_rollups) = digest::queries(span, &format!("kafka_partition < {PARTITIONS}"));
            let of_rows: (u64, i64, String) = client.query(&of_rows).fetch_one().await?;
            let of_rollups: (u64, i64, String) = client.query(&of_rollups).fetch_one().await?;
            assert_eq!((of_rows.1.cast_unsigned(), &of_rows), (rows, &of_rollups), "{span:?}");
        }
        assert!(number(&client, "SELECT count() FROM rollups_local").await? > 0);
        assert_eq!(number(&client, "SELECT count() FROM rollup_hour WHERE events > 0").await?, number(&client, "SELECT count() FROM rollups_local WHERE span = 'hour'").await?);
        // Columns that are computed, columns that came later, and parts are seen through the front.
        let seen = "SELECT countIf(day = toDate(time) AND folded != '' AND _partition_id != '') FROM events";
        assert!(number(&client, seen).await? > made.count / 2);
        assert_eq!(number(&client, "SELECT count() FROM system.columns WHERE database = 'fronts' AND table = 'events' AND name = 'online' AND type = 'Nullable(Bool)'").await?, 1);
        assert!(number(&client, "SELECT count() FROM clusterAllReplicas('nation', system.parts) WHERE active AND table = 'events_sorted_local'").await? > 0);
        let copy = store.backup(&folder.path().join("copy"), "story", &|_| {}).await?;
        assert_eq!(copy.tables.first().map(|table| table.rows), Some(rows));
        Ok(())
    })
}

#[test]
fn a_block_that_one_shard_took_and_another_did_not_is_sent_again_and_counts_once()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start_with(folder.path(), Some(ENGINE))? else { return Ok(()) };
    tokio::runtime::Runtime::new()?.block_on(async {
        let root = Client::default().with_url(engine.url());
        let client = unreplicated_database(&root, "two", "halves").await?;
        let of: Vec<(i32, u64)> = client
            .query_raw(&format!("SELECT kafka_partition, toUInt64({SHARDING_KEY} % 2) AS shard FROM (SELECT toLowCardinality('vonggac.usage.v1') AS kafka_topic, \
                 toInt32(number) AS kafka_partition FROM numbers(12)) ORDER BY 1"))
            .fetch_all()
            .await?;
        let on = |shard| -> Vec<String> {
            of.iter().filter(|(_, of)| *of == shard).map(|(partition, _)| partition.to_string()).collect()
        };
        let (here, away) = (on(0), on(1));
        ensure!(!here.is_empty() && !away.is_empty(), "{of:?}");
        let block = |partitions: &[&String], token: &str| {
            let mut text = String::from("INSERT INTO events (agency, class, time, stored, lane, kafka_topic, kafka_partition, kafka_offset) ");
            let list: Vec<&str> = partitions.iter().map(|partition| partition.as_str()).collect();
            let _written = write!(text, "SELECT 'H49', 'dossier', now(), now(), 'usage', 'vonggac.usage.v1', arrayJoin([{}])::Int32, number FROM numbers(10)", list.join(", "));
            client.query_raw(&text).with_setting("insert_deduplication_token", token)
        };
        block(&here.iter().collect::<Vec<_>>(), "first").execute().await?;
        let rows = 10 * here.len() as u64;
        let stored = "SELECT count() FROM events_sorted_local";
        assert_eq!(number(&client, stored).await?, rows, "nothing of it lies on the other shard");
        // A block of both: refused as a whole, although this shard may have its share.
        for _ in 0..3 {
            let told = block(&here.iter().chain(&away).collect::<Vec<_>>(), "second").execute().await;
            let error = told.err().context("a shard is away")?.to_string();
            ensure!(error.contains("Connection refused") || error.contains("connection tries failed"), "{error}");
        }
        let now = number(&client, stored).await?;
        assert!(now == rows || now == 2 * rows, "this shard's share is in once or not at all: {now} of {rows}");
        // An answer without a shard's rows is none.
        assert!(number(&client, "SELECT count() FROM events").await.is_err());
        Ok(())
    })
}
