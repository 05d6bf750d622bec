//! Four collectors against one on the same load: speed, shares, and how long rows pause when one comes or goes.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::ensure;
use system_tests::traffic::Load;
use vonggac_wire::Time;

use crate::{
    Options,
    site::{Collector, Site},
};

/// Events of the backlog that one and four take.
const EVENTS: u64 = 2_000_000;

/// Events a second while members come and go.
const PER_SECOND: u32 = 5_000;

/// How often agents send what they have.
const SEND_INTERVAL: Duration = Duration::from_millis(100);

/// How long a change of members is watched: longer than a dead member is waited for.
const WATCHED: Duration = Duration::from_secs(25);

/// How long members may take to join.
const JOIN_WITHIN: Duration = Duration::from_secs(60);

/// How long the group may take to give partitions to all of them.
const JOINED_AFTER: Duration = Duration::from_secs(12);

/// Rows that a collector stored.
const STORED: &str = "vonggac_collector_rows_stored_total";

/// Members.
const MEMBERS: usize = 4;

pub(crate) async fn measure(options: &Options) -> anyhow::Result<()> {
    let events = options.of(EVENTS);
    println!("| collectors, {events} events | rows/s | share of each |\n|---|---|---|");
    for members in [1, MEMBERS] {
        let Some(site) = Site::up().await? else { return Ok(()) };
        let start = Time::now().minus(Duration::from_secs(events / u64::from(PER_SECOND)));
        let mut load = Load::new(start, PER_SECOND)?;
        // All of them have their partitions before there is anything to take.
        let collectors = joined(&site, members).await?;
        let begun = Instant::now();
        site.prepare(&mut load, events)?;
        let caught = site.caught_up(&collectors, events, begun).await?;
        let shares: Vec<String> = collectors
            .iter()
            .map(|one| Ok(format!("{:.0} %", one.figure(STORED)? / events as f64 * 100.0)))
            .collect::<anyhow::Result<_>>()?;
        println!(
            "| {members} | {:.0} | {} |",
            events as f64 / (caught.first + caught.took).as_secs_f64(),
            shares.join(", ")
        );
    }
    changes().await
}

/// So many collectors, each with partitions.
async fn joined(site: &Site, members: usize) -> anyhow::Result<Vec<Collector>> {
    let names = ["one", "two", "three", "four"];
    let collectors: Vec<Collector> = names
        .iter()
        .take(members)
        .map(|name| site.collector(name))
        .collect::<anyhow::Result<_>>()?;
    let begun = Instant::now();
    // A metrics address answers before its collector is a member; the group gives partitions anew when one comes.
    while collectors.iter().any(|one| one.figure(STORED).is_err()) {
        ensure!(begun.elapsed() < JOIN_WITHIN, "a collector does not start");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    tokio::time::sleep(JOINED_AFTER).await;
    Ok(collectors)
}

/// Members come and go under a steady load.
async fn changes() -> anyhow::Result<()> {
    let Some(site) = Site::up().await? else { return Ok(()) };
    let mut collectors = joined(&site, MEMBERS - 1).await?;
    let stop = AtomicBool::new(false);
    let told = std::thread::scope(|scope| {
        let producer = scope.spawn(|| produce(&site, &stop));
        let told = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(come_and_go(&site, &mut collectors))
        });
        stop.store(true, Ordering::SeqCst);
        producer.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the producer ended")))?;
        told
    })?;
    println!("\n| at {PER_SECOND} events/s | longest pause of a partition's rows |\n|---|---|");
    for (what, seconds) in told {
        println!("| {what} | {seconds:.1} s |");
    }
    Ok(())
}

async fn come_and_go(
    site: &Site,
    collectors: &mut Vec<Collector>,
) -> anyhow::Result<Vec<(&'static str, f64)>> {
    tokio::time::sleep(WATCHED).await;
    let mut told = vec![("nothing changes", pause(site, WATCHED / 2).await?)];
    collectors.push(site.collector("four")?);
    tokio::time::sleep(WATCHED).await;
    told.push(("a fourth collector joins", pause(site, WATCHED).await?));
    if let Some(last) = collectors.pop() {
        last.stop()?;
    }
    tokio::time::sleep(WATCHED).await;
    told.push(("it is stopped", pause(site, WATCHED).await?));
    drop(collectors.pop());
    tokio::time::sleep(WATCHED).await;
    told.push(("another is killed", pause(site, WATCHED).await?));
    Ok(told)
}

fn produce(site: &Site, stop: &AtomicBool) -> anyhow::Result<()> {
    let mut load = Load::new(Time::now(), PER_SECOND)?;
    let (begun, mut sent) = (Instant::now(), 0_u64);
    while !stop.load(Ordering::SeqCst) {
        std::thread::sleep(SEND_INTERVAL);
        let due = (begun.elapsed().as_secs_f64() * f64::from(PER_SECOND)) as u64;
        for _ in sent..due {
            if let Some(batch) = load.push_at(Time::now()) {
                site.send(&batch)?;
            }
        }
        sent = due;
        for batch in load.flush() {
            site.send(&batch)?;
        }
    }
    site.flush()
}

/// The longest time, among those up to now, between two records of a partition's busiest topic as they were taken; also to now.
async fn pause(site: &Site, within: Duration) -> anyhow::Result<f64> {
    let longest: f64 = site
        .client
        .query(
            "SELECT max(gap) FROM (SELECT kafka_partition, taken, \
             greatest(dateDiff('millisecond', lagInFrame(taken, 1, taken) OVER earlier, taken), \
             if(taken = max(taken) OVER (PARTITION BY kafka_partition), dateDiff('millisecond', taken, now64(3)), 0)) / 1000 AS gap \
             FROM (SELECT DISTINCT kafka_partition, stored AS taken FROM events WHERE stored > now64(3) - toIntervalMillisecond(?)) \
             WINDOW earlier AS (PARTITION BY kafka_partition ORDER BY taken ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))",
        )
        .bind(u64::try_from(within.as_millis())? + 1_000)
        .fetch_one()
        .await?;
    Ok(longest)
}
