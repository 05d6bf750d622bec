//! Builds the agent, runs it, and stops it in order: sources, spool, shipper.

use std::{
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use rand::Rng;
use tokio::{
    runtime::Handle,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use vonggac_daemon::{
    metrics, shutdown,
    tls::{
        listen::{Doors, Security},
        renewals::Renewals,
    },
};
use vonggac_wire::{Lane, Time};

use crate::{
    config::{Config, GRACE},
    enrol::renewal,
    governor::Paces,
    heartbeat::Told,
    intake::{self, Chunks, Intake},
    occurrence::Occurrences,
    ship::{self, Sender, SharedSpool, ShipError, ShipLimits, Shipper, sealing},
    source::{SourceContext, usage::known},
    spool::{Spool, SpoolError},
    vigil::Part,
};

mod clockwork;
mod report;
mod running;
mod supervisor;

use clockwork::{Clockwork, Live};
use report::Report;
use running::RunningSources;

/// How long a refused chunk waits before it is tried again.
const DISK_RETRY: Duration = Duration::from_secs(1);

/// How long spooling waits for a chunk before it says that it still waits.
const CHUNK_WAIT: Duration = Duration::from_secs(1);

/// Bytes of a buffer that the allocator keeps: a batch as it is compressed is among the largest. It keeps up to twice as much for each of
/// its arenas when all is calm again, so this is no larger than it has to be; it learns by itself what is.
const BUFFER_BYTES_KEPT: usize = 1 << 20;

/// The signals that an agent obeys. They are caught before anything else is done: a SIGHUP that comes while the configuration is
/// read or the spool is opened has it read once more, instead of ending the agent.
pub struct Signals {
    stop: CancellationToken,
    hangup: Signal,
}

impl Signals {
    /// Catches them.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn caught() -> anyhow::Result<Self> {
        let hangup = signal(SignalKind::hangup()).context("failed to catch SIGHUP")?;
        let stop = shutdown::on_signal().context("failed to catch signals")?;
        Ok(Self { stop, hangup })
    }
}

/// Runs the agent until it is told to stop. At a SIGHUP `file` is read again.
///
/// # Errors
/// If the spool cannot be opened, or an address cannot be bound.
pub async fn run(config: Config, file: PathBuf, signals: Signals) -> anyhow::Result<()> {
    widen_open_files();
    keep_buffers();
    let Signals { stop, mut hangup } = signals;
    let occurrences = Occurrences::new().context("failed to make metrics")?;
    let Some(spool) = open_when_writable(&config, &stop).await? else { return Ok(()) };
    let sender = Sender {
        agent: spool.agent().clone(),
        agency: config.agency.clone(),
        host: config.host.clone(),
        boot: rand::rng().random(),
        simulated: false,
    };
    tracing::info!(agent = %sender.agent, agency = %sender.agency, spool = %config.spool_dir.display(), "the agent starts");
    let spool_agent = sender.agent.clone();
    let spool = SharedSpool::new(spool);
    let checkpoints = Arc::new(spool.clone());
    let doors = Doors::open(config.tls.clone(), &occurrences.registry(), "vonggac_agent", &stop)
        .context("failed to")?;
    if let Some(at) = config.metrics {
        metrics::serve(at, &doors, occurrences.registry(), stop.clone()).await.with_context(
            || format!("failed to listen on {} for metrics; is it taken?", at.address),
        )?;
    }

    let (intake, chunks) = intake::queue();
    intake.set_rules(rules(&config)?);
    let held = spool.lock().held(known::STREAM).get(Lane::Usage.index()).copied().unwrap_or(0);
    intake.known().open(&config.spool_dir, held).await;
    let mut running = RunningSources::new(SourceContext {
        intake: intake.clone(),
        checkpoints,
        shutdown: stop.clone(),
        occurrences: occurrences.clone(),
    });
    // Until the first sample, and before the first log is opened.
    occurrences.reading().set(Paces::full(config.ceilings.open_files_max));
    running.apply(&config).await;
    let (live, fresh) = watch::channel(live_of(&config, &running));
    let (ship_limits, fresh_limits) = watch::channel(config.ship.clone());
    let report = Arc::new(Report::new(config.spool_dir.join("status.json")));
    report.sources(running.names());
    let sources_done = CancellationToken::new();
    let spooling = tokio::task::spawn_blocking({
        let (spool, occurrences) = (spool.clone(), occurrences.clone());
        let stop = sources_done.clone();
        move || spool_chunks(&spool, chunks, &occurrences, &stop)
    });
    let clockwork = Clockwork {
        spool: spool.clone(),
        report: Arc::clone(&report),
        occurrences: occurrences.clone(),
        live: fresh,
    };
    let clockwork = tokio::spawn(clockwork.run(stop.clone()));
    let shipping = tokio::spawn(keep_shipping(
        spool.clone(),
        (config.brokers.clone(), doors.security, fresh_limits),
        sender,
        occurrences.clone(),
        sources_done.clone(),
    ));
    let renewing = renewal::run(config.identity_dir.clone(), spool_agent, stop.clone());
    tokio::spawn(renewing);
    supervisor::ready();

    let mut config = config;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            told = hangup.recv() => if told.is_none() { break },
        }
        if let Some(fresh) = reload(&config, &file, &intake, &mut running).await {
            config = fresh;
            report.sources(running.names());
            live.send_replace(live_of(&config, &running));
            ship_limits.send_replace(config.ship.clone());
        }
    }
    supervisor::stopping();
    // The queue ends when the last of its senders goes.
    drop(intake);
    shutdown::drain(GRACE, running.ended()).await;
    drop(running);
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

/// What a reload changes of the clockwork.
fn live_of(config: &Config, running: &RunningSources) -> Live {
    let told = Told {
        interval: config.heartbeat,
        sources: running.count(),
        system: config.system.clone(),
    };
    Live { told, ceilings: config.ceilings }
}

/// What is done with every event.
fn rules(config: &Config) -> anyhow::Result<intake::Rules> {
    let redactor =
        config.redact.redactor(&config.spool_dir).context("failed to make ready for pseudonyms")?;
    Ok(intake::Rules { redactor, usage: config.usage.map.clone() })
}

/// Reads the configuration again. One that is wrong changes nothing.
async fn reload(
    old: &Config,
    file: &Path,
    intake: &Intake,
    running: &mut RunningSources,
) -> Option<Config> {
    supervisor::reloading();
    let fresh = match Config::read(file) {
        Ok(fresh) => match rules(&fresh) {
            Ok(rules) => {
                intake.set_rules(rules);
                Some(fresh)
            }
            Err(error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "the configuration is not taken over"
                );
                None
            }
        },
        Err(error) => {
            tracing::error!(%error, "the configuration is wrong; the agent goes on as before");
            None
        }
    };
    if let Some(fresh) = &fresh {
        let changed = running.apply(fresh).await;
        tracing::info!(?changed, "the configuration was read again");
        for name in old.needs_restart(fresh) {
            tracing::warn!(name, "this setting was changed and takes effect at the next start");
        }
    }
    supervisor::ready();
    fresh
}

/// Lets the agent open as many files as it may: a thousand logs are more than the usual first limit.
fn widen_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::info!(%error, "the limit of open files stays as it is");
    }
}

/// Has glibc's allocator keep what a batch takes, instead of giving it back to the kernel and asking for it again with every batch. It
/// learns that from the largest piece that was released; this one is never touched, and costs nothing.
fn keep_buffers() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(BUFFER_BYTES_KEPT)));
}

/// Opens the spool. A disk that is full or cannot be written is waited for: the agent starts as soon as it can.
async fn open_when_writable(
    config: &Config,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Spool>> {
    let mut failures = 0;
    loop {
        match open_spool(config) {
            Ok(spool) => return Ok(Some(spool)),
            Err(error) if error.downcast_ref().is_some_and(SpoolError::is_full) => {
                tracing::error!(error = format!("{error:#}"), "the agent waits for the disk");
            }
            Err(error) => return Err(error),
        }
        failures += 1;
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(ship::back_off(failures)) => {}
        }
    }
}

fn open_spool(config: &Config) -> anyhow::Result<Spool> {
    let spool = Spool::open(
        &config.spool_dir,
        &config.host,
        config.spool_bytes_max,
        config.fsync,
        Time::now(),
    )
    .context("failed to open the spool")?
    .with_shares(config.shares);
    let recovery = spool.recovery();
    if recovery.damaged_bytes > 0 || recovery.torn_bytes > 0 {
        for damage in &recovery.damages {
            tracing::warn!(%damage, "the spool was damaged");
        }
        tracing::warn!(
            records = recovery.records,
            damaged_bytes = recovery.damaged_bytes,
            torn_bytes = recovery.torn_bytes,
            "the spool is repaired; what could not be read is told as a gap"
        );
    }
    Ok(spool)
}

/// Appends chunks, on a thread of its own: what a source hands over goes from thread to thread once. While the disk refuses, the queue
/// stays full and sources wait.
fn spool_chunks(
    spool: &SharedSpool,
    mut chunks: Chunks,
    occurrences: &Occurrences,
    stop: &CancellationToken,
) {
    let runtime = Handle::current();
    loop {
        occurrences.moves(Part::Spooling, CHUNK_WAIT);
        let received = runtime.block_on(async { timeout(CHUNK_WAIT, chunks.recv_packed()).await });
        let mut chunk = match received {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return,
            Err(_) if stop.is_cancelled() => return,
            Err(_) => continue,
        };
        let (lanes, told) = (chunk.lanes(), chunk.appended.take());
        // One that is refused is kept and tried again.
        let outcome = loop {
            let append = || spool.lock().append_packed(&chunk, Time::now());
            match panic::catch_unwind(AssertUnwindSafe(append)) {
                Ok(Ok(outcome)) => break outcome,
                Ok(Err(error)) => occurrences.spool_refused(&error),
                Err(_) => occurrences.spool_refused(&"appending ended in a panic, told above"),
            }
            occurrences.moves(Part::Spooling, DISK_RETRY);
            let stopped = runtime.block_on(async { timeout(DISK_RETRY, stop.cancelled()).await });
            if stopped.is_ok() {
                return;
            }
        };
        for lane in Lane::ALL {
            occurrences.events_spooled(lane, lanes[lane.index()]);
        }
        occurrences.events_known(outcome.known as u64);
        spool.appended.notify_one();
        if let Some(told) = told {
            let _left = told.send(outcome);
        }
    }
}

/// A token that is cancelled when there is another certificate, or with `stop`.
fn renewal(security: &Security, stop: &CancellationToken) -> CancellationToken {
    let renewed = stop.child_token();
    // Seen from here on: the producer that is made now has what is there now. Lists of what was revoked are nothing to it.
    let mut renewals = Renewals::of(security);
    let seen = renewed.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = seen.cancelled() => {}
            () = renewals.come() => seen.cancel(),
        }
    });
    renewed
}

/// Ships with one producer after another: a broken one is replaced, and one whose certificate was renewed.
async fn keep_shipping(
    spool: SharedSpool,
    (brokers, security, limits): (Vec<String>, Security, watch::Receiver<ShipLimits>),
    sender: Sender,
    occurrences: Occurrences,
    stop: CancellationToken,
) {
    let mut failures = 0;
    loop {
        let renewed = renewal(&security, &stop);
        let _over = renewed.clone().drop_guard();
        let outcome = match ship::producer(&brokers, sender.agent.as_str(), security.files()) {
            Ok(producer) => {
                Shipper::new(spool.clone(), producer, sender.clone(), occurrences.clone())
                    .with_live_limits(limits.clone())
                    .with_sealing(sealing::of(security.files(), &sender))
                    .run(renewed.clone(), GRACE)
                    .await
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) if stop.is_cancelled() => return,
            // What the last one did not bring to its end is sent again, under the same numbers.
            Ok(()) => {
                tracing::info!("certificates were renewed; Kafka is spoken to by the new ones");
                failures = 0;
                continue;
            }
            Err(ShipError::Fatal(text)) => {
                tracing::warn!(text, "the Kafka producer broke; a fresh one is made");
            }
            Err(error) => tracing::error!(%error, "shipping failed"),
        }
        failures += 1;
        let rest = ship::back_off(failures);
        occurrences.moves(Part::Shipping, rest);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(rest) => {}
        }
    }
}
