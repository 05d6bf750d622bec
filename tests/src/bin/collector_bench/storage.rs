//! What real logs take on disk, by class: lines that others have collected, in copies of which no two are alike, through the agent's formats
//! and the collector's rows.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use jiff::tz::TimeZone;
use rand::{Rng, SeedableRng, rngs::StdRng};
use system_tests::traffic::vary::varied;
use vonggac_agent::{
    format::{self, Context},
    redact::{Pseudonyms, Redactor, Rules},
};
use vonggac_collector::{config::BLOCK_ROWS_MAX, record::Record, store::row::NewRow};
use vonggac_wire::{
    AgencyId, AgentId, Batch, BatchHash, Event, Time, limits::BATCH_EVENTS_MAX, proto::Origin,
    topic,
};

use crate::{Options, disk, site::Site};

#[path = "../../../material.rs"]
mod others;

/// Copies of each line.
const COPIES: u64 = 100;

/// Events a second in which the copies lie, as a nation's.
const PER_SECOND: i64 = 5_000;

/// Agencies and the hosts of each: a copy is of one agency, its logs are spread over hosts.
const AGENCIES: u64 = 34;
const HOSTS: u64 = 4;

/// How often an agent sends what it has.
const SEND_NANOS: i64 = 200_000_000;

/// From reading to taking.
const ON_THE_WAY_NANOS: i64 = 700_000_000;

const START: Time = Time::from_seconds(1_795_000_000);

/// A log of others.
struct Log {
    source: String,
    lines: Vec<(String, String)>,
}

/// One agent's open batches.
#[derive(Default)]
struct Open {
    lanes: [(u64, Vec<Event>); 3],
}

/// Rows on their way to the store.
struct Rows<'a> {
    site: &'a Site,
    rows: Vec<NewRow>,
    offset: i64,
    blocks: u64,
    made: u64,
}

pub(crate) async fn measure(options: &Options) -> anyhow::Result<()> {
    let Some(logs) = logs()? else { return Ok(()) };
    let Some(site) = Site::up().await? else { return Ok(()) };
    let copies = options.of(COPIES);
    let lines: usize = logs.iter().map(|log| log.lines.len()).sum();
    println!(
        "{lines} lines of {} logs, {copies} copies of each that differ, at {PER_SECOND} events/s of {AGENCIES} agencies",
        logs.len()
    );
    let made = fill(&site, &logs, copies).await?;
    eprintln!("{made} rows stored");
    site.client.query("OPTIMIZE TABLE events FINAL").execute().await?;
    disk::measure(&site.client).await
}

/// The logs at hand. A line of fail2ban's that annotates the next is none.
fn logs() -> anyhow::Result<Option<Vec<Log>>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for (folder, wanted) in [
        ("crowdsec/tests", ".log"),
        ("fail2ban/logs", ""),
        ("lnav/test", ""),
        ("elastic-examples/apache_logs", ""),
        ("go-libaudit", ".log"),
    ] {
        let Some(folder) = others::material(folder) else { return Ok(None) };
        walk(&folder, wanted, &mut files)?;
    }
    files.sort();
    let context = Context::at(START, TimeZone::UTC);
    let mut logs = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let bytes = fs::read(file)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<(String, String)> = text
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
            .map(|line| {
                let (event, _) = format::event("auto", line.as_bytes(), 0, &context);
                let user = event.activity().map(|activity| activity.user_name.clone());
                (line.to_owned(), user.unwrap_or_default())
            })
            .collect();
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
        logs.push(Log { source: format!("/var/log/{number}/{}", name.unwrap_or_default()), lines });
    }
    Ok(Some(logs))
}

fn walk(folder: &std::path::Path, wanted: &str, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, wanted, files)?;
        } else if path.to_string_lossy().ends_with(wanted) && !path.ends_with("LICENSE") {
            files.push(path);
        }
    }
    Ok(())
}

/// All copies in the order of their times, as agents send and the collector takes them.
async fn fill(site: &Site, logs: &[Log], copies: u64) -> anyhow::Result<u64> {
    let lines: usize = logs.iter().map(|log| log.lines.len()).sum();
    let span = (lines as f64 * copies as f64 / PER_SECOND as f64 * 1e9) as i64;
    let mut order: Vec<(i64, u32, u32, u32)> = Vec::with_capacity(lines * usize::try_from(copies)?);
    let mut chance = StdRng::seed_from_u64(copies);
    for copy in 0..copies {
        for (file, log) in logs.iter().enumerate() {
            let count = log.lines.len() as f64;
            for line in 0..log.lines.len() {
                let after = (line as f64 + chance.random::<f64>()) / count * span as f64;
                order.push((
                    after as i64,
                    u32::try_from(file)?,
                    u32::try_from(copy)?,
                    u32::try_from(line)?,
                ));
            }
        }
    }
    order.sort_unstable();
    let registry = vonggac_collector::registry::Registry::builtin()?;
    let agencies: Vec<AgencyId> = registry
        .agencies()
        .iter()
        .filter(|agency| agency.excluded.is_empty() && agency.code.starts_with('H'))
        .map(|agency| AgencyId::new(&agency.code))
        .collect::<Result<_, _>>()?;
    let redactor = Redactor::new(Rules::default(), Pseudonyms::fleeting());
    let mut rows = Rows { site, rows: Vec::new(), offset: 0, blocks: 0, made: 0 };
    let mut open: BTreeMap<(u64, u64), Open> = BTreeMap::new();
    let mut sent = 0;
    for (after, file, copy, line) in order {
        if after - sent >= SEND_NANOS {
            sent = after;
            rows.take(&mut open, &agencies, after)?;
            rows.insert(BLOCK_ROWS_MAX).await?;
        }
        let log = &logs[usize::try_from(file)?];
        let (text, user) = &log.lines[usize::try_from(line)?];
        let time = Time(START.0 + after);
        let text = varied(text, user, u64::from(copy), time);
        // Lines that are read at once were observed at once.
        let read = Time(START.0 + sent + SEND_NANOS + i64::from(copy) * 1_000_003);
        let context = Context::at(read, TimeZone::UTC);
        let offset = u64::from(line) * 220;
        let (event, _) = format::event_of("auto", text.into_bytes(), 0, &context);
        let event = redactor.apply(event.with_source(&log.source, offset));
        let host = u64::from(copy) / AGENCIES * HOSTS + u64::from(file) % HOSTS;
        let agent = open.entry((u64::from(copy) % AGENCIES, host)).or_default();
        agent.lanes[event.lane().index()].1.push(event);
    }
    rows.take(&mut open, &agencies, span)?;
    rows.insert(1).await?;
    Ok(rows.made)
}

impl Rows<'_> {
    /// What agents have open becomes records and rows.
    fn take(
        &mut self,
        open: &mut BTreeMap<(u64, u64), Open>,
        agencies: &[AgencyId],
        after: i64,
    ) -> anyhow::Result<()> {
        for ((agency, host), agent) in open {
            let agency = &agencies[usize::try_from(*agency)? % agencies.len()];
            let name = format!("srv-{host}.{}", agency.as_str().to_lowercase());
            for (sealed, events) in &mut agent.lanes {
                while !events.is_empty() {
                    let rest = events.split_off(events.len().min(BATCH_EVENTS_MAX));
                    let events = std::mem::replace(events, rest);
                    let count = events.len() as u64;
                    let record = Arc::new(record(agency, &name, *sealed + 1, self.offset, events)?);
                    (self.offset, *sealed) = (self.offset + 1, *sealed + count);
                    let stored = Time(START.0 + after + ON_THE_WAY_NANOS);
                    self.rows.extend(
                        record
                            .fresh()
                            .map(|(index, event)| NewRow::new(&record, index, event, stored)),
                    );
                }
            }
        }
        Ok(())
    }

    /// Inserts them if there are enough.
    async fn insert(&mut self, least: u64) -> anyhow::Result<()> {
        if (self.rows.len() as u64) < least {
            return Ok(());
        }
        self.site.store.insert_events(&self.rows, &format!("storage-{}", self.blocks)).await?;
        self.blocks += 1;
        self.made += self.rows.len() as u64;
        self.rows.clear();
        Ok(())
    }
}

fn record(
    agency: &AgencyId,
    host: &str,
    first_seq: u64,
    offset: i64,
    events: Vec<Event>,
) -> anyhow::Result<Record> {
    let lane = events.first().map_or(vonggac_wire::Lane::Security, Event::lane);
    Ok(Record {
        origin: Origin { topic: topic::of_lane(lane).into(), partition: 0, offset },
        appended: START,
        batch: Batch {
            agent: AgentId::new(&format!("{host}-0a0b"))?,
            agency: agency.clone(),
            host: host.to_owned(),
            boot: [1; 16],
            lane,
            first_seq,
            previous: None,
            events,
            simulated: false,
            sealed: START,
            ahead: false,
        },
        hash: BatchHash([0; 32]),
        seal: None,
        bytes: 0,
        known: Default::default(),
    })
}
