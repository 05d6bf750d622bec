//! Builds the collector, runs it, and stops it in order.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use vonggac_daemon::{
    metrics, shutdown,
    tls::{
        listen::{Doors, Security},
        renewals::Renewals,
    },
};
use vonggac_wire::{Time, topic};

use crate::{
    book_runner::{self, BookHandle, BookRunner},
    canary::{self, heartbeat},
    config::Config,
    detect::sigma::Matcher,
    figures::{Figures, keeping::Kept, notify::Notifications},
    health::{self, Nation},
    kafka::Producer,
    keeper,
    lag::probe,
    notify,
    pipeline::{self, Pipeline},
    quiet::known::Known,
    record::Record,
    registry::Registry,
    rule::{self, RuleSet, reload::Ruling},
    serve,
    store::{Store, migrate},
    threat::{ThreatList, backward, reload},
    topics,
    trust::{
        audit,
        authority::Authority,
        break_glass,
        denial::Denials,
        door::Door,
        enrol::{
            self,
            guessing::{self, Guessing},
        },
        receipt,
        role::watch::Roles,
    },
};

/// Records that may wait for the national picture: of a thousand events each, some megabytes as they are in memory.
const PICTURE_WAITING_MAX: usize = 32;

/// How long Kafka and the engine may take to come up.
const START_RETRY: Duration = Duration::from_millis(500);

/// How long a stopping collector may finish its block.
const GRACE: Duration = Duration::from_secs(10);

/// Runs the collector until it is told to stop.
///
/// # Errors
/// If it cannot start, or a part of it ends.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let stop = shutdown::on_signal().context("failed to catch signals")?;
    let figures = Figures::new().context("failed to make metrics")?;
    let registry = Arc::new(Registry::builtin().context("failed to read the registry")?);
    let ruling = ruling(&config, &figures, &stop)?;
    let rules = ruling.rules();
    let doors = doors(&config, &figures, &stop).await?;
    let (guessing, guessed) = Guessing::new();
    let store = Store::new(&config);
    trust(&config, (&figures, guessing, &store), &stop).await?;
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        started = start(&config, &store) => started?,
    }
    started(&config, &rules, &figures);
    let ground = Ground::of(&config, store, (&registry, &ruling, &figures), &doors)?;
    ground.producer.keep_renewed(config.clone(), ground.renewals.clone(), stop.clone());
    let told = (Arc::clone(&registry), Arc::clone(&rules));
    tokio::spawn(guessing::run(guessed, told, ground.producer.clone(), stop.clone()));
    ground.watch_the_way(&stop);

    let opened = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        opened = BookRunner::open(ground.book()) => opened,
    };
    let (runner, book) = opened.context("failed to open the incident book")?;
    ground.notify(&runner, &book, &stop)?;
    ground.search_backwards(&runner, &stop);
    let store = &ground.store;
    let nation = known(store, &runner, &registry, &rules).await?;
    let (picture, records) = mpsc::channel(PICTURE_WAITING_MAX);
    let nation = health::spawn(
        (nation, ruling.clone()),
        records,
        book.changes(),
        figures.clone(),
        (store.clone(), ground.quiet.clone()),
        stop.clone(),
    );
    let kept = Kept::new(&figures.registry()).context("failed to make metrics")?;
    keeper::spawn(store.clone(), config.keeping.clone(), kept, stop.clone());
    tokio::spawn(topics::keep(config.clone(), stop.clone()));
    let chain = Pipeline::new(ground.chain(picture, &doors), &stop)?;
    let Ground { store, quiet, .. } = ground;
    let receipts = receipts(&config, &store, &stop)?;
    let denials = Denials::new(&figures.registry()).context("failed to make metrics")?;
    let (audit, written) = audit::log::spawn(&config, store.clone(), stop.clone());
    let served = serve::spawn(
        config.grpc,
        &doors,
        serve::Parts {
            store,
            registry,
            rules: ruling,
            figures,
            book,
            nation,
            allowances: config.queries,
            door: door(&config, &stop)?,
            audit,
            receipts,
            denials,
            break_glass: config.trust.break_glass.clone(),
            quiet,
            detection: chain.detection(),
            partitions: config.partitions,
        },
        stop.clone(),
    )
    .await
    .with_context(|| format!("failed to listen on {} for consoles; is it taken?", config.grpc))?;
    tracing::info!(grpc = %served, "the collector runs");

    let mut chain = tokio::spawn(chain.run(stop.clone()));
    let mut book = tokio::spawn(runner.run(stop.clone()));
    tokio::select! {
        ended = &mut chain => ended.context("failed to go on")?.context("failed to")?,
        ended = &mut book => ended.context("failed to go on")?.context("failed to")?,
        () = stop.cancelled() => {
            shutdown::drain(GRACE, async { let _ended = (chain.await, book.await, written.await); }).await;
        }
    }
    tracing::info!("the collector stopped");
    Ok(())
}

/// The rules compiled, and the threat lists; both are read again when they change.
fn ruling(config: &Config, figures: &Figures, stop: &CancellationToken) -> anyhow::Result<Ruling> {
    let ((rules, refused), threats) = (rules(config)?, threats(config)?);
    let matcher = Matcher::new(&rules).context("failed to compile the rules")?;
    let threats = reload::Threats::of(Arc::new(threats), Time::now());
    let matcher = Arc::new(matcher.with_threats(threats));
    if let Some(folder) = config.threats_dir.clone() {
        tokio::spawn(reload::run(folder, matcher.threats(), figures.clone(), stop.clone()));
    }
    let ruling = Ruling::of(Arc::new(rules), refused, matcher, Time::now());
    if let Some(folder) = config.rules_dir.clone() {
        tokio::spawn(rule::reload::run(folder, ruling.clone(), figures.clone(), stop.clone()));
    }
    Ok(ruling)
}

/// What guards every port, and the first of them.
async fn doors(
    config: &Config,
    figures: &Figures,
    stop: &CancellationToken,
) -> anyhow::Result<Doors> {
    let doors = Doors::open(config.tls.clone(), &figures.registry(), "vonggac_collector", stop)
        .context("failed to")?;
    if let Some(at) = config.metrics {
        metrics::serve(at, &doors, figures.registry(), stop.clone()).await.with_context(|| {
            format!("failed to listen on {} for metrics; is it taken?", at.address)
        })?;
    }
    Ok(doors)
}

/// Who signs receipts, and makes them each hour; `None`: nobody does.
fn receipts(
    config: &Config,
    store: &Store,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Arc<vonggac_wire::Signer>>> {
    let Some(path) = &config.trust.receipt_key else { return Ok(None) };
    let signer = receipt::key::open(path).context("failed to")?;
    receipt::maker::spawn(config, store.clone(), Arc::clone(&signer), stop.clone());
    Ok(Some(signer))
}

/// What most parts stand on.
struct Ground {
    config: Config,
    store: Store,
    registry: Arc<Registry>,
    /// Those of the start: what the program tells of itself.
    rules: Arc<RuleSet>,
    ruling: Ruling,
    figures: Figures,
    producer: Producer,
    renewals: Renewals,
    quiet: Known,
}

impl Ground {
    fn of(
        config: &Config,
        store: Store,
        (registry, ruling, figures): (&Arc<Registry>, &Ruling, &Figures),
        doors: &Doors,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            config: config.clone(),
            registry: Arc::clone(registry),
            rules: ruling.rules(),
            ruling: ruling.clone(),
            figures: figures.clone(),
            producer: Producer::new(config).context("failed to make a Kafka producer")?,
            renewals: Renewals::of(&doors.security),
            quiet: Known::new(store.clone()),
            store,
        })
    }

    fn book(&self) -> book_runner::Parts {
        book_runner::Parts {
            config: self.config.clone(),
            store: self.store.clone(),
            registry: Arc::clone(&self.registry),
            rules: self.ruling.clone(),
            figures: self.figures.clone(),
            producer: self.producer.clone(),
            renewals: self.renewals.clone(),
            quiet: self.quiet.clone(),
        }
    }

    fn chain(&self, picture: mpsc::Sender<Arc<Record>>, doors: &Doors) -> pipeline::Parts {
        pipeline::Parts {
            config: self.config.clone(),
            store: self.store.clone(),
            registry: Arc::clone(&self.registry),
            rules: Arc::clone(&self.rules),
            ruling: self.ruling.clone(),
            figures: self.figures.clone(),
            producer: self.producer.clone(),
            picture,
            renewals: self.renewals.clone(),
            tls: match &doors.security {
                Security::Tls(current) => Some(current.clone()),
                Security::PlainText => None,
            },
        }
    }

    /// Word of incidents to people, if the settings want it.
    fn notify(
        &self,
        runner: &BookRunner,
        book: &BookHandle,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let Some(settings) = &self.config.notify else { return Ok(()) };
        let figures = Notifications::new(&self.figures.registry(), &settings.channels)
            .context("failed to make metrics")?;
        let parts = notify::runner::Parts {
            settings: Arc::clone(settings),
            store: self.store.clone(),
            registry: Arc::clone(&self.registry),
            leads: runner.leads(),
            book: book.clone(),
            figures,
        };
        tokio::spawn(notify::runner::run(parts, stop.clone()));
        Ok(())
    }

    /// Stored events are searched for what threat lists name.
    fn search_backwards(&self, runner: &BookRunner, stop: &CancellationToken) {
        if self.config.threats_dir.is_none() {
            return;
        }
        let parts = backward::run::Parts {
            threats: self.ruling.detects(Time::now()).matcher.threats(),
            store: self.store.clone(),
            rules: Arc::clone(&self.rules),
            producer: self.producer.clone(),
            leads: runner.leads(),
            figures: self.figures.clone(),
        };
        tokio::spawn(backward::run::run(parts, stop.clone()));
    }

    /// Canaries, the sign of life that hangs on them, quiet periods, and word to agencies of what was opened.
    fn watch_the_way(&self, stop: &CancellationToken) {
        tokio::spawn(self.quiet.clone().keep(stop.clone()));
        let age = canary::Age::default();
        let parts = canary::Parts {
            partitions: self.config.partitions,
            interval: self.config.canary_interval,
            store: self.store.clone(),
            registry: Arc::clone(&self.registry),
            rules: Arc::clone(&self.rules),
            figures: self.figures.clone(),
            producer: self.producer.clone(),
        };
        tokio::spawn(canary::run(parts, age.clone(), stop.clone()));
        let telling = break_glass::tell::Parts {
            store: self.store.clone(),
            registry: Arc::clone(&self.registry),
            rules: Arc::clone(&self.rules),
            producer: self.producer.clone(),
        };
        tokio::spawn(break_glass::tell::run(telling, stop.clone()));
        let parts = probe::Parts {
            config: self.config.clone(),
            store: self.store.clone(),
            registry: Arc::clone(&self.registry),
            figures: self.figures.clone(),
            renewals: self.renewals.clone(),
        };
        tokio::spawn(probe::run(parts, stop.clone()));
        let (config, store) = (self.config.clone(), self.store.clone());
        tokio::spawn(audit::detection::run(config, store.clone(), stop.clone()));
        // Whether there is an authority was asked when enrolment began.
        let authority = self.config.trust.pki.dir.as_ref().map(|dir| Authority::open(dir));
        if let Some(Ok(authority)) = authority {
            tokio::spawn(audit::ledger::run(store, authority, stop.clone()));
        }
        if let Some(settings) = self.config.heartbeat.clone() {
            tokio::spawn(heartbeat::run(settings, age, self.figures.clone(), stop.clone()));
        }
    }
}

/// What there is to be done, for the figures.
fn started(config: &Config, rules: &RuleSet, figures: &Figures) {
    let topics = u32::try_from(topic::EVENTS.len()).unwrap_or(u32::MAX);
    figures.started(
        u32::try_from(config.partitions).unwrap_or(0) * topics,
        u32::try_from(rules.rules().len()).unwrap_or(u32::MAX),
    );
}

/// The nation as the store knows it.
async fn known(
    store: &Store,
    runner: &BookRunner,
    registry: &Arc<Registry>,
    rules: &Arc<RuleSet>,
) -> anyhow::Result<Nation> {
    let mut nation = Nation::new(Arc::clone(registry), Arc::clone(rules));
    for agent in store.agents().await.context("failed to ask for known agents")? {
        nation.know_agent(&agent);
    }
    for incident in runner.incidents() {
        nation.apply_incident(incident);
    }
    Ok(nation)
}

/// Who may come in.
fn door(config: &Config, stop: &CancellationToken) -> anyhow::Result<Door> {
    let roles = Roles::open(config.trust.roles.clone(), stop.clone())
        .context("failed to read the roles")?;
    Ok(Door::new(roles))
}

/// The collector's own certificate; enrolment and revocation lists, on the machine that has the authority. They wait for neither Kafka nor engine.
async fn trust(
    config: &Config,
    (figures, guessing, store): (&Figures, Guessing, &Store),
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    // Where it was enrolled by a token; elsewhere there is nothing to renew.
    if let Some(set) = config.tls.as_ref().and_then(|files| files.certificate.parent()) {
        let (renewed, stop) = (vonggac_enrol::renewal::run(set.to_owned()), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = renewed => {}
            }
        });
    }
    let settings = config.trust.clone();
    let counted = enrol::Figures::new(&figures.registry()).context("failed to make metrics")?;
    let Some(dir) = settings.pki.dir else { return Ok(()) };
    let parts = enrol::Parts {
        dir,
        lifetimes: settings.pki.lifetimes,
        settings: settings.enrol,
        brokers: config.brokers.clone(),
        figures: counted,
        guessing,
        receipts: config.trust.receipt_key.is_some().then(|| store.clone()),
    };
    enrol::spawn(parts, stop.clone()).await.context("failed to")?;
    Ok(())
}

/// Our own rules and those of the configured folder, and why some of these were left out.
fn rules(config: &Config) -> anyhow::Result<(RuleSet, Vec<String>)> {
    let (rules, refused) =
        rule::reload::read(config.rules_dir.as_deref()).context("failed to read the rules")?;
    let mut told = Vec::new();
    for refused in refused {
        tracing::error!(error = %refused, "a rule was left out");
        told.push(refused.to_string());
    }
    for rule in rules.rules().iter().filter(|rule| rule.correlation.is_some()) {
        if rule.meta.window() > config.replay {
            tracing::warn!(
                rule = %rule.meta.rule,
                "a correlation counts over a longer time than is read again after a restart, and begins anew then; raise detection.replay"
            );
        }
    }
    Ok((rules, told))
}

/// The threat lists of the configured folder.
fn threats(config: &Config) -> anyhow::Result<ThreatList> {
    let Some(folder) = &config.threats_dir else { return Ok(ThreatList::default()) };
    let (list, wrong) =
        ThreatList::read_folder(folder).context("failed to read the threat lists")?;
    for error in wrong {
        tracing::error!(%error, "a threat list, or an entry of it, was left out");
    }
    tracing::info!(entries = list.len(), "threat lists were read");
    Ok(list)
}

/// Waits for engine and Kafka, brings schema and topics up to date.
async fn start(config: &Config, store: &Store) -> anyhow::Result<()> {
    loop {
        match migrate::run(store).await {
            Ok(_) => break,
            Err(error) if error.is_final() => return Err(error).context("failed to"),
            Err(error) => tracing::info!(%error, "waiting for the engine"),
        }
        tokio::time::sleep(START_RETRY).await;
    }
    loop {
        match topics::ensure(config).await {
            Ok(()) => return Ok(()),
            Err(topics::TopicsError::Kafka(error)) => tracing::info!(%error, "waiting for Kafka"),
            Err(error) => return Err(error).context("failed to"),
        }
        tokio::time::sleep(START_RETRY).await;
    }
}
