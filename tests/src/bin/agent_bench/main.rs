//! Measures agents side by side on this machine: the same file, the same Kafka, one after the other, and prints a table.
//!
//! `agent_bench RIG [--lines N] [--memory]`: RIG is the folder below which the others were unpacked (see tests/bench); with `--memory`
//! only our own is run, and what it holds is told after each million lines.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench tells what it measured")]

use std::{
    fs::{self, OpenOptions},
    io::{BufWriter, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rdkafka::{
    ClientConfig, Message, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    consumer::{BaseConsumer, Consumer},
    types::RDKafkaErrorCode,
};
use system_tests::{
    lines,
    machine::{Machine, cpu_seconds, megabytes, model},
    shipper::{Place, Shipper, TOPIC},
};
use vonggac_wire::{Batch, topic};

mod memory;

/// Lines of the file unless told otherwise.
const LINES: usize = 1_000_000;

/// Lines a second of the steady load, and its seconds.
const STEADY: (usize, usize) = (2_000, 20);

/// Rest between one and the next, so that Kafka's own work ends.
const REST: Duration = Duration::from_secs(3);

/// What was measured of one.
struct Measured {
    name: &'static str,
    seconds: f64,
    cpu_seconds: f64,
    peak_megabytes: f64,
    /// CPU of a core in percent, megabytes; `None` for what does not follow a file.
    steady: Option<(f64, f64)>,
    missing: u64,
    double: u64,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let rig =
        PathBuf::from(arguments.next().context("name the folder of the others; see tests/bench")?);
    let (mut count, mut only_memory) = (LINES, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--memory" => only_memory = true,
            "--lines" => count = arguments.next().context("--lines wants a number")?.parse()?,
            number => count = number.parse().context("wanted --lines N or --memory")?,
        }
    }
    let machine = Machine::broker()?;
    let broker = machine.address("kafka")?;
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("access.log");
    let metrics = machine.address("agent_metrics")?;
    println!("machine: {} cores, {}", thread::available_parallelism()?, model());
    if only_memory {
        let folder = folder.path().join("memory");
        return memory::run(&Place { log, folder, broker, metrics, rig }, count);
    }
    write_lines_from(&log, 0, count)?;
    let bytes = fs::metadata(&log)?.len() / count as u64;
    println!("{count} lines of {bytes} bytes; acks=all, one Kafka\n");
    println!(
        "| program | lines/s | lines per CPU-second | peak MB | CPU of a core at {} lines/s | MB then | missing | double |",
        STEADY.0
    );
    println!("|---|---|---|---|---|---|---|---|");
    for shipper in Shipper::ALL {
        let place = Place {
            log: log.clone(),
            folder: folder.path().join(shipper.name()),
            broker: broker.clone(),
            metrics: metrics.clone(),
            rig: rig.clone(),
        };
        match measure(shipper, &place, count) {
            Ok(found) => println!("{}", row(&found, count)),
            Err(error) => eprintln!("{}: {error:#}", shipper.name()),
        }
        thread::sleep(REST);
    }
    Ok(())
}

fn row(found: &Measured, count: usize) -> String {
    let steady = found.steady.map_or(("-".to_owned(), "-".to_owned()), |(cpu, memory)| {
        (format!("{cpu:.2} %"), format!("{memory:.0}"))
    });
    format!(
        "| {} | {:.0} | {:.0} | {:.0} | {} | {} | {} | {} |",
        found.name,
        count as f64 / found.seconds,
        count as f64 / found.cpu_seconds,
        found.peak_megabytes,
        steady.0,
        steady.1,
        found.missing,
        found.double,
    )
}

fn measure(shipper: Shipper, place: &Place, count: usize) -> anyhow::Result<Measured> {
    topics(&place.broker)?;
    let begun = Instant::now();
    let mut child = shipper.start(place)?;
    let watched = watch(shipper, place, &mut child, count as u64);
    let measured = watched.and_then(|(seconds, cpu_seconds, peak_megabytes)| {
        let steady = if shipper.follows() { Some(steady(place, &child)?) } else { None };
        let wanted = count + if steady.is_some() { STEADY.0 * STEADY.1 } else { 0 };
        let (missing, double) = tally(shipper, &place.broker, wanted)?;
        Ok(Measured {
            name: shipper.name(),
            seconds,
            cpu_seconds,
            peak_megabytes,
            steady,
            missing,
            double,
        })
    });
    let _ended_by_itself = child.kill();
    child.wait()?;
    // The next one finds the same file.
    let all = fs::read(&place.log)?;
    let end = memchr::memchr_iter(b'\n', &all).nth(count - 1).map_or(all.len(), |at| at + 1);
    OpenOptions::new().write(true).open(&place.log)?.set_len(end as u64)?;
    measured.with_context(|| {
        let output = fs::read_to_string(place.folder.join("output")).unwrap_or_default();
        format!(
            "after {:.0} s; it says: {}",
            begun.elapsed().as_secs_f64(),
            output.lines().last().unwrap_or("nothing")
        )
    })
}

/// Until Kafka has all lines: seconds, CPU-seconds and the peak of memory.
fn watch(
    shipper: Shipper,
    place: &Place,
    child: &mut Child,
    wanted: u64,
) -> anyhow::Result<(f64, f64, f64)> {
    let begun = Instant::now();
    let mut last = (0.0, 0.0);
    loop {
        if let (Ok(cpu), Ok(peak)) = (cpu_seconds(child.id()), megabytes(child.id(), "VmHWM:")) {
            last = (cpu, peak);
        }
        if shipper == Shipper::Kcat {
            if let Some(status) = child.try_wait()? {
                ensure!(status.success(), "it ended with {status}");
                return Ok((begun.elapsed().as_secs_f64(), last.0, last.1));
            }
        } else {
            ensure!(child.try_wait()?.is_none(), "it ended");
            if delivered(shipper, place)? >= wanted {
                return Ok((begun.elapsed().as_secs_f64(), last.0, last.1));
            }
        }
        ensure!(begun.elapsed() < Duration::from_secs(300), "not all lines came within 300 s");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Percent of a core and resident megabytes at the steady load.
fn steady(place: &Place, child: &Child) -> anyhow::Result<(f64, f64)> {
    thread::sleep(REST);
    let before = cpu_seconds(child.id())?;
    let mut log = OpenOptions::new().append(true).open(&place.log)?;
    for second in 0..STEADY.1 {
        // Ten writes a second, as a busy server's buffer is flushed.
        for part in 0..10 {
            let begun = Instant::now();
            let first = LINES * 10 + second * STEADY.0 + part * STEADY.0 / 10;
            log.write_all((first..first + STEADY.0 / 10).map(line).collect::<String>().as_bytes())?;
            thread::sleep(Duration::from_millis(100).saturating_sub(begun.elapsed()));
        }
    }
    let cpu = (cpu_seconds(child.id())? - before) / STEADY.1 as f64 * 100.0;
    let memory = megabytes(child.id(), "VmRSS:")?;
    thread::sleep(REST);
    Ok((cpu, memory))
}

/// A line of which no two are alike.
fn line(number: usize) -> String {
    lines::varied(number)
}

/// Makes a file of so many lines, the first of this number.
fn write_lines_from(path: &Path, first: usize, count: usize) -> anyhow::Result<()> {
    let mut file = BufWriter::new(fs::File::create(path)?);
    for number in first..first + count {
        file.write_all(line(number).as_bytes())?;
    }
    Ok(file.flush()?)
}

/// Lines that Kafka has taken, as far as can be told cheaply.
fn delivered(shipper: Shipper, place: &Place) -> anyhow::Result<u64> {
    if shipper != Shipper::Agent {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &place.broker).create()?;
        let (low, high) = consumer.fetch_watermarks(TOPIC, 0, Duration::from_secs(5))?;
        return Ok(u64::try_from(high - low)?);
    }
    let Ok(mut stream) = TcpStream::connect(&place.metrics) else { return Ok(0) };
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text
        .lines()
        .filter(|line| {
            line.starts_with("vonggac_agent_events_delivered_total{") && !line.contains("uptime")
        })
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum::<f64>() as u64)
}

/// Fresh topics.
fn topics(broker: &str) -> anyhow::Result<()> {
    let admin: AdminClient<_> = ClientConfig::new().set("bootstrap.servers", broker).create()?;
    let names: Vec<&str> = topic::EVENTS.into_iter().chain([TOPIC]).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let options = AdminOptions::new();
        for name in &names {
            let _was_not_there = admin.delete_topics(&[*name], &options).await?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let wanted: Vec<NewTopic<'_>> = names
            .iter()
            .map(|name| {
                NewTopic::new(name, 1, TopicReplication::Fixed(1))
                    .set("max.message.bytes", "4194304")
            })
            .collect();
        for made in admin.create_topics(&wanted, &options).await? {
            if let Err((name, code)) = made {
                ensure!(code == RDKafkaErrorCode::TopicAlreadyExists, "{name}: {code}");
            }
        }
        Ok(())
    })
}

/// Lines that are missing and lines that are there more than once, by their numbers.
fn tally(shipper: Shipper, broker: &str, wanted: usize) -> anyhow::Result<(u64, u64)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("fetch.message.max.bytes", "8388608")
        .create()?;
    let names: Vec<&str> =
        if shipper == Shipper::Agent { topic::EVENTS.to_vec() } else { vec![TOPIC] };
    let mut ends = Vec::new();
    let mut list = TopicPartitionList::new();
    for name in names {
        let (_, high) = consumer.fetch_watermarks(name, 0, Duration::from_secs(10))?;
        list.add_partition_offset(name, 0, rdkafka::Offset::Beginning)?;
        ends.push((name, high));
    }
    consumer.assign(&list)?;
    let mut seen = std::collections::HashMap::<u64, u64>::with_capacity(wanted);
    let mut open = ends.iter().filter(|(_, high)| *high > 0).count();
    while open > 0 {
        let Some(message) = consumer.poll(Duration::from_secs(10)) else { break };
        let message = message?;
        let value = message.payload().unwrap_or_default();
        if shipper == Shipper::Agent {
            if let Some(lane) = topic::lane_of(message.topic()) {
                let (batch, _) = Batch::open(value, lane)?;
                for event in &batch.events {
                    count(&mut seen, event.raw());
                }
            }
        } else {
            count(&mut seen, value);
        }
        if ends.iter().any(|(name, high)| *name == message.topic() && message.offset() + 1 == *high)
        {
            open -= 1;
        }
    }
    let double = seen.values().map(|times| times - 1).sum();
    Ok(((wanted as u64).saturating_sub(seen.len() as u64), double))
}

fn count(seen: &mut std::collections::HashMap<u64, u64>, line: &[u8]) {
    if let Some(number) = lines::number(line) {
        *seen.entry(number).or_default() += 1;
    }
}
