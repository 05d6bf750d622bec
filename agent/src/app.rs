//! Builds the agent, runs it, and stops it in order: sources, spool, shipper.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use rand::Rng;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use vonggac_daemon::{metrics, shutdown};
use vonggac_wire::{Lane, Time};

use crate::{
    config::{Config, GRACE},
    heartbeat::Pulse,
    intake::{self, Chunk},
    occurrence::Occurrences,
    ship::{self, Sender, SharedSpool, ShipError, Shipper},
    source::{self, Source, SourceContext},
    spool::Spool,
};

/// How often the spool's clockwork is looked at.
const TICK: Duration = Duration::from_millis(100);

/// How long a refused chunk waits before it is tried again.
const DISK_RETRY: Duration = Duration::from_secs(1);

/// How often the status file is written.
const STATUS_INTERVAL: Duration = Duration::from_secs(2);

/// Runs the agent until it is told to stop.
///
/// # Errors
/// If the spool cannot be opened, or an address cannot be bound.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let stop = shutdown::on_signal().context("failed to catch signals")?;
    let occurrences = Occurrences::new().context("failed to make metrics")?;
    let spool = open_spool(&config)?;
    let sender = Sender {
        agent: spool.agent().clone(),
        agency: config.agency.clone(),
        host: config.host.clone(),
        boot: rand::rng().random(),
        simulated: false,
    };
    tracing::info!(agent = %sender.agent, agency = %sender.agency, spool = %config.spool_dir.display(), "the agent starts");
    let spool = SharedSpool::new(spool);
    let checkpoints = Arc::new(spool.clone());
    if let Some(address) = config.metrics {
        metrics::serve(address, occurrences.registry(), stop.clone())
            .await
            .with_context(|| format!("failed to listen on {address} for metrics; is it taken?"))?;
    }

    let sources = source::build(&config);
    let pulse = Pulse::new(config.heartbeat, sources.len());
    let redactor =
        config.redact.redactor(&config.spool_dir).context("failed to make ready for pseudonyms")?;
    let (intake, chunks) = intake::queue();
    let intake =
        intake.with_rules(Arc::new(intake::Rules { redactor, usage: config.usage.map.clone() }));
    let tasks = TaskTracker::new();
    for source in sources {
        let context = SourceContext {
            intake: intake.clone(),
            checkpoints: Arc::clone(&checkpoints) as _,
            shutdown: stop.clone(),
            occurrences: occurrences.clone(),
        };
        tasks.spawn(keep_running(source, context));
    }
    drop(intake);
    let spooling = tokio::spawn(spool_chunks(spool.clone(), chunks, occurrences.clone()));
    let clockwork = tokio::spawn(tick(
        spool.clone(),
        pulse,
        config.heartbeat,
        config.spool_dir.join("status.json"),
        occurrences.clone(),
        stop.clone(),
    ));
    let sources_done = CancellationToken::new();
    let shipping = tokio::spawn(keep_shipping(
        spool.clone(),
        config.brokers.clone(),
        sender,
        occurrences,
        sources_done.clone(),
    ));
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        tracing::debug!(%error, "no systemd to tell that the agent is ready");
    }

    stop.cancelled().await;
    tasks.close();
    shutdown::drain(GRACE, tasks.wait()).await;
    clockwork.abort();
    shutdown::drain(GRACE, async {
        let _ended = spooling.await;
    })
    .await;
    sources_done.cancel();
    shutdown::drain(GRACE * 2, async {
        let _ended = shipping.await;
    })
    .await;
    spool.lock().save().context("failed to save the spool's ledger")?;
    tracing::info!("the agent stopped");
    Ok(())
}

fn open_spool(config: &Config) -> anyhow::Result<Spool> {
    let spool = Spool::open(
        &config.spool_dir,
        &config.host,
        config.spool_bytes_max,
        config.fsync,
        Time::now(),
    )
    .context("failed to open the spool")?;
    let recovery = spool.recovery();
    if recovery.damaged_bytes > 0 || recovery.torn_bytes > 0 {
        tracing::warn!(?recovery, "the spool was damaged; what could not be read is told as a gap");
    }
    Ok(spool)
}

/// Starts a source again when it fails; it never ends the agent.
async fn keep_running(source: Box<dyn Source>, context: SourceContext) {
    let mut failures = 0;
    while !context.shutdown.is_cancelled() {
        match source.run(context.clone()).await {
            Ok(()) => return,
            Err(error) => context.occurrences.source_failed(&source.name(), &error),
        }
        failures += 1;
        tokio::select! {
            () = context.shutdown.cancelled() => return,
            () = tokio::time::sleep(ship::back_off(failures)) => {}
        }
    }
}

/// Appends chunks. While the disk refuses, the queue stays full and sources wait.
async fn spool_chunks(
    spool: SharedSpool,
    mut chunks: mpsc::Receiver<Chunk>,
    occurrences: Occurrences,
) {
    while let Some(Chunk { entries, passed, appended }) = chunks.recv().await {
        let mut lanes = [0_u64; 3];
        for entry in &entries {
            lanes[entry.event.lane().index()] += 1;
        }
        let outcome = loop {
            let (shared, entries, passed) = (spool.clone(), entries.clone(), passed.clone());
            let tried = tokio::task::spawn_blocking(move || {
                shared.lock().append(entries, &passed, Time::now())
            })
            .await;
            match tried {
                Ok(Ok(outcome)) => break outcome,
                Ok(Err(error)) => occurrences.spool_refused(&error),
                Err(error) => occurrences.spool_refused(&error),
            }
            tokio::time::sleep(DISK_RETRY).await;
        };
        for lane in Lane::ALL {
            occurrences.events_spooled(lane, lanes[lane.index()]);
        }
        occurrences.events_known(outcome.known as u64);
        spool.appended.notify_one();
        if let Some(told) = appended {
            let _left = told.send(outcome);
        }
    }
}

/// Heartbeats, fsync by policy, metrics and the status file.
async fn tick(
    spool: SharedSpool,
    pulse: Pulse,
    interval: Duration,
    status: std::path::PathBuf,
    occurrences: Occurrences,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(TICK);
    let (mut beat_at, mut status_at) = (tokio::time::Instant::now(), tokio::time::Instant::now());
    while !stop.is_cancelled() {
        let at = ticks.tick().await;
        let now = Time::now();
        if at >= beat_at {
            beat_at = at + interval;
            let mut locked = spool.lock();
            let event = pulse.beat(&locked, &occurrences, now);
            let entry = intake::Entry { event, position: None };
            if let Err(error) = locked.append(vec![entry], &[], now) {
                occurrences.spool_refused(&error);
            }
            spool.appended.notify_one();
        }
        if let Err(error) = spool.lock().tick(now) {
            occurrences.spool_refused(&error);
        }
        if at >= status_at {
            status_at = at + STATUS_INTERVAL;
            tell(&spool, &occurrences, &status, now);
        }
    }
}

/// Metrics and the file that `vonggac-agent status` reads.
fn tell(spool: &SharedSpool, occurrences: &Occurrences, status: &Path, now: Time) {
    let locked = spool.lock();
    let mut lanes = Vec::new();
    for lane in Lane::ALL {
        let figures = locked.figures(lane, now);
        let waiting = figures.next_seq.saturating_sub(figures.acknowledged + 1);
        occurrences.spool(lane, figures.bytes, waiting, figures.dropped);
        lanes.push(crate::command::status::LaneStatus {
            lane: lane.name().into(),
            next_seq: figures.next_seq,
            acknowledged_seq: figures.acknowledged,
            waiting_events: waiting,
            bytes: figures.bytes,
            dropped_events: figures.dropped,
            oldest_seconds: figures.oldest_seconds,
        });
    }
    let (lines_read, lines_unparsed) = occurrences.lines();
    let (rss_bytes, cpu_seconds) = crate::heartbeat::own_figures();
    let report = crate::command::status::Status {
        agent: locked.agent().to_string(),
        time: now.to_string(),
        pid: std::process::id(),
        lines_read,
        lines_unparsed,
        rss_bytes,
        cpu_seconds,
        lanes,
    };
    drop(locked);
    if let Err(error) = report.write(status) {
        tracing::warn!(%error, "the status file cannot be written");
    }
}

/// Ships with one producer after another: a broken one is replaced.
async fn keep_shipping(
    spool: SharedSpool,
    brokers: Vec<String>,
    sender: Sender,
    occurrences: Occurrences,
    stop: CancellationToken,
) {
    let mut failures = 0;
    loop {
        let outcome = match ship::producer(&brokers, sender.agent.as_str()) {
            Ok(producer) => {
                Shipper::new(spool.clone(), producer, sender.clone(), occurrences.clone())
                    .run(stop.clone(), GRACE)
                    .await
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => return,
            Err(ShipError::Fatal(text)) => {
                tracing::warn!(text, "the Kafka producer broke; a fresh one is made");
            }
            Err(error) => tracing::error!(%error, "shipping failed"),
        }
        failures += 1;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(ship::back_off(failures)) => {}
        }
    }
}
