//! Retention, legal hold and cold tier against the real engine: rows go, stay, and are found.
#![expect(clippy::expect_used, reason = "a story stops where its ground is missing")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context, ensure};
use system_tests::{engine::Engine, machine::program, objects::Objects};
use vonggac_collector::{
    config::Config,
    indicator::SUMS,
    retention::hold::HoldEvent,
    store::{
        Store, StoredTransition, migrate,
        query::Reach,
        retention::{RetentionError, apply::Report},
        usage::{Read, Window},
    },
};
use vonggac_wire::{
    Time,
    proto::{Entity, EventRef, Incident, IncidentState, Lane, SearchRequest, Term, Transition},
};

mod bucket;
mod cold;
mod others;

use bucket::*;
use cold::*;
use others::*;

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
        keep.summed(offset).await?;
        Ok(keep)
    }

    fn client(&self) -> clickhouse::Client {
        self.engine.client(&self.database)
    }

    fn config(&self, more: &str) -> anyhow::Result<Config> {
        Ok(Config::read(&self.engine.configuration_file(&self.database, more)?)?)
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
            self.stands(&format!("vonggac.{lane}.v1"), next).await?;
        }
        Ok(())
    }

    /// Up to where rows are in the roll-ups.
    async fn summed(&self, next: u64) -> anyhow::Result<()> {
        for lane in ["security", "uptime", "usage"] {
            self.stands(&format!("rollup/vonggac.{lane}.v1"), next).await?;
        }
        Ok(())
    }

    async fn stands(&self, topic: &str, next: u64) -> anyhow::Result<()> {
        let text = format!(
            "INSERT INTO progress (topic, partition, agent, value, version) VALUES ('{topic}', 0, '', {next}, {next})"
        );
        Ok(self.client().query_raw(&text).execute().await?)
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
        let path = self.engine.configuration_file(&self.database, more)?;
        Ok(Command::new(program("vonggac-collector"))
            .args(arguments)
            .arg("--config")
            .arg(path)
            .output()?)
    }
}

/// Rows of the view that operators' SQL has for both places.
async fn of_view(store: &Store) -> anyhow::Result<u64> {
    let found =
        store.sql("SELECT count() FROM events_all WHERE time > '2020-01-01 00:00:00'", 10).await?;
    let row: Vec<serde_json::Value> = serde_json::from_str(found.rows.first().context("a row")?)?;
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
        what_came_late_is_kept_from_when_it_came(&keep).await?;
        cold_rows_are_found_by_the_same_search(&keep).await?;
        others_get_all_of_it_in_their_words(&keep).await?;
        what_a_crash_left_is_finished_and_meanwhile_found_once(&keep).await?;
        a_damaged_file_takes_no_row_out(&keep).await?;
        a_policy_that_reaches_what_is_held_is_refused(&keep).await?;
        cold_files_go_when_their_hold_is_lifted(&keep).await?;
        incidents_gaps_and_dead_letters_have_their_own_days(&keep).await?;
        sums_go_when_they_are_old_and_marked(&keep).await?;
        two_runs_at_once_are_refused(&keep).await
    })
}

#[test]
fn rows_go_to_a_bucket_stay_and_are_found() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(engine) = Engine::start(folder.path())? else { return Ok(()) };
    let objects = Objects::start(folder.path())?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let keep = Keep::new(engine, folder.path(), "bucket").await?;
        rows_go_to_a_bucket_and_are_found_by_the_same_search(&keep, &objects).await?;
        nobody_reads_the_key_or_past_the_rows(&keep, &objects).await?;
        a_hold_keeps_files_of_a_bucket(&keep, &objects).await?;
        a_bucket_that_does_something_else_takes_no_row_out(&keep, &objects).await
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
    keep.progress(6_000).await?;
    assert_eq!(keep.apply("").await?.deleted_rows, 0, "not summed yet");
    keep.summed(6_000).await?;
    assert_eq!(keep.apply("").await?.deleted_rows, 2 * EACH);
    assert_eq!(keep.count(waiting).await?, 0);
    Ok(())
}

/// A sum whose mark was not written yet is asked for after a crash: without it, it would be summed twice.
async fn sums_go_when_they_are_old_and_marked(keep: &Keep) -> anyhow::Result<()> {
    let sum = |days: u64, offset: u64| {
        format!(
            "INSERT INTO rollups (span, bucket, month, agency, lane, kafka_topic, kafka_partition, events, last_offset) \
             SELECT 'day', now() - INTERVAL {days} DAY, 202001, 'G22', 'usage', 'vonggac.usage.v1', 0, 1, {offset}"
        )
    };
    for (days, offset) in [(1_000, 10), (1_200, 11), (1_300, 1_000_000)] {
        keep.client().query_raw(&sum(days, offset)).execute().await?;
    }
    let plan =
        keep.store(&keep.cold())?.plan(&keep.config(&keep.cold())?.keeping, Time::now()).await?;
    let planned: u64 =
        plan.iter().filter(|line| line.what == "rollups").map(|line| line.rows).sum();
    assert_eq!(planned, 1, "{plan:?}");
    keep.apply(&keep.cold()).await?;
    assert_eq!(keep.count("rollups").await?, 2);
    assert_eq!(keep.count("rollups WHERE last_offset = 11").await?, 0);
    Ok(())
}

/// An imported log of years ago, or of a host whose clock says 1970.
async fn what_came_late_is_kept_from_when_it_came(keep: &Keep) -> anyhow::Result<()> {
    let row = |came: u64| {
        format!(
            "INSERT INTO events (agency, class, time, observed, stored, host, agent, lane, seq, kafka_topic, kafka_partition, kafka_offset) \
             SELECT 'G22', 'check', toDateTime64('1970-01-02 00:00:00', 6, 'UTC'), t, now64(6) - INTERVAL {came} DAY AS t, 'old', 'old', 'uptime', {came}, \
             'vonggac.uptime.v1', 0, {came}"
        )
    };
    for came in [10, 91, 93] {
        keep.client().query_raw(&row(came)).execute().await?;
    }
    assert_eq!(keep.apply("").await?.deleted_rows, 1);
    assert_eq!(keep.count("events WHERE agent = 'old'").await?, 2);
    keep.client().query_raw("DELETE FROM events WHERE agent = 'old'").execute().await?;
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
