//! Measures the whole way on this machine and prints a table: lines a second and per CPU-second of each part, from append to row, memory.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench tells what it measured")]

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::Value;
use system_tests::{
    lines,
    machine::{Machine, model},
};

/// Lines of the burst.
const BURST: usize = 200_000;

/// Single lines whose way is timed.
const SINGLES: usize = 100;

/// Addresses whose brute force is timed until its incident can be listed.
const ATTACKS: usize = 20;

/// Lines a second of the steady load, and its seconds.
const STEADY: (usize, usize) = (2_000, 20);

fn main() -> anyhow::Result<()> {
    let Some(machine) = Machine::up(&[], false)? else { return Ok(()) };
    println!("machine: {} cores, {}\n", thread::available_parallelism()?, model());
    thread::sleep(Duration::from_secs(15));
    let idle = parts(&machine)?;

    let mut delays = Vec::new();
    for number in 0..SINGLES {
        delays.push(single(&machine, number)?);
        thread::sleep(Duration::from_millis(130));
    }
    delays.sort_by(f64::total_cmp);

    let mut found = Vec::new();
    for number in 0..ATTACKS {
        found.push(attack(&machine, number)?);
    }
    found.sort_by(f64::total_cmp);

    let before_load = parts(&machine)?;
    for second in 0..STEADY.1 {
        let begun = Instant::now();
        machine.append(
            &(0..STEADY.0).map(|n| lines::request(second * STEADY.0 + n)).collect::<String>(),
        )?;
        thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
    }
    let loaded = parts(&machine)?;

    let wanted = machine.count(COUNT)? + pending(&machine)?;
    let settled = machine.until(
        "the steady load",
        Duration::from_secs(60),
        |m| m.count(COUNT),
        |count| *count >= wanted,
    )?;
    let text: String = (0..BURST).map(lines::request).collect();
    let before = parts(&machine)?;
    let begun = Instant::now();
    machine.append(&text)?;
    let goal = settled + BURST as u64;
    machine.until(
        "the burst",
        Duration::from_secs(300),
        |m| m.count(COUNT),
        |count| *count >= goal,
    )?;
    let took = begun.elapsed().as_secs_f64();
    let after = parts(&machine)?;

    println!("| what | measured |\n|---|---|");
    println!(
        "| append to row, as an operator's query sees it | p50 {:.2} s, p99 {:.2} s ({SINGLES} lines) |",
        at(&delays, 0.5),
        at(&delays, 0.99)
    );
    println!(
        "| append of ten failures to incident, as listed | p50 {:.2} s, p99 {:.2} s ({ATTACKS} addresses) |",
        at(&found, 0.5),
        at(&found, 0.99)
    );
    println!("| burst of {BURST} access lines | {took:.1} s, {:.0} lines/s |", BURST as f64 / took);
    println!(
        "\n| part | idle MB | at {} lines/s MB | CPU of a core at that load | burst lines per CPU-second |\n|---|---|---|---|---|",
        STEADY.0
    );
    for (name, rss, _) in &idle {
        let find = |all: &[(String, f64, f64)]| {
            all.iter()
                .find(|(other, ..)| other == name)
                .map_or((0.0, 0.0), |(_, rss, cpu)| (*rss, *cpu))
        };
        let load = (find(&loaded).1 - find(&before_load).1) / STEADY.1 as f64;
        let cpu = (find(&after).1 - find(&before).1).max(0.01);
        println!(
            "| {name} | {rss:.0} | {:.0} | {:.1} % | {:.0} |",
            find(&loaded).0,
            load * 100.0,
            BURST as f64 / cpu
        );
    }
    eprintln!("stopping");
    Ok(())
}

const COUNT: &str = "SELECT count() FROM events WHERE class = 'http_activity'";

/// Lines that are in the log and not in the store yet.
fn pending(machine: &Machine) -> anyhow::Result<u64> {
    let all =
        fs::read_to_string(&machine.log)?.lines().filter(|line| line.contains("HTTP/1.1")).count()
            as u64;
    Ok(all.saturating_sub(machine.count(COUNT)?))
}

/// Seconds from appending a line to the query that finds it.
fn single(machine: &Machine, number: usize) -> anyhow::Result<f64> {
    let address = format!("203.0.113.{}", 1 + number);
    let begun = Instant::now();
    machine.append(&lines::refused(number, &address))?;
    let query = format!("SELECT count() FROM events WHERE src_ip = '{address}'");
    while machine.count(&query)? == 0 {
        thread::sleep(Duration::from_millis(20));
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(30), "a line did not arrive");
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// Seconds from appending ten failures to the list that has their incident.
fn attack(machine: &Machine, number: usize) -> anyhow::Result<f64> {
    let address = format!("198.51.100.{}", 1 + number);
    let text: String = (0..10).map(|n| lines::refused(number * 10 + n, &address)).collect();
    let begun = Instant::now();
    machine.append(&text)?;
    loop {
        let rows = machine.rows(&["incidents", "--rule", "ssh-brute-force", "--limit", "1000"])?;
        if rows.iter().any(|row| row["entity"] == address.as_str()) {
            return Ok(begun.elapsed().as_secs_f64());
        }
        thread::sleep(Duration::from_millis(50));
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(30), "an attack was not found");
    }
}

/// The value below which this share of sorted values lies.
fn at(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// Name, resident megabytes and CPU seconds of each part.
fn parts(machine: &Machine) -> anyhow::Result<Vec<(String, f64, f64)>> {
    let state: Value = serde_json::from_slice(&fs::read(machine.data().join("run/state.json"))?)?;
    let parts = state["parts"].as_object().context("no parts")?;
    let mut all = Vec::new();
    for (name, part) in parts {
        let pid = part["pid"].as_u64().context("no process")?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let rss = status.lines().find_map(|line| {
            line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()
        });
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields: Vec<&str> =
            stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        all.push((name.clone(), rss.unwrap_or(0.0) / 1024.0, ticks / 100.0));
    }
    Ok(all)
}
