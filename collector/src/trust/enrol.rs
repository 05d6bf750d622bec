//! Enrolment: a token and a signing request come in over HTTPS, a certificate goes out; and a certificate is turned into the next.
//!
//! [`desk`] decides, [`guard`] (pure) keeps those out who guess, [`guessing`] makes a signal of it, [`late`] lets a certificate that ran out be shown, [`receipts`] gives agents theirs, [`door`] is the listener.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use prometheus::{IntCounterVec, Opts, Registry};
use tokio_util::sync::CancellationToken;
use vonggac_daemon::settings::Table;
use vonggac_wire::{AgentId, Time};

use super::authority::{Authority, AuthorityError, Lifetimes};
use crate::store::Store;

pub mod desk;
pub mod door;
pub mod guard;
pub mod guessing;
pub mod late;
mod receipts;

/// How long behind its end a certificate may still be turned into the next, with an operator's yes.
pub const GRACE: Duration = Duration::from_secs(30 * 86_400);

/// The longest grace: until then the ledger remembers what was revoked.
const GRACE_MAX: Duration = Duration::from_secs(90 * 86_400);

/// How often lists and the listener's own certificate are looked at: a revocation holds here within this time.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The settings of `[trust.enrol]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// Names and addresses by which it is connected to.
    pub names: Vec<String>,
    /// The address that stands in tokens; `None`: the first name with the port.
    pub centre: Option<String>,
    /// Kafka's addresses as those who enrol reach it; empty: those of `[kafka]`.
    pub brokers: Vec<String>,
    /// How long behind its end a certificate may still be turned into the next.
    pub grace: Option<Duration>,
}

impl Settings {
    /// Takes its keys out of `[trust.enrol]`.
    pub fn take(enrol: &mut Table<'_>) -> Self {
        let settings = Self {
            listen: enrol.parsed("listen", "an address like \"0.0.0.0:7444\""),
            names: enrol.texts("names").unwrap_or_default(),
            centre: enrol.text("centre"),
            brokers: enrol.texts("brokers").unwrap_or_default(),
            grace: enrol.duration("grace", Duration::ZERO, GRACE_MAX),
        };
        if settings.listen.is_some() && settings.names.is_empty() {
            enrol.wrong("names", "is missing; wanted are the names and addresses by which agents reach this machine, like [\"centre.example\"]");
        }
        settings
    }

    /// The address that stands in tokens.
    #[must_use]
    pub fn address(&self) -> Option<String> {
        if let Some(centre) = &self.centre {
            return Some(centre.clone());
        }
        let (name, listen) = (self.names.first()?, self.listen?);
        let bare = if name.contains(':') { format!("[{name}]") } else { name.clone() };
        Some(format!("https://{bare}:{}", listen.port()))
    }
}

/// Why there is no enrolment.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// TLS.
    #[error("make ready for TLS: {0}")]
    Tls(String),
    /// The address.
    #[error("listen on {address} for enrolment: {source}; is it taken?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

/// What enrolment counts: `vonggac_collector_enrolments_total` by what came of it.
#[derive(Clone)]
pub struct Figures {
    outcomes: IntCounterVec,
}

impl Figures {
    /// Makes them.
    ///
    /// # Errors
    /// If their names are taken.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = Opts::new(
            "vonggac_collector_enrolments_total",
            "Questions to the enrolment, by what came of them: enrolled, renewed, or why they were refused",
        );
        let outcomes = IntCounterVec::new(opts, &["outcome"])?;
        registry.register(Box::new(outcomes.clone()))?;
        // Those that an alarm is made of are there from the start: a figure that appears with its first event has no rise.
        for outcome in ["enrolled", "renewed", "token", "busy", "handshake", "crowd", "request"] {
            outcomes.with_label_values(&[outcome]);
        }
        Ok(Self { outcomes })
    }

    fn count(&self, outcome: &str) {
        self.outcomes.with_label_values(&[outcome]).inc();
    }
}

/// What enrolment needs of the collector.
pub struct Parts {
    /// The authority's folder.
    pub dir: PathBuf,
    /// How long what it makes is valid.
    pub lifetimes: Lifetimes,
    /// The settings.
    pub settings: Settings,
    /// Kafka's addresses as the collector has them.
    pub brokers: Vec<String>,
    /// What is counted.
    pub figures: Figures,
    /// Who is told of guessed tokens.
    pub guessing: guessing::Guessing,
    /// Where receipts are; `None`: nobody asks for them here.
    pub receipts: Option<Store>,
}

/// Starts enrolment where it is configured, and keeps revocation lists up; gives the address that was bound.
///
/// # Errors
/// If there is no authority, or the address cannot be bound.
pub async fn spawn(
    parts: Parts,
    stop: CancellationToken,
) -> Result<Option<SocketAddr>, EnrolError> {
    let authority = Authority::open(&parts.dir)?.with_lifetimes(parts.lifetimes);
    let Some(listen) = parts.settings.listen else {
        tokio::spawn(keep_lists(authority, None, stop));
        return Ok(None);
    };
    let told = (parts.figures, parts.guessing, parts.receipts);
    let name = AgentId::new("enrolment").map_err(|error| EnrolError::Tls(error.to_string()))?;
    let grace = parts.settings.grace.unwrap_or(GRACE);
    let own = door::Own { authority: authority.clone(), name, names: parts.settings.names, grace };
    let present = Arc::new(door::Present::new(own)?);
    let brokers =
        if parts.settings.brokers.is_empty() { parts.brokers } else { parts.settings.brokers };
    let desk = desk::Desk::new(authority.clone(), brokers);
    let bound = door::open(listen, Arc::clone(&present), desk, told, stop.clone())
        .await
        .map_err(|source| EnrolError::Listen { address: listen, source })?;
    tokio::spawn(keep_lists(authority, Some(present), stop));
    tracing::info!(address = %bound, "enrolment is open");
    Ok(Some(bound))
}

/// Makes revocation lists anew in time, and lets the listener have what changed.
async fn keep_lists(
    authority: Authority,
    present: Option<Arc<door::Present>>,
    stop: CancellationToken,
) {
    loop {
        let (authority, present) = (authority.clone(), present.clone());
        let looked = tokio::task::spawn_blocking(move || {
            match authority.renew_lists_in_time(Time::now()) {
                Ok(true) => tracing::info!("the revocation lists were made anew"),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(%error, "the revocation lists could not be made anew");
                }
            }
            if let Some(Err(error)) = present.map(|present| present.refresh()) {
                tracing::error!(%error, "enrolment goes on with what it had");
            }
        });
        if let Err(error) = looked.await {
            tracing::error!(%error, "looking after the revocation lists ended in a panic");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

#[cfg(test)]
mod tests;
