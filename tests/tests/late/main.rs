//! A province was cut off for three days while its servers went on, and then all of it comes at once: by hand and over the link. Beside it,
//! servers whose clocks are wrong by decades, both ways.

#![expect(clippy::expect_used, reason = "a story stops where its ground is missing")]

mod outage;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clickhouse::Client;
use serde_json::Value;
use system_tests::{
    digest,
    machine::{Machine, program},
};
use vonggac_wire::{Time, event::CheckOutcome};

use outage::{Writer, Written, check, heartbeat, refused, request};

/// How long the link was away.
const AWAY: Duration = Duration::from_secs(72 * 3_600);

/// Active parts of one month of one table, at any time: the engine slows inserts at 1,000, and `doctor` complains above 600.
const PARTS_OF_MONTH_MAX: u64 = 100;

/// Active parts of the tables that late events go to, of all their partitions, at any time.
const PARTS_MAX: u64 = 300;

/// Months in which rows lie: those of the outage, and the two ends at which times are clamped that are wrong by years. Each may be cut by
/// a turn of the month.
const MONTHS_MAX: u64 = 6;

/// How long all of it may take to be stored, by a build that is not optimised.
const STORED_WITHIN: Duration = Duration::from_secs(240);

/// Who tried passwords during the outage.
const ATTACKER: [u8; 4] = [203, 0, 113, 77];

/// Another province, of which a server falls silent while all that comes.
const ELSEWHERE: &str = "tk-04";

/// Passwords that it tried.
const TRIES: u64 = 90;

/// Times of lines that make no sense, one in a month of its own each.
const STRANGE: u64 = 240;

/// A folder with an agent that may run over a spool that is there.
struct Server {
    folder: tempfile::TempDir,
    agency: &'static str,
    host: &'static str,
}

impl Server {
    fn new(host: &'static str) -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), agency: "H49", host }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn writer(&self, now: Time) -> anyhow::Result<Writer> {
        Writer::open(&self.path("spool"), self.host, now)
    }

    fn configuration(&self, kafka: &str) -> anyhow::Result<PathBuf> {
        let path = self.path("agent.toml");
        let text = format!(
            "agency = \"{}\"\nhost = \"{}\"\nplain_text = true\n[kafka]\nbrokers = [\"{kafka}\"]\n\
             [heartbeat]\ninterval = \"2s\"\n[host_figures]\nenabled = false\n[journal]\nenabled = false\n\
             [spool]\ndir = \"{}\"\n",
            self.agency,
            self.host,
            self.path("spool").display()
        );
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Its spool goes to the centre on a stick.
    fn carried(&self, kafka: &str) -> anyhow::Result<()> {
        let (config, stick) = (self.configuration(kafka)?, self.path("stick.vgs"));
        let spool = |arguments: &[&str], path: &Path, more: &str| -> anyhow::Result<()> {
            let output = Command::new(program("vonggac-agent"))
                .args(["spool", arguments[0]])
                .arg(path)
                .args(&arguments[1..])
                .arg(more)
                .output()?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Ok(())
        };
        spool(&["export", "--config"], &stick, &config.display().to_string())?;
        spool(&["import", "--brokers"], &stick, kafka)
    }

    /// The link is back: its agent sends what it has.
    fn runs(&self, kafka: &str) -> anyhow::Result<Agent> {
        let config = self.configuration(kafka)?;
        let child =
            Command::new(program("vonggac-agent")).args(["run", "--config"]).arg(config).spawn()?;
        Ok(Agent(child))
    }
}

/// A running agent; it ends with its owner.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _waited = self.0.wait();
    }
}

/// Three days of a portal, with what is in them: an attack, an hour in which the portal was down, and lines whose own times are nonsense.
fn three_days(server: &Server, begun: Time) -> anyhow::Result<Written> {
    let mut writer = server.writer(begun)?;
    let at = |hours: u64| begun.plus(Duration::from_secs(hours * 3_600));
    writer.ordinary(begun, at(30))?;
    for number in 0..TRIES {
        let time = at(30).plus(Duration::from_millis(number * 500));
        writer.write(time, time, refused(ATTACKER))?;
    }
    writer.ordinary(at(30), at(50))?;
    for minute in 0..60 {
        let time = at(50).plus(Duration::from_secs(minute * 60));
        writer.write(time, time, check(CheckOutcome::Down))?;
    }
    for number in 0..STRANGE {
        // From 1970 to 2089, half a year apart.
        let years = i64::try_from(number)? * 15_778_800;
        writer.write(Time::from_seconds(86_400 + years), at(51), request(number))?;
    }
    writer.ordinary(at(51), begun.plus(AWAY))?;
    writer.close(begun.plus(AWAY))
}

/// A server whose clock has been wrong all the time.
fn wrong_clock(server: &Server, begun: &str) -> anyhow::Result<Written> {
    let begun: Time = begun.parse().context("a time")?;
    let mut writer = server.writer(begun)?;
    let end = begun.plus(Duration::from_secs(6 * 3_600));
    writer.ordinary(begun, end)?;
    writer.write(end, end, heartbeat())?;
    writer.close(end)
}

/// Active parts of the tables that late events go to: of the fullest month, of all, and how many months.
async fn parts(engine: &Client) -> anyhow::Result<(u64, u64, u64)> {
    let counts: Vec<(String, u64)> = engine
        .query("SELECT concat(table, ' ', partition), count() FROM system.parts WHERE active AND database = 'vonggac' AND table IN ('events', 'rollups') GROUP BY table, partition")
        .fetch_all()
        .await?;
    let months = counts.iter().filter(|(place, _)| place.starts_with("events ")).count() as u64;
    let all = counts.iter().map(|(_, count)| count);
    Ok((all.clone().copied().max().unwrap_or(0), all.sum(), months))
}

/// The rows of what was written, and not what an agent added later.
fn of(written: &Written) -> String {
    let Written { agent, last, .. } = written;
    format!("(agent = '{agent}' AND observed <= fromUnixTimestamp64Micro({last}, 'UTC'))")
}

/// Waits until all events of the agents are stored; gives the most parts that there were meanwhile.
async fn stored(
    machine: &Machine,
    engine: &Client,
    all: &[Written],
) -> anyhow::Result<(u64, u64, u64)> {
    let wanted: u64 = all.iter().map(|written| written.events).sum();
    let each: Vec<String> = all.iter().map(of).collect();
    let query = format!("SELECT count() FROM events WHERE {}", each.join(" OR "));
    let (begun, mut most) = (Instant::now(), (0, 0, 0));
    loop {
        let now = parts(engine).await?;
        most = (most.0.max(now.0), most.1.max(now.1), most.2.max(now.2));
        let found: u64 = engine.query(&query).fetch_one().await?;
        if found >= wanted {
            return Ok(most);
        }
        ensure!(
            begun.elapsed() < STORED_WITHIN,
            "{found} of {wanted} are stored\n{}",
            machine.logs()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What the store has of it.
async fn as_written(engine: &Client, written: &Written) -> anyhow::Result<Written> {
    let of_agent = of(written);
    let (events, time, observed): (u64, String, String) = engine
        .query(&format!(
            "SELECT count(), toString(sum(toInt128(toUnixTimestamp64Micro(time)))), toString(sum(toInt128(toUnixTimestamp64Micro(observed)))) FROM events WHERE {of_agent}"
        ))
        .fetch_one()
        .await?;
    let hours: Vec<(i64, u64)> = engine
        .query(&format!(
            "SELECT intDiv(toUnixTimestamp64Second(time), 3600) AS hour, count() FROM events WHERE {of_agent} GROUP BY hour"
        ))
        .fetch_all()
        .await?;
    Ok(Written {
        events,
        time: time.parse()?,
        observed: observed.parse()?,
        hours: hours.into_iter().collect::<BTreeMap<_, _>>(),
        ..written.clone()
    })
}

/// Incidents of the province, by rule.
fn incidents(machine: &Machine) -> anyhow::Result<Vec<Value>> {
    let rows = machine.rows(&["incidents"])?;
    Ok(rows.into_iter().filter(|row| row.to_string().contains("H49")).collect())
}

#[test]
fn three_days_that_come_at_once_stand_where_they_belong_and_alarm_nobody_for_what_is_over() {
    let Some(machine) = Machine::up(&[], false).expect("the machine starts") else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match runtime.block_on(story(&machine)) {
        Ok(measured) => eprintln!("{measured}"),
        Err(error) => panic!("{error:#}"),
    }
}

async fn story(machine: &Machine) -> anyhow::Result<String> {
    let kafka = machine.address("kafka")?;
    let engine = Client::default()
        .with_url(format!("http://{}", machine.address("engine")?))
        .with_database("vonggac");
    let now = Time::now();
    let begun = now.minus(AWAY).minus(Duration::from_secs(60));
    let [carried, linked, early, late] =
        ["far-1", "far-2", "dead-battery", "far-ahead"].map(Server::new);
    let written = [
        three_days(&carried, begun)?,
        three_days(&linked, begun)?,
        wrong_clock(&early, "1970-01-01T00:00:30Z")?,
        wrong_clock(&late, "2087-06-05T04:03:02Z")?,
    ];
    let all: u64 = written.iter().map(|written| written.events).sum();
    let back = Instant::now();
    for server in [&carried, &early, &late] {
        server.carried(&kafka)?;
    }
    let agent = linked.runs(&kafka)?;
    let silent = Server { agency: ELSEWHERE, ..Server::new("falls-silent") };
    let falls = silent.runs(&kafka)?;
    let most = stored(machine, &engine, &written).await?;
    let took = back.elapsed();
    machine.until(
        "a sign of life from elsewhere",
        Duration::from_secs(30),
        |machine| {
            machine.count(&format!(
                "SELECT count() FROM events WHERE agency = '{ELSEWHERE}' AND class = 'heartbeat'"
            ))
        },
        |count| *count > 0,
    )?;
    drop(falls);

    for written in &written {
        let found = as_written(&engine, written).await?;
        ensure!(found == *written, "not as it was written: {found:?}, wanted {written:?}");
    }
    let doubles: u64 = engine
        .query("SELECT toUInt64(count() - uniqExact(agent, lane, seq)) FROM events WHERE agency = 'H49'")
        .fetch_one()
        .await?;
    let lacking: u64 =
        engine.query("SELECT count() FROM gaps FINAL WHERE agency = 'H49'").fetch_one().await?;
    let dead: u64 = engine.query("SELECT count() FROM dead_letters").fetch_one().await?;
    ensure!(
        (doubles, lacking, dead) == (0, 0, 0),
        "{doubles} double, {lacking} gaps, {dead} dead letters"
    );

    // Behind it the roll-ups are those of the rows, by minute, hour and day, for the wrong clocks too.
    let rolled = digest::alike(machine, "agency = 'H49' AND system = 'agency-one-stop'")?;
    ensure!(rolled >= all - 20_000, "{rolled} of {all} are in the roll-ups");
    let after = parts(&engine).await?;
    for (of_month, of_all, months) in [most, after] {
        ensure!(of_month <= PARTS_OF_MONTH_MAX, "{of_month} parts in a month");
        ensure!(of_all <= PARTS_MAX, "{of_all} parts");
        ensure!(months <= MONTHS_MAX, "{months} months of events");
    }
    judged(machine, &engine, begun).await?;
    drop(agent);
    Ok(format!(
        "{all} events of {AWAY:?} in {took:?}; parts at most {} in a month, {} in all, {} months; afterwards {after:?}",
        most.0, most.1, most.2
    ))
}

/// The attack is told, at its own time; that somebody was silent or down is not, because it is over.
async fn judged(machine: &Machine, engine: &Client, begun: Time) -> anyhow::Result<()> {
    let attack =
        machine.until("the attack of the past", Duration::from_secs(30), incidents, |rows| {
            rows.iter().any(|row| row.to_string().contains("203.0.113.77"))
        })?;
    let attack =
        attack.iter().find(|row| row.to_string().contains("203.0.113.77")).context("told")?;
    // The watch over silence looks: one that really fell silent is told.
    machine.until(
        "the silence of now",
        Duration::from_secs(90),
        |machine| {
            machine.count(&format!("SELECT count() FROM transitions WHERE rule = 'agent-silent' AND position(after, '{ELSEWHERE}') > 0"))
        },
        |count| *count > 0,
    )?;
    // Whatever was ever told of the province, closed or not.
    let rules: Vec<String> = engine
        .query("SELECT DISTINCT toString(rule) FROM transitions WHERE position(after, 'H49') > 0")
        .fetch_all()
        .await?;
    ensure!(rules == ["ssh-brute-force"], "{rules:?} {:?}", incidents(machine)?);
    let began = begun.plus(Duration::from_secs(30 * 3_600));
    let first: Time = attack["first_at"].as_str().context("a time")?.parse().context("a time")?;
    ensure!(first.since(began).max(began.since(first)) < Duration::from_secs(60), "{attack}");
    Ok(())
}
