//! Probes: one run of one, as a [`Check`].

use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use vonggac_wire::{
    Time,
    event::{Check, CheckKind, CheckOutcome},
};

use crate::config::{ProbeConfig, ProbeKind, Trust};

mod greeting;
mod http;
mod local;
mod net;
mod packet;
mod threads;
mod tls;

/// Rest before a probe that failed is tried again.
const RETRY_REST: Duration = Duration::from_millis(500);

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// The target is malformed.
    #[error("{0:?} is no target for this probe")]
    Target(String),
    /// The name is unknown.
    #[error("the name {name} is not resolved: {source}")]
    Name {
        /// The name.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// No connection.
    #[error("no connection: {0}")]
    Connect(std::io::Error),
    /// The connection broke.
    #[error("no answer: {0}")]
    Silent(std::io::Error),
    /// No TLS.
    #[error("no TLS: {0}")]
    Tls(std::io::Error),
    /// No HTTP.
    #[error("no HTTP answer: {0}")]
    Http(#[from] hyper::Error),
    /// The wrong answer.
    #[error("{0}")]
    Answer(String),
    /// It answers, but not well.
    #[error("{0}")]
    Degraded(String),
    /// This agent may not ask: nothing is known.
    #[error("{0}")]
    Unable(String),
}

/// Runs a probe, again if it fails and may, and judges it. `places` bounds how many run at once.
pub async fn run(config: &ProbeConfig, places: &Semaphore) -> Check {
    let mut tries = 0;
    loop {
        tries += 1;
        let place = places.acquire().await;
        let mut check = once(config).await;
        drop(place);
        if check.outcome() != CheckOutcome::Down || tries > config.retries {
            if tries > 1 && check.outcome() == CheckOutcome::Down {
                check.detail = format!("{}; {tries} times", check.detail);
            }
            return check;
        }
        tokio::time::sleep(RETRY_REST).await;
    }
}

/// Runs a probe once.
async fn once(config: &ProbeConfig) -> Check {
    let begun = Instant::now();
    let mut check = Check {
        name: config.name.clone(),
        kind: kind(config.kind).into(),
        target: config.target.clone(),
        interval_seconds: config.interval.as_secs_f64(),
        ..Check::default()
    };
    let mut facts = Facts::default();
    let outcome =
        tokio::time::timeout(config.timeout, attempt(config, &mut check, &mut facts)).await;
    check.total_seconds = begun.elapsed().as_secs_f64();
    let (outcome, detail) = match outcome {
        Ok(Ok(())) => judge(config, &check, &facts, Time::now()),
        Ok(Err(ProbeError::Degraded(detail))) => (CheckOutcome::Degraded, detail),
        Ok(Err(ProbeError::Unable(detail))) => (CheckOutcome::Unspecified, detail),
        Ok(Err(error)) => (CheckOutcome::Down, error.to_string()),
        Err(_) => (CheckOutcome::Down, format!("no answer within {:?}", config.timeout)),
    };
    check.outcome = outcome.into();
    check.detail = detail;
    check
}

const fn kind(kind: ProbeKind) -> CheckKind {
    match kind {
        ProbeKind::Http => CheckKind::Http,
        ProbeKind::Tcp => CheckKind::Tcp,
        ProbeKind::Tls => CheckKind::Tls,
        ProbeKind::Dns => CheckKind::Dns,
        ProbeKind::Udp => CheckKind::Udp,
        ProbeKind::Icmp => CheckKind::Icmp,
        ProbeKind::Smtp => CheckKind::Smtp,
        ProbeKind::Postgresql => CheckKind::Postgresql,
        ProbeKind::Mysql => CheckKind::Mysql,
        ProbeKind::Redis => CheckKind::Redis,
        ProbeKind::Unit => CheckKind::Unit,
        ProbeKind::Process => CheckKind::Process,
        ProbeKind::File => CheckKind::File,
        ProbeKind::Command => CheckKind::Command,
    }
}

/// What was seen beside what a check tells.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Why the chain of certificates is not trusted.
    pub(crate) untrusted: Option<String>,
}

async fn attempt(
    config: &ProbeConfig,
    check: &mut Check,
    facts: &mut Facts,
) -> Result<(), ProbeError> {
    match config.kind {
        ProbeKind::Http => http::attempt(config, check, facts).await,
        ProbeKind::Dns => net::names(config, check).await,
        ProbeKind::Tcp => greeting::tcp(config, check).await,
        ProbeKind::Tls => {
            let (stream, host) = net::connect(&config.target, check).await?;
            tls::handshake(stream, &host, config, check, facts).await.map(drop)
        }
        ProbeKind::Udp => packet::udp(config, check).await,
        ProbeKind::Icmp => packet::icmp(config, check).await,
        ProbeKind::Smtp => greeting::smtp(config, check).await,
        ProbeKind::Postgresql => greeting::postgresql(config, check).await,
        ProbeKind::Mysql => greeting::mysql(config, check).await,
        ProbeKind::Redis => greeting::redis(config, check).await,
        ProbeKind::Unit => local::unit(config).await,
        ProbeKind::Process => local::process(config).await,
        ProbeKind::File => local::file(config).await,
        ProbeKind::Command => local::command(config).await,
    }
}

/// It answered: is that good enough?
fn judge(config: &ProbeConfig, check: &Check, facts: &Facts, now: Time) -> (CheckOutcome, String) {
    if let Some(end) = check.certificate_not_after_unix_nano.map(Time) {
        let left = end.seconds_since(now) / 86_400.0;
        if left < 0.0 {
            return (CheckOutcome::Down, format!("the certificate ended at {end}"));
        }
        if left < f64::from(config.certificate_days_min) {
            return (CheckOutcome::Degraded, format!("the certificate ends in {left:.0} days"));
        }
    }
    match (&facts.untrusted, config.certificate_trust) {
        (Some(why), Trust::Require) => return (CheckOutcome::Down, why.clone()),
        (Some(why), Trust::Warn) => return (CheckOutcome::Degraded, why.clone()),
        _ => {}
    }
    if config.slow.is_some_and(|slow| check.total_seconds > slow.as_secs_f64()) {
        return (CheckOutcome::Degraded, format!("took {:.3} s", check.total_seconds));
    }
    (CheckOutcome::Up, String::new())
}

/// What came back has to say what is expected.
pub(crate) fn require(
    expect: Option<&regex::bytes::Regex>,
    found: &[u8],
) -> Result<(), ProbeError> {
    let Some(expect) = expect.filter(|expect| !expect.is_match(found)) else { return Ok(()) };
    Err(ProbeError::Answer(format!("wanted {expect}, got {:?}", first_line(found))))
}

/// The beginning of an answer, for a person.
pub(crate) fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(DETAIL_BYTES_MAX)]);
    let line = text.lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).collect()
}

/// Bytes of an answer that a detail repeats.
const DETAIL_BYTES_MAX: usize = 200;

#[cfg(test)]
mod hostile;
#[cfg(test)]
pub(crate) mod tests;
