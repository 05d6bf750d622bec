//! The audit log's edge: a call takes its place before it begins, and what became of it is written when it ends. Where no place is left,
//! because the store takes no rows, nothing is done that could not be written down.

use std::time::{Duration, Instant};

use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use vonggac_daemon::log::Harmless;
use vonggac_wire::Time;

use super::{AuditRow, Deed, Head};
use crate::{
    config::Config,
    store::{Store, StoreError},
};

/// Calls that are under way or wait to be written: some minutes of a busy centre, of some hundred bytes each.
pub const PLACES_MAX: usize = 4_096;

/// Rows of one insert.
const ROWS_MAX: usize = 512;

/// How long rows are gathered for an insert: each is a part of its own in the store.
const GATHER_INTERVAL: Duration = Duration::from_millis(250);

/// How long a refusing store is left alone.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How often the chain's end is told to the log, which lies elsewhere than the store.
const TOLD_INTERVAL: Duration = Duration::from_secs(3_600);

/// How long a stopping collector waits for the last rows to be taken.
const LAST_WITHIN: Duration = Duration::from_secs(5);

/// A chain in the store.
#[derive(Clone)]
pub struct Chain {
    store: Store,
    name: String,
    head: Option<Head>,
    /// What was given to the engine without an answer: the chain's end with it, and how many rows that were.
    tried: Option<(Head, usize)>,
}

impl Chain {
    /// The chain of this name; it goes on where it ends.
    #[must_use]
    pub const fn new(store: Store, name: String) -> Self {
        Self { store, name, head: None, tried: None }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it ends, as far as it is known.
    #[must_use]
    pub const fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Adds rows; where that failed, they come first in the next try. Of two who add to one chain at once the second finds the first's rows in its place, and adds its own behind them.
    ///
    /// # Errors
    /// If the engine does not take them.
    pub async fn append(&mut self, mut deeds: &[Deed]) -> Result<(), StoreError> {
        if let Some((head, rows)) = self.tried.clone() {
            if self.store.audit_hash(&self.name, head.number).await?.as_ref() == Some(&head.hash) {
                // They were taken after all.
                self.store.insert_audit_head(&self.name, &head).await?;
                self.head = Some(head);
                deeds = deeds.get(rows..).unwrap_or_default();
            }
            self.tried = None;
        }
        while !deeds.is_empty() {
            let mut head = match self.head.take() {
                Some(head) => head,
                None => self.store.audit_end(&self.name).await?,
            };
            let first = head.number + 1;
            let mut rows = Vec::with_capacity(deeds.len());
            for deed in deeds {
                let row = AuditRow::after(&self.name, &head, deed.clone());
                head = row.head();
                rows.push(row);
            }
            let token = format!("audit-{}-{first}", self.name);
            self.tried = Some((head.clone(), rows.len()));
            self.store.insert_audit(&rows, &token).await?;
            // The engine takes a token once: what lies there may be another's.
            if self.store.audit_hash(&self.name, head.number).await?.as_ref() == Some(&head.hash) {
                self.store.insert_audit_head(&self.name, &head).await?;
                self.head = Some(head);
                self.tried = None;
                return Ok(());
            }
            self.tried = None;
            tracing::debug!(chain = %self.name, first, "another program wrote to the same chain");
        }
        Ok(())
    }
}

/// The log of this collector, and when it has written its last row.
#[must_use]
pub fn spawn(config: &Config, store: Store, stop: CancellationToken) -> (AuditLog, JoinHandle<()>) {
    let name = format!("{}:{}", crate::store::host(), config.grpc.port());
    AuditLog::spawn(Chain::new(store, name), stop)
}

/// Writes down what a command of the centre's own program did, in the chain of this machine's commands.
///
/// # Errors
/// If the store does not take it.
pub async fn tell(store: &Store, deed: Deed) -> Result<(), StoreError> {
    let name = format!("{}:commands", crate::store::host());
    Chain::new(store.clone(), name).append(&[deed]).await
}

/// The log. Cloning shares it.
#[derive(Clone)]
pub struct AuditLog {
    places: mpsc::Sender<Deed>,
}

impl AuditLog {
    /// Writes to a chain until `stop`, and ends when the last rows are taken.
    #[must_use]
    pub fn spawn(chain: Chain, stop: CancellationToken) -> (Self, JoinHandle<()>) {
        let (places, deeds) = mpsc::channel(PLACES_MAX);
        let written = tokio::spawn(write(chain, deeds, stop));
        (Self { places }, written)
    }

    /// A place for a call that is about to begin.
    ///
    /// # Errors
    /// If there is none.
    pub fn begin(&self, deed: Deed) -> Result<Open, Status> {
        let place = self.places.clone().try_reserve_owned().map_err(|_| {
            Status::unavailable(
                "the store takes no rows of the audit log, and nothing is done that cannot be written down; try again when it does",
            )
        })?;
        Ok(Open { place: Some(place), deed, begun: Instant::now() })
    }
}

/// A call that is under way. Dropped before it ended, its caller left.
#[derive(Debug)]
pub struct Open {
    place: Option<mpsc::OwnedPermit<Deed>>,
    deed: Deed,
    begun: Instant,
}

impl Open {
    /// Words that are known only now, behind the others.
    pub fn add(&mut self, words: &str) {
        self.deed.words.push(' ');
        self.deed.words.push_str(words);
    }

    /// About which agencies it is, where that is known only now.
    pub fn about(&mut self, agencies: &[String]) {
        self.deed.agency = agencies.join(" ");
    }

    /// What became of it.
    pub fn ended(mut self, outcome: &str, rows: u64) {
        self.write(outcome, rows);
    }

    /// As [`Self::ended`], for what cannot give it away; only the first word counts.
    pub fn write(&mut self, outcome: &str, rows: u64) {
        if let Some(place) = self.place.take() {
            let mut deed = std::mem::take(&mut self.deed);
            outcome.clone_into(&mut deed.outcome);
            deed.rows = rows;
            deed.microseconds = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            let _sender = place.send(deed);
        }
    }

    /// A row that says that it began, for what goes on for hours.
    ///
    /// # Errors
    /// If there is no place for it.
    pub fn tell_begun(&self, log: &AuditLog) -> Result<(), Status> {
        log.begin(self.deed.clone())?.ended("begun", 0);
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.write("left", 0);
    }
}

async fn write(mut chain: Chain, mut deeds: mpsc::Receiver<Deed>, stop: CancellationToken) {
    let mut waiting = Vec::with_capacity(ROWS_MAX);
    let mut told = Instant::now();
    loop {
        if waiting.is_empty() {
            tokio::select! {
                () = stop.cancelled() => break,
                taken = deeds.recv_many(&mut waiting, ROWS_MAX) => if taken == 0 { return },
            }
            // Places of rows that are gathered are taken, so the queue stays as long as it is.
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(GATHER_INTERVAL) => {}
            }
            while waiting.len() < ROWS_MAX {
                match deeds.try_recv() {
                    Ok(deed) => waiting.push(deed),
                    Err(_) => break,
                }
            }
        }
        match chain.append(&waiting).await {
            Ok(()) => waiting.clear(),
            Err(error) => {
                // What an engine says may come from rows.
                let error = Harmless(&error.to_string()).to_string();
                tracing::warn!(error, rows = waiting.len(), "the audit log waits for the store");
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(RETRY_INTERVAL) => {}
                }
            }
        }
        if told.elapsed() >= TOLD_INTERVAL {
            told = Instant::now();
            tell_head(&chain);
        }
    }
    deeds.close();
    while let Ok(deed) = deeds.try_recv() {
        waiting.push(deed);
    }
    let last = tokio::time::timeout(LAST_WITHIN, async {
        while let Some(some) = waiting.get(..waiting.len().min(ROWS_MAX)).filter(|s| !s.is_empty())
        {
            chain.append(some).await?;
            waiting.drain(..waiting.len().min(ROWS_MAX));
        }
        Ok::<(), StoreError>(())
    });
    if !matches!(last.await, Ok(Ok(()))) {
        tracing::error!("the last rows of the audit log were not taken by the store");
    }
    tell_head(&chain);
}

fn tell_head(chain: &Chain) {
    if let Some(head) = chain.head() {
        tracing::info!(chain = %chain.name, number = head.number, hash = %head.hash, "the audit log ends here");
    }
}

/// A deed of somebody at the centre's own machine, now.
#[must_use]
pub fn by_command(who: &str, call: &str, words: String) -> Deed {
    Deed {
        time: Time::now().micros(),
        who: who.to_owned(),
        role: "command".into(),
        address: "local".into(),
        call: call.to_owned(),
        words,
        outcome: "ok".into(),
        ..Deed::default()
    }
}
