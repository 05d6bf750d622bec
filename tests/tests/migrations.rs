//! A store of each earlier version, with rows in it, is brought to the present one by the real engine, and its rows are still read.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use system_tests::machine::program;
use vonggac_collector::{
    config::Config,
    rollup::RollUps,
    store::{
        GapRow, ProgressPart, Store,
        migrate::{self, MIGRATIONS},
    },
};
use vonggac_wire::{Time, topic};

/// An engine alone; it ends with the test.
struct Engine(Child);

impl Drop for Engine {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _waited = self.0.wait();
    }
}

fn engine(folder: &Path, port: u16) -> anyhow::Result<Engine> {
    let child = Command::new(program("vonggac-single"))
        .args(["engine", "--listen", &format!("127.0.0.1:{port}"), "--store"])
        .arg(folder.join("store"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let engine = Engine(child);
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if begun.elapsed() > Duration::from_secs(60) {
            bail!("the engine does not listen");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(engine)
}

fn store(folder: &Path, port: u16, database: &str) -> anyhow::Result<Store> {
    let path = folder.join(format!("{database}.toml"));
    let text = format!(
        "plain_text = true\n[kafka]\nbrokers = [\"127.0.0.1:9\"]\n[engine]\nurl = \"http://127.0.0.1:{port}\"\n\
         database = \"{database}\"\n[grpc]\nlisten = \"127.0.0.1:0\"\n"
    );
    fs::write(&path, text)?;
    Ok(Store::new(&Config::read(&path)?))
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
    if !program("vonggac-single").exists() {
        eprintln!("SKIPPED: no {}; build the programs first", program("vonggac-single").display());
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let _engine = engine(folder.path(), port)?;
    tokio::runtime::Runtime::new()?.block_on(async {
        for version in 0..=MIGRATIONS.len() {
            let version = u32::try_from(version)?;
            let database = format!("from_{version}");
            let url = format!("http://127.0.0.1:{port}");
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
            let store = store(folder.path(), port, &database)?;
            let taken = migrate::run(&store).await?;
            assert_eq!(taken.len(), MIGRATIONS.len() - version as usize);
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

/// Figures are those of the rows until the roll-ups are made, and the same behind it.
async fn rows_of_before_are_rolled_up(store: &Store, rows: u64) -> anyhow::Result<()> {
    let progress =
        ProgressPart { topic: topic::USAGE.into(), partition: 0, next_offset: 1, held: Vec::new() };
    store.save_progress(&[progress]).await?;
    let now = Time::now();
    let received = async || {
        let sums = store.usage(now.minus(Duration::from_secs(3_600)), now, "").await?;
        Ok::<u64, anyhow::Error>(sums.iter().map(|agency| agency.sums[0]).sum())
    };
    assert_eq!((store.rolled_up().await?, received().await?), (false, rows));
    let mut rollups = RollUps::new(store.clone());
    while rollups.pass(&[(topic::USAGE.to_owned(), 0)], 0).await? {}
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
