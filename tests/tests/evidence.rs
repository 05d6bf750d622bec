//! What proves that nothing is missing, in the real engine: rows as they were are clean, and each that other hands removed, changed or added is named.

use std::{collections::BTreeSet, fs, sync::Arc, time::Duration};

use anyhow::Context;
use system_tests::{
    centre::{Centre, Settings},
    engine::Engine,
    load::Load,
};
use tokio::sync::mpsc;
use vonggac_collector::{
    config::Config,
    record::Record,
    store::{
        Store,
        batch::{BatchRow, Span},
        migrate,
        row::{Leaves, NewRow},
    },
    trust::{
        bundle::{self, BundleError, By, Wanted},
        holding,
        receipt::{key, maker},
        verify::{self, Answer, Sum},
    },
};
use vonggac_evidence::bundle::check;
use vonggac_wire::{
    AgencyId, AgentId, Batch, Event, Lane, Signer, Time,
    event::{Activity, Body, Class, Dossier, Status},
    proto::Origin,
    topic,
};

const NOON: i64 = 1_793_534_400;

/// Rows of a record.
const ROWS: u64 = 200;

fn event(number: u64) -> Event {
    let time = Time::from_seconds(NOON).plus(Duration::from_millis(number));
    let mut activity = Activity::of(Class::Authentication, 1, Status::Failure);
    activity.user_name = format!("lê.văn.{number}");
    activity.src_ip = vec![203, 0, 113, u8::try_from(number % 250).unwrap_or(0)];
    for name in ["z", "a", "m"] {
        activity.unmapped.insert(name.into(), number.to_string());
    }
    Event::new(time, time, Body::Activity(activity))
        .with_source("/var/log/auth.log", number * 100)
        .with_format("sshd")
        .with_raw(format!("\u{1b}[1mline\0 {number}").as_bytes(), number)
}

fn usage(number: u64) -> Event {
    let time = Time::from_seconds(NOON).plus(Duration::from_millis(number));
    let dossier = Dossier {
        service: "1.004194".into(),
        step: "closed".into(),
        online: (!number.is_multiple_of(3)).then_some(number % 3 == 1),
        on_time: Some(number.is_multiple_of(2)),
        ..Dossier::default()
    };
    Event::new(time, time, Body::Dossier(dossier)).with_source("portal", number)
}

/// A record at this offset, whose first rows another one brought.
fn record(host: &str, lane: Lane, offset: i64, known: usize) -> anyhow::Result<Arc<Record>> {
    let first_seq = u64::try_from(offset)? * ROWS + 1;
    let numbers = first_seq..first_seq + ROWS;
    let make = if lane == Lane::Security { event } else { usage };
    let batch = Batch {
        agent: AgentId::new(host)?,
        agency: AgencyId::new("H49")?,
        host: host.into(),
        boot: [1; 16],
        lane,
        first_seq,
        previous: None,
        events: numbers.map(make).collect(),
        simulated: false,
        sealed: Time::from_seconds(NOON),
        ahead: false,
    };
    let hash = batch.clone().seal().hash;
    let origin = Origin { topic: topic::of_lane(lane).into(), partition: 1, offset };
    Ok(Arc::new(Record {
        origin,
        appended: Time::from_seconds(NOON + offset),
        batch,
        hash,
        seal: None,
        bytes: 0,
        known: std::iter::once(0..known).collect(),
    }))
}

async fn keep(store: &Store, records: &[Arc<Record>]) -> anyhow::Result<()> {
    let (mut leaves, stored) = (Leaves::default(), Time::from_seconds(NOON + 60));
    let row = |record: &Arc<Record>| BatchRow::of(record, &BTreeSet::new(), &mut leaves);
    let batches: Vec<BatchRow> = records.iter().map(row).collect();
    let rows: Vec<NewRow> = records
        .iter()
        .flat_map(|record| {
            record.fresh().map(|(index, event)| NewRow::new(record, index, event, stored))
        })
        .collect();
    store.insert_events(&rows, "rows").await?;
    // Twice, as after a crash.
    for _ in 0..2 {
        store.insert_batches(&batches).await?;
    }
    Ok(())
}

async fn verified(store: &Store, host: &str) -> anyhow::Result<(Vec<String>, Sum)> {
    let span = Span {
        agency: "H49".into(),
        host: host.into(),
        since: Time::from_seconds(NOON - 3_600),
        until: Time::from_seconds(NOON + 3_600),
    };
    verified_in(store, &span, Time::from_seconds(NOON + 7_200)).await
}

async fn verified_in(store: &Store, span: &Span, now: Time) -> anyhow::Result<(Vec<String>, Sum)> {
    verified_with(store, span, now, None).await
}

async fn verified_with(
    store: &Store,
    span: &Span,
    now: Time,
    signer: Option<&Signer>,
) -> anyhow::Result<(Vec<String>, Sum)> {
    let (tell, mut told) = mpsc::channel(16);
    let verifying = verify::verify(store, span, now, signer, &tell);
    let listening = async {
        let mut found = Vec::new();
        while let Some(answer) = told.recv().await {
            match answer {
                Answer::Fault(fault) => found.push(format!(
                    "{} {} {} {}/{:?}",
                    fault.fault.name(),
                    fault.agent,
                    fault.seq,
                    fault.offset,
                    fault.index
                )),
                Answer::SoFar(_) => {}
                Answer::Done(sum) => return (found, Some(sum)),
            }
        }
        (found, None)
    };
    let (verified, (found, sum)) = tokio::join!(verifying, listening);
    verified?;
    Ok((found, sum.context("it did not end")?))
}

#[test]
fn each_row_that_was_removed_changed_or_added_behind_our_back_is_named() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    let path = folder.path().join("collector.toml");
    fs::write(&path, engine.configuration("evidence"))?;
    let store = Store::new(&Config::read(&path)?);
    tokio::runtime::Runtime::new()?.block_on(async {
        migrate::run(&store).await?;
        let mut records = Vec::new();
        for offset in 0..60 {
            records.push(record("web-2", Lane::Security, offset, 0)?);
            records.push(record("db-1", Lane::Usage, offset, 0)?);
        }
        records.push(record("web-2", Lane::Security, 60, 17)?);
        keep(&store, &records).await?;
        let rows = 121 * ROWS - 17;
        assert_eq!(verified(&store, "").await?, (vec![], Sum { batches: 121, rows, faults: 0, retired: 0 }));

        let client = engine.client("evidence").with_setting("mutations_sync", "2");
        let place = |seq: u64| format!("agent = 'web-2' AND lane = 'security' AND seq = {seq}");
        let copied = "INSERT INTO events SELECT * REPLACE";
        for statement in [
            format!("ALTER TABLE events DELETE WHERE {}", place(401)),
            format!("ALTER TABLE events UPDATE user = 'nobody' WHERE {}", place(802)),
            format!("ALTER TABLE events UPDATE fields = mapFilter((k, v) -> k != 'unmapped.m', fields) WHERE {}", place(803)),
            format!("ALTER TABLE events UPDATE agent = 'db-1' WHERE {}", place(1_001)),
            "ALTER TABLE events UPDATE on_time = NOT on_time WHERE agent = 'db-1' AND lane = 'usage' AND seq = 7".to_owned(),
            // The same row once more, one at a place that another record brought, and one of a record that never was.
            format!("{copied} (0 AS kafka_index) FROM events WHERE {}", place(1_201)),
            format!("{copied} (toUInt32(3) AS kafka_index) FROM events WHERE {}", place(12_100)),
            format!("{copied} (toInt64(99) AS kafka_offset) FROM events WHERE {}", place(1)),
            // One that claims to be on its way, for a year.
            format!("{copied} (toInt64(98) AS kafka_offset, addYears(now64(6), 1) AS stored) FROM events WHERE {}", place(2)),
        ] {
            client.query(&statement).execute().await.with_context(|| statement.clone())?;
        }
        let (mut found, sum) = verified(&store, "").await?;
        found.sort();
        let wanted = [
            "added web-2 1 99/Some(0)",
            "added web-2 12004 60/Some(3)",
            "added web-2 1201 6/Some(0)",
            "added web-2 2 98/Some(1)",
            "changed db-1 7 0/Some(6)",
            "changed web-2 1001 5/Some(0)",
            "changed web-2 802 4/Some(1)",
            "changed web-2 803 4/Some(2)",
            "removed web-2 401 2/Some(0)",
        ];
        assert_eq!(found, wanted);
        assert_eq!(sum.faults, 9);
        // Of the host alone the same, but for the other's.
        let (found, _) = verified(&store, "db-1").await?;
        assert_eq!(found, ["changed db-1 7 0/Some(6)"]);
        Ok(())
    })
}

#[test]
fn a_receipt_says_what_is_held_of_an_hour_and_misses_what_was_taken_with_all_its_traces()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    let path = folder.path().join("collector.toml");
    fs::write(&path, engine.configuration("receipts"))?;
    let store = Store::new(&Config::read(&path)?);
    let signer = key::open(&folder.path().join("receipts.key.pem"))?;
    tokio::runtime::Runtime::new()?.block_on(async {
        migrate::run(&store).await?;
        let of = |hours: std::ops::Range<i64>| {
            hours.map(|hour| record("web-2", Lane::Security, hour * 3_600, 0)).collect()
        };
        let records: anyhow::Result<Vec<Arc<Record>>> = of(0..4);
        keep(&store, &records?).await?;
        let (noon, later) =
            (Time::from_seconds(NOON), Time::from_seconds(NOON + 3 * 3_600 + 1_800));
        assert_eq!(maker::make_until(&store, &signer, later).await?, 3);
        assert_eq!(maker::make_until(&store, &signer, later).await?, 0, "each hour once");
        let span = Span { agency: "H49".into(), host: "web-2".into(), since: noon, until: later };
        let lanes = holding::receipts(&store, &span).await?;
        let [lane] = lanes.as_slice() else { panic!("{lanes:?}") };
        // Numbers of this story are far apart.
        assert_eq!((lane.events, lane.batches, lane.receipts), (4 * ROWS, 4, 3));
        assert_eq!((lane.gaps[0].reason.as_str(), lane.missing), ("unexplained", 3 * 3_599 * ROWS));

        let wrong = async || verified_with(&store, &span, later, Some(&signer)).await;
        assert_eq!(wrong().await?.0, Vec::<String>::new());
        // With rows and all that was written down of them.
        let client = engine.client("receipts").with_setting("mutations_sync", "2");
        let gone = |table: &str, column: &str| {
            format!("ALTER TABLE {table} DELETE WHERE agent = 'web-2' AND {column} = 3600")
        };
        for statement in [gone("events", "kafka_offset"), gone("batches", "offset")] {
            client.query(&statement).execute().await?;
        }
        let hour = |number: i64| format!("receipt web-2 0 {}/None", NOON + number * 3_600);
        assert_eq!(wrong().await?.0, [hour(1)]);
        // And with its receipt: the one behind it misses it.
        client
            .query(&format!(
                "ALTER TABLE receipts DELETE WHERE toUnixTimestamp(hour) = {}",
                NOON + 3_600
            ))
            .execute()
            .await?;
        assert_eq!(wrong().await?.0, [hour(2)]);
        Ok(())
    })
}

#[test]
fn a_bundle_is_checked_without_the_store_and_names_what_the_store_had_wrong() -> anyhow::Result<()>
{
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    let cold = format!("[cold]\ndir = \"{}\"\n", folder.path().join("cold").display());
    let config = Config::read(&engine.configuration_file("bundles", &cold)?)?;
    let store = Store::new(&config);
    let signer = key::open(&folder.path().join("receipts.key.pem"))?;
    tokio::runtime::Runtime::new()?.block_on(async {
        migrate::run(&store).await?;
        let mut records = Vec::new();
        for hour in 0..3 {
            for offset in 0..50 {
                records.push(record("web-2", Lane::Security, hour * 3_600 + offset, 0)?);
                records.push(record("db-1", Lane::Usage, hour * 3_600 + offset, 0)?);
            }
        }
        keep(&store, &records).await?;
        let later = Time::from_seconds(NOON + 2 * 3_600 + 1_800);
        assert_eq!(maker::make_until(&store, &signer, later).await?, 4);
        let wanted = Wanted {
            agency: "H49".into(),
            since: Time::from_seconds(NOON - 86_400),
            until: Time::from_seconds(NOON + 3 * 3_600),
        };
        let made = async || -> anyhow::Result<(Vec<String>, check::Verdict)> {
            let by = By { signer: &signer, files: None };
            let (_, bytes) = bundle::write(&store, &wanted, &by, Vec::new(), &|_| ()).await?;
            let mut found = Vec::new();
            let mut tell = |f: check::Finding| {
                found.push(format!("{} {} {}/{:?}", f.fault, f.agent, f.offset, f.index));
            };
            let verdict = check::check(&bytes[..], &check::Known::default(), &mut tell)?;
            Ok((found, verdict))
        };
        let (found, verdict) = made().await?;
        assert_eq!(found, Vec::<String>::new());
        let sums = (verdict.batches, verdict.rows, verdict.receipts, verdict.hours_open);
        assert_eq!(sums, (300, 300 * ROWS, 4, 1));
        assert_eq!(verdict.key.as_deref(), Some(signer.key_id()));

        let nobody = Wanted { agency: "T99".into(), ..wanted.clone() };
        let by = By { signer: &signer, files: None };
        let none = bundle::write(&store, &nobody, &by, Vec::new(), &|_| ()).await;
        assert!(matches!(none, Err(BundleError::Nothing(_))));

        let client = engine.client("bundles").with_setting("mutations_sync", "2");
        let place = |offset: i64, index: u32| {
            format!("agent = 'web-2' AND kafka_offset = {offset} AND kafka_index = {index}")
        };
        for statement in [
            format!("ALTER TABLE events DELETE WHERE {}", place(7, 3)),
            format!("ALTER TABLE events UPDATE user = 'nobody' WHERE {}", place(3_601, 9)),
            "ALTER TABLE batches DELETE WHERE agent = 'db-1' AND offset = 5".to_owned(),
        ] {
            client.query(&statement).execute().await?;
        }
        let (mut found, before) = made().await?;
        found.sort();
        let receipt = format!("receipt db-1 {NOON}/None");
        assert_eq!(found, ["changed web-2 3601/Some(9)", &receipt, "removed web-2 7/Some(3)"]);

        let gone = cool(&engine.client("bundles"), &store, &config).await?;
        assert_eq!(gone, 300 * ROWS - 1);
        let (mut again, verdict) = made().await?;
        again.sort();
        // What is missing of a month of which retention took rows proves nothing.
        found.retain(|told| !told.starts_with("removed"));
        assert_eq!((again, verdict.rows), (found, before.rows), "cold rows are given out, too");
        assert_eq!(verdict.retired, 1);
        Ok(())
    })
}

/// Moves all rows to the cold tier; gives how many.
async fn cool(client: &clickhouse::Client, store: &Store, config: &Config) -> anyhow::Result<u64> {
    for topic in [topic::SECURITY, topic::USAGE] {
        for mark in ["", "rollup/"] {
            let stands = format!(
                "INSERT INTO progress (topic, partition, agent, value, version) VALUES ('{mark}{topic}', 1, '', 1000000, 1000000)"
            );
            client.query_raw(&stands).execute().await?;
        }
    }
    let mut keeping = config.keeping.clone();
    for rule in &mut keeping.policy.rules {
        rule.hot_days = Some(1);
    }
    let report = store.apply(&keeping, "Lan", Duration::from_secs(600), &|_| ()).await?;
    let left: u64 = client.query("SELECT count() FROM events").fetch_one().await?;
    anyhow::ensure!(left == 0, "{left} rows are left");
    Ok(report.cooled_rows)
}

/// Events a second of the load.
const LOAD: u64 = 1_500;

#[test]
fn what_a_collector_stored_that_was_killed_again_and_again_proves_clean() -> anyhow::Result<()> {
    let Some(mut centre) = Centre::up(1, &Settings::default(), |url| Ok(url.to_owned()))? else {
        return Ok(());
    };
    centre.collectors[0].start()?;
    let load = Load::start(centre.kafka(), LOAD, 20_261_126);
    for _ in 0..4 {
        let before = centre.progress().unwrap_or(0);
        centre.wait_for_progress(before)?;
        centre.collectors[0].kill()?;
        centre.collectors[0].start()?;
    }
    let sent = load.stop()?;
    let begun = std::time::Instant::now();
    while centre.lag()? > 0 {
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(120), "the rest is not stored");
        std::thread::sleep(Duration::from_millis(200));
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("collector.toml");
    fs::write(&path, centre.engine.configuration("vonggac"))?;
    let store = Store::new(&Config::read(&path)?);
    let agencies: BTreeSet<String> = sent
        .lanes
        .keys()
        .filter_map(|(agent, _)| agent.strip_prefix("numbered-"))
        .map(str::to_owned)
        .collect();
    tokio::runtime::Runtime::new()?.block_on(async {
        let (mut rows, now) = (0, Time::now());
        for agency in agencies {
            let since = now.minus(Duration::from_secs(3_600));
            let span = Span {
                agency,
                host: String::new(),
                since,
                until: now.plus(Duration::from_secs(60)),
            };
            let (found, sum) = verified_in(&store, &span, now).await?;
            assert_eq!(found, Vec::<String>::new());
            rows += sum.rows;
        }
        assert_eq!(rows, sent.events());
        Ok(())
    })
}
