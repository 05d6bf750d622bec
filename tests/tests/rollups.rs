//! Roll-ups against the rows that they are of, in the real engine: the same figures, and each event once wherever engine and collector die.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clickhouse::Client;
use rand::{Rng, SeedableRng, rngs::StdRng};
use system_tests::{digest, engine::Engine, made::Made};
use vonggac_collector::{
    config::Config,
    indicator::SUMS,
    rollup::RollUps,
    store::{
        ProgressPart, Store,
        backup::Manifest,
        migrate,
        rollup::{Held, Insert, Share, Span},
        usage::{Read, Window},
    },
    tenure::{Doubted, Kind, Tenure},
};
use vonggac_wire::{Time, topic};

const DATABASE: &str = "rolled";

/// The first second of the made events.
const START: i64 = 1_793_491_200;

struct Rig {
    engine: Engine,
    store: Store,
    client: Client,
}

async fn rig(folder: &Path) -> anyhow::Result<Option<Rig>> {
    let Some(engine) = Engine::start(folder)? else { return Ok(None) };
    let path = folder.join("collector.toml");
    fs::write(&path, engine.configuration(DATABASE))?;
    let store = Store::new(&Config::read(&path)?);
    migrate::run(&store).await?;
    let client = Client::default().with_url(engine.url()).with_database(DATABASE);
    Ok(Some(Rig { engine, store, client }))
}

/// Every partition that made events lie on.
fn held() -> Vec<(String, i32)> {
    topic::EVENTS
        .iter()
        .flat_map(|topic| {
            (0..system_tests::made::PARTITIONS).map(|partition| ((*topic).to_owned(), partition))
        })
        .collect()
}

fn progress(made: Made) -> Vec<ProgressPart> {
    held()
        .into_iter()
        .map(|(topic, partition)| ProgressPart {
            topic,
            partition,
            next_offset: made.next_offset().cast_signed(),
            held: Vec::new(),
        })
        .collect()
}

async fn make(rig: &Rig, made: Made, token: &str) -> anyhow::Result<()> {
    let query =
        rig.client.query(&made.statement()).with_setting("insert_deduplication_token", token);
    Ok(query.execute().await?)
}

/// One that holds all partitions.
struct Holder {
    rollups: RollUps<Store>,
    tenure: Tenure,
}

impl Holder {
    fn new(store: &Store) -> Self {
        Self { rollups: RollUps::new(store.clone()), tenure: Self::tenure() }
    }

    /// Of a name that no other has.
    fn tenure() -> Tenure {
        static EPOCH: AtomicU64 = AtomicU64::new(1);
        let epoch = EPOCH.fetch_add(1, Ordering::SeqCst);
        Tenure::new(format!("tenure-{epoch}"), epoch, held())
    }

    /// Until nothing is due.
    async fn pass(&mut self) -> anyhow::Result<()> {
        while self.rollups.pass(&mut self.tenure).await? {}
        Ok(())
    }

    /// All is taken over anew: the last insert is in doubt. `rows` were stored above the progress of one partition.
    fn again(&mut self, rows: &HashSet<(i64, u32)>) {
        let doubt = Doubted {
            epoch: self.tenure.epoch,
            number: self.tenure.after(Kind::Sums).number - 1,
            token: self.tenure.token(Kind::Sums),
        };
        self.tenure = Self::tenure();
        self.rollups.begin_tenure();
        for key in held() {
            let rows = if key == (topic::USAGE.to_owned(), 3) { rows } else { &HashSet::new() };
            self.rollups.taken_over(&key, rows, BTreeMap::from([(doubt.clone(), i64::MAX)]));
        }
    }
}

async fn alike(client: &Client) -> anyhow::Result<u64> {
    let mut events = 0;
    for span in Span::ALL {
        let (rows, rollups) = digest::queries(span, "true");
        let of_rows: (u64, i64, String) = client.query(&rows).fetch_one().await?;
        let of_rollups: (u64, i64, String) = client.query(&rollups).fetch_one().await?;
        ensure!(of_rows == of_rollups, "{span:?}: rows {of_rows:?}, roll-ups {of_rollups:?}");
        events = of_rows.1.cast_unsigned();
    }
    Ok(events)
}

/// The figures of both ways over windows of many shapes.
async fn figures_agree(store: &Store, chance: &mut StdRng, seconds: i64) -> anyhow::Result<()> {
    for round in 0..40 {
        let from = START + chance.random_range(-7_200..seconds);
        let to = from + chance.random_range(0..seconds);
        let window = Window::of(Time::from_seconds(from), Time::from_seconds(to));
        let agency = if round % 4 == 3 { "H02" } else { "" };
        let rows = store.usage_of(Read::Rows, window, agency).await?;
        let rollups = store.usage_of(Read::RollUps, window, agency).await?;
        ensure!(rows == rollups, "{window:?} {agency}: {rows:?} {rollups:?}");
        ensure!(rows.is_empty() || rows.iter().any(|sums| sums.sums.iter().any(|sum| *sum > 0)));
    }
    Ok(())
}

/// What sums mean, said again in SQL over the rows.
const MEANINGS: [(&str, &str); 12] = [
    ("received", "countIf(class = 'dossier' AND step = 'received')"),
    ("received_full", "countIf(class = 'dossier' AND step = 'received' AND full_process)"),
    (
        "told_digitised",
        "countIf(class = 'dossier' AND step = 'received' AND digitised IS NOT NULL)",
    ),
    ("closed_on_time", "countIf(class = 'dossier' AND step = 'closed' AND on_time)"),
    ("told_electronic", "sumIf(count, class = 'document' AND electronic IS NOT NULL)"),
    ("documents_electronic", "sumIf(count, class = 'document' AND electronic)"),
    ("told_payments", "countIf(class = 'payment' AND online IS NOT NULL)"),
    ("payments_online", "countIf(class = 'payment' AND online AND status = 'success')"),
    ("ratings_satisfied", "countIf(class = 'rating' AND score >= 4)"),
    (
        "logins_completed",
        "countIf(class = 'session' AND step = 'login-completed' AND status = 'success')",
    ),
    ("requests", "countIf(class = 'http_activity')"),
    ("checks_up", "countIf(class = 'check' AND status IN ('up', 'degraded'))"),
];

async fn sums_mean_what_they_say(rig: &Rig) -> anyhow::Result<()> {
    let window = Window { from: START + 600, to: START + 1_000_020 };
    let sums = rig.store.usage_of(Read::RollUps, window, "").await?;
    for (name, meaning) in MEANINGS {
        let place = SUMS.iter().position(|sum| sum.name == name).context("a sum")?;
        let of_rollups: u64 = sums.iter().map(|agency| agency.sums[place]).sum();
        let of_rows: u64 = rig
            .client
            .query(&format!(
                "SELECT toUInt64({meaning}) FROM events WHERE time >= toDateTime64({}, 6, 'UTC') AND time < toDateTime64({}, 6, 'UTC')",
                window.from, window.to
            ))
            .fetch_one()
            .await?;
        ensure!(of_rollups == of_rows && of_rows > 0, "{name}: {of_rollups}, rows {of_rows}");
    }
    Ok(())
}

/// What of the roll-ups is the same wherever they lie: rows, events, sums and users of each span.
async fn come_to(client: &Client) -> anyhow::Result<Vec<(String, u64, u64, u64, u64)>> {
    let text = "SELECT toString(span) AS of_span, count(), sum(events), sum(cityHash64(bucket, agency, class, status, events, count, round(seconds, 3), last_offset)), \
        toUInt64(uniqCombinedIfMerge(users)) FROM rollups FINAL GROUP BY of_span ORDER BY of_span";
    Ok(client.query(text).fetch_all().await?)
}

#[test]
fn a_copy_has_sums_whose_rows_are_gone_and_who_goes_on_counts_nothing_twice() -> anyhow::Result<()>
{
    let folder = tempfile::tempdir()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let Some(rig) = rig(folder.path()).await? else { return Ok(()) };
        let part = |number: u64| Made {
            first: number * 20_000,
            count: 20_000,
            start: START,
            apart_micros: 25_000_000,
            record: 20,
        };
        make(&rig, part(0), "first").await?;
        rig.store.save_progress(&progress(part(0)), None).await?;
        Holder::new(&rig.store).pass().await?;
        // Of the second part the roll-ups are in, and their marks not yet.
        make(&rig, part(1), "second").await?;
        rig.store.save_progress(&progress(part(1)), None).await?;
        let from = part(0).next_offset().cast_signed();
        let to = part(1).next_offset().cast_signed();
        let shares =
            held().into_iter().map(|(topic, partition)| Share { topic, partition, from, to });
        let insert = Insert {
            shares: shares.collect(),
            extent: None,
            spans: Span::ALL.to_vec(),
            without: Vec::new(),
        };
        rig.store.roll_up(&insert, "a crash follows").await?;
        let gone = format!("DELETE FROM events WHERE kafka_offset < {}", from / 2);
        rig.client.query(&gone).execute().await?;
        let rows: u64 = rig.client.query("SELECT count() FROM events").fetch_one().await?;
        ensure!(rows < 40_000, "{rows} rows are left");

        let copy = folder.path().join("copy");
        rig.store.backup(&copy, "Lan", &|_| ()).await?;
        let config = Config::read(&rig.engine.configuration_file("again", "")?)?;
        let again = Store::new(&config);
        let manifest = Manifest::read(&copy)?;
        again.restore(&copy, &manifest, false, "Minh", &|_| ()).await?;
        let client = rig.engine.client("again");
        assert_eq!(come_to(&client).await?, come_to(&rig.client).await?);
        ensure!(again.rolled_up().await?, "figures are read there at once");

        // Who goes on asks what is in beyond the marks, and sums what comes.
        let other = Rig { engine: rig.engine, store: again, client };
        make(&other, part(2), "third").await?;
        other.store.save_progress(&progress(part(2)), None).await?;
        Holder::new(&other.store).pass().await?;
        let sums = come_to(&other.client).await?;
        let events: Vec<u64> = sums.iter().map(|(_, _, events, ..)| *events).collect();
        assert_eq!(events, [60_000; 3], "each event is in each span once");
        let twice = other.store.restore(&copy, &manifest, false, "Minh", &|_| ()).await;
        ensure!(twice.is_err(), "a store with rows is not written over");
        Ok(())
    })
}

#[test]
fn figures_of_roll_ups_are_those_of_the_rows() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let Some(rig) = rig(folder.path()).await? else { return Ok(()) };
        // Five weeks, so that there is something usual; a store of before, without roll-ups.
        let made =
            Made { first: 0, count: 120_000, start: START, apart_micros: 25_000_000, record: 20 };
        make(&rig, made, "all").await?;
        rig.store.save_progress(&progress(made), None).await?;
        ensure!(!rig.store.rolled_up().await?, "what was never rolled up is read from rows");
        Holder::new(&rig.store).pass().await?;
        ensure!(rig.store.rolled_up().await?, "now it is");
        assert_eq!(alike(&rig.client).await?, made.count);
        figures_agree(&rig.store, &mut StdRng::seed_from_u64(7), 3_000_000).await?;
        sums_mean_what_they_say(&rig).await?;
        let now = Time::from_seconds(START + 3_000_000);
        let usual = rig.store.baselines_of(Read::Rows, now).await?;
        assert_eq!(rig.store.baselines_of(Read::RollUps, now).await?, usual);
        ensure!(!usual.is_empty(), "something is usual");
        late_events_make_few_parts(&rig, made).await?;
        // Again from the beginning, as a new holder: nothing is counted twice.
        Holder::new(&rig.store).pass().await?;
        assert_eq!(alike(&rig.client).await?, made.count + 5_000);
        let of_views: u64 =
            rig.client.query("SELECT sum(events) FROM rollup_hour").fetch_one().await?;
        assert_eq!(of_views, made.count + 5_000);
        Ok(())
    })
}

/// Events of a year and more, in one block: some parts for each month, and none for each day.
async fn late_events_make_few_parts(rig: &Rig, before: Made) -> anyhow::Result<()> {
    let made = Made { first: before.count, count: 5_000, ..before };
    let text = made
        .statement()
        .replace("seen - INTERVAL (h3 % 259200) SECOND, h2 % 20011", "seen - INTERVAL (h3 % 259200) SECOND, h2 % 2 = 0, seen - INTERVAL (h3 % 60000000) SECOND, h2 % 20011");
    ensure!(text != made.statement(), "late events are made");
    rig.client.query(&text).execute().await?;
    rig.store.save_progress(&progress(made), None).await?;
    Holder::new(&rig.store).pass().await?;
    let (parts, months): (u64, u64) = rig
        .client
        .query("SELECT count(), uniqExact(partition) FROM system.parts WHERE active AND database = 'rolled' AND table = 'rollups'")
        .fetch_one()
        .await?;
    // 400 days are fifteen months at most, and each span of a month is a partition.
    ensure!(months <= 3 * 16 && parts <= months * 36 + 100, "{parts} parts of {months} partitions");
    Ok(())
}

#[test]
fn a_part_of_an_insert_that_a_crash_left_out_is_all_that_is_added() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let Some(rig) = rig(folder.path()).await? else { return Ok(()) };
        let made =
            Made { first: 0, count: 20_000, start: START, apart_micros: 300_000_000, record: 20 };
        make(&rig, made, "all").await?;
        rig.store.save_progress(&progress(made), None).await?;
        // What an engine that died in the middle leaves: of one partition some spans, of another one month alone.
        let share = |partition, to| Share { topic: topic::USAGE.into(), partition, from: 0, to };
        let partly = |partition, spans: &[Span], without: &[Held]| Insert {
            shares: vec![share(partition, 700)],
            extent: None,
            spans: spans.to_vec(),
            without: without.to_vec(),
        };
        let november = Held {
            topic: topic::USAGE.into(),
            partition: 1,
            span: "hour".into(),
            month: 202_611,
            last: i64::MAX,
        };
        rig.store.roll_up(&partly(0, &[Span::Minute, Span::Day], &[]), "left/0").await?;
        rig.store.roll_up(&partly(1, &[Span::Hour], &[november]), "left/1").await?;
        // All is in and its mark is not; and the same insert again is nothing.
        rig.store.roll_up(&partly(2, &Span::ALL, &[]), "left/2").await?;
        rig.store.roll_up(&partly(2, &Span::ALL, &[]), "left/2").await?;
        Holder::new(&rig.store).pass().await?;
        assert_eq!(alike(&rig.client).await?, made.count);
        Ok(())
    })
}

/// Rounds of kills: few in the ordinary run, as many as `VONGGAC_KILLS` says otherwise.
fn rounds() -> u64 {
    std::env::var("VONGGAC_KILLS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(6)
}

#[test]
fn an_engine_killed_again_and_again_counts_each_event_once() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let seed =
        std::env::var("VONGGAC_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(2026);
    let mut chance = StdRng::seed_from_u64(seed);
    tokio::runtime::Runtime::new()?.block_on(async {
        let Some(mut rig) = rig(folder.path()).await? else { return Ok(()) };
        let each = 6_000;
        let mut holder = Holder::new(&rig.store);
        let (mut interrupted, begun) = (0, Instant::now());
        for round in 0..rounds() {
            let made = Made {
                first: round * each,
                count: each,
                start: START,
                apart_micros: 40_000_000,
                record: 20,
            };
            make(&rig, made, &format!("round-{round}")).await?;
            rig.store.save_progress(&progress(made), None).await?;
            let life = Duration::from_millis(chance.random_range(0..220));
            let killer = thread::scope(|scope| {
                let engine = &mut rig.engine;
                let killer = scope.spawn(move || {
                    thread::sleep(life);
                    engine.kill();
                });
                let done = tokio::task::block_in_place(|| {
                    tokio::runtime::Handle::current()
                        .block_on(async { holder.rollups.pass(&mut holder.tenure).await })
                });
                killer.join().map(|()| done.is_err())
            });
            interrupted += u64::from(killer.map_err(|_| anyhow::anyhow!("the killer failed"))?);
            rig.engine.again()?;
            match chance.random_range(0..3) {
                // The collector goes on with what it was doing.
                0 => holder.pass().await.context("the same again")?,
                // It died too, and takes its partitions over.
                1 => {
                    holder.rollups = RollUps::new(rig.store.clone());
                    holder.again(&HashSet::new());
                }
                // It was told that some rows were stored already.
                _ => holder.again(&HashSet::from([(5, 0)])),
            }
        }
        holder.pass().await?;
        eprintln!("{} rounds, {interrupted} interrupted, {:?}", rounds(), begun.elapsed());
        assert_eq!(alike(&rig.client).await?, rounds() * each);
        Ok(())
    })
}
