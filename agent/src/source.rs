//! What the agent reads. Each source is a task that sends chunks into the [`intake`](crate::intake).

use std::{future::Future, pin::Pin, sync::Arc};

use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    intake::{Checkpoints, Closed, Intake},
    occurrence::Occurrences,
};

mod allowance;
#[cfg(test)]
mod collecting;
mod host;
mod integrity;
mod journal;
pub(crate) mod plain_file;
mod probes;
pub(crate) mod proc;
mod program;
mod socket;
pub(crate) mod state;
pub(crate) mod syslog;
pub mod tail;
pub(crate) mod usage;

pub use integrity::trail as integrity_trail;
pub use state::StateKind;
pub use usage::map as usage_map;

/// Why a source ended. The agent starts it again after a while.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Something outside cannot be used.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        source: std::io::Error,
    },
    /// Something outside is not there, and waiting may help.
    #[error("{0}")]
    Missing(String),
}

/// What a source is given.
#[derive(Clone)]
pub struct SourceContext {
    /// Where chunks go.
    pub intake: Intake,
    /// Where to begin.
    pub checkpoints: Arc<dyn Checkpoints>,
    /// When to stop.
    pub shutdown: CancellationToken,
    /// What is counted.
    pub occurrences: Occurrences,
}

impl SourceContext {
    /// For threads that may wait: until something is handed over, or the agent stops.
    pub(crate) fn wait_for<T>(
        &self,
        handing_over: impl Future<Output = Result<T, Closed>>,
    ) -> Result<T, Closed> {
        tokio::runtime::Handle::current().block_on(async {
            tokio::select! {
                done = handing_over => done,
                () = self.shutdown.cancelled() => Err(Closed),
            }
        })
    }
}

/// A source's work.
pub type Running = Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>>;

/// Something that is read.
pub trait Source: Send + Sync {
    /// Its name for the log.
    fn name(&self) -> String;
    /// All that it was told, as a text: a reload leaves it alone as long as this is the same.
    fn settings(&self) -> String {
        self.name()
    }
    /// Reads until told to stop.
    fn run(&self, context: SourceContext) -> Running;
}

/// The sources that the configuration asks for.
#[must_use]
pub fn build(config: &Config) -> Vec<Box<dyn Source>> {
    let mut sources: Vec<Box<dyn Source>> = Vec::new();
    for tail in &config.tails {
        sources.push(Box::new(tail::Tail::new(tail.clone())));
    }
    if config.journal.enabled {
        sources.push(Box::new(journal::Journal::new(config.journal.clone())));
    }
    if config.host_figures.enabled {
        sources.push(Box::new(host::Host::new(config.host_figures.interval)));
    }
    if !config.probes.is_empty() {
        sources.push(Box::new(probes::Probes::new(config.probes.clone())));
    }
    for syslog in &config.syslogs {
        sources.push(Box::new(syslog::Syslog::new(syslog.clone())));
    }
    if let Some(socket) = &config.usage_socket {
        sources.push(Box::new(socket::UsageSocket::new(socket.clone())));
    }
    if let Some(http) = &config.usage.http {
        sources.push(Box::new(usage::http::UsageHttp::new(http.clone())));
    }
    for drop in &config.usage.drops {
        sources.push(Box::new(usage::drop::UsageDrop::new(drop.clone())));
    }
    if let Some(integrity) = &config.integrity {
        sources.push(Box::new(integrity::Integrity::new(integrity.clone(), &config.spool_dir)));
    }
    if let Some(state) = &config.state {
        sources.push(Box::new(state::State::new(state.clone(), &config.spool_dir)));
    }
    sources
}
