//! The edge: spools of all agents, one producer, a clock.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Parser;
use rand::Rng;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use vonggac_agent::{
    config::Fsync,
    heartbeat::{Pulse, Told},
    intake::Entry,
    occurrence::Occurrences,
    ship::{self, Sender, SharedSpool, Shipper},
    spool::Spool,
};
use vonggac_daemon::{
    exit::Exit,
    log, metrics, shutdown,
    tls::{Files, listen::Doors},
};
use vonggac_wire::{Time, id::SIMULATED_PREFIX};

use crate::{
    cast::{self, Player},
    play::Play,
    scenario::{MORNING, Scenario},
};

/// Between heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Bytes of one agent's spool.
const SPOOL_BYTES_MAX: u64 = 8 << 20;

/// Plays a simulated nation.
#[derive(Debug, Parser)]
#[command(name = "vonggac-nation", version)]
pub struct Arguments {
    /// Kafka's address.
    #[arg(long)]
    brokers: String,
    /// A folder with an issued set of certificates for Kafka; without it plain text is spoken.
    #[arg(long)]
    certificates: Option<PathBuf>,
    /// Where spools and the timeline are kept.
    #[arg(long)]
    data: PathBuf,
    /// Where /metrics listens.
    #[arg(long)]
    metrics: Option<SocketAddr>,
    /// The chance.
    #[arg(long, default_value_t = 2026)]
    seed: u64,
    /// A scenario file; without it the morning of this build.
    #[arg(long)]
    scenario: Option<PathBuf>,
    /// Seconds that every trouble begins earlier.
    #[arg(long, env = "VONGGAC_NATION_EARLIER", default_value_t = 0)]
    earlier: u64,
}

/// Plays until told to stop.
#[must_use]
pub fn run(arguments: &Arguments) -> Exit {
    log::start();
    let earlier = Duration::from_secs(arguments.earlier);
    let text = match &arguments.scenario {
        Some(path) => match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                return complain(
                    &format!("failed to read {}: {error}", path.display()),
                    Exit::Configuration,
                );
            }
        },
        None => MORNING.to_owned(),
    };
    let file = arguments.scenario.clone().unwrap_or_else(|| PathBuf::from("morning.toml"));
    let scenario = match Scenario::parse(&file, &text, earlier) {
        Ok(scenario) => scenario,
        Err(error) => return complain(&error.to_string(), Exit::Configuration),
    };
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return complain(&format!("failed to start: {error}"), Exit::Failure),
        };
    match runtime.block_on(play(arguments, scenario)) {
        Ok(()) => Exit::Success,
        Err(error) => complain(&format!("{error:#}"), Exit::Failure),
    }
}

#[expect(clippy::print_stderr, reason = "the one place where commands complain")]
fn complain(text: &str, exit: Exit) -> Exit {
    eprintln!("{text}");
    exit
}

/// One agent with its own spool.
struct Actor {
    player: Player,
    spool: SharedSpool,
    pulse: Pulse,
}

async fn play(arguments: &Arguments, scenario: Scenario) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let occurrences = Occurrences::new()?;
    let tls = arguments.certificates.as_deref().map(Files::of_set);
    let doors = Doors::open(tls.clone(), &occurrences.registry(), "vonggac_nation", &stop)?;
    if let Some(address) = arguments.metrics {
        let at = metrics::At::plain(address);
        metrics::serve(at, &doors, occurrences.registry(), stop.clone()).await?;
    }
    let begun = Time::now();
    tell(arguments, &scenario, begun)?;
    let producer =
        ship::producer(std::slice::from_ref(&arguments.brokers), "vonggac-nation", tls.as_ref())?;
    let tasks = TaskTracker::new();
    let shipped = CancellationToken::new();
    let mut actors = Vec::new();
    for player in cast::players()? {
        // Not "spool": there lie those of players who had no names of their own yet.
        let dir = arguments
            .data
            .join("players")
            .join(format!("{}-{}-{}", player.agency, player.system, player.host));
        let name = format!("{SIMULATED_PREFIX}{}-{}", player.agency, player.host);
        // A simulated spool need not outlive a power cut.
        let fsync = Fsync::Interval(Duration::from_secs(60));
        let spool = SharedSpool::new(Spool::open(&dir, &name, SPOOL_BYTES_MAX, fsync, begun)?);
        let sender = Sender {
            agent: spool.lock().agent().clone(),
            agency: player.agency.clone(),
            host: player.host.clone(),
            boot: rand::rng().random(),
            simulated: true,
        };
        let shipper = Shipper::new(spool.clone(), producer.clone(), sender, occurrences.clone());
        let shipped = shipped.clone();
        tasks.spawn(async move {
            if let Err(error) = shipper.run(shipped, Duration::from_secs(3)).await {
                tracing::error!(%error, "an agent stopped shipping");
            }
        });
        let told = Told { interval: HEARTBEAT, sources: 4, system: player.system.to_owned() };
        let pulse = Pulse::new(told);
        actors.push(Actor { player, spool, pulse });
    }
    tracing::info!(agents = actors.len(), "the nation plays");
    let play = Play { scenario, seed: arguments.seed };
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let start = Instant::now();
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => second(&play, &actors, start.elapsed().as_secs(), &occurrences),
        }
    }
    tasks.close();
    shipped.cancel();
    shutdown::drain(Duration::from_secs(6), tasks.wait()).await;
    Ok(())
}

/// One second of all agents.
fn second(play: &Play, actors: &[Actor], second: u64, occurrences: &Occurrences) {
    let now = Time::now();
    for Actor { player, spool, pulse } in actors {
        let mut events = play.events(player, second, now);
        let beats =
            (second + player.number as u64).is_multiple_of(HEARTBEAT.as_secs()) || second == 0;
        let mut locked = spool.lock();
        if beats && !play.is_silent(player, second) {
            events.push(pulse.beat(&locked, occurrences, now).with_system(player.system));
        }
        if events.is_empty() {
            continue;
        }
        let entries = events.into_iter().map(|event| Entry { event, position: None }).collect();
        if let Err(error) = locked.append(entries, &[], now) {
            occurrences.spool_refused(&error);
        }
        drop(locked);
        spool.appended.notify_one();
    }
}

/// Writes when each trouble begins, so that its finding can be measured.
fn tell(arguments: &Arguments, scenario: &Scenario, begun: Time) -> anyhow::Result<()> {
    fs::create_dir_all(&arguments.data)?;
    let troubles: Vec<String> = scenario
        .troubles()
        .into_iter()
        .map(|(rule, agency, begins)| {
            let at = begun.plus(begins);
            tracing::info!(rule, agency, %at, "a trouble will begin");
            format!("{{\"rule\":\"{rule}\",\"agency\":\"{agency}\",\"at\":\"{at}\"}}")
        })
        .collect();
    fs::write(arguments.data.join("timeline.json"), format!("[{}]\n", troubles.join(",")))?;
    Ok(())
}
