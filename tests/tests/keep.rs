//! Retention, legal hold and cold tier against the real engine: rows go, stay, and are found.
#![expect(clippy::expect_used, reason = "a story stops where its ground is missing")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context, ensure};
use system_tests::{engine::Engine, machine::program};
use vonggac_collector::{
    config::Config,
    retention::hold::HoldEvent,
    store::{
        Store, StoredTransition, migrate,
        retention::{RetentionError, apply::Report},
    },
};
use vonggac_wire::{
    Time,
    proto::{Entity, EventRef, Incident, IncidentState, Lane, SearchRequest, Term, Transition},
};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY_SECONDS: u64 = 86_400;

/// Rows of each agency, lane and day that is there.
const EACH: u64 = 3;

/// Days that have rows, ages from today.
const AGES: [u64; 10] = [1, 20, 59, 75, 91, 100, 180, 300, 380, 395];

struct Keep {
    engine: Engine,
    folder: PathBuf,
    database: String,
}

impl Keep {
    /// A database with rows of each age, agency and lane, all below the progress.
    async fn new(engine: Engine, folder: &Path, database: &str) -> anyhow::Result<Self> {
        let keep = Self { engine, folder: folder.to_owned(), database: database.to_owned() };
        migrate::run(&keep.store("")?).await?;
        let mut offset = 0;
        for age in AGES {
            keep.insert(age, offset).await?;
            offset += EACH * 6;
        }
        keep.progress(offset).await?;
        Ok(keep)
    }

    fn client(&self) -> clickhouse::Client {
        self.engine.client(&self.database)
    }

    fn config(&self, more: &str) -> anyhow::Result<Config> {
        Ok(Config::read(&self.engine.configuration(&self.database, more)?)?)
    }

    fn store(&self, more: &str) -> anyhow::Result<Store> {
        Ok(Store::new(&self.config(more)?))
    }

    fn cold(&self) -> String {
        format!("[cold]\ndir = \"{}\"\n", self.folder.join("cold").display())
    }

    async fn apply(&self, more: &str) -> Result<Report, RetentionError> {
        let config = self.config(more).expect("the configuration is right");
        Store::new(&config).apply(&config.keeping, "Lan", HOUR, &|_| ()).await
    }

    /// Rows of one age: three of each of two agencies in three lanes.
    async fn insert(&self, age: u64, offset: u64) -> anyhow::Result<()> {
        let text = format!(
            "INSERT INTO events (agency, class, time, observed, stored, host, agent, lane, seq, status, message, raw, fields, online, kafka_topic, \
             kafka_partition, kafka_offset, kafka_index) \
             SELECT ['H49', 'G22'][number % 2 + 1], ['authentication', 'check', 'http_activity'][intDiv(number, 2) % 3 + 1], \
             now64(6, 'UTC') - INTERVAL {age} DAY + INTERVAL number MICROSECOND AS t, t, t, concat('web-', toString(number % 2)), \
             ['a', 'b'][number % 2 + 1], ['security', 'uptime', 'usage'][intDiv(number, 2) % 3 + 1] AS l, {offset} + number, 'failure', \
             'Đăng nhập', concat(unhex('ff1b27'), 'raw ', toString({age}), ' ', toString(number)), map('age', '{age}'), \
             if(number % 2 = 0, NULL, true), concat('vonggac.', l, '.v1'), 0, {offset} + number, 0 FROM numbers({})",
            EACH * 6
        );
        Ok(self.client().query_raw(&text).execute().await?)
    }

    async fn progress(&self, next: u64) -> anyhow::Result<()> {
        for lane in ["security", "uptime", "usage"] {
            let text =
                format!("INSERT INTO progress VALUES ('vonggac.{lane}.v1', 0, '', {next}, {next})");
            self.client().query_raw(&text).execute().await?;
        }
        Ok(())
    }

    async fn count(&self, of: &str) -> anyhow::Result<u64> {
        Ok(self.client().query_raw(&format!("SELECT count() FROM {of}")).fetch_one().await?)
    }

    /// Ages that a lane of an agency still has in the engine.
    async fn ages(&self, agency: &str, lane: &str) -> anyhow::Result<Vec<u64>> {
        let text = format!(
            "SELECT toUInt64OrZero(fields['age']) AS age FROM events WHERE agency = '{agency}' AND lane = '{lane}' \
             GROUP BY age HAVING count() = {EACH} ORDER BY age"
        );
        Ok(self.client().query_raw(&text).fetch_all().await?)
    }

    fn command(&self, more: &str, arguments: &[&str]) -> anyhow::Result<Output> {
        let path = self.engine.configuration(&self.database, more)?;
        Ok(Command::new(program("vonggac-collector"))
            .args(arguments)
            .arg("--config")
            .arg(path)
            .output()?)
    }
}

/// Rows of the view that operators' SQL has for both places.
async fn of_view(store: &Store) -> anyhow::Result<u64> {
    let (_, rows) = store
        .sql("SELECT count() FROM events_all WHERE time > '2020-01-01 00:00:00'", 10, 10.0)
        .await?;
    let row: Vec<serde_json::Value> = serde_json::from_str(rows.first().context("a row")?)?;
    let count = row.first().context("a count")?;
    count.as_u64().or_else(|| count.as_str()?.parse().ok()).context("a number")
}

/// All rows that a search over all time finds, as (age, agency, lane, raw), ordered.
async fn found(
    store: &Store,
    terms: &[(&str, &str)],
) -> anyhow::Result<Vec<(String, String, String, String)>> {
    let now = Time::now();
    let request = SearchRequest {
        since_unix_nano: now.minus(Duration::from_secs(500 * DAY_SECONDS)).0,
        limit: 100_000,
        histogram_columns: 50,
        terms: terms
            .iter()
            .map(|(field, value)| Term {
                field: (*field).into(),
                value: (*value).into(),
                negated: false,
            })
            .collect(),
        ..SearchRequest::default()
    };
    let reply = store.search(&request, now).await?;
    ensure!(reply.total == Some(reply.rows.len() as u64), "the histogram counts what the page has");
    let mut rows: Vec<_> = reply
        .rows
        .into_iter()
        .map(|row| {
            (row.fields.get("age").cloned().unwrap_or_default(), row.agency, row.lane, row.raw)
        })
        .collect();
    rows.sort();
    Ok(rows)
}

fn placed(name: &str) -> HoldEvent {
    HoldEvent {
        time: Time::now().micros(),
        hold: name.into(),
        action: "placed".into(),
        who: "Lan".into(),
        why: "order 12/2026".into(),
        ..HoldEvent::default()
    }
}

fn lifted(name: &str) -> HoldEvent {
    HoldEvent { action: "lifted".into(), ..placed(name) }
}

#[test]
fn rows_go_stay_and_are_found() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    tokio::runtime::Runtime::new()?.block_on(async {
        let keep = Keep::new(engine, folder.path(), "keep").await?;
        rows_past_their_time_go_and_held_ones_stay(&keep).await?;
        rows_that_are_not_closed_wait(&keep).await?;
        cold_rows_are_found_by_the_same_search(&keep).await?;
        others_get_all_of_it_in_their_words(&keep).await?;
        what_a_crash_left_is_finished_and_meanwhile_found_once(&keep).await?;
        a_damaged_file_takes_no_row_out(&keep).await?;
        a_policy_that_reaches_what_is_held_is_refused(&keep).await?;
        cold_files_go_when_their_hold_is_lifted(&keep).await?;
        incidents_gaps_and_dead_letters_have_their_own_days(&keep).await?;
        two_runs_at_once_are_refused(&keep).await
    })
}

async fn rows_past_their_time_go_and_held_ones_stay(keep: &Keep) -> anyhow::Result<()> {
    let store = keep.store("")?;
    let hold = HoldEvent { agency: "H49".into(), host: "web-0".into(), ..placed("case-1") };
    store.tell_hold(&hold).await?;
    assert!(store.tell_hold(&hold).await.is_err(), "a name is used once");
    let config = keep.config("")?;
    let plan = store.plan(&config.keeping, Time::now()).await?;
    let rows: u64 = plan.iter().map(|line| line.rows).sum();
    let held: u64 = plan.iter().flat_map(|line| &line.held).map(|(_, rows)| rows).sum();
    // Uptime of 100 days and more, and the other lanes of 380 and 395: of the agency that nobody holds, and of the held one.
    let past = (5 + 2 + 2) * EACH;
    assert_eq!((rows, held), (past, past), "{plan:?}");
    assert!(plan.iter().all(|line| line.action == "delete"
        && line.waiting == 0
        && (line.bytes > 0) == (line.rows > 0)));

    let report = keep.apply("").await?;
    assert_eq!((report.deleted_rows, report.unfinished), (past, false));
    assert_eq!(keep.ages("G22", "uptime").await?, [1, 20, 59, 75, 91]);
    assert_eq!(keep.ages("G22", "security").await?, [1, 20, 59, 75, 91, 100, 180, 300]);
    for lane in ["security", "uptime", "usage"] {
        assert_eq!(keep.ages("H49", lane).await?, AGES, "held: {lane}");
    }
    let (begun, done) = (
        keep.count("deletions WHERE state = 'begun'").await?,
        keep.count("deletions WHERE state = 'done' AND who = 'Lan' AND why LIKE 'older than the % days of %'").await?,
    );
    assert!(begun == done && begun > 0, "{begun} {done}");
    let logged: u64 = keep
        .client()
        .query("SELECT sum(rows) FROM deletions WHERE state = 'done'")
        .fetch_one()
        .await?;
    assert_eq!(logged, past);

    store.tell_hold(&lifted("case-1")).await?;
    let report = keep.apply("").await?;
    assert_eq!(report.deleted_rows, past, "what was held goes when the hold is lifted");
    assert!(report.parts > 0, "a month of which nothing stays goes by its parts: {report:?}");
    assert_eq!(
        keep.count("events").await?,
        keep.count("events WHERE toUInt64OrZero(fields['age']) < 366").await?
    );
    let again = keep.apply("").await?;
    assert_eq!((again.deleted_rows, again.parts), (0, 0));
    Ok(())
}

/// Rows at or above the progress may be asked for again after a crash; they stay until they are below.
async fn rows_that_are_not_closed_wait(keep: &Keep) -> anyhow::Result<()> {
    keep.insert(200, 5_000).await?;
    let waiting = "events WHERE kafka_offset >= 5000 AND lane = 'uptime'";
    assert_eq!(keep.count(waiting).await?, 2 * EACH);
    let config = keep.config("")?;
    let plan = keep.store("")?.plan(&config.keeping, Time::now()).await?;
    assert_eq!(
        plan.iter().map(|line| (line.rows, line.waiting)).collect::<Vec<_>>(),
        [(0, EACH), (0, EACH)]
    );
    assert_eq!(keep.apply("").await?.deleted_rows, 0);
    assert_eq!(keep.count(waiting).await?, 2 * EACH);
    let mark = "INSERT INTO progress VALUES ('rollup/vonggac.uptime.v1', 0, '', 5000, 5000)";
    keep.client().query_raw(mark).execute().await?;
    keep.progress(6_000).await?;
    assert_eq!(keep.apply("").await?.deleted_rows, 0, "not summed yet");
    keep.client().query_raw(&mark.replace("5000", "6000")).execute().await?;
    assert_eq!(keep.apply("").await?.deleted_rows, 2 * EACH);
    assert_eq!(keep.count(waiting).await?, 0);
    Ok(())
}

fn cooling(keep: &Keep) -> String {
    format!(
        "{}[retention.security]\nhot = \"60d\"\n[retention.usage]\nhot = \"95d\"\n",
        keep.cold()
    )
}

async fn cold_rows_are_found_by_the_same_search(keep: &Keep) -> anyhow::Result<()> {
    let more = cooling(keep);
    let store = keep.store(&more)?;
    let before = found(&store, &[]).await?;
    let of_one = found(&store, &[("agency", "H49"), ("text", "raw 180")]).await?;
    assert_eq!(of_one.len() as u64, EACH * 2, "security and usage");
    let sums = "sum(cityHash64(agency, class, time, observed, stored, host, agent, lane, seq, raw, fields, isNull(online), toString(kafka_offset)))";
    let whole: u64 =
        keep.client().query_raw(&format!("SELECT {sums} FROM events")).fetch_one().await?;

    let report = keep.apply(&more).await?;
    // Security of 75, 91, 100, 180, 200, 300 days; usage of 100, 180, 200, 300: of two agencies.
    assert_eq!(
        (report.cooled_rows, report.cold_files, report.deleted_rows),
        (10 * 2 * EACH, 20, 0)
    );
    assert_eq!(keep.ages("H49", "security").await?, [1, 20, 59]);
    assert_eq!(found(&store, &[]).await?, before);
    assert_eq!(found(&store, &[("agency", "H49"), ("text", "raw 180")]).await?, of_one);
    let path = format!("{}/**/*.parquet", keep.folder.join("cold").display());
    let both: u64 = keep
        .client()
        .query_raw(&format!(
            "SELECT assumeNotNull((SELECT {sums} FROM events) + (SELECT {sums} FROM file('{path}', 'Parquet')))"
        ))
        .fetch_one()
        .await?;
    assert_eq!(both, whole, "each row is there once, in one of the two");
    assert_eq!(of_view(&store).await?, before.len() as u64);

    // Evidence of an incident, and the spread of an address, reach into the cold tier.
    let (time, seq): (i64, u64) = keep
        .client()
        .query_raw(&format!("SELECT toUnixTimestamp64Micro(time), seq FROM file('{path}', 'Parquet', 'time DateTime64(6, \\'UTC\\'), seq UInt64, agent String, lane String') WHERE agent = 'a' AND lane = 'security' LIMIT 1"))
        .fetch_one()
        .await?;
    let reference = EventRef {
        agent: "a".into(),
        lane: Lane::Security.into(),
        seq,
        time_unix_nano: time * 1_000,
    };
    assert_eq!(store.evidence(&[reference]).await?.len(), 1);
    let now = Time::now();
    let spread = store
        .spread("status", "failure", now.minus(Duration::from_secs(400 * DAY_SECONDS)), now)
        .await?;
    assert_eq!(spread.iter().map(|row| row.count).sum::<u64>(), before.len() as u64);
    let again = keep.apply(&more).await?;
    assert_eq!((again.cooled_rows, again.cold_files), (0, 0));
    Ok(())
}

/// Between manifest and deletion a row is in both places.
async fn what_a_crash_left_is_finished_and_meanwhile_found_once(keep: &Keep) -> anyhow::Result<()> {
    let more = cooling(keep);
    let store = keep.store(&more)?;
    let before = found(&store, &[]).await?;
    let path: String = keep
        .client()
        .query("SELECT path FROM cold_files FINAL WHERE rows = 3 ORDER BY path LIMIT 1")
        .fetch_one()
        .await?;
    let file = keep.folder.join("cold").join(&path);
    keep.client()
        .query_raw(&format!("INSERT INTO cold_files SELECT * REPLACE ('moving' AS state, version + 1 AS version) FROM cold_files FINAL WHERE path = '{path}'"))
        .execute()
        .await?;
    let rows = keep.count("events").await?;
    let columns: Vec<String> = keep
        .client()
        .query("SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'events' AND default_kind = ''")
        .fetch_all()
        .await?;
    let columns = columns.join(", ");
    keep.client()
        .query_raw(&format!(
            "INSERT INTO events ({columns}) SELECT {columns} FROM file('{}', 'Parquet')",
            file.display()
        ))
        .execute()
        .await?;
    assert_eq!(keep.count("events").await?, rows + EACH);
    assert_eq!(found(&store, &[]).await?, before, "found once while it is in both places");
    assert_eq!(of_view(&store).await?, before.len() as u64, "and once in the view");
    let report = keep.apply(&more).await?;
    assert_eq!((report.cooled_rows, report.cold_files), (EACH, 0));
    assert_eq!(keep.count("events").await?, rows);
    assert_eq!(found(&store, &[]).await?, before);
    Ok(())
}

async fn a_damaged_file_takes_no_row_out(keep: &Keep) -> anyhow::Result<()> {
    let more = cooling(keep);
    let state = |state: &str| {
        format!(
            "INSERT INTO cold_files SELECT * REPLACE ('{state}' AS state, version + 1 AS version) FROM cold_files FINAL ORDER BY path LIMIT 1"
        )
    };
    let path: String = keep
        .client()
        .query("SELECT path FROM cold_files FINAL ORDER BY path LIMIT 1")
        .fetch_one()
        .await?;
    let file = keep.folder.join("cold").join(&path);
    let whole = fs::read(&file)?;
    let mut torn = whole.clone();
    torn[whole.len() / 2] ^= 1;
    fs::write(&file, &torn)?;
    keep.client().query_raw(&state("moving")).execute().await?;
    let rows = keep.count("events").await?;
    let told = keep.apply(&more).await.expect_err("refused").to_string();
    assert!(told.contains(&path) && told.contains("BLAKE3"), "{told}");
    assert_eq!(keep.count("events").await?, rows);
    fs::write(&file, &whole)?;
    keep.apply(&more).await?;
    assert_eq!(keep.count("cold_files FINAL WHERE state = 'moving'").await?, 0);
    Ok(())
}

async fn a_policy_that_reaches_what_is_held_is_refused(keep: &Keep) -> anyhow::Result<()> {
    let more = cooling(keep);
    let store = keep.store(&more)?;
    store
        .tell_hold(&HoldEvent {
            agency: "G22".into(),
            until: Time::now().minus(Duration::from_secs(70 * DAY_SECONDS)).micros(),
            ..placed("case-2")
        })
        .await?;
    keep.apply(&more).await.context("what was applied before is not refused")?;
    let shorter = more
        .replace("hot = \"60d\"", "keep = \"80d\"\nhot = \"60d\"")
        .replace("[retention.usage]\nhot = \"95d\"", "[retention.uptime]\nkeep = \"74d\"");
    let before = found(&store, &[]).await?;
    match keep.apply(&shorter).await {
        Err(RetentionError::Held(reached)) => {
            // In the engine uptime of 75 and 91 days; of the cold tier security of 91 days and more.
            let told: Vec<(&str, &str, u64)> = reached
                .iter()
                .map(|one| (one.hold.as_str(), one.rule.as_str(), one.rows))
                .collect();
            assert_eq!(told, [("case-2", "uptime", 2 * EACH), ("case-2", "security", 5 * EACH)]);
        }
        other => anyhow::bail!("not refused: {other:?}"),
    }
    for arguments in [
        &["retention", "apply", "--yes", "--by", "Lan"][..],
        &["retention", "plan"],
        &["check-config"],
    ] {
        let output = keep.command(&shorter, arguments)?;
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{told}");
        assert!(
            told.contains(
                "uptime would delete 6 rows that the hold \"case-2\" keeps (order 12/2026)"
            ),
            "{told}"
        );
    }
    assert_eq!(found(&store, &[]).await?, before);
    let unnamed = keep.apply("").await;
    assert!(matches!(unnamed, Err(RetentionError::NoShelf { files: 20 })), "{unnamed:?}");
    Ok(())
}

async fn cold_files_go_when_their_hold_is_lifted(keep: &Keep) -> anyhow::Result<()> {
    let shorter = format!("{}[retention.security]\nkeep = \"80d\"\nhot = \"60d\"\n", keep.cold());
    let (lift, by) = (["hold", "lift", "case-2", "--why", "the court said so"], ["--by", "Minh"]);
    let output = keep.command(&shorter, &[&lift[..], &by].concat())?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let list = keep.command(&shorter, &["hold", "list", "--all", "--format", "csv"])?;
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.contains("case-2,G22,,,") && list.contains(",Minh,the court said so"), "{list}");
    let plan = keep.command(&shorter, &["retention", "plan", "--format", "json"])?;
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout)?;
    let rows: u64 =
        plan.as_array().context("a list")?.iter().filter_map(|line| line["rows"].as_u64()).sum();
    assert_eq!(rows, 5 * 2 * EACH, "{plan}");
    let asked = keep.command(&shorter, &["retention", "apply", "--by", "Lan"])?;
    assert!(
        String::from_utf8_lossy(&asked.stdout).contains("nothing was done"),
        "without a terminal nobody agrees"
    );
    let report = keep.apply(&shorter).await?;
    assert_eq!((report.deleted_files, report.deleted_rows), (10, 5 * 2 * EACH));
    let files: u64 = keep.count("cold_files FINAL WHERE state = 'settled'").await?;
    assert_eq!(files, 10);
    let folder = keep.folder.join("cold/H49");
    let left: usize = fs::read_dir(folder)?
        .filter_map(Result::ok)
        .map(|day| fs::read_dir(day.path()).map_or(0, Iterator::count))
        .sum();
    assert_eq!(left, 5);
    let store = keep.store(&shorter)?;
    assert_eq!(of_view(&store).await?, found(&store, &[]).await?.len() as u64);
    let rows = found(&store, &[("lane", "security")]).await?;
    assert_eq!(rows.len() as u64, 4 * 2 * EACH);
    let forecast = keep.command(&shorter, &["retention", "forecast", "--format", "json"])?;
    let forecast: serde_json::Value = serde_json::from_slice(&forecast.stdout)?;
    assert!(forecast.as_array().is_some_and(|lines| lines.len() == 16), "{forecast}");
    let log = keep.command(&shorter, &["retention", "log", "--format", "md"])?;
    assert!(String::from_utf8_lossy(&log.stdout).contains("| done | delete | cold files | H49 |"));
    Ok(())
}

fn all_below(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").filter_map(Result::ok) {
            if entry.path().is_dir() {
                folders.push(entry.path())
            } else {
                files.push(entry.path())
            }
        }
    }
    files
}

/// Also what is cold by now.
async fn others_get_all_of_it_in_their_words(keep: &Keep) -> anyhow::Result<()> {
    let more = cooling(keep);
    let whole = found(&keep.store(&more)?, &[]).await?.len();
    let since = Time::now().minus(Duration::from_secs(500 * DAY_SECONDS)).to_string();
    for form in ["ocsf", "cef", "parquet"] {
        let to = keep.folder.join(form);
        let output = keep.command(
            &more,
            &["export", "--format", form, "--to", &to.display().to_string(), "--since", &since],
        )?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(told.contains(&format!("{whole} of {whole} events")), "progress is shown: {told}");
        let files = all_below(&to);
        assert!(files.len() >= 16, "each day of an agency by itself: {files:?}");
        if form == "parquet" {
            let rows: u64 =
                keep.count(&format!("file('{}/*/*.parquet', 'Parquet')", to.display())).await?;
            assert_eq!(rows, whole as u64);
            continue;
        }
        let text: String =
            files.iter().map(|file| fs::read_to_string(file).expect("text")).collect();
        assert_eq!(text.lines().count(), whole);
        for line in text.lines() {
            if form == "cef" {
                assert!(
                    line.starts_with("CEF:0|Vong Gac|")
                        && line.contains("rawEvent=\u{fffd}\\\\u001b'raw "),
                    "{line}"
                );
                continue;
            }
            let event: serde_json::Value = serde_json::from_str(line)?;
            assert!(event["metadata"]["version"] == "1.5.0" && event["time"].is_i64(), "{line}");
        }
    }
    Ok(())
}

fn step(id: u64, age: u64, state: IncidentState) -> StoredTransition {
    let time = Time::now().minus(Duration::from_secs(age * DAY_SECONDS)).0;
    let incident = Incident {
        id,
        version: 1,
        state: state.into(),
        rule: "ssh-brute-force".into(),
        agency: "H49".into(),
        agencies: vec!["H49".into()],
        first_time_unix_nano: time,
        last_time_unix_nano: time,
        opened_unix_nano: time,
        updated_unix_nano: time,
        entity: Some(Entity { kind: "src_ip".into(), value: "203.0.113.7".into() }),
        ..Incident::default()
    };
    StoredTransition {
        transition: Transition {
            incident: id,
            version: 1,
            time_unix_nano: time,
            action: "opened".into(),
            to_state: state.into(),
            after: Some(incident),
            ..Transition::default()
        },
        origin_key: String::new(),
        origin_offset: 0,
        command: String::new(),
    }
}

async fn incidents_gaps_and_dead_letters_have_their_own_days(keep: &Keep) -> anyhow::Result<()> {
    let store = keep.store(&keep.cold())?;
    let unknown = store.tell_hold(&HoldEvent { incident: 77, ..placed("case-3") }).await;
    assert!(matches!(unknown, Err(RetentionError::NoIncident { incident: 77, .. })), "{unknown:?}");
    store
        .insert_transitions(&[
            step(1, 1_200, IncidentState::Closed),
            step(2, 1_200, IncidentState::InProgress),
            step(3, 1_200, IncidentState::Resolved),
            step(4, 900, IncidentState::Closed),
        ])
        .await?;
    for (age, number) in [(400, 1), (300, 2)] {
        let gaps = format!(
            "INSERT INTO gaps (time, agency, agent, lane, first_seq, last_seq, reason) VALUES (now() - INTERVAL {age} DAY, 'H49', 'a', 'usage', {number}, 9, 'overflow')"
        );
        keep.client().query_raw(&gaps).execute().await?;
        let dead = format!(
            "INSERT INTO dead_letters (time, agency, kafka_topic, kafka_offset) VALUES (now() - INTERVAL {} DAY, 'H49', 't', {number})",
            age - 250
        );
        keep.client().query_raw(&dead).execute().await?;
    }
    store.tell_hold(&HoldEvent { incident: 3, ..placed("case-3") }).await?;
    let config = keep.config(&keep.cold())?;
    let plan = store.plan(&config.keeping, Time::now()).await?;
    let held: Vec<(&str, u64, &[(String, u64)])> = plan
        .iter()
        .filter(|line| line.what == "incidents")
        .map(|line| (line.agency.as_str(), line.rows, line.held.as_slice()))
        .collect();
    assert_eq!(held, [("H49", 1, &[("case-3".to_owned(), 1)][..])]);
    let report = keep.apply(&keep.cold()).await?;
    assert_eq!((report.incidents, report.others), (1, 2));
    let left: Vec<u64> = keep
        .client()
        .query("SELECT incident FROM transitions ORDER BY incident")
        .fetch_all()
        .await?;
    assert_eq!(left, [2, 3, 4], "the open one, the held one, the younger one");
    assert_eq!((keep.count("gaps").await?, keep.count("dead_letters").await?), (1, 1));

    let to = keep.folder.join("stix");
    let output = keep.command(
        &keep.cold(),
        &[
            "export",
            "--format",
            "stix",
            "--to",
            &to.display().to_string(),
            "--since",
            "2020-01-01",
            "--agency",
            "H49",
        ],
    )?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = all_below(&to);
    let bundle: serde_json::Value =
        serde_json::from_slice(&fs::read(files.first().context("a bundle")?)?)?;
    let objects = bundle["objects"].as_array().context("objects")?;
    assert_eq!(objects.iter().filter(|object| object["type"] == "incident").count(), 3);
    store.tell_hold(&lifted("case-3")).await?;
    Ok(())
}

async fn two_runs_at_once_are_refused(keep: &Keep) -> anyhow::Result<()> {
    use vonggac_collector::store::retention::lease::Lease;
    let store = keep.store("")?;
    let (one, two) =
        tokio::join!(Lease::take(&store, "a", "Lan"), Lease::take(&store, "b", "Minh"));
    let (held, refused) = match (one, two) {
        (Ok(held), Err(refused)) | (Err(refused), Ok(held)) => (held, refused),
        other => {
            anyhow::bail!("one has it, the other not: {:?}", (other.0.is_ok(), other.1.is_ok()))
        }
    };
    assert!(matches!(refused, RetentionError::Busy { .. }), "{refused}");
    let busy = keep.apply(&keep.cold()).await;
    assert!(matches!(busy, Err(RetentionError::Busy { .. })), "{busy:?}");
    held.end().await?;
    keep.apply(&keep.cold()).await?;
    Ok(())
}
