//! From an event's reading to its row, at a steady load.

use std::{
    thread::ScopedJoinHandle,
    time::{Duration, Instant},
};

use system_tests::traffic::Load;
use vonggac_wire::Time;

use crate::{
    Options,
    site::{Site, at, told_memory},
};
use system_tests::machine::{cpu_seconds, megabytes};

/// Events a second, and for how long.
const PER_SECOND: u32 = 5_000;
const SECONDS: u64 = 120;

/// How often agents send what they have.
const SEND_INTERVAL: Duration = Duration::from_millis(100);

/// How often rows are counted.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How long nothing may come before all is taken to be there.
const QUIET_MAX: Duration = Duration::from_secs(30);

/// Events before the load, so that every partition has been taken over.
const FIRST_EVENTS: u64 = 5_000;

/// How long the load runs before it is measured: what is new settles.
const WARM: Duration = Duration::from_secs(5);

pub(crate) async fn measure(options: &Options) -> anyhow::Result<()> {
    let Some(site) = Site::up().await? else { return Ok(()) };
    let collector = site.collector("one")?;
    let lasts = Duration::from_secs(options.of(SECONDS).max(10));
    let mut load = Load::new(Time::now(), PER_SECOND)?;
    site.steady(&mut load, FIRST_EVENTS).await?;
    let (warm, worked) = (Time::now().plus(WARM), cpu_seconds(collector.pid())?);
    let (sent, looks, memory) = std::thread::scope(|scope| {
        let producer = scope.spawn(|| produce(&site, load, lasts + WARM));
        let looks = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(look(&site, collector.pid(), &producer))
        });
        let sent = producer.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the producer ended")));
        let (looks, memory) = looks?;
        anyhow::Ok((sent?, looks, memory))
    })?;
    let delays = delays(&site, &looks, warm).await?;
    let cpu = (cpu_seconds(collector.pid())? - worked) / (lasts + WARM).as_secs_f64();
    println!("| {PER_SECOND} events/s for {} s | measured |\n|---|---|", lasts.as_secs());
    println!(
        "| events sent, those behind the first seconds seen as rows | {sent}, {} |",
        delays.len()
    );
    println!(
        "| event to row | p50 {:.2} s, p99 {:.2} s, at most {:.2} s |",
        at(&delays, 0.5),
        at(&delays, 0.99),
        at(&delays, 1.0)
    );
    println!(
        "| the collector's memory at the beginning / halfway / at the end / at most | {} MB |",
        told_memory(&memory)
    );
    println!("| of a core that it takes | {:.0} % |", cpu * 100.0);
    Ok(())
}

/// Events of now, evenly, from all agents.
fn produce(site: &Site, mut load: Load, lasts: Duration) -> anyhow::Result<u64> {
    let (begun, mut sent) = (Instant::now(), 0_u64);
    while begun.elapsed() < lasts {
        std::thread::sleep(SEND_INTERVAL.saturating_sub(Duration::from_millis(1)));
        let due = (begun.elapsed().as_secs_f64() * f64::from(PER_SECOND)) as u64;
        // Each was read at its own time since the last sending.
        let now = Time::now();
        let behind = due.saturating_sub(sent);
        for number in 0..behind {
            let ago = Duration::from_secs_f64((behind - number) as f64 / f64::from(PER_SECOND));
            if let Some(batch) = load.push_at(now.minus(ago)) {
                site.send(&batch)?;
            }
        }
        sent = sent.max(due);
        for batch in load.flush() {
            site.send(&batch)?;
        }
    }
    site.flush()?;
    Ok(sent)
}

/// When how many rows could be read: seconds since 1970, rows; and the collector's memory.
async fn look(
    site: &Site,
    pid: u32,
    producer: &ScopedJoinHandle<'_, anyhow::Result<u64>>,
) -> anyhow::Result<(Vec<(f64, u64)>, Vec<f64>)> {
    let (mut looks, mut memory) = (Vec::new(), Vec::new());
    let mut moved = Instant::now();
    loop {
        let rows = site.rows().await?;
        if looks.last().is_none_or(|(_, before)| *before < rows) {
            looks.push((Time::now().0 as f64 / 1e9, rows));
            moved = Instant::now();
            memory.push(megabytes(pid, "VmRSS:")?);
        }
        if producer.is_finished() && moved.elapsed() > QUIET_MAX {
            return Ok((looks, memory));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Seconds of each row, sorted: rows came in the order in which they were taken, so the first look that counts a row is when it was there.
/// Those that were read before `warm` do not count.
async fn delays(site: &Site, looks: &[(f64, u64)], warm: Time) -> anyhow::Result<Vec<f64>> {
    let rows: Vec<i64> = site
        .client
        .query("SELECT toUnixTimestamp64Micro(observed) FROM events ORDER BY stored, kafka_topic, kafka_partition, kafka_offset, kafka_index")
        .fetch_all()
        .await?;
    let mut looks = looks.iter().peekable();
    let mut delays = Vec::with_capacity(rows.len());
    for (number, observed) in (1_u64..).zip(rows) {
        while looks.peek().is_some_and(|(_, counted)| *counted < number) {
            looks.next();
        }
        let Some((there, _)) = looks.peek() else { break };
        if observed >= warm.micros() {
            delays.push(there - observed as f64 / 1e6);
        }
    }
    delays.sort_by(f64::total_cmp);
    Ok(delays)
}
