//! A spool on a stick: export, verify, import, settle.
//!
//! What was exported stays in the spool. If the link comes back first, the agent sends it itself and the file is superfluous; if the file is
//! imported first, the agent sends it again and the centre knows it. `settle` frees the place, and only by a receipt of the import: the
//! centre takes a lane's numbers for known up to where its order has come, so nothing may be let go of that could still be overtaken. What
//! went ahead of a backlog is on Kafka and is not exported; the file goes in the lane's order around it.

use std::{
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use rand::Rng;
use vonggac_daemon::exit::Exit;
use vonggac_wire::{Batch, Lane, Time, limits::BATCH_EVENTS_MAX};

use super::{DIR, lane_of, open, say, say_json};
use crate::{
    config::Config,
    ship::{self, Sender, carried, sealing},
    spool::{
        Spool,
        sealed::{self, Contents, Head, Range, Writer},
    },
};

/// Bytes of encoded events at which a batch is cut: below the wire's limit.
const BATCH_BYTES_CUT: usize = 512 * 1024;

/// What to export.
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// The agent's configuration, which names the spool, the agency and the host.
    #[arg(long, default_value = "/etc/vonggac/agent.toml")]
    config: PathBuf,
    /// The file to be made; it must not be there.
    file: PathBuf,
    /// Only these lanes: "security", "uptime", "usage".
    #[arg(long, value_delimiter = ',', value_parser = ["security", "uptime", "usage"])]
    lane: Vec<String>,
    /// "human" or "json".
    #[arg(long, default_value = "human", value_parser = ["human", "json"])]
    format: String,
}

/// What to import.
#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// The sealed file. A receipt is written beside it.
    file: PathBuf,
    /// Kafka's addresses, with commas.
    #[arg(long, value_delimiter = ',', required_unless_present = "config")]
    brokers: Vec<String>,
    /// The configuration of an agent of this host, whose Kafka is used.
    #[arg(long)]
    config: Option<PathBuf>,
    /// "human" or "json".
    #[arg(long, default_value = "human", value_parser = ["human", "json"])]
    format: String,
}

/// What to verify.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// The sealed file.
    file: PathBuf,
    /// "human" or "json".
    #[arg(long, default_value = "human", value_parser = ["human", "json"])]
    format: String,
}

/// What to let go of.
#[derive(Debug, clap::Args)]
pub(super) struct Settle {
    /// The receipt that `import` wrote.
    receipt: PathBuf,
    /// The spool folder.
    #[arg(long, default_value = DIR)]
    dir: PathBuf,
    /// Yes, what was imported may go.
    #[arg(long)]
    yes: bool,
}

pub(super) fn export(arguments: &Export) -> anyhow::Result<Exit> {
    let config = Config::read(&arguments.config)
        .with_context(|| format!("read {}", arguments.config.display()))?;
    ensure!(
        !arguments.file.exists(),
        "make {}: it is there already; name another file",
        arguments.file.display()
    );
    let mut spool = open(&config.spool_dir)?;
    let lanes: Vec<Lane> = if arguments.lane.is_empty() {
        Lane::ALL.to_vec()
    } else {
        arguments.lane.iter().filter_map(|name| lane_of(name)).collect()
    };
    let now = Time::now();
    let lanes: Vec<(Lane, Range)> = lanes
        .into_iter()
        .map(|lane| (lane, spool.figures(lane, now)))
        .filter(|(_, figures)| figures.acknowledged + 1 < figures.next_seq)
        .map(|(lane, figures)| {
            let (first_seq, last_seq) = (figures.acknowledged + 1, figures.next_seq - 1);
            (lane, Range { lane: lane.name().into(), first_seq, last_seq })
        })
        .collect();
    let head = Head {
        agent: spool.agent().to_string(),
        agency: config.agency.to_string(),
        host: config.host.clone(),
        made: now.to_string(),
        lanes: lanes.iter().map(|(_, range)| range.clone()).collect(),
    };
    let lanes: Vec<Lane> = lanes.into_iter().map(|(lane, _)| lane).collect();
    // Only a whole file has the name that was asked for.
    let part = with_ending(&arguments.file, "part");
    write(&part, &head, &lanes, &config, &mut spool)
        .with_context(|| format!("write {}", part.display()))?;
    let contents = sealed::verify(BufReader::new(File::open(&part)?))?;
    fs::rename(&part, &arguments.file)
        .with_context(|| format!("make {}", arguments.file.display()))?;
    tell(&contents, &arguments.format)
}

fn write(
    part: &Path,
    head: &Head,
    lanes: &[Lane],
    config: &Config,
    spool: &mut Spool,
) -> anyhow::Result<()> {
    let mut writer = Writer::new(std::io::BufWriter::new(File::create(part)?), head)?;
    let boot = rand::rng().random();
    let sender = Sender {
        agent: spool.agent().clone(),
        agency: config.agency.clone(),
        host: config.host.clone(),
        boot,
        simulated: false,
    };
    let mut sealing = sealing::of(config.tls.as_ref(), &sender);
    for lane in lanes.iter().copied() {
        spool.rewind(lane);
        let mut previous = None;
        while let Some(pending) = spool.next(lane, BATCH_EVENTS_MAX, BATCH_BYTES_CUT)? {
            let batch = Batch {
                agent: spool.agent().clone(),
                agency: config.agency.clone(),
                host: config.host.clone(),
                boot,
                lane,
                first_seq: pending.first_seq,
                previous,
                events: pending.events,
                simulated: false,
                sealed: Time::now(),
                ahead: false,
            };
            let mut sealed = batch.seal();
            if let Some(seal) = sealing.as_mut().and_then(|sealing| sealing.sign(&sealed.hash)) {
                sealed.add(&seal);
            }
            previous = Some(sealed.hash);
            writer.add(lane, &sealed.value)?;
        }
    }
    let file = writer.finish()?.into_inner()?;
    Ok(file.sync_all()?)
}

pub(super) fn verify(arguments: &Verify) -> anyhow::Result<Exit> {
    tell(&verified(&arguments.file)?, &arguments.format)
}

fn verified(file: &Path) -> anyhow::Result<Contents> {
    let input = File::open(file).with_context(|| format!("open {}", file.display()))?;
    Ok(sealed::verify(BufReader::new(input))?)
}

pub(super) fn import(arguments: &Import) -> anyhow::Result<Exit> {
    let config = match &arguments.config {
        Some(path) => Some(Config::read(path).with_context(|| format!("read {}", path.display()))?),
        None => None,
    };
    let tls = config.as_ref().and_then(|config| config.tls.clone());
    let brokers = match config {
        Some(config) if arguments.brokers.is_empty() => config.brokers,
        _ => arguments.brokers.clone(),
    };
    // Nothing is sent of a file that is not whole.
    let contents = verified(&arguments.file)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sent = runtime.block_on(async {
        let producer =
            ship::producer(&brokers, &format!("import-{}", contents.head.agent), tls.as_ref())?;
        carried::bring(&producer, &arguments.file).await
    })?;
    ensure!(sent == contents, "trust {}: it changed while it was read", arguments.file.display());
    let receipt = with_ending(&arguments.file, "receipt");
    fs::write(&receipt, serde_json::to_vec_pretty(&contents)?)
        .with_context(|| format!("write the receipt {}", receipt.display()))?;
    tell(&contents, &arguments.format)
}

pub(super) fn settle(arguments: &Settle) -> anyhow::Result<Exit> {
    let text = fs::read(&arguments.receipt)
        .with_context(|| format!("read {}", arguments.receipt.display()))?;
    let receipt: Contents = serde_json::from_slice(&text)
        .with_context(|| format!("understand {}", arguments.receipt.display()))?;
    let mut spool = open(&arguments.dir)?;
    ensure!(
        receipt.head.agent == spool.agent().as_str(),
        "settle: the receipt is of the agent {}, the spool of {}",
        receipt.head.agent,
        spool.agent()
    );
    let now = Time::now();
    let mut done = Vec::new();
    for range in &receipt.head.lanes {
        let Some(lane) = lane_of(&range.lane) else { continue };
        let figures = spool.figures(lane, now);
        ensure!(
            range.first_seq <= figures.acknowledged + 1 && range.last_seq < figures.next_seq,
            "settle: the receipt's numbers of the {} lane are not the next of this spool",
            lane.name()
        );
        done.push((lane, range.last_seq));
    }
    ensure!(
        arguments.yes,
        "settle without --yes: say it if the file was imported where the receipt was written"
    );
    for (lane, last_seq) in done {
        spool.acknowledge(lane, last_seq)?;
        say(&format!("{:<9} delivered up to {last_seq}", lane.name()));
    }
    spool.save()?;
    Ok(Exit::Success)
}

fn tell(contents: &Contents, format: &str) -> anyhow::Result<Exit> {
    if format == "json" {
        say_json(contents)?;
        return Ok(Exit::Success);
    }
    let head = &contents.head;
    say(&format!("agent {} of {}, made {}", head.agent, head.agency, head.made));
    for range in &head.lanes {
        say(&format!("{:<9} {} to {}", range.lane, range.first_seq, range.last_seq));
    }
    say(&format!(
        "{} events in {} batches, seal {}",
        contents.events, contents.batches, contents.seal
    ));
    Ok(Exit::Success)
}

fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}
