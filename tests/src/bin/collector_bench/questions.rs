//! What consoles ask, with and without what is made for it.

use std::{future::Future, time::Instant};

use anyhow::Context;
use system_tests::machine::cpu_seconds;
use vonggac_collector::store::{
    Store,
    usage::{Read, Window},
};
use vonggac_wire::{
    Time,
    proto::{SearchRequest, Term},
};

use crate::filled::{DAYS, Rig, START};

/// How often each is asked; the median is told.
const TIMES: usize = 9;

/// Steps of incidents, and incidents.
const STEPS: u64 = 1_000_000;
const INCIDENTS: u64 = 100_000;

/// Milliseconds, those of the engine's processors, rows and bytes of one question, and how many rows it found.
struct Cost {
    millis: f64,
    cpu_millis: f64,
    rows: u64,
    bytes: u64,
    found: usize,
}

async fn cost<F>(rig: &Rig, ask: impl Fn() -> F) -> anyhow::Result<Cost>
where
    F: Future<Output = anyhow::Result<usize>>,
{
    // What reading the counters costs itself.
    let (first, again) = (rig.read().await?, rig.read().await?);
    let own = (again.0 - first.0, again.1 - first.1);
    let before = rig.read().await?;
    let found = ask().await?;
    let after = rig.read().await?;
    let pid = rig.engine.pid().context("the engine has no process")?;
    let worked = cpu_seconds(pid)?;
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let begun = Instant::now();
        ask().await?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    let cpu_millis = (cpu_seconds(pid)? - worked) * 1000.0 / TIMES as f64;
    times.sort_by(f64::total_cmp);
    Ok(Cost {
        millis: times[TIMES / 2],
        cpu_millis,
        rows: (after.0 - before.0).saturating_sub(own.0),
        bytes: (after.1 - before.1).saturating_sub(own.1),
        found,
    })
}

fn line(name: &str, what: &str, with: &Cost, without: &Cost) {
    let megabytes = |cost: &Cost| cost.bytes as f64 / 1e6;
    println!(
        "| {name} | {what} | {:.1} ms | {:.0} ms | {} | {:.1} | {:.1} ms | {:.0} ms | {} | {:.1} | {} |",
        with.millis,
        with.cpu_millis,
        with.rows,
        megabytes(with),
        without.millis,
        without.cpu_millis,
        without.rows,
        megabytes(without),
        with.found
    );
}

/// Asks everything and prints the table.
pub(crate) async fn measure(rig: &Rig) -> anyhow::Result<()> {
    println!(
        "| question | by | with | CPU | rows read | MB read | without | CPU | rows read | MB read | rows found |\n|---|---|---|---|---|---|---|---|---|---|---|"
    );
    figures(rig).await?;
    searches(rig).await?;
    timeline(rig).await
}

async fn figures(rig: &Rig) -> anyhow::Result<()> {
    let end = Rig::end() - 3_000;
    let window =
        |seconds: i64| Window::of(Time::from_seconds(end - seconds), Time::from_seconds(end));
    let month = Window::of(
        Time::from_seconds(START - 7 * 3_600),
        Time::from_seconds(START + DAYS * 86_400 - 7 * 3_600),
    );
    for (name, window, agency) in [
        ("board: figures of a day", window(86_400), ""),
        ("usage of a month", month, ""),
        ("usage of a month, one agency", month, "H02"),
    ] {
        let ask = |read| async move { Ok(rig.store.usage_of(read, window, agency).await?.len()) };
        let (with, without) =
            (cost(rig, || ask(Read::RollUps)).await?, cost(rig, || ask(Read::Rows)).await?);
        line(name, "roll-up", &with, &without);
    }
    let ask = |read| async move {
        Ok(rig.store.baselines_of(read, Time::from_seconds(end)).await?.len())
    };
    let (with, without) =
        (cost(rig, || ask(Read::RollUps)).await?, cost(rig, || ask(Read::Rows)).await?);
    line("board: what is usual at this hour", "roll-up", &with, &without);
    Ok(())
}

/// The first page of a search, newest first.
async fn page(
    store: &Store,
    field: &str,
    value: &str,
    since: i64,
    until: i64,
) -> anyhow::Result<usize> {
    let request = SearchRequest {
        since_unix_nano: Time::from_seconds(since).nanos(),
        until_unix_nano: Time::from_seconds(until).nanos(),
        terms: field
            .split('+')
            .zip(value.split('+'))
            .map(|(field, value)| Term { field: field.into(), value: value.into(), negated: false })
            .collect(),
        ..SearchRequest::default()
    };
    Ok(store.search(&request, Time::from_seconds(until)).await?.rows.len())
}

async fn searches(rig: &Rig) -> anyhow::Result<()> {
    // Of an event in the middle, so that it is there whatever the number.
    let (address, word, user): (String, String, String) = rig
        .client
        .query(
            "SELECT argMinIf(src_ip, kafka_offset, class = 'http_activity'), argMinIf(extract(raw, 'ma=([0-9a-f]+)'), kafka_offset, class = 'http_activity'), \
             argMinIf(user, kafka_offset, class = 'authentication') FROM events WHERE kafka_offset >= ?",
        )
        .bind(rig.rows / 1_000)
        .fetch_one()
        .await?;
    let (all, hour) = ((START, Rig::end()), (START + 20 * 86_400, START + 20 * 86_400 + 3_600));
    for (name, what, setting, field, value, (since, until)) in [
        ("search by address", "bloom filter", "use_skip_indexes", "src_ip", address.as_str(), all),
        ("search by user", "bloom filter", "use_skip_indexes", "user", user.as_str(), all),
        (
            "search by rare word, first page",
            "filter of words",
            "use_skip_indexes",
            "text",
            word.as_str(),
            all,
        ),
        ("agency and hour, first page", "sorting key", "use_primary_key", "agency", "H02", hour),
        (
            "agency, kind and hour, first page",
            "sorting key",
            "use_primary_key",
            "agency+class",
            "H02+authentication",
            hour,
        ),
        ("agency and a month, first page", "sorting key", "use_primary_key", "agency", "H02", all),
    ] {
        let plain = rig.store.clone().with_setting(setting, "0");
        let with = cost(rig, || page(&rig.store, field, value, since, until)).await?;
        let without = cost(rig, || page(&plain, field, value, since, until)).await?;
        line(name, what, &with, &without);
    }
    let part = format!("*{}*", word.get(2..12).context("a word")?);
    let with = cost(rig, || page(&rig.store, "text", &part, all.0, all.1)).await?;
    line("search by a part of a word", "nothing", &with, &with);
    Ok(())
}

async fn timeline(rig: &Rig) -> anyhow::Result<()> {
    rig.client
        .query(
            "INSERT INTO transitions SELECT number % ? + 1, intDiv(number, ?) + 1, toDateTime64(?, 6, 'UTC') + INTERVAL number SECOND, 'system', 'signal', \
             'new', 'new', concat('step ', toString(number)), 'ssh-brute-force', '', 0, '', repeat(hex(sipHash64(number)), 60) FROM numbers(?)",
        )
        .bind(INCIDENTS)
        .bind(INCIDENTS)
        .bind(START)
        .bind(STEPS)
        .execute()
        .await?;
    let plain = rig.store.clone().with_setting("use_primary_key", "0");
    let ask = |store: Store| async move { Ok(store.timeline(INCIDENTS / 2).await?.len()) };
    let with = cost(rig, || ask(rig.store.clone())).await?;
    let without = cost(rig, || ask(plain.clone())).await?;
    line("timeline of an incident", "sorting key", &with, &without);
    Ok(())
}
