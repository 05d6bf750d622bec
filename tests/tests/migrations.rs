//! A store of each earlier version, with rows in it, is brought to the present one by the real engine, and its rows are still read.

use std::{process::Command, time::Duration};

use anyhow::{Context, ensure};
use clickhouse::Client;
use system_tests::{
    between::{Between, Fault},
    engine::Engine,
    machine::program,
};
use vonggac_collector::{
    config::Config,
    rollup::RollUps,
    store::{
        GapRow, ProgressPart, Store,
        migrate::{self, MIGRATIONS},
        query::Reach,
    },
    tenure::Tenure,
};
use vonggac_wire::{Time, topic};

fn store(engine: &Engine, database: &str) -> anyhow::Result<Store> {
    Ok(Store::new(&Config::read(&engine.configuration_file(database, "")?)?))
}

/// What the program of that version had done.
async fn as_of(client: &clickhouse::Client, version: u32) -> anyhow::Result<()> {
    client
        .query(
            "CREATE TABLE schema_migrations (version UInt32, name String, done DateTime DEFAULT now()) \
             ENGINE = ReplacingMergeTree ORDER BY version",
        )
        .execute()
        .await?;
    for (number, name, text) in MIGRATIONS.iter().filter(|(number, ..)| *number <= version) {
        let plain: Vec<&str> =
            text.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
        client.query(plain.join("\n").trim()).execute().await.context(*name)?;
        client
            .query("INSERT INTO schema_migrations (version, name) VALUES (?, ?)")
            .bind(*number)
            .bind(*name)
            .execute()
            .await?;
    }
    Ok(())
}

#[test]
fn stores_of_each_earlier_version_are_brought_to_the_present_and_read() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    tokio::runtime::Runtime::new()?.block_on(async {
        let versions = std::iter::once(0).chain(MIGRATIONS.iter().map(|(version, ..)| *version));
        for version in versions {
            let database = format!("from_{version}");
            let url = engine.url();
            let root = clickhouse::Client::default().with_url(&url);
            root.query(&format!("CREATE DATABASE {database}")).execute().await?;
            let client = root.with_database(&database);
            as_of(&client, version).await?;
            if version >= 1 {
                client
                    .query("INSERT INTO events (agency, class, time, stored, online, lane, step, kafka_topic) \
                         VALUES ('H49', 'dossier', now(), now(), true, 'usage', 'received', 'vonggac.usage.v1')")
                    .execute()
                    .await?;
            }
            if (5..7).contains(&version) {
                client
                    .query("INSERT INTO gaps (time, agency, agent, lane, first_seq, last_seq, reason) VALUES (now(), 'H49', 'a', 'usage', 10, 19, 'overflow')")
                    .execute()
                    .await?;
            }
            let store = store(&engine, &database)?;
            let taken = migrate::run(&store).await?;
            let later = MIGRATIONS.iter().filter(|(number, ..)| *number > version).count();
            assert_eq!(taken.len(), later);
            assert_eq!(migrate::run(&store).await?, Vec::<&str>::new(), "once is enough");
            let events: u64 = client.query("SELECT count() FROM events WHERE online").fetch_one().await?;
            assert_eq!(events, u64::from(version >= 1));
            let day = Time::now().minus(Duration::from_secs(86_400));
            let (old, lost) = store.gaps_since(day, 10).await?;
            let was: u64 = if (5..7).contains(&version) { 10 } else { 0 };
            assert_eq!((lost, old.iter().map(|gap| gap.events).sum::<u64>()), (was, was));
            gaps_tell_their_extent(&store, day, was).await?;
            rows_of_before_are_rolled_up(&store, u64::from(version >= 1)).await?;
        }
        Ok(())
    })
}

/// Every table with its columns, indexes and settings, and every step that is written down.
async fn schema(client: &clickhouse::Client, database: &str) -> anyhow::Result<Vec<String>> {
    let mut made: Vec<String> = client
        .query("SELECT create_table_query FROM system.tables WHERE database = ? ORDER BY name")
        .bind(database)
        .fetch_all()
        .await?;
    made.iter_mut().for_each(|text| *text = text.replace(database, "DATABASE"));
    let steps: Vec<(u32, String)> = client
        .query("SELECT version, name FROM schema_migrations FINAL ORDER BY version")
        .fetch_all()
        .await?;
    made.extend(steps.iter().map(|(version, name)| format!("{version} {name}")));
    Ok(made)
}

/// A store of a program of tomorrow: whatever would write to it, or read what it does not know, says so and ends.
#[test]
fn a_schema_that_is_newer_than_the_program_is_refused_in_a_sentence() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    tokio::runtime::Runtime::new()?.block_on(async {
        migrate::run(&store(&engine, "newer")?).await?;
        let later = "INSERT INTO schema_migrations (version, name) VALUES (9999, 'later')";
        engine.client("newer").query(later).execute().await?;
        anyhow::Ok(())
    })?;
    let file = engine.configuration_file("newer", "")?;
    for command in [
        &["serve"][..],
        &["migrate"],
        &["retention", "apply", "--by", "l"],
        &["dead", "list"],
        &["hold", "list"],
        &["backup", "--to", "/nowhere"],
        &["export", "--format", "ocsf", "--to", "/nowhere", "--since", "2026-11-26"],
    ] {
        let told = Command::new(program("vonggac-collector"))
            .args(command)
            .arg("--config")
            .arg(&file)
            .output()?;
        let words = String::from_utf8_lossy(&told.stderr);
        assert_eq!(told.status.code(), Some(1), "{command:?}: {words}");
        assert!(
            words.contains("its schema is version 9999") && words.contains("update the collector"),
            "{command:?}: {words}"
        );
    }
    Ok(())
}

/// Requests before the first step: how the store is laid out, the database, the table of steps, and the question how far it came.
const BEFORE: u64 = 4;

/// The migration after which events lie in another order: it takes many requests, and copies rows.
const SORTED: u32 = 24;

/// More than it takes.
const REQUESTS_MAX: u64 = 200;

/// Each step is cut before it is written down, and behind; the engine had carried the last request out, or had not.
#[test]
fn a_migration_that_is_cut_between_any_statement_and_its_record_is_finished() -> anyhow::Result<()>
{
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    let between = Between::to(engine.address())?;
    tokio::runtime::Runtime::new()?.block_on(async {
        migrate::run(&store(&engine, "whole")?).await?;
        let whole = schema(&engine.client("whole"), "whole").await?;
        for carried_out in [false, true] {
            let database = format!("cut_{carried_out}");
            let file = engine.configuration_file(&database, "")?;
            let text = std::fs::read_to_string(&file)?.replace(&engine.url(), &between.url());
            std::fs::write(&file, text)?;
            let store = Store::new(&Config::read(&file)?);
            let mut cuts = 0;
            for (version, name, _) in MIGRATIONS {
                if *version == SORTED {
                    cuts += cut_at_each_request(&between, &store, carried_out).await?;
                    // What is left of it grows less from cut to cut, so the last may have gone on to the steps behind it.
                    let forget = format!("DELETE FROM schema_migrations WHERE version > {SORTED}");
                    engine.client(&database).query(&forget).execute().await?;
                    continue;
                }
                // The statement is done and not written down; then it is done again, written down, and cut before the next one.
                for answered in [1, 2] {
                    let requests = BEFORE + answered - u64::from(carried_out);
                    between.set(Fault::GoneAfter { requests, carried_out });
                    let cut = migrate::run(&store).await;
                    let last = answered == 2 && *version == migrate::known();
                    ensure!(cut.is_err() || last, "{name} was not cut");
                    between.set(Fault::None);
                    let found = migrate::version(&store).await?;
                    // Numbers may be kept free for steps that are being made.
                    let before =
                        MIGRATIONS.iter().map(|(number, ..)| *number).filter(|n| n < version);
                    let wanted = if answered == 1 { before.max().unwrap_or(0) } else { *version };
                    assert_eq!(found, wanted, "{name}");
                    cuts += 1;
                }
            }
            assert!(cuts > 2 * MIGRATIONS.len(), "{cuts}");
            assert_eq!(migrate::run(&store).await?, Vec::<&str>::new(), "all was written down");
            assert_eq!(schema(&engine.client(&database), &database).await?, whole, "{database}");
        }
        Ok(())
    })
}

/// Cuts a migration one request later each time, until it comes to its end and writes that down.
async fn cut_at_each_request(
    between: &Between,
    store: &Store,
    carried_out: bool,
) -> anyhow::Result<usize> {
    for cuts in 0..REQUESTS_MAX {
        let requests = BEFORE + cuts - u64::from(carried_out);
        between.set(Fault::GoneAfter { requests, carried_out });
        let _cut = migrate::run(store).await;
        between.set(Fault::None);
        if migrate::version(store).await? >= SORTED {
            return Ok(usize::try_from(cuts)? + 1);
        }
    }
    anyhow::bail!("more than {REQUESTS_MAX} requests did not bring it to its end")
}

/// A store of the last version before the new order, with what is in the table that is copied. Its parts: two months, three agencies, and
/// a row of before that says less than those of today.
async fn before_the_order(engine: &Engine, database: &str) -> anyhow::Result<Client> {
    let url = engine.url();
    let root = Client::default().with_url(&url);
    root.query(&format!("CREATE DATABASE {database}")).execute().await?;
    let client = root.with_database(database);
    as_of(&client, SORTED - 2).await?;
    for month in ["2026-10-05", "2026-11-05"] {
        let text = format!(
            "INSERT INTO events (agency, class, time, stored, host, source, lane, raw, message, user_agent, fields, online, kafka_topic, kafka_partition, kafka_offset) \
             SELECT ['H01', 'H02', 'H\\'3'][1 + number % 3], ['http_activity', 'authentication'][1 + number % 2], toDateTime64('{month} 00:00:00', 6, 'UTC') + number AS seen, seen, \
             concat('h', toString(number % 5)), '/var/log/a', 'usage', concat('Hồ sơ ', toString(number), ' \\xff'), 'm', concat('agent ', toString(number % 7)), \
             map('a', toString(number)), if(number % 4 = 0, NULL, number % 4 = 1), 'vonggac.usage.v1', number % 3, number FROM numbers(3000)"
        );
        client.query_raw(&text).execute().await?;
    }
    // A row that was taken out stays out.
    client.query("DELETE FROM events WHERE kafka_offset = 17").execute().await?;
    Ok(client)
}

/// All rows with all that they say, whatever their order and the types of the columns.
async fn rows(client: &Client) -> anyhow::Result<(u64, u64)> {
    let columns: Vec<String> = client
        .query("SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'events' AND default_kind != 'ALIAS' ORDER BY name")
        .fetch_all()
        .await?;
    let all: Vec<String> =
        columns.iter().map(|name| format!("ifNull(toString(`{name}`), 'none')")).collect();
    let text = format!("SELECT count(), sum(cityHash64([{}])) FROM events", all.join(", "));
    Ok(client.query_raw(&text).fetch_one().await?)
}

#[test]
fn each_row_is_there_once_in_its_new_order_wherever_the_step_to_it_is_cut() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    let between = Between::to(engine.address())?;
    tokio::runtime::Runtime::new()?.block_on(async {
        for carried_out in [false, true] {
            let database = format!("sorted_{carried_out}");
            let client = before_the_order(&engine, &database).await?;
            let (before, words) = (rows(&client).await?, words(&client).await?);
            assert_eq!(before.0, 5_998);
            let file = engine.configuration_file(&database, "")?;
            let text = std::fs::read_to_string(&file)?.replace(&engine.url(), &between.url());
            std::fs::write(&file, text)?;
            let store = Store::new(&Config::read(&file)?);
            let cuts = cut_at_each_request(&between, &store, carried_out).await?;
            assert!(cuts > 20, "{cuts}");
            migrate::run(&store).await?;
            is_in_order(&client, before, words).await?;
        }
        Ok(())
    })
}

/// How many rows are found by a word of the line.
async fn words(client: &Client) -> anyhow::Result<u64> {
    Ok(client
        .query("SELECT count() FROM events WHERE hasAll(tokens(folded), ['ho', '2999'])")
        .fetch_one()
        .await?)
}

async fn is_in_order(client: &Client, before: (u64, u64), found: u64) -> anyhow::Result<()> {
    assert_eq!(rows(client).await?, before);
    assert_eq!((words(client).await?, found), (2, 2));
    let tables: Vec<(String, String, Option<u64>)> = client
        .query("SELECT name, sorting_key, total_rows FROM system.tables WHERE database = currentDatabase() AND startsWith(name, 'events') ORDER BY name")
        .fetch_all()
        .await?;
    let names: Vec<&str> = tables.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["events", "events_before"], "nothing else is left");
    ensure!(tables[0].1.contains("host, source"), "{tables:?}");
    assert_eq!((tables[0].2, tables[1].2), (Some(before.0), Some(0)));
    // An insert's token is known from then on.
    for _ in 0..2 {
        client
            .query("INSERT INTO events (agency, class, time, stored) SELECT 'H01', 'check', now(), now()")
            .with_setting("insert_deduplication_token", "after")
            .execute()
            .await?;
    }
    let again: u64 = client.query("SELECT count() FROM events").fetch_one().await?;
    assert_eq!(again, before.0 + 1);
    Ok(())
}

/// Collectors that start together on a store of before: one copies, and all of them go on with the same rows.
#[test]
fn several_that_bring_the_rows_to_their_order_at_once_do_it_once() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    tokio::runtime::Runtime::new()?.block_on(async {
        let client = before_the_order(&engine, "together").await?;
        let (before, words) = (rows(&client).await?, words(&client).await?);
        let store = store(&engine, "together")?;
        let mut members = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let store = store.clone();
            members.spawn(async move {
                // As a collector does it: until it is done.
                for _ in 0..600 {
                    if migrate::run(&store).await.is_ok() {
                        return true;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                false
            });
        }
        assert_eq!(members.join_all().await, [true; 4]);
        is_in_order(&client, before, words).await
    })
}

/// Figures are those of the rows until the roll-ups are made, and the same behind it.
async fn rows_of_before_are_rolled_up(store: &Store, rows: u64) -> anyhow::Result<()> {
    let progress =
        ProgressPart { topic: topic::USAGE.into(), partition: 0, next_offset: 1, held: Vec::new() };
    store.save_progress(&[progress], None).await?;
    let now = Time::now();
    let received = async || {
        let sums =
            store.usage(now.minus(Duration::from_secs(3_600)), now, "", &Reach::Nation).await?;
        Ok::<u64, anyhow::Error>(sums.iter().map(|agency| agency.sums[0]).sum())
    };
    assert_eq!((store.rolled_up().await?, received().await?), (false, rows));
    let mut rollups = RollUps::new(store.clone());
    let keys = vec![(topic::USAGE.to_owned(), 0)];
    let mut tenure = Tenure::new("tenure-1".into(), 1, keys);
    while rollups.pass(&mut tenure).await? {}
    assert_eq!((store.rolled_up().await?, received().await?), (true, rows));
    Ok(())
}

/// Two logs that were cut are two gaps; what an agent explains takes the place of what was only seen to be missing.
async fn gaps_tell_their_extent(store: &Store, day: Time, was: u64) -> anyhow::Result<()> {
    let seen = GapRow {
        time: Time::now().micros(),
        agency: "H49".into(),
        host: "h".into(),
        agent: "b".into(),
        lane: "usage".into(),
        first_seq: 5,
        last_seq: 9,
        reason: "unexplained".into(),
        first_observed: 0,
        last_observed: 0,
        events: 5,
        bytes: 0,
        source: String::new(),
        told_seq: 0,
    };
    let told = GapRow {
        reason: "overflow".into(),
        events: 3,
        bytes: 700,
        first_observed: 1_764_000_000_000_000,
        last_observed: 1_764_000_060_000_000,
        ..seen.clone()
    };
    let cut = |told_seq, source: &str| GapRow {
        reason: "truncation".into(),
        first_seq: 0,
        last_seq: 0,
        events: 0,
        told_seq,
        source: source.into(),
        ..seen.clone()
    };
    store.insert_gaps(std::slice::from_ref(&seen)).await?;
    store.insert_gaps(&[told, cut(7, "/var/log/a"), cut(8, "/var/log/b")]).await?;
    // The same events again, as after a crash.
    store.insert_gaps(&[cut(8, "/var/log/b")]).await?;
    let (gaps, lost) = store.gaps_since(day, 10).await?;
    let of_b: Vec<_> = gaps.iter().filter(|gap| gap.host == "h").collect();
    assert_eq!((of_b.len(), lost), (3, was + 3), "{gaps:?}");
    let explained = of_b.iter().find(|gap| gap.reason == "overflow").context("explained")?;
    assert_eq!((explained.events, explained.bytes), (3, 700));
    assert_eq!(explained.first_observed_unix_nano, 1_764_000_000_000_000_000);
    assert_eq!(explained.last_observed_unix_nano, 1_764_000_060_000_000_000);
    let mut cut: Vec<&str> = of_b.iter().map(|gap| gap.source.as_str()).collect();
    cut.sort_unstable();
    assert_eq!(cut, ["", "/var/log/a", "/var/log/b"]);
    Ok(())
}
